# SPDX-License-Identifier: Apache-2.0
"""Messages that look alike, decoded in one stroke.

A gateway's messages have the same options, of the same lengths, at the same places, day in, day out. When messages of one type
and length have come a few times, the decoder for the very shape of one of them is generated: a single unpacking of the whole
header and the constructors of its values, behind one test that every type and length in it stands where it stood. That takes a
third of the time that the general decoder takes for the options one after the other.

Always holds: a shape gives what the general decoder gives, for it was generated from the same declarations; a message that fits
no shape goes to the general decoder; there are at most `MAXIMUM` shapes, whatever comes, and a stranger's messages can cost
the others no more than that theirs are learnt anew.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable
from typing import Any

from halma.wire.layout import Layout, compile_function
from halma.wire.optionspace import PAD1, PADN, OptionSpace

LEARN_AFTER = 32
"""Messages of one type and length that the general decoder had to do, before one of them becomes a shape."""
MAXIMUM = 128
MAXIMUM_ALIKE = 8
"""Shapes of one type and length: an option of varying length may have any in a unit of eight octets."""

Shape = tuple[int, int, Callable[[bytes], Any]]
"""Which bits of the header have to be what, as numbers that end where the header ends, and the decoder then."""


class Shapes:
    """The shapes of the messages of one space, by their Header Len and MH Type (octets 1 and 2)."""

    def __init__(self, options: OptionSpace) -> None:
        self.known: dict[bytes, tuple[Shape, ...]] = {}
        self._options = options
        self._messages: dict[int, tuple[type[Any], Layout, int]] = {}
        self._missed: dict[bytes, int] = {}
        self._count = 0

    def declare(self, number: int, cls: type[Any], made: Layout, size: int) -> None:
        """Messages of this type can have shapes: `made` is the layout between the checksum and octet `size`, where the options
        begin."""
        self._messages[number] = cls, made, size

    def missed(self, data: bytes) -> None:
        """The general decoder had to do this message, and could."""
        key = data[1:3]
        count = self._missed.get(key, 0) + 1
        if count < LEARN_AFTER:
            self._missed[key] = count
            return
        self._missed[key] = 0
        alike = self.known.get(key, ())
        if self._count >= MAXIMUM or len(alike) >= MAXIMUM_ALIKE:
            self.forget()
            alike = ()
        shape = self._learn(data)
        if shape is not None:
            self.known[key] = (*alike, shape)
            self._count += 1

    def forget(self) -> None:
        """Know no shapes."""
        self.known.clear()
        self._missed.clear()
        self._count = 0

    def _learn(self, data: bytes) -> Shape | None:
        """The shape of a message, None where it has an option that one unpacking cannot do."""
        declared = self._messages.get(data[2])
        if declared is None:
            return None
        cls, made, offset = declared
        mask = bytearray(len(data))
        mask[:3] = b"\xff\xff\xff"
        form, targets, values = "!6x" + made.format, list(made.targets), []
        scope: dict[str, Any] = {}
        while offset < len(data):
            number = data[offset]
            mask[offset] = 0xFF
            if number == PAD1:
                form += "x"
                offset += 1
                continue
            mask[offset + 1] = 0xFF
            length = data[offset + 1]
            if number == PADN:
                form += f"{2 + length}x"
            else:
                simple = self._options.simple.get(number)
                if simple is None:
                    return None
                option, layout = simple
                names = [f"{name}_{offset}" for name in layout.targets]
                form += f"2x{layout.format}"
                if layout.tail is not None:
                    names.append(f"{layout.tail}_{offset}")
                    form += f"{length - layout.size}s"
                scope[f"cls_{offset}"] = option
                values.append(f"cls_{offset}({', '.join(names)})")
                targets += names
            offset += 2 + length
        fields = [field.name for field in dataclasses.fields(cls)][:-1]
        options = "".join(f"{each}, " for each in values)
        source = "def generated(b):\n" + (f"    {', '.join(targets)}, = unpack(b)\n" if targets else "") + made.unpacking
        source += f"    return cls({', '.join([*fields, f'({options})'])})\n"
        unpack = struct.Struct(form).unpack
        bits = int.from_bytes(mask, "big")
        return bits, int.from_bytes(data, "big") & bits, compile_function(source, cls, unpack=unpack, **scope)
