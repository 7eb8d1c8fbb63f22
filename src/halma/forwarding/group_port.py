# SPDX-License-Identifier: Apache-2.0
"""The multicast interface of a plane that carries packets itself: packets to groups in, and out.

Always holds: what is read was sent to a group by another machine; nothing blocks.
"""

from __future__ import annotations

import contextlib
import socket

from halma.netio.packet_socket import (
    ETH_P_IPV6,
    JUMP_EQUAL,
    LD_BYTE,
    PACKET_IGNORE_OUTGOING,
    RETURN,
    SOL_PACKET,
    attach_filter,
    group_address,
)
from halma.wire.addresses import MULTICAST

_LONGEST = 65535
_DESTINATION = 24
_FILTER = [(LD_BYTE, 0, 0, _DESTINATION), (JUMP_EQUAL, 0, 1, MULTICAST), (RETURN, 0, 0, _LONGEST), (RETURN, 0, 0, 0)]


class GroupPort:
    """A packet socket on the interface."""

    def __init__(self, interface: int) -> None:
        """Raises OSError."""
        self._name = socket.if_indextoname(interface)
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
        try:
            self._socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            attach_filter(self._socket, _FILTER)
            self._socket.bind((self._name, ETH_P_IPV6))
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """The descriptor, for a poll."""
        return self._socket.fileno()

    def receive(self) -> bytes:
        """One packet. Raises OSError, BlockingIOError when none waits."""
        return self._socket.recv(_LONGEST)

    def send(self, packet: bytes) -> None:
        """Send a packet to its group; one that the link does not take is lost."""
        with contextlib.suppress(OSError):
            self._socket.sendto(packet, (self._name, ETH_P_IPV6, 0, 0, group_address(packet[_DESTINATION : _DESTINATION + 16])))

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()
