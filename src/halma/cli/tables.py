# SPDX-License-Identifier: Apache-2.0
"""Rows as a person reads them in a terminal: columns, in the manner of birdc and `ip`.

Always holds: no line is longer than 100 columns, unless one word is; nothing is cut: a cell that is too wide for its column
pushes the rest of the row to the next line, under the same columns; colours only where the caller says so.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

WIDTH = 100
SAMPLE = 200
"""Rows that the widths of columns are taken from."""
SHORT = 16
"""A column that is never wider is not worth narrowing."""
_BOLD, _RED, _GREEN, _YELLOW, _PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"
COLOURS = {
    "registered": _GREEN,
    "reachable": _GREEN,
    "mobility": _GREEN,
    "denied": _RED,
    "unreachable": _RED,
    "error": _RED,
    "deregistered": _YELLOW,
    "de-registering": _YELLOW,
    "revoking": _YELLOW,
    "registering": _YELLOW,
    "binding": _YELLOW,
    "warning": _YELLOW,
}
"""States whose meaning a colour may carry as well."""

Row = Mapping[str, Any]


class Column(NamedTuple):
    """`key` of the row, `title` above the column, `most` characters that it may be wide; `right` aligns numbers, `wrap` breaks
    sentences into lines."""

    key: str
    title: str
    most: int
    right: bool = False
    wrap: bool = False


def show_duration(seconds: float | None) -> str:
    """A time in its two largest units, such as `58m 12s`."""
    if seconds is None:
        return "-"
    left = int(seconds)
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count}{unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def show_cell(key: str, value: Any) -> list[str]:
    """A value as the lines of its cell."""
    if isinstance(value, list):
        return [line for one in value for line in show_cell(key, one)] or ["-"]
    if key.endswith("_seconds"):
        return [show_duration(value)]
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    return ["-" if value is None or value == "" else str(value)]


def columns_of(row: Row) -> list[Column]:
    """Columns for rows that nobody has described: one for each key."""
    return [
        Column(key, key.removesuffix("_seconds").replace("_", " "), 40, isinstance(value, (int, float)))
        for key, value in row.items()
    ]


def table(rows: Iterable[Row], columns: Sequence[Column], colour: bool = False) -> Iterator[str]:
    """The lines of a table: a heading, then the rows; nothing when there is no row."""
    rows = iter(rows)
    first = list(itertools.islice(rows, SAMPLE))
    if not first:
        return
    shown = [column for column in columns if any(column.key in row for row in first)]
    widths = _widths(first, shown)
    heading = _line([(column.title, width, column.right) for column, width in zip(shown, widths, strict=True)])
    yield f"{_BOLD}{heading}{_PLAIN}" if colour else heading
    for row in itertools.chain(first, rows):
        yield from _row([_cell(column, row, width) for column, width in zip(shown, widths, strict=True)], shown, widths, colour)


def _widths(rows: Sequence[Row], columns: Sequence[Column]) -> list[int]:
    """As wide as the widest cell, when all fits; else as wide as most cells are, so that a few long ones do not break up the
    rest; else narrower still."""
    lengths = [sorted(len(line) for row in rows for line in show_cell(column.key, row.get(column.key))) for column in columns]
    titles = [len(column.title) for column in columns]

    def at(share: float) -> list[int]:
        return [
            min(column.most, max(title, cells[-1] if cells[-1] <= SHORT else cells[int(share * (len(cells) - 1))]))
            for column, title, cells in zip(columns, titles, lengths, strict=True)
        ]

    room = WIDTH - 2 * (len(columns) - 1)
    widths = next((found for share in (1.0, 0.9, 0.8, 0.5) if sum(found := at(share)) <= room), at(0.5))
    while sum(widths) > room:
        widest = max(range(len(widths)), key=lambda index: widths[index] - titles[index])
        if widths[widest] <= titles[widest]:
            break
        widths[widest] -= 1
    return widths


def _cell(column: Column, row: Row, width: int) -> list[str]:
    lines = show_cell(column.key, row.get(column.key))
    return [part for line in lines for part in textwrap.wrap(line, width) or [""]] if column.wrap else lines


def _line(cells: Sequence[tuple[str, int, bool]]) -> str:
    return "  ".join(text.rjust(width) if right else text.ljust(width) for text, width, right in cells).rstrip()


def _row(cells: list[list[str]], columns: Sequence[Column], widths: Sequence[int], colour: bool) -> Iterator[str]:
    for depth in range(max(len(cell) for cell in cells)):
        line, at, start = "", 0, 0
        for cell, column, width in zip(cells, columns, widths, strict=True):
            text = cell[depth] if depth < len(cell) else ""
            if text:
                if at > start or start + len(text) > max(WIDTH, len(text)):
                    yield line
                    line = ""
                    start = min(start, max(0, WIDTH - len(text)))
                    at = start
                padding = " " * (start - _length(line))
                aligned = text.rjust(width) if column.right else text
                line += padding + (_coloured(aligned, colour))
                at = start + len(aligned) + 2
            start += width + 2
        yield line.rstrip()


def _coloured(text: str, colour: bool) -> str:
    code = COLOURS.get(text.strip()) if colour else None
    return f"{code}{text}{_PLAIN}" if code else text


def _length(line: str) -> int:
    for code in (_BOLD, _RED, _GREEN, _YELLOW, _PLAIN):
        line = line.replace(code, "")
    return len(line)
