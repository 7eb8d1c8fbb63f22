# SPDX-License-Identifier: Apache-2.0
"""A foreign local mobility anchor: it answers gateways and ends their tunnels (RFC 5213 section 5)."""

from __future__ import annotations

import struct

from tests.foreign import octets
from tests.foreign.binding_update import flags_of, number_of
from tests.foreign.octets import BA, BU, HEARTBEAT, MOBILITY, PREFIX, REVOCATION, TUNNEL, UDP, Heard, Option
from tests.foreign.place import Station

MIRRORED = (octets.NAI, octets.HANDOFF, octets.ACCESS, octets.TIMESTAMP, octets.LINK_LAYER, octets.LINK_LOCAL)
"""Options that come back as they were (section 5.3.6)."""


class Anchor:
    """One of them, behind a station that is the gateway's router."""

    def __init__(self, station: Station, address: bytes, gateway: bytes) -> None:
        self.station, self.address, self.gateway = station, address, gateway
        self.update = Heard(b"", b"", 0, b"")

    def hear_update(self, timeout: float = 10.0) -> Heard:
        """The next Proxy Binding Update, which has all that section 6.9.1.5 wants."""
        before = self.update
        heard = self.station.hear(lambda heard: heard.kind == BU, "a Proxy Binding Update", timeout)
        assert (heard.source, heard.destination, heard.home_address) == (self.gateway, self.address, b"")
        assert flags_of(heard) & (octets.A | octets.P) == octets.A | octets.P
        for kind in (octets.NAI, PREFIX, octets.HANDOFF, octets.ACCESS, octets.TIMESTAMP):
            assert heard.option(kind) is not None, kind
        assert before.option(octets.TIMESTAMP) != heard.option(octets.TIMESTAMP), "a timestamp twice"
        self.update = heard
        return heard

    def say(self, kind: int, body: bytes, *, wrong: int = 0, source: bytes | None = None) -> None:
        """A Mobility Header to the gateway."""
        source = self.address if source is None else source
        header = octets.mobility(kind, body, source, self.gateway, wrong=wrong)
        self.station.send(octets.packet(source, self.gateway, MOBILITY, header))

    def mirrored(self) -> list[Option]:
        """The options of the update that come back."""
        return [option for option in self.update.options if option[0] in MIRRORED]

    def acknowledge(self, status: int, *wanted: Option, lifetime: int = 100, flags: int = octets.BA_P, more: int = 0) -> bytes:
        """An acknowledgement of the last update with exactly these options; `more` is added to its sequence number."""
        return octets.acknowledgement(status, flags, number_of(self.update) + more & 0xFFFF, lifetime, *wanted)

    def accept(self, *prefixes: bytes, lifetime: int = 100) -> None:
        """Answer as section 5.3.6 says, with these prefixes."""
        given = [(PREFIX, b"\0\x40" + address) for address in prefixes]
        self.say(BA, self.acknowledge(0, *self.mirrored(), *given, lifetime=lifetime))

    def refuse(self, status: int) -> None:
        """Refuse the last update."""
        given = [option for option in self.update.options if option[0] == PREFIX]
        self.say(BA, self.acknowledge(status, *self.mirrored(), *given, lifetime=0))

    def revoke(self, number: int, flags: int, trigger: int, *wanted: Option) -> Heard:
        """A Binding Revocation Indication and its answer (RFC 5846)."""
        body = struct.pack("!BBHHH", octets.BRI, trigger, number, flags, 0)
        self.say(REVOCATION, body + octets.options(12, *wanted))
        heard = self.station.hear(lambda heard: heard.kind == REVOCATION, "a revocation's acknowledgement")
        assert (heard.body[0], heard.body[2:4]) == (octets.BRA, struct.pack("!H", number))
        return heard

    def restarted(self, counter: int) -> None:
        """An unsolicited Heartbeat response with a restart counter (RFC 5847 section 3.2)."""
        self.say(HEARTBEAT, struct.pack("!HI", 3, 0) + octets.options(12, (octets.RESTART, struct.pack("!I", counter))))

    def talk(self, source: bytes, to: bytes, text: bytes) -> None:
        """A datagram of a correspondent goes to a host through the tunnel."""
        inner = octets.packet(source, to, UDP, octets.udp(source, to, text))
        self.station.send(octets.packet(self.address, self.gateway, TUNNEL, inner))

    def tunnelled(self) -> Heard:
        """The next datagram of a host that comes through the tunnel."""
        heard = self.station.hear(lambda heard: heard.protocol == TUNNEL, "a packet through the tunnel")
        assert (heard.source, heard.destination) == (self.gateway, self.address)
        return octets.read(heard.payload)
