# SPDX-License-Identifier: Apache-2.0
"""The journal of assignments: what holds is read again, whatever the end of the file looks like."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halma.daemon.assignment_journal import LINES_AT_LEAST, AssignmentJournal


def prefix(number: int) -> bytes:
    """A /64."""
    return bytes.fromhex("20010db80100") + number.to_bytes(2, "big") + bytes(8)


def journal(directory: Path) -> AssignmentJournal:
    """A life's."""
    return AssignmentJournal(directory, "anchor")


@pytest.mark.requirement("ANC-4")
def test_the_last_word_on_each_prefix_holds_in_the_next_life(tmp_path: Path) -> None:
    life = journal(tmp_path)
    assert life.assignments == {}
    life.write({prefix(1): b"host1@example.org", prefix(2): b"host 2\n\xff", prefix(3): b"gone"})
    life.write({prefix(3): b"", prefix(1): b"other@example.org", prefix(4): b""})
    assert journal(tmp_path).assignments == {prefix(1): b"other@example.org", prefix(2): b"host 2\n\xff"}
    assert AssignmentJournal(tmp_path, "other").assignments == {}


def test_a_line_that_was_not_written_to_its_end_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    journal(tmp_path).write({prefix(1): b"a", prefix(2): b"b"})
    file = tmp_path / "anchor-assignments"
    whole = file.read_bytes()
    for cut in range(len(whole) // 2, len(whole)):
        file.write_bytes(whole[:cut])
        assert journal(tmp_path).assignments == {prefix(1): b"a"}
    file.write_bytes(whole + bytes(77) + b"\n" + whole[:-1].replace(b"62", b"zz"))
    after = journal(tmp_path)
    assert after.assignments == {prefix(1): b"a", prefix(2): b"b"}
    after.write({prefix(3): b"c"})
    assert journal(tmp_path).assignments == {prefix(1): b"a", prefix(2): b"b", prefix(3): b"c"}


def test_the_file_is_bounded_by_what_is_assigned(tmp_path: Path) -> None:
    life = journal(tmp_path)
    for number in range(5 * LINES_AT_LEAST):
        life.write({prefix(number % 7): b"%d" % number, prefix(8): b""})
    lines = (tmp_path / "anchor-assignments").read_bytes().count(b"\n")
    assert lines <= LINES_AT_LEAST + 2 * 7 + 2
    assert len(journal(tmp_path).assignments) == 7


def test_what_could_not_be_written_is_written_with_the_next(tmp_path: Path) -> None:
    life = journal(tmp_path)
    file = tmp_path / "anchor-assignments"
    file.unlink()
    file.mkdir()
    with pytest.raises(OSError, match="directory"):
        life.write({prefix(1): b"a"})
    with pytest.raises(OSError, match="directory"):
        life.write({prefix(2): b"b"})
    file.rmdir()
    life.write({prefix(3): b"c"})
    assert journal(tmp_path).assignments == {prefix(1): b"a", prefix(2): b"b", prefix(3): b"c"}


@given(st.lists(st.dictionaries(st.integers(0, 9).map(prefix), st.binary(max_size=5))))
def test_it_is_a_dictionary_on_disk(tmp_path_factory: pytest.TempPathFactory, batches: list[dict[bytes, bytes]]) -> None:
    directory = tmp_path_factory.mktemp("journal")
    life, model = journal(directory), dict[bytes, bytes]()
    for changes in batches:
        life.write(changes)
        model |= changes
    assert journal(directory).assignments == {key: node for key, node in model.items() if node}
