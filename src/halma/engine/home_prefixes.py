# SPDX-License-Identifier: Apache-2.0
"""Mobile nodes that are away are told the prefixes of their home link: Mobile Prefix Advertisements, asked for and unasked.

RFC 6275 sections 6.8, 8.4 and 10.6, constants and variables of sections 12 and 13.

Always holds: only a node with a registration in force is told anything; no node is told twice within a second; the whole list
of prefixes goes out each time; nothing is kept for a node whose registration has ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from halma.engine.anchor_settings import HomeAgentSettings, HomeLink
from halma.engine.api import Now
from halma.engine.chance import Chance
from halma.engine.home_advertisement import prefix_information
from halma.engine.home_agent_discovery_api import PrefixSolicited, SendIcmp
from halma.engine.home_agents_list import HomeAgentsList
from halma.engine.home_binding_cache import HOME_PREFIX_LENGTH, HomeBinding, prefix_of
from halma.engine.home_link import HomeLinks
from halma.engine.timers import Deadlines
from halma.wire.icmpv6 import MobilePrefixAdvertisement
from halma.wire.nd import PrefixInformation
from halma.wire.numbers import PrefixInformationFlag

PREFIX_ADV_TIMEOUT = 3.0
PREFIX_ADV_RETRIES = 3
ONCE_A_SECOND = 1.0
"""Seconds between two advertisements to one node at the least (section 6.8)."""
NEVER = float("-inf")


class _Phase(Enum):
    RESTING = "resting"
    """Told, and has acknowledged or never will; due when MaxMobPfxAdvInterval has passed."""
    SCHEDULED = "scheduled"
    UNACKNOWLEDGED = "unacknowledged"
    ASKED = "asked"
    """Has asked within a second after the last one: due when that is over."""


_WILL_BE_TOLD = (_Phase.SCHEDULED, _Phase.ASKED)


@dataclass(slots=True, eq=False)
class _Delivery:
    """One node's advertisements."""

    binding: HomeBinding
    phase: _Phase = _Phase.RESTING
    last: float = NEVER
    retries: int = 0
    solicitation: PrefixSolicited | None = None


class HomePrefixes:
    """The deliveries. `lists` has the Home Agents List of each interface; a delivery exists for each registration in force."""

    def __init__(
        self,
        settings: HomeAgentSettings,
        links: HomeLinks,
        lists: Callable[[int], HomeAgentsList | None],
        chance: Chance,
    ) -> None:
        self.deadlines: Deadlines[_Delivery] = Deadlines()
        self.counters = {"prefix_advertisements_sent": 0, "prefix_solicitations_received": 0}
        self._settings = settings
        self._links = links
        self._lists = lists
        self._chance = chance
        self._deliveries: dict[bytes, _Delivery] = {}

    # ---- what happens to registrations (`home_agent.Watcher`) ----

    def registered(self, binding: HomeBinding, now: Now) -> None:
        """A registration has been accepted, for the first time or again."""
        if self._links.of(binding.home_address) is None or not self._settings.send_prefix_advertisements:
            return
        delivery = self._deliveries.get(binding.home_address)
        if delivery is None or delivery.binding is not binding:
            self.ended(binding)
            delivery = self._deliveries[binding.home_address] = _Delivery(binding)
            self._schedule(delivery, now.monotonic)
        elif delivery.phase is _Phase.RESTING and delivery.retries:  # it never answered, and is there again
            delivery.retries = 0
            self._schedule(delivery, now.monotonic)

    def ended(self, binding: HomeBinding) -> None:
        """A registration is over."""
        delivery = self._deliveries.pop(binding.home_address, None)
        if delivery is not None:
            self.deadlines.stop(delivery)

    # ---- reasons to tell ----

    def solicited(self, event: PrefixSolicited, binding: HomeBinding, now: Now) -> list[SendIcmp]:
        """The node of this registration asks, which also acknowledges what it was told before."""
        self.counters["prefix_solicitations_received"] += 1
        if not self._settings.send_prefix_advertisements:
            return []
        delivery = self._deliveries.get(binding.home_address)
        if delivery is None or delivery.binding is not binding:
            delivery = self._deliveries[binding.home_address] = _Delivery(binding)
        delivery.retries, delivery.solicitation = 0, event
        if now.monotonic < delivery.last + ONCE_A_SECOND:
            delivery.phase = _Phase.ASKED
            self.deadlines.set(delivery, delivery.last + ONCE_A_SECOND)
            return []
        return self._answer(delivery, now.monotonic)

    def changed(self, interface: int, prefixes: list[tuple[bytes, int]], now: Now) -> None:
        """These prefixes of a link are new, or not what they were (section 10.6.2): all nodes that are at home there are to
        hear of it, the sooner of this and what they wait for already."""
        for delivery in self._deliveries.values():
            link = self._links.of(delivery.binding.home_address)
            if link is not None and link.interface == interface and prefixes and delivery.phase not in _WILL_BE_TOLD:
                delivery.retries = 0
                self._schedule(delivery, now.monotonic)

    def handle_timeout(self, now: Now) -> list[SendIcmp]:
        """What is due, and what was not acknowledged."""
        effects: list[SendIcmp] = []
        for delivery in self.deadlines.due(now.monotonic):
            if delivery.phase is _Phase.ASKED:
                effects += self._answer(delivery, now.monotonic)
            elif delivery.phase is _Phase.RESTING:
                delivery.retries = 0
                self._schedule(delivery, now.monotonic)
            elif delivery.phase is _Phase.UNACKNOWLEDGED and delivery.retries == PREFIX_ADV_RETRIES:
                self._rest(delivery)
            else:
                if delivery.phase is _Phase.UNACKNOWLEDGED:
                    delivery.retries += 1
                delivery.phase = _Phase.UNACKNOWLEDGED
                self.deadlines.set(delivery, now.monotonic + PREFIX_ADV_TIMEOUT * 2**delivery.retries)
                effects.append(self._tell(delivery, now.monotonic))
        return effects

    def _schedule(self, delivery: _Delivery, now: float) -> None:
        """Section 10.6.2: RAND_ADV_DELAY."""
        preferred = min((option.preferred_lifetime for option in self._options(delivery.binding, now)), default=0)
        low = self._settings.minimum_prefix_interval
        high = min(self._settings.maximum_prefix_interval, float(preferred))
        delivery.phase = _Phase.SCHEDULED
        when = now + low + self._chance.between(0.0, abs(high - low))
        self.deadlines.set(delivery, max(when, delivery.last + ONCE_A_SECOND))

    def _rest(self, delivery: _Delivery) -> None:
        delivery.phase = _Phase.RESTING
        self.deadlines.set(delivery, delivery.last + self._settings.maximum_prefix_interval)

    def _answer(self, delivery: _Delivery, now: float) -> list[SendIcmp]:
        solicitation, delivery.solicitation = delivery.solicitation, None
        assert solicitation is not None
        told = self._tell(delivery, now, solicitation)
        self._rest(delivery)
        return [told]

    def _tell(self, delivery: _Delivery, now: float, solicitation: PrefixSolicited | None = None) -> SendIcmp:
        binding = delivery.binding
        delivery.last = now
        self.counters["prefix_advertisements_sent"] += 1
        identifier = 0 if solicitation is None else solicitation.message.identifier
        destination = binding.tunnel.remote if solicitation is None else solicitation.source
        message = MobilePrefixAdvertisement(identifier, 0, tuple(self._options(binding, now)))
        return SendIcmp(binding.tunnel.local, destination, message, binding.home_address)

    def _options(self, binding: HomeBinding, now: float) -> list[PrefixInformation]:
        """The prefixes of the node's home link: our own, and what other home agents add (section 10.6.1). Where Proxy Mobile
        IPv6 serves the home network it is the node's own prefix."""
        link = self._links.of(binding.home_address)
        if link is None:
            flags = int(PrefixInformationFlag.ON_LINK | PrefixInformationFlag.AUTONOMOUS)
            usual = HomeLink(b"", 0, 0)
            prefix = prefix_of(binding.home_address)
            return [PrefixInformation(HOME_PREFIX_LENGTH, flags, usual.valid_lifetime, usual.preferred_lifetime, prefix)]
        own = self._links.on(link.interface)
        held = {(each.prefix, each.length) for each in own}
        learnt = self._lists(link.interface)
        others = [] if learnt is None else learnt.prefixes(now)
        added = [option for option in others if (option.prefix, option.prefix_length) not in held]
        return [*(prefix_information(each) for each in own), *added]
