# SPDX-License-Identifier: Apache-2.0
"""Which of two messages was sent later: RFC 5213 section 5.5, by timestamps or by sequence numbers (RFC 6275 9.5.1)."""

from __future__ import annotations

from typing import Any

import pytest

from halma.engine.policy import Profile
from halma.wire.numbers import Status
from halma.wire.options import Timestamp
from halma.wire.timestamp import to_timestamp
from tests.engine.conversation import (
    BETWEEN_GATEWAYS,
    HOST,
    INTERFACE,
    OTHER,
    OTHER_INTERFACE,
    UNKNOWN,
    Domain,
    accepted,
    option,
    policy,
    prefixes,
    refused,
)

MISMATCH, LOWER = Status.TIMESTAMP_MISMATCH, Status.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED


def stamp(domain: Domain, seconds: float = 0.0) -> int:
    """The domain's time of day, some seconds off, as a timestamp."""
    return to_timestamp(domain.wall + seconds)


# ---- timestamps -------------------------------------------------------------------------------------------------------


@pytest.mark.rfc("5213#5.5-4", "5213#5.5-5", "5213#5.5-18", "5213#5.5-12", "5213#9.3-4")
def test_a_valid_timestamp_and_the_sequence_number_come_back() -> None:
    domain = Domain()
    for skew in (-0.299, 0.0, 0.299):
        answer = accepted(domain.gateway(1).update(HOST, timestamp=stamp(domain, skew), sequence=4711))
        assert option(answer, Timestamp) == Timestamp(stamp(domain, skew))
        assert answer.sequence == 4711


@pytest.mark.rfc("5213#5.5-5", "5213#5.5-18")
def test_a_valid_timestamp_comes_back_in_a_refusal_too() -> None:
    domain = Domain()
    answer = refused(domain.gateway(1).update(HOST, handoff=None, timestamp=stamp(domain, 0.2)), 161)
    assert option(answer, Timestamp) == Timestamp(stamp(domain, 0.2))


def test_an_invalid_timestamp_in_a_refusal_for_another_reason_is_answered_with_our_time_of_day() -> None:
    """Where rules before those of the timestamp refuse: what comes back is a valid timestamp (rule 1)."""
    domain = Domain()
    answer = refused(domain.gateway(1).update(b"x@example.com", timestamp=stamp(domain, 5)), 154)
    assert option(answer, Timestamp) == Timestamp(stamp(domain))


@pytest.mark.rfc("5213#5.5-13", "5213#5.5-15", "5213#5.5-21", "5213#5.5-22")
@pytest.mark.parametrize("skew", [-3600, -0.31, 0.31, 3600])
def test_a_timestamp_outside_the_window_is_refused_with_our_time_of_day(skew: float) -> None:
    domain = Domain()
    answer = refused(domain.gateway(1).update(HOST, timestamp=stamp(domain, skew), sequence=99), MISMATCH)
    assert option(answer, Timestamp) == Timestamp(stamp(domain))
    assert answer.sequence == 99
    assert not domain.bindings()


@pytest.mark.rfc("5213#5.5-15")
def test_the_window_is_as_wide_as_it_is_configured() -> None:
    domain = Domain(timestamp_validity_window=5.0)
    refused(domain.gateway(1).update(HOST, timestamp=stamp(domain, -5.01)), MISMATCH)
    accepted(domain.gateway(1).update(HOST, timestamp=stamp(domain, -5)))
    accepted(domain.gateway(1).update(OTHER, timestamp=stamp(domain, 5)))


@pytest.mark.rfc("5213#5.5-17", "5213#5.5-19", "5213#5.5-20")
@pytest.mark.requirement("ANC-5")
def test_a_timestamp_below_one_that_was_accepted_is_refused_with_our_time_of_day() -> None:
    domain = Domain()
    gateway1, gateway2 = domain.gateway(1), domain.gateway(2)
    late = gateway1.make(HOST, link_layer=INTERFACE, handoff=BETWEEN_GATEWAYS)
    first = accepted(gateway2.update(HOST, link_layer=INTERFACE))
    answer = refused(gateway1.answer(gateway1.send(late)), LOWER)
    assert option(answer, Timestamp) == Timestamp(stamp(domain))
    assert domain.route(first) == gateway2.tunnel


@pytest.mark.rfc("5213#5.5-17", "5213#5.5-21")
@pytest.mark.requirement("ANC-5")
@pytest.mark.parametrize("lifetime", [900, 0])
def test_a_copy_is_not_greater_than_what_was_accepted(lifetime: int) -> None:
    domain = Domain()
    gateway1 = domain.gateway(1)
    first = accepted(gateway1.update(HOST))
    message = gateway1.make(HOST, *prefixes(first), handoff=UNKNOWN, lifetime=lifetime)
    accepted(gateway1.answer(gateway1.send(message)))
    before = domain.bindings()
    answer = refused(gateway1.answer(gateway1.send(message)), MISMATCH)
    assert option(answer, Timestamp) == Timestamp(stamp(domain))
    assert domain.bindings() == before


@pytest.mark.rfc("5213#5.5-19")
def test_below_what_was_accepted_is_told_before_outside_the_window() -> None:
    domain = Domain()
    accepted(domain.gateway(1).update(HOST))
    refused(domain.gateway(1).update(HOST, timestamp=stamp(domain, -3600)), LOWER)
    refused(domain.gateway(1).update(HOST, timestamp=stamp(domain, 3600)), MISMATCH)


@pytest.mark.rfc("5213#5.5-17")
def test_what_was_refused_is_not_remembered_as_accepted() -> None:
    domain = Domain()
    refused(domain.gateway(1).update(HOST, timestamp=stamp(domain, 0.2), handoff=None), 161)
    refused(domain.gateway(1).update(HOST, timestamp=stamp(domain, 300)), MISMATCH)
    accepted(domain.gateway(1).update(HOST, timestamp=stamp(domain)))


@pytest.mark.rfc("5213#5.5-17")
def test_the_order_is_that_of_the_node_over_all_its_sessions() -> None:
    domain = Domain()
    gateway1 = domain.gateway(1)
    earlier = stamp(domain)
    accepted(gateway1.update(HOST, link_layer=INTERFACE))
    refused(gateway1.update(HOST, link_layer=OTHER_INTERFACE, timestamp=earlier), LOWER)
    accepted(gateway1.update(OTHER, timestamp=earlier))


@pytest.mark.rfc("5213#5.5-11")
def test_with_a_timestamp_the_sequence_number_does_not_matter() -> None:
    domain = Domain()
    for sequence in (500, 499, 500, 500, 0, 65535):
        accepted(domain.gateway(1).update(HOST, link_layer=INTERFACE, sequence=sequence))
    assert len(domain.bindings()) == 1


@pytest.mark.rfc("5213#5.5-17")
@pytest.mark.requirement("ANC-5")
def test_an_old_copy_does_not_bring_a_session_back_that_is_gone() -> None:
    """The newest timestamp may be a window ahead of our clock, and an old one a window behind: it is kept for both."""
    domain = Domain(minimum_delay_before_bce_delete=0.0)
    gateway1 = domain.gateway(1)
    old = gateway1.make(HOST, timestamp=stamp(domain, 0.25))
    first = accepted(gateway1.answer(gateway1.send(old)))
    accepted(gateway1.deregister(first, timestamp=stamp(domain, 0.29)))
    domain.advance(0)
    assert not domain.bindings()
    for _ in range(10):
        refused(gateway1.answer(gateway1.send(old)), LOWER)
        domain.advance(0.055)
    domain.advance(0.1)
    refused(gateway1.answer(gateway1.send(old)), MISMATCH)
    accepted(gateway1.update(HOST))


def test_a_node_is_forgotten_when_its_last_timestamp_protects_from_nothing_any_more() -> None:
    domain = Domain(minimum_delay_before_bce_delete=0.0)
    gateway1 = domain.gateway(1)
    for number in range(50):
        first = accepted(gateway1.update(b"n%d@example.org" % number))
        accepted(gateway1.deregister(first, b"n%d@example.org" % number))
    domain.advance(0)
    assert domain.anchor._proxy.cache.count_of_nodes() == 50
    domain.advance(0.6)
    assert domain.anchor._proxy.cache.count_of_nodes() == 0


def test_the_nodes_that_are_only_remembered_are_bounded() -> None:
    domain = Domain(mobile_node_generated_timestamp=True, minimum_delay_before_bce_delete=0.0, maximum_bindings=10)
    gateway1 = domain.gateway(1)
    for number in range(50):
        first = accepted(gateway1.update(b"n%d@example.org" % number))
        accepted(gateway1.deregister(first, b"n%d@example.org" % number))
        domain.advance(0)
    assert domain.anchor._proxy.cache.count_of_nodes() <= 21
    domain.advance(3600)
    assert domain.anchor._proxy.cache.count_of_nodes() == 0


# ---- timestamps of the node itself --------------------------------------------------------------------------------------


@pytest.mark.rfc("5213#5.5-16", "5213#5.5-18", "5213#5.5-19", "5213#5.5-20", "5213#9.3-6")
def test_timestamps_that_nodes_make_need_only_grow() -> None:
    domain = Domain(mobile_node_generated_timestamp=True)
    gateway1 = domain.gateway(1)
    for value in (1, 2, 1 << 40, (1 << 64) - 2):
        answer = accepted(gateway1.update(HOST, link_layer=INTERFACE, timestamp=value))
        assert option(answer, Timestamp) == Timestamp(value)
    answer = refused(gateway1.update(HOST, link_layer=INTERFACE, timestamp=7), LOWER)
    assert option(answer, Timestamp) == Timestamp(stamp(domain))
    refused(gateway1.update(HOST, link_layer=INTERFACE, timestamp=(1 << 64) - 2), MISMATCH)
    answer = refused(gateway1.update(OTHER, timestamp=9, handoff=None), 161)
    assert option(answer, Timestamp) == Timestamp(9)


@pytest.mark.requirement("ANC-5")
def test_timestamps_that_nodes_make_are_remembered_for_an_hour() -> None:
    domain = Domain(mobile_node_generated_timestamp=True)
    gateway1 = domain.gateway(1)
    first = accepted(gateway1.update(HOST, timestamp=100))
    accepted(gateway1.deregister(first, timestamp=101))
    domain.advance(10 + 3599)
    refused(gateway1.update(HOST, timestamp=100), LOWER)
    domain.advance(1)
    accepted(gateway1.update(HOST, timestamp=100))


# ---- sequence numbers -------------------------------------------------------------------------------------------------

BY_SEQUENCE: list[tuple[dict[str, Any], bool]] = [({}, False), ({"timestamp_based_approach": False}, True)]


@pytest.mark.rfc("5213#5.5-23", "5213#5.5-24", "5213#5.5-25", "5213#5.5-26", "5213#9.3-5", "6275#9.5.1-4", "6275#9.5.1-12")
@pytest.mark.requirement("ANC-5")
@pytest.mark.parametrize(("settings", "stamped"), BY_SEQUENCE, ids=["no timestamp", "configured"])
@pytest.mark.parametrize(
    ("last", "sequence", "newer"),
    [
        (100, 101, True),
        (100, 100, False),
        (100, 99, False),
        (65535, 0, True),
        (65535, 65534, False),
        (0, 65535, False),
        (100, 100 + 0x7FFF, True),
        (100, 100 + 0x8000, False),
        (50000, (50000 + 0x7FFF) % 0x10000, True),
        (50000, (50000 + 0x8000) % 0x10000, False),
    ],
)
def test_a_sequence_number_counts_modulo_65536(
    settings: dict[str, Any], stamped: bool, last: int, sequence: int, newer: bool
) -> None:
    domain = Domain(**settings)
    gateway1 = domain.gateway(1)
    given: dict[str, Any] = {"link_layer": INTERFACE} | ({"timestamp": 12345} if stamped else {"timestamp": None})
    accepted(gateway1.update(HOST, sequence=last, **given))
    answer = gateway1.update(HOST, sequence=sequence, lifetime=100, **given)
    if newer:
        assert accepted(answer).sequence == sequence
    else:
        assert refused(answer, Status.SEQUENCE_NUMBER_OUT_OF_WINDOW).sequence == last
    assert answer is not None
    assert option(answer, Timestamp) == (Timestamp(12345 if newer else option(answer, Timestamp).value) if stamped else None)  # type: ignore[union-attr]
    assert domain.bindings()[0]["lifetime_seconds"] == (400 if newer else 3600)


@pytest.mark.rfc("5213#5.1-3")
def test_a_session_without_timestamps_holds_none() -> None:
    for domain, stamped in ((Domain(), None), (Domain(timestamp_based_approach=False), -1)):
        accepted(domain.gateway(1).update(HOST, timestamp=stamped))
        node = domain.anchor._proxy.cache.node(HOST)
        assert node is not None
        assert node.timestamp == 0


@pytest.mark.rfc("6275#9.5.1-3")
def test_the_first_sequence_number_of_a_session_may_be_any() -> None:
    domain = Domain(timestamp_based_approach=False)
    accepted(domain.gateway(1).update(HOST, link_layer=INTERFACE, sequence=60000))
    accepted(domain.gateway(1).update(HOST, link_layer=OTHER_INTERFACE, sequence=1))


@pytest.mark.requirement("ANC-5")
def test_a_late_update_does_not_revive_what_a_newer_deregistration_gave_up() -> None:
    domain = Domain(timestamp_based_approach=False)
    gateway1 = domain.gateway(1)
    first = accepted(gateway1.update(HOST, sequence=10))
    late = gateway1.make(HOST, *prefixes(first), sequence=11)
    accepted(gateway1.deregister(first, sequence=12))
    answer = refused(gateway1.answer(gateway1.send(late)), Status.SEQUENCE_NUMBER_OUT_OF_WINDOW)
    assert answer.sequence == 12
    assert domain.route(first) is None


def test_a_late_deregistration_gives_nothing_up() -> None:
    for settings in ({"timestamp_based_approach": False}, {}):
        domain = Domain(policy(Profile(HOST, pool="main")), **settings)
        gateway1 = domain.gateway(1)
        first = accepted(gateway1.update(HOST))
        late = gateway1.make(HOST, *prefixes(first), handoff=UNKNOWN, lifetime=0)
        accepted(gateway1.refresh(first))
        answer = gateway1.answer(gateway1.send(late))
        assert answer is not None
        assert answer.status in (Status.SEQUENCE_NUMBER_OUT_OF_WINDOW, LOWER)
        assert domain.route(first) == gateway1.tunnel
