# SPDX-License-Identifier: Apache-2.0
"""Link-local addresses that a gateway makes up for itself. RFC 4291 section 2.5.1 and appendix A, RFC 7217.

Always holds: the same arguments give the same address, so that a gateway that has restarted is the router that it was.
"""

from __future__ import annotations

from hashlib import sha256

LINK_LOCAL = bytes.fromhex("fe80")
"""How a link-local address begins (RFC 4291 section 2.5.6)."""
_PREFIX = bytes.fromhex("fe80000000000000")
_UNIVERSAL = 0x02
"""The bit of an interface identifier that says that it was made from a link-layer address."""


def another_address(link_layer_address: bytes, taken: bytes) -> bytes:
    """An address that is not `taken`: the one with the modified EUI-64 of our link-layer address, or its neighbours."""
    identifier = link_layer_address[:3] + b"\xff\xfe" + link_layer_address[3:6]
    number = int.from_bytes(_PREFIX + identifier, "big") ^ (_UNIVERSAL << 56)
    while (address := number.to_bytes(16, "big")) == taken:
        number += 1
    return address


def plain_router_address(gateway: bytes, name: str) -> bytes:
    """The address of the gateway as a plain router on the interface `name`: an opaque interface identifier (RFC 7217 section
    5, without a secret: a router hides nothing) from the gateway's own address and the name, so no other router has it."""
    identifier = bytearray(sha256(gateway + name.encode()).digest()[:8])
    identifier[0] &= ~_UNIVERSAL & 0xFF
    return _PREFIX + bytes(identifier)
