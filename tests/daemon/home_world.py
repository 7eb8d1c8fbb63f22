# SPDX-License-Identifier: Apache-2.0
"""A home agent between its home link and the rest of the world, each in a namespace, the agent a real daemon.

neighbour (home0, 2001:db8:5::9) ---- (home0, ::1) agent (core0, 2001:db8:1::1) ---- (eth0, 2001:db8:1::2) abroad
"""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from halma.engine.api import Association
from halma.netio.signalling import SignallingSocket
from halma.security.authentication import AuthenticationGuardian, Key
from halma.text import read_address
from halma.wire import Message, decode
from halma.wire.icmpv6 import Icmpv6Message, decode_icmpv6, encode_icmpv6
from halma.wire.ipv6 import DestinationOptions, HomeAddress, Packet, build_packet, parse_packet
from halma.wire.messages import BindingRevocationAcknowledgement, BindingRevocationIndication, BindingUpdate
from halma.wire.options import MobileNodeIdentifier
from tests.conftest import run_ip
from tests.daemon.running import Daemon
from tests.netio.links import inside

AGENT = read_address("2001:db8:5::1")
CARE_OF = read_address("2001:db8:1::2")
HOME = read_address("2001:db8:5::77")
NEIGHBOUR = read_address("2001:db8:5::9")
NODE = b"mn@example.org"
SECRET = bytes(range(20))
KEY = Association(1, NODE, HOME, replay_window=0)
PATIENCE = 10
CONFIGURATION = """
[anchor]
addresses = ["2001:db8:5::1"]
interfaces = ["core0"]
roles = ["ha"]
control_socket = "{directory}/control.sock"
state_directory = "{directory}"
plane = "{plane}"
[home_agent]
{home_agent}
[[home_link]]
prefix = "2001:db8:5::/64"
interface = "home0"
preference = 5
minimum_interval_seconds = 0.5
maximum_interval_seconds = 1
[[profile]]
node = "mn@example.org"
mobile_ipv6 = true
[[association]]
node = "mn@example.org"
spi = 256
key_file = "{directory}/mn.key"
home_address = "2001:db8:5::77"
replay_window_seconds = 0
"""


class World:
    """The three machines, and what the node does abroad."""

    def __init__(self, namespace: Callable[[str], str], directory: Path, home_agent: str = "", plane: str = "auto") -> None:
        self.agent, self.neighbour, self.abroad = (namespace(role) for role in ("agent", "neighbour", "abroad"))
        self.directory = directory
        for name, other, theirs in (("home0", self.neighbour, "home0"), ("core0", self.abroad, "eth0")):
            run_ip("-n", self.agent, "link", "add", name, "type", "veth", "peer", "name", theirs, "netns", other)
        self._run(self.agent, "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
        for where, device, address in (
            (self.agent, "home0", "2001:db8:5::1/64"),
            (self.agent, "core0", "2001:db8:1::1/64"),
            (self.neighbour, "home0", "2001:db8:5::9/64"),
            (self.abroad, "eth0", "2001:db8:1::2/64"),
        ):
            self._run(where, "sysctl", "-qw", f"net.ipv6.conf.{device}.accept_dad=0", f"net.ipv6.conf.{device}.accept_ra=0")
            run_ip("-n", where, "link", "set", device, "up")
            run_ip("-n", where, "address", "add", address, "dev", device, "nodad")
        run_ip("-n", self.abroad, "route", "add", "default", "via", "2001:db8:1::1")
        run_ip("-n", self.neighbour, "route", "add", "default", "via", "2001:db8:5::1")
        key = directory / "mn.key"
        key.touch(0o600)
        key.write_text(SECRET.hex())
        self.file = directory / "anchor.toml"
        self.file.write_text(CONFIGURATION.format(directory=directory, home_agent=home_agent, plane=plane))
        self._guardian = AuthenticationGuardian([Key(KEY, 256, "hmac-sha1", SECRET)])
        with inside(self.abroad):
            self.signalling = SignallingSocket([CARE_OF])
        self._waiting: list[bytes] = []
        self.daemon = Daemon(self.agent, "anchor", self.file)

    def close(self) -> None:
        """Whatever happened, nothing runs any more."""
        self.daemon.close()
        self.signalling.close()

    def _run(self, where: str, *command: str) -> str:
        done = subprocess.run(["ip", "netns", "exec", where, *command], capture_output=True, text=True, check=True)
        return done.stdout

    def run(self, where: str, *command: str) -> str:
        """What a command prints in one of the namespaces. Raises CalledProcessError."""
        return self._run(where, *command)

    def show(self, what: str) -> list[dict[str, Any]]:
        """`halma show --json` of the daemon."""
        found: list[dict[str, Any]] = json.loads(self._run(self.agent, *self.command("show", what, "--json")))
        return found

    def command(self, *words: str) -> list[str]:
        """A command to the daemon."""
        return [sys.executable, "-m", "halma", *words, "-s", str(self.directory / "control.sock")]

    # ---- the node abroad ----

    def send(self, next_header: int, payload: bytes) -> None:
        """A packet with the node's Home Address option."""
        packet = Packet(CARE_OF, AGENT, next_header, payload, extension_headers=(DestinationOptions((HomeAddress(HOME),)),))
        assert self.signalling.send([(CARE_OF, AGENT, build_packet(packet))]) == []

    def update(self, sequence: int, lifetime: int = 100, flags: int = 0xC000) -> None:
        """A Binding Update goes out."""
        message = BindingUpdate(sequence, flags, lifetime, (MobileNodeIdentifier(1, NODE),))
        self.send(135, self._guardian.protect(message, (HOME, AGENT), CARE_OF, HOME, KEY))

    def acknowledge(self, indication: BindingRevocationIndication) -> None:
        """The node has carried a revocation out."""
        message = BindingRevocationAcknowledgement(0, indication.sequence, 0)
        self.send(135, self._guardian.protect(message, (HOME, AGENT), CARE_OF, HOME, KEY))

    def send_icmp(self, message: Icmpv6Message) -> None:
        """An ICMPv6 message goes out."""
        self.send(58, encode_icmpv6(message, HOME, AGENT))

    def answer(self) -> Message | Icmpv6Message:
        """The next message that comes by a type 2 routing header."""
        if not self._waiting:
            readable, _, _ = select.select([self.signalling], [], [], PATIENCE)
            assert readable, f"nothing came; {self.daemon.log()}"
            self._waiting += self.signalling.receive()
        packet = parse_packet(self._waiting.pop(0))
        assert packet.checksum_destination == HOME
        if packet.next_header == 58:
            return decode_icmpv6(packet.payload, AGENT, HOME)
        return decode(packet.payload, AGENT, HOME)


@contextlib.contextmanager
def world(namespace: Callable[[str], str], directory: Path, home_agent: str = "", plane: str = "auto") -> Iterator[World]:
    """The world with its daemon running."""
    made = World(namespace, directory, home_agent, plane)
    try:
        made.daemon.start()
        yield made
        if made.daemon.running:
            made.daemon.stop()
    finally:
        made.close()
