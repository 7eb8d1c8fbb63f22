# SPDX-License-Identifier: Apache-2.0
"""What mypyc is given says what the sources say, line by line, and a value that is compiled is the value that it would be."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from halma.engine.api import Bind, BindingKind, Now, Report, Severity, Tunnel
from halma.wire.messages import BindingUpdate
from halma.wire.options import HomeNetworkPrefix, Timestamp
from tools.setup.native import enumerations_of, write_native, write_out

ROOT = Path(__file__).parents[2]
COMPILED = [Path(line).relative_to("src") for line in (ROOT / "tools/setup/compiled.txt").read_text().split()]
SOURCE = '''
from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from halma.value import value


LIMIT = 3


class Colour(Enum):
    RED = 1
    BLUE = 2


@value
class Thing:
    """A thing."""

    name: str
    colour: Colour = Colour.RED


@dataclass(slots=True, eq=False)
class Counter:
    """Counts."""

    count: int = 0
    seen: list[int] = field(default_factory=list)


def is_blue(thing: Thing) -> bool:
    return thing.colour is Colour.BLUE
'''
VALUES: tuple[Any, ...] = (
    Now(1.0, 2.0),
    Tunnel(bytes(16), bytes(16)),
    Bind(1, bytes(16), 64, None, kind=BindingKind.LOCAL),
    Report(Severity.INFO, "reason", "text"),
    BindingUpdate(1, 0x8000, 3, (Timestamp(1 << 63), HomeNetworkPrefix(64, bytes(16)))),
)


def made_of(source: str) -> dict[str, Any]:
    """The module that a source is, as Python."""
    scope: dict[str, Any] = {"__name__": __name__, "mypyc_attr": lambda **_: lambda cls: cls}
    exec(compile(source, "<source>", "exec"), scope)
    return scope


def test_every_line_stays_where_it_was(tmp_path: Path) -> None:
    """Each statement in each function of a compiled module."""
    write_native(ROOT / "src", tmp_path, COMPILED)
    for path in COMPILED:
        before, after = (ast.parse((root / path).read_text()) for root in (ROOT / "src", tmp_path))
        written = {(node.name, node.lineno) for node in ast.walk(after) if isinstance(node, ast.FunctionDef)}
        assert {(node.name, node.lineno) for node in ast.walk(before) if isinstance(node, ast.FunctionDef)} <= written, path


def test_what_is_not_compiled_is_copied_and_what_is_gone_is_removed(tmp_path: Path) -> None:
    (tmp_path / "gone.py").write_text("")
    write_native(ROOT / "src", tmp_path, [])
    assert not (tmp_path / "gone.py").exists()
    assert (tmp_path / "halma/value.py").read_text() == (ROOT / "src/halma/value.py").read_text()


def test_a_name_in_capitals_is_a_constant() -> None:
    assert "LIMIT: Final = 3" in write_out(SOURCE, {})


def test_what_is_written_out_does_the_same() -> None:
    for scope in (made_of(SOURCE), made_of(write_out(SOURCE, enumerations_of(SOURCE)))):
        colour, thing = scope["Colour"], scope["Thing"]
        assert thing("a") == thing("a", colour.RED) != thing("a", colour.BLUE)
        assert hash(thing("a")) == hash(thing("a"))
        assert thing("a") != "a"
        assert [scope["is_blue"](thing("a", each)) for each in colour] == [False, True]
        assert scope["Counter"]().seen == []
        assert scope["Counter"](3, [4]).seen == [4]
        assert scope["Counter"]() != scope["Counter"]()


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("    BLUE = 2\n\n\n", "    BLUE = 2\n"),
        ("    colour: Colour = Colour.RED\n\n\n@dataclass(", "\n@dataclass("),
        ("annotations\n\n", "annotations\n"),
    ],
)
def test_where_there_is_no_room_nothing_is_written(text: str, instead: str) -> None:
    """A line that would have to move."""
    assert text in SOURCE
    with pytest.raises(ValueError, match=r"needed|no room"):
        write_out(SOURCE.replace(text, instead), enumerations_of(SOURCE))


def test_an_enumeration_must_be_imported_by_its_name() -> None:
    with pytest.raises(ValueError, match="nothing defines Colour"):
        write_out(SOURCE[SOURCE.index("@value") :], enumerations_of(SOURCE))


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_is_the_same_compiled_or_not(value: Any) -> None:
    """Frozen, equal by its fields, shown with them, known to dataclasses."""
    fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    assert type(value).__doc__
    assert type(value)(**fields) == value == dataclasses.replace(value)
    assert hash(type(value)(**fields)) == hash(value)
    assert repr(value) == f"{type(value).__name__}({', '.join(f'{name}={field!r}' for name, field in fields.items())})"
    for name, field in fields.items():
        with pytest.raises(AttributeError):
            setattr(value, name, field)
        with pytest.raises(AttributeError):
            delattr(value, name)
    with pytest.raises(AttributeError):
        value.another = 1
