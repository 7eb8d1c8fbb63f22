# SPDX-License-Identifier: Apache-2.0
"""Carries the messages of Mobile IPv6: behind extension headers, and under the protection of a guardian.

RFC 6275 sections 6.3 and 6.4 (Home Address option, type 2 routing header), 9.5.4, 10.4.3 (Multicast Listener Discovery, in
tunnels) and 11.3; RFC 4285 by the guardian.

Always holds: what is malformed becomes an event like everything else; a checksum is over the home address, wherever that
stands in the packet (RFC 6275 sections 6.1.1 and 11.3.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from halma.engine.api import HomeAddressOptionReceived, MalformedReceived, MessageReceived, Protection, Send, Tunnel
from halma.engine.home_agent_discovery_api import PrefixSolicited
from halma.engine.multicast_api import ListenerQueryReceived, ListenerReportReceived, SendListenerQuery
from halma.netio.mobility import MOBILITY_HEADER
from halma.netio.signalling import SignallingSocket
from halma.security.authentication import Guardian
from halma.wire import DecodeError, Message, decode, encode
from halma.wire.addresses import ALL_NODES
from halma.wire.errors import DecodeReason
from halma.wire.icmpv6 import Icmpv6Message, MobilePrefixSolicitation, decode_icmpv6, encode_icmpv6
from halma.wire.ipv6 import (
    DISCARDED_IN_SILENCE,
    NOT_SKIPPED,
    DestinationOptions,
    ExtensionHeader,
    HomeAddress,
    HopByHopOptions,
    Packet,
    RouterAlert,
    RoutingHeader,
    TypeTwoRoutingHeader,
    build_packet,
    parse_packet,
    refused_option,
)
from halma.wire.mld import (
    HOP_LIMIT,
    ROUTER_ALERT,
    ListenerReport,
    MulticastListenerQuery,
    is_from_listener_or_router,
)
from halma.wire.numbers import NextHeader

Outgoing = tuple[bytes, bytes, bytes]
"""Source, destination, and the packet whole."""
IPV6_HEADER, PAYLOAD_LENGTH = 40, 4
"""How long the IPv6 header is, and where it says what follows."""
FIRST_INFORMATIONAL, REDIRECT = bytes([128]), bytes([137])
"""The type of an ICMPv6 message that is no error is the first or higher (RFC 4443 section 2.1); a Redirect is not answered
either."""
MOST_HEADERS = 5
"""Extension headers in front of a message: as many as RFC 8200 section 4.1 has places for, of those that are read here."""
ListenerMessage = ListenerReportReceived | ListenerQueryReceived
Carried = MessageReceived | HomeAddressOptionReceived | PrefixSolicited | ListenerMessage | MalformedReceived


class Side(Enum):
    """Which end of Mobile IPv6 we are: it decides where a home address stands in a packet."""

    AGENT = "agent"
    NODE = "node"


class Courier:
    """The packet socket, the guardian, and what one of the two sides puts around a message."""

    def __init__(self, side: Side, socket: SignallingSocket, guardian: Guardian) -> None:
        self._side = side
        self._socket = socket
        self._guardian = guardian

    def fileno(self) -> int:
        """The descriptor, for the event loop."""
        return self._socket.fileno()

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def listen_for(self, addresses: tuple[bytes, ...]) -> None:
        """Our addresses are these from now on."""
        self._socket.listen_for(addresses)

    # ---- in ----

    def judged(self, source: bytes, destination: bytes, message: Message, data: bytes) -> MessageReceived:
        """A message without extension headers: whoever sends it is, or whom it reaches is, at home."""
        at_home = source if self._side is Side.AGENT else destination
        return MessageReceived(source, destination, message, b"", self._judge(message, data, at_home, at_home))

    def receive(self) -> list[Carried]:
        """What the packets that wait carry. Raises OSError."""
        events = []
        for data in self._socket.receive():
            event = self._read(data)
            if event is not None:
                events.append(event)
        return events

    def _read(self, data: bytes) -> Carried | None:
        try:
            packet = parse_packet(data)
        except DecodeError as error:
            return MalformedReceived(bytes(16), bytes(16), error, data)
        if packet.next_header == NextHeader.IPV6:
            return self._read_tunnelled(packet)
        home_address = self._home_address(packet)
        if home_address is None or self._is_the_stack_s(packet):
            return None
        whole = data[: IPV6_HEADER + int.from_bytes(data[PAYLOAD_LENGTH : PAYLOAD_LENGTH + 2], "big")]
        if (place := refused_option(whole)) is not None:
            return self._refused(packet, whole, place)
        if packet.next_header != MOBILITY_HEADER:
            if self._side is Side.NODE:
                return None
            return self._read_other(packet, home_address)
        try:
            message = decode(packet.payload, packet.checksum_source, packet.checksum_destination)
        except DecodeError as error:
            return MalformedReceived(packet.source, packet.destination, error, packet.payload, whole)
        care_of = packet.source if self._side is Side.AGENT else packet.destination
        protection = self._judge(message, packet.payload, care_of, home_address)
        return MessageReceived(packet.source, packet.destination, message, home_address, protection)

    @staticmethod
    def _refused(packet: Packet, whole: bytes, place: int) -> MalformedReceived | None:
        """A packet with an option that must not be skipped: its sender is told, unless the option asks for silence, the packet
        is an ICMPv6 error itself (RFC 4443 section 2.4 e), or the stack has it as well. None of our addresses is multicast, so
        the options that ask for silence there are told of too."""
        silent = whole[place] & NOT_SKIPPED == DISCARDED_IN_SILENCE
        kind = packet.payload[:1]
        error = packet.next_header == NextHeader.ICMPV6 and (kind < FIRST_INFORMATIONAL or kind == REDIRECT)
        if silent or error or packet.next_header not in (MOBILITY_HEADER, NextHeader.ICMPV6):
            return None
        refusal = DecodeError(DecodeReason.OPTION_REFUSED, place)
        return MalformedReceived(packet.source, packet.destination, refusal, whole, whole)

    @staticmethod
    def _read_other(packet: Packet, home_address: bytes) -> HomeAddressOptionReceived | PrefixSolicited:
        """A packet with a Home Address option that carries no Mobility Header."""
        if packet.next_header == NextHeader.ICMPV6:
            try:
                message = decode_icmpv6(packet.payload, packet.checksum_source, packet.checksum_destination)
            except DecodeError:
                message = None
            if isinstance(message, MobilePrefixSolicitation):
                return PrefixSolicited(packet.source, packet.destination, home_address, message)
        return HomeAddressOptionReceived(packet.source, packet.destination, home_address, packet.next_header)

    def _read_tunnelled(self, outer: Packet) -> ListenerMessage | None:
        """A message of Multicast Listener Discovery, which the two ends of a tunnel send each other; None for whatever else."""
        try:
            packet = parse_packet(outer.payload)
            message = decode_icmpv6(packet.payload, packet.source, packet.destination, packet.hop_limit)
        except DecodeError:
            return None
        if outer.is_fragment or packet.next_header != NextHeader.ICMPV6 or not is_from_listener_or_router(packet):
            return None
        tunnel = Tunnel(outer.destination, outer.source)
        if self._side is Side.AGENT:
            return ListenerReportReceived(tunnel, message) if isinstance(message, ListenerReport) else None
        return ListenerQueryReceived(tunnel, message) if isinstance(message, MulticastListenerQuery) else None

    def _is_the_stack_s(self, packet: Packet) -> bool:
        """Whether the headers are such that the stack answers: the data plane does not keep these from it (`bpf/chain.h`)."""
        headers = packet.extension_headers
        return (
            packet.is_fragment
            or len(headers) > MOST_HEADERS
            or any(isinstance(header, HopByHopOptions) for header in headers[1:])
            or any(isinstance(header, RoutingHeader) and header.segments_left for header in headers)
            or (self._side is Side.AGENT and any(isinstance(header, TypeTwoRoutingHeader) for header in headers))
        )

    def _home_address(self, packet: Packet) -> bytes | None:
        """Where this side finds one."""
        if self._side is Side.AGENT:
            return packet.home_address
        for header in packet.extension_headers:
            if isinstance(header, TypeTwoRoutingHeader):
                return header.home_address
        return None

    def _judge(self, message: Message, data: bytes, care_of_address: bytes, home_address: bytes) -> Protection:
        return self._guardian.judge(message, data, care_of_address, home_address)

    # ---- out ----

    def replace_guardian(self, guardian: Guardian) -> None:
        """The operator has other keys."""
        self._guardian = guardian

    def packet(self, effect: Send) -> Outgoing:
        """A message as a packet that can be sent."""
        source, destination, home = effect.source, effect.destination, effect.home_address
        care_of = effect.care_of_address or (destination if self._side is Side.AGENT else source)
        pseudo = self._pseudo(source, destination, home)
        if effect.association is None:
            data = encode(effect.message, *pseudo)
        else:
            data = self._guardian.protect(effect.message, pseudo, care_of, home or care_of, effect.association)
        return self._packet(source, destination, home, MOBILITY_HEADER, data)

    def send(self, packets: Sequence[Outgoing], interface: int = 0) -> list[tuple[int, int]]:
        """Send packets, on an interface where one is given. Gives (index, errno) of those that were refused."""
        return self._socket.send(packets, interface)

    def send_icmp(self, source: bytes, destination: bytes, message: Icmpv6Message, home_address: bytes) -> None:
        """Send an ICMPv6 message from or to a home address, or with none."""
        data = encode_icmpv6(message, *self._pseudo(source, destination, home_address))
        self.send([self._packet(source, destination, home_address, NextHeader.ICMPV6, data)])

    def send_listener_query(self, effect: SendListenerQuery) -> None:
        """Ask through a tunnel which groups are listened to."""
        data = encode_icmpv6(effect.message, effect.source, ALL_NODES)
        alert = HopByHopOptions((RouterAlert(ROUTER_ALERT),))
        query = Packet(effect.source, ALL_NODES, NextHeader.ICMPV6, data, hop_limit=HOP_LIMIT, extension_headers=(alert,))
        local, remote = effect.tunnel.local, effect.tunnel.remote
        self.send([(local, remote, build_packet(Packet(local, remote, NextHeader.IPV6, build_packet(query))))])

    def _pseudo(self, source: bytes, destination: bytes, home_address: bytes) -> tuple[bytes, bytes]:
        """What a checksum is over: the node is at its home address, wherever the packet goes."""
        if self._side is Side.AGENT:
            return source, home_address or destination
        return home_address or source, destination

    def _packet(self, source: bytes, destination: bytes, home_address: bytes, next_header: int, data: bytes) -> Outgoing:
        headers: tuple[ExtensionHeader, ...] = ()
        if home_address and self._side is Side.AGENT:
            headers = (TypeTwoRoutingHeader(home_address),)
        elif home_address:
            headers = (DestinationOptions((HomeAddress(home_address),)),)
        return source, destination, build_packet(Packet(source, destination, next_header, data, extension_headers=headers))
