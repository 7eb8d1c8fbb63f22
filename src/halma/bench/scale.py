# SPDX-License-Identifier: Apache-2.0
"""`halma bench scale`: a million bindings, each made by a Proxy Binding Update that the anchor answered.

Nodes register one after the other at the anchor's process, data plane on, until there are as many bindings as were asked for.
Memory is the growth of the process and of its BPF maps. What a message costs is told by the processor time of the anchor's main
thread for refreshes and handovers of the same number of nodes, once when only they are registered and once when all are, spread
evenly among them. `arena` has the picture and what is set unlike in a usual configuration.

Always holds: every registration was accepted, or the benchmark says so instead of giving figures.
"""

from __future__ import annotations

import statistics
from typing import Annotated, Any

import typer

from halma.bench.arena import Arena, BenchError, open_arena, to_terminal

SAMPLE = 10_000
"""Nodes whose refreshes and handovers are measured, and the number of bindings that the full table is compared with."""
MEASURED = ("refresh", "handover")
TIMES = 5
"""How often each is measured; the median counts."""
VOLLEY = 50_000


def run(
    bindings: Annotated[int, typer.Option(help="How many bindings are made.", min=1)] = 1_000_000,
    window: Annotated[int, typer.Option(help="Messages that are unanswered at a time.", min=1)] = 512,
    plane: Annotated[str, typer.Option(help="The anchor's data plane, as in its file.")] = "auto",
) -> dict[str, Any]:
    """Make so many bindings. Raises BenchError.

    Gives `bindings`, `seconds` (from the first message to the last answer of each volley, without the generator's
    preparations), `registrations_per_second`, `process_bytes_per_binding` and `map_bytes_per_binding`, `process_bytes` (all
    that the process has in memory at the end), `small_us` and `full_us` (processor time of a message with `sample` bindings and
    with all), and `cost_ratio`, the second by the first.
    """
    sample = min(SAMPLE, max(1, bindings // 2))
    with open_arena(bindings, plane=plane, reference=False, progress=to_terminal) as arena:
        resident, maps = arena.resident_bytes(), arena.map_bytes()
        seconds = _register(arena, 0, sample, window)
        small = _cost(arena, sample, 1, window)
        for first in range(sample, bindings, VOLLEY):
            to_terminal(f"{first:,} of {bindings:,} bindings")
            seconds += _register(arena, first, min(VOLLEY, bindings - first), window)
        process_bytes = arena.resident_bytes()
        used = arena.map_bytes()
        full = _cost(arena, sample, bindings // sample, window)
    return {
        "bindings": bindings,
        "seconds": seconds,
        "registrations_per_second": bindings / seconds,
        "process_bytes_per_binding": (process_bytes - resident) / bindings,
        "map_bytes_per_binding": (used if used > maps else maps) / bindings,
        "process_bytes": process_bytes,
        "map_bytes": used,
        "sample": sample,
        "small_us": small,
        "full_us": full,
        "cost_ratio": full / small,
    }


def _register(arena: Arena, first: int, count: int, window: int) -> float:
    """New sessions for so many nodes; seconds."""
    outcome = arena.fire("create", first, count, window)
    if outcome.statuses != {"0": count}:
        raise BenchError(f"of {count} registrations only {outcome.statuses.get('0', 0)} were accepted: {outcome.statuses}")
    return outcome.seconds


def _cost(arena: Arena, count: int, step: int, window: int) -> float:
    """Microseconds of processor time for a message of every `step`th node: medians of `TIMES`, the mean of both phases."""
    costs: dict[str, list[float]] = {phase: [] for phase in MEASURED}
    for _ in range(TIMES):
        for phase in MEASURED:
            before = arena.processor_seconds()
            outcome = arena.fire(phase, 0, count, window, step=step)
            costs[phase].append((arena.processor_seconds() - before) / count * 1e6)
            if outcome.statuses != {"0": count}:
                raise BenchError(f"of {count} messages ({phase}) not all were accepted: {outcome.statuses}")
    return statistics.fmean(statistics.median(each) for each in costs.values())


def render(result: dict[str, Any]) -> str:
    """The result for people."""
    memory = "process {process_bytes_per_binding:,.0f} octets, BPF maps {map_bytes_per_binding:,.0f}".format_map(result)
    cost = "{small_us:.1f} us with {sample:,} bindings and {full_us:.1f} us with all, ratio {cost_ratio:.2f}".format_map(result)
    return "\n".join(
        (
            "{bindings:,} bindings in {seconds:.1f} s ({registrations_per_second:,.0f} a second)".format_map(result),
            f"memory a binding: {memory}; the whole process has {result['process_bytes'] / 1e6:,.0f} MB",
            f"a message costs {cost}",
        )
    )
