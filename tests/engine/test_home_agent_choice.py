# SPDX-License-Identifier: Apache-2.0
"""Which home agent is turned to, and how a mobile router speaks to it. RFC 6275 section 11.4.1, RFC 3963 section 5.4."""

from __future__ import annotations

import pytest

from halma.engine.home_agent_choice import HomeAgentChoice
from halma.engine.node_api import MobileNetwork
from halma.engine.node_binding import RouterMode
from halma.wire.numbers import Status
from tests.engine.mobile import AGENT, FOREIGN, SECOND_AGENT, settings

THIRD = bytes(15) + b"\x03"


def choice(*, router: bool = False, explicit: bool = False) -> HomeAgentChoice:
    networks = (MobileNetwork(FOREIGN, 64),) if router else ()
    agents = (AGENT, SECOND_AGENT, THIRD)
    return HomeAgentChoice(settings(home_agents=agents, mobile_router=router, explicit=explicit, networks=networks))


def test_the_preferred_one_is_turned_to_until_another_is_in_use() -> None:
    found = choice()
    assert found.agent == AGENT
    found.in_use = SECOND_AGENT
    assert found.agent == SECOND_AGENT
    found.leave(THIRD)
    assert found.agent == SECOND_AGENT
    found.leave(SECOND_AGENT)
    assert found.agent == AGENT
    found.agents = ()
    assert found.agent == b""


def test_those_that_have_refused_are_left_out_until_they_are_forgiven() -> None:
    found = choice()
    assert [found.following(one) for one in found.agents] == [SECOND_AGENT, THIRD, AGENT]
    found.refuse(SECOND_AGENT)
    assert [found.following(one) for one in found.agents] == [THIRD, THIRD, AGENT]
    found.refuse(AGENT)
    found.refuse(THIRD)
    assert found.following(THIRD) == THIRD
    assert found.has_refusals
    found.forgive()
    assert found.following(AGENT) == SECOND_AGENT
    assert not found.has_refusals


@pytest.mark.parametrize(
    ("explicit", "status", "mode"),
    [
        (False, Status.FORWARDING_SETUP_FAILED, RouterMode.EXPLICIT),
        (False, Status.INVALID_PREFIX, RouterMode.NONE),
        (True, Status.INVALID_PREFIX, RouterMode.IMPLICIT),
        (True, Status.NOT_AUTHORIZED_FOR_PREFIX, RouterMode.IMPLICIT),
        (True, Status.FORWARDING_SETUP_FAILED, RouterMode.NONE),
        (True, Status.MOBILE_ROUTER_OPERATION_NOT_PERMITTED, RouterMode.NONE),
    ],
)
def test_the_status_says_which_mode_is_next(explicit: bool, status: Status, mode: RouterMode) -> None:
    found = choice(router=True, explicit=explicit)
    found.refuse(AGENT)
    assert found.change_mode(status) is mode
    assert found.mode is mode


def test_a_mode_that_was_refused_is_not_taken_up_again_before_somebody_has_mended_it() -> None:
    found = choice(router=True, explicit=True)
    found.refuse(AGENT)
    assert found.change_mode(Status.INVALID_PREFIX) is RouterMode.IMPLICIT
    assert found.following(SECOND_AGENT) == THIRD  # in this mode none has refused
    found.refuse(AGENT)
    assert found.change_mode(Status.FORWARDING_SETUP_FAILED) is RouterMode.NONE
    found.start_anew()
    assert found.mode is RouterMode.EXPLICIT
    assert not found.has_refusals
