# SPDX-License-Identifier: Apache-2.0
"""Message ladders as plain text, for terminals and mails.

Always holds: no line is wider than asked for; only ASCII is used, as in RFCs.
"""

from __future__ import annotations

import re
import textwrap

from halma.lab.ladder import Arrow, Box, Ladder

_MARGIN = 12
"""Columns for the time at the left."""


class _Canvas:
    """One line of the ladder: its columns' bars, and what is written over them."""

    def __init__(self, width: int, bars: list[int]) -> None:
        self.cells = [" "] * width
        for bar in bars:
            self.cells[bar] = "|"

    def write(self, start: int, text: str) -> None:
        for offset, letter in enumerate(text):
            if 0 <= start + offset < len(self.cells):
                self.cells[start + offset] = letter

    def centred(self, left: int, right: int, text: str) -> None:
        """Write a text in the middle between two bars, cut to fit."""
        text = text[: max(0, right - left - 1)]
        self.write(left + 1 + (right - left - 1 - len(text)) // 2, text)

    def __str__(self) -> str:
        return "".join(self.cells).rstrip()


def draw(ladder: Ladder, width: int = 100) -> str:
    """The ladder as text, `width` columns wide."""
    count = len(ladder.columns)
    half = max(len(title) for _, title in ladder.columns) // 2 + 3
    first, last = _MARGIN + half, width - half - 1
    bars = [first + (last - first) * index // max(1, count - 1) for index in range(count)]
    place = {name: bar for (name, _), bar in zip(ladder.columns, bars, strict=True)}
    lines = [ladder.title, "", *_heads(ladder, width, bars)]
    for row in ladder.rows:
        moment = f"{(row.time - ladder.began) * 1000:9.1f} ms"
        if isinstance(row, Box):
            lines += _box(row, width, bars, place[row.node], moment)
        else:
            lines += _arrow(row, width, bars, place[row.source], place[row.target], moment)
    return "\n".join(lines) + "\n"


def _heads(ladder: Ladder, width: int, bars: list[int]) -> list[str]:
    rule, names = _Canvas(width, []), _Canvas(width, [])
    for bar, (_, title) in zip(bars, ladder.columns, strict=True):
        start = bar - (len(title) + 4) // 2
        rule.write(start, f"+{'-' * (len(title) + 2)}+")
        names.write(start, f"| {title} |")
    return [str(rule), str(names), str(rule)]


def _box(box: Box, width: int, bars: list[int], bar: int, moment: str) -> list[str]:
    widest = max(len(line) for line in box.lines)
    size = min(widest + 4, width - _MARGIN)
    start = max(_MARGIN, min(bar - size // 2, width - size))
    lines = []
    for text in (None, *box.lines, None):
        canvas = _Canvas(width, bars)
        canvas.write(start, f"+{'-' * (size - 2)}+" if text is None else f"| {text[: size - 4].center(size - 4)} |")
        lines.append(canvas)
    lines[1].write(0, moment)
    return [str(line) for line in lines]


def _wrapped(text: str, width: int) -> list[str]:
    """The lines of a text; a number stays with its name and its unit."""
    joined = re.sub(r" (?=\d)|(?<=\d) (?=s\b)", "\0", text)
    return [line.replace("\0", " ") for line in textwrap.wrap(joined, width, break_long_words=False)]


def _arrow(arrow: Arrow, width: int, bars: list[int], source: int, target: int, moment: str) -> list[str]:
    left, right = min(source, target), max(source, target)
    room = right - left - 1
    words = _wrapped(f"{arrow.label} {arrow.essence}".strip(), room)
    if max(map(len, words)) > room:
        words = [arrow.label]
    lines = []
    for text in words:
        canvas = _Canvas(width, bars)
        # The label stands over the bars that the arrow crosses.
        canvas.write(left + 1, " " * room)
        canvas.centred(left, right, text)
        lines.append(canvas)
    shaft = _Canvas(width, bars)
    inside = "-" * room
    shaft.write(left + 1, inside[:-1] + ">" if target > source else "<" + inside[1:])
    shaft.write(0, moment)
    return [str(line) for line in (*lines, shaft)]
