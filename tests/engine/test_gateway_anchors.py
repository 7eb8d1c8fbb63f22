# SPDX-License-Identifier: Apache-2.0
"""Anchors that restart, fall silent or send what nobody understands: RFC 5847, RFC 6275 section 9.2."""

from __future__ import annotations

from typing import Any

import pytest

from halma.engine.api import MalformedReceived, MessageReceived, Send, SendParameterProblem
from halma.engine.gateway_api import LinkDown, Started
from halma.engine.heartbeat import STRANGER_ANSWERS, HeartbeatSettings
from halma.wire.errors import DecodeError, DecodeReason
from halma.wire.messages import BindingError, BindingUpdate, Heartbeat, UnknownMessage
from halma.wire.numbers import HandoffIndicatorValue, Status
from halma.wire.options import RestartCounter
from tests.engine.gateway_world import (
    ANCHOR,
    AP0,
    AP1,
    GATEWAY,
    OTHER,
    PREFIX,
    PREFIX_2,
    PREFIX_3,
    STRANGER,
    HomeNetworkPrefix,
    World,
    advertised,
    advertisements,
    body,
    indicator,
    of,
    options,
    said,
    updates,
)

MULTICAST = bytes.fromhex("ff020000000000000000000000000001")


def heartbeats(effects: list[Any]) -> list[Heartbeat]:
    return [one.message for one in of(effects, Send) if isinstance(one.message, Heartbeat)]


def with_heartbeat(**settings: Any) -> World:
    return World(heartbeat=HeartbeatSettings(), presence_interval=0, **settings)


def respond(world: World, request: Heartbeat, counter: int) -> list[Any]:
    response = Heartbeat(1, request.sequence, (RestartCounter(counter),))
    return world.handle(MessageReceived(ANCHOR, GATEWAY, response))


@pytest.mark.rfc("5847#3-1")
def test_heartbeats_go_to_anchors_with_sessions_only() -> None:
    world = with_heartbeat()
    assert heartbeats(world.advance(300)) == []
    world.attach()
    assert heartbeats(world.advance(0.5)) == []
    world.accept(updates(world.log)[-1])
    (request,) = heartbeats(world.advance(60))
    respond(world, request, 5)
    (peer,) = world.gateway.describe_peers()
    assert (peer["heartbeat"], peer["restart_counter"]) == ("reachable", 5)
    world.accept(updates(world.handle(LinkDown(AP0)))[0])
    assert heartbeats(world.advance(300)) == []


@pytest.mark.rfc("5847#3-3")
def test_a_heartbeat_is_answered_whether_or_not_there_are_sessions() -> None:
    world = World(restart_counter=9)
    done = world.handle(MessageReceived(STRANGER, GATEWAY, Heartbeat(0, 4711, ())))
    assert done == [Send(GATEWAY, STRANGER, Heartbeat(1, 4711, (RestartCounter(9),)))]


def test_strangers_get_few_answers_and_the_anchor_all_that_it_asks_for() -> None:
    world = World(restart_counter=9)

    def answered(source: bytes) -> int:
        asked = [MessageReceived(source, GATEWAY, Heartbeat(0, number, ())) for number in range(50)]
        return sum(len(heartbeats(world.handle(event))) for event in asked)

    assert answered(STRANGER) == STRANGER_ANSWERS
    assert answered(STRANGER[:-1] + b"\x77") == 0  # they share it
    assert world.gateway.describe_counters()["heartbeat_requests_rate_limited"] == 90
    assert answered(ANCHOR) == 50  # the one of our configuration, though there are no sessions with it
    world.advance(1)
    assert answered(STRANGER) == STRANGER_ANSWERS


@pytest.mark.rfc("5847#3.2-5")
def test_after_a_restart_the_anchors_of_the_former_life_are_told() -> None:
    world = World(restart_counter=9)
    done = world.handle(Started(((GATEWAY, ANCHOR),)))
    assert done == [Send(GATEWAY, ANCHOR, Heartbeat(3, 0, (RestartCounter(9),)))]


@pytest.mark.rfc("5847#3.2-4")
def test_when_an_anchor_has_restarted_every_node_is_registered_anew() -> None:
    world = with_heartbeat(reregistrations_per_second=10)
    world.register()
    world.register(PREFIX_2, node=OTHER, interface=AP1)
    (request,) = heartbeats(world.advance(60))
    respond(world, request, 5)
    (request,) = heartbeats(world.advance(60))
    done = respond(world, request, 6)
    assert any("has restarted" in text for text in said(done))
    done = world.advance(0.001) + world.hear()
    (sent,) = updates(done)
    assert (options(sent, HomeNetworkPrefix), indicator(sent)) == ([PREFIX], HandoffIndicatorValue.UNKNOWN)
    (second,) = updates(world.advance(0.11) + world.hear(OTHER, interface=AP1))  # a tenth of a second later
    assert options(second, HomeNetworkPrefix) == [PREFIX_2]
    assert world.session()["state"] == "registered"
    world.accept(sent)
    done = world.accept(second, PREFIX_3)
    assert set(world.bound) == {PREFIX.prefix, PREFIX_3.prefix}
    assert advertised(advertisements(done)[-1].message) == {PREFIX_3.prefix: 3600, PREFIX_2.prefix: 0}


def restart(world: World) -> list[Any]:
    """The anchor restarts, and two requests later the gateway knows."""
    (request,) = heartbeats(world.advance(60))
    respond(world, request, 5)
    (request,) = heartbeats(world.advance(60))
    return respond(world, request, 6)


def test_a_node_that_was_refused_after_the_restart_of_its_anchor_is_served_no_longer() -> None:
    world = with_heartbeat()
    world.register()
    restart(world)
    (sent,) = updates(world.advance(0.001) + world.hear())
    world.refuse(sent, Status.ADMINISTRATIVELY_PROHIBITED)
    assert world.bound == {}


def test_an_anchor_that_restarts_twice_is_asked_once() -> None:
    world = with_heartbeat()
    world.register()
    restart(world)
    world.advance(0.001)
    unsolicited = Heartbeat(3, 0, (RestartCounter(7),))
    world.handle(MessageReceived(ANCHOR, GATEWAY, unsolicited))
    world.advance(0.001)
    assert len(updates(world.hear())) == 1
    world.handle(MessageReceived(ANCHOR, GATEWAY, Heartbeat(3, 0, (RestartCounter(8),))))
    assert updates(world.advance(0.001) + world.hear()) == []


def test_nodes_that_have_gone_before_their_turn_are_not_registered_anew() -> None:
    world = with_heartbeat(reregistrations_per_second=1)
    world.register()
    world.register(PREFIX_2, node=OTHER, interface=AP1)
    restart(world)
    world.accept(updates(world.handle(LinkDown(AP1)))[0])
    assert [body(sent).lifetime for sent in updates(world.advance(2) + world.hear())] == [900]


def test_a_session_that_was_revoked_before_its_turn_is_not_registered_anew() -> None:
    world = with_heartbeat(reregistrations_per_second=1)
    world.register()
    world.register(PREFIX_2, node=OTHER, interface=AP1)
    restart(world)
    for entry in world.gateway._registrations.sessions.of_node(b"host2@example.org"):
        world.gateway._registrations.revoke(entry)
    assert len(updates(world.advance(0.5) + world.hear())) == 1
    assert updates(world.advance(0.7) + world.hear(OTHER, interface=AP1)) == []


def test_when_an_anchor_is_silent_its_nodes_are_registered_anew_and_at_once_when_it_is_back() -> None:
    world = with_heartbeat()
    world.register()
    done = []
    for _ in range(310):
        done += world.advance(1) + world.hear()
    assert any("anchor is silent" in text for text in said(done))
    assert len(updates(done)) >= 2
    assert world.session()["state"] == "registered"  # until the binding runs out
    request = heartbeats(done)[-1]
    for _ in range(25):
        world.advance(1)
        world.hear()
    done = respond(world, request, 1)
    assert any("answers again" in text for text in said(done))
    (sent,) = updates(world.advance(0.001))
    world.accept(sent)
    assert world.session()["waits_for"] == ""


def test_when_an_anchor_is_back_what_is_given_up_is_not_sent_again() -> None:
    world = with_heartbeat()
    world.register()
    world.register(PREFIX_2, node=OTHER, interface=AP1)
    done = world.advance(60)
    for _ in range(250):
        done += world.advance(1) + world.hear() + world.hear(OTHER, interface=AP1)
    world.handle(LinkDown(AP0))
    respond(world, heartbeats(done)[-1], 1)
    assert [body(sent).lifetime for sent in updates(world.advance(0.001))] == [900]


@pytest.mark.rfc("5847#3-5")
def test_an_anchor_that_does_not_know_heartbeats_gets_none_again() -> None:
    world = with_heartbeat()
    world.register()
    assert len(heartbeats(world.advance(60))) == 1
    error = MessageReceived(ANCHOR, GATEWAY, BindingError(2, bytes(16), ()))
    assert any("does not know heartbeats" in text for text in said(world.handle(error)))
    assert said(world.handle(error)) == []
    assert heartbeats(world.advance(300)) == []
    world.accept(updates(world.handle(LinkDown(AP0)))[0])
    world.register()
    assert heartbeats(world.advance(300)) == []


def test_other_binding_errors_and_those_of_strangers_are_counted() -> None:
    world = with_heartbeat()
    world.register()
    world.handle(MessageReceived(ANCHOR, GATEWAY, BindingError(1, bytes(16), ())))
    world.handle(MessageReceived(STRANGER, GATEWAY, BindingError(2, bytes(16), ())))
    assert (world.counters["binding_error_1"], world.counters["binding_error_2"]) == (1, 1)
    assert len(heartbeats(world.advance(60))) == 1


# ---- bad input -------------------------------------------------------------------------------------------------------------


def test_a_message_of_unknown_type_is_answered_with_a_binding_error() -> None:
    done = World().handle(MessageReceived(STRANGER, GATEWAY, UnknownMessage(99, b"\0\0")))
    assert done == [Send(GATEWAY, STRANGER, BindingError(2, bytes(16), ()))]


@pytest.mark.parametrize(
    ("source", "destination"), [(MULTICAST, GATEWAY), (bytes(16), GATEWAY), (STRANGER, MULTICAST), (STRANGER, ANCHOR)]
)
def test_what_is_not_from_one_host_to_this_one_is_dropped(source: bytes, destination: bytes) -> None:
    world = World()
    assert world.handle(MessageReceived(source, destination, UnknownMessage(99, b""))) == []
    assert world.counters["not_addressed_to_us"] == 1


def test_a_message_that_is_none_of_a_gateways_business_is_counted() -> None:
    world = World()
    assert world.handle(MessageReceived(STRANGER, GATEWAY, BindingUpdate(1, 0x8200, 5, ()))) == []
    assert world.counters["unexpected_BindingUpdate"] == 1


@pytest.mark.rfc("5213#6.9.1.2-3", "5846#6.2-1", "5846#6.2-2")
@pytest.mark.parametrize("reason", set(DecodeReason) - {DecodeReason.OPTION_REFUSED})
def test_malformed_messages_are_counted_by_cause_and_answered_where_the_rfc_says_so(reason: DecodeReason) -> None:
    world = World()
    done = world.handle(MalformedReceived(STRANGER, GATEWAY, DecodeError(reason, 1), b"bytes"))
    assert world.counters[f"malformed_{reason.value}"] == 1
    answered = reason in (DecodeReason.PAYLOAD_PROTO, DecodeReason.HEADER_LENGTH)
    assert of(done, SendParameterProblem) == ([SendParameterProblem(GATEWAY, STRANGER, 1, b"bytes")] if answered else [])


def test_unknown_messages_are_answered_at_a_bounded_rate() -> None:
    world = World()
    assert len(of(world.handle(*[MessageReceived(STRANGER, GATEWAY, UnknownMessage(99, b""))] * 50), Send)) == 10


def test_a_session_that_has_run_out_before_its_turn_is_being_registered_already() -> None:
    world = with_heartbeat(reregistrations_per_second=1)
    world.register()
    world.advance(0.5)
    world.register(PREFIX_2, node=OTHER, interface=AP1, lifetime=30)
    for _ in range(239):
        for request in heartbeats(world.advance(0.5)):
            respond(world, request, 5)
        world.hear(OTHER, interface=AP1)
    world.handle(MessageReceived(ANCHOR, GATEWAY, Heartbeat(3, 0, (RestartCounter(6),))))
    assert world.session(OTHER)["state"] == "registered"
    world.advance(0.5)
    assert world.session(OTHER)["state"] == "registering"
    assert [sent for sent in updates(world.advance(0.7) + world.hear()) if options(sent, HomeNetworkPrefix) == [PREFIX_2]] == []


def test_errors_are_sent_at_a_bounded_rate_and_to_one_host() -> None:
    world = World()
    malformed = MalformedReceived(STRANGER, GATEWAY, DecodeError(DecodeReason.PAYLOAD_PROTO, 0), b"")
    done = world.handle(*[malformed] * 50)
    assert len(of(done, SendParameterProblem)) == 10
    assert world.counters["error_rate_limited"] == 40
    world.advance(1)
    assert len(of(world.handle(malformed), SendParameterProblem)) == 1
    for source in (MULTICAST, bytes(16)):
        done = world.handle(MalformedReceived(source, GATEWAY, DecodeError(DecodeReason.PAYLOAD_PROTO, 0), b""))
        assert of(done, SendParameterProblem) == []
