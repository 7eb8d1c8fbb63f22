# SPDX-License-Identifier: Apache-2.0
"""A small network to try planes in.

    correspondent -- inet0 ANCHOR core1 -- core0 GATEWAY access1 -- first
                           core2 |               access2 -- second
                                 far  (a gateway of which only the wire is there)

Only the kernel's own forwarding and the planes under test are at work; `first`, `second` and `correspondent` are plain hosts
and `far` is a wire to look at. Frames are sent and caught with packet sockets.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable

from tests.forwarding.plane_packets import Error, Ip, address, frame, icmp_error, parse
from tests.netio.links import inside

ANCHOR, GATEWAY, FAR = "2001:db8:1::1", "2001:db8:2::1", "2001:db8:3::1"
CORRESPONDENT, INET = "2001:db8:ff::2", "2001:db8:ff::1"
AGGREGATE = "2001:db8:100::"
FIRST, SECOND, ROAMER, UNBOUND = ("2001:db8:100:1::1", "2001:db8:100:2::1", "2001:db8:100:3::1", "2001:db8:100:ff::1")
NAMES = ("correspondent", "anchor", "gateway", "far", "first", "second")

WAIT = float(os.environ.get("HALMA_TEST_WAIT", "5.0"))
"""Seconds within which a packet must come; tests that expect silence send a second packet and wait for that."""


def run(*command: str) -> str:
    """Run a command. Raises CalledProcessError."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def ethtool(name: str, command: int, value: int) -> None:
    """Switch an offload (in the current namespace)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        data = bytearray(struct.pack("=II", command, value))
        buffer = (ctypes.c_char * len(data)).from_buffer(data)
        request = bytearray(struct.pack("16sQ16x", name.encode(), ctypes.addressof(buffer)))
        with contextlib.suppress(OSError):
            fcntl.ioctl(control, 0x8946, request)


class Wire:
    """An end of a link from which frames are sent and on which they are caught."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.index = socket.if_nametoindex(name)
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD))
        self.socket.bind((name, 0x86DD))
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE: no test loses frames by itself
        self.socket.setsockopt(263, 23, 1)  # SOL_PACKET, PACKET_IGNORE_OUTGOING
        self.mac = self.socket.getsockname()[4]

    def send(self, packet: Ip | bytes, to: Wire) -> None:
        """Send a packet to the interface at `to`."""
        data = packet.bytes() if isinstance(packet, Ip) else packet
        self.socket.send(frame(data, to.mac, self.mac))

    def drain(self) -> None:
        """Forget what has come."""
        self.socket.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.socket.recv(65536)

    def receive(self, wanted: Callable[[Ip], bool], within: float = WAIT) -> Ip | None:
        """The next packet that is `wanted`; None when there is none in time."""
        end = time.monotonic() + within
        while (left := end - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(65536)
            except (TimeoutError, BlockingIOError):
                return None
            if len(data) >= 54:
                packet = parse(data[14:])
                if wanted(packet):
                    return packet
        return None

    def error(self, kind: int) -> Error | None:
        """The next ICMPv6 error of this type."""
        found = self.receive(lambda packet: (error := icmp_error(packet)) is not None and error.kind == kind)
        return icmp_error(found) if found else None


class Network:
    """The network; `close` removes it."""

    def __init__(self, make: Callable[[str], str]) -> None:
        self.names = {role: make(role) for role in NAMES}
        self.wires: dict[str, Wire] = {}
        for role, forwards in (
            ("anchor", "1"),
            ("gateway", "1"),
            ("correspondent", "0"),
            ("first", "0"),
            ("second", "0"),
            ("far", "0"),
        ):
            with inside(self.names[role]):
                for setting, value in (("accept_dad", "0"), ("accept_ra", "0"), ("router_solicitations", "0")):
                    for scope in ("all", "default"):
                        self._set(scope, setting, value)
                self._set("all", "forwarding", forwards)
        self._link("correspondent", "eth0", "anchor", "inet0")
        self._link("anchor", "core1", "gateway", "core0")
        self._link("anchor", "core2", "far", "core0")
        self._link("gateway", "access1", "first", "eth0")
        self._link("gateway", "access2", "second", "eth0")
        self._address("correspondent", "eth0", CORRESPONDENT + "/64")
        self._address("anchor", "inet0", INET + "/64")
        self._address("anchor", "lo", ANCHOR + "/128")
        self._address("anchor", "core1", "2001:db8:2::ff/64")
        self._address("gateway", "core0", GATEWAY + "/64")
        self._address("anchor", "core2", "2001:db8:3::ff/64")
        self._address("first", "eth0", FIRST + "/64")
        self._address("second", "eth0", SECOND + "/64")
        for role, gate in (("correspondent", INET), ("gateway", "2001:db8:2::ff")):
            self.ip(role, "-6", "route", "add", "default", "via", gate)
        for role, interface in (("first", "access1"), ("second", "access2")):
            self._address("gateway", interface, "fe80::5213/64")
            self.ip(role, "-6", "route", "add", "default", "via", "fe80::5213", "dev", "eth0")
        self.ip("anchor", "-6", "neigh", "add", FAR, "lladdr", "02:00:00:00:00:99", "dev", "core2", "nud", "permanent")
        for role, interface in (
            ("correspondent", "eth0"),
            ("anchor", "inet0"),
            ("anchor", "core1"),
            ("anchor", "core2"),
            ("gateway", "core0"),
            ("gateway", "access1"),
            ("gateway", "access2"),
            ("far", "core0"),
            ("first", "eth0"),
            ("second", "eth0"),
        ):
            with inside(self.names[role]):
                self.wires[f"{role}.{interface}"] = Wire(interface)

    @staticmethod
    def _set(scope: str, setting: str, value: str) -> None:
        with contextlib.suppress(OSError), open(f"/proc/sys/net/ipv6/conf/{scope}/{setting}", "w", encoding="ascii") as file:
            file.write(value)

    def ip(self, role: str, *arguments: str) -> str:
        """`ip` in a host's namespace."""
        return run("ip", "-n", self.names[role], *arguments)

    def _link(self, left: str, left_name: str, right: str, right_name: str) -> None:
        end = ("peer", "name", right_name, "netns", self.names[right])
        run("ip", "link", "add", left_name, "netns", self.names[left], "type", "veth", *end)
        for role, name in ((left, left_name), (right, right_name)):
            self.ip(role, "link", "set", name, "up")

    def _address(self, role: str, interface: str, text: str) -> None:
        self.ip(role, "addr", "add", text, "dev", interface, "nodad")

    def prepare_for_xdp(self) -> None:
        """Native XDP on veth can neither read what a sender leaves to checksum offload, nor send to a peer without NAPI."""
        for key, wire in self.wires.items():
            with inside(self.names[key.split(".")[0]]):
                ethtool(wire.name, 0x17, 0)  # ETHTOOL_STXCSUM
                ethtool(wire.name, 0x2C, 1)  # ETHTOOL_SGRO

    def wire(self, key: str) -> Wire:
        """The wire's end at `role.interface`."""
        return self.wires[key]

    def index(self, key: str) -> int:
        """The interface index of `role.interface`."""
        return self.wires[key].index

    def learn_neighbours(self) -> None:
        """Let everybody know its neighbours, so that a test sees nothing but what it sends."""
        for role, target in (
            ("correspondent", INET),
            ("anchor", GATEWAY),
            ("gateway", "2001:db8:2::ff"),
        ):
            with contextlib.suppress(subprocess.CalledProcessError):
                run("ip", "netns", "exec", self.names[role], "ping", "-c1", "-W2", target)

    def close(self) -> None:
        """Close the wires; the namespaces belong to who made them."""
        for wire in self.wires.values():
            wire.socket.close()


def is_from(text: str) -> Callable[[Ip], bool]:
    """Packets with this source."""
    wanted = address(text)
    return lambda packet: packet.source == wanted


def is_tunnelled(source: str, destination: str) -> Callable[[Ip], bool]:
    """Tunnel packets between these two."""
    ends = (address(source), address(destination))
    return lambda packet: packet.next_header in (41, 60) and (packet.source, packet.destination) == ends
