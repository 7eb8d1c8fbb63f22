# SPDX-License-Identifier: Apache-2.0
"""Addresses that the kernel answers Neighbor Solicitations for in others' stead: its table of proxy neighbours.

RFC 6275 section 10.4.1 (a home agent defends the addresses of nodes that are away), RFC 4861 section 7.2.8, RFC 3963 section
6.2 (flag R). The kernel also answers Duplicate Address Detection, joins the solicited-node groups, and tells whoever sends to a
link-local address in the table that it cannot be reached (RFC 6275 section 10.4.2).

Always holds: entries carry our protocol number, and none but such are removed.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct

from halma.netio.netlink_socket import ACK, CREATE, DUMP, REPLACE, NetlinkSocket, attribute, attributes

RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH = 28, 29, 30
NDA_DST, NDA_PROTOCOL = 1, 12
NTF_PROXY, NTF_ROUTER = 0x08, 0x80
NUD_PERMANENT = 0x80
NEIGHBOUR = struct.Struct("=BxxxiHBB")
PROTOCOL = 213
"""The number on our entries (`ip -6 neighbour show proxy` tells it), as on our routes."""


class NeighbourProxy:
    """The table, as far as it is ours. Raises OSError when the kernel refuses."""

    def __init__(self) -> None:
        self._requests = NetlinkSocket()

    def close(self) -> None:
        """Give the socket back; entries stay."""
        self._requests.close()

    def add(self, interface: int, address: bytes, *, router: bool) -> None:
        """Answer for the address from now on; with flag R if it is a router's."""
        flags = NTF_PROXY | (NTF_ROUTER if router else 0)
        body = _header(interface, flags) + attribute(NDA_DST, address) + attribute(NDA_PROTOCOL, bytes([PROTOCOL]))
        self._requests.ask(RTM_NEWNEIGH, ACK | CREATE | REPLACE, body)

    def remove(self, interface: int, address: bytes) -> None:
        """Answer for it no more; nothing happens if that is so already."""
        try:
            self._requests.ask(RTM_DELNEIGH, ACK, _header(interface, NTF_PROXY) + attribute(NDA_DST, address))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV):
                raise

    def entries(self, interface: int) -> list[bytes]:
        """The addresses of our entries on an interface, also those that a former daemon left."""
        found = []
        for kind, content in self._requests.ask(RTM_GETNEIGH, DUMP, _header(interface, NTF_PROXY)):
            if kind != RTM_NEWNEIGH:
                continue
            family, index, _, flags, _ = NEIGHBOUR.unpack_from(content)
            parts = attributes(content[NEIGHBOUR.size :])
            ours = parts.get(NDA_PROTOCOL) == bytes([PROTOCOL])
            if family == socket.AF_INET6 and index == interface and flags & NTF_PROXY and ours and NDA_DST in parts:
                found.append(parts[NDA_DST])
        return found

    def clean(self, interface: int) -> None:
        """Remove all our entries on an interface."""
        for address in self.entries(interface):
            with contextlib.suppress(OSError):
                self.remove(interface, address)


def _header(interface: int, flags: int) -> bytes:
    return NEIGHBOUR.pack(socket.AF_INET6, interface, NUD_PERMANENT, flags, 0)
