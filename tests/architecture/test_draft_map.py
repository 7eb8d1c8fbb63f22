# SPDX-License-Identifier: Apache-2.0
"""docs/draft-map.md has a row for every paragraph, and what its rows name exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from halma.lab.scenarios import SCENARIOS, plays

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = CHECKOUT / "docs" / "draft-map.md"
PARAGRAPHS = {"3": 12, "3.1": 2, "3.2": 8, "3.3": 3, "4.1": 2, "4.2": 8, "4.2.1": 8, "4.2.2": 3, "4.3": 1, "5": 2}
"""How many paragraphs each section of the draft has, as the page counts them. Section 4 has text in its subsections alone."""
ROW = re.compile(r"^\| ((?:\d+\.)*\d+-\d+) \|(.*)\|(.*)\|(.*)\|$", re.MULTILINE)
CODE = re.compile(r"`([^`]+)`")
MODULE = re.compile(r"\w+(?:/\w+)*\.py")
TEST = re.compile(r"(tests/[\w/]+\.py)::(\w+)")
SCENARIO = re.compile(r"(?:a1|a2|b|pmip)-[\w-]+|split")


def rows() -> dict[str, tuple[str, str, str]]:
    """The rows of the page, by paragraph: what it is about, where it is, what shows it."""
    return {match[1]: (match[2], match[3], match[4]) for match in ROW.finditer(PAGE.read_text())}


@cache
def functions_of(path: Path) -> frozenset[str]:
    """The names of the functions of a file, its tests among them."""
    return frozenset(node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef))


def missing(text: str) -> list[str]:
    """What is named in a text, between backquotes, and is not there."""
    names = {one.name for one in plays()}
    found = []
    for name in CODE.findall(text):
        if test := TEST.fullmatch(name):
            there = (CHECKOUT / test[1]).is_file() and test[2] in functions_of(CHECKOUT / test[1])
        elif MODULE.fullmatch(name):
            there = (CHECKOUT / "src" / "halma" / name).is_file()
        elif SCENARIO.fullmatch(name):
            there = name in names
        else:
            continue
        if not there:
            found.append(name)
    return found


def test_every_paragraph_has_its_row_in_order() -> None:
    expected = [f"{section}-{number}" for section, count in PARAGRAPHS.items() for number in range(1, count + 1)]
    assert [match[1] for match in ROW.finditer(PAGE.read_text())] == expected


def test_rows_stand_under_their_section() -> None:
    for part in PAGE.read_text().split("\n## ")[1:]:
        section = part.split()[0]
        assert {match[1].partition("-")[0] for match in ROW.finditer(part)} == {section}


@pytest.mark.parametrize("paragraph", rows())
def test_what_a_row_names_exists(paragraph: str) -> None:
    about, code, shown = rows()[paragraph]
    assert not missing(code + shown)
    assert about.strip()
    assert CODE.search(code + shown) or "not done" in code or "](" in shown


def test_the_page_knows_every_scenario() -> None:
    named = set(CODE.findall("".join(shown for _, _, shown in rows().values())))
    assert not {scenario.name for scenario in SCENARIOS} - named


@pytest.mark.parametrize(
    "name",
    [
        "engine/nowhere.py",
        "a2-nowhere",
        "tests/engine/test_nowhere.py::test_it",
        "tests/engine/test_home_agent.py::test_nothing",
    ],
)
def test_what_is_not_there_is_found(name: str) -> None:
    assert missing(f"see `{name}` and `engine/anchor.py`") == [name]
