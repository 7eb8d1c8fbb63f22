# SPDX-License-Identifier: Apache-2.0
"""Debian's dnsmasq with a few home agents in it: somebody else's idea of the DNS."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

PATIENCE = 10.0
TTL, ADDRESS_TTL = 600, 120
COMMAND = [
    "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces", "--user=root",
    "--pid-file=", "--log-facility=-", "--log-queries", "--local=/example.org/", f"--local-ttl={TTL}",
]  # fmt: skip


class NameServer:
    """dnsmasq in a namespace, at an address that is there; `records` are its options. `close` ends it."""

    def __init__(self, namespace: str, address: str, log: Path, *records: str) -> None:
        self._log = log
        with log.open("wb") as file:
            command = ["ip", "netns", "exec", namespace, *COMMAND, f"--listen-address={address}", *records]
            self._process = subprocess.Popen(command, stdout=file, stderr=file)
        limit = time.monotonic() + PATIENCE
        while "started" not in log.read_text():
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() < limit
            time.sleep(0.02)

    def asked(self) -> list[tuple[str, str, str]]:
        """Every question: its type, the name, who asked."""
        return re.findall(r"query\[(\w+)\] (\S+) from (\S+)", self._log.read_text())

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)
