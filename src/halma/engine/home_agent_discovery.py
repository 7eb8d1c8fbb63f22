# SPDX-License-Identifier: Apache-2.0
"""How nodes find their home agent and learn of their home link: Router Advertisements, the Home Agents List, Dynamic Home Agent
Address Discovery, Mobile Prefix Advertisements.

RFC 6275 sections 8.4, 10.5 and 10.6; RFC 3963 section 7. `home_advertisement`, `home_agents_list` and `home_prefixes` do the
work of one of these each.

Always holds: nobody is told of a home agent whose lifetime is over; a reply fits into 1280 octets and goes to whom has asked,
so many a second at the most; an order among equals comes from the event's seed.
"""

from __future__ import annotations

from typing import assert_never

from halma.engine.anchor_settings import HomeAgentSettings, HomeLink
from halma.engine.anycast import home_agents_anycast
from halma.engine.api import Now
from halma.engine.chance import Chance
from halma.engine.home_advertisement import HomeAdvertisement
from halma.engine.home_agent_discovery_api import (
    DiscoveryRequested,
    HomeAgentStopping,
    HomeDiscoveryEffect,
    HomeDiscoveryEvent,
    HomeLinkUp,
    PrefixSolicited,
    RouterAdvertisementHeard,
    RouterSolicitationHeard,
    SendIcmp,
)
from halma.engine.home_agents_list import Candidate, HomeAgentsList
from halma.engine.home_binding_cache import HomeBindingCache
from halma.engine.home_link import HomeLinks
from halma.engine.home_prefixes import HomePrefixes
from halma.engine.meter import Meter
from halma.wire.icmpv6 import MINIMUM_MTU, HomeAgentAddressDiscoveryReply
from halma.wire.numbers import HomeAgentFlag

MOST_ADDRESSES = (MINIMUM_MTU - 40 - 8) // 16
"""Addresses that fit into a reply."""
REPLIES_PER_SECOND = 50
"""All askers together: a reply may be a hundred times as long as the request."""


class HomeAgentDiscovery:
    """The part of a home agent that is about links and their prefixes, not about bindings. `cache` tells who is registered."""

    def __init__(self, settings: HomeAgentSettings, cache: HomeBindingCache) -> None:
        links = settings.links
        chance = Chance(settings.seed)
        self._cache = cache
        self._mobile_routers = settings.mobile_routers
        self._by_anycast: dict[bytes, HomeLink] = {}
        for link in links:
            self._by_anycast[home_agents_anycast(link.prefix, link.length)] = link
        self._links = HomeLinks(links)
        self._lists = {link.interface: HomeAgentsList() for link in links}
        self._advertisement = HomeAdvertisement(links, chance, mobile_routers=settings.mobile_routers)
        self._meter = Meter()
        self._counters = {
            "discovery_requests_received": 0,
            "discovery_requests_not_ours": 0,
            "discovery_requests_suppressed": 0,
            "router_advertisements_heard": 0,
            "prefix_solicitations_unregistered": 0,
        }
        self.prefixes = HomePrefixes(settings, self._links, self._lists.get, chance)

    # ---- as a part of an engine ----

    def handle(self, event: HomeDiscoveryEvent, now: Now) -> list[HomeDiscoveryEffect]:
        """Take one event; give the effects."""
        if isinstance(event, DiscoveryRequested):
            return [*self._discovery(event, now)]
        if isinstance(event, PrefixSolicited):
            return [*self._solicited(event, now)]
        if isinstance(event, RouterAdvertisementHeard):
            self._heard(event, now)
        elif isinstance(event, HomeLinkUp):
            self._advertisement.begin(event.interface, now)
        elif isinstance(event, RouterSolicitationHeard):
            self._advertisement.solicited(event.interface, now)
        elif isinstance(event, HomeAgentStopping):
            return [*self._advertisement.cease()]
        else:
            assert_never(event)
        return []

    def handle_timeout(self, now: Now) -> list[HomeDiscoveryEffect]:
        """Do all that is due."""
        for learnt in self._lists.values():
            learnt.expire(now.monotonic)
        return [*self._advertisement.handle_timeout(now), *self.prefixes.handle_timeout(now)]

    def next_deadline(self) -> float | None:
        """When `handle_timeout` is wanted next."""
        deadlines = [learnt.next_deadline() for learnt in self._lists.values()]
        deadlines += [self._advertisement.deadlines.next(), self.prefixes.deadlines.next()]
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def describe_counters(self) -> dict[str, int]:
        """All counters, by name, with the number of home agents that are known now."""
        known = {"home_agents_known": sum(map(len, self._lists.values()))}
        return known | self._counters | self._advertisement.counters | self.prefixes.counters

    # ---- the Home Agents List (section 10.5.1) ----

    def _heard(self, event: RouterAdvertisementHeard, now: Now) -> None:
        learnt = self._lists.get(event.interface)
        if learnt is not None:
            self._counters["router_advertisements_heard"] += 1
            changed = learnt.heard(event.source, event.message, now.monotonic)
            own = {(link.prefix, link.length) for link in self._links.on(event.interface)}
            self.prefixes.changed(event.interface, [prefix for prefix in changed if prefix not in own], now)

    # ---- Dynamic Home Agent Address Discovery (section 10.5) ----

    def _discovery(self, event: DiscoveryRequested, now: Now) -> list[SendIcmp]:
        self._counters["discovery_requests_received"] += 1
        link = self._by_anycast.get(event.destination)
        if link is None or event.source[0] == 0xFF or not any(event.source):
            self._counters["discovery_requests_not_ours"] += 1
            return []
        if not self._meter.allows(b"", REPLIES_PER_SECOND, now.monotonic):
            self._counters["discovery_requests_suppressed"] += 1
            return []
        own = tuple(each.address for each in self._links.on(link.interface))
        candidates = [Candidate(own, self._links.on(link.interface)[0].preference, self._mobile_routers)]
        candidates += self._lists[link.interface].candidates(now.monotonic)
        flags = 0
        if event.message.flags & HomeAgentFlag.MOBILE_ROUTER:
            supporting = [candidate for candidate in candidates if candidate.mobile_routers]
            if supporting:
                candidates, flags = supporting, int(HomeAgentFlag.MOBILE_ROUTER)
        chance = Chance(event.seed)
        ordered = sorted(chance.shuffled(candidates), key=lambda candidate: -candidate.preference)
        addresses = [address for candidate in ordered for address in chance.shuffled(candidate.addresses)]
        listed = b"".join(list(dict.fromkeys(addresses))[:MOST_ADDRESSES])
        return [SendIcmp(link.address, event.source, HomeAgentAddressDiscoveryReply(event.message.identifier, flags, listed))]

    # ---- Mobile Prefix Solicitations (section 10.6) ----

    def _solicited(self, event: PrefixSolicited, now: Now) -> list[SendIcmp]:
        """The anchor has looked at the Home Address option already."""
        binding = self._cache.registered(event.home_address)
        if binding is None or binding.tunnel.local != event.destination:
            self._counters["prefix_solicitations_unregistered"] += 1
            return []
        return self.prefixes.solicited(event, binding, now)
