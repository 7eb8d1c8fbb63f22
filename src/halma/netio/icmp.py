# SPDX-License-Identifier: Apache-2.0
"""ICMPv6 messages of our own making: the errors that RFC 6275 section 9.2 asks for (RFC 4443).

Always holds: only sends; what comes in on the socket is filtered out by the kernel.
"""

from __future__ import annotations

import socket

from halma.netio.batch import SendBatch

ICMP6_FILTER = 1
"""The socket option, and the filter that blocks every type (RFC 3542 section 3.2)."""
BLOCK_ALL = b"\xff" * 32


class IcmpSocket:
    """A raw ICMPv6 socket for sending. Raises OSError when it cannot be opened (CAP_NET_RAW)."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMPV6)
        self._socket.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER, BLOCK_ALL)
        self._send = SendBatch()

    def send(self, source: bytes, destination: bytes, message: bytes) -> int:
        """Send one message; the errno of a refusal, else 0."""
        refused = self._send.send(self._socket.fileno(), [(source, destination, message)])
        return refused[0][1] if refused else 0

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()
