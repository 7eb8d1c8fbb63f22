# SPDX-License-Identifier: Apache-2.0
"""`a2-visited`: a Mobile IPv6 node leaves its home, a Proxy Mobile IPv6 domain, for another such domain, where it goes on from
gateway to gateway (RFC 6612 scenario A.2, figure 3).

             cn                 2001:db8:cc::2
             |
            lma ------ lma2     HA/LMA1, and the anchor of the visited domain: 2001:db8:4::1
             |          |
            core -------+
          /   |   \\     \\
       mag1  mag2  mag3  mag4   the first two are home, under lma; the others are visited, under lma2

Always holds: the home agent hears nothing of what the visited domain does; the visited domain does not know that the node has a
home.
"""

from __future__ import annotations

from collections.abc import Sequence

from halma.lab.daemons import Daemon
from halma.lab.scenario import Conditions
from halma.lab.scenarios import domain, roaming, second_domain
from halma.lab.scenarios.a2_leave import Leave, at_home
from halma.lab.scenarios.travellers import Stop
from halma.lab.topology import Topology

_HOME, _VISITED = (1, 2), (3, 4)
_BETWEEN = "visit0"
"""The interface of HA/LMA1 towards LMA2."""


def visited(gateway: str) -> Stop:
    """A gateway of the visited domain."""
    return Stop(gateway, second_domain.prefix(1), second_domain.NAME)


class Visited(Leave):
    """The scenario, see the module."""

    def __init__(self) -> None:
        super().__init__(
            "a2-visited",
            "A node leaves its PMIPv6 home for another PMIPv6 domain and moves on within it (RFC 6612, figure 3)",
            "A Mobile IPv6 node is at home behind MAG2 and goes to MAG3, which registers it with LMA2. The node forms a "
            "care-of address out of what LMA2 gave and registers it with HA/LMA1; a packet to it takes the home agent's tunnel "
            "and in the visited domain LMA2's around it. Then it goes to MAG4: LMA2 hears of it and its home does not. The "
            "PMIPv6 entry at LMA1 waits for another gateway and ends by itself beside the home binding.",
            (at_home("mag2"), visited("mag3"), visited("mag4")),
            given_up=True,
        )

    def topology(self, conditions: Conditions) -> Topology:
        """Two domains of two gateways each."""
        base = roaming.home_domain(conditions, len(_HOME) + len(_VISITED))
        column, row = base.node("lma").place
        whole = second_domain.added(base, "lma", _BETWEEN, (column + 1, row + 0.5))
        return self.with_node(whole, conditions)

    def daemons(self) -> Sequence[Daemon]:
        """Two anchors, four gateways, the node."""
        settings = {"anchor": str(second_domain.ADDRESS)}
        return [
            roaming.anchor_daemon(
                len(_HOME),
                # Nobody needs a refresh while this is played: whatever is said is said because of a move.
                [roaming.node_profile(1, {"lifetime_seconds": 600})],
                interfaces=("core0", "inet0", _BETWEEN),
            ),
            second_domain.anchor_daemon(_VISITED, [1]),
            *(domain.gateway_daemon(number, 1) for number in _HOME),
            *(domain.gateway_daemon(number, 1, settings) for number in _VISITED),
            roaming.node_daemon(),
        ]
