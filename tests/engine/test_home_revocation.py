# SPDX-License-Identifier: Apache-2.0
"""A person ends a home registration: RFC 5846 sections 6 and 7."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import Any

import pytest

from halma.engine.api import Answer, Assurance, BindingKind, MessageReceived, Protection, Send, Tunnel
from halma.engine.policy import Profile
from halma.engine.proxy_revocation import RevocationRequested
from halma.wire.messages import (
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
    BindingUpdate,
)
from halma.wire.numbers import RevocationTrigger, Status
from halma.wire.options import (
    AccessTechnologyType,
    HandoffIndicator,
    HomeNetworkPrefix,
    MobileNodeIdentifier,
    Timestamp,
)
from halma.wire.timestamp import to_timestamp
from tests.engine.home import (
    AGENT,
    CARE_OF,
    ELSEWHERE,
    GATEWAY,
    HOME,
    HOME_PREFIX,
    KEY,
    NODE,
    ON_LINK,
    ROUTER,
    Agent,
    Book,
)

ADDRESS = (BindingKind.HOME_ADDRESS, HOME, 128)
PROXY = (BindingKind.PROXY, HOME_PREFIX, 64)


def revoke(agent: Agent, **what: Any) -> tuple[list[Send], int]:
    """The indications that go out, and how many things are concerned."""
    effects = agent.give(RevocationRequested(1, **what))
    (answer,) = [effect for effect in effects if isinstance(effect, Answer)]
    count = answer.result["revoked"]
    assert isinstance(count, int)
    return [effect for effect in effects if isinstance(effect, Send)], count


def acknowledge(agent: Agent, sequence: int, *, status: int = 0, source: bytes = CARE_OF, flags: int = 0) -> list[Any]:
    message = BindingRevocationAcknowledgement(status, sequence, flags)
    return agent.give(MessageReceived(source, AGENT, message, HOME, Protection(Assurance.VALID, KEY)))


def number(indication: Send) -> int:
    """The sequence number of an indication."""
    assert isinstance(indication.message, BindingRevocationIndication)
    return indication.message.sequence


def registered(**settings: Any) -> Agent:
    agent = Agent(**settings)
    answer = agent.update(1)
    assert answer.status == 0
    return agent


@pytest.mark.rfc("5846#7-1", "5846#7-2", "5846#7-3")
def test_the_node_is_told_and_its_packets_flow_until_it_answers() -> None:
    agent = registered()
    (indication,), count = revoke(agent, identifier=NODE)
    assert count == 1
    assert (indication.source, indication.destination, indication.home_address) == (AGENT, CARE_OF, HOME)
    assert indication.association == KEY
    assert isinstance(indication.message, BindingRevocationIndication)
    assert (indication.message.trigger, indication.message.flags) == (RevocationTrigger.ADMINISTRATIVE_REASON, 0)
    assert agent.bound == {ADDRESS: Tunnel(AGENT, CARE_OF)}
    assert [row["state"] for row in agent.engine.describe_home_bindings(agent.now)] == ["revoking"]
    acknowledge(agent, number(indication))
    assert agent.bound == {}
    assert list(agent.engine.describe_home_bindings(agent.now)) == []


@pytest.mark.rfc("5846#6.3-1", "5846#6.3-4")
def test_a_node_that_never_answers_loses_its_registration_all_the_same() -> None:
    agent = registered()
    revoke(agent, identifier=NODE)
    again = [effect for effect in agent.advance(1.5) if isinstance(effect, Send)]
    assert len(again) == 1
    assert agent.bound != {}
    agent.advance(3)
    assert agent.bound == {}
    assert agent.engine.describe_counters()["home_revocations_unanswered"] == 1


@pytest.mark.parametrize("status", [128, 129, 134])
def test_a_node_that_refuses_does_too(status: int) -> None:
    agent = registered()
    (indication,), _ = revoke(agent, identifier=NODE)
    acknowledge(agent, number(indication), status=status)
    assert agent.bound == {}


def test_nobody_else_can_answer() -> None:
    agent = registered()
    (indication,), _ = revoke(agent, identifier=NODE)
    sequence = number(indication)
    acknowledge(agent, sequence, source=ELSEWHERE)
    acknowledge(agent, sequence + 1)
    acknowledge(agent, sequence, flags=0x8000)
    assert agent.bound != {}
    acknowledge(agent, sequence)
    assert agent.bound == {}


@pytest.mark.rfc("5846#7-5")
def test_meanwhile_it_cannot_register_but_may_go_home() -> None:
    agent = registered()
    (indication,), _ = revoke(agent, identifier=NODE)
    refused = agent.update(2, care_of=ELSEWHERE)
    assert refused.status == Status.ADMINISTRATIVELY_PROHIBITED
    assert agent.bound == {ADDRESS: Tunnel(AGENT, CARE_OF)}
    gone = agent.update(3, lifetime=0, care_of=HOME)
    assert gone.status == 0
    assert agent.bound == {}
    assert not [effect for effect in agent.advance(8) if isinstance(effect, Send)]
    acknowledge(agent, number(indication))
    again = agent.update(4)
    assert again.status == 0


def test_what_was_revoked_stays_remembered() -> None:
    agent = registered()
    (indication,), _ = revoke(agent, identifier=NODE)
    acknowledge(agent, number(indication))
    late = agent.update(1)
    assert late.status == Status.SEQUENCE_NUMBER_OUT_OF_WINDOW
    assert revoke(agent, identifier=NODE) == ([], 0)


def test_asking_twice_is_asking_once() -> None:
    agent = registered()
    assert revoke(agent, identifier=NODE)[1] == 1
    assert revoke(agent, identifier=NODE) == ([], 0)


@pytest.mark.parametrize(
    ("prefix", "length", "concerned"),
    [
        ("2001:db8:100:1::1", 128, True),
        ("2001:db8:100:1::2", 128, False),
        ("2001:db8:100:1::", 64, True),
        ("2001:db8:100::", 40, True),
        ("2001:db8:100:2::", 64, False),
        ("2001:db8:f00::", 40, True),
        ("2001:db8:f01::", 48, True),
        ("2001:db8:f01:7::", 64, True),
        ("2001:db8:f01:7::9", 128, True),
        ("2001:db8:f02::", 48, False),
    ],
)
def test_a_prefix_concerns_what_holds_it_or_lies_in_it(prefix: str, length: int, concerned: bool) -> None:
    network = IPv6Address("2001:db8:f01::").packed
    book = Book()
    book.profiles[NODE] = Profile(
        NODE, prefixes=(HOME_PREFIX,), mobile_ipv6=True, mobile_router=True, mobile_network_prefixes=((network, 48),)
    )
    agent = Agent(book)
    agent.update(1, flags=ROUTER)
    assert revoke(agent, prefix=IPv6Address(prefix).packed, length=length)[1] == concerned


def test_a_gateway_has_no_home_registrations() -> None:
    agent = registered()
    assert revoke(agent, gateway=GATEWAY) == ([], 0)
    assert revoke(agent, gateway=CARE_OF) == ([], 0)


@pytest.mark.requirement("ANC-1")
def test_of_a_node_that_uses_both_protocols_both_end_each_in_its_way() -> None:
    agent = registered()
    options = (
        MobileNodeIdentifier(1, NODE),
        HomeNetworkPrefix(64, bytes(16)),
        HandoffIndicator(1),
        AccessTechnologyType(3),
        Timestamp(to_timestamp(agent.now.wall)),
    )
    agent.give(MessageReceived(GATEWAY, AGENT, BindingUpdate(1, 0x8200, 100, options)))
    assert set(agent.bound) == {ADDRESS, PROXY}
    sent, count = revoke(agent, identifier=NODE)
    assert count == 2
    by_destination = {send.destination: send for send in sent}
    assert number(by_destination[CARE_OF]) != number(by_destination[GATEWAY])
    acknowledge(agent, number(by_destination[CARE_OF]))
    assert set(agent.bound) == {PROXY}
    agent.give(MessageReceived(GATEWAY, AGENT, BindingRevocationAcknowledgement(0, number(by_destination[GATEWAY]), 0x8000)))
    assert agent.bound == {}


def test_on_a_shared_link_the_address_is_let_go_of_when_it_is_over() -> None:
    agent = registered()
    assert revoke(agent, prefix=ON_LINK, length=128) == ([], 0)
