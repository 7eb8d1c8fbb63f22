# SPDX-License-Identifier: Apache-2.0
"""What a traffic probe looks like: the payload by which a UDP datagram says which stream it belongs to and its number.

Always holds: `decode(encode(probe, size))` is the probe for every size that is large enough.
"""

from __future__ import annotations

import struct

from halma.value import value

_FORM = struct.Struct(">4sHxxIQ")
_MAGIC = b"HLMA"
SMALLEST = _FORM.size
BASE_PORT = 20000
"""The stream with number n uses this port plus n, at both ends."""


@value
class Probe:
    """A numbered datagram; `sent` is its sender's clock in nanoseconds since 1970."""

    stream: int
    number: int
    sent: int


def encode(probe: Probe, size: int) -> bytes:
    """The payload of a probe, padded to `size` bytes."""
    return _FORM.pack(_MAGIC, probe.stream, probe.number & 0xFFFFFFFF, probe.sent).ljust(size, b"\0")


def decode(payload: bytes) -> Probe | None:
    """The probe in a payload, or None where there is none."""
    if len(payload) < SMALLEST or payload[:4] != _MAGIC:
        return None
    _, stream, number, sent = _FORM.unpack_from(payload)
    return Probe(stream, number, sent)
