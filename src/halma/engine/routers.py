# SPDX-License-Identifier: Apache-2.0
"""What a mobile node knows of the routers that it hears: their lifetimes and the prefixes of their links.

RFC 4861 section 6.3.4, RFC 4862 section 5.5.3 (with its rule that no advertisement shortens a valid lifetime below two hours),
RFC 6275 sections 7.2 (a prefix may be written as the router's own address) and 11.5.2.

Always holds: a prefix has its host bits zero; memory is bounded whoever advertises what.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from halma.engine.constants import AUTOCONFIGURATION_LENGTH
from halma.engine.node_api import FOREVER, LINK_LOCAL_PREFIX
from halma.wire.nd import AdvertisementInterval, PrefixInformation, RouterAdvertisement, SourceLinkLayerAddress
from halma.wire.numbers import PrefixInformationFlag

Prefix = tuple[bytes, int]

TWO_HOURS = 7200.0
MAXIMUM_PREFIXES = 16
"""Prefixes of one router that are kept."""
LONGEST_PREFIX = 128


@dataclass(slots=True)
class PrefixRecord:
    """A prefix as a router advertises it; times are monotonic."""

    prefix: Prefix
    on_link: bool
    autonomous: bool
    valid_until: float
    preferred_until: float
    advertised: bool
    """Whether the router stood by it when it last named it."""

    def is_on_link(self, now: float) -> bool:
        """Whether the prefix is on the link now."""
        return self.on_link and self.advertised and self.valid_until > now


@dataclass(slots=True, eq=False)
class Router:
    """A router by its link-local address. `interval` is the longest time between its advertisements (RFC 6275 section 7.3), 0
    where it does not say."""

    address: bytes
    link_layer_address: bytes = b""
    expires: float = 0.0
    heard: float = 0.0
    interval: float = 0.0
    prefixes: dict[Prefix, PrefixRecord] = field(default_factory=dict)

    def learn(self, message: RouterAdvertisement, now: float) -> None:
        """Take an advertisement of this router in."""
        self.heard = now
        self.expires = now + message.router_lifetime
        self.interval = 0.0
        for option in message.options:
            if isinstance(option, SourceLinkLayerAddress):
                self.link_layer_address = option.address
            elif isinstance(option, AdvertisementInterval):
                self.interval = option.interval / 1000
            elif isinstance(option, PrefixInformation):
                self._learn_prefix(option, now)

    def learn_prefixes(self, options: tuple[object, ...], now: float) -> None:
        """Take the prefixes alone (a Mobile Prefix Advertisement, RFC 6275 section 11.4.3)."""
        for option in options:
            if isinstance(option, PrefixInformation):
                self._learn_prefix(option, now)

    def advertised(self, now: float) -> list[PrefixRecord]:
        """The prefixes that the router stands by now."""
        return [record for record in self.prefixes.values() if record.advertised and record.valid_until > now]

    def next_change(self, now: float) -> float:
        """When its lifetime or that of one of its prefixes ends."""
        ends = [self.expires]
        for record in self.prefixes.values():
            ends += [record.valid_until, record.preferred_until]
        return min((end for end in ends if end > now), default=inf)

    def _learn_prefix(self, option: PrefixInformation, now: float) -> None:
        prefix = prefix_of(option)
        if prefix is None:
            return
        flags = option.flags
        record = self.prefixes.get(prefix)
        valid, preferred = _end(option.valid_lifetime, now), _end(option.preferred_lifetime, now)
        autonomous = bool(flags & PrefixInformationFlag.AUTONOMOUS) and prefix[1] == AUTOCONFIGURATION_LENGTH
        if record is None:
            if not option.valid_lifetime or len(self.prefixes) >= MAXIMUM_PREFIXES:
                return
            record = self.prefixes[prefix] = PrefixRecord(prefix, False, False, 0.0, 0.0, True)
        elif valid <= min(record.valid_until, now + TWO_HOURS):
            valid = min(record.valid_until, now + TWO_HOURS)
        record.on_link = bool(flags & PrefixInformationFlag.ON_LINK)
        record.autonomous = autonomous
        record.valid_until, record.preferred_until = valid, preferred
        record.advertised = option.valid_lifetime > 0
        for key in [key for key, held in self.prefixes.items() if held.valid_until <= now]:
            del self.prefixes[key]


def prefix_of(option: PrefixInformation) -> Prefix | None:
    """The prefix that an option names; None where it is none that may be used (RFC 4862 section 5.5.3)."""
    length = option.prefix_length
    if length > LONGEST_PREFIX or option.preferred_lifetime > option.valid_lifetime:
        return None
    mask = ((1 << length) - 1) << (LONGEST_PREFIX - length)
    prefix = (int.from_bytes(option.prefix, "big") & mask).to_bytes(16, "big")
    if prefix.startswith(LINK_LOCAL_PREFIX[:2]) or prefix[0] == 0xFF or not length:
        return None
    return prefix, length


def named(message: RouterAdvertisement) -> set[Prefix]:
    """The prefixes that an advertisement names, also those that it takes back."""
    prefixes = (prefix_of(option) for option in message.options if isinstance(option, PrefixInformation))
    return {prefix for prefix in prefixes if prefix is not None}


def _end(lifetime: int, now: float) -> float:
    return inf if lifetime == FOREVER else now + lifetime
