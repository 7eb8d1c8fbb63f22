# SPDX-License-Identifier: Apache-2.0
"""The socket that Mobility Headers come and go by: a raw IPv6 socket on protocol 135 (RFC 6275 section 6.1).

Its being open also keeps a kernel without Mobile IPv6 from answering Mobility Headers with Parameter Problem. The checksum
is left to `halma.wire`, which counts the wrong ones; the kernel would drop them without a word.

Always holds: never blocks; `receive` and `send` work in batches; what the kernel drops because we are slow is counted.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

from halma.netio.batch import ReceiveBatch, SendBatch

MOBILITY_HEADER = 135
"""The Next Header value of a Mobility Header."""
RECEIVE_BUFFER = 1 << 26
"""Octets. Without Mobile IPv6 the kernel takes a raw socket whose buffer is full for an absent one, and tells the peers so."""
SO_RCVBUFFORCE, SO_SNDBUFFORCE, SO_MEMINFO = 33, 32, 55
MEMINFO_DROPS = 8
"""Index of sk_drops in what SO_MEMINFO gives."""


class MobilitySocket:
    """Raw Mobility Headers in and out, with both addresses. Raises OSError when it cannot be opened (CAP_NET_RAW)."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_NONBLOCK, MOBILITY_HEADER)
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_CHECKSUM, -1)
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        for forced, plain in ((SO_RCVBUFFORCE, socket.SO_RCVBUF), (SO_SNDBUFFORCE, socket.SO_SNDBUF)):
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, forced, RECEIVE_BUFFER)
            except PermissionError:
                self._socket.setsockopt(socket.SOL_SOCKET, plain, RECEIVE_BUFFER)
        self._receive = ReceiveBatch()
        self._send = SendBatch()

    def fileno(self) -> int:
        """The descriptor, for the event loop."""
        return self._socket.fileno()

    def receive(self) -> list[tuple[bytes, bytes, bytes]]:
        """(source, destination, Mobility Header) of what waits, up to a batch; empty when nothing does. Raises OSError."""
        return self._receive.receive(self._socket.fileno())

    def send(self, messages: Sequence[tuple[bytes, bytes, bytes]]) -> list[tuple[int, int]]:
        """Send (source, destination, Mobility Header) each. Gives (index, errno) of those that were refused."""
        return self._send.send(self._socket.fileno(), messages)

    def drops(self) -> int:
        """Messages that the kernel dropped since the socket was opened, for want of room."""
        information = self._socket.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 64)
        return int(struct.unpack_from("@I", information, 4 * MEMINFO_DROPS)[0])

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()
