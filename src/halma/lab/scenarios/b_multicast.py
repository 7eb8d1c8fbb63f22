# SPDX-License-Identifier: Apache-2.0
"""`b-multicast`: a Mobile IPv6 node that is away listens to a multicast group, and sends to another, through its tunnel, while
it moves between two gateways that are plain access routers to it (RFC 6275 sections 10.4.2, 10.4.3 and 11.3.4).

Always holds: the correspondent's link is where groups come from and go to; no program names an interface.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv6Address

from halma.lab import judge_groups, judge_traffic
from halma.lab.daemons import Daemon
from halma.lab.evidence import Evidence
from halma.lab.scenario import Conditions
from halma.lab.scenarios import domain, roaming
from halma.lab.scenarios.b_mixed import GATEWAYS, OWN_MOBILITY, own_stop
from halma.lab.scenarios.journey import Journey
from halma.lab.scenarios.travellers import MobileNode
from halma.lab.topology import Topology
from halma.lab.traffic import Datagrams, Stream
from halma.lab.verdict import Check

GROUP, OTHER = IPv6Address("ff0e::5:213"), IPv6Address("ff0e::5:214")
_TO_NODE, _FROM_NODE = 11, 12
"""The streams to the group that the node listens to, and to the one that the correspondent does."""


class Listener(MobileNode):
    """A node that has to do with groups as well."""

    def streams(self) -> Sequence[Stream]:
        """What it says and is told."""
        return (
            *super().streams(),
            Datagrams(_TO_NODE, "cn", self.name, 5.0, group=GROUP),
            Datagrams(_FROM_NODE, self.name, "cn", 5.0, group=OTHER),
        )

    def checks(self, evidence: Evidence) -> Iterator[Check]:
        """What is sent to a group takes the node's tunnel, as all else, and is lost only on the way from one link to the
        other."""
        yield from super().checks(evidence)
        yield judge_groups.asked_first(evidence, self.name, GROUP)
        yield judge_groups.joined(evidence, GROUP, "cn")
        for stream, direction in ((_TO_NODE, "to"), (_FROM_NODE, "from")):
            yield judge_traffic.paths(evidence, stream, self._ways(direction), judge_groups.REQUIREMENT)
            yield judge_traffic.stray_losses(evidence, stream, allowed=0, requirement=judge_groups.REQUIREMENT)


class Multicast(Journey):
    """The scenario, see the module."""

    def __init__(self) -> None:
        super().__init__(
            "b-multicast",
            "A Mobile IPv6 node that is away listens to a multicast group, and sends to one, MAG1 -> MAG2",
            "A Mobile IPv6 node is given a local prefix by each gateway and registers a care-of address. A program on it "
            "listens to a group: the anchor asks the node through the tunnel which groups it wants, listens to them itself, "
            "and sends what comes into the tunnel. When the node moves the group follows it.",
            [Listener(roaming.NODE, 1, [own_stop(number) for number in GATEWAYS])],
        )

    def topology(self, conditions: Conditions) -> Topology:
        """Two gateways with prefixes of their own, and the node."""
        base = domain.with_access_prefixes(roaming.home_domain(conditions), GATEWAYS)
        return roaming.peopled(base, {1: roaming.home_address()})

    def daemons(self) -> Sequence[Daemon]:
        """An anchor that knows where groups come from."""
        profiles = [roaming.node_profile(1, OWN_MOBILITY)]
        return [
            roaming.anchor_daemon(profiles=profiles, home_agent={"multicast_interface": "inet0"}),
            *(domain.gateway_daemon(number, 1, own_mobility=[1]) for number in GATEWAYS),
            roaming.node_daemon(),
        ]
