# SPDX-License-Identifier: Apache-2.0
"""Ladders show what was captured, as values, as text and as pictures."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from xml.etree import ElementTree

import pytest

from halma.lab import judge, ladder_picture, ladder_text, report, topology_picture, traffic_picture
from halma.lab.forge import header
from halma.lab.ladder import Arrow, Box, Ladder, ladders
from halma.lab.moves import handovers
from halma.lab.picture import RED
from halma.lab.scenarios import play
from halma.lab.verdict import Check, Verdict
from halma.lab.words import short_name
from halma.wire import encode
from halma.wire.messages import (
    BindingAcknowledgement,
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
    BindingUpdate,
    UnknownMessage,
)
from halma.wire.numbers import BindingUpdateFlag
from halma.wire.options import AlternateCareOfAddress
from tests.lab.world import CN, ENDED, HOST, LINK_UP, LMA, MOVED, World, answer, update

WIDTH = 1000.0


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


def test_who_takes_no_part_has_no_column(world: World) -> None:
    first = ladders(world.evidence(), "h1")[0]
    assert [name for name, _ in first.columns] == ["h1", "mag1", "lma", "cn"]


def test_what_daemons_say_when_the_lab_stops_them_is_no_part_of_the_story(world: World) -> None:
    world.signal(ENDED + 0.1, update(2, 2, 0), 2, up=True)
    rows = ladders(world.evidence(), "h1")[-1].rows
    assert max(row.time for row in rows) < ENDED


def test_a_router_that_says_the_same_again_is_not_shown_again(world: World) -> None:
    world.journal["ended"] = ENDED + 2
    other = IPv6Address("2001:db8:1a:1::").packed
    world.advertise(LINK_UP + 1.5)
    world.advertise(LINK_UP + 1.6, prefix=other)
    world.advertise(LINK_UP + 1.7)
    world.advertise(LINK_UP + 1.8, prefix=other)
    rows = ladders(world.evidence(), "h1")[-1].rows
    told = [row.essence for row in rows if isinstance(row, Arrow) and row.label.startswith("RA")]
    assert told == ["2001:db8:100:1::/64", "2001:db8:1a:1::/64"]


def home_update(sequence: int, lifetime: int, care_of: bytes) -> bytes:
    """A BU of host 1 for its address, from a care-of address."""
    flags = BindingUpdateFlag.ACKNOWLEDGE | BindingUpdateFlag.HOME_REGISTRATION
    message = encode(BindingUpdate(sequence, flags, lifetime, (AlternateCareOfAddress(care_of),)), HOST, LMA)
    return header(care_of, LMA, 60, b"\x87\x02\x01\x02\x00\x00\xc9\x10" + HOST + message)


def home_answer(sequence: int, lifetime: int, care_of: bytes, status: int = 0) -> bytes:
    """The BA to it."""
    message = encode(BindingAcknowledgement(status, 0, sequence, lifetime), LMA, HOST)
    return header(LMA, care_of, 43, b"\x87\x02\x02\x01" + bytes(4) + HOST + message)


def home_boxes(world: World, *registrations: tuple[int, bytes, int]) -> list[tuple[str, ...]]:
    """What stands in the anchor's boxes when host 1 sends BUs after the move: lifetime, care-of address, status."""
    for index, (lifetime, care_of, status) in enumerate(registrations):
        world.events.append(world.address_event(LINK_UP + 0.1, care_of))
        time = LINK_UP + 0.2 + index * 0.1
        world.signal(time, home_update(index, lifetime, care_of), 2, up=True)
        world.signal(time + 0.01, home_answer(index, lifetime, care_of, status), 2, up=False)
    rows = ladders(world.evidence(), "h1")[-1].rows
    return [row.lines for row in rows if isinstance(row, Box) and row.node == "lma" and row.time > LINK_UP + 0.1]


def test_a_home_agents_boxes_are_those_of_figure_6(world: World) -> None:
    first, second = IPv6Address("2001:db8:1a:1::101").packed, IPv6Address("2001:db8:180:1::101").packed
    home = str(IPv6Address(HOST))
    assert home_boxes(world, (15, first, 0), (15, first, 0), (15, second, 0), (0, HOST, 0), (0, HOST, 0)) == [
        (f"HoA {home}", "-> CoA 2001:db8:1a:1::101", "binding created"),
        ("binding kept",),
        (f"HoA {home}", "-> CoA 2001:db8:180:1::101", "binding updated"),
        (f"HoA {home} is at home", "binding deleted"),
        (f"HoA {home} is at home", "no change"),
    ]


def test_what_was_refused_changes_nothing(world: World) -> None:
    assert home_boxes(world, (15, IPv6Address("2001:db8:1a:1::101").packed, 135)) == []


def test_a_binding_update_says_which_addresses_it_is_about(world: World) -> None:
    care_of = IPv6Address("2001:db8:1a:1::101")
    home_boxes(world, (15, care_of.packed, 0))
    [arrow] = [row for row in ladders(world.evidence(), "h1")[-1].rows if isinstance(row, Arrow) and row.label == "BU"]
    assert (arrow.source, arrow.target, arrow.particulars) == ("h1", "lma", f"HoA {IPv6Address(HOST)}, CoA {care_of}")


def test_each_anchor_has_its_own_entry(world: World) -> None:
    """The second anchor creates what the first has had (figure 6)."""
    world.signal(LINK_UP + 0.5, answer(2, 9, 900, anchor=CN), 2, up=False)  # the correspondent's machine will do for one
    boxes = [row.lines[-1] for row in ladders(world.evidence(), "h1")[-1].rows if isinstance(row, Box) and row.node == "cn"]
    assert boxes == ["binding created"]


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
    pictures.append(traffic_picture.draw(evidence, WIDTH))
    pictures += [traffic_picture.draw_handover(evidence, handover, WIDTH) for handover in handovers(evidence, "h1")]
    pictures.append(
        topology_picture.draw(evidence.topology, evidence.journal["movements"], evidence.journal["addresses"], WIDTH)
    )
    for picture in pictures:
        root = ElementTree.fromstring(picture)
        assert root.tag.endswith("svg")
        assert "href" not in picture
        assert "<script" not in picture


def test_a_lost_packet_is_red_in_the_picture(world: World) -> None:
    whole = traffic_picture.draw(world.evidence(), WIDTH).count(RED)
    world.without("access-h1", 1, 100)
    assert traffic_picture.draw(world.evidence(), WIDTH).count(RED) == whole + 1


def test_a_close_up_says_how_long_the_gaps_are(world: World) -> None:
    evidence = world.evidence()
    [handover] = handovers(evidence, "h1")
    picture = traffic_picture.draw_handover(evidence, handover, WIDTH)
    told = [f"gap {gap:.1f} ms" for gap in (handover.gap_down_ms, handover.gap_up_ms) if gap is not None]
    assert re.findall(r">(gap [\d.]+ ms)<", picture) == told


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
