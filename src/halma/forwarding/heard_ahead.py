# SPDX-License-Identifier: Apache-2.0
"""Keeps signalling that was heard on a packet socket from the stack, with one nftables table, for a plane that has no programs
on its ports.

At a home agent that is what came behind a Home Address option (RFC 6275 section 6.3), at a mobile node what came behind a type
2 routing header (section 6.4): Mobility Headers and ICMPv6. The stack would answer Parameter Problem, or take part itself where
it knows Mobile IPv6.

Always holds: the table drops nothing else; a packet socket hears a packet before any table does.
"""

from __future__ import annotations

from halma.forwarding.nft import OwnTable
from halma.forwarding.plane import PlaneSettings, Side
from halma.text import show_address

# Behind the IPv6 header of 320 bits: the next header of an extension header, and of a routing header its type.
_SIGNALLING = "@nh,320,8 { 58, 135 }"
_BEHIND_ROUTING_HEADER = f"ip6 nexthdr 43 {_SIGNALLING} @nh,336,8 2 drop"
_BEHIND_HOME_ADDRESS = f"ip6 nexthdr 60 {_SIGNALLING} drop"


class HeardAhead(OwnTable):
    """The table."""

    def __init__(self, settings: PlaneSettings) -> None:
        """Never raises."""
        rule = _BEHIND_ROUTING_HEADER
        if settings.side is Side.ANCHOR:
            ours = ", ".join(show_address(address) for address in settings.addresses)
            rule = f"ip6 daddr {{ {ours} }} {_BEHIND_HOME_ADDRESS}"
        without = "the kernel may answer Mobile IPv6 signalling with Parameter Problem, or take part itself"
        super().__init__(f"{settings.side.value}ahead", "prerouting", "raw", rule, without)
