# SPDX-License-Identifier: Apache-2.0
"""Ladders show what was captured, as values, as text and as pictures."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from halma.lab import judge, ladder_picture, ladder_text, report, topology_picture, traffic_picture
from halma.lab.ladder import Arrow, Box, Ladder, ladders
from halma.lab.moves import handovers
from halma.lab.picture import RED
from halma.lab.scenarios import play
from halma.lab.verdict import Check, Verdict
from halma.lab.words import short_name
from halma.wire.messages import (
    BindingAcknowledgement,
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
    BindingUpdate,
    UnknownMessage,
)
from tests.lab.world import LINK_UP, MOVED, World, update


@pytest.fixture
def move(world: World) -> Ladder:
    """The ladder of the move."""
    return ladders(world.evidence(), "h1")[-1]


def test_the_rows_of_a_move(move: Ladder) -> None:
    told = [(row.source, row.target, row.label) if isinstance(row, Arrow) else (row.node, *row.lines[-1:]) for row in move.rows]
    assert told == [
        ("mag1", "lma", "PBU"),
        ("lma", "binding waits"),
        ("lma", "mag1", "PBA"),
        ("h1", "link down"),
        ("h1", "link up"),
        ("mag2", "lma", "PBU"),
        ("lma", "binding updated"),
        ("lma", "mag2", "PBA"),
        ("mag2", "h1", "RA"),
        ("cn", "h1", "first packet down, number 73"),
        ("h1", "cn", "first packet up, number 73"),
    ]
    assert [name for name, _ in move.columns] == ["h1", "mag1", "mag2", "lma", "cn"]
    assert move.began == MOVED


def test_the_first_registration_creates(world: World) -> None:
    [box] = [row for row in ladders(world.evidence(), "h1")[0].rows if isinstance(row, Box) and row.node == "lma"]
    assert box.lines == ("2001:db8:100:1::/64 -> MAG1", "binding created")


def test_repetitions_of_neighbor_discovery_are_one_row(world: World) -> None:
    for again in range(3):
        world.advertise(LINK_UP + 0.0031 + again * 0.0001)
    rows = ladders(world.evidence(), "h1")[-1].rows
    assert [row.label for row in rows if isinstance(row, Arrow) and row.kind == "neighbor"] == ["RA (4 times)"]


@pytest.mark.parametrize("width", [80, 100, 132])
def test_the_text_fits(move: Ladder, width: int) -> None:
    lines = ladder_text.draw(move, width).splitlines()
    assert max(len(line) for line in lines) <= width
    assert all(line.isascii() for line in lines)


def test_arrows_of_the_text_point_to_their_node(move: Ladder) -> None:
    text = ladder_text.draw(move, 100)
    shafts = [line for line in text.splitlines() if re.search(r"-{5}>|<-{5}", line) and " ms" in line]
    arrows = [row for row in move.rows if isinstance(row, Arrow)]
    places: dict[str, set[int]] = {}
    for shaft, arrow in zip(shafts, arrows, strict=True):
        found = re.search(r"<?-{5,}>?", shaft)
        assert found is not None
        ends = (found.start() - 1, found.end())
        source, target = ends if found[0].endswith(">") else ends[::-1]
        places.setdefault(arrow.source, set()).add(source)
        places.setdefault(arrow.target, set()).add(target)
    assert all(len(found) == 1 for found in places.values())
    assert sorted(places, key=lambda name: min(places[name])) == [name for name, _ in move.columns]
    assert "PBU seq 2, lifetime 0" in text


def test_pictures_are_well_formed_and_alone(world: World) -> None:
    evidence = world.evidence()
    pictures = [ladder_picture.draw(ladder) for ladder in ladders(evidence, "h1")]
    pictures.append(traffic_picture.draw(evidence))
    pictures += [traffic_picture.draw_handover(evidence, handover) for handover in handovers(evidence, "h1")]
    pictures.append(topology_picture.draw(evidence.topology, evidence.journal["movements"], evidence.journal["addresses"]))
    for picture in pictures:
        root = ElementTree.fromstring(picture)
        assert root.tag.endswith("svg")
        assert "href" not in picture
        assert "<script" not in picture


def test_a_lost_packet_is_red_in_the_picture(world: World) -> None:
    whole = traffic_picture.draw(world.evidence()).count(RED)
    world.without("access-h1", 1, 100)
    assert traffic_picture.draw(world.evidence()).count(RED) == whole + 1


def test_the_report_holds_everything(world: World) -> None:
    evidence = world.evidence()
    (evidence.records / "config" / "mag1.toml").write_text('identity = "<mag1>"\n')
    one = play("pmip-handover")
    checks = (judge.no_leak(evidence), judge.address_kept(evidence, "h1"), Check("GW-9", "<never>", False, "a & b"))
    verdict = Verdict(one.name, checks, tuple(handovers(evidence, "h1")))
    target = evidence.records / "report.html"
    report.write(one, verdict, evidence, target)
    page = target.read_text()
    assert "&lt;mag1&gt;" in page
    assert "<mag1>" not in page
    assert "&lt;never&gt;" in page
    assert "a &amp; b" in page
    assert "failed" in page
    assert page.count("<svg") >= 5
    assert not re.search(r'(src|href)="(?!#)', page)
    for check in verdict.checks:
        assert check.requirement in page


@pytest.mark.parametrize(
    ("message", "name"),
    [
        (BindingUpdate(1, 0x8200, 1), "PBU"),
        (BindingUpdate(1, 0x8000, 1), "BU"),
        (BindingAcknowledgement(0, 0x20, 1, 1), "PBA"),
        (BindingAcknowledgement(0, 0, 1, 1), "BA"),
        (BindingRevocationIndication(1, 1, 0), "BRI"),
        (BindingRevocationAcknowledgement(0, 1, 0), "BRA"),
        (UnknownMessage(99, b""), "MH type 99"),
        (None, "malformed"),
    ],
)
def test_short_names(message: object, name: str) -> None:
    assert short_name(message) == name  # type: ignore[arg-type]


def test_a_message_of_unknown_origin_is_left_out(world: World) -> None:
    packet = bytearray(update(1, 9, 900))
    packet[8:24] = bytes.fromhex("20010db8") + bytes(11) + b"\x99"
    world.signal(LINK_UP + 0.5, bytes(packet), 1, up=True)
    assert ladders(world.evidence(), "h1")
