# SPDX-License-Identifier: Apache-2.0
"""Multicast groups that this machine is in on an interface for others' sake: their packets come, and routers and switches of
the link hear of it by Multicast Listener Discovery, which the kernel speaks.

Always holds: a group is left when it is given up, or with the process; sockets are few, and read nothing.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from pathlib import Path

GROUPS_OF_A_SOCKET = 64
"""The kernel lets one socket have only so much memory for groups (net.core.optmem_max)."""


MEMBERSHIPS = Path("/proc/net/igmp6")
"""A line for each group of each interface: index, name, group, ..."""


def groups_of(interface: int) -> set[bytes]:
    """The groups that this machine is in on an interface, whoever wants it. Raises OSError."""
    lines = (line.split() for line in MEMBERSHIPS.read_text(encoding="ascii").splitlines())
    return {bytes.fromhex(fields[2]) for fields in lines if int(fields[0]) == interface}


class GroupMembership:
    """The groups of one interface."""

    def __init__(self, interface: int) -> None:
        self._interface = interface
        self._sockets: list[tuple[socket.socket, set[bytes]]] = []

    @property
    def groups(self) -> set[bytes]:
        """The groups that we are in."""
        return {group for _, held in self._sockets for group in held}

    def join(self, group: bytes) -> None:
        """Be in a group (16 bytes); nothing happens if we are. Raises OSError."""
        if group in self.groups:
            return
        member = next((one for one in self._sockets if len(one[1]) < GROUPS_OF_A_SOCKET), None)
        if member is None:
            member = (socket.socket(socket.AF_INET6, socket.SOCK_DGRAM), set())  # without a port, so that no packet comes to it
            self._sockets.append(member)
        member[0].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group + struct.pack("@I", self._interface))
        member[1].add(group)

    def leave(self, group: bytes) -> None:
        """Be in it no more; nothing happens if we are not, or the interface has gone."""
        for member, held in self._sockets:
            if group in held:
                held.discard(group)
                with contextlib.suppress(OSError):
                    member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP, group + struct.pack("@I", self._interface))

    def close(self) -> None:
        """Leave all of them."""
        for member, _ in self._sockets:
            member.close()
        self._sockets.clear()
