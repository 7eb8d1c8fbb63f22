# SPDX-License-Identifier: Apache-2.0
"""Named deadlines in one place: when each thing that waits is due.

An engine keeps one `Deadlines` table. Each key (a binding, a peer, a request) has at most one deadline; setting it again
replaces it. Moving a deadline later, which is what every refresh of a lifetime does, costs one dictionary store: the heap
is told only when the old time comes.

Always holds: `due` gives each key once, in the order of the deadlines; memory is linear in the number of keys.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

SLACK = 64
"""Stale heap entries that are let be before the heap is built anew."""


class Deadlines(Generic[Key]):
    """Deadlines by key, in monotonic seconds."""

    __slots__ = ("_heap", "_queued", "_serial", "_when")

    def __init__(self) -> None:
        self._when: dict[Key, float] = {}
        self._queued: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._serial = 0

    def __len__(self) -> int:
        return len(self._when)

    def __contains__(self, key: Key) -> bool:
        return key in self._when

    def set(self, key: Key, when: float) -> None:
        """Let `key` be due at `when`, instead of any time set before."""
        self._when[key] = when
        queued = self._queued.get(key)
        if queued is None or when < queued:
            self._push(key, when)

    def stop(self, key: Key) -> None:
        """Let `key` not be due at all; nothing happens if it was not."""
        if self._when.pop(key, None) is not None:
            self._shrink()

    def get(self, key: Key) -> float | None:
        """When `key` is due; None when it is not waiting."""
        return self._when.get(key)

    def next(self) -> float | None:
        """The earliest deadline of all, None when nothing waits. It may name a time at which nothing is due yet, never one
        that is too late."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Iterator[Key]:
        """Take out and give every key whose deadline is at or before `now`. The table may be changed between keys."""
        while self._heap and self._heap[0][0] <= now:
            queued, _, key = heappop(self._heap)
            if self._queued.get(key) != queued:
                continue
            del self._queued[key]
            when = self._when.get(key)
            if when is None:
                continue
            if when > queued:  # it was put off: its turn comes later, though it may be due as well
                self._push(key, when)
                continue
            del self._when[key]
            self._shrink()
            yield key

    def _push(self, key: Key, when: float) -> None:
        self._queued[key] = when
        self._serial += 1
        heappush(self._heap, (when, self._serial, key))
        self._shrink()

    def _shrink(self) -> None:
        """Build the heap anew when most of it is stale."""
        if len(self._heap) > 2 * len(self._when) + SLACK:
            self._heap = [(when, serial, key) for serial, (key, when) in enumerate(self._when.items())]
            self._serial = len(self._heap)
            self._queued = dict(self._when)
            heapify(self._heap)
