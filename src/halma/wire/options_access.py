# SPDX-License-Identifier: Apache-2.0
"""Options with sub-options: the access network of a mobile node (RFC 6757 section 3) and the parameters that an anchor gives
its gateways (RFC 8127 section 3).

Always holds: the sub-options are a tuple in the order of the wire, unknown ones among them.
"""

from __future__ import annotations

from halma.wire.optionspace import Option, option
from halma.wire.spaces import ACCESS_NETWORK_SUBOPTIONS, GATEWAY_PARAMETER_SUBOPTIONS, MOBILITY_OPTIONS

DEGREE = 1 << 15
"""Geo-Location counts angles in 2^-15 degrees: 24 bits with 9 whole bits (RFC 6757 section 3.1.2)."""


@option(ACCESS_NETWORK_SUBOPTIONS, 1, "B&80 p p", section="6757#3.1.1")
class NetworkIdentifier(Option):
    """The name of the access network (an SSID, a PLMN identifier), in UTF-8 with flag E, and of the access point."""

    flags: int
    network_name: bytes
    access_point_name: bytes


@option(ACCESS_NETWORK_SUBOPTIONS, 2, "3s 3s", section="6757#3.1.2")
class GeoLocation(Option):
    """Where the access network is (WGS 84): two 24-bit two's complement numbers, see `DEGREE`."""

    latitude: bytes
    longitude: bytes

    @classmethod
    def at(cls, latitude: float, longitude: float) -> GeoLocation:
        """The location at the given degrees north and east: from -90 to 90, and from -180 to 180."""
        return cls(*(round(degrees * DEGREE).to_bytes(3, "big", signed=True) for degrees in (latitude, longitude)))

    def degrees(self) -> tuple[float, float]:
        """Latitude and longitude in degrees north and east."""
        north, east = (int.from_bytes(angle, "big", signed=True) / DEGREE for angle in (self.latitude, self.longitude))
        return north, east


@option(ACCESS_NETWORK_SUBOPTIONS, 3, "B *1+", section="6757#3.1.3")
class OperatorIdentifier(Option):
    """Who runs the access network (numbers.OperatorIdentifierType)."""

    type: int
    identifier: bytes


@option(MOBILITY_OPTIONS, 52, "*", section="6757#3", align=(4, 0), inner=ACCESS_NETWORK_SUBOPTIONS)
class AccessNetworkIdentifier(Option):
    """To which access network the mobile node is attached."""

    suboptions: tuple[Option, ...]


@option(GATEWAY_PARAMETER_SUBOPTIONS, 1, "3H", section="8127#3.1.1")
class BindingReRegistrationControl(Option):
    """When a gateway refreshes a binding: `re_registration_start_time` in units of four seconds before it expires, the
    times of retransmission in seconds."""

    re_registration_start_time: int
    initial_retransmission_time: int
    maximum_retransmission_time: int


@option(GATEWAY_PARAMETER_SUBOPTIONS, 2, "3H", section="8127#3.1.2")
class HeartbeatControl(Option):
    """How a gateway sends heartbeats: interval and delay in seconds, and how often it tries again."""

    interval: int
    retransmission_delay: int
    maximum_retransmissions: int


@option(MOBILITY_OPTIONS, 62, "*", section="8127#3", align=(4, 2), inner=GATEWAY_PARAMETER_SUBOPTIONS)
class LmaControlledMagParameters(Option):
    """What the anchor wants of its gateways: the LMA-Controlled MAG Parameters option."""

    suboptions: tuple[Option, ...]
