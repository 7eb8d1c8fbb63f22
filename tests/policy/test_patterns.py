# SPDX-License-Identifier: Apache-2.0
"""Which pattern names a node: the narrowest, found fast, with bounded memory."""

from __future__ import annotations

import fnmatch
import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from halma.policy.patterns import PatternTable, fits, overlap

PATTERNS = st.lists(st.sampled_from([b"a", b"b", b"@", b"*"]), max_size=7).map(b"".join)
IDENTIFIERS = st.lists(st.sampled_from([b"a", b"b", b"@"]), max_size=9).map(b"".join)


@given(PATTERNS, IDENTIFIERS)
@example(b"a*a", b"a")
@example(b"a*b*a", b"aba")
def test_a_pattern_fits_as_a_shell_would_say(pattern: bytes, identifier: bytes) -> None:
    assert fits(pattern, identifier) == fnmatch.fnmatchcase(identifier.decode(), pattern.decode())


@pytest.mark.parametrize("sign", [b"?", b"[a]", b"\\", b"."])
def test_only_the_star_stands_for_something_else(sign: bytes) -> None:
    assert fits(b"*" + sign, b"x" + sign)
    assert not fits(b"*" + sign, b"a")


@given(st.lists(PATTERNS, max_size=6), IDENTIFIERS)
def test_the_table_gives_the_narrowest_pattern_that_fits(patterns: list[bytes], identifier: bytes) -> None:
    fitting = [pattern for pattern in patterns if fits(pattern, identifier)]
    exact = [pattern for pattern in fitting if b"*" not in pattern]
    widths = {len(pattern) - pattern.count(b"*") for pattern in fitting}
    found = PatternTable((pattern, pattern) for pattern in patterns).find(identifier)
    if not fitting:
        assert found is None
    elif exact:
        assert found == identifier
    else:
        assert found in fitting
        assert len(found) - found.count(b"*") == max(widths)


@given(PATTERNS, PATTERNS)
def test_patterns_overlap_when_some_identifier_fits_both(one: bytes, other: bytes) -> None:
    letters = (b"a", b"b", b"@")
    short = (b"".join(word) for length in range(5) for word in itertools.product(letters, repeat=length))
    witnesses = [identifier for identifier in short if fits(one, identifier) and fits(other, identifier)]
    assert not witnesses or overlap(one, other)
    # The other direction, where a witness must be short: put the letters of one in the place of the stars of the other.
    if not overlap(one, other):
        assert not any(fits(one, other.replace(b"*", word)) for word in (b"", b"a", b"b", b"@", one.replace(b"*", b"")))


def test_patterns_that_can_meet_are_known_to_overlap() -> None:
    assert overlap(b"a*", b"*b")
    assert overlap(b"*", b"")
    assert not overlap(b"a*", b"b*")
    assert not overlap(b"*@x", b"*@y")


def test_a_name_without_a_realm_is_not_in_the_realm_of_that_name() -> None:
    assert PatternTable([(b"*@example.org", 1)]).find(b"example.org") is None
    assert PatternTable([(b"*@example.org", 1), (b"a*", 2)]).find(b"example.org") is None


def test_of_equally_narrow_patterns_the_realm_counts_else_the_first() -> None:
    assert PatternTable([(b"*ab", 1), (b"a*b", 2), (b"*@a", 3), (b"a*a", 4)]).find(b"ab") == 1
    assert PatternTable([(b"a*a", 1), (b"*@a", 2)]).find(b"a@a") == 2


def test_of_equal_patterns_the_first_counts() -> None:
    assert PatternTable([(b"a*", 1), (b"a*", 2), (b"x", 3), (b"x", 4)]).find(b"ab") == 1


def test_the_names_of_strangers_do_not_fill_the_memory() -> None:
    table = PatternTable([(b"guest-*", 1)], remembered=10)
    for number in range(1000):
        assert table.find(b"guest-%d" % number) == 1
        assert table.find(b"stranger-%d" % number) is None
        assert len(table._known) <= 10


def test_a_hostile_identifier_is_tried_in_reasonable_time() -> None:
    assert not fits(b"*a" * 20 + b"b", b"a" * 253)  # a backtracking matcher would not come back
