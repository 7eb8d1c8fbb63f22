# SPDX-License-Identifier: Apache-2.0
"""Capture files: what is written is read again and by tshark; pcap and pcapng in both byte orders; damaged files."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halma.wire.errors import DecodeError, DecodeReason
from halma.wire.pcap import (
    ETHERNET,
    IPV6,
    LINUX_COOKED,
    LINUX_COOKED_2,
    RAW,
    Frame,
    ipv6_of,
    read_capture,
    write_frame,
    write_interface,
    write_section,
)

PACKET = b"\x60" + bytes(39)
WHOLE = b"".join(
    (
        write_section(),
        write_interface("core0", ETHERNET),
        write_interface("access1", RAW),
        write_frame(1, 1_700_000_000_123_456_789, b"abc"),
        write_frame(0, 1, b"abcd", "a comment"),
    )
)
FRAMES = [Frame(1_700_000_000_123_456_789, "access1", RAW, b"abc"), Frame(1, "core0", ETHERNET, b"abcd")]


def test_what_is_written_is_read() -> None:
    assert list(read_capture(WHOLE)) == FRAMES
    assert list(read_capture(WHOLE + WHOLE)) == FRAMES + FRAMES, "two files one after the other are a file, too"


@given(st.lists(st.tuples(st.integers(0, (1 << 63) - 1), st.binary(max_size=40), st.text(max_size=5)), max_size=6))
def test_any_frames(frames: list[tuple[int, bytes, str]]) -> None:
    written = [write_frame(0, time, data, comment) for time, data, comment in frames]
    read = read_capture(b"".join([write_section(), write_interface("x", IPV6), *written]))
    assert [(frame.time, frame.data) for frame in read] == [(time, data) for time, data, _ in frames]


@pytest.mark.needs("tshark")
def test_tshark_reads_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "some.pcapng"
    path.write_bytes(WHOLE)
    fields = ["frame.time_epoch", "frame.len", "frame.interface_name", "frame.comment"]
    options = [part for field in fields for part in ("-e", field)]
    done = subprocess.run(["tshark", "-r", str(path), "-T", "fields", *options], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "1700000000.123456789\t3\taccess1\t",
        "0.000000001\t4\tcore0\ta comment",
    ]


def pcap(order: str, magic: int, fraction: int) -> bytes:
    """A pcap file with one frame of an Ethernet link."""
    return struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, ETHERNET) + struct.pack(
        order + "IIII", 5, fraction, 3, 60
    ) + b"abc"  # fmt: skip


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcap_in_both_byte_orders_and_resolutions(order: str) -> None:
    assert list(read_capture(pcap(order, 0xA1B2C3D4, 7))) == [Frame(5_000_007_000, "", ETHERNET, b"abc")]
    assert list(read_capture(pcap(order, 0xA1B23C4D, 7))) == [Frame(5_000_000_007, "", ETHERNET, b"abc")]


def block(order: str, kind: int, body: bytes) -> bytes:
    """A block of a pcapng file."""
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def section(order: str) -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("options", "time", "name"),
    [
        ("", 1_000_000_000, ""),
        ("000900010600000000000000", 1_000_000_000, ""),
        ("00090001 83000000", 125_000_000 * 1_000_000, ""),
        ("00090000", 1_000_000_000, ""),
        ("00020005 6574683000000000 0001 0002 41420000 00000000 00020003 ffffff00", 1_000_000_000, "eth0"),
    ],
)
def test_interfaces_and_their_options(order: str, options: str, time: int, name: str) -> None:
    octets = bytes.fromhex(options)
    if order == "<":  # the numbers of two octets turn round, contents stay
        turned, place = bytearray(octets), 0
        while place + 4 <= len(turned):
            length = int.from_bytes(turned[place + 2 : place + 4], "big")
            turned[place : place + 4] = octets[place : place + 2][::-1] + octets[place + 2 : place + 4][::-1]
            place += 4 + length + -length % 4
        octets = bytes(turned)
    interface = block(order, 1, struct.pack(order + "HHI", RAW, 0, 0) + octets)
    frame = block(order, 6, struct.pack(order + "IIIII", 0, 0, 1_000_000, 1, 1) + b"a\0\0\0")
    simple = block(order, 3, struct.pack(order + "I", 2) + b"ab\0\0")
    statistics = block(order, 5, bytes(12))
    read = list(read_capture(section(order) + interface + frame + statistics + simple))
    assert read == [Frame(time, name, RAW, b"a"), Frame(0, name, RAW, b"ab")]


def test_a_file_cut_short_gives_what_is_before_the_cut() -> None:
    second = len(WHOLE) - len(write_frame(0, 1, b"abcd", "a comment"))
    for size in range(second + 1, len(WHOLE)):
        read = read_capture(WHOLE[:size])
        assert next(read) == FRAMES[0]
        with pytest.raises(DecodeError) as caught:
            next(read)
        assert caught.value.reason == DecodeReason.TRUNCATED
    old = pcap("<", 0xA1B2C3D4, 0)
    for size in (*range(5, 24), *range(25, len(old))):
        with pytest.raises(DecodeError) as caught:
            list(read_capture(old[:size]))
        assert caught.value.reason == DecodeReason.TRUNCATED


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", DecodeReason.TRUNCATED),
        (b"text that is no capture", DecodeReason.FORMAT),
        (section("<") + block("<", 6, bytes(24)), DecodeReason.FORMAT),
        (section("<") + block("<", 6, bytes(16)), DecodeReason.TRUNCATED),
        (section("<") + block("<", 3, bytes(4)), DecodeReason.FORMAT),
        (section("<") + block("<", 1, bytes(4)), DecodeReason.TRUNCATED),
        (section("<") + struct.pack("<III", 5, 8, 8), DecodeReason.FORMAT),
        (section("<") + struct.pack("<IIIH", 5, 14, 0, 14), DecodeReason.FORMAT),
        (
            section("<") + block("<", 1, struct.pack("<HHI", RAW, 0, 0)) + block("<", 6, struct.pack("<IIIII", 0, 0, 0, 5, 5)),
            DecodeReason.TRUNCATED,
        ),
    ],
)
def test_octets_that_are_no_capture(octets: bytes, reason: DecodeReason) -> None:
    with pytest.raises(DecodeError) as caught:
        list(read_capture(octets))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("link_type", "octets", "found"),
    [
        (RAW, PACKET, PACKET),
        (IPV6, PACKET, PACKET),
        (12, PACKET, PACKET),
        (ETHERNET, bytes(12) + b"\x86\xdd" + PACKET, PACKET),
        (ETHERNET, bytes(12) + b"\x81\x00\0\7\x86\xdd" + PACKET, PACKET),
        (ETHERNET, bytes(12) + b"\x88\xa8\0\7\x81\x00\0\7\x86\xdd" + PACKET, PACKET),
        (ETHERNET, bytes(12) + b"\x81\x00\0", None),
        (ETHERNET, bytes(12) + b"\x08\x06" + PACKET, None),
        (ETHERNET, bytes(12) + b"\x86\xdd", None),
        (ETHERNET, bytes(12) + b"\x86\xdd\x45", None),
        (LINUX_COOKED, bytes(14) + b"\x86\xdd" + PACKET, PACKET),
        (LINUX_COOKED_2, b"\x86\xdd" + bytes(18) + PACKET, PACKET),
        (RAW, b"\x45" + bytes(39), None),
        (RAW, b"", None),
        (147, PACKET, None),
    ],
)
def test_the_ipv6_packet_of_a_frame(link_type: int, octets: bytes, found: bytes | None) -> None:
    assert ipv6_of(Frame(0, "", link_type, octets)) == found
