# SPDX-License-Identifier: Apache-2.0
"""The domain of `halma.lab.scenarios.domain` with Mobile IPv6 nodes in it, and an access router that knows nothing of mobility:
figure 2 of RFC 6612.

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
from collections.abc import Iterable, Mapping, Sequence
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


def node_name(number: int) -> str:
    """What node `number` is called."""
    return NODE if number == 1 else f"{NODE}{number}"


def home_address(number: int = 1) -> IPv6Address:
    """The home address of node `number`."""
    return domain.host_prefix(number).network_address + 1


def care_of_address(number: int = 1) -> IPv6Address:
    """The one that node `number` forms at the access router, of its link-layer address."""
    return ROUTER_PREFIX.network_address + ((0x0000_00FF_FE00_0100) | number)


def key(number: int = 1) -> str:
    """The key of node `number` and the anchor, as its file has it. It protects a lab, which nobody outside can reach."""
    return sha256(f"halma lab, node {number}".encode()).hexdigest()[:40]


def key_file(number: int = 1) -> str:
    """What a configuration says of that file."""
    return f"{KEYS}/node{number}.key"


def keys(numbers: Iterable[int]) -> tuple[tuple[str, str], ...]:
    """The key files of these nodes."""
    return tuple((f"node{number}.key", key(number)) for number in numbers)


def impairment_of(conditions: Conditions) -> Impairment:
    """What the core links do; also where they do nothing they have a relay, for scenarios hold messages back."""
    return Impairment(conditions.delay_ms, conditions.jitter_ms, conditions.loss, conditions.seed)


def relayed(topology: Topology, conditions: Conditions, links: Sequence[str]) -> Topology:
    """The topology with these links going through the relay, whatever the conditions."""
    made = [
        dataclasses.replace(link, impairment=impairment_of(conditions)) if link.name in links else link
        for link in topology.links
    ]
    return dataclasses.replace(topology, links=tuple(made))


def home_domain(conditions: Conditions, gateways: int = 2) -> Topology:
    """The domain without the access router, and without anybody who moves."""
    base = domain.proxy_domain(0, conditions, gateways)
    nodes = [dataclasses.replace(node, title="HA/LMA") if node.name == "lma" else node for node in base.nodes]
    return dataclasses.replace(base, nodes=tuple(nodes))


def roaming_domain(conditions: Conditions, gateways: int = 2) -> Topology:
    """The domain with the access router, and without anybody who moves."""
    base = home_domain(conditions, gateways)
    router_link = Link(
        f"core-{ROUTER}",
        End("core", f"{ROUTER}x", (IPv6Interface("2001:db8:1a::ff/64"),)),
        End(ROUTER, "core0", (IPv6Interface(f"{ROUTER_ADDRESS}/64"),)),
        Zone.CORE,
        impairment=None if conditions.ideal else impairment_of(conditions),
    )
    nodes = [
        dataclasses.replace(base.node("core"), routes=(Route(ROUTER_PREFIX, ROUTER_ADDRESS),)),
        *(node for node in base.nodes if node.name != "core"),
        Node(ROUTER, Kind.ROUTER, "AR", (gateways, 3), (Route(IPv6Network("::/0"), IPv6Address("2001:db8:1a::ff")),)),
    ]
    return dataclasses.replace(base, nodes=tuple(nodes), links=(*base.links, router_link))


def peopled(topology: Topology, homes: Mapping[int, IPv6Address], hosts: Sequence[int] = ()) -> Topology:
    """The topology with Mobile IPv6 nodes, by number with their home addresses, and plain hosts, all below the places where
    they attach."""
    width = max(node.place[0] for node in topology.nodes)
    row = max(node.place[1] for node in topology.nodes) + 1
    people = [(number, node_name(number), "MN" if number == 1 else f"MN {number}") for number in homes]
    people += [(number, f"h{number}", f"host {number}") for number in hosts]
    nodes = [
        Node(name, Kind.HOST, title, (width * (2 * index + 1) / (2 * len(people)), row))
        for index, (_, name, title) in enumerate(people)
    ]
    access = [
        AccessLink(f"access-{name}", name, domain.host_link_layer(number), f"ap{number}", address=homes.get(number))
        for number, name, _ in people
    ]
    return dataclasses.replace(topology, nodes=(*topology.nodes, *nodes), access=(*topology.access, *access))


def node_profile(number: int, settings: Mapping[str, object] | None = None) -> Table:
    """What an anchor is told of node `number`: what it is told of the host, and that it has Mobile IPv6."""
    return domain.host_profile(
        number, settings={"lifetime_seconds": PROXY_LIFETIME, "mobile_ipv6": True, **domain.table(settings)}
    )


def association(number: int, home_prefix: IPv6Network | None = None) -> Table:
    """The security association of an anchor with node `number`."""
    prefix = str(home_prefix or domain.host_prefix(number))
    return {"node": domain.host_identifier(number), "spi": _SPI, "key_file": key_file(number), "home_prefix": prefix}


def anchor_daemon(
    gateways: int = 2,
    profiles: Sequence[Table] | None = None,
    nodes: Sequence[int] = (1,),
    interfaces: Sequence[str] = ("core0", "inet0"),
    home_agent: Mapping[str, object] | None = None,
) -> Daemon:
    """Home agent and local mobility anchor in one, with the profiles, and the keys of some nodes."""
    return Daemon(
        "lma",
        "anchor",
        {
            "anchor": {"addresses": [str(domain.ANCHOR_ADDRESS)], "interfaces": list(interfaces)},
            "home_agent": {"maximum_lifetime_seconds": HOME_LIFETIME, **domain.table(home_agent)},
            "pool": [{"name": "main", "prefix": str(domain.HOME_PREFIXES)}],
            "peer": domain.peers(range(1, gateways + 1)),
            "profile": [node_profile(number) for number in nodes] if profiles is None else profiles,
            "association": [association(number) for number in nodes],
        },
        keys(nodes),
    )


def node_daemon(
    settings: Mapping[str, object] | None = None, number: int = 1, anchor: Mapping[str, object] | None = None
) -> Daemon:
    """Mobile node `number`; `anchor` is what it knows of its anchor, by default the address."""
    return Daemon(
        node_name(number),
        "node",
        {
            "node": {
                "interface": "eth0",
                "home_address": str(home_address(number)),
                **domain.table({"home_agent": str(domain.ANCHOR_ADDRESS)} if anchor is None else anchor),
                "identifier": domain.host_identifier(number),
                "lifetime_seconds": HOME_LIFETIME,
                "association": {"spi": _SPI, "key_file": key_file(number)},
                **domain.table(settings),
            }
        },
        keys([number]),
    )


def router_daemon() -> Daemon:
    """The access router's advertisements, on the links of all who come."""
    return Daemon(
        ROUTER,
        "router",
        {"router": {"interval_seconds": 1.0}, "access": [{"interface": "ap1", "prefix": str(ROUTER_PREFIX)}]},
    )


def daemons(gateways: int = 2) -> list[Daemon]:
    """All of the domain, with node 1."""
    gates = [domain.gateway_daemon(number, 1) for number in range(1, gateways + 1)]
    return [anchor_daemon(gateways), *gates, router_daemon(), node_daemon()]
