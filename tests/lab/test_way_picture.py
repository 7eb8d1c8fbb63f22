# SPDX-License-Identifier: Apache-2.0
"""The network of a step shows where packets went: from the captures, with a pipe for each tunnel."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from halma.lab import ladder_picture, topology_picture, traffic_picture, way_picture
from halma.lab.ladder import Arrow, Box, Ladder, ladders
from halma.lab.moves import handovers
from halma.lab.picture import PALETTE
from halma.lab.scenario import IDEAL
from halma.lab.scenarios import plays
from tests.lab.world import BEGAN, ENDED, MOVED, World

SVG = "{http://www.w3.org/2000/svg}"
TEXT = 6.0
"""About how wide a letter of 11 units is."""
WIDTHS = [356.0, 1060.0]


def test_the_way_of_a_step_is_that_of_its_last_packet(world: World) -> None:
    evidence = world.evidence()
    before = way_picture.ways(evidence, ["h1"], BEGAN, MOVED)
    after = way_picture.ways(evidence, ["h1"], MOVED, ENDED)
    assert [(way.source, way.destination, way.words) for way in before] == [
        ("cn", "h1", "to mag1"),
        ("h1", "cn", "from mag1"),
    ]
    assert [way.words for way in after] == ["to mag2", "from mag2"]
    assert [way.colour for way in (*before, *after)] == [PALETTE[0], PALETTE[0], PALETTE[1], PALETTE[1]]
    assert way_picture.ways(evidence, ["h2"], BEGAN, MOVED) == ()


def test_a_tunnel_is_a_pipe_and_a_bare_packet_is_none(world: World) -> None:
    root = ElementTree.fromstring(way_picture.draw(world.evidence(), ["h1"], BEGAN, MOVED, 1060.0))
    lines = [line for line in root.iter(f"{SVG}line") if line.get("stroke") == PALETTE[0]]
    thick = [float(line.get("stroke-width", "0")) for line in lines]
    # Two directions over four links; two of these are in the core, where a wall stands around the packet.
    assert (thick.count(min(thick)), sum(width > 5 for width in thick)) == (8, 4)
    assert len(list(root.iter(f"{SVG}polygon"))) == 8


def test_a_place_that_was_left_is_dashed(world: World) -> None:
    evidence = world.evidence()
    assert "stroke-dasharray" in way_picture.draw(evidence, ["h1"], MOVED - 0.001, ENDED, 1060.0)
    assert "stroke-dasharray" not in way_picture.draw(evidence, ["h1"], MOVED + 0.001, ENDED, 1060.0)


@pytest.mark.parametrize("width", WIDTHS)
def test_many_ways_beside_each_other_end_in_the_boxes_of_their_nodes(
    world: World, width: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence = world.evidence()
    taken = way_picture.ways(evidence, ["h1"], BEGAN, MOVED) * 4
    monkeypatch.setattr(way_picture, "ways", lambda *_: taken)
    root = ElementTree.fromstring(way_picture.draw(evidence, ["h1"], BEGAN, MOVED, width))
    boxes = [
        [float(box.get(key, "")) for key in ("x", "y", "width", "height")] for box in root.iter(f"{SVG}rect") if box.get("x")
    ]
    lines = [line for line in root.iter(f"{SVG}line") if line.get("stroke") == PALETTE[0]]
    assert len(lines) == 8 * 4 + 8 * 2
    for line in lines:
        for end in "12":
            x, y = float(line.get(f"x{end}", "")), float(line.get(f"y{end}", ""))
            assert any(left <= x <= left + wide and top <= y <= top + high for left, top, wide, high in boxes), (x, y)


def inside(svg: str) -> list[str]:
    """What of a picture's words and boxes is not inside it."""
    root = ElementTree.fromstring(svg)
    width, height = float(root.get("width", "0")), float(root.get("height", "0"))
    out = []
    for box in root.iter(f"{SVG}rect"):
        if box.get("x") and not (
            float(box.get("x", "0")) >= 0 and float(box.get("x", "0")) + float(box.get("width", "0")) <= width
        ):
            out.append(f"box at {box.get('x')}")
    for text in root.iter(f"{SVG}text"):
        size = len(text.text or "") * TEXT * float(text.get("font-size", "11")) / 11 * 0.92
        left = float(text.get("x", "0")) - {"start": 0.0, "middle": 0.5, "end": 1.0}[text.get("text-anchor", "start")] * size
        if left < 0 or left + size > width or not 0 < float(text.get("y", "0")) <= height:
            out.append(str(text.text))
    return out


@pytest.mark.parametrize("width", WIDTHS)
def test_no_word_leaves_its_picture(world: World, width: float) -> None:
    evidence = world.evidence()
    pictures = [ladder_picture.draw(ladder, width) for ladder in ladders(evidence, "h1")]
    pictures.append(way_picture.draw(evidence, ["h1"], BEGAN, MOVED, width))
    pictures.append(traffic_picture.draw(evidence, width))
    pictures += [traffic_picture.draw_handover(evidence, handover, width) for handover in handovers(evidence, "h1")]
    for picture in pictures:
        assert inside(picture) == []
        assert float(ElementTree.fromstring(picture).get("width", "0")) <= width


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("count", range(2, 8))
def test_a_ladder_fits_with_any_number_of_columns(width: float, count: int) -> None:
    columns = tuple((f"n{number}", f"HA/LMA{number}") for number in range(count))
    home, abroad = "2001:db8:100:1:0:ff:fe00:101", "2001:db8:1a:1:0:ff:fe00:101"
    rows = (
        Arrow(0.0, "n0", "n1", "BU", "seq 48177, lifetime 3600 s", f"HoA {home}, CoA {abroad}", "signal"),
        Box(0.1, f"n{count - 1}", (f"HoA {home}", f"-> CoA {abroad}", "binding updated")),
        Arrow(12.3456, f"n{count - 1}", f"n{count - 2}", "NA (4 times)", home, "", "neighbor"),
    )
    picture = ladder_picture.draw(Ladder("a step", 0.0, columns, rows), width)
    assert inside(picture) == []
    assert float(ElementTree.fromstring(picture).get("width", "0")) <= width


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", [one.name for one in plays() if one.conditions == IDEAL])
def test_the_network_of_every_scenario_fits(name: str, width: float) -> None:
    [one] = [one for one in plays() if one.name == name]
    picture = topology_picture.draw(one.scenario.topology(one.conditions), [], {}, width)
    assert inside(picture) == []
    assert float(ElementTree.fromstring(picture).get("width", "0")) <= width
