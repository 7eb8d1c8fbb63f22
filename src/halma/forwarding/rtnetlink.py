# SPDX-License-Identifier: Apache-2.0
"""The few rtnetlink requests that the planes make, on one socket: links, routes, rules, and BPF filters on clsact.

Always holds: every request waits for the kernel's answer, and a refusal is raised as OSError with the kernel's errno.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence

from halma.netio.netlink_socket import ACK, CREATE, DUMP, EXCLUSIVE, REPLACE, NetlinkSocket, attribute, attributes
from halma.value import value

_NEW_LINK, _DELETE_LINK, _GET_LINK = 16, 17, 18
_NEW_ROUTE, _DELETE_ROUTE, _GET_ROUTE = 24, 25, 26
_NEW_RULE, _DELETE_RULE, _GET_RULE = 32, 33, 34
_NEW_QDISC, _DELETE_QDISC = 36, 37
_NEW_FILTER, _DELETE_FILTER, _GET_FILTER = 44, 45, 46

_GROUPS = (1, 3, 9, 11, 19)  # link, neigh, ipv6-ifaddr, ipv6-route, ipv6-rule
_NETLINK_ADD_MEMBERSHIP = 1

_NESTED = 0x8000
_IFF_UP, _IFF_NO_ARP = 0x1, 0x80
_ADDRESS_GENERATION_NONE = 1
_CLSACT_HANDLE, _CLSACT_PARENT = 0xFFFF0000, 0xFFFFFFF1
INGRESS, EGRESS = 0xFFFFFFF2, 0xFFFFFFF3

MAIN_TABLE = 254
UNICAST, LOCAL, BLACKHOLE, UNREACHABLE = 1, 2, 6, 7
PROTOCOL = 213
"""The routing protocol number on our routes (`ip route` shows it), so that they can be told from others'."""


@value
class LinkInformation:
    """An interface. `kind` is the kernel's word for a virtual one (`veth`, `tun`), else empty; `address` that of its link
    layer."""

    index: int
    name: str
    mtu: int
    kind: str
    alias: str
    up: bool
    address: bytes


@value
class Filter:
    """A BPF filter on clsact, as the kernel lists it."""

    parent: int
    priority: int
    protocol: int
    name: str


@value
class Route:
    """An IPv6 route. `interface` 0 is none; `metric` 0 lets the kernel choose, `mtu` 0 is the interface's."""

    prefix: bytes
    length: int
    interface: int
    table: int = MAIN_TABLE
    metric: int = 0
    encapsulation: bytes = b""
    encapsulation_type: int = 0
    mtu: int = 0
    kind: int = UNICAST


@value
class Rule:
    """An IPv6 routing rule. `action` is 1 (look `table` up) or 6 (drop silently)."""

    priority: int
    table: int = 0
    source: bytes = b""
    source_length: int = 0
    interface_name: str = ""
    action: int = 1
    destination: bytes = b""
    destination_length: int = 0


def _link(content: bytes) -> LinkInformation:
    found = attributes(content[16:])
    index, flags = struct.unpack_from("=iI", content, 4)
    kind = attributes(found.get(18, b"")).get(1, b"").rstrip(b"\0").decode()
    name, alias = (found.get(number, b"").rstrip(b"\0").decode(errors="replace") for number in (3, 20))
    mtu = struct.unpack("=I", found[4])[0]
    return LinkInformation(index, name, mtu, kind, alias, bool(flags & _IFF_UP), found.get(1, b""))


class RouteNetlink(NetlinkSocket):
    """Links, routes, rules and filters of the network namespace in which it was made."""

    # ---- links ----

    def link(self, interface: int) -> LinkInformation:
        """Raises OSError (ENODEV) when there is none."""
        for _, content in self.ask(_GET_LINK, ACK, struct.pack("=BxHiII", 0, 0, interface, 0, 0)):
            return _link(content)
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    def links(self) -> list[LinkInformation]:
        """All interfaces."""
        return [_link(content) for _, content in self.ask(_GET_LINK, DUMP, struct.pack("=BxHiII", 0, 0, 0, 0, 0))]

    def set_up(self, interface: int, mtu: int, queue: int) -> None:
        """Bring an interface up with an MTU and room for so many packets, and without addresses of its own making."""
        generation = attribute(8 | _NESTED, struct.pack("=B", _ADDRESS_GENERATION_NONE))
        families = attribute(26 | _NESTED, attribute(socket.AF_INET6 | _NESTED, generation))
        with contextlib.suppress(OSError):
            self.ask(_NEW_LINK, ACK, struct.pack("=BxHiII", 0, 0, interface, 0, 0) + families)
        body = struct.pack("=BxHiII", 0, 0, interface, _IFF_UP, _IFF_UP) + attribute(4, struct.pack("=I", mtu))
        body += attribute(13, struct.pack("=I", queue))
        self.ask(_NEW_LINK, ACK, body)

    def add_pair(self, name: str, peer: str, alias: str) -> None:
        """Make a pair of virtual interfaces that need no neighbours: both have the same link-layer address. `alias` is written
        on the first. Raises OSError."""
        mac = b"\x02\x00\x5e\x52\x13\x00"
        ends = [attribute(3, end.encode() + b"\0") + attribute(1, mac) for end in (name, peer)]
        head = struct.pack("=BxHiII", 0, 0, 0, _IFF_NO_ARP, _IFF_NO_ARP)
        information = attribute(1, b"veth\0") + attribute(2 | _NESTED, attribute(1 | _NESTED, head + ends[1]))
        self.ask(_NEW_LINK, ACK | CREATE | EXCLUSIVE, head + ends[0] + attribute(18 | _NESTED, information))
        index = socket.if_nametoindex(name)
        self.ask(_NEW_LINK, ACK, struct.pack("=BxHiII", 0, 0, index, 0, 0) + attribute(20, alias.encode()))

    def delete_link(self, interface: int) -> None:
        """Remove an interface, with its pair and its routes."""
        self.ask(_DELETE_LINK, ACK, struct.pack("=BxHiII", 0, 0, interface, 0, 0))

    # ---- routes and rules ----

    def _route(self, kind: int, flags: int, route: Route) -> None:
        body = struct.pack("=8BI", socket.AF_INET6, route.length, 0, 0, min(route.table, 252), PROTOCOL, 0, route.kind, 0)
        body += attribute(1, route.prefix) if route.length else b""
        body += attribute(15, struct.pack("=I", route.table))
        body += attribute(4, struct.pack("=I", route.interface)) if route.interface else b""
        body += attribute(8 | _NESTED, attribute(2, struct.pack("=I", route.mtu))) if route.mtu else b""
        body += attribute(6, struct.pack("=I", route.metric)) if route.metric else b""
        if route.encapsulation:
            body += attribute(22 | _NESTED, route.encapsulation) + attribute(21, struct.pack("=H", route.encapsulation_type))
        self.ask(kind, ACK | flags, body)

    def replace_route(self, route: Route) -> None:
        """Add the route, or put it in the place of one to the same prefix."""
        self._route(_NEW_ROUTE, CREATE | REPLACE, route)

    def delete_route(self, route: Route) -> None:
        """Remove a route; one that has gone already is no error."""
        try:
            self._route(_DELETE_ROUTE, 0, route)
        except OSError as error:
            if error.errno not in (errno.ESRCH, errno.ENODEV):
                raise

    def delete_our_routes(self, interface: int) -> None:
        """Remove the IPv6 routes to an interface, in any table, that carry our protocol number."""
        for route in self._our_routes():
            if route.interface == interface:
                self.delete_route(route)

    def _our_routes(self) -> list[Route]:
        found = []
        for _, content in self.ask(_GET_ROUTE, DUMP, struct.pack("=8BI", socket.AF_INET6, *[0] * 7, 0)):
            length, table, protocol = content[1], content[4], content[5]
            parts = attributes(content[12:])
            if protocol == PROTOCOL:
                interface = struct.unpack("=I", parts[4])[0] if 4 in parts else 0
                table = struct.unpack("=I", parts[15])[0] if 15 in parts else table
                metric = struct.unpack("=I", parts[6])[0] if 6 in parts else 0
                found.append(Route(parts.get(1, bytes(16)), length, interface, table, metric))
        return found

    def _rule(self, kind: int, flags: int, rule: Rule) -> None:
        body = struct.pack(
            "=8BI", socket.AF_INET6, rule.destination_length, rule.source_length, 0, min(rule.table, 252), 0, 0, rule.action, 0
        )
        body += attribute(6, struct.pack("=I", rule.priority))
        body += attribute(15, struct.pack("=I", rule.table)) if rule.table else b""
        body += attribute(1, rule.destination) if rule.destination_length else b""
        body += attribute(2, rule.source) if rule.source_length else b""
        body += attribute(3, rule.interface_name.encode() + b"\0") if rule.interface_name else b""
        body += attribute(21, struct.pack("=B", PROTOCOL))
        self.ask(kind, ACK | flags, body)

    def add_rule(self, rule: Rule) -> None:
        """Add a rule; one that is there already is no error."""
        with contextlib.suppress(FileExistsError):
            self._rule(_NEW_RULE, CREATE | EXCLUSIVE, rule)

    def delete_rule(self, rule: Rule) -> None:
        """Remove a rule; one that has gone already is no error."""
        with contextlib.suppress(FileNotFoundError):
            self._rule(_DELETE_RULE, 0, rule)

    def rules(self) -> list[tuple[int, Rule]]:
        """All IPv6 routing rules with the protocol number that they carry."""
        found = []
        for _, content in self.ask(_GET_RULE, DUMP, struct.pack("=8BI", socket.AF_INET6, *[0] * 7, 0)):
            parts = attributes(content[12:])
            protocol = parts[21][0] if 21 in parts else 0
            priority = struct.unpack("=I", parts[6])[0] if 6 in parts else 0
            table = struct.unpack("=I", parts[15])[0] if 15 in parts else content[4]
            name = parts.get(3, b"").rstrip(b"\0").decode()
            found.append(
                (
                    protocol,
                    Rule(priority, table, parts.get(2, b""), content[2], name, content[7], parts.get(1, b""), content[1]),
                )
            )
        return found

    # ---- BPF filters ----

    def add_clsact(self, interface: int) -> bool:
        """Give an interface its clsact qdisc; False when it had one."""
        body = struct.pack("=BxxxiIII", 0, interface, _CLSACT_HANDLE, _CLSACT_PARENT, 0) + attribute(1, b"clsact\0")
        try:
            self.ask(_NEW_QDISC, ACK | CREATE | EXCLUSIVE, body)
        except FileExistsError:
            return False
        return True

    def delete_clsact(self, interface: int) -> None:
        """Take the clsact qdisc away with all that is on it."""
        body = struct.pack("=BxxxiIII", 0, interface, _CLSACT_HANDLE, _CLSACT_PARENT, 0) + attribute(1, b"clsact\0")
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            self.ask(_DELETE_QDISC, ACK, body)

    def add_filter(self, interface: int, parent: int, priority: int, program: int, name: str) -> None:
        """Hook a program in (`program` its descriptor) for IPv6 packets, direct action."""
        options = (
            attribute(6, struct.pack("=I", program)) + attribute(7, name.encode() + b"\0") + attribute(8, struct.pack("=I", 1))
        )
        information = (priority << 16) | socket.htons(0x86DD)
        body = struct.pack("=BxxxiIII", 0, interface, 1, parent, information)
        body += attribute(1, b"bpf\0") + attribute(2 | _NESTED, options)
        self.ask(_NEW_FILTER, ACK | CREATE | EXCLUSIVE, body)

    def delete_filter(self, interface: int, parent: int, priority: int) -> None:
        """Unhook what `add_filter` hooked in; nothing there is no error."""
        body = struct.pack("=BxxxiIII", 0, interface, 0, parent, (priority << 16) | socket.htons(0x86DD))
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            self.ask(_DELETE_FILTER, ACK, body)

    def filters(self, interface: int, parents: Sequence[int] = (INGRESS, EGRESS)) -> Iterator[Filter]:
        """All filters on an interface's clsact, of any kind (`name` is empty for those that are not BPF)."""
        for parent in parents:
            try:
                answers = self.ask(_GET_FILTER, DUMP, struct.pack("=BxxxiIII", 0, interface, 0, parent, 0))
            except (FileNotFoundError, ProcessLookupError, ValueError):
                continue
            except OSError as error:
                if error.errno in (errno.EINVAL, errno.ENODEV):
                    continue
                raise
            for _, content in answers:
                information = struct.unpack_from("=I", content, 16)[0]
                options = attributes(attributes(content[20:]).get(2, b""))
                name = options.get(7, b"").rstrip(b"\0").decode(errors="replace")
                yield Filter(parent, information >> 16, socket.ntohs(information & 0xFFFF), name)


def change_listener() -> socket.socket:
    """A socket that becomes readable when links, neighbours, addresses, routes or rules of IPv6 change."""
    listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
    listener.bind((0, 0))
    for group in _GROUPS:
        listener.setsockopt(270, _NETLINK_ADD_MEMBERSHIP, group)  # SOL_NETLINK
    return listener
