# SPDX-License-Identifier: Apache-2.0
"""A daemon's configuration: `load_anchor` and `load_gateway` read a TOML file and either give a sound configuration or raise
`ConfigurationError` with every mistake in it.

The tables are declared in `configuration_anchor` and `configuration_gateway`, what both share in `configuration_types`; how a
file is read is in `configuration_reader`.

Always holds: a configuration that was given has passed every check, and its addresses are 16 bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from halma.daemon.configuration_anchor import (
    AnchorConfiguration,
    AnchorTable,
    PeerTable,
    PoolTable,
    ProfileTable,
    read_anchor,
)
from halma.daemon.configuration_gateway import (
    GatewayConfiguration,
    GatewayProfileTable,
    GatewayTable,
    read_gateway,
)
from halma.daemon.configuration_reader import ConfigurationError, Reader, load_table
from halma.daemon.configuration_types import HeartbeatTable, RevocationTable

__all__ = [
    "AnchorConfiguration",
    "AnchorTable",
    "ConfigurationError",
    "GatewayConfiguration",
    "GatewayProfileTable",
    "GatewayTable",
    "HeartbeatTable",
    "PeerTable",
    "PoolTable",
    "ProfileTable",
    "RevocationTable",
    "load",
    "load_anchor",
    "load_gateway",
]

T = TypeVar("T")


def load_anchor(path: str | Path) -> AnchorConfiguration:
    """Read anchor.toml. Raises ConfigurationError."""
    return _read(Path(path), load_table(Path(path)), read_anchor)


def load_gateway(path: str | Path) -> GatewayConfiguration:
    """Read gateway.toml. Raises ConfigurationError."""
    return _read(Path(path), load_table(Path(path)), read_gateway)


def load(path: str | Path) -> AnchorConfiguration | GatewayConfiguration:
    """Read a file of either role, known by its [anchor] or [gateway] table. Raises ConfigurationError."""
    table = load_table(Path(path))
    roles = table.keys() & {"anchor", "gateway"}
    if len(roles) != 1:
        found = "has both an [anchor] and a [gateway] table" if roles else "has neither an [anchor] nor a [gateway] table"
        raise ConfigurationError(str(path), [f"{found}; a file is for one role"])
    if "anchor" in table:
        return _read(Path(path), table, read_anchor)
    return _read(Path(path), table, read_gateway)


def _read(path: Path, table: Mapping[str, Any], read: Callable[[Mapping[str, Any], Reader], T | None]) -> T:
    reader = Reader()
    configuration = read(table, reader)
    if configuration is None or reader.mistakes:
        raise ConfigurationError(str(path), reader.mistakes)
    return configuration
