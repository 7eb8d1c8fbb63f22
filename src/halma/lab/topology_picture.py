# SPDX-License-Identifier: Apache-2.0
"""A topology as a picture: nodes, links, tunnels' ends, and the way that each host took.

Always holds: every node and every link of the topology is in it; a host is joined to each gateway it was at, with the
number of the movement.
"""

from __future__ import annotations

import itertools
from typing import Any

from halma.lab.picture import FAINT, INK, PALETTE, Picture
from halma.lab.topology import Kind, Node, Topology

_NARROWEST, _ROW = 190.0, 92.0
_BESIDE = 14.0
"""Between two nodes that stand side by side."""
_SIDE = 110.0
_FILLS = {
    Kind.HOST: "#f3f7ee",
    Kind.CORRESPONDENT: "#f3f7ee",
    Kind.ROUTER: "#f2f2f2",
    Kind.ANCHOR: "#fdeccd",
    Kind.GATEWAY: "#e4eefa",
}


def draw(topology: Topology, movements: list[dict[str, Any]], addresses: dict[str, str]) -> str:
    """The network with the movements that took place in it."""
    columns = max(node.place[0] for node in topology.nodes)
    rows = max(node.place[1] for node in topology.nodes)
    column = _column_width(topology, addresses)
    width = 2 * _SIDE + columns * column
    picture = Picture(width, rows * _ROW + 84, "The network")
    where = {node.name: (_SIDE + node.place[0] * column, 36 + node.place[1] * _ROW) for node in topology.nodes}
    for link in topology.links:
        (x1, y1), (x2, y2) = (where[end.node] for end in link.ends)
        picture.line(x1, y1, x2, y2, INK, 1.6)
        if link.impairment is not None:
            told = f"{link.impairment.delay_ms:g} ms, {link.impairment.loss * 100:g} % loss"
            picture.text((x1 + x2) / 2, (y1 + y2) / 2 + 4, told, 10, FAINT, "middle")
    order = [access.host for access in topology.access]
    counts: dict[str, int] = {}
    for movement in movements:
        host, gateway = movement["host"], movement["to"]
        if gateway is None:
            continue
        counts[host] = counts.get(host, 0) + 1
        (x1, y1), (x2, y2) = where[host], where[gateway]
        shift = (counts[host] - 1) * 9.0
        colour = PALETTE[order.index(host) % len(PALETTE)]
        picture.line(x1 + shift, y1, x2 + shift, y2, colour, 1.6, "5 4")
        if sum(other["host"] == host for other in movements) > 1:
            part = 0.42 + 0.08 * (counts[host] - 1)
            x, y = x1 + shift + (x2 - x1) * part, y1 + (y2 - y1) * part
            picture.dot(x, y, 8, colour)
            picture.text(x, y + 4, str(counts[host]), 11, INK, "middle", bold=True)
    for node in topology.nodes:
        _node(picture, topology, node, where[node.name], addresses)
    return str(picture)


def _address(topology: Topology, node: Node, addresses: dict[str, str]) -> str:
    """The address that is written on a node."""
    declared = (str(end.addresses[0].ip) for _, end in topology.ends_of(node.name) if end.addresses)
    return addresses.get(node.name) or next(declared, "")


def _size(address: str) -> float:
    """How wide a node is with that address on it."""
    return max(96.0, 6.2 * len(address) + 14)


def _column_width(topology: Topology, addresses: dict[str, str]) -> float:
    """How wide columns must be for no two nodes of a row to touch."""
    width = _NARROWEST
    for row in {node.place[1] for node in topology.nodes}:
        beside = sorted((node for node in topology.nodes if node.place[1] == row), key=lambda node: node.place[0])
        for left, right in itertools.pairwise(beside):
            need = (_size(_address(topology, left, addresses)) + _size(_address(topology, right, addresses))) / 2 + _BESIDE
            width = max(width, need / max(0.1, right.place[0] - left.place[0]))
    return width


def _node(picture: Picture, topology: Topology, node: Node, place: tuple[float, float], addresses: dict[str, str]) -> None:
    x, y = place
    address = _address(topology, node, addresses)
    size = _size(address)
    picture.box(x - size / 2, y - 21, size, 42, _FILLS[node.kind], INK, 5)
    picture.text(x, y - 3, node.title, 13, INK, "middle", bold=True)
    picture.text(x, y + 13, address, 10, INK, "middle")
