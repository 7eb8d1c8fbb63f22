# SPDX-License-Identifier: Apache-2.0
"""Anycast addresses of a /64, which no node may take (RFC 4291 section 2.6.1, RFC 2526 section 2).

Always holds: whoever makes an address up, and whoever grants one, ask the same question.
"""

from __future__ import annotations

_RESERVED = (bytes(8), bytes.fromhex("fdffffffffffff"))
"""How these begin: the routers of the subnet, and what is reserved with the home agents among it."""


def is_anycast(address: bytes) -> bool:
    """Whether it is the address of all routers, or of all home agents and the like, of its /64."""
    return address[8:].startswith(_RESERVED)
