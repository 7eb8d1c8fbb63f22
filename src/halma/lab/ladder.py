# SPDX-License-Identifier: Apache-2.0
"""Message ladders, made from the captures: who said what to whom, when, in the style of the figures of RFC 6612.

A ladder is a value; `halma.lab.ladder_text` prints it and `halma.lab.ladder_picture` draws it.

Always holds: every arrow is a packet that was captured; what stands in a box follows from the messages beside it (that an
answer accepted a registration), never from a daemon's word; rows are in the order of time, and none is about the lab's end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv6Address

from halma.lab.evidence import Evidence, Signal
from halma.lab.judge_home import (
    answered_address,
    care_of_address,
    is_home_answer,
    is_home_update,
    lifetime,
    sequence,
    updated_address,
)
from halma.lab.moves import windows
from halma.lab.topology import Kind
from halma.lab.words import essence, particulars, short_name
from halma.value import value
from halma.wire.messages import BindingAcknowledgement
from halma.wire.mld import MulticastListenerQuery
from halma.wire.nd import NeighborAdvertisement, NeighborSolicitation, RouterAdvertisement, RouterSolicitation

_ATTENTION = 1.0
"""Seconds after a link came up during which Neighbor Discovery is worth showing; later it is housekeeping, unless a router
says something new."""


@value
class Arrow:
    """A message, or the first of many packets, from one node to another. `kind` is `signal`, `neighbor` or `data`."""

    time: float
    source: str
    target: str
    label: str
    essence: str
    particulars: str
    kind: str


@value
class Box:
    """What has come to be at a node."""

    time: float
    node: str
    lines: tuple[str, ...]


Row = Arrow | Box


@value
class Ladder:
    """A step of a run: the nodes as columns, and what happened. Times of rows count from `began`."""

    title: str
    began: float
    columns: tuple[tuple[str, str], ...]
    """The name and the title of each node."""
    rows: tuple[Row, ...]


def ladders(evidence: Evidence, host: str) -> list[Ladder]:
    """A ladder for each step of a run in which something was said about a host."""
    rows = _joined(sorted((row for row in _rows(evidence, host) if row.time < evidence.end), key=lambda row: row.time))
    steps = evidence.journal["steps"]
    found = []
    for index, step in enumerate(steps):
        until = steps[index + 1]["time"] if index + 1 < len(steps) else float("inf")
        inside = tuple(row for row in rows if step["time"] <= row.time < until)
        if any(isinstance(row, Arrow) for row in inside):
            found.append(Ladder(step["name"], step["time"], _columns(evidence, inside, host), inside))
    return found


def _joined(rows: list[Row]) -> list[Row]:
    """The rows, with repetitions of Neighbor Discovery that follow each other made one."""
    found: list[Row] = []
    count = 1
    for row in rows:
        last = found[-1] if found else None
        alike = (
            isinstance(row, Arrow)
            and isinstance(last, Arrow)
            and row.kind == last.kind == "neighbor"
            and (row.source, row.target, row.label, row.essence)
            == (last.source, last.target, last.label.split(" ")[0], last.essence)
        )
        if alike and isinstance(last, Arrow):
            count += 1
            label = f"{last.label.split(' ')[0]} ({count} times)"
            found[-1] = Arrow(last.time, last.source, last.target, label, last.essence, "", last.kind)
        else:
            count = 1
            found.append(row)
    return found


def _columns(evidence: Evidence, rows: Sequence[Row], host: str) -> tuple[tuple[str, str], ...]:
    """The nodes that take part: the host, then gateways, routers, anchors (the nearest first) and correspondents."""
    taking_part = {host}
    for row in rows:
        taking_part |= {row.source, row.target} if isinstance(row, Arrow) else {row.node}
    order = [Kind.HOST, Kind.GATEWAY, Kind.ROUTER, Kind.ANCHOR, Kind.CORRESPONDENT]
    nodes = sorted(evidence.topology.nodes, key=lambda node: (order.index(node.kind), -node.place[1]))
    return tuple((node.name, node.title) for node in nodes if node.name in taking_part)


def _rows(evidence: Evidence, host: str) -> Iterator[Row]:
    yield from _signals(evidence, host)
    yield from _neighbors(evidence, host)
    yield from _listeners(evidence, host)
    yield from _firsts(evidence, host)
    for time, up in evidence.carrier(host):
        yield Box(time, host, ("link up" if up else "link down",))


def _signals(evidence: Evidence, host: str) -> Iterator[Row]:
    names = {node.name: node.title for node in evidence.topology.nodes}
    where: dict[str, str] = {}
    registered: dict[bytes, bytes] = {}
    signals = evidence.signals_about(host)
    for signal in signals:
        if signal.source not in names or signal.destination not in names:
            continue
        answer = signal.message
        if isinstance(answer, BindingAcknowledgement) and answer.status == 0:
            if signal.prefixes:
                yield _binding(signal, answer, names, where)
            elif is_home_answer(signal):
                yield from _home_binding(signal, signals, registered)
        yield Arrow(
            signal.sent,
            signal.source,
            signal.destination,
            short_name(signal.message),
            essence(signal.message),
            _addresses(signal) or particulars(signal.message),
            "signal",
        )


def _addresses(signal: Signal) -> str:
    """What a Binding Update is about: home address and care-of address."""
    if not is_home_update(signal):
        return ""
    return f"HoA {IPv6Address(updated_address(signal))}, CoA {IPv6Address(care_of_address(signal))}"


def _home_binding(signal: Signal, signals: Sequence[Signal], registered: dict[bytes, bytes]) -> Iterator[Box]:
    """What an acknowledgement to a mobile node says about its home agent's cache. `registered` has the care-of address that
    each home address was registered with before."""
    home = answered_address(signal)
    asked = [
        update
        for update in signals
        if is_home_update(update)
        and updated_address(update) == home
        and sequence(update) == sequence(signal)
        and update.sent <= signal.sent
    ]
    if not asked:
        return
    before, care_of = registered.get(home), care_of_address(asked[-1])
    if lifetime(asked[-1]) == 0 or care_of == home:
        registered.pop(home, None)
        told = "no change" if before is None else "binding deleted"
        yield Box(signal.sent, signal.source, (f"HoA {IPv6Address(home)} is at home", told))
        return
    registered[home] = care_of
    if before == care_of:
        yield Box(signal.sent, signal.source, ("binding kept",))
        return
    told = "binding created" if before is None else "binding updated"
    yield Box(signal.sent, signal.source, (f"HoA {IPv6Address(home)}", f"-> CoA {IPv6Address(care_of)}", told))


def _binding(signal: Signal, answer: BindingAcknowledgement, names: dict[str, str], where: dict[str, str]) -> Box:
    """What an acknowledgement that accepts says about the anchor's cache. `where` has for each anchor at which gateway the node
    is: `-` while the entry waits for one, nothing where there was no entry."""
    prefix = f"{IPv6Address(signal.prefixes[0])}/64"
    title = names[signal.destination]
    before = where.get(signal.source)
    if answer.lifetime:
        where[signal.source] = signal.destination
        happened = (
            "binding created" if before is None else "binding kept" if before == signal.destination else "binding updated"
        )
        return Box(signal.sent, signal.source, (f"{prefix} -> {title}", happened))
    if before == signal.destination:
        where[signal.source] = "-"
        return Box(signal.sent, signal.source, (f"{prefix}: {title} gave it up", "binding waits"))
    return Box(signal.sent, signal.source, (f"{prefix}: {title} gave it up", "no change"))


def _neighbors(evidence: Evidence, host: str) -> Iterator[Row]:
    own = bytes.fromhex(evidence.topology.access_of(host).link_layer_address.replace(":", ""))
    fresh = [window.link_up for window in windows(evidence, host) if window.link_up is not None]
    told: set[tuple[str, str]] = set()
    for sighting, message in evidence.neighbor_messages(host):
        gateway = evidence.gateway_at(host, sighting.time)
        if gateway is None:
            continue
        worth_showing = any(0 <= sighting.time - time < _ATTENTION for time in fresh)
        if isinstance(message, RouterAdvertisement):
            worth_showing |= (gateway, essence(message)) not in told
            told.add((gateway, essence(message)))
        elif not isinstance(message, NeighborSolicitation | NeighborAdvertisement | RouterSolicitation):
            continue
        if worth_showing:
            ends = (host, gateway) if sighting.link_source == own else (gateway, host)
            yield Arrow(sighting.time, *ends, short_name(message), essence(message), "", "neighbor")


def _listeners(evidence: Evidence, host: str) -> Iterator[Row]:
    """What a host and its anchor say of multicast groups in their tunnel; reports that name no group which anybody would miss
    are left out."""
    names = {node.name for node in evidence.topology.nodes}
    for sighting, message in evidence.listener_messages(evidence.topology.access_of(host).name, 2):
        ends = evidence.owner(sighting.outer.source), evidence.owner(sighting.outer.destination)
        if not names.issuperset(ends):
            continue
        if isinstance(message, MulticastListenerQuery) or essence(message):
            yield Arrow(sighting.time, *ends, short_name(message), essence(message), "", "neighbor")


def _firsts(evidence: Evidence, host: str) -> Iterator[Row]:
    """The first probe in each direction after each time that the host's link came up."""
    near = evidence.topology.access_of(host).name
    correspondents = {node.name for node in evidence.topology.of_kind(Kind.CORRESPONDENT)}
    for window in windows(evidence, host):
        if window.link_up is None:
            continue
        for stream, ends in evidence.streams.items():
            if ends["kind"] != "udp" or {ends["source"], ends["destination"]} & correspondents == set():
                continue
            if host not in {ends["source"], ends["destination"]}:
                continue
            for delivery, time in evidence.arrivals(stream, window.link_up):
                if time >= window.until:
                    break
                if any(seen.point == near and window.link_up <= seen.time < window.until for seen in delivery.sightings):
                    way = "down" if ends["destination"] == host else "up"
                    label = f"first packet {way}, number {delivery.number}"
                    yield Arrow(time, ends["source"], ends["destination"], label, "", "", "data")
                    break
