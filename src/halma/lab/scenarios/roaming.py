# SPDX-License-Identifier: Apache-2.0
"""The domain of `halma.lab.scenarios.domain` with a Mobile IPv6 node in it, and an access router that knows nothing of
mobility: figure 2 of RFC 6612.

             cn                 2001:db8:cc::2
             |
            lma                 2001:db8:1::1, home agent (HA) and local mobility anchor (LMA) at once
             |
            core
          /   |   \\
       mag1  mag2   ar          the access router's link: 2001:db8:1a:1::/64
         .    .     .
              mn

Always holds: node n has the home address 2001:db8:100:n::1 out of its home network prefix, the identifier, the link-layer
address and the prefix of host n, and its key in files that nobody else may read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from hashlib import sha256
from ipaddress import IPv6Address, IPv6Interface, IPv6Network

from halma.lab.daemons import KEYS, Daemon, Table
from halma.lab.scenario import Conditions
from halma.lab.scenarios import domain
from halma.lab.topology import AccessLink, End, Impairment, Kind, Link, Node, Route, Topology, Zone

NODE = "mn"
ROUTER = "ar"
ROUTER_ADDRESS = IPv6Address("2001:db8:1a::1")
ROUTER_PREFIX = IPv6Network("2001:db8:1a:1::/64")
"""What the access router advertises: where the node forms its care-of address."""

PROXY_LIFETIME = 8
"""Seconds that a registration by a gateway lasts here, so that one which nobody refreshes is seen to end."""
HOME_LIFETIME = 60
_SPI = 256


def home_address(number: int = 1) -> IPv6Address:
    """The home address of node `number`."""
    return domain.host_prefix(number).network_address + 1


def key(number: int = 1) -> str:
    """The key of node `number` and the anchor, as its file has it. It protects a lab, which nobody outside can reach."""
    return sha256(f"halma lab, node {number}".encode()).hexdigest()[:40]


def key_file(number: int = 1) -> str:
    """What a configuration says of that file."""
    return f"{KEYS}/node{number}.key"


def impairment_of(conditions: Conditions) -> Impairment:
    """What the core links do; also where they do nothing they have a relay, for scenarios hold messages back."""
    return Impairment(conditions.delay_ms, conditions.jitter_ms, conditions.loss, conditions.seed)


def roaming_domain(conditions: Conditions, gateways: int = 2, relayed: Sequence[str] = ()) -> Topology:
    """The domain with one node. The links of `relayed` go through the relay, whatever the conditions."""
    base = domain.proxy_domain(0, conditions, gateways)
    router_link = Link(
        f"core-{ROUTER}",
        End("core", f"{ROUTER}x", (IPv6Interface("2001:db8:1a::ff/64"),)),
        End(ROUTER, "core0", (IPv6Interface(f"{ROUTER_ADDRESS}/64"),)),
        Zone.CORE,
        impairment=None if conditions.ideal else impairment_of(conditions),
    )
    links = [
        dataclasses.replace(link, impairment=impairment_of(conditions)) if link.name in relayed else link
        for link in (*base.links, router_link)
    ]
    nodes = [
        dataclasses.replace(base.node("lma"), title="HA/LMA"),
        dataclasses.replace(base.node("core"), routes=(Route(ROUTER_PREFIX, ROUTER_ADDRESS),)),
        *(node for node in base.nodes if node.name not in {"lma", "core"}),
        Node(ROUTER, Kind.ROUTER, "AR", (gateways, 3), (Route(IPv6Network("::/0"), IPv6Address("2001:db8:1a::ff")),)),
        Node(NODE, Kind.HOST, "MN", (gateways / 2, 4)),
    ]
    access = AccessLink(f"access-{NODE}", NODE, domain.host_link_layer(1), "ap1", address=home_address())
    return Topology(tuple(nodes), tuple(links), (access,), (domain.HOME_PREFIXES,))


def anchor_daemon(gateways: int = 2, profile: Mapping[str, object] | None = None) -> Daemon:
    """Home agent and local mobility anchor in one, with the profile and the key of node 1."""
    identifier = domain.host_identifier(1)
    return Daemon(
        "lma",
        "anchor",
        {
            "anchor": {"addresses": [str(domain.ANCHOR_ADDRESS)], "interfaces": ["core0", "inet0"]},
            "home_agent": {"maximum_lifetime_seconds": HOME_LIFETIME},
            "pool": [{"name": "main", "prefix": str(domain.HOME_PREFIXES)}],
            "peer": [
                {"address": str(domain.gateway_address(number)), "nodes": ["*@example.org"]}
                for number in range(1, gateways + 1)
            ],
            "profile": [
                {
                    "node": identifier,
                    "pool": "main",
                    "prefixes": [str(domain.host_prefix(1))],
                    "lifetime_seconds": PROXY_LIFETIME,
                    "mobile_ipv6": True,
                    **_table(profile),
                }
            ],
            "association": [
                {"node": identifier, "spi": _SPI, "key_file": key_file(), "home_prefix": str(domain.host_prefix(1))}
            ],
        },
        ((f"node{1}.key", key()),),
    )


def node_daemon(settings: Mapping[str, object] | None = None) -> Daemon:
    """The mobile node."""
    return Daemon(
        NODE,
        "node",
        {
            "node": {
                "interface": "eth0",
                "home_address": str(home_address()),
                "home_agent": str(domain.ANCHOR_ADDRESS),
                "identifier": domain.host_identifier(1),
                "lifetime_seconds": HOME_LIFETIME,
                "association": {"spi": _SPI, "key_file": key_file()},
                **_table(settings),
            }
        },
        (("node1.key", key()),),
    )


def router_daemon() -> Daemon:
    """The access router's advertisements."""
    return Daemon(
        ROUTER,
        "router",
        {"router": {"interval_seconds": 1.0}, "access": [{"interface": "ap1", "prefix": str(ROUTER_PREFIX)}]},
    )


def daemons(gateways: int = 2) -> list[Daemon]:
    """All of the domain."""
    gates = [domain.gateway_daemon(number, 1) for number in range(1, gateways + 1)]
    return [anchor_daemon(gateways), *gates, router_daemon(), node_daemon()]


def _table(settings: Mapping[str, object] | None) -> Table:
    return {key: item for key, item in (settings or {}).items() if isinstance(item, str | int | float | Mapping | list)}
