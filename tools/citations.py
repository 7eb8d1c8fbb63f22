# SPDX-License-Identifier: Apache-2.0
"""Find what the tests and the lab's checks say that they show, by reading their source; nothing is run.

Always holds: a citation is a string literal, given to a marker (`@pytest.mark.rfc("5213#5.3.5-2")`,
`pytestmark = pytest.mark.requirement("ANC-3")`), or, in the lab, a literal that is a requirement's name and nothing else.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
REQUIREMENT = re.compile(r"(?:ANC|GW|MN)-\d+")


@dataclass(frozen=True, order=True)
class Citation:
    """One thing that is cited, and where: `path` from the checkout's folder, and the test's or function's name (empty: the
    whole file)."""

    cited: str
    path: str
    name: str
    line: int


class CitationError(ValueError):
    """A citation that cannot be read without running the test."""


def from_markers(marker: str, folder: Path = CHECKOUT / "tests") -> list[Citation]:
    """What the tests under `folder` cite by `pytest.mark.<marker>`. Raises CitationError."""
    found: list[Citation] = []
    for file in sorted(folder.rglob("test_*.py")):
        tree = ast.parse(file.read_text(), filename=str(file))
        path = _relative(file)
        for node, name in _walk(tree, ""):
            if not (isinstance(node, ast.Call) and _is_marker(node.func, marker)):
                continue
            if node.keywords or not node.args:
                raise CitationError(f"{path}:{node.lineno}: {marker} takes names, at least one")
            for argument in node.args:
                if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
                    raise CitationError(f"{path}:{argument.lineno}: what {marker} cites must be a string literal")
                found.append(Citation(argument.value, path, name, argument.lineno))
    return sorted(set(found))


def requirements_of_the_lab(folder: Path = CHECKOUT / "src" / "halma" / "lab") -> list[Citation]:
    """The requirements that the lab's checks carry."""
    found: set[Citation] = set()
    for file in sorted(folder.rglob("*.py")):
        for node, name in _walk(ast.parse(file.read_text(), filename=str(file)), ""):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for part in re.split(r"[ ,]+", node.value):
                    if not REQUIREMENT.fullmatch(part):
                        break
                else:
                    for part in re.split(r"[ ,]+", node.value):
                        found.add(Citation(part, _relative(file), name, node.lineno))
    return sorted(found)


def _walk(node: ast.AST, name: str) -> Iterator[tuple[ast.AST, str]]:
    """Every node, with the name of the function or class that it stands in or decorates."""
    for child in ast.iter_child_nodes(node):
        inner = name
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = f"{name}::{child.name}" if name else child.name
        yield child, inner
        yield from _walk(child, inner)


def _is_marker(function: ast.expr, marker: str) -> bool:
    """Whether this is `pytest.mark.<marker>`, or a name that stands for it."""
    match function:
        case ast.Attribute(value=ast.Attribute(attr="mark"), attr=name):
            return name == marker
        case ast.Name(id=name):
            return name == marker
        case _:
            return False


def _relative(file: Path) -> str:
    return str(file.relative_to(CHECKOUT)) if file.is_relative_to(CHECKOUT) else file.name
