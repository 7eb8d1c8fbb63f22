# SPDX-License-Identifier: Apache-2.0
"""Links with delay and loss: what a direction decides, and a relay at work."""

from __future__ import annotations

import random
import re
import sys
import time
from pathlib import Path

import pytest

from halma.lab.evidence import Evidence
from halma.lab.forge import header
from halma.lab.processes import LabError
from halma.lab.relay import Direction, mobility_type
from halma.lab.session import Lab
from halma.lab.topology import Impairment
from halma.lab.traffic import both_ways
from halma.wire.messages import Heartbeat
from tests.lab.networks import RIGHT, pair
from tests.lab.records import mobility
from tests.lab.world import CN, LMA, gateway, update

FRAME = bytes(14) + bytes(40)


def direction(delay: float = 0.0, jitter: float = 0.0, loss: float = 0.0, seed: int = 1) -> Direction:
    """A direction of a link."""
    made = Direction(0, "there", random.Random(seed))
    made.delay, made.jitter, made.loss = delay, jitter, loss
    return made


def test_a_delay() -> None:
    assert direction(delay=0.02).due(FRAME, 5.0) == pytest.approx(5.02)


def test_frames_keep_their_order_whatever_the_jitter() -> None:
    one = direction(delay=0.01, jitter=0.05)
    times = [one.due(FRAME, now / 1000) for now in range(200)]
    assert times == sorted(times)  # type: ignore[type-var]
    assert all(now / 1000 + 0.01 <= time <= now / 1000 + 0.06 + 0.06 for now, time in enumerate(times) if time is not None)


def test_loss_is_what_was_asked_for_and_the_same_again() -> None:
    def lost(seed: int) -> list[int]:
        one = direction(loss=0.1, seed=seed)
        return [number for number in range(5000) if one.due(FRAME, 0.0) is None]

    assert 400 < len(lost(1)) < 600
    assert lost(1) == lost(1)
    assert lost(1) != lost(2)
    one = direction(loss=0.0)
    assert all(one.due(FRAME, 0.0) is not None for _ in range(1000))


def test_messages_are_held_and_released() -> None:
    ethernet = bytes(12) + b"\x86\xdd"
    held = ethernet + update(1, 1, 900)
    other = ethernet + mobility(gateway(1), LMA, Heartbeat(0, 1))
    inside = ethernet + header(gateway(1), LMA, 41, update(1, 2, 900))
    one = direction()
    one.holding.add(5)
    assert one.due(held, 0.0) is None
    assert one.due(inside, 0.0) is None
    assert one.due(other, 0.0) == 0.0
    assert one.release(5) == [held, inside]
    assert one.due(held, 1.0) == 1.0
    assert one.held == []


def test_mobility_types() -> None:
    ethernet = bytes(12) + b"\x86\xdd"
    assert mobility_type(ethernet + update(1, 1, 900)) == 5
    destination_options = bytes([135, 0, 1, 4, 0, 0, 0, 0])
    assert mobility_type(ethernet + header(CN, LMA, 60, destination_options + update(1, 1, 1)[40:])) == 5
    assert mobility_type(ethernet + header(CN, LMA, 17, bytes(16))) is None
    assert mobility_type(ethernet + header(CN, LMA, 60, b"")) is None
    assert mobility_type(bytes(60)) is None
    assert mobility_type(b"") is None


@pytest.mark.root
def test_a_link_with_a_relay_delays_and_loses(tmp_path: Path) -> None:
    with Lab(pair(Impairment(delay_ms=30, loss=0.1, seed=7)), tmp_path) as lab:
        lab.start()
        lab.talk(*both_ways(1, "left", "right"))
        lab.wait(1.0)
        lab.impair("wire", delay_ms=0, loss=0)
        assert float(re.findall(r"time=([\d.]+)", lab.command("left", "ping", "-c1", str(RIGHT)))[0]) < 30
        lab.stop()
        evidence = Evidence(lab.topology, tmp_path)
    assert lab.remains == []
    assert {"wire@left", "wire@right"} == set(evidence.captured)
    for stream in (1, 2):
        sent = evidence.deliveries(stream)[50:700]
        seen = [delivery for delivery in sent if delivery.delivered is not None]
        assert 0.80 < len(seen) / len(sent) < 0.97
        took = [delivery.delivered.time - delivery.sightings[0].time for delivery in seen if delivery.delivered is not None]
        assert min(took) >= 0.0299


@pytest.mark.root
def test_a_relay_holds_a_message_inside_the_network(tmp_path: Path) -> None:
    """What delays one message past its successors: here a heartbeat, while probes go on."""
    with Lab(pair(Impairment()), tmp_path) as lab:
        lab.start()
        lab.impair("wire", toward="right", hold=13)
        lab.command("left", sys.executable, "-c", SENDER)
        assert "1 received" in lab.command("left", "ping", "-c1", "-W5", str(RIGHT))
        released = time.time()
        lab.impair("wire", toward="right", release=13)
        lab.wait(0.2)
        lab.stop()
        evidence = Evidence(lab.topology, tmp_path)
    [signal] = evidence.signals
    assert [sighting.point for sighting in signal.sightings] == ["wire@left", "wire@right"]
    assert signal.sent < released < signal.arrived


SENDER = """
import socket
from halma.wire import encode
from halma.wire.messages import Heartbeat
from tests.lab.networks import LEFT, RIGHT
raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 135)
raw.sendto(encode(Heartbeat(0, 1), LEFT.packed, RIGHT.packed), (str(RIGHT), 0))
"""


def test_a_link_without_a_relay_takes_no_commands() -> None:
    with pytest.raises(LabError, match="has no relay"):
        Lab(pair()).impair("wire", delay_ms=1)
