# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with bytes that came, and with values that are to be sent.

Always holds: a decoder of this package raises `DecodeError` and nothing else, whatever the bytes are; an encoder raises
`EncodeError` and nothing else, and only for a value that no conforming message can carry (a mistake of the caller).
"""

from __future__ import annotations

from enum import StrEnum


class DecodeReason(StrEnum):
    """Why bytes are not a message. The words are stable: counters are named after them."""

    TRUNCATED = "truncated"
    """The bytes end before the length they announce."""
    CHECKSUM = "checksum"
    """The checksum over the pseudo header and the message is wrong (RFC 6275 section 6.1.1, RFC 4443 section 2.3)."""
    PAYLOAD_PROTO = "payload_proto"
    """The Payload Proto field is not 59, IPv6-NoNxt (RFC 6275 section 9.2)."""
    HEADER_LENGTH = "header_length"
    """The Header Len field is less than what this type of message needs (RFC 6275 section 9.2)."""
    OPTION_OVERRUN = "option_overrun"
    """An option reaches beyond the end of what contains it."""
    OPTION_LENGTH = "option_length"
    """An option of a known type has a length that this type cannot have."""
    OPTION_REFUSED = "option_refused"
    """An option of a type that is not known, and that must not be skipped (RFC 8200 section 4.2)."""
    MESSAGE_LENGTH = "message_length"
    """A message or header has a length that its type cannot have."""
    VERSION = "version"
    """An IP packet of another version than 6."""
    HOP_LIMIT = "hop_limit"
    """A Neighbor Discovery message that has crossed a router (RFC 4861 section 6.1)."""
    CODE = "code"
    """A Neighbor Discovery message with a code other than 0 (RFC 4861 section 6.1)."""
    ADDRESS = "address"
    """An address stands where no address of its kind may stand."""
    FORMAT = "format"
    """The bytes are not of the format at all (a capture file, for example)."""


class DecodeError(ValueError):
    """Bytes that are not a well-formed message: the `reason`, and the `offset` of the octet that shows it.

    The offset counts from the start of the bytes given to the decoder; for a Mobility Header it is the Pointer of the
    ICMPv6 Parameter Problem, where one is to be sent (RFC 6275 section 9.2).
    """

    def __init__(self, reason: DecodeReason, offset: int) -> None:
        super().__init__(reason, offset)
        self.reason = reason
        self.offset = offset

    def __str__(self) -> str:
        return f"{self.reason.value} at octet {self.offset}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DecodeError) and self.args == other.args

    def __hash__(self) -> int:
        return hash(self.args)


class EncodeError(ValueError):
    """A value that does not fit into its field: a mistake of whoever made it."""
