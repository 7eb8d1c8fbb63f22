# SPDX-License-Identifier: Apache-2.0
"""Who may send a Proxy Binding Update, and what it must have: RFC 5213 section 5.3.1, in the order of its rules."""

from __future__ import annotations

from typing import Any

import pytest

from halma.engine.anchor import PolicyReplaced
from halma.engine.policy import Peer, Profile
from halma.policy.anchor import AnchorPolicy
from halma.text import read_address
from halma.wire.numbers import Status
from halma.wire.options import (
    AccessTechnologyType,
    HandoffIndicator,
    LinkLocalAddress,
    MobileNodeIdentifier,
    MobileNodeLinkLayerIdentifier,
    Timestamp,
)
from halma.wire.optionspace import UnknownOption
from tests.engine.conversation import (
    ANCHOR,
    ASK,
    BETWEEN_GATEWAYS,
    HOST,
    INTERFACE,
    OTHER,
    Domain,
    accepted,
    gateway_address,
    hnp,
    option,
    policy,
    prefixes,
    refused,
)


@pytest.mark.rfc("5213#5.3.1-3", "5213#5.3.1-4", "5213#5.3.1-15", "5213#5.3.1-19")
def test_an_update_without_home_address_option_registers_the_node_that_it_names() -> None:
    domain = Domain()
    acknowledgement = accepted(domain.gateway(1).update(HOST))
    (row,) = domain.bindings()
    assert row["node"] == HOST
    assert option(acknowledgement, MobileNodeIdentifier) == MobileNodeIdentifier(1, HOST)


@pytest.mark.rfc("5213#5.3.1-5", "5213#5.3.6-6")
@pytest.mark.parametrize("node", [None, b""])
def test_an_update_that_names_no_node_is_refused_with_an_empty_identifier(node: bytes | None) -> None:
    domain = Domain()
    answer = refused(domain.gateway(1).update(node), Status.MISSING_MN_IDENTIFIER_OPTION)
    assert option(answer, MobileNodeIdentifier) == MobileNodeIdentifier(1, b"")
    assert not domain.bindings()


@pytest.mark.rfc("5213#5.3.1-6", "5213#5.3.1-7")
@pytest.mark.requirement("ANC-7", "ANC-8")
def test_only_gateways_that_the_policy_lists_for_the_node_may_register_it() -> None:
    peers = [
        (gateway_address(1), 128, Peer("one", (b"host1@example.org",))),
        (gateway_address(2), 128, Peer("two", (b"*@example.com",))),
    ]
    domain = Domain(AnchorPolicy(peers, [Profile(b"*@example.org", pool="main")]))
    refused(domain.gateway(2).update(HOST), Status.MAG_NOT_AUTHORIZED_FOR_PROXY_REG)
    refused(domain.gateway(3).update(HOST), Status.MAG_NOT_AUTHORIZED_FOR_PROXY_REG)
    refused(domain.gateway(1).update(OTHER), Status.MAG_NOT_AUTHORIZED_FOR_PROXY_REG)
    assert not domain.plane.history
    first = accepted(domain.gateway(1).update(HOST, link_layer=INTERFACE))
    stolen = domain.gateway(2).update(HOST, *prefixes(first), link_layer=INTERFACE, handoff=BETWEEN_GATEWAYS)
    refused(stolen, Status.MAG_NOT_AUTHORIZED_FOR_PROXY_REG)
    refused(domain.gateway(2).deregister(first), Status.MAG_NOT_AUTHORIZED_FOR_PROXY_REG)
    assert domain.route(first) == domain.gateway(1).tunnel


@pytest.mark.requirement("ANC-7")
@pytest.mark.parametrize(
    "care_of",
    [
        "2001:db8:2::2",
        "2001:db8:2::3",
        "2001:db8:9::1",
        "2001:db8:1::1",
        "::",
        "::1",
        "ff02::1",
        "ff0e::1",
        "fe80::1",
        "febf::1",
    ],
)
def test_a_gateway_moves_packets_to_no_address_but_its_own(care_of: str) -> None:
    """Not to another gateway, a stranger, the anchor itself, a group, or what is only on a link."""
    everywhere = [(bytes(16), 0, Peer("everywhere", ())), (gateway_address(1), 128, Peer("one", (b"*",)))]
    domain = Domain(AnchorPolicy(everywhere, [Profile(b"*@example.org", pool="main")]))
    answer = domain.gateway(1).update(HOST, care_of=read_address(care_of))
    refused(answer, Status.MAG_NOT_AUTHORIZED_FOR_PROXY_REG)
    wide = Domain(AnchorPolicy([(bytes(16), 0, Peer("everywhere", (b"*",)))], [Profile(b"*@example.org", pool="main")]))
    there = wide.gateway(1).update(HOST, care_of=read_address(care_of))
    assert there is not None
    may = read_address(care_of)[0] == 0x20 and read_address(care_of) != ANCHOR
    assert (there.status == Status.ACCEPTED) == may


@pytest.mark.rfc("5213#5.3.1-8")
def test_a_node_without_profile_is_not_served_here() -> None:
    domain = Domain(policy(Profile(HOST, pool="main")))
    refused(domain.gateway(1).update(OTHER), Status.NOT_LMA_FOR_THIS_MOBILE_NODE)
    refused(domain.gateway(1).update(HOST, subtype=2), Status.NOT_LMA_FOR_THIS_MOBILE_NODE)
    accepted(domain.gateway(1).update(HOST))


@pytest.mark.rfc("5213#5.3.1-9")
def test_a_node_that_is_not_entitled_to_proxy_mobility_is_told_so() -> None:
    domain = Domain(policy(Profile(HOST, proxy_mobility=False, pool="main")))
    refused(domain.gateway(1).update(HOST), Status.PROXY_REG_NOT_ENABLED)
    refused(Domain(proxy=False).gateway(1).update(HOST), Status.PROXY_REG_NOT_ENABLED)


@pytest.mark.rfc("5213#5.3.1-11", "5213#5.3.6-9")
def test_an_update_without_home_network_prefix_option_is_refused_with_one_of_zeros() -> None:
    answer = refused(Domain().gateway(1).update(HOST, bare=True), Status.MISSING_HOME_NETWORK_PREFIX_OPTION)
    assert prefixes(answer) == (ASK,)


@pytest.mark.rfc("5213#5.3.1-12", "5213#5.3.6-13")
def test_an_update_without_handoff_indicator_is_refused_with_one_of_zero() -> None:
    answer = refused(Domain().gateway(1).update(HOST, handoff=None), Status.MISSING_HANDOFF_INDICATOR_OPTION)
    assert option(answer, HandoffIndicator) == HandoffIndicator(0)


@pytest.mark.rfc("5213#5.3.1-13", "5213#5.3.6-16")
def test_an_update_without_access_technology_type_is_refused_with_one_of_zero() -> None:
    answer = refused(Domain().gateway(1).update(HOST, technology=None), Status.MISSING_ACCESS_TECH_TYPE_OPTION)
    assert option(answer, AccessTechnologyType) == AccessTechnologyType(0)


WRONG: list[tuple[int, dict[str, Any]]] = [
    (Status.MISSING_MN_IDENTIFIER_OPTION, {"node": None}),
    (Status.MAG_NOT_AUTHORIZED_FOR_PROXY_REG, {"node": b"x@example.com"}),
    (Status.NOT_LMA_FOR_THIS_MOBILE_NODE, {"node": b"nobody@example.org"}),
    (Status.PROXY_REG_NOT_ENABLED, {"node": b"fixed@example.org"}),
    (Status.TIMESTAMP_MISMATCH, {"timestamp": 5}),
    (Status.MISSING_HOME_NETWORK_PREFIX_OPTION, {"bare": True}),
    (Status.MISSING_HANDOFF_INDICATOR_OPTION, {"handoff": None}),
    (Status.MISSING_ACCESS_TECH_TYPE_OPTION, {"technology": None}),
]


@pytest.mark.rfc("5213#5.3-1", "5213#5.3.1-10")
@pytest.mark.parametrize("first", range(len(WRONG)))
def test_the_rules_are_applied_in_their_order(first: int) -> None:
    """With every fault from `first` on in one message, the first one is told."""
    domain = Domain(policy(Profile(HOST, pool="main"), Profile(b"fixed@example.org", proxy_mobility=False)))
    faults: dict[str, Any] = {}
    for _, fault in reversed(WRONG[first:]):
        faults |= fault
    node = faults.pop("node", HOST)
    refused(domain.gateway(1).update(node, **faults), WRONG[first][0])
    assert not domain.plane.history


@pytest.mark.parametrize(
    "twice",
    [
        MobileNodeIdentifier(1, HOST),
        HandoffIndicator(1),
        AccessTechnologyType(3),
        MobileNodeLinkLayerIdentifier(INTERFACE),
        LinkLocalAddress(bytes(16)),
        Timestamp(1),
    ],
)
def test_an_option_that_comes_twice_makes_the_message_malformed(twice: Any) -> None:
    """Section 8.1: there cannot be more than one instance of any of these."""
    domain = Domain()
    message = domain.gateway(1).make(HOST, link_layer=INTERFACE, link_local=bytes(16), extra=(twice,))
    answer = domain.gateway(1).answer(domain.gateway(1).send(message))
    refused(answer, Status.REASON_UNSPECIFIED)
    assert not domain.bindings()


@pytest.mark.rfc("5213#8.1-2")
def test_options_that_are_not_understood_are_skipped() -> None:
    domain = Domain()
    accepted(domain.gateway(1).update(HOST, extra=(UnknownOption(200, b"what is this"), UnknownOption(201, b""))))


@pytest.mark.rfc("5213#8.1-1")
def test_an_update_without_the_proxy_flag_is_none_of_the_local_mobility_anchor() -> None:
    domain = Domain()
    first = accepted(domain.gateway(1).update(HOST))
    message = domain.gateway(1).make(HOST, *prefixes(first), lifetime=0)
    plain = type(message)(message.sequence, 0x8000, message.lifetime, message.options)
    domain.gateway(1).send(plain)
    assert domain.route(first) == domain.gateway(1).tunnel
    assert len(domain.bindings()) == 1
    assert domain.count("proxy_binding_updates_received") == 1


@pytest.mark.requirement("ANC-8")
def test_every_refusal_is_counted_by_its_cause_and_told_to_the_operator_with_its_status() -> None:
    domain = Domain()
    refused(domain.gateway(1).update(HOST, bare=True), Status.MISSING_HOME_NETWORK_PREFIX_OPTION)
    assert domain.count("refused_missing_home_network_prefix_option") == 1
    (report,) = domain.reports
    assert report.reason == "refused_missing_home_network_prefix_option"
    assert report.peer == gateway_address(1)
    assert "status {2}" in report.text
    assert report.details[2] == 158


# ---- how much is taken -----------------------------------------------------------------------------------------------


@pytest.mark.requirement("ANC-7")
def test_a_gateway_beyond_its_rate_is_not_answered_and_others_are_unharmed() -> None:
    domain = Domain(policy(peer=Peer("gateway", (b"*",), rate_limit=5)))
    gateway1, gateway2 = domain.gateway(1), domain.gateway(2)
    answers = [gateway1.update(b"host%d@example.org" % n) for n in range(20)]
    assert [answer is not None for answer in answers] == [True] * 5 + [False] * 15
    assert domain.count("proxy_updates_rate_limited") == 15
    accepted(gateway2.update(HOST))
    domain.advance(1)
    accepted(gateway1.update(OTHER))


@pytest.mark.requirement("ANC-7")
def test_strangers_are_refused_a_few_times_a_second_and_leave_nothing_behind() -> None:
    domain = Domain()
    before = len(domain.wire)
    for number in range(0x100, 0x200):
        domain.gateway(number).update(HOST, timestamp=None)
    assert len(domain.wire) - before == 10
    assert domain.count("proxy_updates_rate_limited") == 246
    assert not domain.bindings()
    assert domain.anchor.next_deadline() is None
    accepted(domain.gateway(1).update(HOST))


def test_a_flood_of_refused_updates_from_a_gateway_leaves_no_state() -> None:
    domain = Domain(policy(Profile(b"*@example.org")))
    for number in range(500):
        refused(domain.gateway(1).update(b"n%d@example.org" % number), Status.INSUFFICIENT_RESOURCES)
    assert not domain.bindings()
    assert domain.anchor.next_deadline() is None


# ---- a new policy ----------------------------------------------------------------------------------------------------


def test_a_new_policy_holds_for_what_comes_next() -> None:
    domain = Domain()
    first = accepted(domain.gateway(1).update(HOST))
    domain.handle(PolicyReplaced(3, policy(Profile(OTHER, prefixes=(hnp("2001:db8:300::").prefix,)))))
    assert domain.answers[3] == {}
    assert domain.route(first) == domain.gateway(1).tunnel
    refused(domain.gateway(1).refresh(first), Status.NOT_LMA_FOR_THIS_MOBILE_NODE)
    assert prefixes(accepted(domain.gateway(1).update(OTHER))) == (hnp("2001:db8:300::"),)


@pytest.mark.requirement("ANC-7")
def test_a_gateway_that_acts_beyond_its_rights_is_told_a_hundred_times_a_second_and_served_as_before() -> None:
    domain = Domain()
    gateway = domain.gateway(1)
    began = domain.now.monotonic
    answers = [gateway.update(b"nobody%d@elsewhere.example" % n) for n in range(1000)]
    answered = sum(answer is not None for answer in answers)
    assert 100 <= answered <= 100 * (domain.now.monotonic - began + 1)
    assert domain.count("proxy_updates_rate_limited") == 1000 - answered > 0
    accepted(gateway.update(HOST))
