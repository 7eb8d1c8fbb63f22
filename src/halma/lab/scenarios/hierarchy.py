# SPDX-License-Identifier: Apache-2.0
"""Mobile IPv6 above two Proxy Mobile IPv6 domains: figure 1 of RFC 6612.

             cn                 2001:db8:cc::2
             |
             ha                 2001:db8:2::1, home addresses out of 2001:db8:200::/40
           /    \\
        lma      lma2           2001:db8:1::1 and 2001:db8:4::1, prefixes out of 2001:db8:100::/40 and 2001:db8:300::/40
           \\    /
            core
          /   |   \\
       mag1  mag2  mag3         the first two under lma, the third under lma2

Always holds: node n has the home address 2001:db8:200:n::1; what a domain or a gateway gives it is its care-of address.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from ipaddress import IPv6Address, IPv6Interface, IPv6Network

from halma.lab.daemons import Daemon
from halma.lab.scenario import Conditions
from halma.lab.scenarios import domain, roaming, second_domain
from halma.lab.topology import End, Kind, Link, Node, Route, Topology, Zone

AGENT = "ha"
AGENT_ADDRESS = IPv6Address("2001:db8:2::1")
_AGENT_NETWORK = IPv6Network("2001:db8:2::/64")
_HOME_PREFIXES = IPv6Network("2001:db8:200::/40")
_ABOVE, _BELOW = IPv6Address("2001:db8:3:1::1"), IPv6Address("2001:db8:3:1::2")
_GATEWAYS_OF_LMA, _GATEWAYS_OF_LMA2 = (1, 2), (3,)
GATEWAYS = (*_GATEWAYS_OF_LMA, *_GATEWAYS_OF_LMA2)


def home_prefix(number: int) -> IPv6Network:
    """The home network prefix of node `number`."""
    return IPv6Network(f"2001:db8:200:{number}::/64")


def home_address(number: int) -> IPv6Address:
    """The home address of node `number`."""
    return home_prefix(number).network_address + 1


def topology(conditions: Conditions, nodes: Sequence[int] = (1,), hosts: Sequence[int] = ()) -> Topology:
    """The home agent above, two anchors, three gateways; the core router knows the access prefix of each gateway."""
    base = domain.with_access_prefixes(domain.proxy_domain(0, conditions, len(GATEWAYS)), GATEWAYS)
    lma, core = base.node("lma"), base.node("core")
    middle = lma.place[0]
    # What has a care-of address of a gateway's own goes by way of LMA1, as any packet.
    agent = Node(
        AGENT,
        Kind.ANCHOR,
        "HA",
        (middle, 0.5),
        (Route(domain.HOME_PREFIXES, _BELOW), Route(domain.GATEWAY_NETWORKS, _BELOW)),
    )
    links = [
        domain.outside_link(AGENT),
        Link(
            f"{AGENT}-lma",
            End(AGENT, "core0", (IPv6Interface(f"{_ABOVE}/64"), IPv6Interface(f"{AGENT_ADDRESS}/64"))),
            End("lma", "inet0", (IPv6Interface(f"{_BELOW}/64"),)),
            Zone.OUTSIDE,
        ),
        *(link for link in base.links if link.name != "outside"),
    ]
    changed = {
        "lma": dataclasses.replace(
            lma, title="LMA1", place=(middle - 0.6, 1), routes=(*lma.routes, Route(domain.EVERYWHERE, _ABOVE))
        ),
        "core": dataclasses.replace(core, routes=(*core.routes, Route(_AGENT_NETWORK, domain.ANCHOR_ADDRESS))),
    }
    whole = dataclasses.replace(
        base,
        nodes=(agent, *(changed.get(node.name, node) for node in base.nodes)),
        links=tuple(links),
        home_prefixes=(*base.home_prefixes, _HOME_PREFIXES),
    )
    whole = second_domain.added(whole, AGENT, "core1", (middle + 0.6, 1))
    return roaming.peopled(whole, {number: home_address(number) for number in nodes}, hosts)


def daemons(nodes: Sequence[int] = (1,), hosts: Sequence[int] = (), own_mobility: Collection[int] = ()) -> list[Daemon]:
    """A home agent, two anchors, three gateways, the nodes; those of `own_mobility` are known to no LMA."""
    registered = sorted({*nodes, *hosts} - {*own_mobility})
    agent = Daemon(
        AGENT,
        "anchor",
        {
            "anchor": {"addresses": [str(AGENT_ADDRESS)], "interfaces": ["core0", "core1", "inet0"], "roles": ["ha"]},
            "home_agent": {"maximum_lifetime_seconds": roaming.HOME_LIFETIME},
            "pool": [{"name": "main", "prefix": str(_HOME_PREFIXES)}],
            "profile": [domain.host_profile(number, home_prefix(number), {"mobile_ipv6": True}) for number in nodes],
            "association": [roaming.association(number, home_prefix(number)) for number in nodes],
        },
        roaming.keys(nodes),
    )
    lma = domain.anchor_daemon(0, len(_GATEWAYS_OF_LMA), {"roles": ["lma"]})
    lma = dataclasses.replace(lma, tables={**lma.tables, "profile": [domain.host_profile(number) for number in registered]})
    last = max((*nodes, *hosts))
    gateways = [
        domain.gateway_daemon(number, last, {"anchor": str(address)}, own_mobility)
        for address, numbers in ((domain.ANCHOR_ADDRESS, _GATEWAYS_OF_LMA), (second_domain.ADDRESS, _GATEWAYS_OF_LMA2))
        for number in numbers
    ]
    return [
        agent,
        lma,
        second_domain.anchor_daemon(_GATEWAYS_OF_LMA2, registered),
        *gateways,
        *(
            roaming.node_daemon({"home_address": str(home_address(number)), "home_agent": str(AGENT_ADDRESS)}, number)
            for number in nodes
        ),
    ]
