# SPDX-License-Identifier: Apache-2.0
"""Immutable values that are cheap to make: the nouns of `wire` and `engine`.

A protocol daemon makes several small objects for every message, and a frozen dataclass pays `object.__setattr__` for each
field of each of them. `@value` gives the same thing (slots, equality, hash, repr, immutability) with a generated
constructor that stores through the slots themselves.

Always holds: two values are equal when their class and all their fields are equal; no field changes after construction.
"""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def value(cls: type[T]) -> type[T]:
    """Make `cls` a frozen, slotted dataclass whose constructor is straight-line code.

    Defaults must be immutable (they are shared). A `__post_init__` is called last, when there is one: it may check the
    fields and raise, and cannot change them.
    """
    made: type[Any] = dataclasses.dataclass(frozen=True, slots=True)(cls)
    scope: dict[str, Any] = {}
    parameters, body = ["self"], []
    for field in dataclasses.fields(made):
        if field.default_factory is not dataclasses.MISSING:
            raise TypeError(f"{cls.__name__}.{field.name}: a value's default must be immutable, so it needs no factory")
        scope[f"_store_{field.name}"] = made.__dict__[field.name].__set__
        body.append(f"    _store_{field.name}(self, {field.name})")
        if field.default is dataclasses.MISSING:
            parameters.append(field.name)
        else:
            scope[f"_default_{field.name}"] = field.default
            parameters.append(f"{field.name}=_default_{field.name}")
    if hasattr(made, "__post_init__"):
        body.append("    self.__post_init__()")
    exec(f"def __init__({', '.join(parameters)}):\n" + ("\n".join(body) or "    pass"), scope)  # names come from the class
    scope["__init__"].__qualname__ = f"{cls.__qualname__}.__init__"
    scope["__init__"].__annotations__ = made.__init__.__annotations__
    made.__init__ = scope["__init__"]
    return made
