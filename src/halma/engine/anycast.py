# SPDX-License-Identifier: Apache-2.0
"""Anycast addresses, which no node may take (RFC 4291 section 2.6.1, RFC 2526 section 2).

Always holds: whoever makes an address up, and whoever grants one, ask the same question.
"""

from __future__ import annotations

_RESERVED = (bytes(8), bytes.fromhex("fdffffffffffff"))
"""How these begin: the routers of the subnet, and what is reserved with the home agents among it."""
HOME_AGENTS_ANYCAST = 0x7E
"""The anycast identifier of Mobile IPv6 Home-Agents (RFC 2526 section 2)."""


def is_anycast(address: bytes) -> bool:
    """Whether it is the address of all routers, or of all home agents and the like, of its /64."""
    return address[8:].startswith(_RESERVED)


def home_agents_anycast(prefix: bytes, length: int) -> bytes:
    """The Mobile IPv6 Home-Agents anycast address of a subnet (RFC 2526 section 2): in a /64, whose interface identifiers are
    modified EUI-64, all ones but the universal/local bit."""
    ones = (1 << (128 - length)) - 1
    if length == 64:
        ones &= ~(1 << 57)
    low = ones & ~0x7F | HOME_AGENTS_ANYCAST
    return (int.from_bytes(prefix, "big") & ~((1 << (128 - length)) - 1) | low).to_bytes(16, "big")
