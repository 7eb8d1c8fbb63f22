# SPDX-License-Identifier: Apache-2.0
"""Nodes come, stay, move and go: RFC 5213 sections 6.6, 6.9.1.3, 6.9.1.4, 6.13 and 6.14."""

from __future__ import annotations

from typing import Any

import pytest

from halma.engine.api import Answer, Bind, Unbind
from halma.engine.gateway_api import (
    AdmitNode,
    AttachTriggered,
    DetachTriggered,
    LinkAppeared,
    LinkDown,
    LinkVanished,
    NodeConfirmed,
    NodeProfile,
    NodeUnreachable,
    ProbeNode,
    ProfilesReplaced,
    SolicitNodes,
    StopRequested,
    TearDownLink,
)
from halma.policy.gateway import GatewayPolicy
from halma.wire.addresses import ALL_NODES
from halma.wire.numbers import HandoffIndicatorValue, Status
from halma.wire.options import MobileNodeIdentifier, MobileNodeLinkLayerIdentifier
from tests.engine.gateway_world import (
    AP0,
    AP1,
    HOST,
    HOST_ADDRESS,
    HOST_NAME,
    HOST_PROFILE,
    HOST_SECOND,
    OTHER,
    OTHER_ADDRESS,
    OTHER_ANCHOR,
    OTHER_NAME,
    PLAIN,
    PLAIN_NAME,
    PREFIX,
    PREFIX_2,
    PROFILES,
    UNKNOWN,
    HomeNetworkPrefix,
    World,
    advertised,
    advertisement,
    advertisements,
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

ROUTER = bytes.fromhex("fe8000000000000002005efffe005213")


def shown(world: World, what: str) -> list[dict[str, Any]]:
    """The rows of one kind in a snapshot."""
    rows = world.gateway.snapshot(world.now)[what]
    assert isinstance(rows, list)
    return rows


# ---- links ------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("GW-1")
def test_a_link_that_comes_up_is_asked_who_is_there_until_somebody_is_heard() -> None:
    world = World()
    assert of(world.link_up(), SolicitNodes) == [SolicitNodes(AP0)]
    assert len(of(world.advance(0.02), SolicitNodes)) == 3
    assert len(of(world.advance(10), SolicitNodes)) == 3
    world.handle(LinkDown(AP0))
    world.link_up()
    world.hear()
    assert of(world.advance(5), SolicitNodes) == []
    assert len(of(world.advance(5), SolicitNodes)) == 7  # it has fallen silent, and may not know that it was asked
    world.handle(LinkDown(AP0))
    world.link_up()
    world.hear(UNKNOWN)
    assert of(world.advance(10), SolicitNodes) == []


def test_a_link_that_goes_down_is_asked_no_more() -> None:
    world = World()
    world.link_up()
    world.handle(LinkDown(AP0))
    assert world.advance(10) == []


def test_without_an_address_of_its_own_the_gateway_asks_nobody() -> None:
    world = World(link_local_address=bytes(16))
    assert of(world.link_up() + world.advance(5), SolicitNodes) == []


def test_what_is_heard_on_a_link_that_is_not_up_is_ignored() -> None:
    world = World()
    world.hear()
    world.handle(LinkAppeared(AP0, "ap0", 1500))
    world.hear()
    assert world.counters["heard_on_no_link"] == 2
    assert world.handle(LinkDown(99)) == []


@pytest.mark.parametrize("sender", [bytes(6), bytes.fromhex("333300000001"), bytes.fromhex("00005e005213")])
def test_frames_from_nobody_from_groups_and_from_ourselves_are_ignored(sender: bytes) -> None:
    world = World()
    world.link_up()
    assert world.hear(sender) == []
    assert world.counters["heard_without_sender"] == 1


def test_the_snapshot_shows_links_sessions_and_peers() -> None:
    world = World()
    world.register()
    world.hear(UNKNOWN)
    (link,) = shown(world, "links")
    assert (link["interface"], link["state"], link["attached"], link["unknown"]) == ("ap0", "up", 1, [UNKNOWN])
    (peer,) = shown(world, "peers")
    assert (peer["anchor"], peer["sessions"]) == (world.settings.anchor, 1)
    (session,) = shown(world, "sessions")
    assert (session["remaining_seconds"], session["link_local_address"]) == (3600.0, HOST_ADDRESS)
    assert world.gateway.peers() == [(world.settings.address, world.settings.anchor)]
    world.handle(LinkVanished(AP0))
    (session,) = world.gateway.describe_sessions(world.now)
    assert (session["state"], session["interface"]) == ("de-registering", "")
    assert world.gateway.snapshot(world.now)["links"] == []


# ---- who a node is ----------------------------------------------------------------------------------------------------


def test_a_node_without_a_profile_gets_nothing_and_is_told_of_once() -> None:
    world = World()
    world.link_up()
    assert "02:00:00:00:09:99" in said(world.hear(UNKNOWN))[0]
    assert world.hear(UNKNOWN) == []
    assert world.solicit(UNKNOWN) == []
    assert world.counters["heard_unknown"] == 3


def test_the_memory_of_unknown_nodes_is_bounded() -> None:
    world = World()
    world.link_up()
    for number in range(100):
        world.hear(b"\x02\x99" + number.to_bytes(4, "big"))
    (link,) = shown(world, "links")
    unknown = link["unknown"]
    assert isinstance(unknown, list)
    assert len(unknown) == 16
    world.handle(LinkDown(AP0))
    (link,) = shown(world, "links")
    assert link["unknown"] == []


@pytest.mark.requirement("GW-6")
@pytest.mark.rfc("5213#6.14-1")
def test_a_node_that_is_not_entitled_gets_no_mobility_service() -> None:
    world = World()
    world.link_up()
    assert of(world.hear(PLAIN, HOST_ADDRESS), AdmitNode) == [AdmitNode(AP0, PLAIN)]
    assert world.solicit(PLAIN, HOST_ADDRESS) == []
    row = world.session(PLAIN)
    assert (row["node"], row["state"], row["reason"]) == (PLAIN_NAME, "denied", "not_entitled")
    assert world.handle(AttachTriggered(AP0, PLAIN)) == []
    assert updates(world.handle(LinkDown(AP0))) == []


def test_there_is_room_for_so_many_nodes() -> None:
    world = World(maximum_attachments=1)
    world.attach()
    world.link_up(AP1)
    done = world.hear(OTHER, OTHER_ADDRESS, AP1)
    assert updates(done) == []
    assert world.counters["too_many_attachments"] == 1
    (refused,) = of(world.handle(AttachTriggered(AP1, OTHER, op=5)), Answer)
    assert refused == Answer(5, {"error": "too many nodes are attached"})


@pytest.mark.requirement("GW-1")
@pytest.mark.rfc("5213#6.6-7")
def test_a_trigger_names_the_node_that_authentication_has_found() -> None:
    world = World([NodeProfile(b"*@example.org", access_technology=4)])
    world.link_up()
    assert updates(world.hear()) == []  # the link-layer address alone says nothing
    done = world.handle(AttachTriggered(AP0, HOST, b"guest7@example.org", op=9))
    sent = update(done)
    assert option(sent, MobileNodeIdentifier).identifier == b"guest7@example.org"
    assert option(sent, MobileNodeLinkLayerIdentifier).identifier == HOST
    assert of(done, Answer) == [Answer(9, {"node": "guest7@example.org"})]


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (AttachTriggered(99, HOST, op=1), "no such access interface is up"),
        (AttachTriggered(AP1, HOST, op=1), "no such access interface is up"),
        (AttachTriggered(AP0, UNKNOWN, op=1), "no profile for this node"),
        (AttachTriggered(AP0, HOST, b"stranger@example.net", op=1), "no profile for this node"),
        (AttachTriggered(AP0, HOST, handoff_indicator=5, op=1), "the handoff indicator of an attachment is 1 to 4"),
        (DetachTriggered(HOST, op=1), "no such node is attached"),
    ],
)
def test_a_trigger_that_makes_no_sense_is_refused(event: AttachTriggered, why: str) -> None:
    world = World()
    world.link_up()
    world.handle(LinkAppeared(AP1, "ap1", 1500))
    assert world.handle(event) == [Answer(1, {"error": why})]


def test_a_trigger_for_a_node_that_is_served_already_changes_nothing() -> None:
    world = World()
    world.register()
    assert world.handle(AttachTriggered(AP0, HOST)) == []


def test_a_trigger_for_a_denied_node_is_a_new_attachment() -> None:
    world = World()
    world.refuse(world.attach(), Status.ADMINISTRATIVELY_PROHIBITED)
    assert indicator(update(world.handle(AttachTriggered(AP0, HOST, handoff_indicator=3)))) == 3


@pytest.mark.rfc("5213#6.1-2", "5213#6.6-8")
def test_on_a_link_without_link_layer_addresses_the_node_is_the_other_end() -> None:
    world = World([NodeProfile(HOST_NAME)])
    world.link_up()
    sent = update(world.handle(AttachTriggered(AP0, b"", HOST_NAME)))
    world.accept(sent)
    assert of(world.hear(UNKNOWN), AdmitNode) == [AdmitNode(AP0, UNKNOWN)]
    assert "heard_unknown" not in world.counters
    assert advertisements(world.advance(4))[0].link_layer_address == UNKNOWN
    world.hear(OTHER)
    assert world.counters["heard_unknown"] == 1
    gone = world.handle(DetachTriggered(b"", HOST_NAME))
    assert body(update(gone)).lifetime == 0
    assert of(world.accept(update(gone)), TearDownLink) == []


def test_a_denied_node_without_a_link_layer_address_leaves_nothing_behind() -> None:
    world = World([NodeProfile(HOST_NAME)])
    world.link_up()
    world.refuse(update(world.handle(AttachTriggered(AP0, b"", HOST_NAME))), Status.ADMINISTRATIVELY_PROHIBITED)
    assert of(world.handle(LinkDown(AP0)), TearDownLink) == []
    assert list(world.gateway.describe_sessions(world.now)) == []


# ---- staying ----------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("GW-2")
@pytest.mark.rfc("5213#6.9.1.3-1", "5213#6.9.1.3-2", "5213#6.9.1.3-3", "5213#6.13-1")
def test_a_binding_is_extended_for_a_node_that_answers() -> None:
    world = World(presence_interval=0)
    initial = world.attach()
    world.accept(initial, PREFIX, PREFIX_2)
    looked = world.advance(2400)
    assert probes(looked) == [ProbeNode(AP0, HOST, ROUTER, HOST_ADDRESS)]
    assert updates(looked) == []
    sent = update(world.handle(NodeConfirmed(HOST)))
    assert options(sent, HomeNetworkPrefix) == [PREFIX, PREFIX_2]
    assert indicator(sent) == HandoffIndicatorValue.NOT_CHANGED
    assert [type(one) for one in body(sent).options if not isinstance(one, HomeNetworkPrefix)] == [
        type(one) for one in body(initial).options if not isinstance(one, HomeNetworkPrefix)
    ]
    done = world.accept(sent, PREFIX, PREFIX_2)
    assert of(done, Bind) == []  # nothing has changed for the data plane
    assert world.session()["remaining_seconds"] == 3600.0


@pytest.mark.rfc("5213#6.13-1", "5213#6.13-2", "5213#6.13-3", "5213#6.13-4")
def test_a_binding_is_not_extended_for_a_node_that_does_not_answer() -> None:
    world = World(presence_interval=0)
    world.register()
    done = world.advance(2410)
    assert len(probes(done)) == 3
    sent = update(done)
    assert (body(sent).lifetime, indicator(sent)) == (0, HandoffIndicatorValue.UNKNOWN)
    assert world.session() == {}
    assert world.bound == {}


def test_a_silent_node_is_looked_for_now_and_then() -> None:
    world = World(presence_interval=60)
    world.register()
    for _ in range(5):
        world.advance(50)
        world.hear()
    assert probes(world.log) == []
    assert len(probes(world.advance(60))) == 1
    assert updates(world.hear()) == []
    assert world.session()["state"] == "registered"


def test_a_node_whose_address_is_not_known_is_looked_for_by_an_echo_request() -> None:
    world = World()
    world.link_up()
    world.accept(update(world.hear(HOST, PREFIX.prefix)))
    assert [probe.address for probe in probes(world.advance(60))] == [ALL_NODES]


def test_two_questions_about_a_node_share_the_answer() -> None:
    world = World(presence_interval=2399)
    world.register()
    done = world.advance(2400)
    assert len(probes(done)) == 2  # the second a second after the first, although two reasons to ask came between
    assert len(updates(world.hear())) == 1


def test_a_refresh_that_became_moot_while_the_node_was_looked_for_is_not_sent() -> None:
    world = World(presence_interval=0)
    world.register()
    world.advance(2400)
    done = world.handle(DetachTriggered(HOST))
    assert body(update(done)).lifetime == 0
    assert updates(world.hear(HOST_SECOND)) != []


def test_confirmations_about_nobody_are_ignored() -> None:
    world = World()
    assert world.handle(NodeConfirmed(HOST), NodeUnreachable(HOST)) == []


# ---- going ------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("GW-2")
@pytest.mark.rfc("5213#6.9.1.4-1", "5213#6.9.1.4-2", "5213#6.9.1.4-3", "5213#6.9.1.4-4")
@pytest.mark.parametrize("event", [LinkDown(AP0), LinkVanished(AP0), DetachTriggered(HOST), NodeUnreachable(HOST)])
def test_a_node_that_goes_is_given_up(event: LinkDown) -> None:
    world = World()
    initial = world.attach()
    world.accept(initial, PREFIX, PREFIX_2)
    sent = update(world.handle(event))
    assert body(sent).lifetime == 0
    assert options(sent, HomeNetworkPrefix) == [PREFIX, PREFIX_2]
    assert indicator(sent) == HandoffIndicatorValue.UNKNOWN
    assert {type(one) for one in body(sent).options} == {type(one) for one in body(initial).options}


@pytest.mark.rfc("5213#6.9.1.4-5", "5213#6.9.1.4-6", "5213#6.9.1.4-7", "5213#6.9.1.4-8", "5213#6.9.1.4-9")
def test_after_the_acknowledgement_nothing_is_left() -> None:
    world = World()
    world.register()
    sent = update(world.handle(LinkDown(AP0)))
    assert world.session()["state"] == "de-registering"
    assert world.bound != {}
    done = world.accept(sent, lifetime=0)
    assert [one.prefix for one in of(done, Unbind)] == [PREFIX.prefix]
    assert of(done, TearDownLink) == [TearDownLink(AP0, HOST)]
    assert (world.session(), world.bound, world.advance(5000)) == ({}, {}, [])


@pytest.mark.rfc("5213#6.9.1.4-5", "5213#6.9.1.4-6", "5213#6.9.1.4-7")
def test_without_an_acknowledgement_nothing_is_left_after_a_second() -> None:
    world = World()
    world.register()
    world.handle(LinkDown(AP0))
    assert world.advance(0.99) == []
    done = world.advance(0.02)
    assert updates(done) == []
    assert (world.session(), world.bound) == ({}, {})


def test_a_deregistration_that_is_refused_is_over_too() -> None:
    world = World()
    world.register()
    done = world.refuse(update(world.handle(LinkDown(AP0))), Status.TIMESTAMP_MISMATCH)
    assert any("refuses to give up" in text for text in said(done))
    assert world.session() == {}


def test_a_node_that_goes_before_the_anchor_has_answered_is_given_up_too() -> None:
    world = World([NodeProfile(HOST_NAME, HOST, prefixes=(PREFIX,))])
    registered = world.attach()
    gone = update(world.handle(LinkDown(AP0)))
    assert (body(gone).lifetime, options(gone, HomeNetworkPrefix)) == (0, [PREFIX])
    world.accept(registered)
    assert world.bound == {}
    assert world.counters["pba_unmatched"] == 1


def test_a_node_that_is_sent_away_is_told_so() -> None:
    world = World()
    world.register()
    world.attach(OTHER, OTHER_ADDRESS, AP1)
    message = advertisement(world.handle(DetachTriggered(b"", HOST_NAME, op=3)))
    assert (message.router_lifetime, advertised(message)) == (0, {PREFIX.prefix: 0})
    assert of(world.log, Answer) == [Answer(3, {"detached": 1})]


def test_one_interface_of_a_node_goes_and_the_other_stays() -> None:
    world = World()
    world.register()
    world.register(PREFIX_2, node=HOST_SECOND, interface=AP1)
    world.accept(update(world.handle(LinkDown(AP0))))
    assert world.session(HOST) == {}
    assert world.session(HOST_SECOND)["state"] == "registered"
    assert set(world.bound) == {PREFIX_2.prefix}


def test_before_the_daemon_stops_every_node_is_given_up() -> None:
    world = World()
    world.register()
    world.register(PREFIX_2, node=OTHER, interface=AP1)
    done = world.handle(StopRequested())
    assert [body(sent).lifetime for sent in updates(done)] == [0, 0]
    assert [one.message.router_lifetime for one in advertisements(done)] == [0, 0]
    for sent in updates(done):
        world.accept(sent)
    assert world.gateway.peers() == []


# ---- moving between two links of this gateway -------------------------------------------------------------------------


@pytest.mark.requirement("GW-3")
def test_a_node_that_is_heard_on_another_link_has_moved_when_it_does_not_answer_on_its_own() -> None:
    world = World()
    world.register()
    world.link_up(AP1)
    asked = world.hear(interface=AP1)
    assert probes(asked) == [ProbeNode(AP0, HOST, ROUTER, HOST_ADDRESS)]
    assert world.hear(interface=AP1) == []
    done = world.advance(0.7)
    assert world.bound[PREFIX.prefix].access == AP1
    assert [one.interface for one in advertisements(done)] == [AP1]
    told = update(done)
    assert (body(told).lifetime, indicator(told)) == (900, HandoffIndicatorValue.NOT_CHANGED)
    assert of(done, TearDownLink) == [TearDownLink(AP0, HOST)]
    world.accept(told)
    assert (world.session()["interface"], world.session()["state"]) == ("ap1", "registered")
    world.handle(LinkDown(AP0))
    assert world.session()["state"] == "registered"


def test_an_update_that_waited_for_the_node_is_sent_again_from_its_new_link() -> None:
    world = World()
    world.attach()
    world.advance(3.5)  # the node is being looked for, to be registered once more
    world.link_up(AP1)
    world.hear(interface=AP1)
    assert len(updates(world.advance(0.7))) == 1
    assert world.session()["interface"] == "ap1"


def test_a_node_that_still_answers_where_it_was_stays_there() -> None:
    world = World()
    world.register()
    world.link_up(AP1)
    world.hear(interface=AP1)
    done = world.hear(interface=AP0)
    assert any("two links at once" in text for text in said(done))
    assert world.bound[PREFIX.prefix].access == AP0
    assert probes(world.hear(interface=AP1)) != []


def test_a_trigger_moves_a_node_at_once() -> None:
    world = World()
    world.register()
    world.link_up(AP1)
    done = world.handle(AttachTriggered(AP1, HOST))
    assert world.bound[PREFIX.prefix].access == AP1
    assert len(advertisements(done)) == 1


def test_a_node_that_moves_while_it_is_registered_or_bound_is_served_where_it_is() -> None:
    world = World()
    sent = world.attach()
    world.link_up(AP1)
    assert updates(world.handle(AttachTriggered(AP1, HOST))) == []
    world.forwarding_waits = True
    world.accept(sent)
    world.handle(AttachTriggered(AP0, HOST))
    first, second = world.waiting
    assert isinstance(first, Bind)
    assert isinstance(second, Bind)
    assert (first.access, second.access) == (AP1, AP0)
    assert advertisements(world.forward(first)) == []
    assert [one.interface for one in advertisements(world.forward(second))] == [AP0]


def test_a_denied_node_that_moves_is_asked_for_again() -> None:
    world = World()
    world.refuse(world.attach(), Status.ADMINISTRATIVELY_PROHIBITED)
    world.link_up(AP1)
    assert len(updates(world.handle(AttachTriggered(AP1, HOST)))) == 1


def test_a_node_whose_link_goes_down_has_moved_to_where_it_was_heard_already() -> None:
    world = World()
    world.register()
    world.link_up(AP1)
    world.hear(interface=AP1)
    done = world.handle(LinkDown(AP0))
    assert world.bound[PREFIX.prefix].access == AP1
    assert indicator(update(done)) == HandoffIndicatorValue.NOT_CHANGED
    world.accept(update(done))
    assert of(world.advance(10), Unbind) == []


def test_a_node_that_is_sent_away_while_it_may_have_moved_does_not_move() -> None:
    world = World()
    world.register()
    world.link_up(AP1)
    world.hear(interface=AP1)
    assert [body(sent).lifetime for sent in updates(world.handle(DetachTriggered(HOST)))] == [0]


def test_nothing_is_advertised_to_a_node_while_the_data_plane_is_told_of_its_move() -> None:
    world = World()
    world.register()
    world.link_up(AP1)
    world.forwarding_waits = True
    world.handle(AttachTriggered(AP1, HOST))
    assert advertisements(world.advance(5)) == []


def test_a_move_to_a_link_that_has_gone_meanwhile_is_none() -> None:
    world = World()
    world.register()
    world.link_up(AP1)
    world.hear(interface=AP1)
    world.handle(LinkDown(AP1))
    done = world.advance(0.7)
    assert body(update(done)).lifetime == 0
    assert world.bound.get(PREFIX.prefix) is None or world.bound[PREFIX.prefix].access == AP0


# ---- local routing ----------------------------------------------------------------------------------------------------


@pytest.mark.rfc("5213#6.10.3-3", "5213#9.2-3", "5213#9.2-4", "5213#6.10.5-9")
@pytest.mark.parametrize(
    ("everybody", "node", "expected"),
    [(False, None, False), (True, None, True), (False, True, True), (True, False, False)],
)
def test_local_routing_is_the_gateways_flag_unless_the_profile_says_otherwise(
    everybody: bool, node: bool | None, expected: bool
) -> None:
    world = World([NodeProfile(HOST_NAME, HOST, local_routing=node)], local_routing=everybody)
    world.register()
    assert world.bound[PREFIX.prefix].local_routing is expected


# ---- new profiles -----------------------------------------------------------------------------------------------------


def test_new_profiles_take_service_away_give_it_and_leave_the_others_alone() -> None:
    world = World([HOST_PROFILE, NodeProfile(OTHER_NAME, OTHER)])
    world.register()
    world.register(PREFIX_2, node=OTHER, interface=AP1)
    world.hear(UNKNOWN)
    done = world.handle(ProfilesReplaced(GatewayPolicy([HOST_PROFILE, NodeProfile(b"new@example.org", UNKNOWN)]), 4))
    given_up, registered = updates(done)
    assert option(given_up, MobileNodeIdentifier).identifier == OTHER_NAME
    assert body(given_up).lifetime == 0
    assert option(registered, MobileNodeIdentifier).identifier == b"new@example.org"
    assert world.session(HOST)["state"] == "registered"
    assert of(done, Answer) == [Answer(4, {"attached": 2})]


def test_a_node_whose_anchor_has_changed_is_registered_there() -> None:
    world = World([HOST_PROFILE])
    world.register()
    done = world.handle(ProfilesReplaced(GatewayPolicy([NodeProfile(HOST_NAME, HOST, anchor=OTHER_ANCHOR)])))
    first, second = updates(done)
    assert (body(first).lifetime, first.destination) == (0, world.settings.anchor)
    assert (body(second).lifetime, second.destination) == (900, OTHER_ANCHOR)
    assert world.bound == {}


def test_a_node_that_a_trigger_named_keeps_its_name() -> None:
    patterns = [NodeProfile(b"*@example.org")]
    world = World(patterns)
    world.link_up()
    world.accept(update(world.handle(AttachTriggered(AP0, HOST, b"guest@example.org"))))
    assert updates(world.handle(ProfilesReplaced(GatewayPolicy(patterns)))) == []
    done = world.handle(ProfilesReplaced(GatewayPolicy([NodeProfile(b"*@example.org", access_technology=4)])))
    assert [body(sent).lifetime for sent in updates(done)] == [0, 900]


def test_profiles_that_no_longer_entitle_end_the_service() -> None:
    world = World(PROFILES)
    world.register()
    world.handle(ProfilesReplaced(GatewayPolicy([NodeProfile(HOST_NAME, HOST, proxy_mobility=False)])))
    assert world.session()["reason"] == "not_entitled"
