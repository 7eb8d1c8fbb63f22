# SPDX-License-Identifier: Apache-2.0
"""The handovers of a run, measured on the wire: when the link went and came, when the first packet came each way, and what
was lost.

The clock of a handover starts when the host can send: when its kernel says that eth0 has its carrier, or with the first
frame that the host sends after the move, whichever is earlier.

Always holds: every probe that did not arrive is counted once, either in the gap of one handover, or as a stray loss.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from halma.lab.evidence import Delivery, Evidence, Signal
from halma.lab.packets import Sighting
from halma.lab.topology import Kind
from halma.lab.verdict import Handover
from halma.value import value
from halma.wire.messages import BindingAcknowledgement, BindingUpdate
from halma.wire.numbers import BindingUpdateFlag


@value
class Losses:
    """The probes of a stream that did not arrive: `gaps` has the number of those that were lost in the gap of each movement
    of the host, `strays` the numbers of all others."""

    gaps: tuple[int, ...]
    strays: tuple[int, ...]


@value
class Window:
    """A movement and the time until the next: `index` among the movements of its host, times in seconds."""

    index: int
    moved: float
    link_down: float | None
    link_up: float | None
    until: float
    source: str | None
    target: str | None


def windows(evidence: Evidence, host: str) -> list[Window]:
    """The movements of a host, each with the times at which its link went and came back."""
    movements = evidence.movements(host)
    carrier = evidence.carrier(host)
    access = evidence.topology.access_of(host)
    own = bytes.fromhex(access.link_layer_address.replace(":", ""))
    found = []
    for index, movement in enumerate(movements):
        moved = movement["time"]
        until = movements[index + 1]["time"] if index + 1 < len(movements) else evidence.end
        down = next((time for time, up in carrier if not up and moved <= time < until), None)
        up = None
        if movement["to"] is not None:
            since = moved if down is None else down
            own_frames = [frame.time for frame in _until(evidence.after(access.name, since), until) if frame.link_source == own]
            times = [time for time, comes in carrier if comes and since < time < until]
            if down is not None or movement["from"] is None:
                # The carrier has gone, so that a frame of the host can only have gone out over the new link.
                times += own_frames[:1]
            elif not times:
                times = _after_longest_silence([moved, *own_frames])
            up = min(times, default=None)
        found.append(Window(index, moved, down, up, until, movement["from"], movement["to"]))
    return found


def _until(sightings: Iterator[Sighting], until: float) -> Iterator[Sighting]:
    return itertools.takewhile(lambda sighting: sighting.time < until, sightings)


def _after_longest_silence(times: list[float]) -> list[float]:
    """Of the moments at which a host was heard, the one that ended its longest silence: when its link was away for so short
    a time that its kernel told nobody, that is when it was back."""
    pairs = list(itertools.pairwise(times))
    return [max(pairs, key=lambda pair: pair[1] - pair[0])[1]] if pairs else []


def losses(evidence: Evidence, stream: int) -> Losses:
    """What a stream has lost, ordered by the movements of its two ends. A run of missing probes belongs to a movement when
    the probe that ends it is the first one that came over the new link."""
    deliveries = evidence.deliveries(stream)
    hosts = [evidence.streams[stream]["source"], evidence.streams[stream]["destination"]]
    mobile = {node.name for node in evidence.topology.of_kind(Kind.HOST)}
    moves = sorted(
        (window for host in hosts if host in mobile for window in windows(evidence, host)), key=lambda window: window.moved
    )
    gaps = [0] * len(moves)
    strays: list[int] = []
    last_arrival: float | None = None
    missing: list[Delivery] = []
    for delivery in deliveries:
        if delivery.delivered is None:
            missing.append(delivery)
            continue
        if missing:
            crossed = [
                index
                for index, window in enumerate(moves)
                if last_arrival is not None
                and last_arrival < (window.link_up or window.until)
                and delivery.delivered.time >= window.moved
            ]
            if crossed:
                gaps[crossed[-1]] += len(missing)
            else:
                strays += [lost.number for lost in missing]
            missing = []
        last_arrival = delivery.delivered.time
    strays += [lost.number for lost in missing]
    return Losses(tuple(gaps), tuple(strays))


def first_packet_ms(evidence: Evidence, streams: list[int], window: Window, host: str) -> float | None:
    """Milliseconds from link-up to the first probe of these streams that came over the new link."""
    if window.link_up is None:
        return None
    near = evidence.topology.access_of(host).name
    times = []
    for stream in streams:
        for delivery, time in evidence.arrivals(stream, window.link_up):
            if time >= window.until:
                break
            if any(seen.point == near and window.link_up <= seen.time < window.until for seen in delivery.sightings):
                times.append(time)
                break
    return (min(times) - window.link_up) * 1000 if times else None


def stalled_ms(evidence: Evidence, streams: list[int], window: Window, gap_ms: float | None) -> float:
    """How many milliseconds of a gap no sender of these streams sent, because the machine did not let it."""
    if window.link_up is None or gap_ms is None or not streams:
        return 0.0
    end = window.link_up + gap_ms / 1000
    return min(
        1000 * _covered(evidence.results(evidence.streams[stream]["source"]).get("stalls", []), window.link_up, end)
        for stream in streams
    )


def _covered(spans: list[tuple[float, float]], start: float, end: float) -> float:
    """How many seconds between start and end lie in at least one of the spans."""
    total, reached = 0.0, start
    for left, right in sorted(spans):
        inside = min(right, end) - max(left, reached)
        if inside > 0:
            total += inside
            reached = min(right, end)
    return total


def registration_pair(signals: list[Signal], window: Window) -> tuple[Signal, Signal] | None:
    """The last registration that a movement needs, and the answer that accepted it: among the messages about a host the
    first update that it sends itself, or else the first proxy registration by its new gateway."""
    after = [
        signal for signal in signals if isinstance(signal.message, BindingUpdate) and window.moved <= signal.sent < window.until
    ]
    updates = [signal for signal in after if not _flags(signal) & BindingUpdateFlag.PROXY] or [
        signal
        for signal in after
        if _flags(signal) & BindingUpdateFlag.PROXY and signal.source == window.target and _lasts(signal)
    ]
    for update in updates:
        for answer in signals:
            if (
                isinstance(answer.message, BindingAcknowledgement)
                and answer.message.status < 128
                and answer.destination == update.source
                and update.sent <= answer.sent < window.until
            ):
                return updates[0], answer
    return None


def _flags(signal: Signal) -> int:
    return signal.message.flags if isinstance(signal.message, BindingUpdate) else 0


def _lasts(signal: Signal) -> bool:
    return isinstance(signal.message, BindingUpdate) and signal.message.lifetime > 0


def handovers(evidence: Evidence, host: str) -> list[Handover]:
    """The moves of a host from one gateway to another, measured with the probes between it and the correspondents."""
    mobile = {node.name for node in evidence.topology.of_kind(Kind.HOST)}
    down = [
        stream
        for stream, ends in evidence.streams.items()
        if ends["kind"] == "udp" and ends["destination"] == host and ends["source"] not in mobile
    ]
    up = [
        stream
        for stream, ends in evidence.streams.items()
        if ends["kind"] == "udp" and ends["source"] == host and ends["destination"] not in mobile
    ]
    signals = evidence.signals_about(host)
    lost_down = [losses(evidence, stream) for stream in down]
    lost_up = [losses(evidence, stream) for stream in up]
    found = []
    before: str | None = None
    for window in windows(evidence, host):
        if window.target is None:
            continue
        if before is not None and before != window.target:
            pair = registration_pair(signals, window)
            gap_down = first_packet_ms(evidence, down, window, host)
            gap_up = first_packet_ms(evidence, up, window, host)
            found.append(
                Handover(
                    host,
                    before,
                    window.target,
                    window.moved,
                    window.link_down,
                    window.link_up,
                    gap_down,
                    gap_up,
                    sum(lost.gaps[window.index] for lost in lost_down),
                    sum(lost.gaps[window.index] for lost in lost_up),
                    (pair[1].arrived - pair[0].sent) * 1000 if pair else None,
                    stalled_ms(evidence, down, window, gap_down),
                    stalled_ms(evidence, up, window, gap_up),
                )
            )
        before = window.target
    return found
