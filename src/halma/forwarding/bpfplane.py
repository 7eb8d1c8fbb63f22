# SPDX-License-Identifier: Apache-2.0
"""The plane that is BPF programs on the ports (bpf/halma.bpf.c): the default.

Each port gets the mechanism that suits it, by probing: a tc program by TCX, or on kernels before 6.6 by clsact, and native XDP
in front of it where the driver has that. What the programs leave to others goes to the tunnel device (`tundevice`): the kernel
answers what a router answers, and `slowpath` the rest.

A gateway's access interfaces have clsact also where there is TCX, since a filter outlives a process that is killed: until the
next one takes its place, bound prefixes are tunnelled as they were and all else is dropped. Only where TCX is asked for by
name, or clsact is not to be had, it does not hold.

Always holds: a binding is in the map before `apply` says 0, and a packet that no program has dealt with is never
forwarded outside a tunnel.
"""

from __future__ import annotations

import contextlib
import struct
import threading
from collections.abc import Callable, Iterable, Sequence

from halma.engine.api import Bind, BindingKind, Tunnel
from halma.forwarding import hooks
from halma.forwarding.access_rules import clean_access_rules
from halma.forwarding.bpf import Link, Program
from halma.forwarding.checks import PREFIX_LENGTH, forwarding_notes, inner_mtu
from halma.forwarding.claim import Claim
from halma.forwarding.listeners import GROUPS, LISTENERS, Listeners
from halma.forwarding.loader import OBJECT_DIRECTORY, Collection, ObjectFile
from halma.forwarding.plane import COUNTERS, Change, PlaneSettings, PortKind, PortState, Side
from halma.forwarding.rtnetlink import PROTOCOL, Route, RouteNetlink
from halma.forwarding.slowpath import SlowPath
from halma.forwarding.tables import Tables, maximum_tunnels
from halma.forwarding.tundevice import TunDevice
from halma.text import Prefix

MECHANISMS = ("xdp", "tcx", "clsact")
"""What can be asked for by name."""
_CONFIGURATION = struct.Struct("=IIII16s8s")
_POLICY_ROUTING, _HOME_ADDRESSES, _MOBILE_NETWORKS, _HOME_AGENT, _LISTENER_REPORTS = 2, 4, 8, 16, 32
_TCX_ALONE = "access interfaces have TCX alone: if this daemon is killed, the kernel forwards what nodes send as it is"
_FIRST = bytes(4)
_DEFAULT_RULES = ((0, 255), (32766, 254))


class BpfPlane:
    """A plane of BPF programs. `mechanism` forces one for all ports, or is `auto`."""

    def __init__(self, settings: PlaneSettings, mechanism: str = "auto") -> None:
        """Raises OSError when the kernel refuses programs, maps or the tunnel device, and FileNotFoundError when the
        programs have not been compiled (`make bpf`)."""
        self.name = "bpf" if mechanism == "auto" else mechanism
        self.settings = settings
        self.software = False
        self.on_path_mtu: Callable[[Tunnel, int], None] | None = None
        self._mechanism = mechanism
        self._generation, self._flags = 1, 0
        self._upstream, self._upstream_address = 0, b""
        if settings.home_agent:
            self._flags |= _HOME_AGENT
        self._lock = threading.Lock()
        self._ports: dict[int, PortState] = {}
        self._hooks: dict[int, list[hooks.Hook | Link]] = {}
        self._notes = forwarding_notes(settings)
        with contextlib.ExitStack() as undo:
            self._netlink = RouteNetlink()
            undo.callback(self._netlink.close)
            self._claim = Claim(settings.side.value)
            undo.callback(self._claim.close)
            homes = settings.maximum_bindings if settings.home_agent or settings.side is Side.NODE else 1
            proxies = 1 if settings.side is Side.NODE else settings.maximum_bindings
            sizes = {"prefixes": proxies, "homes": homes, "networks": homes, "tunnels": maximum_tunnels(settings) + 1}
            if settings.multicast_interface:
                sizes |= {"groups": GROUPS, "listeners": LISTENERS}
            self._objects = Collection(ObjectFile(OBJECT_DIRECTORY / "halma.bpf.o"), sizes)
            undo.callback(self._objects.close)
            maps = self._objects.maps
            self._tables = Tables(settings, maps["prefixes"], maps["tunnels"], (maps["homes"], maps["networks"]))
            self._listeners = Listeners(maps["groups"], maps["listeners"])
            for address in settings.addresses:
                maps["locals"].update(address, struct.pack("=I", 1))
            self._device = TunDevice(settings.device, inner_mtu(settings.path_mtu), self._netlink)
            undo.callback(self._device.close)
            self._tcx = mechanism != "clsact" and hooks.probe_tcx(self._role_program("out"), self._device.index)
            if not self._tcx and mechanism == "tcx":
                raise OSError(95, "this kernel has no TCX (Linux 6.6)")
            self._device_hook = hooks.Hook(
                self._netlink, self._claim, self._device.index, self._role_program("out"), egress=True, tcx=self._tcx
            )
            undo.callback(self._device_hook.close)
            self._look_at_rules()
            self._write_configuration()
            if settings.side is Side.ANCHOR:
                for prefix, length in settings.prefixes:
                    self._netlink.replace_route(Route(prefix, length, self._device.index))
            self._slow_path = SlowPath(
                self, self._tables, self._listeners, self._device.fd, hop_limit_is_done=settings.side is Side.ANCHOR
            )
            undo.callback(self._slow_path.close)
            self._undo = undo.pop_all()
        if not self._tcx and mechanism != "clsact":
            self._notes.append("this kernel has no TCX (Linux 6.6): BPF filters on clsact are used instead")

    def _role_program(self, what: str) -> Program:
        return self._objects.program(f"{self.settings.side.value}_{what}")

    # ---- ports ----

    def attach(self, interface: int, kind: PortKind) -> PortState:
        """Hook the programs of the port's kind in. Raises OSError."""
        if interface in self._ports:
            return self._ports[interface]
        link = self._netlink.link(interface)
        if self.settings.side is Side.ANCHOR and kind is PortKind.ACCESS:
            raise OSError(22, f"{link.name}: an anchor has no access interfaces")
        if kind is PortKind.ACCESS:
            self._netlink.delete_our_routes(interface)
        program = f"{self.settings.side.value}_{kind.value}"
        made: list[hooks.Hook | Link] = []
        with contextlib.ExitStack() as undo:
            hook, mechanism = self._hook(interface, kind, self._objects.program(program))
            undo.callback(hook.close)
            made.append(hook)
            drives = self.settings.side is not Side.NODE  # a mobile node's traffic is its own: nothing to gain below the stack
            if drives and (self._mechanism == "xdp" or (self._mechanism == "auto" and hooks.wants_xdp(link))):
                try:
                    xdp = hooks.attach_xdp(self._objects.program(program + "_xdp"), link)
                except OSError as error:
                    if self._mechanism == "xdp":
                        raise
                    self._notes.append(f"{link.name}: no native XDP ({error.strerror}); {mechanism} is used")
                else:
                    undo.callback(xdp.close)
                    made.append(xdp)
                    mechanism = "xdp"
                    number = struct.pack("=I", interface)
                    self._objects.maps["xdp_ports"].update(number, number)
                    self._objects.maps["xdp_capable"].update(number, number)
            undo.pop_all()
        state = PortState(interface, link.name, kind, mechanism)
        self._ports[interface], self._hooks[interface] = state, made
        if interface == self.settings.multicast_interface:
            self._upstream, self._upstream_address = interface, link.address
        self.routes_changed()
        return state

    def _hook(self, interface: int, kind: PortKind, program: Program) -> tuple[hooks.Hook, str]:
        """The tc program of a port, and what holds it there. Raises OSError."""
        if self._tcx and kind is PortKind.ACCESS:
            if self._mechanism != "tcx":
                with contextlib.suppress(FileNotFoundError):  # ENOENT: no clsact, or no cls_bpf
                    return hooks.Hook(self._netlink, self._claim, interface, program, egress=False, tcx=False), "clsact"
            if _TCX_ALONE not in self._notes:
                self._notes.append(_TCX_ALONE)
        hook = hooks.Hook(self._netlink, self._claim, interface, program, egress=False, tcx=self._tcx)
        return hook, "tcx" if self._tcx else "clsact"

    def settle(self) -> None:
        """Remove the filters, and another kind of plane's routing rules, that daemons which have died left."""
        if self.settings.side is Side.GATEWAY:
            clean_access_rules(self._netlink, self._claim)
        for name in hooks.clean_interfaces(self._netlink, self._claim, (*self._ports, self._device.index)):
            self._notes.append(f"{name}: removed BPF filters that a daemon which died had left")

    def detach(self, interface: int) -> None:
        """Unhook the programs; the interface may have gone."""
        state = self._ports.pop(interface, None)
        if state is None:
            return
        if state.mechanism == "xdp":
            number = struct.pack("=I", interface)
            self._objects.maps["xdp_capable"].delete(number)
            self._objects.maps["xdp_ports"].delete(number)
            self.routes_changed()
        for hook in reversed(self._hooks.pop(interface)):
            hook.close()
        if state.kind is PortKind.ACCESS:
            with contextlib.suppress(OSError):
                self._netlink.delete_our_routes(interface)

    def ports(self) -> list[PortState]:
        """The attached interfaces."""
        return list(self._ports.values())

    # ---- bindings ----

    def apply(self, changes: Sequence[Change]) -> list[int]:
        """One or two map system calls for the whole batch; at a gateway a route for each new prefix as well."""
        if self.settings.side is Side.GATEWAY:
            return self._apply_at_gateway(changes)
        answers = self._tables.apply(changes)
        if self.settings.side is Side.NODE or self.settings.home_agent:
            self._look_at_homes(changes)
        return answers

    def _look_at_homes(self, changes: Sequence[Change]) -> None:
        """Home addresses and mobile networks that no aggregate of ours covers get a route into the tunnel device, for what
        the stack itself sends; the programs look for such bindings only while there are any."""
        for change in changes:
            if change.kind is not BindingKind.PROXY and self.settings.side is Side.ANCHOR:
                self._route_home(change)
        with self._lock:
            flags = self._flags & ~(_HOME_ADDRESSES | _MOBILE_NETWORKS)
            flags |= _HOME_ADDRESSES if self._tables.homes else 0
            flags |= _MOBILE_NETWORKS if self._tables.networks else 0
            if flags != self._flags:
                self._flags = flags
                self._write_configuration()

    def _route_home(self, change: Change) -> None:
        if any(Prefix(*aggregate).contains(change.prefix) for aggregate in self.settings.prefixes):
            return
        route = Route(change.prefix, change.prefix_length, self._device.index)
        with contextlib.suppress(OSError):
            if isinstance(change, Bind):
                self._netlink.replace_route(route)
            else:
                self._netlink.delete_route(route)

    def _apply_at_gateway(self, changes: Sequence[Change]) -> list[int]:
        """The prefix is routed to its access interface before the programs use it: for what the stack itself sends."""
        routed: dict[int, int] = {}
        for index, change in enumerate(changes):
            if (
                isinstance(change, Bind)
                and change.access
                and change.prefix_length == PREFIX_LENGTH
                and len(change.prefix) == 16
            ):
                try:
                    self._netlink.replace_route(Route(change.prefix, PREFIX_LENGTH, change.access))
                except OSError as error:
                    routed[index] = error.errno or 5
        if not routed:
            answers = self._tables.apply(changes)
        else:
            fine = [index for index in range(len(changes)) if index not in routed]
            outcome = dict(zip(fine, self._tables.apply([changes[index] for index in fine]), strict=True))
            answers = [routed.get(index, outcome.get(index, 0)) for index in range(len(changes))]
        for change in changes:
            if len(change.prefix) == 16 and not self._tables.is_bound(change.prefix):
                with contextlib.suppress(OSError):
                    self._netlink.delete_route(Route(change.prefix, change.prefix_length, 0))
        return answers

    def subscribe(self, group: bytes, home_address: bytes) -> None:
        """Two writes, wherever the home address is."""
        self._listeners.subscribe(group, home_address)

    def unsubscribe(self, group: bytes, home_address: bytes) -> None:
        """Four writes at the most."""
        self._listeners.unsubscribe(group, home_address)

    def allow_listener_reports(self, allowed: bool) -> None:
        """Takes effect with the next packet."""
        with self._lock:
            self._flags = self._flags | _LISTENER_REPORTS if allowed else self._flags & ~_LISTENER_REPORTS
            self._write_configuration()
        self._slow_path.reports_allowed = allowed

    def bindings(self) -> Iterable[tuple[bytes, int, Tunnel | None]]:
        """Read back from the maps."""
        return self._tables.read_back()

    def tunnels(self) -> dict[Tunnel, int]:
        """The tunnels in use and how many bindings share each."""
        return {tunnel: record.users for tunnel, record in self._tables.tunnels().items()}

    def map_bytes(self) -> int:
        """The memory that the kernel accounts to the maps."""
        return sum(made.locked_bytes() for made in self._objects.maps.values())

    # ---- routes, MTU, counters ----

    def set_path_mtu(self, tunnel: Tunnel, mtu: int) -> None:
        """Takes effect with the next packet."""
        with self._lock:
            self._tables.set_path_mtu(tunnel, mtu)

    def routes_changed(self) -> None:
        """Every remembered next hop is looked up again at its next use."""
        with self._lock:
            self._generation = self._generation % 0xFFFFFFFF + 1
            self._write_configuration()

    def rules_changed(self) -> None:
        """Routing rules have changed: see whether next hops may be remembered by destination."""
        self._look_at_rules()
        self.routes_changed()

    def _look_at_rules(self) -> None:
        with contextlib.suppress(OSError):
            with contextlib.closing(RouteNetlink()) as netlink:  # another thread may be using ours
                foreign = [rule for owner, rule in netlink.rules() if owner != PROTOCOL]
            selective = any((rule.priority, rule.table) not in _DEFAULT_RULES for rule in foreign)
            with self._lock:
                self._flags = (self._flags & ~_POLICY_ROUTING) | (_POLICY_ROUTING if selective else 0)

    def _write_configuration(self) -> None:
        home = self.settings.prefixes[0][0] if self.settings.side is Side.NODE else bytes(16)
        numbers = (self._generation, self._flags, self._device.index, self._upstream)
        entry = _CONFIGURATION.pack(*numbers, home, self._upstream_address)
        self._objects.maps["configurations"].update(_FIRST, entry)

    def counters(self) -> dict[str, int]:
        """Summed over the processors, and with what user space has counted."""
        found = {}
        for index, name in enumerate(COUNTERS):
            raw = self._objects.maps["counters"].lookup(struct.pack("=I", index)) or b""
            found[name] = sum(struct.unpack(f"={len(raw) // 8}Q", raw))
        for name, packets in list(self._slow_path.counters.items()):
            found[name] += packets
        return found

    def add_notes(self, notes: Sequence[str]) -> None:
        """What whoever chose this plane wants the operator to know."""
        self._notes.extend(notes)

    def notes(self) -> list[str]:
        """What was found missing and what is used instead."""
        return list(self._notes)

    def close(self) -> None:
        """Unhook everything, remove routes and the tunnel device."""
        for interface in list(self._ports):
            self.detach(interface)
        self._undo.close()
