# SPDX-License-Identifier: Apache-2.0
"""The frames of a mobile node's interface that concern where it is: Neighbor Discovery, and ICMPv6 about Mobile IPv6.

RFC 4861 (routers, neighbours), RFC 4862 section 5.4 (Duplicate Address Detection), RFC 6275 sections 6.5 to 6.8 and 11.5.

Always holds: what is told has passed the checks of RFC 4861 sections 6.1.2 and 7.1; our own frames are not heard; nothing
blocks.
"""

from __future__ import annotations

import socket

from halma.engine.node_api import (
    AddressClaimed,
    IcmpReceived,
    RouterAdvertisementReceived,
    RouterConfirmed,
)
from halma.netio.packet_socket import (
    ETH_P_ALL,
    ETH_P_IPV6,
    ETHERNET,
    IPV6,
    JUMP_EQUAL,
    LD_BYTE,
    LD_HALF,
    RETURN,
    Step,
    discovery_frame,
    group_address,
    hear_all_groups,
    packet_socket,
    send_frame,
)
from halma.wire.addresses import ALL_NODES, ALL_ROUTERS, UNSPECIFIED
from halma.wire.errors import DecodeError
from halma.wire.icmpv6 import (
    HomeAgentAddressDiscoveryReply,
    Icmpv6Message,
    MobilePrefixAdvertisement,
    ParameterProblem,
    decode_icmpv6,
)
from halma.wire.ipv6 import Packet, TypeTwoRoutingHeader, parse_packet
from halma.wire.nd import (
    NeighborAdvertisement,
    NeighborSolicitation,
    RouterAdvertisement,
    RouterSolicitation,
    SourceLinkLayerAddress,
    TargetLinkLayerAddress,
    solicited_node,
)
from halma.wire.numbers import NeighborAdvertisementFlag, NextHeader

LONGEST = 2048
BURST = 64
"""Frames that are taken before the event loop has its turn."""
WANTED = (134, 135, 136, 145, 147, 4)
"""Types of ICMPv6: Router Advertisement, both of neighbours, the two answers of home agents, Parameter Problem."""

NodePortEvent = RouterAdvertisementReceived | RouterConfirmed | AddressClaimed | IcmpReceived


def node_filter() -> list[Step]:
    """Classic BPF: ICMPv6 of the wanted types, and what comes behind a routing header."""
    steps = [
        (LD_HALF, 0, 0, 12),
        (JUMP_EQUAL, 1, 0, ETH_P_IPV6),
        (RETURN, 0, 0, 0),
        (LD_BYTE, 0, 0, ETHERNET + 6),
        (JUMP_EQUAL, len(WANTED) + 2, 0, NextHeader.ROUTING),
        (JUMP_EQUAL, 0, len(WANTED) + 2, NextHeader.ICMPV6),
        (LD_BYTE, 0, 0, ETHERNET + IPV6),
    ]
    for left, kind in zip(range(len(WANTED) - 1, -1, -1), WANTED, strict=True):
        steps.append((JUMP_EQUAL, left, 0 if left else 1, kind))
    return [*steps, (RETURN, 0, 0, LONGEST), (RETURN, 0, 0, 0)]


class NodePort:
    """The packet socket of the interface. Raises OSError when it cannot be opened (CAP_NET_RAW)."""

    def __init__(self, interface: int, name: str, link_layer_address: bytes, link_local_address: bytes) -> None:
        self.counters = {"frames_heard": 0, "frames_malformed": 0, "frames_sent": 0, "frames_not_sent": 0}
        self._link_layer_address = link_layer_address
        self._link_local_address = link_local_address
        self._socket = packet_socket(socket.SOCK_RAW, name, ETH_P_ALL, node_filter())
        try:  # those of addresses that are being asked about, before the kernel is in them
            hear_all_groups(self._socket, interface)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """The descriptor, for the event loop."""
        return self._socket.fileno()

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    # ---- in ----

    def receive(self) -> list[NodePortEvent]:
        """What was heard since the last call, of `BURST` frames at the most. Never blocks; raises OSError (ENETDOWN)."""
        events: list[NodePortEvent] = []
        for _ in range(BURST):
            try:
                frame = self._socket.recv(LONGEST)
            except BlockingIOError:
                break
            self.counters["frames_heard"] += 1
            try:
                events += self._read(frame)
            except DecodeError:
                self.counters["frames_malformed"] += 1
        return events

    def _read(self, frame: bytes) -> list[NodePortEvent]:
        packet = parse_packet(frame[ETHERNET:])
        sender = frame[6:12]
        if packet.next_header != NextHeader.ICMPV6 or sender == self._link_layer_address:
            return []
        home_address = next((h.home_address for h in packet.extension_headers if isinstance(h, TypeTwoRoutingHeader)), b"")
        message = _decode(packet, home_address)
        source, destination = packet.source, packet.destination
        if isinstance(message, RouterAdvertisement):
            return [] if packet.extension_headers else [RouterAdvertisementReceived(source, sender, message)]
        if isinstance(message, NeighborAdvertisement):
            return self._advertised(message, sender)
        if isinstance(message, NeighborSolicitation):
            return [AddressClaimed(message.target, sender)] if source == UNSPECIFIED else []
        if isinstance(message, HomeAgentAddressDiscoveryReply | MobilePrefixAdvertisement | ParameterProblem):
            return [IcmpReceived(source, destination, message, home_address)]
        return []

    def _advertised(self, message: NeighborAdvertisement, sender: bytes) -> list[NodePortEvent]:
        owner = next((o.address for o in message.options if isinstance(o, TargetLinkLayerAddress)), sender)
        if owner == self._link_layer_address:
            return []
        events: list[NodePortEvent] = [AddressClaimed(message.target, owner)]
        if message.flags & NeighborAdvertisementFlag.SOLICITED:
            events.append(RouterConfirmed(message.target))
        return events

    # ---- out ----

    def solicit_routers(self) -> None:
        """One Router Solicitation to all routers of the link."""
        ours = SourceLinkLayerAddress(self._link_layer_address)
        self._send(group_address(ALL_ROUTERS), self._link_local_address, ALL_ROUTERS, RouterSolicitation((ours,)))

    def probe(self, address: bytes, link_layer_address: bytes) -> None:
        """Ask a neighbour whether it is there."""
        message = NeighborSolicitation(address, (SourceLinkLayerAddress(self._link_layer_address),))
        if link_layer_address:
            self._send(link_layer_address, self._link_local_address, address, message)
        else:
            group = solicited_node(address)
            self._send(group_address(group), self._link_local_address, group, message)

    def ask_for(self, address: bytes) -> None:
        """Ask whoever has an address, from none of our own."""
        group = solicited_node(address)
        self._send(group_address(group), UNSPECIFIED, group, NeighborSolicitation(address))

    def advertise(self, address: bytes) -> None:
        """Tell all nodes of the link that an address is ours, instead of what they know."""
        ours = TargetLinkLayerAddress(self._link_layer_address)
        message = NeighborAdvertisement(NeighborAdvertisementFlag.OVERRIDE, address, (ours,))
        self._send(group_address(ALL_NODES), address, ALL_NODES, message)

    def _send(self, to: bytes, source: bytes, destination: bytes, message: Icmpv6Message) -> None:
        sent = send_frame(self._socket, discovery_frame(to, self._link_layer_address, source, destination, message))
        self.counters["frames_sent" if sent else "frames_not_sent"] += 1


def _decode(packet: Packet, home_address: bytes) -> Icmpv6Message:
    """Behind a type 2 routing header the checksum is over the home address (RFC 6275 section 6.4)."""
    return decode_icmpv6(packet.payload, packet.source, home_address or packet.destination, packet.hop_limit)
