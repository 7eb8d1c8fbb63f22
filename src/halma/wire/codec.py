# SPDX-License-Identifier: Apache-2.0
"""Declarations of wire formats, and the coders generated from them when this package is imported.

A message or an option is a class with annotated fields and a *layout*: the format section of its RFC as one line. From it
`option` and `message` make a value class (`halma.value`) and two functions of straight-line code, so that a declaration is
as short to read as the picture in the RFC, and the coder as fast as one written by hand. A layout has words:

    B H I Q     an unsigned integer of 1, 2, 4 or 8 octets; H&fff0 keeps the bits of the mask and ignores the others
    16s         exactly 16 octets
    3x          3 reserved octets: zero when sent, ignored when received, no field of the class
    {6,1,x9}    an integer split into bit fields from the left, here 6 bits, 1 bit and 9 reserved bits
    *           the rest: any number of octets; *0|4 only that many; *N|  N octets or more

The fields of the class take the words in order. Where the field of a rest is a tuple, it holds the options of the space
that `inner` names, and the field called `options` of a message holds its mobility options.

Always holds: generated code reads nothing outside the bounds it was given; a decoder raises only `DecodeError` and an
encoder only `EncodeError`; a number is declared once in a space.
"""

from __future__ import annotations

import dataclasses
import re
import struct
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, dataclass_transform

from halma.value import value
from halma.wire.errors import DecodeError, DecodeReason, EncodeError

T = TypeVar("T")

PAD1, PADN = 0, 1
NO_PADDING = (1, 0)
PADDING = (b"", b"\0", *(bytes((PADN, size - 2)) + bytes(size - 2) for size in range(2, 8)))
"""So many octets of Pad1 or PadN (RFC 6275 sections 6.2.2 and 6.2.3)."""

_WORD = re.compile(
    r"\{(?P<bits>[x\d,]+)\}|(?P<count>\d*)(?P<code>[xBHIQs])(?:&(?P<mask>[0-9a-f]+))?|\*(?P<sizes>[\d|]*)"
)
_WIDTH = {8: "B", 16: "H", 32: "I", 64: "Q"}


class Option:
    """An option of any space: see `halma.wire.options` and `halma.wire.nd`."""

    __slots__ = ()


@value
class UnknownOption(Option):
    """An option whose number is not declared: it survives byte for byte."""

    number: int
    data: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Declaration:
    """What was declared of one message or option: for tables, tests and tools."""

    space: str
    number: int
    subtype: int | None
    cls: type[Any]
    layout: str
    align: tuple[int, int]
    section: str
    minimum: int
    """The least number of octets, without the type and length of an option, with the whole header of a message."""


@dataclasses.dataclass(slots=True)
class _Layout:
    """A layout and the fields of its class, as pieces of source code."""

    format: str
    targets: list[str]
    unpacking: list[str]
    checking: list[str]
    packing: list[str]
    tail: str | None
    sizes: str
    size: int


def _parse(layout: str, names: list[str]) -> _Layout:
    """Give the words of a layout to the fields of a class: raises TypeError when they do not match."""
    remaining = list(names)
    made = _Layout("", [], [], [], [], None, "", 0)
    for word in layout.split():
        found = _WORD.fullmatch(word)
        if found is None or made.tail is not None or (not remaining and found["code"] != "x"):
            raise TypeError(f"layout {layout!r} does not fit the fields {names} at {word!r}")
        if found["bits"] is not None:
            _parse_bits(made, found["bits"].split(","), remaining)
        elif found["code"] == "x":
            made.format += found["count"] + "x"
        elif found["code"] == "s":
            name = remaining.pop(0)
            made.format += found["count"] + "s"
            made.targets.append(name)
            made.checking.append(f"    if len(v.{name}) != {found['count']}: raise EncodeError('{name}')\n")
            made.packing.append(f"v.{name}")
        elif found["code"] is not None:
            for _ in range(int(found["count"] or 1)):
                name = remaining.pop(0)
                made.format += found["code"]
                made.targets.append(name)
                if found["mask"] is not None:
                    made.unpacking.append(f"    {name} &= 0x{found['mask']}\n")
                    made.packing.append(f"v.{name} & 0x{found['mask']}")
                else:
                    made.packing.append(f"v.{name}")
        else:
            made.tail, made.sizes = remaining.pop(0), found["sizes"]
    if remaining:
        raise TypeError(f"layout {layout!r} leaves out the fields {remaining}")
    made.size = struct.calcsize("!" + made.format)
    return made


def _parse_bits(made: _Layout, words: list[str], remaining: list[str]) -> None:
    """One group of bit fields: add its code to `made` and take its names from `remaining`."""
    width = sum(int(word.lstrip("x")) for word in words)
    group = f"_group{len(made.targets)}"
    made.format += _WIDTH[width]
    made.targets.append(group)
    parts, shift = [], width
    for word in words:
        bits = int(word.lstrip("x"))
        shift -= bits
        if word.startswith("x"):
            continue
        name = remaining.pop(0)
        made.unpacking.append(f"    {name} = {group} >> {shift} & {(1 << bits) - 1}\n")
        made.checking.append(f"    if not 0 <= v.{name} < {1 << bits}: raise EncodeError('{name}')\n")
        parts.append(f"v.{name} << {shift}")
    made.packing.append(" | ".join(parts))


def _size_test(sizes: str, length: str, fixed: int) -> str:
    """An expression that is true when a rest of `length - fixed` octets may not be; empty when all may."""
    if not sizes:
        return ""
    if sizes.endswith("|"):
        return f"{length} < {fixed + int(sizes[:-1])}"
    allowed = ", ".join(str(fixed + int(size)) for size in sizes.split("|"))
    return f"{length} not in ({allowed},)"


def _construct(names: list[str]) -> str:
    """Code that makes an instance: slot setters beat a constructor call."""
    return "    v = new(cls)\n" + "".join(f"    _store_{name}(v, {name})\n" for name in names) + "    return v\n"


def _scope(cls: type[Any], names: list[str], **more: Any) -> dict[str, Any]:
    stores = {f"_store_{name}": cls.__dict__[name].__set__ for name in names}
    return {
        "DecodeError": DecodeError,
        "EncodeError": EncodeError,
        "OPTION_LENGTH": DecodeReason.OPTION_LENGTH,
        "HEADER_LENGTH": DecodeReason.HEADER_LENGTH,
        "new": object.__new__,
        "cls": cls,
        **stores,
        **more,
    }


def compile_function(source: str, scope: dict[str, Any]) -> Any:
    """Run `source`, the text of one function called `generated`, and give the function. The text comes from declarations
    of this package alone, never from outside."""
    exec(source, scope)
    return scope["generated"]


class OptionSpace:
    """A number space of type-length-value options and its coder.

    `unit` is what the length counts: 1 for the octets after it (mobility options, destination options), 8 for
    all octets of the option in units of eight (Neighbor Discovery). `padded` spaces have Pad1 and PadN.
    """

    def __init__(self, name: str, *, padded: bool, unit: int = 1) -> None:
        self.name = name
        self.padded = padded
        self.unit = unit
        self.declarations: dict[int, Declaration] = {}
        self._decoders: dict[int, Callable[[bytes, int, int], Option]] = {}
        self._encoders: dict[type[Option], Callable[[Any, int], bytes]] = {UnknownOption: self._encode_unknown}
        self.decode: Callable[[bytes, int, int], tuple[Option, ...]]
        """The options in `data` from one offset to another: raises DecodeError."""
        self.decode = self._make_decode_units() if unit > 1 else self._make_decode()
        self.encode: Callable[[Iterable[Option], int], bytes]
        """Options in their order, each aligned as declared, to stand at an offset from the start of their header; a padded
        space is filled up to a multiple of eight octets. Raises EncodeError."""
        self.encode = self._make_encode()

    def _encode_unknown(self, option: UnknownOption, _offset: int) -> bytes:
        if self.unit > 1:
            if (len(option.data) + 2) % self.unit:
                raise EncodeError(f"data of {self.name} {option.number} does not fill units of {self.unit} octets")
            return struct.pack("!BB", option.number, (len(option.data) + 2) // self.unit) + option.data
        return struct.pack("!BB", option.number, len(option.data)) + option.data

    def _make_decode(self) -> Callable[[bytes, int, int], tuple[Option, ...]]:
        get, overrun, padded = self._decoders.get, DecodeReason.OPTION_OVERRUN, self.padded

        def decode(data: bytes, offset: int, end: int) -> tuple[Option, ...]:
            options: list[Option] = []
            add = options.append
            while offset < end:
                number = data[offset]
                if not number and padded:
                    offset += 1
                    continue
                start = offset + 2
                if start > end:
                    raise DecodeError(overrun, offset)
                length = data[offset + 1]
                offset = start + length
                if offset > end:
                    raise DecodeError(overrun, start - 1)
                decoder = get(number)
                if decoder is not None:
                    add(decoder(data, start, length))
                elif number != PADN or not padded:
                    add(UnknownOption(number, data[start:offset]))
            return tuple(options)

        return decode

    def _make_decode_units(self) -> Callable[[bytes, int, int], tuple[Option, ...]]:
        get, unit = self._decoders.get, self.unit

        def decode(data: bytes, offset: int, end: int) -> tuple[Option, ...]:
            options: list[Option] = []
            while offset < end:
                if offset + 2 > end:
                    raise DecodeError(DecodeReason.OPTION_OVERRUN, offset)
                number, units = data[offset], data[offset + 1]
                if not units:
                    raise DecodeError(DecodeReason.OPTION_LENGTH, offset + 1)
                start, offset = offset + 2, offset + units * unit
                if offset > end:
                    raise DecodeError(DecodeReason.OPTION_OVERRUN, start - 1)
                decoder = get(number)
                options.append(decoder(data, start, offset - start) if decoder else UnknownOption(number, data[start:offset]))
            return tuple(options)

        return decode

    def _make_encode(self) -> Callable[[Iterable[Option], int], bytes]:
        encoders, padded = self._encoders, self.padded

        def encode(options: Iterable[Option], offset: int) -> bytes:
            parts: list[bytes] = []
            add = parts.append
            try:
                for option in options:
                    part = encoders[type(option)](option, offset)
                    add(part)
                    offset += len(part)
            except struct.error as error:
                raise EncodeError(f"{option}: {error}") from None
            except KeyError:
                raise EncodeError(f"{option!r} is no {self.name}") from None
            if padded:
                add(PADDING[-offset & 7])
            return b"".join(parts)

        return encode

    def declare(self, cls: type[Any], declaration: Declaration, inner: OptionSpace | None) -> None:
        """Generate the coder of one option and register it."""
        number, align = declaration.number, declaration.align
        if number in self.declarations:
            raise TypeError(f"{self.name} {number} is declared twice")
        names = [field.name for field in dataclasses.fields(cls)]
        made = _parse(declaration.layout, names)
        fixed = struct.Struct("!" + made.format)
        scope = _scope(
            cls,
            names,
            unpack=fixed.unpack_from,
            pack=struct.Struct("!BB" + made.format).pack,
            inner_decode=inner and inner.decode,
            inner_encode=inner and inner.encode,
            PADS=tuple(PADDING[(align[1] - offset) % align[0]] for offset in range(8)),
        )
        self._decoders[number] = compile_function(self._decode_source(made, names, inner), scope)
        self._encoders[cls] = compile_function(self._encode_source(made, declaration, inner), scope)
        self.declarations[number] = declaration

    def _decode_source(self, made: _Layout, names: list[str], inner: OptionSpace | None) -> str:
        source = "def generated(b, o, n):\n"
        if made.tail is None:
            source += f"    if n != {made.size}: raise DecodeError(OPTION_LENGTH, o - 1)\n"
        else:
            tests = [f"n < {made.size}"] if made.size and made.sizes in ("", *"|") else []
            tests += [test for test in [_size_test(made.sizes, "n", made.size)] if test]
            source += "".join(f"    if {test}: raise DecodeError(OPTION_LENGTH, o - 1)\n" for test in tests)
        if made.targets:
            source += f"    {', '.join(made.targets)}, = unpack(b, o)\n"
        if made.tail is not None:
            first = f"o + {made.size}" if made.size else "o"
            source += f"    {made.tail} = " + (f"inner_decode(b, {first}, o + n)\n" if inner else f"b[{first}:o + n]\n")
        return source + "".join(made.unpacking) + _construct(names)

    def _encode_source(self, made: _Layout, declaration: Declaration, inner: OptionSpace | None) -> str:
        source = "def generated(v, o):\n" + "".join(made.checking)
        length = str(made.size)
        if made.tail is not None:
            source += f"    tail = inner_encode(v.{made.tail}, 0)\n" if inner else f"    tail = v.{made.tail}\n"
            if made.sizes:
                source += f"    if {_size_test(made.sizes, 'len(tail)', 0)}: raise EncodeError('{made.tail}')\n"
            length = f"{made.size} + len(tail)" if made.size else "len(tail)"
        if self.unit > 1:
            if made.tail is None:
                length = str((made.size + 2) // self.unit)
            else:
                source += f"    if ({length} + 2) % {self.unit}: raise EncodeError('{made.tail}')\n"
                length = f"({length} + 2) // {self.unit}"
        packed = f"pack({', '.join([str(declaration.number), length, *made.packing])})"
        if declaration.align != NO_PADDING:
            packed = f"PADS[o & 7] + {packed}"
        return source + f"    return {packed}" + (" + tail\n" if made.tail is not None else "\n")


@dataclass_transform(frozen_default=True)
def option(
    space: OptionSpace,
    number: int,
    layout: str,
    *,
    section: str,
    align: tuple[int, int] = NO_PADDING,
    inner: OptionSpace | None = None,
) -> Callable[[type[T]], type[T]]:
    """Declare the option `number` of `space`: its layout after type and length, the RFC and section that define it (such as
    "5213#8.3"), its alignment requirement xn+y as (x, y), and the space of the options inside it."""

    def declare(cls: type[T]) -> type[T]:
        made = value(cls)
        minimum = _minimum(layout)
        space.declare(made, Declaration(space.name, number, None, made, layout, align, section, minimum), inner)
        return made

    return declare


def _minimum(layout: str) -> int:
    """The least number of octets a layout stands for."""
    total = 0
    for word in layout.split():
        found = _WORD.fullmatch(word)
        if found is None:
            raise TypeError(f"layout {layout!r} has a word that is none: {word!r}")
        if found["bits"] is not None:
            total += sum(int(bits.lstrip("x")) for bits in found["bits"].split(",")) // 8
        elif found["code"] is not None:
            total += struct.calcsize(f"!{found['count']}{found['code']}")
        elif found["sizes"]:
            total += min(int(size) for size in found["sizes"].split("|") if size)
    return total


class MessageSpace:
    """The number space of Mobility Header types (RFC 6275 section 6.1.1) and the coders of what follows the checksum."""

    def __init__(self, options: OptionSpace) -> None:
        self.options = options
        self.declarations: list[Declaration] = []
        self.decoders: list[Callable[[bytes, int], Any] | None] = [None] * 256
        """By MH Type: the decoder of a whole Mobility Header of given length, checked up to its checksum."""
        self.encoders: dict[type[Any], Callable[[Any], bytes]] = {}
        """By class: the encoder of a whole Mobility Header with a zero checksum."""
        self._subtypes: dict[int, dict[int, Callable[[bytes, int], Any]]] = {}

    def declare(self, cls: type[Any], declaration: Declaration) -> None:
        """Generate the coder of one message and register it."""
        number, subtype, size = declaration.number, declaration.subtype, declaration.minimum
        names = [field.name for field in dataclasses.fields(cls)]
        if names[-1] != "options":
            raise TypeError(f"the last field of {cls.__name__} must be its options")
        made = _parse(declaration.layout, names[:-1])
        before = "" if subtype is None else "B"
        scope = _scope(
            cls,
            names,
            unpack=struct.Struct("!6x" + ("" if subtype is None else "x") + made.format).unpack_from,
            pack=struct.Struct("!BBBxH" + before + made.format).pack,
            decode_options=self.options.decode,
            encode_options=self.options.encode,
        )
        source = f"def generated(b, end):\n    if end < {-(-size // 8) * 8}: raise DecodeError(HEADER_LENGTH, 1)\n"
        if made.targets:
            source += f"    {', '.join(made.targets)}, = unpack(b)\n"
        source += "".join(made.unpacking) + f"    options = decode_options(b, {size}, end)\n" + _construct(names)
        decoder = compile_function(source, scope)
        constants = [str(number), "0"] + ([] if subtype is None else [str(subtype)])
        source = "def generated(v):\n" + "".join(made.checking) + f"    tail = encode_options(v.options, {size})\n"
        header_length = f"({size - 8} + len(tail)) // 8"
        source += f"    return pack({', '.join(['59', header_length, *constants, *made.packing])}) + tail\n"
        self.encoders[cls] = compile_function(source, scope)
        self._register(declaration, decoder)

    def _register(self, declaration: Declaration, decoder: Callable[[bytes, int], Any]) -> None:
        number, subtype = declaration.number, declaration.subtype
        table = self._subtypes.setdefault(number, {})
        if (self.decoders[number] is not None and subtype is None) or subtype in table:
            raise TypeError(f"Mobility Header type {number} is declared twice")
        self.declarations.append(declaration)
        if subtype is None:
            self.decoders[number] = decoder
            return
        table[subtype] = decoder

        def decode(data: bytes, end: int) -> Any:
            found = table.get(data[6])
            return None if found is None else found(data, end)

        self.decoders[number] = decode


@dataclass_transform(frozen_default=True)
def message(
    space: MessageSpace, number: int, layout: str, *, section: str, subtype: int | None = None
) -> Callable[[type[T]], type[T]]:
    """Declare the Mobility Header type `number`: the layout between the checksum and the options, without the first octet
    where that is a subtype, and the RFC and section that define it."""

    def declare(cls: type[T]) -> type[T]:
        made = value(cls)
        minimum = 6 + (subtype is not None) + _minimum(layout)
        space.declare(made, Declaration("Mobility Header", number, subtype, made, layout, NO_PADDING, section, minimum))
        return made

    return declare
