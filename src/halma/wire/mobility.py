# SPDX-License-Identifier: Apache-2.0
"""The Mobility Header itself (RFC 6275 section 6.1.1): from octets to a message and back.

    0 Payload Proto (59) | 1 Header Len (8-octet units after the first) | 2 MH Type | 3 Reserved | 4-5 Checksum | data

Always holds: what `decode` returns has passed the checks of RFC 6275 section 9.2 in their order: checksum, known MH Type
(`UnknownMessage` is what failed this one), Payload Proto, Header Len; what `encode` returns is a multiple of eight octets
with a right checksum.
"""

from __future__ import annotations

import struct

from halma.wire import options as _options  # noqa: F401 - fills the space of mobility options
from halma.wire.checksum import pseudo_header
from halma.wire.errors import DecodeError, DecodeReason, EncodeError
from halma.wire.messages import Message, UnknownMessage
from halma.wire.numbers import NextHeader
from halma.wire.spaces import MOBILITY_MESSAGES

_DECODERS = MOBILITY_MESSAGES.decoders
_ENCODERS = MOBILITY_MESSAGES.encoders
_SHAPES = MOBILITY_MESSAGES.shapes
_ENCODING_SHAPES = MOBILITY_MESSAGES.encoding_shapes
_PSEUDO_ENDINGS = tuple(pseudo_header(b"", b"", (length + 1) * 8, NextHeader.MOBILITY) for length in range(256))


def decode(data: bytes, source: bytes, destination: bytes) -> Message:
    """The message in a Mobility Header that came in a packet from `source` to `destination` (16 octets each).

    The addresses are those of the pseudo header: the home address where a Home Address option or a type 2 routing header
    names it (RFC 6275 section 6.1.1). Octets after the header are ignored. Raises `DecodeError`; nothing else.
    """
    if len(data) < 8:
        raise DecodeError(DecodeReason.TRUNCATED, len(data))
    length = data[1]
    end = (length + 1) * 8
    if end != len(data):
        if end > len(data):
            raise DecodeError(DecodeReason.TRUNCATED, len(data))
        data = data[:end]
    number = int.from_bytes(source + destination + _PSEUDO_ENDINGS[length] + data, "big")
    if number % 65535:
        raise DecodeError(DecodeReason.CHECKSUM, 4)
    known = _SHAPES.known.get(data[1:3])
    if known is not None:
        for mask, expected, shaped in known:
            if number & mask == expected:
                return shaped(data)  # type: ignore[no-any-return]
    decoder = _DECODERS[data[2]]
    if decoder is None:
        return UnknownMessage(data[2], data[6:])
    if data[0] != NextHeader.NONE:
        raise DecodeError(DecodeReason.PAYLOAD_PROTO, 0)
    message: Message | None = decoder(data, end)
    if message is None:
        return UnknownMessage(data[2], data[6:])
    _SHAPES.missed(data)
    return message


def encode(message: Message, source: bytes, destination: bytes) -> bytes:
    """A Mobility Header with `message`, to be sent from `source` to `destination` (16 octets each; see `decode`).

    Raises `EncodeError` when a field holds what its place on the wire cannot.
    """
    try:
        shapes = _ENCODING_SHAPES.get(type(message))
        data = _ENCODERS[type(message)](message) if shapes is None else shapes.encode(message)
    except (struct.error, KeyError) as error:
        raise EncodeError(f"{message!r}: {error}") from None
    total = int.from_bytes(source + destination + _PSEUDO_ENDINGS[data[1]] + data, "big") % 65535
    return data[:4] + (total ^ 0xFFFF).to_bytes(2, "big") + data[6:]


def _encode_unknown(message: UnknownMessage) -> bytes:
    if (len(message.data) + 6) % 8:
        raise EncodeError("the data of an unknown message must end at a multiple of eight octets")
    return struct.pack("!BBBxH", NextHeader.NONE, (len(message.data) + 6) // 8 - 1, message.type, 0) + message.data


_ENCODERS[UnknownMessage] = _encode_unknown
