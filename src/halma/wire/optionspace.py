# SPDX-License-Identifier: Apache-2.0
"""Number spaces of type-length-value options: mobility options and their sub-options, destination options, and the options
of Neighbor Discovery.

An option is declared by a class with annotated fields and a layout (`halma.wire.layout`). From it `option` makes a value
class (`halma.value`) and two functions of straight-line code, so that a declaration is as short to read as the picture
in the RFC, and the coder as fast as one written by hand.

Always holds: a number is declared once in a space; a decoder raises only `DecodeError` and an encoder only `EncodeError`;
an option with a number that is not declared survives byte for byte.
"""

from __future__ import annotations

import dataclasses
import re
import struct
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, dataclass_transform

from halma.value import value
from halma.wire.errors import DecodeError, DecodeReason, EncodeError
from halma.wire.layout import Declaration, Layout, compile_function, construct, parse_layout

T = TypeVar("T")

PAD1, PADN = 0, 1
UNALIGNED = (1, 0)
PADDING = (b"", b"\0", *(bytes((PADN, size - 2)) + bytes(size - 2) for size in range(2, 8)))
"""So many octets of Pad1 or PadN (RFC 6275 sections 6.2.2 and 6.2.3, RFC 8200 section 4.2)."""


class Option:
    """An option of any space: see `halma.wire.options`, `halma.wire.nd` and `halma.wire.ipv6`."""

    __slots__ = ()


@value
class UnknownOption(Option):
    """An option whose number is not declared: it survives byte for byte."""

    number: int
    data: bytes


class OptionSpace:
    """A number space of options and its coder.

    `unit` is what the length counts: 1 for the octets after it (mobility options, destination options), 8 for
    all octets of the option in units of eight (Neighbor Discovery). `padded` spaces have Pad1 and PadN.
    """

    decode: Callable[[bytes, int, int], tuple[Option, ...]]
    """The options in the given octets from one offset to another, without padding: raises DecodeError."""
    encode: Callable[[Iterable[Option], int], bytes]
    """Options in their order, each aligned as declared, to stand at an offset from the start of their header; a padded
    space is filled up to a multiple of eight octets. Raises EncodeError."""

    def __init__(self, name: str, *, padded: bool, unit: int = 1) -> None:
        self.name = name
        self.padded = padded
        self.unit = unit
        self.declarations: dict[int, Declaration] = {}
        self.simple: dict[int, tuple[type[Any], Layout, tuple[Any, ...]]] = {}
        """By number: the options whose fields are just what an unpacking gives, and what is left over; with all that it can be
        where that is one octet."""
        self._decoders: dict[int, Callable[[bytes, int, int], Option]] = {}
        self._encoders: dict[type[Option], Callable[[Any, int], bytes]] = {UnknownOption: self._encode_unknown}
        self.decode = self._make_decode_units() if unit > 1 else self._make_decode()
        self.encode = self._make_encode()

    def declare(self, declaration: Declaration, inner: OptionSpace | None, check: Callable[[Any], bool] | None) -> None:
        """Generate the coder of one option and register it."""
        number, cls, align = declaration.number, declaration.cls, declaration.align
        if number in self.declarations:
            raise TypeError(f"{self.name} {number} is declared twice")
        names = [field.name for field in dataclasses.fields(cls)]
        made = parse_layout(declaration.layout, names)
        scope = {
            "unpack": struct.Struct("!" + made.format).unpack_from,
            "pack": struct.Struct("!BB" + made.format).pack,
            "inner_decode": inner and inner.decode,
            "inner_encode": inner and inner.encode,
            "check": check,
            "PADS": _pads(*align),
            "PADS_BY_SIZE": tuple(_pads(*_rest_alignment(made.size + 2, size)) for size in range(8)),
        }
        values = tuple(map(cls, range(256))) if check is None and _is_lone_octet(made) else ()
        scope["VALUES"] = values
        self._decoders[number] = compile_function(self._decode_source(made, names, inner, check), cls, **scope)
        self._encoders[cls] = compile_function(self._encode_source(made, declaration, inner, check), cls, **scope)
        self.declarations[number] = declaration
        if not (made.unpacking or made.strings or inner or check):
            self.simple[number] = cls, made, values

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
                start = offset + 2
                if start > end:
                    raise DecodeError(DecodeReason.OPTION_OVERRUN, offset)
                number, units = data[offset], data[offset + 1]
                if not units:
                    raise DecodeError(DecodeReason.OPTION_LENGTH, start - 1)
                offset += units * unit
                if offset > end:
                    raise DecodeError(DecodeReason.OPTION_OVERRUN, start - 1)
                decoder = get(number)
                if decoder is None:
                    options.append(UnknownOption(number, data[start:offset]))
                else:
                    options.append(decoder(data, start, offset - start))
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

    def _encode_unknown(self, option: UnknownOption, _offset: int) -> bytes:
        """An unknown option as it came; its alignment requirement is unknown, too."""
        length = len(option.data)
        if self.unit > 1:
            if (length + 2) % self.unit:
                raise EncodeError(f"the data of {self.name} {option.number} does not fill units of {self.unit} octets")
            length = (length + 2) // self.unit
        return struct.pack("!BB", option.number, length) + option.data

    def _decode_source(
        self, made: Layout, names: list[str], inner: OptionSpace | None, check: Callable[[Any], bool] | None
    ) -> str:
        fail = "raise DecodeError(OPTION_LENGTH, o - 1)\n"
        fixed = made.tail is None and not made.strings
        test = f"n != {made.size}" if fixed else made.size_test("n", made.size)
        source = "def generated(b, o, n):\n" + (f"    if {test}: {fail}" if test else "")
        if check is None and _is_lone_octet(made):
            return source + f"    return VALUES[b[o + {made.size - 1}]]\n"
        if made.targets:
            source += f"    {', '.join(made.targets)}, = unpack(b, o)\n"
        if made.strings:
            source += f"    e = o + n\n    q = o + {made.size}\n"
            for name in made.strings:
                source += f"    if q >= e: {fail}    {name} = b[q + 1:q + 1 + b[q]]\n    q += 1 + b[q]\n"
            source += f"    if q != e: {fail}"
        if made.tail is not None:
            source += f"    {made.tail} = " + (
                f"inner_decode(b, o + {made.size}, o + n)\n" if inner else f"b[o + {made.size}:o + n]\n"
            )
        source += made.unpacking + construct(names)
        return source + (f"    if not check(v): {fail}" if check else "") + "    return v\n"

    def _encode_source(
        self, made: Layout, declaration: Declaration, inner: OptionSpace | None, check: Callable[[Any], bool] | None
    ) -> str:
        source = "def generated(v, o):\n" + made.checking
        if check:
            source += "    if not check(v): raise EncodeError('fields contradict one another')\n"
        if made.strings:
            source += "    tail = " + " + ".join(f"bytes((len(v.{name}),)) + v.{name}" for name in made.strings) + "\n"
        elif made.tail is not None:
            source += "    tail = " + (f"inner_encode(v.{made.tail}, 0)\n" if inner else f"v.{made.tail}\n")
        varying = made.strings or made.tail is not None
        if made.sizes:
            source += f"    if {made.size_test('len(tail)', 0)}: raise EncodeError('{made.tail}')\n"
        length = f"{made.size} + len(tail)" if varying else str(made.size)
        if self.unit > 1:
            source += f"    if ({length} + 2) % {self.unit}: raise EncodeError('length')\n"
            length = f"({length} + 2) // {self.unit}"
        packed = f"pack({', '.join([str(declaration.number), length, *made.packing])})"
        if declaration.align_rest:
            packed = f"PADS_BY_SIZE[len(tail) & 7][o & 7] + {packed}"
        elif declaration.align != UNALIGNED:
            packed = f"PADS[o & 7] + {packed}"
        return source + f"    return {packed}" + (" + tail\n" if varying else "\n")


def _is_lone_octet(made: Layout) -> bool:
    """Whether a layout is one octet after reserved ones: then there are only 256 values, made once and for all."""
    return re.fullmatch(r"(\d*x)?B", made.format) is not None and made.tail is None and not (made.strings or made.unpacking)


def _pads(multiple: int, remainder: int) -> tuple[bytes, ...]:
    """By the offset of an option modulo 8: the padding that brings it to its alignment."""
    return tuple(PADDING[(remainder - offset) % multiple] for offset in range(8))


def _rest_alignment(before: int, size: int) -> tuple[int, int]:
    """The alignment of an option whose rest of `size` octets follows `before` octets, so that the rest stands at a multiple of
    the greatest power of two that divides its size, at least 2 and at most 8."""
    multiple = next((power for power in (8, 4) if size % power == 0), 2)
    return multiple, -before % multiple


@dataclass_transform(frozen_default=True)
def option(
    space: OptionSpace,
    number: int,
    layout: str,
    *,
    section: str,
    align: tuple[int, int] = UNALIGNED,
    align_rest: bool = False,
    inner: OptionSpace | None = None,
    check: Callable[[Any], bool] | None = None,
) -> Callable[[type[T]], type[T]]:
    """Declare the option `number` of `space`.

    `layout` is what follows type and length, `section` the RFC and section that define it (such as "5213#8.3"), `align`
    the alignment requirement xn+y as (x, y). With `align_rest` the rest is aligned by its size, naturally. `inner` is the space
    of the options in the rest. `check` tells whether fields agree with one another, where the RFC demands it.
    """

    def declare(cls: type[T]) -> type[T]:
        made = value(cls)
        minimum = parse_layout(layout, [field.name for field in dataclasses.fields(made)]).minimum  # type: ignore[arg-type]
        inner_name = None if inner is None else inner.name
        declaration = Declaration(space.name, number, None, made, layout, section, align, align_rest, minimum, inner_name)
        space.declare(declaration, inner, check)
        return made

    return declare
