# SPDX-License-Identifier: Apache-2.0
"""Layouts: the format section of an RFC as one line, turned into pieces of the source code of a coder.

A layout has words, which the fields of the declared class take in order:

    B H I Q     an unsigned integer of 1, 2, 4 or 8 octets; H&fff0 keeps the bits of the mask and ignores the others
    16s         exactly 16 octets
    3x          3 reserved octets: zero when sent, ignored when received, no field of the class
    {6,1,x9}    an integer split into bit fields from the left, here 6 bits, 1 bit and 9 reserved bits
    p           octets preceded by one octet with their number; such words come last
    *           the rest: any number of octets; *0/4 only that many; *4+ that many or more

Always holds: generated code reads nothing outside the bounds it was given; its source comes from declarations of this
package alone, never from outside.
"""

from __future__ import annotations

import dataclasses
import re
import struct
from typing import Any

from halma.value import constructor
from halma.wire.errors import DecodeError, DecodeReason, EncodeError

_WORD = re.compile(
    r"\{(?P<bits>[x\d,]+)\}|(?P<count>\d*)(?P<code>[xBHIQs])(?:&(?P<mask>[0-9a-f]+))?|(?P<string>p)|\*(?P<sizes>[\d/+]*)"
)
_WIDTH = {8: "B", 16: "H", 32: "I", 64: "Q"}


@dataclasses.dataclass(frozen=True, slots=True)
class Declaration:
    """What was declared of one message or option: for tables, tests and tools."""

    space: str
    """The name of its number space."""
    number: int
    subtype: int | None
    cls: type[Any]
    layout: str
    section: str
    """The RFC and section that define it, such as "5213#8.3"."""
    align: tuple[int, int]
    """The alignment requirement xn+y as (x, y); (1, 0) is none."""
    align_rest: bool
    """Whether the alignment follows from the size of the rest, see `halma.wire.optionspace.option`."""
    minimum: int
    """The least number of octets, without the type and length of an option, with the whole header of a message."""
    inner: str | None = None
    """The name of the space of the options inside it."""


@dataclasses.dataclass(slots=True)
class Layout:
    """A layout and the fields of its class, as pieces of source code in which `v` is the value."""

    format: str = ""
    """The fixed part, for `struct`."""
    size: int = 0
    """The octets of the fixed part."""
    targets: list[str] = dataclasses.field(default_factory=list)
    """The variables that unpacking the fixed part assigns to."""
    unpacking: str = ""
    """Statements that make the fields out of the targets."""
    checking: str = ""
    """Statements that raise EncodeError for a field that does not fit."""
    packing: list[str] = dataclasses.field(default_factory=list)
    """The expressions that packing the fixed part takes."""
    strings: list[str] = dataclasses.field(default_factory=list)
    tail: str | None = None
    sizes: str = ""
    """The sizes that the rest may have, as written in the layout."""

    @property
    def minimum(self) -> int:
        """The least number of octets that the layout stands for."""
        smallest = min(int(size) for size in re.split("[/+]", self.sizes) if size) if self.sizes else 0
        return self.size + len(self.strings) + smallest

    def size_test(self, length: str, fixed: int) -> str:
        """An expression that is true when a rest of `length - fixed` octets is not allowed; empty when all are."""
        if not self.sizes:
            return f"{length} < {fixed}" if fixed else ""
        if self.sizes.endswith("+"):
            return f"{length} < {fixed + int(self.sizes[:-1])}"
        allowed = ", ".join(str(fixed + int(size)) for size in re.split("[/+]", self.sizes))
        return f"{length} not in ({allowed},)"


def parse_layout(layout: str, names: list[str]) -> Layout:
    """Give the words of a layout to the fields of a class: raises TypeError when they do not match."""
    remaining = list(names)
    made = Layout()
    for word in layout.split():
        found = _WORD.fullmatch(word)
        if found is None or made.tail is not None or (made.strings and found["string"] is None):
            raise TypeError(f"layout {layout!r} has a wrong word {word!r}")
        if found["code"] != "x" and not remaining:
            raise TypeError(f"layout {layout!r} has more words than the fields {names}")
        if found["bits"] is not None:
            _parse_bits(made, found["bits"].split(","), remaining)
        elif found["code"] == "x":
            made.format += found["count"] + "x"
        elif found["code"] == "s":
            name = remaining.pop(0)
            made.format += found["count"] + "s"
            made.targets.append(name)
            made.checking += f"    if len(v.{name}) != {found['count']}: raise EncodeError('{name}')\n"
            made.packing.append(f"v.{name}")
        elif found["code"] is not None:
            _parse_integers(made, found, remaining)
        elif found["string"] is not None:
            name = remaining.pop(0)
            made.strings.append(name)
            made.checking += f"    if len(v.{name}) > 255: raise EncodeError('{name}')\n"
        else:
            made.tail, made.sizes = remaining.pop(0), found["sizes"]
    if remaining:
        raise TypeError(f"layout {layout!r} leaves out the fields {remaining}")
    made.size = struct.calcsize("!" + made.format)
    return made


def _parse_integers(made: Layout, found: re.Match[str], remaining: list[str]) -> None:
    """A word such as 2H or H&fff0."""
    for _ in range(int(found["count"] or 1)):
        name = remaining.pop(0)
        made.format += found["code"]
        made.targets.append(name)
        if found["mask"] is None:
            made.packing.append(f"v.{name}")
        else:
            made.unpacking += f"    {name} &= 0x{found['mask']}\n"
            made.packing.append(f"v.{name} & 0x{found['mask']}")


def _parse_bits(made: Layout, words: list[str], remaining: list[str]) -> None:
    """A word such as {6,1,x9}."""
    width = sum(int(word.lstrip("x")) for word in words)
    group = f"group{len(made.targets)}"
    made.format += _WIDTH[width]
    made.targets.append(group)
    parts, shift = [], width
    for word in words:
        bits = int(word.lstrip("x"))
        shift -= bits
        if not word.startswith("x"):
            name = remaining.pop(0)
            made.unpacking += f"    {name} = {group} >> {shift} & {(1 << bits) - 1}\n"
            made.checking += f"    if not 0 <= v.{name} < {1 << bits}: raise EncodeError('{name}')\n"
            parts.append(f"v.{name} << {shift}")
    made.packing.append(" | ".join(parts))


def construct(names: list[str]) -> str:
    """Code that makes the instance `v`."""
    return f"    v = cls({', '.join(names)})\n"


def compile_function(source: str, cls: type[Any], **more: Any) -> Any:
    """The function `generated` that `source` defines, with the names that generated code uses in its scope."""
    scope: dict[str, Any] = {reason.name: reason for reason in DecodeReason}
    scope |= {"DecodeError": DecodeError, "EncodeError": EncodeError, "cls": constructor(cls), **more}
    exec(source, scope)
    return scope["generated"]
