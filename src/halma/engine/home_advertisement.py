# SPDX-License-Identifier: Apache-2.0
"""The Router Advertisements of a home agent on its home links: RFC 4861 section 6.2, RFC 6275 sections 7.1 to 7.5, RFC 3963
section 7.3.

Always holds: an advertisement has the H flag, our link-layer address and a prefix with a whole address of ours; two of one link
are never closer than MinDelayBetweenRAs.
"""

from __future__ import annotations

from dataclasses import dataclass

from halma.engine.anchor_settings import Advertising, HomeLink
from halma.engine.api import Now
from halma.engine.chance import Chance
from halma.engine.constants import AUTOCONFIGURATION_LENGTH
from halma.engine.home_agent_discovery_api import SendAdvertisement
from halma.engine.timers import Deadlines
from halma.wire.nd import (
    AdvertisementInterval,
    HomeAgentInformation,
    PrefixInformation,
    RouterAdvertisement,
    SourceLinkLayerAddress,
)
from halma.wire.numbers import HomeAgentFlag, PrefixInformationFlag, RouterAdvertisementFlag
from halma.wire.optionspace import Option

HOP_LIMIT = 64
MAX_INITIAL_RTR_ADVERTISEMENTS = 3
MAX_INITIAL_RTR_ADVERT_INTERVAL = 16.0
MAX_RA_DELAY_TIME = 0.5
"""Seconds; all three are of RFC 4861 section 10."""
SHORT_INTERVAL = 200
ADDED = 20
"""Milliseconds: an interval under the first is told with the second added (RFC 6275 section 7.5)."""
NEVER = float("-inf")


@dataclass(slots=True, eq=False)
class _Link:
    """An interface with its prefixes, and what was said there."""

    links: tuple[HomeLink, ...]
    advertising: Advertising
    early: int = 0
    """How many of the first advertisements have still to come."""
    last: float = NEVER


class HomeAdvertisement:
    """All home links that we advertise."""

    def __init__(self, links: tuple[HomeLink, ...], chance: Chance, *, mobile_routers: bool) -> None:
        self.deadlines: Deadlines[int] = Deadlines()
        self.counters = {"router_advertisements_sent": 0, "router_solicitations_received": 0}
        self._mobile_routers = mobile_routers
        self._chance = chance
        self._links: dict[int, _Link] = {}
        for link in links:
            if link.advertising is not None and link.interface not in self._links:
                here = tuple(other for other in links if other.interface == link.interface)
                self._links[link.interface] = _Link(here, link.advertising)

    def begin(self, interface: int, now: Now) -> None:
        """The link carries frames: a few advertisements in short order, so that hosts need not wait (section 6.2.4)."""
        link = self._links.get(interface)
        if link is not None:
            link.early = MAX_INITIAL_RTR_ADVERTISEMENTS
            self._schedule(interface, link, now.monotonic, 0.0)

    def solicited(self, interface: int, now: Now) -> None:
        """Somebody asks: everybody is told, after a random while (section 6.2.6)."""
        self.counters["router_solicitations_received"] += 1
        link = self._links.get(interface)
        if link is not None:
            self._schedule(interface, link, now.monotonic, self._chance.between(0.0, MAX_RA_DELAY_TIME))

    def cease(self) -> list[SendAdvertisement]:
        """The last words: no router is here, and no home agent (section 6.2.5). The Home Agent Information option could not
        say so (RFC 6275 section 7.4) and is left out."""
        return [
            SendAdvertisement(interface, self._message(link, ceasing=True))
            for interface, link in self._links.items()
            if link.last != NEVER
        ]

    def handle_timeout(self, now: Now) -> list[SendAdvertisement]:
        """Advertise where it is time to."""
        effects = []
        for interface in self.deadlines.due(now.monotonic):
            link = self._links[interface]
            link.last = now.monotonic
            link.early = max(0, link.early - 1)
            interval = self._chance.between(link.advertising.minimum_interval, link.advertising.maximum_interval)
            if link.early:
                interval = min(interval, MAX_INITIAL_RTR_ADVERT_INTERVAL)
            self._schedule(interface, link, now.monotonic, interval)
            self.counters["router_advertisements_sent"] += 1
            effects.append(SendAdvertisement(interface, self._message(link, ceasing=False)))
        return effects

    def _schedule(self, interface: int, link: _Link, now: float, delay: float) -> None:
        """Bring the next one forward to `delay` from now, as far as MinDelayBetweenRAs allows."""
        when = max(now + delay, link.last + link.advertising.minimum_delay)
        planned = self.deadlines.get(interface)
        if planned is None or when < planned:
            self.deadlines.set(interface, when)

    def _message(self, link: _Link, *, ceasing: bool) -> RouterAdvertisement:
        advertising = link.advertising
        lifetime = 0 if ceasing else advertising.router_lifetime
        interval = round(advertising.maximum_interval * 1000)
        options: list[Option] = [
            SourceLinkLayerAddress(advertising.link_layer_address),
            AdvertisementInterval(interval + ADDED if interval < SHORT_INTERVAL else interval),
            *(prefix_information(each) for each in link.links),
        ]
        preference, usual = link.links[0].preference, advertising.router_lifetime
        if not ceasing and (self._mobile_routers or preference or advertising.home_agent_lifetime != usual):
            flags = int(HomeAgentFlag.MOBILE_ROUTER) if self._mobile_routers else 0
            options.append(HomeAgentInformation(flags, preference, advertising.home_agent_lifetime))
        flags = int(RouterAdvertisementFlag.HOME_AGENT)
        return RouterAdvertisement(HOP_LIMIT, flags, lifetime, 0, 0, tuple(options))


def prefix_information(link: HomeLink) -> PrefixInformation:
    """The prefix of a home link, in which stands our whole address (RFC 6275 section 7.2)."""
    flags = int(PrefixInformationFlag.ON_LINK | PrefixInformationFlag.ROUTER_ADDRESS)
    if link.length == AUTOCONFIGURATION_LENGTH:
        flags |= int(PrefixInformationFlag.AUTONOMOUS)
    return PrefixInformation(link.length, flags, link.valid_lifetime, link.preferred_lifetime, link.address)
