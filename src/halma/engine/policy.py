# SPDX-License-Identifier: Apache-2.0
"""What the anchor asks before it says yes: who may speak, for whom, and what a node is entitled to.

The engine asks a `Policy`, which answers from memory at once; `halma.policy` builds one from a configuration. RFC 5213
section 6.2 (policy profile), section 4 and RFC 4832 (a gateway is trusted for the nodes that it may serve, no others);
requirement ANC-7.

Always holds: a policy is not changed while an engine holds it; a reload gives the engine another one.
"""

from __future__ import annotations

from typing import Protocol

from halma.value import value


@value
class Peer:
    """A gateway that may register nodes. `nodes` are the patterns of the node identifiers that it may speak for;
    `global_revocation` allows it to revoke all its bindings at once (RFC 5846 section 8.2); `rate_limit` is the number of
    Proxy Binding Updates a second that are taken from it, 0 for no limit."""

    name: str
    nodes: tuple[bytes, ...]
    global_revocation: bool = False
    rate_limit: int = 0


@value
class Profile:
    """What a node is entitled to (RFC 5213 section 6.2). `node` is the identifier or pattern that it was found by;
    `prefixes` are /64 home network prefixes reserved for the node, 16 bytes each; `pool` names where others come from, empty
    for none; `may_request_prefix` lets a gateway ask for particular prefixes of that pool; `lifetime` is the longest
    registration in seconds, 0 for the anchor's own limit. `mobile_ipv6` lets the node register with the home agent (RFC 6275);
    `mobile_router` lets it move a network (RFC 3963): `mobile_network_prefixes`, or where there are none, the home network
    prefix itself."""

    node: bytes
    proxy_mobility: bool = True
    pool: str = ""
    prefixes: tuple[bytes, ...] = ()
    may_request_prefix: bool = False
    prefixes_per_session: int = 1
    lifetime: int = 0
    mobile_ipv6: bool = False
    mobile_router: bool = False
    mobile_network_prefixes: tuple[tuple[bytes, int], ...] = ()


class Policy(Protocol):
    """Answers from memory, with no side effect."""

    def peer(self, address: bytes) -> Peer | None:
        """The gateway with this address, None when nobody may speak from there."""

    def profile(self, identifier: bytes) -> Profile | None:
        """The profile of a node, None when this anchor does not serve it."""

    def may_register(self, peer: Peer, identifier: bytes) -> bool:
        """Whether `peer` may register the node."""

    def owner(self, prefix: bytes) -> bytes | None:
        """The identifier of the node whose profile reserves this /64; None when none does."""

    def is_reserved(self, prefix: bytes) -> bool:
        """Whether some profile reserves this /64, so that no pool hands it out."""
