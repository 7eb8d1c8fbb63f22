# SPDX-License-Identifier: Apache-2.0
"""A program that listens to a multicast group and tells of each datagram: `python -m tests.daemon.group_member GROUP PORT
[INTERFACE]`. It names no interface unless told to, as most programs do."""

from __future__ import annotations

import socket
import struct
import sys


def main(group: str, port: str, interface: str = "") -> None:
    """Until it is ended."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as member:
        member.bind((group, int(port)))
        index = socket.if_nametoindex(interface) if interface else 0
        request = socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", index)
        member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
        print("listening", flush=True)
        while True:
            data, (source, *_) = member.recvfrom(2048)
            print(source, data.decode(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
