# SPDX-License-Identifier: Apache-2.0
"""What a daemon says to its operator: one line an event, with the reason, never more than anybody can read.

Engines speak by `Report`; `Log.report` carries it out. A line goes to standard error: for journald with the priority in front
(sd-daemon(3)), for people with the time, or as JSON. The last events stay in memory for `halma show events`.

Always holds: the same reason is told of the same peer once a minute at the most, with the number of those that were left out
(ANC-7); all peers together get a bounded number of lines a second, so that made-up senders cannot fill a disk; memory is
bounded; what came from the network is escaped; a log that cannot be written stops nothing.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TextIO

import msgspec

from halma.engine.api import Now, Report, Severity, sentence
from halma.text import show_address, show_text
from halma.value import value

QUIET_SECONDS = 60.0
"""How long a reason is not told again of the same peer (ANC-7)."""
KNOWN = 4096
"""Pairs of peer and reason whose last line is remembered; the one unheard of longest is forgotten first."""
LINES_PER_SECOND = 5.0
"""Lines a second in the long run, all peers together."""
BURST = 100.0
"""Lines that may come at once after a silence."""
EVENTS = 1000
"""Events that are kept for `halma show events`."""


class Style(Enum):
    """How a line is written."""

    TEXT = "text"
    JOURNAL = "journal"
    JSON = "json"


_PRIORITY = {Severity.DEBUG: 7, Severity.INFO: 6, Severity.WARNING: 4, Severity.ERROR: 3}


def style_for(wanted: str, stream: TextIO, environment: Mapping[str, str]) -> Style:
    """The style that `--log-format` names; `auto` is `journal` where the stream goes to journald (systemd.exec(5):
    `JOURNAL_STREAM` is the stream's device and inode), else `text`. Raises ValueError."""
    if wanted != "auto":
        return Style(wanted)
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return Style.TEXT
    to_journal = environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
    return Style.JOURNAL if to_journal else Style.TEXT


@value
class Logged:
    """An event as it is kept: when (wall seconds since 1970), what, and how many like it had been left out before it."""

    time: float
    report: Report
    suppressed: int

    def text(self) -> str:
        """The sentence for people, on one line."""
        try:
            text = sentence(self.report)
        except (ValueError, LookupError, TypeError):  # a report whose fields do not fit its text is better than none
            text = f"{self.report.text} {self.report.details!r}"
        more = f" ({self.suppressed} more like this since the last line)" if self.suppressed else ""
        return show_text(text) + more

    def row(self) -> dict[str, object]:
        """The event for `halma show events` and the JSON log."""
        return {
            "time": _iso(self.time),
            "severity": self.report.severity.name.lower(),
            "reason": self.report.reason,
            "peer": show_address(self.report.peer) if len(self.report.peer) == 16 else "",
            "suppressed": self.suppressed,
            "text": self.text(),
        }


@dataclass(slots=True, eq=False)
class _Told:
    at: float
    report: Report
    suppressed: int = 0


class Log:
    """Where a daemon's reports go. `write` takes a line with its end; `threshold` is the least severity that is written;
    `clock` gives the time."""

    def __init__(
        self,
        write: Callable[[str], object],
        style: Style,
        threshold: Severity = Severity.INFO,
        clock: Callable[[], Now] = lambda: Now(time.monotonic(), time.time()),
    ) -> None:
        self._write = write
        self._clock = clock
        self._style = style
        self._threshold = threshold
        self._told: OrderedDict[tuple[bytes, str], _Told] = OrderedDict()
        self._events: deque[Logged] = deque(maxlen=EVENTS)
        self._followers: list[deque[Logged]] = []
        self._lines = BURST
        self._lines_at = 0.0
        self._dropped = 0
        self._dropped_since = 0.0
        self.counters = {"log_lines": 0, "log_suppressed": 0, "log_lines_lost": 0}

    def report(self, report: Report, at: Now | None = None) -> None:
        """Carry a report out, of what happened `at` that time, or now. INFO and less is kept for `halma show events` even when
        it comes too often to be written."""
        now = self._clock() if at is None else at
        key = (report.peer, report.reason)
        told = self._told.get(key)
        if told is not None and now.monotonic - told.at < QUIET_SECONDS:
            told.suppressed += 1
            told.report = report
            self.counters["log_suppressed"] += 1
            if report.severity <= Severity.INFO:
                self._keep(Logged(now.wall, report, 0))
            return
        suppressed = 0 if told is None else told.suppressed
        if not self._may_write(now):
            self.counters["log_suppressed"] += 1
            return
        self._told[key] = _Told(now.monotonic, report)
        self._told.move_to_end(key)
        if len(self._told) > KNOWN:
            self._told.popitem(last=False)
        self._tell(Logged(now.wall, report, suppressed))

    def say(self, severity: Severity, reason: str, text: str) -> None:
        """A line of the daemon's own, such as that it is ready: always written."""
        self._tell(Logged(self._clock().wall, Report(severity, reason, text), 0))

    def bug(self, where: str, error: BaseException) -> None:
        """An exception that should not be: limited like any report, and its trace written below its first telling."""
        before = self.counters["log_lines"]
        self.report(Report(Severity.ERROR, "bug", "{}: {!r}", b"", (where, error)))
        if self.counters["log_lines"] != before and self._style is not Style.JSON:
            for part in traceback.format_exception(error):
                for line in part.splitlines():
                    self._line(Severity.ERROR, f"  {show_text(line)}")

    def flush(self) -> None:
        """Tell of what was left out and has not come again for a minute. To be called every minute or so."""
        now = self._clock()
        for key, told in list(self._told.items()):
            if now.monotonic - told.at < QUIET_SECONDS:
                break  # they stand in the order of their last line
            del self._told[key]
            if told.suppressed:
                self._tell(Logged(now.wall, told.report, told.suppressed - 1))
        if self._dropped:
            text = f"{self._dropped} more reports in {now.monotonic - self._dropped_since:.0f} s were too many to write"
            self._dropped = 0
            self.say(Severity.WARNING, "log_overload", text)

    def events(self) -> list[Logged]:
        """The last events, oldest first."""
        return list(self._events)

    def follow(self) -> Follower:
        """The events from now on; `close` it when they are wanted no more."""
        follower: deque[Logged] = deque(maxlen=EVENTS)
        self._followers.append(follower)
        return Follower(follower, lambda: self._followers.remove(follower))

    def _may_write(self, now: Now) -> bool:
        passed = now.monotonic - self._lines_at
        self._lines = min(BURST, self._lines + passed * LINES_PER_SECOND)
        self._lines_at = now.monotonic
        if self._lines >= 1.0:
            self._lines -= 1.0
            return True
        if not self._dropped:
            self._dropped_since = now.monotonic
        self._dropped += 1
        return False

    def _keep(self, logged: Logged) -> None:
        self._events.append(logged)
        for follower in self._followers:
            follower.append(logged)

    def _tell(self, logged: Logged) -> None:
        self._keep(logged)
        severity = logged.report.severity
        if severity < self._threshold:
            return
        if self._style is Style.JSON:
            self._line(severity, msgspec.json.encode(logged.row()).decode())
        elif self._style is Style.JOURNAL:
            self._line(severity, logged.text())
        else:
            self._line(severity, f"{_iso(logged.time)} {severity.name.lower():<7} {logged.text()}")

    def _line(self, severity: Severity, line: str) -> None:
        try:
            self._write(f"<{_PRIORITY[severity]}>{line}\n" if self._style is Style.JOURNAL else f"{line}\n")
        except (OSError, ValueError):  # nobody reads, or the stream is closed
            self.counters["log_lines_lost"] += 1
        else:
            self.counters["log_lines"] += 1


def open_log(wanted_format: str, wanted_level: str, stream: TextIO | None = None) -> Log:
    """The log of a daemon on standard error, which takes in what is said by the standard library's logging too. The format is
    one of `auto`, `text`, `journal`, `json`, the level one of `debug`, `info`, `warning`, `error`. Raises ValueError."""
    stream = sys.stderr if stream is None else stream

    def write(line: str) -> None:
        stream.write(line)
        stream.flush()

    try:
        threshold = Severity[wanted_level.upper()]
    except KeyError:
        raise ValueError(f"{wanted_level} is not a log level") from None
    log = Log(write, style_for(wanted_format, stream, os.environ), threshold)
    root = logging.getLogger()
    root.handlers[:] = [Bridge(log)]
    root.setLevel(int(threshold))
    return log


class Bridge(logging.Handler):
    """Takes what other code of the process says by the standard library's logging into a `Log`."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Carry a record over; one with an exception is a bug."""
        if record.exc_info is not None and record.exc_info[1] is not None:
            self._log.bug(record.getMessage(), record.exc_info[1])
        else:
            severity = max((one for one in Severity if one <= record.levelno), default=Severity.DEBUG)
            reason = f"{record.name}:{record.lineno}"
            self._log.report(Report(severity, reason, "{}", b"", (record.getMessage(),)))


class Follower:
    """Events since `Log.follow`, of which the oldest are lost when nobody takes them."""

    def __init__(self, events: deque[Logged], close: Callable[[], None]) -> None:
        self._events = events
        self._close: Callable[[], None] | None = close

    def take(self) -> Iterator[Logged]:
        """Those that have come since the last call."""
        while self._events:
            yield self._events.popleft()

    def close(self) -> None:
        """Stop following."""
        if self._close is not None:
            self._close()
            self._close = None


def _iso(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
