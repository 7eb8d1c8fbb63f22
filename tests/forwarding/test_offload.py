# SPDX-License-Identifier: Apache-2.0
"""Checksums and segments that no network card has done, from the octets alone."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halma.forwarding.offload import finished
from tests.forwarding.plane_packets import ICMPV6, IPV6, OPTIONS, TCP, UDP, Ip, address, checksum, parse

NEAR, FAR, HOME_AGENT = (address(f"2001:db8::{number}") for number in (1, 2, 3))
PLACE = {TCP: 16, UDP: 6}
FIN, PSH, ACK, ECE, CWR = 0x01, 0x08, 0x10, 0x40, 0x80


def pseudo(length: int, protocol: int) -> bytes:
    return NEAR + FAR + struct.pack("!II", length, protocol)


def left_undone(segment: bytes, protocol: int) -> bytes:
    """The segment with the sum of the pseudo header where its checksum should be."""
    place = PLACE[protocol]
    total = checksum(pseudo(len(segment), protocol)) ^ 0xFFFF
    return segment[:place] + struct.pack("!H", total) + segment[place + 2 :]


def is_right(packet: Ip) -> bool:
    return checksum(pseudo(len(packet.payload), packet.next_header) + packet.payload) == 0


def tcp(data: bytes, flags: int = ACK, sequence: int = 0xFFFFFF00, options: bytes = b"") -> bytes:
    head = struct.pack("!HHIIBBHHH", 1, 2, sequence, 3, (20 + len(options)) << 2, flags, 4, 0, 0)
    return left_undone(head + options + data, TCP)


def udp(data: bytes) -> bytes:
    return left_undone(struct.pack("!HHHH", 1, 2, 8 + len(data), 0) + data, UDP)


@pytest.mark.parametrize("data", [b"", b"x", b"odd", bytes(1232), b"\xff" * 3000])
def test_a_datagram_is_summed_up(data: bytes) -> None:
    (made,) = finished(Ip(NEAR, FAR, UDP, udp(data)).bytes())
    assert is_right(parse(made))
    assert parse(made).payload[8:] == data
    assert finished(made) == [made], "what is right stays so"


@given(
    st.binary(max_size=5000),
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 0xFF),
    st.sampled_from([b"", b"\1\1\1\0", bytes(40)]),
    st.sampled_from([(), (0,), (OPTIONS,), (0, OPTIONS)]),
    st.integers(0, 2),
)
def test_a_stream_is_cut(data: bytes, sequence: int, flags: int, options: bytes, ahead: tuple[int, ...], tunnels: int) -> None:
    """Whatever stands around it."""
    protocol, payload = TCP, tcp(data, flags, sequence, options)
    for header in reversed(ahead):
        protocol, payload = header, bytes([protocol, 0, 1, 4, 0, 0, 0, 0]) + payload
    packet = Ip(NEAR, FAR, protocol, payload, 33, 7)
    for _ in range(tunnels):
        packet = Ip(HOME_AGENT, FAR, IPV6, packet.bytes(), 44, 3)
    came = b""
    pieces = finished(packet.bytes())
    for place, octets in enumerate(pieces):
        piece = parse(octets)
        assert len(octets) == 40 + len(piece.payload)
        assert len(octets) <= 1280
        for _ in range(tunnels):
            assert (piece.source, piece.hop_limit, piece.traffic_class, piece.next_header) == (HOME_AGENT, 44, 3, IPV6)
            piece = piece.inner()
        assert (piece.source, piece.destination, piece.hop_limit, piece.traffic_class) == (NEAR, FAR, 33, 7)
        segment = Ip(NEAR, FAR, TCP, piece.payload[8 * len(ahead) :])
        assert is_right(segment)
        assert int.from_bytes(segment.payload[4:8], "big") == (sequence + len(came)) & 0xFFFFFFFF
        there = flags
        there &= 0xFF if place == len(pieces) - 1 else ~(FIN | PSH)
        there &= 0xFF if place == 0 else ~CWR
        assert segment.payload[13] == there
        assert segment.payload[20 : 20 + len(options)] == options
        came += segment.payload[20 + len(options) :]
    assert came == data


def test_what_is_right_is_never_cut() -> None:
    segment = bytearray(tcp(bytes(4000)))
    segment[16:18] = bytes(2)
    segment[16:18] = struct.pack("!H", checksum(pseudo(len(segment), TCP) + bytes(segment)))
    packet = Ip(NEAR, FAR, TCP, bytes(segment)).bytes()
    assert finished(packet) == [packet]


def test_what_is_merely_wrong_stays_wrong() -> None:
    segment = bytearray(udp(b"data"))
    segment[6] ^= 1
    packet = Ip(NEAR, FAR, UDP, bytes(segment)).bytes()
    assert finished(packet) == [packet]


@pytest.mark.parametrize(
    ("protocol", "payload"),
    [
        (TCP, tcp(b"")[:19]),
        (TCP, left_undone(bytes(12) + b"\x10\x10" + bytes(1300), TCP)),
        (TCP, left_undone(bytes(12) + b"\xf0\x10" + bytes(10), TCP)),
        (UDP, b"\0\1\0\2\0\7\0"),
        (OPTIONS, bytes([TCP, 9])),
        (OPTIONS, bytes([TCP, 200]) + bytes(60)),
        (IPV6, bytes(20)),
        (IPV6, Ip(NEAR, FAR, UDP, udp(b"data")).bytes() + b"more"),
        (44, bytes([TCP, 0, 0, 1]) + bytes(4) + tcp(b"data")),
        (43, bytes([TCP, 0, 253, 1]) + bytes(4) + tcp(b"data")),
        (ICMPV6, bytes(8)),
        (59, b""),
    ],
)
def test_what_is_no_whole_segment_stays_as_it_is(protocol: int, payload: bytes) -> None:
    packet = Ip(NEAR, FAR, protocol, payload).bytes()
    made = finished(packet)
    assert len(made) == 1
    assert len(made[0]) == len(packet)
    if protocol != TCP:
        assert made == [packet]


@given(st.binary(max_size=200), st.sampled_from([0, 6, 17, 41, 43, 44, 58, 60]))
def test_nothing_makes_it_fail(data: bytes, protocol: int) -> None:
    assert finished(Ip(NEAR, FAR, protocol, data).bytes())
