# SPDX-License-Identifier: Apache-2.0
"""An anchor and a gateway as a user starts them, with an attacker on the path between them and on the access link.

    host  h0 ----- ap0  gateway  core0 ----- g0  attacker  a0 ----- core0  anchor
                   ap1  gateway       ----- n0  attacker

The attacker routes between the two, so that it may send as anybody; what is sent to 2001:db8:66::/48 and 2001:db8:77::/48
comes to it. 2001:db8:77::/64 are gateways that the anchor's policy lists and that the attacker plays.

Always holds: leaving the `with` block ends every process and namespace; nothing waits without a limit.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

from halma.lab.processes import Process, inside, spawn
from halma.wire import Message, decode, encode
from halma.wire.messages import BindingAcknowledgement, BindingUpdate
from halma.wire.options import (
    AccessTechnologyType,
    HandoffIndicator,
    HomeNetworkPrefix,
    MobileNodeIdentifier,
    MobileNodeLinkLayerIdentifier,
    Timestamp,
)
from halma.wire.optionspace import Option
from halma.wire.timestamp import to_timestamp
from tests.conftest import run_ip

PATIENCE = 10.0
"""Seconds that anything may take."""
MOBILITY = 135
PROXY_UPDATE = 0x8200
"""The flags A and P."""
HALMA = [str(Path(sys.executable).with_name("halma"))]
HOST_MAC = "02:00:00:00:01:01"

_numbers = itertools.count()


def octets(address: str) -> bytes:
    """An address as the wire has it."""
    return IPv6Address(address).packed


ANCHOR, GATEWAY = octets("2001:db8:1::1"), octets("2001:db8:2::1")
STRANGER, LISTED, OTHER_LISTED = octets("2001:db8:66::5"), octets("2001:db8:77::1"), octets("2001:db8:77:1::1")
HOST_PREFIX = octets("2001:db8:100:1::")
ANY_PREFIX = HomeNetworkPrefix(0, bytes(16))

ANCHOR_FILE = """
[anchor]
addresses = ["2001:db8:1::1"]
interfaces = ["core0"]
control_socket = "{directory}/anchor.sock"
state_directory = "{directory}/anchor-state"
maximum_bindings = 4096
[[pool]]
name = "main"
prefix = "2001:db8:100::/40"
[[peer]]
address = "2001:db8:2::1"
nodes = ["host1@example.org"]
[[peer]]
prefix = "2001:db8:77::/64"
nodes = ["*@honest.example"]
[[peer]]
prefix = "2001:db8:77:1::/64"
nodes = ["*@other.example"]
[[profile]]
node = "host1@example.org"
pool = "main"
prefixes = ["2001:db8:100:1::/64"]
[[profile]]
node = "*@honest.example"
pool = "main"
may_request_prefix = true
[[profile]]
node = "*@other.example"
pool = "main"
"""
GATEWAY_FILE = """
[gateway]
address = "2001:db8:2::1"
anchor = "2001:db8:1::1"
interfaces = ["core0"]
access = ["ap*"]
identity = "mag1@example.org"
control_socket = "{directory}/gateway.sock"
state_directory = "{directory}/gateway-state"
lifetime_seconds = 600
[[profile]]
node = "host1@example.org"
link_layer_address = "02:00:00:00:01:01"
"""


def update(
    node: bytes,
    *extra: Option,
    sequence: int = 1,
    lifetime: int = 100,
    when: float | None = None,
    prefixes: Sequence[Option] = (ANY_PREFIX,),
    handoff: int = 1,
    link_layer: bytes = b"\x02\x00\x00\x00\x09\x09",
) -> BindingUpdate:
    """A Proxy Binding Update with all that RFC 5213 section 8.1 wants."""
    stamp = Timestamp(to_timestamp(time.time() if when is None else when))
    options = (MobileNodeIdentifier(1, node), *prefixes, HandoffIndicator(handoff), AccessTechnologyType(4))
    return BindingUpdate(sequence, PROXY_UPDATE, lifetime, (*options, MobileNodeLinkLayerIdentifier(link_layer), stamp, *extra))


def packet(source: bytes, destination: bytes, protocol: int, payload: bytes) -> bytes:
    """An IPv6 packet."""
    return struct.pack(">IHBB", 6 << 28, len(payload), protocol, 64) + source + destination + payload


class World:
    """The running world; `anchor` and `gateway` are the daemons, as often as they have been started."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._stack = contextlib.ExitStack()
        tag = f"halma-{os.getpid()}-h{next(_numbers)}"
        self.names = {role: f"{tag}-{role}" for role in ("anchor", "gateway", "attacker", "host")}
        self.daemons: dict[str, Process] = {}
        self._raw: socket.socket
        self._heard: socket.socket

    def __enter__(self) -> World:
        with contextlib.ExitStack() as stack:
            for name in self.names.values():
                run_ip("netns", "add", name)
                stack.callback(run_ip, "netns", "delete", name)
                with inside(name):  # a first message must not wait for detection of duplicates
                    Path("/proc/sys/net/ipv6/conf/default/accept_dad").write_text("0")
                run_ip("-n", name, "link", "set", "lo", "up")
            stack.callback(self._end_daemons)
            self._link("anchor", "core0", "2001:db8:1::1/64", "attacker", "a0", "2001:db8:1::100/64")
            self._link("gateway", "core0", "2001:db8:2::1/64", "attacker", "g0", "2001:db8:2::100/64")
            self._link("gateway", "ap1", None, "attacker", "n0", None)
            attacker = self.names["attacker"]
            for prefix in ("2001:db8:66::/48", "2001:db8:77::/48"):
                run_ip("-n", attacker, "-6", "route", "add", "local", prefix, "dev", "lo")
            run_ip("-n", attacker, "-6", "route", "add", "2001:db8:100::/40", "via", "2001:db8:1::1")
            run_ip("-n", self.names["anchor"], "-6", "route", "add", "default", "via", "2001:db8:1::100")
            run_ip("-n", self.names["gateway"], "-6", "route", "add", "default", "via", "2001:db8:2::100")
            for role in ("anchor", "gateway", "attacker"):
                self._forward(role)
            for role, file in (("anchor", ANCHOR_FILE), ("gateway", GATEWAY_FILE)):
                self.file(role).write_text(file.format(directory=self.directory))
            with inside(attacker):
                self._raw = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW))
                self._heard = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_RAW, MOBILITY))
            self._heard.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_CHECKSUM, -1)
            self._heard.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            self._heard.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE
            self._heard.setblocking(False)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _end_daemons(self) -> None:
        for process in self.daemons.values():
            process.stop()

    def _forward(self, role: str) -> None:
        with inside(self.names[role]):
            Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text("1")

    def _link(self, one: str, port: str, address: str | None, other: str, far: str, far_address: str | None) -> None:
        ends = ((self.names[one], port, address), (self.names[other], far, far_address))
        run_ip("link", "add", port, "netns", ends[0][0], "type", "veth", "peer", "name", far, "netns", ends[1][0])
        for name, device, has in ends:
            if has is not None:
                run_ip("-n", name, "address", "add", has, "dev", device, "nodad")
            run_ip("-n", name, "link", "set", device, "up")

    # ---- daemons -----------------------------------------------------------------------------------------------------

    def file(self, role: str) -> Path:
        """A daemon's configuration."""
        return self.directory / f"{role}.toml"

    def log(self, role: str) -> str:
        """All that a daemon has said."""
        return (self.directory / f"{role}.log").read_text(errors="surrogateescape")

    def spawn(self, role: str) -> Process:
        """Start a daemon without waiting for it; it is not ours to end but the caller's."""
        command = [*HALMA, role, "-c", str(self.file(role))]
        return spawn(role, role, self.names[role], command, self.directory / f"{role}.log")

    def start(self, *roles: str) -> None:
        """Start daemons, and wait until they are ready."""
        before = {role: self._times_ready(role) for role in roles}
        for role in roles:
            self.daemons[role] = self.spawn(role)
        for role in roles:
            process = self.daemons[role]
            while process.running and self._times_ready(role) == before[role]:
                time.sleep(0.01)
            assert process.running, process.tail()

    def _times_ready(self, role: str) -> int:
        log = self.directory / f"{role}.log"
        return log.read_text().count(" is ready") if log.exists() else 0

    def memory(self, role: str) -> int:
        """Octets that a daemon has resident."""
        text = Path(f"/proc/{self.daemons[role].handle.pid}/status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+) kB", text, re.MULTILINE)
        assert found is not None
        return int(found[1]) * 1024

    def show(self, role: str, what: str) -> list[dict[str, Any]]:
        """What `halma show` gives, asked on the control socket."""
        replies = self.ask(role, json.dumps({"request": "show", "what": what}).encode() + b"\n")
        assert "error" not in replies[-1], replies
        return [row for reply in replies for row in reply.get("rows", ())]

    def counters(self, role: str) -> dict[str, int]:
        """All counters of a daemon."""
        return {row["counter"]: row["value"] for row in self.show(role, "counters")}

    def ask(self, role: str, request: bytes) -> list[dict[str, Any]]:
        """What the control socket answers to some octets, up to the last line of an answer or until it hangs up."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(str(self.directory / f"{role}.sock"))
            with contextlib.suppress(BrokenPipeError):
                client.sendall(request)
            replies = []
            for line in client.makefile("rb"):
                replies.append(json.loads(line))
                if "rows" not in replies[-1] or not replies[-1]["rows"]:
                    break
            return replies

    @staticmethod
    def until(condition: Callable[[], object], what: str) -> None:
        """Wait until something is so."""
        limit = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < limit, f"waited in vain for {what}"
            time.sleep(0.01)

    # ---- the attacker ------------------------------------------------------------------------------------------------

    def send(self, source: bytes, destination: bytes, message: Message | bytes, protocol: int = MOBILITY) -> None:
        """Send a Mobility Header, or any octets, as anybody."""
        payload = message if isinstance(message, bytes) else encode(message, source, destination)
        target = (socket.inet_ntop(socket.AF_INET6, destination), 0)
        with contextlib.suppress(BlockingIOError, OSError):
            self._raw.sendto(packet(source, destination, protocol, payload), target)

    def heard(self) -> Iterator[tuple[bytes, bytes, Message]]:
        """(from, to, message) of all that has come to the attacker's addresses."""
        while True:
            try:
                data, control, _, peer = self._heard.recvmsg(4096, 64)
            except BlockingIOError:
                return
            source, destination = octets(peer[0].split("%")[0]), control[0][2][:16]
            yield source, destination, decode(data, source, destination)

    def answer(self, source: bytes, message: Message | bytes, destination: bytes = ANCHOR) -> Message | None:
        """Send a message; the first that comes back to its source. None when the daemon had taken it and all that was sent
        before, and said nothing."""
        list(self.heard())
        self.send(source, destination, message)
        self.settle("anchor" if destination == ANCHOR else "gateway")
        return next((got for sender, to, got in self.heard() if to == source and sender == destination), None)

    def status(self, source: bytes, message: Message | bytes) -> int | None:
        """The status of the acknowledgement, None for silence."""
        got = self.answer(source, message)
        assert got is None or isinstance(got, BindingAcknowledgement), got
        return None if got is None else got.status

    def settle(self, role: str) -> None:
        """Wait until a daemon has taken everything that was sent to it: nothing waits in its sockets."""

        def waiting() -> bool:
            with inside(self.names[role]):
                table = Path("/proc/thread-self/net/raw6").read_text().splitlines()[1:]
            return any(int(line.split()[4].split(":")[1], 16) for line in table)

        self.until(lambda: not waiting(), f"{role} to have taken everything")
        self.counters(role)  # a turn of its loop

    # ---- the honest --------------------------------------------------------------------------------------------------

    def attach_host(self) -> None:
        """The host comes, and waits for its address."""
        host = self.names["host"]
        run_ip("link", "add", "ap0", "netns", self.names["gateway"], "type", "veth", "peer", "name", "h0", "netns", host)
        run_ip("-n", host, "link", "set", "h0", "address", HOST_MAC, "up")
        show = ("-n", host, "-6", "address", "show", "dev", "h0", "-tentative", "scope", "global")
        self.until(lambda: "2001:db8:100:1:" in run_ip(*show), "the host's address")

    def host_address(self) -> str:
        """The host's address."""
        shown = run_ip("-n", self.names["host"], "-6", "address", "show", "dev", "h0")
        found = re.search(r"inet6 (2001:db8:100:1:[^/]+)", shown)
        assert found is not None
        return found[1]

    def host_is_served(self) -> bool:
        """Whether a datagram gets to the host and back, through anchor, tunnel and gateway."""
        with contextlib.ExitStack() as stack:
            with inside(self.names["host"]):
                host = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
                host.bind((self.host_address(), 7))
            with inside(self.names["attacker"]):
                far = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
                far.setsockopt(socket.IPPROTO_IPV6, 78, 1)  # IPV6_FREEBIND
                far.bind(("2001:db8:66::9", 7))
            for _ in range(5):
                far.sendto(b"ping", (self.host_address(), 7))
                if select.select([host], [], [], 1.0)[0]:
                    data, peer = host.recvfrom(64)
                    host.sendto(data, peer)
                    if select.select([far], [], [], 1.0)[0]:
                        return True
        return False

    def flood(self, role: str, destination: bytes, packets: Sequence[bytes], times: int) -> None:
        """Send all packets so many times, no faster than the daemon takes them."""
        target = (socket.inet_ntop(socket.AF_INET6, destination), 0)
        for number, data in enumerate(list(packets) * times):
            self._raw.sendto(data, target)
            if number % 2000 == 1999:
                self.settle(role)
                list(self._drained())
        self.settle(role)
        list(self._drained())

    def _drained(self) -> Iterator[bytes]:
        with contextlib.suppress(BlockingIOError):
            while True:
                yield self._heard.recv(4096)

    def kernel(self, role: str) -> dict[str, list[str]]:
        """What a daemon could leave behind: interfaces, routes, rules, tc filters, nftables."""
        name = self.names[role]
        commands = {
            "links": ["ip", "-n", name, "-brief", "link", "show", "type", "dummy"],
            "rules": ["ip", "-n", name, "-6", "rule"],
            "routes": ["ip", "-n", name, "-6", "route", "show", "table", "all", "proto", "static"],
            "filters": ["tc", "-n", name, "filter", "show", "dev", "core0", "ingress"],
            "queues": ["tc", "-n", name, "qdisc", "show", "dev", "core0"],
            "tables": ["ip", "netns", "exec", name, "nft", "list", "tables"],
        }
        found = {}
        for what, command in commands.items():
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            found[what] = sorted(done.stdout.splitlines())
        return found
