# SPDX-License-Identifier: Apache-2.0
"""A foreign mobile access gateway: it registers nodes and ends the anchor's tunnels (RFC 5213 section 6)."""

from __future__ import annotations

import struct
import time

from tests.foreign import octets
from tests.foreign.octets import (
    ACCESS,
    BA,
    BU,
    HANDOFF,
    HEARTBEAT,
    LINK_LAYER,
    MOBILITY,
    NAI,
    PREFIX,
    REVOCATION,
    TIMESTAMP,
    TUNNEL,
    UDP,
    A,
    Heard,
    Option,
    P,
)
from tests.foreign.place import Station

ANY: Option = (PREFIX, bytes(18))
"""A Home Network Prefix option that leaves the choice to the anchor."""


def name(text: str) -> Option:
    """A Mobile Node Identifier option."""
    return NAI, b"\1" + text.encode()


def prefix(address: bytes, length: int = 64) -> Option:
    """A Home Network Prefix option."""
    return PREFIX, bytes([0, length]) + address


def stamp(moment: float | None = None) -> Option:
    """A Timestamp option: 48 bits of seconds, 16 of their fraction (section 8.8)."""
    return TIMESTAMP, struct.pack("!Q", int((time.time() if moment is None else moment) * 65536))


def handoff(number: int) -> Option:
    """A Handoff Indicator option."""
    return HANDOFF, bytes([0, number])


def access(number: int = 4) -> Option:
    """An Access Technology Type option."""
    return ACCESS, bytes([0, number])


def link_layer(text: str) -> Option:
    """A Mobile Node Link-layer Identifier option."""
    return LINK_LAYER, bytes(2) + bytes.fromhex(text)


class Gateway:
    """One of them, at the first address of a station."""

    def __init__(self, station: Station, anchor: bytes) -> None:
        self.station, self.anchor = station, anchor
        self.sequence = 0

    @property
    def address(self) -> bytes:
        """Its Proxy-CoA."""
        return self.station.address

    def say(self, kind: int, body: bytes, *, trailer: int = 0, wrong: int = 0) -> None:
        """A Mobility Header goes out."""
        header = octets.mobility(kind, body, self.address, self.anchor, trailer=trailer, wrong=wrong)
        self.station.send(octets.packet(self.address, self.anchor, MOBILITY, header))

    def update(self, *wanted: Option, flags: int = A | P, lifetime: int = 100, padding: int = 1, trailer: int = 0) -> int:
        """A Proxy Binding Update with exactly these options; its sequence number."""
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.say(BU, octets.update(self.sequence, flags, lifetime, *wanted, padding=padding), trailer=trailer)
        return self.sequence

    def acknowledged(self) -> Heard:
        """The acknowledgement of the last update."""
        heard = self.station.hear(
            lambda heard: heard.kind == BA and int.from_bytes(heard.body[2:4], "big") == self.sequence,
            f"the acknowledgement of {self.sequence}",
        )
        assert (heard.source, heard.destination, heard.home_address) == (self.anchor, self.address, b"")
        assert heard.body[1] == octets.BA_P
        return heard

    def register(
        self,
        node: str,
        *more: Option,
        how: int = 1,
        prefixes: tuple[Option, ...] = (ANY,),
        lifetime: int = 100,
        flags: int = A | P,
    ) -> Heard:
        """A whole Proxy Binding Update and its answer."""
        self.update(name(node), *prefixes, handoff(how), access(), stamp(), *more, lifetime=lifetime, flags=flags)
        return self.acknowledged()

    def attached(self, node: str, *more: Option, how: int = 1) -> bytes:
        """Register a node and be accepted; its first prefix."""
        heard = self.register(node, *more, how=how)
        assert heard.body[0] == 0
        return heard.all(PREFIX)[0][2:]

    def talk(self, source: bytes, to: bytes, text: bytes) -> None:
        """A node's datagram goes through the tunnel."""
        inner = octets.packet(source, to, UDP, octets.udp(source, to, text))
        self.station.send(octets.packet(self.address, self.anchor, TUNNEL, inner))

    def tunnelled(self, to: bytes) -> Heard:
        """The next packet to a node that comes through the tunnel."""
        heard = self.station.hear(
            lambda heard: heard.protocol == TUNNEL and heard.payload[24:40] == to, "a packet in the tunnel"
        )
        assert (heard.source, heard.destination) == (self.anchor, self.address)
        return octets.read(heard.payload)

    def revocation(self) -> Heard:
        """The next Binding Revocation message."""
        return self.station.hear(lambda heard: heard.kind == REVOCATION, "a revocation")

    def heartbeat(self, number: int) -> Heard:
        """A heartbeat request and its answer (RFC 5847 section 3.3)."""
        self.say(HEARTBEAT, struct.pack("!HI", 0, number))
        return self.station.hear(lambda heard: heard.kind == HEARTBEAT and heard.body[1] & 1, "a heartbeat response")
