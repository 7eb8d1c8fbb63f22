# SPDX-License-Identifier: Apache-2.0
"""Whatever comes: malformed, unknown, unexpected, from nowhere, for nobody, too much: RFC 6275 sections 9.2 and 9.3.3."""

from __future__ import annotations

import random

import pytest

from halma.engine.api import MalformedReceived, Report, Send, SendParameterProblem
from halma.engine.policy import Peer, Profile
from halma.policy.anchor import AnchorPolicy
from halma.wire import DecodeError, DecodeReason, Message
from halma.wire.messages import (
    BindingAcknowledgement,
    BindingError,
    BindingRefreshRequest,
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
    BindingUpdate,
    CareOfTestInit,
    Heartbeat,
    HomeTestInit,
    UnknownMessage,
    UpdateNotification,
)
from halma.wire.options import (
    AccessTechnologyType,
    AlternateCareOfAddress,
    HandoffIndicator,
    HomeNetworkPrefix,
    LinkLocalAddress,
    MobileNodeIdentifier,
    MobileNodeLinkLayerIdentifier,
    RestartCounter,
    Timestamp,
)
from halma.wire.optionspace import Option, UnknownOption
from halma.wire.timestamp import to_timestamp
from tests.engine.conversation import ANCHOR, HOST, POOL, PROXY, Domain, accepted, gateway_address

GROUP = b"\xff\x02" + bytes(13) + b"\x01"
STRANGER = gateway_address(0x100)


def malformed(domain: Domain, reason: DecodeReason, source: bytes = STRANGER, destination: bytes = ANCHOR) -> list[object]:
    """What the anchor does with a message that does not decode; it may always report it."""
    event = MalformedReceived(source, destination, DecodeError(reason, 1), b"\x3b\x00data", b"packet")
    effects: list[object] = [*domain.anchor.handle(event, domain.now)]
    assert isinstance(effects[0], Report)
    assert domain.count(f"malformed_{reason.value}") >= 1
    return effects[1:]


@pytest.mark.rfc(
    "5213#5.3.1-2", "5846#6.2-1", "5846#6.2-2", "6275#9.2-5", "6275#9.2-6", "6275#9.2-7", "6275#9.2-8", "6275#9.2-9"
)
@pytest.mark.parametrize("reason", [DecodeReason.PAYLOAD_PROTO, DecodeReason.HEADER_LENGTH])
def test_a_wrong_payload_proto_or_header_length_is_answered_with_a_parameter_problem(reason: DecodeReason) -> None:
    assert malformed(Domain(), reason) == [SendParameterProblem(ANCHOR, STRANGER, 1, b"\x3b\x00data", b"packet")]


def test_an_option_that_must_not_be_skipped_is_answered_with_a_code_of_its_own() -> None:
    """RFC 4443 section 3.4; as often as other errors (section 2.4 f)."""
    domain, reason = Domain(), DecodeReason.OPTION_REFUSED
    assert malformed(domain, reason) == [SendParameterProblem(ANCHOR, STRANGER, 1, b"\x3b\x00data", b"packet", 2)]
    assert sum(len(malformed(domain, reason)) for _ in range(50)) == 9


ANSWERED = {DecodeReason.PAYLOAD_PROTO, DecodeReason.HEADER_LENGTH, DecodeReason.OPTION_REFUSED}


@pytest.mark.rfc("6275#9.2-2", "5846#6.2-2")
@pytest.mark.parametrize("reason", set(DecodeReason) - ANSWERED)
def test_what_is_malformed_in_any_other_way_is_dropped_and_counted(reason: DecodeReason) -> None:
    assert malformed(Domain(), reason) == []


@pytest.mark.rfc("6275#9.3.3-1")
@pytest.mark.parametrize("source", [bytes(16), GROUP])
def test_no_error_goes_to_an_address_that_is_not_unicast(source: bytes) -> None:
    domain = Domain()
    assert malformed(domain, DecodeReason.PAYLOAD_PROTO, source) == []
    assert domain.receive(source, UnknownMessage(99, b"")) == []
    assert malformed(domain, DecodeReason.HEADER_LENGTH, STRANGER, GROUP) == []


@pytest.mark.rfc("5213#5.3.1-2", "6275#9.2-3", "6275#9.2-4", "6275#9.3.3-2")
def test_an_unknown_type_is_answered_with_a_binding_error() -> None:
    domain = Domain()
    assert domain.anchor.handle_timeout(domain.now) == []
    (sent,) = domain.receive(STRANGER, UnknownMessage(99, b"what"))
    assert sent.send == Send(ANCHOR, STRANGER, BindingError(2, bytes(16), ()))
    assert domain.count("unknown_message_type") == 1


@pytest.mark.parametrize("message", [HomeTestInit(bytes(8), ()), CareOfTestInit(bytes(8), ())])
def test_who_wants_a_route_optimised_is_told_that_it_cannot_be(message: Message) -> None:
    domain = Domain()
    (sent,) = domain.receive(STRANGER, message)
    assert sent.send == Send(ANCHOR, STRANGER, BindingError(2, bytes(16), ()))


@pytest.mark.rfc("6275#9.3.3-3")
def test_errors_are_rate_limited_over_all_who_cause_them() -> None:
    domain = Domain()
    for number in range(200):
        domain.receive(gateway_address(0x100 + number), UnknownMessage(99, b""))
        malformed(domain, DecodeReason.PAYLOAD_PROTO)
    assert domain.count("errors_sent") == 10
    assert domain.count("errors_suppressed") == 390
    domain.advance(1)
    assert domain.receive(STRANGER, UnknownMessage(99, b""))


@pytest.mark.parametrize(
    "message",
    [
        BindingAcknowledgement(0, 0x20, 1, 900, ()),
        BindingRefreshRequest(()),
        UpdateNotification(1, 1, 0, ()),
    ],
)
def test_a_message_that_no_role_takes_is_dropped_and_counted(message: Message) -> None:
    domain = Domain()
    assert domain.gateway(1).send(message) == []
    assert domain.count("unexpected_message") == 1
    assert domain.reports[-1].reason == "unexpected_message"


@pytest.mark.rfc("6275#9.5.4-9")
@pytest.mark.parametrize(
    ("source", "destination"), [(bytes(16), ANCHOR), (GROUP, ANCHOR), (gateway_address(1), gateway_address(2)), (ANCHOR, GROUP)]
)
def test_what_was_not_sent_to_us_by_somebody_is_dropped(source: bytes, destination: bytes) -> None:
    everybody = AnchorPolicy([(bytes(16), 0, Peer("all", (b"*",)))], [Profile(b"*", pool="main")])
    domain = Domain(everybody)
    message = domain.gateway(1).make(HOST)
    assert domain.receive(source, message, destination) == []
    assert domain.receive(source, UnknownMessage(99, b""), destination) == []
    assert not domain.bindings()
    assert domain.count("not_addressed_to_us") == 2


def test_an_update_from_our_own_address_makes_no_tunnel_to_ourselves() -> None:
    everybody = AnchorPolicy([(bytes(16), 0, Peer("all", (b"*",)))], [Profile(b"*", pool="main")])
    domain = Domain(everybody)
    domain.receive(ANCHOR, domain.gateway(1).make(HOST))
    assert not domain.bindings()


def test_the_snapshot_has_everything_that_a_person_may_see() -> None:
    domain = Domain()
    accepted(domain.gateway(1).update(HOST))
    snapshot = domain.anchor.snapshot(domain.now)
    assert set(snapshot) >= {"bindings", "peers", "counters"}
    assert snapshot["bindings"] == domain.bindings()
    assert snapshot["counters"] == domain.anchor.describe_counters()


def random_option(chance: random.Random) -> Option:
    """Any option, with any value in it."""
    octets = chance.randbytes(chance.choice([0, 1, 2, 6, 16]))
    small = chance.choice([0, 1, 2, 3, 4, 5, 6, 63, 64, 65, 128, 255])
    address = chance.choice([bytes(16), POOL, gateway_address(1), gateway_address(2), ANCHOR, GROUP, chance.randbytes(16)])
    return chance.choice(
        [
            MobileNodeIdentifier(chance.choice([1, 1, 1, small]), chance.choice([HOST, HOST, b"", octets])),
            HomeNetworkPrefix(chance.choice([64, small]), address),
            HandoffIndicator(small),
            AccessTechnologyType(small),
            MobileNodeLinkLayerIdentifier(octets),
            LinkLocalAddress(address),
            Timestamp(chance.choice([0, 1, (1 << 64) - 1, to_timestamp(1_700_000_000.0)])),
            AlternateCareOfAddress(address),
            RestartCounter(chance.getrandbits(32)),
            UnknownOption(210, octets),
        ]
    )


def random_message(chance: random.Random) -> Message:
    """Any message that a peer may think of."""
    given = tuple(random_option(chance) for _ in range(chance.randrange(9)))
    number, small = chance.getrandbits(16), chance.choice([0, 1, 2, 4, 7, 128, 129, 132, 255])
    messages: list[Message] = [
        BindingUpdate(number, PROXY, chance.choice([0, 1, 900, 65535]), given),
        BindingUpdate(number, PROXY, chance.choice([0, 900]), (MobileNodeIdentifier(1, HOST), *given)),
        BindingUpdate(number, chance.getrandbits(16), number, given),
        BindingRevocationIndication(small, number, chance.choice([0, 0x8000, 0xA000, 0xE000]), given),
        BindingRevocationAcknowledgement(small, chance.randrange(5), 0x8000, given),
        Heartbeat(chance.randrange(4), chance.randrange(3), given),
        BindingError(small, bytes(16), given),
        UnknownMessage(small, b""),
    ]
    return chance.choice(messages)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_peers_say_the_anchor_raises_nothing_and_stays_consistent(seed: int) -> None:
    chance = random.Random(seed)
    wide = AnchorPolicy(
        [(bytes(16), 0, Peer("all", (b"*",), global_revocation=True))],
        [Profile(b"*", pool="main", may_request_prefix=True, prefixes_per_session=2)],
    )
    domain = Domain(wide, mobile_node_generated_timestamp=bool(seed % 2), timestamp_based_approach=bool(seed % 4))
    for _ in range(300):
        domain.receive(gateway_address(chance.randrange(1, 4)), random_message(chance))
        domain.advance(chance.choice([0, 0.1, 1, 12]))
        held = {prefix for row in domain.bindings() for prefix, _ in row["prefixes"]}
        assert set(domain.plane.bound) == held
    domain.advance(300000)
    assert not domain.plane.bound
    assert domain.anchor._proxy.cache.count_of_nodes() == 0
    assert not domain.anchor._proxy.waiting
    assert not domain.anchor._proxy.revocations
    assert len(domain.anchor._proxy.deadlines) == 0
