# SPDX-License-Identifier: Apache-2.0
"""What every source file keeps to: a licence, a purpose, one noun, nothing unfinished, nothing of one machine."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
SOURCE = CHECKOUT / "src" / "halma"
MODULE = re.compile(r"`(halma(?:\.[A-Za-z_0-9]+)+)`")
MOST_LINES = 650

PYTHON_LICENCE = "# SPDX-License-Identifier: Apache-2.0"
BPF_LICENCE = "// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause"

UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|NotImplemented" + r"Error)\b")
ONE_MACHINE = re.compile(r"(?<![\w.~-])/(?:work|farm|home/\w+|root|Users)/")
REGISTRY = re.compile(r"pypi\.org|pythonhosted|deb\.debian\.org|--(?:extra-)?index-url|registry\.npmjs")


@cache
def project_files() -> tuple[Path, ...]:
    """The files that belong to the project: what git tracks, and what it would track. Without git, what is there."""
    git = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(git, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        listed = [
            str(path.relative_to(CHECKOUT))
            for folder in ("src", "tests", "tools", "bpf", "docs", "examples", "systemd")
            for path in (CHECKOUT / folder).rglob("*")
            if "__pycache__" not in path.parts and ".egg-info" not in str(path)
        ]
    return tuple(path for name in listed if (path := CHECKOUT / name).is_file())


def files(*suffixes: str) -> list[Path]:
    """The project's files with one of these suffixes."""
    return [path for path in project_files() if path.suffix in suffixes]


def texts() -> Iterator[tuple[Path, str]]:
    """The project's text files with their contents, without the words of others (licences, RFCs)."""
    for path in project_files():
        if path.parent.name in {"LICENSES", "rfc"} or path.name == "LICENSE":
            continue
        try:
            yield path, path.read_text()
        except UnicodeDecodeError:
            continue


def named(path: Path) -> str:
    """A file as a test's id."""
    return str(path.relative_to(CHECKOUT))


def test_there_is_something_to_look_at() -> None:
    assert len(files(".py")) > 50


@pytest.mark.parametrize("path", files(".py", ".sh", ".c", ".h"), ids=named)
def test_a_file_opens_with_its_licence(path: Path) -> None:
    head = path.read_text().splitlines()[:2]
    licence = BPF_LICENCE if path.suffix in {".c", ".h"} else PYTHON_LICENCE
    assert head, "an empty file has no licence"
    assert licence in (head[1:] if head[0].startswith("#!") else head[:1])


@pytest.mark.parametrize("path", files(".py"), ids=named)
def test_a_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), "no module docstring"


@pytest.mark.parametrize("path", [path for path in files(".py") if path.is_relative_to(SOURCE)], ids=named)
def test_a_module_of_the_suite_says_what_always_holds(path: Path) -> None:
    assert path.name == "__main__.py" or "Always holds: " in (ast.get_docstring(ast.parse(path.read_text())) or "")


def exists(name: str) -> bool:
    """Whether a dotted name is that of a room or module, or of something that is in one."""
    place = SOURCE.parent.joinpath(*name.split("."))
    if place.is_dir() or place.with_suffix(".py").exists():
        return True
    module = place.parent / "__init__.py" if place.parent.is_dir() else place.parent.with_suffix(".py")
    return module.exists() and re.search(rf"\b{place.name}\b", module.read_text()) is not None


def test_modules_that_are_named_are_there() -> None:
    found = [
        f"{named(path)}:{number}: {name}"
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), start=1)
        for name in MODULE.findall(line)
        if not exists(name)
    ]
    assert not found, "\n".join(found)
    assert not exists("halma.lab.nothing")
    assert not exists("halma.engine.api.Bound")


@pytest.mark.parametrize("path", files(".py", ".sh", ".c", ".h", ".js"), ids=named)
def test_a_file_has_one_noun(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES


@pytest.mark.parametrize(
    ("pattern", "what"), [(UNFINISHED, "unfinished"), (ONE_MACHINE, "a path of one machine"), (REGISTRY, "a registry")]
)
def test_no_file_holds(pattern: re.Pattern[str], what: str) -> None:
    found = [
        f"{named(path)}:{number}: {what}: {line.strip()[:100]}"
        for path, text in texts()
        if path != Path(__file__)
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)


def test_a_skipped_test_says_why() -> None:
    """Needs are markers of tests/conftest.py; a bare skip or xfail hides that something does not work."""
    bare = re.compile(r"pytest\.mark\.(?:skip|xfail)\b")
    found = [
        f"{named(path)}:{number}"
        for path in files(".py")
        if path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if bare.search(line)
    ]
    assert not found, "\n".join(found)


def test_what_is_unfinished_would_be_seen() -> None:
    assert UNFINISHED.search("    # TO" + "DO: later")
    assert ONE_MACHINE.search("open('/ro" + "ot/x')")
    assert REGISTRY.search("https://py" + "pi.org/simple")
    assert not ONE_MACHINE.search("mount /mnt/root/run")
