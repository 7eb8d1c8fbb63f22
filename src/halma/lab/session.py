# SPDX-License-Identifier: Apache-2.0
"""A running lab: what a scenario's timeline acts on.

    with Lab(topology, records) as lab:
        lab.start(daemons)
        lab.move("host1", "mag1")
        ...

Everything that happens by the lab's doing is in the journal, with the time of the one clock, for the judge and the pictures.

Always holds: leaving the `with` block stops every process of the lab and removes every namespace, whatever the reason for
leaving; a second ctrl-C cannot stop that. What the lab left in spite of it is in `remains`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

from halma.lab.cache_recorder import CacheRecorder
from halma.lab.capture import Captures
from halma.lab.daemons import Daemon, Daemons
from halma.lab.network import Network, namespaces, processes_in
from halma.lab.processes import LabError, Process, ask, finish, run, spawn
from halma.lab.topology import Topology
from halma.lab.traffic import Conversation, Datagrams, Stream, Traffic, paced

_PATIENCE = 20.0
_ROLES = ("captures", "config", "logs", "traffic")


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What a person, or a machine that shuts down, ends a program with."""


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block as ctrl-C does, by KeyboardInterrupt, once: what comes after the first of them
    does not disturb the cleaning up."""

    def interrupt(*_: object) -> None:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = [signal.signal(number, interrupt) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let no signal that a person sends disturb the block."""
    before = [signal.signal(number, signal.SIG_IGN) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)


def snapshot() -> dict[str, set[str]]:
    """What a lab might leave on the machine outside of its namespaces: interfaces, nft tables, BPF pins."""
    with contextlib.suppress(LabError):
        return {
            "interface": set(os.listdir("/sys/class/net")),
            "nft table": set(run("nft", "list", "tables").splitlines()),
            "BPF pin": {entry for entry in _pins(Path("/sys/fs/bpf")) if "halma" in entry},
        }
    return {"interface": set(os.listdir("/sys/class/net"))}


def _pins(directory: Path) -> Iterator[str]:
    for place, below, files in os.walk(directory):
        yield from (f"{place}/{name}" for name in (*below, *files))


class Lab:
    """A lab with its network, daemons, captures and traffic. `progress` is told what happens, in a few words;
    no stream sends oftener than every `pace_ms`."""

    def __init__(
        self,
        topology: Topology,
        records: Path | None = None,
        *,
        capture: bool = True,
        progress: Callable[[str], None] | None = None,
        pace_ms: float = 0.0,
    ) -> None:
        self.topology = topology
        self.network = Network(topology)
        self.remains: list[str] = []
        self.journal: dict[str, Any] = {"steps": [], "movements": [], "addresses": {}, "streams": [], "exits": {}}
        self._capture = capture
        self._pace_ms = pace_ms
        self._say = progress or (lambda _: None)
        self._records = records
        self._before: dict[str, set[str]] = {}
        self._monitor: Process | None = None
        self._relay: Process | None = None
        self._relayed = 0
        self._stopped = False
        logs = self.records / "logs"
        self.captures = Captures(self.network, self.records / "captures", logs)
        self.daemons = Daemons(self.network, self.records / "config", logs)
        self.traffic = Traffic(self.network, self.records / "traffic", logs)
        self.caches = CacheRecorder(self.records / "caches.jsonl", self.daemons.anchors if capture else dict)

    @property
    def records(self) -> Path:
        """Where the captures, configurations, logs and the journal of this run are."""
        return self._records or self.network.directory / "records"

    def __enter__(self) -> Lab:
        self._before = snapshot()
        try:
            self.network.claim()
            for name in _ROLES:
                (self.records / name).mkdir(parents=True, exist_ok=True)
            self._say("building the network")
            self.network.build_nodes()
            self._start_relay()
            self.network.build_links()
            self.network.configure()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with undisturbed():
            self._say("taking the lab down")
            for close in (self.stop, self._stop_relay, self.network.close):
                try:
                    close()
                except (OSError, LabError) as error:
                    self.remains.append(str(error))
            self.remains += self._left_behind()
            self.network.release()

    def start(self, daemons: Sequence[Daemon] = ()) -> None:
        """Start captures and daemons. Raises LabError."""
        self.journal["began"] = time.time()
        if self._capture:
            self._say("starting the captures")
            self.captures.start()
        self._start_monitor()
        if daemons:
            self._say("starting the daemons")
        # Whoever is registered with comes before those who register.
        for roles in ({"anchor", "router", "names"}, {"gateway"}, {"node"}):
            self.daemons.start(*(daemon for daemon in daemons if daemon.role in roles))

    def stop(self) -> None:
        """End traffic, daemons and captures in this order and write the journal; the network stays. Does nothing the
        second time."""
        if not self._stopped and self.records.is_dir():
            self._stopped = True
            self.traffic.stop()
            self.journal["ended"] = time.time()
            self.step("the end")
            self.journal["died"] = [process.node for process in self.daemons.processes() if not process.running]
            self.journal["exits"] |= self.daemons.stop()
            self.captures.stop()
            if self._monitor is not None:
                self._monitor.stop()
            (self.records / "journal.json").write_text(json.dumps(self.journal, indent=1))

    def step(self, name: str) -> None:
        """A new step of the timeline begins, after a look at the anchors' caches."""
        self.caches.look()
        self.journal["steps"].append({"time": time.time(), "name": name})
        self._say(name)

    def wait(self, seconds: float) -> None:
        """Let time pass. Raises LabError when a daemon has died."""
        limit = time.monotonic() + seconds
        while (left := limit - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
            self._check_daemons()
            self.caches.glance()

    def _check_daemons(self) -> None:
        for process in self.daemons.processes():
            if not process.running:
                raise LabError(f"{process.name} on {process.node} has ended:\n{process.tail()}")

    def move(self, host: str, gateway: str | None) -> None:
        """Take a host's link to a gateway, or off the air."""
        self.caches.rest()
        before = self.network.attached.get(host)
        self.journal["movements"].append({"time": time.time(), "host": host, "from": before, "to": gateway})
        self.network.move(host, gateway)

    def wait_for_link(self, host: str, patience: float = _PATIENCE) -> None:
        """Wait until a host's link is up. Raises LabError when it is not in `patience` seconds."""
        interface = self.topology.access_of(host).interface
        limit = time.monotonic() + patience
        while "LOWER_UP" not in run("ip", "-n", self.network.namespace(host), "-o", "link", "show", "dev", interface):
            if time.monotonic() > limit:
                raise LabError(f"the link of {host} does not come up in {patience:g} s")
            self.wait(0.01)

    def command(self, node: str, *arguments: str) -> str:
        """Run a program on a node to its end; what it printed. Raises LabError."""
        return run("ip", "netns", "exec", self.network.namespace(node), *arguments)

    def forge(self, node: str, *arguments: str) -> None:
        """Send packets with addresses that are not the node's own (see `halma.lab.forge`). Raises LabError."""
        self.command(node, sys.executable, "-m", "halma.lab.forge", *arguments)

    def address(self, node: str, patience: float = _PATIENCE) -> IPv6Address:
        """The global address of a node: the declared one, or for a host the one that its kernel formed and may use.
        Raises LabError when there is none in `patience` seconds."""
        with contextlib.suppress(KeyError):
            return self.topology.address(node)
        interface = self.topology.access_of(node).interface
        limit = time.monotonic() + patience
        while time.monotonic() < limit:
            shown = run("ip", "-n", self.network.namespace(node), "-j", "-6", "address", "show", "dev", interface)
            for item in json.loads(shown):
                for entry in item.get("addr_info", []):
                    if entry.get("scope") == "global" and not entry.get("tentative") and not entry.get("dadfailed"):
                        return IPv6Address(entry["local"])
            self.wait(0.05)
        raise LabError(f"{node} has no address after {patience:g} s")

    def talk(self, *streams: Stream) -> None:
        """Start all traffic; it runs until the end. Raises LabError."""
        streams = tuple(paced(stream, self._pace_ms) for stream in streams)
        ends = {
            node
            for stream in streams
            for node in (
                (stream.source, stream.destination) if isinstance(stream, Datagrams) else (stream.client, stream.server)
            )
        }
        addresses = {node: self.address(node) for node in sorted(ends)}
        self.journal["addresses"] = {node: str(address) for node, address in addresses.items()}
        self.journal["streams"] = [_describe(stream) for stream in streams]
        self.traffic.start(streams, addresses)

    def _start_monitor(self) -> None:
        targets = [f"{access.host}={self.network.namespace(access.host)}" for access in self.topology.access]
        if targets:
            log = self.records / "logs" / "monitor.log"
            command = [sys.executable, "-m", "halma.lab.monitor", str(self.records / "events.jsonl"), *targets]
            self._monitor = spawn("monitor", "", None, command, log)
            _await(self._monitor, "listening")

    def _start_relay(self) -> None:
        links = []
        for link in self.topology.links:
            if (impairment := link.impairment) is not None:
                ends = [
                    {
                        "node": end.node,
                        "namespace": self.network.namespace(end.node),
                        "interface": end.interface,
                        "index": self.network.next_index(),
                    }
                    for end in link.ends
                ]
                links.append(
                    {
                        "name": link.name,
                        "ends": ends,
                        "delay_ms": impairment.delay_ms,
                        "jitter_ms": impairment.jitter_ms,
                        "loss": impairment.loss,
                        "seed": impairment.seed,
                    }
                )
        if links:
            plan = self.network.directory / "relay.json"
            plan.write_text(json.dumps({"links": links}))
            command = [sys.executable, "-m", "halma.lab.relay", str(plan)]
            self._relay = spawn("relay", "", None, command, self.records / "logs" / "relay.log", keep_input=True)
            _await(self._relay, "ready")

    def impair(self, link: str, **command: object) -> None:
        """Give the relay of a link a command (see `halma.lab.relay`): a new delay or loss, messages to hold or release.
        Raises LabError when the link has no relay."""
        if self._relay is None or self._relay.handle.stdin is None:
            raise LabError(f"link {link} has no relay: declare it with an impairment")
        self._relayed += 1
        self._relay.handle.stdin.write(json.dumps({"link": link, **command}).encode() + b"\n")
        self._relay.handle.stdin.flush()
        _await(self._relay, "done", self._relayed)

    def _stop_relay(self) -> None:
        if self._relay is not None:
            if self._relay.handle.stdin is not None:
                self._relay.handle.stdin.close()
            ask([self._relay])
            finish([self._relay])
            self._relay = None

    def _left_behind(self) -> list[str]:
        """What of this lab still exists, by name."""
        ours = set(self.network.all_namespaces())
        left = [f"namespace {name}" for name in namespaces() if name in ours]
        left += [f"process {number}" for number in processes_in(self.network.inodes)]
        after = snapshot()
        for kind, before in self._before.items():
            left += [f"{kind} {name}" for name in sorted(after.get(kind, set()) - before)]
        return left


def _describe(stream: Stream) -> dict[str, Any]:
    if isinstance(stream, Conversation):
        return {"kind": "tcp", "stream": stream.stream, "source": stream.client, "destination": stream.server}
    return {
        "kind": "udp" if stream.address is None else "stray",
        "stream": stream.stream,
        "source": stream.source,
        "destination": stream.destination,
        "interval_ms": stream.interval_ms,
    }


def _await(process: Process, word: str, times: int = 1) -> None:
    """Wait until a process of ours has printed a word so many times. Raises LabError when it ends before."""
    limit = time.monotonic() + _PATIENCE
    while process.log.read_text().split().count(word) < times:
        if not process.running or time.monotonic() > limit:
            raise LabError(f"{process.name} does not start:\n{process.tail()}")
        time.sleep(0.002)
