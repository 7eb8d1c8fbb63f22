# SPDX-License-Identifier: Apache-2.0
"""ICMPv6 (RFC 4443): its checksum, the error messages, and those of Mobile IPv6 (RFC 6275 sections 6.5 to 6.8).

The messages of Neighbor Discovery are in `halma.wire.nd`, those of Multicast Listener Discovery in `halma.wire.mld`.

Always holds: what `decode_icmpv6` returns has a right checksum and, for Neighbor Discovery, has passed the validity checks of
RFC 4861 sections 6.1 and 7.1 as far as the message itself and its addresses show.
"""

from __future__ import annotations

import struct

from halma.value import value
from halma.wire.checksum import checksum, verify
from halma.wire.errors import DecodeError, DecodeReason, EncodeError
from halma.wire.messagespace import icmp_message
from halma.wire.mld import MulticastListenerMessage
from halma.wire.nd import (
    NeighborAdvertisement,
    NeighborDiscoveryMessage,
    NeighborSolicitation,
    RouterAdvertisement,
    RouterSolicitation,
    validate,
)
from halma.wire.numbers import NextHeader
from halma.wire.optionspace import Option
from halma.wire.spaces import ICMPV6_MESSAGES


@icmp_message(ICMPV6_MESSAGES, 1, "4x *", section="4443#3.1")
class DestinationUnreachable:
    """A packet could not be delivered: `code` says why, `packet` is as much of it as fits."""

    code: int
    packet: bytes


@icmp_message(ICMPV6_MESSAGES, 2, "I *", section="4443#3.2")
class PacketTooBig:
    """A packet did not fit into the next link, which takes `mtu` octets."""

    code: int
    mtu: int
    packet: bytes


@icmp_message(ICMPV6_MESSAGES, 3, "4x *", section="4443#3.3")
class TimeExceeded:
    """The hop limit (code 0) or the time for reassembly (code 1) of a packet ran out."""

    code: int
    packet: bytes


@icmp_message(ICMPV6_MESSAGES, 4, "I *", section="4443#3.4")
class ParameterProblem:
    """A field of a packet cannot be processed: `pointer` counts from the start of that packet."""

    code: int
    pointer: int
    packet: bytes


@icmp_message(ICMPV6_MESSAGES, 128, "2H *", section="4443#4.1")
class EchoRequest:
    """Asks to be answered with the same data."""

    code: int
    identifier: int
    sequence: int
    data: bytes


@icmp_message(ICMPV6_MESSAGES, 129, "2H *", section="4443#4.2")
class EchoReply:
    """Answers an Echo Request."""

    code: int
    identifier: int
    sequence: int
    data: bytes


@icmp_message(ICMPV6_MESSAGES, 144, "H H&8000 *", section="6275#6.5")
class HomeAgentAddressDiscoveryRequest:
    """Looks for home agents; flag R for those that support mobile routers (RFC 3963 section 7.1). Nothing follows."""

    identifier: int
    flags: int
    rest: bytes = b""


@icmp_message(ICMPV6_MESSAGES, 145, "H H&8000 *", section="6275#6.6")
class HomeAgentAddressDiscoveryReply:
    """The addresses of home agents, 16 octets each, the preferred first."""

    identifier: int
    flags: int
    addresses: bytes

    def home_agents(self) -> tuple[bytes, ...]:
        """The addresses one by one; octets that are no whole address are left out."""
        return tuple(self.addresses[start : start + 16] for start in range(0, len(self.addresses) - 15, 16))


@icmp_message(ICMPV6_MESSAGES, 146, "H 2x", section="6275#6.7")
class MobilePrefixSolicitation:
    """Asks the home agent for the prefixes of the home link."""

    identifier: int
    options: tuple[Option, ...] = ()


@icmp_message(ICMPV6_MESSAGES, 147, "H H&c000", section="6275#6.8")
class MobilePrefixAdvertisement:
    """The prefixes of the home link, in Prefix Information options."""

    identifier: int
    flags: int
    options: tuple[Option, ...] = ()


@value
class UnknownIcmpv6:
    """A message whose type is not declared: `data` is what follows the checksum."""

    type: int
    code: int
    data: bytes


Icmpv6Message = (
    NeighborDiscoveryMessage
    | MulticastListenerMessage
    | DestinationUnreachable
    | PacketTooBig
    | TimeExceeded
    | ParameterProblem
    | EchoRequest
    | EchoReply
    | HomeAgentAddressDiscoveryRequest
    | HomeAgentAddressDiscoveryReply
    | MobilePrefixSolicitation
    | MobilePrefixAdvertisement
    | UnknownIcmpv6
)

MINIMUM_MTU = 1280
"""No IPv6 link takes less (RFC 8200 section 5); an ICMPv6 error is never longer (RFC 4443 section 2.4)."""


def decode_icmpv6(data: bytes, source: bytes, destination: bytes, hop_limit: int = 255) -> Icmpv6Message:
    """The ICMPv6 message that came in a packet from `source` to `destination` (16 octets each) with `hop_limit`.

    Raises `DecodeError`; nothing else. A message of Neighbor Discovery that does not pass the checks of RFC 4861 is one.
    """
    if len(data) < 4:
        raise DecodeError(DecodeReason.TRUNCATED, len(data))
    if not verify(source, destination, data, NextHeader.ICMPV6):
        raise DecodeError(DecodeReason.CHECKSUM, 2)
    decoder = ICMPV6_MESSAGES.decoders.get(data[0])
    if decoder is None:
        return UnknownIcmpv6(data[0], data[1], data[4:])
    message: Icmpv6Message = decoder(data, len(data))
    if isinstance(message, RouterSolicitation | RouterAdvertisement | NeighborSolicitation | NeighborAdvertisement):
        validate(message, source, destination, hop_limit)
    return message


def encode_icmpv6(message: Icmpv6Message, source: bytes, destination: bytes) -> bytes:
    """An ICMPv6 message with its checksum, to be sent from `source` to `destination` (16 octets each).

    Raises `EncodeError` when a field holds what its place on the wire cannot.
    """
    try:
        if isinstance(message, UnknownIcmpv6):
            data = struct.pack("!BBH", message.type, message.code, 0) + message.data
        else:
            data = ICMPV6_MESSAGES.encoders[type(message)](message)
    except (struct.error, KeyError) as error:
        raise EncodeError(f"{message!r}: {error}") from None
    return data[:2] + checksum(source, destination, data, NextHeader.ICMPV6).to_bytes(2, "big") + data[4:]
