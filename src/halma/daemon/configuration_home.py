# SPDX-License-Identifier: Apache-2.0
"""The home agent's tables of anchor.toml: [home_agent] and [[home_link]]. Its associations are in `configuration_association`.

RFC 6275 section 13 (variables of a home agent), sections 7.2 to 7.5 (what it advertises), RFC 4861 section 6.2.1 (by which
names).

Always holds: what an engine is told of a home link is what its neighbours hear, defaults of RFC 4861 included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from halma.daemon.configuration_reader import TEXT, WHY, Reader
from halma.daemon.configuration_types import SHORTEST_PREFIX, Interface, Lifetime, prefix_of_length
from halma.engine.anchor_settings import Advertising, HomeAgentSettings, HomeLink
from halma.text import Prefix

HomeLinkPrefix = Annotated[Prefix, Meta(extra={TEXT: prefix_of_length("a home link's prefix", SHORTEST_PREFIX, 120)})]
HomeAgentLifetime = Annotated[int, Meta(ge=1, le=65535)]
MinimumInterval = Annotated[float, Meta(ge=0.03, le=1350, extra={WHY: "RFC 6275 section 7.5, RFC 4861 section 6.2.1"})]
MinimumDelay = Annotated[float, Meta(ge=0.03, le=60, extra={WHY: "RFC 6275 section 13"})]


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
        HomeLinkPrefix,
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


# ---- for the daemon ----


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
        if not any(link.prefix.contains(address) for address in addresses):
            reader.mistake(f"{path}.prefix", f"none of the anchor's addresses lies in {link.prefix}; nodes register at one")
        for other in links[:index]:
            if link.prefix.overlaps(other.prefix):
                reader.mistake(f"{path}.prefix", f"{link.prefix} overlaps {other.prefix} of {reader.path_of(other)}")
        for where, pool in pools:
            if link.prefix.overlaps(pool):
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
