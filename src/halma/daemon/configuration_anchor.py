# SPDX-License-Identifier: Apache-2.0
"""anchor.toml: its tables, each key declared and described once, and what must hold between them. The tables of the home agent
are in `configuration_home` and `configuration_association`.

RFC 5213 sections 9.1 and 9.3 (variables of the anchor and of the domain), 6.2 (profiles), RFC 5846 section 11, RFC 5847
section 5. The descriptions here are the reference that `docs/configuration.md` is generated from.

Always holds: an `AnchorConfiguration` that `read_anchor` gives has no mistake in it, so the daemon need not check again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from halma.daemon.configuration_association import AssociationTable, check_associations
from halma.daemon.configuration_home import HomeAgentTable, HomeLinkTable, check_home_agent, check_home_links
from halma.daemon.configuration_profiles import check_nodes, check_patterns, check_prefix_owners
from halma.daemon.configuration_reader import TEXT, Reader, repeated
from halma.daemon.configuration_types import (
    HNP_LENGTH,
    SHORTEST_PREFIX,
    AbsolutePath,
    Address,
    AnyPrefix,
    ControlSocket,
    DataPlane,
    HeartbeatTable,
    HomeNetworkPrefix,
    Identifier,
    Interface,
    Lifetime,
    MobileNetworkPrefix,
    PathMtu,
    RevocationTable,
    TimestampBasedApproach,
    check_revocation,
    prefix_of_length,
)
from halma.engine.policy import Peer, Profile
from halma.policy.anchor import AnchorPolicy
from halma.policy.patterns import WILDCARD, PatternTable
from halma.security.authentication import Key
from halma.text import Prefix, show_address, show_identifier

Role = Literal["lma", "ha"]
PoolPrefix = Annotated[Prefix, Meta(extra={TEXT: prefix_of_length("a pool of /64 prefixes", SHORTEST_PREFIX, HNP_LENGTH)})]


class AnchorTable(msgspec.Struct, frozen=True, kw_only=True):
    """The anchor itself: a local mobility anchor (LMA) of RFC 5213, a home agent (HA) of RFC 6275, or both (RFC 6612)."""

    addresses: Annotated[
        tuple[Address, ...],
        Meta(
            description="The anchor's addresses: gateways and mobile nodes send their registrations here, and their tunnels "
            "end here. The first one is the source of what the anchor sends of its own accord.",
            min_length=1,
        ),
    ]
    interfaces: Annotated[
        tuple[Interface, ...],
        Meta(
            description="The interfaces that carry traffic: those towards the gateways and those towards the rest of the "
            "network. They must exist when the daemon starts.",
            min_length=1,
        ),
    ]
    roles: Annotated[
        tuple[Role, ...],
        Meta(
            description="What the anchor is: `lma` serves hosts by their gateways (Proxy Mobile IPv6), `ha` serves mobile "
            "nodes (Mobile IPv6).",
            min_length=1,
        ),
    ] = ("lma", "ha")
    control_socket: ControlSocket = "/run/halma/anchor.sock"
    state_directory: Annotated[
        AbsolutePath,
        Meta(
            description="Where the daemon keeps what must survive a restart: the restart counter (RFC 5847 section 3.2), and "
            "which node each prefix of its pools belongs to."
        ),
    ] = "/var/lib/halma"
    plane: DataPlane = "auto"
    path_mtu: PathMtu = 1500
    maximum_bindings: Annotated[
        int,
        Meta(description="The most bindings that are kept; sets the size of the kernel's tables.", ge=1, le=16_777_216),
    ] = 65536
    default_lifetime_seconds: Annotated[
        Lifetime, Meta(description="The longest registration, in seconds, that a node gets whose profile says nothing.")
    ] = 3600
    maximum_lifetime_seconds: Annotated[
        Lifetime, Meta(description="The longest registration, in seconds, that any node gets, whatever its profile says.")
    ] = 86400
    minimum_delay_before_bce_delete_ms: Annotated[
        int,
        Meta(
            description="Milliseconds that a binding which its gateway has given up waits for the node's new gateway "
            "(MinDelayBeforeBCEDelete).",
            ge=0,
            le=600_000,
        ),
    ] = 10_000
    maximum_delay_before_new_bce_assign_ms: Annotated[
        int,
        Meta(
            description="Milliseconds that a request which might be a handover waits for the old gateway's de-registration, "
            "before the node gets a second session (MaxDelayBeforeNewBCEAssign).",
            ge=0,
            le=60_000,
        ),
    ] = 1_500
    wait_for_deregistration: Annotated[
        bool,
        Meta(description="Whether such a request waits at all (RFC 5213 sections 5.4.1.2 and 5.4.1.3)."),
    ] = True
    timestamp_based_approach: TimestampBasedApproach = True
    timestamp_validity_window_ms: Annotated[
        int,
        Meta(
            description="Milliseconds that a gateway's clock may differ from this one's (TimestampValidityWindow).",
            ge=1,
            le=3_600_000,
        ),
    ] = 300
    mobile_node_generated_timestamp: Annotated[
        bool,
        Meta(
            description="Timestamps come from the nodes, not from the gateways (MobileNodeGeneratedTimestampInUse, RFC 5213 "
            "section 9.3): they order a node's registrations and are not compared with the clock. Needs "
            "`timestamp_based_approach`.",
        ),
    ] = False
    heartbeat: HeartbeatTable = field(default_factory=HeartbeatTable)
    revocation: RevocationTable = field(default_factory=RevocationTable)


class PoolTable(msgspec.Struct, frozen=True, kw_only=True):
    """Home network prefixes to give to nodes, a /64 each. The anchor is the router that the network sends them to."""

    name: Annotated[str, Meta(description="The name that profiles call the pool by.")]
    prefix: Annotated[PoolPrefix, Meta(description="The prefix that the /64s are cut from: itself a /64 or shorter.")]


class PeerTable(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway (MAG) that may register nodes. Whoever is not listed is refused."""

    name: Annotated[str, Meta(description="What the gateway is called in logs and tables. Default: its address or prefix.")] = (
        ""
    )
    address: Annotated[
        Address | None, Meta(description="The gateway's address (Proxy-CoA). Either this or `prefix` is given.")
    ] = None
    prefix: Annotated[
        AnyPrefix | None, Meta(description="Every address in this prefix is such a gateway; the longest prefix counts.")
    ] = None
    nodes: Annotated[
        tuple[Identifier, ...],
        Meta(
            description="The nodes that it may register: identifiers, or patterns in which `*` is any text, such as "
            '`"*@example.org"`. Others are refused with status 154.',
        ),
    ] = (WILDCARD,)
    global_revocation: Annotated[
        bool,
        Meta(description="It may revoke all its bindings with one message (RFC 5846 section 8.2)."),
    ] = False
    rate_limit_per_second: Annotated[
        int,
        Meta(description="Proxy Binding Updates a second that are taken from it; 0 for no limit.", ge=0, le=10_000_000),
    ] = 0

    @property
    def addresses(self) -> Prefix:
        """Where its messages come from: of an address and a prefix, the one that is given."""
        return Prefix(self.address or bytes(16), 128) if self.prefix is None else self.prefix

    @property
    def called(self) -> str:
        """What the gateway is called in logs and tables."""
        return self.name or (str(self.addresses) if self.address is None else show_address(self.address))

    def entry(self) -> tuple[bytes, int, Peer]:
        """What the policy is told of it."""
        return (*self.addresses, Peer(self.called, self.nodes, self.global_revocation, self.rate_limit_per_second))


class ProfileTable(msgspec.Struct, frozen=True, kw_only=True):
    """What a node, or every node that fits a pattern, is entitled to (RFC 5213 section 6.2). Nodes without one are refused."""

    node: Annotated[
        Identifier,
        Meta(
            description='The node\'s identifier (MN-ID), or a pattern such as `"*@example.org"`. Of the profiles that fit, the '
            "one with the most characters besides `*` counts."
        ),
    ]
    pool: Annotated[
        str | None,
        Meta(description="The pool that the node's prefixes come from. May be left out where there is only one pool."),
    ] = None
    prefixes: Annotated[
        tuple[HomeNetworkPrefix, ...],
        Meta(description="Prefixes that this node always gets, a /64 each, out of one of the pools. Not for a pattern."),
    ] = ()
    proxy_mobility: Annotated[
        bool,
        Meta(
            description="Whether gateways may register the node (Proxy Mobile IPv6); with `false` they are refused with status "
            "152."
        ),
    ] = True
    mobile_ipv6: Annotated[
        bool, Meta(description="Whether the node itself may register with the home agent (Mobile IPv6); it needs a key.")
    ] = False
    mobile_router: Annotated[
        bool, Meta(description="Whether it may register as a mobile router, which moves a network (RFC 3963).")
    ] = False
    mobile_network_prefixes: Annotated[
        tuple[MobileNetworkPrefix, ...],
        Meta(
            description="The networks that it moves, each a /64 or shorter. Not for a pattern. Without, it is the home network "
            "prefix itself."
        ),
    ] = ()
    may_request_prefix: Annotated[
        bool, Meta(description="Whether a gateway may ask for a particular free prefix of the pool on the node's behalf.")
    ] = False
    prefixes_per_session: Annotated[
        int, Meta(description="How many prefixes a new session gets from the pool.", ge=1, le=8)
    ] = 1
    lifetime_seconds: Annotated[
        Lifetime | None,
        Meta(description="The longest registration that the node gets, in seconds. Default: `default_lifetime_seconds`."),
    ] = None


class AnchorConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of anchor.toml."""

    anchor: AnchorTable
    pools: tuple[PoolTable, ...] = field(name="pool", default=())
    peers: tuple[PeerTable, ...] = field(name="peer", default=())
    profiles: tuple[ProfileTable, ...] = field(name="profile", default=())
    home_agent: HomeAgentTable = field(default_factory=HomeAgentTable)
    home_links: tuple[HomeLinkTable, ...] = field(name="home_link", default=())
    associations: tuple[AssociationTable, ...] = field(name="association", default=())

    def keys(self) -> list[Key]:
        """The security associations with their keys, read from their files. Raises ValueError when a file has changed for the
        worse since the configuration was read."""
        return [association.key() for association in self.associations]

    def policy(self) -> AnchorPolicy:
        """What the anchor's engine asks."""
        only_pool = self.pools[0].name if len(self.pools) == 1 else ""
        default_lifetime = self.anchor.default_lifetime_seconds
        return AnchorPolicy(
            (peer.entry() for peer in self.peers),
            (
                Profile(
                    node=profile.node,
                    proxy_mobility=profile.proxy_mobility,
                    pool=only_pool if profile.pool is None else profile.pool,
                    prefixes=tuple(prefix.address for prefix in profile.prefixes),
                    may_request_prefix=profile.may_request_prefix,
                    prefixes_per_session=profile.prefixes_per_session,
                    lifetime=profile.lifetime_seconds or default_lifetime,
                    mobile_ipv6=profile.mobile_ipv6,
                    mobile_router=profile.mobile_router,
                    mobile_network_prefixes=tuple((*prefix,) for prefix in profile.mobile_network_prefixes),
                )
                for profile in self.profiles
            ),
        )


def read_anchor(table: Mapping[str, Any], reader: Reader) -> AnchorConfiguration | None:
    """Read the tables of anchor.toml and check them against one another; mistakes go to `reader`."""
    configuration = reader.table(AnchorConfiguration, table)
    if configuration is not None:
        _check_anchor(configuration.anchor, reader)
        _check_pools(configuration, reader)
        _check_peers(configuration, reader)
        _check_profiles(configuration, reader, _names_written(table))
        _check_mobile_nodes(configuration, reader)
        _check_home(configuration, table, reader)
    return configuration


def _names_written(table: Mapping[str, Any]) -> set[str]:
    """The names of all pools in the file, also of those that could not be read, so that a mistake in a pool is not
    followed by one in each profile."""
    pools = table.get("pool", [])
    if not isinstance(pools, list):
        return set()
    return {str(pool.get("name", "")) for pool in pools if isinstance(pool, dict)}


def _check_anchor(anchor: AnchorTable, reader: Reader) -> None:
    if anchor.mobile_node_generated_timestamp and not anchor.timestamp_based_approach:
        reader.mistake(
            "anchor.mobile_node_generated_timestamp", "must not be set without timestamp_based_approach (RFC 5213 section 9.3)"
        )
    if anchor.default_lifetime_seconds > anchor.maximum_lifetime_seconds:
        reader.mistake(
            "anchor.default_lifetime_seconds",
            f"{anchor.default_lifetime_seconds} is more than maximum_lifetime_seconds ({anchor.maximum_lifetime_seconds})",
        )
    check_revocation(anchor.revocation, "anchor.revocation", reader)


def _check_pools(configuration: AnchorConfiguration, reader: Reader) -> None:
    pools = configuration.pools
    for pool, first in repeated(pools, lambda pool: pool.name):
        reader.mistake(f"{reader.path_of(pool)}.name", f'"{pool.name}" is the name of {reader.path_of(first)} already')
    for pool in pools:
        path = reader.path_of(pool)
        if not pool.name:
            reader.mistake(f"{path}.name", "must not be empty")
        for address in configuration.anchor.addresses:
            if pool.prefix.contains(address):
                reader.mistake(f"{path}.prefix", f"contains the anchor's own address {show_address(address)}")
    ordered = sorted(pools, key=lambda pool: (pool.prefix.address, pool.prefix.length))
    outer = None  # of two prefixes that overlap one contains the other, and it comes first in this order
    for pool in ordered:
        if outer is not None and outer.prefix.contains(pool.prefix.address):
            reader.mistake(
                f"{reader.path_of(pool)}.prefix", f"{pool.prefix} overlaps {outer.prefix} of {reader.path_of(outer)}"
            )
        else:
            outer = pool


def _check_peers(configuration: AnchorConfiguration, reader: Reader) -> None:
    for peer in configuration.peers:
        path = reader.path_of(peer)
        if peer.address is None and peer.prefix is None:
            reader.mistake(f"{path}.address", "is missing; give an address or a prefix")
        elif peer.address is not None and peer.prefix is not None:
            reader.mistake(f"{path}.prefix", "is given beside an address; give one of them")
        elif peer.address in configuration.anchor.addresses:
            reader.mistake(f"{path}.address", "is the anchor's own address")
        for pool in configuration.pools:
            if peer.address is not None and pool.prefix.contains(peer.address):
                reader.mistake(f"{path}.address", f"lies in {pool.prefix}, from which nodes get their prefixes")
    peers = [peer for peer in configuration.peers if (peer.address is None) != (peer.prefix is None)]
    for peer, first in repeated(peers, lambda peer: peer.addresses):
        key = "prefix" if peer.address is None else "address"
        reader.mistake(f"{reader.path_of(peer)}.{key}", f"is that of {reader.path_of(first)} already")
    for peer, first in repeated(peers, lambda peer: peer.called):
        named, other = (peer, first) if peer.name else (first, peer)
        if named.name:
            reader.mistake(f"{reader.path_of(named)}.name", f'"{named.name}" is the name of {reader.path_of(other)} already')


def _check_profiles(configuration: AnchorConfiguration, reader: Reader, pool_names: set[str]) -> None:
    profiles, pools = configuration.profiles, configuration.pools
    known = {pool.name for pool in pools} | pool_names
    names = ", ".join(f'"{name}"' for name in sorted(known - {""})) or "none"
    for profile in profiles:
        path = reader.path_of(profile)
        if profile.pool is not None and profile.pool not in known:
            reader.mistake(f"{path}.pool", f'there is no pool "{profile.pool}"; the pools are {names}')
        served = profile.proxy_mobility and "lma" in configuration.anchor.roles
        if profile.pool is None and len(known) != 1 and served and not profile.prefixes:
            what = f"name one of the pools {names}" if known else "there is no pool"
            reader.mistake(f"{path}.pool", f"the node would get no prefix: {what}, or give prefixes")
        limit = configuration.anchor.maximum_lifetime_seconds
        if profile.lifetime_seconds is not None and profile.lifetime_seconds > limit:
            reader.mistake(
                f"{path}.lifetime_seconds", f"{profile.lifetime_seconds} is more than the anchor's maximum of {limit}"
            )
        for prefix in profile.prefixes:
            if len(known) == len(pools) and not any(pool.prefix.contains(prefix.address) for pool in pools):
                reader.mistake(f"{path}.prefixes", f"{prefix} lies in no pool")
            elif profile.pool is not None and any(
                pool.name == profile.pool and not pool.prefix.contains(prefix.address) for pool in pools
            ):
                reader.mistake(f"{path}.prefixes", f'{prefix} does not lie in the pool "{profile.pool}"')
    check_nodes(profiles, reader)
    check_prefix_owners(profiles, reader)
    check_patterns(profiles, reader)


def _check_mobile_nodes(configuration: AnchorConfiguration, reader: Reader) -> None:
    """What profiles say of Mobile IPv6."""
    owners: list[tuple[Prefix, ProfileTable]] = []
    for profile in configuration.profiles:
        path = reader.path_of(profile)
        if profile.mobile_router and not profile.mobile_ipv6:
            reader.mistake(f"{path}.mobile_router", "needs mobile_ipv6 = true")
        if profile.mobile_network_prefixes and not profile.mobile_router:
            reader.mistake(f"{path}.mobile_network_prefixes", "needs mobile_router = true")
        if profile.mobile_network_prefixes and WILDCARD in profile.node:
            reader.mistake(f"{path}.mobile_network_prefixes", "a pattern names many nodes, and a network belongs to one")
        for prefix, where in reader.entries(profile.mobile_network_prefixes, f"{path}.mobile_network_prefixes"):
            for other, owner in owners:
                if prefix.overlaps(other):
                    reader.mistake(where, f"{prefix} overlaps {other} of {reader.path_of(owner)}")
            for pool in configuration.pools:
                if prefix.overlaps(pool.prefix) and prefix not in profile.prefixes:
                    text = f"{prefix} overlaps the pool {pool.prefix} of {reader.path_of(pool)}"
                    reader.mistake(where, f"{text}; list it among the node's prefixes as well, or take another")
            owners.append((prefix, profile))


HOME_TABLES = ("home_agent", "home_link", "association")


def _check_home(configuration: AnchorConfiguration, table: Mapping[str, Any], reader: Reader) -> None:
    """The home agent's tables beside the others."""
    anchor = configuration.anchor
    if "ha" not in anchor.roles:
        for name in HOME_TABLES:
            if name in table:
                reader.mistake(name, 'is only for a home agent; anchor.roles does not have "ha"')
        return
    check_home_agent(configuration.home_agent, reader)
    pools = [(reader.path_of(pool), pool.prefix) for pool in configuration.pools]
    check_home_links(configuration.home_links, anchor.addresses, pools, reader)
    shared = [link.prefix for link in configuration.home_links]
    reserved = [prefix for profile in configuration.profiles for prefix in profile.prefixes]
    homes = [*shared, *(prefix for _, prefix in pools), *reserved]
    check_associations(configuration.associations, homes, shared, anchor.addresses, reader)
    profiles = PatternTable((profile.node, profile) for profile in configuration.profiles)
    owners = {prefix.address: profile for profile in configuration.profiles for prefix in profile.prefixes}
    for association in configuration.associations:
        path = reader.path_of(association)
        profile = profiles.find(association.node)
        if profile is None:
            reader.mistake(f"{path}.node", f'"{show_identifier(association.node)}" has no profile')
        elif not profile.mobile_ipv6:
            where = reader.path_of(profile)
            reader.mistake(f"{path}.node", f'"{show_identifier(association.node)}" has no mobile_ipv6 = true in {where}')
        key, home = association.home
        owner = owners.get(home[:8] + bytes(8), profile)
        if home and owner is not None and owner is not profile:
            reader.mistake(f"{path}.{key}", f"lies in a prefix that belongs to {reader.path_of(owner)}")
