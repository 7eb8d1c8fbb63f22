# SPDX-License-Identifier: Apache-2.0
"""Which home agent a mobile node turns to, and how a mobile router speaks to it of its networks.

RFC 6275 section 11.4.1 (home agents in the order of their preference), RFC 3963 sections 5.2 and 5.4 (modes).

Always holds: a home agent that has refused in a mode is not tried again in that mode before something has changed.
"""

from __future__ import annotations

from halma.engine.node_api import NodeSettings
from halma.engine.node_binding import RouterMode
from halma.wire.numbers import Status


class HomeAgentChoice:
    """See the module. `agents` are all that are known, the preferred first; `in_use` is the one that holds a binding, or is
    asked for one (empty: none); `mode` is how it is spoken to."""

    def __init__(self, settings: NodeSettings) -> None:
        self._settings = settings
        self.agents: tuple[bytes, ...] = settings.home_agents
        self.in_use = b""
        self.mode = self._wanted_mode()
        self._refused: set[tuple[bytes, RouterMode]] = set()

    def _wanted_mode(self) -> RouterMode:
        if not self._settings.mobile_router:
            return RouterMode.NONE
        return RouterMode.EXPLICIT if self._settings.explicit else RouterMode.IMPLICIT

    @property
    def agent(self) -> bytes:
        """The one in use before any other. Empty: none is known."""
        if self.in_use:
            return self.in_use
        return self.agents[0] if self.agents else b""

    @property
    def has_refusals(self) -> bool:
        """Whether any has refused."""
        return bool(self._refused)

    def following(self, agent: bytes) -> bytes:
        """The next in their order, with the first behind the last; those that have refused are left out. The same one again
        where there is no other."""
        start = self.agents.index(agent) + 1 if agent in self.agents else 0
        order = self.agents[start:] + self.agents[:start]
        return next((other for other in order if (other, self.mode) not in self._refused), agent)

    def refuse(self, agent: bytes) -> None:
        """It does not serve this node in this mode."""
        self._refused.add((agent, self.mode))

    def leave(self, agent: bytes) -> None:
        """It holds nothing, so it is not in use."""
        if self.in_use == agent:
            self.in_use = b""

    def forgive(self) -> None:
        """Things have changed: all may be tried again."""
        self._refused.clear()

    def start_anew(self) -> None:
        """Somebody has mended something: all may be tried again, in the mode that is wanted."""
        self._refused.clear()
        self.mode = self._wanted_mode()

    def change_mode(self, status: int) -> RouterMode:
        """No home agent serves in this mode, for which the last gave this status: go on in another, in the end as a plain
        mobile node. RFC 3963 sections 5.4.1 and 5.4.2; a status that does not belong to the mode is fatal to it."""
        other = RouterMode.NONE
        if status == Status.FORWARDING_SETUP_FAILED and self.mode is RouterMode.IMPLICIT and self._settings.networks:
            other = RouterMode.EXPLICIT
        elif status in (Status.INVALID_PREFIX, Status.NOT_AUTHORIZED_FOR_PREFIX) and self.mode is RouterMode.EXPLICIT:
            other = RouterMode.IMPLICIT
        self.mode = RouterMode.NONE if other in {mode for _, mode in self._refused} else other
        return self.mode
