# SPDX-License-Identifier: Apache-2.0
"""A mobile node's questions to the DNS, carried out beside everything else that its daemon does (RFC 5026 section 5.1).

Always holds: one look-up runs at most; the engine hears of its outcome, whatever that is, unless another was wanted meanwhile.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from halma.engine.node_api import FindHomeAgents, HomeAgentsFound, HomeAgentsNotFound, NodeEvent
from halma.netio.name_lookup import HomeAgentLookupError, find_home_agents, name_servers


class HomeAgentNames:
    """See the module. `servers` are the configured name servers; empty: those that the machine has when something is asked, for
    they change with the link. `post` gives events to the engine."""

    def __init__(self, servers: Sequence[str], post: Callable[..., None]) -> None:
        self._servers = tuple(servers)
        self._post = post
        self._running: asyncio.Task[None] | None = None

    def handlers(self) -> dict[type, Callable[[Any], Iterable[Any]]]:
        """Who carries out which effect."""
        return {FindHomeAgents: self._find}

    def close(self) -> None:
        """Ask no more."""
        if self._running is not None:
            self._running.cancel()

    def _find(self, effect: FindHomeAgents) -> list[NodeEvent]:
        self.close()
        self._running = asyncio.get_running_loop().create_task(self._look_up(effect))
        return []

    async def _look_up(self, effect: FindHomeAgents) -> None:
        servers = self._servers or name_servers()
        event: NodeEvent
        try:
            found = await find_home_agents(effect.name, by_service=effect.by_service, source=effect.source, servers=servers)
            event = HomeAgentsFound(effect.op, found.records, found.lifetime, secrets.randbits(64))
        except HomeAgentLookupError as error:
            event = HomeAgentsNotFound(effect.op, str(error))
        self._post(event)
