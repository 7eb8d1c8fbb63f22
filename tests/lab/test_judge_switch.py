# SPDX-License-Identifier: Apache-2.0
"""The judge of Mobile IPv6 sees a fault that is put into records of a run without one."""

from __future__ import annotations

import dataclasses
from ipaddress import IPv6Address
from pathlib import Path

import pytest

from halma.lab import judge_home
from halma.lab.forge import header
from halma.lab.verdict import Check
from halma.wire import Message, encode
from halma.wire.ipv6 import DestinationOptions, ExtensionHeader, HomeAddress, Packet, TypeTwoRoutingHeader, build_packet
from halma.wire.messages import BindingAcknowledgement, BindingUpdate
from halma.wire.numbers import BindingUpdateFlag, NextHeader
from halma.wire.options import AlternateCareOfAddress
from tests.lab.records import probe
from tests.lab.world import CN, DOWN, ENDED, HOST, HOST_LINK_LAYER, LINK_UP, LMA, World

CARE_OF = IPv6Address("2001:db8:13:1::1").packed
FIRST = 500


def behind(source: bytes, destination: bytes, extension: ExtensionHeader, message: Message) -> bytes:
    """A message of Mobile IPv6 as a packet."""
    ends = (HOST, destination) if destination == LMA else (source, HOST)
    data = encode(message, *ends)
    return build_packet(Packet(source, destination, NextHeader.MOBILITY, data, extension_headers=(extension,)))


@pytest.fixture
def abroad(tmp_path: Path) -> World:
    """The host has a care-of address since its move, and its home agent sends ten probes there."""
    world = World(tmp_path)
    access = dataclasses.replace(world.topology.access[0], address=IPv6Address(HOST))
    world.topology = dataclasses.replace(world.topology, access=(access,))
    world.events.append(world.address_event(LINK_UP + 0.001, CARE_OF))
    flags = BindingUpdateFlag.ACKNOWLEDGE | BindingUpdateFlag.HOME_REGISTRATION
    update = BindingUpdate(1, flags, 900, (AlternateCareOfAddress(CARE_OF),))
    world.through(
        LINK_UP + 0.002, behind(CARE_OF, LMA, DestinationOptions((HomeAddress(HOST),)), update), "access-h1", "core-lma"
    )
    answer = behind(LMA, CARE_OF, TypeTwoRoutingHeader(HOST), BindingAcknowledgement(0, 0, 1, 900))
    world.through(LINK_UP + 0.003, answer, "core-lma", "access-h1")
    for number in range(FIRST, FIRST + 10):
        time = LINK_UP + 0.01 * (number - FIRST + 1)
        packet = header(LMA, CARE_OF, 41, probe(DOWN, number, CN, HOST))
        world.put("core-lma", time, packet)
        world.put("access-h1", time + 0.0002, packet, bytes(6), HOST_LINK_LAYER)
    return world


def asked(world: World) -> Check:
    evidence = world.evidence()
    window = judge_home.window_to(evidence, "h1", "mag2")
    return judge_home.taken_from_the_switch_on(evidence, "h1", window, DOWN)


def test_what_the_home_agent_sends_has_to_arrive(abroad: World) -> None:
    assert asked(abroad).passed
    assert "10 sent" in asked(abroad).detail
    abroad.without("access-h1", DOWN, FIRST)
    assert not asked(abroad).passed
    assert "1 lost" in asked(abroad).detail


def test_a_home_agent_of_which_nothing_was_seen_is_not_praised(abroad: World) -> None:
    abroad.frames = [frame for frame in abroad.frames if not (frame[0] == "core-lma" and CARE_OF in frame[2])]
    assert not asked(abroad).passed


def test_a_home_agent_that_has_accepted_nothing_is_not_praised(abroad: World) -> None:
    abroad.frames = [frame for frame in abroad.frames if frame[2][20] != NextHeader.ROUTING]
    assert not asked(abroad).passed


def test_what_is_under_way_at_the_next_movement_may_be_lost(abroad: World) -> None:
    late = header(LMA, CARE_OF, 41, probe(DOWN, FIRST + 10, CN, HOST))
    abroad.put("core-lma", ENDED - 0.01, late)
    assert asked(abroad).passed
