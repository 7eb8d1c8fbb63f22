# SPDX-License-Identifier: Apache-2.0
"""The fallback that the kernel's own segment routing makes: for kernels whose BPF we may not use.

An IPv6-in-IPv6 tunnel is segment routing with one segment and no routing header (`encap.red`). A pair of virtual interfaces
stands for the tunnel: what is routed into its one end, `device`, has been through the kernel's forwarding (hop limit, Packet
Too Big) and is encapsulated at the other by a route of its binding. Segment routing does not look at who sent a tunnel
packet, so nftables does: only packets whose outer addresses and inner prefix belong together are turned to the segment that
decapsulates.

At a home agent the other end of the pair looks for home addresses first, then for mobile networks, then for home network
prefixes, each kind in a table of its own (RFC 6612 section 4.2). Each of the first two has a route into the pair, for it may be
beside the aggregates or on a home link.

What it lacks, and `notes` says: congestion marks (RFC 6040), fragmentation of the outer packet, destination options in it,
ICMPv6 errors about it, and counters. The outer hop limit is the inner one's, and lengths are not compared.

Always holds: no packet of an unbound prefix leaves an access interface's rules, and no tunnel packet is decapsulated that
nftables has not matched.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Callable, Iterable, Sequence

from halma.engine.api import Bind, BindingKind, Tunnel, Unbind
from halma.forwarding.access_rules import DROP, AccessRules, clean_rules
from halma.forwarding.checks import forwarding_notes, inner_mtu
from halma.forwarding.claim import Claim, claim_the_dead
from halma.forwarding.heard_ahead import HeardAhead
from halma.forwarding.nft import nft, tables_of_the_dead
from halma.forwarding.plane import COUNTERS, Change, PlaneSettings, PortKind, PortState, Side
from halma.forwarding.routed_ports import RoutedPorts
from halma.forwarding.rtnetlink import BLACKHOLE, LOCAL, UNREACHABLE, Route, RouteNetlink, Rule
from halma.forwarding.tables import DictionaryMap, Tables, name_of

_SEG6, _SEG6_LOCAL = 5, 7
_ENCAPSULATE_REDUCED = 3
_END_DT6 = 7
_MAIN_TABLE = 254
_INNER_TABLE, _TUNNEL_TABLE = 52160, 53000
_HOME_TABLES = {BindingKind.HOME_ADDRESS: 52176, BindingKind.MOBILE_NETWORK: 52192}
_HOME_RULES = {BindingKind.HOME_ADDRESS: 5152, BindingKind.MOBILE_NETWORK: 5168}
_INNER_RULE, _TUNNEL_RULE, _INNER_REST = 5248, 5264, 5280  # + the claimed number
_SEGMENTS = int(ipaddress.IPv6Address("fd13:5213::"))
_SOURCE_BITS, _DESTINATION_BITS = 384, 512  # where in a tunnel packet the inner address begins
_EVERYTHING = bytes(16)
_FIRST = 1
"""The metric of a route that comes before those of the kernel's own."""

_TABLE = """
table ip6 {mark} {{
    set bound {{
        typeof ip6 daddr . ip6 saddr . @nh,{bits},64
    }}
    set homes {{
        typeof ip6 daddr . ip6 saddr . @nh,{bits},128
    }}
    chain networks {{
    }}
    chain tunnels {{
        type filter hook prerouting priority raw; policy accept;
        ip6 nexthdr 41 ip6 daddr . ip6 saddr . @nh,{bits},128 @homes ip6 daddr set {segment} accept
        ip6 nexthdr 41 jump networks
        ip6 nexthdr 41 ip6 daddr . ip6 saddr . @nh,{bits},64 @bound ip6 daddr set {segment} accept
        ip6 nexthdr 41 ip6 daddr {{ {locals} }} drop
    }}
}}
"""


def _text(address: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET6, address)


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", len(data) + 4, kind) + data + bytes(-len(data) % 4)


def _into(remote: bytes) -> bytes:
    """The encapsulation towards `remote`, as a route's attribute."""
    header = struct.pack("=BBBBBBH", 0, 2, 4, 0, 0, 0, 0) + remote
    return _attribute(1, struct.pack("=i", _ENCAPSULATE_REDUCED) + header)


def _out() -> bytes:
    """The decapsulation, as a route's attribute: the inner packet is routed by the main table."""
    return _attribute(1, struct.pack("=I", _END_DT6)) + _attribute(3, struct.pack("=I", _MAIN_TABLE))


class Seg6Plane:
    """See the module."""

    name = "seg6"

    def __init__(self, settings: PlaneSettings) -> None:
        """Raises OSError: EOPNOTSUPP where the kernel has no segment routing or nftables, or nft is not installed."""
        if shutil.which("nft") is None:
            raise OSError(
                errno.EOPNOTSUPP, "segment routing needs nft to see who sent a tunnel packet, and it is not installed"
            )
        if settings.side is Side.NODE:
            raise OSError(errno.EOPNOTSUPP, "the plane of segment routing has no mobile node's side")
        self.settings = settings
        self.on_path_mtu: Callable[[Tunnel, int], None] | None = None
        self._notes = forwarding_notes(settings)
        if settings.multicast_interface:
            self._notes.append("segment routing copies no packets: mobile nodes cannot listen to multicast groups")
        size = settings.maximum_bindings
        homes = (DictionaryMap(16, size), DictionaryMap(20, size)) if settings.home_agent else None
        self._tables = Tables(settings, DictionaryMap(8, size), DictionaryMap(4, size + 1), homes)
        self._held: dict[bytes, Bind] = {}
        self._narrow: dict[Tunnel, int] = {}
        self._narrowed: set[bytes] = set()
        self._numbers: dict[Tunnel | None, int] = {}
        self._rules: AccessRules | None = None
        self._at_anchor = settings.side is Side.ANCHOR
        self._bits = _SOURCE_BITS if self._at_anchor else _DESTINATION_BITS
        with contextlib.ExitStack() as undo:
            self._netlink = RouteNetlink()
            undo.callback(self._netlink.close)
            self._claim = Claim(settings.side.value)
            undo.callback(self._claim.close)
            self._clean()
            self._make_device(undo)
            self._make_routes(undo)
            self._make_filter(undo)
            if settings.home_agent:
                ahead = HeardAhead(settings)
                undo.callback(ahead.close)
                self._notes += ahead.notes()
            self._ports = RoutedPorts(self._netlink, self._claim, "seg6", self._rules)
            undo.callback(self._ports.close)
            self._undo = undo.pop_all()

    # ---- making ----

    def _clean(self) -> None:
        """Remove what daemons that have died left."""
        for link in self._netlink.links():
            dead = None if link.alias == self._claim.mark else claim_the_dead(link.alias)
            if dead is not None or link.alias == self._claim.mark:
                self._netlink.delete_link(link.index)
            if dead is not None:
                dead.close()
        for first in (*_HOME_RULES.values(), _INNER_RULE) if self._at_anchor else (_TUNNEL_RULE, _INNER_REST):
            clean_rules(self._netlink, self._claim, first)
        for table in tables_of_the_dead(self._claim):
            nft("delete", "table", "ip6", table)

    def _make_device(self, undo: contextlib.ExitStack) -> None:
        taken = {link.name for link in self._netlink.links()}
        names = [self.settings.device] if self.settings.device else [f"mip{number}" for number in range(64)]
        name = next((name for name in names if name not in taken and f"{name}in" not in taken), None)
        if name is None:
            raise OSError(errno.EEXIST, "no free name for a tunnel device")
        self._netlink.add_pair(name, f"{name}in", self._claim.mark)
        self._device, self._inner = socket.if_nametoindex(name), socket.if_nametoindex(f"{name}in")
        self._inner_name = f"{name}in"
        undo.callback(self._delete_device)
        for link in (self._device, self._inner):
            self._netlink.set_up(link, inner_mtu(self.settings.path_mtu), 1000)

    def _delete_device(self) -> None:
        with contextlib.suppress(OSError):
            self._netlink.delete_link(self._device)

    @property
    def _inner_table(self) -> int:
        return _INNER_TABLE + self._claim.number

    @property
    def _segment(self) -> bytes:
        """The segment that decapsulates: an address that stays on this machine, one for each daemon."""
        return (_SEGMENTS + (self._claim.number << 1) + self._at_anchor).to_bytes(16, "big")

    def _make_routes(self, undo: contextlib.ExitStack) -> None:
        number = self._claim.number
        if self._at_anchor:
            for address in self.settings.addresses:  # decapsulated packets are routed by this table alone, and may be for us
                self._netlink.replace_route(Route(address, 128, self._device, metric=_FIRST, kind=LOCAL))
            for prefix, length in self.settings.prefixes:
                self._netlink.replace_route(Route(prefix, length, self._device))
                rule = Rule(
                    _INNER_RULE + number,
                    self._inner_table,
                    interface_name=self._inner_name,
                    destination=prefix,
                    destination_length=length,
                )
                self._netlink.add_rule(rule)
                undo.callback(self._netlink.delete_rule, rule)
            for kind, priority in _HOME_RULES.items() if self.settings.home_agent else ():
                rule = Rule(priority + number, _HOME_TABLES[kind] + number, interface_name=self._inner_name)
                self._netlink.add_rule(rule)
                undo.callback(self._netlink.delete_rule, rule)
            unreachable = Route(_EVERYTHING, 0, 0, self._inner_table, kind=UNREACHABLE)
            self._netlink.replace_route(unreachable)
            undo.callback(self._netlink.delete_route, unreachable)
        else:
            # before any rule leads into the device: at its other end only what has a tunnel is routed, and tunnel packets are
            priority, name = _TUNNEL_RULE + number, self._inner_name
            tunnelled = [Rule(priority, _MAIN_TABLE, source, 128, name) for source in self.settings.addresses]
            for rule in (*tunnelled, Rule(_INNER_REST + number, interface_name=name, action=DROP)):
                self._netlink.add_rule(rule)
                undo.callback(self._netlink.delete_rule, rule)
            self._rules = AccessRules(self._netlink, self._claim, self._device)
            undo.callback(self._rules.close)
        segment = Route(self._segment, 128, self._device, encapsulation=_out(), encapsulation_type=_SEG6_LOCAL)
        self._netlink.replace_route(segment)
        if len(self.settings.addresses) > 1:
            self._notes.append(f"segment routing has one source address for all tunnels: {_text(self.settings.addresses[0])}")
        undo.callback(self._set_source, self._source() or "::")
        self._set_source(_text(self.settings.addresses[0]))

    @staticmethod
    def _source() -> str:
        """The source address of the namespace's segment routing as it is."""
        done = subprocess.run(["ip", "sr", "tunsrc", "show"], capture_output=True, text=True, check=False)
        return done.stdout.strip().rpartition(" ")[2]

    @staticmethod
    def _set_source(address: str) -> None:
        done = subprocess.run(["ip", "sr", "tunsrc", "set", address], capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(errno.EOPNOTSUPP, f"the kernel's segment routing: {done.stderr.strip()}")

    def _make_filter(self, undo: contextlib.ExitStack) -> None:
        local = ", ".join(_text(address) for address in self.settings.addresses)
        text = _TABLE.format(mark=self._claim.mark, bits=self._bits, segment=_text(self._segment), locals=local)
        try:
            nft("-f", "-", text=text)
        except subprocess.CalledProcessError as error:
            raise OSError(errno.EOPNOTSUPP, f"nftables: {(error.stderr or '').strip().splitlines()[:1]}") from error
        undo.callback(self._delete_filter)

    def _delete_filter(self) -> None:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            nft("delete", "table", "ip6", self._claim.mark)

    # ---- ports ----

    def attach(self, interface: int, kind: PortKind) -> PortState:
        """A network port needs nothing; an access port gets its rules. Raises OSError."""
        return self._ports.attach(interface, kind)

    def settle(self) -> None:
        """Remove the rules, and the filters of another kind of plane, that daemons which have died left."""
        self._ports.settle()

    def detach(self, interface: int) -> None:
        """Undo `attach`."""
        self._ports.detach(interface)

    def ports(self) -> list[PortState]:
        """The attached interfaces."""
        return self._ports.states()

    # ---- bindings ----

    def apply(self, changes: Sequence[Change]) -> list[int]:
        """A few routes and rules for each change, and one run of nft for the batch."""
        answers = self._tables.apply(changes)
        commands: list[str] = []
        for index, change in enumerate(changes):
            if answers[index]:
                continue
            try:
                if change.kind in _HOME_TABLES:
                    self._bind_home(change, commands)
                elif isinstance(change, Bind):
                    self._bind(change, commands)
                else:
                    self._unbind(change.prefix, commands)
            except OSError as error:
                answers[index] = error.errno or errno.EIO
        if commands:
            nft("-f", "-", text="\n".join(commands) + "\n")
        return answers

    def _bind_home(self, change: Change, commands: list[str]) -> None:
        """A home address, or a mobile network: bound anew, or not any more."""
        name = name_of(change)
        old = self._held.pop(name, None)
        if isinstance(change, Bind):
            self._held[name] = change
            self._netlink.replace_route(self._home_route(change))
            self._lead_home(change)
        elif old is not None:
            self._netlink.delete_route(self._home_route(old))
            if (old.prefix, old.prefix_length) not in self.settings.prefixes:
                self._netlink.delete_route(Route(old.prefix, old.prefix_length, self._device))
        if change.kind is BindingKind.MOBILE_NETWORK:
            commands += self._networks()
            return
        for verb, bind in (("delete", old), ("add", change)):
            if isinstance(bind, Bind) and bind.tunnel is not None:
                key = f"{_text(bind.tunnel.local)} . {_text(bind.tunnel.remote)} . 0x{bind.prefix.hex()}"
                commands.append(f"{verb} element ip6 {self._claim.mark} homes {{ {key} }}")

    def _home_route(self, bind: Bind) -> Route:
        return self._route(bind.prefix, bind.tunnel, _HOME_TABLES[bind.kind] + self._claim.number, bind.prefix_length)

    def _lead_home(self, bind: Bind) -> None:
        """The way of a home address or mobile network into the pair, as narrow as its tunnel is."""
        if (bind.prefix, bind.prefix_length) not in self.settings.prefixes:
            mtu = self._narrow.get(bind.tunnel, 0) if bind.tunnel is not None else 0
            way = Route(bind.prefix, bind.prefix_length, self._device, mtu=inner_mtu(mtu) if mtu else 0)
            self._netlink.replace_route(way)

    def _networks(self) -> list[str]:
        """The chain of mobile networks, the longest prefixes first: there are few, so it is made anew each time."""
        chain = f"ip6 {self._claim.mark} networks"
        commands = [f"flush chain {chain}"]
        held = [bind for bind in self._held.values() if bind.kind is BindingKind.MOBILE_NETWORK]
        for bind in sorted(held, key=lambda bind: -bind.prefix_length):
            inner = (
                f"@nh,{self._bits},{bind.prefix_length} {int.from_bytes(bind.prefix, 'big') >> (128 - bind.prefix_length):#x}"
            )
            if bind.tunnel is not None:
                ends = f"ip6 daddr {_text(bind.tunnel.local)} ip6 saddr {_text(bind.tunnel.remote)}"
                commands.append(f"add rule {chain} {ends} {inner} ip6 daddr set {_text(self._segment)} accept")
            commands.append(f"add rule {chain} {inner} return")  # what it is in a shorter one does not count
        return commands

    def _element(self, verb: str, prefix: bytes, tunnel: Tunnel) -> str:
        key = f"{_text(tunnel.local)} . {_text(tunnel.remote)} . 0x{prefix[:8].hex()}"
        return f"{verb} element ip6 {self._claim.mark} bound {{ {key} }}"

    def _bind(self, change: Bind, commands: list[str]) -> None:
        prefix, tunnel = change.prefix, change.tunnel
        old = self._held.get(prefix)
        if old is not None and old.kind is not change.kind:
            self._unbind(prefix, commands)
            old = None
        if old is not None and old.tunnel is not None:
            commands.append(self._element("delete", prefix, old.tunnel))
        if tunnel is not None:
            commands.append(self._element("add", prefix, tunnel))
        if self._at_anchor:
            self._netlink.replace_route(self._route(prefix, tunnel, self._inner_table))
            self._set_mtu(prefix, tunnel)
        else:
            self._bind_at_gateway(change, old)
        self._held[prefix] = change

    def _route(self, prefix: bytes, tunnel: Tunnel | None, table: int, length: int = 64) -> Route:
        if tunnel is None:
            return Route(prefix, length, 0, table, kind=BLACKHOLE)
        return Route(prefix, length, self._device, table, encapsulation=_into(tunnel.remote), encapsulation_type=_SEG6)

    def _bind_at_gateway(self, change: Bind, old: Bind | None) -> None:
        assert self._rules is not None
        prefix, tunnel = change.prefix, change.tunnel
        self._netlink.replace_route(Route(prefix, 64, change.access))
        if change.kind is not BindingKind.LOCAL and (old is None or old.tunnel != tunnel):
            table = self._tunnel_table(tunnel)
            self._netlink.replace_route(self._route(_EVERYTHING, tunnel, table, 0))
            self._netlink.add_rule(self._tunnel_rule(prefix, tunnel))
            if old is not None:
                self._netlink.delete_rule(self._tunnel_rule(prefix, old.tunnel))
                self._drop_table(old.tunnel)
        self._rules.bind(change)

    def _tunnel_table(self, tunnel: Tunnel | None) -> int:
        """The table of a tunnel has one route: into it (or, for bindings to nothing, nowhere)."""
        record = None if tunnel is None else self._tables.tunnels().get(tunnel)
        return self._numbers.setdefault(tunnel, _TUNNEL_TABLE + self._claim.number * 65536 + (record.number if record else 0))

    def _tunnel_rule(self, prefix: bytes, tunnel: Tunnel | None) -> Rule:
        return Rule(_TUNNEL_RULE + self._claim.number, self._tunnel_table(tunnel), prefix, 64, self._inner_name)

    def _drop_table(self, tunnel: Tunnel | None) -> None:
        """Forget the table of a tunnel that nothing uses any more."""
        if tunnel in self._numbers and tunnel not in self._tables.tunnels():
            self._netlink.delete_route(self._route(_EVERYTHING, tunnel, self._numbers.pop(tunnel), 0))

    def _unbind(self, prefix: bytes, commands: list[str]) -> None:
        old = self._held.pop(prefix, None)
        if old is None:
            return
        tunnel = old.tunnel
        if tunnel is not None:
            commands.append(self._element("delete", prefix, tunnel))
        if self._at_anchor:
            self._netlink.delete_route(self._route(prefix, tunnel, self._inner_table))
            self._set_mtu(prefix, None)
        elif self._rules is not None:
            self._rules.unbind(prefix)
            if old.kind is not BindingKind.LOCAL:
                self._netlink.delete_rule(self._tunnel_rule(prefix, tunnel))
                self._drop_table(tunnel)
            self._netlink.delete_route(Route(prefix, 64, 0))

    def _set_mtu(self, prefix: bytes, tunnel: Tunnel | None) -> None:
        """A prefix whose tunnel's path is narrower has a route of its own into the device."""
        mtu = self._narrow.get(tunnel) if tunnel is not None else None
        if mtu is not None:
            self._netlink.replace_route(Route(prefix, 64, self._device, mtu=inner_mtu(mtu)))
        elif prefix in self._narrowed:
            self._netlink.delete_route(Route(prefix, 64, self._device))
        (self._narrowed.add if mtu is not None else self._narrowed.discard)(prefix)

    def bindings(self) -> Iterable[tuple[bytes, int, Tunnel | None]]:
        """What was carried out."""
        return [(held.prefix, held.prefix_length, held.tunnel) for held in self._held.values()]

    def subscribe(self, group: bytes, home_address: bytes) -> None:  # noqa: ARG002  (nobody can)
        """Raises OSError: the kernel would have to copy the packets of the group."""
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    def unsubscribe(self, group: bytes, home_address: bytes) -> None:
        """Nobody can have subscribed."""

    def allow_listener_reports(self, allowed: bool) -> None:
        """This plane has no mobile node's side."""

    def tunnels(self) -> dict[Tunnel, int]:
        """The tunnels in use and how many bindings share each."""
        return {tunnel: record.users for tunnel, record in self._tables.tunnels().items()}

    def set_path_mtu(self, tunnel: Tunnel, mtu: int) -> None:
        """A route for each binding of the tunnel (at a gateway: nothing but the MTU of the device)."""
        self._tables.set_path_mtu(tunnel, mtu)
        if mtu < self.settings.path_mtu:
            self._narrow[tunnel] = mtu
        else:
            self._narrow.pop(tunnel, None)
        if self._at_anchor:
            for held in self._held.values():
                if held.tunnel == tunnel and held.kind is BindingKind.PROXY:
                    self._set_mtu(held.prefix, tunnel)
                elif held.tunnel == tunnel:
                    self._lead_home(held)

    def routes_changed(self) -> None:
        """Nothing is remembered of routes."""

    def counters(self) -> dict[str, int]:
        """All zero: the kernel does not count for us."""
        return dict.fromkeys(COUNTERS, 0)

    def add_notes(self, notes: Sequence[str]) -> None:
        """What whoever chose this plane wants the operator to know."""
        self._notes.extend(notes)

    def notes(self) -> list[str]:
        """What this plane lacks."""
        return [
            *self._notes,
            "segment routing is used: no congestion marks, fragments, errors about tunnel packets, or counters of packets",
        ]

    def close(self) -> None:
        """Remove routes, rules, filter and device."""
        self.apply([Unbind(0, held.prefix, held.prefix_length, held.kind) for held in self._held.values()])
        self._undo.close()
