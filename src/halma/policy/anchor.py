# SPDX-License-Identifier: Apache-2.0
"""The anchor's policy, in memory: peers by address, nodes by identifier. It answers `halma.engine.policy.Policy`.

RFC 5213 sections 4 and 6.2, RFC 4832; requirement ANC-7.

Always holds: nothing is changed after construction but a bounded memory of answers; of peers given by prefix the longest
prefix wins; a peer that is not listed is nobody, and a node without a profile is not served.
"""

from __future__ import annotations

from collections.abc import Iterable

from halma.engine.policy import Peer, Profile
from halma.policy.patterns import PatternTable


class AnchorPolicy:
    """Peers by the prefix of their address (16 bytes, length; 128 for one address), and profiles by their `node`. Raises
    ValueError when two different peers have one name, since what a peer may do is looked up by it."""

    def __init__(self, peers: Iterable[tuple[bytes, int, Peer]], profiles: Iterable[Profile]) -> None:
        profiles = tuple(profiles)
        self._by_address: dict[bytes, Peer] = {}
        by_length: dict[int, dict[int, Peer]] = {}
        by_name: dict[str, Peer] = {}
        for address, length, peer in peers:
            if length == 128:
                self._by_address.setdefault(address, peer)
            else:
                prefix = int.from_bytes(address, "big") >> (128 - length)
                by_length.setdefault(128 - length, {}).setdefault(prefix, peer)
            if by_name.setdefault(peer.name, peer) != peer:
                raise ValueError(f"two peers have the name {peer.name}")
        self._by_prefix = sorted(by_length.items())  # the smallest shift is the longest prefix
        self._may_register = {name: PatternTable((pattern, True) for pattern in peer.nodes) for name, peer in by_name.items()}
        self._profiles = PatternTable((profile.node, profile) for profile in profiles)
        self._owners = {prefix: profile.node for profile in profiles for prefix in profile.prefixes}

    def peer(self, address: bytes) -> Peer | None:
        """The gateway with this address, None when nobody may speak from there."""
        peer = self._by_address.get(address)
        if peer is None and self._by_prefix:
            number = int.from_bytes(address, "big")
            for shift, peers in self._by_prefix:
                peer = peers.get(number >> shift)
                if peer is not None:
                    return peer
        return peer

    def profile(self, identifier: bytes) -> Profile | None:
        """The profile of a node, None when this anchor does not serve it."""
        return self._profiles.find(identifier)

    def may_register(self, peer: Peer, identifier: bytes) -> bool:
        """Whether `peer` may register the node."""
        allowed = self._may_register.get(peer.name)
        return allowed is not None and allowed.find(identifier) is not None

    def is_reserved(self, prefix: bytes) -> bool:
        """Whether some profile reserves this /64, so that no pool hands it out."""
        return prefix in self._owners

    def owner(self, prefix: bytes) -> bytes | None:
        """The identifier of the node whose profile reserves this /64; None when none does."""
        return self._owners.get(prefix)
