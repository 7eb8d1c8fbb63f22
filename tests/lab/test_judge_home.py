# SPDX-License-Identifier: Apache-2.0
"""The judge of Mobile IPv6 sees every fault that is put into records of a journey without one.

Always holds: each check is seen to pass on the faultless journey and to fail on one with a fault of its kind.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv6Network
from pathlib import Path

import pytest

from halma.lab import judge_home, judge_traffic
from halma.lab.evidence import Evidence, Signal
from halma.lab.forge import header
from halma.lab.moves import Window
from halma.lab.scenarios import domain, roaming
from halma.lab.scenarios.a2_leave import AT_ROUTER, at_home
from halma.lab.scenarios.travellers import MobileNode, Stop
from halma.lab.verdict import Check
from halma.wire.numbers import BindingUpdateFlag
from tests.lab.home_world import (
    AWAY,
    BACK,
    CARE_OF,
    DOWN,
    ENDED,
    ENTRY_ENDED,
    HOME,
    LEFT,
    LINK,
    OTHER,
    RETURNED,
    UP,
    HomeWorld,
    home_answer,
    home_update,
)
from tests.lab.records import probe
from tests.lab.world import BEGAN, CN, LMA, STRANGER, answer, gateway, update

HOME_PREFIX = domain.host_prefix(1)


def at(place: str) -> Callable[[Evidence], Window]:
    """The movement to a place."""
    return lambda evidence: judge_home.window_to(evidence, "mn", place)


first, away, back = at("mag1"), at("ar"), at("mag2")

ASKED: dict[str, Callable[[Evidence], Check]] = {
    "registered": lambda evidence: judge_home.registered_abroad(evidence, "mn", away(evidence), roaming.ROUTER_PREFIX)[0],
    "returned": lambda evidence: judge_home.returned_home(evidence, "mn", back(evidence))[0],
    "silent": lambda evidence: judge_home.returned_home(evidence, "mn", back(evidence))[1],
    "bare": lambda evidence: judge_home.nothing_bare_abroad(evidence, "mn", away(evidence)),
    "quiet": lambda evidence: judge_home.no_home_signalling(evidence, "mn", first(evidence), "MN-4"),
    "proxied": lambda evidence: judge_home.proxied(evidence, "mn", first(evidence), "lma", HOME_PREFIX),
    "proxied again": lambda evidence: judge_home.proxied(evidence, "mn", back(evidence), "lma", HOME_PREFIX),
    "not proxied": lambda evidence: judge_home.not_proxied(evidence, "mn", away(evidence)),
    "untouched": lambda evidence: judge_home.untouched_by_home(evidence, OTHER, ("mag1",), ENTRY_ENDED, "x", "ANC-1"),
}


@pytest.fixture
def world(tmp_path: Path) -> HomeWorld:
    """Records of a journey without a fault."""
    return HomeWorld(tmp_path)


def failed(world: HomeWorld) -> set[str]:
    """The checks that fail."""
    return world.failed(ASKED)


def test_a_journey_without_a_fault_passes(world: HomeWorld) -> None:
    assert failed(world) == set()


def test_no_evidence_is_not_a_pass(world: HomeWorld) -> None:
    world.frames, world.events = [], []
    # Of a silence before an answer there is nothing to be seen; its own check fails for want of the answer.
    with pytest.raises(IndexError):
        ASKED["silent"](world.evidence())
    assert not ASKED["returned"](world.evidence()).passed
    asked = {name: ask for name, ask in ASKED.items() if name != "silent"}
    assert world.failed(asked) == set(asked)


# ---- the registration abroad ----


def test_a_registration_that_nobody_answers(world: HomeWorld) -> None:
    world.forget(home_answer(7, 15))
    assert failed(world) == {"registered"}


def test_a_registration_that_is_refused(world: HomeWorld) -> None:
    world.forget(home_answer(7, 15))
    world.abroad(AWAY + 0.007, home_answer(7, 15, status=132), up=False)
    assert failed(world) == {"registered"}


def test_an_answer_to_another_message(world: HomeWorld) -> None:
    world.forget(home_answer(7, 15))
    world.abroad(AWAY + 0.007, home_answer(6, 15), up=False)
    assert failed(world) == {"registered"}


def test_an_answer_before_its_message(world: HomeWorld) -> None:
    world.forget(home_answer(7, 15))
    world.abroad(AWAY + 0.001, home_answer(7, 15), up=False)
    assert failed(world) == {"registered"}


def test_a_registration_from_another_place(world: HomeWorld) -> None:
    """It was sent when the node had gone on."""
    for packet in (home_update(7, 15), home_answer(7, 15)):
        world.forget(packet)
    world.abroad(RETURNED + 0.001, home_update(7, 15), up=True)
    world.abroad(RETURNED + 0.002, home_answer(7, 15), up=False)
    assert failed(world) == {"registered", "not proxied"}


def test_a_refresh_over_the_old_link_is_not_the_registration_from_the_new_one(world: HomeWorld) -> None:
    """It was sent when the lab had begun to take the link away."""
    world.abroad(LEFT + 0.001, home_update(6, 15, STRANGER, STRANGER), up=True)
    world.abroad(LEFT + 0.0015, home_answer(6, 15, STRANGER), up=False)
    assert failed(world) == set()


def registered_with(world: HomeWorld, sent: bytes, answered: bytes | None = None) -> set[str]:
    """The checks that fail when the node registers with another message, or is answered with one."""
    world.forget(home_update(7, 15))
    world.abroad(AWAY + 0.005, sent, up=True)
    if answered is not None:
        world.forget(home_answer(7, 15))
        world.abroad(AWAY + 0.007, answered, up=False)
    return failed(world)


def test_the_same_message_again_is_no_fault(world: HomeWorld) -> None:
    assert registered_with(world, home_update(7, 15), home_answer(7, 15)) == set()


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (home_update(7, 15, STRANGER, STRANGER), "is not of 2001:db8:1a:1::/64"),
        (home_update(7, 15, STRANGER), "not sent from the care-of address"),
        (home_update(7, 15, home_address_option=False), "no Home Address option"),
        (home_update(7, 15, flags=BindingUpdateFlag.ACKNOWLEDGE), "A and H"),
        (home_update(7, 15, flags=BindingUpdateFlag.HOME_REGISTRATION), "A and H"),
        (home_update(7, 15, signed=False), "BindingUpdate without authentication"),
    ],
)
def test_a_wrong_update(world: HomeWorld, sent: bytes, told: str) -> None:
    assert registered_with(world, sent) == {"registered"}
    assert told in ASKED["registered"](world.evidence()).detail


@pytest.mark.parametrize(
    "answered", [home_answer(7, 15, signed=False), home_answer(7, 15, routed=False)], ids=["not signed", "no routing header"]
)
def test_a_wrong_answer(world: HomeWorld, answered: bytes) -> None:
    assert registered_with(world, home_update(7, 15), answered) == {"registered"}


# ---- bare packets ----


def test_a_bare_packet_abroad(world: HomeWorld) -> None:
    world.put(LINK, AWAY + 0.5, probe(UP, 2000, HOME, CN))
    assert failed(world) == {"bare"}


def test_a_packet_in_the_tunnel_is_not_bare(world: HomeWorld) -> None:
    world.put(LINK, AWAY + 0.5, header(CARE_OF, LMA, 41, probe(UP, 2000, HOME, CN)))
    assert failed(world) == set()


def test_a_bare_packet_before_the_link_was_up_is_the_old_link_s(world: HomeWorld) -> None:
    world.put(LINK, LEFT + 0.001, probe(UP, 2000, HOME, CN))
    assert failed(world) == set()


def test_nothing_in_the_tunnel(world: HomeWorld) -> None:
    world.frames = [frame for frame in world.frames if not (frame[0] == LINK and CARE_OF in frame[2][:54])]
    assert "bare" in failed(world)


def test_a_bare_packet_at_home_before_the_answer(world: HomeWorld) -> None:
    world.put(LINK, BACK + 0.005, probe(UP, 2000, HOME, CN))
    assert failed(world) == {"silent"}


def test_a_bare_packet_at_home_after_it_is_as_it_should_be(world: HomeWorld) -> None:
    world.put(LINK, BACK + 0.007, probe(UP, 2000, HOME, CN))
    assert failed(world) == set()


# ---- the return ----


def returned_with(world: HomeWorld, sent: bytes, answered: bytes) -> set[str]:
    """The checks that fail when the node de-registers in another way."""
    world.forget(home_update(8, 0, HOME, HOME))
    world.forget(home_answer(8, 0, HOME))
    world.at_home(BACK + 0.004, sent, 2, up=True)
    world.at_home(BACK + 0.006, answered, 2, up=False)
    return world.failed({name: ask for name, ask in ASKED.items() if name != "silent"})


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (home_update(8, 0, HOME, CARE_OF), home_answer(8, 0, HOME)),
        (home_update(8, 0), home_answer(8, 0)),
        (home_update(8, 15, HOME, HOME), home_answer(8, 15, HOME)),
        (home_update(8, 0, HOME, HOME), home_answer(8, 0, HOME, status=133)),
        (home_update(8, 0, HOME, HOME), home_answer(7, 0, HOME)),
    ],
    ids=["another care-of address", "from the care-of address", "a lifetime", "refused", "another answer"],
)
def test_a_wrong_de_registration(world: HomeWorld, sent: bytes, answered: bytes) -> None:
    assert returned_with(world, sent, answered) == {"returned"}


def test_a_de_registration_before_the_gateway_has_registered_the_node(world: HomeWorld) -> None:
    for packet in (update(2, 1, 900), answer(2, 1, 900)):
        world.forget(packet)
    world.at_gateway(BACK + 0.010, update(2, 1, 900), 2, up=True)
    world.at_gateway(BACK + 0.011, answer(2, 1, 900), 2, up=False)
    assert failed(world) == {"returned"}


# ---- no signalling where none is due ----


@pytest.mark.parametrize("packet", [home_update(6, 15), home_answer(6, 15)], ids=["an update", "an answer"])
def test_signalling_at_home(world: HomeWorld, packet: bytes) -> None:
    world.abroad(BEGAN + 0.5, packet, up=True)
    assert failed(world) == {"quiet"}


# ---- what gateways say ----


def test_a_gateway_that_does_not_register(world: HomeWorld) -> None:
    world.forget(update(1, 1, 900))
    assert failed(world) == {"proxied"}


def test_a_gateway_that_is_refused(world: HomeWorld) -> None:
    world.forget(answer(1, 1, 900))
    world.at_gateway(BEGAN + 0.112, answer(1, 1, 900, status=154), 1, up=False)
    assert failed(world) == {"proxied"}


def test_another_anchor(world: HomeWorld) -> None:
    check = judge_home.proxied(world.evidence(), "mn", first(world.evidence()), "lma2", HOME_PREFIX)
    assert not check.passed


def test_another_network(world: HomeWorld) -> None:
    check = judge_home.proxied(world.evidence(), "mn", first(world.evidence()), "lma", IPv6Network("2001:db8:300:1::/64"))
    assert not check.passed


def test_another_gateway_whose_registration_is_accepted(world: HomeWorld) -> None:
    world.at_gateway(BEGAN + 0.5, update(2, 9, 900), 2, up=True)
    assert failed(world) == set()
    world.at_gateway(BEGAN + 0.501, answer(2, 9, 900), 2, up=False)
    assert failed(world) == {"proxied"}


def test_a_registration_that_nobody_needed(world: HomeWorld) -> None:
    world.at_gateway(BEGAN + 0.5, update(1, 9, 900), 1, up=True)
    world.at_gateway(BEGAN + 0.501, answer(1, 9, 900), 1, up=False)
    assert failed(world) == {"proxied"}


def test_a_repetition_of_what_was_not_answered_in_time_is_no_fault(world: HomeWorld) -> None:
    for packet in (update(2, 1, 900), answer(2, 1, 900)):
        world.forget(packet)
    world.journal["ended"] = ENDED + 1
    world.at_gateway(BACK + 0.001, update(2, 1, 900), 2, up=True)
    world.at_gateway(BACK + 1.001, update(2, 2, 900), 2, up=True)
    world.at_gateway(BACK + 1.002, answer(2, 2, 900), 2, up=False)
    assert failed(world) == set()


def test_a_refresh_when_it_is_due_is_no_fault(world: HomeWorld) -> None:
    world.journal["ended"] = ENDED + 1
    for packet in (update(2, 1, 900), answer(2, 1, 900)):
        world.forget(packet)
    for sequence, time in ((1, BACK + 0.001), (2, BACK + 0.801)):
        world.at_gateway(time, update(2, sequence, 900), 2, up=True)
        world.at_gateway(time + 0.001, answer(2, sequence, 0), 2, up=False)
    assert failed(world) == set()


def test_a_gateway_that_registers_a_node_which_manages_its_own_mobility(world: HomeWorld) -> None:
    world.at_gateway(AWAY + 0.5, update(3, 1, 900), 3, up=True)
    assert failed(world) == {"not proxied"}


# ---- two anchors with one role each ----


@pytest.mark.parametrize(("agent", "anchor", "passed"), [("lma", "lma", True), ("ha", "lma", False), ("lma", "ha", False)])
def test_each_role_is_asked_for_its_own_part(world: HomeWorld, agent: str, anchor: str, passed: bool) -> None:
    assert judge_home.roles_apart(world.evidence(), agent, anchor).passed is passed


@pytest.mark.parametrize("kind", [judge_home.is_home_update, judge_home.is_proxy_update])
def test_a_role_that_nobody_asked(world: HomeWorld, kind: Callable[[Signal], bool]) -> None:
    evidence = world.evidence()
    evidence.signals = tuple(signal for signal in evidence.signals if not kind(signal))
    assert not judge_home.roles_apart(evidence, "lma", "lma").passed


# ---- the order of RFC 6612 figure 6 ----


@pytest.mark.parametrize(
    ("times", "passed"),
    [
        ((0.001, 0.003), True),
        ((0.006, 0.0062), False),
        ((0.001, 0.006), False),
        ((0.001, None), False),
    ],
    ids=["as in the figure", "the PBU after the BU", "the PBA after the BU", "no PBA"],
)
def test_the_order_of_messages(world: HomeWorld, times: tuple[float, float | None], passed: bool) -> None:
    """The node was taken to a gateway that registers it and not to the access router."""
    world.journal["movements"][1]["to"] = "mag2"
    asked, answered = times
    world.at_gateway(AWAY + asked, update(2, 9, 900), 2, up=True)
    if answered is not None:
        world.at_gateway(AWAY + answered, answer(2, 9, 900), 2, up=False)
    evidence = world.evidence()
    assert judge_home.in_order(evidence, "mn", back(evidence)).passed is passed


# ---- the proxy entry beside the home binding ----


def test_a_packet_to_the_gateway_after_the_entry_has_ended(world: HomeWorld) -> None:
    world.other(4001, ENTRY_ENDED + 0.2)
    assert failed(world) == {"untouched"}


def test_an_entry_that_ends_too_late(world: HomeWorld) -> None:
    until = ENTRY_ENDED - 0.3
    assert not judge_home.untouched_by_home(world.evidence(), OTHER, ("mag1",), until, "x", "ANC-1").passed


def test_a_packet_to_the_care_of_address_that_is_not_for_the_home_address(world: HomeWorld) -> None:
    packet = probe(OTHER, 4001, CN, HOME[:15] + b"\x77")
    world.put("core-lma", AWAY + 0.1, header(LMA, CARE_OF, 41, packet))
    assert failed(world) == {"untouched"}


def test_an_entry_that_never_was(world: HomeWorld) -> None:
    mark = probe(OTHER, 0, CN, HOME[:15] + b"\x77")[:40]
    world.frames = [frame for frame in world.frames if not (frame[0].startswith("core") and mark[8:40] in frame[2])]
    assert failed(world) == {"untouched"}


def test_an_entry_after_which_nobody_is_told(world: HomeWorld) -> None:
    world.frames = [frame for frame in world.frames if not (frame[0] == "outside" and frame[2][20] == 58)]
    assert failed(world) == {"untouched"}


def test_an_entry_that_ends_and_is_there_again(world: HomeWorld) -> None:
    world.unreachable(4001, AWAY + 0.1)
    assert failed(world) == {"untouched"}


# ---- what is asked of a traveller ----

JOURNEY = (at_home("mag1"), AT_ROUTER, at_home("mag2"))


def test_what_must_be_seen_of_a_node_follows_from_its_stops(world: HomeWorld) -> None:
    node = MobileNode("mn", 1, JOURNEY, HOME_PREFIX)
    checks = list(node.signalling(world.evidence()))
    assert [check.name for check in checks] == [
        "mag1 registers mn with lma",
        "no Mobile IPv6 signalling by mn, None to mag1",
        "mn registers from ar",
        "nothing from the home address of mn is bare at ar",
        "mag2 registers mn with lma",
        "mn de-registers at mag2",
        "nothing from the home address of mn before the answer at mag2",
    ]
    assert all(check.passed for check in checks)


@pytest.mark.parametrize(
    ("stops", "home"),
    [
        (JOURNEY, None),
        ((Stop("mag1", HOME_PREFIX), *JOURNEY[1:]), HOME_PREFIX),
        ((JOURNEY[0], Stop("ar", HOME_PREFIX), JOURNEY[2]), HOME_PREFIX),
        ((*JOURNEY[:2], Stop("mag2", roaming.ROUTER_PREFIX, "lma")), HOME_PREFIX),
    ],
    ids=["never at home", "not registered by MAG1", "at home at the router", "the same network at MAG2"],
)
def test_another_journey_than_the_one_that_was_seen(
    world: HomeWorld, stops: tuple[Stop, ...], home: IPv6Network | None
) -> None:
    checks = list(MobileNode("mn", 1, stops, home).signalling(world.evidence()))
    assert any(not check.passed for check in checks)


def test_the_ways_of_a_node_s_packets(world: HomeWorld) -> None:
    evidence = world.evidence()
    expected = [("to mag1",), ("to mn",), ("to mag2",)]
    assert judge_traffic.paths(evidence, DOWN, expected, "ANC-2").passed
    assert [MobileNode("mn", 1, JOURNEY, HOME_PREFIX).way(stop, "to") for stop in JOURNEY] == [way for (way,) in expected]
    visited = Stop("mag2", roaming.ROUTER_PREFIX, "lma2")
    assert MobileNode("mn", 1, [visited]).way(visited, "from") == "from mag2 around from mn"


def test_a_tunnel_in_a_tunnel_is_named_with_both(world: HomeWorld) -> None:
    inner = header(LMA, CARE_OF, 41, probe(DOWN, 100, CN, HOME))
    for point in ("core-lma", "core-ar"):
        world.without(point, DOWN, 100)
        world.put(point, AWAY + 0.2803, header(LMA, gateway(2), 41, inner))
    assert judge_traffic.runs(world.evidence(), DOWN)[2].path == ("to mag2 around to mn",)


# ---- packets that overtake an acknowledgement ----


def test_packets_that_overtake_an_acknowledgement_are_taken_as_any(world: HomeWorld) -> None:
    packet = header(LMA, CARE_OF, 41, probe(DOWN, 3000, CN, HOME))
    world.put(LINK, AWAY + 0.0072, packet)
    world.received[DOWN] = sum(one.delivered is not None for one in world.evidence().deliveries(DOWN))
    assert judge_traffic.sockets_agree(world.evidence()).passed
    world.received[DOWN] -= 1
    assert not judge_traffic.sockets_agree(world.evidence()).passed
