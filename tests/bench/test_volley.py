# SPDX-License-Identifier: Apache-2.0
"""The sliding window of the load generator, against a socket of this process."""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterator

import pytest

from halma.bench import volley
from halma.bench.volley import Tally, Volley, percentile
from halma.wire.ipv6 import Packet, build_packet

LOOPBACK = bytes(15) + b"\x01"
PROTOCOL = 253
"""For experiments (RFC 3692)."""
SO_ATTACH_FILTER = 26


@pytest.fixture
def wire() -> Iterator[socket.socket]:
    """A raw socket to send from, whose messages to ::1 come back on it."""
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, PROTOCOL) as raw:
        raw.bind(("::1", 0))
        yield raw


def messages(count: int, first: int = 0) -> list[bytes]:
    """The sequence number stands at the beginning; loopback gives every message back to the one socket that is there."""
    return [struct.pack("!H", first + index & 0xFFFF) + b"message" for index in range(count)]


def fire(wire: socket.socket, count: int, window: int, first: int = 0) -> Tally:
    """A volley to ourselves: what was sent is what is received."""
    made = Volley(messages(count, first), [LOOPBACK] * count, LOOPBACK, first, 0)
    return made.fire(wire.fileno(), wire.fileno(), window)


@pytest.mark.root
@pytest.mark.parametrize(("count", "window"), [(1, 1), (65, 1), (1000, 64), (5000, 512)])
def test_every_message_is_sent_and_its_answer_found(wire: socket.socket, count: int, window: int) -> None:
    """Whatever the window: each index once, with the octets that came for it."""
    tally = fire(wire, count, window)
    assert sorted(answer.index for answer in tally.answers) == list(range(count))
    assert all(answer.octets.startswith(messages(count)[answer.index]) for answer in tally.answers)
    assert tally.messages == count
    assert tally.retransmissions == 0
    assert 0 <= tally.waited <= tally.seconds
    assert all(0 <= answer.latency <= tally.seconds for answer in tally.answers)


@pytest.mark.root
def test_sequence_numbers_may_begin_anywhere(wire: socket.socket) -> None:
    """And go on behind the greatest there is with 0."""
    tally = fire(wire, 100, 16, first=0xFFF0)
    assert sorted(answer.index for answer in tally.answers) == list(range(100))
    assert all(answer.octets.startswith(messages(100, 0xFFF0)[answer.index]) for answer in tally.answers)


@pytest.mark.root
def test_messages_may_have_their_own_header(wire: socket.socket) -> None:
    """They are sent by a socket that takes packets whole, from whatever address they say."""
    source = bytes.fromhex("20010db8e00000000000000000000001")
    packets = [build_packet(Packet(source, LOOPBACK, PROTOCOL, message)) for message in messages(10)]
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as whole:
        tally = Volley(packets, [b""] * 10, LOOPBACK, 0, 0).fire(whole.fileno(), wire.fileno(), 4)
    assert sorted(answer.index for answer in tally.answers) == list(range(10))


@pytest.mark.root
def test_what_was_lost_is_sent_again(wire: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receive buffer that holds a few messages loses the others; they come at the second or third time."""
    monkeypatch.setattr(volley, "TIMEOUT", 0.02)
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    tally = fire(wire, 8, 8)
    assert tally.retransmissions > 0
    assert sorted(answer.index for answer in tally.answers) == list(range(8))


@pytest.mark.root
def test_silence_ends(wire: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that is never answered ends the volley with an error."""
    monkeypatch.setattr(volley, "TIMEOUT", 0.01)
    drop = ctypes.create_string_buffer(struct.pack("@HBBI", 6, 0, 0, 0))  # the classic BPF program "return 0"
    wire.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", 1, ctypes.addressof(drop)))
    with pytest.raises(TimeoutError, match="8 messages stay unanswered"):
        fire(wire, 8, 8)


def test_more_messages_than_sequence_numbers_are_refused() -> None:
    """Two of them would have the same."""
    with pytest.raises(ValueError, match="60000"):
        Volley([b""] * 60_001, [LOOPBACK] * 60_001, LOOPBACK, 0, 0)


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.0, 1.0), (0.5, 3.0), (0.99, 4.0), (1.0, 4.0)],
)
def test_percentiles(share: float, expected: float) -> None:
    """Of ordered values; the last one is the greatest that there is."""
    assert percentile([1.0, 2.0, 3.0, 4.0], share) == expected
    assert percentile([], share) == 0.0
