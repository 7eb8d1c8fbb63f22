# SPDX-License-Identifier: Apache-2.0
"""A daemon's configuration: `load_anchor`, `load_gateway` and `load_node` read a TOML file and either give a sound
configuration or raise `ConfigurationError` with every mistake in it.

The tables are declared in `configuration_anchor`, `configuration_gateway` and `configuration_node`, what they share in
`configuration_types`, `configuration_association` and `configuration_profiles`; how a file is read is in
`configuration_reader`. A new key is a declaration in its table, with its bounds and the description that
`docs/configuration.md` shows, and a line where the engine's settings are made from the table.

Always holds: a configuration that was given has passed every check, and its addresses are 16 bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from halma.daemon.configuration_anchor import AnchorConfiguration, read_anchor
from halma.daemon.configuration_gateway import GatewayConfiguration, read_gateway
from halma.daemon.configuration_node import NodeConfiguration, read_node
from halma.daemon.configuration_reader import ConfigurationError, Reader, load_table

__all__ = [
    "AnchorConfiguration",
    "Configuration",
    "ConfigurationError",
    "GatewayConfiguration",
    "NodeConfiguration",
    "load",
    "load_anchor",
    "load_gateway",
    "load_node",
]

T = TypeVar("T")
Configuration = AnchorConfiguration | GatewayConfiguration | NodeConfiguration
ROLES = ("anchor", "gateway", "node")
"""Each is the name of a table that its file has, and no other."""


def load_anchor(path: str | Path) -> AnchorConfiguration:
    """Read anchor.toml. Raises ConfigurationError."""
    return _read(Path(path), load_table(Path(path)), read_anchor)


def load_gateway(path: str | Path) -> GatewayConfiguration:
    """Read gateway.toml. Raises ConfigurationError."""
    return _read(Path(path), load_table(Path(path)), read_gateway)


def load_node(path: str | Path) -> NodeConfiguration:
    """Read node.toml. Raises ConfigurationError."""
    return _read(Path(path), load_table(Path(path)), read_node)


def load(path: str | Path) -> Configuration:
    """Read a file of any role, known by its [anchor], [gateway] or [node] table. Raises ConfigurationError."""
    table = load_table(Path(path))
    roles = [role for role in ROLES if role in table]
    if len(roles) != 1:
        found = f"has the tables {' and '.join(f'[{role}]' for role in roles)}"
        if not roles:
            found = "has no table [anchor], [gateway] or [node]"
        raise ConfigurationError(str(path), [f"{found}; a file is for one role"])
    if "anchor" in table:
        return _read(Path(path), table, read_anchor)
    if "gateway" in table:
        return _read(Path(path), table, read_gateway)
    return _read(Path(path), table, read_node)


def _read(path: Path, table: Mapping[str, Any], read: Callable[[Mapping[str, Any], Reader], T | None]) -> T:
    reader = Reader()
    configuration = read(table, reader)
    if configuration is None or reader.mistakes:
        raise ConfigurationError(str(path), reader.mistakes)
    return configuration
