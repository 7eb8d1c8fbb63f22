# SPDX-License-Identifier: Apache-2.0
"""The hosts that scenarios move from place to place, each with its traffic and with what must be seen of it, whatever others do
beside it: the two kinds of RFC 6612, a plain host and a Mobile IPv6 node.

What must be seen of a node at a place follows from where it has its address from there. An anchor gave it, or it is the place's
own; it is the node's home network, or the network that the node had at the place before, or another one.

Always holds: a traveller's correspondent knows one address of it; its streams have numbers that no other traveller's have.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from ipaddress import IPv6Network

from halma.lab import judge, judge_home, judge_traffic
from halma.lab.evidence import Evidence
from halma.lab.moves import Window, handovers
from halma.lab.topology import Kind
from halma.lab.traffic import Conversation, Stream, both_ways
from halma.lab.verdict import Check
from halma.value import value

LONGEST_GAP_MS = 500.0
LONGEST_GAP_LOSSY_MS = 8000.0
_MORE_THAN_A_PACKET = 2000
"""How much the ends of a connection send at a time: full packets have to get through each tunnel, those inside others too."""


@value
class Stop:
    """A place on a traveller's way, the network that its address there is out of, and the anchor that gave it that network;
    None where the network is the place's own."""

    place: str
    network: IPv6Network
    anchor: str | None = None


class Traveller(ABC):
    """Host `number`, which goes from stop to stop and talks with the correspondent, a probe every `interval_ms` each way."""

    checks_uplink = "ANC-3"
    checks_resumption = "MN-2"
    checks_connection = "MN-2"

    def __init__(self, name: str, number: int, stops: Sequence[Stop], interval_ms: float = 1.0) -> None:
        self.name, self.stops = name, tuple(stops)
        self.down, self.up, self.connection = 2 * number - 1, 2 * number, 19 + number
        self._interval_ms = interval_ms

    def streams(self) -> Sequence[Stream]:
        """What it says and is told."""
        probes = both_ways(self.down, "cn", self.name, self._interval_ms)
        return (*probes, Conversation(self.connection, self.name, "cn", size=_MORE_THAN_A_PACKET))

    def visits(self, evidence: Evidence) -> Iterator[tuple[Stop, Window]]:
        """Its stops, each with the movement to it. Raises IndexError where it never came."""
        times: Counter[str] = Counter()
        for stop in self.stops:
            yield stop, judge_home.window_to(evidence, self.name, stop.place, times[stop.place])
            times[stop.place] += 1

    def checks(self, evidence: Evidence) -> Iterator[Check]:
        """What must be seen of it, by requirement."""
        yield from self.signalling(evidence)
        for anchor, network in sorted({(stop.anchor, stop.network) for stop in self.stops if stop.anchor is not None}):
            yield judge.same_prefix(evidence, self.name, anchor, network)
        yield judge_traffic.paths(evidence, self.down, self._ways("to"), "ANC-2")
        yield judge_traffic.paths(evidence, self.up, self._ways("from"), self.checks_uplink)
        longest = LONGEST_GAP_LOSSY_MS if evidence.topology.lossy else LONGEST_GAP_MS
        for handover in handovers(evidence, self.name):
            yield judge_traffic.resumed(handover, longest, self.checks_resumption)
        for stream in (self.down, self.up):
            allowed = judge_traffic.tolerated(evidence, stream)
            yield judge_traffic.stray_losses(evidence, stream, allowed=allowed, requirement="ANC-2")
        yield judge_traffic.connection_lives(evidence, self.connection, self.checks_connection)

    def _ways(self, direction: str) -> list[tuple[str, ...]]:
        """The ways that its packets take one after the other, `direction` being `to` or `from`."""
        return [(way,) for way, _ in itertools.groupby(self.way(stop, direction) for stop in self.stops)]

    @abstractmethod
    def signalling(self, evidence: Evidence) -> Iterator[Check]:
        """What must be seen of signalling."""

    @abstractmethod
    def way(self, stop: Stop, direction: str) -> str:
        """The tunnels of its packets at a stop, in the words of `judge_traffic.tunnels`."""


class PlainHost(Traveller):
    """A host without any mobility software: all of its stops are in one domain, which gives it one address."""

    checks_uplink = "GW-4"
    checks_resumption = "GW-2"
    checks_connection = "GW-3"

    def signalling(self, evidence: Evidence) -> Iterator[Check]:
        """Gateways register it and it has no part in that."""
        yield judge.address_kept(evidence, self.name)
        yield from judge.registrations(evidence, self.name, exact=not evidence.topology.lossy)
        yield judge.host_silent(evidence, self.name)

    def way(self, stop: Stop, direction: str) -> str:
        """The gateway's tunnel."""
        return f"{direction} {stop.place}"


class MobileNode(Traveller):
    """A Mobile IPv6 node. `home` is its home network where that is the network of some of its stops."""

    def __init__(
        self, name: str, number: int, stops: Sequence[Stop], home: IPv6Network | None = None, interval_ms: float = 1.0
    ) -> None:
        super().__init__(name, number, stops, interval_ms)
        self._home = home

    def signalling(self, evidence: Evidence) -> Iterator[Check]:
        """At each stop what is due there, and no more."""
        before: IPv6Network | None = None
        for stop, window in self.visits(evidence):
            gateway = evidence.topology.node(stop.place).kind is Kind.GATEWAY
            if stop.anchor is not None:
                yield judge_home.proxied(evidence, self.name, window, stop.anchor, stop.network)
            elif gateway:
                yield judge_home.not_proxied(evidence, self.name, window)
            if stop.network == self._home:
                if before is None or before == self._home:
                    yield judge_home.no_home_signalling(evidence, self.name, window, "MN-4")
                else:
                    yield from judge_home.returned_home(evidence, self.name, window)
            elif stop.network == before:
                yield judge_home.no_home_signalling(evidence, self.name, window, "MN-1")
            else:
                requirement = "GW-6" if gateway and stop.anchor is None else "MN-1"
                yield from judge_home.registered_abroad(evidence, self.name, window, stop.network, requirement)
                if stop.anchor is not None:
                    yield judge_home.in_order(evidence, self.name, window)
            if stop.network != self._home:
                yield judge_home.nothing_bare_abroad(evidence, self.name, window)
            before = stop.network

    def way(self, stop: Stop, direction: str) -> str:
        """At home the gateway's tunnel; elsewhere the node's own, inside of the gateway's where an anchor knows the node."""
        if stop.network == self._home:
            return f"{direction} {stop.place}"
        own = f"{direction} {self.name}"
        return own if stop.anchor is None else f"{direction} {stop.place} around {own}"
