# SPDX-License-Identifier: Apache-2.0
"""The judge: questions to the evidence, each answered with a `Check`. Scenarios choose which to ask.

Always holds: a judge believes the captures, the kernels and the two ends of the traffic, never a daemon's own word; a check
about something of which nothing was seen fails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from ipaddress import IPv6Address, IPv6Network

from halma.lab.evidence import Evidence, Signal
from halma.lab.moves import Window, losses, windows
from halma.lab.packets import ICMPV6, MOBILITY, TCP, UDP, Sighting
from halma.lab.topology import Kind, Zone
from halma.lab.verdict import Check, Handover
from halma.value import value
from halma.wire.messages import BindingAcknowledgement, BindingUpdate
from halma.wire.nd import PrefixInformation, RouterAdvertisement
from halma.wire.numbers import BindingUpdateFlag

_SHOWN = 4
"""How many offenders a detail names."""

_PARAMETER_PROBLEM = 4

_SETTLING = 0.0005
"""Seconds that two processors may disagree about the order of a message and the packets beside it."""


def _some(items: Sequence[str]) -> str:
    """The first few of many, for a detail."""
    return ", ".join(items[:_SHOWN]) + (f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else "")


def _text(address: bytes) -> str:
    return IPv6Address(address).compressed


def captures_complete(evidence: Evidence) -> Check:
    """Every link was heard, and no listener missed a frame."""
    silent = [point for point, frames in evidence.captured.items() if not frames]
    missed = [f"{point}: {count} missed" for point, count in evidence.missed.items() if count]
    faults = [f"{point}: nothing heard" for point in silent] + missed
    total = sum(evidence.captured.values())
    return Check(
        "lab",
        "captures are complete",
        bool(evidence.captured) and not faults,
        _some(faults) or f"{total} frames at {len(evidence.captured)} points",
    )


def daemons_lived(evidence: Evidence) -> Check:
    """No daemon ended before it was asked to, and each ended with status 0."""
    faults = [f"{node} died" for node in evidence.journal.get("died", [])]
    faults += [f"{node} ended with status {status}" for node, status in evidence.journal["exits"].items() if status]
    return Check(
        "lab", "daemons live and stop when asked", not faults, _some(faults) or f"{len(evidence.journal['exits'])} daemons"
    )


def address_kept(evidence: Evidence, host: str, requirement: str = "GW-3") -> Check:
    """The host had one global address from its first to the end, by its kernel and by the packets of its traffic."""
    expected = evidence.journal["addresses"].get(host)
    lost = [address for _, address, present in evidence.addresses(host) if not present]
    formed = {address for _, address, present in evidence.addresses(host) if present}
    used = set()
    for stream, ends in evidence.streams.items():
        for sightings in evidence.seen(stream).values():
            inner = sightings[0].inner
            if ends["source"] == host:
                used.add(_text(inner.source))
            elif ends["destination"] == host:
                used.add(_text(inner.destination))
    passed = expected is not None and not lost and formed == {expected} and used == {expected}
    detail = f"{expected}, in every packet" if passed else f"formed {sorted(formed)}, lost {lost}, used {sorted(used)}"
    return Check(requirement, f"the address of {host} stays", passed, detail)


@value
class Expected:
    """A registration that must be seen: by which gateway, and whether it gives the host up."""

    gateway: str
    gives_up: bool


def _is_proxy_update(signal: Signal) -> bool:
    return isinstance(signal.message, BindingUpdate) and bool(signal.message.flags & BindingUpdateFlag.PROXY)


def expected_registrations(window: Window) -> list[Expected]:
    """What a movement must cause: the old gateway gives the host up, the new one registers it."""
    found = []
    if window.source is not None:
        found.append(Expected(window.source, True))
    if window.target is not None:
        found.append(Expected(window.target, False))
    return found


def registrations(evidence: Evidence, host: str, *, exact: bool, requirement: str = "GW-2") -> list[Check]:
    """A check for each movement: the exchange of PBUs and PBAs that it must cause took place, each PBU answered with
    status 0. With `exact` nothing else about the host was said; without it messages may be repeated, as loss demands."""
    checks = []
    signals = [signal for signal in evidence.signals_about(host) if signal.sent < evidence.end]
    for window in windows(evidence, host):
        during = [signal for signal in signals if window.moved <= signal.sent < window.until]
        updates = [signal for signal in during if _is_proxy_update(signal)]
        answers = [signal for signal in during if isinstance(signal.message, BindingAcknowledgement)]
        faults: list[str] = []
        told = []
        for expected in expected_registrations(window):
            fitting = [
                update
                for update in updates
                if update.source == expected.gateway and (_lifetime(update) == 0) == expected.gives_up
            ]
            answered = next((pair for update in fitting for pair in [_answer(update, answers)] if pair is not None), None)
            word = "gives up" if expected.gives_up else "registers"
            if not fitting:
                faults.append(f"no PBU by which {expected.gateway} {word} {host}")
            elif answered is None:
                faults.append(f"the PBU by which {expected.gateway} {word} {host} was not accepted: {_statuses(answers)}")
            else:
                told.append(f"{expected.gateway} {word} {host}: PBU {_sequence(fitting[0])}, PBA {_status(answered)}")
        wanted = len(expected_registrations(window))
        if exact and not faults and (len(updates), len(answers), len(during)) != (wanted, wanted, 2 * wanted):
            faults.append(
                f"{len(updates)} PBU, {len(answers)} PBA and {len(during) - len(updates) - len(answers)} other messages "
                f"where {wanted} and {wanted} were due: {_some([_describe(signal) for signal in during])}"
            )
        name = f"{host}: {window.source or 'nowhere'} to {window.target or 'nowhere'}, PBU and PBA"
        checks.append(Check(requirement, name, not faults, _some(faults) or "; ".join(told)))
    return checks


def _lifetime(signal: Signal) -> int:
    return signal.message.lifetime if isinstance(signal.message, BindingUpdate) else 0


def _sequence(signal: Signal) -> int:
    return signal.message.sequence if isinstance(signal.message, BindingUpdate | BindingAcknowledgement) else -1


def _status(signal: Signal) -> int:
    return signal.message.status if isinstance(signal.message, BindingAcknowledgement) else -1


def _statuses(answers: Sequence[Signal]) -> str:
    return ", ".join(f"status {_status(answer)}" for answer in answers) or "no answer"


def _answer(update: Signal, answers: Sequence[Signal]) -> Signal | None:
    """The acknowledgement with status 0 that answers an update."""
    for answer in answers:
        if (
            answer.destination == update.source
            and answer.source == update.destination
            and _sequence(answer) == _sequence(update)
            and _status(answer) == 0
            and answer.sent >= update.sent
        ):
            return answer
    return None


def _describe(signal: Signal) -> str:
    kind = type(signal.message).__name__ if signal.message is not None else "malformed message"
    return f"{kind} {signal.source} to {signal.destination}"


def same_prefix(evidence: Evidence, host: str, requirement: str = "ANC-4") -> Check:
    """Every accepted registration of the host gave it the same home network prefix, the one its address is from."""
    address = evidence.journal["addresses"].get(host)
    given = {
        prefix
        for signal in evidence.signals_about(host)
        if isinstance(signal.message, BindingAcknowledgement) and signal.message.status == 0
        for prefix in signal.prefixes
    }
    expected = {IPv6Address(address).packed[:8] + bytes(8)} if address else set()
    detail = ", ".join(sorted(_text(prefix) for prefix in given)) or "no prefix in any PBA"
    return Check(requirement, f"one home network prefix for {host}", bool(given) and given == expected, detail)


def no_leak(evidence: Evidence, requirement: str = "ANC-3") -> Check:
    """No packet from or to a home network prefix was bare on a core link."""
    ranges = [_range(network) for network in evidence.topology.home_prefixes]
    leaks: Counter[str] = Counter()
    watched = 0
    for sighting in evidence.sightings:
        if evidence.zones.get(sighting.point) is Zone.CORE:
            watched += 1
            outer = sighting.outer
            if _within(outer.source, ranges) or _within(outer.destination, ranges):
                leaks[f"{_text(outer.source)} to {_text(outer.destination)} at {sighting.point}"] += 1
    detail = _some([f"{what} ({count} packets)" for what, count in leaks.most_common()])
    return Check(
        requirement,
        "nothing leaks outside the tunnels",
        bool(watched) and not leaks,
        detail or f"{watched} packets on core links",
    )


def _range(network: IPv6Network) -> tuple[bytes, bytes]:
    return network.network_address.packed, network.broadcast_address.packed


def _within(address: bytes, ranges: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(first <= address <= last for first, last in ranges)


def host_silent(evidence: Evidence, host: str, requirement: str = "GW-3") -> Check:
    """The host took no part in mobility: its link carried its kernel's Neighbor Discovery and its traffic, nothing else."""
    link = evidence.topology.access_of(host)
    own = bytes.fromhex(link.link_layer_address.replace(":", ""))
    faults: Counter[str] = Counter()
    sent = 0
    for sighting in evidence.at(link.name):
        if sighting.protocol == MOBILITY or not sighting.bare:
            faults["signalling or a tunnel on its link"] += 1
        elif sighting.link_source == own:
            sent += 1
            plain = sighting.protocol in {TCP, UDP} or sighting.is_neighbor_discovery or sighting.is_listener_discovery
            if not plain and sighting.protocol != ICMPV6:
                faults[f"a packet of protocol {sighting.protocol}"] += 1
    return Check(
        requirement,
        f"no mobility signalling by {host}",
        bool(sent) and not faults,
        _some([f"{what} ({count})" for what, count in faults.items()]) or f"{sent} packets of plain IPv6",
    )


def advertisements(evidence: Evidence, host: str, router: bytes, link_layer: bytes, requirement: str = "GW-3") -> Check:
    """Router Advertisements came to the host alone, with its prefix alone, and from the same router at every gateway."""
    link = evidence.topology.access_of(host)
    own = bytes.fromhex(link.link_layer_address.replace(":", ""))
    address = IPv6Address(evidence.journal["addresses"].get(host, "::")).packed
    faults: Counter[str] = Counter()
    gateways: set[str] = set()
    count = 0
    for sighting, message in evidence.neighbor_messages(host):
        if not isinstance(message, RouterAdvertisement) or sighting.time >= evidence.end:
            continue
        count += 1
        gateways.add(evidence.gateway_at(host, sighting.time) or "nowhere")
        if sighting.link_destination != own:
            faults[f"sent to {sighting.link_destination.hex(':')}"] += 1
        if sighting.inner.source != router:
            faults[f"sent from {_text(sighting.inner.source)}"] += 1
        if sighting.link_source != link_layer:
            faults[f"sent from {sighting.link_source.hex(':')}"] += 1
        for option in message.options:
            if isinstance(option, PrefixInformation) and option.prefix[:8] != address[:8]:
                faults[f"prefix {_text(option.prefix)}"] += 1
        if not message.router_lifetime:
            faults["router lifetime 0"] += 1
    visited = {movement["to"] for movement in evidence.movements(host)} - {None}
    if missing := visited - gateways:
        faults[f"none at {', '.join(sorted(missing))}"] += 1
    return Check(
        requirement,
        f"one router for {host}, unicast advertisements",
        bool(count) and not faults,
        _some([f"{what} ({times})" for what, times in faults.items()])
        or f"{count} advertisements at {', '.join(sorted(gateways))}",
    )


@value
class Run:
    """Probes with consecutive numbers that took the same way: `path` names the far ends of their tunnels."""

    path: tuple[str, ...]
    first: int
    last: int
    count: int


def tunnels(evidence: Evidence, sightings: Sequence[Sighting]) -> tuple[str, ...]:
    """The gateways whose tunnels with the anchor a packet was seen in, in order; a tunnel between two other nodes is
    named by both."""
    anchors = {node.name for node in evidence.topology.of_kind(Kind.ANCHOR)}
    path: list[str] = []
    for sighting in sightings:
        if sighting.bare or evidence.zones.get(sighting.point) is not Zone.CORE:
            continue
        source, destination = evidence.owner(sighting.outer.source), evidence.owner(sighting.outer.destination)
        if source in anchors:
            name = f"to {destination}"
        elif destination in anchors:
            name = f"from {source}"
        else:
            name = f"{source} to {destination}"
        if not path or path[-1] != name:
            path.append(name)
    return tuple(path)


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
        detail += f" (numbers {_some([str(number) for number in lost.strays])})"
    return Check(
        requirement,
        f"no other loss {ends['source']} to {ends['destination']}",
        bool(sent) and len(lost.strays) <= allowed,
        detail,
    )


def sockets_agree(evidence: Evidence) -> Check:
    """What the receivers' sockets counted is what the captures show as delivered."""
    faults = []
    total = 0
    for stream, ends in evidence.streams.items():
        if ends["kind"] != "udp":
            continue
        counted = evidence.results(ends["destination"]).get("receive", {}).get(str(stream), {}).get("different", 0)
        delivered = sum(delivery.delivered is not None for delivery in evidence.deliveries(stream))
        total += counted
        if counted != delivered:
            faults.append(f"stream {stream}: {counted} at the socket, {delivered} on the link")
    return Check(
        "lab", "sockets received what the links carried", bool(total) and not faults, _some(faults) or f"{total} probes"
    )


def connection_lives(evidence: Evidence, stream: int, requirement: str) -> Check:
    """A TCP connection lasted from its one SYN to the end: no reset on the wire, no byte wrong, and bytes acknowledged in
    both directions after the last movement of its host."""
    ends = evidence.streams[stream]
    faults = []
    hosts = {ends["source"], ends["destination"]}
    moved = max((movement["time"] for movement in evidence.journal["movements"] if movement["host"] in hosts), default=0.0)
    port = (20000 + stream).to_bytes(2)
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
        if data and sighting.time > moved and sighting.bare and sighting.point in evidence.points_of(evidence.owner(target)):
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
        _some(faults) or "; ".join(told),
    )


def nothing_before_answer(evidence: Evidence, host: str, requirement: str = "GW-4") -> Check:
    """After a movement no packet of the host left its new gateway before the anchor had accepted it there."""
    address = IPv6Address(evidence.journal["addresses"].get(host, "::")).packed
    faults = []
    judged = 0
    for window in windows(evidence, host):
        if window.target is None:
            continue
        accepted = next(
            (
                signal.arrived
                for signal in evidence.signals_about(host)
                if isinstance(signal.message, BindingAcknowledgement)
                and signal.message.status == 0
                and signal.message.lifetime
                and signal.destination == window.target
                and window.moved <= signal.sent < window.until
            ),
            None,
        )
        gateway_points = evidence.points_of(window.target)
        first = next(
            (
                sighting.time
                for sighting in evidence.sightings
                if window.moved <= sighting.time < window.until
                and sighting.point in gateway_points
                and sighting.inner.source == address
                and evidence.owner(sighting.outer.source) == window.target
            ),
            None,
        )
        if accepted is not None and first is not None:
            judged += 1
            if first < accepted - _SETTLING:
                faults.append(f"{window.target}: a packet {(accepted - first) * 1000:.2f} ms before the PBA")
    return Check(
        requirement,
        f"no packet of {host} before the PBA",
        bool(judged) and not faults,
        _some(faults) or f"{judged} attachments",
    )


def honest_answers(evidence: Evidence, host: str, requirement: str = "ANC-8") -> Check:
    """From each PBA that accepted the host on, the anchor sent what was for it to that gateway alone; between the next PBU
    and its PBA it may change over at any moment."""
    address = IPv6Address(evidence.journal["addresses"].get(host, "::")).packed
    anchor = evidence.node_of_kind(Kind.ANCHOR)
    points = evidence.points_of(anchor)
    changes = _acceptances(evidence.signals_about(host))
    faults: Counter[str] = Counter()
    judged = 0
    position = -1
    for sighting in evidence.sightings:
        if sighting.point not in points or sighting.bare or sighting.inner.destination != address:
            continue
        if evidence.owner(sighting.outer.source) != anchor:
            continue
        while position + 1 < len(changes) and changes[position + 1].accepted < sighting.time - _SETTLING:
            position += 1
        allowed = {changes[position].gateway} if position >= 0 else set()
        if position + 1 < len(changes) and changes[position + 1].asked < sighting.time:
            allowed.add(changes[position + 1].gateway)
        judged += 1
        if (target := evidence.owner(sighting.outer.destination)) not in allowed:
            faults[f"a packet to {target} where {' or '.join(sorted(allowed)) or 'nobody'} was accepted"] += 1
    return Check(
        requirement,
        f"packets to {host} follow each PBA",
        bool(judged) and not faults,
        _some([f"{what} ({count})" for what, count in faults.items()]) or f"{judged} packets, {len(changes)} PBAs",
    )


@value
class Acceptance:
    """A registration that was accepted: when its gateway asked, and when the anchor said yes."""

    gateway: str
    asked: float
    accepted: float


def _acceptances(signals: Sequence[Signal]) -> list[Acceptance]:
    """The accepted registrations, in the order of their answers."""
    updates = [signal for signal in signals if _is_proxy_update(signal) and _lifetime(signal)]
    answers = [signal for signal in signals if isinstance(signal.message, BindingAcknowledgement)]
    found = []
    for update in updates:
        answer = _answer(update, answers)
        if answer is not None:
            found.append(Acceptance(update.source, update.sent, answer.sent))
    return sorted(found, key=lambda acceptance: acceptance.accepted)


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
        _some([f"{count} at {point}" for point, count in reached.items()]) or f"{sent} sent, none got through",
    )


def no_complaints(evidence: Evidence, requirement: str = "ANC-8") -> Check:
    """No node answered signalling with an ICMPv6 Parameter Problem."""
    faults: Counter[str] = Counter()
    for sighting in evidence.sightings:
        if sighting.protocol == ICMPV6 and sighting.payload[:1] == bytes([_PARAMETER_PROBLEM]):
            faults[f"{evidence.owner(sighting.inner.source)} to {evidence.owner(sighting.inner.destination)}"] += 1
    malformed = [_describe(signal) for signal in evidence.signals if signal.message is None]
    told = [f"Parameter Problem {what} ({count})" for what, count in faults.items()] + malformed
    return Check(
        requirement,
        "no complaint about signalling",
        bool(evidence.signals) and not told,
        _some(told) or f"{len(evidence.signals)} messages",
    )


def resumed(handover: Handover, longest_ms: float, requirement: str) -> Check:
    """Packets came both ways soon enough after a handover: within `longest_ms` of link-up, or, on a machine that is too slow
    to send a probe every millisecond, after no more lost probes than it would send in that time."""
    ways = {"down": (handover.gap_down_ms, handover.lost_down), "up": (handover.gap_up_ms, handover.lost_up)}
    passed = all(gap is not None and (gap <= longest_ms or lost <= longest_ms) for gap, lost in ways.values())
    told = ", ".join(f"{way} {'never' if gap is None else f'after {gap:.1f} ms'}" for way, (gap, _) in ways.items())
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
