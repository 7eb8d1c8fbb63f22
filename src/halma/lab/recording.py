# SPDX-License-Identifier: Apache-2.0
"""A capture file as evidence: its frames, and how many its listener missed.

pcapng is read and written by `halma.wire.pcap`; here are only the interface statistics in which a listener says what it
missed (draft-ietf-opsawg-pcapng, Interface Statistics Block).

Always holds: a file that was cut short gives the frames before the cut; `read` finds the count that `statistics` wrote.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from pathlib import Path

from halma.value import value
from halma.wire import DecodeError
from halma.wire.pcap import Frame, read_capture

_STATISTICS = 5
_DROPPED_BY_INTERFACE, _DROPPED_BY_SYSTEM = 5, 7


@value
class Recording:
    """All frames of a file, and how many its listener missed: None where it did not come to say so."""

    frames: tuple[Frame, ...]
    missed: int | None


def read(path: Path) -> Recording:
    """Read a capture file of this machine (little-endian). Raises OSError; a file that is no capture gives no frames."""
    data = path.read_bytes()
    frames: list[Frame] = []
    with contextlib.suppress(DecodeError):
        frames.extend(read_capture(data))
    said = [dict(_counts(body)) for kind, body in _blocks(data) if kind == _STATISTICS]
    missed = [counts.get(code, 0) for counts in said for code in (_DROPPED_BY_INTERFACE, _DROPPED_BY_SYSTEM)]
    return Recording(tuple(frames), sum(missed) if said else None)


def statistics(missed: int) -> bytes:
    """The block that ends a file: so many frames of its first interface were missed."""
    body = struct.pack("<IIIHHQI", 0, 0, 0, _DROPPED_BY_INTERFACE, 8, missed, 0)
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", _STATISTICS) + length + body + length


def _blocks(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + 12 <= len(data):
        kind, length = struct.unpack_from("<II", data, offset)
        if length < 12 or offset + length > len(data):
            return
        yield kind, data[offset + 8 : offset + length - 4]
        offset += length


def _counts(body: bytes) -> Iterator[tuple[int, int]]:
    """The counters in a statistics block, by their option codes."""
    offset = 12
    while offset + 4 <= len(body):
        code, length = struct.unpack_from("<HH", body, offset)
        if code and length == 8 and offset + 12 <= len(body):
            yield code, struct.unpack_from("<Q", body, offset + 4)[0]
        offset += 4 + length + (-length % 4)
