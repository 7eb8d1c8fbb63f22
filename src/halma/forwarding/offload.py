# SPDX-License-Identifier: Apache-2.0
"""What a sender left to a network card, and no card has done: transport checksums, and TCP segments.

A packet that never left this machine, since its sender is behind a virtual link, or that the card has put together from
several, has the sum of the pseudo header where its checksum (RFC 8200 section 8.1) has to be, and may be longer than any link
takes. The kernel knows that of its packets; the octets that a raw socket gives do not say it, and have to be finished here
before they are a packet again. TCP is cut to what every link takes, for how long its segments were is not known either; a
sender that also leaves the cutting of datagrams to the card (UDP_SEGMENT) is not served.

Always holds: a packet with a right checksum stays as it is; what is cut has the same octets of the stream under the same
sequence numbers.
"""

from __future__ import annotations

from halma.wire.checksum import checksum, pseudo_header
from halma.wire.numbers import NextHeader

HEADER = 40
MINIMUM_MTU = 1280
TCP, UDP = 6, 17
_CHECKSUM = {TCP: 16, UDP: 6}
"""Where the checksum stands in a transport header."""
_SHORTEST = {TCP: 20, UDP: 8}
_SEQUENCE, _FLAGS, _DATA_OFFSET = 4, 13, 12
_LAST_ALONE, _FIRST_ALONE = 0x09, 0x80
"""Flags of a segment that only the last (FIN, PSH) and only the first (CWR) of its pieces have."""
_OPTIONS = (NextHeader.HOP_BY_HOP, NextHeader.DESTINATION_OPTIONS)


def finished(packet: bytes) -> list[bytes]:
    """A whole IPv6 packet as it would have come over a wire: most often itself, and in pieces where TCP was to be cut."""
    headers, protocol, transport = _transport(packet)
    if protocol not in _CHECKSUM or len(packet) < transport + _SHORTEST[protocol]:
        return [packet]
    place, last = transport + _CHECKSUM[protocol], headers[-1]
    source, destination = packet[last + 8 : last + 24], packet[last + 24 : last + 40]
    pseudo = pseudo_header(source, destination, len(packet) - transport, protocol)
    if (int.from_bytes(pseudo, "big") - int.from_bytes(packet[place : place + 2], "big")) % 0xFFFF:
        return [packet]
    pieces = _cut(packet, headers, transport) if protocol == TCP else [packet]
    return [_summed(piece, source, destination, protocol, transport) for piece in pieces]


def _transport(packet: bytes) -> tuple[list[int], int, int]:
    """Where the IPv6 headers begin, tunnel in tunnel, and what stands behind them and where; protocol -1 where one of them is
    about other octets than all that follow. Behind a routing header and in fragments nothing has been left to a card."""
    headers, protocol, place = [0], packet[6], HEADER
    while place + 8 <= len(packet):
        if protocol in _OPTIONS:
            protocol, place = packet[place], place + 8 * (packet[place + 1] + 1)
        elif protocol == NextHeader.IPV6 and place + HEADER <= len(packet):
            headers.append(place)
            protocol, place = packet[place + 6], place + HEADER
        else:
            break
    whole = all(start + HEADER + int.from_bytes(packet[start + 4 : start + 6], "big") == len(packet) for start in headers)
    return headers, protocol if whole else -1, place


def _summed(packet: bytes, source: bytes, destination: bytes, protocol: int, transport: int) -> bytes:
    """The packet with its checksum."""
    place = transport + _CHECKSUM[protocol]
    data = packet[transport:place] + bytes(2) + packet[place + 2 :]
    return packet[:place] + checksum(source, destination, data, protocol).to_bytes(2, "big") + packet[place + 2 :]


def _cut(packet: bytes, headers: list[int], transport: int) -> list[bytes]:
    """A TCP packet in pieces that every link takes."""
    data = transport + 4 * (packet[transport + _DATA_OFFSET] >> 4)
    size = MINIMUM_MTU - data
    if len(packet) <= MINIMUM_MTU or size <= 0 or data < transport + _SHORTEST[TCP]:
        return [packet]
    sequence, flags = int.from_bytes(packet[transport + _SEQUENCE : transport + 8], "big"), packet[transport + _FLAGS]
    pieces = []
    for start in range(data, len(packet), size):
        piece = bytearray(packet[:data] + packet[start : start + size])
        for header in headers:
            piece[header + 4 : header + 6] = (len(piece) - header - HEADER).to_bytes(2, "big")
        piece[transport + _SEQUENCE : transport + 8] = (sequence + start - data & 0xFFFFFFFF).to_bytes(4, "big")
        others = _FIRST_ALONE if start > data else 0
        others |= _LAST_ALONE if start + size < len(packet) else 0
        piece[transport + _FLAGS] = flags & ~others
        pieces.append(bytes(piece))
    return pieces
