# SPDX-License-Identifier: Apache-2.0
"""What a gateway makes of the anchor's acceptances: RFC 5213 sections 6.9.1.2 and 6.9.1.5, and what the data
plane says then."""

from __future__ import annotations

import pytest

from halma.engine.api import Bind, Tunnel
from halma.engine.gateway_api import (
    AttachTriggered,
    LinkDown,
    NodeProfile,
    RetryRequested,
    SetLinkLocalAddresses,
)
from halma.wire.numbers import HandoffIndicatorValue, Status
from halma.wire.options import AccessTechnologyType, UnknownOption
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
    OTHER,
    PREFIX,
    PREFIX_2,
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
    said,
    update,
    updates,
)

ASK = bytes(16)


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


def test_when_a_binding_cannot_follow_the_node_to_another_link_it_does_not_stay_on_the_old_one() -> None:
    world = World()
    world.register()
    world.link_up(AP1)
    world.forwarding_errors = [28]
    world.handle(AttachTriggered(AP1, HOST))
    assert world.counters["bind_failed"] == 1
    assert world.bound == {}


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
