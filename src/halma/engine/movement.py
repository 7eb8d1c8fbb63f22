# SPDX-License-Identifier: Apache-2.0
"""Where a mobile node is: which router it uses, and when it has come to another link. RFC 6275 section 11.5.1, RFC 4861
sections 6.3.4 to 6.3.7 and 7.3.

A link event makes everything doubtful, and the first router that answers settles it. Without one, a new router, a late
advertisement or a silent neighbour is only a hint: the router in use is asked first, and as long as it answers the node has not
moved. Gateways of one Proxy Mobile IPv6 domain, and by RFC 6543 of all domains, look like one router: there the prefixes tell.

Always holds: at most one router is in use; it is left only when it has not answered, its lifetime has ended, or the link is
another; memory is bounded whoever advertises what.
"""

from __future__ import annotations

from math import inf
from typing import Protocol

from halma.engine.api import Severity
from halma.engine.constants import MAX_UNICAST_SOLICIT
from halma.engine.node_api import MAX_RTR_SOLICITATIONS, ProbeRouter, RouterAdvertisementReceived, SolicitRouters
from halma.engine.node_context import NodeContext, Timer
from halma.engine.routers import Router, named

MAXIMUM_ROUTERS = 16
"""Routers of one link that are kept."""
LONGEST_SOLICITATION_INTERVAL = 32.0
"""Seconds between solicitations while no router answers at all (RFC 7559 lets the interval grow)."""


class Traveller(Protocol):
    """Who wants to know where the node is."""

    def arrived(self, router: Router, *, moved: bool) -> None:
        """This router is in use, and its prefixes are those of the link; told again whenever they may have changed. `moved`:
        the link is another than before, or may have been away."""

    def doubtful(self) -> None:
        """The link may be another one now."""

    def stranded(self) -> None:
        """There is no router any more."""


class Movement:
    """See the module. `current` is the router in use, `up` whether the link carries frames.

    A link event makes the node `_unsure` until a router is settled upon; the one in use may show meanwhile that it is `_alive`.
    It is `_doubted` when it advertises other prefixes without a link event, until a router has answered."""

    def __init__(self, context: NodeContext, traveller: Traveller) -> None:
        self._context = context
        self._traveller = traveller
        self._routers: dict[bytes, Router] = {}
        self.current: Router | None = None
        self.up = False
        self._unsure = False
        self._doubted = False
        self._alive = False
        self._probes = 0
        self._solicitations = 0
        self._interval = 0.0
        context.on(Timer.SOLICIT, self._solicit_due)
        context.on(Timer.PROBE, self._probe_due)
        context.on(Timer.ADVERTISEMENT_LATE, self._late)
        context.on(Timer.LINK_KNOWLEDGE, self._knowledge_due)

    # ---- the link ----

    def link_up(self) -> None:
        """The link is there (again): whatever was known of it may be wrong. Asks all routers, and the one in use."""
        self.up = True
        self._context.count("link_up")
        self._doubt()
        self._solicit()
        if self.current is not None:
            self._probe()

    def link_down(self) -> None:
        """Nothing is heard any more."""
        self.up = False
        self._context.count("link_down")
        self._doubt()
        for timer in (Timer.SOLICIT, Timer.PROBE, Timer.ADVERTISEMENT_LATE):
            self._context.disarm(timer)

    def _doubt(self) -> None:
        self._unsure = True
        self._alive = False
        self._probes = 0
        self._traveller.doubtful()

    # ---- routers ----

    def advertised(self, event: RouterAdvertisementReceived) -> None:
        """A router has advertised itself."""
        self._context.count("router_advertisements")
        self.up = True
        now = self._context.now.monotonic
        current = self.current
        prefixes = named(event.message)
        shares = current is not None and bool(prefixes & current.prefixes.keys())
        if current is not None and event.source == current.address:
            self._current_advertised(event, current, same=shares or not (prefixes and current.prefixes))
            return
        if not event.message.router_lifetime:
            self._routers.pop(event.source, None)
            return
        router = self._routers.get(event.source)
        if router is None:
            if len(self._routers) >= MAXIMUM_ROUTERS:
                return
            router = self._routers[event.source] = Router(event.source, event.link_layer_address)
        router.learn(event.message, now)
        if current is None or (self._unsure and not self._alive):
            self._arrive(router, moved=not shares)
        elif not shares and not self._unsure:
            self._context.count("movement_hints")
            self._probe()

    def _current_advertised(self, event: RouterAdvertisementReceived, current: Router, *, same: bool) -> None:
        if not same and not self._unsure and not self._doubted:
            self._context.count("movement_hints")
            self._doubted = True
            self._solicit()
            return
        if not same:
            current = self._routers[event.source] = Router(event.source, event.link_layer_address)
        current.learn(event.message, self._context.now.monotonic)
        if not event.message.router_lifetime:
            self._lose(current)
            return
        self._arrive(current, moved=self._unsure or not same)

    def _arrive(self, router: Router, *, moved: bool) -> None:
        if moved and router is not self.current:
            self._routers = {router.address: router}
        self.current = router
        self._unsure = self._doubted = False
        self._probes = 0
        self._context.disarm(Timer.SOLICIT)
        self._context.disarm(Timer.PROBE)
        self._expect(router)
        self._traveller.arrived(router, moved=moved)

    def confirmed(self, address: bytes) -> None:
        """A router has answered. After a link event that alone says little: a gateway elsewhere would have answered too."""
        if self.current is None or address != self.current.address:
            return
        self._alive = True
        self._probes = 0
        self._context.disarm(Timer.PROBE)
        self._expect(self.current)

    def unreachable(self, address: bytes) -> None:
        """The kernel has asked a router in vain: ask them all."""
        if self.current is not None and address == self.current.address and not self._unsure and self.up:
            self._context.count("router_unreachable")
            self._unsure, self._alive = True, False
            self._solicit()

    def _lose(self, router: Router) -> None:
        """This router is none any more; take another one of the link, or look for one."""
        self._routers.pop(router.address, None)
        now = self._context.now.monotonic
        others = [other for other in self._routers.values() if other.expires > now]
        if others:
            other = max(others, key=lambda one: one.heard)
            self._arrive(other, moved=not other.prefixes.keys() & router.prefixes.keys())
            return
        self.current = None
        self._context.count("router_lost")
        for timer in (Timer.PROBE, Timer.ADVERTISEMENT_LATE, Timer.LINK_KNOWLEDGE):
            self._context.disarm(timer)
        self._traveller.stranded()
        self._solicit()

    # ---- time ----

    def _expect(self, router: Router) -> None:
        """Wake up when the router is late, or something of what it said ends."""
        now = self._context.now.monotonic
        if router.interval:
            self._context.arm(Timer.ADVERTISEMENT_LATE, router.interval * self._context.settings.lost_advertisements)
        else:
            self._context.disarm(Timer.ADVERTISEMENT_LATE)
        change = router.next_change(now)
        if change < inf:
            self._context.arm(Timer.LINK_KNOWLEDGE, change - now)
        else:
            self._context.disarm(Timer.LINK_KNOWLEDGE)

    def _late(self, _key: bytes) -> None:
        self._context.count("advertisements_late")
        self._probe()

    def _knowledge_due(self, _key: bytes) -> None:
        router = self.current
        assert router is not None  # who loses it stops this
        if router.expires <= self._context.now.monotonic:
            self._lose(router)
        else:
            self._expect(router)
            self._traveller.arrived(router, moved=False)

    def _solicit(self) -> None:
        """Ask all routers: at once, and a few times more while nobody answers (RFC 4861 section 6.3.7)."""
        if not self.up:
            return
        self._solicitations = 0
        self._interval = self._context.settings.router_solicitation_interval
        self._solicit_due(b"")

    def _solicit_due(self, _key: bytes) -> None:
        if self._solicitations >= MAX_RTR_SOLICITATIONS:
            if self._unsure and self._alive and self.current is not None:
                self._arrive(self.current, moved=True)  # it does not answer solicitations, but it is there
                return
            if not self._unsure and self.current is not None:
                return  # a doubt that nobody has confirmed
            self._interval = min(2 * self._interval, LONGEST_SOLICITATION_INTERVAL)
            if self._solicitations == MAX_RTR_SOLICITATIONS:
                self._context.report(Severity.WARNING, "no_router", "no router answers on this link")
        self._solicitations += 1
        self._context.count("router_solicitations")
        self._context.do(SolicitRouters())
        self._context.arm(Timer.SOLICIT, self._interval)

    def _probe(self) -> None:
        """Ask the router in use whether it is there, unless that is being done."""
        if not self._probes:
            self._probe_due(b"")

    def _probe_due(self, _key: bytes) -> None:
        router = self.current
        assert router is not None  # who loses it stops this
        if self._probes >= MAX_UNICAST_SOLICIT:
            self._probes = 0
            if not self._unsure:
                self._lose(router)
            return
        self._probes += 1
        self._context.count("router_probes")
        self._context.do(ProbeRouter(router.address, router.link_layer_address))
        self._context.arm(Timer.PROBE, self._context.settings.router_probe_interval)

    # ---- for people ----

    def describe(self) -> dict[str, object]:
        """The router in use."""
        router = self.current
        return {"router": router.address if router is not None else b"", "link": "up" if self.up else "down"}
