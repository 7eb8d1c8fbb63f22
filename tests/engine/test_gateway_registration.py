# SPDX-License-Identifier: Apache-2.0
"""Registering a node with its anchor: what is sent, and sent again. RFC 5213 sections 6.9.1.1 and 6.9.4."""

from __future__ import annotations

import itertools

import pytest

from halma.engine.gateway_api import (
    AttachTriggered,
    LinkDown,
    NodeProfile,
)
from halma.wire import decode, encode
from halma.wire.numbers import BindingUpdateFlag, HandoffIndicatorValue, Status
from halma.wire.options import AccessTechnologyType
from halma.wire.timestamp import to_timestamp
from tests.engine.gateway_world import (
    ANCHOR,
    ANY,
    AP0,
    AP1,
    GATEWAY,
    HOST,
    HOST_NAME,
    HOST_SECOND,
    OTHER,
    OTHER_ANCHOR,
    PREFIX,
    PREFIX_2,
    HandoffIndicator,
    HomeNetworkPrefix,
    LinkLocalAddress,
    MobileNodeIdentifier,
    MobileNodeLinkLayerIdentifier,
    Timestamp,
    World,
    body,
    indicator,
    option,
    options,
    probes,
    update,
    updates,
)

ASK = bytes(16)


# ---- section 6.9.1.1 and figure 12: what is sent ----------------------------------------------------------------------


@pytest.mark.requirement("GW-1", "GW-2", "GW-5")
@pytest.mark.rfc(
    "5213#6.2-1",
    "5213#6.2-3",
    "5213#6.6-1",
    "5213#6.6-3",
    "5213#6.6-8",
    "5213#6.9.1.1-1",
    "5213#6.9.1.1-2",
    "5213#6.9.1.1-3",
    "5213#6.9.1.1-4",
    "5213#6.9.1.1-7",
    "5213#6.9.1.1-8",
    "5213#6.9.1.1-16",
    "5213#6.9.1.1-18",
    "5213#6.9.1.1-20",
    "5213#6.9.1.1-21",
    "5213#6.9.1.1-23",
    "5213#6.9.1.1-26",
    "5213#6.9.1.5-1",
    "5213#6.9.1.5-2",
    "5213#6.9.1.5-3",
    "5213#6.9.1.5-4",
    "5213#6.9.1.5-5",
    "5213#6.9.1.5-6",
    "5213#6.9.1.5-7",
    "5213#6.9.1.5-8",
    "5213#6.14-1",
    "5213#8.1-1",
    "5213#9.3-4",
)
def test_a_node_that_is_heard_is_registered_as_figure_12_says() -> None:
    world = World()
    sent = world.attach()
    assert (sent.source, sent.destination) == (GATEWAY, ANCHOR)
    message = body(sent)
    assert message.flags == BindingUpdateFlag.ACKNOWLEDGE | BindingUpdateFlag.PROXY
    assert message.lifetime == 900
    assert message.options == (
        MobileNodeIdentifier(1, HOST_NAME),
        ANY,
        HandoffIndicator(HandoffIndicatorValue.UNKNOWN),
        AccessTechnologyType(3),
        Timestamp(to_timestamp(world.wall)),
        MobileNodeLinkLayerIdentifier(HOST),
    )


@pytest.mark.rfc("5213#6.9.1.5-13")
def test_an_update_goes_out_without_a_home_address_option() -> None:
    """The effect has no room for extension headers: what is encoded is the Mobility Header alone, and it comes back equal."""
    sent = World().attach()
    assert decode(encode(sent.message, GATEWAY, ANCHOR), GATEWAY, ANCHOR) == sent.message


@pytest.mark.rfc("5213#6.1-1", "5213#6.9.1.1-27")
def test_an_entry_of_the_binding_update_list_exists_from_the_first_update() -> None:
    world = World()
    world.link_up()
    assert world.session() == {}
    world.hear()
    row = world.session()
    assert (row["node"], row["state"], row["anchor"], row["interface"]) == (HOST_NAME, "registering", ANCHOR, "ap0")
    assert world.counters["sessions"] == 1


def test_the_profiles_prefixes_are_asked_for_one_option_each() -> None:
    world = World([NodeProfile(HOST_NAME, HOST, prefixes=(PREFIX, PREFIX_2))])
    assert options(world.attach(), HomeNetworkPrefix) == [PREFIX, PREFIX_2]


@pytest.mark.requirement("GW-5")
def test_the_profile_names_another_anchor_technology_and_lifetime() -> None:
    world = World([NodeProfile(HOST_NAME, HOST, anchor=OTHER_ANCHOR, access_technology=4, lifetime=600)])
    sent = world.attach()
    assert sent.destination == OTHER_ANCHOR
    assert option(sent, AccessTechnologyType).technology == 4
    assert body(sent).lifetime == 150


@pytest.mark.rfc("5213#6.1-2", "5213#6.9.1.1-19")
def test_an_unknown_link_layer_identifier_is_not_sent() -> None:
    world = World([NodeProfile(HOST_NAME)])
    world.link_up()
    for unknown in (b"", bytes(6)):
        sent = update(world.handle(AttachTriggered(AP0, unknown, HOST_NAME)))
        assert options(sent, MobileNodeLinkLayerIdentifier) == []
        assert world.session(bytes(2))["node"] == HOST_NAME
        world.handle(LinkDown(AP0))
        world.advance(2)
        world.link_up()


@pytest.mark.rfc("5213#6.9.1.1-9", "5213#6.9.1.1-12", "5213#6.9.1.1-11", "5213#6.9.1.1-10", "5213#6.9.1.1-14")
@pytest.mark.parametrize("known", [1, 2, 3, 4])
def test_the_handoff_indicator_is_what_the_link_layer_knows(known: int) -> None:
    world = World()
    world.link_up()
    assert indicator(update(world.handle(AttachTriggered(AP0, HOST, handoff_indicator=known)))) == known


@pytest.mark.rfc("5213#6.9.1.1-9", "5213#6.9.1.1-14")
def test_the_handoff_indicator_is_what_the_profile_knows() -> None:
    world = World([NodeProfile(HOST_NAME, HOST, handoff_indicator=3)])
    assert indicator(world.attach()) == HandoffIndicatorValue.BETWEEN_GATEWAYS


@pytest.mark.rfc("5213#6.9.1.1-13", "5213#6.9.1.1-15")
def test_nothing_is_claimed_about_a_handoff_that_nobody_knows_of() -> None:
    assert indicator(World().attach()) == HandoffIndicatorValue.UNKNOWN


@pytest.mark.rfc("5213#6.9.1.1-10", "5213#6.9.1.1-15")
def test_a_second_interface_beside_one_that_is_served_here_is_a_new_attachment() -> None:
    world = World()
    world.register()
    sent = world.attach(HOST_SECOND, interface=AP1)
    assert indicator(sent) == HandoffIndicatorValue.NEW_INTERFACE
    world.accept(sent, PREFIX_2)
    assert world.session(HOST)["prefixes"] == [(PREFIX.prefix, 64)]
    assert world.session(HOST_SECOND)["prefixes"] == [(PREFIX_2.prefix, 64)]


@pytest.mark.rfc("5213#6.9.1.1-13", "5213#6.9.1.1-15")
def test_a_second_interface_is_not_new_while_the_first_is_being_given_up() -> None:
    world = World()
    world.register()
    world.handle(LinkDown(AP0))
    assert indicator(world.attach(HOST_SECOND, interface=AP1)) == HandoffIndicatorValue.UNKNOWN


@pytest.mark.rfc("5213#6.9.1.1-22", "5213#6.9.1.1-24", "5213#6.9.1.1-25")
def test_the_anchor_is_asked_for_a_link_local_address_when_none_is_fixed() -> None:
    world = World(link_local_address=ASK)
    assert option(world.attach(), LinkLocalAddress).address == ASK


@pytest.mark.rfc("5213#6.9.1.1-17")
def test_with_timestamps_the_sequence_number_counts_all_updates_of_the_gateway() -> None:
    world = World()
    first = body(world.attach())
    second = body(world.attach(OTHER, interface=AP1))
    assert second.sequence == first.sequence + 1


@pytest.mark.rfc("5213#5.5-10", "5213#9.3-4")
def test_two_timestamps_of_one_node_are_never_equal() -> None:
    world = World()
    sent = world.attach()
    refused = update(world.refuse(sent, Status.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED))
    assert option(refused, Timestamp).value == option(sent, Timestamp).value + 1


@pytest.mark.rfc("5213#5.5-10")
def test_a_clock_that_was_set_back_is_believed() -> None:
    world = World()
    sent = world.attach()
    world.wall -= 3600
    again = world.advance(1.0)
    assert option(update(again), Timestamp).value < option(sent, Timestamp).value - 3590 * 65536


@pytest.mark.rfc("5213#5.5-3", "5213#5.5-26", "5213#6.9.1.1-16", "5213#9.3-5")
def test_without_timestamps_each_session_has_its_own_sequence_numbers() -> None:
    world = World(timestamp_based_approach=False)
    first, second = world.attach(), world.attach(OTHER, interface=AP1)
    assert options(first, Timestamp) == []
    assert body(first).sequence == body(second).sequence == 1
    world.accept(first)
    world.accept(second, PREFIX_2)
    world.handle(LinkDown(AP0))
    world.advance(2)
    assert body(world.attach()).sequence == 3


# ---- section 6.9.4: again ---------------------------------------------------------------------------------------------


@pytest.mark.requirement("GW-2")
@pytest.mark.rfc("5213#6.9.4-1", "5213#6.9.4-2", "5213#6.9.4-4", "5213#6.9.4-6", "5213#6.9.1.1-17")
def test_unanswered_updates_are_sent_again_at_doubled_intervals_with_new_numbers() -> None:
    world = World(presence_interval=0)
    sent, times = [world.attach()], [world.monotonic]
    for _ in range(4000):
        if len(sent) == 9:
            break
        for again in updates(world.advance(0.05)):
            sent.append(again)
            times.append(round(world.monotonic, 1))
        world.hear()
    gaps = [round(later - earlier) for earlier, later in itertools.pairwise(times)]
    assert gaps == [1, 2, 4, 8, 16, 32, 32, 32]
    sequences = [body(one).sequence for one in sent]
    assert sequences == list(range(sequences[0], sequences[0] + 9))
    stamps = [option(one, Timestamp).value for one in sent]
    assert all(later - earlier >= 65000 for earlier, later in itertools.pairwise(stamps))
    assert indicator(sent[-1]) == HandoffIndicatorValue.UNKNOWN


@pytest.mark.rfc("5213#6.9.4-7")
def test_without_timestamps_a_retransmission_has_a_greater_sequence_number() -> None:
    world = World(timestamp_based_approach=False)
    first = world.attach()
    again = update(world.advance(1.0))
    assert body(again).sequence == body(first).sequence + 1


@pytest.mark.rfc("5213#6.9.4-3")
def test_a_node_that_may_have_gone_is_looked_for_before_a_retransmission() -> None:
    world = World()
    world.attach()
    assert updates(world.advance(1.0))  # it was heard less than a timeout ago
    looked = world.advance(2.0)
    assert probes(looked)
    assert updates(looked) == []
    assert len(updates(world.hear())) == 1


def test_an_answer_that_comes_while_the_node_is_looked_for_makes_the_retransmission_moot() -> None:
    world = World()
    world.attach()
    sent = updates(world.advance(3.5))[-1]  # the node is being looked for
    world.accept(sent)
    assert updates(world.hear()) == []
    assert world.session()["state"] == "registered"


@pytest.mark.rfc("5213#6.9.4-3", "5213#6.13-4")
def test_a_node_that_does_not_answer_is_not_registered_again() -> None:
    world = World()
    world.attach()
    seen = world.advance(10)
    assert [body(sent).lifetime for sent in updates(seen)] == [900, 0]
    assert world.session() == {}


@pytest.mark.rfc("5213#6.9.1.2-7")
def test_an_answer_to_any_of_the_recent_transmissions_is_taken() -> None:
    world = World()
    first = world.attach()
    world.advance(1.0)
    world.accept(first)
    assert world.session()["state"] == "registered"
    assert updates(world.advance(30)) == []


@pytest.mark.rfc("5213#6.9.1.2-7")
def test_only_the_last_transmissions_are_recent() -> None:
    world = World(presence_interval=0)
    first, sent = world.attach(), 1
    while sent < 10:
        sent += len(updates(world.advance(0.5)))
        world.hear()
    world.accept(first)
    assert world.counters["pba_unmatched"] == 1
    assert world.session()["state"] == "registering"


@pytest.mark.rfc("5213#6.9.4-1")
def test_no_node_is_registered_more_than_three_times_in_a_second() -> None:
    world = World()
    for _ in range(3):
        world.attach()
        world.handle(LinkDown(AP0))
    world.link_up()
    assert updates(world.hear()) == []
    assert world.counters["registration_rate_limited"] == 1
    assert body(update(world.advance(1.0))).lifetime == 900


def test_the_rate_limit_can_be_switched_off() -> None:
    world = World(maximum_update_rate=0)
    for _ in range(5):
        world.attach()
        world.handle(LinkDown(AP0))
    assert "registration_rate_limited" not in world.counters


def test_what_is_remembered_of_nodes_that_have_gone_is_bounded() -> None:
    world = World(maximum_attachments=1, timestamp_based_approach=False)
    world.register()
    world.handle(LinkDown(AP0))
    world.advance(2)
    world.attach(OTHER, interface=AP1)
    world.handle(LinkDown(AP1))
    world.advance(2)
    assert body(world.attach()).sequence == 1
