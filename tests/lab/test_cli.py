# SPDX-License-Identifier: Apache-2.0
"""`halma lab` where it does not need a lab: lists, mistakes, records that are no records."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from halma.cli.lab import app
from halma.lab.scenarios import SCENARIOS, plays

runner = CliRunner()
CHECKOUT = Path(__file__).parents[2]


def test_list() -> None:
    done = runner.invoke(app, ["list"])
    assert done.exit_code == 0
    assert all(one.name in done.stdout for one in plays())
    told = json.loads(runner.invoke(app, ["list", "--json"]).stdout)
    assert [one["name"] for one in told["scenarios"]] == [one.name for one in plays()]


def test_make_lab_plays_every_scenario() -> None:
    told = subprocess.run(["make", "--dry-run", "lab"], capture_output=True, text=True, check=True, cwd=CHECKOUT)
    (command,) = [line for line in told.stdout.splitlines() if "halma lab run" in line]
    assert command.split()[3:] == [scenario.name for scenario in SCENARIOS]


@pytest.mark.parametrize(
    "arguments", [["run", "nonsense"], ["up", "nonsense"], ["judge", "/nonexistent"], ["run", "--loss", "200"]]
)
def test_wrong_use(arguments: list[str]) -> None:
    done = runner.invoke(app, arguments)
    assert done.exit_code == 2
    assert done.stdout == ""


def test_a_directory_of_somebody_else_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    done = runner.invoke(app, ["run", "pmip-handover", "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert "not the report of a run" in done.stderr
    assert (tmp_path / "thesis.tex").exists()


def test_who_is_not_root_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for arguments in (["run"], ["up", "pmip-handover"], ["exec", "h1", "true"], ["down"]):
        done = runner.invoke(app, arguments)
        assert done.exit_code == 1
        assert "must be root" in done.stderr
