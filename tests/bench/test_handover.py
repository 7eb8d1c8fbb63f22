# SPDX-License-Identifier: Apache-2.0
"""The handover benchmark in the small: each kind of move is measured, and the result is whole. Never how fast."""

from __future__ import annotations

from typing import Any

import pytest

from halma.bench import handover


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    """One short run."""
    return handover.run(count=2, roams=2)


@pytest.mark.root
def test_every_move_has_a_gap(result: dict[str, Any]) -> None:
    """Between gateways, away from home, and home again."""
    rows = {"between gateways": result, **result["roaming"]}
    assert list(rows) == ["between gateways", handover.LEAVE, handover.RETURN]
    for name, row in rows.items():
        assert (row["handovers"], row["failed"]) == (2, 0), name
        assert 0 < row["gap_ms"]["median"] <= row["gap_ms"]["p99"] <= row["gap_ms"]["max"]
        assert row["gap_ms"]["max"] == max(row["gap_down_ms"]["max"], row["gap_up_ms"]["max"])
        assert row["signalling_ms"]["median"] > 0
        assert row["lost"] > 0
    assert result["ratio"] == pytest.approx(result["gap_ms"]["median"] / result["reference_gap_ms"]["median"], abs=0.01)


@pytest.mark.root
def test_the_gaps_are_told_to_people(result: dict[str, Any]) -> None:
    """A block for each kind of move; the reference stands with the hosts whose moves it is compared with."""
    text = handover.render(result)
    heads = [line.split(":")[0] for line in text.splitlines() if "without a packet" in line]
    assert heads == ["between gateways", handover.LEAVE, handover.RETURN]
    assert text.count("gap from link-up") == 3
    assert text.count("reference") == 1
    assert max(map(len, text.splitlines())) <= 100
