# SPDX-License-Identifier: Apache-2.0
"""What a scenario is: a topology, a timeline and checks; and how one is run.

To add one, write a class with the attributes and methods of `Scenario` in a module of `halma.lab.scenarios` and put an
instance into `SCENARIOS` there.

Always holds: `run` gives a verdict or raises LabError, and the lab is gone in either case; a scenario is judged from its
records alone, so `judge` gives the same verdict again at any later time.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from halma.lab.daemons import Daemon
from halma.lab.evidence import Evidence
from halma.lab.session import Lab, interruptible
from halma.lab.topology import Topology
from halma.lab.verdict import Check, Handover, Verdict
from halma.value import value


@value
class Conditions:
    """What the core links of a run are like, and how many milliseconds there are between two packets of a stream at the least,
    which a slow machine may need."""

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    seed: int = 1
    pace_ms: float = 0.0

    @property
    def ideal(self) -> bool:
        """Whether the kernel's own links will do."""
        return not (self.delay_ms or self.jitter_ms or self.loss)

    def __str__(self) -> str:
        if self.ideal:
            return "ideal links"
        jitter = f" to {self.delay_ms + self.jitter_ms:g}" if self.jitter_ms else ""
        return f"{self.delay_ms:g}{jitter} ms and {self.loss * 100:g} % loss on each core link"


IDEAL = Conditions()
SLOW_CORE = {"slow-core": Conditions(delay_ms=20.0, loss=0.01)}
"""The variant that scenarios have which are also played on slow links."""


class Scenario(Protocol):
    """A story that the lab plays and judges. `variants` are the conditions that it is also played under, by name."""

    @property
    def name(self) -> str:
        """One word."""

    @property
    def title(self) -> str:
        """A line for people."""

    @property
    def story(self) -> str:
        """What happens and what must be seen, in a paragraph."""

    @property
    def variants(self) -> dict[str, Conditions]:
        """Other conditions than ideal ones, by name: `NAME/VARIANT` plays under them."""

    def topology(self, conditions: Conditions) -> Topology:
        """The network."""

    def daemons(self) -> Sequence[Daemon]:
        """The daemons, with their configurations."""

    def attach(self, lab: Lab) -> None:
        """Give every host its first place and wait for its address; raises LabError."""

    def timeline(self, lab: Lab) -> None:
        """What happens then; raises LabError where it cannot go on."""

    def checks(self, evidence: Evidence) -> Iterator[Check]:
        """What must be seen."""

    def handovers(self, evidence: Evidence) -> Sequence[Handover]:
        """The handovers that took place, measured."""

    def watched(self) -> Sequence[str]:
        """The hosts whose ladders are drawn."""


@value
class Play:
    """A scenario under conditions; `name` is what the command line calls it."""

    name: str
    scenario: Scenario
    conditions: Conditions


def run(play: Play, records: Path | None = None, progress: Callable[[str], None] | None = None) -> tuple[Verdict, Evidence]:
    """Play a scenario and judge it. Its records stay in `records`, where given. Raises LabError, KeyboardInterrupt."""
    scenario, conditions = play.scenario, play.conditions
    with interruptible():
        lab = Lab(scenario.topology(conditions), records, progress=progress, pace_ms=conditions.pace_ms)
        with lab:
            lab.journal["scenario"] = play.name
            lab.journal["conditions"] = dataclasses.asdict(conditions)
            lab.start(scenario.daemons())
            scenario.attach(lab)
            scenario.timeline(lab)
            lab.stop()
            if progress is not None:
                progress("reading the captures")
            evidence = Evidence(lab.topology, lab.records)
    remains = tuple(lab.remains)
    (evidence.journal)["remains"] = list(remains)
    if records is not None:
        (records / "journal.json").write_text(json.dumps(evidence.journal, indent=1))
    return judge(play, evidence), evidence


def judge(play: Play, evidence: Evidence) -> Verdict:
    """The verdict on a scenario that was played."""
    remains = evidence.journal.get("remains", [])
    checks = [
        *play.scenario.checks(evidence),
        Check("lab", "nothing left behind", not remains, "; ".join(remains) or "no namespace, process or interface is left"),
    ]
    return Verdict(play.name, tuple(checks), tuple(play.scenario.handovers(evidence)))
