# SPDX-License-Identifier: Apache-2.0
"""A second Proxy Mobile IPv6 domain: an anchor of its own, LMA2, for some of the gateways of `halma.lab.scenarios.domain`.

            above               the anchor that LMA2 is reached through
             |                  between: 2001:db8:3:2::/64, outside of either domain
            lma2                2001:db8:4::1, prefixes out of 2001:db8:300::/40
             |
            core

Always holds: the two anchors know nothing of one another; host n gets 2001:db8:300:n::/64 here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from ipaddress import IPv6Address, IPv6Interface, IPv6Network

from halma.lab.daemons import Daemon
from halma.lab.scenarios import domain
from halma.lab.topology import End, Kind, Link, Node, Route, Topology, Zone

NAME = "lma2"
ADDRESS = IPv6Address("2001:db8:4::1")
PREFIXES = IPv6Network("2001:db8:300::/40")
_CORE = IPv6Address("2001:db8:4::ff")
_ABOVE, _BELOW = IPv6Address("2001:db8:3:2::1"), IPv6Address("2001:db8:3:2::2")


def prefix(host: int) -> IPv6Network:
    """The network that host `host` is given here."""
    return IPv6Network(f"2001:db8:300:{host}::/64")


def added(topology: Topology, above: str, interface: str, place: tuple[float, float]) -> Topology:
    """The topology with LMA2 between the core and the anchor `above`, which has a new interface for that."""
    routes = (Route(domain.GATEWAY_NETWORKS, _CORE), Route(domain.EVERYWHERE, _ABOVE))
    nodes = [
        dataclasses.replace(node, routes=(*node.routes, Route(PREFIXES, _BELOW))) if node.name == above else node
        for node in topology.nodes
    ]
    links = [
        Link(
            f"{above}-{NAME}",
            End(above, interface, (IPv6Interface(f"{_ABOVE}/64"),)),
            End(NAME, "inet0", (IPv6Interface(f"{_BELOW}/64"),)),
            Zone.OUTSIDE,
        ),
        Link(
            f"core-{NAME}",
            End("core", "lmb0", (IPv6Interface(f"{_CORE}/64"),)),
            End(NAME, "core0", (IPv6Interface(f"{ADDRESS}/64"),)),
            Zone.CORE,
        ),
    ]
    return dataclasses.replace(
        topology,
        nodes=(*nodes, Node(NAME, Kind.ANCHOR, "LMA2", place, routes)),
        links=(*topology.links, *links),
        home_prefixes=(*topology.home_prefixes, PREFIXES),
    )


def anchor_daemon(gateways: Iterable[int], hosts: Iterable[int]) -> Daemon:
    """LMA2, for these gateways and hosts."""
    return Daemon(
        NAME,
        "anchor",
        {
            "anchor": {"addresses": [str(ADDRESS)], "interfaces": ["core0", "inet0"], "roles": ["lma"]},
            "pool": [{"name": "main", "prefix": str(PREFIXES)}],
            "peer": domain.peers(gateways),
            "profile": [domain.host_profile(host, prefix(host)) for host in hosts],
        },
    )
