# SPDX-License-Identifier: Apache-2.0
"""`split` and `split-mixed`: `a2-leave` and `b-mixed` with home agent and local mobility anchor as two daemons on two machines
(ANC-10, RFC 6612 scenario B).

             cn                 2001:db8:cc::2
             |
             ha                 2001:db8:2::1, home agent alone: in front of the anchor, on the way to the home prefixes
             |    \\
            lma    \\            2001:db8:1::1, local mobility anchor alone
             |      |
            core ---+           and as in the scenario that is played apart from here on

Always holds: neither daemon knows of the other, routing alone brings packets to the home agent first; what is played and what
must be seen is that scenario's own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv6Address, IPv6Interface

from halma.lab import judge_home
from halma.lab.daemons import Daemon, Table
from halma.lab.evidence import Evidence
from halma.lab.scenario import Conditions, Scenario
from halma.lab.scenarios import domain
from halma.lab.scenarios.a2_leave import LEAVE
from halma.lab.scenarios.b_mixed import MIXED
from halma.lab.session import Lab
from halma.lab.topology import End, Kind, Link, Node, Route, Topology, Zone
from halma.lab.verdict import Check, Handover

AGENT = "ha"
AGENT_ADDRESS = IPv6Address("2001:db8:2::1")
_CORE = IPv6Address("2001:db8:2::ff")
_ABOVE, _BELOW = IPv6Address("2001:db8:3::1"), IPv6Address("2001:db8:3::2")


class Split:
    """A scenario with one anchor, `whole`, played apart."""

    def __init__(self, name: str, title: str, whole: Scenario) -> None:
        self.name, self.title, self._whole = name, title, whole
        self.story = f"{whole.story} Home agent and LMA are two daemons on two machines, and all is as if they were one."
        self.variants: dict[str, Conditions] = {}

    def topology(self, conditions: Conditions) -> Topology:
        """The home agent between the correspondent and the anchor, with a link of its own to the core."""
        base = self._whole.topology(conditions)
        column, row = base.node("cn").place
        lma = base.node("lma")
        # The home agent answers for its pool; what it sends on is the home networks of those who are there.
        homes = [domain.host_prefix(number) for number in range(1, len(base.access) + 1)]
        routes = (*(Route(home, _BELOW) for home in homes), Route(domain.GATEWAY_NETWORKS, _CORE))
        agent = Node(AGENT, Kind.ANCHOR, "HA", (column, row + 0.5), routes)
        lma = dataclasses.replace(lma, title="LMA", routes=(*lma.routes, Route(domain.EVERYWHERE, _ABOVE)))
        links = [
            domain.outside_link(AGENT),
            Link(
                "between",
                End(AGENT, "home0", (IPv6Interface(f"{_ABOVE}/64"),)),
                End("lma", "inet0", (IPv6Interface(f"{_BELOW}/64"),)),
                Zone.OUTSIDE,
            ),
            Link(
                "core-ha",
                End("core", "ha0", (IPv6Interface(f"{_CORE}/64"),)),
                End(AGENT, "core0", (IPv6Interface(f"{AGENT_ADDRESS}/64"),)),
                Zone.CORE,
            ),
            *(link for link in base.links if link.name != "outside"),
        ]
        nodes = (agent, *(lma if node.name == "lma" else node for node in base.nodes))
        return dataclasses.replace(base, nodes=nodes, links=tuple(links))

    def daemons(self) -> Sequence[Daemon]:
        """The anchor as two, each with one role; nodes are told of the home agent."""
        found: list[Daemon] = []
        for daemon in self._whole.daemons():
            if daemon.role == "anchor":
                found += _apart(daemon)
            elif daemon.role == "node":
                own = daemon.tables["node"]
                assert isinstance(own, Mapping)
                tables: Table = {**daemon.tables, "node": {**own, "home_agent": str(AGENT_ADDRESS)}}
                found.append(dataclasses.replace(daemon, tables=tables))
            else:
                found.append(daemon)
        return found

    def attach(self, lab: Lab) -> None:
        """As in the whole."""
        self._whole.attach(lab)

    def timeline(self, lab: Lab) -> None:
        """As in the whole."""
        self._whole.timeline(lab)

    def checks(self, evidence: Evidence) -> Iterator[Check]:
        """What must be seen in the whole, and that each role was asked for its own part."""
        yield from self._whole.checks(evidence)
        yield judge_home.roles_apart(evidence, AGENT, "lma")

    def handovers(self, evidence: Evidence) -> Sequence[Handover]:
        """As in the whole."""
        return self._whole.handovers(evidence)

    def watched(self) -> Sequence[str]:
        """As in the whole."""
        return self._whole.watched()


def _apart(anchor: Daemon) -> Iterator[Daemon]:
    """An anchor with both roles as two with one role each, and with what each needs to know."""
    common = {name: anchor.tables[name] for name in ("pool", "profile")}
    own: Table = {"addresses": [str(AGENT_ADDRESS)], "interfaces": ["core0", "inet0", "home0"], "roles": ["ha"]}
    agent = {name: anchor.tables[name] for name in ("home_agent", "association")}
    yield Daemon(AGENT, anchor.role, {"anchor": own, **common, **agent}, anchor.keys)
    own = {"addresses": [str(domain.ANCHOR_ADDRESS)], "interfaces": ["core0", "inet0"], "roles": ["lma"]}
    yield Daemon(anchor.node, anchor.role, {"anchor": own, **common, "peer": anchor.tables["peer"]})


SPLIT = Split("split", "A node leaves the PMIPv6 domain; home agent and LMA are two daemons on two machines", LEAVE)
SPLIT_MIXED = Split(
    "split-mixed",
    "A plain host and a Mobile IPv6 node move together; home agent and LMA are two daemons on two machines",
    MIXED,
)
