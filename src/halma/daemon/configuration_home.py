# SPDX-License-Identifier: Apache-2.0
"""The home agent's tables of anchor.toml: [home_agent], [[home_link]] and [[association]].

RFC 6275 section 13 (variables of a home agent), sections 7.2 to 7.5 (what it advertises), RFC 4861 section 6.2.1 (by which
names), RFC 4285 section 5.1 (associations).

Always holds: a key is in no table; the file that holds it has been looked at when the configuration was read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from halma.daemon.configuration_reader import READ, WHY, Reader
from halma.daemon.configuration_types import (
    HNP_LENGTH,
    Address,
    AnyPrefix,
    HomeNetworkPrefix,
    Identifier,
    Interface,
    Lifetime,
    read_absolute_path,
)
from halma.daemon.key_file import read_key
from halma.engine.anchor_settings import Advertising, HomeAgentSettings, HomeLink
from halma.engine.api import Association
from halma.policy.patterns import WILDCARD
from halma.security.authentication import Key
from halma.text import Prefix, show_identifier

LEAST_SPI = 256
"""Lower ones are reserved (RFC 4285 section 5.1)."""
SHORTEST_WINDOW = 3.0
"""Seconds that a replay window is to exceed (RFC 4285 section 6)."""


def read_key_file(text: str) -> str:
    """The absolute path of a sound key file. Raises ValueError."""
    read_key(read_absolute_path(text))
    return text


Spi = Annotated[int, Meta(ge=LEAST_SPI, le=0xFFFFFFFF, extra={WHY: "RFC 4285 section 5.1"})]
Algorithm = Literal["hmac-sha1", "hmac-sha256"]
KeyFile = Annotated[str, Meta(extra={READ: read_key_file})]
Window = Annotated[float, Meta(ge=0, le=3600)]
HomeAgentLifetime = Annotated[int, Meta(ge=1, le=65535)]
MinimumInterval = Annotated[float, Meta(ge=0.03, le=1350, extra={WHY: "RFC 6275 section 7.5, RFC 4861 section 6.2.1"})]
MinimumDelay = Annotated[float, Meta(ge=0.03, le=60, extra={WHY: "RFC 6275 section 13"})]
SPI = "The Security Parameter Index, which tells the node's keys apart (RFC 4285 section 5.1)."
ALGORITHM = "How the key is used: `hmac-sha1` as RFC 4285 has it, or `hmac-sha256`. Node and anchor must agree for each SPI."
KEY_FILE = (
    "The file that holds the key: 16 octets or more in hexadecimal digits, readable by its owner alone (mode 600). "
    "`umask 077; openssl rand -hex 20 > FILE` makes one."
)
REPLAY_WINDOW = (
    "Seconds that the node's clock may be off; more than 3, or 0 to do without timestamps, so that sequence numbers alone "
    "protect against replay (RFC 4285 section 6)."
)


class HomeAgentTable(msgspec.Struct, frozen=True, kw_only=True):
    """The home agent (HA) of RFC 6275, beside or instead of the LMA (`anchor.roles`)."""

    maximum_lifetime_seconds: Annotated[
        Lifetime | None,
        Meta(description="The longest home registration, in seconds. Default: `anchor.maximum_lifetime_seconds`."),
    ] = None
    duplicate_address_detection: Annotated[
        Literal["fast", "wait"],
        Meta(
            description="On a shared home link: whether a first registration is answered at once, or `wait`s for a second "
            "until it is clear that no other node uses the address (RFC 6275 section 10.3.1)."
        ),
    ] = "fast"
    mobile_routers: Annotated[
        bool, Meta(description="Whether nodes may register networks (RFC 3963); their profiles say which.")
    ] = True
    insecure: Annotated[
        bool,
        Meta(
            description="Take registrations that no key protects. Whoever can send packets here can then divert any node's "
            "traffic: for closed laboratories only."
        ),
    ] = False
    refresh_advice: Annotated[
        float,
        Meta(
            description="The share of a registration's lifetime after which nodes are advised to refresh it; 0 for no advice "
            "(RFC 6275 section 6.2.4).",
            ge=0,
            le=0.95,
        ),
    ] = 0.0
    refresh_request_seconds: Annotated[
        float,
        Meta(
            description="Seconds before the end of a registration at which the node is asked to refresh it; 0 to ask for none "
            "(RFC 6275 section 9.5.5).",
            ge=0,
            le=3600,
        ),
    ] = 8.0
    send_prefix_advertisements: Annotated[
        bool,
        Meta(description="Whether nodes that are away are told the prefixes of their home link (RFC 6275 section 10.6)."),
    ] = True
    minimum_prefix_interval_seconds: Annotated[
        float,
        Meta(
            description="The least delay of such an advertisement that no node has asked for (MinMobPfxAdvInterval).",
            ge=1,
            le=31536000,
        ),
    ] = 600.0
    maximum_prefix_interval_seconds: Annotated[
        float, Meta(description="The longest time that a node hears none (MaxMobPfxAdvInterval).", ge=1, le=31536000)
    ] = 86400.0
    multicast_interface: Annotated[
        Interface | None,
        Meta(
            description="The interface that multicast groups come from and go to: the home link, or a link with a multicast "
            "router. Nodes that are away listen there through their tunnels (RFC 6275 section 10.4.3). Without it they cannot."
        ),
    ] = None


class HomeLinkTable(msgspec.Struct, frozen=True, kw_only=True):
    """A link of this machine that is home to mobile nodes: while they are away, the anchor answers there for them. A prefix
    whose nodes are served by gateways (a pool) needs none."""

    prefix: Annotated[
        AnyPrefix,
        Meta(description="The prefix of the home addresses. One of `anchor.addresses` lies in it: nodes register there."),
    ]
    interface: Annotated[
        Interface, Meta(description="The interface that is on the link. It must exist when the daemon starts.")
    ]
    advertise: Annotated[
        bool,
        Meta(
            description="Send Router Advertisements, which say that a home agent is here. Without, another program (radvd) has "
            "to do it."
        ),
    ] = True
    preference: Annotated[
        int,
        Meta(
            description="How preferable this home agent is among those of the link; the highest is told to nodes first "
            "(Home Agent Preference, RFC 6275 section 7.4).",
            ge=0,
            le=65535,
        ),
    ] = 0
    home_agent_lifetime_seconds: Annotated[
        HomeAgentLifetime | None,
        Meta(
            description="How long others may take this for a home agent that they hear nothing of. Default: "
            "`router_lifetime_seconds`."
        ),
    ] = None
    router_lifetime_seconds: Annotated[
        int,
        Meta(
            description="How long the link's hosts may use this as default router; 0: they may not (AdvDefaultLifetime).",
            ge=0,
            le=9000,
            extra={WHY: "RFC 4861 section 6.2.1"},
        ),
    ] = 1800
    minimum_interval_seconds: Annotated[
        MinimumInterval | None,
        Meta(
            description="The shortest time between two unsolicited advertisements (MinRtrAdvInterval). Default: a third of the "
            "longest."
        ),
    ] = None
    maximum_interval_seconds: Annotated[
        float,
        Meta(
            description="The longest (MaxRtrAdvInterval); it is advertised, so that nodes know when they miss one.",
            ge=0.07,
            le=1800,
            extra={WHY: "RFC 6275 section 7.5, RFC 4861 section 6.2.1"},
        ),
    ] = 600.0
    minimum_delay_seconds: Annotated[
        MinimumDelay | None,
        Meta(
            description="The shortest time between any two, solicited ones included (MinDelayBetweenRAs). Default: 3, or "
            "`minimum_interval_seconds` if that is less."
        ),
    ] = None
    valid_lifetime_seconds: Annotated[
        int,
        Meta(
            description="How long addresses in the prefix are valid (AdvValidLifetime); no registration lasts longer.",
            ge=4,
            le=0xFFFFFFFF,
        ),
    ] = 2592000
    preferred_lifetime_seconds: Annotated[
        int,
        Meta(description="How long they are preferred (AdvPreferredLifetime).", ge=0, le=0xFFFFFFFF),
    ] = 604800

    @property
    def minimum_interval(self) -> float:
        """MinRtrAdvInterval, with its default."""
        given = self.minimum_interval_seconds
        return max(0.03, 0.33 * self.maximum_interval_seconds) if given is None else given

    @property
    def minimum_delay(self) -> float:
        """MinDelayBetweenRAs, with its default."""
        given = self.minimum_delay_seconds
        return min(3.0, self.minimum_interval) if given is None else given


class AssociationTable(msgspec.Struct, frozen=True, kw_only=True):
    """A security association with a mobile node (RFC 4285): what its key may register. At most one of `home_address` and
    `home_prefix` is given; with neither it is the prefix that this anchor has given the node."""

    node: Annotated[Identifier, Meta(description="The node's identifier. It has a profile with `mobile_ipv6`.")]
    spi: Annotated[Spi, Meta(description=SPI)]
    algorithm: Annotated[Algorithm, Meta(description=ALGORITHM)] = "hmac-sha1"
    key_file: Annotated[KeyFile, Meta(description=KEY_FILE)]
    home_address: Annotated[Address | None, Meta(description="The one home address that the key may register.")] = None
    home_prefix: Annotated[HomeNetworkPrefix | None, Meta(description="The /64 whose addresses it may register.")] = None
    replay_window_seconds: Annotated[Window, Meta(description=REPLAY_WINDOW)] = 7.0

    @property
    def handle(self) -> int:
        """What the security layer knows the association by: the same after the file was read again, in any order."""
        name = self.spi.to_bytes(4, "big") + self.node
        return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big")


# ---- for the daemon ----


def association_key(table: AssociationTable) -> Key:
    """The association with its key, read from its file. Raises ValueError when the file has changed for the worse."""
    association = Association(
        table.handle,
        table.node,
        table.home_address or b"",
        b"" if table.home_prefix is None else table.home_prefix.address,
        table.replay_window_seconds,
    )
    return Key(association, table.spi, table.algorithm, read_key(table.key_file))


def home_link(table: HomeLinkTable, addresses: Sequence[bytes], interface: int, link_layer_address: bytes) -> HomeLink:
    """What the engine needs of a home link."""
    lifetime = table.home_agent_lifetime_seconds or table.router_lifetime_seconds
    advertising = Advertising(
        link_layer_address,
        table.minimum_interval,
        table.maximum_interval_seconds,
        table.minimum_delay,
        table.router_lifetime_seconds,
        lifetime,
    )
    return HomeLink(
        table.prefix.address,
        table.prefix.length,
        interface,
        next(address for address in addresses if table.prefix.contains(address)),
        table.preference,
        table.valid_lifetime_seconds,
        table.preferred_lifetime_seconds,
        advertising if table.advertise else None,
    )


def home_agent_settings(
    table: HomeAgentTable, maximum_lifetime: float, links: tuple[HomeLink, ...], seed: int
) -> HomeAgentSettings:
    """What the engine needs of the home agent."""
    return HomeAgentSettings(
        links=links,
        maximum_lifetime=table.maximum_lifetime_seconds or maximum_lifetime,
        wait_for_detection=table.duplicate_address_detection == "wait",
        mobile_routers=table.mobile_routers,
        insecure=table.insecure,
        refresh_advice=table.refresh_advice,
        refresh_request=table.refresh_request_seconds,
        send_prefix_advertisements=table.send_prefix_advertisements,
        minimum_prefix_interval=table.minimum_prefix_interval_seconds,
        maximum_prefix_interval=table.maximum_prefix_interval_seconds,
        multicast=table.multicast_interface is not None,
        seed=seed,
    )


# ---- what must hold between the keys ----


def check_home_agent(table: HomeAgentTable, reader: Reader) -> None:
    """The home agent's own variables."""
    if table.maximum_prefix_interval_seconds < table.minimum_prefix_interval_seconds:
        reader.mistake("home_agent.maximum_prefix_interval_seconds", "is less than minimum_prefix_interval_seconds")


def check_home_links(
    links: Sequence[HomeLinkTable], addresses: Sequence[bytes], pools: Sequence[tuple[str, Prefix]], reader: Reader
) -> None:
    """Home links against one another, the anchor's addresses, and the pools (path, prefix)."""
    first: dict[str, HomeLinkTable] = {}
    for index, link in enumerate(links):
        path = reader.path_of(link)
        if not 3 <= link.prefix.length <= 120:
            reader.mistake(f"{path}.prefix", f"a home link's prefix is a /3 to /120, not a /{link.prefix.length}")
        elif not any(link.prefix.contains(address) for address in addresses):
            reader.mistake(f"{path}.prefix", f"none of the anchor's addresses lies in {link.prefix}; nodes register at one")
        for other in links[:index]:
            if _meet(link.prefix, other.prefix):
                reader.mistake(f"{path}.prefix", f"{link.prefix} overlaps {other.prefix} of {reader.path_of(other)}")
        for where, pool in pools:
            if _meet(link.prefix, pool):
                reader.mistake(f"{path}.prefix", f"{link.prefix} overlaps {pool} of {where}")
        _check_lifetimes(link, path, reader)
        _check_interface(link, first.setdefault(link.interface, link), path, reader)


def _check_lifetimes(link: HomeLinkTable, path: str, reader: Reader) -> None:
    if link.preferred_lifetime_seconds > link.valid_lifetime_seconds:
        reader.mistake(f"{path}.preferred_lifetime_seconds", "is more than valid_lifetime_seconds (RFC 4861 section 6.2.1)")
    if link.minimum_interval > 0.75 * link.maximum_interval_seconds:
        reader.mistake(
            f"{path}.minimum_interval_seconds", "is more than 0.75 of maximum_interval_seconds (RFC 4861 section 6.2.1)"
        )
    if 0 < link.router_lifetime_seconds < link.maximum_interval_seconds:
        reader.mistake(
            f"{path}.router_lifetime_seconds", "is less than maximum_interval_seconds, and not 0 (RFC 4861 section 6.2.1)"
        )
    if not link.router_lifetime_seconds and link.home_agent_lifetime_seconds is None:
        reader.mistake(
            f"{path}.home_agent_lifetime_seconds", "must be given where router_lifetime_seconds is 0 (RFC 6275 section 7.4)"
        )


PER_INTERFACE = (
    "advertise",
    "preference",
    "home_agent_lifetime_seconds",
    "router_lifetime_seconds",
    "minimum_interval_seconds",
    "maximum_interval_seconds",
    "minimum_delay_seconds",
)
"""What two prefixes of one interface must agree in: one Router Advertisement tells both."""


def _check_interface(link: HomeLinkTable, first: HomeLinkTable, path: str, reader: Reader) -> None:
    for key in PER_INTERFACE:
        if getattr(link, key) != getattr(first, key):
            where = reader.path_of(first)
            reader.mistake(f"{path}.{key}", f"is not that of {where}, which is on the same interface {link.interface}")


def check_associations(
    associations: Sequence[AssociationTable],
    homes: Sequence[Prefix],
    shared: Sequence[Prefix],
    addresses: Sequence[bytes],
    reader: Reader,
) -> None:
    """Associations against one another, and against where home addresses may lie: `homes` are all such prefixes, `shared` those
    of home links. What the nodes' profiles say is checked with them."""
    names: dict[tuple[bytes, int], AssociationTable] = {}
    owners: dict[bytes, AssociationTable] = {}
    for table in associations:
        path = reader.path_of(table)
        if WILDCARD in table.node:
            reader.mistake(f"{path}.node", f'"{show_identifier(table.node)}" is a pattern, and a key belongs to one node')
        before = names.setdefault((table.node, table.spi), table)
        if before is not table:
            reader.mistake(f"{path}.spi", f"{table.spi} is that of {reader.path_of(before)}, which is for the same node")
        if 0 < table.replay_window_seconds <= SHORTEST_WINDOW:
            text = f"{table.replay_window_seconds:g} is not more than {SHORTEST_WINDOW:g} (RFC 4285 section 6)"
            reader.mistake(f"{path}.replay_window_seconds", text)
        if table.home_address is not None and table.home_prefix is not None:
            reader.mistake(f"{path}.home_prefix", "is given beside a home_address; give one of them")
        _check_home(table, homes, shared, addresses, reader)
        home = table.home_address or (table.home_prefix.address if table.home_prefix else b"")
        other = owners.setdefault(home, table) if home else table
        if other.node != table.node:
            key = "home_address" if table.home_address else "home_prefix"
            reader.mistake(f"{path}.{key}", f"belongs to another node by {reader.path_of(other)}")
    for table in associations:
        other = owners.get((table.home_address or b"")[:8] + bytes(8), table)
        if table.home_address is not None and other.home_prefix is not None and other.node != table.node:
            text = f"lies in the home_prefix of {reader.path_of(other)}, which is another node's"
            reader.mistake(f"{reader.path_of(table)}.home_address", text)


def _check_home(
    table: AssociationTable, homes: Sequence[Prefix], shared: Sequence[Prefix], addresses: Sequence[bytes], reader: Reader
) -> None:
    path = reader.path_of(table)
    if table.home_address is not None:
        if table.home_address in addresses:
            reader.mistake(f"{path}.home_address", "is the anchor's own address")
        elif not any(prefix.contains(table.home_address) for prefix in homes):
            reader.mistake(f"{path}.home_address", "lies in no home link, pool or profile's prefix")
    elif table.home_prefix is not None:
        if any(_meet(prefix, table.home_prefix) for prefix in shared):
            reader.mistake(f"{path}.home_prefix", "is that of a shared home link; give the node's home_address")
        elif not any(prefix.length <= HNP_LENGTH and prefix.contains(table.home_prefix.address) for prefix in homes):
            reader.mistake(f"{path}.home_prefix", "lies in no pool or profile's prefix")


def _meet(one: Prefix, other: Prefix) -> bool:
    """Whether two prefixes have addresses in common."""
    return one.contains(other.address) if one.length <= other.length else other.contains(one.address)
