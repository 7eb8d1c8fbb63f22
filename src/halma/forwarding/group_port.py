# SPDX-License-Identifier: Apache-2.0
"""The multicast interface of a plane that carries packets itself: packets to groups in, and out; and what MTU it has.

Always holds: what is read was sent to a group by another machine; nothing blocks.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import socket
import struct

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
_SIOCGIFMTU = 0x8921
_DESTINATION = 24
_FILTER = [(LD_BYTE, 0, 0, _DESTINATION), (JUMP_EQUAL, 0, 1, MULTICAST), (RETURN, 0, 0, _LONGEST), (RETURN, 0, 0, 0)]


def link_mtu(interface: int) -> int:
    """The MTU of an interface as it is now. Raises OSError when the interface has gone."""
    name = socket.if_indextoname(interface).encode()
    with contextlib.closing(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)) as asker:
        answer = fcntl.ioctl(asker, _SIOCGIFMTU, struct.pack("@16si12x", name, 0))
    return int(struct.unpack_from("@16si", answer)[1])


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

    def send(self, packet: bytes) -> bool:
        """Send a packet to its group; one that the link does not take is lost. Whether the link takes as long ones."""
        try:
            self._socket.sendto(packet, (self._name, ETH_P_IPV6, 0, 0, group_address(packet[_DESTINATION : _DESTINATION + 16])))
        except OSError as error:
            return error.errno != errno.EMSGSIZE
        return True

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()
