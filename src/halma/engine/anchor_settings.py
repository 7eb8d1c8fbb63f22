# SPDX-License-Identifier: Apache-2.0
"""What an anchor is told once, before its first event: RFC 5213 sections 9.1 and 9.3, RFC 5846 section 11,
RFC 5847 section 5, RFC 6275 section 13.

Always holds: times are seconds; nothing here is a secret.
"""

from __future__ import annotations

from halma.engine.heartbeat import HeartbeatSettings
from halma.engine.revocation import RevocationSettings
from halma.value import value


@value
class PoolSettings:
    """An aggregate that /64 home network prefixes are taken from."""

    name: str
    base: bytes
    length: int


@value
class Advertising:
    """How a home link is advertised: RFC 4861 section 6.2.1 by its names, RFC 6275 sections 7.4, 7.5 and 13. Intervals are
    seconds; the defaults are those of RFC 4861."""

    link_layer_address: bytes
    minimum_interval: float = 198.0
    """MinRtrAdvInterval."""
    maximum_interval: float = 600.0
    """MaxRtrAdvInterval."""
    minimum_delay: float = 3.0
    """MinDelayBetweenRAs."""
    router_lifetime: int = 1800
    """AdvDefaultLifetime; 0 where we are no default router for the link's hosts."""
    home_agent_lifetime: int = 1800


@value
class HomeLink:
    """A link of ours that is home to mobile nodes (RFC 6275 section 10): 16 bytes of prefix, its length, and the interface by
    its index. The home link of a Proxy Mobile IPv6 domain is none: its prefixes are those of the pools, and nobody is there
    to be answered in a node's stead.

    `address` is ours in the prefix; `preference` is that of this home agent among those of the link. Lifetimes of the prefix
    are seconds. Several prefixes of one interface are advertised together, as the first of them says; `advertising` None
    leaves it to another program on this machine."""

    prefix: bytes
    length: int
    interface: int
    address: bytes = b""
    preference: int = 0
    valid_lifetime: int = 2592000
    preferred_lifetime: int = 604800
    advertising: Advertising | None = None


@value
class HomeAgentSettings:
    """The configuration of the home agent (RFC 6275 section 13, RFC 3963 section 6)."""

    links: tuple[HomeLink, ...] = ()
    maximum_lifetime: float = 3600.0
    wait_for_detection: bool = False
    """Whether the first registration waits for Duplicate Address Detection, or is answered at once while that runs."""
    mobile_routers: bool = True
    insecure: bool = False
    """Whether messages are taken that nothing protects."""
    refresh_advice: float = 0.0
    """The share of the lifetime after which a node is advised to refresh; 0 gives no advice (RFC 6275 section 6.2.4)."""
    refresh_request: float = 8.0
    """Seconds before the end of a registration at which the node is asked for another; 0 asks for none (section 9.5.5)."""
    send_prefix_advertisements: bool = True
    """Whether mobile nodes are told the prefixes of their home link (sections 8.4 and 10.6)."""
    minimum_prefix_interval: float = 600.0
    """MinMobPfxAdvInterval."""
    maximum_prefix_interval: float = 86400.0
    """MaxMobPfxAdvInterval."""
    multicast: bool = False
    """Whether nodes may listen to multicast groups through their tunnels (sections 10.4.2 and 10.4.3)."""
    seed: int = 0
    """Where the randomness of advertisements comes from."""


@value
class AnchorSettings:
    """The configuration variables of an anchor, by their names in the RFCs. `proxy` makes it a local mobility anchor,
    `home_agent` a home agent; each role alone is complete (ANC-10)."""

    addresses: tuple[bytes, ...]
    """Our own (LMAA); messages to any other are not ours."""
    pools: tuple[PoolSettings, ...] = ()
    maximum_bindings: int = 65536
    maximum_lifetime: float = 3600.0
    minimum_delay_before_bce_delete: float = 10.0
    maximum_delay_before_new_bce_assign: float = 1.5
    wait_for_deregistration: bool = True
    """Whether a request that may be a handoff waits (section 5.4.1.2: this should be configurable)."""
    timestamp_validity_window: float = 0.3
    timestamp_based_approach: bool = True
    mobile_node_generated_timestamp: bool = False
    restart_counter: int = 1
    heartbeat: HeartbeatSettings = HeartbeatSettings()
    revocation: RevocationSettings = RevocationSettings()
    proxy: bool = True
    home_agent: HomeAgentSettings | None = None
