# SPDX-License-Identifier: Apache-2.0
"""Which node had which prefix of a pool before the anchor restarted, and what has changed since somebody looked.

A gateway registers its nodes again after a restart and asks for the prefixes that they had (RFC 5213 section 5.3.2 rule 2):
they are the nodes' own, for they were assigned by us. Until the nodes have come, nobody else gets them (ANC-4).

Always holds: a prefix that is remembered belongs to one node; one that has been assigned again is not remembered any more;
`take_changes` tells the last word on every prefix, so that a journal of it holds what is assigned now.
"""

from __future__ import annotations

from collections.abc import Iterable


class AssignmentMemory:
    """See the module. Prefixes are /64s of 16 bytes."""

    __slots__ = ("_changes", "_of", "_owners")

    def __init__(self) -> None:
        self._owners: dict[bytes, bytes] = {}
        self._of: dict[bytes, tuple[bytes, ...]] = {}
        self._changes: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        return len(self._owners)

    def restore(self, assignments: Iterable[tuple[bytes, bytes]]) -> None:
        """These (prefix, identifier) were assigned when the former life ended."""
        for prefix, identifier in assignments:
            self._owners[prefix] = identifier
            self._of[identifier] = (*self._of.get(identifier, ()), prefix)

    def owner(self, prefix: bytes) -> bytes | None:
        """The node that a prefix is remembered for; None when it is not."""
        return self._owners.get(prefix)

    def of(self, identifier: bytes) -> tuple[bytes, ...]:
        """All that the node had when the former life ended, unless some of it has been assigned again: then there is more than
        one session to come, and nobody knows which of them a prefix was for."""
        had = self._of.get(identifier, ())
        return had if all(prefix in self._owners for prefix in had) else ()

    def assigned(self, prefix: bytes, identifier: bytes) -> None:
        """The prefix is the node's from now on."""
        self._changes[prefix] = identifier
        if self._owners:
            self._owners.pop(prefix, None)

    def released(self, prefix: bytes) -> None:
        """The prefix is nobody's."""
        self._changes[prefix] = b""

    def expire(self) -> list[bytes]:
        """Remember nothing any more; the prefixes that nobody has come for."""
        left = list(self._owners)
        self._owners.clear()
        self._of.clear()
        return left

    def take_changes(self) -> dict[bytes, bytes]:
        """The node of each prefix that was assigned since the last call, and nothing for each that was released."""
        changes, self._changes = self._changes, {}
        return changes
