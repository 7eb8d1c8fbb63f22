# SPDX-License-Identifier: Apache-2.0
"""A daemon that runs in a namespace while a test looks at it from outside.

Always holds: `start` returns when the daemon has said READY=1 (the protocol of sd_notify); what it says is in `log`.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

PATIENCE = 30
"""Seconds that starting and stopping may take."""


class Daemon:
    """See the module. `file` is its configuration."""

    def __init__(self, namespace: str, role: str, file: Path) -> None:
        self._namespace, self._role, self._file = namespace, role, file
        self._log = file.parent / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether it was started, and nobody has ended it since."""
        return self._process is not None

    def start(self) -> None:
        """Start it; returns when it is ready."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            path = self._file.parent / "notify.sock"
            path.unlink(missing_ok=True)
            notify.bind(str(path))
            notify.settimeout(PATIENCE)
            halma = [sys.executable, "-m", "halma", self._role, "-c", str(self._file)]
            with self._log.open("ab") as log:
                environment = {**os.environ, "NOTIFY_SOCKET": str(path)}
                command = ["ip", "netns", "exec", self._namespace, *halma]
                self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            while b"READY=1" not in notify.recv(4096):
                pass

    def stop(self) -> None:
        """Stop it; it ends well."""
        assert self._process is not None
        self._process.terminate()
        assert self._process.wait(PATIENCE) == 0, self.log()
        self._process = None

    def kill(self) -> None:
        """It dies without being able to do anything about it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def close(self) -> None:
        """Whatever happened, it does not run any more."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def log(self) -> str:
        """What it has said."""
        return self._log.read_text()
