# SPDX-License-Identifier: Apache-2.0
"""The home links of an anchor's daemon: it hears them, and speaks there for itself and for the nodes that are away.

RFC 6275 sections 10.3.1 (Duplicate Address Detection), 10.4.1 (interception), 10.5 and 10.6; RFC 4861 section 7.2.6.

Always holds: nothing here waits; what the kernel was told is taken back at the end, and what a crash left at the next start; a
link that went and came back defends the same addresses as before.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import assert_never

from halma.daemon.configuration_anchor import AnchorConfiguration
from halma.daemon.configuration_home import home_link
from halma.engine.anchor_settings import HomeLink
from halma.engine.anycast import home_agents_anycast
from halma.engine.api import Report, Severity
from halma.engine.constants import MAX_NEIGHBOR_ADVERTISEMENT, RETRANS_TIMER
from halma.engine.home_agent_discovery_api import (
    DiscoveryRequested,
    HomeAgentStopping,
    HomeLinkUp,
    SendAdvertisement,
)
from halma.engine.home_link import DefendAddress, DetectDuplicate, DetectionDone, HomeLinkEffect, ReleaseAddress
from halma.forwarding.redirects import NoRedirects
from halma.netio.discovery import DiscoverySocket
from halma.netio.home_link import AddressSeen, HomeLinkPort
from halma.netio.neighbour_proxy import NeighbourProxy
from halma.netio.netlink import LinkControl, LinkMonitor, LinkState

LinkEffect = HomeLinkEffect | SendAdvertisement
LINK_EFFECTS: tuple[type[LinkEffect], ...] = (DetectDuplicate, DefendAddress, ReleaseAddress, SendAdvertisement)
"""What is carried out here."""


def home_links(configuration: AnchorConfiguration) -> tuple[HomeLink, ...]:
    """The home links of a configuration as they are on this machine. Raises ValueError when an interface is not there."""
    found = []
    with contextlib.closing(LinkMonitor()) as monitor:
        states = {state.name: state for state in monitor.all() if isinstance(state, LinkState)}
    for table in configuration.home_links:
        state = states.get(table.interface)
        if state is None:
            raise ValueError(f"there is no interface {table.interface}")
        found.append(home_link(table, configuration.anchor.addresses, state.interface, state.link_layer_address))
    return tuple(found)


@dataclass(slots=True)
class _Defended:
    """An address that we answer for; `timer` runs while its advertisement is to be repeated."""

    router: bool
    timer: asyncio.TimerHandle | None = None


class HomeLinkService:
    """See the module. `post` gives events to the engine, `report` tells the operator. Raises OSError."""

    def __init__(self, links: tuple[HomeLink, ...], post: Callable[..., None], report: Callable[[Report], None]) -> None:
        self._post = post
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._ports: dict[int, HomeLinkPort] = {}
        self._carrier: dict[int, bool] = {}
        self._defended: dict[tuple[int, bytes], _Defended] = {}
        self._sought: dict[tuple[int, bytes], set[int]] = {}
        with contextlib.ExitStack() as stack:
            self._monitor = stack.enter_context(contextlib.closing(LinkMonitor()))
            self._control = stack.enter_context(contextlib.closing(LinkControl()))
            self._proxy = stack.enter_context(contextlib.closing(NeighbourProxy()))
            self._discovery = stack.enter_context(contextlib.closing(DiscoverySocket()))
            names = {state.interface: state.name for state in self._monitor.all() if isinstance(state, LinkState)}
            for link in links:
                if link.interface not in self._ports:
                    port = HomeLinkPort(link.interface, names[link.interface], link.address, self._control)
                    self._ports[link.interface] = stack.enter_context(contextlib.closing(port))
                    self._proxy.clean(link.interface)
                self._discovery.join(link.interface, home_agents_anycast(link.prefix, link.length))
            self._redirects = NoRedirects("anchor", [port.name for port in self._ports.values()])
            stack.callback(self._redirects.close)
            self._stack = stack.pop_all()

    # ---- life ----

    def start(self) -> None:
        """Listen, and look which links carry frames."""
        self._loop.add_reader(self._monitor.fileno(), self._links_changed)
        self._loop.add_reader(self._discovery.fileno(), self._asked)
        for port in self._ports.values():
            self._loop.add_reader(port.fileno(), self._heard, port)
        self._take(self._monitor.all())

    def close(self) -> None:
        """The last words, then all is given back."""
        self._post(HomeAgentStopping())
        descriptors = [self._monitor.fileno(), self._discovery.fileno(), *(port.fileno() for port in self._ports.values())]
        for descriptor in descriptors:
            self._loop.remove_reader(descriptor)
        for (interface, address), defended in self._defended.items():
            if defended.timer is not None:
                defended.timer.cancel()
            with contextlib.suppress(OSError):
                self._proxy.remove(interface, address)
        self._stack.close()

    def notes(self) -> list[str]:
        """Sentences for the operator."""
        return self._redirects.notes()

    def carry_out(self, effect: LinkEffect) -> None:
        """Do what the engine wants on a home link."""
        if isinstance(effect, DetectDuplicate):
            self._detect(effect)
        elif isinstance(effect, DefendAddress):
            self._defend(effect)
        elif isinstance(effect, ReleaseAddress):
            self._release(effect)
        elif isinstance(effect, SendAdvertisement):
            self._ports[effect.interface].advertise_router(effect.message)
        else:
            assert_never(effect)

    # ---- links ----

    def _links_changed(self) -> None:
        self._take(self._monitor.receive())

    def _take(self, happened: Iterable[object]) -> None:
        """A link that carries frames (again) is told what we are there, and for whom."""
        for state in happened:
            if not isinstance(state, LinkState) or state.interface not in self._ports:
                continue
            port = self._ports[state.interface]
            port.link_layer_address = state.link_layer_address
            before, self._carrier[state.interface] = self._carrier.get(state.interface, False), state.carrier
            if state.carrier and not before:
                for (interface, address), defended in list(self._defended.items()):
                    if interface == state.interface:
                        self._defend(DefendAddress(interface, address, defended.router))
                self._post(HomeLinkUp(state.interface))

    # ---- in ----

    def _heard(self, port: HomeLinkPort) -> None:
        try:
            heard = port.receive()
        except OSError:  # the interface is down or has gone, which netlink tells
            return
        events: list[object] = []
        for event in heard:
            if isinstance(event, AddressSeen):
                ops = self._sought.pop((port.interface, event.address), set())
                for op in ops:
                    port.sought()
                    events.append(DetectionDone(op, True))
            else:
                events.append(event)
        if events:
            self._post(*events)

    def _asked(self) -> None:
        try:
            requests = self._discovery.receive()
        except OSError:
            return
        self._post(*(DiscoveryRequested(*request, secrets.randbits(64)) for request in requests))

    # ---- Duplicate Address Detection ----

    def _detect(self, effect: DetectDuplicate) -> None:
        port = self._ports[effect.interface]
        port.seek(effect.address)
        self._sought.setdefault((effect.interface, effect.address), set()).add(effect.op)
        self._loop.call_later(RETRANS_TIMER, self._unheard, port, effect)

    def _unheard(self, port: HomeLinkPort, effect: DetectDuplicate) -> None:
        """Nobody has spoken up for the address in time, unless somebody has."""
        key = (effect.interface, effect.address)
        ops = self._sought.get(key, set())
        if effect.op in ops and port.fileno() >= 0:
            ops.discard(effect.op)
            if not ops:
                del self._sought[key]
            port.sought()
            self._post(DetectionDone(effect.op, False))

    # ---- in others' stead ----

    def _defend(self, effect: DefendAddress) -> None:
        port, key = self._ports[effect.interface], (effect.interface, effect.address)
        try:
            self._proxy.add(effect.interface, effect.address, router=effect.router)
        except OSError as error:
            text = "cannot answer for {:address} on {}: {}"
            details = (effect.address, port.name, error.strerror)
            self._report(Report(Severity.ERROR, "home_link", text, effect.address, details))
        self._forget(key)
        self._defended[key] = _Defended(effect.router)
        self._announce(key, MAX_NEIGHBOR_ADVERTISEMENT)

    def _announce(self, key: tuple[int, bytes], times: int) -> None:
        """An unsolicited advertisement, and again until it was said so many times (RFC 4861 section 7.2.6)."""
        interface, address = key
        defended = self._defended[key]
        self._ports[interface].advertise_address(address, router=defended.router)
        defended.timer = self._loop.call_later(RETRANS_TIMER, self._announce, key, times - 1) if times > 1 else None

    def _release(self, effect: ReleaseAddress) -> None:
        self._forget((effect.interface, effect.address))
        with contextlib.suppress(OSError):
            self._proxy.remove(effect.interface, effect.address)

    def _forget(self, key: tuple[int, bytes]) -> None:
        defended = self._defended.pop(key, None)
        if defended is not None and defended.timer is not None:
            defended.timer.cancel()
