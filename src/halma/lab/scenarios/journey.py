# SPDX-License-Identifier: Apache-2.0
"""A scenario that is a journey: travellers go from stop to stop together, and talk on the way.

Always holds: everybody moves to the next stop within the same step; who has no stop left stays where it is; the judge is asked
about each traveller as if it were alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

from halma.lab import judge, judge_traffic
from halma.lab.daemons import Daemon
from halma.lab.evidence import Evidence
from halma.lab.moves import handovers
from halma.lab.scenario import Conditions
from halma.lab.scenarios.travellers import Traveller
from halma.lab.session import Lab
from halma.lab.topology import Topology
from halma.lab.traffic import Datagrams
from halma.lab.verdict import Check, Handover


class Journey(ABC):
    """A journey of `travellers`. Who plays another story overrides what happens before and after a move."""

    def __init__(
        self,
        name: str,
        title: str,
        story: str,
        travellers: Sequence[Traveller],
        variants: Mapping[str, Conditions] | None = None,
    ) -> None:
        self.name, self.title, self.story = name, title, story
        self.travellers = tuple(travellers)
        self.variants = dict(variants or {})

    @abstractmethod
    def topology(self, conditions: Conditions) -> Topology:
        """The network."""

    @abstractmethod
    def daemons(self) -> Sequence[Daemon]:
        """The daemons, with their configurations."""

    def attach(self, lab: Lab) -> None:
        """Everybody at the first stop; who is not at home there has time to register."""
        self._move(lab, 0)
        for traveller in self.travellers:
            lab.wait_for_link(traveller.name)
        lab.wait(2.0)

    def timeline(self, lab: Lab) -> None:
        """Talk, and go along."""
        lab.step("everybody talks")
        lab.talk(*(stream for traveller in self.travellers for stream in traveller.streams()), *self.others())
        lab.wait(1.5)
        for leg in range(1, max(len(traveller.stops) for traveller in self.travellers)):
            self.leaving(lab, leg)
            self._move(lab, leg)
            self.arrived(lab, leg)

    def _move(self, lab: Lab, leg: int) -> None:
        moves = [(one.name, one.stops[leg].place) for one in self.travellers if leg < len(one.stops)]
        lab.step(", ".join(f"{name} goes to {place}" for name, place in moves))
        for name, place in moves:
            lab.move(name, place)

    def others(self) -> Sequence[Datagrams]:
        """Traffic besides the travellers' own."""
        return ()

    def leaving(self, lab: Lab, leg: int) -> None:  # noqa: B027 (in most journeys nothing does)
        """What happens before the move to stop number `leg`."""

    def arrived(self, lab: Lab, leg: int) -> None:  # noqa: ARG002 (each stop is stayed at for as long)
        """What happens after it. What TCP lost may wait for seconds."""
        lab.wait(6.0 if lab.topology.lossy else 2.5)

    def checks(self, evidence: Evidence) -> Iterator[Check]:
        """What must be seen, by requirement."""
        yield judge.captures_complete(evidence)
        yield judge.daemons_lived(evidence)
        yield judge_traffic.sockets_agree(evidence)
        for traveller in self.travellers:
            yield from traveller.checks(evidence)
        yield judge.no_complaints(evidence)
        yield judge.no_leak(evidence)

    def handovers(self, evidence: Evidence) -> Sequence[Handover]:
        """All moves."""
        return [handover for traveller in self.travellers for handover in handovers(evidence, traveller.name)]

    def watched(self) -> Sequence[str]:
        """Everybody."""
        return tuple(traveller.name for traveller in self.travellers)
