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
    RETURN,
    group_address,
    packet_socket,
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
        self._socket = packet_socket(socket.SOCK_DGRAM, self._name, ETH_P_IPV6, _FILTER)

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
