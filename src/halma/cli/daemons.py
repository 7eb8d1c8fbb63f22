# SPDX-License-Identifier: Apache-2.0
"""`halma anchor`, `halma gateway`, `halma node`: run a daemon in the foreground. `halma check`: find the mistakes in its file.

Always holds: a daemon starts only from a configuration without a mistake.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from halma.daemon.configuration import (
    AnchorConfiguration,
    ConfigurationError,
    NodeConfiguration,
    load,
    load_anchor,
    load_gateway,
    load_node,
)

T = TypeVar("T")


class LogFormat(StrEnum):
    """Of the lines on standard error."""

    AUTO = "auto"
    TEXT = "text"
    JOURNAL = "journal"
    JSON = "json"


class LogLevel(StrEnum):
    """The least severity that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


ConfigurationFile = Annotated[
    Path, typer.Option("--configuration", "-c", metavar="FILE", help="The TOML file, see docs/configuration.md.")
]
Format = Annotated[
    LogFormat, typer.Option("--log-format", help="How log lines look; `auto` knows the journal of systemd from all else.")
]
Level = Annotated[LogLevel, typer.Option("--log-level", help="The least severity that is logged.")]


def anchor(configuration: ConfigurationFile, log_format: Format = LogFormat.AUTO, log_level: Level = LogLevel.INFO) -> None:
    """Run the anchor (LMA and home agent) in the foreground.

    SIGTERM ends it and gives everything back to the kernel; SIGHUP reads peers, profiles and associations again.
    """
    checked = _loaded(load_anchor, configuration)
    from halma.daemon.anchor import run  # noqa: PLC0415
    from halma.daemon.log import open_log  # noqa: PLC0415

    raise typer.Exit(run(checked, configuration, open_log(log_format.value, log_level.value)))


def gateway(configuration: ConfigurationFile, log_format: Format = LogFormat.AUTO, log_level: Level = LogLevel.INFO) -> None:
    """Run the gateway (MAG) in the foreground.

    SIGTERM ends it and gives everything back to the kernel; SIGHUP reads the profiles again.
    """
    checked = _loaded(load_gateway, configuration)
    from halma.daemon.gateway import run  # noqa: PLC0415
    from halma.daemon.log import open_log  # noqa: PLC0415

    raise typer.Exit(run(checked, configuration, open_log(log_format.value, log_level.value)))


def node(configuration: ConfigurationFile, log_format: Format = LogFormat.AUTO, log_level: Level = LogLevel.INFO) -> None:
    """Run the mobile node (MN) in the foreground.

    SIGTERM ends it, tells the home agent, and gives everything back to the kernel.
    """
    checked = _loaded(load_node, configuration)
    from halma.daemon.log import open_log  # noqa: PLC0415
    from halma.daemon.node import run  # noqa: PLC0415

    raise typer.Exit(run(checked, configuration, open_log(log_format.value, log_level.value)))


def check(file: Annotated[Path, typer.Argument(metavar="FILE", help="An anchor.toml, gateway.toml or node.toml.")]) -> None:
    """Name every mistake in a configuration file, with its path in the file.

    Exit status 1 when there is one. Which daemon the file is for is seen from its [anchor], [gateway] or [node] table.
    """
    configuration = _loaded(load, file)
    if isinstance(configuration, NodeConfiguration):
        print(f"{file}: good, for the node on {configuration.node.interface}")
        return
    if isinstance(configuration, AnchorConfiguration):
        role, parts = "anchor", [(configuration.pools, "pool"), (configuration.peers, "peer")]
    else:
        role, parts = "gateway", []
    counts = [_count(len(entries), noun) for entries, noun in [*parts, (configuration.profiles, "profile")]]
    print(f"{file}: good, for the {role}: {', '.join(counts)}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _loaded(read: Callable[[Path], T], file: Path) -> T:
    try:
        return read(file)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
