# SPDX-License-Identifier: Apache-2.0
"""What no access link has of the gateway's own prefix cannot be reached, and senders are told so.

Without this a packet to a node that has left its link would follow the default route, back to the router that sent it here, and
come again until its hop limit is used up.

Always holds: the /64 of a link is more particular, or preferred where it is the whole prefix; the route goes with `close`, and
the next life of the daemon puts its own in the place of one that a crash has left.
"""

from __future__ import annotations

import contextlib

from halma.forwarding.rtnetlink import UNREACHABLE, Route, RouteNetlink
from halma.text import Prefix

_LAST_METRIC = 0xFFFFFFFF


class UnusedPrefix:
    """The route, while it is open."""

    def __init__(self, prefix: Prefix) -> None:
        """Raises OSError."""
        self._route = Route(prefix.address, prefix.length, 0, metric=_LAST_METRIC, kind=UNREACHABLE)
        with contextlib.closing(RouteNetlink()) as netlink:
            netlink.replace_route(self._route)

    def close(self) -> None:
        """Take it away."""
        with contextlib.closing(RouteNetlink()) as netlink, contextlib.suppress(OSError):
            netlink.delete_route(self._route)
