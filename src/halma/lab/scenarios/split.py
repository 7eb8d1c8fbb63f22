# SPDX-License-Identifier: Apache-2.0
"""`split`: `a2-leave` with home agent and local mobility anchor as two daemons on two machines (ANC-10, RFC 6612 scenario B).

             cn                 2001:db8:cc::2
             |
             ha                 2001:db8:2::1, home agent alone: in front of the anchor, on the way to the home prefixes
             |    \\
            lma    \\            2001:db8:1::1, local mobility anchor alone
             |      |
            core ---+           and as in `halma.lab.scenarios.roaming` from here on

Always holds: neither daemon knows of the other; routing alone brings packets to the home agent first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from ipaddress import IPv6Address, IPv6Interface, IPv6Network

from halma.lab.daemons import Daemon, Table
from halma.lab.scenario import Conditions
from halma.lab.scenarios import domain, roaming
from halma.lab.scenarios.a2_leave import Leave
from halma.lab.topology import End, Kind, Link, Node, Route, Topology, Zone

AGENT = "ha"
AGENT_ADDRESS = IPv6Address("2001:db8:2::1")
_EVERYWHERE = IPv6Network("::/0")
_NETWORK = IPv6Network("2001:db8:10::/44")
"""Where gateways and access routers are."""
_BETWEEN = IPv6Network("2001:db8:3::/64")


class Split(Leave):
    """The scenario, see the module."""

    def __init__(self) -> None:
        super().__init__(given_up=False)
        self.name = "split"
        self.title = "A node leaves the PMIPv6 domain; home agent and LMA are two daemons on two machines"
        self.variants: dict[str, Conditions] = {}

    def topology(self, conditions: Conditions) -> Topology:
        """The home agent between the correspondent and the anchor, with a link of its own to the core."""
        base = super().topology(conditions)
        top = base.node("cn").place
        core, cn, lma = base.node("core"), base.node("cn"), base.node("lma")
        agent_core, anchor_side = IPv6Address("2001:db8:2::ff"), _BETWEEN.network_address + 2
        nodes = [
            cn,
            Node(
                AGENT,
                Kind.ANCHOR,
                "HA",
                (top[0], top[1] + 0.5),
                (
                    Route(domain.host_prefix(1), anchor_side),
                    Route(_NETWORK, agent_core),
                ),
            ),
            dataclasses.replace(lma, title="LMA", routes=(*lma.routes, Route(_EVERYWHERE, _BETWEEN.network_address + 1))),
            core,
            *(node for node in base.nodes if node.name not in {"cn", "lma", "core"}),
        ]
        links = [
            Link(
                "outside",
                End("cn", "eth0", (IPv6Interface("2001:db8:cc::2/64"),)),
                End(AGENT, "inet0", (IPv6Interface("2001:db8:cc::1/64"),)),
                Zone.OUTSIDE,
            ),
            Link(
                "between",
                End(AGENT, "home0", (IPv6Interface(f"{_BETWEEN.network_address + 1}/64"),)),
                End("lma", "inet0", (IPv6Interface(f"{anchor_side}/64"),)),
                Zone.OUTSIDE,
            ),
            Link(
                "core-ha",
                End("core", "ha0", (IPv6Interface(f"{agent_core}/64"),)),
                End(AGENT, "core0", (IPv6Interface(f"{AGENT_ADDRESS}/64"),)),
                Zone.CORE,
            ),
            *(link for link in base.links if link.name != "outside"),
        ]
        return dataclasses.replace(base, nodes=tuple(nodes), links=tuple(links))

    def daemons(self, conditions: Conditions) -> Sequence[Daemon]:  # noqa: ARG002 (the same under all conditions)
        """Two anchors, each with one role."""
        both = roaming.anchor_daemon()
        tables = dict(both.tables)
        own: Table = {"addresses": [str(AGENT_ADDRESS)], "interfaces": ["core0", "inet0", "home0"], "roles": ["ha"]}
        agent = {"anchor": own, **{name: tables[name] for name in ("home_agent", "pool", "profile", "association")}}
        own = {"addresses": [str(domain.ANCHOR_ADDRESS)], "interfaces": ["core0", "inet0"], "roles": ["lma"]}
        local = {"anchor": own, **{name: tables[name] for name in ("pool", "peer", "profile")}}
        return [
            Daemon(AGENT, "anchor", agent, both.keys),
            Daemon("lma", "anchor", local),
            *(domain.gateway_daemon(number, 1) for number in (1, 2)),
            roaming.router_daemon(),
            roaming.node_daemon({"home_agent": str(AGENT_ADDRESS)}),
        ]
