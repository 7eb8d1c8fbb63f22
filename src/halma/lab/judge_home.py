# SPDX-License-Identifier: Apache-2.0
"""The judge of Mobile IPv6: what the node and its home agent said to each other, and through which tunnels packets went then.

Always holds: as in `halma.lab.judge`: a judge believes the captures and the kernels; a check about something of which nothing
was seen fails. A message counts as the node's by the home address in it, and as under way by where it was seen.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from ipaddress import IPv6Address, IPv6Network

from halma.lab.evidence import Evidence, Signal
from halma.lab.judge import some, tally, without_retransmissions
from halma.lab.moves import Window, windows
from halma.lab.packets import ICMPV6, MOBILITY, TCP, UDP
from halma.lab.topology import Zone
from halma.lab.verdict import Check
from halma.value import value
from halma.wire.messages import BindingAcknowledgement, BindingUpdate
from halma.wire.numbers import BindingAcknowledgementFlag, BindingUpdateFlag
from halma.wire.options import AlternateCareOfAddress

_UNREACHABLE = 1
_UNDER_WAY = 0.1
"""Seconds before a movement in which a packet may have been sent that met it."""


def is_home_update(signal: Signal) -> bool:
    """Whether it is a Binding Update of a mobile node."""
    return isinstance(signal.message, BindingUpdate) and not signal.message.flags & BindingUpdateFlag.PROXY


def is_home_answer(signal: Signal) -> bool:
    """Whether it is the acknowledgement of one."""
    message = signal.message
    return isinstance(message, BindingAcknowledgement) and not message.flags & BindingAcknowledgementFlag.PROXY


def is_proxy_update(signal: Signal) -> bool:
    """Whether it is a Proxy Binding Update."""
    return isinstance(signal.message, BindingUpdate) and bool(signal.message.flags & BindingUpdateFlag.PROXY)


def updated_address(signal: Signal) -> bytes:
    """The home address that a Binding Update is about."""
    return signal.layer.home_source or signal.layer.source


def answered_address(signal: Signal) -> bytes:
    """The home address that an acknowledgement is about."""
    return signal.layer.home_destination or signal.layer.destination


def care_of_address(signal: Signal) -> bytes:
    """The care-of address that a Binding Update asks for."""
    for option in getattr(signal.message, "options", ()):
        if isinstance(option, AlternateCareOfAddress):
            return option.address
    return signal.layer.source


def home_updates(evidence: Evidence, host: str) -> list[Signal]:
    """The Binding Updates about the home address of a host."""
    address = evidence.topology.address(host).packed
    return [signal for signal in evidence.signals if is_home_update(signal) and updated_address(signal) == address]


def home_answers(evidence: Evidence, host: str) -> list[Signal]:
    """Their acknowledgements."""
    address = evidence.topology.address(host).packed
    return [signal for signal in evidence.signals if is_home_answer(signal) and answered_address(signal) == address]


def lifetime(signal: Signal) -> int:
    """The lifetime in it, in units of 4 seconds."""
    message = signal.message
    return message.lifetime if isinstance(message, BindingUpdate | BindingAcknowledgement) else 0


def sequence(signal: Signal) -> int:
    """The sequence number in it."""
    message = signal.message
    return message.sequence if isinstance(message, BindingUpdate | BindingAcknowledgement) else -1


def status(signal: Signal) -> int:
    """The status in it."""
    return signal.message.status if isinstance(signal.message, BindingAcknowledgement) else -1


def answer_to(update: Signal, answers: Sequence[Signal]) -> Signal | None:
    """The acknowledgement of an update, whatever its status."""
    for answer in answers:
        if answer.source == update.destination and answer.sent >= update.sent and sequence(answer) == sequence(update):
            return answer
    return None


@value
class Exchange:
    """An update with its answer."""

    update: Signal
    answer: Signal


def accepted(evidence: Evidence, host: str, window: Window, wanted: Callable[[Signal], bool]) -> Exchange | None:
    """The first update of a kind that a host sent over the link that it had come to and that was accepted."""
    answers = home_answers(evidence, host)
    for update in home_updates(evidence, host):
        if (window.link_up or window.moved) <= update.sent < window.until and wanted(update):
            answer = answer_to(update, answers)
            if answer is not None and status(answer) == 0:
                return Exchange(update, answer)
    return None


def proxy_updates(evidence: Evidence, host: str, start: float, end: float) -> list[Signal]:
    """The Proxy Binding Updates about a host in a span of time."""
    return [signal for signal in evidence.signals_about(host) if is_proxy_update(signal) and start <= signal.sent < end]


def proxy_exchange(evidence: Evidence, host: str, window: Window) -> Exchange | None:
    """The first registration by the gateway that a host had come to which was accepted."""
    for update in proxy_updates(evidence, host, window.moved, window.until):
        if update.source == window.target and lifetime(update):
            answer = answer_to(update, evidence.signals)
            if answer is not None and status(answer) == 0:
                return Exchange(update, answer)
    return None


def window_to(evidence: Evidence, host: str, target: str, nth: int = 0) -> Window:
    """The host's nth movement to a place. Raises IndexError."""
    return [window for window in windows(evidence, host) if window.target == target][nth]


def registered_abroad(
    evidence: Evidence, host: str, window: Window, network: IPv6Network, requirement: str = "MN-1"
) -> list[Check]:
    """After a movement the node registered a care-of address of the link that it had come to: by an update with the Home
    Address option, H and A set, protected, which was accepted."""
    found = accepted(evidence, host, window, lambda update: lifetime(update) > 0)
    name = f"{host} registers from {window.target}"
    if found is None:
        sent = [update for update in home_updates(evidence, host) if window.moved <= update.sent < window.until]
        return [Check(requirement, name, False, f"{len(sent)} updates, none of them accepted")]
    update, message = found.update, found.update.message
    assert isinstance(message, BindingUpdate)
    faults = []
    if IPv6Address(care_of_address(update)) not in network:
        faults.append(f"care-of address {IPv6Address(care_of_address(update))} is not of {network}")
    if update.layer.source != care_of_address(update):
        faults.append("not sent from the care-of address")
    if not update.layer.home_source:
        faults.append("no Home Address option")
    wanted = BindingUpdateFlag.ACKNOWLEDGE | BindingUpdateFlag.HOME_REGISTRATION
    if message.flags & wanted != wanted:
        faults.append("A and H are not both set")
    for signal in (update, found.answer):
        if not any(
            type(option).__name__ == "MobilityMessageAuthentication" for option in getattr(signal.message, "options", ())
        ):
            faults.append(f"{type(signal.message).__name__} without authentication")
    if not found.answer.layer.home_destination:
        faults.append("the answer has no type 2 routing header")
    took = (found.answer.arrived - update.sent) * 1000
    told = (
        f"BU {sequence(update)} from {IPv6Address(care_of_address(update))}, BA 0, "
        f"{lifetime(found.answer) * 4} s, after {took:.2f} ms"
    )
    return [Check(requirement, name, not faults, some(faults) or told)]


def returned_home(evidence: Evidence, host: str, window: Window, requirement: str = "MN-3") -> list[Check]:
    """After a movement home the node de-registered: from its home address, with lifetime 0, after its gateway had registered
    it, and nothing else of its own went out bare before that was accepted."""
    found = accepted(evidence, host, window, lambda update: lifetime(update) == 0)
    name = f"{host} de-registers at {window.target}"
    if found is None:
        return [Check(requirement, name, False, "no de-registration was accepted")]
    home = evidence.topology.address(host).packed
    faults = []
    if found.update.layer.source != home or care_of_address(found.update) != home:
        faults.append("the care-of address in it is not the home address")
    before = [update for update in proxy_updates(evidence, host, window.moved, found.update.sent) if lifetime(update)]
    if not before:
        faults.append("it was sent before the gateway had registered the node")
    told = f"BU {sequence(found.update)} with lifetime 0, BA {status(found.answer)}"
    return [
        Check(requirement, name, not faults, some(faults) or told),
        _silent_until(evidence, host, window, found.answer.arrived, requirement),
    ]


def _silent_until(evidence: Evidence, host: str, window: Window, time: float, requirement: str) -> Check:
    leaks = _bare(evidence, host, window.link_up or window.moved, time)
    name = f"nothing from the home address of {host} before the answer at {window.target}"
    return Check(requirement, name, not leaks, tally(leaks) or "nothing")


def _bare(evidence: Evidence, host: str, start: float, end: float) -> Counter[str]:
    """The traffic that a host sent from its home address, in no tunnel, in a span of time."""
    home = evidence.topology.address(host).packed
    found: Counter[str] = Counter()
    for sighting in evidence.at(evidence.topology.access_of(host).name):
        if start <= sighting.time < end and sighting.bare and sighting.outer.source == home:
            discovery = sighting.is_neighbor_discovery or sighting.is_listener_discovery
            if sighting.protocol != MOBILITY and not discovery:
                found[{TCP: "TCP", UDP: "UDP", ICMPV6: "ICMPv6"}.get(sighting.protocol, str(sighting.protocol))] += 1
    return found


def nothing_bare_abroad(evidence: Evidence, host: str, window: Window, requirement: str = "MN-2") -> Check:
    """From link-up on a foreign link to the node's next movement nothing from its home address was outside of the tunnel."""
    start = window.link_up or window.moved
    tunnelled = sum(
        not sighting.bare and sighting.inner.source == evidence.topology.address(host).packed
        for sighting in evidence.at(evidence.topology.access_of(host).name)
        if start <= sighting.time < window.until
    )
    leaks = _bare(evidence, host, start, window.until)
    detail = tally(leaks) or f"{tunnelled} packets in the tunnel"
    return Check(
        requirement,
        f"nothing from the home address of {host} is bare at {window.target}",
        bool(tunnelled) and not leaks,
        detail,
    )


def taken_from_the_switch_on(evidence: Evidence, host: str, window: Window, stream: int, requirement: str = "MN-2") -> Check:
    """Whatever the home agent sends to a care-of address after a movement reaches the host's link, from the moment on in which
    it switched, which is before the host can act upon its acknowledgement. That the host takes it is seen by its sockets."""
    name = f"all that the home agent sends to {host} at {window.target} arrives"
    found = accepted(evidence, host, window, lambda update: lifetime(update) > 0)
    if found is None:
        return Check(requirement, name, False, "no home agent has accepted")
    address, points = evidence.topology.address(host).packed, evidence.points_of(found.update.destination)
    sent = [
        delivery
        for delivery in evidence.deliveries(stream)
        if any(
            seen.point in points
            and not seen.bare
            and seen.inner.destination == address
            and evidence.owner(seen.outer.destination) == host
            and window.moved <= seen.time < window.until - _UNDER_WAY
            for seen in delivery.sightings
        )
    ]
    lost = sum(delivery.delivered is None for delivery in sent)
    return Check(requirement, name, bool(sent) and not lost, f"{len(sent)} sent, {lost} lost")


def no_home_signalling(evidence: Evidence, host: str, window: Window, requirement: str) -> Check:
    """Between a movement and the next no Mobile IPv6 message about the host was anywhere."""
    seen = [
        signal
        for signal in (*home_updates(evidence, host), *home_answers(evidence, host))
        if window.moved <= signal.sent < window.until
    ]
    moved = f"{window.source} to {window.target}"
    return Check(
        requirement,
        f"no Mobile IPv6 signalling by {host}, {moved}",
        window.link_up is not None and not seen,
        some([f"{type(signal.message).__name__} {sequence(signal)}" for signal in seen]) or "none",
    )


def proxied(
    evidence: Evidence, host: str, window: Window, anchor: str, network: IPv6Network, requirement: str = "GW-2"
) -> Check:
    """After a movement the gateway that the host had come to registered it with an anchor, which gave it a network; nobody
    else's registration of it was accepted once its link was up, and the gateway said nothing again before half of the
    lifetime, but what was not answered in time."""
    name = f"{window.target} registers {host} with {anchor}"
    updates = [update for update in proxy_updates(evidence, host, window.moved, window.until) if lifetime(update)]
    own = [update for update in updates if update.source == window.target]
    found = proxy_exchange(evidence, host, window)
    if found is None:
        return Check(requirement, name, False, f"{len(own)} PBUs, none of them accepted")
    faults = [f"PBU {sequence(one)} to {one.destination}" for one in own if one.destination != anchor]
    for one in updates:
        answer = None if one in own or one.sent < (window.link_up or window.moved) else answer_to(one, evidence.signals)
        if answer is not None and status(answer) == 0:
            faults.append(f"PBU {sequence(one)} by {one.source} was accepted")
    if {IPv6Address(prefix) for prefix in found.answer.prefixes} != {network.network_address}:
        faults.append(f"given {some([str(IPv6Address(prefix)) for prefix in found.answer.prefixes]) or 'nothing'}")
    early = lifetime(found.answer) * 4 / 2
    faults += [
        f"PBU {sequence(later)} {later.sent - earlier.sent:.2f} s after PBU {sequence(earlier)}"
        for earlier, later in itertools.pairwise(without_retransmissions(own, evidence.signals))
        if later.sent - earlier.sent < early
    ]
    return Check(requirement, name, not faults, some(faults) or f"{len(own)} PBUs, given {network}")


def not_proxied(evidence: Evidence, host: str, window: Window, requirement: str = "GW-6") -> Check:
    """After a movement the node registered itself, and no gateway did it for it."""
    found = [update for update in proxy_updates(evidence, host, window.moved, window.until) if lifetime(update)]
    own = [update for update in home_updates(evidence, host) if window.moved <= update.sent < window.until]
    detail = f"{len(own)} BUs of its own, {len(found)} PBUs about it"
    return Check(requirement, f"no gateway registers {host} at {window.target}", bool(own) and not found, detail)


def in_order(evidence: Evidence, host: str, window: Window, requirement: str = "GW-4") -> Check:
    """After a movement there were PBU, PBA, BU and BA, in this order (RFC 6612 figure 6)."""
    name = f"the order of messages at {window.target}"
    by_gateway = proxy_exchange(evidence, host, window)
    own = accepted(evidence, host, window, lambda update: lifetime(update) > 0)
    if by_gateway is None or own is None:
        return Check(requirement, name, False, "no registration was accepted")
    times = [by_gateway.update.sent, by_gateway.answer.arrived, own.update.sent, own.answer.sent]
    told = ", ".join(
        f"{word} {(time - times[0]) * 1000:.2f} ms" for word, time in zip(("PBU", "PBA", "BU", "BA"), times, strict=True)
    )
    return Check(requirement, name, times == sorted(times), told)


def roles_apart(evidence: Evidence, agent: str, anchor: str, requirement: str = "ANC-10") -> Check:
    """Nodes registered with the home agent and gateways with the local mobility anchor, each with that one alone."""
    own = [signal for signal in evidence.signals if is_home_update(signal)]
    proxied = [signal for signal in evidence.signals if is_proxy_update(signal)]
    strays = [f"BU {sequence(update)} to {update.destination}" for update in own if update.destination != agent]
    strays += [f"PBU {sequence(update)} to {update.destination}" for update in proxied if update.destination != anchor]
    name = f"{agent} is the home agent alone and {anchor} the local mobility anchor"
    detail = some(strays) or f"{len(own)} BUs, {len(proxied)} PBUs"
    return Check(requirement, name, bool(own and proxied) and not strays, detail)


def untouched_by_home(
    evidence: Evidence, stream: int, gateways: Sequence[str], until: float, name: str, requirement: str
) -> Check:
    """Packets to another address of the node's prefix, for which there is no home binding, went to the gateway until a time,
    and after it the anchor answered Destination Unreachable: the proxy entry stood, and then ended, by itself."""
    last_tunnelled = first_refused = None
    tunnelled = refused = after = 0
    address: bytes = b""
    for sightings in evidence.seen(stream).values():
        for sighting in sightings:
            address = sighting.inner.destination
            if not sighting.bare and evidence.zones.get(sighting.point) is Zone.CORE:
                if evidence.owner(sighting.outer.destination) not in gateways:
                    return Check(requirement, name, False, f"a packet to {evidence.owner(sighting.outer.destination)}")
                tunnelled += 1
                last_tunnelled = max(last_tunnelled or 0.0, sighting.time)
                after += sighting.time > until
    for sighting in evidence.sightings:
        outside = evidence.zones.get(sighting.point) is Zone.OUTSIDE
        unreachable = outside and sighting.protocol == ICMPV6 and sighting.payload[:1] == bytes([_UNREACHABLE])
        if unreachable and sighting.payload[8 + 24 : 8 + 40] == address and sighting.time < evidence.end:
            refused += 1
            first_refused = min(first_refused or sighting.time, sighting.time)
    passed = bool(tunnelled and refused) and not after and (first_refused or 0) > (last_tunnelled or 0)
    return Check(requirement, name, passed, f"{tunnelled} to the gateway, {after} of them too late, {refused} refused then")
