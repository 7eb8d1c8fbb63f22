# SPDX-License-Identifier: Apache-2.0
"""The rooms of the house stay apart: the contracts of .importlinter hold, and a broken one would be seen."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


def lint_imports(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the checker in `folder`, without a cache."""
    return subprocess.run(
        [str(LINT_IMPORTS), "--no-logo", "--no-cache", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


def test_imports_point_down_and_the_protocol_is_pure() -> None:
    done = lint_imports(CHECKOUT)
    assert done.returncode == 0, done.stdout


def test_foreign_peers_know_nothing_of_the_project() -> None:
    files = sorted((CHECKOUT / "tests" / "foreign").glob("*.py"))
    assert files
    for file in files:
        modules = re.findall(r"^ *(?:from|import) ([\w.]+)", file.read_text(), re.MULTILINE)
        assert not [module for module in modules if module.split(".")[0] in ("halma", "scapy")], file


def test_every_room_has_its_place() -> None:
    """A room that .importlinter does not name would be checked by nobody: the contract is exhaustive."""
    contracts = (CHECKOUT / ".importlinter").read_text()
    assert "exhaustive = True" in contracts
    assert "ignore_imports" not in contracts
