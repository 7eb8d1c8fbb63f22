# SPDX-License-Identifier: Apache-2.0
"""Gateways are asked whether they live, and may have lost their state: RFC 5847, and what the anchor makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from halma.engine.anchor import Started
from halma.engine.heartbeat import Heartbeat as HeartbeatEngine
from halma.engine.heartbeat import HeartbeatSettings, PeerChange
from halma.engine.policy import Profile
from halma.wire.messages import BindingAcknowledgement, BindingError, Heartbeat
from halma.wire.numbers import HeartbeatFlag, RevocationStatus
from halma.wire.options import RestartCounter
from halma.wire.optionspace import UnknownOption
from tests.engine.conversation import (
    ANCHOR,
    BETWEEN_GATEWAYS,
    HOST,
    INTERFACE,
    OTHER,
    SECOND_ANCHOR,
    UNKNOWN,
    Domain,
    Gateway,
    accepted,
    gateway_address,
    policy,
    prefixes,
)

REQUEST, RESPONSE, UNSOLICITED = 0, HeartbeatFlag.RESPONSE, HeartbeatFlag.RESPONSE | HeartbeatFlag.UNSOLICITED


def begin(**settings: Any) -> tuple[Domain, Gateway, BindingAcknowledgement]:
    """A node is at gateway 1."""
    domain = Domain(policy(Profile(b"*@example.org", pool="main", prefixes_per_session=2)), restart_counter=77, **settings)
    gateway1 = domain.gateway(1)
    return domain, gateway1, accepted(gateway1.update(HOST, link_layer=INTERFACE))


def peer(domain: Domain, number: int = 1) -> dict[str, Any]:
    """The row of a gateway."""
    (row,) = [each for each in domain.anchor.describe_peers() if each["peer"] == gateway_address(number)]
    return row


def changes(domain: Domain) -> list[str]:
    """What was reported of gateways."""
    return [report.reason for report in domain.reports if report.reason.startswith("peer_")]


# ---- asked ------------------------------------------------------------------------------------------------------------


@pytest.mark.rfc("5847#3-3", "5847#3.2-1")
@pytest.mark.parametrize("sessions", [False, True])
def test_a_request_is_answered_with_its_number_and_our_restart_counter(sessions: bool) -> None:
    domain = Domain(restart_counter=77)
    gateway1 = domain.gateway(1)
    if sessions:
        accepted(gateway1.update(HOST))
    (sent,) = gateway1.send(Heartbeat(REQUEST, 0xDEADBEEF, ()), SECOND_ANCHOR)
    assert sent.send.source == SECOND_ANCHOR
    assert sent.message == Heartbeat(RESPONSE, 0xDEADBEEF, (RestartCounter(77),))
    assert domain.count("heartbeat_requests_received") == 1


def test_a_stranger_is_not_answered() -> None:
    domain = Domain()
    assert domain.gateway(100).send(Heartbeat(REQUEST, 1, ())) == []
    assert domain.count("unexpected_message") == 1


@pytest.mark.rfc("5847#3.2-5")
def test_an_anchor_that_has_restarted_tells_the_gateways_of_its_former_life() -> None:
    domain = Domain(restart_counter=5)
    domain.handle(Started(((ANCHOR, gateway_address(1)), (SECOND_ANCHOR, gateway_address(2)))))
    assert [(s.send.source, s.send.destination, s.message) for s in domain.wire] == [
        (ANCHOR, gateway_address(1), Heartbeat(UNSOLICITED, 0, (RestartCounter(5),))),
        (SECOND_ANCHOR, gateway_address(2), Heartbeat(UNSOLICITED, 0, (RestartCounter(5),))),
    ]


def test_what_a_restart_wants_to_know_is_who_has_sessions() -> None:
    domain, gateway1, first = begin()
    accepted(domain.gateway(2).update(OTHER, destination=SECOND_ANCHOR))
    assert domain.anchor.peers() == [(ANCHOR, gateway_address(1)), (SECOND_ANCHOR, gateway_address(2))]
    accepted(gateway1.deregister(first))
    domain.advance(10)
    assert domain.anchor.peers() == [(SECOND_ANCHOR, gateway_address(2))]


# ---- asking -----------------------------------------------------------------------------------------------------------


@pytest.mark.rfc("5847#3-1", "5847#3-2", "5847#3-4")
def test_a_gateway_is_asked_every_interval_while_it_has_sessions() -> None:
    domain, gateway1, first = begin()
    domain.advance(59.9)
    assert not gateway1.heartbeats()
    domain.advance(0.1)
    assert gateway1.heartbeats() == [Heartbeat(REQUEST, 1, ())]
    gateway1.beat(1)
    domain.advance(60)
    assert [beat.sequence for beat in gateway1.heartbeats()] == [1, 2]
    gateway1.beat(1)
    accepted(domain.gateway(2).update(HOST, link_layer=INTERFACE, handoff=BETWEEN_GATEWAYS))
    domain.advance(600)
    assert len(gateway1.heartbeats()) == 2
    assert len(domain.gateway(2).heartbeats()) == 10
    accepted(domain.gateway(2).deregister(first))
    domain.advance(600)
    assert len(domain.gateway(2).heartbeats()) == 10
    assert not domain.gateway(3).heartbeats()


@pytest.mark.rfc("5847#5-1")
def test_the_interval_is_a_minute_unless_configured() -> None:
    assert HeartbeatSettings() == HeartbeatSettings(enabled=True, interval=60.0, missing_allowed=3)
    domain, gateway1, _ = begin(heartbeat=HeartbeatSettings(interval=300.0))
    domain.advance(900)
    assert len(gateway1.heartbeats()) == 3


def test_heartbeats_may_be_off() -> None:
    domain, gateway1, _ = begin(heartbeat=HeartbeatSettings(enabled=False))
    domain.advance(600)
    assert not gateway1.heartbeats()
    assert peer(domain)["heartbeat"] == "off"


def test_a_gateway_that_misses_too_many_is_unreachable_until_it_answers() -> None:
    """Section 3.1: more than MISSING_HEARTBEATS_ALLOWED in a row."""
    domain, gateway1, first = begin()
    domain.advance(60 + 3 * 60)
    assert peer(domain) | {"name": ""} == {
        "peer": gateway_address(1),
        "name": "",
        "sessions": 1,
        "heartbeat": "reachable",
        "missing_heartbeats": 3,
        "restart_counter": None,
    }
    domain.advance(60)
    assert changes(domain) == ["peer_unreachable"]
    assert peer(domain)["heartbeat"] == "unreachable"
    domain.advance(120)
    assert changes(domain) == ["peer_unreachable"]
    gateway1.beat(4)
    assert changes(domain) == ["peer_unreachable", "peer_reachable"]
    assert (peer(domain)["heartbeat"], peer(domain)["missing_heartbeats"]) == ("reachable", 0)
    assert domain.route(first) == gateway1.tunnel


def test_only_the_answer_to_the_last_request_counts_and_only_once() -> None:
    domain, gateway1, _ = begin()
    gateway1.beat(1, sequence=0)
    domain.advance(120)
    for number in (1, 3, 0):
        gateway1.beat(1, sequence=number)
    domain.gateway(2).beat(1, sequence=2)
    assert domain.count("heartbeat_responses_unmatched") == 5
    assert peer(domain)["missing_heartbeats"] == 1
    gateway1.beat(1)
    gateway1.beat(9)
    assert domain.count("heartbeat_responses_unmatched") == 6
    assert domain.count("heartbeat_responses_received") == 1
    assert changes(domain) == []


@pytest.mark.rfc("5847#3.3-2")
def test_an_answer_without_counter_is_an_answer_and_unknown_options_are_skipped() -> None:
    domain, gateway1, _ = begin()
    domain.advance(60)
    gateway1.send(Heartbeat(RESPONSE, 1, (UnknownOption(200, b"x"),)))
    assert domain.count("heartbeat_responses_received") == 1
    assert peer(domain)["restart_counter"] is None


# ---- no heartbeats with this one ----------------------------------------------------------------------------------------


@pytest.mark.rfc("5847#3-5")
def test_a_gateway_that_does_not_know_heartbeats_is_not_asked_again() -> None:
    domain, gateway1, first = begin()
    domain.advance(60)
    gateway1.send(BindingError(2, bytes(16), ()))
    assert peer(domain)["heartbeat"] == "unsupported"
    domain.advance(600)
    accepted(gateway1.refresh(first))
    accepted(gateway1.deregister(first))
    domain.advance(600)
    accepted(gateway1.update(OTHER))
    domain.advance(600)
    assert len(gateway1.heartbeats()) == 1
    assert peer(domain)["heartbeat"] == "unsupported"
    assert changes(domain) == []


def test_a_binding_error_that_answers_something_else_ends_no_heartbeats() -> None:
    """Such as a revocation that the gateway does not know (RFC 5846 section 6.2): the error does not say what caused it."""
    domain, gateway1, _ = begin()
    gateway1.send(BindingError(2, bytes(16), ()))
    domain.advance(60)
    gateway1.send(BindingError(1, bytes(16), ()))
    domain.gateway(2).send(BindingError(2, bytes(16), ()))
    gateway1.beat(1)
    gateway1.send(BindingError(2, bytes(16), ()))
    domain.advance(60)
    assert len(gateway1.heartbeats()) == 2
    assert domain.count("binding_errors_received") == 4


# ---- restart ----------------------------------------------------------------------------------------------------------


@pytest.mark.rfc("5847#3.2-4")
@pytest.mark.parametrize("unsolicited", [False, True])
@pytest.mark.parametrize("counter", [4, 6, 0])
def test_a_gateway_that_has_restarted_has_lost_its_sessions(unsolicited: bool, counter: int) -> None:
    """They wait for a gateway as if they had been given up; a node that comes back keeps its prefixes."""
    domain, gateway1, first = begin()
    second = accepted(gateway1.update(OTHER))
    elsewhere = accepted(domain.gateway(2).update(b"third@example.org"))
    domain.advance(60)
    gateway1.beat(5)
    assert peer(domain)["restart_counter"] == 5
    domain.advance(60)
    gateway1.beat(counter, unsolicited)
    assert changes(domain) == ["peer_restarted"]
    assert {domain.plane.bound[p.prefix] for p in (*prefixes(first), *prefixes(second))} == {None}
    assert domain.route(elsewhere) == domain.gateway(2).tunnel
    assert prefixes(accepted(gateway1.update(HOST, link_layer=INTERFACE))) == prefixes(first)
    domain.advance(10)
    assert domain.route(first) == gateway1.tunnel
    assert domain.route(second) == "nowhere"
    assert peer(domain)["restart_counter"] == counter


def test_a_counter_that_is_heard_for_the_first_time_or_again_is_no_restart() -> None:
    domain, gateway1, first = begin()
    for _ in range(3):
        domain.advance(60)
        gateway1.beat(5)
    gateway1.beat(5, unsolicited=True)
    assert changes(domain) == []
    assert domain.route(first) == gateway1.tunnel


def test_who_speaks_up_unasked_before_the_first_request_has_lost_its_sessions() -> None:
    domain, gateway1, _ = begin()
    gateway1.beat(5, unsolicited=True)
    assert changes(domain) == ["peer_restarted"]
    gateway1.beat(5, unsolicited=True)
    assert changes(domain) == ["peer_restarted"]


def test_what_a_gateway_registers_in_its_new_life_stays_when_its_restart_is_noticed_late() -> None:
    """It did not tell of its restart; the next heartbeat does. What it has refreshed or registered since the last one may be
    of its new life; only what is older is lost for certain."""
    domain, gateway1, lost = begin()
    refreshed = accepted(gateway1.update(OTHER))
    domain.advance(60)
    gateway1.beat(5)
    domain.advance(30)
    accepted(gateway1.refresh(refreshed, OTHER))
    new = accepted(gateway1.update(b"third@example.org"))
    domain.advance(30)
    gateway1.beat(6)
    assert changes(domain) == ["peer_restarted"]
    assert domain.route(lost) is None
    assert domain.route(refreshed) == domain.route(new) == gateway1.tunnel
    domain.advance(60)
    gateway1.beat(7)
    assert domain.route(refreshed) is domain.route(new) is None, "both older than the last request of that life"


def test_a_restart_lets_a_request_go_on_that_waited_for_a_deregistration() -> None:
    domain, gateway1, first = begin()
    gateway2 = domain.gateway(2)
    domain.advance(60)
    gateway1.beat(5)
    gateway2.update(HOST, handoff=UNKNOWN)
    domain.advance(1)
    gateway1.beat(6, unsolicited=True)
    (answer,) = gateway2.answers()
    assert prefixes(accepted(answer)) == prefixes(first)
    assert domain.route(first) == gateway2.tunnel


def test_sessions_that_are_on_their_way_elsewhere_or_given_up_are_left_alone_by_a_restart() -> None:
    domain, gateway1, first = begin()
    given_up = accepted(gateway1.update(OTHER))
    gateway2 = domain.gateway(2)
    domain.advance(60)
    gateway1.beat(5)
    accepted(gateway1.deregister(given_up, OTHER))
    domain.advance(5)
    domain.plane.holding = True
    gateway2.update(HOST, link_layer=INTERFACE, handoff=BETWEEN_GATEWAYS)
    gateway1.beat(6, unsolicited=True)
    domain.release()
    accepted(gateway2.answers()[0])
    assert domain.route(first) == gateway2.tunnel
    domain.advance(5)
    assert domain.route(given_up) == "nowhere"


# ---- the engine by itself ---------------------------------------------------------------------------------------------------


def test_a_peer_that_is_not_watched_is_nobody() -> None:
    domain = Domain()
    heartbeat = HeartbeatEngine(HeartbeatSettings(), 1)
    heartbeat.forget(gateway_address(1))
    heartbeat.unsupported(gateway_address(1))
    assert heartbeat.describe(gateway_address(1)) == {}
    assert heartbeat.next_deadline() is None
    assert heartbeat.handle_timeout(domain.now) == ([], [])


def test_the_engine_says_whether_a_peer_is_unreachable() -> None:
    domain = Domain()
    heartbeat = HeartbeatEngine(HeartbeatSettings(missing_allowed=0), 1)
    heartbeat.watch(ANCHOR, gateway_address(1), domain.now)
    heartbeat.watch(SECOND_ANCHOR, gateway_address(1), domain.now)
    domain._pass(60)
    ((request,), outcomes) = heartbeat.handle_timeout(domain.now)
    assert request.source == ANCHOR
    assert not outcomes
    assert heartbeat.describe(gateway_address(1))["heartbeat"] == "reachable"
    domain._pass(60)
    assert [outcome.change for outcome in heartbeat.handle_timeout(domain.now)[1]] == [PeerChange.UNREACHABLE]
    assert heartbeat.describe(gateway_address(1))["heartbeat"] == "unreachable"


def test_peers_without_heartbeats_are_remembered_in_a_bounded_way() -> None:
    domain = Domain()
    heartbeat = HeartbeatEngine(HeartbeatSettings(), 1)
    addresses = [n.to_bytes(16, "big") for n in range(4200)]
    for address in addresses:
        heartbeat.watch(ANCHOR, address, domain.now)
    domain._pass(60)
    assert len(heartbeat.handle_timeout(domain.now)[0]) == 4200
    for address in addresses:
        heartbeat.unsupported(address)
        heartbeat.forget(address)
    assert len(heartbeat._unsupported) == 4096
    heartbeat.watch(ANCHOR, addresses[0], domain.now)
    heartbeat.watch(ANCHOR, addresses[-1], domain.now)
    assert heartbeat.describe(addresses[0])["heartbeat"] == "reachable"
    assert heartbeat.describe(addresses[-1])["heartbeat"] == "unsupported"


def test_a_revocation_does_not_need_a_reachable_gateway() -> None:
    domain, gateway1, _ = begin(heartbeat=HeartbeatSettings(missing_allowed=0, interval=30))
    domain.advance(90)
    assert changes(domain) == ["peer_unreachable"]
    domain.gateway(2).update(HOST, handoff=UNKNOWN)
    gateway1.acknowledge(RevocationStatus.SUCCESS)
    accepted(domain.gateway(2).answers()[0])
