# SPDX-License-Identifier: Apache-2.0
"""The engines' rows (bytes and numbers, or text already) as the text that people and programs read, and which rows a request
asks for.

Always holds: a row in text is JSON-able, and what came from the network in it is escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum

from halma.control.schema import Show
from halma.policy.patterns import fits
from halma.text import Prefix, read_prefix, show_address, show_identifier, show_link_layer_address, show_prefix
from halma.wire.numbers import AccessTechnology, name_of

Row = Mapping[str, object]

HOST = 128
"""The length of a prefix that is one address."""
_NODES = frozenset({"node", "identifier", "identity"})
_LINK_LAYER = frozenset({"link_layer_identifier", "link_layer_address"})
_PEERS = ("gateway", "care_of_address", "anchor", "peer", "remote", "address")


def to_text(row: Row) -> dict[str, object]:
    """A row whose values are all JSON-able."""
    return {key: _text(key, value) for key, value in row.items()}


def _text(key: str, value: object) -> object:
    if isinstance(value, bytes):
        if key in _NODES:
            return show_identifier(value)
        if key in _LINK_LAYER or len(value) not in (0, 16):
            return show_link_layer_address(value) if any(value) else ""
        return show_address(value) if value else ""
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, str):
        return value
    if key == "access_technology" and isinstance(value, int):
        return name_of(AccessTechnology, value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], bytes) and isinstance(value[1], int):
        return show_prefix(value[0], value[1])
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_text(key, one) for one in value]
    if isinstance(value, Mapping):
        return to_text(value)
    return value


def wanted(request: Show) -> Callable[[Row], bool]:
    """Whether a row passes the request's filters. A row without what a filter asks for does not. Asking for an address finds
    the prefix that it is in, and asking for an aggregate all that is in it."""
    tests: list[Callable[[Row], bool]] = []
    if request.node:
        tests.append(lambda row: _fits(request.node, row.get("node")))
    prefix = request.prefix.prefix
    if prefix is not None:
        tests.append(lambda row: any(prefix.overlaps(held) for held in _prefixes(row)))
    if request.peer:
        peers = (bytes(request.peer), show_address(request.peer))
        tests.append(lambda row: any(row.get(key) in peers for key in _PEERS))
    return lambda row: all(test(row) for test in tests)


def _fits(pattern: bytes, node: object) -> bool:
    return fits(pattern, node.encode() if isinstance(node, str) else node) if isinstance(node, (str, bytes)) else False


def _prefixes(row: Row) -> list[Prefix]:
    held = row.get("prefixes", row.get("prefix"))
    home = row.get("home_address")
    if isinstance(home, bytes):
        held = [(home, HOST), *(held if isinstance(held, list) else [])]
    return [
        read_prefix(entry) if isinstance(entry, str) else Prefix(*entry)
        for entry in (held if isinstance(held, list) else [held])
        if isinstance(entry, (str, tuple)) and entry
    ]
