# SPDX-License-Identifier: Apache-2.0
"""`halma decode`: what it prints of captures and hexadecimal octets, and how it exits."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from halma.cli.decode import decode_command
from halma.wire import encode
from halma.wire.icmpv6 import EchoRequest, encode_icmpv6
from halma.wire.ipv6 import DestinationOptions, HomeAddress, Packet, build_packet
from halma.wire.messages import BindingUpdate
from halma.wire.nd import RouterSolicitation
from halma.wire.pcap import ETHERNET, LINUX_COOKED, RAW, write_frame, write_interface, write_section
from tests.wire.samples import ALL_NODES, ANCHOR, CARE_OF, GATEWAY, HOME, LINK_LOCAL, MESSAGES

application = typer.Typer()
application.command()(decode_command)

UPDATE = encode(MESSAGES[5], GATEWAY, ANCHOR)
PACKET = build_packet(Packet(GATEWAY, ANCHOR, 135, UPDATE))
SUMMARY = "Proxy Binding Update, sequence 7, lifetime 3600 s, host1@example.org, 2001:db8:100::/64, handoff unknown"


def run(*arguments: str, status: int = 0, stdin: bytes | None = None) -> list[str]:
    """The lines that the command prints, when it exits with this status."""
    done = CliRunner().invoke(application, list(arguments), input=stdin)
    assert done.exit_code == status, done.output
    return done.output.splitlines()


def test_a_packet_in_hexadecimal() -> None:
    lines = run(PACKET.hex())
    assert lines[0] == f"#1  2001:db8:2::1 > 2001:db8:1::1  {SUMMARY}"
    assert lines[1:5] == [
        "    sequence: 7",
        "    flags: 0x8200 (ACKNOWLEDGE PROXY)",
        "    lifetime: 900 (3600 s)",
        "    Mobile Node Identifier",
    ]
    assert "        identifier: host1@example.org" in lines
    assert all(len(line) <= 100 for line in lines[1:])


@pytest.mark.parametrize("separator", [" ", ":"])
def test_separators_and_an_ethernet_frame(separator: str) -> None:
    frame = bytes(12) + b"\x86\xdd" + PACKET
    assert run(frame.hex(separator))[0] == f"#1  2001:db8:2::1 > 2001:db8:1::1  {SUMMARY}"


def test_a_bare_mobility_header_whatever_its_checksum() -> None:
    assert run(UPDATE.hex())[0] == f"#1  {SUMMARY}"
    assert run((UPDATE[:4] + b"??" + UPDATE[6:]).hex())[0] == f"#1  {SUMMARY}"
    assert run(UPDATE[:20].hex(), status=1) == ["#1  octets malformed: truncated at octet 20"]
    assert run("3b", status=1) == ["#1  octets malformed: truncated at octet 1"]


def test_json() -> None:
    (line,) = run("--json", PACKET.hex())
    found = json.loads(line)
    assert found["summary"] == SUMMARY
    assert found["packets"][0]["source"] == "2001:db8:2::1"
    assert found["message"]["options"][0]["identifier"] == "host1@example.org"
    assert "time" not in found
    (line,) = run("--json", (PACKET[:-1] + b"\xff").hex(), status=1)
    assert json.loads(line)["error"] == {"reason": "checksum", "offset": 4}


def capture(link_type: int, *frames: bytes) -> bytes:
    """A capture with these frames at 2023-11-14 22:13:20 UTC and each a microsecond later."""
    start = 1_700_000_000_000_000_000
    written = [write_frame(0, start + 1000 * number, frame) for number, frame in enumerate(frames)]
    return b"".join([write_section(), write_interface("core0", link_type), *written])


def ethernet(packet: bytes) -> bytes:
    return bytes(12) + b"\x86\xdd" + packet


SOLICITATION = build_packet(
    Packet(LINK_LOCAL, ALL_NODES, 58, encode_icmpv6(RouterSolicitation(), LINK_LOCAL, ALL_NODES), hop_limit=255)
)
ECHO = build_packet(Packet(GATEWAY, ANCHOR, 58, encode_icmpv6(EchoRequest(0, 1, 2, b""), GATEWAY, ANCHOR)))
HOME_UPDATE = build_packet(
    Packet(
        CARE_OF,
        ANCHOR,
        135,
        encode(BindingUpdate(1, 0xC000, 100), HOME, ANCHOR),
        extension_headers=(DestinationOptions((HomeAddress(HOME),)),),
    )
)


def test_a_capture(tmp_path: Path) -> None:
    path = tmp_path / "some.pcapng"
    tunnelled = build_packet(Packet(ANCHOR, GATEWAY, 41, PACKET))
    arp = bytes(12) + b"\x08\x06" + bytes(28)
    path.write_bytes(
        capture(ETHERNET, *map(ethernet, (PACKET, ECHO, SOLICITATION, PACKET[:-1] + b"\xff", tunnelled, HOME_UPDATE)), arp)
    )
    lines = run(str(path), status=1)
    heads = [line for line in lines if line.startswith("#")]
    assert heads == [
        f"#1  22:13:20.000000 core0  2001:db8:2::1 > 2001:db8:1::1  {SUMMARY}",
        "#3  22:13:20.000002 core0  fe80::200:5eff:fe00:5213 > ff02::1  Router Solicitation",
        "#4  22:13:20.000003 core0  2001:db8:2::1 > 2001:db8:1::1  Mobility Header malformed: checksum at octet 4",
        f"#5  22:13:20.000004 core0  2001:db8:1::1 > 2001:db8:2::1  2001:db8:2::1 > 2001:db8:1::1  {SUMMARY}",
        "#6  22:13:20.000005 core0  2001:db8:3::99 > 2001:db8:1::1  Binding Update, sequence 1, lifetime 400 s",
    ]
    after = lines[lines.index(heads[-1]) + 1 :]
    assert after[:2] == ["    Home Address", "        address: 2001:db8:100::10"]
    found = [json.loads(line) for line in run("--json", str(path), status=1)]
    assert [each["number"] for each in found] == [1, 3, 4, 5, 6]
    assert found[0]["time"] == 1_700_000_000
    assert found[0]["interface"] == "core0"
    assert found[4]["packets"][0]["extension_headers"][0]["options"][0]["address"] == "2001:db8:100::10"


@pytest.mark.parametrize(("link_type", "before"), [(RAW, b""), (LINUX_COOKED, bytes(14) + b"\x86\xdd")])
def test_other_links_and_standard_input(link_type: int, before: bytes) -> None:
    lines = run("-", stdin=capture(link_type, before + PACKET))
    assert lines[0].endswith(SUMMARY)


def test_a_pcap_file_with_times_that_cannot_be(tmp_path: Path) -> None:
    path = tmp_path / "strange.pcapng"
    path.write_bytes(write_section() + write_interface("", RAW) + write_frame(0, (1 << 64) - 1, PACKET))
    assert run(str(path))[0].startswith("#1  23:34:33.709551  2001:")
    resolution = struct.pack("<HHIHHBxxx", RAW, 0, 0, 9, 1, 0)  # whole seconds, so that they reach beyond all calendars
    length = struct.pack("<I", 12 + len(resolution))
    interface = struct.pack("<I", 1) + length + resolution + length
    path.write_bytes(write_section() + interface + write_frame(0, 1 << 60, PACKET))
    assert run(str(path))[0].startswith(f"#1  {(1 << 60) * 10**9}  2001:")


def test_input_that_is_none(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no capture at all", "utf-8")
    assert "format at octet 0" in run(str(text), status=2)[0]
    assert "neither a file nor hexadecimal" in run("nonsense", status=2)[0]
    assert "Is a directory" in run(str(tmp_path), status=2)[0]
    cut = tmp_path / "cut.pcapng"
    cut.write_bytes(capture(RAW, PACKET, PACKET)[:-5])
    lines = run(str(cut), status=1)
    assert lines[0].endswith(SUMMARY)
    assert "truncated" in lines[-1]
