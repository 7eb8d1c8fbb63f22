# SPDX-License-Identifier: Apache-2.0
"""What values are made of where they are compiled: `tools/setup/native.py` writes their classes, this is what these share.

Always holds: such a class says to `dataclasses.fields` and `dataclasses.replace` what it would say if it were not compiled.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar


class Value:
    """The base of values that are native classes. Those with fields have an equality and a hash of their own."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        fields = dataclasses.fields(self)
        return f"{type(self).__name__}({', '.join(f'{field.name}={getattr(self, field.name)!r}' for field in fields)})"


def declare_value(cls: Any, doc: str, make: Any, fields: tuple[tuple[str, str], ...], defaults: dict[str, Any]) -> None:
    """Tell `dataclasses` a native value's fields and their types, `halma.value` what makes one, and people what it is."""
    cls.__doc__ = doc
    cls.__make__ = make
    described = [(name, kind, dataclasses.field(default=defaults.get(name, dataclasses.MISSING))) for name, kind in fields]
    made = dataclasses.make_dataclass(cls.__name__, described)
    cls.__slots__ = tuple(name for name, _ in fields)
    cls.__dataclass_fields__ = {field.name: field for field in dataclasses.fields(made)}
