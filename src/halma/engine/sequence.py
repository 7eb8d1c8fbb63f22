# SPDX-License-Identifier: Apache-2.0
"""Sequence numbers that wrap: RFC 6275 section 9.5.1.

Always holds: of two different numbers that are not 32768 apart, exactly one is newer than the other.
"""

from __future__ import annotations


def is_newer(sequence: int, last: int) -> bool:
    """Whether a 16-bit number is greater than the last one modulo 2^16: the last one itself and the 32768 values before it are
    not."""
    return 0 < ((sequence - last) & 0xFFFF) < 0x8000
