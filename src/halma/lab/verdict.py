# SPDX-License-Identifier: Apache-2.0
"""Verdicts: what was checked, under which requirement, and what was measured.

Always holds: a verdict passes when it has checks and all of them passed.
"""

from __future__ import annotations

from typing import Any

from halma.value import value


@value
class Check:
    """A thing that must be seen, by the name of the requirement that wants it. `detail` is what was seen."""

    requirement: str
    name: str
    passed: bool
    detail: str


@value
class Handover:
    """A host's move from one gateway to another, times in seconds since 1970 and gaps in milliseconds from link-up.

    `down` is towards the host. A gap is None when no packet came after the move; `lost` counts the probes that did not;
    `stalled` is how much of the gap the sender itself did not send, for want of a processor.
    """

    host: str
    source: str
    target: str
    moved: float
    link_down: float | None
    link_up: float | None
    gap_down_ms: float | None
    gap_up_ms: float | None
    lost_down: int
    lost_up: int
    signalling_ms: float | None
    stalled_down_ms: float = 0.0
    stalled_up_ms: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The measurements in the words of `halma lab run --json`."""

        def rounded(milliseconds: float | None) -> float | None:
            return None if milliseconds is None else round(milliseconds, 3)

        return {
            "host": self.host,
            "from": self.source,
            "to": self.target,
            "gap_down_ms": rounded(self.gap_down_ms),
            "gap_up_ms": rounded(self.gap_up_ms),
            "lost_down": self.lost_down,
            "lost_up": self.lost_up,
            "signalling_ms": rounded(self.signalling_ms),
            "away_ms": rounded(None if self.link_up is None else (self.link_up - self.moved) * 1000),
        }


@value
class Verdict:
    """What became of a scenario."""

    name: str
    checks: tuple[Check, ...]
    handovers: tuple[Handover, ...]

    @property
    def passed(self) -> bool:
        """Whether everything was seen that must be."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """The verdict in the words of `halma lab run --json`."""
        return {
            "name": self.name,
            "passed": self.passed,
            "checks": [
                {"requirement": check.requirement, "name": check.name, "passed": check.passed, "detail": check.detail}
                for check in self.checks
            ],
            "handovers": [handover.as_json() for handover in self.handovers],
        }
