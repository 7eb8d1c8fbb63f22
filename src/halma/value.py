# SPDX-License-Identifier: Apache-2.0
"""Immutable values that are cheap to make: the nouns of `wire` and `engine`.

A protocol daemon makes a few dozen small objects for every message, and a frozen dataclass pays `object.__setattr__` for each
field of each of them. `@value` gives the same thing (slots, equality, hash, repr, immutability, `dataclasses.fields` and
`dataclasses.replace`) as a `msgspec.Struct`, whose constructor and comparison are C: a value of four fields is made in
50 ns instead of 800, and one that holds no containers is none of the garbage collector's business.

Always holds: two values are equal when their class and all their fields are equal; no field changes after construction.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform

import msgspec

T = TypeVar("T")

_MADE_ANEW = ("__dict__", "__weakref__")
_COMPILED = "__mypyc_attrs__"
"""What mypyc gives to a native class."""
CONSTRUCTOR = "__make__"
"""The name of a function that a compiled class has for that: calling the class takes two calls more."""
_Meta: Any = type(msgspec.Struct)


def constructor(cls: Callable[..., T]) -> Callable[..., T]:
    """What makes a value of a class in the least time, from its fields in their order."""
    return getattr(cls, CONSTRUCTOR, cls)


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def value(cls: type[T]) -> type[T]:
    """Make `cls` a frozen value.

    Defaults must be immutable (they are shared). A `__post_init__` is called last, when there is one: it may check the
    fields and raise, and cannot change them.
    """
    if _COMPILED in vars(cls):  # a value already
        return cls
    if hasattr(cls, _COMPILED):  # its base is compiled, which a Struct's cannot be
        return dataclasses.dataclass(frozen=True, slots=True)(cls)
    scope = {name: item for name, item in vars(cls).items() if name not in _MADE_ANEW}
    fields = dataclasses.fields(dataclasses.dataclass(frozen=True)(cls))  # type: ignore[arg-type]
    for field in fields:
        if field.default_factory is not dataclasses.MISSING:
            raise TypeError(f"{cls.__name__}.{field.name}: a value's default must be immutable, so it needs no factory")
    scope["__dataclass_fields__"] = {field.name: field for field in fields}
    bases = tuple(base for base in cls.__bases__ if base is not object)
    made: type[T] = _Meta(cls.__name__, (*bases, msgspec.Struct), scope, frozen=True)
    return made
