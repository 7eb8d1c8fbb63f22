# SPDX-License-Identifier: Apache-2.0
"""How much is taken from one peer: a token bucket for each, one second deep.

Always holds: over any span of t seconds at most rate * (t + 1) are allowed; memory is bounded by `PEERS`, whoever sends.
"""

from __future__ import annotations

PEERS = 4096
"""Buckets that are kept; the one used longest ago makes room."""


class Meter:
    """Token buckets by peer."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets: dict[bytes, tuple[float, float]] = {}

    def allows(self, peer: bytes, rate: float, now: float) -> bool:
        """Whether one more is within `rate` a second at monotonic time `now`; takes a token if so."""
        tokens, last = self._buckets.pop(peer, (rate, now))
        tokens = min(rate, tokens + (now - last) * rate)
        allowed = tokens >= 1.0
        if len(self._buckets) >= PEERS:
            del self._buckets[next(iter(self._buckets))]
        self._buckets[peer] = (tokens - 1.0 if allowed else tokens, now)
        return allowed
