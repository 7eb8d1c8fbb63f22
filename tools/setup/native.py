# SPDX-License-Identifier: Apache-2.0
"""Writes the sources that mypyc is given: those of `src`, with what mypyc would leave to the interpreter written out.

A `@value`, `@option` or `@message` becomes a native class with an initializer, Final attributes, equality and hash; a dataclass
that is compared by identity becomes a native class with an initializer; a member of an Enum that a function names becomes a
constant of its module. So an attribute is a place in memory, and a class or a member an address, where the interpreter looks
all of them up in dictionaries.

Always holds: the sources in `src` are the only ones, nothing that is written here is kept; a line stays where it was, so that
tracebacks are right; what cannot be written out raises ValueError, and is never compiled as something else.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

VALUES = frozenset(("value", "option", "message", "icmp_message"))
ENUMERATIONS = frozenset(("Enum", "IntEnum", "StrEnum", "Flag", "IntFlag"))
ATOMS = frozenset(("bytes", "int", "str", "bool", "float", "None"))
"""A value with fields of these kinds alone can be part of no cycle, and is none of the garbage collector's business."""
FUTURE = "from __future__ import annotations"
IMPORTS = "from typing import TYPE_CHECKING, Final"
BASE = "Value"
BASE_IMPORTS = f"from halma.native import {BASE}, declare_value"
TYPE_CHECKERS_IMPORTS = "if TYPE_CHECKING: from mypy_extensions import mypyc_attr"

Members = dict[str, frozenset[str]]
"""The members of enumerations, by the name of the class."""


def write_native(sources: Path, to: Path, compiled: Iterable[Path]) -> None:
    """Copy the package in `sources` to `to`, with the modules of `compiled` (relative to `sources`) written out."""
    chosen = set(compiled)
    modules = {path.relative_to(sources): path.read_text() for path in sources.rglob("*.py")}
    enumerations: Members = {}
    for text in modules.values():
        for name, members in enumerations_of(text).items():
            enumerations[name] = enumerations.get(name, frozenset()) | members
    for path, text in modules.items():
        written = write_out(text, enumerations) if path in chosen else text
        target = to / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_text() != written:  # mypy sees by the time what has changed
            target.write_text(written)
    for path in to.rglob("*.py"):
        if path.relative_to(to) not in modules:
            path.unlink()


def enumerations_of(source: str) -> Members:
    """The enumerations that a module defines."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and ENUMERATIONS.intersection(map(ast.unparse, node.bases)):
            targets = [target for line in node.body if isinstance(line, ast.Assign) for target in line.targets]
            found[node.name] = frozenset(map(ast.unparse, targets))
    return found


def write_out(source: str, enumerations: Members) -> str:
    """A module as mypyc is to get it."""
    return _Module(source, enumerations).text()


class _Module:
    """A module on its way: its lines as they were, as they are to be, and what comes behind the last of them."""

    def __init__(self, source: str, enumerations: Members) -> None:
        self._source = source.splitlines()
        self._lines = self._source.copy()
        self._module = ast.parse(source)
        self._enumerations = enumerations
        self._end: list[str] = []

    def text(self) -> str:
        """The module written out."""
        self._name_members_by_constants()
        for node in self._module.body:
            if isinstance(node, ast.Assign):
                self._assignment(node)
            elif isinstance(node, ast.ClassDef):
                self._class(node)
            elif isinstance(node, ast.FunctionDef):
                for decorator in node.decorator_list:
                    if _name(decorator) == "dataclass_transform":  # for type checkers; a compiled function takes no mark
                        self._clear(decorator.lineno, decorator.lineno)
        if self._lines != self._source:
            at = self._lines.index(FUTURE)
            has_base = any(isinstance(node, ast.ClassDef) and node.name == BASE for node in self._module.body)
            self._lines[at] += "; ".join(["", IMPORTS] if has_base else ["", IMPORTS, BASE_IMPORTS])
            self._fill(at + 2, TYPE_CHECKERS_IMPORTS)
        return "\n".join([*self._lines, *self._end, ""])

    # ---- lines, counted from 1 ----

    def _clear(self, first: int, last: int) -> None:
        for line in range(first, last + 1):
            self._lines[line - 1] = ""

    def _fill(self, line: int, text: str) -> None:
        if self._lines[line - 1]:
            raise ValueError(f"line {line} is needed and not empty: {self._lines[line - 1]}")
        self._lines[line - 1] = text

    def _assignment(self, node: ast.Assign) -> None:
        """A name in capitals is a constant, unless it has one letter and is a type variable."""
        name = ast.unparse(node.targets[0])
        if len(node.targets) == 1 and len(name) > 1 and name.isupper() and name.isidentifier():
            line = self._lines[node.lineno - 1]
            self._lines[node.lineno - 1] = line.replace(f"{name} = ", f"{name}: Final = ", 1)

    # ---- members of enumerations ----

    def _name_members_by_constants(self) -> None:
        used: dict[str, set[str]] = {}
        places = []
        for node in _in_functions(self._module):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                name, member = node.value.id, node.attr
                if member in self._enumerations.get(name, ()):
                    used.setdefault(name, set()).add(member)
                    places.append((node.lineno, node.col_offset, node.end_col_offset or 0, _constant(name, member)))
        for line, begin, end, constant in sorted(places, reverse=True):
            octets = self._lines[line - 1].encode()
            self._lines[line - 1] = (octets[:begin] + constant.encode() + octets[end:]).decode()
        for node in self._module.body:
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    for constant in _constants(alias.name, used.pop(alias.name, ())):
                        self._lines[(node.end_lineno or 0) - 1] += "; " + constant
            elif isinstance(node, ast.ClassDef) and node.name in used:
                self._fill((node.end_lineno or 0) + 1, "; ".join(_constants(node.name, used.pop(node.name))))
        if used:
            raise ValueError(f"nothing defines {', '.join(used)}")

    # ---- classes ----

    def _class(self, node: ast.ClassDef) -> None:
        decorators = {_name(decorator): ast.unparse(decorator) for decorator in node.decorator_list}
        if VALUES.intersection(decorators):
            self._value(node)
        elif "eq=False" in decorators.get("dataclass", ""):
            self._record(node)
        elif not decorators and [ast.unparse(line) for line in node.body[1:2]] == ["__slots__ = ()"]:  # a base of values
            self._fill(node.lineno - 1, "@mypyc_attr(acyclic=True, allow_interpreted_subclasses=True)")
            self._derive(node)

    def _value(self, node: ast.ClassDef) -> None:
        fields = _fields(node)
        self._clear(node.decorator_list[0].lineno, node.lineno - 1)
        kinds = {part.id for field in fields for part in ast.walk(field.annotation) if isinstance(part, ast.Name)}
        if kinds <= ATOMS:
            self._fill(node.lineno - 1, "@mypyc_attr(acyclic=True)")
        self._derive(node)
        names = [name for name, _ in map(_named, fields)]
        described, defaults = "", ""
        for field in fields:
            name, kind = _named(field)
            described += f"({name!r}, {kind!r}), "
            defaults += "" if field.value is None else f"{name!r}: {ast.unparse(field.value)}, "
        if fields:
            assigned = "; ".join(f"self.{name}: Final[{kind}] = {name}" for name, kind in map(_named, fields))
            same = " and ".join(f"self.{name} == other.{name}" for name in names)
            methods = (
                f"def __init__(self, {', '.join(map(_parameter, fields))}) -> None: {assigned}",
                f"def __eq__(self, other: object) -> bool: return {same} if isinstance(other, {node.name}) else NotImplemented",
                f"def __hash__(self) -> int: return hash(({', '.join(f'self.{name}' for name in names)},))",
            )
            self._put(node, methods, fields)
        parameters = ", ".join(map(_parameter, fields))
        self._end += [
            f"def _make_{node.name}({parameters}) -> {node.name}: return {node.name}({', '.join(names)})",
            f"declare_value({node.name}, {ast.get_docstring(node)!r}, _make_{node.name}, ({described}), {{{defaults}}})",
        ]
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call):  # a declaration: it takes down the class as it finds it
                self._end.append(f"{ast.unparse(decorator)}({node.name})")

    def _derive(self, node: ast.ClassDef) -> None:
        """All values have one base."""
        if not node.bases and node.name != BASE:
            head = f"class {node.name}"
            self._lines[node.lineno - 1] = self._lines[node.lineno - 1].replace(f"{head}:", f"{head}({BASE}):")

    def _record(self, node: ast.ClassDef) -> None:
        """A dataclass that is compared by identity."""
        fields = _fields(node)
        self._clear(node.decorator_list[0].lineno, node.lineno - 1)
        parameters, assigned = [], []
        for field in fields:
            name, kind = _named(field)
            made = _factory(field)
            parameters.append(f"{name}: {kind} | None = None" if made else _parameter(field))
            assigned.append(f"self.{name}: {kind} = " + (f"{made}() if {name} is None else {name}" if made else name))
        self._put(node, (f"def __init__(self, {', '.join(parameters)}) -> None: {'; '.join(assigned)}",), fields)

    def _put(self, node: ast.ClassDef, methods: Iterable[str], fields: list[ast.AnnAssign]) -> None:
        """The methods take the places of the fields, and of empty lines behind them if they must."""
        for field in fields:
            self._clear(field.lineno, field.end_lineno or 0)
        functions = [line for line in node.body if isinstance(line, ast.FunctionDef)]
        if functions:
            end = min([functions[0].lineno, *(decorator.lineno for decorator in functions[0].decorator_list)])
        else:
            end = (node.end_lineno or 0) + 3
            self._lines += [""] * (end - 1 - len(self._lines))
        room = (line for line in range(fields[0].lineno, end) if not self._lines[line - 1])
        for method in methods:
            line = next(room, 0)
            if not line:
                raise ValueError(f"{node.name} has no room for its methods")
            self._fill(line, "    " + method)


def _in_functions(module: ast.Module) -> Iterator[ast.AST]:
    """Everything in the bodies of functions: what runs after the module has been imported."""
    scopes: list[ast.AST] = [module]
    while scopes:
        for node in ast.iter_child_nodes(scopes.pop()):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for line in node.body:
                    yield from ast.walk(line)
            elif isinstance(node, ast.ClassDef):
                scopes.append(node)


def _name(decorator: ast.expr) -> str:
    return ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator).split(".")[-1]


def _constant(name: str, member: str) -> str:
    return f"_{name}_{member}"


def _constants(name: str, members: Iterable[str]) -> list[str]:
    return [f"{_constant(name, member)}: Final = {name}.{member}" for member in sorted(members)]


def _fields(node: ast.ClassDef) -> list[ast.AnnAssign]:
    return [line for line in node.body if isinstance(line, ast.AnnAssign)]


def _named(field: ast.AnnAssign) -> tuple[str, str]:
    """The name of a field and its kind."""
    return ast.unparse(field.target), ast.unparse(field.annotation)


def _parameter(field: ast.AnnAssign) -> str:
    name, kind = _named(field)
    return f"{name}: {kind}" + ("" if field.value is None else f" = {ast.unparse(field.value)}")


def _factory(field: ast.AnnAssign) -> str:
    """What makes the default of a field, empty where nothing does."""
    if isinstance(field.value, ast.Call) and _name(field.value) == "field":
        return next(ast.unparse(keyword.value) for keyword in field.value.keywords if keyword.arg == "default_factory")
    return ""
