# SPDX-License-Identifier: Apache-2.0
"""node.toml: its tables, each key declared and described once, and what must hold between them.

RFC 6275 sections 11 and 13 (a mobile node's variables), RFC 3963 section 5 (mobile routers), RFC 5026 section 5.1 (home agents
by DNS). The descriptions here are the reference that `docs/configuration.md` is generated from.

Always holds: a `NodeConfiguration` that `read_node` gives has no mistake in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from halma.daemon.configuration_association import NodeAssociationTable
from halma.daemon.configuration_reader import Reader
from halma.daemon.configuration_types import (
    HNP_LENGTH,
    AbsolutePath,
    Address,
    ControlSocket,
    DataPlane,
    DomainName,
    HomeNetworkPrefix,
    Identifier,
    Interface,
    MobileNetworkPrefix,
    PathMtu,
    RequestedLifetime,
    RetryInterval,
)
from halma.engine.node_api import MobileNetwork
from halma.policy.patterns import WILDCARD
from halma.security.authentication import Key
from halma.text import Prefix

MOST_NAME_SERVERS = 3
LOOPBACK = bytes(15) + b"\x01"


class NodeTable(msgspec.Struct, frozen=True, kw_only=True):
    """The mobile node itself (RFC 6275 section 11)."""

    interface: Annotated[
        Interface,
        Meta(
            description="The interface that moves. The daemon manages its addresses and default route; it must exist when the "
            "daemon starts."
        ),
    ]
    home_address: Annotated[
        Address | None,
        Meta(description="The address that the node keeps wherever it is. Default: formed in `home_prefix`."),
    ] = None
    home_prefix: Annotated[
        HomeNetworkPrefix | None,
        Meta(
            description="The prefix of the home link, a /64: where it is advertised the node is at home. Default: that of "
            "`home_address`."
        ),
    ] = None
    home_agent: Annotated[
        Address | None,
        Meta(
            description="The anchor's address. Without it, and without `home_agent_name` and `home_domain`, the home link is "
            "asked for home agents (RFC 6275 section 11.4.1)."
        ),
    ] = None
    other_home_agents: Annotated[
        tuple[Address, ...], Meta(description="Home agents to turn to, in this order, when `home_agent` does not serve.")
    ] = ()
    home_agent_name: Annotated[
        DomainName | None,
        Meta(
            description="The anchor's name, instead of its address: the DNS is asked for AAAA records (RFC 5026 section 5.1.1) "
            "before the node leaves its home, when an answer is out of date, and when no anchor serves. A forged answer can "
            "keep the node from registering, and no more: whoever it leads to does not have the key."
        ),
    ] = None
    home_domain: Annotated[
        DomainName | None,
        Meta(
            description="The domain that has the anchor: as `home_agent_name`, by the SRV records of `_mip6._ipv6` under this "
            "name, by priority and weight (RFC 5026 section 5.1.2)."
        ),
    ] = None
    name_servers: Annotated[
        tuple[Address, ...],
        Meta(
            description="The name servers that are asked, three at the most. Default: those of /etc/resolv.conf that have an "
            "IPv6 address and are not on this machine, or else those that systemd-resolved itself asks."
        ),
    ] = ()
    identifier: Annotated[Identifier, Meta(description="The node's identifier towards the anchor (RFC 4283).")] = b""
    lifetime_seconds: RequestedLifetime = 3600
    mobile_router: Annotated[
        bool, Meta(description="Whether a network moves with the node (RFC 3963). It needs an `inner_interface`.")
    ] = False
    mobile_network_prefixes: Annotated[
        tuple[MobileNetworkPrefix, ...], Meta(description="The prefixes of the network behind a mobile router.")
    ] = ()
    explicit_prefixes: Annotated[
        bool,
        Meta(
            description="Name these prefixes in every registration (explicit mode); otherwise the home agent has to know them "
            "(implicit mode, RFC 3963 section 5.2)."
        ),
    ] = False
    inner_interface: Annotated[
        Interface | None,
        Meta(description="The interface that the network behind a mobile router is on. Give it its addresses yourself."),
    ] = None
    insecure: Annotated[
        bool,
        Meta(
            description="Register without a key, and believe answers that no key protects. For closed laboratories only: "
            "the home agent must say so too."
        ),
    ] = False
    control_socket: ControlSocket = "/run/halma/node.sock"
    state_directory: Annotated[
        AbsolutePath,
        Meta(
            description="Where the daemon keeps what must survive a restart: sequence numbers, the last registration, and how "
            "its interface was before it changed it."
        ),
    ] = "/var/lib/halma"
    plane: DataPlane = "auto"
    path_mtu: PathMtu = 1500
    optimistic_handover: Annotated[
        bool,
        Meta(
            description="Use the tunnel as soon as a registration is sent, not only when it is acknowledged. Saves a round "
            "trip; packets are lost if the home agent refuses."
        ),
    ] = False
    first_registration_timeout_seconds: Annotated[
        float,
        Meta(
            description="Seconds to wait for the answer to a first registration, for which a home agent may look for "
            "duplicates first (InitialBindackTimeoutFirstReg, RFC 6275 section 13).",
            ge=1,
            le=32,
        ),
    ] = 1.5
    router_solicitation_interval_seconds: Annotated[
        float,
        Meta(
            description="Seconds between the first Router Solicitations on a new link. RFC 4861 has 4, which is long for a "
            "handover whose first one was lost.",
            ge=0.1,
            le=60,
        ),
    ] = 1.0
    router_probe_interval_seconds: Annotated[
        float,
        Meta(
            description="Seconds between the three questions to a router of which it is not clear whether it is still there.",
            ge=0.05,
            le=10,
        ),
    ] = 0.2
    lost_advertisements: Annotated[
        int,
        Meta(
            description="After so many advertisements that did not come, the router is asked whether it is there. Holds for "
            "routers that say how often they advertise themselves (RFC 6275 section 11.5.1).",
            ge=1,
            le=100,
        ),
    ] = 3
    retry_interval_seconds: RetryInterval = 32.0
    association: NodeAssociationTable | None = None

    @property
    def prefix(self) -> bytes:
        """The home prefix."""
        if self.home_prefix is not None:
            return self.home_prefix.address
        assert self.home_address is not None
        return self.home_address[:8] + bytes(8)

    @property
    def home_agents(self) -> tuple[bytes, ...]:
        """All that are known from here."""
        return (*(() if self.home_agent is None else (self.home_agent,)), *self.other_home_agents)

    @property
    def networks(self) -> tuple[MobileNetwork, ...]:
        """The mobile networks."""
        return tuple(MobileNetwork(prefix.address, prefix.length) for prefix in self.mobile_network_prefixes)


class NodeConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of node.toml."""

    node: NodeTable

    def key(self, home_address: bytes) -> Key | None:
        """The association with its key, read from its file; None where there is none. Raises ValueError when the file has
        changed for the worse."""
        table = self.node.association
        return None if table is None else table.key(self.node.identifier, home_address)


def read_node(table: Mapping[str, Any], reader: Reader) -> NodeConfiguration | None:
    """Read the table of node.toml and check its keys against one another; mistakes go to `reader`."""
    configuration = reader.table(NodeConfiguration, table)
    if configuration is not None:
        node = configuration.node
        _check_home(node, reader)
        _check_router(node, reader)
        _check_security(node, reader)
    return configuration


def _check_home(node: NodeTable, reader: Reader) -> None:
    if node.home_address is None and node.home_prefix is None:
        reader.mistake("node.home_address", "is missing, and so is home_prefix, in which one could be formed")
    elif node.home_address is not None:
        if not Prefix(node.prefix, HNP_LENGTH).contains(node.home_address):
            reader.mistake("node.home_address", f"does not lie in home_prefix {node.home_prefix}")
        if node.home_address[8:] == bytes(8):
            reader.mistake("node.home_address", "is the anycast address of its link's routers (RFC 4291 section 2.6.1)")
        if node.home_address in node.home_agents:
            reader.mistake("node.home_agent", "is the node's own home address")
    if node.home_agent is None and node.other_home_agents:
        reader.mistake("node.other_home_agents", "there is no home_agent that these could be others of")
    for other, path in reader.entries(node.other_home_agents, "node.other_home_agents"):
        if other == node.home_agent:
            reader.mistake(path, "is the home_agent already")
    _check_names(node, reader)


def _check_names(node: NodeTable, reader: Reader) -> None:
    """Home agents come from one place."""
    given = [key for key in ("home_agent", "home_agent_name", "home_domain") if getattr(node, key)]
    for key in given[1:]:
        reader.mistake(f"node.{key}", f"is given, and so is {given[0]}: say in one way what the anchor is")
    if node.name_servers and not (node.home_agent_name or node.home_domain):
        reader.mistake("node.name_servers", "is given, but there is no home_agent_name and no home_domain to ask for")
    if len(node.name_servers) > MOST_NAME_SERVERS:
        reader.mistake("node.name_servers", f"has {len(node.name_servers)} of them; {MOST_NAME_SERVERS} are asked at the most")
    for server, path in reader.entries(node.name_servers, "node.name_servers"):
        if server == LOOPBACK:
            reader.mistake(path, "is on this machine, and would itself ask from the home address")


def _check_router(node: NodeTable, reader: Reader) -> None:
    if node.mobile_router:
        if node.inner_interface is None:
            reader.mistake("node.inner_interface", "is missing: a mobile router has a network behind it")
        if not node.mobile_network_prefixes:
            reader.mistake("node.mobile_network_prefixes", "is missing: the prefixes of the network behind a mobile router")
    else:
        for key in ("mobile_network_prefixes", "explicit_prefixes", "inner_interface"):
            if getattr(node, key):
                reader.mistake(f"node.{key}", "is given, but mobile_router is false")
    if node.inner_interface == node.interface:
        reader.mistake("node.inner_interface", "is the interface that moves")
    before: list[Prefix] = []
    for prefix, path in reader.entries(node.mobile_network_prefixes, "node.mobile_network_prefixes"):
        for other in before:
            if prefix.overlaps(other):
                reader.mistake(path, f"{prefix} overlaps {other}")
        before.append(prefix)


def _check_security(node: NodeTable, reader: Reader) -> None:
    if node.association is None and not node.insecure:
        reader.mistake("node.association", "is missing: nothing would protect registrations (or say insecure = true)")
    if node.association is not None:
        if node.insecure:
            reader.mistake("node.insecure", "is true, but there is an association")
        if not node.identifier:
            reader.mistake("node.identifier", "is missing: by it the home agent finds the key (RFC 4285 section 4)")
    if WILDCARD in node.identifier:
        reader.mistake("node.identifier", "is a pattern; the identifier of one node is needed")
