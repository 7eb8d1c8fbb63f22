# SPDX-License-Identifier: Apache-2.0
"""Multicast Listener Discovery: what a router asks, and which groups a listener says that it wants.

RFC 9777 sections 5.1 and 5.2 (version 2, formerly RFC 3810), RFC 2710 section 3 (version 1). Mobile IPv6 sends these messages
through the tunnel between a mobile node and its home agent (RFC 6275 section 10.4.3).

Always holds: `records` of what `encode_records` gives are the records again; octets behind the last record and auxiliary data
are ignored, as RFC 9777 sections 5.2.11 and 5.2.12 ask.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum

from halma.value import value
from halma.wire.errors import DecodeError, DecodeReason
from halma.wire.ipv6 import HopByHopOptions, Packet, RouterAlert
from halma.wire.messagespace import icmp_message
from halma.wire.spaces import ICMPV6_MESSAGES

ALL_MLDV2_ROUTERS = bytes.fromhex("ff020000000000000000000000000016")
"""Where a version 2 report goes (section 5.2.15)."""
HOP_LIMIT = 1
ROUTER_ALERT = 0
"""The value of a Router Alert option that says: a message of Multicast Listener Discovery (RFC 2711 section 2.1)."""
_RECORD = struct.Struct("!BBH16s")
_LINK_LOCAL = 0xFE80 >> 6  # fe80::/10


class RecordType(IntEnum):
    """What a record says (RFC 9777 section 5.2.13)."""

    MODE_IS_INCLUDE = 1
    MODE_IS_EXCLUDE = 2
    CHANGE_TO_INCLUDE_MODE = 3
    CHANGE_TO_EXCLUDE_MODE = 4
    ALLOW_NEW_SOURCES = 5
    BLOCK_OLD_SOURCES = 6


@icmp_message(ICMPV6_MESSAGES, 130, "H 2x 16s *", section="9777#5.1")
class MulticastListenerQuery:
    """Asks who listens to `group`, or with the unspecified address to any; answers come within `maximum_response_code`
    milliseconds (from 32768 on, a floating point number). `rest` is what version 2 adds: flags with the robustness variable,
    the query interval, and sources."""

    maximum_response_code: int
    group: bytes
    rest: bytes = b""


@icmp_message(ICMPV6_MESSAGES, 131, "4x 16s *", section="2710#3")
class MulticastListenerReport:
    """Version 1: its sender listens to `group`. Nothing follows."""

    group: bytes
    rest: bytes = b""


@icmp_message(ICMPV6_MESSAGES, 132, "4x 16s *", section="2710#3")
class MulticastListenerDone:
    """Version 1: its sender listens to `group` no more. Nothing follows."""

    group: bytes
    rest: bytes = b""


@value
class MulticastAddressRecord:
    """What one listener says of one group: the type of the record, and sources."""

    type: int
    group: bytes
    sources: tuple[bytes, ...] = ()


@icmp_message(ICMPV6_MESSAGES, 143, "2x H *", section="9777#5.2")
class MulticastListenerReportV2:
    """Version 2: `count` records, as octets."""

    count: int
    octets: bytes

    def records(self) -> tuple[MulticastAddressRecord, ...]:
        """The records one by one. Raises `DecodeError` when one goes beyond the end."""
        offset, found = 0, []
        for _ in range(self.count):
            if offset + _RECORD.size > len(self.octets):
                raise DecodeError(DecodeReason.TRUNCATED, 8 + offset)
            kind, auxiliary, sources, group = _RECORD.unpack_from(self.octets, offset)
            start = offset + _RECORD.size
            offset = start + 16 * sources + 4 * auxiliary
            if offset > len(self.octets):
                raise DecodeError(DecodeReason.TRUNCATED, 8 + start)
            listed = tuple(self.octets[at : at + 16] for at in range(start, start + 16 * sources, 16))
            found.append(MulticastAddressRecord(kind, group, listed))
        return tuple(found)


ListenerReport = MulticastListenerReport | MulticastListenerDone | MulticastListenerReportV2
MulticastListenerMessage = MulticastListenerQuery | ListenerReport


def encode_records(records: Sequence[MulticastAddressRecord]) -> MulticastListenerReportV2:
    """A version 2 report with these records."""
    octets = b"".join(
        _RECORD.pack(record.type, 0, len(record.sources), record.group) + b"".join(record.sources) for record in records
    )
    return MulticastListenerReportV2(len(records), octets)


def general_query(maximum_response: int, robustness: int, interval: int) -> MulticastListenerQuery:
    """A General Query of version 2 (RFC 9777 section 5.1.13): the time for answers in milliseconds, below 32768; the robustness
    variable, below 8; the query interval in seconds, below 128."""
    return MulticastListenerQuery(maximum_response, bytes(16), struct.pack("!BBH", robustness, interval, 0))


def is_from_listener_or_router(packet: Packet) -> bool:
    """Whether a packet has what each message of Multicast Listener Discovery has: a link-local source, hop limit 1, and a
    Router Alert option in a hop-by-hop options header (RFC 9777 sections 5, 5.1.14 and 5.2.14)."""
    alerts = [
        option.value
        for header in packet.extension_headers
        if isinstance(header, HopByHopOptions)
        for option in header.options
        if isinstance(option, RouterAlert)
    ]
    link_local = int.from_bytes(packet.source[:2], "big") >> 6 == _LINK_LOCAL
    return packet.hop_limit == HOP_LIMIT and link_local and alerts == [ROUTER_ALERT]
