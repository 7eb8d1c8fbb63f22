# SPDX-License-Identifier: Apache-2.0
"""The data plane answers late, or says no: what the anchor says is true all the same (requirement ANC-8)."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from halma.engine.api import ForwardingDone
from halma.engine.policy import Profile
from halma.engine.proxy_revocation import RevocationRequested
from halma.wire.messages import BindingAcknowledgement
from halma.wire.numbers import RevocationStatus, RevocationTrigger, Status
from halma.wire.options import MobileNodeIdentifier
from tests.engine.conversation import (
    BETWEEN_GATEWAYS,
    HOST,
    INTERFACE,
    NEW_INTERFACE,
    OTHER_INTERFACE,
    UNKNOWN,
    Domain,
    Gateway,
    accepted,
    policy,
    prefixes,
    refused,
)

GIVEN: dict[str, Any] = {"link_layer": INTERFACE}


def begin(**settings: Any) -> tuple[Domain, Gateway, Gateway, BindingAcknowledgement]:
    """A node is at gateway 1 with two prefixes."""
    domain = Domain(policy(Profile(b"*@example.org", pool="main", prefixes_per_session=2)), **settings)
    gateway1 = domain.gateway(1)
    return domain, gateway1, domain.gateway(2), accepted(gateway1.update(HOST, **GIVEN))


def routes(domain: Domain, answer: BindingAcknowledgement) -> set[Any]:
    """Where the prefixes of a session go."""
    return {domain.plane.bound.get(prefix.prefix, "nowhere") for prefix in prefixes(answer)}


# ---- late ------------------------------------------------------------------------------------------------------------


@pytest.mark.rfc("5213#5.3.2-11", "5213#5.3.4-7")
@pytest.mark.requirement("ANC-8")
def test_nothing_is_accepted_before_the_data_plane_has_carried_it_out() -> None:
    domain, gateway1, gateway2, first = begin()
    for speaker, given in (
        (gateway1, {"link_layer": OTHER_INTERFACE}),
        (gateway2, {"link_layer": INTERFACE, "handoff": BETWEEN_GATEWAYS}),
        (gateway2, {"link_layer": INTERFACE, "handoff": UNKNOWN, "lifetime": 0}),
    ):
        domain.plane.holding = True
        arguments: dict[str, Any] = dict(given)
        assert speaker.update(HOST, **arguments) is None
        domain.advance(0.2)
        assert not speaker.answer(domain.wire[-1:]) or domain.wire[-1].when < domain.monotonic - 0.1
        accepted(speaker.answer(domain.release()))
    assert routes(domain, first) == {None}


def test_two_updates_for_one_new_session_in_one_batch_make_one_session() -> None:
    domain = Domain()
    gateway1, gateway2 = domain.gateway(1), domain.gateway(2)
    domain.plane.holding = True
    gateway1.update(HOST, **GIVEN)
    gateway2.update(HOST, handoff=BETWEEN_GATEWAYS, **GIVEN)
    domain.release()
    (first,), (second,) = gateway1.answers(), gateway2.answers()
    assert prefixes(accepted(first)) == prefixes(accepted(second))
    assert domain.route(second) == gateway2.tunnel
    assert len(domain.bindings()) == 1


def test_of_two_updates_in_one_batch_the_older_one_that_comes_second_is_refused() -> None:
    domain = Domain()
    gateway1, gateway2 = domain.gateway(1), domain.gateway(2)
    older = gateway1.make(HOST, **GIVEN)
    domain.plane.holding = True
    gateway2.update(HOST, **GIVEN)
    gateway1.send(older)
    domain.release()
    accepted(gateway2.answers()[0])
    refused(gateway1.answers()[0], Status.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED)


def test_an_update_that_waits_behind_a_change_is_judged_by_the_time_of_its_arrival() -> None:
    domain, gateway1, gateway2, first = begin()
    domain.plane.holding = True
    gateway2.update(HOST, handoff=BETWEEN_GATEWAYS, **GIVEN)
    gateway1.update(HOST, handoff=BETWEEN_GATEWAYS, **GIVEN)
    domain.advance(5)
    domain.release()
    accepted(gateway1.answers()[-1])
    assert routes(domain, first) == {gateway1.tunnel}


def test_what_waits_behind_a_change_is_bounded() -> None:
    domain = Domain()
    gateway1 = domain.gateway(1)
    domain.plane.holding = True
    for _ in range(100):
        gateway1.update(HOST, **GIVEN)
    domain.release()
    assert len(gateway1.answers()) == 5
    assert domain.count("proxy_updates_ignored") == 95
    assert len(domain.bindings()) == 1


def test_an_update_in_one_batch_with_the_deletion_of_its_session_begins_another() -> None:
    domain, gateway1, _, first = begin()
    accepted(gateway1.deregister(first, **GIVEN))
    domain.plane.holding = True
    domain.advance(10)
    gateway1.update(HOST, **GIVEN)
    domain.release()
    answer = accepted(gateway1.answers()[-1])
    assert not set(prefixes(answer)) & set(prefixes(first))
    assert set(domain.plane.bound) == {prefix.prefix for prefix in prefixes(answer)}


def test_a_session_does_not_expire_under_the_data_plane_s_hands() -> None:
    domain, _, gateway2, first = begin()
    domain.advance(3599)
    domain.plane.holding = True
    gateway2.update(HOST, handoff=BETWEEN_GATEWAYS, **GIVEN)
    domain.advance(5)
    domain.release()
    accepted(gateway2.answers()[0])
    domain.advance(3599)
    assert routes(domain, first) == {gateway2.tunnel}


def test_an_outcome_that_nobody_asked_for_changes_nothing() -> None:
    domain, gateway1, _, first = begin()
    assert domain.handle(ForwardingDone(99999, 0)) == []
    assert routes(domain, first) == {gateway1.tunnel}


# ---- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("ANC-8")
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errno.E2BIG, Status.INSUFFICIENT_RESOURCES),
        (errno.ENOMEM, Status.INSUFFICIENT_RESOURCES),
        (errno.ENOSPC, Status.INSUFFICIENT_RESOURCES),
        (errno.EIO, Status.REASON_UNSPECIFIED),
        (4242, Status.REASON_UNSPECIFIED),
    ],
)
@pytest.mark.parametrize("refuses", ["first", "second", "both"])
def test_a_session_that_the_data_plane_refuses_is_refused_and_leaves_nothing(error: int, status: int, refuses: str) -> None:
    domain = Domain(policy(Profile(HOST, pool="main", prefixes_per_session=2)))
    domain.plane.refuse_next = [error if refuses != "second" else 0, error if refuses != "first" else 0]
    refused(domain.gateway(1).update(HOST), status)
    assert not domain.plane.bound
    assert not domain.bindings()
    assert domain.count("forwarding_failures") == 1
    assert "forwarding_failed" in [report.reason for report in domain.reports]
    accepted(domain.gateway(1).update(HOST))


@pytest.mark.requirement("ANC-8")
@pytest.mark.parametrize("refuses", [[errno.EIO], [0, errno.EIO], [errno.EIO, errno.EIO]])
def test_a_handover_that_the_data_plane_refuses_leaves_the_session_where_it_was(refuses: list[int]) -> None:
    domain, gateway1, gateway2, first = begin()
    domain.plane.refuse_next = refuses
    refused(gateway2.update(HOST, handoff=BETWEEN_GATEWAYS, **GIVEN), Status.REASON_UNSPECIFIED)
    assert routes(domain, first) == {gateway1.tunnel}
    changes = len(domain.plane.history)
    accepted(gateway1.refresh(first, **GIVEN))
    assert len(domain.plane.history) == changes
    accepted(gateway2.update(HOST, handoff=BETWEEN_GATEWAYS, **GIVEN))
    assert routes(domain, first) == {gateway2.tunnel}


@pytest.mark.requirement("ANC-8")
def test_after_a_refused_restoration_no_refresh_is_accepted_without_the_data_plane() -> None:
    domain, gateway1, gateway2, first = begin()
    domain.plane.refuse_next = [0, errno.EIO, errno.EIO, 0]
    refused(gateway2.update(HOST, handoff=BETWEEN_GATEWAYS, **GIVEN), Status.REASON_UNSPECIFIED)
    assert routes(domain, first) == {gateway1.tunnel, gateway2.tunnel}
    domain.plane.refuse_next = [0, errno.EIO, 0, errno.EIO]
    refused(gateway1.refresh(first, **GIVEN), Status.REASON_UNSPECIFIED)
    accepted(gateway1.refresh(first, **GIVEN))
    assert routes(domain, first) == {gateway1.tunnel}
    changes = len(domain.plane.history)
    accepted(gateway1.refresh(first, **GIVEN))
    assert len(domain.plane.history) == changes


@pytest.mark.requirement("ANC-8")
@pytest.mark.parametrize("refuses", [[errno.EIO], [0, errno.EIO]])
def test_a_deregistration_that_the_data_plane_refuses_leaves_the_session(refuses: list[int]) -> None:
    domain, gateway1, _, first = begin()
    domain.plane.refuse_next = refuses
    refused(gateway1.deregister(first, **GIVEN), Status.REASON_UNSPECIFIED)
    assert routes(domain, first) == {gateway1.tunnel}
    assert domain.bindings()[0]["state"] == "registered"
    domain.advance(60)
    accepted(gateway1.deregister(first, **GIVEN))
    assert routes(domain, first) == {None}


def test_a_session_in_its_wait_that_cannot_be_moved_stays_dropped() -> None:
    domain, gateway1, gateway2, first = begin()
    accepted(gateway1.deregister(first, **GIVEN))
    domain.plane.refuse_next = [0, errno.EIO]
    refused(gateway2.update(HOST, handoff=BETWEEN_GATEWAYS, **GIVEN), Status.REASON_UNSPECIFIED)
    assert routes(domain, first) == {None}
    domain.advance(10)
    assert routes(domain, first) == {"nowhere"}


@pytest.mark.requirement("ANC-4")
@pytest.mark.parametrize("missing", [False, True])
def test_a_deletion_is_tried_again_until_the_data_plane_obeys(missing: bool) -> None:
    """The prefixes are nobody else's before; ENOENT of one prefix does not hide that the other is still there."""
    domain, gateway1, _, first = begin()
    accepted(gateway1.deregister(first, **GIVEN))
    domain.plane.refuse_next = [errno.ENOENT if missing else 0, errno.EIO]
    domain.advance(10)
    assert domain.bindings()[0]["state"] == "deleting"
    assert prefixes(first)[1].prefix in domain.plane.bound
    domain.advance(9.9)
    assert len(domain.bindings()) == 1
    domain.advance(0.1)
    assert not domain.bindings()
    assert domain.plane.bound.keys() <= ({prefixes(first)[0].prefix} if missing else set())


@pytest.mark.parametrize("handoff", [BETWEEN_GATEWAYS, UNKNOWN, NEW_INTERFACE])
def test_a_session_that_could_not_be_deleted_lives_again_when_its_node_comes_back(handoff: int) -> None:
    domain, gateway1, gateway2, first = begin()
    accepted(gateway1.deregister(first, **GIVEN))
    domain.plane.failing = errno.EIO
    domain.advance(15)
    domain.plane.failing = 0
    given = {} if handoff == UNKNOWN else GIVEN
    assert prefixes(accepted(gateway2.update(HOST, handoff=handoff, **given))) == prefixes(first)
    domain.advance(60)
    assert routes(domain, first) == {gateway2.tunnel}
    assert not gateway1.indications()


def test_a_session_that_could_not_be_deleted_may_be_given_up_again() -> None:
    domain, gateway1, _, first = begin()
    accepted(gateway1.deregister(first, **GIVEN))
    domain.plane.failing = errno.EIO
    domain.advance(15)
    domain.plane.failing = 0
    accepted(gateway1.deregister(first, **GIVEN))
    assert routes(domain, first) == {None}
    domain.advance(10)
    assert routes(domain, first) == {"nowhere"}


def test_what_waits_behind_a_refused_creation_is_considered_after_it() -> None:
    domain = Domain()
    gateway1 = domain.gateway(1)
    domain.plane.holding = True
    gateway1.update(HOST, **GIVEN)
    gateway1.update(HOST, **GIVEN)
    domain.plane.refuse_next = [errno.EIO]
    domain.release()
    assert [answer.status for answer in gateway1.answers()] == [Status.REASON_UNSPECIFIED, Status.ACCEPTED]
    assert len(domain.bindings()) == 1


# ---- revocations that meet a change under way ------------------------------------------------------------------------


def test_an_answer_to_a_revocation_that_overtakes_the_data_plane_is_not_lost() -> None:
    domain, gateway1, _, first = begin()
    domain.plane.holding = True
    domain.handle(RevocationRequested(1, identifier=HOST))
    gateway1.acknowledge(RevocationStatus.SUCCESS)
    assert domain.bindings()[0]["state"] == "revoking"
    domain.release()
    assert not domain.bindings()
    assert routes(domain, first) == {"nowhere"}


@pytest.mark.parametrize("error", [0, errno.EIO])
def test_a_gateway_revokes_a_session_that_is_not_yet_there(error: int) -> None:
    domain = Domain()
    gateway1 = domain.gateway(1)
    domain.plane.holding = True
    domain.plane.refuse_next = [error]
    gateway1.update(HOST)
    answer = gateway1.revoke(RevocationTrigger.USER_INITIATED_SESSIONS_TERMINATION, MobileNodeIdentifier(1, HOST))
    assert answer.status == RevocationStatus.SUCCESS
    domain.release()
    refused(gateway1.answers()[0], Status.ADMINISTRATIVELY_PROHIBITED)
    assert not domain.bindings()
    assert not domain.plane.bound


@pytest.mark.parametrize("error", [0, errno.EIO])
def test_a_gateway_revokes_a_session_that_it_is_giving_up(error: int) -> None:
    domain, gateway1, _, first = begin()
    domain.plane.holding = True
    domain.plane.refuse_next = [error]
    gateway1.deregister(first, **GIVEN)
    gateway1.revoke(RevocationTrigger.USER_INITIATED_SESSIONS_TERMINATION, MobileNodeIdentifier(1, HOST))
    domain.release()
    accepted(gateway1.answers()[-1])
    assert not domain.bindings()
    assert not domain.plane.bound


@pytest.mark.parametrize("error", [0, errno.EIO])
def test_a_gateway_revokes_a_session_that_is_leaving_it(error: int) -> None:
    """It goes on at the other gateway; where that fails, there is nothing to go back to."""
    domain, gateway1, gateway2, first = begin()
    domain.plane.holding = True
    domain.plane.refuse_next = [0, error]
    gateway2.update(HOST, handoff=BETWEEN_GATEWAYS, **GIVEN)
    gateway1.revoke(RevocationTrigger.USER_INITIATED_SESSIONS_TERMINATION, MobileNodeIdentifier(1, HOST))
    domain.release()
    if error:
        refused(gateway2.answers()[0], Status.ADMINISTRATIVELY_PROHIBITED)
        assert not domain.bindings()
        assert routes(domain, first) == {"nowhere"}
    else:
        accepted(gateway2.answers()[0])
        assert routes(domain, first) == {gateway2.tunnel}


def test_a_gateway_revokes_a_session_that_is_being_deleted() -> None:
    domain, gateway1, _, first = begin()
    accepted(gateway1.deregister(first, **GIVEN))
    domain.plane.holding = True
    domain.advance(10)
    answer = gateway1.revoke(RevocationTrigger.USER_INITIATED_SESSIONS_TERMINATION, MobileNodeIdentifier(1, HOST))
    assert answer.status == RevocationStatus.SUCCESS
    domain.release()
    assert not domain.bindings()
    assert domain.count("proxy_bindings_deleted") == 1
