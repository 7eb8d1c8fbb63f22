# SPDX-License-Identifier: Apache-2.0
"""What a gateway makes of the anchor's refusals: RFC 5213 sections 6.9.1.2 and 8.9."""

from __future__ import annotations

import pytest

from halma.engine.api import Bind, Unbind
from halma.engine.gateway_api import (
    AttachTriggered,
    ClockSynchronized,
    LinkDown,
    NodeProfile,
    RetryRequested,
    TearDownLink,
)
from halma.wire.numbers import HandoffIndicatorValue, Status
from halma.wire.timestamp import to_timestamp
from tests.engine.gateway_world import (
    ANY,
    AP0,
    AP1,
    HOST,
    HOST_NAME,
    OTHER,
    PREFIX,
    PREFIX_2,
    PREFIX_3,
    STRANGER,
    HomeNetworkPrefix,
    MobileNodeIdentifier,
    Timestamp,
    World,
    advertised,
    advertisement,
    answer,
    body,
    indicator,
    of,
    option,
    options,
    probes,
    said,
    update,
    updates,
)

ASK = bytes(16)


# ---- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.rfc("5213#6.9.1.2-10", "5213#6.9.1.2-11", "5213#6.9.1.2-16", "5213#6.9.2-4")
def test_152_ends_the_asking_until_somebody_acts() -> None:
    world = World(presence_interval=0)
    done = world.refuse(world.attach(), Status.PROXY_REG_NOT_ENABLED)
    assert advertised(advertisement(done)) == {}
    assert advertisement(done).router_lifetime == 0
    assert "PROXY_REG_NOT_ENABLED" in said(done)[0]
    assert world.session()["until"] == "administrative action"
    assert updates(world.advance(200) + world.hear() + world.solicit()) == []
    world.handle(LinkDown(AP0))
    world.link_up()
    assert updates(world.hear()) == []  # a new attachment is no administrative action
    assert world.counters["registration_prohibited"] == 1
    assert updates(world.handle(RetryRequested(b"nobody"))) == []
    assert len(updates(world.handle(RetryRequested(HOST_NAME)))) == 1
    assert world.bound == {}


def test_the_memory_of_152_is_bounded() -> None:
    world = World(maximum_attachments=1)
    world.refuse(world.attach(), Status.PROXY_REG_NOT_ENABLED)
    world.handle(LinkDown(AP0))
    world.refuse(world.attach(OTHER, interface=AP1), Status.PROXY_REG_NOT_ENABLED)
    world.handle(LinkDown(AP1))
    assert len(updates(world.link_up() + world.hear())) == 1
    world.handle(LinkDown(AP0))
    assert updates(world.link_up(AP1) + world.hear(OTHER, interface=AP1)) == []
    assert len(updates(world.handle(RetryRequested()))) == 1


@pytest.mark.rfc("5213#6.9.1.2-12")
def test_157_registers_again_at_once_with_a_newer_timestamp_then_with_patience() -> None:
    world = World()
    sent = world.attach()
    again = update(world.refuse(sent, Status.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED))
    assert option(again, Timestamp).value > option(sent, Timestamp).value
    assert updates(world.refuse(again, Status.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED)) == []
    third = update(world.advance(1.0))
    world.accept(third)
    assert world.session()["state"] == "registered"


@pytest.mark.rfc("5213#6.9.1.2-13", "5213#6.9.1.2-14")
def test_156_registers_again_after_the_clock_was_synchronized_and_not_before() -> None:
    world = World()
    sent = world.attach()
    world.handle(answer(sent, status=Status.TIMESTAMP_MISMATCH, instead={Timestamp: Timestamp(to_timestamp(world.wall + 50))}))
    assert world.session()["until"] == "clock synchronization"
    assert updates(world.advance(55) + world.hear()) == []
    again = update(world.handle(ClockSynchronized()))
    assert option(again, Timestamp).value == to_timestamp(world.wall)  # our own clock, not the anchor's


@pytest.mark.rfc("5213#6.9.1.2-13")
def test_156_registers_again_when_the_clock_has_been_set() -> None:
    world = World()
    their = Timestamp(to_timestamp(world.wall + 0.5))
    world.handle(answer(world.attach(), status=Status.TIMESTAMP_MISMATCH, instead={Timestamp: their}))
    assert updates(world.hear()) == []
    world.wall += 0.5
    assert len(updates(world.hear())) == 1
    assert world.counters["clock_step"] == 1


@pytest.mark.rfc("5213#6.9.1.2-13", "5213#6.9.1.2-14")
def test_156_for_an_update_that_took_long_while_the_clocks_agree_registers_again_at_once() -> None:
    world = World()
    sent = world.attach()
    world.advance(0.8)
    arrived = Timestamp(to_timestamp(world.wall - 0.01))
    done = world.handle(answer(sent, status=Status.TIMESTAMP_MISMATCH, instead={Timestamp: arrived}))
    assert option(update(done), Timestamp).value == to_timestamp(world.wall)


def test_156_that_does_not_tell_the_time_waits_for_the_clock() -> None:
    world = World()
    world.handle(answer(world.attach(), status=Status.TIMESTAMP_MISMATCH, instead={Timestamp: None}))
    assert world.session()["until"] == "clock synchronization"


@pytest.mark.rfc("5213#6.9.1.2-15")
@pytest.mark.parametrize("status", [Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX, Status.BCE_PBU_PREFIX_SET_DO_NOT_MATCH])
def test_155_asks_once_for_any_prefix(status: Status) -> None:
    world = World([NodeProfile(HOST_NAME, HOST, prefixes=(PREFIX, PREFIX_2))])
    again = update(world.refuse(world.attach(), status))
    assert options(again, HomeNetworkPrefix) == [ANY]
    assert updates(world.refuse(again, status)) == []
    assert world.session()["state"] == "denied"


@pytest.mark.rfc("5213#6.9.1.2-15", "5213#6.9.1.2-16", "5213#6.12-1", "5213#6.12-2")
def test_a_refresh_refused_with_155_withdraws_the_prefix_and_asks_for_another() -> None:
    world = World(presence_interval=0)
    world.register()
    refresh = update(world.advance(2400) + world.hear())
    done = world.refuse(refresh, Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX)
    assert advertised(advertisement(done)) == {PREFIX.prefix: 0}
    assert world.bound == {}
    again = update(done)
    assert (options(again, HomeNetworkPrefix), indicator(again)) == ([ANY], HandoffIndicatorValue.UNKNOWN)
    assert advertised(advertisement(world.accept(again, PREFIX_3))) == {PREFIX_3.prefix: 3600}


@pytest.mark.rfc("5213#6.9.1.2-16", "5213#6.9.2-4")
@pytest.mark.parametrize(
    ("status", "until"),
    [
        (Status.REASON_UNSPECIFIED, "time"),
        (Status.INSUFFICIENT_RESOURCES, "time"),
        (Status.ADMINISTRATIVELY_PROHIBITED, "new attachment"),
        (Status.NOT_LMA_FOR_THIS_MOBILE_NODE, "new attachment"),
        (Status.MAG_NOT_AUTHORIZED_FOR_PROXY_REG, "new attachment"),
        (Status.MISSING_HANDOFF_INDICATOR_OPTION, "new attachment"),
        (251, "new attachment"),
    ],
)
def test_a_refused_node_gets_no_prefix_and_no_router(status: int, until: str) -> None:
    world = World()
    done = world.refuse(world.attach(), status)
    assert (advertisement(done).router_lifetime, advertised(advertisement(done))) == (0, {})
    assert of(world.log, Bind) == []
    row = world.session()
    assert (row["state"], row["until"]) == ("denied", until)
    world.advance(0.2)
    assert advertisement(world.solicit()).router_lifetime == 0
    world.handle(LinkDown(AP0))
    world.link_up()
    assert len(updates(world.hear())) == 1  # a new attachment is asked for anew


def test_after_a_passing_refusal_the_anchor_is_asked_again_ever_later() -> None:
    world = World(presence_interval=0)
    sent, times = world.attach(), []
    for _ in range(7):
        world.refuse(sent, Status.INSUFFICIENT_RESOURCES)
        before = world.monotonic
        while not (found := updates(world.advance(0.5) + world.hear())):
            pass
        sent = found[0]
        times.append(round(world.monotonic - before))
    assert times == [32, 64, 128, 256, 512, 512, 512]
    world.accept(sent)
    refresh = update(world.advance(2400) + world.hear())
    world.refuse(refresh, Status.INSUFFICIENT_RESOURCES)
    assert len(updates(world.advance(32) + world.hear())) == 1


def test_a_denied_node_that_has_gone_is_not_asked_for_again() -> None:
    world = World(presence_interval=0)
    world.refuse(world.attach(), Status.INSUFFICIENT_RESOURCES)
    done = world.advance(100)
    assert len(probes(done)) == 3
    assert updates(done) == []
    assert of(done, TearDownLink) == [TearDownLink(AP0, HOST)]
    assert world.session() == {}


def test_a_retry_that_was_overtaken_does_nothing() -> None:
    world = World(presence_interval=0)
    world.refuse(world.attach(), Status.INSUFFICIENT_RESOURCES)
    world.advance(32)  # the gateway is looking whether the node is there
    world.handle(AttachTriggered(AP0, HOST))
    assert updates(world.hear()) == []


@pytest.mark.rfc("5213#6.9.1.2-16")
def test_a_refused_refresh_ends_the_service() -> None:
    world = World(presence_interval=0)
    world.register()
    refresh = update(world.advance(2400) + world.hear())
    done = world.refuse(refresh, Status.ADMINISTRATIVELY_PROHIBITED)
    assert of(done, Unbind)[0].prefix == PREFIX.prefix
    assert world.bound == {}
    assert advertised(advertisement(done)) == {PREFIX.prefix: 0}
    assert updates(world.advance(5000)) == []


def test_135_takes_over_the_anchors_sequence_number() -> None:
    world = World(timestamp_based_approach=False)
    sent = world.attach()
    again = update(world.refuse(sent, Status.SEQUENCE_NUMBER_OUT_OF_WINDOW, sequence=4711))
    assert body(again).sequence == 4712
    world.accept(again)
    assert world.session()["state"] == "registered"


def test_135_for_no_session_of_ours_is_ignored() -> None:
    world = World(timestamp_based_approach=False)
    sent = world.attach()
    other = MobileNodeIdentifier(1, b"nobody@example.org")
    world.handle(answer(sent, status=135, sequence=9, instead={MobileNodeIdentifier: other}))
    world.refuse(sent, 135, source=STRANGER)
    assert world.counters["pba_unmatched"] == 2


def test_135_where_timestamps_are_used_is_tried_again_once() -> None:
    world = World()
    again = update(world.refuse(world.attach(), Status.SEQUENCE_NUMBER_OUT_OF_WINDOW, sequence=4711))
    assert body(again).sequence != 4712
    assert updates(world.refuse(again, Status.SEQUENCE_NUMBER_OUT_OF_WINDOW, sequence=4711)) == []
