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
        _draw_beside(sheet, topology, [section for section in sections if section.link == link])
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


def _draw_beside(sheet: topology_picture.Sheet, topology: Topology, sections: Sequence[_Section]) -> None:
    """Draw the ways that take one link, beside each other: as thick and as far apart as the boxes at its ends let them be."""
    first, tunnels = sections[0], max(section.tunnels for section in sections)
    (x1, y1), (x2, y2) = sheet.where[first.start], sheet.where[first.end]
    length = max(1.0, ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5)
    dx, dy = (x2 - x1) / length, (y2 - y1) / length
    if (dy, dx) < (0, 0):
        dx, dy = -dx, -dy
    thick = max(_HEAD, _thickness(tunnels))
    room = min(
        min(across / max(abs(dy), 1e-6), down / max(abs(dx), 1e-6))
        for across, down in (sheet.half(topology.node(name)) for name in (first.start, first.end))
    )
    wanted = thick + (5.0 if len(sections) <= 2 else 1.5)
    scale = min(1.0, 2 * room / (len(sections) * (thick + 1.5)))
    lane = min(wanted, 2 * room / len(sections))
    for index, section in enumerate(sections):
        side = (index - (len(sections) - 1) / 2) * lane
        start, end = sheet.where[section.start], sheet.where[section.end]
        line = (start[0] - dy * side, start[1] + dx * side, end[0] - dy * side, end[1] + dx * side)
        _draw_section(sheet.picture, section, line, scale, 0.46 if side > 0 else 0.54)


def _draw_section(
    picture: Picture, section: _Section, line: tuple[float, float, float, float], scale: float, part: float
) -> None:
    """Draw a link of a way: its pipes, the packet in them, and the head of an arrow at that part of it (those of ways beside
    each other stand one behind the other)."""
    for ring in range(section.tunnels, 0, -1):
        picture.line(*line, section.colour, _thickness(ring) * scale)
        picture.line(*line, PAPER, (_thickness(ring) - 2 * _WALL) * scale)
    picture.line(*line, section.colour, _PACKET * scale)
    x1, y1, x2, y2 = line
    length = max(1.0, ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5)
    size = max(3.5, _HEAD / 1.6 * scale)
    picture.head(x1 + (x2 - x1) * part, y1 + (y2 - y1) * part, (x2 - x1) / length, (y2 - y1) / length, section.colour, size)


def _thickness(tunnels: int) -> float:
    """How thick the outermost of so many pipes is."""
    return _PACKET + tunnels * 2 * (_WALL + _HOLLOW)


def _ends(evidence: Evidence, link: str, sighting: Sighting) -> tuple[str, str]:
    """The two nodes of a link at the time of a sighting."""
    for access in evidence.topology.access:
        if access.name == link:
            return access.host, evidence.gateway_at(access.host, sighting.time) or access.host
    left, right = next(known for known in evidence.topology.links if known.name == link).ends
    return left.node, right.node
