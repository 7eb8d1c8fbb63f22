# SPDX-License-Identifier: Apache-2.0
"""The plane of last resort: this process carries every packet through a TUN device. Slow, and needs nothing but TUN.

At an anchor the routes of the aggregates lead to the device, and one for each home address and mobile network: what is also on
a home link is not looked for there. At a gateway routing rules send what a mobile node sends there, by its prefix and access
interface together; all else from an access interface is dropped by a rule. At a mobile node the rules of
`netio.node_interface` do it. What comes in tunnels is read from a raw socket and given to the stack as from the device.

Always holds: a packet from an access interface is forwarded only into a tunnel, for the last rule for the interface drops it.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterable, Sequence

from halma.engine.api import Bind, BindingKind, Tunnel
from halma.forwarding.access_rules import AccessRules
from halma.forwarding.checks import forwarding_notes, inner_mtu
from halma.forwarding.claim import Claim
from halma.forwarding.group_port import GroupPort
from halma.forwarding.heard_ahead import HeardAhead
from halma.forwarding.listeners import GROUP_KEY, GROUPS, LISTENER_KEY, LISTENERS, Listeners
from halma.forwarding.plane import COUNTERS, Change, PlaneSettings, PortKind, PortState, Side
from halma.forwarding.routed_ports import RoutedPorts
from halma.forwarding.rtnetlink import Route, RouteNetlink
from halma.forwarding.slowpath import SlowPath
from halma.forwarding.tables import DictionaryMap, Tables
from halma.forwarding.tundevice import TunDevice


class TunPlane:
    """See the module."""

    name = "tun"
    software = True

    def __init__(self, settings: PlaneSettings) -> None:
        """Raises OSError."""
        self.settings = settings
        self.on_path_mtu: Callable[[Tunnel, int], None] | None = None
        size = settings.maximum_bindings
        has_homes = settings.home_agent or settings.side is Side.NODE
        homes = (DictionaryMap(16, size), DictionaryMap(20, size)) if has_homes else None
        self._tables = Tables(settings, DictionaryMap(8, size), DictionaryMap(4, size + 1), homes)
        self._rules: AccessRules | None = None
        self._notes = forwarding_notes(settings)
        with contextlib.ExitStack() as undo:
            self._netlink = RouteNetlink()
            undo.callback(self._netlink.close)
            self._claim = Claim(settings.side.value)
            undo.callback(self._claim.close)
            self._device = TunDevice(settings.device, inner_mtu(settings.path_mtu), self._netlink)
            undo.callback(self._device.close)
            if settings.side is Side.ANCHOR:
                for prefix, length in settings.prefixes:
                    self._netlink.replace_route(Route(prefix, length, self._device.index))
            elif settings.side is Side.GATEWAY:
                self._rules = AccessRules(self._netlink, self._claim, self._device.index)
                undo.callback(self._rules.close)
            if has_homes:
                ahead = HeardAhead(settings)
                undo.callback(ahead.close)
                self._notes += ahead.notes()
            group_port = GroupPort(settings.multicast_interface) if settings.multicast_interface else None
            if group_port is not None:
                undo.callback(group_port.close)
            self._listeners = Listeners(DictionaryMap(GROUP_KEY, GROUPS), DictionaryMap(LISTENER_KEY, LISTENERS))
            slow_path = SlowPath(
                self, self._tables, self._listeners, self._device.fd, hop_limit_is_done=True, group_port=group_port
            )
            undo.callback(slow_path.close)
            self._slow_path = slow_path
            self._ports = RoutedPorts(self._netlink, self._claim, "tun", self._rules)
            undo.callback(self._ports.close)
            self._undo = undo.pop_all()

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

    def apply(self, changes: Sequence[Change]) -> list[int]:
        """A dictionary's work; at a gateway a route and a rule for each new prefix, at an anchor a route for each home address
        and mobile network."""
        answers = self._tables.apply(changes)
        for index, change in enumerate(changes):
            if answers[index]:
                continue
            try:
                if self._rules is None:
                    self._route_home(change)
                elif isinstance(change, Bind):
                    self._netlink.replace_route(Route(change.prefix, 64, change.access))
                    self._rules.bind(change)
                else:
                    self._rules.unbind(change.prefix)
                    self._netlink.delete_route(Route(change.prefix, 64, 0))
            except OSError as error:
                answers[index] = error.errno or errno.EIO
        return answers

    def _route_home(self, change: Change) -> None:
        """The aggregates have routes of their own, and a mobile node's rules lead here as they are."""
        place = (change.prefix, change.prefix_length)
        if self.settings.side is not Side.ANCHOR or change.kind is BindingKind.PROXY or place in self.settings.prefixes:
            return
        route = Route(*place, self._device.index)
        if isinstance(change, Bind):
            self._netlink.replace_route(route)
        else:
            self._netlink.delete_route(route)

    def subscribe(self, group: bytes, home_address: bytes) -> None:
        """A dictionary's work."""
        self._listeners.subscribe(group, home_address)

    def unsubscribe(self, group: bytes, home_address: bytes) -> None:
        """Likewise."""
        self._listeners.unsubscribe(group, home_address)

    def allow_listener_reports(self, allowed: bool) -> None:
        """Takes effect with the next packet."""
        self._slow_path.reports_allowed = allowed

    def bindings(self) -> Iterable[tuple[bytes, int, Tunnel | None]]:
        """From the table, for there is none in the kernel."""
        return self._tables.read_back()

    def tunnels(self) -> dict[Tunnel, int]:
        """The tunnels in use and how many bindings share each."""
        return {tunnel: record.users for tunnel, record in self._tables.tunnels().items()}

    def set_path_mtu(self, tunnel: Tunnel, mtu: int) -> None:
        """Takes effect with the next packet."""
        self._tables.set_path_mtu(tunnel, mtu)

    def routes_changed(self) -> None:
        """Nothing is remembered of routes."""

    def rules_changed(self) -> None:
        """Nothing is remembered of rules."""

    def counters(self) -> dict[str, int]:
        """What this process has counted."""
        return {name: self._slow_path.counters.get(name, 0) for name in COUNTERS}

    def add_notes(self, notes: Sequence[str]) -> None:
        """What whoever chose this plane wants the operator to know."""
        self._notes.extend(notes)

    def notes(self) -> list[str]:
        """What this plane lacks."""
        notes = [
            *self._notes,
            "packets are carried by this process through a TUN device: expect a twentieth of the speed of the BPF plane",
        ]
        if self.settings.side is Side.GATEWAY:
            notes.append("packets of unbound sources on access interfaces are dropped by a routing rule and not counted")
        return notes

    def close(self) -> None:
        """Remove routes, rules and the device."""
        self._undo.close()
