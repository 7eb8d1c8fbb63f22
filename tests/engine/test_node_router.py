# SPDX-License-Identifier: Apache-2.0
"""A mobile router: RFC 3963 section 5."""

from __future__ import annotations

from typing import Any

import pytest

from halma.engine.api import BindingKind, Send, Tunnel
from halma.engine.node_api import HomePath, LinkUp, MobileNetwork, RetryRequested
from halma.wire.messages import BindingUpdate
from halma.wire.numbers import BindingAcknowledgementFlag, BindingUpdateFlag, Status
from halma.wire.options import MobileNetworkPrefix
from tests.engine.mobile import (
    AGENT,
    CARE_OF,
    HOME_PREFIX,
    HOME_ROUTER,
    SECOND_AGENT,
    Mobile,
    address,
    reasons,
    updates,
)

NETWORK = MobileNetwork(address("2001:db8:f00::"), 56)
R = int(BindingUpdateFlag.MOBILE_ROUTER)
ACCEPTS_ROUTER = int(BindingAcknowledgementFlag.MOBILE_ROUTER)
PREFIX = MobileNetworkPrefix(56, NETWORK.prefix)


def arrive(**changes: Any) -> tuple[Mobile, Send]:
    node = Mobile(**{"mobile_router": True, "networks": (NETWORK,), **changes})
    node.give(LinkUp())
    (sent,) = updates(node.advertise())
    return node, sent


def is_router(sent: Send) -> bool:
    assert isinstance(sent.message, BindingUpdate)
    return bool(sent.message.flags & R)


def names(sent: Send) -> bool:
    assert isinstance(sent.message, BindingUpdate)
    return PREFIX in sent.message.options


@pytest.mark.rfc("3963#5-1", "3963#5.2-1", "3963#5.2-2")
@pytest.mark.requirement("MN-6", "ANC-9")
def test_in_implicit_mode_the_home_agent_knows_the_networks() -> None:
    node, sent = arrive()
    assert isinstance(sent.message, BindingUpdate)
    assert sent.message.flags & BindingUpdateFlag.HOME_REGISTRATION
    assert is_router(sent)
    assert not names(sent)
    assert node.bound[BindingKind.MOBILE_NETWORK, NETWORK.prefix, 56] is None
    node.acknowledge(sent, flags=ACCEPTS_ROUTER)
    assert node.bound[BindingKind.MOBILE_NETWORK, NETWORK.prefix, 56] == Tunnel(CARE_OF, AGENT)
    assert node.row["prefixes"] == [(NETWORK.prefix, 56)]


@pytest.mark.rfc("3963#5.2-1", "3963#5.2-3", "3963#5.8-7")
def test_in_explicit_mode_every_update_but_the_last_names_them() -> None:
    node, sent = arrive(explicit=True)
    assert names(sent)
    node.acknowledge(sent, flags=ACCEPTS_ROUTER)
    (refresh,) = updates(node.advance(300.5))
    assert names(refresh)
    node.acknowledge(refresh, flags=ACCEPTS_ROUTER)
    (last,) = updates([*node.replug(), *node.advertise(HOME_PREFIX, HOME_ROUTER)])
    assert is_router(last)
    assert not names(last)
    node.acknowledge(last)
    assert node.path() is HomePath.LINK
    assert not node.bound


@pytest.mark.rfc("3963#5.3-1")
def test_a_home_agent_that_knows_no_routers_is_left_before_another_is_tried() -> None:
    node, sent = arrive(home_agents=(AGENT, SECOND_AGENT))
    (farewell,) = updates(node.acknowledge(sent))
    assert isinstance(farewell.message, BindingUpdate)
    assert (farewell.destination, farewell.message.lifetime) == (AGENT, 0)
    assert farewell.source == CARE_OF
    assert node.tunnel() is None
    node.acknowledge(farewell)
    (other,) = updates(node.advance(2))
    assert other.destination == SECOND_AGENT
    assert is_router(other)
    node.acknowledge(other, flags=ACCEPTS_ROUTER)
    assert node.tunnel() == Tunnel(CARE_OF, SECOND_AGENT)


def test_when_it_is_the_only_one_the_node_goes_on_as_a_plain_one() -> None:
    node, sent = arrive()
    (farewell,) = updates(node.acknowledge(sent))
    assert "mobile_router_refused" in reasons(node.acknowledge(farewell))
    (plain,) = updates(node.advance(2))
    assert not is_router(plain)
    node.acknowledge(plain)
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)


def test_a_farewell_that_is_never_answered_ends_with_the_registration() -> None:
    node, sent = arrive()
    node.acknowledge(sent)
    assert not [one for one in updates(node.advance(380)) if not one.message.flags & R and one.message.lifetime]  # type: ignore[union-attr]
    assert [one for one in updates(node.advance(60)) if one.message.lifetime]  # type: ignore[union-attr]


@pytest.mark.rfc("3963#5.4.1-2", "3963#5.4.1-3", "3963#5.4.2-2", "3963#5.4.2-3", "3963#5.4.2-8", "3963#5.4.2-9")
@pytest.mark.parametrize("explicit", [False, True])
def test_a_node_that_may_not_be_a_router_asks_every_home_agent_and_then_is_none(explicit: bool) -> None:
    node, sent = arrive(home_agents=(AGENT, SECOND_AGENT), explicit=explicit)
    status = Status.MOBILE_ROUTER_OPERATION_NOT_PERMITTED
    node.acknowledge(sent, status)
    assert node.tunnel() is None
    (other,) = updates(node.advance(2))
    assert other.destination == SECOND_AGENT
    assert is_router(other)
    assert "mobile_router_refused" in reasons(node.acknowledge(other, status))
    (plain,) = updates(node.advance(1.6))
    assert not is_router(plain)
    assert not [one for one in updates(node.advance(1000)) if is_router(one)]
    assert updates(node.give(RetryRequested()))


@pytest.mark.rfc("3963#5.4.1-4", "3963#5.4.1-5")
def test_implicit_mode_gives_way_to_explicit_mode() -> None:
    node, sent = arrive(home_agents=(AGENT, SECOND_AGENT))
    node.acknowledge(sent, Status.FORWARDING_SETUP_FAILED)
    (other,) = updates(node.advance(2))
    assert other.destination == SECOND_AGENT
    node.acknowledge(other, Status.FORWARDING_SETUP_FAILED)
    (explicit,) = updates(node.advance(1.6))
    assert is_router(explicit)
    assert names(explicit)
    node.acknowledge(explicit, flags=ACCEPTS_ROUTER)
    assert node.tunnel() is not None


@pytest.mark.rfc("3963#5.4.2-4", "3963#5.4.2-5", "3963#5.4.2-7")
@pytest.mark.parametrize("status", [141, 142])
def test_explicit_mode_gives_way_to_implicit_mode(status: int) -> None:
    node, sent = arrive(explicit=True)
    node.acknowledge(sent, status)
    (implicit,) = updates(node.advance(1.6))
    assert is_router(implicit)
    assert not names(implicit)
    node.acknowledge(implicit, Status.FORWARDING_SETUP_FAILED)
    (plain,) = updates(node.advance(1.6))
    assert not is_router(plain)


@pytest.mark.rfc("3963#5.4.1-1", "3963#5.4.2-1")
@pytest.mark.parametrize(("explicit", "status"), [(False, 141), (False, 142), (True, 143)])
def test_a_status_that_does_not_belong_to_the_mode_is_fatal(explicit: bool, status: int) -> None:
    node, sent = arrive(explicit=explicit)
    node.acknowledge(sent, status)
    (plain,) = updates(node.advance(1.6))
    assert not is_router(plain)
