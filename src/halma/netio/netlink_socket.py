# SPDX-License-Identifier: Apache-2.0
"""Netlink as it is spoken with the kernel: messages, attributes, and a socket on which a request waits for its answer.

What is asked for is the business of `halma.netio.netlink` (links, addresses, neighbours) and of `halma.forwarding.rtnetlink`
(routes, rules, BPF filters).

Always holds: every request waits for the kernel's answer, and a refusal is raised as OSError with the kernel's errno.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

ERROR, DONE = 2, 3
REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
CREATE, EXCLUSIVE, REPLACE = 0x400, 0x200, 0x100
HEADER = struct.Struct("=IHHII")
LARGEST_ANSWER = 1 << 18
_KIND = 0x3FFF
"""The type of an attribute without its flags."""


class NetlinkSocket:
    """A netlink socket of the network namespace in which it was made. Raises OSError when it cannot be opened."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def ask(self, kind: int, flags: int, body: bytes) -> list[tuple[int, bytes]]:
        """Send a request; the type and content of each answer. Raises OSError."""
        self._sequence += 1
        self._socket.send(HEADER.pack(HEADER.size + len(body), kind, REQUEST | flags, self._sequence, 0) + body)
        answers: list[tuple[int, bytes]] = []
        while True:
            for answer, sequence, content in messages(self._socket.recv(LARGEST_ANSWER)):
                if sequence != self._sequence:
                    continue
                if answer == ERROR:
                    number = -struct.unpack_from("=i", content)[0]
                    if number:
                        raise OSError(number, os.strerror(number))
                    return answers
                if answer == DONE:
                    return answers
                answers.append((answer, content))


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(type, sequence number, content) of the netlink messages in a datagram."""
    offset = 0
    while offset + HEADER.size <= len(data):
        length, kind, _, sequence, _ = HEADER.unpack_from(data, offset)
        if length < HEADER.size:
            return
        yield kind, sequence, data[offset + HEADER.size : offset + length]
        offset += (length + 3) & ~3


def attribute(kind: int, data: bytes) -> bytes:
    """An attribute, padded."""
    return struct.pack("=HH", len(data) + 4, kind) + data + bytes(-len(data) % 4)


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes in `data` by their type; of two of one type the last."""
    found, offset = {}, 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            break
        found[kind & _KIND] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found
