# SPDX-License-Identifier: Apache-2.0
"""The gateway's profiles, in memory: found by link-layer address, or by the identifier that access authentication gave. It
answers `halma.engine.gateway_api.Profiles`.

RFC 5213 section 6.2; requirement GW-1.

Always holds: an answer's `identifier` is a node's, never a pattern; nothing is changed after construction but a bounded
memory of answers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from halma.engine.gateway_api import NodeProfile
from halma.policy.patterns import PatternTable


class GatewayPolicy:
    """Profiles of a gateway. One whose `identifier` is a pattern serves the nodes that fit it and are known by identifier."""

    def __init__(self, profiles: Iterable[NodeProfile]) -> None:
        profiles = tuple(profiles)
        self._by_link_layer_address: dict[bytes, NodeProfile] = {}
        self._by_interface: dict[tuple[bytes, bytes], NodeProfile] = {}
        for profile in profiles:
            if profile.link_layer_address:
                self._by_link_layer_address.setdefault(profile.link_layer_address, profile)
                self._by_interface.setdefault((profile.identifier, profile.link_layer_address), profile)
        # A profile for any interface of a node comes before one for a particular interface that is not the one in question.
        ordered = sorted(profiles, key=lambda profile: bool(profile.link_layer_address))
        self._by_identifier = PatternTable((profile.identifier, profile) for profile in ordered)

    def for_link_layer_address(self, address: bytes) -> NodeProfile | None:
        """The profile of the interface with this link-layer address."""
        return self._by_link_layer_address.get(address)

    def for_identifier(self, identifier: bytes, link_layer_address: bytes) -> NodeProfile | None:
        """The profile of the node that access authentication has found to be `identifier`: the one for this interface, else
        the one for any interface of the node, else that of another of its interfaces (whose address may well be a random
        one), else that of the narrowest pattern."""
        profile = self._by_interface.get((identifier, link_layer_address)) or self._by_identifier.find(identifier)
        if profile is None or (profile.identifier == identifier and profile.link_layer_address == link_layer_address):
            return profile
        return dataclasses.replace(profile, identifier=identifier, link_layer_address=link_layer_address)
