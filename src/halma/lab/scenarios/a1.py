# SPDX-License-Identifier: Apache-2.0
"""`a1-local` and `a1-global`: a Mobile IPv6 node moves within and between two Proxy Mobile IPv6 domains (RFC 6612 scenario A.1,
figures 5 and 6).

Always holds: what a domain gives the node is its care-of address; the node itself has no part in the domain's signalling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv6Network

from halma.lab.daemons import Daemon
from halma.lab.scenario import SLOW_CORE, Conditions
from halma.lab.scenarios import domain, hierarchy, roaming, second_domain
from halma.lab.scenarios.journey import Journey
from halma.lab.scenarios.travellers import MobileNode, Stop
from halma.lab.topology import Topology


def stop(gateway: str, number: int = 1) -> Stop:
    """A gateway, where its anchor gives host `number` the network of its domain."""
    networks: dict[str, tuple[IPv6Network, str]] = {
        "mag1": (domain.host_prefix(number), "lma"),
        "mag2": (domain.host_prefix(number), "lma"),
        "mag3": (second_domain.prefix(number), second_domain.NAME),
    }
    return Stop(gateway, *networks[gateway])


class Hierarchical(Journey):
    """Both scenarios: the node goes along `route`."""

    def __init__(
        self, name: str, title: str, story: str, route: Sequence[str], variants: Mapping[str, Conditions] | None = None
    ) -> None:
        node = MobileNode(roaming.NODE, 1, [stop(gateway) for gateway in route])
        super().__init__(name, title, story, [node], variants)

    def topology(self, conditions: Conditions) -> Topology:
        """The hierarchy of figure 1."""
        return hierarchy.topology(conditions)

    def daemons(self) -> Sequence[Daemon]:
        """A home agent, two anchors, three gateways, the node."""
        return hierarchy.daemons()


LOCAL = Hierarchical(
    "a1-local",
    "A node with a binding at its home agent moves MAG1 -> MAG2 under one LMA (RFC 6612, figure 5)",
    "The node has registered the address that LMA1's domain gave it. It moves to another gateway of that domain: the gateway "
    "registers it there, and its home agent hears nothing, for the care-of address is still the same.",
    ("mag1", "mag2"),
)
GLOBAL = Hierarchical(
    "a1-global",
    "The node moves on to MAG3 under another LMA (RFC 6612, figure 6)",
    "The node moves within LMA1's domain, then into that of LMA2: MAG3 registers it with LMA2, the node forms another care-of "
    "address out of what LMA2 gave, and registers that with its home agent.",
    ("mag1", "mag2", "mag3"),
    SLOW_CORE,
)
