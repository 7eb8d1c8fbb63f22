# SPDX-License-Identifier: Apache-2.0
"""The Proxy Binding Acknowledgement, option by option: RFC 5213 section 5.3.6."""

from __future__ import annotations

from typing import Any

import pytest

from halma.engine.local_mobility_anchor import RESERVED_LINK_LOCAL_ADDRESS
from halma.engine.policy import Profile
from halma.text import read_address
from halma.wire.messages import BindingAcknowledgement
from halma.wire.numbers import BindingAcknowledgementFlag, Status
from halma.wire.options import (
    AccessTechnologyType,
    HandoffIndicator,
    HomeNetworkPrefix,
    LinkLocalAddress,
    MobileNodeIdentifier,
    MobileNodeLinkLayerIdentifier,
    Timestamp,
)
from tests.engine.conversation import (
    ASK,
    BETWEEN_GATEWAYS,
    HOST,
    INTERFACE,
    NOT_CHANGED,
    OTHER,
    SECOND_ANCHOR,
    UNKNOWN,
    WLAN,
    Domain,
    accepted,
    gateway_address,
    hnp,
    option,
    options,
    policy,
    prefixes,
    refused,
)

LINK_LOCAL = read_address("fe80::1234")
ORDER = (
    MobileNodeIdentifier,
    HomeNetworkPrefix,
    HandoffIndicator,
    AccessTechnologyType,
    MobileNodeLinkLayerIdentifier,
    LinkLocalAddress,
    Timestamp,
)


def check(answer: BindingAcknowledgement, request: Any) -> None:
    """What holds for every acknowledgement of a request that has all its mandatory options."""
    assert answer.flags == BindingAcknowledgementFlag.PROXY
    assert answer.sequence == request.sequence
    assert {type(each) for each in answer.options} <= set(ORDER)
    for copied in (MobileNodeIdentifier, HandoffIndicator, AccessTechnologyType, MobileNodeLinkLayerIdentifier):
        assert option(answer, copied) == option(request, copied)
    for echoed in (LinkLocalAddress, Timestamp):
        assert len(options(answer, echoed)) == len(options(request, echoed))
    assert prefixes(answer)


OPTIONAL: list[dict[str, Any]] = [
    {},
    {"link_layer": INTERFACE},
    {"link_local": bytes(16)},
    {"link_local": LINK_LOCAL},
    {"timestamp": None},
    {"link_layer": INTERFACE, "link_local": LINK_LOCAL, "technology": WLAN, "handoff": UNKNOWN},
    {"link_layer": b"", "timestamp": None, "technology": 255, "handoff": 0},
]


@pytest.mark.rfc(
    "5213#5.3.2-13",
    "5213#5.3.6-1",
    "5213#5.3.6-4",
    "5213#5.3.6-5",
    "5213#5.3.6-7",
    "5213#5.3.6-10",
    "5213#5.3.6-11",
    "5213#5.3.6-12",
    "5213#5.3.6-14",
    "5213#5.3.6-15",
    "5213#5.3.6-17",
    "5213#5.3.6-18",
    "5213#5.3.6-19",
    "5213#5.3.6-20",
)
@pytest.mark.parametrize("given", OPTIONAL)
def test_an_acceptance_has_the_options_of_its_request(given: dict[str, Any]) -> None:
    domain = Domain(policy(Profile(HOST, pool="main", prefixes_per_session=3)))
    gateway1 = domain.gateway(1)
    answer = accepted(gateway1.update(HOST, **given))
    check(answer, gateway1.last)
    assert len(prefixes(answer)) == 3
    assert ASK not in prefixes(answer)


@pytest.mark.rfc("5213#5.3.6-8", "5213#5.3.6-18", "5213#5.3.6-20", "5213#5.3.6-21")
@pytest.mark.parametrize("given", OPTIONAL)
@pytest.mark.parametrize("asked", [(ASK,), (hnp("2001:db8:1::"),), (ASK, hnp("2001:db8:1::"), HomeNetworkPrefix(3, bytes(16)))])
def test_a_refusal_gives_back_what_the_request_had(given: dict[str, Any], asked: tuple[HomeNetworkPrefix, ...]) -> None:
    domain = Domain()
    gateway1 = domain.gateway(1)
    answer = refused(gateway1.update(b"node@example.com", *asked, **given), Status.MAG_NOT_AUTHORIZED_FOR_PROXY_REG)
    check(answer, gateway1.last)
    assert prefixes(answer) == asked
    assert option(answer, LinkLocalAddress) == option(gateway1.last, LinkLocalAddress)


@pytest.mark.rfc("5213#5.3.3-3", "5213#5.3.4-9", "5213#5.3.5-4", "5213#5.3.6-10")
def test_every_later_acceptance_names_all_prefixes_of_the_session() -> None:
    domain = Domain(policy(Profile(HOST, pool="main", prefixes_per_session=3)))
    gateway1, gateway2 = domain.gateway(1), domain.gateway(2)
    first = accepted(gateway1.update(HOST, link_layer=INTERFACE))
    for speaker, given in (
        (gateway1, {}),
        (gateway1, {"asked": prefixes(first), "handoff": NOT_CHANGED}),
        (gateway2, {"handoff": BETWEEN_GATEWAYS}),
        (gateway2, {"asked": prefixes(first), "handoff": UNKNOWN, "lifetime": 0}),
        (gateway2, {"asked": prefixes(first), "handoff": UNKNOWN, "lifetime": 0}),
    ):
        arguments: dict[str, Any] = dict(given)
        answer = accepted(speaker.update(HOST, *arguments.pop("asked", ()), link_layer=INTERFACE, **arguments))
        check(answer, speaker.last)
        assert prefixes(answer) == prefixes(first)


@pytest.mark.rfc("5213#5.3.6-2", "5213#5.3.6-3", "5213#5.3.6-29")
def test_an_answer_goes_back_the_way_that_the_request_came() -> None:
    """From the address that it was sent to, to the one it came from, whatever the Proxy-CoA is; with no routing header."""
    domain = Domain()
    for node in (HOST, b"node@example.com"):
        message = domain.gateway(1).make(node, care_of=gateway_address(1))
        (sent,) = domain.gateway(1).send(message, SECOND_ANCHOR)
        assert (sent.send.source, sent.send.destination) == (SECOND_ANCHOR, gateway_address(1))
        assert sent.send.home_address == b""
    (sent,) = domain.gateway(1).send(domain.gateway(1).make(OTHER, care_of=gateway_address(2)))
    assert sent.message.status == Status.MAG_NOT_AUTHORIZED_FOR_PROXY_REG
    assert sent.send.destination == gateway_address(1)


# ---- the link-local address of the gateway ---------------------------------------------------------------------------


@pytest.mark.rfc("5213#5.3.6-22", "5213#5.3.6-23", "5213#5.3.6-24", "5213#5.3.6-25")
def test_the_anchor_chooses_an_address_and_keeps_it_for_the_session() -> None:
    domain = Domain()
    first = accepted(domain.gateway(1).update(HOST, link_layer=INTERFACE, link_local=bytes(16)))
    chosen = option(first, LinkLocalAddress)
    assert chosen == LinkLocalAddress(RESERVED_LINK_LOCAL_ADDRESS)
    later = accepted(domain.gateway(2).update(HOST, link_layer=INTERFACE, handoff=BETWEEN_GATEWAYS, link_local=bytes(16)))
    assert option(later, LinkLocalAddress) == chosen


@pytest.mark.rfc("5213#5.3.6-26", "5213#5.3.6-27", "5213#5.3.6-22")
def test_the_address_that_a_gateway_uses_is_the_session_s_from_then_on() -> None:
    domain = Domain()
    gateway1, gateway2 = domain.gateway(1), domain.gateway(2)
    first = accepted(gateway1.update(HOST, link_layer=INTERFACE, link_local=LINK_LOCAL))
    assert option(first, LinkLocalAddress) == LinkLocalAddress(LINK_LOCAL)
    assert option(accepted(gateway1.refresh(first, link_layer=INTERFACE)), LinkLocalAddress) is None
    moved = accepted(gateway2.update(HOST, link_layer=INTERFACE, handoff=BETWEEN_GATEWAYS, link_local=bytes(16)))
    assert option(moved, LinkLocalAddress) == LinkLocalAddress(LINK_LOCAL)
    other = read_address("fe80::99")
    assert option(accepted(gateway2.refresh(first, link_local=other)), LinkLocalAddress) == LinkLocalAddress(other)
    gone = accepted(gateway2.deregister(first, link_local=bytes(16)))
    assert option(gone, LinkLocalAddress) == LinkLocalAddress(other)


@pytest.mark.rfc("5213#5.3.6-23", "5213#5.3.6-26")
def test_a_session_that_began_without_an_address_gets_one_when_asked() -> None:
    domain = Domain()
    gateway1 = domain.gateway(1)
    first = accepted(gateway1.update(HOST))
    assert option(first, LinkLocalAddress) is None
    gone = accepted(gateway1.deregister(first, link_local=bytes(16)))
    assert option(gone, LinkLocalAddress) == LinkLocalAddress(RESERVED_LINK_LOCAL_ADDRESS)
    again = accepted(gateway1.deregister(first, link_local=LINK_LOCAL))
    assert option(again, LinkLocalAddress) == LinkLocalAddress(LINK_LOCAL)
