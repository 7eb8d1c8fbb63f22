# SPDX-License-Identifier: Apache-2.0
"""Keeps signalling that was heard on a packet socket from the stack, with one nftables table, for a plane that has no programs
on its ports.

At a home agent that is what came behind a Home Address option (RFC 6275 section 6.3), at a mobile node what came behind a type
2 routing header (section 6.4): Mobility Headers and ICMPv6. The stack would answer Parameter Problem, or take part itself where
it knows Mobile IPv6. nftables cannot walk along options: it looks for the Home Address option where its alignment lets it
stand, among the first options and behind the headers of `_BEFORE`. What is heard from any other place the stack will complain
of as well.

Always holds: the table drops nothing else; a packet socket hears a packet before any table does.
"""

from __future__ import annotations

from halma.forwarding.nft import OwnTable
from halma.forwarding.plane import PlaneSettings, Side
from halma.text import show_address

_IPV6_HEADER = 40
_HOME_ADDRESS = 201 << 8 | 16
"""Type and length of the option."""
_PLACES = (6, 14, 22)
"""Octets from the start of a destination options header: 8n+6."""
_BEFORE = ((), (8,), (16,), (24,), (8, 8))
"""Sizes of the hop-by-hop and destination options headers before the one with the option."""
_OTHERS = "meta l4proto != { 58, 135 } accept"
_BEHIND_ROUTING_HEADER = (_OTHERS, "rt type 2 drop")


def _octets(place: int, count: int = 1) -> str:
    """An nftables expression for octets, counted from the start of the IPv6 header."""
    return f"@nh,{place * 8},{count * 8}"


def _behind_home_address(before: tuple[int, ...], place: int) -> str:
    """The rule for a Home Address option at this place, behind headers of these sizes."""
    start, kind, matches = _IPV6_HEADER, "ip6 nexthdr", []
    for size in before:
        matches.append(f"{kind} {{ 0, 60 }} {_octets(start + 1)} {size // 8 - 1}")
        start, kind = start + size, _octets(start)
    matches.append(f"{kind} 60 {_octets(start)} {{ 58, 135 }} {_octets(start + 1)} >= {place // 8 + 2}")
    return " ".join((*matches, f"{_octets(start + place, 2)} {_HOME_ADDRESS} drop"))


class HeardAhead(OwnTable):
    """The table."""

    def __init__(self, settings: PlaneSettings) -> None:
        """Never raises."""
        rules: tuple[str, ...] = _BEHIND_ROUTING_HEADER
        if settings.side is Side.ANCHOR:
            ours = ", ".join(show_address(address) for address in settings.addresses)
            behind = (_behind_home_address(before, place) for before in _BEFORE for place in _PLACES)
            rules = (f"ip6 daddr != {{ {ours} }} accept", _OTHERS, *behind)
        without = "the kernel may answer Mobile IPv6 signalling with Parameter Problem, or take part itself"
        super().__init__(f"{settings.side.value}ahead", "prerouting", "raw", "\n".join(rules), without)
