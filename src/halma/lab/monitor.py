# SPDX-License-Identifier: Apache-2.0
"""A process that hears from the kernels of the mobile hosts when their carrier and their addresses come and go.

    python -m halma.lab.monitor FILE NODE=NAMESPACE ...

It runs outside the hosts and opens a routing socket inside each, so that nothing of ours runs in a host. FILE gets a line of
JSON an event: `{"time", "node", "event": "carrier", "interface", "up"}` or `{"time", "node", "event": "address", "interface",
"address", "present", "tentative", "failed"}`.

Always holds: `time` is taken before anything else is done with an event; it says `listening` once it hears every host.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import selectors
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from halma.lab.processes import inside

_GROUPS = 0x1 | 0x100  # RTMGRP_LINK, RTMGRP_IPV6_IFADDR
_NEW_LINK, _DELETE_LINK, _NEW_ADDRESS, _DELETE_ADDRESS = 16, 17, 20, 21
_LOWER_UP = 1 << 16
_IFLA_IFNAME = 3
_IFA_ADDRESS = 1
_IFA_FLAGS = 8
_TENTATIVE, _DAD_FAILED = 0x40, 0x08


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The routing attributes in a message's body."""
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            return
        yield kind & 0x3FFF, data[offset + 4 : offset + length]
        offset += length + 3 & ~3


def events(data: bytes, names: dict[int, str]) -> Iterator[dict[str, object]]:
    """What a datagram of a routing socket says; `names` remembers the interfaces by index."""
    offset = 0
    while offset + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, offset)
        if length < 16:
            return
        body = data[offset + 16 : offset + length]
        offset += length + 3 & ~3
        if kind in {_NEW_LINK, _DELETE_LINK}:
            index, flags = struct.unpack_from("=iI", body, 4)
            found = dict(attributes(body[16:]))
            names[index] = found.get(_IFLA_IFNAME, b"?").rstrip(b"\0").decode()
            up = kind == _NEW_LINK and bool(flags & _LOWER_UP)
            yield {"event": "carrier", "interface": names[index], "up": up}
        elif kind in {_NEW_ADDRESS, _DELETE_ADDRESS}:
            family, _, short_flags, scope, index = struct.unpack_from("=BBBBI", body)
            found = dict(attributes(body[8:]))
            if family == socket.AF_INET6 and scope == 0 and _IFA_ADDRESS in found:
                flags = struct.unpack("=I", found[_IFA_FLAGS])[0] if _IFA_FLAGS in found else short_flags
                yield {
                    "event": "address",
                    "interface": names.get(index, str(index)),
                    "address": str(ipaddress.IPv6Address(found[_IFA_ADDRESS])),
                    "present": kind == _NEW_ADDRESS,
                    "tentative": bool(flags & _TENTATIVE),
                    "failed": bool(flags & _DAD_FAILED),
                }


def main(arguments: list[str]) -> None:
    """Hear until SIGTERM."""

    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    selector = selectors.DefaultSelector()
    for argument in arguments[1:]:
        node, _, namespace = argument.partition("=")
        with inside(namespace):
            heard = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
            heard.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            heard.bind((0, _GROUPS))
            names = dict(socket.if_nameindex())
        selector.register(heard, selectors.EVENT_READ, (heard, node, names))
    carrier: dict[tuple[str, object], object] = {}
    with Path(arguments[0]).open("w", buffering=1) as output, contextlib.suppress(SystemExit):
        print("listening", flush=True)
        while True:
            for key, _ in selector.select():
                heard, node, names = key.data
                data = heard.recv(65536)
                now = time.time()
                for event in events(data, names):
                    if event["event"] == "carrier":
                        if carrier.get((node, event["interface"])) == event["up"]:
                            continue
                        carrier[node, event["interface"]] = event["up"]
                    output.write(json.dumps({"time": now, "node": node, **event}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
