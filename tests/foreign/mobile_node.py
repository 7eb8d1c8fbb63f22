# SPDX-License-Identifier: Apache-2.0
"""A foreign mobile node: it registers a home address from wherever a station is, and talks through the tunnel."""

from __future__ import annotations

from tests.foreign import octets
from tests.foreign.octets import BA, BU, DESTINATION, MOBILITY, TUNNEL, UDP, Heard, Option
from tests.foreign.place import Station


class MobileNode:
    """`key` is an SPI and a secret of RFC 4285; without one nothing is signed."""

    def __init__(self, station: Station, home: bytes, agent: bytes, key: tuple[int, bytes] | None = None) -> None:
        self.station, self.home, self.agent, self.key = station, home, agent, key
        self.care_of = station.address
        self.sequence = 0

    def next(self) -> int:
        """The next sequence number."""
        self.sequence = (self.sequence + 1) & 0xFFFF
        return self.sequence

    def signed(self, body: bytes, kind: int = BU, care_of: bytes | None = None) -> bytes:
        """The body with an authentication option, when there is a key."""
        care_of = self.care_of if care_of is None else care_of
        return body if self.key is None else octets.sign(body, kind, *self.key, care_of, self.home)

    def message(self, body: bytes, kind: int = BU, *, trailer: int = 0, wrong: int = 0) -> bytes:
        """A Mobility Header from the home address."""
        return octets.mobility(kind, body, self.home, self.agent, trailer=trailer, wrong=wrong)

    def send(self, header: bytes, protocol: int = MOBILITY, *beside: bytes) -> None:
        """From the care-of address, with the Home Address option behind the destination options `beside`."""
        option = octets.destination_options(protocol, *beside, home_address=self.home)
        self.station.send(octets.packet(self.care_of, self.agent, DESTINATION, option + header))

    def update(self, flags: int = octets.A | octets.H, lifetime: int = 100, *wanted: Option, padding: int = 1) -> int:
        """A Binding Update goes out; its sequence number."""
        sequence = self.next()
        self.send(self.message(self.signed(octets.update(sequence, flags, lifetime, *wanted, padding=padding))))
        return sequence

    def acknowledged(self, sequence: int | None = None) -> Heard:
        """The acknowledgement, as RFC 6275 section 9.5.4 wants it: by a type 2 routing header to where the update came from."""
        expected = self.sequence if sequence is None else sequence
        heard = self.station.hear(
            lambda heard: heard.kind == BA and heard.home_address == self.home and sequence_of(heard) == expected,
            f"the acknowledgement of {expected}",
        )
        assert (heard.source, heard.destination) == (self.agent, self.care_of)
        assert self.key is None or octets.signature_holds(heard, *self.key, self.care_of, self.home)
        return heard

    def register(self, flags: int = octets.A | octets.H, lifetime: int = 100, *wanted: Option) -> Heard:
        """Register, and be accepted."""
        self.update(flags, lifetime, *wanted)
        heard = self.acknowledged()
        assert status_of(heard) == 0
        return heard

    # ---- traffic ----

    def talk(self, to: bytes, text: bytes, source: bytes | None = None) -> None:
        """A datagram through the tunnel."""
        source = self.home if source is None else source
        inner = octets.packet(source, to, UDP, octets.udp(source, to, text))
        self.station.send(octets.packet(self.care_of, self.agent, TUNNEL, inner))

    def tunnelled(self, what: str = "a packet through the tunnel") -> Heard:
        """The next packet to the home address that comes through the tunnel."""
        heard = self.station.hear(lambda heard: heard.protocol == TUNNEL and heard.payload[24:40] == self.home, what)
        assert (heard.source, heard.destination) == (self.agent, self.care_of)
        return octets.read(heard.payload)


def status_of(heard: Heard) -> int:
    """The status of an acknowledgement."""
    return heard.body[0]


def flags_of(heard: Heard) -> int:
    """Its flags: K, R, P from the top."""
    return heard.body[1]


def sequence_of(heard: Heard) -> int:
    """Its sequence number."""
    return int.from_bytes(heard.body[2:4], "big")


def lifetime_of(heard: Heard) -> int:
    """Its lifetime, in units of 4 seconds."""
    return int.from_bytes(heard.body[4:6], "big")
