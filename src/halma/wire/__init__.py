# SPDX-License-Identifier: Apache-2.0
"""Octets and values: the Mobility Header with its messages and options, IPv6 headers, Neighbor Discovery, captures.

Everything is declared once, with its number and the section that defines it, and coded by functions generated from the
declaration (`halma.wire.layout`). Sections: RFC 6275 section 6, RFC 5213 section 8, and those the declarations name.

Always holds: this package knows no other of the project but `halma.value`; it does no input or output; decoders raise
`DecodeError` and nothing else.
"""

from __future__ import annotations

from halma.wire.errors import DecodeError, DecodeReason, EncodeError
from halma.wire.messages import Message
from halma.wire.mobility import decode, encode

__all__ = ["DecodeError", "DecodeReason", "EncodeError", "Message", "decode", "encode"]
