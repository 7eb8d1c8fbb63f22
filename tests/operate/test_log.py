# SPDX-License-Identifier: Apache-2.0
"""The operator's log: reasons in, a bounded number of safe lines out."""

from __future__ import annotations

import io
import json
import logging
import os

import pytest

from halma.daemon.log import BURST, EVENTS, KNOWN, LINES_PER_SECOND, QUIET_SECONDS, Bridge, Log, Style, style_for
from halma.engine.api import Now, Report, Severity
from halma.text import read_address

PEER = read_address("2001:db8::5")
REFUSED = Report(
    Severity.WARNING,
    "not_authorized",
    "refused PBU from {:address}: node '{:node}' may not attach there (status 154)",
    PEER,
    (PEER, b"x"),
)


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.monotonic = 1000.0

    def __call__(self) -> Now:
        return Now(self.monotonic, self.monotonic + 1_700_000_000)


class Output(list[str]):
    """The lines that were written."""

    def write(self, line: str) -> None:
        assert line.endswith("\n")
        assert line.count("\n") == 1
        self.append(line[:-1])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def output() -> Output:
    return Output()


def test_a_line_for_people_has_time_severity_and_reason(clock: Clock, output: Output) -> None:
    Log(output.write, Style.TEXT, clock=clock).report(REFUSED)
    assert output == [
        "2023-11-14T22:30:00.000Z warning refused PBU from 2001:db8::5: node 'x' may not attach there (status 154)"
    ]


def test_a_line_for_the_journal_has_the_priority_and_no_time(clock: Clock, output: Output) -> None:
    log = Log(output.write, Style.JOURNAL, clock=clock)
    log.report(REFUSED)
    log.say(Severity.ERROR, "cannot_start", "{braces} are text")
    assert output == [
        "<4>refused PBU from 2001:db8::5: node 'x' may not attach there (status 154)",
        "<3>{braces} are text",
    ]


def test_a_line_for_programs_is_json(clock: Clock, output: Output) -> None:
    Log(output.write, Style.JSON, clock=clock).report(REFUSED)
    assert json.loads(output[0]) == {
        "time": "2023-11-14T22:30:00.000Z",
        "severity": "warning",
        "reason": "not_authorized",
        "peer": "2001:db8::5",
        "suppressed": 0,
        "text": "refused PBU from 2001:db8::5: node 'x' may not attach there (status 154)",
    }


def test_less_than_the_threshold_is_kept_and_not_written(clock: Clock, output: Output) -> None:
    log = Log(output.write, Style.TEXT, Severity.WARNING, clock)
    log.report(Report(Severity.INFO, "registered", "node registered", PEER))
    assert output == []
    assert [logged.report.reason for logged in log.events()] == ["registered"]


@pytest.mark.requirement("ANC-7")
def test_a_reason_is_told_of_a_peer_once_a_minute_with_the_number_left_out(clock: Clock, output: Output) -> None:
    log = Log(output.write, Style.JOURNAL, clock=clock)
    for _ in range(1000):
        log.report(REFUSED)
    assert len(output) == 1
    clock.monotonic += QUIET_SECONDS - 0.001
    log.report(REFUSED)
    assert len(output) == 1
    clock.monotonic += 0.001
    log.report(REFUSED)
    assert len(output) == 2
    assert output[1].endswith("(status 154) (1000 more like this since the last line)")
    assert log.counters["log_suppressed"] == 1000


def test_another_peer_and_another_reason_are_told(clock: Clock, output: Output) -> None:
    log = Log(output.write, Style.JOURNAL, clock=clock)
    log.report(Report(Severity.WARNING, "a", "1", PEER))
    log.report(Report(Severity.WARNING, "b", "2", PEER))
    log.report(Report(Severity.WARNING, "a", "3", read_address("2001:db8::6")))
    assert output == ["<4>1", "<4>2", "<4>3"]


def test_what_was_left_out_is_told_when_it_does_not_come_again(clock: Clock, output: Output) -> None:
    log = Log(output.write, Style.JOURNAL, clock=clock)
    for _ in range(3):
        log.report(REFUSED)
    log.flush()
    assert len(output) == 1
    clock.monotonic += QUIET_SECONDS
    log.flush()
    log.flush()
    assert len(output) == 2
    assert output[1].endswith("(1 more like this since the last line)")


def test_made_up_senders_cannot_fill_the_disk_nor_the_memory(clock: Clock, output: Output) -> None:
    log = Log(output.write, Style.JOURNAL, clock=clock)
    for number in range(100_000):
        clock.monotonic += 0.001
        log.report(Report(Severity.WARNING, "malformed", "bad", number.to_bytes(16, "big")))
    assert len(output) <= BURST + 100 * LINES_PER_SECOND
    assert len(log._told) <= KNOWN
    assert len(log.events()) <= EVENTS
    written = len(output)
    log.flush()
    assert output[written:] == [f"<4>{100_000 - written} more reports in 100 s were too many to write"]


def test_the_least_heard_of_peers_are_forgotten_first(clock: Clock, output: Output) -> None:
    log = Log(output.write, Style.JOURNAL, clock=clock)
    for number in range(KNOWN + 1):
        clock.monotonic += 1.0
        log.report(Report(Severity.WARNING, "malformed", "bad", number.to_bytes(16, "big")))
    assert len(log._told) == KNOWN
    assert (bytes(16), "malformed") not in log._told


def test_a_peer_that_is_heard_of_again_is_not_forgotten_first(clock: Clock, output: Output) -> None:
    log = Log(output.write, Style.JOURNAL, clock=clock)
    for number in [*range(KNOWN), 0, KNOWN]:
        clock.monotonic += 1.0
        log.report(Report(Severity.WARNING, "malformed", "bad", number.to_bytes(16, "big")))
    assert (bytes(16), "malformed") in log._told
    assert ((1).to_bytes(16, "big"), "malformed") not in log._told


def test_what_happens_to_nodes_is_kept_however_often(clock: Clock, output: Output) -> None:
    log = Log(output.write, Style.JOURNAL, clock=clock)
    for number in range(50):
        log.report(Report(Severity.INFO, "registered", "node {:node} registered", PEER, (b"node%d" % number,)))
    assert output == ["<6>node node0 registered"]
    assert [logged.text() for logged in log.events()][-1] == "node node49 registered"
    assert len(log.events()) == 50


@pytest.mark.parametrize(
    ("identifier", "shown"),
    [
        (b"evil\n<0>forged line", r"node evil\x0a<0>forged line"),
        (b"\x1b[2Jgone", r"node \x1b[2Jgone"),
        (b"\xff\xfe", r"node \xff\xfe"),
        (b"a" * 253, "node " + "a" * 61 + "..."),
    ],
)
def test_a_node_cannot_write_into_the_log(clock: Clock, output: Output, identifier: bytes, shown: str) -> None:
    Log(output.write, Style.JOURNAL, clock=clock).report(Report(Severity.WARNING, "r", "node {:node}", PEER, (identifier,)))
    assert output == [f"<4>{shown}"]


def test_a_sentence_with_control_characters_stays_on_its_line(clock: Clock, output: Output) -> None:
    log = Log(output.write, Style.JOURNAL, clock=clock)
    log.say(Severity.INFO, "r", "one\ntwo\x1b[31m \u202e\u00e9")
    assert output == [r"<6>one\ntwo\x1b[31m \u202e\xe9"]
    log.say(Severity.INFO, "r", "x" * 1000)
    assert len(output[1]) < 500


def test_a_report_whose_fields_do_not_fit_is_better_than_none(clock: Clock, output: Output) -> None:
    Log(output.write, Style.JOURNAL, clock=clock).report(Report(Severity.WARNING, "r", "{} {}", PEER, (1,)))
    assert output == ["<4>{} {} (1,)"]


def test_a_log_that_cannot_be_written_stops_nothing(clock: Clock) -> None:
    def write(_: str) -> None:
        raise BrokenPipeError

    log = Log(write, Style.JOURNAL, clock=clock)
    log.report(REFUSED)
    assert log.counters["log_lines_lost"] == 1
    closed = io.StringIO()
    closed.close()
    log = Log(closed.write, Style.JOURNAL, clock=clock)
    log.report(REFUSED)
    assert log.counters["log_lines_lost"] == 1


def test_a_bug_is_told_with_its_trace_once(clock: Clock, output: Output) -> None:
    log = Log(output.write, Style.JOURNAL, clock=clock)
    for _ in range(2):
        try:
            raise KeyError("surprise")
        except KeyError as error:
            log.bug("the engine failed", error)
    assert output[0] == "<3>the engine failed: KeyError('surprise')"
    assert output[-1] == "<3>  KeyError: 'surprise'"
    assert sum("the engine failed" in line for line in output) == 1


def test_other_code_speaks_through_the_same_log(clock: Clock, output: Output) -> None:
    logger = logging.Logger("library")
    logger.addHandler(Bridge(Log(output.write, Style.JOURNAL, clock=clock)))
    logger.warning("%s is odd", "this")
    logger.critical("the end")
    try:
        raise ValueError("x")
    except ValueError:
        logger.exception("it failed")
    assert output[:3] == ["<4>this is odd", "<3>the end", "<3>it failed: ValueError('x')"]


def test_followers_get_the_new_events_alone(clock: Clock, output: Output) -> None:
    log = Log(output.write, Style.JOURNAL, clock=clock)
    log.say(Severity.INFO, "before", "before")
    follower = log.follow()
    log.say(Severity.INFO, "after", "after")
    assert [logged.report.reason for logged in follower.take()] == ["after"]
    assert list(follower.take()) == []
    follower.close()
    follower.close()
    log.say(Severity.INFO, "late", "late")
    assert list(follower.take()) == []


def test_the_journal_is_known_by_its_stream() -> None:
    read, write = os.pipe()
    with open(read), open(write, "w") as stream:
        status = os.fstat(write)
        journal = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert style_for("auto", stream, journal) is Style.JOURNAL
        assert style_for("auto", stream, {"JOURNAL_STREAM": "1:2"}) is Style.TEXT
        assert style_for("auto", stream, {}) is Style.TEXT
        assert style_for("json", stream, journal) is Style.JSON
    assert style_for("auto", io.StringIO(), {}) is Style.TEXT
    with pytest.raises(ValueError, match="loud"):
        style_for("loud", io.StringIO(), {})
