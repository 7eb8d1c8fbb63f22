# SPDX-License-Identifier: Apache-2.0
"""A mobile node, two access routers, its home agent with a home link, and a correspondent, each in a namespace; node and home
agent are real daemons.

    node (eth0) ~ the far end of its cable (far0) is moved between router1, router2 and the agent's bridge home0
    router1, router2 (core0) ---- (core1, core2) agent (peer0) ---- (peer0) correspondent
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conftest import run_ip

HOME = "2001:db8:5::77"
CORRESPONDENT = "2001:db8:ee::2"
PATIENCE = 15
HALMA = [sys.executable, "-m", "halma"]
ANCHOR = """
[anchor]
addresses = ["2001:db8:5::1"]
interfaces = ["core1", "core2", "peer0"]
roles = ["ha"]
control_socket = "{directory}/anchor.sock"
state_directory = "{directory}/anchor"
plane = "{plane}"
[home_agent]
multicast_interface = "home0"
[[home_link]]
prefix = "2001:db8:5::/64"
interface = "home0"
minimum_interval_seconds = 0.5
maximum_interval_seconds = 1
[[profile]]
node = "mn@example.org"
mobile_ipv6 = true
[[association]]
node = "mn@example.org"
spi = 256
key_file = "{directory}/key"
home_address = "2001:db8:5::77"
"""
NODE = """
[node]
interface = "eth0"
home_address = "2001:db8:5::77"
home_agent = "2001:db8:5::1"
identifier = "mn@example.org"
control_socket = "{directory}/node.sock"
state_directory = "{directory}/node"
plane = "{plane}"
[node.association]
spi = 256
key_file = "{directory}/key"
"""


class World:
    """The machines. `close` ends what was started. `plane` is the home agent's, and the node's where `node_plane` is empty."""

    def __init__(self, namespace: Callable[[str], str], directory: Path, plane: str = "auto", node_plane: str = "") -> None:
        self.node, self.agent, self.correspondent = (namespace(role) for role in ("node", "agent", "peer"))
        self.routers = {1: namespace("router1"), 2: namespace("router2")}
        self.directory, self.plane = directory, plane
        self.far = self.node
        self._started: list[subprocess.Popen[bytes]] = []
        self._files = contextlib.ExitStack()
        for machine in (*self.routers.values(), self.agent, self.correspondent, self.node):
            self.run(machine, "sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.all.accept_dad=0")
        for machine in (*self.routers.values(), self.agent):
            self.run(machine, "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
        self._cables()
        key = directory / "key"
        key.touch(0o600)
        key.write_text(bytes(range(20)).hex())
        for name, text in (("anchor", ANCHOR), ("node", NODE)):
            kind = plane if name == "anchor" or not node_plane else node_plane
            kind = "tun" if (name, kind) == ("node", "seg6") else kind  # that one has no mobile node's side
            (directory / f"{name}.toml").write_text(text.format(directory=directory, plane=kind))

    def _cables(self) -> None:
        for number, router in self.routers.items():
            core = f"2001:db8:c{number}"
            run_ip(
                "link", "add", "core0", "netns", router, "type", "veth", "peer", "name", f"core{number}", "netns", self.agent
            )
            self._up(router, "core0", f"{core}::2/64")
            self._up(self.agent, f"core{number}", f"{core}::1/64")
            run_ip("-n", router, "-6", "route", "add", "default", "via", f"{core}::1")
            run_ip("-n", self.agent, "-6", "route", "add", f"2001:db8:{number}::/64", "via", f"{core}::2")
        run_ip(
            "link", "add", "peer0", "netns", self.correspondent, "type", "veth", "peer", "name", "peer0", "netns", self.agent
        )
        self._up(self.correspondent, "peer0", f"{CORRESPONDENT}/64")
        self._up(self.agent, "peer0", "2001:db8:ee::1/64")
        run_ip("-n", self.correspondent, "-6", "route", "add", "default", "via", "2001:db8:ee::1")
        run_ip("-n", self.agent, "link", "add", "home0", "address", "02:00:00:00:05:01", "type", "bridge")
        self._up(self.agent, "home0", "2001:db8:5::1/64")
        run_ip("-n", self.node, "link", "add", "eth0", "address", "02:00:00:00:01:01", "type", "veth", "peer", "name", "far0")

    def _cable(self, machine: str, name: str, at_agent: str) -> None:
        run_ip("link", "add", name, "netns", machine, "type", "veth", "peer", "name", at_agent, "netns", self.agent)

    def _up(self, machine: str, interface: str, address: str) -> None:
        run_ip("-n", machine, "link", "set", interface, "up")
        run_ip("-n", machine, "address", "add", address, "dev", interface, "nodad")

    # ---- programs ----

    def run(self, machine: str, *command: str) -> str:
        """Run a program there; what it printed. Raises CalledProcessError."""
        return subprocess.run(["ip", "netns", "exec", machine, *command], capture_output=True, text=True, check=True).stdout

    def start(self, machine: str, name: str, *command: str) -> subprocess.Popen[bytes]:
        """Start a program there; what it prints goes to NAME.log."""
        log = self._files.enter_context((self.directory / f"{name}.log").open("ab"))
        process = subprocess.Popen(["ip", "netns", "exec", machine, *command], stdout=log, stderr=log)
        self._started.append(process)
        return process

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text()

    def start_daemons(self) -> None:
        """The home agent, the access routers, and the node, whose cable leads nowhere yet."""
        self.start(self.agent, "anchor", *HALMA, "anchor", "-c", str(self.directory / "anchor.toml"))
        for number, router in self.routers.items():
            self.start(
                router, f"router{number}", sys.executable, "-m", "tests.daemon.advertiser", "far0", f"2001:db8:{number}::"
            )
        self.wait(lambda: "ready" in self.log("anchor"))
        self.start_node()

    def start_node(self) -> subprocess.Popen[bytes]:
        """The mobile node's daemon."""
        before = self.log("node").count("is ready") if (self.directory / "node.log").exists() else 0
        process = self.start(self.node, "node", *HALMA, "node", "-c", str(self.directory / "node.toml"), "--log-level", "debug")
        self.wait(lambda: self.log("node").count("is ready") > before)
        return process

    def stop(self, process: subprocess.Popen[bytes]) -> int:
        """End a program of ours; its exit status."""
        process.terminate()
        return process.wait(PATIENCE)

    def close(self) -> None:
        for process in reversed(self._started):
            if process.poll() is None:
                process.terminate()
        for process in self._started:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._files.close()

    # ---- what happens ----

    def plug(self, where: int) -> None:
        """Move the far end of the node's cable to router 1 or 2, or (0) to the home link."""
        machine = self.routers[where] if where else self.agent
        run_ip("-n", self.far, "link", "set", "far0", "netns", machine)
        self.far = machine
        if where:
            self._up(machine, "far0", f"2001:db8:{where}::1/64")
        else:
            run_ip("-n", machine, "link", "set", "far0", "master", "home0", "up")

    def registration(self) -> dict[str, Any]:
        """What the node shows."""
        command = [*HALMA, "show", "registration", "--json", "--socket", f"{self.directory}/node.sock"]
        shown = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "NO_COLOR": "1"}).stdout
        (row,) = json.loads(shown)
        found: dict[str, Any] = row
        return found

    def wait_for(self, **wanted: Any) -> dict[str, Any]:
        """Until the node shows this."""
        row: dict[str, Any] = {}

        def there() -> bool:
            row.update(self.registration())
            return all(row[key] == value for key, value in wanted.items())

        self.wait(there, lambda: f"{wanted} not in {row}\n{self.log('node')}\n{self.log('anchor')}")
        return row

    @staticmethod
    def wait(condition: Callable[[], bool], tell: Callable[[], str] = str) -> None:
        limit = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < limit, tell()
            time.sleep(0.05)

    def answers(self, machine: str, *arguments: str) -> str:
        """What becomes of three Echo Requests, in the words of `ping`."""
        command = ["ip", "netns", "exec", machine, "ping", "-6", "-c", "3", "-i", "0.1", "-W", "2", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def ping(self, machine: str, *arguments: str) -> bool:
        """Whether three out of three are answered."""
        return "3 received" in self.answers(machine, *arguments)
