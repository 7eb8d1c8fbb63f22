# SPDX-License-Identifier: Apache-2.0
"""Tables in a terminal: 100 columns, nothing cut, one odd row does not break up the others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halma.cli.tables import WIDTH, Column, show_cell, show_duration, table

COLUMNS = [
    Column("node", "node", 30),
    Column("prefixes", "prefix", 43),
    Column("gateway", "gateway", 39),
    Column("n", "n", 8, True),
]
WORDS = st.text("abc:", min_size=1, max_size=64)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"node": WORDS, "prefixes": st.lists(WORDS, max_size=3), "gateway": WORDS, "n": st.integers(0, 10**9)}
    ),
    min_size=1,
    max_size=20,
)


@given(ROWS)
def test_every_line_fits_and_every_word_is_there(rows: list[dict[str, object]]) -> None:
    lines = list(table(rows, COLUMNS))
    assert all(len(line) <= WIDTH for line in lines)
    words = sorted(word for row in rows for column in COLUMNS for word in show_cell(column.key, row[column.key]))
    assert sorted(" ".join(lines[1:]).split()) == words


def test_one_odd_row_does_not_break_up_the_others() -> None:
    rows = [{"node": f"host{n}", "prefixes": ["2001:db8::/64"], "gateway": "2001:db8::1", "n": n} for n in range(9)]
    rows.append({"node": "n" * 64, "prefixes": ["p" * 43], "gateway": "g" * 39, "n": 5})
    lines = list(table(rows, COLUMNS))
    assert [len(line.split()) for line in lines[:10]] == [4] * 10
    assert len(lines) > 11


def test_colours_do_not_move_columns() -> None:
    rows = [{"state": "registered", "n": 1}, {"state": "other", "n": 2}]
    columns = [Column("state", "state", 20), Column("n", "n", 3)]
    plain, coloured = list(table(rows, columns)), list(table(rows, columns, True))
    assert plain == ["state       n", "registered  1", "other       2"]
    assert coloured[1] == "\x1b[32mregistered\x1b[0m  1"
    assert coloured[2] == plain[2]


def test_sentences_wrap_under_their_column() -> None:
    lines = list(table([{"t": "1", "text": "word " * 30}], [Column("t", "t", 5), Column("text", "text", 40, wrap=True)]))
    assert all(line.startswith("   word") for line in lines[2:])
    assert max(map(len, lines)) <= 43


def test_no_rows_are_no_table() -> None:
    assert list(table([], COLUMNS)) == []


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "-"), (0, "0s"), (59.9, "59s"), (60, "1m"), (3492, "58m 12s"), (3600, "1h"), (3605, "1h"), (90061, "1d 1h")],
)
def test_times_have_two_units(seconds: float | None, shown: str) -> None:
    assert show_duration(seconds) == shown
