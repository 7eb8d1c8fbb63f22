# SPDX-License-Identifier: Apache-2.0
"""What tshark says about packets: the oracle of the wire tests.

Always holds: one run of tshark for all the packets that are asked about together.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from halma.wire.pcap import IPV6, write_frame, write_interface, write_section

Fields = dict[str, list[str]]


def dissect_with_tshark(packets: Sequence[bytes], directory: Path) -> list[Fields]:
    """For each IPv6 packet: all fields that tshark finds in it with all their values as text, expert infos among them.

    The text of checksum verification is switched on. Raises CalledProcessError when tshark fails.
    """
    capture = directory / "packets.pcapng"
    frames = [write_frame(0, 10**18 + number, packet) for number, packet in enumerate(packets)]
    capture.write_bytes(b"".join([write_section(), write_interface("oracle", IPV6), *frames]))
    done = subprocess.run(
        ["tshark", "-r", str(capture), "-T", "json", "--no-duplicate-keys"], capture_output=True, text=True, check=True
    )
    made: list[Fields] = []
    for packet in json.loads(done.stdout):
        fields: Fields = {}
        _collect(packet["_source"]["layers"], fields)
        made.append(fields)
    assert len(made) == len(packets)
    return made


def _collect(node: Any, fields: Fields) -> None:
    """All the leaves below a node of tshark's JSON, by name."""
    for name, content in node.items():
        for each in content if isinstance(content, list) else [content]:
            if isinstance(each, dict):
                _collect(each, fields)
            else:
                fields.setdefault(name, []).append(each)


def complaints(fields: Fields) -> list[str]:
    """What tshark finds wrong: expert infos (of any severity) and malformed packets."""
    return [text for name in ("_ws.expert.message", "_ws.malformed") for text in fields.get(name, [])]
