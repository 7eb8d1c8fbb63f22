# SPDX-License-Identifier: Apache-2.0
"""Named deadlines in one place: when each thing that waits is due.

An engine keeps one `Deadlines` table. Each key (a binding, a peer, a request) has at most one deadline; setting it again
replaces it. Moving a deadline later, which is what every refresh of a lifetime does, costs one look-up: the heap is told only
when the old time comes.

Always holds: `due` gives each key once, in the order of the deadlines; memory is linear in the number of keys.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

SLACK = 64
"""Stale heap entries that are let be before the heap is built anew."""


class _Entry(Generic[Key]):
    """A key that waits: when it is due, and the time at which the heap will bring it up. `stopped` says that it waits no more,
    though the heap may still have it."""

    __slots__ = ("key", "queued", "stopped", "when")

    def __init__(self, key: Key, when: float) -> None:
        self.key = key
        self.when = when
        self.queued = when
        self.stopped = False


class Deadlines(Generic[Key]):
    """Deadlines by key, in monotonic seconds."""

    __slots__ = ("_entries", "_heap", "_serial")

    def __init__(self) -> None:
        self._entries: dict[Key, _Entry[Key]] = {}
        self._heap: list[tuple[float, int, _Entry[Key]]] = []
        self._serial = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def set(self, key: Key, when: float) -> None:
        """Let `key` be due at `when`, instead of any time set before."""
        entry = self._entries.get(key)
        if entry is None:
            self._entries[key] = entry = _Entry(key, when)
            self._push(entry)
            return
        entry.when = when
        if when < entry.queued:
            self._push(entry)

    def stop(self, key: Key) -> None:
        """Let `key` not be due at all; nothing happens if it was not."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            entry.stopped = True
            self._shrink()

    def get(self, key: Key) -> float | None:
        """When `key` is due; None when it is not waiting."""
        entry = self._entries.get(key)
        return None if entry is None else entry.when

    def next(self) -> float | None:
        """The earliest deadline of all, None when nothing waits. It may name a time at which nothing is due yet, never one
        that is too late."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Iterator[Key]:
        """Take out and give every key whose deadline is at or before `now`. The table may be changed between keys."""
        while self._heap and self._heap[0][0] <= now:
            queued, _, entry = heappop(self._heap)
            if entry.stopped or entry.queued != queued:
                continue
            if entry.when > queued:  # it was put off: its turn comes later, though it may be due as well
                self._push(entry)
                continue
            entry.stopped = True
            del self._entries[entry.key]
            self._shrink()
            yield entry.key

    def _push(self, entry: _Entry[Key]) -> None:
        entry.queued = entry.when
        self._serial += 1
        heappush(self._heap, (entry.when, self._serial, entry))
        self._shrink()

    def _shrink(self) -> None:
        """Build the heap anew when most of it is stale."""
        if len(self._heap) > 2 * len(self._entries) + SLACK:
            self._heap = [(entry.when, serial, entry) for serial, entry in enumerate(self._entries.values())]
            self._serial = len(self._heap)
            for entry in self._entries.values():
                entry.queued = entry.when
            heapify(self._heap)
