# SPDX-License-Identifier: Apache-2.0
"""The network as it stood at the end of a step: where the hosts' links were, and the way that packets took there and back.

A bare packet is a thin line, a tunnel is a pipe around it, and a tunnel in a tunnel a pipe around the pipe.

Always holds: a way is the links on which one packet was captured, the last of its stream in the step; a pipe is a header that
was around it there.
"""

from __future__ import annotations

from collections.abc import Sequence

from halma.lab import topology_picture
from halma.lab.evidence import Delivery, Evidence
from halma.lab.packets import Sighting
from halma.lab.picture import FAINT, HAIR, INK, PAPER, Picture
from halma.lab.topology import Kind, Topology
from halma.lab.traffic_picture import colours, way
from halma.value import value

_PACKET, _WALL, _HOLLOW = 2.4, 2.0, 2.2
"""How thick a packet's line, a pipe's wall and the hollow inside it are."""
_HEAD = 10.0
"""How wide the head of an arrow is."""


@value
class Way:
    """The way of one packet: the stream that it belongs to, and the words for the tunnels that it was in."""

    source: str
    destination: str
    delivery: Delivery
    words: str
    colour: str


def ways(evidence: Evidence, hosts: Sequence[str], since: float, until: float) -> tuple[Way, ...]:
    """The way of the last packet that was delivered in a step, for each stream between a correspondent and one of `hosts`."""
    mobile = {node.name for node in evidence.topology.of_kind(Kind.HOST)}
    known = colours(evidence)
    found = []
    for stream, ends in evidence.streams.items():
        source, destination = ends["source"], ends["destination"]
        if ends["kind"] != "udp" or not {source, destination} & set(hosts) or {source, destination} <= mobile:
            continue
        last = None
        for delivery, time in evidence.arrivals(stream, since):
            if time >= until:
                break
            last = delivery
        if last is not None:
            colour, words = way(evidence, last, known)
            found.append(Way(source, destination, last, words, colour))
    return tuple(found)


def draw(evidence: Evidence, hosts: Sequence[str], since: float, until: float, width: float) -> str:
    """The network from `since` to `until`."""
    topology, addresses = evidence.topology, evidence.journal["addresses"]
    sheet = topology_picture.lay_out(topology, addresses, "The network in this step", width, HAIR)
    for access in topology.access:
        place = evidence.gateway_at(access.host, until)
        before = evidence.gateway_at(access.host, since)
        if place is not None:
            sheet.picture.line(*sheet.where[access.host], *sheet.where[place], INK, 1.6)
        if before is not None and before != place:
            sheet.picture.line(*sheet.where[access.host], *sheet.where[before], FAINT, 1.4, "3 5")
    sections = [section for one in ways(evidence, hosts, since, until) for section in _sections(evidence, one)]
    for link in dict.fromkeys(section.link for section in sections):
        beside = [section for section in sections if section.link == link]
        lane = max(_HEAD, _thickness(max(section.tunnels for section in beside))) + (5.0 if len(beside) <= 2 else 1.5)
        for index, section in enumerate(beside):
            _draw_section(sheet, topology, section, (index - (len(beside) - 1) / 2) * lane)
    topology_picture.put_nodes(sheet, topology)
    return str(sheet.picture)


@value
class _Section:
    """A link of a way, from the one end to the other."""

    link: str
    start: str
    end: str
    tunnels: int
    colour: str


def _sections(evidence: Evidence, one: Way) -> list[_Section]:
    """The links of a way in their order."""
    here = one.source
    found: list[_Section] = []
    for sighting in one.delivery.sightings:
        link = sighting.point.partition("@")[0]
        ends = _ends(evidence, link, sighting)
        if here in ends and all(section.link != link for section in found):
            there = ends[1] if here == ends[0] else ends[0]
            found.append(_Section(link, here, there, len(sighting.layers) - 1, one.colour))
            here = there
    return found


def _draw_section(sheet: topology_picture.Sheet, topology: Topology, section: _Section, aside: float) -> None:
    """Draw a link of a way from box to box, `aside` from the link's middle; the same side for both directions."""
    (x1, y1), (x2, y2) = sheet.where[section.start], sheet.where[section.end]
    length = max(1.0, ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5)
    dx, dy = (x2 - x1) / length, (y2 - y1) / length
    start, end = (_inside(sheet.half(topology.node(name)), dx, dy) for name in (section.start, section.end))
    side = aside if (dy, dx) > (0, 0) else -aside
    x1, x2 = x1 + dx * start - dy * side, x2 - dx * end - dy * side
    y1, y2 = y1 + dy * start + dx * side, y2 - dy * end + dx * side
    _pipe(sheet.picture, (x1, y1, x2, y2), section.tunnels, section.colour)
    # Ways that run beside each other have their heads one behind the other.
    part = 0.46 if aside > 0 else 0.54
    sheet.picture.head(x1 + (x2 - x1) * part, y1 + (y2 - y1) * part, dx, dy, section.colour)


def _inside(half: tuple[float, float], dx: float, dy: float) -> float:
    """How far a line from the middle of a box runs inside it."""
    across, down = half
    return max(0.0, min(across / max(abs(dx), 1e-6), down / max(abs(dy), 1e-6)) - 4)


def _thickness(tunnels: int) -> float:
    """How thick the outermost of so many pipes is."""
    return _PACKET + tunnels * 2 * (_WALL + _HOLLOW)


def _pipe(picture: Picture, line: tuple[float, float, float, float], tunnels: int, colour: str) -> None:
    for ring in range(tunnels, 0, -1):
        picture.line(*line, colour, _thickness(ring))
        picture.line(*line, PAPER, _thickness(ring) - 2 * _WALL)
    picture.line(*line, colour, _PACKET)


def _ends(evidence: Evidence, link: str, sighting: Sighting) -> tuple[str, str]:
    """The two nodes of a link at the time of a sighting."""
    for access in evidence.topology.access:
        if access.name == link:
            return access.host, evidence.gateway_at(access.host, sighting.time) or access.host
    left, right = next(known for known in evidence.topology.links if known.name == link).ends
    return left.node, right.node
