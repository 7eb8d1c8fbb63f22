# SPDX-License-Identifier: Apache-2.0
"""Capture files: reads pcap and pcapng, writes pcapng, and finds the IPv6 packet in a captured frame.

Formats: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng; link types as registered by tcpdump.org. Pure functions of
octets: whoever calls opens the file.

Always holds: `read_capture` of what the writing functions give yields the same frames; malformed octets raise `DecodeError`
and nothing else, and a capture that was cut off in the middle of its last frame gives all the frames before it first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from halma.value import value
from halma.wire.errors import DecodeError, DecodeReason

ETHERNET, RAW, LINUX_COOKED, IPV6, LINUX_COOKED_2 = 1, 101, 113, 229, 276
"""Link types."""
_RAW_LINK_TYPES = (RAW, IPV6, 12, 14)
_ETHERTYPE_IPV6 = 0x86DD
_VLAN_TAGS = (0x8100, 0x88A8)

_SECTION, _INTERFACE, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 3, 6
_BYTE_ORDER = 0x1A2B3C4D
_OPTION_COMMENT, _OPTION_NAME, _OPTION_RESOLUTION = 1, 2, 9
_NANOSECONDS = 1_000_000_000


@value
class Frame:
    """One captured frame: `time` in nanoseconds since 1970, the name of the `interface` (empty in a pcap file and where none
    is told), and its octets."""

    time: int
    interface: str
    link_type: int
    data: bytes


@value
class _Interface:
    name: str
    link_type: int
    units: int
    """Units of time in a second."""


def read_capture(data: bytes) -> Iterator[Frame]:
    """The frames of a pcap or pcapng file, in its order. Raises `DecodeError` where the octets are neither."""
    if len(data) < 4:
        raise DecodeError(DecodeReason.TRUNCATED, len(data))
    if data[:4] == _SECTION.to_bytes(4, "big"):
        return _read_pcapng(data)
    for order in "<>":
        magic = struct.unpack(order + "I", data[:4])[0]
        if magic in (0xA1B2C3D4, 0xA1B23C4D):
            return _read_pcap(data, order, 1000 if magic == 0xA1B2C3D4 else 1)
    raise DecodeError(DecodeReason.FORMAT, 0)


def _read_pcap(data: bytes, order: str, scale: int) -> Iterator[Frame]:
    if len(data) < 24:
        raise DecodeError(DecodeReason.TRUNCATED, len(data))
    link_type = struct.unpack_from(order + "I", data, 20)[0] & 0x0FFFFFFF
    record, offset = struct.Struct(order + "IIII"), 24
    while offset < len(data):
        if offset + record.size > len(data):
            raise DecodeError(DecodeReason.TRUNCATED, offset)
        seconds, fraction, length, _ = record.unpack_from(data, offset)
        offset += record.size
        if offset + length > len(data):
            raise DecodeError(DecodeReason.TRUNCATED, offset)
        yield Frame(seconds * _NANOSECONDS + fraction * scale, "", link_type, data[offset : offset + length])
        offset += length


def _read_pcapng(data: bytes) -> Iterator[Frame]:
    offset, order = 0, "<"
    interfaces: list[_Interface] = []
    while offset < len(data):
        if offset + 12 > len(data):
            raise DecodeError(DecodeReason.TRUNCATED, offset)
        kind = struct.unpack_from(order + "I", data, offset)[0]
        if kind == _SECTION:  # reads the same in both byte orders
            order = "<" if struct.unpack_from("<I", data, offset + 8)[0] == _BYTE_ORDER else ">"
            interfaces = []
        length = struct.unpack_from(order + "I", data, offset + 4)[0]
        if length < 12 or length % 4:
            raise DecodeError(DecodeReason.FORMAT, offset + 4)
        end = offset + length
        if end > len(data):
            raise DecodeError(DecodeReason.TRUNCATED, offset + 4)
        body = data[offset + 8 : end - 4]
        if kind == _INTERFACE:
            interfaces.append(_read_interface(body, order, offset))
        elif kind in (_ENHANCED, _SIMPLE):
            yield _read_frame(kind, body, order, interfaces, offset)
        offset = end


def _read_interface(body: bytes, order: str, offset: int) -> _Interface:
    if len(body) < 8:
        raise DecodeError(DecodeReason.TRUNCATED, offset)
    link_type = struct.unpack_from(order + "H", body)[0]
    name, units, place = "", 1_000_000, 8
    while place + 4 <= len(body):
        number, length = struct.unpack_from(order + "HH", body, place)
        content = body[place + 4 : place + 4 + length]
        if not number:
            break
        if number == _OPTION_NAME:
            name = content.decode("utf-8", "replace").rstrip("\0")
        elif number == _OPTION_RESOLUTION and content:
            exponent = content[0] & 0x7F
            units = 1 << exponent if content[0] & 0x80 else 10**exponent
        place += 4 + length + (-length % 4)
    return _Interface(name, link_type, units)


def _read_frame(kind: int, body: bytes, order: str, interfaces: list[_Interface], offset: int) -> Frame:
    fixed = 20 if kind == _ENHANCED else 4
    if len(body) < fixed:
        raise DecodeError(DecodeReason.TRUNCATED, offset)
    index, high, low, length, _ = struct.unpack_from(order + "IIIII", body) if kind == _ENHANCED else (0, 0, 0, 0, 0)
    if index >= len(interfaces):
        raise DecodeError(DecodeReason.FORMAT, offset + 8)
    interface = interfaces[index]
    if kind == _SIMPLE:
        length = min(struct.unpack_from(order + "I", body)[0], len(body) - fixed)
    if fixed + length > len(body):
        raise DecodeError(DecodeReason.TRUNCATED, offset)
    time = (high << 32 | low) * _NANOSECONDS // interface.units
    return Frame(time, interface.name, interface.link_type, body[fixed : fixed + length])


def write_section() -> bytes:
    """What a pcapng file begins with."""
    return _block(_SECTION, struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1))


def write_interface(name: str, link_type: int) -> bytes:
    """Tells of an interface; the first one in a file has index 0 for `write_frame`."""
    options = _option(_OPTION_NAME, name.encode()) + _option(_OPTION_RESOLUTION, b"\x09")
    return _block(_INTERFACE, struct.pack("<HHI", link_type, 0, 0) + options + bytes(4))


def write_frame(interface: int, time: int, data: bytes, comment: str = "") -> bytes:
    """One frame, captured at `time` in nanoseconds since 1970 on the interface with this index."""
    head = struct.pack("<IIIII", interface, time >> 32, time & 0xFFFFFFFF, len(data), len(data))
    options = _option(_OPTION_COMMENT, comment.encode()) + bytes(4) if comment else b""
    return _block(_ENHANCED, head + data + bytes(-len(data) % 4) + options)


def _option(number: int, content: bytes) -> bytes:
    return struct.pack("<HH", number, len(content)) + content + bytes(-len(content) % 4)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def ipv6_of(frame: Frame) -> bytes | None:
    """The IPv6 packet in a frame; None when it carries something else."""
    data, link_type = frame.data, frame.link_type
    if link_type in _RAW_LINK_TYPES:
        start, ethertype = 0, _ETHERTYPE_IPV6
    elif link_type == ETHERNET:
        start, ethertype = 14, int.from_bytes(data[12:14], "big")
        while ethertype in _VLAN_TAGS and start + 4 <= len(data):
            ethertype = int.from_bytes(data[start + 2 : start + 4], "big")
            start += 4
    elif link_type == LINUX_COOKED:
        start, ethertype = 16, int.from_bytes(data[14:16], "big")
    elif link_type == LINUX_COOKED_2:
        start, ethertype = 20, int.from_bytes(data[:2], "big")
    else:
        return None
    if ethertype != _ETHERTYPE_IPV6 or len(data) <= start or data[start] >> 4 != 6:
        return None
    return data[start:]
