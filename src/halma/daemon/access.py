# SPDX-License-Identifier: Apache-2.0
"""The access interfaces of a gateway daemon: they come and go, are prepared, heard and spoken to.

It turns what netlink and the packet sockets tell into events of the gateway's engine, and carries out the effects that are
about access links.

Always holds: an interface carries packets of the data plane before it is up; a network port is never an access interface,
whatever the patterns say; a flood on one interface takes a bounded share of the event loop; an interface is given back as
it was before the first of all lives that were cut short.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any

from halma.daemon.original_interfaces import OriginalInterfaces
from halma.engine.api import Report, Severity
from halma.engine.gateway_api import (
    AdmitNode,
    AdvertiseRouter,
    GatewayEvent,
    LinkAppeared,
    LinkDown,
    LinkUp,
    LinkVanished,
    PrepareLink,
    ProbeNode,
    SetLinkLocalAddresses,
    SolicitNodes,
    TearDownLink,
)
from halma.forwarding.plane import Plane, PortKind
from halma.netio.access import BURST, PAUSE, AccessPort
from halma.netio.access_interface import AccessInterface, Original
from halma.netio.netlink import LinkControl, LinkGone, LinkMonitor, LinkState


class _Port:
    """The packet socket of an interface, with how much of the present window is used up."""

    def __init__(self, socket: AccessPort) -> None:
        self.socket = socket
        self.taken = 0
        self.since = 0.0


class AccessInterfaces:
    """See the module. `post` gives events to the engine, `report` tells the operator."""

    def __init__(
        self,
        patterns: tuple[str, ...],
        network: tuple[str, ...],
        plane: Plane,
        post: Callable[..., None],
        report: Callable[[Report], None],
        originals: OriginalInterfaces,
    ) -> None:
        """Raises OSError."""
        self._patterns = patterns
        self._network = frozenset(network)
        self._plane = plane
        self._post = post
        self._report = report
        self._originals = originals
        self._loop = asyncio.get_running_loop()
        self._control = LinkControl()
        self._monitor = LinkMonitor()
        self._interfaces: dict[int, AccessInterface] = {}
        self._ports: dict[int, _Port] = {}
        self._counters: dict[str, int] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}

    # ---- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Look at the interfaces there are, and listen for what becomes of them. Those that a former life had and we do not
        want are given back."""
        self._loop.add_reader(self._monitor.fileno(), self._links_changed)
        links = self._monitor.all()
        self._originals.retain(link.interface for link in links)
        for link in links:
            former = self._originals.of(link.interface)
            if former is not None and isinstance(link, LinkState) and not self._is_access(link.name):
                self._give_back(AccessInterface(link, self._control, former))
        self._post(*self._events(links))

    def close(self) -> None:
        """Give every interface back."""
        self._loop.remove_reader(self._monitor.fileno())
        self._monitor.close()
        for index in list(self._ports):
            self._close_port(index)
        for interface in self._interfaces.values():
            self._give_back(interface)
        self._interfaces.clear()
        self._control.close()

    def index(self, name: str) -> int:
        """The index of the access interface of this name; 0 when there is none."""
        for index, interface in self._interfaces.items():
            if interface.state.name == name:
                return index
        return 0

    def counters(self) -> dict[str, int]:
        """Frames heard and sent, on all interfaces together, those that have gone included."""
        total = dict(self._counters)
        for port in self._ports.values():
            for name, count in port.socket.counters.items():
                total[name] = total.get(name, 0) + count
        return total

    def handlers(self) -> dict[type, Callable[[Any], Iterable[Any]]]:
        """Who carries out which effect."""
        return {
            PrepareLink: self._prepare,
            SetLinkLocalAddresses: self._set_link_local_addresses,
            SolicitNodes: self._solicit,
            AdvertiseRouter: self._advertise,
            ProbeNode: self._probe,
            AdmitNode: self._admit,
            TearDownLink: self._tear_down,
        }

    # ---- links --------------------------------------------------------------------------------------------------------

    def _links_changed(self) -> None:
        self._post(*self._events(self._monitor.receive()))

    def _is_access(self, name: str) -> bool:
        return name not in self._network and any(fnmatchcase(name, pattern) for pattern in self._patterns)

    def _events(self, happened: list[LinkState | LinkGone]) -> list[GatewayEvent]:
        events: list[GatewayEvent] = []
        for change in happened:
            interface = self._interfaces.get(change.interface)
            if isinstance(change, LinkGone) or not self._is_access(change.name):
                if interface is not None:
                    events.append(self._gone(interface, change))
            elif interface is None:
                former = self._originals.of(change.interface)
                self._interfaces[change.interface] = AccessInterface(change, self._control, former, self._keep)
                events.append(LinkAppeared(change.interface, change.name, change.mtu))
            elif interface.prepared:
                events += self._changed(interface, change)
        return events

    def _changed(self, interface: AccessInterface, state: LinkState) -> list[GatewayEvent]:
        """An interface that is prepared has another state."""
        before, interface.state = interface.state, state
        if state.up and not before.up:
            with contextlib.suppress(OSError):
                interface.renew_addresses()
        if state.carrier and (not before.carrier or state.mtu != before.mtu):
            return [LinkUp(state.interface, state.mtu)]
        if before.carrier and not state.carrier:
            port = self._ports.get(state.interface)
            if port is not None:
                port.socket.forget_all()
            return [LinkDown(state.interface)]
        return []

    def _gone(self, interface: AccessInterface, change: LinkState | LinkGone) -> LinkVanished:
        """It is not here any more, or has a name that is not meant."""
        index = change.interface
        del self._interfaces[index]
        self._close_port(index)
        self._plane.detach(index)
        if isinstance(change, LinkState):
            interface.state = change
            self._give_back(interface)
        self._originals.forget(index)
        return LinkVanished(index)

    def _keep(self, original: Original) -> None:
        try:
            self._originals.keep(original)
        except OSError as error:  # the node is to be served all the same
            text = "cannot write down how an interface was, so a crash would leave it as it is now: {}"
            self._report(Report(Severity.WARNING, "state", text, b"", (error,)))

    def _give_back(self, interface: AccessInterface) -> None:
        interface.restore()
        self._originals.forget(interface.state.interface)

    def _prepare(self, effect: PrepareLink) -> list[GatewayEvent]:
        """Everything that a node will find, then the interface itself."""
        index = effect.interface
        interface = self._interfaces.get(index)
        if interface is None:
            return []
        name = interface.state.name
        try:
            interface.prepare(effect.link_layer_address, effect.link_local_address)
            self._plane.attach(index, PortKind.ACCESS)
            if index not in self._ports:
                self._open_port(index, AccessPort(index, name, effect.link_layer_address))
            self._control.set_up(index)
            self._forget_notices(index)
            state = self._control.link(index)
        except OSError as error:
            if error.errno != errno.ENODEV:  # it went away meanwhile: that will be told
                text = "cannot make {} an access interface: {}"
                self._report(Report(Severity.ERROR, "interface", text, b"", (name, error)))
            return []
        interface.state = state
        return [LinkUp(index, state.mtu)] if state.carrier else []

    def _forget_notices(self, index: int) -> None:
        """What the monitor has still to tell of this interface is how it was while it was prepared, up to its going."""
        happened = self._monitor.receive()
        gone = happened.index(LinkGone(index)) if LinkGone(index) in happened else len(happened)
        others = [change for place, change in enumerate(happened) if change.interface != index or place >= gone]
        if others:
            self._loop.call_soon(self._tell, others)

    def _tell(self, changes: list[LinkState | LinkGone]) -> None:
        self._post(*self._events(changes))

    def _set_link_local_addresses(self, effect: SetLinkLocalAddresses) -> list[GatewayEvent]:
        interface = self._interfaces.get(effect.interface)
        if interface is not None:
            try:
                interface.set_addresses(effect.addresses)
            except OSError as error:
                if error.errno == errno.ENODEV:  # the link has left, and netlink is about to say so
                    return []
                text = "cannot give {} its link-local addresses: {}"
                self._report(Report(Severity.ERROR, "interface", text, b"", (interface.state.name, error)))
        return []

    # ---- frames -------------------------------------------------------------------------------------------------------

    def _open_port(self, index: int, socket: AccessPort) -> None:
        self._ports[index] = _Port(socket)
        self._loop.add_reader(socket.fileno(), self._heard, index)

    def _close_port(self, index: int) -> None:
        port = self._ports.pop(index, None)
        if port is None:
            return
        timer = self._timers.pop(index, None)
        if timer is not None:
            timer.cancel()
        self._loop.remove_reader(port.socket.fileno())
        for name, count in port.socket.counters.items():
            self._counters[name] = self._counters.get(name, 0) + count
        port.socket.close()

    def _heard(self, index: int) -> None:
        port = self._ports[index]
        before = port.socket.counters["frames_heard"]
        try:
            events = port.socket.receive()
        except OSError:  # the interface is down or has gone, which netlink tells
            return
        now = self._loop.time()
        if now >= port.since + PAUSE:
            port.since, port.taken = now, 0
        port.taken += port.socket.counters["frames_heard"] - before
        if port.taken >= BURST:
            self._loop.remove_reader(port.socket.fileno())
            self._timers[index] = self._loop.call_at(port.since + PAUSE, self._listen_again, index)
        self._post(*events)

    def _listen_again(self, index: int) -> None:
        del self._timers[index]
        self._loop.add_reader(self._ports[index].socket.fileno(), self._heard, index)

    def _solicit(self, effect: SolicitNodes) -> list[GatewayEvent]:
        port, interface = self._ports.get(effect.interface), self._interfaces.get(effect.interface)
        if port is not None and interface is not None:
            port.socket.solicit(interface.address)
        return []

    def _advertise(self, effect: AdvertiseRouter) -> list[GatewayEvent]:
        port = self._ports.get(effect.interface)
        if port is not None:
            port.socket.advertise(effect.link_layer_address, effect.source, effect.destination, effect.message)
        return []

    def _probe(self, effect: ProbeNode) -> list[GatewayEvent]:
        port = self._ports.get(effect.interface)
        if port is not None:
            port.socket.probe(effect.link_layer_address, effect.source, effect.address)
        return []

    def _admit(self, effect: AdmitNode) -> list[GatewayEvent]:
        port = self._ports.get(effect.interface)
        if port is not None:
            port.socket.admit(effect.link_layer_address)
        return []

    def _tear_down(self, effect: TearDownLink) -> list[GatewayEvent]:
        port = self._ports.get(effect.interface)
        if port is not None:
            port.socket.forget(effect.link_layer_address)
            with contextlib.suppress(OSError):
                self._control.forget_neighbours(effect.interface, effect.link_layer_address)
        return []
