# SPDX-License-Identifier: Apache-2.0
"""The Internet checksum with the IPv6 pseudo header (RFC 8200 section 8.1, RFC 6275 section 6.1.1).

The one's complement sum of 16-bit words is the number that the bytes spell, modulo 65535: because 65536 is 1 modulo
65535, every word weighs the same wherever it stands. Python does that division on the whole message at once, which is an
order of magnitude faster than any loop over words.

Always holds: bytes with a right checksum in them, and their pseudo header, spell a multiple of 65535.
"""

from __future__ import annotations


def pseudo_header(source: bytes, destination: bytes, length: int, next_header: int) -> bytes:
    """The pseudo header of RFC 8200 section 8.1: `length` is that of the upper-layer packet in octets."""
    return source + destination + length.to_bytes(4, "big") + next_header.to_bytes(4, "big")


def _remainder(source: bytes, destination: bytes, data: bytes, next_header: int) -> int:
    header = pseudo_header(source, destination, len(data), next_header)
    return int.from_bytes(header + data + b"\0" * (len(data) & 1), "big") % 65535


def checksum(source: bytes, destination: bytes, data: bytes, next_header: int) -> int:
    """The checksum to be written into `data`, in which its field is zero."""
    return _remainder(source, destination, data, next_header) ^ 0xFFFF


def verify(source: bytes, destination: bytes, data: bytes, next_header: int) -> bool:
    """Whether the checksum that stands in `data` is right."""
    return not _remainder(source, destination, data, next_header)
