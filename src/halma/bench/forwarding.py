# SPDX-License-Identifier: Apache-2.0
"""Packets a second through an anchor's plane, against plain kernel forwarding through the same namespaces in the same run.

    correspondent c0 -- l0 anchor l1 -- m0 gateways

A generator in BPF sends live frames (BPF_PROG_TEST_RUN) at one end, to random bindings, and a sink counts them at the other,
all on one processor: so what is measured is the time that a packet takes, not how well processors share work. Each row
stands beside a reference measured directly before it.

Always holds: the namespaces are removed, also when a measurement fails; only the network of the benchmark is touched.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import ipaddress
import os
import socket
import statistics
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any

import typer

from halma.engine.api import Bind, Tunnel
from halma.forwarding import open_plane
from halma.forwarding.bpf import XDP_FLAG_DRIVER, AttachType, Link, Program
from halma.forwarding.claim import Claim
from halma.forwarding.hooks import Hook, probe_tcx
from halma.forwarding.loader import OBJECT_DIRECTORY, Collection, ObjectFile
from halma.forwarding.plane import PlaneSettings, PortKind, Side
from halma.forwarding.rtnetlink import RouteNetlink
from halma.lab.processes import inside
from halma.value import value

PLANES = ("xdp", "tcx", "clsact", "seg6", "tun")
DIRECTIONS = ("down", "up")
SIZES = (64, 1400)
BINDINGS = (1, 10_000, 100_000, 1_000_000)
_SLOW = {"seg6": 10_000, "tun": 10_000}
"""The most bindings that the fallbacks are measured with: a route each takes its time."""

_GATEWAYS = 1000
_PREFIX, _GATEWAY_PREFIX = 0xFD01 << 48, 0xFD0A << 48
_ANCHOR = ipaddress.IPv6Address("fd0b::1").packed
_CORRESPONDENT = ipaddress.IPv6Address("fd02:1::1").packed
_CHUNK = 16384
_BURST = 4000
_GENERATOR = struct.Struct("=IIII6s6sI16s16sQQQ")
_ETHTOOL_SGRO = 0x2C


@value
class Row:
    """One measurement."""

    plane: str
    direction: str
    size: int
    bindings: int
    mpps: float
    reference_mpps: float
    ratio: float


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


_MACS = {"c0": "02:00:00:00:00:c0", "l0": "02:00:00:00:00:10", "l1": "02:00:00:00:00:11", "m0": "02:00:00:00:00:20"}


class _Network:
    """The namespaces and links."""

    def __init__(self) -> None:
        self.names = {role: f"halma-{os.getpid()}-bench-{role}" for role in ("correspondent", "anchor", "gateways")}
        self.index: dict[str, int] = {}

    def __enter__(self) -> _Network:
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in self.names.values():
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    def _build(self) -> None:
        far, anchor, gateways = self.names["correspondent"], self.names["anchor"], self.names["gateways"]
        for name in self.names.values():
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
            with inside(name):
                for setting, wanted in (("forwarding", "1"), ("accept_dad", "0")):
                    for scope in ("all", "default"):
                        with open(f"/proc/sys/net/ipv6/conf/{scope}/{setting}", "w", encoding="ascii") as file:
                            file.write(wanted)
        for left, one, right, other in ((far, "c0", anchor, "l0"), (anchor, "l1", gateways, "m0")):
            _ip("link", "add", one, "netns", left, "type", "veth", "peer", "name", other, "netns", right)
        for name, link, address in (
            (far, "c0", "fd02:1::1"),
            (anchor, "l0", "fd02:1::2"),
            (anchor, "l1", "fd02:2::1"),
            (gateways, "m0", "fd02:2::2"),
        ):
            _ip("-n", name, "link", "set", link, "address", _MACS[link], "mtu", "1600", "up")
            _ip("-n", name, "addr", "add", f"{address}/64", "dev", link, "nodad")
            with inside(name):
                self.index[link] = socket.if_nametoindex(link)
                self.receive_offload(link)
        _ip("-n", anchor, "addr", "add", "fd0b::1/128", "dev", "lo")
        _ip("-n", anchor, "-6", "route", "add", "fd0a::/64", "via", "fd02:2::2", "dev", "l1")
        for address, link, mac in (("fd02:1::1", "l0", "c0"), ("fd02:2::2", "l1", "m0")):
            _ip("-n", anchor, "neigh", "replace", address, "lladdr", _MACS[mac], "dev", link, "nud", "permanent")

    @staticmethod
    def receive_offload(link: str) -> None:
        """Let the link poll (GRO), so that frames can be sent to it from XDP."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control, contextlib.suppress(OSError):
            data = bytearray(struct.pack("=II", _ETHTOOL_SGRO, 1))
            buffer = (ctypes.c_char * len(data)).from_buffer(data)
            fcntl.ioctl(control, 0x8946, bytearray(struct.pack("16sQ16x", link.encode(), ctypes.addressof(buffer))))

    def mac(self, link: str) -> bytes:
        """The link-layer address of a link's end."""
        return bytes.fromhex(_MACS[link].replace(":", ""))


class _Bench:
    """Generator and sink in a network."""

    def __init__(self, network: _Network, seconds: float) -> None:
        self._network, self._seconds = network, seconds
        self._objects = Collection(ObjectFile(OBJECT_DIRECTORY / "bench.bpf.o"))

    def close(self) -> None:
        """Give maps and programs back."""
        self._objects.close()

    def _configure(self, direction: str, size: int, bindings: int) -> None:
        link, peer = ("c0", "l0") if direction == "down" else ("m0", "l1")
        entry = _GENERATOR.pack(
            bindings,
            min(bindings, _GATEWAYS),
            self._network.index[link],
            size - 40,
            self._network.mac(peer),
            self._network.mac(link),
            0,
            _CORRESPONDENT,
            _ANCHOR,
            _PREFIX,
            _GATEWAY_PREFIX,
            88172645463325252,
        )
        self._objects.maps["generators"].update(bytes(4), entry)
        number = struct.pack("=I", self._network.index[link])
        with inside(self._network.names["correspondent" if direction == "down" else "gateways"]):
            self._objects.maps["generator_ports"].update(number, number)

    def _sunk(self) -> int:
        raw = self._objects.maps["sunk"].lookup(bytes(4)) or b""
        return sum(struct.unpack(f"={len(raw) // 8}Q", raw))

    @contextlib.contextmanager
    def _sink(self, direction: str, frames: bool) -> Iterator[None]:
        role, link = ("gateways", "m0") if direction == "down" else ("correspondent", "c0")
        index = self._network.index[link]
        with inside(self._network.names[role]), contextlib.ExitStack() as undo:
            if frames:
                program = self._objects.program("sink_frames")
                undo.callback(Link(program, index, AttachType.XDP, XDP_FLAG_DRIVER).close)
            else:
                program = self._objects.program("sink_buffers")
                netlink = undo.enter_context(contextlib.closing(RouteNetlink()))
                claim = undo.enter_context(contextlib.closing(Claim("bench")))
                undo.callback(Hook(netlink, claim, index, program, egress=False, tcx=probe_tcx(program, index)).close)
            yield

    def packets_per_second(self, direction: str, size: int, bindings: int, frames: bool, plain: bool, in_thread: bool) -> float:
        """Run once. `frames`: the plane sends XDP frames to the sink; `plain`: nothing is tunnelled; `in_thread`: a thread of
        this process forwards, so what counts is not the kernel's time but the wall's."""
        self._configure(direction, size, bindings)
        name = "generate_down" if direction == "down" else "generate_up_plain" if plain else "generate_up"
        generator = self._objects.program(name)
        frame = bytes(14 + size + (40 if direction == "up" and not plain else 0))
        repeat = 100_000
        with (
            self._sink(direction, frames),
            inside(self._network.names["correspondent" if direction == "down" else "gateways"]),
        ):
            generator.test_run(frame, 256, live=True)
            time.sleep(0.05)
            before, spent, start = self._sunk(), 0.0, time.perf_counter()
            while time.perf_counter() - start < self._seconds:
                if in_thread:
                    spent += self._burst(generator, frame)
                else:
                    spent += generator.test_run(frame, repeat, live=True)[2] * repeat / 1e9
            time.sleep(0.05)
            return (self._sunk() - before) / spent

    def _burst(self, generator: Program, frame: bytes) -> float:
        """As much as a queue holds, so that the sender does not starve the thread; the seconds until no more has come (some may
        have been lost on the way)."""
        start = time.perf_counter()
        generator.test_run(frame, _BURST, live=True)
        seen, last = self._sunk(), time.perf_counter()
        while (now := time.perf_counter()) - last < 0.01:
            time.sleep(0.0005)
            if (come := self._sunk()) != seen:
                seen, last = come, now
        return last - start


def _changes(bindings: int) -> Iterator[list[Bind]]:
    gateways = min(bindings, _GATEWAYS)
    tunnels = [Tunnel(_ANCHOR, struct.pack("!QQ", _GATEWAY_PREFIX, number + 1)) for number in range(gateways)]
    for start in range(0, bindings, _CHUNK):
        yield [
            Bind(number, struct.pack("!QQ", _PREFIX + number, 0), 64, tunnels[number % gateways])
            for number in range(start, min(bindings, start + _CHUNK))
        ]


def run(
    plane: Annotated[str, typer.Option(help=f"One of {', '.join(PLANES)}, or all of them.")] = "all",
    maximum_bindings: Annotated[int, typer.Option(help="The most bindings that are measured with.", min=1)] = BINDINGS[-1],
    repetitions: Annotated[int, typer.Option(help="Runs of which the median is taken.", min=1)] = 3,
    seconds: Annotated[float, typer.Option(help="How long each run takes.", min=0.01)] = 0.4,
    directions: Sequence[str] = DIRECTIONS,
    sizes: Sequence[int] = SIZES,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, object]:
    """Measure one plane or all, with 1 to `maximum_bindings` bindings. Sizes are of the inner IPv6 packet in bytes, and every
    number is the median of `repetitions` runs of `seconds`.

    Gives `rows` (plane, direction, size, bindings, mpps, reference_mpps, ratio) and `notes` (planes that are missing here).
    Raises OSError without root, and RuntimeError when nothing arrives at the sink.
    """
    rows: list[Row] = []
    notes: list[str] = []
    affinity = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(affinity)})
    try:
        with _Network() as network, contextlib.closing(_Bench(network, seconds)) as bench:
            for kind in PLANES if plane == "all" else (plane,):
                for number in BINDINGS:
                    if number > min(maximum_bindings, _SLOW.get(kind, number)):
                        continue
                    progress(f"{kind}: {number} bindings")
                    try:
                        rows += _measure(network, bench, kind, number, directions, sizes, repetitions)
                    except OSError as error:
                        notes.append(f"{kind}, {number} bindings: {error}")
    finally:
        os.sched_setaffinity(0, affinity)
    names = ("plane", "direction", "size", "bindings", "mpps", "reference_mpps", "ratio")
    return {"rows": [{name: getattr(row, name) for name in names} for row in rows], "notes": notes}


def render(result: dict[str, Any]) -> str:
    """The rows as a table, for a person."""
    lines = [f"{'plane':8}{'direction':>10}{'bytes':>7}{'bindings':>10}{'Mpps':>9}{'reference':>11}{'ratio':>7}"]
    for row in result["rows"]:
        lines.append(
            f"{row['plane']:8}{row['direction']:>10}{row['size']:>7}{row['bindings']:>10}"
            f"{row['mpps']:>9.3f}{row['reference_mpps']:>11.3f}{row['ratio']:>7.2f}"
        )
    return "\n".join([*lines, *result["notes"]])


def _measure(
    network: _Network,
    bench: _Bench,
    kind: str,
    bindings: int,
    directions: Sequence[str],
    sizes: Sequence[int],
    repetitions: int,
) -> list[Row]:
    anchor = network.names["anchor"]
    cases = [(direction, size) for direction in directions for size in sizes]
    references: dict[tuple[str, int], list[float]] = {case: [] for case in cases}
    found: dict[tuple[str, int], list[float]] = {case: [] for case in cases}
    for _ in range(repetitions):
        _ip("-n", anchor, "-6", "route", "add", "fd01::/16", "via", "fd02:2::2", "dev", "l1")
        try:
            for direction, size in cases:
                rate = bench.packets_per_second(direction, size, bindings, frames=False, plain=True, in_thread=False)
                references[direction, size].append(rate)
        finally:
            _ip("-n", anchor, "-6", "route", "del", "fd01::/16")
        with inside(anchor):
            settings = PlaneSettings(Side.ANCHOR, (_ANCHOR,), (((0xFD01 << 112).to_bytes(16, "big"), 16),), 1600, bindings)
            plane = open_plane(kind, settings)
            try:
                for link in ("l0", "l1"):
                    plane.attach(network.index[link], PortKind.NETWORK)
                for changes in _changes(bindings):
                    if any(plane.apply(changes)):
                        raise RuntimeError(f"{kind} refused a binding")
                for direction, size in cases:
                    rate = bench.packets_per_second(direction, size, bindings, kind == "xdp", False, kind == "tun")
                    found[direction, size].append(rate)
            finally:
                plane.close()
    rows = []
    for case in cases:
        mpps, reference = statistics.median(found[case]) / 1e6, statistics.median(references[case]) / 1e6
        if not mpps or not reference:
            raise RuntimeError(f"{kind}, {case[0]}, {case[1]} bytes, {bindings} bindings: nothing arrived")
        rows.append(Row(kind, case[0], case[1], bindings, round(mpps, 3), round(reference, 3), round(mpps / reference, 2)))
    return rows
