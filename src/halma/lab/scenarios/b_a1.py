# SPDX-License-Identifier: Apache-2.0
"""`b-a1`: scenario B of RFC 6612 mixed with scenario A.1 (section 3): at the same gateways, under a home agent and two anchors,
three kinds of nodes at once.

The first node has Mobile IPv6 above Proxy Mobile IPv6 and goes from domain to domain, as in `a1-global`. The plain host has
Proxy Mobile IPv6 alone and stays in its domain. The second node has Mobile IPv6 alone, as in `b-mixed`: each gateway is a plain
access router to it.

Always holds: no anchor knows the second node, and the home agent does not know the plain host.
"""

from __future__ import annotations

from collections.abc import Sequence

from halma.lab.daemons import Daemon
from halma.lab.scenario import Conditions
from halma.lab.scenarios import hierarchy, roaming
from halma.lab.scenarios.a1 import stop
from halma.lab.scenarios.b_mixed import own_stop
from halma.lab.scenarios.journey import Journey
from halma.lab.scenarios.travellers import MobileNode, PlainHost
from halma.lab.topology import Topology

_ABOVE, _HOST, _ALONE = 1, 2, 3
_INTERVAL_MS = 3.0


class MixedHierarchy(Journey):
    """The scenario, see the module."""

    def __init__(self) -> None:
        super().__init__(
            "b-a1",
            "A plain host, a node with both protocols and one with Mobile IPv6 alone move together (B with A.1)",
            "Three kinds of nodes are at MAG1 and move to MAG2; then the two that have Mobile IPv6 go on to MAG3 in the domain "
            "of LMA2. The plain host keeps its address by Proxy Mobile IPv6. The node with both protocols tells its home agent "
            "of the other domain and of nothing else. The node with Mobile IPv6 alone is given a local prefix by each gateway "
            "and registers each of its addresses.",
            [
                MobileNode(
                    roaming.node_name(_ABOVE),
                    _ABOVE,
                    [stop(gateway, _ABOVE) for gateway in ("mag1", "mag2", "mag3")],
                    interval_ms=_INTERVAL_MS,
                ),
                PlainHost(f"h{_HOST}", _HOST, [stop(gateway, _HOST) for gateway in ("mag1", "mag2")], _INTERVAL_MS),
                MobileNode(
                    roaming.node_name(_ALONE),
                    _ALONE,
                    [own_stop(number) for number in hierarchy.GATEWAYS],
                    interval_ms=_INTERVAL_MS,
                ),
            ],
        )

    def topology(self, conditions: Conditions) -> Topology:
        """The hierarchy of figure 1 with three travellers."""
        return hierarchy.topology(conditions, [_ABOVE, _ALONE], [_HOST])

    def daemons(self) -> Sequence[Daemon]:
        """Gateways that know all kinds of nodes."""
        return hierarchy.daemons([_ABOVE, _ALONE], [_HOST], own_mobility=[_ALONE])
