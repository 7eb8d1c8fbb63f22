# SPDX-License-Identifier: Apache-2.0
"""What else a mobile node is told: Binding Refresh Requests, Binding Errors, revocations, ICMPv6, and things without sense.
RFC 6275 sections 11.2, 11.3.5, 11.3.6, 11.4; RFC 5846 section 10."""

from __future__ import annotations

from typing import Any

import pytest

from halma.engine.api import (
    Assurance,
    ForwardingDone,
    MalformedReceived,
    MessageReceived,
    Protection,
    Send,
    SendParameterProblem,
    Tunnel,
)
from halma.engine.node_api import IcmpReceived, LinkDown, LinkUp, RetryRequested, SendIcmp, StopRequested
from halma.wire import DecodeError, encode
from halma.wire.errors import DecodeReason
from halma.wire.icmpv6 import (
    DestinationUnreachable,
    HomeAgentAddressDiscoveryReply,
    HomeAgentAddressDiscoveryRequest,
    MobilePrefixAdvertisement,
    MobilePrefixSolicitation,
    ParameterProblem,
)
from halma.wire.ipv6 import DestinationOptions, HomeAddress, Packet, build_packet
from halma.wire.messages import (
    BindingError,
    BindingRefreshRequest,
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
    HomeTest,
    HomeTestInit,
    UnknownMessage,
)
from halma.wire.nd import PrefixInformation
from halma.wire.numbers import HomeAgentFlag, RevocationFlag, RevocationStatus, Status
from halma.wire.options import Ipv4HomeAddressRequest
from tests.engine.mobile import (
    AGENT,
    CARE_OF,
    ELSEWHERE,
    FLAGS,
    HOME,
    HOME_PREFIX,
    HOME_ROUTER,
    KEY,
    SECOND_AGENT,
    SECOND_MAC,
    SECOND_ROUTER,
    Mobile,
    address,
    of,
    reasons,
    updates,
)

ANYCAST = HOME_PREFIX[:8] + bytes.fromhex("fdfffffffffffffe")
STRANGER = address("2001:db8:66::1")


def answers(effects: list[Any]) -> list[Any]:
    return [send.message for send in of(effects, Send)]


# ---- messages of the home agent -------------------------------------------------------------------------------------


@pytest.mark.rfc("6275#8.5-12", "6275#8.5-4", "6275#8.5-8", "6275#11.3.3-3")
def test_a_refresh_request_is_answered_by_an_update() -> None:
    node = Mobile().abroad()
    node.advance(2)
    (sent,) = updates(node.from_agent(BindingRefreshRequest(), trusted=False))
    assert not updates(node.from_agent(BindingRefreshRequest()))
    node.acknowledge(sent)
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)
    assert not updates(node.from_agent(BindingRefreshRequest(), agent=SECOND_AGENT))
    assert not updates(node.give(MessageReceived(AGENT, CARE_OF, BindingRefreshRequest(), b"")))


@pytest.mark.rfc("6275#8.5-5", "6275#11.3.6-1", "6275#11.3.6-2")
def test_a_home_agent_that_has_lost_the_binding_is_told_again() -> None:
    node = Mobile().abroad()
    assert not updates(node.from_agent(BindingError(1, HOME), agent=STRANGER))
    assert not updates(node.from_agent(BindingError(1, STRANGER)))
    assert len(updates(node.from_agent(BindingError(1, HOME)))) == 1


@pytest.mark.rfc("6275#11.3.6-6", "6275#11.3.6-7")
def test_a_home_agent_that_does_not_know_updates_is_none() -> None:
    node = Mobile().abroad()
    assert not reasons(node.from_agent(BindingError(2, bytes(16))))
    node.from_agent(BindingRefreshRequest())
    effects = node.from_agent(BindingError(2, bytes(16)))
    assert "no_home_agent" in reasons(effects)
    assert not updates(node.advance(30))
    assert updates(node.advance(3))
    node.from_agent(BindingError(9, bytes(16)))


def test_where_there_are_others_the_next_one_is_tried() -> None:
    node = Mobile(home_agents=(AGENT, SECOND_AGENT)).abroad()
    node.from_agent(BindingRefreshRequest())
    node.from_agent(BindingError(2, bytes(16)))
    assert node.tunnel() is None
    (sent,) = updates(node.advance(2))
    assert sent.destination == SECOND_AGENT


@pytest.mark.rfc("5846#10-1", "5846#10-4", "5846#10-18", "5846#6.1.2-1")
def test_a_revoked_registration_is_over_and_said_to_be() -> None:
    node = Mobile().abroad()
    effects = node.from_agent(BindingRevocationIndication(1, 77, 0, ()))
    (answer,) = [send for send in of(effects, Send) if isinstance(send.message, BindingRevocationAcknowledgement)]
    assert answer.message == BindingRevocationAcknowledgement(RevocationStatus.SUCCESS, 77, 0, ())
    assert (answer.source, answer.destination, answer.home_address) == (CARE_OF, AGENT, HOME)
    assert "revoked" in reasons(effects)
    assert node.tunnel() is None
    assert not updates(node.advance(30))
    assert updates(node.advance(3))


@pytest.mark.rfc("5846#10-2", "5846#10-3")
def test_a_revocation_that_is_not_ours_or_not_protected_is_ignored() -> None:
    node = Mobile().abroad()
    message = BindingRevocationIndication(1, 77, 0, ())
    assert not answers(node.from_agent(message, agent=STRANGER))
    assert not answers(node.from_agent(message, trusted=False))
    assert not answers(node.give(MessageReceived(AGENT, CARE_OF, message, STRANGER, Protection(Assurance.VALID, KEY))))
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)


@pytest.mark.rfc("5846#10-9", "5846#10-10", "5846#10-11", "5846#10-12")
@pytest.mark.parametrize(
    ("flags", "options", "status"),
    [
        (RevocationFlag.PROXY_BINDING, (), RevocationStatus.PROXY_BINDING_REVOCATION_NOT_SUPPORTED),
        (RevocationFlag.IPV4_HOME_ADDRESS_BINDING_ONLY, (), RevocationStatus.IPV4_HOME_ADDRESS_OPTION_REQUIRED),
        (
            RevocationFlag.IPV4_HOME_ADDRESS_BINDING_ONLY,
            (Ipv4HomeAddressRequest(0, bytes(4)),),
            RevocationStatus.BINDING_DOES_NOT_EXIST,
        ),
    ],
)
def test_a_revocation_of_something_else_is_refused(flags: int, options: tuple[Any, ...], status: int) -> None:
    node = Mobile().abroad()
    (answer,) = answers(node.from_agent(BindingRevocationIndication(0, 5, flags, options)))
    assert answer.status == status
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)


# ---- what makes no sense (section 9.2) ------------------------------------------------------------------------------


@pytest.mark.rfc("6275#11.2-1")
def test_unknown_messages_are_answered_so() -> None:
    node = Mobile().abroad()
    (error,) = answers(node.from_agent(UnknownMessage(99, bytes(8))))
    assert error == BindingError(2, HOME)
    (error,) = answers(node.give(MessageReceived(STRANGER, HOME, HomeTestInit(bytes(8)))))
    assert error == BindingError(2, bytes(16))
    assert not answers(node.give(MessageReceived(STRANGER, CARE_OF, HomeTest(1, bytes(8), bytes(8)))))
    assert not answers(node.give(MessageReceived(address("ff02::1"), CARE_OF, HomeTestInit(bytes(8)))))
    sent = sum(len(answers(node.give(MessageReceived(STRANGER, HOME, HomeTestInit(bytes(8)))))) for _ in range(50))
    assert sent == 8
    node.advance(1.1)
    assert answers(node.give(MessageReceived(STRANGER, HOME, HomeTestInit(bytes(8)))))


@pytest.mark.rfc("6275#11.2-1")
def test_malformed_headers_are_answered_where_the_rfc_says_so() -> None:
    node = Mobile().abroad()
    for reason, codes in (
        (DecodeReason.PAYLOAD_PROTO, [0]),
        (DecodeReason.HEADER_LENGTH, [0]),
        (DecodeReason.OPTION_REFUSED, [2]),
        (DecodeReason.CHECKSUM, []),
    ):
        effects = node.give(MalformedReceived(STRANGER, CARE_OF, DecodeError(reason, 1), b"data"))
        assert [problem.code for problem in of(effects, SendParameterProblem)] == codes
        assert "malformed" in reasons(effects)


def test_outcomes_that_nobody_waits_for_mean_nothing() -> None:
    assert not Mobile().give(ForwardingDone(999, 5))


def test_a_retry_that_nothing_waits_for_says_so() -> None:
    (answer,) = Mobile().abroad().give(RetryRequested(7))
    assert answer.result == {"retried": False}


# ---- ICMPv6 errors (section 11.3.5) ---------------------------------------------------------------------------------


def quoted(node: Mobile, *, forged: bool = False, to: bytes = AGENT) -> bytes:
    (sent,) = updates(node.from_agent(BindingRefreshRequest()))
    message = sent.message
    if forged:
        message = type(message)(*(1, *[getattr(message, f) for f in ("flags", "lifetime", "options")]))
    data = encode(message, HOME, to)
    return build_packet(Packet(CARE_OF, to, 135, data, extension_headers=(DestinationOptions((HomeAddress(HOME),)),)))


@pytest.mark.rfc("6275#8.5-6", "6275#11.3.5-1", "6275#11.3.5-2", "6275#11.3.5-3")
def test_an_update_that_nobody_there_understands_is_not_repeated_for_a_while() -> None:
    node = Mobile().abroad()
    packet = quoted(node)
    effects = node.give(IcmpReceived(AGENT, CARE_OF, ParameterProblem(1, 40, packet)))
    assert "no_home_agent" in reasons(effects)
    assert not updates(node.advance(30))
    assert updates(node.advance(3))


@pytest.mark.parametrize("forgery", ["sequence", "source", "destination", "short", "rubbish"])
def test_a_forged_error_is_ignored(forgery: str) -> None:
    node = Mobile().abroad()
    packet = quoted(node, forged=forgery == "sequence", to=STRANGER if forgery == "destination" else AGENT)
    packet = {"short": packet[:64], "rubbish": b"\0" * 80}.get(forgery, packet)
    source = STRANGER if forgery == "source" else AGENT
    assert not reasons(node.give(IcmpReceived(source, CARE_OF, ParameterProblem(1, 40, packet))))
    assert updates(node.advance(1.1))


@pytest.mark.rfc("6275#11.3.5-5")
def test_a_peer_that_does_not_know_the_home_address_option_is_told_of_and_no_more() -> None:
    node = Mobile().abroad()
    effects = node.give(IcmpReceived(STRANGER, CARE_OF, ParameterProblem(2, 42, bytes(60))))
    assert reasons(effects) == ["home_address_option"]
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)
    assert not node.give(IcmpReceived(STRANGER, CARE_OF, DestinationUnreachable(0, bytes(60))))
    assert not node.give(IcmpReceived(STRANGER, CARE_OF, ParameterProblem(0, 42, bytes(60))))


# ---- finding home agents (section 11.4.1) ---------------------------------------------------------------------------


def looking(**changes: Any) -> tuple[Mobile, SendIcmp]:
    node = Mobile(home_agents=(), **changes)
    node.give(LinkUp())
    (request,) = of(node.advertise(), SendIcmp)
    return node, request


def reply(node: Mobile, request: SendIcmp, *agents: bytes, offset: int = 0, to: bytes = CARE_OF) -> list[Any]:
    assert isinstance(request.message, HomeAgentAddressDiscoveryRequest)
    identifier = (request.message.identifier + offset) & 0xFFFF
    return node.give(IcmpReceived(SECOND_AGENT, to, HomeAgentAddressDiscoveryReply(identifier, 0, b"".join(agents))))


@pytest.mark.rfc("6275#8.5-14", "6275#11.4.1-1", "6275#11.4.1-2", "6275#11.4.1-6")
def test_home_agents_are_looked_for_on_the_home_link() -> None:
    node, request = looking()
    assert (request.source, request.destination, request.home_address) == (CARE_OF, ANYCAST, b"")
    assert not updates(reply(node, request, AGENT, offset=1))
    assert not updates(reply(node, request, AGENT, to=STRANGER))
    (sent,) = updates(reply(node, request, SECOND_AGENT, AGENT))
    assert sent.destination == SECOND_AGENT
    assert not updates(reply(node, request, AGENT))
    node.acknowledge(sent, Status.ADMINISTRATIVELY_PROHIBITED)
    (other,) = updates(node.advance(2))
    assert other.destination == AGENT
    effects = node.acknowledge(other, Status.ADMINISTRATIVELY_PROHIBITED)
    assert of(effects, SendIcmp)


def test_a_reply_that_names_nobody_comes_from_one() -> None:
    node, request = looking()
    (sent,) = updates(reply(node, request))
    assert sent.destination == SECOND_AGENT


@pytest.mark.rfc("6275#11.4.1-11", "6275#11.4.1-12", "6275#11.4.1-13")
def test_an_unanswered_question_is_repeated_four_times() -> None:
    node, _ = looking()
    began, times = node.time, []
    while node.time < began + 400:
        times += [node.time - began for _ in of(node.advance(1.0), SendIcmp)]
    assert times == [3, 9, 21, 45]
    assert of(node.advance(400), SendIcmp)


def test_a_mobile_router_looks_for_home_agents_of_mobile_routers() -> None:
    from halma.engine.node_api import MobileNetwork  # noqa: PLC0415

    _, request = looking(mobile_router=True, networks=(MobileNetwork(address("2001:db8:f::"), 48),))
    assert isinstance(request.message, HomeAgentAddressDiscoveryRequest)
    assert request.message.flags == HomeAgentFlag.MOBILE_ROUTER


def test_nobody_is_asked_from_nowhere() -> None:
    node, _ = looking()
    node.replug()
    node.advertise(HOME_PREFIX, HOME_ROUTER)
    assert not of(node.advance(100), SendIcmp)


# ---- prefixes of the home link (sections 11.4.2 and 11.4.3) ---------------------------------------------------------


def soliciting() -> tuple[Mobile, SendIcmp]:
    node = Mobile()
    node.give(LinkUp())
    (sent,) = updates(node.advertise())
    (request,) = of(node.acknowledge(sent, Status.ACCEPTED_BUT_PREFIX_DISCOVERY_NECESSARY), SendIcmp)
    return node, request


def advertise(node: Mobile, identifier: int, *, valid: int = 7200, source: bytes = AGENT, home: bytes = HOME) -> list[Any]:
    message = MobilePrefixAdvertisement(identifier, 0, (PrefixInformation(64, FLAGS, valid, valid, HOME_PREFIX),))
    return node.give(IcmpReceived(source, CARE_OF, message, home))


@pytest.mark.rfc(
    "6275#8.5-13", "6275#11.4.2-2", "6275#11.4.3-1", "6275#11.4.3-4", "6275#11.4.3-7", "6275#11.4.3-8", "6275#11.8-1"
)
def test_prefixes_are_asked_for_and_taken_once() -> None:
    node, request = soliciting()
    assert (request.source, request.destination, request.home_address) == (CARE_OF, AGENT, HOME)
    assert isinstance(request.message, MobilePrefixSolicitation)
    assert len(of(node.advance(9.5), SendIcmp)) == 2
    identifier = request.message.identifier
    advertise(node, identifier, valid=200, source=STRANGER)
    advertise(node, identifier, valid=200, home=b"")
    assert node.engine._registrations.home_address_valid_until == float("inf")
    assert not of(advertise(node, identifier, valid=200), SendIcmp)
    assert node.engine._registrations.home_address_valid_until == node.time + 200
    assert not node.engine._registrations.awaiting_prefixes
    (refresh,) = updates(node.from_agent(BindingRefreshRequest()))
    assert refresh.message.lifetime == 50  # type: ignore[union-attr]


@pytest.mark.rfc("6275#11.4.3-5", "6275#11.4.3-6", "6275#11.4.2-4")
def test_an_advertisement_that_was_not_asked_for_makes_the_node_ask() -> None:
    node = Mobile().abroad()
    (request,) = of(advertise(node, 1234), SendIcmp)
    assert isinstance(request.message, MobilePrefixSolicitation)
    assert node.engine._registrations.home_address_valid_until == float("inf")
    other = Mobile(secret=b"another").abroad()
    (different,) = of(advertise(other, 1234), SendIcmp)
    assert different.message != request.message


@pytest.mark.rfc("6275#11.4.2-1", "6275#11.4.2-6")
def test_a_home_prefix_that_is_about_to_end_is_asked_for_anew() -> None:
    node, request = soliciting()
    assert isinstance(request.message, MobilePrefixSolicitation)
    advertise(node, request.message.identifier, valid=1000)
    assert not of(node.advance(740), SendIcmp)
    assert of(node.advance(20), SendIcmp)


@pytest.mark.rfc("6275#11.4.3-3")
def test_before_a_home_agent_is_known_no_prefixes_are_believed() -> None:
    node, _ = looking()
    assert not advertise(node, 0)


def test_a_home_prefix_that_is_withdrawn_is_told() -> None:
    node = Mobile().at_home()
    assert "home_prefix" not in reasons(node.advertise(HOME_PREFIX, HOME_ROUTER, valid=0xFFFFFFFF, preferred=0xFFFFFFFF))
    node.replug()
    (sent,) = updates(node.advertise())
    (request,) = of(node.acknowledge(sent, 1), SendIcmp)
    assert isinstance(request.message, MobilePrefixSolicitation)
    advertise(node, request.message.identifier, valid=100)
    (request,) = of(advertise(node, 0), SendIcmp)
    assert isinstance(request.message, MobilePrefixSolicitation)
    assert "home_prefix" in reasons(advertise(node, request.message.identifier, valid=0))


# ---- odds and ends --------------------------------------------------------------------------------------------------


def test_a_snapshot_tells_everything() -> None:
    node = Mobile().abroad()
    snapshot = node.engine.snapshot(node.now)
    assert set(snapshot) == {"registration", "counters"}
    assert node.engine.peers() == [(HOME, AGENT)]


def test_stopping_at_home_or_nowhere_says_nothing() -> None:
    node = Mobile()
    assert not answers(node.give(StopRequested()))
    assert node.engine.is_done()


def test_a_refresh_that_was_due_while_the_link_was_down_follows() -> None:
    node = Mobile().abroad()
    node.give(LinkDown())
    node.advance(320)
    node.give(LinkUp())
    node.advertise()
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)
    assert len(updates(node.advance(0.1))) == 1


def test_a_second_home_agent_that_answers_late_is_not_believed() -> None:
    node = Mobile(home_agents=(AGENT, SECOND_AGENT)).abroad()
    (sent,) = updates([*node.replug(), *node.advertise(ELSEWHERE, SECOND_ROUTER, SECOND_MAC)])
    node.acknowledge(sent, source=SECOND_AGENT)
    assert node.tunnel() is None
