# SPDX-License-Identifier: Apache-2.0
"""When a mobile node may tell its home agent which multicast groups it listens to: RFC 6275 section 11.3.4.

The kernel is the listener: it answers queries, and reports by itself, on the data plane's device. This decides whether what it
reports goes into the tunnel.

Always holds: nothing goes there before the home agent that is at its other end has asked, and holds a binding; having asked
once is enough as long as that binding does not end.
"""

from __future__ import annotations

from collections.abc import Container

from halma.engine.api import Tunnel
from halma.engine.multicast_api import AllowListenerReports, ListenerQueryReceived


class ListenerReports:
    """Whether they may leave."""

    def __init__(self) -> None:
        self._asker = b""
        self._allowed = False

    def asked(self, event: ListenerQueryReceived, tunnel: Tunnel | None) -> bool:
        """A query came; whether it was by the `tunnel` that is in use."""
        if event.tunnel != tunnel:
            return False
        self._asker = event.tunnel.remote
        return True

    def follow(self, tunnel: Tunnel | None, agents: Container[bytes]) -> list[AllowListenerReports]:
        """The home agents that hold a binding are these, and packets leave by this tunnel: what there is to be changed."""
        if self._asker not in agents:
            self._asker = b""
        allowed = tunnel is not None and tunnel.remote == self._asker
        if allowed == self._allowed:
            return []
        self._allowed = allowed
        return [AllowListenerReports(allowed)]
