# SPDX-License-Identifier: Apache-2.0
"""`halma bench`: the benchmarks, each of which compares with a reference in the same run.

A benchmark is the module of its name in `halma.bench`, with `run(...) -> dict` and `render(result) -> str`; the parameters of
`run` are the options of the command.

Always holds: standard output has the result alone, as JSON with `--json`.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import msgspec
import typer
from typer.core import TyperGroup
from typer.main import get_command

BENCHMARKS = {
    "signalling": "Registrations answered a second, against a bare echo.",
    "forwarding": "Packets a second, against the kernel's own forwarding.",
    "scale": "A million bindings by real messages: time and memory.",
    "handover": "How long a host hears nothing when it moves.",
}
"""What each benchmark measures, in the order of the help."""


def _command(name: str) -> Any:
    """The command of a benchmark, with the parameters of its `run` as options. Imports its module."""
    module = importlib.import_module(f"halma.bench.{name}")
    run: Callable[..., dict[str, Any]] = module.run
    hints = get_type_hints(run, include_extras=True)
    parameters = [
        parameter.replace(annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in inspect.signature(run).parameters.values()
        if hints.get(parameter.name) in (bool, int, float, str) or hasattr(hints.get(parameter.name), "__metadata__")
    ]

    def command(as_json: bool, **options: Any) -> None:
        try:
            result = run(**options)
        except (OSError, RuntimeError) as error:
            print(f"halma: {error}", file=sys.stderr)
            raise typer.Exit(1) from None
        print(msgspec.json.encode(result).decode() if as_json else module.render(result))

    option = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
    as_json = inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=option)
    command.__signature__ = inspect.Signature([*parameters, as_json])  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in (*parameters, as_json)}
    command.__doc__ = BENCHMARKS[name]
    single = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings={"max_content_width": 100})
    single.command(name)(command)
    return get_command(single)


def _installed() -> list[str]:
    return [name for name in BENCHMARKS if importlib.util.find_spec(f"halma.bench.{name}") is not None]


class BenchmarkGroup(TyperGroup):
    """A command for each benchmark that is installed."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (typer's signature)
        """All names."""
        return _installed()

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 (typer's signature)
        """The commands of the help, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, BENCHMARKS[name]) for name in _installed()])

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 (typer's signature)
        """The command, None when there is no such."""
        return _command(cmd_name) if cmd_name in _installed() else None


application = typer.Typer(cls=BenchmarkGroup, add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@application.callback()
def bench() -> None:
    """Measure, always against a reference in the same run. Most need root."""
