# SPDX-License-Identifier: Apache-2.0
"""IPv6 addresses as text, for what people read: RFC 5952 section 4.

Always holds: takes 16 bytes and nothing else; the core never parses text.
"""

from __future__ import annotations

from ipaddress import IPv6Address


def format_address(address: bytes) -> str:
    """`2001:db8::1` of its 16 bytes. Raises ValueError when there are not 16."""
    return str(IPv6Address(address))
