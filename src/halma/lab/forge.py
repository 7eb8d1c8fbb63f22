# SPDX-License-Identifier: Apache-2.0
"""A program that sends probes with addresses that are not its own, bare or in a tunnel: what an attacker would try.

    python -m halma.lab.forge STREAM COUNT SOURCE DESTINATION [OUTER_SOURCE OUTER_DESTINATION]

Always holds: each packet is a numbered probe of its own stream, so that the judge finds it wherever it gets to.
"""

from __future__ import annotations

import socket
import struct
import sys
import time

from halma.lab.probe import BASE_PORT, Probe, encode

_UDP, _IPV6 = 17, 41


def header(source: bytes, destination: bytes, protocol: int, payload: bytes) -> bytes:
    """An IPv6 packet with that payload."""
    return struct.pack(">IHBB", 0x60000000, len(payload), protocol, 64) + source + destination + payload


def datagram(source: bytes, destination: bytes, port: int, payload: bytes) -> bytes:
    """An IPv6 packet with a UDP datagram, its checksum right."""
    length = 8 + len(payload)
    pseudo = source + destination + struct.pack(">II", length, _UDP)
    body = struct.pack(">HHHH", port, port, length, 0) + payload
    total = sum(struct.unpack(f">{(len(pseudo) + len(body) + 1) // 2}H", pseudo + body + bytes(len(body) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    checksum = ~total & 0xFFFF or 0xFFFF
    return header(source, destination, _UDP, body[:6] + struct.pack(">H", checksum) + body[8:])


def main(arguments: list[str]) -> None:
    """Send them, one a millisecond."""
    stream, count = int(arguments[0]), int(arguments[1])
    source, destination, *outer = (socket.inet_pton(socket.AF_INET6, text) for text in arguments[2:])
    target = socket.inet_ntop(socket.AF_INET6, outer[1] if outer else destination)
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        for number in range(count):
            packet = datagram(source, destination, BASE_PORT + stream, encode(Probe(stream, number, time.time_ns()), 64))
            raw.sendto(header(outer[0], outer[1], _IPV6, packet) if outer else packet, (target, 0))
            time.sleep(0.001)


if __name__ == "__main__":
    main(sys.argv[1:])
