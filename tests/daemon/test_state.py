# SPDX-License-Identifier: Apache-2.0
"""What a daemon remembers over a restart (RFC 5847 section 3.2)."""

from __future__ import annotations

from pathlib import Path

import pytest

from halma.daemon.state import State

LOCAL, PEER = bytes(15) + b"\x01", bytes(15) + b"\x02"


@pytest.mark.rfc("5847#3.2-1", "5847#3.2-3")
def test_the_restart_counter_grows_with_every_life(tmp_path: Path) -> None:
    assert [State(tmp_path / "state", "anchor").restart_counter for _ in range(3)] == [1, 2, 3]


def test_each_role_has_a_counter_of_its_own(tmp_path: Path) -> None:
    State(tmp_path, "anchor")
    assert State(tmp_path, "gateway").restart_counter == 1


def test_peers_of_the_former_life_are_known(tmp_path: Path) -> None:
    State(tmp_path, "anchor").remember(((LOCAL, PEER),))
    assert State(tmp_path, "anchor").former_peers == ((LOCAL, PEER),)


def test_a_damaged_file_is_named_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "anchor.json").write_text("{half")
    with pytest.raises(ValueError, match=r"anchor\.json"):
        State(tmp_path, "anchor")
    assert (tmp_path / "anchor.json").read_text() == "{half"


def test_a_crash_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    State(tmp_path, "anchor")
    (tmp_path / "anchor.new").write_text("{half of the next")
    assert State(tmp_path, "anchor").restart_counter == 2
