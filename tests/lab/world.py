# SPDX-License-Identifier: Apache-2.0
"""A run of the lab that never took place: records written by hand, so that a test can make the judge see one fault at a time.

The story: host 1 is at MAG1, is registered there, and moves to MAG2; probes go down (stream 1) and up (stream 2) every 10 ms.
"""

from __future__ import annotations

from ipaddress import IPv6Address
from pathlib import Path

from halma.lab.forge import header
from halma.lab.scenario import IDEAL
from halma.lab.scenarios import domain
from halma.wire.icmpv6 import Icmpv6Message, encode_icmpv6
from halma.wire.messages import BindingAcknowledgement, BindingUpdate
from halma.wire.nd import PrefixInformation, RouterAdvertisement, SourceLinkLayerAddress
from halma.wire.numbers import BindingAcknowledgementFlag, BindingUpdateFlag
from halma.wire.options import HandoffIndicator, HomeNetworkPrefix, MobileNodeIdentifier, MobileNodeLinkLayerIdentifier
from tests.lab.records import Records, mobility, probe

BEGAN = 1_800_000_000.0
MOVED, LINK_DOWN, LINK_UP = BEGAN + 1.0, BEGAN + 1.002, BEGAN + 1.020
ENDED = BEGAN + 2.0
CN = IPv6Address("2001:db8:cc::2").packed
LMA = domain.ANCHOR_ADDRESS.packed
HOST = IPv6Address("2001:db8:100:1:0:ff:fe00:101").packed
STRANGER = IPv6Address("2001:db8:1::ff").packed
HOST_LINK_LAYER = bytes.fromhex("020000000101")
ALL_NODES = IPv6Address("ff02::1").packed
DOWN, UP = 1, 2
_PROBES = 150
GAP = 0.004
"""Seconds from link-up until the data plane follows."""


def gateway(number: int) -> bytes:
    """The Proxy-CoA of a gateway."""
    return domain.gateway_address(number).packed


def update(number: int, sequence: int, lifetime: int, host: int = 1) -> bytes:
    """A PBU about a host from gateway `number`."""
    options = (
        MobileNodeIdentifier(1, domain.host_identifier(host).encode()),
        HomeNetworkPrefix(64, domain.host_prefix(host).network_address.packed),
        HandoffIndicator(4),
        MobileNodeLinkLayerIdentifier(HOST_LINK_LAYER[:5] + bytes([host])),
    )
    flags = BindingUpdateFlag.ACKNOWLEDGE | BindingUpdateFlag.PROXY
    return mobility(gateway(number), LMA, BindingUpdate(sequence, flags, lifetime, options))


def answer(number: int, sequence: int, lifetime: int, status: int = 0, prefix: int = 1, anchor: bytes = LMA) -> bytes:
    """A PBA about host 1 to gateway `number`."""
    options = (
        MobileNodeIdentifier(1, domain.host_identifier(1).encode()),
        HomeNetworkPrefix(64, domain.host_prefix(prefix).network_address.packed),
    )
    flags = BindingAcknowledgementFlag.PROXY
    return mobility(anchor, gateway(number), BindingAcknowledgement(status, flags, sequence, lifetime, options))


class World(Records):
    """The records of that story."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, domain.proxy_domain(1, IDEAL))
        self.sent = {DOWN: _PROBES, UP: _PROBES}
        self.events = [
            {"time": BEGAN + 0.1, "node": "h1", "event": "carrier", "interface": "eth0", "up": True},
            self.address_event(BEGAN + 0.2, HOST),
            {"time": LINK_DOWN, "node": "h1", "event": "carrier", "interface": "eth0", "up": False},
            {"time": LINK_UP, "node": "h1", "event": "carrier", "interface": "eth0", "up": True},
        ]
        self.journal = {
            "scenario": "pmip-handover",
            "began": BEGAN,
            "ended": ENDED,
            "steps": [{"time": BEGAN, "name": "the start"}, {"time": MOVED, "name": "h1 moves"}],
            "movements": [
                {"time": BEGAN + 0.05, "host": "h1", "from": None, "to": "mag1"},
                {"time": MOVED, "host": "h1", "from": "mag1", "to": "mag2"},
            ],
            "addresses": {"h1": str(IPv6Address(HOST)), "cn": str(IPv6Address(CN))},
            "streams": [
                {"kind": "udp", "stream": DOWN, "source": "cn", "destination": "h1", "interval_ms": 10},
                {"kind": "udp", "stream": UP, "source": "h1", "destination": "cn", "interval_ms": 10},
            ],
            "exits": {"lma": 0, "mag1": 0, "mag2": 0},
            "died": [],
        }
        self._tell()

    @staticmethod
    def address_event(time: float, address: bytes, present: bool = True) -> dict[str, object]:
        """The kernel of host 1 gets or loses an address."""
        text = str(IPv6Address(address))
        fields = {"address": text, "present": present, "tentative": False, "failed": False}
        return {"time": time, "node": "h1", "event": "address", "interface": "eth0", **fields}

    def signal(self, time: float, packet: bytes, number: int, up: bool) -> None:
        """A message on its way between gateway `number` and the anchor."""
        points = (f"core-mag{number}", "core-lma")
        self.through(time, packet, *(points if up else points[::-1]))

    def advertise(
        self, time: float, prefix: bytes | None = None, target: bytes = HOST_LINK_LAYER, router: bytes | None = None
    ) -> None:
        """A gateway advertises itself to host 1."""
        source = router or domain.ROUTER_LINK_LOCAL.packed
        information = PrefixInformation(64, 0xC0, 3600, 3600, prefix or domain.host_prefix(1).network_address.packed)
        options = (SourceLinkLayerAddress(domain.ROUTER_LINK_LAYER), information)
        self.neighbor(
            time, RouterAdvertisement(64, 0, 1800, 0, 0, options), source, ALL_NODES, domain.ROUTER_LINK_LAYER, target
        )

    def neighbor(
        self, time: float, message: Icmpv6Message, source: bytes, destination: bytes, link_source: bytes, link_target: bytes
    ) -> None:
        """An ICMPv6 message on the link of host 1."""
        packet = bytearray(header(source, destination, 58, encode_icmpv6(message, source, destination)))
        packet[7] = 255
        self.put("access-h1", time, bytes(packet), link_source, link_target)

    def down(self, number: int, time: float, by: int, arrives: bool = True) -> None:
        """A probe from the correspondent through the tunnel of gateway `by`."""
        packet = probe(DOWN, number, CN, HOST)
        self.put("outside", time, packet)
        self.through(time + 0.0001, header(LMA, gateway(by), 41, packet), "core-lma", f"core-mag{by}")
        if arrives:
            self.put("access-h1", time + 0.0003, packet, domain.ROUTER_LINK_LAYER, HOST_LINK_LAYER)

    def up(self, number: int, time: float, by: int, arrives: bool = True) -> None:
        """A probe from host 1 through the tunnel of gateway `by`."""
        packet = probe(UP, number, HOST, CN)
        self.put("access-h1", time, packet, HOST_LINK_LAYER, domain.ROUTER_LINK_LAYER)
        if arrives:
            self.through(time + 0.0001, header(gateway(by), LMA, 41, packet), f"core-mag{by}", "core-lma")
            self.put("outside", time + 0.0003, packet)

    def _tell(self) -> None:
        """The story as it should be."""
        self.signal(BEGAN + 0.11, update(1, 1, 900), 1, up=True)
        self.signal(BEGAN + 0.112, answer(1, 1, 900), 1, up=False)
        self.advertise(BEGAN + 0.113)
        self.signal(MOVED + 0.001, update(1, 2, 0), 1, up=True)
        self.signal(MOVED + 0.002, answer(1, 2, 0), 1, up=False)
        self.signal(LINK_UP + 0.001, update(2, 1, 900), 2, up=True)
        self.signal(LINK_UP + 0.002, answer(2, 1, 900), 2, up=False)
        self.advertise(LINK_UP + 0.003)
        for number in range(_PROBES):
            time = BEGAN + 0.3 + number * 0.01
            if time < LINK_DOWN:
                self.down(number, time, 1)
                self.up(number, time + 0.001, 1)
            elif time >= LINK_UP + GAP:
                self.down(number, time, 2)
                self.up(number, time + 0.001, 2)
            else:
                self.put("outside", time, probe(DOWN, number, CN, HOST))
