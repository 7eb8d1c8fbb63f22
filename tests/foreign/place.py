# SPDX-License-Identifier: Apache-2.0
"""A daemon in a namespace of its own, and foreign stations at the far ends of its links.

A station is no host of the kernel's: it answers Neighbor Solicitations for its addresses itself, and hears and sends frames.
Always holds: leaving the `with` block ends the daemon and removes the namespaces; nothing waits without a limit.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conftest import run_ip
from tests.daemon.running import Daemon
from tests.foreign import octets
from tests.foreign.octets import Heard, ip
from tests.netio.links import inside

PATIENCE = 10.0
"""Seconds that anything may take."""
ALL_NODES = ip("ff02::1")

_numbers = itertools.count()


class Place:
    """The daemon's machine and, in another namespace, all others. `ports` is the daemon's interfaces with their addresses."""

    def __init__(self, directory: Path, role: str, configuration: str, ports: dict[str, str | None]) -> None:
        self.directory, self.role, self._ports = directory, role, ports
        tag = f"halma-{os.getpid()}-f{next(_numbers)}"
        self.machine, self.others = f"{tag}-{role}", f"{tag}-others"
        self.file = directory / f"{role}.toml"
        self.file.write_text(configuration.format(directory=directory))
        self.daemon = Daemon(self.machine, role, self.file)
        self._stack = contextlib.ExitStack()
        self._stations: list[Station] = []

    def __enter__(self) -> Place:
        with self._stack:
            for name in (self.machine, self.others):
                run_ip("netns", "add", name)
                self._stack.callback(run_ip, "netns", "delete", name)
                run_ip("-n", name, "link", "set", "lo", "up")
            self._set(self.others, "all/disable_ipv6", "1")
            self._set(self.others, "default/disable_ipv6", "1")
            self._set(self.machine, "default/accept_dad", "0")
            self._set(self.machine, "all/forwarding", "1" if self.role != "node" else "0")
            for name, address in self._ports.items():
                there = ("netns", self.machine, "type", "veth", "peer", "name", name, "netns", self.others)
                run_ip("link", "add", name, *there)
                if address is not None:
                    run_ip("-n", self.machine, "address", "add", address, "dev", name, "nodad")
                run_ip("-n", self.machine, "link", "set", name, "up")
                run_ip("-n", self.others, "link", "set", name, "up")
            self._stack.callback(self.stop)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @staticmethod
    def _set(namespace: str, name: str, value: str) -> None:
        with inside(namespace):
            Path(f"/proc/sys/net/ipv6/conf/{name}").write_text(value)

    def ip(self, *arguments: str) -> str:
        """`ip` on the daemon's machine."""
        return run_ip("-n", self.machine, *arguments)

    def start(self) -> Place:
        """Start the daemon; returns when it is ready."""
        self.daemon.start()
        return self

    def stop(self) -> None:
        """End the daemon, if it runs."""
        self.daemon.close()

    @property
    def log(self) -> str:
        """All that the daemon has said."""
        return self.daemon.log()

    def show(self, what: str) -> list[dict[str, Any]]:
        """What `halma show` gives."""
        return self.ask(request="show", what=what)

    def ask(self, **request: object) -> list[dict[str, Any]]:
        """The rows that a request to the control socket gives."""
        rows: list[dict[str, Any]] = []
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(str(self.directory / "control.sock"))
            client.sendall(json.dumps(request).encode() + b"\n")
            for line in client.makefile("rb"):
                reply = json.loads(line)
                assert "error" not in reply, reply
                if not reply.get("rows"):
                    break
                rows += reply["rows"]
        return rows

    def until(self, holds: Callable[[], object], what: str) -> None:
        """Wait until something is so."""
        limit = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < limit, f"waited in vain for {what}\n{self.log}"
            self.attend(0.01)

    def station(self, port: str, mac: str, *addresses: str) -> Station:
        """A station at the far end of a link; it is gone with the place."""
        made = Station(self, port, bytes.fromhex(mac.replace(":", "")), [ip(address) for address in addresses])
        self._stack.callback(made.socket.close)
        self._stations.append(made)
        return made

    def attend(self, seconds: float) -> None:
        """Wait until something comes to one of the stations, and let all of them see to what has come."""
        select.select([station.socket for station in self._stations], [], [], seconds)
        for station in self._stations:
            station.take()


class Station:
    """Somebody on a link, with a link-layer address and IPv6 addresses, all of user space. `router` is whose link-layer address
    its packets go to: the daemon's."""

    def __init__(self, place: Place, port: str, mac: bytes, addresses: list[bytes]) -> None:
        self.place, self.mac, self.addresses = place, mac, addresses
        shown = json.loads(place.ip("-j", "link", "show", port))[0]["address"]
        self.router = bytes.fromhex(shown.replace(":", ""))
        with inside(place.others):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD))
            self.socket.bind((port, 0x86DD))
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 1 << 22)  # SO_RCVBUFFORCE
        self._waiting: list[Heard] = []

    @property
    def address(self) -> bytes:
        """The first of its addresses."""
        return self.addresses[0]

    def send(self, data: bytes, to: bytes | None = None) -> None:
        """Send an IPv6 packet."""
        if to is None:
            to = b"\x33\x33" + data[36:40] if data[24] == 0xFF else self.router
        self.socket.send(to + self.mac + b"\x86\xdd" + data)

    def hear(self, wanted: Callable[[Heard], object], what: str = "a packet", timeout: float = PATIENCE) -> Heard:
        """The next packet that is wanted; what came before it is forgotten."""
        return self.hear_all(wanted, what, timeout)[-1]

    def hear_all(self, wanted: Callable[[Heard], object], what: str = "a packet", timeout: float = PATIENCE) -> list[Heard]:
        """All packets up to the next one that is wanted."""
        limit, found = time.monotonic() + timeout, []
        while True:
            while self._waiting:
                found.append(self._waiting.pop(0))
                if wanted(found[-1]):
                    return found
            left = limit - time.monotonic()
            assert left > 0, f"waited in vain for {what}\n{self.place.log}"
            self.place.attend(left)

    def waiting(self) -> list[Heard]:
        """What has come already, and was not looked at."""
        self.place.attend(0)
        found, self._waiting = self._waiting, []
        return found

    def take(self) -> None:
        """Take what has come, and answer solicitations."""
        with contextlib.suppress(OSError):  # nothing waits, or the link went down
            while True:
                frame = self.socket.recv(4096)
                if frame[6:12] == self.mac or not (frame[0] & 1 or frame[:6] == self.mac):
                    continue
                heard = octets.read(frame[14:])
                if heard.protocol == octets.ICMPV6 and heard.kind == 135 and heard.body[4:20] in self.addresses:
                    self._advertise(heard)
                else:
                    self._waiting.append(heard)

    def _advertise(self, heard: Heard) -> None:
        """Answer a Neighbor Solicitation (RFC 4861 section 7.2.4)."""
        target, to = heard.body[4:20], heard.source
        flags = b"\x60\0\0\0" if any(to) else b"\x20\0\0\0"
        self.tell(target, to if any(to) else ALL_NODES, flags)

    def tell(self, target: bytes, to: bytes = ALL_NODES, flags: bytes = b"\x20\0\0\0") -> None:
        """A Neighbor Advertisement of one of our addresses."""
        message = octets.icmp(target, to, 136, flags + target + b"\x02\x01" + self.mac)
        self.send(octets.packet(target, to, octets.ICMPV6, message, 255))
