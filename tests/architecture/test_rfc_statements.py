# SPDX-License-Identifier: Apache-2.0
"""Sentences keep their ids: how normative sentences are taken out of the text of an RFC."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.rfc_statements import main, statements

RFC = """
Table of Contents

   1.  Introduction

1.  Introduction

   Nothing binds here.  A reader MAY skip it.

2.  Rules

2.1.  Of Anchors

   An anchor MUST wait; it SHOULD NOT sleep.  A sentence that goes on
   over the end of a page MUST be

Somebody                    Standards Track                     [Page 1]

RFC 1234                         Waiting                     August 2008

   read as one.

   o  Each point of a list is REQUIRED to count.
"""

EXPECTED = [
    ("1234#1-1", "MAY", "A reader MAY skip it."),
    ("1234#2.1-1", "MUST", "An anchor MUST wait; it SHOULD NOT sleep."),
    ("1234#2.1-2", "MUST", "A sentence that goes on over the end of a page MUST be read as one."),
    ("1234#2.1-3", "REQUIRED", "o Each point of a list is REQUIRED to count."),
]


def test_sentences_are_counted_within_their_sections() -> None:
    assert list(statements("1234", RFC)) == EXPECTED


def test_the_command_prints_a_line_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rfc1234.txt").write_text(RFC)
    assert main([str(tmp_path), "1234"]) == 0
    assert capsys.readouterr().out.splitlines() == ["\t".join(row) for row in EXPECTED]


def test_without_a_folder_the_command_tells_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "rfc_statements" in capsys.readouterr().err
