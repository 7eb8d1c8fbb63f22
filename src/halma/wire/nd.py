# SPDX-License-Identifier: Apache-2.0
"""Neighbor Discovery (RFC 4861): the four messages, the options that a gateway or home agent needs, and what makes a message
valid. RFC 6275 section 7 and RFC 3963 section 7.3 add flags and options.

Redirect (type 137) is not here: nobody in a Proxy Mobile IPv6 domain has a use for it.

Always holds: options are a tuple in the order of the wire, unknown ones among them; times are in the units of the wire.
"""

from __future__ import annotations

from halma.wire.addresses import MULTICAST, UNSPECIFIED
from halma.wire.errors import DecodeError, DecodeReason
from halma.wire.messagespace import icmp_message
from halma.wire.numbers import NeighborAdvertisementFlag
from halma.wire.optionspace import Option, option
from halma.wire.spaces import ICMPV6_MESSAGES, ND_OPTIONS


@icmp_message(ICMPV6_MESSAGES, 133, "4x", section="4861#4.1")
class RouterSolicitation:
    """Asks routers to advertise themselves now."""

    options: tuple[Option, ...] = ()


@icmp_message(ICMPV6_MESSAGES, 134, "B B&e0 H 2I", section="4861#4.2")
class RouterAdvertisement:
    """What a router tells the hosts of its link: `router_lifetime` in seconds, `reachable_time` and `retransmission_timer`
    in milliseconds; 0 in any of them and in `hop_limit` is "unspecified"."""

    hop_limit: int
    flags: int
    router_lifetime: int
    reachable_time: int
    retransmission_timer: int
    options: tuple[Option, ...] = ()


@icmp_message(ICMPV6_MESSAGES, 135, "4x 16s", section="4861#4.3")
class NeighborSolicitation:
    """Asks for the link-layer address of `target`, or whether it is there."""

    target: bytes
    options: tuple[Option, ...] = ()


@icmp_message(ICMPV6_MESSAGES, 136, "I&e0000000 16s", section="4861#4.4")
class NeighborAdvertisement:
    """Tells the link-layer address of `target`."""

    flags: int
    target: bytes
    options: tuple[Option, ...] = ()


NeighborDiscoveryMessage = RouterSolicitation | RouterAdvertisement | NeighborSolicitation | NeighborAdvertisement


@option(ND_OPTIONS, 1, "*", section="4861#4.6.1")
class SourceLinkLayerAddress(Option):
    """The link-layer address of the sender."""

    address: bytes


@option(ND_OPTIONS, 2, "*", section="4861#4.6.1")
class TargetLinkLayerAddress(Option):
    """The link-layer address of the target."""

    address: bytes


@option(ND_OPTIONS, 3, "B B&e0 2I 4x 16s", section="4861#4.6.2")
class PrefixInformation(Option):
    """A prefix of the link; lifetimes are in seconds, all ones is forever."""

    prefix_length: int
    flags: int
    valid_lifetime: int
    preferred_lifetime: int
    prefix: bytes


@option(ND_OPTIONS, 5, "2x I", section="4861#4.6.4")
class MaximumTransmissionUnit(Option):
    """The MTU to be used on the link."""

    mtu: int


@option(ND_OPTIONS, 7, "2x I", section="6275#7.3")
class AdvertisementInterval(Option):
    """The greatest time between unsolicited advertisements of this router, in milliseconds."""

    interval: int


@option(ND_OPTIONS, 8, "H&8000 2H", section="6275#7.4")
class HomeAgentInformation(Option):
    """How preferable this home agent is, and for how many seconds it is one; flag R: it supports mobile routers."""

    flags: int
    preference: int
    lifetime: int


_LINK_LOCAL = 0xFE80 >> 6  # fe80::/10
_SOLICITED_NODE = bytes.fromhex("ff0200000000000000000001ff")


def solicited_node(address: bytes) -> bytes:
    """The solicited-node multicast address of an address (RFC 4291 section 2.7.1)."""
    return _SOLICITED_NODE + address[13:]


def validate(message: NeighborDiscoveryMessage, source: bytes, destination: bytes, hop_limit: int) -> None:
    """Raise `DecodeError` unless a received message is valid (RFC 4861 sections 6.1.1, 6.1.2, 7.1.1, 7.1.2)."""
    if hop_limit != 255:
        raise DecodeError(DecodeReason.HOP_LIMIT, 0)
    if isinstance(message, RouterAdvertisement):
        if int.from_bytes(source[:2], "big") >> 6 != _LINK_LOCAL:
            raise DecodeError(DecodeReason.ADDRESS, 0)
        return
    if isinstance(message, NeighborSolicitation | NeighborAdvertisement) and message.target[0] == MULTICAST:
        raise DecodeError(DecodeReason.ADDRESS, 8)
    if isinstance(message, NeighborAdvertisement):
        if destination[0] == MULTICAST and message.flags & NeighborAdvertisementFlag.SOLICITED:
            raise DecodeError(DecodeReason.ADDRESS, 4)
        return
    if source != UNSPECIFIED:
        return
    if any(isinstance(option, SourceLinkLayerAddress) for option in message.options):
        raise DecodeError(DecodeReason.ADDRESS, 0)
    if isinstance(message, NeighborSolicitation) and destination[:13] != _SOLICITED_NODE:
        raise DecodeError(DecodeReason.ADDRESS, 0)
