# SPDX-License-Identifier: Apache-2.0
"""The traffic of one node: an ordinary program with ordinary sockets that sends and takes numbered datagrams and keeps a TCP
connection busy.

    python -m halma.lab.talker PLAN RESULT

PLAN is JSON: `{"send": [{"stream", "destination", "interval_us", "size"}], "receive": [{"stream", "group"}], "connect":
[{"stream", "destination", "interval_us", "size"}], "accept": [{"stream", "interval_us", "size"}]}`; a `group` that is not empty
is a multicast group to listen to. On SIGUSR1 it sends no more; on
SIGTERM it writes what it saw to RESULT and ends.

Always holds: it says `ready` once it can take what others send, and sends when a line comes on its standard input; a link
that is down or a route that is missing stops nothing (the error is counted by name, and the number of that probe is used up);
byte n of a TCP stream is a function of n, so that the receiver notices any byte that is lost, doubled or changed; when the
machine does not let it act in time, RESULT says so.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import json
import select
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from halma.lab.probe import BASE_PORT, Probe, decode, encode

_SO_RCVBUFFORCE = 33
_HOPS = 16
"""How far what is sent to a group may go."""
_STALL = 0.01
"""Seconds by which an action may be late before that is worth telling."""

_PATTERN = bytes(number * 37 + number // 256 & 0xFF for number in range(65536)) * 2


def pattern(offset: int, length: int) -> bytes:
    """The bytes of a TCP stream from `offset` on; `length` is 65536 at most."""
    start = offset % 65536
    return _PATTERN[start : start + length]


class DatagramSender:
    """Sends the probes of one stream."""

    def __init__(self, stream: int, destination: str, interval: float, size: int) -> None:
        self.stream = stream
        self.interval = interval
        self.size = size
        self.number = 0
        self.errors: Counter[str] = Counter()
        self._target = (destination, BASE_PORT + stream)
        self._socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self._socket.bind(("::", BASE_PORT + stream))
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, _HOPS)
        self._socket.setblocking(False)

    def act(self) -> None:
        """Send the next probe."""
        payload = encode(Probe(self.stream, self.number, time.time_ns()), self.size)
        self.number += 1
        try:
            self._socket.sendto(payload, self._target)
        except OSError as error:
            self.errors[errno.errorcode.get(error.errno or 0, "unknown")] += 1

    def result(self) -> dict[str, object]:
        """What was sent."""
        return {"sent": self.number, "errors": dict(self.errors)}


class DatagramReceiver:
    """Takes the probes of one stream; those to a group on whichever interface the kernel chooses."""

    def __init__(self, stream: int, group: str) -> None:
        self.seen: set[int] = set()
        self.total = 0
        self.socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 4 << 20)
        self.socket.bind(("::", BASE_PORT + stream))
        if group:
            request = socket.inet_pton(socket.AF_INET6, group) + bytes(4)
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
        self.socket.setblocking(False)

    def ready(self) -> None:
        """Take what has come."""
        with contextlib.suppress(BlockingIOError):
            while True:
                if (probe := decode(self.socket.recv(2048))) is not None:
                    self.total += 1
                    self.seen.add(probe.number)

    def result(self) -> dict[str, object]:
        """What was received."""
        return {"received": self.total, "different": len(self.seen)}


class Connection:
    """One end of a TCP connection that both ends keep busy, slowly."""

    def __init__(self, stream: int, interval: float, size: int, destination: str | None, still: list[bool]) -> None:
        self._still = still
        self.stream = stream
        self.interval = interval
        self.size = size
        self.sent = 0
        self.received = 0
        self.wrong = 0
        self.error = ""
        self._listener: socket.socket | None = None
        if destination is None:
            self._listener = socket.create_server(("::", BASE_PORT + stream), family=socket.AF_INET6)
            self._listener.setblocking(False)
            self.socket: socket.socket | None = self._listener
            self._connected = False
        else:
            self.socket = socket.create_connection((destination, BASE_PORT + stream), timeout=20)
            self.socket.setblocking(False)
            self._connected = True

    def act(self) -> None:
        """Send the next bytes, as many as fit."""
        if self._connected and self.socket is not None:
            try:
                self.sent += self.socket.send(pattern(self.sent, self.size))
            except BlockingIOError:
                return
            except OSError as error:
                self._fail(error)

    def ready(self) -> None:
        """Take the connection, or the bytes that have come."""
        if self.socket is None:
            return
        try:
            if not self._connected:
                self.socket, _ = self.socket.accept()
                self.socket.setblocking(False)
                self._connected = True
                return
            data = self.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(error)
            return
        if not data:
            if not self._still:  # the other end may be the first to leave
                self.error = "closed by the other end"
            self.socket.close()
            self.socket = None
            return
        self.wrong += data != pattern(self.received, len(data))
        self.received += len(data)

    def _fail(self, error: OSError) -> None:
        self.error = errno.errorcode.get(error.errno or 0, "unknown")
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def result(self) -> dict[str, object]:
        """What became of the connection; `error` is empty while it stands."""
        return {"sent": self.sent, "received": self.received, "wrong": self.wrong, "error": self.error}


def _loop(
    acts: list[tuple[float, Callable[[], None]]],
    receivers: list[DatagramReceiver | Connection],
    still: list[bool],
    stalls: list[tuple[float, float]],
) -> None:
    """Act each `interval` seconds until `still` has an element, and take what comes, for ever. The times at which this
    process should have acted and did not come to it go to `stalls`."""
    start = time.monotonic()
    agenda = [(start + interval, index) for index, (interval, _) in enumerate(acts)]
    heapq.heapify(agenda)
    while True:
        pause = 1.0 if not agenda or still else max(0.0, agenda[0][0] - time.monotonic())
        sockets = {receiver.socket: receiver for receiver in receivers if receiver.socket is not None}
        for readable in select.select(sockets, [], [], pause)[0]:
            sockets[readable].ready()
        now = time.monotonic()
        while agenda and not still and agenda[0][0] <= now:
            due, index = agenda[0]
            interval, act = acts[index]
            if now - due > _STALL:
                wall = time.time()
                stalls.append((wall - (now - due), wall))
            act()
            # After a stall the clock goes on from now: no burst makes up for what was not sent.
            heapq.heapreplace(agenda, (max(due + interval, now), index))


def main(arguments: list[str]) -> None:
    """Talk until SIGTERM."""
    plan = json.loads(Path(arguments[0]).read_text())
    still: list[bool] = []

    signal.signal(signal.SIGUSR1, lambda *_: still.append(True))
    receivers = {item["stream"]: DatagramReceiver(item["stream"], item["group"]) for item in plan["receive"]}
    accepted = [Connection(item["stream"], item["interval_us"] / 1e6, item["size"], None, still) for item in plan["accept"]]
    print("ready", flush=True)
    sys.stdin.readline()
    senders = [
        DatagramSender(item["stream"], item["destination"], item["interval_us"] / 1e6, item["size"]) for item in plan["send"]
    ]
    connections = accepted + [
        Connection(item["stream"], item["interval_us"] / 1e6, item["size"], item["destination"], still)
        for item in plan["connect"]
    ]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    print("talking", flush=True)
    acts = [(sender.interval, sender.act) for sender in senders]
    acts += [(connection.interval, connection.act) for connection in connections]
    stalls: list[tuple[float, float]] = []
    with contextlib.suppress(SystemExit):
        _loop(acts, [*receivers.values(), *connections], still, stalls)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    result = {
        "stalls": stalls,
        "send": {sender.stream: sender.result() for sender in senders},
        "receive": {stream: receiver.result() for stream, receiver in receivers.items()},
        "connections": {connection.stream: connection.result() for connection in connections},
    }
    Path(arguments[1]).write_text(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1:])
