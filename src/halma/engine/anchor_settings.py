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
class HomeLink:
    """A link of ours that is home to mobile nodes (RFC 6275 section 10): 16 bytes of prefix, its length, and the interface by
    its index. The home link of a Proxy Mobile IPv6 domain is none: its prefixes are those of the pools, and nobody is there
    to be answered in a node's stead."""

    prefix: bytes
    length: int
    interface: int


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
