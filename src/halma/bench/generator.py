# SPDX-License-Identifier: Apache-2.0
"""The load generator as a process of its own: `python -m halma.bench.generator SOCKET PROTOCOL SIZE PLACE...`.

It connects to the unix socket of the benchmark, takes orders (one JSON object a line) and gives an outcome for each. All that
costs time in Python happens before the first message of an order leaves or after the last answer has come, see `volley`.

Always holds: one order at a time; an order that fails gives an outcome with `error`, and the process goes on; it ends when the
benchmark closes the socket.
"""

from __future__ import annotations

import gc
import socket
import sys
import time

import msgspec

from halma.bench.crowd import Crowd, Protocol
from halma.bench.home_crowd import HomeCrowd
from halma.bench.proxy_crowd import ProxyCrowd
from halma.bench.volley import Volley, percentile

CROWDS: dict[Protocol, type[ProxyCrowd | HomeCrowd]] = {Protocol.PMIPV6: ProxyCrowd, Protocol.MIPV6: HomeCrowd}


class Order(msgspec.Struct):
    """Send the updates of `phase` for `count` nodes, which are `first`, `first + step` and so on, to `destination` (hex). An
    `echo` gives the updates back as they are."""

    phase: str
    first: int
    count: int
    destination: str
    window: int
    step: int = 1
    echo: bool = False


class Outcome(msgspec.Struct):
    """What came of it: answers by status (as text; -1 for one that is no right answer), seconds from the first message to the
    last answer and those of them that the generator waited, latencies in milliseconds."""

    messages: int = 0
    statuses: dict[str, int] = {}
    seconds: float = 0.0
    waited: float = 0.0
    retransmissions: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    error: str = ""


def carry_out(order: Order, crowd: Crowd) -> Outcome:
    """Carry an order out. Raises OSError."""
    nodes = range(order.first, order.first + order.count * order.step, order.step)
    destination = bytes.fromhex(order.destination)
    updates = crowd.updates(order.phase, nodes, time.time(), destination, echo=order.echo)
    sequence_at = crowd.update_sequence if order.echo else crowd.acknowledgement_sequence
    volley = Volley(updates.messages, updates.sources, destination, updates.sequence, sequence_at)
    gc.disable()
    try:
        tally = volley.fire(*crowd.descriptors(), order.window)
    finally:
        gc.enable()
    if order.echo:
        statuses = crowd.take_echo(updates, tally.answers)
    else:
        statuses = crowd.take(order.phase, nodes, destination, tally.answers)
    latencies = sorted(answer.latency * 1000 for answer in tally.answers)
    return Outcome(
        messages=tally.messages,
        statuses={str(status): count for status, count in statuses.items() if count},
        seconds=tally.seconds,
        waited=tally.waited,
        retransmissions=tally.retransmissions,
        p50_ms=percentile(latencies, 0.5),
        p99_ms=percentile(latencies, 0.99),
    )


def main(arguments: list[str]) -> int:
    """Take orders until there are no more. Exit status 0."""
    path, protocol, size, *places = arguments
    crowd = CROWDS[Protocol(protocol)](int(size), [socket.inet_pton(socket.AF_INET6, place) for place in places])
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
        control.connect(path)
        with control.makefile("rb") as orders:
            for line in orders:
                try:
                    outcome = carry_out(msgspec.json.decode(line, type=Order), crowd)
                except OSError as error:
                    outcome = Outcome(error=str(error))
                control.sendall(msgspec.json.encode(outcome) + b"\n")
    crowd.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
