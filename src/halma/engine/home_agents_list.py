# SPDX-License-Identifier: Apache-2.0
"""The other home agents of a home link, and the prefixes that they know: learnt from their Router Advertisements.

RFC 6275 sections 10.1 (Home Agents List), 10.5.1 (how it is learnt), 10.6.1 (prefixes), 7.2 and 7.4 (what is advertised);
RFC 3963 section 7.3.

Always holds: each link has a list of its own; an entry is gone when its lifetime is over; what a link's neighbours can make us
remember is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from halma.engine.timers import Deadlines
from halma.value import value
from halma.wire.nd import HomeAgentInformation, PrefixInformation, RouterAdvertisement
from halma.wire.numbers import HomeAgentFlag, PrefixInformationFlag, RouterAdvertisementFlag

AGENTS = 64
"""Home agents that are remembered of one link."""
ADDRESSES = 16
"""Global addresses that are remembered of one home agent, and prefixes of one link."""
INFINITE = 0xFFFFFFFF
"""The lifetime that never ends (RFC 4861 section 4.6.2)."""
SLACK = 2.0
"""Seconds by which a lifetime that counts down may differ from our own count."""
_LINK_LOCAL = 0xFE80 >> 6


@value
class Candidate:
    """A home agent that a node may be told of: its global addresses, how preferable it is, and whether it supports mobile
    routers (RFC 3963)."""

    addresses: tuple[bytes, ...]
    preference: int
    mobile_routers: bool


@dataclass(slots=True, eq=False)
class ListedAgent:
    """Another home agent; `addresses` are its global ones, each with the time of its end."""

    preference: int
    mobile_routers: bool
    addresses: dict[bytes, float] = field(default_factory=dict)


@dataclass(slots=True)
class LearntPrefix:
    """A prefix that another home agent advertises: as it was said last, and when."""

    option: PrefixInformation
    heard: float

    @property
    def expires(self) -> float:
        """When it is valid no more."""
        return _end(self.option.valid_lifetime, self.heard)

    def at(self, moment: float) -> PrefixInformation:
        """The prefix with the lifetimes that are left; without the router's own address, which is another's."""
        option, age = self.option, int(moment - self.heard)
        flags = option.flags & ~PrefixInformationFlag.ROUTER_ADDRESS
        valid, preferred = (
            lifetime if lifetime == INFINITE else max(0, lifetime - age)
            for lifetime in (option.valid_lifetime, option.preferred_lifetime)
        )
        return PrefixInformation(option.prefix_length, flags, valid, preferred, _masked(option))

    def is_changed_by(self, option: PrefixInformation, moment: float) -> bool:
        """Whether it says something else than before, apart from time that has passed (RFC 6275 section 10.6.2)."""
        now = self.at(moment)
        flags = option.flags & ~PrefixInformationFlag.ROUTER_ADDRESS
        pairs = (
            (self.option.valid_lifetime, now.valid_lifetime, option.valid_lifetime),
            (self.option.preferred_lifetime, now.preferred_lifetime, option.preferred_lifetime),
        )
        return flags != now.flags or any(new != said and abs(new - left) > SLACK for said, left, new in pairs)


class HomeAgentsList:
    """The Home Agents List of one link."""

    def __init__(self) -> None:
        self._agents: dict[bytes, ListedAgent] = {}
        self._deadlines: Deadlines[bytes] = Deadlines()
        self._prefixes: dict[tuple[bytes, int], LearntPrefix] = {}

    def __len__(self) -> int:
        return len(self._agents)

    def heard(self, source: bytes, message: RouterAdvertisement, now: float) -> list[tuple[bytes, int]]:
        """A router of the link has advertised itself from its link-local address (section 10.5.1). Gives the prefixes of the
        link that are new, or other than before."""
        self.expire(now)
        if not message.flags & RouterAdvertisementFlag.HOME_AGENT:
            self._forget(source)
            return []
        preference, lifetime, mobile_routers = 0, message.router_lifetime, False
        for option in message.options:
            if isinstance(option, HomeAgentInformation):
                preference, lifetime = option.preference, option.lifetime
                mobile_routers = bool(option.flags & HomeAgentFlag.MOBILE_ROUTER)
        if not lifetime:
            self._forget(source)
            return []
        agent = self._agents.get(source)
        if agent is None:
            if len(self._agents) >= AGENTS:
                return []
            agent = self._agents[source] = ListedAgent(preference, mobile_routers)
        agent.preference, agent.mobile_routers = preference, mobile_routers
        self._deadlines.set(source, now + lifetime)
        prefixes = [option for option in message.options if isinstance(option, PrefixInformation)]
        for option in prefixes:
            self._note_address(agent, option, now)
        return [_key(option) for option in prefixes if self._note_prefix(option, now)]

    def candidates(self, now: float) -> Iterator[Candidate]:
        """The home agents that a node may be told of."""
        self.expire(now)
        for agent in self._agents.values():
            addresses = tuple(address for address, end in agent.addresses.items() if end > now)
            if addresses:
                yield Candidate(addresses, agent.preference, agent.mobile_routers)

    def prefixes(self, now: float) -> list[PrefixInformation]:
        """The prefixes that other home agents advertise, with the lifetimes that are left."""
        return [prefix.at(now) for prefix in self._prefixes.values() if prefix.expires > now]

    def expire(self, now: float) -> None:
        """Forget the agents whose lifetime is over."""
        for source in self._deadlines.due(now):
            del self._agents[source]

    def next_deadline(self) -> float | None:
        """When `expire` is wanted next, in monotonic seconds."""
        return self._deadlines.next()

    def _forget(self, source: bytes) -> None:
        if self._agents.pop(source, None) is not None:
            self._deadlines.stop(source)

    @staticmethod
    def _note_address(agent: ListedAgent, option: PrefixInformation, now: float) -> None:
        """Section 7.2: with flag R the prefix is a whole address of the router, as long-lived as the prefix."""
        if not option.flags & PrefixInformationFlag.ROUTER_ADDRESS or not _is_global(option.prefix):
            return
        for address, end in list(agent.addresses.items()):
            if end <= now:
                del agent.addresses[address]
        if not option.valid_lifetime:
            agent.addresses.pop(option.prefix, None)
        elif option.prefix in agent.addresses or len(agent.addresses) < ADDRESSES:
            agent.addresses[option.prefix] = _end(option.valid_lifetime, now)

    def _note_prefix(self, option: PrefixInformation, now: float) -> bool:
        """Whether a prefix is new or changed."""
        key = _key(option)
        known = self._prefixes.get(key)
        if not _is_global(option.prefix) or not 0 < option.prefix_length <= 128:
            return False
        if known is None:
            for other, prefix in list(self._prefixes.items()):
                if prefix.expires <= now:
                    del self._prefixes[other]
            if not option.valid_lifetime or len(self._prefixes) >= ADDRESSES:
                return False
        self._prefixes[key] = LearntPrefix(option, now)
        return known is None or known.is_changed_by(option, now)


def _end(lifetime: int, now: float) -> float:
    return float("inf") if lifetime == INFINITE else now + lifetime


def _masked(option: PrefixInformation) -> bytes:
    """The prefix without the bits behind its length."""
    shift = 128 - option.prefix_length
    return (int.from_bytes(option.prefix, "big") >> shift << shift).to_bytes(16, "big")


def _key(option: PrefixInformation) -> tuple[bytes, int]:
    return (_masked(option), option.prefix_length) if option.prefix_length <= 128 else (option.prefix, 0)


def _is_global(address: bytes) -> bool:
    """Neither multicast nor link-local nor unspecified nor loopback."""
    return address[0] != 0xFF and int.from_bytes(address[:2], "big") >> 6 != _LINK_LOCAL and any(address[:15])
