# SPDX-License-Identifier: Apache-2.0
"""Messages that were encoded beforehand, sent in a sliding window as fast as their answers come.

A load generator that makes Python objects while it sends measures itself. So everything that the kernel is given (messages,
addresses, headers for sendmmsg(2)) is laid out in memory before the first message leaves; answers are copied away by the
batch, and looked at after the last one has come.

Always holds: the number of messages that are out is never more than the window; a message that has no answer after
`TIMEOUT` seconds is sent again, at most `ATTEMPTS` times; so `fire` ends.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import socket
import struct
import time
from collections.abc import Iterator, Sequence

from halma.value import value

MAXIMUM_MESSAGES = 60_000
"""In one volley: sequence numbers have 16 bits, and each message of a volley has its own."""
TIMEOUT = 1.0
"""Seconds without any answer after which the unanswered messages are sent again; INITIAL_BINDACK_TIMEOUT of RFC 6275."""
ATTEMPTS = 5
BURST = 64
"""Messages in one system call at the most."""
STRIDE = 192
"""Octets kept of an answer."""

_IOVEC = struct.Struct("@PN")
_HEADER = struct.Struct("@PIPNPNi0PI0P")
"""struct mmsghdr: name, its length, iovec, how many, control, its length, flags, and the length that the kernel writes."""
_SOCKADDR = struct.Struct("@HxxI16sI")
_CONTROL = struct.Struct("@Nii16sI")
_CONTROL_LENGTH = struct.calcsize("@Nii16sI")

_libc = ctypes.CDLL(None, use_errno=True)


@value
class Answer:
    """An answer: to which message (its index in the volley), the octets (of which the message is the beginning), and after
    how many seconds."""

    index: int
    octets: bytes
    latency: float


@value
class Tally:
    """How a volley went. `seconds` are from the first message to the last answer; `waited` is the part of them in which the
    generator had nothing to do. `answers` hold the first one to each message, in the order in which they came."""

    messages: int
    seconds: float
    waited: float
    retransmissions: int
    answers: tuple[Answer, ...]


def _address_of(buffer: bytearray) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


class Volley:
    """Messages to one destination, each from a source address of its own (empty where the message is a packet that has its
    header already). Their sequence numbers are `first` and those that follow; `sequence_at` is where an answer has its own."""

    def __init__(
        self, messages: Sequence[bytes], sources: Sequence[bytes], destination: bytes, first: int, sequence_at: int
    ) -> None:
        if len(messages) > MAXIMUM_MESSAGES:
            raise ValueError(f"a volley has {MAXIMUM_MESSAGES} messages at the most")
        self._total = len(messages)
        self._first = first
        self._sequence_at = sequence_at
        self._data = bytearray(b"".join(messages))
        self._name = bytearray(_SOCKADDR.pack(socket.AF_INET6, 0, destination, 0))
        self._controls = {
            source: bytearray(_CONTROL.pack(_CONTROL_LENGTH, socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, source, 0))
            for source in set(sources) - {b""}
        }
        controls = {source: _address_of(buffer) for source, buffer in self._controls.items()}
        at, name = _address_of(self._data), _address_of(self._name)
        self._iovecs = bytearray(_IOVEC.size * self._total)
        self._headers = bytearray(_HEADER.size * self._total)
        iovec = _address_of(self._iovecs)
        for index, (message, source) in enumerate(zip(messages, sources, strict=True)):
            _IOVEC.pack_into(self._iovecs, index * _IOVEC.size, at, len(message))
            control = (controls[source], _CONTROL_LENGTH) if source else (0, 0)
            _HEADER.pack_into(self._headers, index * _HEADER.size, name, len(self._name), iovec, 1, *control, 0, 0)
            at += len(message)
            iovec += _IOVEC.size
        self._room = bytearray(BURST * STRIDE)
        self._room_iovecs = bytearray(b"".join(_IOVEC.pack(_address_of(self._room) + i * STRIDE, STRIDE) for i in range(BURST)))
        iovec = _address_of(self._room_iovecs)
        self._room_headers = bytearray(
            b"".join(_HEADER.pack(0, 0, iovec + i * _IOVEC.size, 1, 0, 0, 0, 0) for i in range(BURST))
        )

    def fire(self, sender: int, receiver: int, window: int) -> Tally:
        """Send all messages by one descriptor, with `window` of them unanswered at the most, and take the answers from another,
        which may be the same. Raises TimeoutError when a message stays unanswered, OSError when the kernel refuses to send or
        receive."""
        total, view = self._total, memoryview(self._room)
        headers, room_headers = _address_of(self._headers), ctypes.c_void_p(_address_of(self._room_headers))
        sendmmsg, recvmmsg, clock = _libc.sendmmsg, _libc.recvmmsg, time.perf_counter
        poll = select.poll()
        poll.register(receiver, select.POLLIN)
        least = min(BURST, max(1, window // 8))  # no system call for less, unless nothing else remains
        sends: list[tuple[int, float]] = []
        receipts: list[tuple[float, bytes]] = []
        seen: set[int] | None = None  # the answered messages, from the first retransmission on
        sent = answered = retransmissions = attempts = 0
        waited = 0.0
        start = clock()
        while answered < total:
            room = min(window - (sent - answered), total - sent, BURST)
            if room >= least or (room and room == total - sent):
                count = sendmmsg(sender, ctypes.c_void_p(headers + sent * _HEADER.size), room, socket.MSG_DONTWAIT)
                if count > 0:
                    sent += count
                    sends.append((sent, clock()))
                else:
                    _check()
            count = recvmmsg(receiver, room_headers, BURST, socket.MSG_DONTWAIT, None)
            if count > 0:
                batch = bytes(view[: count * STRIDE])
                receipts.append((clock(), batch))
                if seen is None:
                    answered += count
                else:
                    seen.update(self._indices(batch))
                    answered = len(seen)
                continue
            _check()
            if window - (sent - answered) >= least and sent < total:
                continue
            before = clock()
            ready = poll.poll(TIMEOUT * 1000)
            waited += clock() - before
            if not ready:
                attempts += 1
                if attempts > ATTEMPTS:
                    raise TimeoutError(errno.ETIMEDOUT, f"{sent - answered} messages stay unanswered")
                seen = {index for _, octets in receipts for index in self._indices(octets)}
                answered = len(seen)
                missing = [index for index in range(sent) if index not in seen]
                for index in missing:
                    sendmmsg(sender, ctypes.c_void_p(headers + index * _HEADER.size), 1, 0)
                retransmissions += len(missing)
        seconds = clock() - start
        return Tally(total, seconds, waited, retransmissions, tuple(self._answers(sends, receipts)))

    def _indices(self, batch: bytes) -> Iterator[int]:
        """Which messages a batch of answers is for: their indices."""
        at, first = self._sequence_at, self._first
        octets = zip(batch[at::STRIDE], batch[at + 1 :: STRIDE], strict=True)
        return ((high << 8 | low) - first & 0xFFFF for high, low in octets)

    def _answers(self, sends: list[tuple[int, float]], receipts: list[tuple[float, bytes]]) -> Iterator[Answer]:
        """The first answer to each message; the latency of one that was sent again counts from the first time."""
        times: list[float] = []
        for end, when in sends:
            times += [when] * (end - len(times))
        answered: set[int] = set()
        for when, batch in receipts:
            for place, index in enumerate(self._indices(batch)):
                if index < len(times) and index not in answered:
                    answered.add(index)
                    yield Answer(index, batch[place * STRIDE : (place + 1) * STRIDE], when - times[index])


def _check() -> None:
    """Raise OSError for what sendmmsg or recvmmsg has just failed with, unless it is that it would have to wait."""
    number = ctypes.get_errno()
    if number not in (errno.EAGAIN, errno.EINTR, errno.ENOBUFS):
        raise OSError(number, os.strerror(number))


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the ordered values lie; 0 where there are none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
