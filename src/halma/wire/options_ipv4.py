# SPDX-License-Identifier: Apache-2.0
"""Mobility options for IPv4 in Proxy Mobile IPv6 (RFC 5844 section 3.3) and for GRE keys (RFC 5845 section 6.1).

Always holds: IPv4 addresses are 4 octets; a field is the number or the octets on the wire.
"""

from __future__ import annotations

from halma.wire.optionspace import Option, option
from halma.wire.spaces import MOBILITY_OPTIONS


@option(MOBILITY_OPTIONS, 33, "2x *0/4", section="5845#6.1", align=(4, 0))
class GreKey(Option):
    """Asks for GRE encapsulation; carries the key of one direction, or none (empty)."""

    key_identifier: bytes


@option(MOBILITY_OPTIONS, 36, "{6,x10} 4s", section="5844#3.3.1", align=(4, 0))
class Ipv4HomeAddressRequest(Option):
    """Asks for an IPv4 home address; 0.0.0.0 lets the anchor choose."""

    prefix_length: int
    address: bytes


@option(MOBILITY_OPTIONS, 37, "B {6,x2} 4s", section="5844#3.3.2", align=(4, 0))
class Ipv4HomeAddressReply(Option):
    """The IPv4 home address, or why there is none (numbers.Ipv4HomeAddressReplyStatus)."""

    status: int
    prefix_length: int
    address: bytes


@option(MOBILITY_OPTIONS, 38, "2x 4s", section="5844#3.3.3", align=(4, 0))
class Ipv4DefaultRouterAddress(Option):
    """The default router of the mobile node."""

    address: bytes


@option(MOBILITY_OPTIONS, 39, "{x15,1}", section="5844#3.3.4")
class Ipv4DhcpSupportMode(Option):
    """Whether the gateway is to be a DHCP server (1) or a relay (0) for the mobile node."""

    server: int
