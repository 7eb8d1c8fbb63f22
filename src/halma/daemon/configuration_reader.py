# SPDX-License-Identifier: Apache-2.0
"""From TOML to msgspec structs, with every mistake found in one pass and named by its path in the file.

A struct declares each key once: its type, bounds and description (`msgspec.Meta`). This module walks the declaration beside
the file. msgspec's own conversion stops at the first mistake; a person who fixes a file wants all of them.

Always holds: reading raises nothing but `ConfigurationError`; what the checks between tables see is well-formed: a wrong value
counts as left out, so does what a list names a second time, and a table that lacks what it must have is left out whole; no key
is complained of twice.
"""

from __future__ import annotations

import difflib
import functools
import tomllib
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import msgspec
from msgspec import inspect

from halma.text import show_text

T = TypeVar("T", bound=msgspec.Struct)
Entry = TypeVar("Entry")

TEXT = "text"
"""Key of `Meta(extra=...)`: the `Text` of a value that the file writes as a string."""
WHY = "why"
"""Key of `Meta(extra=...)`: where the bounds come from, such as an RFC section; told with a bound's mistake."""

_BROKEN = object()


class Text(NamedTuple):
    """A kind of value that the file writes as a string: how it is called, becomes the value (or a ValueError), and is shown."""

    kind: str
    read: Callable[[str], Any]
    show: Callable[[Any], str] = str


class ConfigurationError(Exception):
    """A configuration file cannot be used. `mistakes` has a sentence for each reason, which begins with the path in it."""

    def __init__(self, file: str, mistakes: list[str]) -> None:
        self.file = file
        self.mistakes = tuple(mistakes)
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        super().__init__("\n".join([f"{file}: {count}", *(f"  {mistake}" for mistake in mistakes)]))


@functools.cache
def declared(kind: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    """The keys of a table as its struct declares them."""
    return cast("inspect.StructType", inspect.type_info(kind)).fields


def unwrap(kind: inspect.Type) -> tuple[inspect.Type, dict[str, Any], str]:
    """A declared type without its annotations and without None, the `extra` of these, and the description. A key that may be
    absent is `T | None`, and TOML has no null."""
    extra: dict[str, Any] = {}
    description = ""
    while isinstance(kind, inspect.Metadata | inspect.UnionType):
        if isinstance(kind, inspect.UnionType):
            (kind,) = (one for one in kind.types if not isinstance(one, inspect.NoneType))
            continue
        extra = {**(kind.extra or {}), **extra}
        description = description or (kind.extra_json_schema or {}).get("description", "")
        kind = kind.type
    return kind, extra, description


def load_table(path: Path) -> dict[str, Any]:
    """The file as TOML. Raises ConfigurationError when it cannot be read or is not TOML."""
    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise ConfigurationError(str(path), [f"cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(str(path), [f"is not UTF-8 text (byte {error.start})"]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(str(path), [f"is not TOML: {error}"]) from None


class Reader:
    """One pass over one file. `mistakes` grows; `path_of` and `entries` remember where in the file each value stood."""

    def __init__(self) -> None:
        self.mistakes: list[str] = []
        self._paths: dict[int, str] = {}
        self._indexes: dict[int, tuple[int, ...]] = {}

    def path_of(self, table: object) -> str:
        """Where a table that this reader made stood in the file, such as `profile[3]`."""
        return self._paths[id(table)]

    def entries(self, values: tuple[Entry, ...], path: str) -> Iterator[tuple[Entry, str]]:
        """Each value of a list with its path in the file, where others may have been left out. `path` is that of the list."""
        indexes = self._indexes.get(id(values), range(len(values)))
        return ((value, f"{path}[{index}]") for value, index in zip(values, indexes, strict=True))

    def mistake(self, path: str, sentence: str) -> None:
        """Note a mistake, unless something is wrong with this key, or in it, already."""
        if not any(known.startswith(path) and known[len(path)] in ":.[" for known in self.mistakes):
            self.mistakes.append(f"{path}: {sentence}")

    def table(self, kind: type[T], table: Mapping[str, Any], path: str = "") -> T | None:
        """Read a table; None when a mistake in it leaves nothing to go on with."""
        prefix = f"{path}." if path else ""
        fields = {field.encode_name: field for field in declared(kind)}
        meant: set[str] = set()
        for key in table:
            if key not in fields:
                guess = next(iter(difflib.get_close_matches(key, fields.keys() - table.keys(), 1)), None)
                if guess:
                    meant.add(guess)
                hint = f'; did you mean "{guess}"?' if guess else f"; known here: {', '.join(sorted(fields))}"
                self.mistake(prefix + show_text(key, 80), "unknown key" + hint)
        values: dict[str, Any] = {}
        broken = False
        for key, field in fields.items():
            if key not in table:
                broken |= field.required
                if field.required and key not in meant:
                    self.mistake(prefix + key, "is missing")
                continue
            value = self._value(field.type, table[key], prefix + key)
            if value is not _BROKEN:
                values[field.name] = value
            else:
                broken |= field.required
        if broken:
            return None
        made = kind(**values)
        self._paths[id(made)] = path
        return made

    def _value(self, kind: inspect.Type, value: Any, path: str) -> Any:
        kind, extra, _ = unwrap(kind)
        if isinstance(kind, inspect.StructType):
            return self._struct(kind, value, path)
        if isinstance(kind, inspect.VarTupleType):
            return self._array(kind, value, path)
        if TEXT in extra:
            return self._text(extra[TEXT], value, path)
        return self._scalar(kind, extra.get(WHY, ""), value, path)

    def _struct(self, kind: inspect.StructType, value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            return self._wrong_type("a table", value, path)
        made = self.table(kind.cls, value, path)
        return _BROKEN if made is None else made

    def _array(self, kind: inspect.VarTupleType, value: Any, path: str) -> Any:
        tables = isinstance(unwrap(kind.item_type)[0], inspect.StructType)
        if not isinstance(value, list):
            return self._wrong_type(f"tables [[{path}]]" if tables else "a list", value, path)
        if kind.min_length is not None and len(value) < kind.min_length:
            self.mistake(path, "must not be empty")
            return _BROKEN
        made = {index: self._value(kind.item_type, one, f"{path}[{index}]") for index, one in enumerate(value)}
        found = {index: one for index, one in made.items() if one is not _BROKEN}
        if not tables:
            for (index, _), _ in repeated(tuple(found.items()), lambda entry: entry[1]):
                self.mistake(f"{path}[{index}]", "is listed twice")
                del found[index]
        values = tuple(found.values())
        self._indexes[id(values)] = tuple(found)
        return values

    def _text(self, text: Text, value: Any, path: str) -> Any:
        if not isinstance(value, str):
            return self._wrong_type("a string", value, path)
        try:
            return text.read(value)
        except ValueError as error:
            self.mistake(path, str(error))
            return _BROKEN

    def _scalar(self, kind: inspect.Type, why: str, value: Any, path: str) -> Any:
        if isinstance(kind, inspect.BoolType):
            return value if isinstance(value, bool) else self._wrong_type("true or false", value, path)
        if isinstance(kind, inspect.LiteralType):
            if value in kind.values:
                return value
            choices = ", ".join(f'"{choice}"' for choice in kind.values)
            self.mistake(path, f"{_shown(value)} is not one of {choices}")
            return _BROKEN
        if isinstance(kind, inspect.StrType):
            return value if isinstance(value, str) else self._wrong_type("a string", value, path)
        number = cast("inspect.IntType | inspect.FloatType", kind)
        whole = isinstance(kind, inspect.IntType)
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            return self._wrong_type("a whole number" if whole else "a number", value, path)
        because = f" ({why})" if why else ""
        if number.ge is not None and not value >= number.ge:
            self.mistake(path, f"{value} is less than {number.ge}{because}")
            return _BROKEN
        if number.le is not None and not value <= number.le:
            self.mistake(path, f"{value} is more than {number.le}{because}")
            return _BROKEN
        if number.multiple_of is not None and value % number.multiple_of:
            self.mistake(path, f"{value} is not a multiple of {number.multiple_of}{because}")
            return _BROKEN
        return value if whole else float(value)

    def _wrong_type(self, wanted: str, value: Any, path: str) -> Any:
        self.mistake(path, f"must be {wanted}, not {_shown(value)}")
        return _BROKEN


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return f'"{show_text(value, 80)}"' if isinstance(value, str) else show_text(str(value), 80)


def repeated(entries: Iterable[Entry], name: Callable[[Entry], Hashable]) -> Iterator[tuple[Entry, Entry]]:
    """Each entry whose name one before it has, with the first that has it."""
    firsts: dict[Hashable, Entry] = {}
    for entry in entries:
        first = firsts.setdefault(name(entry), entry)
        if first is not entry:
            yield entry, first
