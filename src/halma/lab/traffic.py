# SPDX-License-Identifier: Apache-2.0
"""Traffic as values, and the processes (`halma.lab.talker`) that make it.

Always holds: every stream has its own number, which is in each of its packets; a node has one process for all its streams.
"""

from __future__ import annotations

import dataclasses
import json
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

from halma.lab.network import Network
from halma.lab.processes import LabError, Process, ask, finish, spawn
from halma.value import value

_PATIENCE = 30.0
_JOINING = 1.0
"""Seconds until the network is taken to know who listens to a group."""
_DRAIN = 0.3
"""Seconds between the last probe that is sent and the end: what is still on its way arrives."""


@value
class Datagrams:
    """Numbered UDP probes from one node to another, one every `interval_ms`. With an `address` they go to that one, which
    nobody has, in the network of their destination: to see where the network would take them. With a `group` they go to
    that multicast group, and their destination listens to it."""

    stream: int
    source: str
    destination: str
    interval_ms: float = 1.0
    size: int = 64
    address: IPv6Address | None = None
    group: IPv6Address | None = None


@value
class Conversation:
    """A TCP connection that `client` opens to `server`; both send `size` bytes every `interval_ms`, all the time."""

    stream: int
    client: str
    server: str
    interval_ms: float = 20.0
    size: int = 200


Stream = Datagrams | Conversation


def both_ways(first: int, left: str, right: str, interval_ms: float = 1.0) -> tuple[Datagrams, Datagrams]:
    """Probes from left to right with the number `first`, and back with the number after it."""
    return Datagrams(first, left, right, interval_ms), Datagrams(first + 1, right, left, interval_ms)


def paced(stream: Stream, pace_ms: float) -> Stream:
    """The stream, sending nothing sooner than `pace_ms` after what it sent before."""
    return dataclasses.replace(stream, interval_ms=max(stream.interval_ms, pace_ms))


def plans(streams: Sequence[Stream], addresses: Mapping[str, IPv6Address]) -> dict[str, dict[str, list[Any]]]:
    """What each node is to do for the streams, in the words of `halma.lab.talker`."""
    made: dict[str, dict[str, list[Any]]] = {}

    def plan(node: str) -> dict[str, list[Any]]:
        return made.setdefault(node, {"send": [], "receive": [], "connect": [], "accept": []})

    for stream in streams:
        rhythm = {"stream": stream.stream, "interval_us": int(stream.interval_ms * 1000), "size": stream.size}
        if isinstance(stream, Datagrams):
            target = stream.group or stream.address or addresses[stream.destination]
            plan(stream.source)["send"].append({**rhythm, "destination": str(target)})
            if stream.address is None:
                group = "" if stream.group is None else str(stream.group)
                plan(stream.destination)["receive"].append({"stream": stream.stream, "group": group})
        else:
            plan(stream.server)["accept"].append(rhythm)
            plan(stream.client)["connect"].append({**rhythm, "destination": str(addresses[stream.server])})
    return made


class Traffic:
    """The talking processes of a lab."""

    def __init__(self, network: Network, directory: Path, logs: Path) -> None:
        self._network = network
        self._directory = directory
        self._logs = logs
        self._processes: list[Process] = []

    def start(self, streams: Sequence[Stream], addresses: Mapping[str, IPv6Address]) -> None:
        """Start all streams, once every node can take what is sent to it. Raises LabError."""
        made = plans(streams, addresses)
        for node in made:
            plan, result = self._directory / f"{node}.plan.json", self._directory / f"{node}.json"
            plan.write_text(json.dumps(made[node]))
            command = [sys.executable, "-m", "halma.lab.talker", str(plan), str(result)]
            log = self._logs / f"talker-{node}.log"
            self._processes.append(spawn(f"talker-{node}", node, self._network.namespace(node), command, log, keep_input=True))
        self._await("ready")
        if any(isinstance(stream, Datagrams) and stream.group is not None for stream in streams):
            time.sleep(_JOINING)
        for process in self._processes:
            if process.handle.stdin is not None:
                process.handle.stdin.write(b"go\n")
                process.handle.stdin.close()
        self._await("talking")

    def _await(self, word: str) -> None:
        """Wait until every process has said a word. Raises LabError."""
        limit = time.monotonic() + _PATIENCE
        for process in self._processes:
            while word not in process.tail():
                if not process.running or time.monotonic() > limit:
                    raise LabError(f"the traffic of {process.node} does not start:\n{process.tail()}")
                time.sleep(0.005)

    def stop(self) -> None:
        """Send no more, let the last packets arrive, and collect what every node saw."""
        ask(self._processes, signal.SIGUSR1)
        if self._processes:
            time.sleep(_DRAIN)
        ask(self._processes)
        finish(self._processes)
        self._processes = []
