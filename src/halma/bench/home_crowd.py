# SPDX-License-Identifier: Apache-2.0
"""The Binding Updates of a crowd of mobile nodes that are abroad, each signed with its own association, and what comes back.

The messages are those of a real mobile node (RFC 6275 section 11.7.1, RFC 4285 sections 5 and 6): a packet from its care-of
address with a Home Address option, in it an Alternate Care-of Address, the node's identifier, a timestamp and the
authentication option. A handover is an update from a care-of address in the next visited network.

Always holds: an answer counts only when it came by a type 2 routing header for the right node, is authentic and brings the
timestamp back; no update has a sequence number that is not newer than the node's last one.
"""

from __future__ import annotations

from collections.abc import Sequence

from halma.bench.crowd import LEAVE, LIFETIME, UNANSWERABLE, Crowd, Updates, identifier
from halma.bench.packet_wire import PacketWire
from halma.bench.volley import Answer
from halma.engine.api import Association, Assurance, Send
from halma.engine.node_api import NodeSettings
from halma.engine.node_binding import Request, RequestKind, RouterMode
from halma.engine.node_update import binding_update, timestamp_of
from halma.security.authentication import AuthenticationGuardian, Key
from halma.wire import DecodeError, decode
from halma.wire.ipv6 import HEADER_LENGTH, DestinationOptions, HomeAddress, Packet, build_packet, parse_packet
from halma.wire.messages import BindingAcknowledgement
from halma.wire.numbers import NextHeader
from halma.wire.timestamp import to_ntp

SPI = 256
"""The same for all nodes: an association is found by it and the node's identifier."""
SECRET = "6f1ed002ab5595859014ebf0951522d96f1ed002"
"""The key of each association, in hexadecimal digits: what a code costs is the same for any."""
HOME_PREFIXES = bytes.fromhex("20010db80100") + bytes(10)
"""A /40, of which each node has a /64."""
_ROUTING_HEADER = 24
_LINK_LOCAL = bytes.fromhex("fe80000000000000")
_INTERFACE = (1).to_bytes(8, "big")
"""The interface identifier of every node on its home link, where each has a prefix of its own."""


def home_prefix(node: int) -> bytes:
    """The /64 that a node's home address lies in."""
    return (int.from_bytes(HOME_PREFIXES, "big") + (node << 64)).to_bytes(16, "big")


def home_address(node: int) -> bytes:
    """The home address of a node."""
    return home_prefix(node)[:8] + _INTERFACE


class HomeCrowd(Crowd):
    """Nodes in `networks` (16-byte prefixes, /64 each) that are routed to us."""

    before = HEADER_LENGTH
    acknowledgement_sequence, update_sequence = HEADER_LENGTH + _ROUTING_HEADER + 8, HEADER_LENGTH + 6

    def __init__(self, size: int, networks: Sequence[bytes]) -> None:
        super().__init__(size, len(networks))
        self._networks = tuple(network[:8] for network in networks)
        self._associations = [Association(node, identifier(node), home_prefix=home_prefix(node)) for node in range(size)]
        secret = bytes.fromhex(SECRET)
        self._guardian = AuthenticationGuardian(Key(known, SPI, "hmac-sha1", secret) for known in self._associations)
        self._volleys = 0
        self._timestamp = 0
        self._wire: PacketWire | None = None

    def descriptors(self) -> tuple[int, int]:
        """Packets out, and packets in."""
        if self._wire is None:
            self._wire = PacketWire()
        return self._wire.descriptors()

    def close(self) -> None:
        """Give the sockets back."""
        if self._wire is not None:
            self._wire.close()

    def updates(self, phase: str, nodes: range, now: float, destination: bytes, *, echo: bool) -> Updates:
        """As `Crowd` says. An echo's kernel would refuse a Home Address option: it gets the same message without."""
        if nodes.step != 1:
            raise ValueError("sequence numbers follow one another, so nodes have to")
        self._volleys += 1  # a node has the same place in each volley, so that its next number is newer by one at least
        self._timestamp = to_ntp(now)
        first = (nodes.start + self._volleys) & 0xFFFF
        messages = []
        for index, node in enumerate(nodes):
            send = self._update(phase, node, (first + index) & 0xFFFF, destination)
            home, association = home_address(node), self._associations[node]
            data = self._guardian.protect(send.message, (home, destination), send.source, home, association)
            headers = () if echo else (DestinationOptions((HomeAddress(home),)),)
            messages.append(
                build_packet(Packet(send.source, destination, NextHeader.MOBILITY, data, extension_headers=headers))
            )
        return Updates(messages, [b""] * len(messages), first)

    def _update(self, phase: str, node: int, sequence: int, anchor: bytes) -> Send:
        kind = RequestKind.FAREWELL if phase == LEAVE else RequestKind.REGISTRATION
        request = Request(kind, anchor, self._care_of_address(phase, node), RouterMode.NONE, 0.0)
        settings = NodeSettings(
            home_address=home_address(node),
            home_prefix=home_prefix(node),
            home_agents=(anchor,),
            link_local_address=_LINK_LOCAL + _INTERFACE,
            interface_identifier=_INTERFACE,
            identifier=identifier(node),
            association=self._associations[node],
        )
        return binding_update(settings, request, sequence, 0 if phase == LEAVE else LIFETIME, self._timestamp)

    def _care_of_address(self, phase: str, node: int) -> bytes:
        return self._networks[self._place(phase, node)] + (node + 1).to_bytes(8, "big")

    def _status(self, answer: Answer, node: int, phase: str, destination: bytes) -> int:
        care_of_address, home = self._care_of_address(phase, node), home_address(node)
        try:
            packet = parse_packet(answer.octets)
            message = decode(packet.payload, packet.source, packet.checksum_destination)
        except DecodeError:
            return UNANSWERABLE
        addresses = (packet.source, packet.destination, packet.checksum_destination)
        if addresses != (destination, care_of_address, home) or not isinstance(message, BindingAcknowledgement):
            return UNANSWERABLE
        protection = self._guardian.judge(message, packet.payload, care_of_address, home)
        authentic = protection.assurance is Assurance.VALID and protection.association is self._associations[node]
        return message.status if authentic and timestamp_of(message) == self._timestamp else UNANSWERABLE
