# SPDX-License-Identifier: Apache-2.0
"""The interface of a mobile node: its addresses, its default router, and the way that packets from the home address take.

RFC 6275 section 11, RFC 4429. The kernel is kept from managing the interface's addresses and default router by itself; it goes
on to learn link parameters and neighbours from Router Advertisements, and to answer for the addresses.

    priority 5200  from HOME lookup main, for Mobility Headers     only while the tunnel is the way
    priority 5201  from HOME lookup T                              likewise; T: default by the data plane's device, else nowhere
    table local    groups beyond the link by the device            likewise, else by the interface; from the home address
    table local    the same by the interface                       likewise; from the care-of address, for who names it

Programs that are in a group on the one of these two are in it on the other as well, while that is the way (RFC 6275 section
11.3.4), as far as they were in it when the node moved: so they hear it wherever the node is.

Always holds: what is wanted is remembered, so that it can be made again when the interface was down; `restore` undoes what was
done, in this life or in one that was cut short: how the settings were is handed out before one is changed; while the tunnel is
the way, a packet from the home address is routed nowhere else (a rule with FIND_SADDR, so that also a socket that has no source
address yet gets there).
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from halma.netio.group_membership import GroupMembership, groups_of
from halma.netio.netlink import ADDRESS_PATIENCE, LinkControl, LinkState
from halma.netio.netlink_socket import ACK, CREATE, DUMP, EXCLUSIVE, REPLACE, NetlinkSocket, attribute, attributes
from halma.wire.addresses import LINK_SCOPE, scope_of

CONFIGURATION = Path("/proc/sys/net/ipv6/conf")
SETTINGS = {
    "disable_ipv6": "0",
    "accept_ra": "2",
    "accept_ra_defrtr": "0",
    "accept_ra_pinfo": "0",
    "accept_ra_rtr_pref": "0",
    "autoconf": "0",
    "use_tempaddr": "0",
    "accept_dad": "0",
    "keep_addr_on_down": "1",
}
"""The kernel's settings of the interface, in the order in which they are made; those that a kernel lacks are left out."""
HOST, LINK_LOCAL_LENGTH = 128, 64
PROTOCOL = 212
"""By which our routes and rules are known."""
KERNEL_RA = 9
"""The protocol of routes that the kernel has taken from Router Advertisements."""
MAIN, LOCAL = 254, 255
GROUPS = (b"\xff" + bytes(15), 8)
GROUPS_OF_THE_LINK = tuple((bytes([0xFF, flags << 4 | LINK_SCOPE]) + bytes(14), 16) for flags in (0, 1, 3, 7))
"""Multicast groups, and those of link scope by the flags that are in use (RFC 4291 section 2.7, RFC 3306, RFC 3956)."""
GROUP_METRIC, VISITED_METRIC = 128, 192
"""Of routes of groups: the kernel's own, one for each interface, have 256."""
TABLES = 52_000
"""Routing tables from here on, by the index of the interface."""
EXEMPT, DIVERT = 5200, 5201
"""Priorities of our rules."""
FIND_SADDR = 0x10000
"""The rule also takes what has no source address yet, if the one that would be chosen fits (made for Mobile IPv6)."""
METRIC = 512
LAST_METRIC = 0xFFFFFFFF
MOBILITY_HEADER, RAW = 135, 255
"""The protocols by which our sockets send Mobility Headers."""

_NEW_ROUTE, _DELETE_ROUTE, _GET_ROUTE = 24, 25, 26
_NEW_NEIGHBOUR, _DELETE_NEIGHBOUR = 28, 29
_NEW_RULE, _DELETE_RULE, _GET_RULE = 32, 33, 34
_DELETE_ADDRESS, _GET_ADDRESS = 21, 22
_UNICAST, _MULTICAST, _BLACKHOLE = 1, 5, 6
_TO_TABLE = 1
_REACHABLE = 0x02
_PERMANENT = 0x80
_LINK_LOCAL = b"\xfe\x80"

Prefix = tuple[bytes, int]


class NodeInterface:
    """See the module. `home` are the home address (a /128) and the mobile networks; `inner` is the index of the interface that
    the mobile networks are on, 0 for none. `former` are settings (a file, and what was in it) as a life before this one found
    them, which it had no time to give back; `keep` writes down such settings."""

    def __init__(
        self,
        state: LinkState,
        control: LinkControl,
        home: Sequence[Prefix],
        inner: int = 0,
        former: Mapping[str, str] | None = None,
        keep: Callable[[dict[str, str]], None] = lambda _settings: None,
    ) -> None:
        self.state = state
        self._control = control
        self._requests = NetlinkSocket()
        self._home = tuple(home)
        self._inner = inner
        self._table = TABLES + state.interface
        self._device = 0
        self._former = former or {}
        self._keep = keep
        self._settings: dict[Path, str] = {}
        self._addresses: dict[bytes, bool] = {}
        self._router = (b"", b"")
        self._on_link: tuple[Prefix, ...] = ()
        self._diverted = False
        self._followed = state.interface
        """Where the programs are whose groups we are in by the other way."""
        self._membership = GroupMembership(state.interface)

    def prepare(self, device: int) -> None:
        """Take the interface over; `device` is the data plane's, 0 if it has none. The home address is not used bare from now
        on. Raises OSError."""
        self._device = device
        self._clean()
        self.divert()
        self._make_settings()
        self._forget_kernel_addresses()
        for prefix, length in self._home:
            if length == HOST:
                self.add_address(prefix, preferred=True)
        self._keep_link_groups()
        self._lead_groups()
        if device:  # what a listener reports is from such an address (RFC 9777 section 5.2.14)
            self._suppress(self._control.add_address, device, _LINK_LOCAL + bytes(6) + self._home[0][0][8:], LINK_LOCAL_LENGTH)

    def restore(self) -> None:
        """Give the interface back as it was, as far as it is still there."""
        self.set_default_router(b"", b"")
        self.set_on_link(())
        for address in list(self._addresses):
            self.remove_address(address)
        for file, before in reversed(self._settings.items()):
            with contextlib.suppress(OSError):
                file.write_text(before)
        with contextlib.suppress(OSError):
            self._keep({})
        with contextlib.suppress(OSError):
            self._clean()
        self._membership.close()
        self._requests.close()

    def renew(self) -> None:
        """Make again what the kernel has undone while the interface was down."""
        for address, preferred in self._addresses.items():
            self._suppress(self._configure, address, preferred)
        self._fill_table()
        self._keep_link_groups()
        self._lead_groups()
        self.forget_router()
        self._suppress(self._use_router)
        for prefix in self._on_link:
            self._suppress(self._route, _NEW_ROUTE, prefix, self.state.interface)

    def _make_settings(self) -> None:
        """A setting that is as we want it may have been made so by the former life."""
        wanted = {CONFIGURATION / self.state.name / name: value for name, value in SETTINGS.items()}
        if self._inner:
            wanted[CONFIGURATION / "all/forwarding"] = "1"
        now = {file: file.read_text().strip() for file in wanted if file.exists()}
        for file, value in now.items():
            before = self._former.get(str(file), value) if value == wanted[file] else value
            if before != wanted[file]:
                self._settings.setdefault(file, before)
        self._keep({str(file): before for file, before in self._settings.items()})
        for file, value in now.items():
            if value != wanted[file]:
                file.write_text(wanted[file])

    @staticmethod
    def _suppress(function: Callable[..., None], *arguments: object, **options: object) -> None:
        """What the kernel refuses while the interface is down is made when it is up."""
        with contextlib.suppress(OSError):
            function(*arguments, **options)

    # ---- addresses ----

    def add_address(self, address: bytes, *, preferred: bool = False) -> None:
        """Have an address; one that is not preferred is used only by those who ask for it, so that everybody else uses the
        home address."""
        self._addresses[address] = preferred
        self._suppress(self._configure, address, preferred)
        if not preferred:
            self._lead_visitors()

    def _configure(self, address: bytes, preferred: bool) -> None:
        patience = ADDRESS_PATIENCE if self.state.carrier else 0.0
        self._control.add_address(self.state.interface, address, HOST, preferred=preferred, patience=patience)

    def remove_address(self, address: bytes) -> None:
        """Have an address no more."""
        if self._addresses.pop(address, None) is not None:
            self._suppress(self._control.delete_address, self.state.interface, address, HOST)

    def _forget_kernel_addresses(self) -> None:
        """The addresses and default routes that the kernel has made from Router Advertisements."""
        body = struct.pack("=BBBBi", socket.AF_INET6, 0, 0, 0, 0)
        for _, content in self._requests.ask(_GET_ADDRESS, DUMP, body):
            _, length, flags, _, index = struct.unpack_from("=BBBBi", content)
            address = attributes(content[8:]).get(1, b"")
            ours = any(address == home for home, _ in self._home)
            if index == self.state.interface and address[:2] != _LINK_LOCAL and (ours or not flags & _PERMANENT):
                self._suppress(self._control.delete_address, index, address, length)
        self._delete_routes(KERNEL_RA, MAIN)

    # ---- routes ----

    def set_default_router(self, address: bytes, link_layer_address: bytes) -> None:
        """Packets that do not go through the tunnel go by this router; empty: there is none."""
        if self._router[0] and self._router[0] != address:  # the same one's route is replaced, without a moment between
            self._suppress(self._route, _DELETE_ROUTE, (bytes(16), 0), self.state.interface)
            self.forget_router()
        self._router = (address, link_layer_address)
        if address:
            self._suppress(self._use_router)

    def forget_router(self) -> None:
        """The link has gone, or another router is used. What waits for this one's link-layer address was sent before that, and
        must not go bare to whoever is here now."""
        address, _ = self._router
        if address:
            self._router = (address, b"")
            body = struct.pack("=BxxxiHBB", socket.AF_INET6, self.state.interface, 0, 0, 0) + attribute(1, address)
            self._suppress(self._delete_neighbour, body)

    def _delete_neighbour(self, body: bytes) -> None:
        self._requests.ask(_DELETE_NEIGHBOUR, ACK, body)

    def _use_router(self) -> None:
        address, link_layer_address = self._router
        if not address:
            return
        if link_layer_address:
            body = struct.pack("=BxxxiHBB", socket.AF_INET6, self.state.interface, _REACHABLE, 0, 0)
            body += attribute(1, address) + attribute(2, link_layer_address)
            self._requests.ask(_NEW_NEIGHBOUR, ACK | CREATE | REPLACE, body)
        self._route(_NEW_ROUTE, (bytes(16), 0), self.state.interface, gateway=address)

    def set_on_link(self, prefixes: tuple[Prefix, ...]) -> None:
        """These prefixes are on the link; one that is a network of ours is behind the inner interface instead."""
        wanted = tuple(prefix for prefix in prefixes if not (self._inner and prefix in self._home))
        for prefix in self._on_link:
            if prefix not in wanted:
                self._suppress(self._route, _DELETE_ROUTE, prefix, self.state.interface)
        self._on_link = wanted
        for prefix in wanted:
            self._suppress(self._route, _NEW_ROUTE, prefix, self.state.interface)

    def divert(self) -> None:
        """Packets from the home address go to the data plane, and nowhere else."""
        self._fill_table()
        for prefix in self._home:
            for protocol in (MOBILITY_HEADER, RAW):
                self._rule(_NEW_RULE, prefix, EXEMPT, MAIN, protocol)
            self._rule(_NEW_RULE, prefix, DIVERT, self._table)
        self._diverted = True
        self._lead_groups()

    def let_go(self) -> None:
        """Packets from the home address go as any others."""
        for prefix in self._home:
            self._rule(_DELETE_RULE, prefix, DIVERT, self._table)
            for protocol in (MOBILITY_HEADER, RAW):
                self._rule(_DELETE_RULE, prefix, EXEMPT, MAIN, protocol)
        self._diverted = False
        self._lead_groups()

    def _lead_groups(self) -> None:
        """Who sends to a group, or listens to one and names no interface, does so by the device, or the interface; who is in
        one by the other hears it here too. The kernel refuses the routes as long as the home address is nowhere."""
        if not self._device:
            return
        ways = (self.state.interface, self._device) if self._diverted else (self._device, self.state.interface)
        self._suppress(self._route_group, _DELETE_ROUTE, GROUPS, ways[0], GROUP_METRIC)
        self._suppress(self._route_group, _NEW_ROUTE, GROUPS, ways[1], GROUP_METRIC, self._home[0][0])
        self._lead_visitors()
        self._follow_groups(*ways)

    def _keep_link_groups(self) -> None:
        """Wherever other groups are led, those of the link stay on it."""
        for group in GROUPS_OF_THE_LINK if self._device else ():
            self._suppress(self._route_group, _NEW_ROUTE, group, self.state.interface, GROUP_METRIC)

    def _lead_visitors(self) -> None:
        """Who names the interface on a visited link speaks to groups there from the care-of address (RFC 6275 section 11.3.4):
        the kernel would choose the home address."""
        visiting = [address for address, preferred in self._addresses.items() if not preferred]
        if self._device and self._diverted and visiting:
            self._suppress(self._route_group, _NEW_ROUTE, GROUPS, self.state.interface, VISITED_METRIC, visiting[-1])
        elif self._device:
            self._suppress(self._route_group, _DELETE_ROUTE, GROUPS, self.state.interface, VISITED_METRIC)

    def _route_group(self, request: int, group: Prefix, interface: int, metric: int, source: bytes = b"") -> None:
        self._route(request, group, interface, table=LOCAL, kind=_MULTICAST, metric=metric, source=source)

    def _follow_groups(self, before: int, now: int) -> None:
        self._membership.close()
        self._followed, self._membership = before, GroupMembership(now)
        wanted = {group for group in groups_of(before) if scope_of(group) > LINK_SCOPE}
        for group in wanted:
            self._suppress(self._membership.join, group)

    def leave_groups(self) -> None:
        """Leave what the programs that we were there for have left: the kernel tells nobody of that."""
        held = self._membership.groups
        if held:
            for group in held - groups_of(self._followed):
                self._membership.leave(group)

    def _fill_table(self) -> None:
        everywhere = (bytes(16), 0)
        self._route(_NEW_ROUTE, everywhere, 0, table=self._table, kind=_BLACKHOLE, metric=LAST_METRIC)
        if self._device:
            self._route(_NEW_ROUTE, everywhere, self._device, table=self._table)
        if self._inner:
            for prefix in self._home:
                if prefix[1] != HOST:
                    for table in (self._table, MAIN):
                        self._route(_NEW_ROUTE, prefix, self._inner, table=table)

    def _route(
        self,
        request: int,
        prefix: Prefix,
        interface: int,
        *,
        gateway: bytes = b"",
        table: int = MAIN,
        kind: int = _UNICAST,
        metric: int = METRIC,
        source: bytes = b"",
    ) -> None:
        body = struct.pack("=8BI", socket.AF_INET6, prefix[1], 0, 0, min(table, 252), PROTOCOL, 0, kind, 0)
        body += attribute(1, prefix[0]) if prefix[1] else b""
        body += attribute(15, struct.pack("=I", table)) + attribute(6, struct.pack("=I", metric))
        body += attribute(4, struct.pack("=I", interface)) if interface else b""
        body += attribute(5, gateway) if gateway else b""
        body += attribute(7, source) if source else b""
        flags = CREATE | REPLACE if request == _NEW_ROUTE else 0
        self._requests.ask(request, ACK | flags, body)

    def _rule(self, request: int, source: Prefix, priority: int, table: int, protocol: int = 0) -> None:
        flags = FIND_SADDR if priority == DIVERT else 0
        body = struct.pack("=8BI", socket.AF_INET6, 0, source[1], 0, min(table, 252), 0, 0, _TO_TABLE, flags)
        body += attribute(2, source[0]) + attribute(6, struct.pack("=I", priority))
        body += attribute(15, struct.pack("=I", table)) + attribute(21, struct.pack("=B", PROTOCOL))
        body += attribute(22, struct.pack("=B", protocol)) if protocol else b""
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            self._requests.ask(request, ACK | (CREATE | EXCLUSIVE if request == _NEW_RULE else 0), body)

    # ---- what a former life has left ----

    def _clean(self) -> None:
        """Remove our rules for the home address and our routes by the interface."""
        body = struct.pack("=8BI", socket.AF_INET6, 0, 0, 0, 0, 0, 0, 0, 0)
        for _, content in self._requests.ask(_GET_RULE, DUMP, body):
            parts = attributes(content[12:])
            source = (parts.get(2, b""), content[2])
            priority, table = (struct.unpack("=I", parts[kind])[0] if kind in parts else 0 for kind in (6, 15))
            if parts.get(21, b"\0")[0] == PROTOCOL and (source in self._home or table == self._table):
                protocol = parts[22][0] if 22 in parts else 0
                self._rule(_DELETE_RULE, source, priority, table, protocol)
        self._delete_routes(PROTOCOL, MAIN)
        self._delete_routes(PROTOCOL, self._table)
        self._delete_routes(PROTOCOL, LOCAL)

    def _delete_routes(self, protocol: int, wanted: int) -> None:
        for _, content in self._requests.ask(_GET_ROUTE, DUMP, struct.pack("=8BI", socket.AF_INET6, *[0] * 7, 0)):
            parts = attributes(content[12:])
            table = struct.unpack("=I", parts[15])[0] if 15 in parts else content[4]
            interface = struct.unpack("=I", parts[4])[0] if 4 in parts else 0
            if content[5] != protocol or table != wanted:
                continue
            if wanted in (MAIN, LOCAL) and interface not in (self.state.interface, self._inner, self._device):
                continue
            body = content[:12]
            for kind in (1, 4, 5, 6, 15):
                body += attribute(kind, parts[kind]) if kind in parts else b""
            with contextlib.suppress(OSError):
                self._requests.ask(_DELETE_ROUTE, ACK, body)
