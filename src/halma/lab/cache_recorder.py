# SPDX-License-Identifier: Apache-2.0
"""Asks the anchors of a running lab, through their control sockets, what their two binding caches hold, and writes the answers
down: a line of JSON for each anchor and look, for `halma.lab.caches` to read.

    {"time": 1800000000.0, "anchor": "lma", "bindings": [...], "home_bindings": [...]}
    {"time": 1800000000.0, "anchor": "lma", "fault": "the daemon is silent"}

Always holds: an anchor is asked for a few rows, and may be silent for a moment and no longer, so that the timeline goes on
whatever it does; who did not answer is left alone until the next step; nobody is asked while a handover goes on. No verdict
reads what is written here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from halma.control.client import ControlClient
from halma.control.schema import ControlError, Show, What

MOST_ROWS = 24
"""How many entries of a cache are written down."""
BETWEEN = 0.5
"""Seconds from one look to the next within a step, and from a movement to the next look."""
_PATIENCE = 0.5
CACHES: tuple[What, What] = ("bindings", "home_bindings")
"""What gateways registered, and what mobile nodes registered."""


class CacheRecorder:
    """Writes to `target` what the anchors say; `anchors` names those that run, with their control sockets."""

    def __init__(self, target: Path, anchors: Callable[[], Mapping[str, Path]]) -> None:
        self._target = target
        self._anchors = anchors
        self._known: dict[str, object] = {}
        """What each anchor's caches held at the last look, None where it did not answer."""
        self._due = 0.0

    def look(self) -> None:
        """Ask every anchor and write its answer down: a step begins or ends."""
        for anchor, socket in self._anchors().items():
            self._write(anchor, _ask(socket))
        self.rest()

    def rest(self) -> None:
        """Ask nobody for a while, unless a step begins: a host is being moved."""
        self._due = time.monotonic() + BETWEEN

    def glance(self) -> None:
        """Ask again within a step, not too often, and write down what has changed."""
        if time.monotonic() < self._due:
            return
        for anchor, socket in self._anchors().items():
            if self._known.get(anchor) is not None:
                answer = _ask(socket)
                if _lasting(answer) != self._known[anchor]:
                    self._write(anchor, answer)
        self.rest()

    def _write(self, anchor: str, answer: dict[str, Any]) -> None:
        with self._target.open("a" if self._known else "w") as output:
            output.write(json.dumps({"time": time.time(), "anchor": anchor, **answer}) + "\n")
        self._known[anchor] = None if "fault" in answer else _lasting(answer)


def _ask(socket: Path) -> dict[str, Any]:
    """What an anchor says of both caches, or why it says nothing."""
    try:
        with ControlClient(socket, _PATIENCE) as client:
            return {what: list(client.ask(Show(what, limit=MOST_ROWS))) for what in CACHES}
    except ControlError as error:
        return {"fault": str(error)}


def _lasting(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer without what changes as time passes."""
    return {
        what: rows
        if isinstance(rows, str)
        else [{key: field for key, field in row.items() if not key.endswith("_seconds")} for row in rows]
        for what, rows in answer.items()
    }
