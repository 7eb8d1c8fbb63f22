# SPDX-License-Identifier: Apache-2.0
"""When a mobile node tells its home agent which groups it listens to: RFC 6275 section 11.3.4."""

from __future__ import annotations

from typing import Any

import pytest

from halma.engine.api import Tunnel
from halma.engine.multicast_api import AllowListenerReports, ListenerQueryReceived
from halma.engine.node_api import LinkUp
from halma.wire.mld import general_query
from tests.engine.mobile import (
    AGENT,
    CARE_OF,
    ELSEWHERE,
    HOME_PREFIX,
    HOME_ROUTER,
    OTHER_CARE_OF,
    SECOND_AGENT,
    SECOND_MAC,
    SECOND_ROUTER,
    Mobile,
    updates,
)


def asked(node: Mobile, care_of: bytes = CARE_OF, agent: bytes = AGENT) -> list[bool]:
    """The home agent asks by a tunnel."""
    return allowed(node.give(ListenerQueryReceived(Tunnel(care_of, agent), general_query(10000, 2, 125))))


def allowed(effects: list[Any]) -> list[bool]:
    return [effect.allowed for effect in effects if isinstance(effect, AllowListenerReports)]


@pytest.mark.rfc("6275#11.3.4-4")
def test_nothing_is_told_before_the_home_agent_has_asked() -> None:
    node = Mobile()
    assert asked(node) == []
    node.give(LinkUp())
    (sent,) = updates(node.advertise())
    assert asked(node) == [], "there is no binding yet"
    assert allowed(node.acknowledge(sent)) == []
    assert asked(node, agent=SECOND_AGENT) == []
    assert asked(node, care_of=OTHER_CARE_OF) == []
    assert asked(node) == [True]
    assert asked(node) == []
    counters = node.engine.describe_counters()
    assert (counters["listener_queries"], counters["listener_queries_ignored"]) == (2, 4)


@pytest.mark.rfc("6275#11.3.4-5")
def test_having_been_asked_once_is_enough_while_the_binding_stands() -> None:
    node = Mobile().abroad()
    assert asked(node) == [True]
    effects = [*node.replug(), *node.advertise(ELSEWHERE, SECOND_ROUTER, SECOND_MAC)]
    assert allowed(effects) == [False], "the tunnel is not there"
    (sent,) = updates(effects)
    assert allowed(node.acknowledge(sent)) == [True]


@pytest.mark.rfc("6275#11.3.4-5")
def test_when_the_binding_has_ended_it_has_to_ask_again() -> None:
    node = Mobile().abroad()
    assert asked(node) == [True]
    effects = [*node.replug(), *node.advertise(HOME_PREFIX, HOME_ROUTER)]
    assert allowed(effects) == [False]
    (sent,) = updates(effects)
    node.acknowledge(sent)
    (sent,) = updates([*node.replug(), *node.advertise()])
    assert allowed(node.acknowledge(sent)) == []
    assert asked(node) == [True]
