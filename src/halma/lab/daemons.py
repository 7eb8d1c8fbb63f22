# SPDX-License-Identifier: Apache-2.0
"""The real daemons in a lab: started as a person would start them, from TOML files that the lab writes.

Always holds: `start` returns when the daemon has said READY=1 (the protocol of sd_notify); its configuration is in the run's
records; `stop` asks with SIGTERM first.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from halma.lab.network import Network
from halma.lab.processes import LabError, Process, ask, finish, spawn
from halma.value import value

Scalar = str | int | float | bool
Table = Mapping[str, "Scalar | Sequence[Scalar] | Table | Sequence[Table]"]
"""A TOML table: keys and scalars, arrays of scalars, tables and arrays of tables."""

_PATIENCE = 30.0

ROUTER = "router"
NAMES = "names"
OWN_PROGRAMS = {ROUTER: "halma.lab.access_router", NAMES: "halma.lab.name_server"}
"""Roles that no daemon of Halma's has, with the lab's programs for them."""

KEYS = "{keys}"
"""Stands for the directory of a daemon's key files."""


@value
class Daemon:
    """A daemon of the lab: `halma ROLE -c FILE` on a node, FILE being `tables`. The lab adds the socket and the directory, and
    writes the files of `keys`, name and text, for their owner alone: `{keys}/NAME` in a table's text means such a file."""

    node: str
    role: str
    tables: Table
    keys: tuple[tuple[str, str], ...] = ()


def to_toml(tables: Table, prefix: str = "") -> str:
    """A table as TOML text: its own keys first, then its tables, each under its header."""
    own, below = [], []
    for key, item in tables.items():
        name = f"{prefix}{key}"
        if isinstance(item, Mapping):
            below.append(f"\n[{name}]\n{to_toml(item, name + '.')}")
        elif isinstance(item, Sequence) and not isinstance(item, str) and item and isinstance(item[0], Mapping):
            below += [f"\n[[{name}]]\n{to_toml(table, name + '.')}" for table in item if isinstance(table, Mapping)]
        else:
            own.append(f"{key} = {json.dumps(item, ensure_ascii=False)}\n")
    return "".join(own) + "".join(below)


def program(role: str) -> list[str]:
    """The command of a role: `halma ROLE` of this installation, or the lab's own program."""
    if role in OWN_PROGRAMS:
        return [sys.executable, "-m", OWN_PROGRAMS[role]]
    beside = Path(sys.executable).with_name("halma")
    return [*([str(beside)] if beside.exists() else [sys.executable, "-m", "halma"]), role]


class Daemons:
    """The daemons of a lab."""

    def __init__(self, network: Network, configurations: Path, logs: Path) -> None:
        self._network = network
        self._configurations = configurations
        self._logs = logs
        self._running: dict[str, Process] = {}
        self._groups: list[list[str]] = []

    def control_socket(self, node: str) -> Path:
        """Where the daemon on a node answers `halma show`."""
        return self._network.directory / f"{node}.sock"

    def anchors(self) -> dict[str, Path]:
        """The control sockets of the anchors that were started and not stopped, by node."""
        return {node: self.control_socket(node) for node, process in self._running.items() if process.name == "halma anchor"}

    def start(self, *daemons: Daemon) -> None:
        """Start daemons, and wait until each is ready. Raises LabError with what it printed."""
        with contextlib.ExitStack() as stack:
            started = []
            self._groups.append([daemon.node for daemon in daemons])
            for daemon in daemons:
                state = self._network.directory / f"state-{daemon.node}"
                state.mkdir(exist_ok=True)
                tables = dict(daemon.tables)
                own = tables.get(daemon.role, {})
                if not isinstance(own, Mapping):
                    raise LabError(f"the daemon of {daemon.node} has no table [{daemon.role}]")
                places = {"control_socket": str(self.control_socket(daemon.node)), "state_directory": str(state)}
                if daemon.role not in OWN_PROGRAMS:
                    tables[daemon.role] = {**places, **own}
                for name, key in daemon.keys:
                    (state / name).touch(mode=0o600)
                    (state / name).write_text(f"{key}\n")
                file = self._configurations / f"{daemon.node}.toml"
                text = to_toml(tables).replace(KEYS, str(state))
                file.write_text(f"# The lab's {daemon.role} on {daemon.node}.\n{text}")
                heard = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
                notify = self._network.directory / f"notify-{daemon.node}"
                notify.unlink(missing_ok=True)
                heard.bind(str(notify))
                process = spawn(
                    f"halma {daemon.role}",
                    daemon.node,
                    self._network.namespace(daemon.node),
                    [*program(daemon.role), "-c", str(file)],
                    self._logs / f"{daemon.node}.log",
                    environment={"NOTIFY_SOCKET": str(notify)},
                )
                self._running[daemon.node] = process
                started.append((process, heard))
            limit = time.monotonic() + _PATIENCE
            for process, heard in started:
                self._await(process, heard, limit)

    @staticmethod
    def _await(process: Process, heard: socket.socket, limit: float) -> None:
        heard.settimeout(0.1)
        while True:
            try:
                if "READY=1" in heard.recv(4096).decode(errors="replace").splitlines():
                    return
            except TimeoutError:
                if not process.running:
                    raise LabError(f"{process.name} on {process.node} has ended:\n{process.tail()}") from None
                if time.monotonic() > limit:
                    raise LabError(f"{process.name} on {process.node} does not get ready:\n{process.tail()}") from None

    def processes(self) -> list[Process]:
        """The daemons that were started and not stopped, running or not."""
        return list(self._running.values())

    def stop(self) -> dict[str, int]:
        """Stop all daemons, those that were started last first; the exit status of each, by node."""
        statuses: dict[str, int] = {}
        for group in reversed(self._groups):
            chosen = {node: self._running.pop(node) for node in group if node in self._running}
            ask(chosen.values())
            statuses |= dict(zip(chosen, finish(list(chosen.values())), strict=True))
        self._groups = []
        return statuses
