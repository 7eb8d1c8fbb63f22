# SPDX-License-Identifier: Apache-2.0
"""The frames of one access interface: who is heard on it, and what a gateway says to one node alone.

RFC 5213 section 6 asks the gateway to find out that a node has come; on an Ethernet link any frame gives it away. A classic
BPF program on a packet socket lets through Neighbor Discovery, and of everything else only what comes from link-layer
addresses not seen before, so data never reaches this process but for the first frame of a node.

Always holds: no more than `BURST` frames are taken in `PAUSE` seconds; every frame that is sent goes to one link-layer
address, save for the ones that ask everybody on a new link.
"""

from __future__ import annotations

import socket

from halma.engine.gateway_api import NodeHeard, RouterSolicitationReceived
from halma.netio.packet_socket import (
    ETH_P_ALL,
    ETH_P_IPV6,
    ETHERNET,
    IPV6,
    JUMP_EQUAL,
    LD_BYTE,
    LD_HALF,
    LD_WORD,
    RETURN,
    Step,
    attach_filter,
    discovery_frame,
    group_address,
    packet_socket,
    send_frame,
)
from halma.wire.addresses import ALL_NODES, UNSPECIFIED
from halma.wire.errors import DecodeError
from halma.wire.icmpv6 import EchoRequest, Icmpv6Message, decode_icmpv6
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

SNAP = 576
"""Octets of a frame that are looked at: a Router Solicitation with every option that it may have."""
SEEN = 32
"""Link-layer addresses that the filter knows. When there are more, only Neighbor Discovery gets through."""
BURST, PAUSE = 256, 0.1
"""Frames that are taken in so many seconds; the rest waits in the socket, or is dropped by the kernel."""
PROBE_IDENTIFIER = 0x5213
"""The identifier of our Echo Requests."""

_ROUTER_SOLICITATION, _NEIGHBOR_SOLICITATION, _NEIGHBOR_ADVERTISEMENT, _ECHO_REPLY = 133, 135, 136, 129


def capture_filter(seen: tuple[bytes, ...], strangers: bool) -> list[Step]:
    """What is let through: Router and Neighbor Solicitations, Neighbor Advertisements, and Echo Replies from link-local
    addresses; and, if `strangers`, any IPv6 frame from a link-layer address that is not in `seen`."""
    steps = [
        (LD_HALF, 0, 0, 12),
        (JUMP_EQUAL, 1, 0, ETH_P_IPV6),
        (RETURN, 0, 0, 0),
        (LD_BYTE, 0, 0, ETHERNET + 6),
        (JUMP_EQUAL, 0, 8, NextHeader.ICMPV6),
        (LD_BYTE, 0, 0, ETHERNET + IPV6),
        (JUMP_EQUAL, 5, 0, _ROUTER_SOLICITATION),
        (JUMP_EQUAL, 4, 0, _NEIGHBOR_SOLICITATION),
        (JUMP_EQUAL, 3, 0, _NEIGHBOR_ADVERTISEMENT),
        (JUMP_EQUAL, 0, 3, _ECHO_REPLY),
        (LD_HALF, 0, 0, ETHERNET + 8),
        (JUMP_EQUAL, 0, 1, 0xFE80),
        (RETURN, 0, 0, SNAP),
    ]
    for address in seen if strangers else ():
        steps += [
            (LD_WORD, 0, 0, 8),
            (JUMP_EQUAL, 0, 3, int.from_bytes(address[2:6], "big")),
            (LD_HALF, 0, 0, 6),
            (JUMP_EQUAL, 0, 1, int.from_bytes(address[:2], "big")),
            (RETURN, 0, 0, 0),
        ]
    return [*steps, (RETURN, 0, 0, SNAP if strangers else 0)]


class AccessPort:
    """The packet socket of one access interface. Raises OSError when it cannot be opened (CAP_NET_RAW)."""

    def __init__(self, interface: int, name: str, link_layer_address: bytes) -> None:
        self.interface = interface
        self.counters = {"frames_heard": 0, "frames_malformed": 0, "frames_sent": 0, "frames_not_sent": 0}
        self._link_layer_address = link_layer_address
        self._seen: dict[bytes, None] = {}
        self._crowded = False
        # For all protocols, so before tc, which may take a frame from the stack.
        self._socket = packet_socket(socket.SOCK_RAW, name, ETH_P_ALL, self._filter())

    def fileno(self) -> int:
        """The descriptor, for the event loop."""
        return self._socket.fileno()

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    # ---- whose data is not wanted ----

    def admit(self, link_layer_address: bytes) -> None:
        """This sender is known: only its Neighbor Discovery is wanted from now on."""
        if link_layer_address in self._seen or self._crowded:
            return
        if len(self._seen) >= SEEN:
            self._crowded = True
        else:
            self._seen[link_layer_address] = None
        self._attach()

    def forget(self, link_layer_address: bytes) -> None:
        """This sender is not known any more: its next frame is wanted, whatever it is."""
        if link_layer_address in self._seen:
            del self._seen[link_layer_address]
            self._attach()

    def forget_all(self) -> None:
        """The link went down: whoever comes next is new."""
        if self._seen or self._crowded:
            self._seen.clear()
            self._crowded = False
            self._attach()

    def _filter(self) -> list[Step]:
        return capture_filter(tuple(self._seen), strangers=not self._crowded)

    def _attach(self) -> None:
        attach_filter(self._socket, self._filter())

    # ---- in ----

    def receive(self) -> list[NodeHeard | RouterSolicitationReceived]:
        """Who was heard since the last call, at most `BURST` times. Never blocks; raises OSError (ENETDOWN, ENODEV)."""
        heard: list[NodeHeard | RouterSolicitationReceived] = []
        for _ in range(BURST):
            try:
                frame = self._socket.recv(SNAP)
            except BlockingIOError:
                break
            self.counters["frames_heard"] += 1
            event = self._read(frame)
            if event is None:
                self.counters["frames_malformed"] += 1
            else:
                heard.append(event)
                self.admit(event.link_layer_address)
        return heard

    def _read(self, frame: bytes) -> NodeHeard | RouterSolicitationReceived | None:
        if len(frame) < ETHERNET + IPV6 or frame[ETHERNET] >> 4 != 6:
            return None
        sender, source, destination = frame[6:12], frame[22:38], frame[38:54]
        if frame[20] == NextHeader.ICMPV6 and frame[54:55] == bytes([_ROUTER_SOLICITATION]):
            length = int.from_bytes(frame[18:20], "big")
            try:
                message = decode_icmpv6(frame[54 : 54 + length], source, destination, frame[21])
            except DecodeError:
                return None
            if isinstance(message, RouterSolicitation):
                return RouterSolicitationReceived(self.interface, sender, source)
        return NodeHeard(self.interface, sender, source)

    # ---- out ----

    def advertise(self, to: bytes, source: bytes, destination: bytes, message: RouterAdvertisement) -> None:
        """A Router Advertisement to one node alone."""
        self._send(to, source, destination, message)

    def probe(self, to: bytes, source: bytes, address: bytes) -> None:
        """Ask one node for a sign of life, see `gateway_api.ProbeNode`."""
        ours = SourceLinkLayerAddress(self._link_layer_address)
        if source == UNSPECIFIED:
            if address != ALL_NODES:
                self._send(to, source, solicited_node(address), NeighborSolicitation(address))
        elif address == ALL_NODES:
            self._send(to, source, ALL_NODES, EchoRequest(0, PROBE_IDENTIFIER, 0, b""))
        else:
            self._send(to, source, address, NeighborSolicitation(address, (ours,)))

    def solicit(self, source: bytes) -> None:
        """Tell everybody on the link where the gateway is, for a node that has asked in vain while its link was down would
        else ask again only after a second; and ask everybody to answer."""
        flags = NeighborAdvertisementFlag.ROUTER | NeighborAdvertisementFlag.OVERRIDE
        ours = TargetLinkLayerAddress(self._link_layer_address)
        self._send(group_address(ALL_NODES), source, ALL_NODES, NeighborAdvertisement(flags, source, (ours,)))
        self._send(group_address(ALL_NODES), source, ALL_NODES, EchoRequest(0, PROBE_IDENTIFIER, 0, b""))

    def _send(self, to: bytes, source: bytes, destination: bytes, message: Icmpv6Message) -> None:
        sent = send_frame(self._socket, discovery_frame(to, self._link_layer_address, source, destination, message))
        self.counters["frames_sent" if sent else "frames_not_sent"] += 1
