# SPDX-License-Identifier: Apache-2.0
"""A topology as a picture: nodes, links, tunnels' ends, and the way that each host took.

It is drawn for the width at which it will be shown: addresses are left out where there is no room for them.

Always holds: every node and every link of the topology is in it, whole; a host is joined to each gateway it was at, with the
number of the movement.
"""

from __future__ import annotations

import itertools
from typing import Any

from halma.lab.picture import FAINT, INK, PALETTE, PAPER, Picture
from halma.lab.topology import Kind, Node, Topology
from halma.value import value

_COLUMN, _ROW = 190.0, 88.0
"""How wide columns are where nothing asks for more, and how high rows are."""
_BESIDE, _EDGE = 14.0, 8.0
"""Between two nodes that stand side by side, and beside the outermost."""
_FILLS = {
    Kind.HOST: "#f3f7ee",
    Kind.CORRESPONDENT: "#f3f7ee",
    Kind.ROUTER: "#f2f2f2",
    Kind.ANCHOR: "#fdeccd",
    Kind.GATEWAY: "#e4eefa",
}


@value
class Sheet:
    """A network laid out: the picture with its links drawn, where each node's middle is, and the address written on it."""

    picture: Picture
    where: dict[str, tuple[float, float]]
    labels: dict[str, str]

    def half(self, node: Node) -> tuple[float, float]:
        """Half the width and half the height of a node's box."""
        label = self.labels[node.name]
        return _size(node, label) / 2, 21 if label else 15


def lay_out(topology: Topology, addresses: dict[str, str], title: str, width: float, colour: str = INK) -> Sheet:
    """A picture with the links that stay where they are, in a colour."""
    labels = {node.name: _address(topology, node, addresses) for node in topology.nodes}
    columns = max(node.place[0] for node in topology.nodes)
    column = max(_COLUMN, _column_width(topology, labels))
    side = _side(topology, labels, column)
    if 2 * side + columns * column > width:
        labels = dict.fromkeys(labels, "")
        side = _side(topology, labels, 0.0)
        column = max(_column_width(topology, labels), (width - 2 * side) / max(1.0, columns))
    rows = sorted({node.place[1] for node in topology.nodes})
    picture = Picture(2 * side + columns * column, (len(rows) - 1) * _ROW + 68, title)
    # A row is as high as any other, also where it was put between two.
    where = {node.name: (side + node.place[0] * column, 34 + rows.index(node.place[1]) * _ROW) for node in topology.nodes}
    for link in topology.links:
        (x1, y1), (x2, y2) = (where[end.node] for end in link.ends)
        picture.line(x1, y1, x2, y2, colour, 1.6)
        if link.impairment is not None and (link.impairment.delay_ms or link.impairment.loss):
            told = f"{link.impairment.delay_ms:g} ms, {link.impairment.loss * 100:g} % loss"
            picture.text((x1 + x2) / 2, (y1 + y2) / 2 + 4, told, 10, FAINT, "middle")
    return Sheet(picture, where, labels)


def put_nodes(sheet: Sheet, topology: Topology) -> None:
    """Draw the nodes, over everything that was drawn before."""
    for node in topology.nodes:
        (x, y), label = sheet.where[node.name], sheet.labels[node.name]
        across, down = sheet.half(node)
        sheet.picture.box(x - across, y - down, 2 * across, 2 * down, _FILLS[node.kind], INK, 5)
        sheet.picture.text(x, y - 3 if label else y + 5, node.title, 13, INK, "middle", bold=True)
        if label:
            sheet.picture.text(x, y + 13, label, 10, INK, "middle")


def draw(topology: Topology, movements: list[dict[str, Any]], addresses: dict[str, str], width: float) -> str:
    """The network with the movements that took place in it."""
    sheet = lay_out(topology, addresses, "The network", width)
    picture, where = sheet.picture, sheet.where
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
            picture.dot(x, y, 9, colour)
            picture.dot(x, y, 7.5, PAPER)
            picture.text(x, y + 4, str(counts[host]), 11, INK, "middle", bold=True)
    put_nodes(sheet, topology)
    return str(picture)


def _address(topology: Topology, node: Node, addresses: dict[str, str]) -> str:
    """The address that is written on a node."""
    declared = (str(end.addresses[0].ip) for _, end in topology.ends_of(node.name) if end.addresses)
    return addresses.get(node.name) or next(declared, "")


def _size(node: Node, label: str) -> float:
    """How wide a node is with that address on it."""
    return max(7.6 * len(node.title) + 16, 6.2 * len(label) + 14)


def _column_width(topology: Topology, labels: dict[str, str]) -> float:
    """How wide columns must be for no two nodes of a row to touch."""
    width = 0.0
    for row in {node.place[1] for node in topology.nodes}:
        beside = sorted((node for node in topology.nodes if node.place[1] == row), key=lambda node: node.place[0])
        for left, right in itertools.pairwise(beside):
            need = (_size(left, labels[left.name]) + _size(right, labels[right.name])) / 2 + _BESIDE
            width = max(width, need / max(0.1, right.place[0] - left.place[0]))
    return width


def _side(topology: Topology, labels: dict[str, str], column: float) -> float:
    """How much room there must be beside the middle of the outermost column."""
    last = max(node.place[0] for node in topology.nodes)
    return max(
        _size(node, labels[node.name]) / 2 + _EDGE - min(node.place[0], last - node.place[0]) * column
        for node in topology.nodes
    )
