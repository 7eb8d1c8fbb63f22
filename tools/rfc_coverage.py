# SPDX-License-Identifier: Apache-2.0
"""Account for every rule of the RFCs that Halma claims: shown by a test, or listed with the reason why not.

    python -m tools.rfc_coverage           write docs/rfc-coverage.md; name the rules that nobody accounts for
    python -m tools.rfc_coverage --check   only say whether all is well

`docs/rfc/statements.tsv` has the normative sentences (`tools.rfc_statements`), tests cite their ids
(`@pytest.mark.rfc("5213#5.3.5-2")`), and `docs/rfc/exceptions.tsv` has the rest: id, kind, reason. A rule is a MUST or a
SHOULD, or its negation, in one of the sections of `CLAIMED`.

Always holds: a rule that is cited by a test and also an exception is a mistake, and so is one that is neither.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tools.citations import CHECKOUT, Citation, CitationError, from_markers

STATEMENTS = CHECKOUT / "docs" / "rfc" / "statements.tsv"
EXCEPTIONS = CHECKOUT / "docs" / "rfc" / "exceptions.tsv"
PAGE = CHECKOUT / "docs" / "rfc-coverage.md"

CLAIMED: Mapping[str, tuple[str, ...]] = {
    "5213": ("5", "6", "8", "9"),
    "5846": (),
    "5847": (),
    "6543": (),
    "6275": ("6", "8.4", "8.5", "10", "11"),
    "3963": ("5", "6", "7"),
    "4283": (),
    "4285": (),
    "5026": ("5.1",),
}
"""The RFCs, and of each the sections (none: all), whose rules are accounted for."""

TITLES: Mapping[str, str] = {
    "3963": "Network Mobility",
    "4283": "Mobile Node Identifier Option",
    "4285": "Authentication Protocol for Mobile IPv6",
    "5026": "Mobile IPv6 Bootstrapping in Split Scenario",
    "5213": "Proxy Mobile IPv6",
    "5846": "Binding Revocation",
    "5847": "Heartbeat Mechanism for PMIPv6",
    "6275": "Mobility Support in IPv6",
    "6543": "Reserved IPv6 Interface Identifier for PMIPv6",
}


class Kind(Enum):
    """Why no test shows a rule."""

    NOT_DONE = "not done yet"
    NOT_OURS = "does not apply"
    OPERATOR = "left to the operator"
    BY_DESIGN = "holds by construction"


@dataclass(frozen=True)
class Statement:
    """A normative sentence."""

    identifier: str
    level: str
    sentence: str

    @property
    def rfc(self) -> str:
        """The RFC's number."""
        return self.identifier.partition("#")[0]

    @property
    def section(self) -> str:
        """The section's number."""
        return self.identifier.partition("#")[2].rpartition("-")[0]

    @property
    def claimed(self) -> bool:
        """Whether this is a rule that must be accounted for."""
        if self.rfc not in CLAIMED or self.level == "MAY":
            return False
        chapters = CLAIMED[self.rfc]
        return not chapters or any(f"{self.section}.".startswith(f"{chapter}.") for chapter in chapters)


@dataclass(frozen=True)
class Exemption:
    """Why no test shows a rule, in words."""

    kind: Kind
    reason: str


@dataclass(frozen=True)
class Coverage:
    """Everything that is known, and what is wrong with it."""

    statements: Mapping[str, Statement]
    tests: Mapping[str, Sequence[Citation]]
    exemptions: Mapping[str, Exemption]
    problems: Sequence[str]

    @property
    def unaccounted(self) -> list[Statement]:
        """The rules that are neither cited nor an exception."""
        return [
            statement
            for statement in self.statements.values()
            if statement.claimed and statement.identifier not in self.tests and statement.identifier not in self.exemptions
        ]


def read_statements(path: Path = STATEMENTS) -> dict[str, Statement]:
    """The normative sentences by id, in the order of the RFCs."""
    rows = (line.split("\t") for line in path.read_text().splitlines())
    return {identifier: Statement(identifier, level, sentence) for identifier, level, sentence in rows}


def read_exemptions(path: Path = EXCEPTIONS) -> tuple[dict[str, Exemption], list[str]]:
    """The exceptions by id, and what is wrong with the file. Lines that begin with # are remarks."""
    exemptions: dict[str, Exemption] = {}
    problems: list[str] = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        where = f"{path.name}:{number}"
        identifier, *rest = line.split("\t")
        if identifier in exemptions:
            problems.append(f"{where}: {identifier} stands here twice")
        try:
            kind, reason = rest
            exemptions[identifier] = Exemption(Kind(kind), reason)
        except ValueError:
            problems.append(f"{where}: wanted id, one of {', '.join(repr(kind.value) for kind in Kind)}, and a reason")
    return exemptions, problems


def collect() -> Coverage:
    """Read all three and compare them. Raises CitationError."""
    return compare(read_statements(), from_markers("rfc"), *read_exemptions())


def compare(
    statements: Mapping[str, Statement],
    citations: Iterable[Citation],
    exemptions: Mapping[str, Exemption],
    problems: Iterable[str] = (),
) -> Coverage:
    """Put together what is known of each rule; name what is wrong, except that rules are unaccounted for."""
    tests: dict[str, list[Citation]] = defaultdict(list)
    found = list(problems)
    for citation in citations:
        if citation.cited not in statements:
            found.append(f"{citation.path}:{citation.line}: no normative sentence has the id {citation.cited}")
        tests[citation.cited].append(citation)
    for identifier in exemptions:
        if identifier not in statements:
            found.append(f"{EXCEPTIONS.name}: no normative sentence has the id {identifier}")
        elif identifier in tests:
            found.append(f"{EXCEPTIONS.name}: {identifier} is cited by {tests[identifier][0].path}: strike it here")
    return Coverage(statements, dict(tests), exemptions, found)


# ---- the page ---------------------------------------------------------------------------------------------------------


def render(coverage: Coverage) -> str:
    """The page docs/rfc-coverage.md."""
    lines = [
        "# Rules of the RFCs",
        "",
        "Written by `make docs`; do not edit. A rule is a normative sentence (MUST, SHOULD or their negation) of the RFCs and",
        "sections below. Each is cited by a test that fails when the rule is broken, or it is an exception with a reason",
        "([exceptions.tsv](rfc/exceptions.tsv)). The sentences are in [statements.tsv](rfc/statements.tsv): 5213#5.3.5-2 is",
        "the second one of section 5.3.5 of RFC 5213.",
        "",
        *_totals(coverage),
    ]
    for rfc in CLAIMED:
        lines += _one_rfc(coverage, rfc)
    lines += _exceptions(coverage)
    lines += _beyond(coverage)
    return "\n".join(lines) + "\n"


def _totals(coverage: Coverage) -> list[str]:
    head = ["", "rules", "shown by tests", *(kind.value for kind in Kind), "unaccounted"]
    rows = [head, ["---", *["--:"] * (len(head) - 1)]]
    everything = [statement for statement in coverage.statements.values() if statement.claimed]
    for rfc in CLAIMED:
        rows.append([f"RFC {rfc} {TITLES[rfc]}", *_counts(coverage, [rule for rule in everything if rule.rfc == rfc])])
    rows.append(["**all**", *(f"**{count}**" for count in _counts(coverage, everything))])
    return [_row(row) for row in rows]


def _counts(coverage: Coverage, rules: Sequence[Statement]) -> list[str]:
    exempt = [coverage.exemptions[rule.identifier].kind for rule in rules if rule.identifier in coverage.exemptions]
    unaccounted = [rule for rule in coverage.unaccounted if rule in rules]
    cited = sum(rule.identifier in coverage.tests for rule in rules)
    return [str(count) for count in (len(rules), cited, *(exempt.count(kind) for kind in Kind), len(unaccounted))]


def _one_rfc(coverage: Coverage, rfc: str) -> list[str]:
    lines = ["", f"## RFC {rfc}", "", "| section | rules | shown by tests | exceptions |", "|---|--:|--:|--:|"]
    rules: dict[str, list[Statement]] = defaultdict(list)
    for statement in coverage.statements.values():
        if statement.rfc == rfc and statement.claimed:
            rules[statement.section].append(statement)
    for section, of_section in rules.items():
        cited = sum(rule.identifier in coverage.tests for rule in of_section)
        exempt = sum(rule.identifier in coverage.exemptions for rule in of_section)
        lines.append(_row([section, str(len(of_section)), str(cited), str(exempt)]))
    shown = [rule for of_section in rules.values() for rule in of_section if rule.identifier in coverage.tests]
    if shown:
        lines += ["", "| rule | level | shown by |", "|---|---|---|"]
        lines += [_row([rule.identifier, rule.level, _places(coverage.tests[rule.identifier])]) for rule in shown]
    return lines


def _exceptions(coverage: Coverage) -> list[str]:
    lines = ["", "## Exceptions"]
    for kind in Kind:
        rows = [
            _row([identifier, coverage.statements[identifier].level, exemption.reason])
            for identifier, exemption in coverage.exemptions.items()
            if exemption.kind is kind and identifier in coverage.statements
        ]
        if rows:
            lines += ["", f"### {kind.value.capitalize()}", "", "| rule | level | reason |", "|---|---|---|", *rows]
    return lines


def _beyond(coverage: Coverage) -> list[str]:
    """What tests show beyond what must be accounted for: what an RFC permits, and RFCs that are not claimed."""
    rows = [
        _row([identifier, coverage.statements[identifier].level, _places(citations)])
        for identifier, citations in sorted(coverage.tests.items())
        if identifier in coverage.statements and not coverage.statements[identifier].claimed
    ]
    return ["", "## Shown beyond these", "", "| rule | level | shown by |", "|---|---|---|", *rows] if rows else []


def _places(citations: Sequence[Citation]) -> str:
    places = sorted({(citation.path, citation.name.rpartition("::")[2]) for citation in citations})
    return "<br>".join(f"[{path.removeprefix('tests/')}](../{path}) {name}".rstrip() for path, name in places)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def main(arguments: Sequence[str]) -> int:
    """The command line; gives the exit status."""
    try:
        coverage = collect()
    except CitationError as error:
        print(error, file=sys.stderr)
        return 1
    if "--check" not in arguments:
        PAGE.write_text(render(coverage))
    for problem in coverage.problems:
        print(problem, file=sys.stderr)
    for rule in coverage.unaccounted:
        print(rule.identifier, rule.level, rule.sentence, sep="\t")
    return 1 if coverage.problems or coverage.unaccounted else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
