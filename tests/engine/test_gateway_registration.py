# SPDX-License-Identifier: Apache-2.0
"""Registering a node with its anchor: RFC 5213 sections 6.9.1.1, 6.9.1.2, 6.9.1.5 and 6.9.4."""

from __future__ import annotations

import itertools

import pytest

from halma.engine.api import Bind, Tunnel, Unbind
from halma.engine.gateway_api import (
    AttachTriggered,
    ClockSynchronized,
    LinkDown,
    NodeProfile,
    RetryRequested,
    SetLinkLocalAddresses,
    TearDownLink,
)
from halma.wire import decode, encode
from halma.wire.numbers import BindingUpdateFlag, HandoffIndicatorValue, Status
from halma.wire.options import AccessTechnologyType, UnknownOption
from halma.wire.timestamp import to_timestamp
from tests.engine.gateway_world import (
    ANCHOR,
    ANY,
    AP0,
    AP1,
    GATEWAY,
    HOST,
    HOST_ADDRESS,
    HOST_NAME,
    HOST_PROFILE,
    HOST_SECOND,
    OTHER,
    OTHER_ANCHOR,
    PREFIX,
    PREFIX_2,
    PREFIX_3,
    PROFILES,
    STRANGER,
    HandoffIndicator,
    HomeNetworkPrefix,
    LinkLocalAddress,
    MobileNodeIdentifier,
    MobileNodeLinkLayerIdentifier,
    Timestamp,
    World,
    advertised,
    advertisement,
    advertisements,
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


# ---- section 6.9.1.2: what the anchor says ----------------------------------------------------------------------------


@pytest.mark.requirement("GW-4")
@pytest.mark.rfc(
    "5213#6.9.1.2-1",
    "5213#6.9.1.2-18",
    "5213#6.9.1.2-19",
    "5213#6.9.1.2-20",
    "5213#6.9.1.2-21",
    "5213#6.9.1.2-22",
    "5213#6.9.1.2-23",
    "5213#6.7-1",
    "5213#6.9.2-3",
    "5213#6.10.5-8",
    "5213#6.10.5-12",
)
def test_after_acceptance_the_prefix_is_bound_and_only_then_advertised() -> None:
    world = World()
    world.forwarding_waits = True
    sent = world.attach()
    assert world.waiting == []
    assert advertisements(world.accept(sent)) == []
    assert world.session()["state"] == "binding"
    (bind,) = world.waiting
    assert isinstance(bind, Bind)
    assert (bind.prefix, bind.prefix_length, bind.tunnel, bind.access) == (PREFIX.prefix, 64, Tunnel(GATEWAY, ANCHOR), AP0)
    assert advertised(advertisement(world.forward(bind))) == {PREFIX.prefix: 3600}
    row = world.session()
    assert (row["state"], row["lifetime_seconds"], row["prefixes"]) == ("registered", 3600, [(PREFIX.prefix, 64)])


def test_all_prefixes_of_a_session_are_bound_before_any_is_advertised() -> None:
    world = World()
    world.forwarding_waits = True
    world.register(PREFIX, PREFIX_2)
    first, second = world.waiting
    assert advertisements(world.forward(first)) == []
    assert set(advertised(advertisement(world.forward(second)))) == {PREFIX.prefix, PREFIX_2.prefix}


@pytest.mark.rfc("5213#6.9.1.2-6")
def test_a_status_below_128_is_an_acceptance() -> None:
    world = World()
    world.accept(world.attach(), status=Status.ACCEPTED_BUT_PREFIX_DISCOVERY_NECESSARY)
    assert world.session()["state"] == "registered"


@pytest.mark.rfc("5213#6.9.1.2-7")
def test_answers_that_match_no_update_are_ignored() -> None:
    world = World()
    sent = world.attach()
    world.accept(sent, sequence=body(sent).sequence + 1)
    world.accept(sent, source=STRANGER)
    assert world.counters["pba_unmatched"] == 2
    assert world.session()["state"] == "registering"
    world.accept(sent)
    world.accept(sent)  # a duplicate
    assert world.counters["pba_unmatched"] == 3
    assert len(world.bound) == 1


def test_an_acknowledgement_without_the_proxy_flag_is_not_for_a_gateway() -> None:
    world = World()
    world.accept(world.attach(), flags=0)
    assert world.counters["acknowledgement_without_proxy_flag"] == 1
    assert world.session()["state"] == "registering"


@pytest.mark.rfc("5213#8.2-1")
def test_options_that_nobody_knows_are_skipped() -> None:
    world = World()
    world.accept(world.attach(), more=(UnknownOption(200, b"whatever"),))
    assert world.session()["state"] == "registered"


@pytest.mark.parametrize(
    "twice",
    [
        MobileNodeIdentifier(1, HOST_NAME),
        HandoffIndicator(4),
        AccessTechnologyType(3),
        MobileNodeLinkLayerIdentifier(HOST),
        Timestamp(1),
        LinkLocalAddress(ASK),
    ],
)
def test_an_answer_with_an_option_twice_is_ignored(twice: HandoffIndicator) -> None:
    world = World(link_local_address=ASK)
    world.accept(world.attach(), more=(twice,))
    assert world.counters["pba_duplicate_option"] == 1
    assert world.session()["state"] == "registering"


@pytest.mark.rfc("5213#6.9.1.2-8", "5213#6.9.1.2-9")
@pytest.mark.parametrize(
    "changed",
    [
        MobileNodeIdentifier(1, b"host7@example.org"),
        HandoffIndicator(1),
        AccessTechnologyType(4),
        MobileNodeLinkLayerIdentifier(bytes.fromhex("02ffffffffff")),
    ],
)
def test_an_answer_that_does_not_echo_is_ignored_and_ends_the_asking(changed: HandoffIndicator) -> None:
    world = World(presence_interval=0)
    sent = world.attach()
    done = world.handle(answer(sent, PREFIX, instead={type(changed): changed}))
    assert of(done, Bind) == []
    assert world.counters["pba_mismatched"] == 1
    assert world.session()["reason"] == "pba_mismatched"
    assert updates(world.advance(100)) == []
    assert world.bound == {}
    assert updates(world.solicit()) == []
    assert updates(world.handle(RetryRequested(HOST_NAME)))  # the administrative action


@pytest.mark.rfc("5213#6.9.1.2-8", "5213#6.9.1.2-9")
def test_a_refresh_that_is_not_echoed_is_the_last_one() -> None:
    world = World(presence_interval=0)
    world.register(lifetime=15)
    refresh = update(world.advance(40) + world.hear())
    world.handle(answer(refresh, PREFIX, instead={HandoffIndicator: HandoffIndicator(4)}))
    assert world.session()["state"] == "registered"
    assert updates(world.advance(19)) == []
    again = world.handle(RetryRequested(b"")) + world.hear()
    assert options(update(again), HomeNetworkPrefix) == [PREFIX]


@pytest.mark.rfc("5213#6.9.1.2-9")
def test_when_nobody_acts_a_session_whose_refresh_was_not_echoed_runs_out() -> None:
    world = World(presence_interval=0)
    world.register(lifetime=15)
    refresh = update(world.advance(40) + world.hear())
    world.handle(answer(refresh, PREFIX, instead={HandoffIndicator: HandoffIndicator(4)}))
    done = world.advance(100)
    assert updates(done) == []
    assert world.bound == {}
    assert world.session()["reason"] == "pba_mismatched"
    assert advertised(advertisements(done)[-1].message) == {PREFIX.prefix: 0}


def test_a_deregistration_that_is_not_echoed_is_over() -> None:
    world = World()
    world.register()
    gone = update(world.handle(LinkDown(AP0)))
    world.handle(answer(gone, PREFIX, instead={HandoffIndicator: HandoffIndicator(5)}))
    assert world.session() == {}


@pytest.mark.parametrize("missing", [MobileNodeIdentifier, HandoffIndicator, AccessTechnologyType, Timestamp])
def test_an_option_that_is_not_echoed_at_all_is_no_difference(missing: type) -> None:
    world = World()
    world.handle(answer(world.attach(), PREFIX, instead={missing: None}))
    assert world.session()["state"] == "registered"


def test_an_answer_may_name_the_unknown_link_layer_identifier_by_zeros() -> None:
    world = World([NodeProfile(HOST_NAME)])
    world.link_up()
    sent = update(world.handle(AttachTriggered(AP0, b"", HOST_NAME)))
    world.accept(sent, more=(MobileNodeLinkLayerIdentifier(bytes(6)),))
    assert world.session(bytes(2))["state"] == "registered"


@pytest.mark.rfc("5213#6.9.1.2-4")
def test_an_acceptance_with_another_timestamp_is_not_for_this_update() -> None:
    world = World()
    sent = world.attach()
    world.handle(answer(sent, PREFIX, instead={Timestamp: Timestamp(5)}))
    assert world.counters["pba_wrong_timestamp"] == 1
    assert world.session()["state"] == "registering"
    world.accept(sent)
    assert world.session()["state"] == "registered"


def test_an_acceptance_that_grants_nothing_is_ignored() -> None:
    world = World()
    sent = world.attach()
    world.accept(sent, ANY)
    world.accept(sent, lifetime=0)
    assert world.counters["pba_without_grant"] == 2
    assert world.session()["state"] == "registering"


@pytest.mark.rfc("5213#6.9.1.2-4", "5213#5.5-3")
def test_without_timestamps_sessions_with_the_same_sequence_number_are_told_apart() -> None:
    world = World(timestamp_based_approach=False)
    first, second = world.attach(), world.attach(OTHER, interface=AP1)
    assert body(first).sequence == body(second).sequence
    world.accept(second, PREFIX_2)
    assert world.session(OTHER)["state"] == "registered"
    assert world.session(HOST)["state"] == "registering"


def test_an_answer_that_fits_none_of_several_sessions_is_ignored() -> None:
    world = World(timestamp_based_approach=False)
    first, _ = world.attach(), world.attach(OTHER, interface=AP1)
    world.handle(answer(first, PREFIX, instead={MobileNodeIdentifier: MobileNodeIdentifier(1, b"x")}))
    assert world.counters["pba_unmatched"] == 1


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


# ---- point 15: the link-local address ---------------------------------------------------------------------------------

GIVEN = bytes.fromhex("fe80000000000000000000000000aaaa")


@pytest.mark.rfc("5213#6.9.1.2-24", "5213#6.9.1.3-1")
def test_the_link_local_address_that_the_anchor_gives_is_used() -> None:
    world = World(link_local_address=ASK, presence_interval=0)
    done = world.handle(answer(world.attach(), PREFIX, instead={LinkLocalAddress: LinkLocalAddress(GIVEN)}))
    assert of(done, SetLinkLocalAddresses) == [SetLinkLocalAddresses(AP0, (GIVEN,))]
    assert [sent.source for sent in advertisements(done)] == [GIVEN]
    refresh = update(world.advance(2400) + world.hear())
    assert option(refresh, LinkLocalAddress).address == GIVEN


@pytest.mark.rfc("5213#6.9.1.2-25", "5213#6.9.1.2-26")
def test_a_link_local_address_that_the_node_has_is_not_used_and_the_anchor_is_told_another() -> None:
    world = World(link_local_address=ASK)
    sent = world.attach(HOST, GIVEN)
    done = world.handle(answer(sent, PREFIX, instead={LinkLocalAddress: LinkLocalAddress(GIVEN)}))
    (used,) = of(done, SetLinkLocalAddresses)
    (address,) = used.addresses
    assert address not in (GIVEN, ASK)
    told = update(done)
    assert option(told, LinkLocalAddress).address == address
    assert indicator(told) == HandoffIndicatorValue.NOT_CHANGED
    assert all(sent.source == address for sent in advertisements(done))


def test_an_anchor_that_gives_no_link_local_address_leaves_the_choice_to_us() -> None:
    world = World(link_local_address=ASK)
    ours = bytes.fromhex("fe8000000000000002005efffe005213")
    done = world.handle(answer(world.attach(), PREFIX, instead={LinkLocalAddress: None}))
    assert of(done, SetLinkLocalAddresses) == [SetLinkLocalAddresses(AP0, (ours,))]
    world.handle(LinkDown(AP0))
    world.advance(2)
    done = world.link_up() + world.hear(HOST, ours)
    done = world.handle(answer(update(done), PREFIX, instead={LinkLocalAddress: None}))
    assert of(done, SetLinkLocalAddresses)[0].addresses[0] not in (ours, ASK)


def test_without_an_address_of_its_own_the_gateway_advertises_nothing() -> None:
    world = World(link_local_address=ASK)
    done = world.refuse(world.attach(), Status.ADMINISTRATIVELY_PROHIBITED)
    assert advertisements(done) == []
    assert world.counters["advertisement_without_address"] == 1


# ---- the data plane refuses -------------------------------------------------------------------------------------------


@pytest.mark.requirement("GW-4")
def test_when_the_data_plane_refuses_the_node_is_given_up_and_tried_again_later() -> None:
    world = World(presence_interval=0)
    world.forwarding_errors = [28]
    done = world.register()
    assert advertisement(done).router_lifetime == 0
    gone = update(done)
    assert body(gone).lifetime == 0
    world.accept(gone)
    assert (world.session()["state"], world.session()["reason"]) == ("denied", "bind_failed")
    again = update(world.advance(32) + world.hear())
    assert body(again).lifetime == 900
    world.accept(again)
    assert world.session()["state"] == "registered"


def test_when_one_of_two_prefixes_is_refused_the_other_goes_too() -> None:
    world = World()
    world.forwarding_errors = [0, 28]
    world.register(PREFIX, PREFIX_2)
    assert world.bound == {}
    assert world.counters["bind_failed"] == 1


def test_a_refusal_that_comes_after_the_node_has_gone_is_only_counted() -> None:
    world = World()
    world.forwarding_waits = True
    world.register()
    world.handle(LinkDown(AP0))
    world.forwarding_errors = [28]
    assert updates(world.forward(world.waiting[0])) == []
    assert world.counters["bind_failed"] == 1


def test_an_acceptance_of_the_data_plane_that_comes_after_the_node_has_gone_starts_nothing() -> None:
    world = World()
    world.forwarding_waits = True
    world.register()
    world.handle(LinkDown(AP0))
    assert advertisements(world.forward(world.waiting[0])) == []
    assert world.session()["state"] == "de-registering"


def test_an_unbinding_that_fails_is_told() -> None:
    world = World()
    world.register()
    gone = update(world.handle(LinkDown(AP0)))
    world.forwarding_errors = [5]
    done = world.accept(gone)
    assert any("errno 5" in text for text in said(done))
    assert world.counters["unbind_failed"] == 1


# ---- another anchor, another identifier -------------------------------------------------------------------------------


def test_what_is_left_of_a_session_with_another_identifier_is_dropped() -> None:
    world = World([*PROFILES, NodeProfile(b"guest@example.org")])
    world.register()
    done = world.handle(AttachTriggered(AP0, HOST, b"guest@example.org"))
    first, second = updates(done)
    assert (body(first).lifetime, body(second).lifetime) == (0, 900)
    assert option(second, MobileNodeIdentifier).identifier == b"guest@example.org"
    assert world.bound == {}
    assert options(second, HomeNetworkPrefix) == [ANY]


def test_a_node_that_comes_back_while_it_is_given_up_asks_for_its_prefix() -> None:
    world = World()
    world.register()
    world.handle(LinkDown(AP0))
    done = world.link_up() + world.hear()
    assert options(update(done), HomeNetworkPrefix) == [PREFIX]
    assert world.bound == {}  # nothing before the anchor has answered
    world.accept(update(done))
    assert world.session()["state"] == "registered"
    assert world.gateway.next_deadline() is not None


def test_the_profiles_anchor_stays_when_a_node_is_known_by_its_profile_alone() -> None:
    world = World([HOST_PROFILE])
    sent = world.attach()
    assert sent.destination == ANCHOR
    assert world.session()["link_local_address"] == HOST_ADDRESS
