# SPDX-License-Identifier: Apache-2.0
"""Captures on every link of a lab, one pcapng file a listening point, all by the one clock of the machine.

dumpcap (Debian: wireshark-common) does the listening where it is installed, `halma.lab.recorder` where it is not.

Always holds: when `start` returns, every point is being heard; when `stop` returns, every file is complete.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from halma.lab.network import Network
from halma.lab.processes import LabError, Process, ask, finish, spawn

KEPT = 2048
"""Bytes kept of a frame: all of it on links with an MTU of 1500; super-packets of TCP segmentation offload are cut."""

_PATIENCE = 15.0
_FLUSH = 0.35
"""Seconds that dumpcap may hold frames back before it writes them."""


class Captures:
    """The listeners of a lab."""

    def __init__(self, network: Network, directory: Path, logs: Path, own: bool | None = None) -> None:
        self._network = network
        self._directory = directory
        self._logs = logs
        self._own = shutil.which("dumpcap") is None if own is None else own
        self._processes: list[Process] = []

    def start(self) -> None:
        """Listen on every link. Raises LabError when a listener cannot."""
        points = [(name, node, interface) for name, _, node, interface in self._network.capture_points()]
        if self._own:
            targets = [
                f"{self._directory / name}.pcapng={self._network.namespace(node)}:{interface}"
                for name, node, interface in points
            ]
            command = [sys.executable, "-m", "halma.lab.recorder", str(KEPT), *targets]
            self._processes.append(spawn("recorder", "", None, command, self._logs / "recorder.log"))
            word = "listening"
        else:
            for name, node, interface in points:
                target = self._directory / f"{name}.pcapng"
                command = ["dumpcap", "-q", "-p", "-s", str(KEPT), "-B", "8", "-i", interface, "-w", str(target)]
                namespace = self._network.namespace(node)
                self._processes.append(spawn(f"capture-{name}", node, namespace, command, self._logs / f"capture-{name}.log"))
            word = "File: "
        limit = time.monotonic() + _PATIENCE
        waiting = list(self._processes)
        while waiting:
            waiting = [process for process in waiting if word not in process.tail()]
            for process in waiting:
                if not process.running or time.monotonic() > limit:
                    raise LabError(f"{process.name} does not listen:\n{process.tail()}")
            time.sleep(0.005)

    def stop(self) -> None:
        """Write out what was heard and end the listeners."""
        if self._processes and not self._own:
            time.sleep(_FLUSH)
        ask(self._processes)
        finish(self._processes)
        self._processes = []
