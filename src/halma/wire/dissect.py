# SPDX-License-Identifier: Apache-2.0
"""Finds the messages in a packet: through extension headers and tunnels down to a Mobility Header or ICMPv6 message.

Always holds: every IPv6 packet gives exactly one `Finding`, whatever its octets are; nothing is raised.
"""

from __future__ import annotations

from halma.value import value
from halma.wire.errors import DecodeError
from halma.wire.icmpv6 import Icmpv6Message, decode_icmpv6
from halma.wire.ipv6 import Packet, parse_packet
from halma.wire.messages import Message
from halma.wire.mobility import decode
from halma.wire.numbers import NextHeader


@value
class Finding:
    """What is in a packet: the IPv6 packets from the outermost to the innermost, and the message of the last one: None where
    it carries another protocol or a fragment, the error where it does not decode."""

    packets: tuple[Packet, ...]
    message: Message | Icmpv6Message | DecodeError | None


def dissect(data: bytes) -> Finding:
    """The packets and the message in the octets of an IPv6 packet."""
    packets: list[Packet] = []
    message: Message | Icmpv6Message | DecodeError | None = None
    try:
        while True:
            packet = parse_packet(data)
            packets.append(packet)
            if packet.is_fragment or packet.next_header != NextHeader.IPV6:
                break
            data = packet.payload
        source, destination = packet.checksum_source, packet.checksum_destination
        if packet.is_fragment:
            pass
        elif packet.next_header == NextHeader.MOBILITY:
            message = decode(packet.payload, source, destination)
        elif packet.next_header == NextHeader.ICMPV6:
            message = decode_icmpv6(packet.payload, source, destination, packet.hop_limit)
    except DecodeError as error:
        message = error
    return Finding(tuple(packets), message)
