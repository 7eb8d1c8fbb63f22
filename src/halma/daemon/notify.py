# SPDX-License-Identifier: Apache-2.0
"""Tell the service manager how we are: sd_notify(3), for units of `Type=notify`.

Always holds: without a service manager every call does nothing; a manager that does not listen stops nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping


class Notifier:
    """The datagram socket that `NOTIFY_SOCKET` names, when it names one."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        name = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + name[1:] if name.startswith("@") else name if name.startswith("/") else ""
        self._socket: socket.socket | None = None
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        self.watchdog_seconds = self._watchdog(environment) if self._socket else None
        """How often `alive` is to be called at least, in seconds (half of WatchdogSec, sd_watchdog_enabled(3)); None for
        never."""

    def ready(self, status: str = "") -> None:
        """The daemon does its work now."""
        self._send("READY=1", status)

    def reloading(self) -> None:
        """The daemon reads its configuration again; `ready` says when it has."""
        self._send("RELOADING=1", microseconds=time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000)

    def stopping(self, status: str = "") -> None:
        """The daemon gives everything back now."""
        self._send("STOPPING=1", status)

    def status(self, status: str) -> None:
        """A line for `systemctl status`."""
        self._send("", status)

    def alive(self) -> None:
        """The event loop turns still."""
        self._send("WATCHDOG=1")

    def close(self) -> None:
        """Give the socket back."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, what: str, status: str = "", microseconds: int | None = None) -> None:
        if self._socket is None:
            return
        lines = [what] if what else []
        if status:
            lines.append(f"STATUS={status.splitlines()[0]}")
        if microseconds is not None:
            lines.append(f"MONOTONIC_USEC={microseconds}")
        with contextlib.suppress(OSError):
            self._socket.sendto("\n".join(lines).encode(), self._address)

    @staticmethod
    def _watchdog(environment: Mapping[str, str]) -> float | None:
        microseconds = environment.get("WATCHDOG_USEC", "")
        if not microseconds.isdigit() or int(microseconds) == 0:
            return None
        if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            return None
        return int(microseconds) / 2_000_000
