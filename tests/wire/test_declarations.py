# SPDX-License-Identifier: Apache-2.0
"""A mistake in a declaration is found when the package is imported."""

from __future__ import annotations

from typing import Any

import pytest

from halma.wire.errors import DecodeError, EncodeError
from halma.wire.messagespace import IcmpSpace, MobilitySpace, icmp_message, message
from halma.wire.optionspace import Option, OptionSpace, option


def declare(layout: str, *names: str, number: int = 5, space: OptionSpace | None = None, **more: Any) -> OptionSpace:
    """A space with one option of these fields."""
    space = space or OptionSpace("test option", padded=True)
    cls = type("Made", (Option,), {"__annotations__": dict.fromkeys(names, "int"), "__slots__": ()})
    del cls.__slots__  # type: ignore[attr-defined]
    option(space, number, layout, section="0#0", **more)(cls)
    return space


@pytest.mark.parametrize(
    ("layout", "names"),
    [
        ("Z", ("a",)),
        ("B", ()),
        ("B", ("a", "b")),
        ("* B", ("a", "b")),
        ("p B", ("a", "b")),
        ("2H", ("a",)),
        ("{7,x2}", ("a",)),
    ],
)
def test_a_layout_that_does_not_fit_its_fields(layout: str, names: tuple[str, ...]) -> None:
    with pytest.raises((TypeError, KeyError, IndexError)):
        declare(layout, *names)


def test_a_number_is_declared_once() -> None:
    space = declare("B", "a")
    declare("B", "a", number=6, space=space)
    with pytest.raises(TypeError, match="declared twice"):
        declare("B", "a", space=space)


def message_class(*names: str) -> type[Any]:
    return type("Made", (), {"__annotations__": dict.fromkeys(names, "int")})


def test_a_message_type_is_declared_once_with_and_without_subtype() -> None:
    space = MobilitySpace(OptionSpace("test option", padded=True))
    message(space, 5, "H", section="0#0")(message_class("a", "options"))
    message(space, 6, "H", section="0#0", subtype=1)(message_class("a", "options"))
    message(space, 6, "H", section="0#0", subtype=2)(message_class("a", "options"))
    for subtype in (None, 1):
        with pytest.raises(TypeError, match="declared twice"):
            message(space, 5, "H", section="0#0", subtype=subtype)(message_class("a", "options"))
    for subtype in (None, 2):
        with pytest.raises(TypeError, match="declared twice"):
            message(space, 6, "H", section="0#0", subtype=subtype)(message_class("a", "options"))


def test_an_icmpv6_type_is_declared_once_and_ends_in_options_or_a_rest() -> None:
    space = IcmpSpace(OptionSpace("test option", padded=False, unit=8))
    icmp_message(space, 5, "H", section="0#0")(message_class("a", "options"))
    with pytest.raises(TypeError, match="declared twice"):
        icmp_message(space, 5, "H *", section="0#0")(message_class("a", "b"))
    with pytest.raises(TypeError, match="must end in"):
        icmp_message(space, 6, "H", section="0#0")(message_class("a"))


def test_a_space_does_not_encode_what_is_not_its_own() -> None:
    space, other = declare("B", "a"), declare("B", "a")
    (cls,) = (declaration.cls for declaration in other.declarations.values())
    with pytest.raises(EncodeError, match="is no test option"):
        space.encode((cls(1),), 0)
    assert other.encode((cls(1),), 0) == b"\5\1\1\1\3\0\0\0"


def test_bit_fields_do_not_spill() -> None:
    space = declare("{2,x2,4} B", "a", "b", "c")
    (cls,) = (declaration.cls for declaration in space.declarations.values())
    assert space.encode((cls(3, 9, 1),), 4) == b"\5\2\xc9\1"
    assert space.decode(b"\5\2\xff\1", 0, 4) == (cls(3, 15, 1),)
    with pytest.raises(EncodeError):
        space.encode((cls(4, 0, 0),), 0)


def test_the_bounds_of_decoding_hold_whatever_follows() -> None:
    space = declare("B *2/4", "a", "b")
    (cls,) = (declaration.cls for declaration in space.declarations.values())
    assert space.decode(b"\5\3abc" + b"\5\5abcde", 0, 5) == (cls(97, b"bc"),)
    for end in range(1, 5):
        with pytest.raises(DecodeError):
            space.decode(b"\5\3abc", 0, end)


def test_an_icmpv6_message_without_fixed_fields() -> None:
    space = IcmpSpace(OptionSpace("test option", padded=False, unit=8))
    icmp_message(space, 6, "", section="0#0")(message_class("options"))
    (cls,) = (declaration.cls for declaration in space.declarations)
    assert space.encoders[cls](cls(())) == b"\6\0\0\0"
    assert space.decoders[6](b"\6\0\0\0", 4) == cls(())
