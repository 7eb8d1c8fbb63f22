# SPDX-License-Identifier: Apache-2.0
"""Write docs/cli.md: the help of every command.

    python -m tools.command_page

Always holds: what the page shows is what `--help` prints.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from halma.cli.application import application

PAGE = Path(__file__).resolve().parents[1] / "docs" / "cli.md"
WIDTH = 96

HEAD = """# The command line

Written by `make docs` from the commands' own help; do not edit.

Exit status: 0 success, 1 failure of what was asked, 2 wrong use. Colours appear only in a terminal, and never with `NO_COLOR`.
"""


def _helps(command: Any, name: str, parent: Any = None) -> Iterator[tuple[str, str]]:
    context = command.context_class(command, info_name=name, parent=parent, terminal_width=WIDTH, help_option_names=["--help"])
    yield context.command_path, command.get_help(context)
    if hasattr(command, "list_commands"):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            if found is not None and not found.hidden:
                yield from _helps(found, below, context)


def render() -> str:
    """The page."""
    parts = [HEAD]
    for path, text in _helps(get_command(application), "halma"):
        depth = "#" * min(3, path.count(" ") + 2)
        parts.append(f"\n{depth} {path}\n\n```text\n{text.rstrip()}\n```\n")
    return "".join(parts)


def main() -> int:
    """The command line; gives the exit status."""
    PAGE.write_text(render())
    return 0


if __name__ == "__main__":
    sys.exit(main())
