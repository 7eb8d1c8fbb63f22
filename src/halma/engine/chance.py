# SPDX-License-Identifier: Apache-2.0
"""Chance for those who may not draw it: numbers out of a seed that the world has given.

Where an RFC asks for something random (so that routers do not speak in step, so that equals share the work) an engine takes a
seed with its settings or with an event. The generator is SplitMix64 (Steele, Lea, Flood 2014); none of this is for secrets.

Always holds: the same seed gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")

_MASK = 0xFFFFFFFFFFFFFFFF
_STEP = 0x9E3779B97F4A7C15


class Chance:
    """A sequence of numbers."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def below(self, bound: int) -> int:
        """A whole number from 0 to `bound` - 1; `bound` is far less than 2^64."""
        return self._next() % bound

    def between(self, low: float, high: float) -> float:
        """A number from `low` up to, not including, `high`."""
        return low + (high - low) * (self._next() / (_MASK + 1))

    def shuffled(self, items: Iterable[T]) -> list[T]:
        """The items in some order."""
        made = list(items)
        for last in range(len(made) - 1, 0, -1):
            other = self.below(last + 1)
            made[last], made[other] = made[other], made[last]
        return made

    def _next(self) -> int:
        self._state = (self._state + _STEP) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return mixed ^ (mixed >> 31)
