# SPDX-License-Identifier: Apache-2.0
"""Message ladders as SVG pictures.

Always holds: the picture is as high as its ladder is long; every arrow has its time at the left and its name on it.
"""

from __future__ import annotations

from halma.lab.ladder import Arrow, Box, Ladder
from halma.lab.picture import FAINT, HAIR, INK, Picture

_LEFT = 150.0
_SPACING = 215.0
_RIGHT = 110.0
_HEAD = 62.0
_COLOURS = {"signal": "#1f4e9c", "neighbor": "#6b7785", "data": "#2e8b57"}
_LETTER = 6.1
"""How wide a letter of the small size is, about."""


def draw(ladder: Ladder) -> str:
    """The ladder as an SVG document."""
    places = {name: _LEFT + _SPACING * index for index, (name, _) in enumerate(ladder.columns)}
    heights = [_height(row) for row in ladder.rows]
    width = _LEFT + _SPACING * (len(ladder.columns) - 1) + _RIGHT
    height = _HEAD + sum(heights) + 24
    picture = Picture(width, height, ladder.title)
    for name, title in ladder.columns:
        x = places[name]
        picture.line(x, 40, x, height - 8, FAINT, 1.2)
        picture.box(x - 46, 10, 92, 30, "#eef3f8", INK)
        picture.text(x, 30, title, 14, INK, "middle", bold=True)
    y = _HEAD
    for row, size in zip(ladder.rows, heights, strict=True):
        middle = y + size - 12
        picture.text(8, middle + 4, f"{(row.time - ladder.began) * 1000:.1f} ms", 11, FAINT)
        picture.line(66, middle, 78, middle, HAIR)
        if isinstance(row, Box):
            _box(picture, row, places[row.node], y, width)
        else:
            _arrow(picture, row, places[row.source], places[row.target], middle)
        y += size
    return str(picture)


def _height(row: Arrow | Box) -> float:
    if isinstance(row, Box):
        return 15.0 * len(row.lines) + 20
    return 46.0 if row.particulars else 32.0


def _box(picture: Picture, box: Box, x: float, y: float, width: float) -> None:
    size = max(_LETTER * 1.1 * len(line) for line in box.lines) + 18
    left = max(84.0, min(x - size / 2, width - size - 4))
    height = 15.0 * len(box.lines) + 8
    picture.box(left, y + 4, size, height, "#fff8e6", "#b8860b")
    for index, line in enumerate(box.lines):
        picture.text(left + size / 2, y + 19 + 15 * index, line, 11.5, INK, "middle")


def _arrow(picture: Picture, arrow: Arrow, source: float, target: float, y: float) -> None:
    colour = _COLOURS[arrow.kind]
    middle = (source + target) / 2
    picture.arrow(source, target, y, colour, "5 3" if arrow.kind == "data" else "")
    words = f"{arrow.label}  {arrow.essence}".strip()
    if len(words) * _LETTER * 1.1 > abs(target - source) + 90:
        words = arrow.label
    above = 19 if arrow.particulars else 5
    picture.text(middle, y - above, words, 12, colour, "middle", bold=arrow.kind == "signal")
    if arrow.particulars:
        picture.text(middle, y - 5, arrow.particulars, 10, FAINT, "middle")
