# SPDX-License-Identifier: Apache-2.0
"""A gateway does not know whether the node was handed over to it ("handoff state unknown"): RFC 5213 sections 5.4.1.2 rule 4,
5.4.1.3 rule 3 and 9.1 (MaxDelayBeforeNewBCEAssign), with the question to the previous gateway of RFC 5846 section 8.1."""

from __future__ import annotations

from typing import Any

import pytest

from halma.engine.anchor import PolicyReplaced
from halma.engine.policy import Profile
from halma.engine.proxy_revocation import RevocationRequested
from halma.wire.messages import BindingAcknowledgement
from halma.wire.numbers import RevocationFlag, RevocationStatus, RevocationTrigger, Status
from halma.wire.options import MobileNodeIdentifier
from tests.engine.conversation import (
    BETWEEN_GATEWAYS,
    HOST,
    INTERFACE,
    NEW_INTERFACE,
    OTHER,
    OTHER_INTERFACE,
    UNKNOWN,
    Domain,
    Gateway,
    accepted,
    gateway_address,
    options,
    policy,
    prefixes,
    refused,
)

STYLES: list[dict[str, Any]] = [{}, {"link_layer": OTHER_INTERFACE}]
"""Without a link-layer identifier (5.4.1.3), and with another than the session's (5.4.1.2)."""


def begin(**settings: Any) -> tuple[Domain, Gateway, Gateway, BindingAcknowledgement]:
    """A node is at gateway 1."""
    domain = Domain(policy(Profile(b"*@example.org", pool="main", prefixes_per_session=2)), **settings)
    gateway1 = domain.gateway(1)
    return domain, gateway1, domain.gateway(2), accepted(gateway1.update(HOST, link_layer=INTERFACE))


@pytest.mark.rfc("5213#5.4.1.2-9", "5213#5.4.1.3-4")
@pytest.mark.parametrize("style", STYLES)
def test_the_deregistration_arrives_and_the_session_moves(style: dict[str, Any]) -> None:
    domain, gateway1, gateway2, first = begin()
    assert gateway2.update(HOST, handoff=UNKNOWN, **style) is None
    asked = gateway2.sequence
    assert domain.route(first) == gateway1.tunnel
    domain.advance(1.4)
    accepted(gateway1.deregister(first, link_layer=INTERFACE))
    (answer,) = gateway2.answers()
    assert prefixes(accepted(answer)) == prefixes(first)
    assert answer.sequence == asked
    assert domain.route(first) == gateway2.tunnel
    domain.advance(20)
    assert domain.route(first) == gateway2.tunnel
    assert len(domain.bindings()) == 1
    assert len(gateway1.indications()) == 2, "the question, and once again; no more after the de-registration"


@pytest.mark.rfc("5213#5.4.1.2-10", "5213#5.4.1.3-5", "5213#9.1-5")
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("delay", [1.5, 0.7, 2.9])
def test_nothing_arrives_and_the_node_gets_another_session(style: dict[str, Any], delay: float) -> None:
    domain, gateway1, gateway2, first = begin(maximum_delay_before_new_bce_assign=delay)
    assert gateway2.update(HOST, handoff=UNKNOWN, **style) is None
    domain.advance(delay - 0.01)
    assert not gateway2.answers()
    domain.advance(0.01)
    (answer,) = gateway2.answers()
    assert not set(prefixes(accepted(answer))) & set(prefixes(first))
    assert domain.route(first) == gateway1.tunnel
    assert domain.route(answer) == gateway2.tunnel
    assert len(domain.bindings()) == 2


@pytest.mark.rfc("5213#5.4.1.2-11", "5213#5.4.1.3-6")
@pytest.mark.parametrize("style", STYLES)
def test_an_anchor_that_is_told_not_to_wait_creates_a_session_at_once(style: dict[str, Any]) -> None:
    domain, gateway1, gateway2, _ = begin(wait_for_deregistration=False)
    accepted(gateway2.update(HOST, handoff=UNKNOWN, **style))
    assert len(domain.bindings()) == 2
    assert not gateway1.indications()


@pytest.mark.rfc("5846#8.1-1", "5846#8.1-2", "5846#8.1-3", "5846#8.1-6", "5846#8.1-19", "5846#8.1-21", "5846#8.1-22")
def test_the_previous_gateway_is_asked_whether_the_node_has_left() -> None:
    domain, gateway1, gateway2, first = begin()
    gateway2.update(HOST, handoff=UNKNOWN)
    (sent,) = domain.wire[1:]
    assert sent.send.destination == gateway_address(1)
    (indication,) = gateway1.indications()
    assert indication.trigger == RevocationTrigger.INTER_MAG_HANDOVER_UNKNOWN
    assert indication.flags == RevocationFlag.PROXY_BINDING
    assert options(indication, MobileNodeIdentifier) == [MobileNodeIdentifier(1, HOST)]
    assert prefixes(indication) == prefixes(first)


@pytest.mark.rfc("5846#8.1-24")
@pytest.mark.parametrize(
    "status", [RevocationStatus.SUCCESS, RevocationStatus.PARTIAL_SUCCESS, RevocationStatus.BINDING_DOES_NOT_EXIST]
)
def test_the_node_has_left_and_the_session_moves_at_once(status: int) -> None:
    """A gateway that has no such session does not serve the node either: its de-registration may have been lost."""
    domain, gateway1, gateway2, first = begin()
    gateway2.update(HOST, handoff=UNKNOWN)
    gateway1.acknowledge(status)
    (answer,) = gateway2.answers()
    assert prefixes(accepted(answer)) == prefixes(first)
    assert domain.route(first) == gateway2.tunnel
    domain.advance(20)
    assert len(domain.bindings()) == 1
    assert len(gateway1.indications()) == 1


@pytest.mark.rfc("5846#8.1-25")
def test_the_node_is_still_there_and_gets_another_session_at_once() -> None:
    domain, gateway1, gateway2, first = begin()
    gateway2.update(HOST, handoff=UNKNOWN)
    gateway1.acknowledge(RevocationStatus.REVOCATION_FAILED_MN_IS_ATTACHED)
    (answer,) = gateway2.answers()
    assert prefixes(accepted(answer)) != prefixes(first)
    assert domain.route(first) == gateway1.tunnel
    domain.advance(20)
    assert len(gateway1.indications()) == 1
    assert len(domain.bindings()) == 2


@pytest.mark.rfc("5846#8.1-26", "5846#8.1-27")
def test_the_previous_gateway_never_answers_and_the_node_gets_another_session() -> None:
    """One retransmission after a second, given up after two more (RFC 5846 section 11): no longer than that."""
    domain, gateway1, gateway2, first = begin(maximum_delay_before_new_bce_assign=60.0)
    gateway2.update(HOST, handoff=UNKNOWN)
    domain.advance(2.99)
    assert not gateway2.answers()
    domain.advance(0.01)
    (answer,) = gateway2.answers()
    assert prefixes(accepted(answer)) != prefixes(first)
    assert len(gateway1.indications()) == 2
    domain.advance(100)
    assert len(gateway2.answers()) == 1


@pytest.mark.rfc("5846#8.1-24")
def test_a_late_word_that_the_node_has_left_gives_its_old_session_up() -> None:
    """The previous gateway has removed its state; the session must not linger until it expires."""
    domain, gateway1, gateway2, first = begin()
    gateway2.update(HOST, handoff=UNKNOWN)
    domain.advance(2)
    (answer,) = gateway2.answers()
    gateway1.acknowledge(RevocationStatus.SUCCESS)
    assert domain.route(first) is None
    domain.advance(9.99)
    assert domain.route(first) is None
    domain.advance(0.01)
    assert domain.route(first) == "nowhere"
    assert domain.route(answer) == gateway2.tunnel


def test_a_retransmission_takes_the_place_of_what_waits_and_gets_the_one_answer() -> None:
    domain, gateway1, gateway2, first = begin()
    assert gateway2.update(HOST, handoff=UNKNOWN) is None
    old = gateway2.last
    domain.advance(1)
    assert gateway2.update(HOST, handoff=UNKNOWN) is None
    gateway2.send(old)
    assert gateway2.answers()[0].status == Status.TIMESTAMP_MISMATCH, "the window has passed it"
    domain.advance(0.49)
    accepted(gateway1.deregister(first, link_layer=INTERFACE))
    assert [(a.status, a.sequence) for a in gateway2.answers()[1:]] == [(0, gateway2.sequence)]
    assert len({i.sequence for i in gateway1.indications()}) == 1


@pytest.mark.parametrize("by_sequence", [False, True])
def test_an_older_request_does_not_take_the_place_of_a_newer_one(by_sequence: bool) -> None:
    domain, gateway1, gateway2, first = begin(timestamp_based_approach=not by_sequence)
    gateway3 = domain.gateway(3)
    old = gateway2.make(HOST, handoff=UNKNOWN, sequence=7)
    gateway3.update(HOST, handoff=UNKNOWN, sequence=8)
    assert gateway2.send(old) == []
    assert domain.count("proxy_updates_ignored") == 1
    gateway3.again()
    accepted(gateway1.deregister(first, link_layer=INTERFACE, sequence=9))
    assert not gateway2.answers()
    assert [answer.status for answer in gateway3.answers()] == [0]
    assert domain.route(first) == gateway3.tunnel


@pytest.mark.parametrize("stamped", [True, False])
def test_requests_with_and_without_timestamps_meet(stamped: bool) -> None:
    """Where one of two has no timestamp, the sequence numbers say which is later."""
    _, gateway1, gateway2, first = begin()
    gateway2.update(HOST, handoff=UNKNOWN, sequence=7, timestamp=-1 if stamped else None)
    gateway2.update(HOST, handoff=UNKNOWN, sequence=8, timestamp=None if stamped else -1)
    accepted(gateway1.deregister(first, link_layer=INTERFACE))
    assert [answer.sequence for answer in gateway2.answers()] == [8]


@pytest.mark.parametrize("by_sequence", [False, True])
def test_what_has_waited_is_not_older_than_the_deregistration_that_it_waited_for(by_sequence: bool) -> None:
    """The previous gateway notices late; its message has the higher timestamp, or the higher sequence number. What it sent
    before that, and comes after, is old nevertheless."""
    domain, gateway1, gateway2, first = begin(timestamp_based_approach=not by_sequence)
    gateway2.update(HOST, handoff=UNKNOWN, sequence=100)
    domain.advance(1.4)
    late = gateway1.make(HOST, *prefixes(first), handoff=BETWEEN_GATEWAYS, sequence=101)
    accepted(gateway1.deregister(first, link_layer=INTERFACE, sequence=102))
    (answer,) = gateway2.answers()
    assert prefixes(accepted(answer)) == prefixes(first)
    overtaken = gateway1.answer(gateway1.send(late))
    refused(overtaken, Status.SEQUENCE_NUMBER_OUT_OF_WINDOW if by_sequence else Status.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED)
    assert domain.route(first) == gateway2.tunnel
    accepted(gateway2.refresh(answer, sequence=103))


# ---- what else may happen while a request waits -------------------------------------------------------------------------


def test_the_same_gateway_learns_better_and_the_waiting_request_is_dropped() -> None:
    domain, gateway1, gateway2, first = begin()
    gateway2.update(HOST, handoff=UNKNOWN)
    accepted(gateway2.update(HOST, handoff=BETWEEN_GATEWAYS))
    domain.advance(60)
    assert len(gateway2.answers()) == 1
    assert domain.route(first) == gateway2.tunnel
    assert len(domain.bindings()) == 1
    assert len(gateway1.indications()) == 1


def test_the_session_moves_elsewhere_and_the_waiting_request_is_older() -> None:
    domain, gateway1, gateway2, first = begin()
    gateway3 = domain.gateway(3)
    gateway2.update(HOST, handoff=UNKNOWN)
    accepted(gateway3.update(HOST, link_layer=INTERFACE, handoff=BETWEEN_GATEWAYS))
    refused(gateway2.answers()[0], Status.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED)
    gateway1.acknowledge(RevocationStatus.SUCCESS)
    domain.advance(60)
    assert domain.route(first) == gateway3.tunnel, "what the first gateway says does not matter any more"
    assert len(domain.bindings()) == 1


def test_the_session_moves_elsewhere_and_the_waiting_request_is_newer() -> None:
    """The gateway that took the session is asked as well; that the request is older than the window by then does not matter."""
    domain, gateway1, gateway2, first = begin()
    gateway3 = domain.gateway(3)
    late = gateway3.make(HOST, link_layer=INTERFACE, handoff=BETWEEN_GATEWAYS)
    gateway2.update(HOST, handoff=UNKNOWN)
    domain.plane.holding = True
    gateway3.send(late)
    domain.advance(0.5)
    domain.release()
    accepted(gateway3.answers()[0])
    assert not gateway2.answers(), "it is newer, and waits on"
    assert len(gateway1.indications()) == len(gateway3.indications()) == 1
    domain.advance(1.4)
    gateway3.acknowledge(RevocationStatus.SUCCESS)
    accepted(gateway2.answers()[0])
    assert domain.route(first) == gateway2.tunnel


def test_a_session_that_expires_leaves_the_waiting_request_a_session_of_its_own() -> None:
    domain, _, gateway2, first = begin()
    domain.advance(3599)
    gateway2.update(HOST, handoff=UNKNOWN)
    domain.advance(1)
    (answer,) = gateway2.answers()
    assert prefixes(accepted(answer)) != prefixes(first)
    assert domain.route(first) == "nowhere"
    domain.advance(20)
    assert len(gateway2.answers()) == 1


def test_a_request_that_got_a_session_meanwhile_gets_no_second_one() -> None:
    """One session for one interface: the gateway has asked again, as a new interface."""
    domain, _, gateway2, first = begin()
    gateway2.update(HOST, handoff=UNKNOWN, link_layer=OTHER_INTERFACE)
    second = accepted(gateway2.update(HOST, handoff=NEW_INTERFACE, link_layer=OTHER_INTERFACE))
    domain.advance(60)
    assert len(domain.bindings()) == 2
    assert prefixes(second) != prefixes(first)
    assert [answer.status for answer in gateway2.answers()] == [0, Status.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED]


@pytest.mark.requirement("ANC-5")
def test_a_handover_that_comes_true_does_not_bring_an_older_request_to_a_newer_session() -> None:
    domain, gateway1, gateway2, first = begin()
    gateway2.update(HOST, handoff=UNKNOWN, link_layer=OTHER_INTERFACE, lifetime=10)
    second = accepted(gateway2.update(HOST, handoff=NEW_INTERFACE, link_layer=OTHER_INTERFACE, lifetime=500))
    accepted(gateway1.deregister(first, link_layer=INTERFACE))
    refused(gateway2.answers()[-1], Status.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED)
    assert [row["lifetime_seconds"] for row in domain.bindings()] == [3600, 2000]
    assert domain.route(first) is None
    assert domain.route(second) == gateway2.tunnel


def test_a_refresh_by_the_old_gateway_does_not_end_the_wait() -> None:
    domain, gateway1, gateway2, first = begin()
    gateway2.update(HOST, handoff=UNKNOWN)
    accepted(gateway1.refresh(first, link_layer=INTERFACE))
    domain.advance(1.5)
    assert prefixes(accepted(gateway2.answers()[0])) != prefixes(first)


def test_a_revoked_session_is_not_handed_over() -> None:
    """Revoked by a person while a request waits: what waits gets a session of its own when that is done."""
    domain, gateway1, gateway2, first = begin()
    gateway2.update(HOST, handoff=UNKNOWN)
    domain.handle(RevocationRequested(1, identifier=HOST))
    asked, revoked = gateway1.indications()
    gateway1.acknowledge(RevocationStatus.SUCCESS, asked.sequence)
    assert not gateway2.answers()
    refused(domain.gateway(3).update(HOST, handoff=UNKNOWN), Status.ADMINISTRATIVELY_PROHIBITED)
    gateway1.acknowledge(RevocationStatus.SUCCESS, revoked.sequence)
    (answer,) = gateway2.answers()
    assert prefixes(accepted(answer)) != prefixes(first)
    domain.advance(60)
    assert len(domain.bindings()) == 1


def test_a_wait_that_ends_before_the_revocation_is_answered_with_a_session_of_its_own() -> None:
    domain, gateway1, gateway2, first = begin(maximum_delay_before_new_bce_assign=0.5)
    gateway2.update(HOST, handoff=UNKNOWN)
    domain.handle(RevocationRequested(1, identifier=HOST))
    domain.advance(0.5)
    (answer,) = gateway2.answers()
    assert prefixes(accepted(answer)) != prefixes(first)
    domain.advance(60)
    assert len(gateway1.indications()) == 4
    assert domain.route(first) == "nowhere"
    assert domain.route(answer) == gateway2.tunnel


def test_what_waits_is_judged_by_the_policy_of_the_day() -> None:
    domain, gateway1, gateway2, first = begin()
    gateway2.update(HOST, handoff=UNKNOWN)
    domain.handle(PolicyReplaced(1, policy(Profile(OTHER, pool="main"))))
    gateway1.acknowledge(RevocationStatus.SUCCESS)
    refused(gateway2.answers()[0], Status.NOT_LMA_FOR_THIS_MOBILE_NODE)
    assert domain.route(first) is None, "given up all the same"
    domain.advance(10)
    assert domain.route(first) == "nowhere"


def test_a_question_that_is_out_serves_who_comes_after() -> None:
    domain, gateway1, gateway2, first = begin(minimum_delay_before_bce_delete=0.0)
    gateway3 = domain.gateway(3)
    gateway2.update(HOST, handoff=UNKNOWN)
    domain.advance(1.6)
    (own,) = gateway2.answers()
    accepted(gateway2.deregister(own))
    domain.advance(0.4)
    assert len(domain.bindings()) == 1
    gateway3.update(HOST, handoff=UNKNOWN)
    assert len(gateway1.indications()) == 2, "asked at 0 s and 1 s, not again"
    domain.advance(1.4)
    assert not gateway3.answers(), "the question was given up at 3 s; the wait goes on until 3.5 s"
    domain.advance(0.1)
    assert prefixes(accepted(gateway3.answers()[0])) != prefixes(first)


def test_the_end_of_the_wait_meets_a_session_that_is_being_given_up() -> None:
    domain, gateway1, gateway2, first = begin()
    gateway2.update(HOST, handoff=UNKNOWN)
    domain.advance(1.49)
    domain.plane.holding = True
    assert gateway1.deregister(first, link_layer=INTERFACE) is None
    domain.advance(0.5)
    assert not gateway2.answers()
    domain.release()
    assert prefixes(accepted(gateway2.answers()[0])) == prefixes(first)
    assert domain.route(first) == gateway2.tunnel
