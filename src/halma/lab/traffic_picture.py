# SPDX-License-Identifier: Apache-2.0
"""Traffic on a time axis: which tunnel each packet took, in colour, and where there were gaps.

Always holds: a packet's colour is the gateway in whose tunnel it was captured, never where it should have been; packets that
were not delivered are red and stand at the time at which they were sent.
"""

from __future__ import annotations

from halma.lab.evidence import Delivery, Evidence
from halma.lab.judge_traffic import tunnels
from halma.lab.moves import windows
from halma.lab.picture import FAINT, HAIR, INK, PALETTE, RED, Picture
from halma.lab.topology import Kind
from halma.lab.verdict import Handover

_LEFT, _RIGHT, _WIDTH = 150.0, 34.0, 990.0
_LANE = 26.0
_JOIN = 0.05
"""Seconds between two probes up to which they are drawn as one stripe; more is a gap."""
_STEPS_MS, _LABEL = (10, 20, 50, 100, 200, 500, 1000, 5000), 62.0
"""How far marks of the time may stand apart, and how much room one needs."""
_BEFORE_MS, _AFTER_MS = 60.0, 60.0
"""How much of the time around link-up a close-up shows."""


def colours(evidence: Evidence) -> dict[str, str]:
    """A colour for each gateway."""
    gateways = [node.name for node in evidence.topology.of_kind(Kind.GATEWAY)]
    return {name: PALETTE[index % len(PALETTE)] for index, name in enumerate(gateways)}


def _colour(evidence: Evidence, delivery: Delivery, known: dict[str, str]) -> tuple[str, str]:
    """The colour of a delivered probe and the words for its way."""
    path = tunnels(evidence, delivery.sightings)
    gateway = next((word for step in path[::-1] for word in step.split() if word in known), "")
    return known.get(gateway, INK), " then ".join(path) or "no tunnel"


def _time(delivery: Delivery) -> float | None:
    """When a probe was delivered, or else sent; None when the wire never saw it."""
    if delivery.delivered is not None:
        return delivery.delivered.time
    return delivery.sightings[0].time if delivery.sightings else None


def draw(evidence: Evidence) -> str:
    """All UDP streams from the start of traffic to the end."""
    streams = [stream for stream, ends in evidence.streams.items() if ends["kind"] == "udp"]
    known = colours(evidence)
    times = [
        time for stream in streams for delivery in evidence.deliveries(stream)[:1] if (time := _time(delivery)) is not None
    ]
    began, ended = min(times, default=evidence.journal["began"]) - 0.05, evidence.end
    scale = (_WIDTH - _LEFT - _RIGHT) / max(ended - began, 0.001)
    height = 64 + _LANE * len(streams) + 20
    picture = Picture(_WIDTH, height, "Traffic")

    def place(time: float) -> float:
        return _LEFT + (time - began) * scale

    _legend(picture, evidence, known)
    second = 0
    while began + second < ended:
        x = place(began + second)
        picture.line(x, 34, x, height - 22, HAIR)
        picture.text(x, height - 8, f"{second} s", 11, FAINT, "middle")
        second += 1
    for host in dict.fromkeys(movement["host"] for movement in evidence.journal["movements"]):
        for window in windows(evidence, host):
            if window.moved > began and window.source is not None:
                picture.line(place(window.moved), 34, place(window.moved), height - 22, INK, 1, "3 3")
                picture.text(place(window.moved), 32, f"{host} to {window.target or 'nowhere'}", 11, INK, "middle")
    for index, stream in enumerate(streams):
        _lane(picture, evidence, stream, known, (began, scale), 44 + index * _LANE)
    return str(picture)


def _legend(picture: Picture, evidence: Evidence, known: dict[str, str]) -> None:
    x = _LEFT
    for name, colour in known.items():
        picture.area(x, 6, 14, 10, colour)
        picture.text(x + 18, 15, f"tunnel of {evidence.topology.node(name).title}", 11)
        x += 130
    picture.cross(x + 6, 11, 4, RED)
    picture.text(x + 18, 15, "not delivered", 11)


def _lane(
    picture: Picture, evidence: Evidence, stream: int, known: dict[str, str], axis: tuple[float, float], y: float
) -> None:
    ends = evidence.streams[stream]
    titles = {node.name: node.title for node in evidence.topology.nodes}
    picture.text(8, y + 12, f"{titles[ends['source']]} \u2192 {titles[ends['destination']]}", 12)
    began, scale = axis
    start: float | None = None
    end = 0.0
    colour, way = "", ""
    lost = 0
    join = max(_JOIN, 4 * ends["interval_ms"] / 1000)

    def flush() -> None:
        if start is not None:
            picture.area(_LEFT + (start - began) * scale, y, (end - start) * scale, 15, colour, way)

    for delivery in evidence.deliveries(stream):
        time = _time(delivery)
        if delivery.delivered is None or time is None:
            if time is not None:
                lost += 1
                picture.line(_LEFT + (time - began) * scale, y, _LEFT + (time - began) * scale, y + 15, RED, 0.6)
            continue
        seen = _colour(evidence, delivery, known)
        if start is None or time - end > join or seen != (colour, way) or lost:
            flush()
            start, (colour, way) = time, seen
        lost = 0
        end = time
    flush()


def draw_handover(evidence: Evidence, handover: Handover) -> str:
    """The milliseconds around one handover, packet by packet."""
    if handover.link_up is None:
        return ""
    known = colours(evidence)
    up = handover.link_up
    before = max(_BEFORE_MS, (up - handover.moved) * 1000 + 15)
    after = max(_AFTER_MS, *(1.3 * (gap or 0) for gap in (handover.gap_down_ms, handover.gap_up_ms)))
    picture = Picture(_WIDTH, 176, f"{handover.host} from {handover.source} to {handover.target}")
    scale = (_WIDTH - _LEFT - _RIGHT) / (before + after)

    def place(time: float) -> float:
        return _LEFT + (before + (time - up) * 1000) * scale

    step = next((step for step in _STEPS_MS if step * scale >= _LABEL), _STEPS_MS[-1])
    mark = -int(before // step) * step
    while mark <= after:
        x = place(up + mark / 1000)
        picture.line(x, 40, x, 148, HAIR)
        picture.text(x, 164, f"{mark:+d} ms" if mark else "link up", 11, INK if mark == 0 else FAINT, "middle")
        mark += step
    for time, words in ((handover.moved, "taken away"), (handover.link_down, "link down"), (up, "")):
        if time is not None and abs(place(time) - _LEFT) < _WIDTH:
            picture.line(place(time), 26, place(time), 148, INK, 1, "3 3")
            picture.text(place(time), 22, words, 11, INK, "middle")
    lanes = _lanes(evidence, handover.host)
    for index, (words, streams) in enumerate(lanes):
        y = 56 + index * 34
        picture.text(8, y + 6, words, 12)
        for stream in streams:
            for delivery in evidence.deliveries(stream):
                time = _time(delivery)
                if time is None or not -before <= (time - up) * 1000 <= after:
                    continue
                if delivery.delivered is None:
                    picture.cross(place(time), y + 2, 2.6, RED)
                else:
                    picture.area(place(time) - 0.9, y - 6, 1.8, 16, *_colour(evidence, delivery, known))
    y = 56 + len(lanes) * 34
    picture.text(8, y + 6, "signalling", 12)
    for signal in evidence.signals_about(handover.host):
        if -before <= (signal.sent - up) * 1000 <= after:
            picture.dot(place(signal.sent), y + 2, 3.2, "#1f4e9c")
    return str(picture)


def _lanes(evidence: Evidence, host: str) -> list[tuple[str, list[int]]]:
    """The streams to and from a host."""
    down = [number for number, ends in evidence.streams.items() if ends["kind"] == "udp" and ends["destination"] == host]
    up = [number for number, ends in evidence.streams.items() if ends["kind"] == "udp" and ends["source"] == host]
    return [("down to the host", down), ("up from the host", up)]
