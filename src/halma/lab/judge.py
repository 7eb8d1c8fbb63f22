# SPDX-License-Identifier: Apache-2.0
"""The judge of links, hosts and signalling: questions to the evidence, each answered with a `Check`. Scenarios choose which
to ask; `halma.lab.judge_traffic` has those about what became of packets.

Always holds: a judge believes the captures, the kernels and the two ends of the traffic, never a daemon's own word; a check
about something of which nothing was seen fails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv6Address, IPv6Network

from halma.lab.evidence import Evidence, Signal
from halma.lab.moves import Window, losses, windows
from halma.lab.packets import ICMPV6, MOBILITY, TCP, UDP
from halma.lab.topology import Kind, Zone
from halma.lab.verdict import Check
from halma.value import value
from halma.wire.messages import BindingAcknowledgement, BindingUpdate
from halma.wire.nd import PrefixInformation, RouterAdvertisement
from halma.wire.numbers import BindingUpdateFlag

_SHOWN = 4
"""How many offenders a detail names."""

_PARAMETER_PROBLEM = 4
_FIRST_INFORMATIONAL = 128

_SHORTEST_WAIT = 0.9
"""Seconds before a message is repeated: INITIAL_BINDACK_TIMEOUT (RFC 6275 section 12), less what a clock may be off."""

_SETTLING = 0.0005
"""Seconds that two processors may disagree about the order of a message and the packets beside it."""


def some(items: Sequence[str]) -> str:
    """The first few of many, for a detail."""
    return ", ".join(items[:_SHOWN]) + (f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else "")


def tally(found: Mapping[str, int]) -> str:
    """The first few of what was found, with how often."""
    return some([f"{what} ({count})" for what, count in found.items()])


def _text(address: bytes) -> str:
    return IPv6Address(address).compressed


def captures_complete(evidence: Evidence) -> Check:
    """Every link was listened to until the end, and no listener missed a frame."""
    lost = {
        point: "ended too early" if count is None else f"{count} missed"
        for point, count in evidence.missed.items()
        if count != 0
    }
    faults = [f"{point}: {what}" for point, what in lost.items()]
    total = sum(evidence.captured.values())
    return Check(
        "lab",
        "captures are complete",
        bool(evidence.captured) and not faults,
        some(faults) or f"{total} frames at {len(evidence.captured)} points",
    )


def daemons_lived(evidence: Evidence) -> Check:
    """No daemon ended before it was asked to, and each ended with status 0."""
    faults = [f"{node} died" for node in evidence.journal.get("died", [])]
    faults += [f"{node} ended with status {status}" for node, status in evidence.journal["exits"].items() if status]
    return Check(
        "lab", "daemons live and stop when asked", not faults, some(faults) or f"{len(evidence.journal['exits'])} daemons"
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
    status 0; a PBU that gives the host up after the new gateway was accepted must be ignored (RFC 5213 section 5.3.5). With
    `exact` nothing else about the host was said, retransmissions of what was not answered in time aside; without it messages
    may be repeated, as loss demands."""
    checks = []
    signals = [signal for signal in evidence.signals_about(host) if signal.sent < evidence.end]
    for window in windows(evidence, host):
        during = [signal for signal in signals if window.moved <= signal.sent < window.until]
        updates = [signal for signal in during if _is_proxy_update(signal)]
        answers = [signal for signal in during if isinstance(signal.message, BindingAcknowledgement)]
        wanted = expected_registrations(window)
        outcomes = [_outcome(expected, host, updates, answers) for expected in wanted]
        faults = [told for right, told in outcomes if not right]
        due = len(wanted)
        fresh = without_retransmissions(updates, answers)
        others = [signal for signal in during if signal not in updates and signal not in answers]
        stray = [answer for answer in answers if not any(_answers(answer, update) for update in updates)]
        if exact and not faults and (len(fresh) != due or others or stray):
            faults.append(f"{due} PBU and their PBAs were due: {some([_describe(signal) for signal in during])}")
        name = f"{host}: {window.source or 'nowhere'} to {window.target or 'nowhere'}, PBU and PBA"
        checks.append(Check(requirement, name, not faults, some(faults) or "; ".join(told for _, told in outcomes)))
    return checks


def _outcome(expected: Expected, host: str, updates: Sequence[Signal], answers: Sequence[Signal]) -> tuple[bool, str]:
    """Whether an expected registration took place as it must, and the words for it."""
    word = f"{expected.gateway} {'gives up' if expected.gives_up else 'registers'} {host}"
    fitting = [
        update for update in updates if update.source == expected.gateway and (_lifetime(update) == 0) == expected.gives_up
    ]
    if not fitting:
        return False, f"no PBU by which {word}"
    pairs = [(update, answer) for update in fitting if (answer := _answer(update, answers)) is not None]
    if expected.gives_up:
        accepted = min(
            (one.accepted for one in _acceptances([*updates, *answers]) if one.gateway != expected.gateway), default=None
        )
        if accepted is not None and fitting[0].arrived > accepted:
            return not pairs, f"{word}, too late: PBU {_sequence(fitting[0])}, {'answered' if pairs else 'ignored'}"
    if not pairs:
        return False, f"the PBU by which {word} was not accepted: {_statuses(answers)}"
    return True, f"{word}: PBU {_sequence(pairs[0][0])}, PBA {_status(pairs[0][1])}"


def without_retransmissions(updates: Sequence[Signal], answers: Sequence[Signal]) -> list[Signal]:
    """The updates that are no repetition of one that had waited for its answer as long as RFC 6275 section 11.8 says."""
    fresh: list[Signal] = []
    for update in updates:
        last = next(
            (one for one in fresh[::-1] if one.source == update.source and bool(_lifetime(one)) == bool(_lifetime(update))),
            None,
        )
        waited = last is not None and update.sent - last.sent >= _SHORTEST_WAIT
        if last is None or not waited or any(_answers(answer, last) and answer.arrived < update.sent for answer in answers):
            fresh.append(update)
    return fresh


def noticed(evidence: Evidence, host: str, within_s: float, requirement: str = "GW-1") -> Check:
    """Each movement was noticed: the old gateway gave the host up soon after its link had been taken, and the new one
    registered it soon after link-up."""
    updates = [signal for signal in evidence.signals_about(host) if _is_proxy_update(signal)]
    faults = []
    told = []
    for window in windows(evidence, host):
        for expected in expected_registrations(window):
            since = window.moved if expected.gives_up else window.link_up
            sent = next(
                (
                    update.sent
                    for update in updates
                    if update.source == expected.gateway
                    and (_lifetime(update) == 0) == expected.gives_up
                    and window.moved <= update.sent < window.until
                ),
                None,
            )
            what = f"{expected.gateway} {'loses' if expected.gives_up else 'sees'} {host}"
            if sent is None or since is None or sent - since > within_s:
                faults.append(f"{what} {'never' if sent is None or since is None else f'after {sent - since:.2f} s'}")
            else:
                told.append(f"{what} after {max(0.0, sent - since) * 1000:.1f} ms")
    detail = some(faults) or some(told)
    return Check(requirement, f"gateways notice {host} come and go", bool(told) and not faults, detail)


def waits_silently(evidence: Evidence, host: str, requirement: str = "ANC-6") -> Check:
    """While the host was between two gateways the anchor dropped what was for it and told no sender that it cannot be
    reached (RFC 5213 section 5.3.5)."""
    address = IPv6Address(evidence.journal["addresses"].get(host, "::")).packed
    faults: Counter[str] = Counter()
    for sighting in evidence.sightings:
        if evidence.zones.get(sighting.point) is Zone.OUTSIDE and sighting.protocol == ICMPV6 and sighting.time < evidence.end:
            kind, about = sighting.payload[:1], sighting.payload[8 + 24 : 8 + 40]
            if kind and kind[0] < _FIRST_INFORMATIONAL and about == address:
                faults[f"ICMPv6 type {kind[0]} from {evidence.owner(sighting.inner.source)}"] += 1
    dropped = sum(
        sum(losses(evidence, stream).gaps)
        for stream, ends in evidence.streams.items()
        if ends["kind"] == "udp" and ends["destination"] == host
    )
    return Check(
        requirement,
        f"the binding of {host} waits for its new gateway",
        bool(dropped) and not faults,
        tally(faults) or f"{dropped} packets dropped silently",
    )


def _lifetime(signal: Signal) -> int:
    return signal.message.lifetime if isinstance(signal.message, BindingUpdate) else 0


def _sequence(signal: Signal) -> int:
    return signal.message.sequence if isinstance(signal.message, BindingUpdate | BindingAcknowledgement) else -1


def _status(signal: Signal) -> int:
    return signal.message.status if isinstance(signal.message, BindingAcknowledgement) else -1


def _statuses(answers: Sequence[Signal]) -> str:
    return ", ".join(f"status {_status(answer)}" for answer in answers) or "no answer"


def _answers(answer: Signal, update: Signal) -> bool:
    """Whether an acknowledgement belongs to an update."""
    return (
        answer.destination == update.source
        and answer.source == update.destination
        and _sequence(answer) == _sequence(update)
        and answer.sent >= update.sent
    )


def _answer(update: Signal, answers: Sequence[Signal]) -> Signal | None:
    """The acknowledgement with status 0 that answers an update."""
    return next((answer for answer in answers if _answers(answer, update) and _status(answer) == 0), None)


def _describe(signal: Signal) -> str:
    kind = type(signal.message).__name__ if signal.message is not None else "malformed message"
    return f"{kind} {signal.source} to {signal.destination}"


def same_prefix(evidence: Evidence, host: str, anchor: str, network: IPv6Network, requirement: str = "ANC-4") -> Check:
    """Every registration of the host that the anchor accepted gave it the same home network prefix, and no other."""
    given = {
        prefix
        for signal in evidence.signals_about(host)
        if isinstance(signal.message, BindingAcknowledgement) and signal.message.status == 0 and signal.source == anchor
        for prefix in signal.prefixes
    }
    detail = ", ".join(sorted(_text(prefix) for prefix in given)) or "no prefix in any PBA"
    name = f"one home network prefix for {host} by {anchor}"
    return Check(requirement, name, given == {network.network_address.packed}, detail)


def no_leak(evidence: Evidence, requirement: str = "ANC-2") -> Check:
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
    detail = some([f"{what} ({count} packets)" for what, count in leaks.most_common()])
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
        tally(faults) or f"{sent} packets of plain IPv6",
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
        some([f"{what} ({times})" for what, times in faults.items()])
        or f"{count} advertisements at {', '.join(sorted(gateways))}",
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
        some(faults) or f"{judged} attachments",
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
        tally(faults) or f"{judged} packets, {len(changes)} PBAs",
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
        some(told) or f"{len(evidence.signals)} messages",
    )
