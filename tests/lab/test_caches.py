# SPDX-License-Identifier: Apache-2.0
"""The anchors' caches before and after each step: asked for, written down, compared and shown."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from halma.lab import cache_page, cache_recorder, report
from halma.lab.cache_recorder import CacheRecorder
from halma.lab.caches import Entry, Look, Mark, compare, read, stages
from halma.lab.moves import handovers
from halma.lab.scenarios import play
from halma.lab.verdict import Verdict
from tests.lab.world import BEGAN, ENDED, MOVED, World

NODE, PREFIX, HOME = "host1@example.org", "2001:db8:100:1::/64", "2001:db8:100:1::1"
MAG1, MAG2, ABROAD = "2001:db8:11::1", "2001:db8:12::1", "2001:db8:1a:1::101"


def proxy(gateway: str, state: str = "registered", left: float = 8.0) -> dict[str, Any]:
    """A row of `halma show bindings --json`."""
    return {"node": NODE, "prefixes": [PREFIX], "gateway": gateway, "state": state, "remaining_seconds": left}


def home(care_of: str, left: float = 60.0) -> dict[str, Any]:
    """A row of `halma show home-bindings --json`."""
    fields = {"home_address": HOME, "prefixes": [], "care_of_address": care_of, "state": "registered"}
    return {"node": NODE, **fields, "remaining_seconds": left}


def entry(target: str, left: float = 8.0, state: str = "registered", key: str = PREFIX) -> Entry:
    """An entry as the page knows it."""
    return Entry(NODE, (key,), target, state, left)


class Anchor:
    """A daemon that answers the two questions, or is silent."""

    def __init__(self, path: Path) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {"bindings": [], "home_bindings": []}
        self.silent = False
        self.asked = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with connection, connection.makefile("rb") as lines:
                    for line in lines:
                        self._answer(connection, json.loads(line))

    def _answer(self, connection: socket.socket, question: dict[str, Any]) -> None:
        self.asked += 1
        if not self.silent:
            rows = self.rows[question["what"]][: question["limit"]]
            for reply in ({"rows": rows}, {"done": len(rows)}):
                connection.sendall(json.dumps(reply).encode() + b"\n")

    def close(self) -> None:
        """End it."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@pytest.fixture
def anchor(tmp_path: Path) -> Iterator[Anchor]:
    """A daemon at `lma.sock`."""
    made = Anchor(tmp_path / "lma.sock")
    yield made
    made.close()


@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CacheRecorder:
    """A recorder that may look again at once."""
    monkeypatch.setattr(cache_recorder, "BETWEEN", 0.0)
    return CacheRecorder(tmp_path / "caches.jsonl", lambda: {"lma": tmp_path / "lma.sock"})


# ---- asked and written down -------------------------------------------------------------------------------------------


def test_what_was_said_is_read_again(anchor: Anchor, recorder: CacheRecorder, tmp_path: Path) -> None:
    recorder.look()
    anchor.rows = {"bindings": [proxy(MAG1)], "home_bindings": [home(ABROAD)]}
    recorder.look()
    before, after = read(tmp_path)
    assert (before.anchor, before.proxy, before.home, before.fault) == ("lma", (), (), "")
    assert after.proxy == (entry(MAG1),)
    assert after.home == (entry(ABROAD, 60.0, key=HOME),)
    assert before.time <= after.time


def test_within_a_step_only_changes_are_written(anchor: Anchor, recorder: CacheRecorder, tmp_path: Path) -> None:
    anchor.rows["bindings"] = [proxy(MAG1, left=8.0)]
    recorder.look()
    anchor.rows["bindings"] = [proxy(MAG1, left=7.5)]
    recorder.glance()
    assert len(read(tmp_path)) == 1
    anchor.rows["bindings"] = [proxy(MAG2)]
    recorder.glance()
    assert [look.proxy[0].target for look in read(tmp_path)] == [MAG1, MAG2]


def test_a_daemon_is_not_asked_too_often(anchor: Anchor, tmp_path: Path) -> None:
    recorder = CacheRecorder(tmp_path / "caches.jsonl", lambda: {"lma": tmp_path / "lma.sock"})
    recorder.look()
    recorder.glance()
    assert anchor.asked == 2


def test_nobody_is_asked_while_a_host_is_being_moved(
    anchor: Anchor, recorder: CacheRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder.look()
    monkeypatch.setattr(cache_recorder, "BETWEEN", 60.0)
    recorder.rest()
    recorder.glance()
    assert anchor.asked == 2


def test_a_large_cache_is_not_written_down_whole(anchor: Anchor, recorder: CacheRecorder, tmp_path: Path) -> None:
    anchor.rows["bindings"] = [proxy(MAG1)] * (cache_recorder.MOST_ROWS + 5)
    recorder.look()
    assert len(read(tmp_path)[0].proxy) == cache_recorder.MOST_ROWS


def test_a_silent_daemon_costs_a_moment_and_is_left_alone(
    anchor: Anchor, recorder: CacheRecorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_recorder, "_PATIENCE", 0.01)
    anchor.silent = True
    recorder.look()
    recorder.glance()
    assert anchor.asked == 1
    assert [look.fault for look in read(tmp_path)] == ["the daemon is silent"]
    anchor.silent = False
    recorder.look()
    assert read(tmp_path)[-1].fault == ""


def test_a_daemon_that_has_gone_is_told(tmp_path: Path) -> None:
    CacheRecorder(tmp_path / "caches.jsonl", lambda: {"lma": tmp_path / "lma.sock"}).look()
    assert "no daemon runs here" in read(tmp_path)[0].fault


def test_a_run_forgets_the_run_before(anchor: Anchor, recorder: CacheRecorder, tmp_path: Path) -> None:
    anchor.rows["bindings"] = [proxy(MAG1)]
    (tmp_path / "caches.jsonl").write_text("from an earlier run\n")
    recorder.look()
    recorder.look()
    assert len(read(tmp_path)) == 2


# ---- compared ---------------------------------------------------------------------------------------------------------


def test_a_step_has_what_was_before_what_changed_and_nothing_of_others() -> None:
    looks = (
        Look(0.0, "lma", ()),
        Look(1.0, "lma", (entry(MAG1),)),
        Look(1.0, "lma2", (entry("::1"),)),
        Look(1.5, "lma", (entry(MAG1, 7.0),)),
        Look(2.0, "lma", (entry(MAG1),), (entry(ABROAD, key=HOME),)),
        Look(3.0, "lma", (), (entry(ABROAD, key=HOME),)),
        Look(4.0, "lma", (), ()),
    )
    assert [look.time for look in stages(looks, "lma", 1.0, 3.0)] == [1.0, 2.0, 3.0]
    assert [look.time for look in stages(looks, "lma", 1.0, 1.9)] == [1.0]
    assert stages(looks, "ha", 1.0, 3.0) == ()


def test_each_entry_says_what_has_become_of_it() -> None:
    other = Entry("host2@example.org", ("2001:db8:100:2::/64",), MAG2, "registered", 1.0)
    marked = compare([entry(MAG1), other], [entry(MAG2, 5.0)])
    assert [(one.mark, one.entry.target) for one in marked] == [(Mark.CHANGED, MAG2), (Mark.GONE, MAG2)]
    assert marked[0].before == entry(MAG1)
    assert [one.mark for one in compare([], [other])] == [Mark.NEW]
    assert [one.mark for one in compare([other], [Entry(*_fields(other, left=0.5))])] == [Mark.SAME]
    assert [one.mark for one in compare([entry(MAG1)], [entry(MAG1, state="deregistered")])] == [Mark.CHANGED]


def _fields(one: Entry, left: float) -> tuple[str, tuple[str, ...], str, str, float]:
    return one.node, one.key, one.target, one.state, left


# ---- shown ------------------------------------------------------------------------------------------------------------


def owner(address: bytes) -> str:
    """Whose an address is: nobody knows."""
    return "<mag>" if address[-1] == 1 else "mn"


def shown(*looks: Look) -> str:
    """The caches of an anchor in a step that began at 0."""
    return cache_page.draw("HA/LMA", looks, 0.0, owner)


def test_both_caches_stand_in_each_column_and_changes_are_marked() -> None:
    page = shown(
        Look(0.0, "lma", (entry(MAG1),)),
        Look(0.5, "lma", (entry(MAG1),), (entry(ABROAD, key=HOME),)),
        Look(9.0, "lma", (), (entry(ABROAD, key=HOME),)),
    )
    assert re.findall(r"<b>([a-z]+)", page) == ["before", "meanwhile", "after"]
    assert (page.count("PMIPv6 cache"), page.count("<strong>MIPv6 cache")) == (3, 3)
    assert re.findall(r"<i>(\w+)</i>", page) == ["new", "gone"]
    assert "&lt;mag&gt; 2001:db8:11::1" in page
    assert "<mag>" not in page
    assert "ends in 8 s" in page


def test_what_has_changed_says_what_it_was() -> None:
    page = shown(Look(0.0, "lma", (entry(MAG1),)), Look(1.0, "lma", (entry(MAG2, state="deregistered"),)))
    assert "(was &lt;mag&gt; 2001:db8:11::1)" in page
    assert "deregistered (was registered)" in page


def test_where_nothing_changed_one_column_will_do() -> None:
    page = shown(Look(0.0, "lma"))
    assert "nothing has changed" in page
    assert page.count("empty") == 2


def test_who_did_not_answer_is_not_empty() -> None:
    page = shown(Look(0.0, "lma", fault="the daemon is silent"))
    assert page.count("not known: the daemon is silent") == 2
    assert "empty" not in page
    assert "Nobody looked" in shown()


def test_of_many_states_the_first_and_the_last_are_shown() -> None:
    page = shown(*(Look(float(time), "lma", (entry(f"2001:db8::{time}"),)) for time in range(1, 9)))
    assert "4 states between are left out" in page
    assert re.findall(r"2001:db8::(\d) <i>|→ \S+ 2001:db8::(\d)<br>", page)
    assert [time in page for time in ("::1<br>", "::8 <small>")] == [True, True]


def report_of(world: World, looks: list[dict[str, Any]] | None) -> str:
    """The report of the run that never took place."""
    evidence = world.evidence()
    if looks is not None:
        (evidence.records / "caches.jsonl").write_text("".join(json.dumps(look) + "\n" for look in looks))
    one = play("pmip-handover")
    target = evidence.records / "report.html"
    report.write(one, Verdict(one.name, (), tuple(handovers(evidence, "h1"))), evidence, target)
    return target.read_text()


def test_the_report_shows_the_caches_of_each_step(world: World) -> None:
    looks = [
        {"time": BEGAN - 0.01, "anchor": "lma", "bindings": [], "home_bindings": []},
        {"time": MOVED - 0.01, "anchor": "lma", "bindings": [proxy(MAG1)], "home_bindings": []},
        {"time": ENDED, "anchor": "lma", "bindings": [proxy(MAG2)], "home_bindings": []},
    ]
    page = report_of(world, looks)
    first, second = page.split('<section id="step-')[1:]
    assert re.findall(r"<i>(\w+)</i>", first) == ["new"]
    assert f"mag1 {MAG1}" in first
    assert re.findall(r"<i>(\w+)</i>", second) == ["changed"]
    assert f"mag2 {MAG2}" in second


def test_records_from_before_the_caches_were_recorded_can_be_drawn(world: World) -> None:
    assert report_of(world, None).count("Nobody looked into them") == 2
