# SPDX-License-Identifier: Apache-2.0
"""SVG, as little of it as the lab's pictures need.

Always holds: what is written is well-formed and self-contained (no script, no reference to anywhere); text is escaped.
"""

from __future__ import annotations

from html import escape

INK = "#1d2733"
FAINT = "#8a97a6"
HAIR = "#d5dce4"
PAPER = "#ffffff"
RED = "#c62828"
PALETTE = ("#1f6fb2", "#d9730d", "#2e8b57", "#8e44ad", "#b8860b", "#00838f")
"""The colours of gateways, in their order; far enough apart for most eyes, and different in grey."""

_FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"


class Picture:
    """An SVG picture that is being drawn."""

    def __init__(self, width: float, height: float, title: str) -> None:
        self.width = width
        self.height = height
        self._title = title
        self._parts: list[str] = []

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str = INK, thick: float = 1.0, dash: str = "") -> None:
        """A straight line."""
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
            f'stroke-width="{thick:g}"{dashes}/>'
        )

    def arrow(self, x1: float, x2: float, y: float, colour: str = INK, dash: str = "") -> None:
        """A level arrow from x1 to x2."""
        way = 1 if x2 > x1 else -1
        self.line(x1, y, x2 - way * 6, y, colour, 1.6, dash)
        points = f"{x2:.1f},{y:.1f} {x2 - way * 9:.1f},{y - 4.5:.1f} {x2 - way * 9:.1f},{y + 4.5:.1f}"
        self._parts.append(f'<polygon points="{points}" fill="{colour}"/>')

    def head(self, x: float, y: float, dx: float, dy: float, colour: str, size: float = 6.0) -> None:
        """The head of an arrow around (x, y) that points along (dx, dy), which has the length 1."""
        tip, left, right = (size, 0.0), (-size, -0.8 * size), (-size, 0.8 * size)
        points = " ".join(f"{x + dx * a - dy * b:.1f},{y + dy * a + dx * b:.1f}" for a, b in (tip, left, right))
        self._parts.append(f'<polygon points="{points}" fill="{colour}"/>')

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: str = PAPER,
        edge: str = INK,
        round_by: float = 4,
        tip: str = "",
    ) -> None:
        """A rectangle; `tip` is what it says under a pointer."""
        inner = f"<title>{escape(tip)}</title>" if tip else ""
        self._parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{round_by:g}" fill="{fill}" '
            f'stroke="{edge}">{inner}</rect>'
        )

    def area(self, x: float, y: float, width: float, height: float, fill: str, tip: str = "") -> None:
        """A rectangle without an edge."""
        inner = f"<title>{escape(tip)}</title>" if tip else ""
        self._parts.append(
            f'<rect x="{x:.2f}" y="{y:.1f}" width="{max(width, 0.2):.2f}" height="{height:.1f}" fill="{fill}">{inner}</rect>'
        )

    def dot(self, x: float, y: float, radius: float, fill: str) -> None:
        """A filled circle."""
        self._parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{fill}"/>')

    def cross(self, x: float, y: float, size: float, colour: str) -> None:
        """A small x."""
        self.line(x - size, y - size, x + size, y + size, colour, 1.2)
        self.line(x - size, y + size, x + size, y - size, colour, 1.2)

    def text(
        self, x: float, y: float, words: str, size: float = 12, colour: str = INK, anchor: str = "start", bold: bool = False
    ) -> None:
        """A line of text with its baseline at y; `anchor` is start, middle or end. A white rim keeps it readable on lines."""
        weight = ' font-weight="600"' if bold else ""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{colour}" text-anchor="{anchor}"{weight} '
            f'stroke="{PAPER}" stroke-width="3" paint-order="stroke" stroke-linejoin="round">{escape(words)}</text>'
        )

    def __str__(self) -> str:
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {self.height:g}" width="{self.width:g}" '
            f'height="{self.height:g}" font-family="{escape(_FONT)}" role="img"><title>{escape(self._title)}</title>'
            f'<rect width="100%" height="100%" fill="{PAPER}"/>{"".join(self._parts)}</svg>'
        )
