# SPDX-License-Identifier: Apache-2.0
"""Number spaces of messages: Mobility Header types and ICMPv6 types, declared like options (`halma.wire.optionspace`).

Always holds: a type (with its subtype, where it has one) is declared once in a space; a decoder raises only `DecodeError`
and an encoder only `EncodeError` or `struct.error`, which the callers in this package turn into it.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform

from halma.value import value
from halma.wire.layout import Declaration, compile_function, construct, parse_layout
from halma.wire.optionspace import UNALIGNED, OptionSpace
from halma.wire.shapes import EncodingShapes, Shapes

T = TypeVar("T")


class MobilitySpace:
    """The number space of Mobility Header types (RFC 6275 section 6.1.1)."""

    def __init__(self, options: OptionSpace) -> None:
        self.options = options
        self.declarations: list[Declaration] = []
        self.decoders: list[Callable[[bytes, int], Any] | None] = [None] * 256
        """By MH Type: the decoder of a whole Mobility Header of given length, checked up to its checksum. It gives None for a
        subtype that is not declared."""
        self.encoders: dict[type[Any], Callable[[Any], bytes]] = {}
        """By class: the encoder of a whole Mobility Header with a zero checksum."""
        self.shapes = Shapes(options)
        """Decoders of whole messages that have come often."""
        self.encoding_shapes: dict[type[Any], EncodingShapes] = {}
        """By class: encoders of whole messages that have gone out often."""
        self._subtypes: dict[int, dict[int, Callable[[bytes, int], Any]]] = {}

    def declare(self, declaration: Declaration) -> None:
        """Generate the coder of one message and register it."""
        cls, number, subtype, size = declaration.cls, declaration.number, declaration.subtype, declaration.minimum
        names = [field.name for field in dataclasses.fields(cls)]
        made = parse_layout(declaration.layout, names[:-1])
        scope = {
            "unpack": struct.Struct("!6x" + ("" if subtype is None else "x") + made.format).unpack_from,
            "pack": struct.Struct("!BBBxH" + ("" if subtype is None else "B") + made.format).pack,
            "decode_options": self.options.decode,
            "encode_options": self.options.encode,
        }
        source = f"def generated(b, end):\n    if end < {-(-size // 8) * 8}: raise DecodeError(HEADER_LENGTH, 1)\n"
        if made.targets:
            source += f"    {', '.join(made.targets)}, = unpack(b)\n"
        source += made.unpacking + f"    {names[-1]} = decode_options(b, {size}, end)\n" + construct(names) + "    return v\n"
        self._register(declaration, compile_function(source, cls, **scope))
        constants = [str(number), "0"] + ([] if subtype is None else [str(subtype)])
        packed = ", ".join(["59", f"({size - 8} + len(tail)) // 8", *constants, *made.packing])
        source = f"def generated(v):\n{made.checking}    tail = encode_options(v.{names[-1]}, {size})\n"
        general = compile_function(source + f"    return pack({packed}) + tail\n", cls, **scope)
        self.encoders[cls] = general
        self.declarations.append(declaration)
        if subtype is None:
            self.shapes.declare(number, cls, made, size)
            self.encoding_shapes[cls] = EncodingShapes(cls, made, size, self.options, general)

    def _register(self, declaration: Declaration, decoder: Callable[[bytes, int], Any]) -> None:
        number, subtype = declaration.number, declaration.subtype
        known = {declaration.subtype for declaration in self.declarations if declaration.number == number}
        if subtype in known or None in known or (known and subtype is None):
            raise TypeError(f"Mobility Header type {number} is declared twice")
        if subtype is None:
            self.decoders[number] = decoder
            return
        table = self._subtypes.setdefault(number, {})
        table[subtype] = decoder

        def decode(data: bytes, end: int) -> Any:
            found = table.get(data[6])
            return None if found is None else found(data, end)

        self.decoders[number] = decode


@dataclass_transform(frozen_default=True)
def message(
    space: MobilitySpace, number: int, layout: str, *, section: str, subtype: int | None = None
) -> Callable[[type[T]], type[T]]:
    """Declare the Mobility Header type `number`: the layout between the checksum and the options, without the first octet
    where that is a subtype, and the RFC and section that define it. The last field holds the mobility options."""

    def declare(cls: type[T]) -> type[T]:
        made = value(cls)
        names = [field.name for field in dataclasses.fields(made)]  # type: ignore[arg-type]
        minimum = 6 + (subtype is not None) + parse_layout(layout, names[:-1]).minimum
        space.declare(Declaration("Mobility Header", number, subtype, made, layout, section, UNALIGNED, False, minimum))
        return made

    return declare


class IcmpSpace:
    """The number space of ICMPv6 types (RFC 4443): those whose code is always 0, with options of Neighbor Discovery, and those
    whose first field is their code."""

    def __init__(self, options: OptionSpace) -> None:
        self.options = options
        self.declarations: list[Declaration] = []
        self.decoders: dict[int, Callable[[bytes, int], Any]] = {}
        """By type: the decoder of a whole ICMPv6 message of given length, whose checksum has been verified."""
        self.encoders: dict[type[Any], Callable[[Any], bytes]] = {}
        """By class: the encoder of a whole ICMPv6 message with a zero checksum."""

    def declare(self, declaration: Declaration) -> None:
        """Generate the coder of one message and register it."""
        cls, number, size = declaration.cls, declaration.number, declaration.minimum
        if number in self.decoders:
            raise TypeError(f"ICMPv6 type {number} is declared twice")
        names = [field.name for field in dataclasses.fields(cls)]
        with_code, with_options = names[0] == "code", names[-1] == "options"
        made = parse_layout(declaration.layout, names[with_code : len(names) - with_options])
        scope = {
            "unpack": struct.Struct("!4x" + made.format).unpack_from,
            "pack": struct.Struct("!BBH" + made.format).pack,
            "decode_options": self.options.decode,
            "encode_options": self.options.encode,
        }
        source = f"def generated(b, n):\n    if n < {size}: raise DecodeError(MESSAGE_LENGTH, n)\n"
        source += "    code = b[1]\n" if with_code else "    if b[1]: raise DecodeError(CODE, 1)\n"
        if made.targets:
            source += f"    {', '.join(made.targets)}, = unpack(b)\n"
        if with_options:
            source += f"    options = decode_options(b, {size}, n)\n"
        elif made.tail is not None:
            source += f"    {made.tail} = b[{size}:]\n"
        else:
            raise TypeError(f"{cls.__name__} must end in options or in a rest")
        source += made.unpacking + construct(names) + "    return v\n"
        self.decoders[number] = compile_function(source, cls, **scope)
        tail = f"encode_options(v.options, {size})" if with_options else f"v.{made.tail}"
        packed = ", ".join([str(number), "v.code" if with_code else "0", "0", *made.packing])
        source = f"def generated(v):\n{made.checking}    return pack({packed}) + {tail}\n"
        self.encoders[cls] = compile_function(source, cls, **scope)
        self.declarations.append(declaration)


@dataclass_transform(frozen_default=True)
def icmp_message(space: IcmpSpace, number: int, layout: str, *, section: str) -> Callable[[type[T]], type[T]]:
    """Declare the ICMPv6 type `number`: the layout that follows the checksum, and the RFC and section that define it. A first
    field `code` holds the code (others must have 0); a last field `options` holds options of Neighbor Discovery."""

    def declare(cls: type[T]) -> type[T]:
        made = value(cls)
        names = [field.name for field in dataclasses.fields(made)]  # type: ignore[arg-type]
        within = names[names[0] == "code" : len(names) - (names[-1] == "options")]
        minimum = 4 + parse_layout(layout, within).minimum
        space.declare(Declaration("ICMPv6", number, None, made, layout, section, UNALIGNED, False, minimum))
        return made

    return declare
