# SPDX-License-Identifier: Apache-2.0
"""`halma bench signalling`: how many Binding Updates, proxy ones or others, a second the anchor answers, against a bare echo.

The anchor's process answers new registrations, refreshes and handovers from a load generator on another processor (`arena` has
the picture and what is set unlike in a usual configuration). The reference is `echo`: one message in, the same message out, in
plain Python, under the same generator. Each round does every phase at the anchor and then at the echo, so that a machine that
has other things to do disturbs both alike; the figures are medians over the rounds. Each round has nodes that the anchor does
not know; those of Mobile IPv6 are the same ones, which have left, so that the anchor remembers their last sequence number only.

Always holds: an answer counts only when it decodes, with its checksum, is for the right node, and accepts.
"""

from __future__ import annotations

import statistics
from typing import Annotated, Any

import typer

from halma.bench.arena import Arena, open_arena, to_terminal
from halma.bench.crowd import PHASES, REFRESH, Protocol
from halma.bench.generator import Outcome

WARMING = 64
"""Nodes that are registered before anything is measured."""
SINGLE = 500
"""Refreshes that are sent one at a time, to see how long an idle anchor takes for one."""


def run(
    messages: Annotated[int, typer.Option(help="Messages in each phase.", min=1)] = 20_000,
    rounds: Annotated[int, typer.Option(help="How often all phases are measured.", min=1)] = 5,
    window: Annotated[int, typer.Option(help="Messages that are unanswered at a time.", min=1)] = 512,
    plane: Annotated[str, typer.Option(help="The anchor's data plane, as in its file.")] = "auto",
    protocol: Annotated[
        Protocol, typer.Option(help="Proxy Binding Updates of gateways, or Binding Updates of mobile nodes.")
    ] = Protocol.PMIPV6,
) -> dict[str, Any]:
    """Measure with `messages` a phase, `rounds` times, `window` of them unanswered at a time. Raises BenchError.

    Gives `answered_per_second`, `reference_per_second`, their `ratio`, `p50_ms` and `p99_ms` at that load (which is as much as
    the anchor can take: a window of w messages takes w / answered_per_second), `single_p50_ms` of one message at a time,
    `processor_us_per_message` of the anchor's main thread and of the echo (`reference_processor_us_per_message`), and
    `processor_ratio`, the second by the first, which tells the same as `ratio` where others use the processor too; `accepted`
    and `messages`, `waited`: the share of the time in which the generator had nothing to do, `per_phase`, and the parameters.
    """
    come_again = protocol is Protocol.MIPV6
    nodes = messages if come_again else rounds * messages
    with open_arena(nodes + WARMING, protocol, plane=plane, progress=to_terminal) as arena:
        anchor: dict[str, list[Outcome]] = {phase: [] for phase in PHASES}
        reference: dict[str, list[Outcome]] = {phase: [] for phase in PHASES}
        spent, spent_by_echo = dict.fromkeys(PHASES, 0.0), dict.fromkeys(PHASES, 0.0)
        _warm_up(arena)
        for number in range(rounds):
            first = arena.new(messages)
            for phase in PHASES:
                to_terminal(f"round {number + 1} of {rounds}: {phase}")
                before = arena.processor_seconds()
                anchor[phase].append(arena.fire(phase, first, messages, window))
                spent[phase] += arena.processor_seconds() - before
                before = arena.processor_seconds(echo=True)
                reference[phase].append(arena.fire(phase, first, messages, window, echo=True))
                spent_by_echo[phase] += arena.processor_seconds(echo=True) - before
            if come_again and number < rounds - 1:
                arena.give_back(first, messages, window)
        single = arena.fire(REFRESH, first, min(SINGLE, messages), 1)
    per_phase = {
        phase: {
            "answered_per_second": _rate(anchor[phase]),
            "reference_per_second": _rate(reference[phase]),
            "ratio": _rate(anchor[phase]) / _rate(reference[phase]),
            "p50_ms": statistics.median(outcome.p50_ms for outcome in anchor[phase]),
            "p99_ms": statistics.median(outcome.p99_ms for outcome in anchor[phase]),
            **_processor(spent[phase], spent_by_echo[phase], rounds * messages),
        }
        for phase in PHASES
    }
    every = [outcome for phase in PHASES for outcome in anchor[phase]]
    ours, theirs = _rate_of_rounds(anchor, rounds), _rate_of_rounds(reference, rounds)
    return {
        "answered_per_second": ours,
        "reference_per_second": theirs,
        "ratio": ours / theirs,
        "p50_ms": statistics.median(outcome.p50_ms for outcome in every),
        "p99_ms": statistics.median(outcome.p99_ms for outcome in every),
        "single_p50_ms": single.p50_ms,
        **_processor(sum(spent.values()), sum(spent_by_echo.values()), sum(outcome.messages for outcome in every)),
        "messages": sum(outcome.messages for outcome in every),
        "accepted": sum(outcome.statuses.get("0", 0) for outcome in every),
        "retransmissions": sum(outcome.retransmissions for outcome in every),
        "waited": sum(outcome.waited for outcome in every) / sum(outcome.seconds for outcome in every),
        "per_phase": per_phase,
        "protocol": protocol.value,
        "rounds": rounds,
        "window": window,
    }


def _warm_up(arena: Arena) -> None:
    """Let neighbours be found and code be loaded: one message after the other, and each phase once."""
    first = arena.new(WARMING)
    for phase in PHASES:
        arena.fire(phase, first, WARMING, 1)
        arena.fire(phase, first, WARMING, 1, echo=True)


def _processor(spent: float, spent_by_echo: float, messages: int) -> dict[str, float]:
    """What seconds of processor time are by message, in microseconds, and how they compare."""
    return {
        "processor_us_per_message": spent / messages * 1e6,
        "reference_processor_us_per_message": spent_by_echo / messages * 1e6,
        "processor_ratio": spent_by_echo / spent,
    }


def _rate(outcomes: list[Outcome]) -> float:
    return statistics.median(outcome.messages / outcome.seconds for outcome in outcomes)


def _rate_of_rounds(phases: dict[str, list[Outcome]], rounds: int) -> float:
    """Messages a second over all phases of a round together; the median of the rounds."""
    return statistics.median(
        sum(outcomes[number].messages for outcomes in phases.values())
        / sum(outcomes[number].seconds for outcomes in phases.values())
        for number in range(rounds)
    )


def render(result: dict[str, Any]) -> str:
    """The result for people."""
    lines = [
        f"{'':<10}{'answered/s':>12}{'reference/s':>13}{'ratio':>8}{'p50 ms':>9}{'p99 ms':>9}"
        f"{'processor us':>14}{'reference us':>14}"
    ]
    for name, row in (*result["per_phase"].items(), ("all", result)):
        lines.append(
            f"{name:<10}{row['answered_per_second']:>12,.0f}{row['reference_per_second']:>13,.0f}{row['ratio']:>8.2f}"
            f"{row['p50_ms']:>9.2f}{row['p99_ms']:>9.2f}{row['processor_us_per_message']:>14.1f}"
            f"{row['reference_processor_us_per_message']:>14.1f}"
        )
    lines.append(
        f"{result['accepted']:,} of {result['messages']:,} accepted, {result['retransmissions']:,} sent again; "
        f"{result['window']} unanswered at a time; one at a time p50 {result['single_p50_ms']:.3f} ms"
    )
    return "\n".join(lines)
