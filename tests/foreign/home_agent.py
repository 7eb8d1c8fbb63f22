# SPDX-License-Identifier: Apache-2.0
"""A foreign home agent, and the routers of the links that a mobile node comes to, all in one station."""

from __future__ import annotations

import struct

from tests.foreign import octets
from tests.foreign.binding_update import number_of
from tests.foreign.octets import BA, BRR, BU, ICMPV6, MESSAGE_ID, MOBILITY, REVOCATION, ROUTING, TUNNEL, UDP, Heard, Option, ip
from tests.foreign.place import ALL_NODES, Station


class HomeAgent:
    """`key` is an SPI and a secret of RFC 4285; without one nothing is signed."""

    def __init__(self, station: Station, address: bytes, home: bytes, key: tuple[int, bytes] | None = None) -> None:
        self.station, self.address, self.home, self.key = station, address, home, key
        self.care_of = b""
        self.sequence = -1
        self.stamp: bytes | None = None

    # ---- the links ----

    def advertise(self, prefix: str, router: str, flags: int = 0) -> None:
        """A Router Advertisement with a prefix to form an address in (RFC 4861 section 4.2)."""
        source = ip(router)
        body = struct.pack("!BBHII", 64, flags, 1800, 0, 0) + b"\x01\x01" + self.station.mac
        body += struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 86400, 14400, 0) + ip(prefix)
        message = octets.icmp(source, ALL_NODES, 134, body)
        self.station.send(octets.packet(source, ALL_NODES, ICMPV6, message, 255), b"\x33\x33\0\0\0\1")

    # ---- updates in ----

    def hear_update(self, timeout: float = 10.0) -> Heard:
        """The next Binding Update, signed as it should be; a Home Address option is there unless the node is at home."""
        heard = self.station.hear(lambda heard: heard.kind == BU, "a Binding Update", timeout)
        assert heard.destination == self.address
        assert (heard.home_address or heard.source) == self.home
        assert self.key is None or octets.signature_holds(heard, *self.key, heard.source, self.home)
        assert number_of(heard) != self.sequence, "a sequence number twice"
        self.care_of, self.sequence, self.stamp = heard.source, number_of(heard), heard.option(MESSAGE_ID)
        return heard

    # ---- answers out ----

    def say(self, kind: int, body: bytes, *, header: bool = True, wrong: int = 0, source: bytes | None = None) -> None:
        """A Mobility Header to the node, by a type 2 routing header or (`header` False) without one."""
        source = self.address if source is None else source
        to = self.home if header else self.care_of
        message = octets.mobility(kind, body, source, to, wrong=wrong)
        if header:
            message = octets.routing_header(MOBILITY, self.home) + message
        self.station.send(octets.packet(source, self.care_of, ROUTING if header else MOBILITY, message))

    def say_behind(self, kinds: tuple[int, ...], kind: int, body: bytes) -> None:
        """The same with other extension headers before the routing header."""
        first, before = octets.ahead(kinds, ROUTING)
        message = octets.routing_header(MOBILITY, self.home) + octets.mobility(kind, body, self.address, self.home)
        self.station.send(octets.packet(self.address, self.care_of, first, before + message))

    def signed(self, body: bytes, kind: int = BA) -> bytes:
        """The body with an authentication option, when there is a key."""
        return body if self.key is None else octets.sign(body, kind, *self.key, self.care_of, self.home)

    def acknowledge(
        self, status: int = 0, lifetime: int = 900, *wanted: Option, sequence: int | None = None, header: bool = True
    ) -> None:
        """Answer the last update, with its timestamp unless `wanted` has another (RFC 4285 section 6)."""
        if self.stamp is not None and MESSAGE_ID not in [kind for kind, _ in wanted]:
            wanted = (*wanted, (MESSAGE_ID, self.stamp))
        sequence = self.sequence if sequence is None else sequence
        self.say(BA, self.signed(octets.acknowledgement(status, 0, sequence, lifetime, *wanted)), header=header)

    def ask_to_refresh(self, source: bytes | None = None) -> None:
        """A Binding Refresh Request."""
        self.say(BRR, bytes(2), source=source)

    def revoke(self, sequence: int, flags: int = 0) -> None:
        """A Binding Revocation Indication (RFC 5846 section 6.1)."""
        body = struct.pack("!BBHHH", octets.BRI, 1, sequence, flags, 0)
        self.say(REVOCATION, self.signed(body, REVOCATION))

    def tunnel(self, inner: bytes, source: bytes | None = None) -> None:
        """A packet through the tunnel."""
        source = self.address if source is None else source
        self.station.send(octets.packet(source, self.care_of, TUNNEL, inner))

    def talk(self, source: bytes, text: bytes, outer: bytes | None = None) -> None:
        """A datagram of a correspondent through the tunnel."""
        self.tunnel(octets.packet(source, self.home, UDP, octets.udp(source, self.home, text)), outer)
