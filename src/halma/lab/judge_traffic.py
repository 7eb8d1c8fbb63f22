# SPDX-License-Identifier: Apache-2.0
"""The judge of traffic: which way each packet took, what was lost, what got through that must not.

Always holds: a packet counts as delivered when its destination's own link carried it, bare; its way is the tunnels that it was
captured in, those inside others too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from halma.lab.evidence import Evidence
from halma.lab.judge import some
from halma.lab.moves import losses
from halma.lab.packets import TCP, Layer, Sighting
from halma.lab.probe import BASE_PORT
from halma.lab.topology import Kind, Zone
from halma.lab.verdict import Check, Handover
from halma.value import value


@value
class Run:
    """Probes with consecutive numbers that took the same way: `path` names the far ends of their tunnels."""

    path: tuple[str, ...]
    first: int
    last: int
    count: int


def tunnels(evidence: Evidence, sightings: Sequence[Sighting]) -> tuple[str, ...]:
    """The gateways and nodes whose tunnels with an anchor a packet was seen in on core links, in order: `to mag1`, or
    `to mag1 around to mn` where one tunnel was inside another. A tunnel between two other nodes is named by both."""
    anchors = {node.name for node in evidence.topology.of_kind(Kind.ANCHOR)}
    path: list[str] = []
    for sighting in sightings:
        if sighting.bare or evidence.zones.get(sighting.point) is not Zone.CORE:
            continue
        name = " around ".join(_tunnel(evidence, layer, anchors) for layer in sighting.layers[:-1])
        if not path or path[-1] != name:
            path.append(name)
    return tuple(path)


def _tunnel(evidence: Evidence, layer: Layer, anchors: set[str]) -> str:
    """What a tunnel is called, by its header."""
    source, destination = evidence.owner(layer.source), evidence.owner(layer.destination)
    if source in anchors:
        return f"to {destination}"
    if destination in anchors:
        return f"from {source}"
    return f"{source} to {destination}"


def runs(evidence: Evidence, stream: int) -> list[Run]:
    """The ways that the delivered probes of a stream took, in the order of their numbers."""
    found: list[Run] = []
    for delivery in evidence.deliveries(stream):
        if delivery.delivered is None:
            continue
        path = tunnels(evidence, delivery.sightings)
        if found and found[-1].path == path:
            found[-1] = Run(path, found[-1].first, delivery.number, found[-1].count + 1)
        else:
            found.append(Run(path, delivery.number, delivery.number, 1))
    return found


def paths(evidence: Evidence, stream: int, expected: Sequence[tuple[str, ...]], requirement: str) -> Check:
    """The delivered probes of a stream took exactly these ways, one after the other."""
    ends = evidence.streams[stream]
    seen = runs(evidence, stream)
    told = "; ".join(f"{run.first}-{run.last} {' then '.join(run.path) or 'bare'}" for run in seen[:8])
    return Check(
        requirement,
        f"the way of each packet {ends['source']} to {ends['destination']}",
        [run.path for run in seen] == list(expected),
        told or "no packet was delivered",
    )


def stray_losses(evidence: Evidence, stream: int, *, allowed: int, requirement: str) -> Check:
    """Outside of the gaps of handovers no more than `allowed` probes of a stream were lost."""
    ends = evidence.streams[stream]
    lost = losses(evidence, stream)
    sent = len(evidence.deliveries(stream))
    detail = f"{sent} sent, {sum(lost.gaps)} lost in handovers, {len(lost.strays)} otherwise"
    if lost.strays:
        detail += f" (numbers {some([str(number) for number in lost.strays])})"
    return Check(
        requirement,
        f"no other loss {ends['source']} to {ends['destination']}",
        bool(sent) and len(lost.strays) <= allowed,
        detail,
    )


def sockets_agree(evidence: Evidence) -> Check:
    """What the receivers' sockets counted is what the captures show as delivered: also what overtook the acknowledgement of a
    mobile node's registration."""
    faults = []
    total = 0
    for stream, ends in evidence.streams.items():
        if ends["kind"] != "udp":
            continue
        counted = evidence.results(ends["destination"]).get("receive", {}).get(str(stream), {}).get("different", 0)
        delivered = sum(delivery.delivered is not None for delivery in evidence.deliveries(stream))
        total += counted
        if delivered != counted:
            faults.append(f"stream {stream}: {counted} at the socket, {delivered} on the link")
    return Check(
        "lab",
        "sockets received what the links carried",
        bool(total) and not faults,
        some(faults) or f"{total} probes",
    )


def connection_lives(evidence: Evidence, stream: int, requirement: str) -> Check:
    """A TCP connection lasted from its one SYN to the end: no reset on the wire, no byte wrong, and bytes acknowledged in
    both directions after the last movement of its host."""
    ends = evidence.streams[stream]
    faults = []
    hosts = {ends["source"], ends["destination"]}
    moved = max((movement["time"] for movement in evidence.journal["movements"] if movement["host"] in hosts), default=0.0)
    port = (BASE_PORT + stream).to_bytes(2)
    starts: set[bytes] = set()
    late: set[bytes] = set()
    for sighting in evidence.sightings:
        segment = sighting.payload
        if sighting.protocol != TCP or len(segment) < 20 or port not in {segment[:2], segment[2:4]}:
            continue
        flags = segment[13]
        if flags & 0x04:
            faults.append(f"a reset at {sighting.point}")
        if flags & 0x12 == 0x02:
            starts.add(segment[4:8])
        data = len(segment) > (segment[12] >> 4) * 4
        target = sighting.inner.destination
        if data and sighting.time > moved and evidence.arrives(sighting, evidence.owner(target)):
            late.add(target)
    if len(starts) != 1:
        faults.append(f"{len(starts)} connections were opened")
    if len(late) != 2:
        faults.append("no data both ways after the last handover")
    told = []
    for node in (ends["source"], ends["destination"]):
        result = evidence.results(node).get("connections", {}).get(str(stream))
        if result is None or result["error"] or result["wrong"] or not result["received"]:
            faults.append(f"{node}: {result}")
        else:
            told.append(f"{node} sent {result['sent']} and received {result['received']} bytes")
    return Check(
        requirement,
        f"the TCP connection {ends['source']} to {ends['destination']} lives",
        not faults,
        some(faults) or "; ".join(told),
    )


def forged_dropped(evidence: Evidence, stream: int, allowed: set[Zone], name: str, requirement: str) -> Check:
    """The forged probes of a stream were sent, and got no further than links of the `allowed` zones."""
    sent = 0
    reached: Counter[str] = Counter()
    for sightings in evidence.seen(stream).values():
        sent += 1
        for sighting in sightings:
            if evidence.zones.get(sighting.point) not in allowed:
                reached[sighting.point] += 1
    return Check(
        requirement,
        name,
        bool(sent) and not reached,
        some([f"{count} at {point}" for point, count in reached.items()]) or f"{sent} sent, none got through",
    )


def resumed(handover: Handover, longest_ms: float, requirement: str) -> Check:
    """Packets came both ways within `longest_ms` of link-up; time in which the machine did not let their sender send does
    not count."""
    ways = {
        "down": (handover.gap_down_ms, handover.stalled_down_ms),
        "up": (handover.gap_up_ms, handover.stalled_up_ms),
    }
    passed = all(gap is not None and gap - stalled <= longest_ms for gap, stalled in ways.values())
    told = ", ".join(
        f"{way} {'never' if gap is None else f'after {gap:.1f} ms'}"
        + (f" (sender stalled for {stalled:.1f})" if stalled else "")
        for way, (gap, stalled) in ways.items()
    )
    return Check(
        requirement,
        f"{handover.host}: packets flow again at {handover.target}",
        passed,
        f"{told}; {handover.lost_down} and {handover.lost_up} lost",
    )


def tolerated(evidence: Evidence, stream: int) -> int:
    """How many stray losses of a stream the links' own loss explains: twice what is expected and a few."""
    rate = max((link.impairment.loss for link in evidence.topology.links if link.impairment is not None), default=0.0)
    return int(len(evidence.deliveries(stream)) * rate * 4 + 10) if rate else 0
