# SPDX-License-Identifier: Apache-2.0
"""A laboratory network as a value: nodes, the links between them, and the links of mobile hosts that move.

A scenario declares its `Topology` once; `halma.lab.network` builds it, `halma.lab.evidence` reads the captures with it, and
`halma.lab.topology_picture` draws it. Nothing here touches the machine.

Always holds: a topology that was constructed is one that can be built: every name is known and short enough for the kernel,
no address or interface is declared twice, and the two ends of a link can reach one another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import Enum
from ipaddress import IPv6Address, IPv6Interface, IPv6Network

from halma.value import value

MAXIMUM_INTERFACE_NAME = 15
"""What IFNAMSIZ leaves for the name of an interface."""

_NAME = re.compile(r"[a-z][a-z0-9]{0,11}")
_UNICAST = re.compile(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}")


class TopologyError(ValueError):
    """A topology that cannot be built; the message names the mistake."""


class Kind(Enum):
    """What a node is, which decides how the lab prepares it and where it is drawn."""

    HOST = "host"
    """A mobile host: the kernel's own IPv6 and nothing of ours."""
    CORRESPONDENT = "correspondent"
    ROUTER = "router"
    """Plain kernel forwarding."""
    ANCHOR = "anchor"
    GATEWAY = "gateway"

    @property
    def forwards(self) -> bool:
        """Whether the kernel of such a node forwards packets."""
        return self in {Kind.ROUTER, Kind.ANCHOR, Kind.GATEWAY}


class Zone(Enum):
    """What may travel on a link. Home addresses are bare on `OUTSIDE` and `ACCESS` links, and inside tunnels alone on `CORE`
    links."""

    OUTSIDE = "outside"
    CORE = "core"
    ACCESS = "access"


@value
class Route:
    """A static route; `destination` ::/0 is the default route."""

    destination: IPv6Network
    via: IPv6Address


@value
class Node:
    """A machine of the lab. `title` is what pictures call it, `place` its (column, row) in them."""

    name: str
    kind: Kind
    title: str
    place: tuple[float, float]
    routes: tuple[Route, ...] = ()


@value
class End:
    """One end of a link: an interface of a node, with its addresses."""

    node: str
    interface: str
    addresses: tuple[IPv6Interface, ...] = ()


@value
class Impairment:
    """What a link does to frames, in each direction: a delay, a uniform variation of it on top, and a probability of loss.
    The same `seed` loses the same frames of the same sequence."""

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    seed: int = 1

    def __post_init__(self) -> None:
        if self.delay_ms < 0 or self.jitter_ms < 0 or not 0 <= self.loss <= 1:
            raise TopologyError(f"an impairment needs times of 0 or more and a loss between 0 and 1: {self}")


@value
class Link:
    """A link between two nodes that stay where they are. With an `impairment` its frames go through a relay process."""

    name: str
    left: End
    right: End
    zone: Zone
    mtu: int = 1500
    impairment: Impairment | None = None

    @property
    def ends(self) -> tuple[End, End]:
        """Both ends."""
        return self.left, self.right


@value
class AccessLink:
    """The link of a mobile host. Its near end, `interface`, stays with the host; its far end, `far`, is what moves from one
    gateway to the next. At the start it hangs in the air, at no gateway. `address` is the one that others know the host
    by, where that is not the one which its kernel forms."""

    name: str
    host: str
    link_layer_address: str
    far: str
    interface: str = "eth0"
    mtu: int = 1500
    address: IPv6Address | None = None


@value
class Topology:
    """A network. `home_prefixes` are the aggregates whose packets must never be bare on a core link."""

    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
    access: tuple[AccessLink, ...] = ()
    home_prefixes: tuple[IPv6Network, ...] = ()

    def __post_init__(self) -> None:
        _check(self)

    def node(self, name: str) -> Node:
        """The node of that name. Raises KeyError."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def of_kind(self, kind: Kind) -> tuple[Node, ...]:
        """The nodes of a kind, in the order of their declaration."""
        return tuple(node for node in self.nodes if node.kind is kind)

    def access_of(self, host: str) -> AccessLink:
        """The access link of a host. Raises KeyError."""
        for link in self.access:
            if link.host == host:
                return link
        raise KeyError(host)

    @property
    def lossy(self) -> bool:
        """Whether any link loses frames."""
        return any(link.impairment is not None and link.impairment.loss for link in self.links)

    def ends_of(self, node: str) -> Iterator[tuple[Link, End]]:
        """The fixed links of a node, each with its own end."""
        for link in self.links:
            for end in link.ends:
                if end.node == node:
                    yield link, end

    def address(self, node: str) -> IPv6Address:
        """The first address that the topology declares for a node. Raises KeyError where it declares none."""
        for access in self.access:
            if access.host == node and access.address is not None:
                return access.address
        for _, end in self.ends_of(node):
            if end.addresses:
                return end.addresses[0].ip
        raise KeyError(node)

    def owners(self) -> dict[bytes, str]:
        """Which node has which declared address."""
        fixed = {interface.ip.packed: end.node for link in self.links for end in link.ends for interface in end.addresses}
        return fixed | {access.address.packed: access.host for access in self.access if access.address is not None}


def _check(topology: Topology) -> None:
    """Raise TopologyError for the first mistake of a topology."""
    for node in topology.nodes:
        if not _NAME.fullmatch(node.name):
            raise TopologyError(f"node {node.name!r}: a name is 1 to 12 lower-case letters and digits, a letter first")
    _check_once("node", [node.name for node in topology.nodes])
    _check_once("link", [*(link.name for link in topology.links), *(access.name for access in topology.access)])
    _check_interfaces(topology)
    _check_addresses(topology)
    _check_access(topology)
    _check_routes(topology)


def _check_once(what: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise TopologyError(f"{what} {name!r} is declared twice")


def _check_interfaces(topology: Topology) -> None:
    """Each is on a node that there is, which has no other of its name."""
    nodes = {node.name for node in topology.nodes}
    taken: set[tuple[str, str]] = set()
    fixed = [(link.name, end.node, end.interface) for link in topology.links for end in link.ends]
    for link, node, interface in [*fixed, *((access.name, access.host, access.interface) for access in topology.access)]:
        if node not in nodes:
            raise TopologyError(f"link {link!r}: there is no node {node!r}")
        if not 0 < len(interface) <= MAXIMUM_INTERFACE_NAME:
            raise TopologyError(f"link {link!r}: {interface!r} is not a name of 1 to {MAXIMUM_INTERFACE_NAME} characters")
        if (node, interface) in taken:
            raise TopologyError(f"link {link!r}: {node} has an interface {interface!r} already")
        taken.add((node, interface))


def _check_addresses(topology: Topology) -> None:
    """Each belongs to one node, and the two ends of a link can reach one another."""
    owners: dict[IPv6Address, str] = {}
    for link in topology.links:
        for end in link.ends:
            for interface in end.addresses:
                if interface.ip in owners:
                    raise TopologyError(f"link {link.name!r}: {interface.ip} belongs to {owners[interface.ip]} already")
                owners[interface.ip] = end.node
        near, far = ({interface.network for interface in end.addresses} for end in link.ends)
        if near and far and not near & far:
            raise TopologyError(f"link {link.name!r}: its two ends have no prefix in common")


def _check_access(topology: Topology) -> None:
    """Each is a host's, and its far end can be on any gateway beside the others."""
    far_ends: set[str] = set()
    for access in topology.access:
        if not 0 < len(access.far) <= MAXIMUM_INTERFACE_NAME:
            raise TopologyError(f"link {access.name!r}: {access.far!r} is not a name for an interface")
        if topology.node(access.host).kind is not Kind.HOST:
            raise TopologyError(f"link {access.name!r}: {access.host} is not a host")
        if access.far in far_ends:
            raise TopologyError(f"link {access.name!r}: two far ends are called {access.far!r} and would meet at a gateway")
        far_ends.add(access.far)
        if not _UNICAST.fullmatch(access.link_layer_address):
            raise TopologyError(f"link {access.name!r}: {access.link_layer_address!r} is not a unicast link-layer address")


def _check_routes(topology: Topology) -> None:
    """Each next hop is on a link of the node."""
    for node in topology.nodes:
        near = {interface.network for _, end in topology.ends_of(node.name) for interface in end.addresses}
        for route in node.routes:
            if not any(route.via in network for network in near):
                raise TopologyError(f"node {node.name!r}: the next hop {route.via} is on none of its links")
