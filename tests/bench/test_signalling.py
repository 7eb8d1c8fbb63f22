# SPDX-License-Identifier: Apache-2.0
"""The signalling benchmarks in the small: every registration is answered, and the result is whole. Never how fast."""

from __future__ import annotations

import os
from typing import Any

import pytest

from halma.bench import scale, signalling
from halma.bench.arena import BenchError, open_arena
from halma.bench.crowd import PHASES, Protocol
from halma.lab.network import namespaces


@pytest.fixture(scope="module", params=Protocol)
def signalling_result(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A short run of each protocol; nodes of Mobile IPv6 leave once and come again."""
    return signalling.run(messages=350, rounds=2, window=64, protocol=request.param)


@pytest.mark.root
def test_signalling_has_every_message_accepted(signalling_result: dict[str, Any]) -> None:
    """New sessions, refreshes and handovers: an answer counts only when it decodes, is for the right node, and accepts."""
    assert signalling_result["messages"] == 700 * len(PHASES)
    assert signalling_result["accepted"] == signalling_result["messages"]


@pytest.mark.root
def test_signalling_compares_with_the_echo(signalling_result: dict[str, Any]) -> None:
    """The ratio is that of the two figures, for each phase and in all."""
    rows = [signalling_result, *signalling_result["per_phase"].values()]
    assert len(rows) == 1 + len(PHASES)
    for row in rows:
        assert row["answered_per_second"] > 0
        assert row["ratio"] == pytest.approx(row["answered_per_second"] / row["reference_per_second"])
        assert 0 < row["p50_ms"] <= row["p99_ms"]
        assert row["processor_us_per_message"] > 0
        expected = row["reference_processor_us_per_message"] / row["processor_us_per_message"]
        assert row["processor_ratio"] == pytest.approx(expected)


@pytest.mark.root
def test_signalling_is_told_to_people(signalling_result: dict[str, Any]) -> None:
    """A line for each phase, one for all, and how many were accepted."""
    text = signalling.render(signalling_result)
    assert [line.split()[0] for line in text.splitlines()[1:5]] == [*PHASES, "all"]
    assert "2,100 of 2,100 accepted" in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.root
def test_scale_makes_the_bindings_that_were_asked_for() -> None:
    """All are accepted (else it raises); memory and cost are told for each binding."""
    result = scale.run(bindings=2_000, window=64)
    assert result["bindings"] == 2_000
    assert result["sample"] == 1_000
    assert result["map_bytes_per_binding"] > 0
    assert result["cost_ratio"] == pytest.approx(result["full_us"] / result["small_us"])
    assert "2,000 bindings" in scale.render(result)


@pytest.mark.root
def test_an_arena_counts_refusals_and_leaves_nothing_behind() -> None:
    """Nodes that are registered by nobody cannot be refreshed under a prefix that is not theirs; and all namespaces go."""
    with open_arena(8, reference=False, progress=lambda _: None) as arena:
        assert arena.fire("create", 0, 4, 4).statuses == {"0": 4}
        assert arena.fire("refresh", 0, 4, 4).statuses == {"0": 4}
        assert arena.fire("handover", 0, 4, 4).statuses == {"0": 4}
        process = arena.anchor
        assert arena.resident_bytes() > 1 << 20
        assert arena.map_bytes() > 0
        ours = f"halma-{arena.identity}-"  # others may have labs of their own meanwhile
        assert any(name.startswith(ours) for name in namespaces())
        with pytest.raises(BenchError, match="stay unanswered"):
            arena.fire("create", 0, 1, 1, echo=True)  # there is no reference
        assert arena.fire("refresh", 0, 4, 4).messages == 4
    assert not any(name.startswith(ours) for name in namespaces())
    assert not os.path.exists(f"/proc/{process}")
