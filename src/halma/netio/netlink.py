# SPDX-License-Identifier: Apache-2.0
"""Interfaces come, go, and change their state: rtnetlink, listened to and asked.

`LinkMonitor` tells of every link of the network namespace, first those that are there and then each change. `LinkControl` makes
the few changes that an access interface needs.

Always holds: a listener that the kernel could not keep up with looks at all links anew, so a change may be told late but is
never lost; a refusal is raised as OSError with the kernel's errno.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct

from halma.netio.netlink_socket import ACK, CREATE, DUMP, REPLACE, NetlinkSocket, attribute, attributes, messages
from halma.value import value

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_DELNEIGH, RTM_GETNEIGH = 29, 30
RTNLGRP_LINK, RTNLGRP_IPV6_IFADDR = 1, 9
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP = 270, 1
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_CARRIER_CHANGES = 1, 3, 4, 35
IFA_ADDRESS, IFA_LOCAL, IFA_CACHEINFO, IFA_FLAGS = 1, 2, 6, 8
IFA_F_NODAD, IFA_F_PERMANENT = 0x02, 0x80
NDA_DST, NDA_LLADDR = 1, 2
IFF_UP, IFF_LOWER_UP, IFF_DORMANT = 0x1, 0x10000, 0x20000
RT_SCOPE_LINK = 253
LINK_HEADER = struct.Struct("=BxHiII")
RECEIVE_BUFFER = 1 << 20
RECEIVE_SIZE = 1 << 16
SO_RCVBUFFORCE = 33
FOREVER = 0xFFFFFFFF
"""A lifetime that does not end."""
ADDRESS_PATIENCE = 0.5
"""Seconds to wait for the kernel to make an address work; it takes less than one thousandth of that."""


@value
class LinkState:
    """An interface as it is now. `up` is what the administrator says, `carrier` whether frames can be sent and received;
    `carrier_changes` counts how often that has changed, also when it was too briefly to be told."""

    interface: int
    name: str
    mtu: int
    up: bool
    carrier: bool
    link_layer_address: bytes
    carrier_changes: int = 0


@value
class LinkGone:
    """An interface that is not here any more: removed, or moved to another namespace."""

    interface: int


class LinkMonitor:
    """What happens to links. Raises OSError when the socket cannot be opened."""

    def __init__(self) -> None:
        self._known: set[int] = set()
        self._socket = _listener(RTNLGRP_LINK)
        self._socket.setblocking(False)
        with contextlib.suppress(PermissionError):
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)

    def fileno(self) -> int:
        """The descriptor, for the event loop."""
        return self._socket.fileno()

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def all(self) -> list[LinkState | LinkGone]:
        """Every link that is here, and those that have gone without a word."""
        with contextlib.closing(NetlinkSocket()) as requests:
            answers = requests.ask(RTM_GETLINK, DUMP, LINK_HEADER.pack(socket.AF_UNSPEC, 0, 0, 0, 0))
        states = [_link(content) for kind, content in answers if kind == RTM_NEWLINK]
        here = {state.interface for state in states}
        gone = [LinkGone(interface) for interface in sorted(self._known - here)]
        self._known = here
        return [*gone, *states]

    def receive(self) -> list[LinkState | LinkGone]:
        """What has happened since the last call; empty when nothing has. Never blocks."""
        happened: list[LinkState | LinkGone] = []
        while True:
            try:
                data = self._socket.recv(RECEIVE_SIZE)
            except BlockingIOError:
                return happened
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                return happened + self.all()
            for kind, _, content in messages(data):
                if content[0] != socket.AF_UNSPEC:
                    continue  # a bridge tells of its ports this way
                if kind == RTM_NEWLINK:
                    state = _link(content)
                    self._known.add(state.interface)
                    happened.append(state)
                elif kind == RTM_DELLINK:
                    interface = LINK_HEADER.unpack_from(content)[2]
                    self._known.discard(interface)
                    happened.append(LinkGone(interface))


class LinkControl:
    """Changes of links, addresses and neighbours, each of which waits for the kernel's answer."""

    def __init__(self) -> None:
        self._requests = NetlinkSocket()
        self._told = _listener(RTNLGRP_IPV6_IFADDR)

    def close(self) -> None:
        """Give the sockets back."""
        self._requests.close()
        self._told.close()

    def link(self, interface: int) -> LinkState:
        """The interface as it is now. Raises OSError (ENODEV)."""
        for _, content in self._requests.ask(RTM_GETLINK, ACK, LINK_HEADER.pack(socket.AF_UNSPEC, 0, interface, 0, 0)):
            return _link(content)
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    def set_link_layer_address(self, interface: int, address: bytes) -> None:
        """Give the interface this link-layer address, if need be by taking it down for a moment. Raises OSError."""
        body = LINK_HEADER.pack(socket.AF_UNSPEC, 0, interface, 0, 0) + attribute(IFLA_ADDRESS, address)
        try:
            self._requests.ask(RTM_NEWLINK, ACK, body)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            self.set_up(interface, up=False)
            self._requests.ask(RTM_NEWLINK, ACK, body)

    def set_up(self, interface: int, up: bool = True) -> None:
        """Bring the interface up, or down. Raises OSError."""
        self._requests.ask(RTM_NEWLINK, ACK, LINK_HEADER.pack(socket.AF_UNSPEC, 0, interface, IFF_UP if up else 0, IFF_UP))

    def add_address(
        self, interface: int, address: bytes, length: int, *, preferred: bool = True, patience: float = ADDRESS_PATIENCE
    ) -> None:
        """Give the interface an IPv6 address without Duplicate Address Detection. When this returns, packets to the address
        are taken: the kernel sees to that in a work queue of its own, and tells when it has; `patience` is how long to wait
        for that. An address that is not `preferred` is used only by those who ask for it. Raises OSError."""
        body = struct.pack("=BBBBi", socket.AF_INET6, length, IFA_F_NODAD | IFA_F_PERMANENT, RT_SCOPE_LINK, interface)
        body += attribute(IFA_LOCAL, address) + attribute(IFA_ADDRESS, address)
        body += attribute(IFA_FLAGS, struct.pack("=I", IFA_F_NODAD | IFA_F_PERMANENT))
        if not preferred:
            body += attribute(IFA_CACHEINFO, struct.pack("=4I", 0, FOREVER, 0, 0))
        self._hear_addresses(0.0, b"")  # what was told before
        self._requests.ask(RTM_NEWADDR, ACK | CREATE | REPLACE, body)
        self._hear_addresses(patience, struct.pack("=i", interface) + address)

    def _hear_addresses(self, patience: float, wanted: bytes) -> None:
        """Take what is told of addresses until it is the one that is wanted (interface and address), or for so long."""
        self._told.settimeout(patience)
        with contextlib.suppress(TimeoutError, BlockingIOError):
            while True:
                for kind, _, content in messages(self._told.recv(RECEIVE_SIZE)):
                    if kind == RTM_NEWADDR and content[4:8] + attributes(content[8:]).get(IFA_ADDRESS, b"") == wanted:
                        return

    def delete_address(self, interface: int, address: bytes, length: int) -> None:
        """Take an address away. Raises OSError."""
        body = struct.pack("=BBBBi", socket.AF_INET6, length, 0, RT_SCOPE_LINK, interface)
        self._requests.ask(RTM_DELADDR, ACK, body + attribute(IFA_LOCAL, address))

    def link_local_addresses(self, interface: int) -> list[tuple[bytes, int]]:
        """The link-local addresses of the interface with their prefix lengths. Raises OSError."""
        found = []
        for _, content in self._requests.ask(RTM_GETADDR, DUMP, struct.pack("=BBBBi", socket.AF_INET6, 0, 0, 0, 0)):
            _, length, _, _, index = struct.unpack_from("=BBBBi", content)
            address = attributes(content[8:]).get(IFA_ADDRESS, b"")
            if index == interface and address[:2] == b"\xfe\x80":
                found.append((address, length))
        return found

    def forget_neighbours(self, interface: int, link_layer_address: bytes) -> int:
        """Remove the IPv6 neighbour entries that lead to a link-layer address; how many there were. Raises OSError."""
        header = struct.pack("=BxxxiHBB", socket.AF_INET6, interface, 0, 0, 0)
        removed = 0
        for _, content in self._requests.ask(RTM_GETNEIGH, DUMP, header):
            index = struct.unpack_from("=i", content, 4)[0]
            parts = attributes(content[12:])
            if index == interface and parts.get(NDA_LLADDR) == link_layer_address and NDA_DST in parts:
                with contextlib.suppress(OSError):
                    self._requests.ask(RTM_DELNEIGH, ACK, header + attribute(NDA_DST, parts[NDA_DST]))
                    removed += 1
        return removed


def _listener(group: int) -> socket.socket:
    """A socket that hears what is told to a group."""
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    made.bind((0, 0))
    made.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
    return made


def _link(content: bytes) -> LinkState:
    _, _, interface, flags, _ = LINK_HEADER.unpack_from(content)
    parts = attributes(content[LINK_HEADER.size :])
    return LinkState(
        interface,
        parts.get(IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace"),
        struct.unpack("=I", parts[IFLA_MTU])[0] if IFLA_MTU in parts else 0,
        bool(flags & IFF_UP),
        bool(flags & IFF_UP and flags & IFF_LOWER_UP and not flags & IFF_DORMANT),
        parts.get(IFLA_ADDRESS, b""),
        struct.unpack("=I", parts[IFLA_CARRIER_CHANGES])[0] if IFLA_CARRIER_CHANGES in parts else 0,
    )
