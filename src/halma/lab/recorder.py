# SPDX-License-Identifier: Apache-2.0
"""A process that listens on interfaces and writes what it hears, for machines without dumpcap.

    python -m halma.lab.recorder KEPT FILE=NAMESPACE:INTERFACE ...

Always holds: it says `listening` on its standard output once every interface is being heard; on SIGTERM it drains what has
come, notes how many frames the kernel had to drop, and ends.
"""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import BinaryIO

from halma.lab.processes import inside
from halma.lab.recording import statistics
from halma.wire.pcap import ETHERNET, write_frame, write_interface, write_section

_ETH_P_ALL = 3
_SOL_PACKET = 263
_PACKET_STATISTICS = 6
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("qq")


def listen(namespace: str, interface: str) -> socket.socket:
    """A socket that hears every frame on an interface, with the kernel's own time. Raises OSError."""
    with inside(namespace):
        heard = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        heard.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        heard.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        heard.bind((interface, _ETH_P_ALL))
        heard.setblocking(False)
        return heard


def _drain(heard: socket.socket, output: BinaryIO, buffer: bytearray) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            length, ancillary, _, _ = heard.recvmsg_into([buffer], 64, socket.MSG_TRUNC)
            for level, kind, data in ancillary:
                if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
                    seconds, nanoseconds = _TIMESPEC.unpack(data)
                    output.write(write_frame(0, seconds * 1_000_000_000 + nanoseconds, bytes(buffer[:length])))


def main(arguments: list[str]) -> None:
    """Listen until SIGTERM."""

    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    kept = int(arguments[0])
    buffer = bytearray(kept)
    points: list[tuple[socket.socket, BinaryIO]] = []
    output: BinaryIO
    for argument in arguments[1:]:
        path, _, place = argument.partition("=")
        namespace, _, interface = place.partition(":")
        output = Path(path).open("wb")  # noqa: SIM115 (open until the end)
        output.write(write_section() + write_interface(interface, ETHERNET))
        points.append((listen(namespace, interface), output))
    print("listening", flush=True)
    selector = selectors.DefaultSelector()
    for point in points:
        selector.register(point[0], selectors.EVENT_READ, point)
    try:
        while True:
            for key, _ in selector.select():
                heard, output = key.data
                _drain(heard, output, buffer)
    except SystemExit:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for heard, output in points:
        _drain(heard, output, buffer)
        _, dropped = struct.unpack("II", heard.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        output.write(statistics(dropped))
        output.close()


if __name__ == "__main__":
    main(sys.argv[1:])
