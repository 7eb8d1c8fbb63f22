# SPDX-License-Identifier: Apache-2.0
"""Time on the wire: the Timestamp option (RFC 5213 section 8.8), seconds since 1970 in 48 bits and 1/65536 in 16 bits; and the
NTP format of the replay protection option (RFC 4285 section 6), seconds since 1900 in 32 bits and 2^-32 in 32 bits.

Always holds: going to the wire and back changes a time by less than 1/65536 second.
"""

from __future__ import annotations

_SCALE = 65536
_MASK = (1 << 64) - 1
_NTP_EPOCH = 2_208_988_800
"""Seconds from 1900 to 1970 (RFC 5905 section 6)."""


def to_timestamp(wall: float) -> int:
    """The value of the Timestamp option for a time in seconds since 1970-01-01 00:00 UTC."""
    return int(wall * _SCALE) & _MASK


def from_timestamp(timestamp: int) -> float:
    """The time in seconds since 1970-01-01 00:00 UTC that a value of the Timestamp option stands for."""
    return timestamp / _SCALE


def to_ntp(wall: float) -> int:
    """The 64-bit NTP timestamp of a time in seconds since 1970-01-01 00:00 UTC."""
    return int((wall + _NTP_EPOCH) * 2**32) & _MASK
