# SPDX-License-Identifier: Apache-2.0
"""Messages that look alike, decoded and encoded in one stroke.

A gateway's messages have the same options, of the same lengths, at the same places, day in, day out. When messages of one type
and length have come a few times, the decoder for the very shape of one of them is generated: a single unpacking of the whole
header and the constructors of its values, behind one test that every type and length in it stands where it stood. That takes a
third of the time that the general decoder takes for the options one after the other. Our answers are as alike, so their
encoders are learnt in the same way, from what the general encoder has made.

Always holds: a shape gives what the general coder gives, for it was generated from the same declarations; a message that fits
no shape goes to the general coder; there are at most `MAXIMUM` shapes, whatever comes, and a stranger's messages can cost
the others no more than that theirs are learnt anew.
"""

from __future__ import annotations

import dataclasses
import re
import struct
from collections.abc import Callable
from typing import Any

from halma.value import constructor
from halma.wire.layout import Layout, compile_function
from halma.wire.optionspace import PAD1, PADN, OptionSpace

LEARN_AFTER = 32
"""Messages of one type and length that the general coder had to do, before one of them becomes a shape."""
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
        elements = elements_of(data, offset, self._options)
        if elements is None:
            return None
        mask = bytearray(len(data))
        mask[:3] = b"\xff\xff\xff"
        form, targets, values = "!6x" + made.format, list(made.targets), []
        scope: dict[str, Any] = {}
        for element in elements:
            at = element.offset
            mask[at : at + min(2, element.size)] = b"\xff\xff"[: element.size]
            if element.option is None:
                form += f"{element.size}x"
                continue
            layout = element.layout
            names = [f"{name}_{at}" for name in layout.targets]
            form += f"2x{layout.format}"
            if layout.tail is not None:
                names.append(f"{layout.tail}_{at}")
                form += f"{element.rest}s"
            if element.values:
                scope[f"values_{at}"] = element.values
                values.append(f"values_{at}[{names[0]}]")
            else:
                scope[f"cls_{at}"] = constructor(element.option)
                values.append(f"cls_{at}({', '.join(names)})")
            targets += names
        fields = [field.name for field in dataclasses.fields(cls)][:-1]
        options = "".join(f"{each}, " for each in values)
        source = "def generated(b):\n" + (f"    {', '.join(targets)}, = unpack(b)\n" if targets else "") + made.unpacking
        source += f"    return cls({', '.join([*fields, f'({options})'])})\n"
        unpack = struct.Struct(form).unpack
        bits = int.from_bytes(mask, "big")
        return bits, int.from_bytes(data, "big") & bits, compile_function(source, cls, unpack=unpack, **scope)


@dataclasses.dataclass(frozen=True, slots=True)
class Element:
    """An option in a message, or padding (`option` None): where it begins, and how many octets it has."""

    offset: int
    size: int
    option: type[Any] | None = None
    layout: Layout = dataclasses.field(default_factory=Layout)
    values: tuple[Any, ...] = ()
    """All that the option can be, by its octet, where it has no more than one."""

    @property
    def rest(self) -> int:
        """The octets of an option after the fixed part of its layout."""
        return self.size - 2 - self.layout.size


def elements_of(data: bytes, offset: int, options: OptionSpace) -> list[Element] | None:
    """What stands in a message from `offset` on, which must be well-formed; None where an option is none of those that one
    unpacking does."""
    found: list[Element] = []
    while offset < len(data):
        number = data[offset]
        if number == PAD1:
            element = Element(offset, 1)
        elif number == PADN:
            element = Element(offset, 2 + data[offset + 1])
        elif number in options.simple:
            element = Element(offset, 2 + data[offset + 1], *options.simple[number])
        else:
            return None
        found.append(element)
        offset += element.size
    return found


Kinds = tuple[type[Any], ...]
"""The classes of a message's options, in their order."""


class EncodingShapes:
    """The encoders of one class of messages, by the classes of their options. `general` is the encoder that does any message: a
    whole Mobility Header with a zero checksum."""

    def __init__(self, cls: type[Any], made: Layout, size: int, options: OptionSpace, general: Callable[[Any], bytes]) -> None:
        self.known: dict[Kinds, tuple[Callable[[Any], bytes | None], ...]] = {}
        self._cls, self._made, self._size = cls, made, size
        self._options = options
        self._general = general
        self._missed: dict[Kinds, int] = {}
        self._count = 0

    def encode(self, message: Any) -> bytes:
        """The message in octets, its checksum zero. Raises EncodeError, KeyError or struct.error, as the general encoder."""
        kinds = tuple([type(option) for option in message.options])
        known = self.known.get(kinds)
        if known is not None:
            for shaped in known:
                data = shaped(message)
                if data is not None:
                    return data
        made = self._general(message)
        self._learn(kinds, made)
        return made

    def forget(self) -> None:
        """Know no shapes."""
        self.known.clear()
        self._missed.clear()
        self._count = 0

    def _learn(self, kinds: Kinds, data: bytes) -> None:
        count = self._missed.get(kinds, 0) + 1
        if count < LEARN_AFTER:
            if len(self._missed) >= MAXIMUM:
                self._missed.clear()
            self._missed[kinds] = count
            return
        self._missed[kinds] = 0
        elements = elements_of(data, self._size, self._options)
        if elements is None or kinds != tuple(element.option for element in elements if element.option is not None):
            return
        alike = self.known.get(kinds, ())
        if self._count >= MAXIMUM or len(alike) >= MAXIMUM_ALIKE:
            self.forget()
            alike = ()
        self.known[kinds] = (*alike, self._generate(data, elements))
        self._count += 1

    def _generate(self, data: bytes, elements: list[Element]) -> Callable[[Any], bytes | None]:
        """An encoder of one packing, which gives None for a message whose options have other lengths."""
        source, constants = self._made.checking, {"head": data[:6]}
        form, packed = "!6s" + self._made.format, ["head", *self._made.packing]
        tests, names, begin = [], [], self._size
        for number, element in enumerate(each for each in elements if each.option is not None):
            layout, name = element.layout, f"v{number}"
            names.append(name)
            constants[f"c{number}"] = data[begin : element.offset + 2]
            form += f"{element.offset + 2 - begin}s{layout.format}"
            packed += [f"c{number}", *(_of(name, expression) for expression in layout.packing)]
            source += _of(name, layout.checking)
            if layout.tail is not None:
                tests.append(f"len({name}.{layout.tail}) != {element.rest}")
                packed.append(f"{name}.{layout.tail}")
                form += f"{element.rest}s"
            begin = element.offset + element.size
        constants["end"] = data[begin:]
        assign = f"    {', '.join(names)}, = v.options\n" if names else ""
        refuse = f"    if {' or '.join(tests)}: return None\n" if tests else ""
        done = f"    return pack({', '.join([*packed, 'end'])})\n"
        pack = struct.Struct(f"{form}{len(constants['end'])}s").pack
        generated: Callable[[Any], bytes | None] = compile_function(
            f"def generated(v):\n{assign}{refuse}{source}{done}", self._cls, pack=pack, **constants
        )
        return generated


def _of(name: str, code: str) -> str:
    """Generated code about the value `v`, made to be about another."""
    return re.sub(r"\bv\.", f"{name}.", code)
