# SPDX-License-Identifier: Apache-2.0
"""The IPv6 header and its extension headers (RFC 8200 sections 3 and 4), with what Mobile IPv6 puts into them: the Home Address
option (RFC 6275 section 6.3) and the type 2 routing header (section 6.4).

Always holds: `parse_packet` of what `build_packet` gives is the packet again; payload and options survive byte for byte, only
padding is made anew.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from halma.value import value
from halma.wire.errors import DecodeError, DecodeReason, EncodeError
from halma.wire.numbers import NextHeader
from halma.wire.optionspace import Option, option
from halma.wire.spaces import DESTINATION_OPTIONS

HEADER_LENGTH = 40
TYPE_2 = 2
"""The routing type of RFC 6275 section 6.4."""
NOT_SKIPPED = 0xC0
"""Bits of an option's number, none of which is set where who does not know the option skips it (RFC 8200 section 4.2)."""
DISCARDED_IN_SILENCE = 0x40
"""What these bits are where the packet is discarded and nobody told."""
_HEADER = struct.Struct("!IHBB16s16s")
_TYPE_2 = struct.Struct("!BBBB4x16s")
_FRAGMENT = struct.Struct("!BxHI")


@option(DESTINATION_OPTIONS, 4, "B", section="2473#4.1.1")
class TunnelEncapsulationLimit(Option):
    """How many more times the packet may be put into a tunnel."""

    limit: int


@option(DESTINATION_OPTIONS, 5, "H", section="2711#2.1", align=(2, 0))
class RouterAlert(Option):
    """Asks every router on the way to look at the packet."""

    value: int


@option(DESTINATION_OPTIONS, 201, "16s", section="6275#6.3", align=(8, 6))
class HomeAddress(Option):
    """The home address of the mobile node that sent the packet from its care-of address."""

    address: bytes


@value
class HopByHopOptions:
    """The hop-by-hop options header."""

    options: tuple[Option, ...]


@value
class DestinationOptions:
    """A destination options header."""

    options: tuple[Option, ...]


@value
class TypeTwoRoutingHeader:
    """Names the home address of the mobile node that the packet has been sent to at its care-of address."""

    home_address: bytes


@value
class RoutingHeader:
    """A routing header of another type: `data` is what follows its first four octets."""

    type: int
    segments_left: int
    data: bytes


@value
class FragmentHeader:
    """Marks a fragment: `offset` in units of eight octets."""

    offset: int
    more: bool
    identification: int


ExtensionHeader = HopByHopOptions | DestinationOptions | TypeTwoRoutingHeader | RoutingHeader | FragmentHeader


@value
class Packet:
    """An IPv6 packet: `next_header` is the protocol of `payload`, after all the extension headers."""

    source: bytes
    destination: bytes
    next_header: int
    payload: bytes
    hop_limit: int = 64
    traffic_class: int = 0
    flow_label: int = 0
    extension_headers: tuple[ExtensionHeader, ...] = ()

    @property
    def home_address(self) -> bytes | None:
        """The address in the Home Address option, when there is one."""
        for header in self.extension_headers:
            if isinstance(header, DestinationOptions):
                for found in header.options:
                    if isinstance(found, HomeAddress):
                        return found.address
        return None

    @property
    def checksum_source(self) -> bytes:
        """The source address of the pseudo header: the home address, when there is one (RFC 6275 section 11.3.1)."""
        return self.home_address or self.source

    @property
    def checksum_destination(self) -> bytes:
        """The destination of the pseudo header: that in the type 2 routing header, when there is one (RFC 8200 section 8.1)."""
        for header in self.extension_headers:
            if isinstance(header, TypeTwoRoutingHeader):
                return header.home_address
        return self.destination

    @property
    def is_fragment(self) -> bool:
        """Whether the payload is only a part of what was sent: no protocol header need stand at its start."""
        return any(isinstance(header, FragmentHeader) and (header.offset or header.more) for header in self.extension_headers)


def parse_packet(data: bytes) -> Packet:
    """The IPv6 packet in `data`, which may be longer. Raises `DecodeError`; nothing else."""
    if len(data) < HEADER_LENGTH:
        raise DecodeError(DecodeReason.TRUNCATED, len(data))
    first, length, next_header, hop_limit, source, destination = _HEADER.unpack_from(data)
    if first >> 28 != 6:
        raise DecodeError(DecodeReason.VERSION, 0)
    end = HEADER_LENGTH + length
    if end > len(data):
        raise DecodeError(DecodeReason.TRUNCATED, len(data))
    offset = HEADER_LENGTH
    headers: list[ExtensionHeader] = []
    while next_header in _PARSERS:
        if offset + 8 > end:
            raise DecodeError(DecodeReason.TRUNCATED, offset)
        size = 8 if next_header == NextHeader.FRAGMENT else (data[offset + 1] + 1) * 8
        if offset + size > end:
            raise DecodeError(DecodeReason.TRUNCATED, offset + 1)
        header = _PARSERS[next_header](data, offset, offset + size)
        headers.append(header)
        next_header, offset = data[offset], offset + size
        if isinstance(header, FragmentHeader) and header.offset:
            break
    return Packet(
        source, destination, next_header, data[offset:end], hop_limit, first >> 20 & 0xFF, first & 0xFFFFF, tuple(headers)
    )


def refused_option(data: bytes) -> int | None:
    """Where in a packet that `parse_packet` takes, and that is whole, the first option stands that we do not know there, and
    that must not be skipped (RFC 8200 section 4.2)."""
    next_header, offset = data[6], HEADER_LENGTH
    while next_header in _PARSERS:
        end = offset + (8 if next_header == NextHeader.FRAGMENT else (data[offset + 1] + 1) * 8)
        has_options = next_header in (NextHeader.HOP_BY_HOP, NextHeader.DESTINATION_OPTIONS)
        place = offset + 2 if has_options else end
        while place < end:
            number = data[place]
            known = next_header == NextHeader.DESTINATION_OPTIONS and number in DESTINATION_OPTIONS.declarations
            if number & NOT_SKIPPED and not known:  # the Home Address option is one in destination options alone
                return place
            place += data[place + 1] + 2 if number else 1
        next_header, offset = data[offset], end
    return None


def _parse_routing(data: bytes, offset: int, end: int) -> TypeTwoRoutingHeader | RoutingHeader:
    if data[offset + 2] != TYPE_2:
        return RoutingHeader(data[offset + 2], data[offset + 3], data[offset + 4 : end])
    if end - offset != _TYPE_2.size:
        raise DecodeError(DecodeReason.MESSAGE_LENGTH, offset + 1)
    if data[offset + 3] != 1:
        raise DecodeError(DecodeReason.FORMAT, offset + 3)
    return TypeTwoRoutingHeader(data[offset + 8 : end])


def _parse_fragment(data: bytes, offset: int, _end: int) -> FragmentHeader:
    _, place, identification = _FRAGMENT.unpack_from(data, offset)
    return FragmentHeader(place >> 3, bool(place & 1), identification)


_PARSERS: dict[int, Callable[[bytes, int, int], ExtensionHeader]] = {
    NextHeader.HOP_BY_HOP: lambda data, offset, end: HopByHopOptions(DESTINATION_OPTIONS.decode(data, offset + 2, end)),
    NextHeader.DESTINATION_OPTIONS: lambda data, offset, end: DestinationOptions(
        DESTINATION_OPTIONS.decode(data, offset + 2, end)
    ),
    NextHeader.ROUTING: _parse_routing,
    NextHeader.FRAGMENT: _parse_fragment,
}
_NUMBERS: dict[type[ExtensionHeader], int] = {
    HopByHopOptions: NextHeader.HOP_BY_HOP,
    DestinationOptions: NextHeader.DESTINATION_OPTIONS,
    TypeTwoRoutingHeader: NextHeader.ROUTING,
    RoutingHeader: NextHeader.ROUTING,
    FragmentHeader: NextHeader.FRAGMENT,
}


def build_extension_headers(headers: tuple[ExtensionHeader, ...], next_header: int) -> tuple[int, bytes]:
    """The first protocol number and the octets of a chain of extension headers before a payload of protocol `next_header`.

    Raises `EncodeError` when a field holds what its place on the wire cannot.
    """
    parts = []
    try:
        for header in reversed(headers):
            parts.append(_build_extension_header(header, next_header))
            next_header = _NUMBERS[type(header)]
    except (struct.error, KeyError) as error:
        raise EncodeError(f"{headers}: {error}") from None
    return next_header, b"".join(reversed(parts))


def _build_extension_header(header: ExtensionHeader, next_header: int) -> bytes:
    if isinstance(header, TypeTwoRoutingHeader):
        if len(header.home_address) != 16:
            raise EncodeError("home_address")
        return _TYPE_2.pack(next_header, 2, TYPE_2, 1, header.home_address)
    if isinstance(header, FragmentHeader):
        return _FRAGMENT.pack(next_header, header.offset << 3 | header.more, header.identification)
    if isinstance(header, RoutingHeader):
        body = struct.pack("!BB", header.type, header.segments_left) + header.data
    else:
        body = DESTINATION_OPTIONS.encode(header.options, 2)
    if (len(body) + 2) % 8:
        raise EncodeError(f"{header} does not fill units of eight octets")
    return struct.pack("!BB", next_header, (len(body) + 2) // 8 - 1) + body


def build_packet(packet: Packet) -> bytes:
    """The octets of a packet. Raises `EncodeError` when a field holds what its place on the wire cannot."""
    if len(packet.source) != 16 or len(packet.destination) != 16:
        raise EncodeError("an address is not 16 octets")
    if not (0 <= packet.traffic_class < 1 << 8 and 0 <= packet.flow_label < 1 << 20):
        raise EncodeError("traffic class or flow label out of range")
    next_header, headers = build_extension_headers(packet.extension_headers, packet.next_header)
    first = 6 << 28 | packet.traffic_class << 20 | packet.flow_label
    length = len(headers) + len(packet.payload)
    try:
        header = _HEADER.pack(first, length, next_header, packet.hop_limit, packet.source, packet.destination)
    except struct.error as error:
        raise EncodeError(str(error)) from None
    return header + headers + packet.payload
