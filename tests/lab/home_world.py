# SPDX-License-Identifier: Apache-2.0
"""A journey of a Mobile IPv6 node that never took place, as records written by hand.

The story: the node is at home behind MAG1 and is registered there, goes to the access router and registers from it, and comes
home to MAG2, where it de-registers. Probes go down (stream 1) and up (stream 2) every 10 ms, and others to an address of its
prefix that is not its own (stream 3): MAG1's tunnel takes those until the proxy entry has ended, and then nobody can be reached
there.
"""

from __future__ import annotations

from ipaddress import IPv6Address
from pathlib import Path

from halma.lab.forge import header
from halma.lab.scenario import IDEAL
from halma.lab.scenarios import roaming
from halma.wire import encode
from halma.wire.messages import BindingAcknowledgement, BindingUpdate
from halma.wire.numbers import BindingUpdateFlag
from halma.wire.options import AlternateCareOfAddress, MobilityMessageAuthentication
from tests.lab.records import Records, probe
from tests.lab.world import BEGAN, CN, LMA, answer, gateway, update

LEFT, AWAY = BEGAN + 1.0, BEGAN + 1.020
"""When the node was taken from MAG1, and when its link was up at the access router."""
RETURNED, BACK = BEGAN + 2.0, BEGAN + 2.020
ENDED = BEGAN + 3.0
ENTRY_ENDED = BEGAN + 1.6
DOWN, UP, OTHER = 1, 2, 3
HOME = roaming.home_address().packed
CARE_OF = IPv6Address("2001:db8:1a:1:0:ff:fe00:101").packed
OTHER_ADDRESS = HOME[:15] + b"\x77"
LINK = "access-mn"
_LINK_LAYER = bytes.fromhex("020000000101")
_SIGNED = MobilityMessageAuthentication(1, 256, bytes(12))
_HOME_FLAGS = BindingUpdateFlag.ACKNOWLEDGE | BindingUpdateFlag.HOME_REGISTRATION


def home_update(
    sequence: int,
    lifetime: int,
    source: bytes = CARE_OF,
    care_of: bytes = CARE_OF,
    flags: int = _HOME_FLAGS,
    signed: bool = True,
    home_address_option: bool = True,
) -> bytes:
    """A BU about the home address, behind a Home Address option where it does not come from there."""
    options = (AlternateCareOfAddress(care_of), *((_SIGNED,) if signed else ()))
    message = encode(BindingUpdate(sequence, flags, lifetime, options), HOME, LMA)
    if source == HOME:
        return header(HOME, LMA, 135, message)
    # Next header 135, two times 8 octets more, PadN, then the option.
    home = b"\x87\x02\x01\x02\0\0\xc9\x10" + HOME
    return header(source, LMA, 60, home + message) if home_address_option else header(HOME, LMA, 135, message)


def home_answer(
    sequence: int, lifetime: int, target: bytes = CARE_OF, status: int = 0, signed: bool = True, routed: bool = True
) -> bytes:
    """The BA to it, behind a type 2 routing header where it does not go to the home address."""
    options = (_SIGNED,) if signed else ()
    message = encode(BindingAcknowledgement(status, 0, sequence, lifetime, options), LMA, HOME)
    if target == HOME or not routed:
        return header(LMA, HOME, 135, message)
    return header(LMA, target, 43, b"\x87\x02\x02\x01\0\0\0\0" + HOME + message)


class HomeWorld(Records):
    """The records of that story."""

    def __init__(self, directory: Path) -> None:
        topology = roaming.peopled(roaming.roaming_domain(IDEAL), {1: roaming.home_address()})
        super().__init__(directory, topology)
        carrier = [(BEGAN + 0.1, True), (LEFT + 0.002, False), (AWAY, True), (RETURNED + 0.002, False), (BACK, True)]
        self.events = [{"time": time, "node": "mn", "event": "carrier", "interface": "eth0", "up": up} for time, up in carrier]
        fields = {"address": str(IPv6Address(CARE_OF)), "present": True, "tentative": False, "failed": False}
        self.events.append({"time": AWAY + 0.001, "node": "mn", "event": "address", "interface": "eth0", **fields})
        places = [(BEGAN + 0.05, None, "mag1"), (LEFT, "mag1", "ar"), (RETURNED, "ar", "mag2")]
        self.journal = {
            "began": BEGAN,
            "ended": ENDED,
            "movements": [{"time": time, "host": "mn", "from": source, "to": target} for time, source, target in places],
            "addresses": {"mn": str(IPv6Address(HOME)), "cn": str(IPv6Address(CN))},
            "streams": [
                {"kind": kind, "stream": number, "source": source, "destination": target, "interval_ms": 10}
                for kind, number, source, target in (
                    ("udp", DOWN, "cn", "mn"),
                    ("udp", UP, "mn", "cn"),
                    ("stray", OTHER, "cn", "mn"),
                )
            ],
        }
        self._tell()

    def at_gateway(self, time: float, packet: bytes, number: int, up: bool) -> None:
        """A message between gateway `number` and the anchor."""
        points = (f"core-mag{number}", "core-lma")
        self.through(time, packet, *(points if up else points[::-1]))

    def abroad(self, time: float, packet: bytes, up: bool) -> None:
        """A packet between the node at the access router and its home agent."""
        points = (LINK, "core-ar", "core-lma")
        self.through(time, packet, *(points if up else points[::-1]))

    def at_home(self, time: float, packet: bytes, number: int, up: bool) -> None:
        """A packet from or to the home address, bare on the node's link and in the tunnel of gateway `number` beyond."""
        ends = (gateway(number), LMA) if up else (LMA, gateway(number))
        points = (f"core-mag{number}", "core-lma") if up else ("core-lma", f"core-mag{number}")
        if up:
            self.put(LINK, time, packet, _LINK_LAYER)
        self.through(time + 0.0001, header(*ends, 41, packet), *points)
        if not up:
            self.put(LINK, time + 0.0003, packet)

    def other(self, number: int, time: float) -> None:
        """A probe to the other address, through the tunnel of MAG1."""
        packet = probe(OTHER, number, CN, OTHER_ADDRESS)
        self.put("outside", time, packet)
        self.through(time + 0.0001, header(LMA, gateway(1), 41, packet), "core-lma", "core-mag1")

    def unreachable(self, number: int, time: float) -> None:
        """A probe to the other address, for which the anchor has no way any more."""
        packet = probe(OTHER, number, CN, OTHER_ADDRESS)
        self.put("outside", time, packet)
        self.put("outside", time + 0.0002, header(LMA, CN, 58, bytes([1, 0]) + bytes(6) + packet))

    def _tell(self) -> None:
        """The story as it should be."""
        self.at_gateway(BEGAN + 0.11, update(1, 1, 900), 1, up=True)
        self.at_gateway(BEGAN + 0.112, answer(1, 1, 900), 1, up=False)
        self.at_gateway(LEFT + 0.001, update(1, 2, 0), 1, up=True)
        self.at_gateway(LEFT + 0.002, answer(1, 2, 0), 1, up=False)
        self.abroad(AWAY + 0.005, home_update(7, 15), up=True)
        self.abroad(AWAY + 0.007, home_answer(7, 15), up=False)
        self.at_gateway(BACK + 0.001, update(2, 1, 900), 2, up=True)
        self.at_gateway(BACK + 0.002, answer(2, 1, 900), 2, up=False)
        self.at_home(BACK + 0.004, home_update(8, 0, HOME, HOME), 2, up=True)
        self.at_home(BACK + 0.006, home_answer(8, 0, HOME), 2, up=False)
        for number in range(250):
            time = BEGAN + 0.3 + number * 0.01
            self.put("outside", time, down := probe(DOWN, number, CN, HOME))
            up = probe(UP, number, HOME, CN)
            if time < LEFT or time > BACK + 0.008:
                place = 1 if time < LEFT else 2
                self.at_home(time, down, place, up=False)
                self.at_home(time + 0.001, up, place, up=True)
            elif AWAY + 0.008 < time < RETURNED:
                self.abroad(time, header(CARE_OF, LMA, 41, up), up=True)
                self.abroad(time + 0.001, header(LMA, CARE_OF, 41, down), up=False)
            if number % 5 == 0 and time < RETURNED:
                (self.other if time < ENTRY_ENDED else self.unreachable)(number, time)
