# SPDX-License-Identifier: Apache-2.0
"""`a2-bootstrap`: a node that knows its anchor's domain and no address of it leaves home (RFC 5026 section 5.1.2, RFC 6612
section 4.2.1). In `a2-bootstrap-abroad` it boots where its home address is of no use yet. The correspondent is the name server
as well.

Always holds: the domain names two home agents; the one that it prefers less is none, so that whoever turns to it is found out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from ipaddress import IPv6Address

from halma.lab import judge_names
from halma.lab.daemons import NAMES, Daemon
from halma.lab.evidence import Evidence
from halma.lab.scenario import Conditions
from halma.lab.scenarios import domain, roaming
from halma.lab.scenarios.a2_leave import AT_ROUTER, at_home
from halma.lab.scenarios.journey import Journey
from halma.lab.scenarios.travellers import MobileNode, Stop
from halma.lab.topology import Route, Topology
from halma.lab.verdict import Check

NODE = roaming.NODE
DOMAIN = "example.org"
_SERVER = "2001:db8:cc::2"
_RECORDS = (
    "_mip6._ipv6 600 IN SRV 20 0 0 spare",
    "_mip6._ipv6 600 IN SRV 10 0 0 anchor",
    f"anchor 600 IN AAAA {domain.ANCHOR_ADDRESS}",
    f"spare 600 IN AAAA {_SERVER}",
)


class Bootstrap(Journey):
    """A node boots at the first of its stops, where it asks the DNS from the address `asks_from`."""

    def __init__(self, name: str, title: str, story: str, stops: Sequence[Stop], asks_from: IPv6Address) -> None:
        super().__init__(name, title, story, [MobileNode(NODE, 1, stops, domain.host_prefix(1))])
        self._asks_from = asks_from

    def topology(self, conditions: Conditions) -> Topology:
        """The domain, where the name server is reached from foreign addresses too."""
        base = roaming.peopled(roaming.roaming_domain(conditions), {1: roaming.home_address()})
        (outside,) = (interface.network for _, end in base.ends_of("cn") for interface in end.addresses)
        core = base.node("core")
        routed = dataclasses.replace(core, routes=(*core.routes, Route(outside, domain.ANCHOR_ADDRESS)))
        return dataclasses.replace(base, nodes=tuple(routed if node is core else node for node in base.nodes))

    def daemons(self) -> Sequence[Daemon]:
        """With a name server, and a node that asks it."""
        *others, _ = roaming.daemons()
        names = {"address": _SERVER, "domain": DOMAIN, "records": list(_RECORDS)}
        knows = {"home_domain": DOMAIN, "name_servers": [_SERVER]}
        return [*others, Daemon("cn", NAMES, {NAMES: names}), roaming.node_daemon(anchor=knows)]

    def checks(self, evidence: Evidence) -> Iterator[Check]:
        """What must be seen, by requirement."""
        yield from super().checks(evidence)
        yield from judge_names.found_by_service(evidence, NODE, DOMAIN, self._asks_from)
        (node,) = self.travellers
        _, (_, second) = node.visits(evidence)
        yield judge_names.asked_before(evidence, NODE, second.moved)


HOME = Bootstrap(
    "a2-bootstrap",
    "A node that knows no more than a domain finds its anchor by DNS, and leaves",
    "A Mobile IPv6 node boots at home behind MAG1. It is configured with the domain of its anchor and not with an address, so "
    "it asks the DNS for the service _mip6._ipv6 of that domain, and for the addresses of the two home agents that this names. "
    "When it leaves for an access router it registers with the one that the domain prefers, without having to ask first.",
    (at_home("mag1"), AT_ROUTER),
    roaming.home_address(),
)
ABROAD = Bootstrap(
    "a2-bootstrap-abroad",
    "A node that knows no more than a domain boots abroad, finds its anchor by DNS, and comes home",
    "A Mobile IPv6 node boots at an access router, where its home address is of no use yet: until it has registered, what "
    "leaves from that address goes nowhere. It asks the DNS from its care-of address for the home agents of its domain, "
    "registers with the one that the domain prefers, and comes home to MAG1 later.",
    (AT_ROUTER, at_home("mag1")),
    roaming.care_of_address(),
)
