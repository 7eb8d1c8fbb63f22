# SPDX-License-Identifier: Apache-2.0
"""The documents stay true where a program can tell: links lead somewhere, and the generated pages are up to date."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from halma.daemon.configuration import load_anchor, load_gateway, load_node
from tools import citations, requirements_coverage, rfc_coverage

CHECKOUT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\(([^)\s]+)\)|<img[^>]*\bsrc=\"([^\"]+)\"")
NAMED_FILE = re.compile(r"`((?:src|tests|tools|bpf|docs|examples|systemd|requirements)/[\w./-]+)`")
CONFIGURATION = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)
ROLE = re.compile(r"^\[(anchor|gateway|node)\]$", re.MULTILINE)
LOAD = {"anchor": load_anchor, "gateway": load_gateway, "node": load_node}
KEY_FILE = re.compile(r"^key_file = \"[^\"]*\"", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def documents() -> list[Path]:
    """The documents that people read."""
    return sorted([*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md")])


def anchor(heading: str) -> str:
    """The anchor that a heading gets where Markdown is shown."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    text = FENCE.sub("", path.read_text())
    broken = []
    for match in LINK.finditer(text):
        target = match.group(1) or match.group(2)
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        file, _, fragment = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        if not found.exists() or (
            fragment
            and fragment not in {anchor(line.lstrip("#")) for line in found.read_text().splitlines() if line[:1] == "#"}
        ):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_files_that_are_named_are_there(path: Path) -> None:
    missing = [name for name in NAMED_FILE.findall(path.read_text()) if not (CHECKOUT / name).exists()]
    assert not missing


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_configurations_that_are_shown_have_no_mistake(path: Path, tmp_path: Path) -> None:
    file, key = tmp_path / "shown.toml", tmp_path / "key"
    key.write_text("5213" * 10)
    key.chmod(0o600)
    anchor_text = ""
    for block in CONFIGURATION.findall(path.read_text()):
        text, role = KEY_FILE.sub(f'key_file = "{key}"', block), ROLE.search(block)
        if role is None:  # what comes to the anchor's file as well
            text = anchor_text + text
        if role is None or role[1] == "anchor":
            anchor_text = text
        file.write_text(text)
        LOAD["anchor" if role is None else role[1]](file)  # raises ConfigurationError, which names the mistakes


# ---- the rules of the RFCs --------------------------------------------------------------------------------------------


@cache
def rules() -> rfc_coverage.Coverage:
    """What is known of each rule, read once."""
    return rfc_coverage.collect()


def test_citations_and_exceptions_are_right() -> None:
    assert not rules().problems, "\n".join(rules().problems)


def test_every_rule_is_accounted_for() -> None:
    unaccounted = rules().unaccounted
    assert not unaccounted, "\n".join(f"{rule.identifier} {rule.level}: {rule.sentence}" for rule in unaccounted)


def test_the_page_of_the_rules_is_up_to_date() -> None:
    assert rfc_coverage.PAGE.read_text() == rfc_coverage.render(rules()), "run `make docs`"


def test_a_rule_of_which_nothing_is_known_is_found() -> None:
    rule = rfc_coverage.Statement("5213#5.3.5-2", "MUST", "It MUST wait.")
    assert rfc_coverage.compare({rule.identifier: rule}, [], {}).unaccounted == [rule]


def test_a_permission_needs_no_account() -> None:
    permission = rfc_coverage.Statement("5213#5.3.5-2", "MAY", "It MAY wait.")
    elsewhere = rfc_coverage.Statement("5213#4-1", "MUST", "It MUST be protected.")
    assert not rfc_coverage.compare({"a": permission, "b": elsewhere}, [], {}).unaccounted


def test_a_rule_that_is_shown_cannot_be_an_exception() -> None:
    rule = rfc_coverage.Statement("5213#5.3.5-2", "MUST", "It MUST wait.")
    citation = citations.Citation(rule.identifier, "tests/test_x.py", "test_waits", 1)
    exemption = rfc_coverage.Exemption(rfc_coverage.Kind.NOT_DONE, "no time")
    coverage = rfc_coverage.compare({rule.identifier: rule}, [citation], {rule.identifier: exemption})
    assert any("strike it here" in problem for problem in coverage.problems)


def test_a_citation_of_nothing_is_found() -> None:
    citation = citations.Citation("5213#99-1", "tests/test_x.py", "test_waits", 7)
    coverage = rfc_coverage.compare({}, [citation], {"5213#98-1": rfc_coverage.Exemption(rfc_coverage.Kind.NOT_DONE, "")})
    assert ["5213#99-1" in coverage.problems[0], "5213#98-1" in coverage.problems[1]] == [True, True]


@pytest.mark.parametrize(
    "line",
    ["5213#5-1\tnot done yet", "5213#5-1\tperhaps\treason", "5213#5-1"],
)
def test_an_exception_without_a_reason_is_found(tmp_path: Path, line: str) -> None:
    file = tmp_path / "exceptions.tsv"
    file.write_text(line + "\n")
    exemptions, problems = rfc_coverage.read_exemptions(file)
    assert not exemptions
    assert len(problems) == 1


def test_citations_are_found_wherever_a_marker_may_stand(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text(
        "import pytest\n"
        "pytestmark = pytest.mark.rfc('a')\n"
        "@pytest.mark.rfc('b', 'c')\n"
        "class TestX:\n"
        "    @pytest.mark.rfc('d')\n"
        "    def test_y(self): ...\n"
        "@pytest.mark.parametrize('v', [pytest.param(1, marks=pytest.mark.rfc('e'))])\n"
        "def test_z(v): ...\n"
    )
    found = {(citation.cited, citation.name) for citation in citations.from_markers("rfc", tmp_path)}
    assert found == {("a", ""), ("b", "TestX"), ("c", "TestX"), ("d", "TestX::test_y"), ("e", "test_z")}


@pytest.mark.parametrize("call", ["rfc(NAME)", "rfc()", "rfc(id='a')"])
def test_a_citation_that_only_running_would_tell_is_refused(tmp_path: Path, call: str) -> None:
    (tmp_path / "test_x.py").write_text(f"import pytest\n@pytest.mark.{call}\ndef test_y(): ...\n")
    with pytest.raises(citations.CitationError):
        citations.from_markers("rfc", tmp_path)


# ---- the requirements -------------------------------------------------------------------------------------------------


def test_every_requirement_is_read() -> None:
    assert set(requirements_coverage.read_requirements()) == {
        *(f"ANC-{number}" for number in range(1, 11)),
        *(f"GW-{number}" for number in range(1, 7)),
        *(f"MN-{number}" for number in range(1, 7)),
    }


def test_requirements_that_are_carried_exist() -> None:
    assert not requirements_coverage.collect()[3]


def test_the_page_of_the_requirements_is_up_to_date() -> None:
    requirements, tests, lab, _ = requirements_coverage.collect()
    assert requirements_coverage.PAGE.read_text() == requirements_coverage.render(requirements, tests, lab), "run `make docs`"


@pytest.mark.parametrize("name", sorted(requirements_coverage.read_requirements()))
def test_a_requirement_that_is_met_is_shown(name: str) -> None:
    _, tests, lab, _ = requirements_coverage.collect()
    assert any(citation.cited == name for citation in [*tests, *lab])
