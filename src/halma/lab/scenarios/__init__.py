# SPDX-License-Identifier: Apache-2.0
"""The scenarios that the lab can play, in the order in which they are told.

Always holds: what is not listed here cannot be played.
"""

from __future__ import annotations

from collections.abc import Iterator

from halma.lab.scenario import IDEAL, Play, Scenario
from halma.lab.scenarios import a2_bootstrap
from halma.lab.scenarios.a1 import GLOBAL, LOCAL
from halma.lab.scenarios.a2_leave import GIVEN_UP, LEAVE
from halma.lab.scenarios.a2_nemo import Nemo
from halma.lab.scenarios.a2_return import DE_REGISTRATION, RACE, RETURN
from halma.lab.scenarios.a2_rogue_mag import RogueGateway
from halma.lab.scenarios.a2_visited import Visited
from halma.lab.scenarios.b_a1 import MixedHierarchy
from halma.lab.scenarios.b_a2 import MixedHome
from halma.lab.scenarios.b_mixed import MIXED
from halma.lab.scenarios.b_multicast import Multicast
from halma.lab.scenarios.pmip_handover import PmipHandover
from halma.lab.scenarios.split import SPLIT, SPLIT_MIXED

SCENARIOS: tuple[Scenario, ...] = (
    PmipHandover(),
    LOCAL,
    GLOBAL,
    LEAVE,
    GIVEN_UP,
    a2_bootstrap.HOME,
    a2_bootstrap.ABROAD,
    RETURN,
    Visited(),
    Nemo(),
    DE_REGISTRATION,
    RACE,
    RogueGateway(),
    MIXED,
    MixedHierarchy(),
    MixedHome(),
    Multicast(),
    SPLIT,
    SPLIT_MIXED,
)


def plays() -> Iterator[Play]:
    """Everything that can be played: each scenario on ideal links, then its variants."""
    for scenario in SCENARIOS:
        yield Play(scenario.name, scenario, IDEAL)
        for variant, conditions in scenario.variants.items():
            yield Play(f"{scenario.name}/{variant}", scenario, conditions)


def play(name: str) -> Play:
    """What can be played under a name. Raises KeyError."""
    for candidate in plays():
        if candidate.name == name:
            return candidate
    raise KeyError(name)
