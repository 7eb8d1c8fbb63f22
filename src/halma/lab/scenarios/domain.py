# SPDX-License-Identifier: Apache-2.0
"""The Proxy Mobile IPv6 domain that scenarios are played in: correspondent, anchor, core router, three gateways, hosts.

             cn                 2001:db8:cc::2
             |                  outside: home addresses are bare here ...
            lma                 2001:db8:1::1, home network prefixes out of 2001:db8:100::/40
             |                  core: ... and in tunnels here
            core
          /   |   \\
       mag1  mag2  mag3         2001:db8:11::1, 2001:db8:12::1, 2001:db8:13::1
         .    .     .           access: point-to-point links that hosts take with them
        h1   h2 h3  h4

Always holds: host n has the link-layer address 02:00:00:00:01:0n, the identifier hostn@example.org and, by its profile, the
prefix 2001:db8:100:n::/64.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from ipaddress import IPv6Address, IPv6Interface, IPv6Network

from halma.lab.daemons import Daemon, Table
from halma.lab.scenario import Conditions
from halma.lab.topology import AccessLink, End, Impairment, Kind, Link, Node, Route, Topology, Zone

HOME_PREFIXES = IPv6Network("2001:db8:100::/40")
ANCHOR_ADDRESS = IPv6Address("2001:db8:1::1")
GATEWAYS = ("mag1", "mag2", "mag3")
ROUTER_LINK_LOCAL = IPv6Address("fe80::200:5eff:fe00:5213")
ROUTER_LINK_LAYER = bytes.fromhex("00005e005213")
"""What every gateway looks like to a host (RFC 6543)."""

EVERYWHERE = IPv6Network("::/0")
GATEWAY_NETWORKS = IPv6Network("2001:db8:10::/44")
"""Where gateways and access routers are, and the prefixes that are their own."""


def gateway_address(number: int) -> IPv6Address:
    """The Proxy-CoA of gateway `number`."""
    return IPv6Address(f"2001:db8:{10 + number}::1")


def host_prefix(number: int) -> IPv6Network:
    """The home network prefix of host `number`."""
    return IPv6Network(f"2001:db8:100:{number}::/64")


def host_identifier(number: int) -> str:
    """The identifier (MN-ID) of host `number`."""
    return f"host{number}@example.org"


def host_link_layer(number: int) -> str:
    """The link-layer address of host `number`."""
    return f"02:00:00:00:01:{number:02x}"


def access_prefix(number: int) -> IPv6Network:
    """What gateway `number` gives to the links of hosts that manage their own mobility, a /64 each."""
    return IPv6Network(f"2001:db8:{10 + number}:100::/56")


def outside_link(anchor: str) -> Link:
    """The correspondent's link with the anchor that is in front of all others."""
    return Link(
        "outside",
        End("cn", "eth0", (IPv6Interface("2001:db8:cc::2/64"),)),
        End(anchor, "inet0", (IPv6Interface("2001:db8:cc::1/64"),)),
        Zone.OUTSIDE,
    )


def proxy_domain(hosts: int, conditions: Conditions, gateways: int = 3) -> Topology:
    """The domain with so many hosts."""
    impairment = None
    if not conditions.ideal:
        impairment = Impairment(conditions.delay_ms, conditions.jitter_ms, conditions.loss, conditions.seed)
    middle = (gateways - 1) / 2
    nodes = [
        Node("cn", Kind.CORRESPONDENT, "CN", (middle, 0), (Route(EVERYWHERE, IPv6Address("2001:db8:cc::1")),)),
        Node(
            "lma",
            Kind.ANCHOR,
            "LMA",
            (middle, 1),
            (Route(GATEWAY_NETWORKS, IPv6Address("2001:db8:1::ff")),),
        ),
        Node("core", Kind.ROUTER, "core", (middle, 2)),
    ]
    links = [
        Link(
            "core-lma",
            End("core", "lma0", (IPv6Interface("2001:db8:1::ff/64"),)),
            End("lma", "core0", (IPv6Interface(f"{ANCHOR_ADDRESS}/64"),)),
            Zone.CORE,
        ),
        outside_link("lma"),
    ]
    for number in range(1, gateways + 1):
        name = f"mag{number}"
        via = IPv6Address(f"2001:db8:{10 + number}::ff")
        nodes.append(Node(name, Kind.GATEWAY, f"MAG{number}", (number - 1, 3), (Route(EVERYWHERE, via),)))
        links.append(
            Link(
                f"core-{name}",
                End("core", f"{name}x", (IPv6Interface(f"{via}/64"),)),
                End(name, "core0", (IPv6Interface(f"{gateway_address(number)}/64"),)),
                Zone.CORE,
                impairment=impairment,
            )
        )
    spread = (gateways - 1) / max(1, hosts - 1)
    nodes += [
        Node(f"h{number}", Kind.HOST, f"host {number}", ((number - 1) * spread if hosts > 1 else middle, 4))
        for number in range(1, hosts + 1)
    ]
    access = [
        AccessLink(f"access-h{number}", f"h{number}", host_link_layer(number), f"ap{number}") for number in range(1, hosts + 1)
    ]
    return Topology(tuple(nodes), tuple(links), tuple(access), (HOME_PREFIXES,))


def with_access_prefixes(topology: Topology, gateways: Iterable[int]) -> Topology:
    """The topology with a core router that knows where the access prefixes of these gateways are."""
    routes = tuple(Route(access_prefix(number), gateway_address(number)) for number in gateways)
    nodes = [
        dataclasses.replace(node, routes=(*node.routes, *routes)) if node.name == "core" else node for node in topology.nodes
    ]
    return dataclasses.replace(topology, nodes=tuple(nodes))


def anchor_daemon(hosts: int, gateways: int = 3, settings: Mapping[str, object] | None = None) -> Daemon:
    """The anchor, with a profile for each host."""
    anchor: Table = {"addresses": [str(ANCHOR_ADDRESS)], "interfaces": ["core0", "inet0"], **table(settings)}
    return Daemon(
        "lma",
        "anchor",
        {
            "anchor": anchor,
            "pool": [{"name": "main", "prefix": str(HOME_PREFIXES)}],
            "peer": peers(range(1, gateways + 1)),
            "profile": [host_profile(number) for number in range(1, hosts + 1)],
        },
    )


def peers(gateways: Iterable[int]) -> list[Table]:
    """What an anchor is told of these gateways: that they may register every host."""
    return [{"address": str(gateway_address(number)), "nodes": ["*@example.org"]} for number in gateways]


def host_profile(number: int, prefix: IPv6Network | None = None, settings: Mapping[str, object] | None = None) -> Table:
    """What an anchor is told of host `number`: its identifier, and its home network prefix or another one."""
    own = str(prefix or host_prefix(number))
    return {"node": host_identifier(number), "pool": "main", "prefixes": [own], **table(settings)}


def gateway_daemon(
    number: int, hosts: int, settings: Mapping[str, object] | None = None, own_mobility: Collection[int] = ()
) -> Daemon:
    """Gateway `number`, which knows every host by its link-layer address. The hosts of `own_mobility` manage that themselves,
    and the gateway has an access prefix for them."""
    gateway: Table = {
        "address": str(gateway_address(number)),
        "anchor": str(ANCHOR_ADDRESS),
        "interfaces": ["core0"],
        "access": ["ap*"],
        "identity": f"mag{number}@example.org",
        **({"access_prefix": str(access_prefix(number))} if own_mobility else {}),
        **table(settings),
    }
    return Daemon(
        f"mag{number}",
        "gateway",
        {
            "gateway": gateway,
            "profile": [
                {
                    "node": host_identifier(host),
                    "link_layer_address": host_link_layer(host),
                    **({"proxy_mobility": False} if host in own_mobility else {}),
                }
                for host in range(1, hosts + 1)
            ],
        },
    )


def domain_daemons(hosts: int, gateways: int = 3) -> Sequence[Daemon]:
    """The anchor and all gateways with the settings that users start with."""
    return [anchor_daemon(hosts, gateways), *(gateway_daemon(number, hosts) for number in range(1, gateways + 1))]


def table(settings: Mapping[str, object] | None) -> Table:
    """Settings as a table of a configuration."""
    return {key: item for key, item in (settings or {}).items() if isinstance(item, str | int | float | Mapping | list)}
