# SPDX-License-Identifier: Apache-2.0
"""One party of a conversation: an engine, the time, and a data plane that answers at once.

Always holds: a deadline is handled at its moment, never late; what an outcome brings about comes behind what was asked before.
"""

from __future__ import annotations

from typing import Any

from halma.engine.api import Bind, BindingKind, ForwardingDone, Now, Tunnel, Unbind


class Party:
    """See the module. `error` is what the data plane answers; `bound` is what it holds, `received` where it takes packets from,
    `effects` what came of the last call."""

    engine: Any

    def __init__(self, time: float) -> None:
        self.time = time
        self.wall = 1.7e9
        self.error = 0
        self.bound: dict[tuple[BindingKind, bytes, int], Tunnel | None] = {}
        self.received: dict[tuple[BindingKind, bytes, int], Tunnel | None] = {}
        self.effects: list[Any] = []

    @property
    def now(self) -> Now:
        return Now(self.time, self.wall + self.time)

    def give(self, event: Any) -> list[Any]:
        """Give an event; every effect that came of it, carried out."""
        self.effects = self._carry_out(list(self.engine.handle(event, self.now)))
        return self.effects

    def advance(self, seconds: float) -> list[Any]:
        """Let time pass, deadline by deadline."""
        end, seen = self.time + seconds, []
        while (deadline := self.engine.next_deadline()) is not None and deadline <= end:
            self.time = max(self.time, deadline)
            seen += self._carry_out(list(self.engine.handle_timeout(self.now)))
        self.time = end
        self.effects = seen
        return seen

    def _carry_out(self, effects: list[Any]) -> list[Any]:
        seen = []
        while effects:
            effect = effects.pop(0)
            seen.append(effect)
            if isinstance(effect, Bind | Unbind):
                if not self.error:
                    self._forward(effect)
                effects += self.engine.handle(ForwardingDone(effect.op, self.error), self.now)
            else:
                self.do(effect)
        return seen

    def _forward(self, change: Bind | Unbind) -> None:
        key = (change.kind, change.prefix, change.prefix_length)
        if isinstance(change, Bind):
            self.bound[key] = None if change.receive_only else change.tunnel
            self.received[key] = change.tunnel
        else:
            self.bound.pop(key, None)
            self.received.pop(key, None)

    def do(self, effect: Any) -> None:
        """Carry out an effect that is not the data plane's."""
