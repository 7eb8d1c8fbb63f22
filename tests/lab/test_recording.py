# SPDX-License-Identifier: Apache-2.0
"""Capture files give their frames and what their listener missed, also when they were cut short."""

from __future__ import annotations

from pathlib import Path

from halma.lab.recording import read, statistics
from halma.wire.pcap import ETHERNET, write_frame, write_interface, write_section


def test_frames_and_what_was_missed(tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    whole = write_section() + write_interface("eth0", ETHERNET) + write_frame(0, 5, b"one") + write_frame(0, 7, b"two")
    path.write_bytes(whole + statistics(3))
    recording = read(path)
    assert [(frame.time, frame.data) for frame in recording.frames] == [(5, b"one"), (7, b"two")]
    assert recording.missed == 3
    path.write_bytes(whole[:-2])
    assert [frame.data for frame in read(path).frames] == [b"one"]
    path.write_bytes(b"")
    assert read(path).frames == ()
