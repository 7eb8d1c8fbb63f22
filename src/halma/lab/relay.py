# SPDX-License-Identifier: Apache-2.0
"""A process that carries the frames of links, with delay and loss, where the kernel has no netem: it holds a TAP device in
the namespace of either end.

    python -m halma.lab.relay FILE

FILE is JSON: `{"links": [{"name", "ends": [{"node", "namespace", "interface", "index", "mtu"}, ...], "delay_ms", "jitter_ms",
"loss", "seed"}]}`. Each line of its standard input is a command: `{"link", "delay_ms", "jitter_ms", "loss"}` changes a link,
`{"link", "toward", "hold": TYPE}` keeps back the Mobility Header messages of a type on their way to a node, and
`{"link", "toward", "release": TYPE}` lets them go on.

Always holds: it says `ready` once all devices exist; frames of one direction keep their order, whatever the variation of the
delay (only held messages are overtaken); the same seed loses the same frames of the same sequence; each side's devices go
when the process ends.
"""

from __future__ import annotations

import fcntl
import heapq
import json
import os
import random
import select
import struct
import sys
import time
from pathlib import Path

from halma.lab.processes import inside

_TUNSETIFF = 0x400454CA
_TUNSETIFINDEX = 0x400454DA
_IFF_TAP = 0x0002
_IFF_NO_PI = 0x1000
_BURST = 64
_EXTENSIONS = {0, 43, 60}
_IPV6, _MOBILITY = 41, 135


def open_tap(namespace: str, interface: str, index: int) -> int:
    """Make a TAP device in a namespace; its descriptor. Raises OSError."""
    with inside(namespace):
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(descriptor, _TUNSETIFINDEX, struct.pack("I", index))
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", interface.encode(), _IFF_TAP | _IFF_NO_PI))
    return descriptor


def mobility_type(frame: bytes) -> int | None:
    """The type of the Mobility Header message in an Ethernet frame, also one inside tunnels; None for other frames."""
    if frame[12:14] != b"\x86\xdd" or len(frame) < 54:
        return None
    following, offset = frame[20], 54
    while offset + 8 <= len(frame):
        if following == _MOBILITY:
            return frame[offset + 2]
        if following == _IPV6 and offset + 40 <= len(frame):
            following, offset = frame[offset + 6], offset + 40
        elif following in _EXTENSIONS:
            following, offset = frame[offset], offset + (frame[offset + 1] + 1) * 8
        else:
            return None
    return None


class Direction:
    """One direction of a link: what is on its way, in order."""

    def __init__(self, output: int, toward: str, random_numbers: random.Random) -> None:
        self.output = output
        self.toward = toward
        self.delay = 0.0
        self.jitter = 0.0
        self.loss = 0.0
        self.holding: set[int] = set()
        self.held: list[tuple[int, bytes]] = []
        self._random = random_numbers
        self._last = 0.0

    def due(self, frame: bytes, now: float) -> float | None:
        """When a frame that came `now` is to go on; None when it is lost, or held back."""
        if self.holding and (kind := mobility_type(frame)) in self.holding:
            assert kind is not None
            self.held.append((kind, frame))
            return None
        # Both numbers are drawn for each frame, so that changing the loss does not change the delays.
        lost, varied = self._random.random() < self.loss, self._random.random() * self.jitter
        if lost:
            return None
        self._last = max(self._last, now + self.delay + varied)
        return self._last

    def release(self, kind: int) -> list[bytes]:
        """Hold messages of that type no longer; those that were held."""
        self.holding.discard(kind)
        free = [frame for held, frame in self.held if held == kind]
        self.held = [(held, frame) for held, frame in self.held if held != kind]
        return free


def _command(line: str, links: dict[str, list[Direction]], write: list[tuple[int, bytes]]) -> None:
    command = json.loads(line)
    for direction in links[command["link"]]:
        if command.get("toward") in {None, direction.toward}:
            if "hold" in command:
                direction.holding.add(command["hold"])
            if "release" in command:
                write += [(direction.output, frame) for frame in direction.release(command["release"])]
            direction.delay = command.get("delay_ms", direction.delay * 1000) / 1000
            direction.jitter = command.get("jitter_ms", direction.jitter * 1000) / 1000
            direction.loss = command.get("loss", direction.loss)


def _write(descriptor: int, frame: bytes) -> None:
    try:
        os.write(descriptor, frame)
    except (BlockingIOError, OSError):
        return  # the device is down, or full: a frame is lost, as on any link


def main(arguments: list[str]) -> None:
    """Carry frames until the process is ended."""
    plan = json.loads(Path(arguments[0]).read_text())
    inputs: dict[int, Direction] = {}
    links: dict[str, list[Direction]] = {}
    for link in plan["links"]:
        taps = [open_tap(end["namespace"], end["interface"], end["index"]) for end in link["ends"]]
        for side in (0, 1):
            toward = link["ends"][1 - side]["node"]
            numbers = random.Random(f"{link['seed']}/{link['name']}/{toward}")
            direction = Direction(taps[1 - side], toward, numbers)
            direction.delay, direction.jitter = link["delay_ms"] / 1000, link["jitter_ms"] / 1000
            direction.loss = link["loss"]
            inputs[taps[side]] = direction
            links.setdefault(link["name"], []).append(direction)
    print("ready", flush=True)
    waiting: list[tuple[float, int, int, bytes]] = []
    number = 0
    commands = sys.stdin.fileno()
    listening = [*inputs, commands]
    while True:
        pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for descriptor in select.select(listening, [], [], pause)[0]:
            if descriptor == commands:
                released: list[tuple[int, bytes]] = []
                if not (line := sys.stdin.readline()):
                    listening.remove(commands)
                    continue
                _command(line, links, released)
                for output, frame in released:
                    _write(output, frame)
                print("done", flush=True)
                continue
            direction = inputs[descriptor]
            for _ in range(_BURST):
                try:
                    frame = os.read(descriptor, 65536)
                except (BlockingIOError, OSError):
                    break
                due = direction.due(frame, time.monotonic())
                if due is not None:
                    number += 1
                    heapq.heappush(waiting, (due, number, direction.output, frame))
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, output, frame = heapq.heappop(waiting)
            _write(output, frame)


if __name__ == "__main__":
    main(sys.argv[1:])
