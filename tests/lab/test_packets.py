# SPDX-License-Identifier: Apache-2.0
"""Frames are taken apart to their innermost packet, and nothing in a frame raises."""

from __future__ import annotations

import random

import pytest

from halma.lab.forge import datagram, header
from halma.lab.packets import DESTINATION, MOBILITY, NO_NEXT, ROUTING, UDP, dissect
from halma.lab.probe import Probe, decode, encode
from halma.wire.pcap import ETHERNET, Frame
from tests.lab.records import probe
from tests.lab.world import CN, HOST, LMA, STRANGER, gateway, update

ETHERNET_HEADER = bytes(12) + b"\x86\xdd"


def frame(packet: bytes) -> Frame:
    """A captured frame with a packet in it."""
    return Frame(1_500_000_000, "", ETHERNET, ETHERNET_HEADER + packet)


def test_a_packet_in_two_tunnels() -> None:
    inner = probe(7, 42, HOST, CN)
    seen = dissect(frame(header(gateway(1), LMA, 41, header(STRANGER, CN, 41, inner))), "p")
    assert seen is not None
    assert [(layer.source, layer.destination) for layer in seen.layers] == [(gateway(1), LMA), (STRANGER, CN), (HOST, CN)]
    assert seen.probe == Probe(7, 42, 0)
    assert (seen.time, seen.protocol, seen.bare) == (1.5, UDP, False)


def test_a_message_with_its_header_alone() -> None:
    seen = dissect(frame(update(1, 1, 900)), "p")
    assert seen is not None
    assert seen.protocol == MOBILITY
    assert seen.payload == update(1, 1, 900)[40:]


def test_padding_of_the_link_is_no_payload() -> None:
    packet = header(HOST, CN, NO_NEXT, b"")
    seen = dissect(frame(packet + bytes(20)), "p")
    assert seen is not None
    assert seen.payload == b""


def test_home_addresses_of_mobile_ipv6() -> None:
    option = bytes([MOBILITY, 2, 1, 2, 0, 0, 201, 16]) + HOST
    seen = dissect(frame(header(STRANGER, LMA, DESTINATION, option + bytes(8))), "p")
    assert seen is not None
    assert (seen.outer.home_source, seen.protocol, seen.payload) == (HOST, MOBILITY, bytes(8))
    routing = bytes([UDP, 2, 2, 1, 0, 0, 0, 0]) + HOST
    seen = dissect(frame(header(LMA, STRANGER, ROUTING, routing + bytes(8))), "p")
    assert seen is not None
    assert (seen.outer.home_destination, seen.protocol) == (HOST, UDP)


def test_only_the_first_fragment_has_a_protocol() -> None:
    for offset, protocol in ((0, UDP), (8, NO_NEXT)):
        fragment = bytes([UDP, 0]) + offset.to_bytes(2) + bytes(4)
        seen = dissect(frame(header(HOST, CN, 44, fragment + bytes(16))), "p")
        assert seen is not None
        assert seen.protocol == protocol


@pytest.mark.parametrize("octets", [b"", bytes(60), ETHERNET_HEADER, bytes(12) + b"\x08\x00" + bytes(60)])
def test_what_is_no_ipv6_packet(octets: bytes) -> None:
    assert dissect(Frame(0, "", ETHERNET, octets), "p") is None


def test_nothing_raises() -> None:
    chance = random.Random(1)
    whole = ETHERNET_HEADER + header(gateway(1), LMA, 41, datagram(HOST, CN, 20001, encode(Probe(1, 1, 1), 32)))
    for _ in range(3000):
        data = bytearray(whole[: chance.randrange(len(whole))])
        for _ in range(chance.randrange(4)):
            if data:
                data[chance.randrange(len(data))] = chance.randrange(256)
        dissect(Frame(0, "", ETHERNET, bytes(data)), "p")


def test_probes() -> None:
    for size in (20, 64, 1400):
        assert decode(encode(Probe(3, 2**32 - 1, 5), size)) == Probe(3, 2**32 - 1, 5)
    assert decode(b"HLMA") is None
    assert decode(bytes(64)) is None
