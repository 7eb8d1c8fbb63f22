# SPDX-License-Identifier: Apache-2.0
"""`b-mixed`: two gateways serve a plain host by Proxy Mobile IPv6 and a Mobile IPv6 node as plain access routers, both at once
(RFC 6612 scenario B, figure 4).

Always holds: the plain host runs nothing of ours; the node is at no home link ever, and its profile has Mobile IPv6 alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from halma.lab.daemons import Daemon
from halma.lab.scenario import Conditions
from halma.lab.scenarios import domain, roaming
from halma.lab.scenarios.journey import Journey
from halma.lab.scenarios.travellers import MobileNode, PlainHost, Stop
from halma.lab.topology import Topology

_NODE, _HOST = 1, 2
GATEWAYS = (1, 2)
OWN_MOBILITY = {"proxy_mobility": False, "lifetime_seconds": 600}
"""What the profile of a node says that has Mobile IPv6 alone, and that needs no refresh while this is played."""


def own_stop(gateway: int) -> Stop:
    """Gateway `gateway` as a plain access router."""
    return Stop(f"mag{gateway}", domain.access_prefix(gateway))


def proxy_stop(gateway: int, host: int) -> Stop:
    """Gateway `gateway` as one that registers host `host`."""
    return Stop(f"mag{gateway}", domain.host_prefix(host), "lma")


class Mixed(Journey):
    """The scenario, see the module."""

    def __init__(self) -> None:
        super().__init__(
            "b-mixed",
            "A plain host and a Mobile IPv6 node move MAG1 -> MAG2 together",
            "Two gateways serve both kinds of nodes. The plain host keeps its address and its gateways register it. The node "
            "is given a local prefix by each gateway, forms a care-of address and registers that itself; no gateway registers "
            "it.",
            [
                MobileNode(roaming.node_name(_NODE), _NODE, [own_stop(number) for number in GATEWAYS]),
                PlainHost(f"h{_HOST}", _HOST, [proxy_stop(number, _HOST) for number in GATEWAYS]),
            ],
        )

    def topology(self, conditions: Conditions) -> Topology:
        """Two gateways with prefixes of their own, the node, the host."""
        base = domain.with_access_prefixes(roaming.home_domain(conditions), GATEWAYS)
        return roaming.peopled(base, {_NODE: roaming.home_address(_NODE)}, [_HOST])

    def daemons(self) -> Sequence[Daemon]:
        """Gateways that know both kinds of nodes."""
        own = roaming.node_profile(_NODE, OWN_MOBILITY)
        return [
            roaming.anchor_daemon(profiles=[own, domain.host_profile(_HOST)], nodes=[_NODE]),
            *(domain.gateway_daemon(number, _HOST, own_mobility=[_NODE]) for number in GATEWAYS),
            roaming.node_daemon(number=_NODE),
        ]


MIXED = Mixed()
