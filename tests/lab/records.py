# SPDX-License-Identifier: Apache-2.0
"""Records of a run of the lab that never took place, written by hand in the form that a run leaves them in."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from halma.lab.evidence import Evidence
from halma.lab.forge import datagram, header
from halma.lab.probe import BASE_PORT, Probe, encode
from halma.lab.recording import statistics
from halma.lab.topology import Topology
from halma.lab.verdict import Check
from halma.wire import Message
from halma.wire import encode as encode_message
from halma.wire.pcap import ETHERNET, write_frame, write_interface, write_section


def mobility(source: bytes, destination: bytes, message: Message) -> bytes:
    """An IPv6 packet with a Mobility Header message."""
    return header(source, destination, 135, encode_message(message, source, destination))


def probe(stream: int, number: int, source: bytes, destination: bytes) -> bytes:
    """A numbered probe."""
    return datagram(source, destination, BASE_PORT + stream, encode(Probe(stream, number, 0), 32))


class Records:
    """Records that are being written. `frames` has (point, time, octets) and may be changed before `evidence` is asked for, as
    may all the rest; `sent` and `received` have what the two ends of a stream are to say where that is not what their links
    carried."""

    def __init__(self, directory: Path, topology: Topology) -> None:
        self.directory, self.topology = directory, topology
        self.frames: list[tuple[str, float, bytes]] = []
        self.events: list[dict[str, object]] = []
        self.journal: dict[str, Any] = {}
        self.sent: dict[int, int] = {}
        self.received: dict[int, int] = {}
        self.stalls: list[tuple[float, float]] = []

    def put(self, point: str, time: float, packet: bytes, source: bytes = bytes(6), target: bytes = bytes(6)) -> None:
        """A packet was heard at a point."""
        self.frames.append((point, time, target + source + b"\x86\xdd" + packet))

    def through(self, time: float, packet: bytes, *points: str) -> None:
        """A packet was heard at several points, one after the other."""
        for step, point in enumerate(points):
            self.put(point, time + step * 0.00005, packet)

    def without(self, point: str, stream: int, number: int) -> None:
        """A probe was not heard at a point, nor lay its traces there."""
        mark = encode(Probe(stream, number, 0), 32)
        self.frames = [frame for frame in self.frames if not (frame[0] == point and mark in frame[2])]

    def forget(self, packet: bytes) -> None:
        """A packet was heard nowhere."""
        self.frames = [frame for frame in self.frames if not frame[2].endswith(packet)]

    def evidence(self) -> Evidence:
        """The evidence of what was written."""
        for folder in ("captures", "traffic", "config", "logs"):
            (self.directory / folder).mkdir(exist_ok=True)
        (self.directory / "journal.json").write_text(json.dumps(self.journal))
        (self.directory / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in self.events))
        for point in sorted({point for point, _, _ in self.frames}):
            data = write_section() + write_interface(point, ETHERNET)
            for _, time, frame in sorted((frame for frame in self.frames if frame[0] == point), key=lambda frame: frame[1]):
                data += write_frame(0, round(time * 1e9), frame)
            data += statistics(0)
            (self.directory / "captures" / f"{point}.pcapng").write_bytes(data)
        nodes: dict[str, dict[str, Any]] = {}
        for stream in self.journal["streams"]:
            sender, receiver = (
                nodes.setdefault(stream[end], {"send": {}, "receive": {}, "connections": {}, "stalls": self.stalls})
                for end in ("source", "destination")
            )
            number = stream["stream"]
            marked = [(point, frame) for point, _, frame in self.frames if struct.pack(">4sH", b"HLMA", number) in frame]
            sent = self.sent.get(number, self._heard(stream["source"], marked))
            received = self.received.get(number, self._heard(stream["destination"], marked))
            sender["send"][str(number)] = {"sent": sent, "errors": {}}
            receiver["receive"][str(number)] = {"different": received}
        for node, told in nodes.items():
            (self.directory / "traffic" / f"{node}.json").write_text(json.dumps(told))
        return Evidence(self.topology, self.directory)

    def failed(self, asked: Mapping[str, Callable[[Evidence], Check]]) -> set[str]:
        """Which of these checks fail."""
        evidence = self.evidence()
        return {name for name, ask in asked.items() if not ask(evidence).passed}

    def _heard(self, node: str, marked: list[tuple[str, bytes]]) -> int:
        """How many of these frames were heard on the links of a node."""
        links = {link.name for link, _ in self.topology.ends_of(node)}
        links |= {access.name for access in self.topology.access if access.host == node}
        return sum(point in links for point, _ in marked)
