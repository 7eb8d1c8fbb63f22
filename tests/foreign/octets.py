# SPDX-License-Identifier: Apache-2.0
"""Packets of Mobile IPv6 and Proxy Mobile IPv6, octet by octet, written from RFC 6275, 5213, 4285, 3963, 5846 and 5847 alone.

Always holds: nothing of the project is used, so that a mistake of its coders cannot be made here too; what is read has a right
checksum, or reading it fails.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass, field
from ipaddress import IPv6Address

ICMPV6, MOBILITY, TUNNEL, UDP, DESTINATION, ROUTING, HOP_BY_HOP = 58, 135, 41, 17, 60, 43, 0
FRAGMENT, PARAMETER_PROBLEM = 44, 4
BRR, HOTI, COTI, BU, BA, BE, REVOCATION, HEARTBEAT = 0, 1, 2, 5, 6, 7, 16, 13
BRI, BRA = 1, 2
A, H, L, K, R, P = 0x8000, 0x4000, 0x2000, 0x1000, 0x0400, 0x0200
BA_K, BA_R, BA_P = 0x80, 0x40, 0x20
ADVICE, ALTERNATE, NONCES, NETWORK, NAI, AUTHENTICATION, MESSAGE_ID = 2, 3, 4, 6, 8, 9, 10
PREFIX, HANDOFF, ACCESS, LINK_LAYER, LINK_LOCAL, TIMESTAMP, RESTART = 22, 23, 24, 25, 26, 27, 28
ALIGNMENT = {ADVICE: (2, 0), ALTERNATE: (8, 6), NONCES: (2, 0), NETWORK: (8, 4), AUTHENTICATION: (4, 1), MESSAGE_ID: (8, 2)}
ALIGNMENT |= {PREFIX: (8, 4), LINK_LOCAL: (8, 6), TIMESTAMP: (8, 2), RESTART: (4, 2)}

Option = tuple[int, bytes]
PAD1: Option = (0, b"")


def ip(text: str) -> bytes:
    """An address as the wire has it."""
    return IPv6Address(text).packed


def checksum(source: bytes, destination: bytes, protocol: int, data: bytes) -> int:
    """RFC 8200 section 8.1."""
    whole = source + destination + struct.pack("!II", len(data), protocol) + data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(whole) // 2}H", whole))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet(source: bytes, destination: bytes, protocol: int, payload: bytes, hop_limit: int = 64) -> bytes:
    """An IPv6 packet; `payload` begins with whatever `protocol` says."""
    return struct.pack("!IHBB", 6 << 28, len(payload), protocol, hop_limit) + source + destination + payload


def icmp(source: bytes, destination: bytes, kind: int, body: bytes, code: int = 0) -> bytes:
    """An ICMPv6 message; `body` is all after the checksum."""
    data = struct.pack("!BBH", kind, code, 0) + body
    return data[:2] + struct.pack("!H", checksum(source, destination, ICMPV6, data)) + data[4:]


def udp(source: bytes, destination: bytes, text: bytes, port: int = 7, from_port: int = 7) -> bytes:
    """A datagram."""
    data = struct.pack("!HHHH", from_port, port, 8 + len(text), 0) + text
    return data[:6] + struct.pack("!H", checksum(source, destination, UDP, data) or 0xFFFF) + data[8:]


def options(start: int, *wanted: Option, padding: int = 1) -> bytes:
    """Mobility options one after another; `start` is where in the header they begin, `padding` what fills the gaps: PadN, or
    as many Pad1 (0)."""
    data = b""
    for kind, value in wanted:
        step, rest = ALIGNMENT.get(kind, (1, 0))
        data += gap((rest - start - len(data)) % step, padding)
        data += b"\0" if (kind, value) == PAD1 else bytes([kind, len(value)]) + value
    return data


def gap(size: int, padding: int = 1) -> bytes:
    """So many octets of padding."""
    return bytes(size) if size < 2 or not padding else bytes([1, size - 2]) + bytes(size - 2)


def mobility(kind: int, body: bytes, source: bytes, destination: bytes, *, trailer: int = 0, wrong: int = 0) -> bytes:
    """A Mobility Header; `body` is all after the checksum, `trailer` octets more of padding than needed, `wrong` spoils the
    checksum."""
    body += gap(-(6 + len(body)) % 8 + trailer)
    data = struct.pack("!BBBBH", 59, (6 + len(body)) // 8 - 1, kind, 0, 0) + body
    return data[:4] + struct.pack("!H", checksum(source, destination, MOBILITY, data) ^ wrong) + data[6:]


def update(sequence: int, flags: int, lifetime: int, *wanted: Option, padding: int = 1) -> bytes:
    """The body of a Binding Update, proxy or not."""
    return struct.pack("!HHH", sequence, flags, lifetime) + options(12, *wanted, padding=padding)


def acknowledgement(status: int, flags: int, sequence: int, lifetime: int, *wanted: Option) -> bytes:
    """The body of a Binding Acknowledgement."""
    return struct.pack("!BBHH", status, flags, sequence, lifetime) + options(12, *wanted)


def destination_options(next_header: int, *parts: bytes, home_address: bytes) -> bytes:
    """A destination options header: the Home Address option at 8n+6 (RFC 6275 section 6.3) behind the options of `parts`."""
    data = b"".join(parts)
    data += gap((6 - 2 - len(data)) % 8) + bytes([201, 16]) + home_address
    data += gap(-(2 + len(data)) % 8)
    return bytes([next_header, (2 + len(data)) // 8 - 1]) + data


def routing_header(next_header: int, home_address: bytes) -> bytes:
    """A type 2 routing header (section 6.4)."""
    return bytes([next_header, 2, 2, 1, 0, 0, 0, 0]) + home_address


def ahead(kinds: tuple[int, ...], next_header: int) -> tuple[int, bytes]:
    """The first protocol number and the octets of extension headers that say nothing, before one of `next_header`: options that
    are padding, and a routing header of an experiment (RFC 4727 section 3.1) with no segments left."""
    data = b""
    for kind, after in zip(kinds, (*kinds[1:], next_header), strict=True):
        data += bytes([after, 0]) + (bytes([253, 0, 0, 0, 0, 0]) if kind == ROUTING else gap(6))
    return kinds[0], data


def sign(body: bytes, kind: int, spi: int, secret: bytes, care_of: bytes, home: bytes) -> bytes:
    """A body with the MN-HA authentication option behind it (RFC 4285 section 5.1)."""
    body += gap((1 - 6 - len(body)) % 4) + bytes([AUTHENTICATION, 17, 1]) + struct.pack("!I", spi)
    length = 6 + len(body) + 12
    total = length + -length % 8
    covered = struct.pack("!BBBBH", 59, total // 8 - 1, kind, 0, 0) + body
    return body + hmac.new(secret, care_of + home + covered, hashlib.sha1).digest()[:12]


@dataclass
class Heard:
    """A packet that came: the protocol and octets behind its extension headers, and the home address that these name."""

    source: bytes
    destination: bytes
    protocol: int
    payload: bytes
    home_address: bytes = b""
    octets: bytes = b""
    kind: int = -1
    body: bytes = b""
    options: list[Option] = field(default_factory=list)

    def option(self, kind: int) -> bytes | None:
        """What the first option of this kind holds."""
        return next((value for number, value in self.options if number == kind), None)

    def all(self, kind: int) -> list[bytes]:
        """What all options of this kind hold."""
        return [value for number, value in self.options if number == kind]


def read(data: bytes) -> Heard:
    """Take an IPv6 packet apart. AssertionError when its checksum or an option's alignment is wrong."""
    length, protocol = struct.unpack_from("!HB", data, 4)
    data = data[: 40 + length]
    found = Heard(data[8:24], data[24:40], protocol, data[40:], octets=data)
    source, destination = found.source, found.destination
    while found.protocol in (DESTINATION, ROUTING, HOP_BY_HOP):
        header, found.payload = found.payload[: 8 + 8 * found.payload[1]], found.payload[8 + 8 * found.payload[1] :]
        if found.protocol == ROUTING and header[2] == 2:
            found.home_address = destination = header[8:24]
        elif found.protocol == DESTINATION and (place := header.find(bytes([201, 16]))) > 0:
            assert place % 8 == 6
            found.home_address = source = header[place + 2 : place + 18]
        found.protocol = header[0]
    if found.protocol in (MOBILITY, ICMPV6):
        assert checksum(source, destination, found.protocol, found.payload) == 0, "checksum"
    if found.protocol == ICMPV6:
        found.kind, found.body = found.payload[0], found.payload[4:]
    if found.protocol == MOBILITY:
        assert found.payload[0] == 59
        assert found.payload[3] == 0
        assert len(found.payload) == 8 + 8 * found.payload[1]
        found.kind, found.body = found.payload[2], found.payload[6:]
        start = {HOTI: 16, COTI: 16, BU: 12, BA: 12, BE: 24, BRR: 8, REVOCATION: 12, HEARTBEAT: 12}[found.kind]
        found.options = list(read_options(found.payload, start))
    return found


def read_options(header: bytes, start: int) -> list[Option]:
    """All options but padding. AssertionError when one is not where RFC wants it, or padding is not of zeros."""
    found = []
    while start < len(header):
        kind = header[start]
        if kind == 0:
            start += 1
            continue
        value = header[start + 2 : start + 2 + header[start + 1]]
        assert len(value) == header[start + 1]
        if kind == 1:
            assert not any(value)
        else:
            step, rest = ALIGNMENT.get(kind, (1, 0))
            assert start % step == rest, f"option {kind} at {start}"
            found.append((kind, value))
        start += 2 + len(value)
    return found


def signature_holds(heard: Heard, spi: int, secret: bytes, care_of: bytes, home: bytes) -> bool:
    """Whether the MN-HA authentication option of a message is right, and the last (RFC 4285 section 5.1)."""
    kind, value = heard.options[-1]
    if kind != AUTHENTICATION or value[:5] != b"\x01" + struct.pack("!I", spi) or len(value) != 17:
        return False
    end = heard.payload.rindex(value) + 5
    covered = heard.payload[:4] + b"\0\0" + heard.payload[6:end]
    return value[5:] == hmac.new(secret, care_of + home + covered, hashlib.sha1).digest()[:12]
