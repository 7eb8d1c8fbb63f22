# SPDX-License-Identifier: Apache-2.0
"""gateway.toml: its tables, each key declared and described once, and what must hold between them.

RFC 5213 sections 9.2 and 9.3 (variables of the gateway and of the domain), 6.2 (profiles), RFC 6543 (fixed addresses), RFC
5847 section 5. The descriptions here are the reference that `docs/configuration.md` is generated from.

Always holds: a `GatewayConfiguration` that `read_gateway` gives has no mistake in it, so the daemon need not check again.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, field

from halma.daemon.configuration_profiles import check_nodes, check_patterns, check_prefix_owners
from halma.daemon.configuration_reader import TEXT, Reader, Text, repeated
from halma.daemon.configuration_types import (
    HNP_LENGTH,
    AbsolutePath,
    Address,
    ControlSocket,
    DataPlane,
    HeartbeatTable,
    HomeNetworkPrefix,
    Identifier,
    Interface,
    InterfacePattern,
    Lifetime,
    LinkLayerAddress,
    PathMtu,
    RequestedLifetime,
    RetryInterval,
    RevocationTable,
    TimestampBasedApproach,
    check_revocation,
    prefix_of_length,
    read_link_local_address,
)
from halma.engine.gateway_api import (
    FIXED_LINK_LAYER_ADDRESS,
    FIXED_LINK_LOCAL_ADDRESS,
    GatewaySettings,
    NodeProfile,
)
from halma.policy.gateway import GatewayPolicy
from halma.policy.patterns import WILDCARD
from halma.text import Prefix, read_link_layer_address, show_address, show_link_layer_address
from halma.wire import options
from halma.wire.addresses import UNSPECIFIED
from halma.wire.numbers import AccessTechnology, HandoffIndicatorValue

AccessTechnologyName = Literal[
    "Virtual",
    "PPP",
    "IEEE 802.3",
    "IEEE 802.11a/b/g",
    "IEEE 802.16e",
    "3GPP GERAN",
    "3GPP UTRAN",
    "3GPP E-UTRAN",
    "3GPP2 eHRPD",
    "3GPP2 HRPD",
    "3GPP2 1xRTT",
    "3GPP2 UMB",
    "3GPP NB-IOT",
]
"""The names in IANA's registry of access technology types (RFC 5213 section 8.5)."""
ACCESS_TECHNOLOGIES: Mapping[str, AccessTechnology] = dict(zip(get_args(AccessTechnologyName), AccessTechnology, strict=True))

SHORTEST_ACCESS_PREFIX = 16
"""Of prefixes that one gateway may call its own: a guard against mistakes."""

HandoffIndicatorName = Literal["new-interface", "between-interfaces", "between-gateways", "unknown"]
"""RFC 5213 section 8.4, values 1 to 4."""
HANDOFF_INDICATORS: Mapping[str, HandoffIndicatorValue] = {
    name: HandoffIndicatorValue(number) for number, name in enumerate(get_args(HandoffIndicatorName), 1)
}


def read_fixed_link_local_address(text: str) -> bytes:
    """A link-local address, or `::` to let the anchor choose one. Raises ValueError."""
    return UNSPECIFIED if text == "::" else read_link_local_address(text)


def read_ethernet_address(text: str) -> bytes:
    """A link-layer address that an Ethernet interface can be given. Raises ValueError."""
    address = read_link_layer_address(text)
    if len(address) != 6 or address[0] & 1 or not any(address):
        raise ValueError(f'"{text}" is not the address of one Ethernet interface')
    return address


AccessPrefix = Annotated[
    Prefix,
    Meta(extra={TEXT: prefix_of_length("a prefix that links get a /64 from", SHORTEST_ACCESS_PREFIX, HNP_LENGTH)}),
]
FixedLinkLocalAddress = Annotated[
    bytes, Meta(extra={TEXT: Text("link-local address or `::`", read_fixed_link_local_address, show_address)})
]
EthernetAddress = Annotated[
    bytes, Meta(extra={TEXT: Text("link-layer address", read_ethernet_address, show_link_layer_address)})
]


class GatewayTable(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway itself: a mobile access gateway (MAG) of RFC 5213."""

    address: Annotated[
        Address,
        Meta(description="The gateway's address (Proxy-CoA): the source of its registrations and its end of the tunnels."),
    ]
    anchor: Annotated[Address, Meta(description="The anchor (LMA) of every node whose profile names no other.")]
    interfaces: Annotated[
        tuple[Interface, ...],
        Meta(description="The interfaces towards the anchor. They must exist when the daemon starts.", min_length=1),
    ]
    access: Annotated[
        tuple[InterfacePattern, ...],
        Meta(
            description="The interfaces towards nodes, as names or shell patterns. They may come and go while the daemon runs.",
            min_length=1,
        ),
    ]
    identity: Annotated[
        Identifier,
        Meta(
            description="The gateway's own identifier, by which it revokes all its bindings at once (RFC 5846 section 9.2). "
            "Default: none."
        ),
    ] = b""
    control_socket: ControlSocket = "/run/halma/gateway.sock"
    state_directory: Annotated[
        AbsolutePath,
        Meta(
            description="Where the daemon keeps what must survive a restart: the restart counter (RFC 5847 section 3.2), and "
            "how its access interfaces were before it changed them."
        ),
    ] = "/var/lib/halma"
    plane: DataPlane = "auto"
    path_mtu: PathMtu = 1500
    lifetime_seconds: RequestedLifetime = 3600
    local_routing: Annotated[
        bool,
        Meta(
            description="Let two nodes of this gateway talk to each other directly, not through the anchor "
            "(EnableMAGLocalRouting, RFC 5213 section 9.2)."
        ),
    ] = False
    timestamp_based_approach: TimestampBasedApproach = True
    link_local_address: Annotated[
        FixedLinkLocalAddress,
        Meta(
            description="The gateway's link-local address on every access link, the same on every gateway of a domain so that "
            "a node sees one router (FixedMAGLinkLocalAddressOnAllAccessLinks; default: the one of RFC 6543). `::` asks the "
            "anchor for one.",
        ),
    ] = FIXED_LINK_LOCAL_ADDRESS
    link_layer_address: Annotated[
        EthernetAddress,
        Meta(
            description="The gateway's link-layer address on every access link, the same on every gateway of a domain "
            "(FixedMAGLinkLayerAddressOnAllAccessLinks; default: the one of RFC 6543).",
        ),
    ] = FIXED_LINK_LAYER_ADDRESS
    access_prefix: Annotated[
        AccessPrefix | None,
        Meta(
            description="The gateway's own prefix, for nodes whose profile says `proxy_mobility = false`: to them the gateway "
            "is a plain access router, and each access interface with such nodes gets a /64 of this prefix (RFC 5213 section "
            "6.14). The network must route it to the gateway. Default: none, and such nodes get no service."
        ),
    ] = None
    access_technology: Annotated[
        AccessTechnologyName,
        Meta(description="What kind of link the access interfaces are, by its name in IANA's registry."),
    ] = "IEEE 802.3"
    advertisement_interval_seconds: Annotated[
        float,
        Meta(description="Seconds between two unsolicited Router Advertisements to a node.", ge=4, le=1800),
    ] = 200.0
    presence_interval_seconds: Annotated[
        float,
        Meta(
            description="Seconds of silence after which a node is asked whether it is there; 0 asks before a refresh only.",
            ge=0,
            le=86400,
        ),
    ] = 60.0
    retry_interval_seconds: RetryInterval = 32.0
    maximum_attachments: Annotated[int, Meta(description="The most nodes that are served at one time.", ge=1, le=1_048_576)] = (
        65536
    )
    heartbeat: HeartbeatTable = field(default_factory=HeartbeatTable)
    revocation: RevocationTable = field(default_factory=RevocationTable)


class GatewayProfileTable(msgspec.Struct, frozen=True, kw_only=True):
    """A node that is served here, or a pattern of such nodes (RFC 5213 section 6.2). One table for each interface of a node."""

    node: Annotated[
        Identifier,
        Meta(
            description='The node\'s identifier (MN-ID) towards the anchor. A pattern such as `"*@example.org"` serves nodes '
            "whose identifier `halma attach` gives."
        ),
    ]
    link_layer_address: Annotated[
        LinkLayerAddress | None,
        Meta(
            description="The node's link-layer address, by which it is known when it shows up on an access interface. Without "
            "one, the node is known only by the identifier that `halma attach` gives."
        ),
    ] = None
    anchor: Annotated[Address | None, Meta(description="The node's anchor. Default: the gateway's.")] = None
    prefixes: Annotated[
        tuple[HomeNetworkPrefix, ...],
        Meta(description="Home network prefixes to ask the anchor for, a /64 each. Usually empty: the anchor knows best."),
    ] = ()
    proxy_mobility: Annotated[
        bool,
        Meta(
            description="Whether the gateway manages the node's mobility. With `false` the node is not registered: it manages "
            "its own mobility, and forms an address in the gateway's `access_prefix`."
        ),
    ] = True
    local_routing: Annotated[bool | None, Meta(description="Local routing for this node. Default: as the gateway says.")] = None
    handoff_indicator: Annotated[
        HandoffIndicatorName | None,
        Meta(
            description="What is known of this node's attachments, told to the anchor in the Handoff Indicator option (RFC "
            "5213 section 8.4). Default: what the gateway can tell by itself."
        ),
    ] = None
    access_technology: Annotated[
        AccessTechnologyName | None, Meta(description="The kind of link to this node. Default: as the gateway says.")
    ] = None
    lifetime_seconds: Annotated[
        Lifetime | None, Meta(description="The registration time that is asked for, in seconds. Default: as the gateway says.")
    ] = None


class GatewayConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of gateway.toml."""

    gateway: GatewayTable
    profiles: tuple[GatewayProfileTable, ...] = field(name="profile", default=())

    def settings(self, restart_counter: int) -> GatewaySettings:
        """What the gateway's engine is made with."""
        table = self.gateway
        return GatewaySettings(
            address=table.address,
            anchor=table.anchor,
            identity=table.identity,
            link_local_address=table.link_local_address,
            link_layer_address=table.link_layer_address,
            timestamp_based_approach=table.timestamp_based_approach,
            access_technology=ACCESS_TECHNOLOGIES[table.access_technology],
            lifetime=table.lifetime_seconds,
            path_mtu=table.path_mtu,
            local_routing=table.local_routing,
            heartbeat=table.heartbeat.settings(),
            restart_counter=restart_counter,
            advertisement_interval=table.advertisement_interval_seconds,
            presence_interval=table.presence_interval_seconds,
            retry_interval=table.retry_interval_seconds,
            maximum_attachments=table.maximum_attachments,
            access_prefix=table.access_prefix,
            revocation=table.revocation.settings(),
        )

    def policy(self) -> GatewayPolicy:
        """Where the gateway's engine finds profiles."""
        return GatewayPolicy(
            NodeProfile(
                identifier=profile.node,
                link_layer_address=profile.link_layer_address or b"",
                anchor=profile.anchor or b"",
                prefixes=tuple(options.HomeNetworkPrefix(prefix.length, prefix.address) for prefix in profile.prefixes),
                proxy_mobility=profile.proxy_mobility,
                handoff_indicator=HANDOFF_INDICATORS[profile.handoff_indicator] if profile.handoff_indicator else 0,
                access_technology=ACCESS_TECHNOLOGIES[profile.access_technology] if profile.access_technology else 0,
                local_routing=profile.local_routing,
                lifetime=profile.lifetime_seconds or 0,
            )
            for profile in self.profiles
        )


def read_gateway(table: Mapping[str, Any], reader: Reader) -> GatewayConfiguration | None:
    """Read the tables of gateway.toml and check them against one another; mistakes go to `reader`."""
    configuration = reader.table(GatewayConfiguration, table)
    if configuration is not None:
        _check_gateway(configuration.gateway, reader)
        _check_profiles(configuration.profiles, reader)
        _check_access_prefix(configuration, reader)
    return configuration


def _check_gateway(gateway: GatewayTable, reader: Reader) -> None:
    if gateway.address == gateway.anchor:
        reader.mistake("gateway.anchor", "is the gateway's own address")
    for pattern, path in reader.entries(gateway.access, "gateway.access"):
        for interface in gateway.interfaces:
            if fnmatchcase(interface, pattern):
                reader.mistake(path, f'"{pattern}" takes in "{interface}", which is towards the anchor')
    check_revocation(gateway.revocation, "gateway.revocation", reader)


def _check_access_prefix(configuration: GatewayConfiguration, reader: Reader) -> None:
    """What is the gateway's own is no home network, and its tunnels end outside of it."""
    ours = configuration.gateway.access_prefix
    if ours is None:
        return
    for name in ("address", "anchor"):
        if ours.contains(getattr(configuration.gateway, name)):
            reader.mistake("gateway.access_prefix", f"gateway.{name} lies in it; it is for access links alone")
    for profile in configuration.profiles:
        for prefix, path in reader.entries(profile.prefixes, f"{reader.path_of(profile)}.prefixes"):
            if ours.contains(prefix.address):
                reader.mistake(path, f"{prefix} lies in gateway.access_prefix, which is no home network")


def _check_profiles(profiles: tuple[GatewayProfileTable, ...], reader: Reader) -> None:
    addressed = [profile for profile in profiles if profile.link_layer_address is not None]
    for profile, first in repeated(addressed, lambda profile: profile.link_layer_address):
        shown = show_link_layer_address(profile.link_layer_address or b"")
        reader.mistake(f"{reader.path_of(profile)}.link_layer_address", f"{shown} is that of {reader.path_of(first)} already")
    check_nodes([profile for profile in profiles if profile.link_layer_address is None], reader)
    for profile in profiles:
        if WILDCARD in profile.node and profile.link_layer_address is not None:
            path = f"{reader.path_of(profile)}.node"
            reader.mistake(path, "an interface belongs to one node: with link_layer_address give its identifier")
    check_prefix_owners(profiles, reader)
    check_patterns(profiles, reader)
