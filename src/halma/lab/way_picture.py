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
from halma.lab.topology import Kind
from halma.lab.traffic_picture import colours, way
from halma.value import value

_LANE, _PACKET, _WALL, _HOLLOW = 9.0, 2.4, 2.0, 2.2
"""How far ways are apart; how thick a packet's line, a pipe's wall and the hollow inside it are."""


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
    taken = ways(evidence, hosts, since, until)
    for index, one in enumerate(taken):
        aside = (index - (len(taken) - 1) / 2) * _LANE * (2.6 if _deepest(one) > 1 else 1.8)
        _draw_way(sheet.picture, evidence, one, sheet.where, aside)
    topology_picture.put_nodes(sheet, topology)
    return str(sheet.picture)


def _deepest(one: Way) -> int:
    return max(len(sighting.layers) for sighting in one.delivery.sightings) - 1


def _draw_way(picture: Picture, evidence: Evidence, one: Way, where: dict[str, tuple[float, float]], aside: float) -> None:
    """Draw a way along the links, `aside` from their middle; the same side for both directions of a link."""
    here = one.source
    done: set[str] = set()
    for sighting in one.delivery.sightings:
        link = sighting.point.partition("@")[0]
        ends = _ends(evidence, link, sighting)
        if link in done or here not in ends:
            continue
        done.add(link)
        there = ends[1] if here == ends[0] else ends[0]
        (x1, y1), (x2, y2) = where[here], where[there]
        length = max(1.0, ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5)
        dx, dy = (x2 - x1) / length, (y2 - y1) / length
        side = aside if (dy, dx) > (0, 0) else -aside
        x1, x2, y1, y2 = x1 - dy * side, x2 - dy * side, y1 + dx * side, y2 + dx * side
        _pipe(picture, (x1, y1, x2, y2), len(sighting.layers) - 1, one.colour)
        # Ways that run beside each other have their heads one behind the other.
        part = 0.46 if aside > 0 else 0.54
        picture.head(x1 + (x2 - x1) * part, y1 + (y2 - y1) * part, dx, dy, one.colour)
        here = there


def _pipe(picture: Picture, line: tuple[float, float, float, float], tunnels: int, colour: str) -> None:
    for ring in range(tunnels, 0, -1):
        hollow = _PACKET + 2 * _HOLLOW + (ring - 1) * 2 * (_WALL + _HOLLOW)
        picture.line(*line, colour, hollow + 2 * _WALL)
        picture.line(*line, PAPER, hollow)
    picture.line(*line, colour, _PACKET)


def _ends(evidence: Evidence, link: str, sighting: Sighting) -> tuple[str, str]:
    """The two nodes of a link at the time of a sighting."""
    for access in evidence.topology.access:
        if access.name == link:
            return access.host, evidence.gateway_at(access.host, sighting.time) or access.host
    left, right = next(known for known in evidence.topology.links if known.name == link).ends
    return left.node, right.node
