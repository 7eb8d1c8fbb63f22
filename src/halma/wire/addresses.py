# SPDX-License-Identifier: Apache-2.0
"""Addresses that mean the same everywhere (RFC 4291 sections 2.5.2 and 2.7).

Always holds: an address is 16 octets.
"""

from __future__ import annotations

UNSPECIFIED = bytes(16)
"""No address; in a message, ALL_ZERO as RFC 5213 calls it."""
ALL_NODES = bytes.fromhex("ff020000000000000000000000000001")
"""All nodes of a link (RFC 4291 section 2.7.1)."""
ALL_ROUTERS = bytes.fromhex("ff020000000000000000000000000002")
"""All routers of a link."""
MULTICAST = 0xFF
"""The first octet of a group's address."""
LINK_SCOPE, GLOBAL_SCOPE = 0x2, 0xE
"""How far what is sent to a group goes (RFC 4291 section 2.7)."""


def scope_of(group: bytes) -> int:
    """The scope of a group."""
    return group[1] & 0x0F
