# SPDX-License-Identifier: Apache-2.0
"""Dynamic Home Agent Address Discovery as the home agent hears it: requests to the anycast address of a home link (RFC 6275
sections 6.5 and 10.5).

Always holds: the machine answers to the anycast addresses while the socket is open, and never sends from them; nothing but
discovery requests reaches this process.
"""

from __future__ import annotations

import socket
import struct

from halma.wire.errors import DecodeError
from halma.wire.icmpv6 import HomeAgentAddressDiscoveryRequest, decode_icmpv6

ICMP6_FILTER = 1
REQUEST = 144
IPV6_JOIN_ANYCAST = 27
BURST = 64
"""Requests that are taken before the event loop has its turn."""
LONGEST = 1280


class DiscoverySocket:
    """A raw ICMPv6 socket. Raises OSError when it cannot be opened (CAP_NET_RAW)."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMPV6)
        blocked = [0xFFFFFFFF] * 8
        blocked[REQUEST >> 5] &= ~(1 << (REQUEST & 31))
        self._socket.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER, struct.pack("@8I", *blocked))
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)

    def fileno(self) -> int:
        """The descriptor, for the event loop."""
        return self._socket.fileno()

    def close(self) -> None:
        """Give the socket back, and with it the anycast addresses."""
        self._socket.close()

    def join(self, interface: int, anycast: bytes) -> None:
        """Answer to an anycast address on this interface. Raises OSError (EPERM without CAP_NET_ADMIN)."""
        self._socket.setsockopt(socket.IPPROTO_IPV6, IPV6_JOIN_ANYCAST, anycast + struct.pack("@I", interface))

    def receive(self) -> list[tuple[bytes, bytes, HomeAgentAddressDiscoveryRequest]]:
        """(source, destination, request) of what waits. Never blocks; raises OSError."""
        found = []
        for _ in range(BURST):
            try:
                data, ancillary, _, sender = self._socket.recvmsg(LONGEST, socket.CMSG_SPACE(20))
            except BlockingIOError:
                break
            source = socket.inet_pton(socket.AF_INET6, sender[0].partition("%")[0])
            for level, kind, content in ancillary:
                if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
                    try:
                        message = decode_icmpv6(data, source, content[:16])
                    except DecodeError:
                        continue
                    if isinstance(message, HomeAgentAddressDiscoveryRequest):
                        found.append((source, content[:16], message))
        return found
