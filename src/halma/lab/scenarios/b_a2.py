# SPDX-License-Identifier: Apache-2.0
"""`b-a2`: scenario B of RFC 6612 mixed with scenario A.2 (section 3): at the same gateways, under one anchor, three kinds of
nodes at once.

The first node has its home link in the Proxy Mobile IPv6 domain and leaves it for an access router, as in `a2-leave` and
`a2-return`. The plain host has Proxy Mobile IPv6 alone. The second node has Mobile IPv6 alone, as in `b-mixed`: each gateway is
a plain access router to it.

Always holds: no gateway ever registers the second node; the plain host runs nothing of ours.
"""

from __future__ import annotations

from collections.abc import Sequence

from halma.lab.daemons import Daemon
from halma.lab.scenario import Conditions
from halma.lab.scenarios import domain, roaming
from halma.lab.scenarios.a2_leave import AT_ROUTER, at_home
from halma.lab.scenarios.b_mixed import GATEWAYS, OWN_MOBILITY, own_stop, proxy_stop
from halma.lab.scenarios.journey import Journey
from halma.lab.scenarios.travellers import MobileNode, PlainHost
from halma.lab.topology import Topology

_AT_HOME, _HOST, _ALONE = 1, 2, 3
_INTERVAL_MS = 3.0


class MixedHome(Journey):
    """The scenario, see the module."""

    def __init__(self) -> None:
        super().__init__(
            "b-a2",
            "A plain host, a node at home in the domain and one with Mobile IPv6 alone at the same gateways (B with A.2)",
            "Three kinds of nodes are at MAG1. The plain host and the node with Mobile IPv6 alone move to MAG2 while the node "
            "that is at home there leaves for an access router; then that one comes home, to MAG2. The plain host keeps its "
            "address, the node with Mobile IPv6 alone registers an address of each gateway, and the third one registers abroad "
            "and de-registers at home.",
            [
                MobileNode(
                    roaming.node_name(_AT_HOME),
                    _AT_HOME,
                    (at_home("mag1"), AT_ROUTER, at_home("mag2")),
                    domain.host_prefix(_AT_HOME),
                    _INTERVAL_MS,
                ),
                PlainHost(f"h{_HOST}", _HOST, [proxy_stop(number, _HOST) for number in GATEWAYS], _INTERVAL_MS),
                MobileNode(
                    roaming.node_name(_ALONE), _ALONE, [own_stop(number) for number in GATEWAYS], interval_ms=_INTERVAL_MS
                ),
            ],
        )

    def topology(self, conditions: Conditions) -> Topology:
        """Figure 2 with three travellers."""
        base = domain.with_access_prefixes(roaming.roaming_domain(conditions), GATEWAYS)
        homes = {number: roaming.home_address(number) for number in (_AT_HOME, _ALONE)}
        return roaming.peopled(base, homes, [_HOST])

    def daemons(self) -> Sequence[Daemon]:
        """Gateways that know all kinds of nodes."""
        profiles = [roaming.node_profile(_AT_HOME), domain.host_profile(_HOST), roaming.node_profile(_ALONE, OWN_MOBILITY)]
        return [
            roaming.anchor_daemon(profiles=profiles, nodes=[_AT_HOME, _ALONE]),
            *(domain.gateway_daemon(number, _ALONE, own_mobility=[_ALONE]) for number in GATEWAYS),
            roaming.router_daemon(),
            *(roaming.node_daemon(number=number) for number in (_AT_HOME, _ALONE)),
        ]
