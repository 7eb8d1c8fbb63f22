# SPDX-License-Identifier: Apache-2.0
"""Sessions are revoked, by the anchor and by gateways: RFC 5846 sections 5, 6, 8, 11 and 13."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from halma.engine.api import sentence
from halma.engine.policy import Peer, Profile
from halma.engine.proxy_revocation import RevocationRequested
from halma.engine.revocation import SEQUENCE_NUMBERS, RevocationSettings
from halma.policy.anchor import AnchorPolicy
from halma.wire import encode
from halma.wire.messages import BindingAcknowledgement, BindingRevocationAcknowledgement, BindingRevocationIndication
from halma.wire.numbers import RevocationFlag, RevocationStatus, RevocationTrigger, Status
from halma.wire.options import AlternateCareOfAddress, HomeNetworkPrefix, MobileNodeIdentifier
from halma.wire.optionspace import Option, UnknownOption
from tests.engine.conversation import (
    ANCHOR,
    BETWEEN_GATEWAYS,
    HOST,
    INTERFACE,
    OTHER,
    OTHER_INTERFACE,
    UNKNOWN,
    Domain,
    Gateway,
    accepted,
    gateway_address,
    hnp,
    options,
    policy,
    prefixes,
    refused,
)

P, V, G = RevocationFlag.PROXY_BINDING, RevocationFlag.IPV4_HOME_ADDRESS_BINDING_ONLY, RevocationFlag.GLOBAL
ADMINISTRATIVE = RevocationTrigger.ADMINISTRATIVE_REASON
USER = RevocationTrigger.USER_INITIATED_SESSIONS_TERMINATION
PER_PEER = RevocationTrigger.PER_PEER_POLICY
NAMED = MobileNodeIdentifier(1, HOST)
THE_GATEWAY = MobileNodeIdentifier(1, b"mag1@example.org")
WAYS = (RevocationStatus.SUCCESS, RevocationStatus.PARTIAL_SUCCESS, RevocationStatus.BINDING_DOES_NOT_EXIST, 135, None)
"""How a gateway may answer; None: never."""


def begin(**settings: Any) -> tuple[Domain, Gateway, Gateway, BindingAcknowledgement]:
    """A node is at gateway 1 with two prefixes."""
    domain = Domain(policy(Profile(b"*@example.org", pool="main", prefixes_per_session=2)), **settings)
    gateway1 = domain.gateway(1)
    return domain, gateway1, domain.gateway(2), accepted(gateway1.update(HOST, link_layer=INTERFACE))


# ---- the anchor revokes one session (6.1.1, 8.1) ---------------------------------------------------------------------


@pytest.mark.rfc(
    "5846#5-1",
    "5846#5.1-2",
    "5846#5.1-5",
    "5846#5.1-6",
    "5846#6.1.1-1",
    "5846#6.1.1-2",
    "5846#6.1.1-3",
    "5846#6.1.1-6",
    "5846#8.1-1",
    "5846#8.1-2",
    "5846#8.1-3",
    "5846#8.1-4",
    "5846#8.1-6",
    "5846#8.1-19",
)
def test_the_gateway_is_told_which_session_of_which_node_ends_and_why() -> None:
    domain, gateway1, _, first = begin()
    accepted(gateway1.update(HOST, link_layer=OTHER_INTERFACE))
    domain.handle(RevocationRequested(5, prefix=prefixes(first)[1].prefix))
    assert domain.answers[5] == {"revoked": 1}
    sent = domain.wire[-1].send
    assert (sent.source, sent.destination) == (ANCHOR, gateway_address(1))
    (indication,) = gateway1.indications()
    assert indication.trigger == ADMINISTRATIVE
    assert indication.flags == P
    assert options(indication, MobileNodeIdentifier) == [NAMED]
    assert prefixes(indication) == prefixes(first)
    data = encode(indication, sent.source, sent.destination)
    assert data[2] == 16
    assert data[6] == 1, "B.R. Type: Indication"
    assert data[10:12] == b"\x80\x00", "P alone, and zeros in what is reserved"


@pytest.mark.rfc("5846#6.2.2-3", "5846#6.2.2-4", "5846#6.3-4", "5846#8.1-10", "5846#8.1-9")
@pytest.mark.parametrize("status", WAYS)
def test_a_revoked_session_s_traffic_stops_at_once_and_it_is_deleted_with_the_answer(status: int | None) -> None:
    """Any other answer than success, and none at all, ends the session here just as well; the operator is told."""
    domain, gateway1, _, first = begin()
    domain.handle(RevocationRequested(1, identifier=HOST))
    assert {domain.plane.bound[p.prefix] for p in prefixes(first)} == {None}
    assert domain.bindings()[0]["state"] == "revoking"
    domain.advance(0.9)
    assert len(domain.bindings()) == 1
    if status is None:
        domain.advance(2.09)
        assert domain.bindings()[0]["state"] == "revoking"
        domain.advance(0.01)
    else:
        gateway1.acknowledge(status)
    assert not domain.bindings()
    assert not domain.plane.bound
    failed = status is None or status >= 128
    assert ("revocation_failed" in [report.reason for report in domain.reports]) == failed
    domain.advance(60)
    assert len(gateway1.indications()) == (1 if status is not None else 2), "the timer is gone with the answer"
    assert domain.count("revocations_unanswered") == (status is None)


@pytest.mark.rfc("5846#6.3-1", "5846#6.3-2", "5846#11-1")
def test_an_indication_is_repeated_word_for_word_with_the_wait_doubled_to_its_maximum() -> None:
    settings = RevocationSettings(maximum_retries=5, initial_delay=0.5, maximum_timeout=3.0)
    domain, _, _, _ = begin(revocation=settings)
    start = domain.monotonic
    domain.handle(RevocationRequested(1, identifier=HOST))
    domain.advance(60)
    sent = [each for each in domain.wire if isinstance(each.message, BindingRevocationIndication)]
    assert [each.when - start for each in sent] == pytest.approx([0, 0.5, 1.5, 3.5, 6.5, 9.5])
    assert len({each.send for each in sent}) == 1
    assert not domain.bindings()
    assert domain.count("revocations_retransmitted") == 5


@pytest.mark.rfc("5846#11-1")
def test_the_defaults_are_those_of_the_rfc() -> None:
    assert RevocationSettings() == RevocationSettings(maximum_retries=1, initial_delay=1.0, maximum_timeout=2.0)


@pytest.mark.rfc("5846#6.2.2-1", "5846#6.2.2-2")
def test_an_acknowledgement_that_fits_no_indication_is_dropped() -> None:
    domain, gateway1, gateway2, _ = begin()
    assert gateway1.send(BindingRevocationAcknowledgement(0, 0, P, ())) == []
    domain.handle(RevocationRequested(1, identifier=HOST))
    (indication,) = gateway1.indications()
    for speaker, number in ((gateway1, indication.sequence + 1), (gateway2, indication.sequence)):
        assert speaker.send(BindingRevocationAcknowledgement(0, number, P, ())) == []
    assert domain.bindings()[0]["state"] == "revoking"
    assert domain.count("revocation_acknowledgements_unmatched") == 3
    gateway1.acknowledge(0)
    gateway1.acknowledge(0)
    assert domain.count("revocation_acknowledgements_unmatched") == 4
    assert domain.count("revocation_acknowledgements_received") == 1


@pytest.mark.rfc("5846#5.1-1")
def test_no_two_indications_that_are_out_have_one_sequence_number() -> None:
    domain = Domain()
    gateway1 = domain.gateway(1)
    nodes = [b"n%d@example.org" % n for n in range(20)]
    for node in nodes:
        accepted(gateway1.update(node))
        domain.handle(RevocationRequested(1, identifier=node))
    assert len({indication.sequence for indication in gateway1.indications()}) == 20


@pytest.mark.rfc("5846#8.1-8")
def test_a_gateway_that_signals_from_another_address_is_told_the_proxy_care_of_address() -> None:
    one = Peer("one", (b"*",))
    peers = [(gateway_address(1), 128, one), (gateway_address(2), 128, one)]
    domain = Domain(AnchorPolicy(peers, [Profile(b"*@example.org", pool="main")]))
    gateway1 = domain.gateway(1)
    first = accepted(gateway1.update(HOST, care_of=gateway_address(2)))
    domain.handle(RevocationRequested(1, identifier=HOST))
    (indication,) = gateway1.indications()
    assert options(indication, AlternateCareOfAddress) == [AlternateCareOfAddress(gateway_address(2))]
    gateway1.acknowledge(0)
    assert domain.route(first) == "nowhere"


def test_all_sessions_of_a_node_are_revoked_wherever_they_are() -> None:
    domain, gateway1, gateway2, first = begin()
    second = accepted(gateway2.update(HOST, link_layer=OTHER_INTERFACE))
    third = accepted(gateway2.update(OTHER))
    domain.handle(RevocationRequested(9, identifier=HOST))
    assert domain.answers[9] == {"revoked": 2}
    gateway1.acknowledge(0)
    gateway2.acknowledge(0)
    assert domain.route(first) == domain.route(second) == "nowhere"
    assert domain.route(third) == gateway2.tunnel


@pytest.mark.parametrize(
    "wish",
    [
        {"identifier": b"nobody@example.org"},
        {"prefix": hnp("2001:db8:aaaa::").prefix},
        {"gateway": gateway_address(5)},
        {"gateway": gateway_address(1), "realm": b"example.com"},
    ],
)
def test_what_is_not_there_is_not_revoked(wish: dict[str, Any]) -> None:
    domain, gateway1, _, _ = begin()
    assert domain.handle(RevocationRequested(3, **wish)) == []
    assert domain.answers[3] == {"revoked": 0}
    assert not gateway1.indications()


def test_a_session_is_revoked_once() -> None:
    domain, gateway1, _, _ = begin()
    domain.handle(RevocationRequested(1, identifier=HOST))
    domain.handle(RevocationRequested(2, identifier=HOST))
    assert domain.answers == {1: {"revoked": 1}, 2: {"revoked": 0}}
    assert len(gateway1.indications()) == 1


def test_a_session_that_was_given_up_is_deleted_without_a_word() -> None:
    domain, gateway1, _, first = begin()
    accepted(gateway1.deregister(first, link_layer=INTERFACE))
    domain.handle(RevocationRequested(1, identifier=HOST))
    assert domain.answers == {1: {"revoked": 1}}
    assert not gateway1.indications()
    assert domain.route(first) == "nowhere"


def test_while_a_session_is_being_revoked_updates_for_it_are_refused_and_it_may_be_given_up() -> None:
    """RFC 5846 section 8.1 leaves to the anchor what to do in this race; a person wants the session ended."""
    domain, gateway1, gateway2, first = begin()
    domain.handle(RevocationRequested(1, identifier=HOST))
    refused(gateway1.refresh(first, link_layer=INTERFACE), Status.ADMINISTRATIVELY_PROHIBITED)
    refused(gateway2.update(HOST, link_layer=INTERFACE, handoff=BETWEEN_GATEWAYS), Status.ADMINISTRATIVELY_PROHIBITED)
    old = gateway1.make(HOST, *prefixes(first), link_layer=INTERFACE)
    accepted(gateway1.deregister(first, link_layer=INTERFACE))
    refused(gateway1.answer(gateway1.send(old)), Status.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED)
    assert domain.route(first) is None
    gateway1.acknowledge(RevocationStatus.BINDING_DOES_NOT_EXIST)
    assert domain.route(first) == "nowhere"
    accepted(gateway1.update(HOST, link_layer=INTERFACE))


def test_a_revocation_whose_traffic_cannot_be_stopped_is_carried_out_all_the_same() -> None:
    domain, gateway1, _, first = begin()
    domain.plane.refuse_next = [errno.EIO, errno.EIO]
    domain.handle(RevocationRequested(1, identifier=HOST))
    assert domain.route(first) == gateway1.tunnel
    gateway1.acknowledge(0)
    assert domain.route(first) == "nowhere"


# ---- the anchor revokes many (global) --------------------------------------------------------------------------------


@pytest.mark.rfc("5846#6.1.1-4", "5846#6.1.1-5", "5846#8.1-5", "5846#8.1-12", "5846#8.1-13")
@pytest.mark.parametrize("status", WAYS)
def test_all_sessions_of_a_gateway_are_revoked_with_one_indication_without_options(status: int | None) -> None:
    domain, gateway1, gateway2, first = begin()
    second = accepted(gateway1.update(OTHER))
    elsewhere = accepted(gateway2.update(b"third@example.org"))
    domain.handle(RevocationRequested(4, gateway=gateway_address(1)))
    domain.handle(RevocationRequested(5, gateway=gateway_address(1)))
    assert domain.answers == {4: {"revoked": 2}, 5: {"revoked": 0}}
    (indication,) = gateway1.indications()
    assert (indication.trigger, indication.flags, indication.options) == (PER_PEER, P | G, ())
    if status is None:
        domain.advance(3)
    else:
        gateway1.acknowledge(status)
    assert domain.route(first) == domain.route(second) == "nowhere"
    assert domain.route(elsewhere) == gateway2.tunnel


@pytest.mark.rfc("5846#6.1.1-5", "5846#8.1-14", "5846#8.1-15", "5846#8.1-16")
def test_the_sessions_of_a_realm_are_revoked_with_one_indication_that_names_it() -> None:
    peers = policy(Profile(b"*", pool="main"), peer=Peer("gateway", (b"*",)))
    domain = Domain(peers)
    gateway1 = domain.gateway(1)
    names = [b"1234abdelta@example.com", b"abcdefg.xyz123@example.com", b"1234abdelta@foo.example.com", b"x@example.org"]
    sessions = [accepted(gateway1.update(name)) for name in names]
    domain.handle(RevocationRequested(1, gateway=gateway_address(1), realm=b"example.com"))
    (indication,) = gateway1.indications()
    assert indication.trigger == RevocationTrigger.REVOKING_MOBILITY_NODE_LOCAL_POLICY
    assert indication.flags == P | G
    assert indication.options == (MobileNodeIdentifier(1, b"@example.com"),)
    gateway1.acknowledge(0)
    assert [domain.route(each) for each in sessions] == ["nowhere", "nowhere", gateway1.tunnel, gateway1.tunnel]


def test_what_has_left_before_the_answer_is_not_concerned() -> None:
    domain, gateway1, gateway2, first = begin()
    domain.handle(RevocationRequested(1, gateway=gateway_address(1)))
    accepted(gateway2.update(HOST, link_layer=INTERFACE, handoff=BETWEEN_GATEWAYS))
    gateway1.acknowledge(0)
    assert domain.route(first) == gateway2.tunnel


# ---- a gateway revokes (6.1.2, 6.2.1, 8.2) ---------------------------------------------------------------------------


@pytest.mark.rfc("5846#6.1.2-1", "5846#6.1.2-3", "5846#6.1.2-6", "5846#6.1.2-7", "5846#6.1.2-8", "5846#8.2-10", "5846#8.2-14")
def test_a_gateway_ends_all_its_sessions_of_a_node() -> None:
    domain, gateway1, gateway2, first = begin()
    second = accepted(gateway1.update(HOST, link_layer=OTHER_INTERFACE))
    other = accepted(gateway1.update(OTHER))
    elsewhere = accepted(gateway2.update(HOST, link_layer=b"\x09"))
    answer = gateway1.revoke(USER, NAMED, sequence=0xBEEF)
    assert (answer.status, answer.flags, answer.options) == (RevocationStatus.SUCCESS, P, ())
    assert domain.route(first) == domain.route(second) == "nowhere"
    assert domain.route(other) == gateway1.tunnel
    assert domain.route(elsewhere) == gateway2.tunnel, "a gateway ends none but its own sessions (ANC-7)"


@pytest.mark.rfc("5846#8.2-11", "5846#8.2-12")
def test_a_gateway_ends_the_sessions_that_it_names_by_their_prefixes() -> None:
    domain, gateway1, _, first = begin()
    second = accepted(gateway1.update(HOST, link_layer=OTHER_INTERFACE))
    third = accepted(gateway1.update(HOST, link_layer=b"\x09"))
    assert gateway1.revoke(USER, NAMED, prefixes(second)[1]).status == RevocationStatus.SUCCESS
    assert domain.route(second) == "nowhere"
    assert domain.route(first) == domain.route(third) == gateway1.tunnel
    assert gateway1.revoke(USER, NAMED, *prefixes(first), prefixes(third)[0]).status == RevocationStatus.SUCCESS
    assert not domain.bindings()


@pytest.mark.rfc("5846#5.2-4", "5846#8.2-9")
def test_of_several_prefixes_the_one_that_is_gone_is_named() -> None:
    domain, gateway1, _, first = begin()
    gone = hnp("2001:db8:100:99::")
    answer = gateway1.revoke(USER, NAMED, gone, prefixes(first)[0])
    assert answer.status == RevocationStatus.PARTIAL_SUCCESS
    assert answer.options == (NAMED, gone)
    assert domain.route(first) == "nowhere"


@pytest.mark.rfc("5846#6.1.2-4", "5846#6.2.1-4")
@pytest.mark.requirement("ANC-7")
@pytest.mark.parametrize(
    ("given", "flags"),
    [
        ((MobileNodeIdentifier(1, b"nobody@example.org"),), P),
        ((NAMED, hnp("2001:db8:100:99::")), P),
        ((), P),
        ((hnp("2001:db8:100::"),), P),
        ((NAMED,), 0),
        ((NAMED,), P | V),
    ],
)
def test_what_a_gateway_does_not_have_it_cannot_end(given: tuple[Option, ...], flags: int) -> None:
    domain, gateway1, gateway2, first = begin()
    answer = gateway1.revoke(USER, *given, flags=flags)
    assert answer.status == RevocationStatus.BINDING_DOES_NOT_EXIST
    assert answer.flags == flags
    assert gateway2.revoke(USER, NAMED).status == RevocationStatus.BINDING_DOES_NOT_EXIST
    assert gateway2.revoke(USER, NAMED, *prefixes(first)).status == RevocationStatus.BINDING_DOES_NOT_EXIST
    assert domain.route(first) == gateway1.tunnel
    assert domain.count("revocations_refused") == 3


@pytest.mark.rfc("5846#6.1.2-9", "5846#6.1.2-10", "5846#6.1.2-11", "5846#5.2-1")
@pytest.mark.parametrize("flags", [0, P, V, G, P | V, P | G, V | G, P | V | G])
def test_the_flags_of_an_indication_come_back_and_zeros_beside_them(flags: int) -> None:
    _, gateway1, _, _ = begin()
    answer = gateway1.revoke(USER, NAMED, flags=flags)
    assert answer.flags == flags
    data = encode(answer, ANCHOR, gateway_address(1))
    assert data[6] == 2, "B.R. Type: Acknowledgement"
    assert data[10:12] == flags.to_bytes(2, "big")


@pytest.mark.rfc("5846#6.2.1-1", "5846#6.2.1-2")
@pytest.mark.parametrize("trigger", [8, 127, 130, 255])
@pytest.mark.parametrize("flags", [P, P | G])
def test_a_trigger_that_nobody_knows_is_not_supported(trigger: int, flags: int) -> None:
    domain, gateway1, _, first = begin()
    assert gateway1.revoke(trigger, NAMED, flags=flags).status == RevocationStatus.REVOCATION_TRIGGER_NOT_SUPPORTED
    assert domain.route(first) == gateway1.tunnel


@pytest.mark.rfc("5846#6.2.1-1", "5846#6.2.1-3")
@pytest.mark.parametrize(("trigger", "flags"), [*((trigger, P | G) for trigger in range(8)), (128, P), (129, P), (129, P | G)])
def test_a_trigger_that_does_not_fit_the_scope_is_not_supported(trigger: int, flags: int) -> None:
    domain, gateway1, _, first = begin()
    assert gateway1.revoke(trigger, NAMED, flags=flags).status == RevocationStatus.REVOCATION_FUNCTION_NOT_SUPPORTED
    assert domain.route(first) == gateway1.tunnel


@pytest.mark.parametrize("trigger", range(8))
def test_every_trigger_for_one_node_ends_its_sessions(trigger: int) -> None:
    domain, gateway1, _, first = begin()
    assert gateway1.revoke(trigger, NAMED).status == RevocationStatus.SUCCESS
    assert domain.route(first) == "nowhere"


@pytest.mark.rfc("5846#5.1-3")
def test_options_that_are_not_understood_are_skipped() -> None:
    domain, gateway1, _, first = begin()
    assert gateway1.revoke(USER, UnknownOption(222, b"?"), NAMED).status == RevocationStatus.SUCCESS
    assert domain.route(first) == "nowhere"


def allowed() -> tuple[Domain, Gateway]:
    """Gateway 1 signals for the Proxy-CoAs 1 and 2, and may revoke globally."""
    one = Peer("one", (b"*",), global_revocation=True)
    peers = [(gateway_address(1), 128, one), (gateway_address(2), 128, one), (gateway_address(3), 128, Peer("three", (b"*",)))]
    domain = Domain(AnchorPolicy(peers, [Profile(b"*@example.org", pool="main")]))
    return domain, domain.gateway(1)


@pytest.mark.rfc("5846#8.2-2", "5846#8.2-3", "5846#8.2-4", "5846#8.2-6", "5846#8.2-8", "5846#13-3")
def test_a_gateway_that_may_ends_all_its_sessions_at_once() -> None:
    domain, gateway1 = allowed()
    gateway3 = domain.gateway(3)
    ended = [accepted(gateway1.update(b"n%d@example.org" % n)) for n in range(5)]
    other_address = accepted(gateway1.update(HOST, care_of=gateway_address(2)))
    elsewhere = accepted(gateway3.update(OTHER))
    answer = gateway1.revoke(PER_PEER, THE_GATEWAY, flags=P | G)
    assert (answer.status, answer.flags) == (RevocationStatus.SUCCESS, P | G)
    assert {domain.route(each) for each in ended} == {"nowhere"}
    assert domain.route(other_address) != "nowhere", "its Proxy-CoA is not the source of the indication"
    assert domain.route(elsewhere) == gateway3.tunnel


@pytest.mark.rfc("5846#8.2-7")
def test_with_an_alternate_care_of_address_the_sessions_there_end() -> None:
    domain, gateway1 = allowed()
    here, there = accepted(gateway1.update(HOST)), accepted(gateway1.update(OTHER, care_of=gateway_address(2)))
    stranger = accepted(domain.gateway(3).update(b"third@example.org"))
    beyond = gateway1.revoke(PER_PEER, THE_GATEWAY, AlternateCareOfAddress(gateway_address(3)), flags=P | G)
    assert beyond.status == RevocationStatus.SUCCESS
    assert domain.route(stranger) == domain.gateway(3).tunnel
    gateway1.revoke(PER_PEER, THE_GATEWAY, AlternateCareOfAddress(gateway_address(2)), flags=P | G)
    assert domain.route(there) == "nowhere"
    assert domain.route(here) == gateway1.tunnel


@pytest.mark.rfc("5846#8.2-2", "5846#8.2-3", "5846#8.2-5", "5846#13-3")
@pytest.mark.requirement("ANC-7")
@pytest.mark.parametrize(
    ("number", "given", "flags"),
    [(3, (THE_GATEWAY,), P | G), (1, (), P | G), (1, (MobileNodeIdentifier(1, b""),), P | G), (1, (THE_GATEWAY,), G)],
    ids=["not authorized", "no identity", "empty identity", "no P"],
)
def test_a_global_revocation_is_not_for_everybody(number: int, given: tuple[Option, ...], flags: int) -> None:
    domain, _ = allowed()
    gateway = domain.gateway(number)
    first = accepted(gateway.update(HOST))
    assert gateway.revoke(PER_PEER, *given, flags=flags).status == RevocationStatus.GLOBAL_REVOCATION_NOT_AUTHORIZED
    assert domain.route(first) == gateway.tunnel


@pytest.mark.rfc("5846#6.1.2-2")
@pytest.mark.requirement("ANC-7")
def test_a_stranger_s_indication_is_dropped_without_answer() -> None:
    domain, gateway1, _, first = begin()
    stranger = domain.gateway(100)
    assert stranger.send(BindingRevocationIndication(USER, 1, P, (NAMED, *prefixes(first)))) == []
    assert domain.route(first) == gateway1.tunnel
    assert domain.count("unexpected_message") == 1


@pytest.mark.rfc("5846#6.1.2-2", "5846#6.1.2-5")
@pytest.mark.parametrize("source", [bytes(16), b"\xff\x02" + bytes(13) + b"\x01"])
def test_an_indication_from_an_address_that_is_not_unicast_is_dropped(source: bytes) -> None:
    everybody = AnchorPolicy([(bytes(16), 0, Peer("all", (b"*",), global_revocation=True))], [Profile(b"*", pool="main")])
    domain = Domain(everybody)
    assert domain.receive(source, BindingRevocationIndication(PER_PEER, 1, P | G, (THE_GATEWAY,))) == []


def test_an_indication_that_is_repeated_finds_nothing_any_more() -> None:
    _, gateway1, _, _ = begin()
    assert gateway1.revoke(USER, NAMED).status == RevocationStatus.SUCCESS
    assert gateway1.revoke(USER, NAMED).status == RevocationStatus.BINDING_DOES_NOT_EXIST


@pytest.mark.rfc("5846#8.2-1")
def test_both_ends_revoke_at_once() -> None:
    domain, gateway1, _, first = begin()
    domain.handle(RevocationRequested(1, identifier=HOST))
    assert gateway1.revoke(USER, NAMED).status == RevocationStatus.SUCCESS
    assert domain.route(first) == "nowhere"
    gateway1.acknowledge(RevocationStatus.BINDING_DOES_NOT_EXIST)
    domain.advance(10)
    assert len(gateway1.indications()) == 1
    assert HomeNetworkPrefix(64, prefixes(first)[0].prefix) in gateway1.indications()[0].options


@pytest.mark.requirement("ANC-4")
def test_a_session_that_ends_by_another_way_is_not_ended_a_second_time() -> None:
    """Its gateway answers the indication for all its sessions, never the one for this: the prefix is another's then."""
    domain = Domain(policy(Profile(b"*@example.org", prefixes=(hnp("2001:db8:300::").prefix,))))
    gateway1 = domain.gateway(1)
    first = accepted(gateway1.update(HOST))
    domain.handle(RevocationRequested(1, identifier=HOST))
    domain.handle(RevocationRequested(2, gateway=gateway_address(1)))
    gateway1.acknowledge(0)
    other = accepted(gateway1.update(OTHER))
    assert prefixes(other) == prefixes(first)
    domain.advance(60)
    assert domain.route(other) == gateway1.tunnel
    assert len(gateway1.indications()) == 2


@pytest.mark.parametrize("again", [False, True])
def test_a_session_whose_traffic_could_not_be_stopped_is_given_up_only_by_the_data_plane(again: bool) -> None:
    domain, gateway1, _, first = begin()
    domain.plane.refuse_next = [errno.EIO, errno.EIO]
    domain.handle(RevocationRequested(1, identifier=HOST))
    if again:
        domain.plane.refuse_next = [errno.EIO]
        refused(gateway1.deregister(first, link_layer=INTERFACE), Status.REASON_UNSPECIFIED)
    accepted(gateway1.deregister(first, link_layer=INTERFACE))
    assert domain.route(first) is None
    assert domain.bindings()[0]["state"] == "revoking"
    changes = len(domain.plane.history)
    accepted(gateway1.deregister(first, link_layer=INTERFACE))
    assert len(domain.plane.history) == changes, "the data plane has nothing more to do"
    domain.advance(3)
    assert domain.route(first) == "nowhere"


def test_without_a_free_sequence_number_nothing_is_revoked_or_asked() -> None:
    """65536 indications are out; here all but one are those of another role."""
    domain, gateway1, gateway2, first = begin()
    domain.anchor._proxy.revocations.numbers.update(range(SEQUENCE_NUMBERS - 1))
    second = accepted(gateway1.update(OTHER))
    domain.handle(RevocationRequested(1, identifier=OTHER))
    domain.handle(RevocationRequested(2, identifier=HOST))
    domain.handle(RevocationRequested(3, gateway=gateway_address(1)))
    assert [domain.answers[op]["revoked"] for op in (1, 2, 3)] == [1, 0, 0]
    assert domain.route(first) == gateway1.tunnel
    gateway2.update(HOST, handoff=UNKNOWN)
    assert len(gateway1.indications()) == 1
    domain.advance(1.4)
    assert not gateway2.answers()
    domain.advance(1.6)
    assert prefixes(accepted(gateway2.answers()[0])) != prefixes(first)
    assert domain.route(second) == "nowhere"


def test_the_operator_is_told_of_a_revocation_in_a_sentence() -> None:
    domain, _, _, _ = begin()
    domain.handle(RevocationRequested(1, identifier=HOST))
    assert sentence(domain.reports[-1]) == "revoking the session of node 'host1@example.org' at 2001:db8:2::1"
