# SPDX-License-Identifier: Apache-2.0
"""Show which tests and which checks of the lab carry each of Halma's requirements.

    python -m tools.requirements_coverage     write docs/requirements-coverage.md

The requirements are the names in bold of `docs/requirements.md`; tests carry them by `@pytest.mark.requirement("ANC-3")`,
the lab's checks by their `requirement`.

Always holds: a name that is carried and is not in docs/requirements.md is a mistake.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from functools import cache

from tools.citations import CHECKOUT, Citation, CitationError, from_markers, requirements_of_the_lab

REQUIREMENTS = CHECKOUT / "docs" / "requirements.md"
PAGE = CHECKOUT / "docs" / "requirements-coverage.md"
ENTRY = re.compile(r"^- \*\*(?P<name>(?:ANC|GW|MN)-\d+)(?P<title>[^*]*)\*\*(?P<text>[^\n]*(?:\n  [^\n]*)*)", re.MULTILINE)


def read_requirements() -> dict[str, str]:
    """Each requirement's name with a title: its own, or its first words."""
    found: dict[str, str] = {}
    for match in ENTRY.finditer(REQUIREMENTS.read_text()):
        text = " ".join(match["text"].split())
        title = match["title"].strip(" .") or re.split(r"[.;:,(]", text, maxsplit=1)[0].strip()
        found[match["name"]] = title
    return found


@cache
def collect() -> tuple[dict[str, str], list[Citation], list[Citation], list[str]]:
    """The requirements, what tests carry, what the lab carries, and what is wrong. Raises CitationError."""
    requirements = read_requirements()
    tests, lab = from_markers("requirement"), requirements_of_the_lab()
    problems = [
        f"{citation.path}:{citation.line}: {citation.cited} is no requirement"
        for citation in [*tests, *lab]
        if citation.cited not in requirements
    ]
    return requirements, tests, lab, problems


def render(requirements: dict[str, str], tests: Sequence[Citation], lab: Sequence[Citation]) -> str:
    """The page docs/requirements-coverage.md."""
    lines = [
        "# Who shows which requirement",
        "",
        "Written by `make docs`; do not edit. The requirements are in [requirements.md](requirements.md).",
        "",
        "| requirement | | tests | checks in the lab |",
        "|---|---|---|---|",
    ]
    for name, title in requirements.items():
        lines.append(f"| {name} | {title} | {_places(name, tests)} | {_places(name, lab)} |")
    return "\n".join(lines) + "\n"


def _places(name: str, citations: Sequence[Citation]) -> str:
    paths = sorted({citation.path for citation in citations if citation.cited == name})
    return "<br>".join(f"[{path.removeprefix('tests/').removeprefix('src/halma/')}](../{path})" for path in paths)


def main() -> int:
    """The command line; gives the exit status."""
    try:
        requirements, tests, lab, problems = collect()
    except CitationError as error:
        print(error, file=sys.stderr)
        return 1
    PAGE.write_text(render(requirements, tests, lab))
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
