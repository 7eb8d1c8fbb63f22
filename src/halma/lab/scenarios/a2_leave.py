# SPDX-License-Identifier: Apache-2.0
"""`a2-leave`: a Mobile IPv6 node leaves its home, a Proxy Mobile IPv6 domain, for an access router that knows nothing of
mobility (RFC 6612 section 4.2.1, scenario A.2, figure 2).

Two stories: in `a2-leave` the gateway's de-registration never arrives, so that the proxy entry ends by itself; in
`a2-leave-given-up` it does.

Always holds: the node has its key and its home address before it first leaves; the correspondent knows no other address.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from halma.lab import judge_home
from halma.lab.daemons import Daemon
from halma.lab.evidence import Evidence
from halma.lab.judge_home import lifetime
from halma.lab.scenario import SLOW_CORE, Conditions
from halma.lab.scenarios import domain, roaming
from halma.lab.scenarios.journey import Journey
from halma.lab.scenarios.travellers import MobileNode, Stop
from halma.lab.session import Lab
from halma.lab.topology import Topology
from halma.lab.traffic import Datagrams
from halma.lab.verdict import Check

NODE = roaming.NODE
BINDING_UPDATE = 5
OTHER = 3
"""The stream to an address of the home network prefix that is not the home address: no home binding is about it."""
OTHER_ADDRESS = domain.host_prefix(1).network_address + 0x77
_SLACK = 1.0
_GIVEN_UP = 10.0
"""Seconds for which an entry that its gateway gives up waits for another one: MinDelayBeforeBCEDelete (RFC 5213)."""


def at_home(gateway: str) -> Stop:
    """A gateway that emulates the node's home link."""
    return Stop(gateway, domain.host_prefix(1), "lma")


AT_ROUTER = Stop(roaming.ROUTER, roaming.ROUTER_PREFIX)


class Leave(Journey):
    """A node leaves its home, the first of its stops, and stays away until the proxy entry has gone."""

    def __init__(
        self,
        name: str,
        title: str,
        story: str,
        stops: Sequence[Stop] = (at_home("mag1"), AT_ROUTER),
        variants: Mapping[str, Conditions] | None = None,
        *,
        given_up: bool = False,
    ) -> None:
        super().__init__(name, title, story, [MobileNode(NODE, 1, stops, domain.host_prefix(1))], variants)
        self._home, self._away = stops[0].place, stops[1].place
        self._last = len(stops) - 1
        self._given_up = given_up

    def topology(self, conditions: Conditions) -> Topology:
        """Two gateways and the access router."""
        return self.with_node(roaming.roaming_domain(conditions), conditions)

    def with_node(self, topology: Topology, conditions: Conditions) -> Topology:
        """The topology with the node, and with a relay where its gateway's messages are held back."""
        whole = roaming.peopled(topology, {1: roaming.home_address()})
        return roaming.relayed(whole, conditions, [f"core-{self._home}"])

    def daemons(self) -> Sequence[Daemon]:
        """Anchor, gateways, router, node."""
        return roaming.daemons()

    def leaving(self, lab: Lab, leg: int) -> None:
        """The network begins to hold the gateway's messages back."""
        if leg == 1 and not self._given_up:
            lab.impair(f"core-{self._home}", toward="core", hold=BINDING_UPDATE)

    def arrived(self, lab: Lab, leg: int) -> None:
        """At the last stop until the proxy entry has gone."""
        if leg < self._last:
            super().arrived(lab, leg)
        else:
            lab.wait((_GIVEN_UP if self._given_up else roaming.PROXY_LIFETIME) + 4.0)

    def others(self) -> Sequence[Datagrams]:
        """Traffic to other addresses of the prefix."""
        return (Datagrams(OTHER, "cn", NODE, 100.0, address=OTHER_ADDRESS),)

    def checks(self, evidence: Evidence) -> Iterator[Check]:
        """What must be seen, by requirement."""
        yield from super().checks(evidence)
        if not evidence.topology.lossy:
            window = judge_home.window_to(evidence, NODE, self._away)
            yield judge_home.taken_from_the_switch_on(evidence, NODE, window, self.travellers[0].down)
        yield from self.entry(evidence)

    def entry(self, evidence: Evidence) -> Iterator[Check]:
        """What became of the proxy entry."""
        yield self._de_registration(evidence)
        yield self._end_of_entry(evidence)

    def _de_registration(self, evidence: Evidence) -> Check:
        """The gateway's de-registration arrived, or did not."""
        window = judge_home.window_to(evidence, NODE, self._away)
        updates = [
            update
            for update in judge_home.proxy_updates(evidence, NODE, window.moved, evidence.end)
            if update.source == self._home and lifetime(update) == 0
        ]
        points = evidence.points_of("lma")
        arrived = [update for update in updates if any(seen.point in points for seen in update.sightings)]
        name = "the gateway's de-registration reaches the anchor" if self._given_up else "no de-registration reaches the anchor"
        detail = f"{len(updates)} sent, {len(arrived)} arrived"
        return Check("ANC-6", name, bool(updates) and bool(arrived) == self._given_up, detail)

    def _end_of_entry(self, evidence: Evidence) -> Check:
        """When the last registration by the gateway ends, at the latest."""
        window = judge_home.window_to(evidence, NODE, self._away)
        points = evidence.points_of("lma")
        registered = [
            signal.sent
            for signal in judge_home.proxy_updates(evidence, NODE, 0.0, evidence.end)
            if lifetime(signal) and any(seen.point in points for seen in signal.sightings)
        ]
        end = window.moved + _GIVEN_UP if self._given_up else max(registered, default=0.0) + roaming.PROXY_LIFETIME
        return judge_home.untouched_by_home(
            evidence,
            OTHER,
            (self._home,),
            end + _SLACK,
            "the proxy entry stands beside the home binding, and ends by itself",
            "ANC-1",
        )


_STORY = (
    "A Mobile IPv6 node is at home behind MAG1 and talks from its home address, then goes to an access router. It forms a "
    "care-of address, registers it with the anchor, and all its packets take the tunnel between the two. "
)
LEAVE = Leave(
    "a2-leave",
    "A node leaves the PMIPv6 domain for a plain access router; its gateway cannot say so",
    f"{_STORY}The gateway's de-registration is lost, so that the PMIPv6 entry expires by itself; packets to the home address "
    "are not touched by that.",
    variants=SLOW_CORE,
)
GIVEN_UP = Leave(
    "a2-leave-given-up",
    "A node leaves the PMIPv6 domain for a plain access router; its gateway gives it up",
    f"{_STORY}The gateway de-registers the node; packets to the home address are not touched by that.",
    variants=SLOW_CORE,
    given_up=True,
)
