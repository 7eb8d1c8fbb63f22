# SPDX-License-Identifier: Apache-2.0
"""What the parts of a mobile node share (`halma.engine.context`), and what its deadlines are for.

Always holds: a delay counts from the event that is being handled.
"""

from __future__ import annotations

from enum import Enum

from halma.engine.context import Context
from halma.engine.node_api import NodeEffect, NodeSettings


class Timer(Enum):
    """What a deadline is for."""

    SOLICIT = "solicit"
    PROBE = "probe"
    ADVERTISEMENT_LATE = "advertisement late"
    LINK_KNOWLEDGE = "link knowledge"
    DETECTION = "detection"
    RETRANSMIT = "retransmit"
    RATE = "rate"
    REFRESH = "refresh"
    EXPIRE = "expire"
    RETRY = "retry"
    ANNOUNCE = "announce"
    FORWARD = "forward"
    DISCOVER = "discover"
    LOOK_UP = "look up"
    PREFIXES = "prefixes"
    HOME_PREFIX = "home prefix"


class NodeContext(Context[NodeSettings, NodeEffect, Timer]):
    """That of a node, whose delays all count from now."""

    __slots__ = ()

    def arm(self, timer: Timer, seconds: float, key: bytes = b"") -> None:
        """Let this be due in so many seconds, instead of any time set before."""
        self.arm_at(timer, key, self.now.monotonic + seconds)

    def remaining(self, timer: Timer, key: bytes = b"") -> float | None:
        """The seconds until this is due; None when it is not waited for."""
        when = self._deadlines.get((timer, key))
        return None if when is None else max(0.0, when - self.now.monotonic)
