# SPDX-License-Identifier: Apache-2.0
"""The judge sees every fault that is put into records of a run without one.

Always holds: each test first has the judge pass the faultless run, by `test_a_run_without_a_fault_passes`.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv6Address

import pytest

from halma.lab import judge, judge_traffic
from halma.lab.evidence import Evidence
from halma.lab.forge import header
from halma.lab.moves import handovers, losses, windows
from halma.lab.scenarios import domain
from halma.lab.topology import Zone
from halma.lab.verdict import Check, Handover
from halma.wire.messages import Heartbeat
from tests.lab.records import mobility, probe
from tests.lab.world import (
    ALL_NODES,
    BEGAN,
    CN,
    DOWN,
    ENDED,
    GAP,
    HOST,
    HOST_LINK_LAYER,
    LINK_DOWN,
    LINK_UP,
    LMA,
    MOVED,
    STRANGER,
    UP,
    World,
    answer,
    gateway,
    update,
)

ROUTER = (domain.ROUTER_LINK_LOCAL.packed, domain.ROUTER_LINK_LAYER)
PATH_DOWN = [("to mag1",), ("to mag2",)]
PATH_UP = [("from mag1",), ("from mag2",)]

ASKED: dict[str, Callable[[Evidence], Check]] = {
    "captures": judge.captures_complete,
    "daemons": judge.daemons_lived,
    "sockets": judge_traffic.sockets_agree,
    "address": lambda evidence: judge.address_kept(evidence, "h1"),
    "registered": lambda evidence: judge.registrations(evidence, "h1", exact=True)[0],
    "moved": lambda evidence: judge.registrations(evidence, "h1", exact=True)[1],
    "moved somehow": lambda evidence: judge.registrations(evidence, "h1", exact=False)[1],
    "noticed": lambda evidence: judge.noticed(evidence, "h1", 0.1),
    "waits": lambda evidence: judge.waits_silently(evidence, "h1"),
    "prefix": lambda evidence: judge.same_prefix(evidence, "h1", "lma", domain.host_prefix(1)),
    "leak": judge.no_leak,
    "silent": lambda evidence: judge.host_silent(evidence, "h1"),
    "router": lambda evidence: judge.advertisements(evidence, "h1", *ROUTER),
    "way down": lambda evidence: judge_traffic.paths(evidence, DOWN, PATH_DOWN, "ANC-2"),
    "way up": lambda evidence: judge_traffic.paths(evidence, UP, PATH_UP, "GW-4"),
    "loss down": lambda evidence: judge_traffic.stray_losses(evidence, DOWN, allowed=0, requirement="ANC-2"),
    "loss up": lambda evidence: judge_traffic.stray_losses(evidence, UP, allowed=0, requirement="ANC-2"),
    "early": lambda evidence: judge.nothing_before_answer(evidence, "h1"),
    "honest": lambda evidence: judge.honest_answers(evidence, "h1"),
    "complaints": judge.no_complaints,
    "resumed": lambda evidence: judge_traffic.resumed(handovers(evidence, "h1")[0], 20.0, "GW-2"),
}


def failed(world: World) -> set[str]:
    """The checks that fail."""
    return world.failed(ASKED)


def test_a_run_without_a_fault_passes(world: World) -> None:
    assert failed(world) == set()


def test_no_evidence_is_not_a_pass(world: World) -> None:
    world.frames = []
    missing = failed(world)
    assert missing >= set(ASKED) - {"daemons", "loss down", "loss up"}
    assert {"loss down", "loss up"} <= missing


def test_the_gap_counts_from_link_up(world: World) -> None:
    [handover] = handovers(world.evidence(), "h1")
    assert (handover.source, handover.target) == ("mag1", "mag2")
    assert handover.link_up == pytest.approx(LINK_UP)
    first = BEGAN + 0.3 + 73 * 0.01  # the first probe after the gap
    assert handover.gap_down_ms == pytest.approx((first + 0.0003 - LINK_UP) * 1000, abs=0.01)
    assert handover.gap_up_ms == pytest.approx((first + 0.0013 - LINK_UP) * 1000, abs=0.01)
    assert handover.signalling_ms == pytest.approx(1.05, abs=0.01)
    assert (handover.lost_down, handover.lost_up) == (2, 2)
    assert first > LINK_UP + GAP


def test_a_frame_of_the_host_shows_that_its_link_is_up(world: World) -> None:
    world.put("access-h1", LINK_UP - 0.005, probe(UP, 71, HOST, CN), HOST_LINK_LAYER)
    assert windows(world.evidence(), "h1")[1].link_up == pytest.approx(LINK_UP - 0.005)


def test_a_frame_of_the_gateway_does_not(world: World) -> None:
    world.advertise(LINK_UP - 0.005)
    assert windows(world.evidence(), "h1")[1].link_up == pytest.approx(LINK_UP)


def test_a_link_that_was_away_too_briefly_to_be_told(world: World) -> None:
    """The kernel joins a carrier that goes and comes at once: the host's own silence tells when it was back."""
    world.events = world.events[:2]
    [handover] = handovers(world.evidence(), "h1")
    assert handover.link_down is None
    assert handover.link_up == pytest.approx(BEGAN + 0.3 + 73 * 0.01 + 0.001)
    assert handover.gap_up_ms is not None


def test_a_late_packet_of_the_old_link_is_no_resumption(world: World) -> None:
    """A probe sent before the move that reaches the correspondent after link-up has come over the old link."""
    packet = probe(UP, 69, HOST, CN)
    world.without("outside", UP, 69)
    world.put("outside", LINK_UP + 0.001, packet)
    [handover] = handovers(world.evidence(), "h1")
    assert handover.gap_up_ms is not None
    assert handover.gap_up_ms > GAP * 1000


@pytest.mark.parametrize("missed", [1, None])
def test_a_missed_frame_or_a_listener_that_ended_too_early(world: World, missed: int | None) -> None:
    evidence = world.evidence()
    evidence.missed["core-lma"] = missed
    assert not judge.captures_complete(evidence).passed


def test_nothing_said_is_no_fault_of_a_listener(world: World) -> None:
    evidence = world.evidence()
    evidence.captured["core-mag2"] = evidence.missed["core-mag2"] = 0
    assert judge.captures_complete(evidence).passed


def test_a_daemon_that_died(world: World) -> None:
    world.journal["died"] = ["mag2"]
    assert failed(world) == {"daemons"}


def test_a_daemon_that_ended_badly(world: World) -> None:
    world.journal["exits"] = {"lma": 1}
    assert failed(world) == {"daemons"}


def test_a_socket_that_got_less_than_its_link(world: World) -> None:
    world.received[DOWN] = 3
    assert failed(world) == {"sockets"}


def test_a_second_address(world: World) -> None:
    world.events.append(world.address_event(LINK_UP + 0.5, STRANGER))
    assert failed(world) == {"address"}


def test_an_address_that_went_and_came_back(world: World) -> None:
    world.events += [world.address_event(LINK_UP, HOST, present=False), world.address_event(LINK_UP + 0.01, HOST)]
    assert failed(world) == {"address"}


def test_a_packet_with_another_address(world: World) -> None:
    other = HOST[:15] + b"\x77"
    world.put("access-h1", ENDED - 0.1, probe(UP, 1000, other, CN), HOST_LINK_LAYER)
    assert "address" in failed(world)


def test_a_gateway_that_does_not_give_up(world: World) -> None:
    world.forget(update(1, 2, 0))
    assert failed(world) == {"moved", "moved somehow", "noticed"}


def late_giving_up(world: World, answered: bool) -> None:
    """MAG1 gives the host up when MAG2 has been accepted."""
    for packet in (update(1, 2, 0), answer(1, 2, 0)):
        world.forget(packet)
    for again, sequence in enumerate((2, 3)):
        world.signal(LINK_UP + 0.01 + again, update(1, sequence, 0), 1, up=True)
    if answered:
        world.signal(LINK_UP + 0.012, answer(1, 2, 0), 1, up=False)


def test_who_gives_up_too_late_is_ignored(world: World) -> None:
    late_giving_up(world, answered=False)
    assert failed(world) == set()


def test_who_gives_up_too_late_must_not_be_answered(world: World) -> None:
    late_giving_up(world, answered=True)
    assert {"moved", "moved somehow"} <= failed(world)


def test_a_repetition_of_what_was_not_answered_in_time_is_no_fault(world: World) -> None:
    world.forget(answer(2, 1, 900))
    world.journal["ended"] = ENDED + 2
    world.signal(LINK_UP + 1.0, update(2, 2, 900), 2, up=True)
    world.signal(LINK_UP + 1.001, answer(2, 2, 900), 2, up=False)
    assert "moved" not in failed(world)


def test_a_gateway_that_notices_late(world: World) -> None:
    world.forget(update(1, 2, 0))
    world.signal(MOVED + 0.2, update(1, 2, 0), 1, up=True)
    assert "noticed" in failed(world)


def test_a_sender_who_is_told_that_the_host_cannot_be_reached(world: World) -> None:
    error = bytes([1, 0]) + bytes(6) + probe(DOWN, 71, CN, HOST)
    world.put("outside", LINK_DOWN + 0.01, header(LMA, CN, 58, error))
    assert failed(world) == {"waits"}


def test_a_refused_registration(world: World) -> None:
    world.forget(answer(2, 1, 900))
    world.signal(LINK_UP + 0.002, answer(2, 1, 900, status=154), 2, up=False)
    assert {"moved", "moved somehow"} <= failed(world)


def test_an_answer_with_another_sequence_number(world: World) -> None:
    world.forget(answer(2, 1, 900))
    world.signal(LINK_UP + 0.002, answer(2, 9, 900), 2, up=False)
    assert {"moved", "moved somehow"} <= failed(world)


def test_a_registration_too_many(world: World) -> None:
    world.signal(LINK_UP + 0.5, update(2, 2, 900), 2, up=True)
    world.signal(LINK_UP + 0.501, answer(2, 2, 900), 2, up=False)
    assert failed(world) == {"moved"}


def test_a_message_that_was_heard_twice_is_one(world: World) -> None:
    evidence = world.evidence()
    assert [signal.source for signal in evidence.signals] == ["mag1", "lma", "mag1", "lma", "mag2", "lma"]
    assert {len(signal.sightings) for signal in evidence.signals} == {2}


def test_a_message_that_was_sent_twice_is_two(world: World) -> None:
    world.signal(LINK_UP + 0.5, update(2, 1, 900), 2, up=True)
    assert len(world.evidence().signals) == 7


def test_messages_about_another_host_are_no_fault(world: World) -> None:
    world.signal(LINK_UP + 0.5, update(3, 1, 900, host=2), 3, up=True)
    assert failed(world) == set()


def test_another_prefix(world: World) -> None:
    world.forget(answer(2, 1, 900))
    world.signal(LINK_UP + 0.002, answer(2, 1, 900, prefix=7), 2, up=False)
    assert "prefix" in failed(world)


@pytest.mark.parametrize("point", ["core-lma", "core-mag2"])
@pytest.mark.parametrize(("source", "destination"), [(CN, HOST), (HOST, CN)])
def test_a_leak(world: World, point: str, source: bytes, destination: bytes) -> None:
    world.put(point, LINK_UP + 0.5, header(source, destination, 17, bytes(16)))
    assert failed(world) == {"leak"}


def test_a_bare_packet_outside_is_no_leak(world: World) -> None:
    world.put("outside", LINK_UP + 0.5, header(CN, HOST, 17, bytes(16)))
    assert failed(world) == set()


def test_signalling_by_the_host(world: World) -> None:
    world.put("access-h1", LINK_UP + 0.5, header(HOST, LMA, 135, bytes(8)), HOST_LINK_LAYER)
    assert "silent" in failed(world)


def test_a_tunnel_on_the_hosts_link(world: World) -> None:
    inner = header(HOST, CN, 17, bytes(8))
    world.put("access-h1", LINK_UP + 0.5, header(HOST, LMA, 41, inner), HOST_LINK_LAYER)
    assert failed(world) == {"silent"}


def test_an_advertisement_to_everybody(world: World) -> None:
    world.advertise(LINK_UP + 0.5, target=bytes.fromhex("333300000001"))
    assert failed(world) == {"router"}


def test_an_advertisement_of_another_prefix(world: World) -> None:
    world.advertise(LINK_UP + 0.5, prefix=domain.host_prefix(2).network_address.packed)
    assert failed(world) == {"router"}


def test_an_advertisement_by_another_router(world: World) -> None:
    world.advertise(LINK_UP + 0.5, router=IPv6Address("fe80::1").packed)
    assert failed(world) == {"router"}


def test_a_gateway_that_does_not_advertise(world: World) -> None:
    world.frames = [
        frame for frame in world.frames if not (frame[0] == "access-h1" and ALL_NODES in frame[2] and frame[1] > MOVED)
    ]
    assert failed(world) == {"router"}


def test_a_lost_packet(world: World) -> None:
    world.without("access-h1", DOWN, 100)
    assert failed(world) == {"loss down"}


def test_a_lost_packet_up(world: World) -> None:
    for point in ("outside", "core-lma"):
        world.without(point, UP, 100)
    assert failed(world) == {"loss up"}


def test_the_last_packets_lost(world: World) -> None:
    for number in (148, 149):
        world.without("access-h1", DOWN, number)
    assert losses(world.evidence(), DOWN).strays == (148, 149)


def test_packets_lost_in_the_gap_belong_to_the_handover(world: World) -> None:
    for number in (73, 74):
        world.without("access-h1", DOWN, number)
    assert losses(world.evidence(), DOWN).gaps == (0, 4)
    assert failed(world) == {"resumed"}


def test_a_packet_in_the_old_tunnel_after_the_move(world: World) -> None:
    packet = probe(DOWN, 110, CN, HOST)
    for point in ("core-lma", "core-mag2"):
        world.without(point, DOWN, 110)
    world.through(BEGAN + 0.3 + 1.1001, header(LMA, gateway(1), 41, packet), "core-lma", "core-mag1")
    assert failed(world) == {"way down", "honest"}


def test_a_packet_that_took_no_tunnel(world: World) -> None:
    for point in ("core-lma", "core-mag2"):
        world.without(point, UP, 110)
    assert failed(world) == {"way up"}


def test_a_packet_before_the_answer(world: World) -> None:
    packet = probe(UP, 2000, HOST, CN)
    world.put("core-mag2", LINK_UP + 0.0012, header(gateway(2), LMA, 41, packet))
    assert "early" in failed(world)


def test_the_anchor_may_change_over_while_it_answers(world: World) -> None:
    """Between the PBU and the PBA either gateway is right."""
    packet = probe(DOWN, 70, CN, HOST)
    world.put("core-lma", LINK_UP + 0.0018, header(LMA, gateway(2), 41, packet))
    assert "honest" not in failed(world)


def test_the_anchor_may_not_change_over_before_it_is_asked(world: World) -> None:
    packet = probe(DOWN, 70, CN, HOST)
    world.put("core-lma", LINK_UP + 0.0001, header(LMA, gateway(2), 41, packet))
    assert "honest" in failed(world)


def test_a_complaint(world: World) -> None:
    world.put("core-lma", LINK_UP + 0.5, header(LMA, gateway(1), 58, bytes([4, 1]) + bytes(6)))
    assert failed(world) == {"complaints"}


def test_a_message_that_does_not_decode(world: World) -> None:
    broken = bytearray(mobility(gateway(1), LMA, Heartbeat(0, 1)))
    broken[-1] ^= 1
    world.signal(LINK_UP + 0.5, bytes(broken), 1, up=True)
    assert failed(world) == {"complaints"}


def test_a_gap_that_is_too_long(world: World) -> None:
    [handover] = handovers(world.evidence(), "h1")
    assert judge_traffic.resumed(handover, 20.0, "GW-2").passed
    assert not judge_traffic.resumed(handover, 5.0, "GW-2").passed
    never = Handover("h1", "mag1", "mag2", 0.0, 0.0, 0.0, None, 1.0, 0, 0, 1.0)
    assert not judge_traffic.resumed(never, 20.0, "GW-2").passed


def test_a_sender_that_could_not_send_makes_no_gap(world: World) -> None:
    world.stalls = [(LINK_UP - 0.5, LINK_UP + 0.003), (LINK_UP + 0.002, LINK_UP + 0.007), (LINK_UP + 0.5, LINK_UP + 0.6)]
    [handover] = handovers(world.evidence(), "h1")
    assert handover.stalled_down_ms == pytest.approx(7.0, abs=0.01)
    assert judge_traffic.resumed(handover, 5.0, "GW-2").passed
    assert not judge_traffic.resumed(handover, 3.0, "GW-2").passed


@pytest.mark.parametrize(("zones", "passed"), [({Zone.ACCESS}, False), ({Zone.ACCESS, Zone.CORE}, True)])
def test_forged_packets(world: World, zones: set[Zone], passed: bool) -> None:
    world.put("access-h1", LINK_UP + 0.5, probe(30, 0, STRANGER, CN), HOST_LINK_LAYER)
    world.put("core-mag2", LINK_UP + 0.5001, header(gateway(2), LMA, 41, probe(30, 0, STRANGER, CN)))
    assert judge_traffic.forged_dropped(world.evidence(), 30, zones, "x", "GW-4").passed is passed


def test_forged_packets_that_nobody_sent(world: World) -> None:
    assert not judge_traffic.forged_dropped(world.evidence(), 30, set(Zone), "x", "GW-4").passed
