# SPDX-License-Identifier: Apache-2.0
"""A pool of /64 home network prefixes to give away, each to one session at a time (RFC 5213 sections 5.2 and 5.3.2).

Always holds: no prefix is given out twice before it is released; a released prefix is the last to be given out again, so
that a late packet of its old owner does not soon meet a new one; memory grows only with the prefixes that were released.
"""

from __future__ import annotations

from collections.abc import Callable

HOST_BITS = 64


class PrefixPool:
    """The /64s of one aggregate. `base` is 16 bytes, `length` at most 64 bits; host bits of `base` are ignored."""

    __slots__ = ("_first", "_next", "_released", "_size", "name")

    def __init__(self, name: str, base: bytes, length: int) -> None:
        if not 0 < length <= HOST_BITS:
            raise ValueError(f"pool {name}: an aggregate of /64s is a /1 to /64, not /{length}")
        self.name = name
        self._size = 1 << (HOST_BITS - length)
        self._first = int.from_bytes(base[:8], "big") & ~(self._size - 1)
        self._next = 0
        self._released: dict[bytes, None] = {}

    def __contains__(self, prefix: bytes) -> bool:
        return 0 <= int.from_bytes(prefix[:8], "big") - self._first < self._size

    @property
    def size(self) -> int:
        """How many /64s the pool spans."""
        return self._size

    def allocate(self, in_use: Callable[[bytes], bool]) -> bytes | None:
        """A /64 for which `in_use` is false; None when all are taken.

        Each prefix that is found in use is passed over for good, until it is released: so the cost of all allocations
        together is linear in the number of prefixes ever looked at.
        """
        while self._next < self._size:
            prefix = (self._first + self._next).to_bytes(8, "big") + bytes(8)
            self._next += 1
            if not in_use(prefix):
                return prefix
        while self._released:
            prefix = next(iter(self._released))
            del self._released[prefix]
            if not in_use(prefix):
                return prefix
        return None

    def release(self, prefix: bytes) -> None:
        """The prefix is nobody's again. One that the pool has not come to yet needs no note of it."""
        if prefix in self and int.from_bytes(prefix[:8], "big") - self._first < self._next:
            self._released[prefix] = None
