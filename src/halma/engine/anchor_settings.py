# SPDX-License-Identifier: Apache-2.0
"""What an anchor is told once, before its first event: RFC 5213 sections 9.1 and 9.3, RFC 5846 section 11, RFC 5847 section 5.

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
class AnchorSettings:
    """The configuration variables of a local mobility anchor, by their names in the RFC."""

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
