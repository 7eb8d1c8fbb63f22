# SPDX-License-Identifier: Apache-2.0
"""What the parts of a role share while one event is being handled: the time, the settings, the deadlines, the counters and the
effects that come of it. A gateway and a node are made of parts that call one another, so none of them returns effects.

Always holds: effects are kept in the order in which the parts asked for them; every deadline has a handler.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from halma.engine.api import Now, Report, Severity
from halma.engine.meter import Meter
from halma.engine.timers import Deadlines

ERRORS_PER_SECOND = 10
"""Binding Errors and Parameter Problems that are sent at the most."""
Settings = TypeVar("Settings")
OneEffect = TypeVar("OneEffect")
OneTimer = TypeVar("OneTimer")
"""What a deadline is for, an enumeration of the role."""


class Context(Generic[Settings, OneEffect, OneTimer]):
    """See the module. A role begins with `begin` and ends with `effects`; everything else is for its parts."""

    __slots__ = ("_deadlines", "_effects", "_handlers", "_meter", "_next_op", "counters", "now", "settings")

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.now = Now(0.0, 0.0)
        self.counters: dict[str, int] = {}
        self._effects: list[OneEffect | Report] = []
        self._deadlines: Deadlines[tuple[OneTimer, bytes]] = Deadlines()
        self._handlers: dict[OneTimer, Callable[[bytes], None]] = {}
        self._next_op = 0
        self._meter = Meter()

    def begin(self, now: Now) -> None:
        """An event is going to be handled."""
        self.now = now
        self._effects = []

    def effects(self) -> list[OneEffect | Report]:
        """What came of the event."""
        return self._effects

    def do(self, effect: OneEffect) -> None:
        """Have this done."""
        self._effects.append(effect)

    def op(self) -> int:
        """A name for an effect whose outcome is wanted."""
        self._next_op += 1
        return self._next_op

    def count(self, name: str) -> None:
        """Count something that happened."""
        self.counters[name] = self.counters.get(name, 0) + 1

    def report(self, severity: Severity, reason: str, text: str, *details: object, peer: bytes = b"") -> None:
        """Tell the operator."""
        self._effects.append(Report(severity, reason, text, peer, details))

    def error_allowed(self) -> bool:
        """Whether one more error message may be sent now, to whomever (RFC 4443 section 2.4 f)."""
        if self._meter.allows(b"", ERRORS_PER_SECOND, self.now.monotonic):
            return True
        self.count("error_rate_limited")
        return False

    def on(self, timer: OneTimer, handler: Callable[[bytes], None]) -> None:
        """Let `handler` be called with the key when a deadline of this kind is due."""
        self._handlers[timer] = handler

    def arm_at(self, timer: OneTimer, key: bytes, when: float) -> None:
        """Let this be due at `when`, monotonic."""
        self._deadlines.set((timer, key), when)

    def disarm(self, timer: OneTimer, key: bytes = b"") -> None:
        """Let this not be due at all."""
        self._deadlines.stop((timer, key))

    def fire(self) -> None:
        """Do all that is due now."""
        for timer, key in self._deadlines.due(self.now.monotonic):
            self._handlers[timer](key)

    def next_deadline(self) -> float | None:
        """The earliest deadline."""
        return self._deadlines.next()
