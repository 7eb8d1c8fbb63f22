# SPDX-License-Identifier: Apache-2.0
"""Write docs/configuration.md from the declarations of the configuration's keys.

    python -m tools.configuration_page

Always holds: every key of `anchor.toml`, `gateway.toml` and `node.toml` is on the page, with its type, bounds, default and
description.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from halma.daemon.configuration import AnchorConfiguration, GatewayConfiguration, NodeConfiguration
from halma.daemon.configuration_reader import TEXT, declared, unwrap

FILES = (("anchor.toml", AnchorConfiguration), ("gateway.toml", GatewayConfiguration), ("node.toml", NodeConfiguration))
PAGE = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"

HEAD = """# Configuration

Written by `make docs` from the declarations in `src/halma/daemon/configuration_*.py`; do not edit.

A daemon reads one TOML file. `halma check FILE` names every mistake in it, by its path in the file; an unknown key is one.
[examples/anchor.toml](../examples/anchor.toml), [examples/gateway.toml](../examples/gateway.toml) and
[examples/node.toml](../examples/node.toml) are complete files to start from. `halma reload` (or SIGHUP) takes over peers,
profiles and associations; what else has changed needs a restart.

In patterns of node identifiers `*` is any text and everything else is itself. Of several that fit, an exact identifier counts
first, then the pattern with the most characters besides `*`.
"""


def type_text(kind: inspect.Type) -> str:
    """A type as the page says it."""
    kind, extra, _ = unwrap(kind)
    if TEXT in extra:
        return str(extra[TEXT].kind)
    if isinstance(kind, inspect.VarTupleType):
        return f"list of {type_text(kind.item_type)}"
    if isinstance(kind, inspect.LiteralType):
        return ", ".join(f"`{choice}`" for choice in kind.values)
    if isinstance(kind, inspect.BoolType):
        return "`true`, `false`"
    if isinstance(kind, (inspect.IntType, inspect.FloatType)):
        steps = f", in steps of {kind.multiple_of}" if kind.multiple_of else ""
        return f"{'whole number' if isinstance(kind, inspect.IntType) else 'number'}, {kind.ge} to {kind.le}{steps}"
    return "text"


def default_text(field: inspect.Field) -> str:
    """A key's default as TOML writes it; empty where the description says what happens without it."""
    if field.required:
        return "required"
    value = field.default
    if value in (None, "", b"", ()):
        return ""
    return f"`{to_toml(field.type, value)}`"


def to_toml(kind: inspect.Type, value: Any) -> str:
    """A value as TOML writes it."""
    kind, extra, _ = unwrap(kind)
    if TEXT in extra:
        return f'"{extra[TEXT].show(value)}"'
    if isinstance(kind, inspect.VarTupleType):
        return "[" + ", ".join(to_toml(kind.item_type, one) for one in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _table(kind: type[msgspec.Struct], heading: str) -> list[str]:
    lines = [
        "",
        f"## `{heading}`",
        "",
        " ".join((kind.__doc__ or "").split()),
        "",
        "| key | value | default | |",
        "|---|---|---|---|",
    ]
    below: list[str] = []
    for field in declared(kind):
        inner, _, description = unwrap(field.type)
        if isinstance(inner, inspect.StructType):
            below += _table(inner.cls, f"[{heading.strip('[]')}.{field.encode_name}]")
        else:
            lines.append(f"| `{field.encode_name}` | {type_text(field.type)} | {default_text(field)} | {description} |")
    return lines + below


def render() -> str:
    """The page."""
    lines = [HEAD]
    for file, kind in FILES:
        lines += ["", f"# {file}"]
        for field in declared(kind):
            inner = unwrap(field.type)[0]
            if isinstance(inner, inspect.VarTupleType):
                lines += _table(unwrap(inner.item_type)[0].cls, f"[[{field.encode_name}]]")  # type: ignore[attr-defined]
            elif isinstance(inner, inspect.StructType):
                lines += _table(inner.cls, f"[{field.encode_name}]")
    return "\n".join(lines) + "\n"


def main() -> int:
    """The command line; gives the exit status."""
    PAGE.write_text(render())
    return 0


if __name__ == "__main__":
    sys.exit(main())
