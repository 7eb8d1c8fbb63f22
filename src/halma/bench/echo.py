# SPDX-License-Identifier: Apache-2.0
"""The reference of `halma bench signalling`: `python -m halma.bench.echo ADDRESS` gives every Mobility Header back as it is.

It is the least that a program in plain Python can do: one message at a time, received and sent by the socket module, neither
read nor changed. Like the anchor, it leaves checksums to nobody and has a buffer that holds the window.

Always holds: it ends when it is told to (SIGTERM), not before.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import sys

from halma.netio.mobility import MOBILITY_HEADER, RECEIVE_BUFFER, SO_RCVBUFFORCE


def main(arguments: list[str]) -> int:
    """Echo on one address. Exit status 0."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, MOBILITY_HEADER) as wire:
        wire.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_CHECKSUM, -1)
        wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
        wire.bind((arguments[0], 0))
        print("ready", flush=True)
        receive, send = wire.recvfrom, wire.sendto
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                data, source = receive(2048)
                send(data, source)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
