# SPDX-License-Identifier: Apache-2.0
"""The page of all messages and options, made from their declarations: `python -m halma.wire.table > docs/messages.md`.

Always holds: the page has every declaration once, in the order of the numbers; the same declarations make the same page.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from halma.wire import icmpv6 as _icmpv6  # noqa: F401 - declares
from halma.wire import ipv6 as _ipv6  # noqa: F401 - declares
from halma.wire import mobility as _mobility  # noqa: F401 - declares
from halma.wire.layout import Declaration
from halma.wire.spaces import ICMPV6_MESSAGES, MOBILITY_MESSAGES, OPTION_SPACES
from halma.wire.text import title_of_class

_INTRODUCTION = """\
# Messages and options

Made by `python -m halma.wire.table` from the declarations in `src/halma/wire/`; a test compares the two. What a word of a
layout means is written in `src/halma/wire/layout.py`: `B`, `H`, `I`, `Q` are integers of 1, 2, 4 and 8 octets, `16s` so many
octets, `x` reserved ones, `{...}` bit fields, `p` octets after their number, `*` the rest. A layout starts after type and
length of an option, and after the checksum of a message.
"""


def declarations() -> dict[str, list[Declaration]]:
    """All declarations by the title of their table, in the order of the numbers."""
    tables = {
        "Mobility Header messages": MOBILITY_MESSAGES.declarations,
        "ICMPv6 messages": ICMPV6_MESSAGES.declarations,
    }
    for space in OPTION_SPACES:
        tables[f"{space.name[0].upper()}{space.name[1:]}s"] = list(space.declarations.values())
    return {title: sorted(found, key=lambda each: (each.number, each.subtype or 0)) for title, found in tables.items()}


def _section(section: str) -> str:
    rfc, _, place = section.partition("#")
    return f"[RFC {rfc} section {place}](https://www.rfc-editor.org/rfc/rfc{rfc}#section-{place})"


def _alignment(declaration: Declaration) -> str:
    if declaration.align_rest:
        return "by size"
    multiple, remainder = declaration.align
    if multiple == 1:
        return ""
    return f"{multiple}n+{remainder}" if remainder else f"{multiple}n"


def _row(declaration: Declaration) -> str:
    number = str(declaration.number) if declaration.subtype is None else f"{declaration.number}/{declaration.subtype}"
    fields = ", ".join(field.name for field in dataclasses.fields(declaration.cls))
    cells = (
        number,
        title_of_class(declaration.cls),
        f"`{declaration.cls.__name__}({fields})`",
        f"`{declaration.layout}`" if declaration.layout else "",
        _alignment(declaration),
        _section(declaration.section),
    )
    return f"| {' | '.join(cells)} |"


def _table(title: str, found: Iterable[Declaration]) -> str:
    head = "| Number | Name | Value | Layout | Alignment | Defined in |\n| ---: | --- | --- | --- | --- | --- |"
    return "\n".join([f"\n## {title}\n", head, *(_row(declaration) for declaration in found), ""])


def page() -> str:
    """The page as Markdown."""
    return _INTRODUCTION + "".join(_table(title, found) for title, found in declarations().items())


if __name__ == "__main__":
    print(page(), end="")
