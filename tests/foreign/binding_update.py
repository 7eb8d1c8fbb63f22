# SPDX-License-Identifier: Apache-2.0
"""What a foreign anchor or home agent reads of a Binding Update (RFC 6275 section 6.1.7)."""

from __future__ import annotations

from tests.foreign.octets import Heard


def number_of(update: Heard) -> int:
    """The sequence number of an update."""
    return int.from_bytes(update.body[:2], "big")


def flags_of(update: Heard) -> int:
    """Its flags."""
    return int.from_bytes(update.body[2:4], "big")


def lifetime_of(update: Heard) -> int:
    """Its lifetime, in units of 4 seconds."""
    return int.from_bytes(update.body[4:6], "big")
