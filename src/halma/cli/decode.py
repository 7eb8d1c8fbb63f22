# SPDX-License-Identifier: Apache-2.0
"""`halma decode`: shows the mobility and Neighbor Discovery messages in a capture file or in a line of hexadecimal.

Always holds: every Mobility Header and ICMPv6 message but Echo is shown once, also those that do not decode, with the reason;
exit status 1 when something did not decode, 2 when the input is no capture and no hexadecimal.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from halma.wire import DecodeError, decode
from halma.wire.checksum import checksum
from halma.wire.dissect import Finding, dissect
from halma.wire.icmpv6 import EchoReply, EchoRequest
from halma.wire.ipv6 import Packet
from halma.wire.numbers import NextHeader
from halma.wire.pcap import ETHERNET, Frame, ipv6_of, read_capture
from halma.wire.text import format_octets, lines, plain, summary, title_of_protocol

_UNKNOWN = bytes(16)


def decode_command(
    source: Annotated[
        str, typer.Argument(metavar="FILE|HEX", help="A .pcap or .pcapng file, - for standard input, or octets.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Show the Mobility Header and Neighbor Discovery messages of a capture.

    HEX is an IPv6 packet, an Ethernet frame or a bare Mobility Header, with or without spaces and colons.
    """
    number, failed = 0, False
    try:
        for number, (frame, finding) in enumerate(_findings(source), start=1):
            failed |= isinstance(finding.message, DecodeError)
            if isinstance(finding.message, EchoRequest | EchoReply) or not _interesting(finding):
                continue
            print(json.dumps(_as_json(number, frame, finding)) if as_json else _as_text(number, frame, finding))
    except DecodeError as error:
        print(f"{source}: {error}", file=sys.stderr)
        raise typer.Exit(1 if number else 2) from None
    except (OSError, ValueError) as error:
        print(f"{source}: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    if failed:
        raise typer.Exit(1)


def _findings(source: str) -> Iterator[tuple[Frame | None, Finding]]:
    """What is in every frame of the input, in order."""
    octets = None if source == "-" or os.path.exists(source) else _hexadecimal(source)
    if octets is not None:
        yield None, _from_octets(octets)
        return
    data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    for frame in read_capture(data):
        packet = ipv6_of(frame)
        yield frame, Finding((), None) if packet is None else dissect(packet)


def _hexadecimal(text: str) -> bytes:
    try:
        return bytes.fromhex(text.replace(":", " ").replace("0x", " "))
    except ValueError:
        raise ValueError("neither a file nor hexadecimal octets") from None


def _from_octets(octets: bytes) -> Finding:
    """Octets without a capture: a bare Mobility Header has no addresses, so that its checksum cannot be verified."""
    if octets[:1] == bytes((NextHeader.NONE,)):
        zero = octets[:4] + bytes(2) + octets[6:]
        right = checksum(_UNKNOWN, _UNKNOWN, zero, NextHeader.MOBILITY)
        made = zero[:4] + right.to_bytes(2, "big") + zero[6:]
        try:
            return Finding((), decode(made if len(octets) >= 8 else octets, _UNKNOWN, _UNKNOWN))
        except DecodeError as error:
            return Finding((), error)
    return dissect(ipv6_of(Frame(0, "", ETHERNET, octets)) or octets)


def _interesting(finding: Finding) -> bool:
    """Whether there is a message, or something that should have been one."""
    return finding.message is not None


def _as_text(number: int, frame: Frame | None, finding: Finding) -> str:
    head = [f"#{number}"]
    if frame is not None:
        head.append(f"{_time(frame)}{' ' + frame.interface if frame.interface else ''}")
    head.extend(f"{format_octets(packet.source)} > {format_octets(packet.destination)}" for packet in finding.packets)
    message = finding.message
    if isinstance(message, DecodeError):
        inside = title_of_protocol(finding.packets[-1]) if finding.packets else "octets"
        return f"{'  '.join(head)}  {inside} malformed: {message}"
    made = ["  ".join([*head, summary(message)])]
    for packet in finding.packets:
        made.extend(f"    {line}" for header in packet.extension_headers for line in lines(header))
    made.extend(f"    {line}" for line in lines(message))
    return "\n".join(made)


def _as_json(number: int, frame: Frame | None, finding: Finding) -> dict[str, Any]:
    made: dict[str, Any] = {"number": number}
    if frame is not None:
        made |= {"time": frame.time / 1e9, "interface": frame.interface}
    made["packets"] = [_packet(packet) for packet in finding.packets]
    if isinstance(finding.message, DecodeError):
        made["error"] = {"reason": finding.message.reason.value, "offset": finding.message.offset}
    else:
        made |= {"summary": summary(finding.message), "message": plain(finding.message)}
    return made


def _packet(packet: Packet) -> dict[str, Any]:
    return {
        "source": format_octets(packet.source),
        "destination": format_octets(packet.destination),
        "hop_limit": packet.hop_limit,
        "next_header": packet.next_header,
        "extension_headers": [plain(header) for header in packet.extension_headers],
    }


def _time(frame: Frame) -> str:
    try:
        return (
            datetime.fromtimestamp(frame.time // 1_000_000_000, UTC).strftime("%H:%M:%S") + f".{frame.time % 10**9 // 1000:06}"
        )
    except (OverflowError, ValueError, OSError):
        return str(frame.time)
