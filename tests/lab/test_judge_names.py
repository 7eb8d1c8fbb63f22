# SPDX-License-Identifier: Apache-2.0
"""The judge of names sees each fault that is put into the records of a node which found its anchor by DNS; and the lab's name
server says what is in its zone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from ipaddress import IPv6Address
from pathlib import Path

import dns.message
import dns.rcode
import dns.rdatatype
import dns.zone
import pytest

from halma.lab import judge_names
from halma.lab.evidence import Evidence
from halma.lab.forge import datagram
from halma.lab.name_server import answer
from halma.wire.messages import BindingUpdate
from halma.wire.numbers import BindingUpdateFlag
from tests.lab.records import mobility
from tests.lab.world import BEGAN, CN, HOST, LMA, MOVED, STRANGER, World

ZONE = dns.zone.from_text(
    "_mip6._ipv6 60 IN SRV 10 0 0 anchor\n_mip6._ipv6 60 IN SRV 20 0 0 spare\n"
    f"anchor 60 IN AAAA {IPv6Address(LMA)}\nspare 60 IN AAAA {IPv6Address(CN)}",
    "example.org",
    relativize=False,
    check_origin=False,
)
SERVICE, ANCHOR, SPARE = ("_mip6._ipv6.example.org", "SRV"), ("anchor.example.org", "AAAA"), ("spare.example.org", "AAAA")
ASKED = BEGAN + 0.3


def ask(world: World, time: float, about: tuple[str, str], source: bytes = HOST, *, answered: bool = True) -> None:
    """The host asks the correspondent, which is a name server."""
    question = dns.message.make_query(*about)
    world.put("access-h1", time, datagram(source, CN, 53, question.to_wire()))
    if answered:
        world.put("access-h1", time + 0.001, datagram(CN, source, 53, answer(ZONE, question).to_wire()))


def register(world: World, time: float, anchor: bytes = LMA) -> None:
    """A Binding Update with the home address as its source, which is enough for this judge."""
    flags = BindingUpdateFlag.ACKNOWLEDGE | BindingUpdateFlag.HOME_REGISTRATION
    world.put("access-h1", time, mobility(HOST, anchor, BindingUpdate(1, flags, 15, ())))


def told(world: World) -> None:
    """The whole of a good answer."""
    for number, about in enumerate((SERVICE, ANCHOR, SPARE)):
        ask(world, ASKED + number * 0.01, about)


def good(world: World) -> None:
    told(world)
    register(world, MOVED + 0.03)


def judged(directory: Path, story: Callable[[World], None]) -> tuple[bool, bool, bool]:
    """Whether the host asked for the home agents, went by the answer, and knew it before it moved."""
    world = World(directory)
    (access,) = world.topology.access
    world.topology = dataclasses.replace(world.topology, access=(dataclasses.replace(access, address=IPv6Address(HOST)),))
    story(world)
    evidence: Evidence = world.evidence()
    asked, went = judge_names.found_by_service(evidence, "h1", "example.org", IPv6Address(HOST))
    return asked.passed, went.passed, judge_names.asked_before(evidence, "h1", MOVED).passed


def test_a_run_without_a_fault(tmp_path: Path) -> None:
    assert judged(tmp_path, good) == (True, True, True)


def nothing(world: World) -> None:
    register(world, MOVED + 0.03)


def unanswered(world: World) -> None:
    for about in (SERVICE, ANCHOR, SPARE):
        ask(world, ASKED, about, answered=False)
    register(world, MOVED + 0.03)


def no_service(world: World) -> None:
    ask(world, ASKED, ANCHOR)
    register(world, MOVED + 0.03)


def from_elsewhere(world: World) -> None:
    for about in (SERVICE, ANCHOR, SPARE):
        ask(world, ASKED, about, STRANGER)
    register(world, MOVED + 0.03)


def the_lesser(world: World) -> None:
    told(world)
    register(world, MOVED + 0.03, CN)


def somebody(world: World) -> None:
    told(world)
    register(world, MOVED + 0.03, STRANGER)


def too_early(world: World) -> None:
    told(world)
    register(world, ASKED - 0.01)


def unregistered(world: World) -> None:
    told(world)


def again_abroad(world: World) -> None:
    good(world)
    ask(world, MOVED + 0.5, SERVICE)


@pytest.mark.parametrize(
    ("story", "outcome"),
    [
        (nothing, (False, False, False)),
        (unanswered, (False, False, False)),
        (no_service, (False, False, True)),
        (from_elsewhere, (False, False, True)),
        (the_lesser, (True, False, True)),
        (somebody, (True, False, True)),
        (too_early, (True, False, True)),
        (unregistered, (True, False, True)),
        (again_abroad, (True, True, False)),
    ],
)
def test_a_fault(tmp_path: Path, story: Callable[[World], None], outcome: tuple[bool, bool, bool]) -> None:
    assert judged(tmp_path, story) == outcome


@pytest.mark.parametrize(
    ("name", "kind", "status", "records"),
    [
        ("_mip6._ipv6.example.org", "SRV", dns.rcode.NOERROR, 2),
        ("anchor.example.org", "AAAA", dns.rcode.NOERROR, 1),
        ("anchor.example.org", "SRV", dns.rcode.NOERROR, 0),
        ("nobody.example.org", "AAAA", dns.rcode.NXDOMAIN, 0),
        ("anchor.example.net", "AAAA", dns.rcode.REFUSED, 0),
    ],
)
def test_the_name_server_says_what_is_in_its_zone(name: str, kind: str, status: dns.rcode.Rcode, records: int) -> None:
    question = dns.message.make_query(name, kind)
    made = answer(ZONE, question)
    assert question.is_response(made)
    assert made.rcode() == status
    assert sum(map(len, made.answer)) == records
    assert not made.additional
