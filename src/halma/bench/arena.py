# SPDX-License-Identifier: Apache-2.0
"""Where signalling is measured: an anchor, a reference and a crowd, each in a network namespace of its own.

       anchor  2001:db8:1::1  core0 ----- core0  2001:db8:1::101 and on \\
                                                                          crowd (the load generator)
    reference  2001:db8:2::1  core0 -----  ref0  2001:db8:2::101 and on /

The crowd's addresses on these links are those of gateways; mobile nodes that speak for themselves are in networks behind them.

The anchor is the daemon as a user starts it, with the data plane on. It and the reference run on one processor, never both
at work at a time, and the generator on another. What differs from a usual configuration: room for all the bindings;
`timestamp_validity_window_ms` = 3600000 and `replay_window_seconds` = 3600, because updates are made before they are sent; no
heartbeats, because the generator is no gateway that would answer them; all associations have one key file.

Always holds: leaving the `with` block ends every process and namespace that was made; nothing waits without a limit.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path

import msgspec

from halma.bench.crowd import LEAVE, REALM, Protocol, identifier
from halma.bench.generator import Order, Outcome
from halma.bench.home_crowd import HOME_PREFIXES, SECRET, SPI, home_prefix
from halma.lab.daemons import KEYS, Daemon, Table
from halma.lab.processes import LabError, Process, spawn
from halma.lab.session import Lab, interruptible
from halma.lab.topology import End, Kind, Link, Node, Route, Topology, Zone

PLACES = 4
"""Where nodes can be: gateways, or visited networks."""
PATIENCE = 120.0
"""Seconds that an order may take, with all that the generator does before and after."""
ANCHOR, REFERENCE = IPv6Address("2001:db8:1::1"), IPv6Address("2001:db8:2::1")
_CORE = IPv6Network("2001:db8:1::/64")
_VISITED = IPv6Network("2001:db8:e000::/36")
_POOL = IPv6Network((HOME_PREFIXES, 40))
_KEY = "nodes.key"


class BenchError(RuntimeError):
    """The benchmark could not be run; the message is for a person."""


def _gateways(anchor: IPv6Address) -> list[IPv6Address]:
    return [anchor + 0x100 + number for number in range(PLACES)]


def _visited_networks() -> list[IPv6Address]:
    return [_VISITED.network_address + (number << 64) for number in range(PLACES)]


def _topology() -> Topology:
    def link(name: str, node: str, address: IPv6Address, interface: str) -> Link:
        near = (IPv6Interface(f"{address}/64"),)
        far = tuple(IPv6Interface(f"{gateway}/64") for gateway in _gateways(address))
        return Link(name, End(node, "core0", near), End("crowd", interface, far), Zone.CORE)

    there, back = Route(_VISITED, _gateways(ANCHOR)[0]), _gateways(REFERENCE)[0]
    return Topology(
        nodes=(
            Node("anchor", Kind.ANCHOR, "anchor", (0, 0), (there,)),
            Node("reference", Kind.CORRESPONDENT, "reference", (0, 1), (Route(_CORE, back), Route(_VISITED, back))),
            Node("crowd", Kind.CORRESPONDENT, "crowd", (1, 0)),
        ),
        links=(link("core", "anchor", ANCHOR, "core0"), link("ref", "reference", REFERENCE, "ref0")),
    )


def _anchor(nodes: int, plane: str, protocol: Protocol) -> Daemon:
    anchor: Table = {
        "addresses": [str(ANCHOR)],
        "interfaces": ["core0"],
        "plane": plane,
        "maximum_bindings": nodes + 1024,
        "timestamp_validity_window_ms": 3_600_000,
        "heartbeat": {"enabled": False},
    }
    table: dict[str, Table | list[Table]] = {
        "anchor": anchor,
        "pool": [{"name": "main", "prefix": str(_POOL)}],
        "peer": [{"address": str(gateway), "nodes": [f"*@{REALM}"]} for gateway in _gateways(ANCHOR)],
        "profile": [{"node": f"*@{REALM}", "pool": "main", "mobile_ipv6": protocol is Protocol.MIPV6}],
    }
    if protocol is Protocol.MIPV6:
        table["association"] = [_association(node) for node in range(nodes)]
    return Daemon("anchor", "anchor", table, ((_KEY, SECRET),))


def _association(node: int) -> Table:
    return {
        "node": identifier(node).decode(),
        "spi": SPI,
        "key_file": f"{KEYS}/{_KEY}",
        "home_prefix": f"{IPv6Address(home_prefix(node))}/64",
        "replay_window_seconds": 3600,
    }


@contextlib.contextmanager
def _on(processor: int) -> Iterator[None]:
    """Processes that are started in this block run on one processor."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {processor})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Arena:
    """The running arena: `fire` gives the generator an order. `nodes` is the size of the crowd."""

    def __init__(
        self,
        nodes: int,
        protocol: Protocol = Protocol.PMIPV6,
        *,
        plane: str = "auto",
        reference: bool = True,
        progress: Callable[[str], None],
    ) -> None:
        self._nodes, self._protocol, self._plane, self._with_reference = nodes, protocol, plane, reference
        self._lab = Lab(_topology(), capture=False, progress=progress)
        self._stack = contextlib.ExitStack()
        self._next = 0
        self.anchor = self.echo = 0
        """The processes."""

    def __enter__(self) -> Arena:
        if os.geteuid() != 0:
            raise BenchError("needs root: it makes network namespaces")
        processors = sorted(os.sched_getaffinity(0))
        with contextlib.ExitStack() as stack:
            stack.enter_context(interruptible())
            stack.enter_context(self._lab)
            # What comes for a mobile node is heard on a packet socket: the stack is to have the least trouble with it.
            self._lab.command("crowd", "ip", "route", "add", "blackhole", str(_VISITED))
            with _on(processors[0]):
                self._lab.start([_anchor(self._nodes, self._plane, self._protocol)])
                self.anchor = self._lab.daemons.processes()[0].handle.pid
                if self._with_reference:
                    self.echo = self._start(stack, "reference", "halma.bench.echo", str(REFERENCE)).handle.pid
            with _on(processors[-1]):
                self._connect(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def identity(self) -> str:
        """The lab's, which the names of its namespaces have in them."""
        return self._lab.network.identity

    def _start(self, stack: contextlib.ExitStack, node: str, module: str, *arguments: str) -> Process:
        """Start a module of ours on a node; it ends before the network goes."""
        network = self._lab.network
        command = [sys.executable, "-m", module, *arguments]
        process = spawn(module, node, network.namespace(node), command, self._lab.records / "logs" / f"{node}.log")
        stack.callback(process.stop)
        return process

    def _connect(self, stack: contextlib.ExitStack) -> None:
        path = str(self._lab.network.directory / "generator.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(path)
            listener.listen(1)
            listener.settimeout(0.1)
            places = _gateways(ANCHOR) if self._protocol is Protocol.PMIPV6 else _visited_networks()
            arguments = (path, self._protocol.value, str(self._nodes), *map(str, places))
            process = self._start(stack, "crowd", "halma.bench.generator", *arguments)
            limit = time.monotonic() + PATIENCE
            while True:
                try:
                    connection, _ = listener.accept()
                    break
                except TimeoutError:
                    if not process.running or time.monotonic() > limit:
                        raise BenchError(f"the generator does not start:\n{process.tail()}") from None
        connection.settimeout(PATIENCE)
        self._control = stack.enter_context(connection)
        self._outcomes = stack.enter_context(connection.makefile("rb"))
        self._generator = process

    def new(self, count: int) -> int:
        """The first of so many nodes that have not been taken yet."""
        first = self._next
        self._next += count
        return first

    def give_back(self, first: int, count: int, window: int) -> None:
        """These nodes, the last ones taken, leave the anchor and can be taken anew."""
        self.fire(LEAVE, first, count, window)
        self._next = first

    def fire(self, phase: str, first: int, count: int, window: int, *, step: int = 1, echo: bool = False) -> Outcome:
        """Let the generator do a phase for `count` nodes (see `crowd.PHASES`), at the anchor or as `echo`. Raises
        BenchError when that was not possible."""
        destination = REFERENCE if echo else ANCHOR
        order = Order(phase, first, count, destination.packed.hex(), window, step, echo)
        try:
            self._control.sendall(msgspec.json.encode(order) + b"\n")
            line = self._outcomes.readline()
        except OSError as error:
            raise BenchError(f"the generator does not answer: {error}") from None
        if not line:
            raise BenchError(f"the generator has ended:\n{self._generator.tail()}")
        outcome = msgspec.json.decode(line, type=Outcome)
        if outcome.error:
            raise BenchError(f"{phase} at {destination}: {outcome.error}")
        return outcome

    # ---- what the anchor costs ----

    def processor_seconds(self, *, echo: bool = False) -> float:
        """Processor time that the main thread of the anchor, or of the `echo`, has taken."""
        process = self.echo if echo else self.anchor
        return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9

    def resident_bytes(self) -> int:
        """The anchor's memory that is in use."""
        found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{self.anchor}/status").read_text(), re.MULTILINE)
        return int(found[1]) * 1024 if found else 0

    def map_bytes(self) -> int:
        """The memory of the anchor's BPF maps, as the kernel accounts it."""
        maps: dict[str, int] = {}
        for entry in Path(f"/proc/{self.anchor}/fdinfo").iterdir():
            with contextlib.suppress(FileNotFoundError):
                fields = dict(line.split(":", 1) for line in entry.read_text().splitlines() if ":" in line)
                if "map_id" in fields:
                    maps[fields["map_id"]] = int(fields["memlock"])
        return sum(maps.values())


@contextlib.contextmanager
def open_arena(
    nodes: int,
    protocol: Protocol = Protocol.PMIPV6,
    *,
    plane: str = "auto",
    reference: bool = True,
    progress: Callable[[str], None],
) -> Iterator[Arena]:
    """An arena, with the mistakes of the lab told as `BenchError`."""
    try:
        with Arena(nodes, protocol, plane=plane, reference=reference, progress=progress) as arena:
            yield arena
    except LabError as error:
        raise BenchError(str(error)) from None


def to_terminal(line: str) -> None:
    """Progress, where somebody looks on."""
    if sys.stderr.isatty():
        print(line, file=sys.stderr)
