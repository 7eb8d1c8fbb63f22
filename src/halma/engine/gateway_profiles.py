# SPDX-License-Identifier: Apache-2.0
"""A table of policy profiles in memory (RFC 5213 section 6.2), found by link-layer address or by identifier.

Always holds: one link-layer address has one profile at most; an identifier of its own goes before a pattern such as
`*@example.org`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fnmatch import fnmatchcase

from halma.engine.gateway_api import NodeProfile


class ProfileTable:
    """Implements `gateway_api.Profiles`."""

    def __init__(self, profiles: Iterable[NodeProfile]) -> None:
        """Raises ValueError when two profiles have the same link-layer address."""
        self._by_link_layer_address: dict[bytes, NodeProfile] = {}
        self._by_identifier: dict[bytes, NodeProfile] = {}
        self._patterns: list[NodeProfile] = []
        for profile in profiles:
            if profile.link_layer_address:
                other = self._by_link_layer_address.setdefault(profile.link_layer_address, profile)
                if other is not profile:
                    raise ValueError(f"two profiles have the link-layer address {profile.link_layer_address.hex(':')}")
            if b"*" in profile.identifier:
                self._patterns.append(profile)
            else:
                self._by_identifier.setdefault(profile.identifier, profile)

    def for_link_layer_address(self, address: bytes) -> NodeProfile | None:
        """The profile of the interface with this link-layer address."""
        return self._by_link_layer_address.get(address)

    def for_identifier(self, identifier: bytes, link_layer_address: bytes) -> NodeProfile | None:
        """The profile of the node that access authentication has found to be `identifier`: the one for this interface of it,
        else the one for the node, else the first pattern that fits. A profile of another node is never given."""
        profile = self._by_link_layer_address.get(link_layer_address)
        if profile is not None and profile.identifier == identifier:
            return profile
        profile = self._by_identifier.get(identifier)
        if profile is not None:
            return profile
        text = identifier.decode("latin-1")
        for profile in self._patterns:
            if fnmatchcase(text, profile.identifier.decode("latin-1")):
                return replace(profile, identifier=identifier)
        return None
