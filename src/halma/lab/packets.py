# SPDX-License-Identifier: Apache-2.0
"""What a captured frame is, for a judge: the IPv6 headers from the outermost in, and what is inside.

Always holds: no frame raises; one that is no IPv6 packet, or is cut before its headers end, gives None or an empty payload.
"""

from __future__ import annotations

from halma.lab.probe import Probe, decode
from halma.value import value
from halma.wire.pcap import Frame

HOP_BY_HOP, TCP, UDP, IPV6, ROUTING, FRAGMENT, ICMPV6, NO_NEXT, DESTINATION, MOBILITY = 0, 6, 17, 41, 43, 44, 58, 59, 60, 135
_ROUTER_SOLICITATION, _REDIRECT = 133, 137
_MLD = frozenset({130, 131, 132, 143})
_HOME_ADDRESS_OPTION = 201


@value
class Layer:
    """One IPv6 header: addresses as they are in it, and the home addresses that its extension headers carry in their stead
    (RFC 6275 sections 6.3 and 6.4), empty where there are none."""

    source: bytes
    destination: bytes
    hop_limit: int
    home_source: bytes = b""
    home_destination: bytes = b""


@value
class Sighting:
    """A packet as it was seen at one listening point. `layers` has one header for a bare packet and one more for each
    tunnel; `protocol` and `payload` are what the innermost carries."""

    time: float
    point: str
    link_source: bytes
    link_destination: bytes
    layers: tuple[Layer, ...]
    protocol: int
    payload: bytes
    probe: Probe | None

    @property
    def outer(self) -> Layer:
        """The header that the network sees."""
        return self.layers[0]

    @property
    def inner(self) -> Layer:
        """The header that the two ends see."""
        return self.layers[-1]

    @property
    def bare(self) -> bool:
        """Whether it travels in no tunnel."""
        return len(self.layers) == 1

    @property
    def is_neighbor_discovery(self) -> bool:
        """Whether it is a message of RFC 4861."""
        return self.protocol == ICMPV6 and bool(self.payload) and _ROUTER_SOLICITATION <= self.payload[0] <= _REDIRECT

    @property
    def is_listener_discovery(self) -> bool:
        """Whether it is a message of MLD (RFC 2710, RFC 3810)."""
        return self.protocol == ICMPV6 and bool(self.payload) and self.payload[0] in _MLD


def _home_address(options: bytes) -> bytes:
    """The home address in the options of a Destination Options header, or nothing."""
    offset = 0
    while offset < len(options):
        if options[offset] == 0:
            offset += 1
            continue
        if offset + 2 > len(options):
            break
        length = options[offset + 1]
        if options[offset] == _HOME_ADDRESS_OPTION and length == 16:
            return options[offset + 2 : offset + 18]
        offset += 2 + length
    return b""


def _extensions(data: bytes, following: int, offset: int) -> tuple[int, int, bytes, bytes]:
    """Walk the extension headers from `offset`: the protocol after them, where it begins, and the home addresses found."""
    home_source = home_destination = b""
    while following in {HOP_BY_HOP, ROUTING, DESTINATION, FRAGMENT} and offset + 8 <= len(data):
        length = 8 if following == FRAGMENT else (data[offset + 1] + 1) * 8
        if following == DESTINATION:
            home_source = _home_address(data[offset + 2 : offset + length]) or home_source
        elif following == ROUTING and data[offset + 2] == 2 and length == 24:
            home_destination = data[offset + 8 : offset + 24]
        elif following == FRAGMENT and int.from_bytes(data[offset + 2 : offset + 4]) & 0xFFF8:
            return NO_NEXT, len(data), home_source, home_destination
        following, offset = data[offset], offset + length
    return following, offset, home_source, home_destination


def dissect(frame: Frame, point: str) -> Sighting | None:
    """What a frame is, or None when it is no IPv6 packet."""
    data = frame.data
    if data[12:14] != b"\x86\xdd" or len(data) < 54:
        return None
    layers: list[Layer] = []
    protocol, offset = IPV6, 14
    end = len(data)
    while protocol == IPV6 and offset + 40 <= len(data) and data[offset] >> 4 == 6:
        end = min(end, offset + 40 + int.from_bytes(data[offset + 4 : offset + 6]))
        source, destination = data[offset + 8 : offset + 24], data[offset + 24 : offset + 40]
        hop_limit = data[offset + 7]
        protocol, offset, home_source, home_destination = _extensions(data, data[offset + 6], offset + 40)
        layers.append(Layer(source, destination, hop_limit, home_source, home_destination))
    if not layers:
        return None
    payload = data[offset:end]
    probe = decode(payload[8:]) if protocol == UDP else None
    return Sighting(frame.time / 1e9, point, data[6:12], data[:6], tuple(layers), protocol, payload, probe)
