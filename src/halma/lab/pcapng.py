# SPDX-License-Identifier: Apache-2.0
"""Capture files in the pcapng format (draft-ietf-opsawg-pcapng): as much of it as one interface a file needs.

Always holds: what `Writer` writes, `read` gives back; `read` skips blocks and options that it does not know, and a file that
was cut short gives the frames before the cut.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from halma.value import value

_SECTION = 0x0A0D0D0A
_INTERFACE = 1
_STATISTICS = 5
_ENHANCED_PACKET = 6
_BYTE_ORDER = 0x1A2B3C4D
_OPTION_NAME = 2
_OPTION_RESOLUTION = 9
_OPTION_DROPPED = 5
_OPTION_OS_DROPPED = 7
LINKTYPE_ETHERNET = 1


@value
class Frame:
    """A captured frame: `time` in seconds since 1970, the bytes that were kept, and its length on the wire."""

    time: float
    data: bytes
    length: int


@value
class Recording:
    """All frames of a file, and how many its listener missed."""

    frames: tuple[Frame, ...]
    missed: int


def _options(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + 4 <= len(data):
        code, length = struct.unpack_from(f"{order}HH", data, offset)
        if code == 0:
            return
        yield code, data[offset + 4 : offset + 4 + length]
        offset += 4 + (length + 3 & ~3)


def _blocks(stream: BinaryIO) -> Iterator[tuple[int, bytes, str]]:
    """Each block with its type, its body and the byte order of its section."""
    order = "<"
    while len(head := stream.read(8)) == 8:
        kind = struct.unpack("<I", head[:4])[0]
        if kind == _SECTION:
            mark = stream.read(4)
            if len(mark) < 4:
                return
            order = "<" if struct.unpack("<I", mark)[0] == _BYTE_ORDER else ">"
            length = struct.unpack(f"{order}I", head[4:])[0] - 4
            extra = mark
        else:
            kind, length = struct.unpack(f"{order}II", head)
            extra = b""
        if length < 12:
            return
        body = stream.read(length - 8)
        if len(body) < length - 8:
            return
        yield kind, extra + body[:-4], order


def read(path: Path) -> Recording:
    """Read a capture file. Raises OSError; a file that is no pcapng gives no frames."""
    frames: list[Frame] = []
    missed = 0
    ticks: list[float] = []
    with path.open("rb") as stream:
        for kind, body, order in _blocks(stream):
            if kind == _SECTION:
                ticks = []
            elif kind == _INTERFACE:
                resolution = dict(_options(body[8:], order)).get(_OPTION_RESOLUTION, b"\x06")[0]
                ticks.append(2.0 ** -(resolution & 0x7F) if resolution & 0x80 else 10.0**-resolution)
            elif kind == _ENHANCED_PACKET:
                interface, high, low, kept, length = struct.unpack_from(f"{order}IIIII", body)
                if interface < len(ticks):
                    frames.append(Frame((high << 32 | low) * ticks[interface], body[20 : 20 + kept], length))
            elif kind == _STATISTICS:
                options = dict(_options(body[12:], order))
                missed += sum(
                    struct.unpack(f"{order}Q", options[code])[0]
                    for code in (_OPTION_DROPPED, _OPTION_OS_DROPPED)
                    if len(options.get(code, b"")) == 8
                )
    return Recording(tuple(frames), missed)


class Writer:
    """Writes a capture file of one Ethernet interface, in nanoseconds."""

    def __init__(self, path: Path, interface: str, kept: int) -> None:
        self._stream = path.open("wb")
        self._block(_SECTION, struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1))
        name = interface.encode()
        options = (
            struct.pack("<HH", _OPTION_NAME, len(name))
            + name
            + bytes(-len(name) % 4)
            + struct.pack("<HHB3x", _OPTION_RESOLUTION, 1, 9)
            + bytes(4)
        )
        self._block(_INTERFACE, struct.pack("<HHI", LINKTYPE_ETHERNET, 0, kept) + options)

    def _block(self, kind: int, body: bytes) -> None:
        body += bytes(-len(body) % 4)
        length = struct.pack("<I", len(body) + 12)
        self._stream.write(struct.pack("<I", kind) + length + body + length)

    def frame(self, nanoseconds: int, data: bytes, length: int) -> None:
        """Write a frame: its time since 1970, the bytes to keep, and its length on the wire."""
        self._block(
            _ENHANCED_PACKET,
            struct.pack("<IIIII", 0, nanoseconds >> 32, nanoseconds & 0xFFFFFFFF, len(data), length) + data,
        )

    def close(self, missed: int = 0) -> None:
        """Write how many frames were missed, and end the file."""
        self._block(_STATISTICS, struct.pack("<III", 0, 0, 0) + struct.pack("<HHQ", _OPTION_DROPPED, 8, missed) + bytes(4))
        self._stream.close()
