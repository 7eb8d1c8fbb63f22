# SPDX-License-Identifier: Apache-2.0
"""Addresses, prefixes, link-layer addresses and node identifiers as people write and read them.

The wire and the engines hold 16 `bytes`; this is where they become text and text becomes them. Nothing here touches the
machine, so every layer may use it for the sentences it gives to the operator.

Always holds: what `show_...` gives is printable ASCII on one line with a bounded length, whatever bytes the network sent.
"""

from __future__ import annotations

import re
import struct
from ipaddress import AddressValueError, IPv6Address
from typing import NamedTuple

LONGEST_IDENTIFIER = 64
"""Characters of a node identifier that are shown; the rest is cut, with `...` in its place."""

_LINK_LAYER = re.compile(r"[0-9a-fA-F]{1,2}(?:[:-][0-9a-fA-F]{1,2}){5}(?:(?:[:-][0-9a-fA-F]{1,2}){2})?")
_WORDS = struct.Struct("!8H")
_ZERO_RUNS = tuple(":0" * count + ":" for count in range(8, 1, -1))
_PLAIN = re.compile(rb"[!#-&(-\[\]-~]*")


class Prefix(NamedTuple):
    """An IPv6 prefix: 16 bytes whose host bits are zero, and the length in bits."""

    address: bytes
    length: int

    def contains(self, address: bytes) -> bool:
        """Whether the address lies in the prefix."""
        shift = 128 - self.length
        return int.from_bytes(address, "big") >> shift == int.from_bytes(self.address, "big") >> shift

    def overlaps(self, other: Prefix) -> bool:
        """Whether the two have addresses in common: then the shorter one has all of the longer one's."""
        return self.contains(other.address) if self.length <= other.length else other.contains(self.address)

    def __str__(self) -> str:
        return show_prefix(self.address, self.length)


def read_address(text: str) -> bytes:
    """The 16 bytes of an IPv6 address without a zone. Raises ValueError with a sentence for the operator."""
    try:
        address = IPv6Address(text)
    except AddressValueError:
        raise ValueError(f"{_quoted(text)} is not an IPv6 address") from None
    if address.scope_id is not None:
        raise ValueError(f"{_quoted(text)} has a zone (%...); write the address alone")
    return address.packed


def read_prefix(text: str) -> Prefix:
    """An IPv6 prefix such as `2001:db8:100::/40`. Raises ValueError, also when bits beyond the length are set."""
    written, slash, digits = text.partition("/")
    if not slash:
        raise ValueError(f"{_quoted(text)} is not an IPv6 prefix: the /length is missing")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 3 or int(digits) > 128:
        raise ValueError(f"{_quoted(text)} is not an IPv6 prefix: the length must be 0 to 128")
    try:
        address = read_address(written)
    except ValueError:
        raise ValueError(f"{_quoted(text)} is not an IPv6 prefix") from None
    length = int(digits)
    shift = 128 - length
    number = int.from_bytes(address, "big")
    cut = (number >> shift << shift).to_bytes(16, "big")
    if cut != address:
        raise ValueError(
            f"{_quoted(text)} has bits set beyond the /{length}; did you mean {_quoted(show_prefix(cut, length))}?"
        )
    return Prefix(address, length)


def read_link_layer_address(text: str) -> bytes:
    """The 6 (EUI-48) or 8 (EUI-64) bytes of a link-layer address such as `02:00:00:00:01:01`. Raises ValueError."""
    if not _LINK_LAYER.fullmatch(text):
        raise ValueError(f"{_quoted(text)} is not a link-layer address such as 02:00:00:00:01:01")
    return bytes(int(part, 16) for part in re.split("[:-]", text))


def read_identifier(text: str) -> bytes:
    """The bytes of a node identifier (RFC 4283: a NAI, 1 to 253 bytes of UTF-8). Raises ValueError."""
    identifier = text.encode()
    if not 1 <= len(identifier) <= 253:
        raise ValueError(f"{_quoted(text)} is {len(identifier)} bytes long; a node identifier has 1 to 253")
    if not text.isprintable():
        raise ValueError(f"{_quoted(text)} has characters that cannot be printed")
    return identifier


def show_address(address: bytes) -> str:
    """An address in the form of RFC 5952 section 4. An empty value shows as `-`. Raises struct.error unless there are 16 bytes.

    Ten times as fast as `IPv6Address`, since a million bindings may have to be shown."""
    if not address:
        return "-"
    text = ":{:x}:{:x}:{:x}:{:x}:{:x}:{:x}:{:x}:{:x}:".format(*_WORDS.unpack(address))
    if ":0:0:" in text:
        for run in _ZERO_RUNS:  # the longest, and of equal ones the first
            at = text.find(run)
            if at >= 0:
                return f"{text[1:at]}::{text[at + len(run) : -1]}"
    return text[1:-1]


def show_prefix(address: bytes, length: int) -> str:
    """A prefix such as `2001:db8::/64`."""
    return f"{show_address(address)}/{length}"


def show_link_layer_address(address: bytes) -> str:
    """A link-layer address such as `02:00:00:00:01:01`. An empty value shows as `-`, a long one is cut."""
    if len(address) > 32:
        return address[:32].hex(":") + "..."
    return address.hex(":") or "-"


def show_identifier(identifier: bytes) -> str:
    """A node identifier that came from anywhere, made safe to print: other than plain ASCII becomes `\\xNN`, quotes are
    escaped, and after 64 characters it is cut."""
    if len(identifier) <= LONGEST_IDENTIFIER and _PLAIN.fullmatch(identifier):
        return identifier.decode("ascii")
    shown = "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte not in b"\\'\"" else f"\\x{byte:02x}"
        for byte in identifier[: LONGEST_IDENTIFIER + 1]
    )
    return shown if len(shown) <= LONGEST_IDENTIFIER else shown[: LONGEST_IDENTIFIER - 3] + "..."


def show_text(text: str, longest: int = 400) -> str:
    """A sentence made safe to print on one line: what is not printable is escaped, and the rest after `longest` is cut."""
    if not text.isascii() or not text.isprintable():
        text = "".join(
            letter if letter.isascii() and letter.isprintable() else letter.encode("unicode_escape").decode()
            for letter in text[: longest + 1]
        )
    return text if len(text) <= longest else text[: longest - 3] + "..."


def _quoted(text: str) -> str:
    return f'"{show_text(text, 80)}"'
