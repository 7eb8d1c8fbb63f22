# SPDX-License-Identifier: Apache-2.0
"""Packets for the tests of the planes, built and taken apart by hand: the tests must not believe the code under test."""

from __future__ import annotations

import ipaddress
import socket
import struct
from dataclasses import dataclass

UDP, TCP, ICMPV6, IPV6, FRAGMENT, OPTIONS = 17, 6, 58, 41, 44, 60


def address(text: str) -> bytes:
    """16 bytes from text."""
    return ipaddress.IPv6Address(text).packed


def checksum(data: bytes) -> int:
    """The Internet checksum."""
    data += bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@dataclass(frozen=True)
class Ip:
    """An IPv6 packet."""

    source: bytes
    destination: bytes
    next_header: int = UDP
    payload: bytes = b""
    hop_limit: int = 64
    traffic_class: int = 0
    flow_label: int = 0
    announced: int | None = None

    def bytes(self) -> bytes:
        """As on the wire."""
        word = 6 << 28 | self.traffic_class << 20 | self.flow_label
        length = len(self.payload) if self.announced is None else self.announced
        return (
            struct.pack("!IHBB", word, length, self.next_header, self.hop_limit) + self.source + self.destination + self.payload
        )

    def inner(self) -> Ip:
        """The packet inside a tunnel packet."""
        return parse(self.payload)


def parse(data: bytes) -> Ip:
    """From the wire, cut to the announced length."""
    word, length, next_header, hop_limit = struct.unpack_from("!IHBB", data)
    return Ip(
        data[8:24], data[24:40], next_header, data[40 : 40 + length], hop_limit, (word >> 20) & 0xFF, word & 0xFFFFF, length
    )


def udp(source: str, destination: str, size: int = 16, port: int = 1000, **fields: int) -> Ip:
    """A UDP packet with `size` bytes of data."""
    src, dst = address(source), address(destination)
    head = struct.pack("!HHHH", port, 2000, 8 + size, 0)
    data = bytes(i & 0xFF for i in range(size))
    total = checksum(src + dst + struct.pack("!II", 8 + size, UDP) + head + data)
    return Ip(src, dst, UDP, head[:6] + struct.pack("!H", total or 0xFFFF) + data, **fields)


def tunnelled(inner: Ip, local: str, remote: str, **fields: int) -> Ip:
    """An outer packet around `inner`."""
    return Ip(address(local), address(remote), IPV6, inner.bytes(), **fields)


def with_options(outer: Ip) -> Ip:
    """The same tunnel packet with a tunnel encapsulation limit of 4, as Linux's own tunnels send it (RFC 2473 section 5.1)."""
    extension = bytes([outer.next_header, 0, 4, 1, 4, 1, 1, 0])
    return Ip(outer.source, outer.destination, OPTIONS, extension + outer.payload, outer.hop_limit, outer.traffic_class)


def frame(packet: bytes, destination: bytes, source: bytes) -> bytes:
    """An Ethernet frame."""
    return destination + source + b"\x86\xdd" + packet


@dataclass(frozen=True)
class Error:
    """An ICMPv6 error: who sent it to whom, and what it quotes."""

    source: str
    destination: str
    kind: int
    code: int
    value: int
    about: bytes


def icmp_error(packet: Ip) -> Error | None:
    """The ICMPv6 error in a packet, if it is one with a right checksum."""
    if packet.next_header != ICMPV6 or not packet.payload or packet.payload[0] >= 128:
        return None
    pseudo = packet.source + packet.destination + struct.pack("!II", len(packet.payload), ICMPV6)
    if checksum(pseudo + packet.payload) != 0:
        return None
    kind, code, _, value = struct.unpack_from("!BBHI", packet.payload)
    names = [socket.inet_ntop(socket.AF_INET6, end) for end in (packet.source, packet.destination)]
    return Error(names[0], names[1], kind, code, value, packet.payload[8:])
