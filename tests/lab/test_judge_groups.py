# SPDX-License-Identifier: Apache-2.0
"""The judge of multicast sees each fault that is put into the records of a node which listens to a group; and the ladder shows
who said what."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv6Address
from pathlib import Path

import pytest

from halma.lab import judge_groups
from halma.lab.forge import header
from halma.lab.ladder import Arrow, ladders
from halma.wire.addresses import ALL_NODES
from halma.wire.icmpv6 import encode_icmpv6
from halma.wire.mld import (
    ALL_MLDV2_ROUTERS,
    MulticastAddressRecord,
    MulticastListenerMessage,
    RecordType,
    encode_records,
    general_query,
)
from tests.lab.world import BEGAN, HOST, LMA, World, gateway

GROUP, OTHER = IPv6Address("ff0e::5:213"), IPv6Address("ff0e::5:214")
LINK_LOCAL = IPv6Address("fe80::1").packed
QUERY = general_query(10000, 2, 125)
ASKED, TOLD = BEGAN + 0.3, BEGAN + 0.4


def report(group: IPv6Address = GROUP, kind: RecordType = RecordType.MODE_IS_EXCLUDE) -> MulticastListenerMessage:
    return encode_records([MulticastAddressRecord(kind, group.packed)])


def packet(message: MulticastListenerMessage, destination: bytes) -> bytes:
    """With the headers of Multicast Listener Discovery, as far as the judge looks at them."""
    return header(LINK_LOCAL, destination, 58, encode_icmpv6(message, LINK_LOCAL, destination))


def ask(world: World, time: float = ASKED) -> None:
    world.put("access-h1", time, header(LMA, HOST, 41, packet(QUERY, ALL_NODES)))


def tell(world: World, message: MulticastListenerMessage | None = None, source: bytes = HOST, time: float = TOLD) -> None:
    world.put("access-h1", time, header(source, LMA, 41, packet(message or report(), ALL_MLDV2_ROUTERS)))


def listen(world: World, message: MulticastListenerMessage | None = None) -> None:
    world.put("outside", TOLD, packet(message or report(), ALL_MLDV2_ROUTERS))


def good(world: World) -> None:
    ask(world)
    tell(world)
    listen(world)


def judged(directory: Path, story: Callable[[World], None]) -> tuple[bool, bool]:
    """Whether the node told what it listens to once it was asked, and the anchor listened for it."""
    world = World(directory)
    story(world)
    evidence = world.evidence()
    return judge_groups.asked_first(evidence, "h1", GROUP).passed, judge_groups.joined(evidence, GROUP, "cn").passed


def test_a_run_without_a_fault(tmp_path: Path) -> None:
    assert judged(tmp_path, good) == (True, True)


def nothing(_world: World) -> None:
    pass


def never_asked(world: World) -> None:
    tell(world)
    listen(world)


def told_before(world: World) -> None:
    good(world)
    tell(world, time=ASKED - 0.1)


def told_nothing(world: World) -> None:
    ask(world)
    listen(world)


def told_of_another(world: World) -> None:
    ask(world)
    tell(world, report(OTHER))
    listen(world)


def left(world: World) -> None:
    ask(world)
    tell(world, report(kind=RecordType.CHANGE_TO_INCLUDE_MODE))
    listen(world)


def told_by_another(world: World) -> None:
    ask(world)
    tell(world, source=gateway(1))
    listen(world)


def told_on_the_link(world: World) -> None:
    ask(world)
    world.put("access-h1", TOLD, packet(report(), ALL_MLDV2_ROUTERS))
    listen(world)


@pytest.mark.parametrize(
    "story", [nothing, never_asked, told_before, told_nothing, told_of_another, left, told_by_another, told_on_the_link]
)
def test_a_node_that_does_not_tell_as_it_should(tmp_path: Path, story: Callable[[World], None]) -> None:
    assert not judged(tmp_path, story)[0]


def not_joined(world: World) -> None:
    ask(world)
    tell(world)


def joined_another(world: World) -> None:
    not_joined(world)
    listen(world, report(OTHER))


def joined_in_a_tunnel(world: World) -> None:
    not_joined(world)
    world.put("outside", TOLD, header(HOST, LMA, 41, packet(report(), ALL_MLDV2_ROUTERS)))


@pytest.mark.parametrize("story", [not_joined, joined_another, joined_in_a_tunnel])
def test_an_anchor_that_does_not_listen_itself(tmp_path: Path, story: Callable[[World], None]) -> None:
    assert judged(tmp_path, story) == (True, False)


def test_the_ladder_shows_questions_and_answers(tmp_path: Path) -> None:
    world = World(tmp_path)
    ask(world)
    tell(world)
    tell(world, report(IPv6Address("ff02::1:ff00:1")), time=TOLD + 0.1)  # which nobody would miss
    tell(world, report(kind=RecordType.CHANGE_TO_INCLUDE_MODE), time=TOLD + 0.2)
    rows = [row for ladder in ladders(world.evidence(), "h1") for row in ladder.rows if isinstance(row, Arrow)]
    assert [(row.source, row.target, row.label, row.essence) for row in rows if row.label.startswith("MLD")] == [
        ("lma", "h1", "MLD query", ""),
        ("h1", "lma", "MLD report", "ff0e::5:213"),
        ("h1", "lma", "MLD report", "-ff0e::5:213"),
    ]
