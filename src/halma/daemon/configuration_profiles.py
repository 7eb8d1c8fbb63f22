# SPDX-License-Identifier: Apache-2.0
"""What must hold between the profiles of one file, an anchor's or a gateway's (RFC 5213 section 6.2), so that it is never in
doubt whom a profile is for, and whose a prefix is.

Always holds: each mistake is told at the later of the two profiles, with the path of the earlier one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from halma.daemon.configuration_reader import Reader, repeated
from halma.policy.patterns import WILDCARD, is_realm, narrowness, overlap
from halma.text import Prefix, show_identifier


class Profile(Protocol):
    """A table that is for a node, or for all that a pattern fits."""

    @property
    def node(self) -> bytes:
        """The node's identifier, or the pattern."""

    @property
    def prefixes(self) -> tuple[Prefix, ...]:
        """Home network prefixes that are this node's."""


def check_nodes(profiles: Sequence[Profile], reader: Reader) -> None:
    """A node, or a pattern, has one profile."""
    for profile, first in repeated(profiles, lambda profile: profile.node):
        text = f'"{show_identifier(profile.node)}" has a profile already: {reader.path_of(first)}'
        reader.mistake(f"{reader.path_of(profile)}.node", text)


def check_prefix_owners(profiles: Sequence[Profile], reader: Reader) -> None:
    """A prefix belongs to one node."""
    owners: dict[Prefix, Profile] = {}
    for profile in profiles:
        path = f"{reader.path_of(profile)}.prefixes"
        if profile.prefixes and WILDCARD in profile.node:
            reader.mistake(path, "a pattern names many nodes, and a prefix belongs to one")
        for prefix in profile.prefixes:
            owner = owners.setdefault(prefix, profile)
            if owner.node != profile.node:
                reader.mistake(path, f"{prefix} belongs to {reader.path_of(owner)} already")


def check_patterns(profiles: Sequence[Profile], reader: Reader) -> None:
    """No two patterns may fit the same node without one of them being the narrower."""
    before: list[Profile] = []
    odd: list[Profile] = []  # plain `*@realm` patterns do not meet one another, and there may be many
    for profile in profiles:
        if WILDCARD not in profile.node:
            continue
        for other in odd if is_realm(profile.node) else before:
            if (
                profile.node != other.node
                and narrowness(profile.node) == narrowness(other.node)
                and overlap(profile.node, other.node)
            ):
                reader.mistake(
                    f"{reader.path_of(profile)}.node",
                    f'"{show_identifier(profile.node)}" and "{show_identifier(other.node)}" of {reader.path_of(other)} can fit '
                    "the same node, and neither is narrower",
                )
        before.append(profile)
        if not is_realm(profile.node):
            odd.append(profile)
