# SPDX-License-Identifier: Apache-2.0
"""Where packets of many mobile nodes go out whole and answers to them come in; none of their addresses is this machine's.

Always holds: only IPv6 packets that begin with a routing header or a Mobility Header, and were sent to this machine, are heard.
"""

from __future__ import annotations

import socket

from halma.netio.packet_socket import ETH_P_IPV6, JUMP_EQUAL, LD_BYTE, RETURN, Step, attach_filter
from halma.netio.signalling import RECEIVE_BUFFER, SO_RCVBUFFORCE
from halma.wire.numbers import NextHeader

_NEXT_HEADER = 6
_FILTER: tuple[Step, ...] = (
    (LD_BYTE, 0, 0, _NEXT_HEADER),
    (JUMP_EQUAL, 1, 0, NextHeader.ROUTING),
    (JUMP_EQUAL, 0, 1, NextHeader.MOBILITY),
    (RETURN, 0, 0, 0xFFFF),
    (RETURN, 0, 0, 0),
)


class PacketWire:
    """A raw socket to send and a packet socket to receive. Raises OSError when they cannot be opened (CAP_NET_RAW)."""

    def __init__(self) -> None:
        self._out = socket.socket(socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_RAW)
        self._in = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, socket.htons(ETH_P_IPV6))
        attach_filter(self._in, _FILTER)
        self._in.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)

    def descriptors(self) -> tuple[int, int]:
        """Where to send, and where to receive."""
        return self._out.fileno(), self._in.fileno()

    def close(self) -> None:
        """Give the sockets back."""
        self._out.close()
        self._in.close()
