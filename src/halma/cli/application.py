# SPDX-License-Identifier: Apache-2.0
"""All commands of `halma`, by name and where they are.

A command that is one function is named by it; one with commands of its own is a typer application. `LAZY` is the only list:
help, completion and `docs/cli.md` come from it.

Always holds: nothing but typer is imported before a command is known, not even for the help.
"""

from __future__ import annotations

import importlib
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_command

from halma.cli.version import version_text


class Lazy(NamedTuple):
    """Where a command is (`module:attribute`), and what it does in a few words."""

    where: str
    summary: str


LAZY: dict[str, Lazy] = {
    "anchor": Lazy("halma.cli.daemons:anchor", "Run the anchor (LMA and home agent) in the foreground."),
    "gateway": Lazy("halma.cli.daemons:gateway", "Run the gateway (MAG) in the foreground."),
    "node": Lazy("halma.cli.daemons:node", "Run the mobile node (MN) in the foreground."),
    "check": Lazy("halma.cli.daemons:check", "Name every mistake in a configuration file."),
    "show": Lazy("halma.cli.show:application", "Show what a running daemon knows."),
    "revoke": Lazy("halma.cli.requests:revoke", "End sessions, and tell the other end."),
    "attach": Lazy("halma.cli.requests:attach", "Tell the gateway that a node has come."),
    "detach": Lazy("halma.cli.requests:detach", "Tell the gateway that a node has left."),
    "retry": Lazy("halma.cli.requests:retry", "Try again what an anchor has refused."),
    "reload": Lazy("halma.cli.requests:reload", "Let a daemon read its configuration again."),
    "decode": Lazy("halma.cli.decode:decode_command", "Show the messages in a capture."),
    "lab": Lazy("halma.cli.lab:app", "Build whole networks on this machine and judge them."),
    "bench": Lazy("halma.cli.bench:application", "Measure, always against a reference."),
}
"""All commands, in the order of the help."""


def load(name: str) -> Any:
    """The command, as typer makes it. Imports its module."""
    module, _, attribute = LAZY[name].where.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if isinstance(found, typer.Typer):
        made = get_command(found)
    else:
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(name)(found)
        made = get_command(single)
    made.name = name
    return made


class LazyGroup(TyperGroup):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (typer's signature)
        """All names."""
        return list(LAZY)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 (typer's signature)
        """The commands of the help, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in LAZY.items()])

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 (typer's signature)
        """The command, None when there is no such."""
        if cmd_name in LAZY and cmd_name not in self.commands:
            self.commands[cmd_name] = load(cmd_name)
        return self.commands.get(cmd_name)


application = typer.Typer(
    cls=LazyGroup,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(version_text())
        raise typer.Exit


@application.callback()
def halma(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """A mobility suite for IPv6: the anchor and the gateway of Proxy Mobile IPv6, the home agent and the node of Mobile IPv6,
    and a lab to see them work."""
