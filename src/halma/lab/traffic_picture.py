# SPDX-License-Identifier: Apache-2.0
"""Traffic on a time axis: which tunnel each packet took, in colour, and where there were gaps.

Each picture is drawn for the width at which it will be shown.

Always holds: a packet's colour is the node at the far end of the tunnel in which it was captured, never where it should have
been; packets that were not delivered are red and stand at the time at which they were sent.
"""

from __future__ import annotations

from collections.abc import Sequence

from halma.lab.evidence import Delivery, Evidence
from halma.lab.judge_traffic import runs, tunnels
from halma.lab.moves import windows
from halma.lab.picture import FAINT, HAIR, INK, PALETTE, RED, Picture
from halma.lab.topology import Kind
from halma.lab.verdict import Handover
from halma.value import value

_RIGHT = 34.0
_NARROW = 600.0
"""Up to this width, names are short and small."""
_LANE = 30.0
_LEGEND = 19.0
_TOP, _CLOSE_LANE = 68.0, 44.0
"""Where the first lane of a close-up is, and how far they are apart."""
_GAP = "#fbdcd9"
_JOIN = 0.05
"""Seconds between two probes up to which they are drawn as one stripe; more is a gap."""
_STEPS_MS, _LABEL = (10, 20, 50, 100, 200, 500, 1000, 5000), 62.0
"""How far marks of the time may stand apart, and how much room one needs."""
_BEFORE_MS, _AFTER_MS = 60.0, 60.0
"""How much of the time around link-up a close-up shows."""


def colours(evidence: Evidence) -> dict[str, str]:
    """A colour for each node that a tunnel may lead to: gateways, and hosts, which have tunnels of their own abroad."""
    ends = [node.name for kind in (Kind.GATEWAY, Kind.HOST) for node in evidence.topology.of_kind(kind)]
    return {name: PALETTE[index % len(PALETTE)] for index, name in enumerate(ends)}


def way(evidence: Evidence, delivery: Delivery, known: dict[str, str]) -> tuple[str, str]:
    """The colour of a delivered probe and the words for its way."""
    path = tunnels(evidence, delivery.sightings)
    return known.get(_far_end(path, known), INK), " then ".join(path) or "no tunnel"


def _far_end(path: Sequence[str], known: dict[str, str]) -> str:
    """The node at the far end of the last tunnel of a path."""
    return next((word for step in path[::-1] for word in step.split() if word in known), "")


def _time(delivery: Delivery) -> float | None:
    """When a probe was delivered, or else sent; None when the wire never saw it."""
    if delivery.delivered is not None:
        return delivery.delivered.time
    return delivery.sightings[0].time if delivery.sightings else None


def draw(evidence: Evidence, width: float) -> str:
    """All UDP streams from the start of traffic to the end."""
    streams = [stream for stream, ends in evidence.streams.items() if ends["kind"] == "udp"]
    known = colours(evidence)
    used = {_far_end(run.path, known) for stream in streams for run in runs(evidence, stream)}
    legend = [(f"tunnel of {evidence.topology.node(name).title}", known[name]) for name in known if name in used]
    left = _left(width)
    times = [
        time for stream in streams for delivery in evidence.deliveries(stream)[:1] if (time := _time(delivery)) is not None
    ]
    began, ended = min(times, default=evidence.journal["began"]) - 0.05, evidence.end
    scale = (width - left - _RIGHT) / max(ended - began, 0.001)
    moves = [
        (window.moved, host, window.target)
        for host in dict.fromkeys(movement["host"] for movement in evidence.journal["movements"])
        for window in windows(evidence, host)
        if window.moved > began and window.source is not None
    ]
    top = _legend_height(width, left, legend) + 16.0 * max(1, len(moves)) + 8
    height = top + _LANE * len(streams) + 30
    picture = Picture(width, height, "Traffic")

    def place(time: float) -> float:
        return left + (time - began) * scale

    _legend(picture, width, left, legend)
    step = next((step for step in (1, 2, 5, 10, 30) if step * scale >= 30), 60)
    for second in range(0, int(ended - began) + 1, step):
        x = place(began + second)
        picture.line(x, top, x, height - 24, HAIR)
        picture.text(x, height - 9, f"{second} s", 11, FAINT, "middle")
    for index, (time, host, target) in enumerate(sorted(moves)):
        y = top - 16.0 * (len(moves) - index) + 8
        picture.line(place(time), y + 4, place(time), height - 24, INK, 1, "3 3")
        words = f"{host} to {target or 'nowhere'}"
        late = place(time) > (width + left) / 2
        picture.text(place(time) + (4 if late else -4), y, words, 11, INK, "end" if late else "start")
    for index, stream in enumerate(streams):
        _lane(picture, evidence, stream, known, (left, began, scale), top + 6 + index * _LANE)
    return str(picture)


def _left(width: float) -> float:
    """How much room the names of the lanes get."""
    return 150.0 if width > _NARROW else 92.0


def _legend_rows(width: float, left: float, legend: list[tuple[str, str]]) -> list[tuple[float, float, str, str]]:
    """Where the words of the legend go, in as many rows as they need."""
    x, y, found = left, 15.0, []
    for words, colour in [*legend, ("not delivered", RED)]:
        size = 30 + 6.2 * len(words)
        if x + size > width and x > left:
            x, y = left, y + _LEGEND
        found.append((x, y, words, colour))
        x += size
    return found


def _legend_height(width: float, left: float, legend: list[tuple[str, str]]) -> float:
    return _legend_rows(width, left, legend)[-1][1] + 10


def _legend(picture: Picture, width: float, left: float, legend: list[tuple[str, str]]) -> None:
    for x, y, words, colour in _legend_rows(width, left, legend):
        if colour == RED:
            picture.cross(x + 6, y - 4, 4, RED)
        else:
            picture.area(x, y - 9, 14, 10, colour)
        picture.text(x + 18, y, words, 11)


def _lane(
    picture: Picture, evidence: Evidence, stream: int, known: dict[str, str], axis: tuple[float, float, float], y: float
) -> None:
    ends = evidence.streams[stream]
    titles = {node.name: node.title for node in evidence.topology.nodes}
    left, began, scale = axis
    size = 12 if picture.width > _NARROW else 10.5
    picture.text(8, y + 12, f"{titles[ends['source']]} \u2192 {titles[ends['destination']]}", size)
    start: float | None = None
    end = 0.0
    colour, words = "", ""
    lost = 0
    join = max(_JOIN, 4 * ends["interval_ms"] / 1000)

    def flush() -> None:
        if start is not None:
            picture.area(left + (start - began) * scale, y, (end - start) * scale, 15, colour, words)

    for delivery in evidence.deliveries(stream):
        time = _time(delivery)
        if delivery.delivered is None or time is None:
            if time is not None:
                lost += 1
                picture.line(left + (time - began) * scale, y, left + (time - began) * scale, y + 15, RED, 0.6)
            continue
        seen = way(evidence, delivery, known)
        if start is None or time - end > join or seen != (colour, words) or lost:
            flush()
            start, (colour, words) = time, seen
        lost = 0
        end = time
    flush()


@value
class _Moments:
    """The time around a handover as a stretch of a picture: `before` and `after` link-up in milliseconds, from `left` on."""

    up: float
    before: float
    after: float
    left: float
    scale: float

    def place(self, time: float) -> float:
        """Where a time is, from left to right."""
        return self.left + (self.before + (time - self.up) * 1000) * self.scale

    def shows(self, time: float) -> bool:
        """Whether a time is in the picture."""
        return -self.before <= (time - self.up) * 1000 <= self.after


def draw_handover(evidence: Evidence, handover: Handover, width: float) -> str:
    """The milliseconds around one handover, packet by packet."""
    if handover.link_up is None:
        return ""
    before = max(_BEFORE_MS, (handover.link_up - handover.moved) * 1000 + 15)
    after = max(_AFTER_MS, *(1.3 * (gap or 0) for gap in (handover.gap_down_ms, handover.gap_up_ms)))
    left = _left(width)
    moments = _Moments(handover.link_up, before, after, left, (width - left - _RIGHT) / (before + after))
    foot = _TOP + 2 * _CLOSE_LANE + 20
    picture = Picture(width, foot + 28, f"{handover.host} from {handover.source} to {handover.target}")
    _draw_time(picture, moments, foot)
    _draw_link(picture, moments, handover, foot)
    known, lanes = colours(evidence), _lanes(evidence, handover.host)
    for index, ((words, streams), gap) in enumerate(zip(lanes, (handover.gap_down_ms, handover.gap_up_ms), strict=True)):
        y = _TOP + index * _CLOSE_LANE
        if gap is not None:
            picture.area(moments.place(moments.up), y - 10, gap * moments.scale, 24, _GAP, f"gap of {gap:.2f} ms")
            picture.text(moments.place(moments.up) + 4, y - 13, f"gap {gap:.1f} ms", 10.5, RED)
        picture.text(8, y + 6, words if width > _NARROW else words.split()[0], 12)
        _draw_packets(picture, moments, evidence, streams, known, y)
    y = _TOP + len(lanes) * _CLOSE_LANE
    picture.text(8, y + 6, "signalling", 12)
    for signal in evidence.signals_about(handover.host):
        if moments.shows(signal.sent):
            picture.dot(moments.place(signal.sent), y + 2, 3.2, "#1f4e9c")
    return str(picture)


def _draw_time(picture: Picture, moments: _Moments, foot: float) -> None:
    """Lines at round numbers of milliseconds from link-up."""
    step = next((step for step in _STEPS_MS if step * moments.scale >= _LABEL), _STEPS_MS[-1])
    mark = -int(moments.before // step) * step
    while mark <= moments.after:
        x = moments.place(moments.up + mark / 1000)
        picture.line(x, 40, x, foot, HAIR)
        picture.text(x, foot + 16, f"{mark:+d} ms" if mark else "link up", 11, INK if mark == 0 else FAINT, "middle")
        mark += step


def _draw_link(picture: Picture, moments: _Moments, handover: Handover, foot: float) -> None:
    """When the host's link went and came."""
    for time, words, side in (
        (handover.moved, "taken away", "end"),
        (handover.link_down, "link down", "start"),
        (moments.up, "", "end"),
    ):
        if time is not None and abs(moments.place(time) - moments.left) < picture.width:
            x = moments.place(time)
            picture.line(x, 20, x, foot, INK, 1, "3 3")
            picture.text(x + (-3 if side == "end" else 3), 28, words, 11, INK, side)


def _draw_packets(
    picture: Picture, moments: _Moments, evidence: Evidence, streams: list[int], known: dict[str, str], y: float
) -> None:
    """A bar for each packet that arrived, in the colour of its way, and a cross for each that was lost."""
    for stream in streams:
        for delivery in evidence.deliveries(stream):
            time = _time(delivery)
            if time is None or not moments.shows(time):
                continue
            if delivery.delivered is None:
                picture.cross(moments.place(time), y + 2, 2.6, RED)
            else:
                picture.area(moments.place(time) - 0.9, y - 6, 1.8, 16, *way(evidence, delivery, known))


def _lanes(evidence: Evidence, host: str) -> list[tuple[str, list[int]]]:
    """The streams to and from a host."""
    down = [number for number, ends in evidence.streams.items() if ends["kind"] == "udp" and ends["destination"] == host]
    up = [number for number, ends in evidence.streams.items() if ends["kind"] == "udp" and ends["source"] == host]
    return [("down to the host", down), ("up from the host", up)]
