# SPDX-License-Identifier: Apache-2.0
"""A gateway gives a session up: RFC 5213 section 5.3.5, and MinDelayBeforeBCEDelete of section 9.1."""

from __future__ import annotations

import pytest

from halma.engine.api import Unbind
from halma.engine.policy import Profile
from halma.wire.numbers import Status
from tests.engine.conversation import (
    BETWEEN_GATEWAYS,
    HOST,
    INTERFACE,
    NOT_CHANGED,
    OTHER,
    UNKNOWN,
    Domain,
    accepted,
    policy,
    prefixes,
    refused,
)


@pytest.mark.rfc("5213#5.3.5-1")
@pytest.mark.requirement("ANC-6")
def test_a_gateway_that_serves_the_node_no_more_gives_nothing_up() -> None:
    domain = Domain()
    gateway1, gateway2 = domain.gateway(1), domain.gateway(2)
    first = accepted(gateway1.update(HOST, link_layer=INTERFACE))
    accepted(gateway2.update(HOST, link_layer=INTERFACE, handoff=BETWEEN_GATEWAYS))
    before = domain.bindings()
    assert gateway1.deregister(first, link_layer=INTERFACE) is None
    assert domain.route(first) == gateway2.tunnel
    (row,) = domain.bindings()
    assert row["state"] == "registered"
    assert row["gateway"] == before[0]["gateway"]
    assert domain.count("proxy_updates_ignored") == 1


@pytest.mark.rfc("5213#5.3.1-16", "5213#5.3.5-2", "5213#5.3.5-3", "5213#5.3.5-5", "5213#5.3.5-7", "5213#9.1-3", "5213#9.1-4")
@pytest.mark.requirement("ANC-6")
@pytest.mark.parametrize("delay", [10.0, 0.5, 60.0])
def test_a_session_that_is_given_up_is_dropped_for_a_while_and_then_deleted(delay: float) -> None:
    domain = Domain(policy(Profile(HOST, pool="main", prefixes_per_session=2)), minimum_delay_before_bce_delete=delay)
    gateway1 = domain.gateway(1)
    first = accepted(gateway1.update(HOST))
    gone = accepted(gateway1.deregister(first))
    assert gone.lifetime == 0
    assert {domain.plane.bound[p.prefix] for p in prefixes(first)} == {None}
    assert domain.bindings()[0]["state"] == "deregistered"
    domain.advance(delay - 0.01)
    assert {domain.plane.bound[p.prefix] for p in prefixes(first)} == {None}
    domain.advance(0.01)
    assert not domain.plane.bound
    assert not domain.bindings()
    assert [type(change) for change in domain.plane.history[-2:]] == [Unbind, Unbind]


@pytest.mark.rfc("5213#5.3.5-6")
@pytest.mark.requirement("ANC-6")
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("handoff", [BETWEEN_GATEWAYS, UNKNOWN, NOT_CHANGED])
def test_an_update_within_the_wait_ends_it_and_the_session_lives_on(number: int, handoff: int) -> None:
    domain = Domain()
    gateway1, gateway = domain.gateway(1), domain.gateway(number)
    first = accepted(gateway1.update(HOST, link_layer=INTERFACE))
    accepted(gateway1.deregister(first, link_layer=INTERFACE))
    domain.advance(9)
    again = accepted(gateway.update(HOST, *prefixes(first), link_layer=INTERFACE, handoff=handoff))
    assert prefixes(again) == prefixes(first)
    assert domain.route(first) == gateway.tunnel
    domain.advance(60)
    assert domain.route(first) == gateway.tunnel
    assert domain.bindings()[0]["state"] == "registered"
    assert domain.count("proxy_bindings_handed_over") == number - 1


def test_a_handoff_of_unknown_state_within_the_wait_is_accepted_at_once() -> None:
    """Nothing is left to wait for: the previous gateway has given the session up (section 5.4.1.2 rule 4)."""
    domain = Domain()
    gateway1, gateway2 = domain.gateway(1), domain.gateway(2)
    first = accepted(gateway1.update(HOST))
    accepted(gateway1.deregister(first))
    moved = accepted(gateway2.update(HOST, handoff=UNKNOWN))
    assert prefixes(moved) == prefixes(first)
    assert not gateway1.indications()
    assert domain.count("proxy_updates_waiting") == 0


def test_a_copy_of_a_deregistration_is_answered_and_does_not_lengthen_the_wait() -> None:
    domain = Domain()
    gateway1 = domain.gateway(1)
    first = accepted(gateway1.update(HOST))
    accepted(gateway1.deregister(first))
    domain.advance(6)
    accepted(gateway1.deregister(first))
    domain.advance(3.99)
    assert domain.route(first) is None
    domain.advance(0.01)
    assert domain.route(first) == "nowhere"
    assert domain.count("proxy_bindings_deregistered") == 1


def test_a_deregistration_after_deletion_is_ignored() -> None:
    domain = Domain()
    gateway1 = domain.gateway(1)
    first = accepted(gateway1.update(HOST))
    accepted(gateway1.deregister(first))
    domain.advance(10)
    assert gateway1.deregister(first) is None


@pytest.mark.requirement("ANC-4")
def test_the_prefix_is_nobody_s_until_the_session_is_deleted() -> None:
    domain = Domain(policy(Profile(b"*@example.org", prefixes=(bytes.fromhex("20010db803000001") + bytes(8),))))
    gateway1 = domain.gateway(1)
    first = accepted(gateway1.update(HOST))
    accepted(gateway1.deregister(first))
    domain.advance(9.9)
    refused(gateway1.update(OTHER), Status.INSUFFICIENT_RESOURCES)
    domain.advance(0.1)
    assert prefixes(accepted(gateway1.update(OTHER))) == prefixes(first)


def test_each_session_of_a_node_ends_for_itself() -> None:
    domain = Domain()
    gateway1 = domain.gateway(1)
    first = accepted(gateway1.update(HOST, link_layer=b"\x01"))
    second = accepted(gateway1.update(HOST, link_layer=b"\x02"))
    accepted(gateway1.deregister(first, link_layer=b"\x01"))
    domain.advance(60)
    assert domain.route(first) == "nowhere"
    assert domain.route(second) == gateway1.tunnel
