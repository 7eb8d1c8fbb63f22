# SPDX-License-Identifier: Apache-2.0
"""Message ladders as SVG pictures, in the style of figures 5 and 6 of RFC 6612.

A ladder is drawn for the width at which it will be shown: what does not fit between its columns stands over its arrow, and is
left out only where it fits nowhere.

Always holds: the picture is as high as its ladder is long; every arrow has its time at the left and its name on it; no word
leaves the picture.
"""

from __future__ import annotations

from halma.lab.ladder import Arrow, Box, Ladder
from halma.lab.picture import FAINT, HAIR, INK, Picture

_WIDEST = 215.0
"""How far columns are apart where there is room."""
_NARROW = 600.0
_HEAD = 62.0
_COLOURS = {"signal": "#1f4e9c", "neighbor": "#6b7785", "data": "#2e8b57"}
_LETTER = 0.55
"""How wide a letter is, in its size, about."""
_LINE = 15.0


class _Sheet:
    """A picture with its columns."""

    def __init__(self, ladder: Ladder, width: float) -> None:
        self.narrow = width < _NARROW
        left, right = (84.0, 38.0) if self.narrow else (150.0, 110.0)
        gaps = max(1, len(ladder.columns) - 1)
        spacing = min(_WIDEST, (width - left - right) / gaps)
        self.head = min(46.0, spacing / 2 - 1, right - 4)
        self.places = {name: left + spacing * index for index, (name, _) in enumerate(ladder.columns)}
        self.width = width if self.narrow else left + spacing * gaps + right
        self.size = 10.5 if self.narrow else 12.0
        self.began = ladder.began
        self.heights = [self.height(row) for row in ladder.rows]
        self.picture = Picture(self.width, _HEAD + sum(self.heights) + 24, ladder.title)

    def height(self, row: Arrow | Box) -> float:
        """How high a row is."""
        if isinstance(row, Box):
            return _LINE * len(row.lines) + 20
        return 18.0 + 14.0 * len(self.words(row))

    def words(self, arrow: Arrow) -> list[tuple[str, float, bool]]:
        """The lines over an arrow, each with its size and whether it matters most."""
        signal = arrow.kind == "signal"
        whole = f"{arrow.label}  {arrow.essence}".strip()
        lines = [(whole if self.fits(whole, self.size) else arrow.label, self.size, signal)]
        rest = [part for part in (arrow.particulars,) if part]
        if rest and not self.fits(rest[0], self.size - 2):
            rest = rest[0].split(", ")
        return lines + [(part, self.size - 2, False) for part in rest if self.fits(part, self.size - 2)]

    def fits(self, words: str, size: float) -> bool:
        """Whether words fit into the picture beside the times."""
        return len(words) * _LETTER * size < self.width - 70

    def inside(self, x: float, words: str, size: float) -> float:
        """Where the middle of words is that are to stand around x and inside the picture."""
        half = len(words) * _LETTER * size / 2 + 6
        return max(62.0 + half, min(x, self.width - half))


def draw(ladder: Ladder, width: float = 1100.0) -> str:
    """The ladder as an SVG document of at most that width."""
    sheet = _Sheet(ladder, width)
    picture = sheet.picture
    half = sheet.head
    for name, title in ladder.columns:
        x = sheet.places[name]
        picture.line(x, 40, x, picture.height - 8, FAINT, 1.2)
        picture.box(x - half, 10, 2 * half, 30, "#eef3f8", INK)
        picture.text(x, 30, title, min(14.0, 1.15 * half / len(title) / _LETTER), INK, "middle", bold=True)
    y = _HEAD
    for row, height in zip(ladder.rows, sheet.heights, strict=True):
        middle = y + height - 12
        picture.text(6, middle + 4, f"{(row.time - ladder.began) * 1000:.1f} ms", sheet.size - 1, FAINT)
        if isinstance(row, Box):
            _box(sheet, row, y)
        else:
            picture.line(62, middle, 70, middle, HAIR)
            _arrow(sheet, row, middle)
        y += height
    return str(picture)


def _box(sheet: _Sheet, box: Box, y: float) -> None:
    size = max(len(line) for line in box.lines) * _LETTER * sheet.size + 18
    middle = max(66 + size / 2, min(sheet.places[box.node], sheet.width - size / 2 - 4))
    sheet.picture.box(middle - size / 2, y + 4, size, _LINE * len(box.lines) + 8, "#fff8e6", "#b8860b")
    for index, line in enumerate(box.lines):
        sheet.picture.text(middle, y + 19 + _LINE * index, line, sheet.size - 0.5, INK, "middle")


def _arrow(sheet: _Sheet, arrow: Arrow, y: float) -> None:
    colour = _COLOURS[arrow.kind]
    source, target = sheet.places[arrow.source], sheet.places[arrow.target]
    sheet.picture.arrow(source, target, y, colour, "5 3" if arrow.kind == "data" else "")
    lines = sheet.words(arrow)
    for index, (words, size, matters) in enumerate(lines):
        x = sheet.inside((source + target) / 2, words, size)
        above = 5 + 13 * (len(lines) - 1 - index)
        sheet.picture.text(x, y - above, words, size, colour if index == 0 else FAINT, "middle", bold=matters)
