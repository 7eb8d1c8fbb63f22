# SPDX-License-Identifier: Apache-2.0
"""IPv6-in-IPv6 tunnelling of single packets, as values: what the BPF programs do, for the packets that user space handles.

RFC 2473 (encapsulation, fragmentation, errors), RFC 6040 and RFC 5213 section 5.6.3 (congestion marks), RFC 6438 (flow labels),
RFC 4443 (ICMPv6 errors).

Always holds: no function reads outside what it is given; packets that are too short for what they claim are answered with
None.
"""

from __future__ import annotations

import struct
import zlib

from halma.wire.addresses import LINK_SCOPE, MULTICAST, scope_of

IPV6, FRAGMENT, DESTINATION_OPTIONS, ICMPV6, HOP_BY_HOP = 41, 44, 60, 58, 0
TUNNEL_HOP_LIMIT = 64
HEADER = 40
LINK_LOCAL = b"\xfe\x80"
LISTENER_REPORTS = (131, 132, 143)
"""Types of ICMPv6 by which a listener tells which groups it wants (RFC 2710, RFC 9777)."""

DESTINATION_UNREACHABLE, PACKET_TOO_BIG, TIME_EXCEEDED = 1, 2, 3
NO_ROUTE, ADDRESS_UNREACHABLE = 0, 3
_REDIRECT = 137
_LARGEST_ERROR = 1280 - HEADER


def total_length(packet: bytes) -> int | None:
    """The length that an IPv6 packet announces, or None when it is not one or is shorter than that."""
    if len(packet) < HEADER or packet[0] >> 4 != 6:
        return None
    length = HEADER + int.from_bytes(packet[4:6], "big")
    return length if length <= len(packet) else None


def flow_label(inner: bytes) -> int:
    """A label from what identifies the inner flow (RFC 6438), never 0."""
    ports = inner[40:44] if inner[6] in (6, 17) else b""
    return zlib.crc32(inner[1:4] + inner[8:40] + ports) & 0xFFFFF or 1


def encapsulate(inner: bytes, local: bytes, remote: bytes) -> bytes:
    """The tunnel packet around `inner`, whose traffic class with its congestion mark is copied (RFC 2473 section 6.4, RFC 6040
    section 4.1)."""
    word = (int.from_bytes(inner[:4], "big") & 0xFFF00000) | flow_label(inner)
    return struct.pack("!IHBB", word, len(inner), IPV6, TUNNEL_HOP_LIMIT) + local + remote + inner


def fragments(packet: bytes, mtu: int, identification: int) -> list[bytes]:
    """A tunnel packet in fragments that fit `mtu` (RFC 2473 section 7.1: for inner packets of up to 1280 bytes on a path that
    is too narrow for them)."""
    if len(packet) <= mtu:
        return [packet]
    payload, size = packet[HEADER:], (mtu - HEADER - 8) & ~7
    made = []
    for offset in range(0, len(payload), size):
        piece = payload[offset : offset + size]
        more = int(offset + size < len(payload))
        extension = struct.pack("!BBHI", packet[6], 0, offset | more, identification)
        made.append(packet[:4] + struct.pack("!HBB", len(piece) + 8, FRAGMENT, packet[7]) + packet[8:40] + extension + piece)
    return made


def congestion(inner: bytes, outer_traffic_class: int) -> bytes | None:
    """The inner packet with what the outer congestion mark does to it: None when it is to be dropped (RFC 6040 section 4.2)."""
    if outer_traffic_class & 3 != 3:
        return inner
    if not inner[1] & 0x30:
        return None
    return inner[:1] + bytes([inner[1] | 0x30]) + inner[2:]


def leaves_its_link(group: bytes) -> bool:
    """Whether routers forward what is sent to a multicast group (RFC 4291 section 2.7)."""
    return scope_of(group) > LINK_SCOPE


def may_be_forwarded(packet: bytes) -> bool:
    """Whether a packet that was sent to a group may leave its link: by its scope, its hop limit and its source."""
    source = packet[8:24]
    return leaves_its_link(packet[24:40]) and packet[7] > 1 and source[:2] != LINK_LOCAL and any(source)


def is_listener_message(packet: bytes, kinds: tuple[int, ...] = ()) -> bool:
    """Whether a packet looks like Multicast Listener Discovery: from a link-local address, to a group, with hop-by-hop options;
    of one of these types, if any are given."""
    looks_like_it = packet[6] == HOP_BY_HOP and packet[24] == MULTICAST and packet[8:10] == LINK_LOCAL
    behind = packet[HEADER : HEADER + 9]
    return looks_like_it and (not kinds or (len(behind) == 9 and behind[:2] == bytes([ICMPV6, 0]) and behind[8] in kinds))


def less_hop_limit(packet: bytes) -> bytes:
    """The packet with one hop less to go."""
    return packet[:7] + bytes([packet[7] - 1]) + packet[8:]


def may_be_answered(packet: bytes, kind: int) -> bool:
    """Whether an ICMPv6 error of this kind about this packet may be sent at all (RFC 4443 section 2.4 (e)): not about errors
    and Redirects, nor to nobody or everybody, nor about multicast but to say that a packet is too big."""
    source, destination = packet[8:24], packet[24:40]
    if destination[0] == MULTICAST and kind != PACKET_TOO_BIG:
        return False
    if source[0] == MULTICAST or source == bytes(16) or source[:2] in (b"\xfe\x80", b"\xfe\xbf"):
        return False
    return not (packet[6] == ICMPV6 and (len(packet) <= HEADER or packet[HEADER] < 128 or packet[HEADER] == _REDIRECT))


def error_message(kind: int, code: int, value: int, about: bytes) -> bytes:
    """An ICMPv6 error without its checksum (the kernel's raw socket puts it in), quoting as much as fits 1280 bytes."""
    return struct.pack("!BBHI", kind, code, 0, value) + about[: _LARGEST_ERROR - 8]
