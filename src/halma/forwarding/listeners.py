# SPDX-License-Identifier: Apache-2.0
"""Which home addresses listen to which multicast group, in the maps of bpf/maps.h (or in dictionaries).

A group's listeners stand in places from 0 on without gaps, since a program that makes the copies can only count.

Always holds: a place is filled before the number of listeners says that it is; at any moment each listener of a group that is
not being taken out gets one copy at least.
"""

from __future__ import annotations

import struct

from halma.forwarding.tables import Entries

GROUPS, LISTENERS = 1024, 16384
"""Room for multicast groups, and for their listeners together: as much as `engine.home_multicast` makes use of."""
GROUP_KEY, LISTENER_KEY = 16, 24
"""Octets of a group, and of a place in it."""

_LISTENER = struct.Struct("=16sI4x")
_COUNT = struct.Struct("=I")


class Listeners:
    """The groups. `counts` has how many listen to each, `places` who stands where."""

    def __init__(self, counts: Entries, places: Entries) -> None:
        self._counts, self._places = counts, places
        self._groups: dict[bytes, list[bytes]] = {}
        self._place_of: dict[tuple[bytes, bytes], int] = {}

    def of(self, group: bytes) -> list[bytes]:
        """The home addresses that listen to a group."""
        return self._groups.get(group, [])

    def subscribe(self, group: bytes, home_address: bytes) -> None:
        """One more listener; nothing happens if it is one already. Raises OSError when the kernel has no room."""
        if (group, home_address) in self._place_of:
            return
        place = len(self.of(group))
        self._places.update(_LISTENER.pack(group, place), home_address)
        try:
            self._counts.update(group, _COUNT.pack(place + 1))
        except OSError:
            self._places.delete(_LISTENER.pack(group, place))
            raise
        self._place_of[group, home_address] = place
        self._groups.setdefault(group, []).append(home_address)

    def unsubscribe(self, group: bytes, home_address: bytes) -> None:
        """One less: the last one takes its place. Raises OSError."""
        place = self._place_of.pop((group, home_address), None)
        if place is None:
            return
        held = self._groups[group]
        last = held.pop()
        if last != home_address:
            held[place] = last
            self._place_of[group, last] = place
            self._places.update(_LISTENER.pack(group, place), last)
        if held:
            self._counts.update(group, _COUNT.pack(len(held)))
        else:
            del self._groups[group]
            self._counts.delete(group)
        self._places.delete(_LISTENER.pack(group, len(held)))
