# SPDX-License-Identifier: Apache-2.0
"""Binding revocation at the gateway: RFC 5846 sections 5, 6 and 9."""

from __future__ import annotations

from typing import Any

import pytest

from halma.engine.api import Answer, MessageReceived, Send, Unbind
from halma.engine.gateway_api import AnchorRevocationRequested, LinkDown, NodeProfile, RetryRequested
from halma.wire.messages import BindingError, BindingRevocationAcknowledgement, BindingRevocationIndication
from halma.wire.numbers import RevocationFlag, RevocationStatus, RevocationTrigger
from halma.wire.options import AlternateCareOfAddress, Ipv4HomeAddressRequest, UnknownOption
from halma.wire.optionspace import Option
from tests.engine.gateway_world import (
    ANCHOR,
    AP0,
    AP1,
    GATEWAY,
    HOST,
    HOST_NAME,
    HOST_SECOND,
    OTHER,
    OTHER_ANCHOR,
    OTHER_NAME,
    PREFIX,
    PREFIX_2,
    PREFIX_3,
    STRANGER,
    HomeNetworkPrefix,
    MobileNodeIdentifier,
    World,
    advertised,
    advertisement,
    advertisements,
    of,
    options,
    probes,
    said,
    update,
    updates,
)

P, V, G = RevocationFlag.PROXY_BINDING, RevocationFlag.IPV4_HOME_ADDRESS_BINDING_ONLY, RevocationFlag.GLOBAL
TRIGGER, STATUS = RevocationTrigger, RevocationStatus
NODE = MobileNodeIdentifier(1, HOST_NAME)


def indication(
    *options: Option, trigger: int = TRIGGER.ADMINISTRATIVE_REASON, flags: int = P, sequence: int = 77, source: bytes = ANCHOR
) -> MessageReceived:
    return MessageReceived(source, GATEWAY, BindingRevocationIndication(trigger, sequence, flags, options))


def acknowledgements(effects: list[Any]) -> list[Send]:
    return [one for one in of(effects, Send) if isinstance(one.message, BindingRevocationAcknowledgement)]


def acknowledgement(effects: list[Any]) -> BindingRevocationAcknowledgement:
    (sent,) = acknowledgements(effects)
    assert (sent.source, sent.destination) == (GATEWAY, ANCHOR)
    assert isinstance(sent.message, BindingRevocationAcknowledgement)
    return sent.message


def two_nodes() -> World:
    world = World(presence_interval=0)
    world.register(PREFIX)
    world.register(PREFIX_2, node=OTHER, interface=AP1)
    return world


# ---- one node --------------------------------------------------------------------------------------------------------------


@pytest.mark.rfc(
    "5846#6.1.2-1",
    "5846#6.1.2-3",
    "5846#6.1.2-6",
    "5846#6.1.2-7",
    "5846#6.1.2-8",
    "5846#6.1.2-9",
    "5846#6.2.1-1",
    "5846#9.1-16",
    "5846#5.2-1",
)
def test_a_revoked_node_is_served_no_longer_and_the_anchor_is_told() -> None:
    world = two_nodes()
    done = world.handle(indication(NODE))
    assert acknowledgement(done) == BindingRevocationAcknowledgement(STATUS.SUCCESS, 77, P, ())
    assert [one.prefix for one in of(done, Unbind)] == [PREFIX.prefix]
    assert (advertisement(done).router_lifetime, advertised(advertisement(done))) == (0, {PREFIX.prefix: 0})
    assert updates(done) == []  # the anchor knows: nothing is left to be given up
    assert (world.session()["state"], world.session()["reason"]) == ("denied", "revoked")
    assert world.session(OTHER)["state"] == "registered"
    assert updates(world.solicit() + world.advance(100) + world.hear()) == []
    world.handle(LinkDown(AP0))
    assert len(updates(world.link_up() + world.hear())) == 1  # a new attachment is a new session


def test_the_operator_can_have_a_revoked_node_registered_again() -> None:
    world = two_nodes()
    world.handle(indication(NODE))
    assert len(updates(world.handle(RetryRequested(HOST_NAME)))) == 1


def test_prefixes_say_which_of_a_nodes_sessions_is_meant() -> None:
    world = World()
    world.register(PREFIX)
    world.register(PREFIX_2, node=HOST_SECOND, interface=AP1)
    assert acknowledgement(world.handle(indication(NODE, PREFIX_2))).status == STATUS.SUCCESS
    assert world.session(HOST)["state"] == "registered"
    assert world.session(HOST_SECOND)["state"] == "denied"


def test_without_prefixes_all_of_a_nodes_sessions_are_meant() -> None:
    world = World()
    world.register(PREFIX)
    world.register(PREFIX_2, node=HOST_SECOND, interface=AP1)
    assert acknowledgement(world.handle(indication(NODE))).status == STATUS.SUCCESS
    assert world.bound == {}


@pytest.mark.rfc("5846#9.1-14", "5846#5.2-4")
def test_a_prefix_that_was_released_before_makes_it_a_partial_success() -> None:
    world = two_nodes()
    message = acknowledgement(world.handle(indication(NODE, PREFIX, PREFIX_3)))
    assert (message.status, message.options) == (STATUS.PARTIAL_SUCCESS, (NODE, PREFIX_3))
    assert set(world.bound) == {PREFIX_2.prefix}


@pytest.mark.rfc("5846#6.2.1-4", "5846#6.1.2-4")
@pytest.mark.parametrize(
    "named",
    [
        (MobileNodeIdentifier(1, b"nobody@example.org"),),
        (NODE, PREFIX_3),
        (PREFIX,),
        (),
        (MobileNodeIdentifier(2, HOST_NAME),),
        (NODE, AlternateCareOfAddress(STRANGER)),
    ],
)
def test_a_binding_that_cannot_be_identified_does_not_exist(named: tuple[Option, ...]) -> None:
    world = two_nodes()
    assert acknowledgement(world.handle(indication(*named))).status == STATUS.BINDING_DOES_NOT_EXIST
    assert len(world.bound) == 2


def test_a_binding_of_mobile_ipv6_is_none_of_ours() -> None:
    world = two_nodes()
    message = acknowledgement(world.handle(indication(NODE, flags=0)))
    assert (message.status, message.flags) == (STATUS.BINDING_DOES_NOT_EXIST, 0)


def test_an_anchor_revokes_its_own_sessions_only() -> None:
    world = World([NodeProfile(HOST_NAME, HOST), NodeProfile(OTHER_NAME, OTHER, anchor=OTHER_ANCHOR)])
    world.register(PREFIX)
    world.register(PREFIX_2, node=OTHER, interface=AP1)
    message = acknowledgement(world.handle(indication(MobileNodeIdentifier(1, OTHER_NAME))))
    assert message.status == STATUS.BINDING_DOES_NOT_EXIST
    assert len(world.bound) == 2


@pytest.mark.rfc("5846#5.1-3")
def test_options_that_nobody_knows_and_the_gateways_own_address_change_nothing() -> None:
    world = two_nodes()
    message = acknowledgement(world.handle(indication(UnknownOption(200, b"x"), NODE, AlternateCareOfAddress(GATEWAY))))
    assert message.status == STATUS.SUCCESS


def test_an_anchor_that_is_out_of_step_gets_the_node_registered_anew() -> None:
    world = two_nodes()
    done = world.handle(indication(NODE, trigger=TRIGGER.POSSIBLE_OUT_OF_SYNC_BCE_STATE))
    assert acknowledgement(done).status == STATUS.SUCCESS
    assert of(done, Unbind) != []
    world.accept(update(done))
    assert world.session()["state"] == "registered"


def test_a_session_that_is_being_given_up_is_revoked_as_well() -> None:
    world = two_nodes()
    world.handle(LinkDown(AP0))
    trigger = TRIGGER.POSSIBLE_OUT_OF_SYNC_BCE_STATE
    done = world.handle(indication(NODE, trigger=trigger))
    assert acknowledgement(done).status == STATUS.SUCCESS
    assert updates(done) == []
    assert world.session() == {}


# ---- the same again, nobody's, and what makes no sense -----------------------------------------------------------------------


def test_an_indication_that_comes_again_gets_the_same_answer() -> None:
    world = two_nodes()
    first = acknowledgement(world.handle(indication(NODE)))
    world.advance(2)
    assert acknowledgement(world.handle(indication(NODE))) == first
    assert acknowledgement(world.handle(indication(NODE, sequence=78))).status == STATUS.BINDING_DOES_NOT_EXIST
    world.advance(20)
    assert acknowledgement(world.handle(indication(NODE))).status == STATUS.BINDING_DOES_NOT_EXIST


def test_another_indication_under_the_same_number_is_another() -> None:
    world = two_nodes()
    world.handle(indication(NODE))
    assert acknowledgement(world.handle(indication(MobileNodeIdentifier(1, OTHER_NAME)))).status == STATUS.SUCCESS


def test_the_memory_of_answers_is_bounded() -> None:
    world = two_nodes()
    for sequence in range(400):
        world.handle(indication(MobileNodeIdentifier(1, b"nobody"), sequence=sequence))
    assert world.counters["bra_sent_128"] == 400
    world.handle(indication(MobileNodeIdentifier(1, b"nobody"), sequence=0))
    assert world.counters["bra_sent_128"] == 401  # the first answer was forgotten


@pytest.mark.rfc("5846#6.1.2-2", "5846#6.1.2-5")
@pytest.mark.parametrize("source", [STRANGER, bytes.fromhex("ff020000000000000000000000000001"), bytes(16)])
def test_what_does_not_come_from_an_anchor_of_ours_is_dropped_without_a_word(source: bytes) -> None:
    world = two_nodes()
    assert acknowledgements(world.handle(indication(NODE, source=source))) == []
    assert len(world.bound) == 2


@pytest.mark.rfc("5846#6.2.1-2")
@pytest.mark.parametrize(("trigger", "flags"), [(8, P), (127, P), (130, P | G), (250, P), (255, P | G)])
def test_a_trigger_that_is_not_known_is_refused(trigger: int, flags: int) -> None:
    world = two_nodes()
    message = acknowledgement(world.handle(indication(NODE, trigger=trigger, flags=flags)))
    assert (message.status, message.flags) == (STATUS.REVOCATION_TRIGGER_NOT_SUPPORTED, flags)


@pytest.mark.rfc("5846#6.2.1-3", "5846#6.1.2-10")
@pytest.mark.parametrize(
    ("trigger", "flags"),
    [
        (TRIGGER.ADMINISTRATIVE_REASON, P | G),
        (TRIGGER.PER_PEER_POLICY, P),
        (TRIGGER.REVOKING_MOBILITY_NODE_LOCAL_POLICY, P),
    ],
)
def test_a_trigger_that_does_not_go_with_the_scope_is_refused(trigger: int, flags: int) -> None:
    world = two_nodes()
    message = acknowledgement(world.handle(indication(NODE, trigger=trigger, flags=flags)))
    assert (message.status, message.flags) == (STATUS.REVOCATION_FUNCTION_NOT_SUPPORTED, flags)
    assert len(world.bound) == 2


# ---- a node that has moved on -----------------------------------------------------------------------------------------------


@pytest.mark.rfc("5846#9.1-7")
@pytest.mark.parametrize(
    "trigger",
    [TRIGGER.INTER_MAG_HANDOVER_SAME, TRIGGER.INTER_MAG_HANDOVER_DIFFERENT, TRIGGER.INTER_MAG_HANDOVER_UNKNOWN],
)
def test_a_node_that_has_moved_on_is_let_go_after_a_look(trigger: int) -> None:
    world = two_nodes()
    asked = world.handle(indication(NODE, trigger=trigger))
    assert len(probes(asked)) == 1
    assert acknowledgements(asked) == []
    assert world.handle(indication(NODE, trigger=trigger)) == []  # asked again meanwhile
    done = world.advance(0.9)
    assert acknowledgement(done).status == STATUS.SUCCESS
    assert updates(done) == []
    assert world.session() == {}


@pytest.mark.rfc("5846#9.1-8", "5846#6.1.2-4")
def test_a_node_that_is_still_here_is_not_let_go() -> None:
    world = two_nodes()
    world.handle(indication(NODE, trigger=TRIGGER.INTER_MAG_HANDOVER_UNKNOWN))
    assert acknowledgement(world.hear()).status == STATUS.REVOCATION_FAILED_MN_IS_ATTACHED
    assert world.session()["state"] == "registered"


def test_of_two_sessions_one_still_here_is_enough_to_refuse() -> None:
    world = World(presence_interval=0)
    world.register(PREFIX)
    world.register(PREFIX_2, node=HOST_SECOND, interface=AP1)
    world.handle(indication(NODE, trigger=TRIGGER.INTER_MAG_HANDOVER_UNKNOWN))
    assert acknowledgement(world.hear(HOST_SECOND, interface=AP1)).status == STATUS.REVOCATION_FAILED_MN_IS_ATTACHED
    done = world.advance(0.9)
    assert acknowledgements(done) == []
    assert len(updates(done)) == 1  # the other was found to have gone, and is given up in the usual way


def test_of_two_sessions_both_gone_are_let_go_and_a_late_sign_of_life_changes_nothing() -> None:
    world = World(presence_interval=0)
    world.register(PREFIX)
    world.register(PREFIX_2, node=HOST_SECOND, interface=AP1)
    world.handle(indication(NODE, trigger=TRIGGER.INTER_MAG_HANDOVER_UNKNOWN))
    assert acknowledgement(world.advance(0.9)).status == STATUS.SUCCESS
    assert acknowledgements(world.hear()) == []


def test_two_sessions_on_two_links_answer_in_turn_and_are_refused_once() -> None:
    world = World(presence_interval=0)
    world.register(PREFIX)
    world.register(PREFIX_2, node=HOST_SECOND, interface=AP1)
    world.handle(indication(NODE, trigger=TRIGGER.INTER_MAG_HANDOVER_UNKNOWN))
    assert len(acknowledgements(world.hear() + world.hear(HOST_SECOND, interface=AP1))) == 1


@pytest.mark.rfc("5846#9.1-7")
def test_a_node_that_leaves_while_it_is_looked_for_is_let_go() -> None:
    world = two_nodes()
    world.handle(indication(NODE, trigger=TRIGGER.INTER_MAG_HANDOVER_UNKNOWN))
    done = world.handle(LinkDown(AP0))
    assert acknowledgement(done).status == STATUS.SUCCESS
    assert updates(done) == []
    assert world.session() == {}


def test_sessions_that_are_given_up_while_the_others_are_looked_for_are_let_go_with_them() -> None:
    world = World(presence_interval=0)
    world.register(PREFIX)
    world.register(PREFIX_2, node=HOST_SECOND, interface=AP1)
    world.handle(indication(NODE, trigger=TRIGGER.INTER_MAG_HANDOVER_UNKNOWN))
    world.accept(update(world.handle(LinkDown(AP1))))
    assert acknowledgement(world.advance(0.9)).status == STATUS.SUCCESS


def test_a_revocation_that_comes_while_the_node_is_looked_for_ends_the_refresh() -> None:
    world = two_nodes()
    world.advance(2400)
    world.handle(indication(NODE))
    assert updates(world.hear()) == []


def test_a_revocation_that_comes_while_the_data_plane_is_told_ends_the_binding() -> None:
    world = World()
    world.forwarding_waits = True
    world.register()
    world.handle(indication(NODE))
    bind, unbind = world.waiting
    world.forwarding_errors = [28]
    assert advertisements(world.forward(bind) + world.forward(unbind)) == []
    assert world.counters["unbind_failed"] == 1


@pytest.mark.rfc("5846#9.1-7")
def test_a_node_whose_link_is_down_is_let_go_at_once() -> None:
    world = two_nodes()
    world.handle(LinkDown(AP0))
    done = world.handle(indication(NODE, trigger=TRIGGER.INTER_MAG_HANDOVER_UNKNOWN))
    assert acknowledgement(done).status == STATUS.SUCCESS


# ---- many nodes -------------------------------------------------------------------------------------------------------------


@pytest.mark.rfc("5846#9.1-1", "5846#9.1-2", "5846#6.1.2-10")
def test_all_sessions_of_a_peer_go_at_once() -> None:
    world = two_nodes()
    done = world.handle(indication(trigger=TRIGGER.PER_PEER_POLICY, flags=P | G))
    message = acknowledgement(done)
    assert (message.status, message.flags) == (STATUS.SUCCESS, P | G)
    assert world.bound == {}
    assert len(advertisements(done)) == 2


@pytest.mark.rfc("5846#9.1-1")
@pytest.mark.parametrize(("flags", "named"), [(G, ()), (P | G, (NODE,))])
def test_all_sessions_of_a_peer_stay_when_the_message_is_not_formed_so(flags: int, named: tuple[Option, ...]) -> None:
    world = two_nodes()
    message = acknowledgement(world.handle(indication(*named, trigger=TRIGGER.PER_PEER_POLICY, flags=flags)))
    assert message.status == STATUS.REVOCATION_FUNCTION_NOT_SUPPORTED
    assert len(world.bound) == 2


LOCAL_POLICY = TRIGGER.REVOKING_MOBILITY_NODE_LOCAL_POLICY


@pytest.mark.rfc("5846#9.1-3", "5846#9.1-4")
@pytest.mark.parametrize(
    ("named", "left"),
    [
        ((MobileNodeIdentifier(1, b"@example.org"),), {PREFIX_3.prefix}),
        ((MobileNodeIdentifier(1, HOST_NAME),), {PREFIX_2.prefix, PREFIX_3.prefix}),
        ((MobileNodeIdentifier(1, b"@example.org"), PREFIX_2), {PREFIX.prefix, PREFIX_3.prefix}),
    ],
)
def test_the_sessions_of_a_realm_go_at_once(named: tuple[Option, ...], left: set[bytes]) -> None:
    foreign = NodeProfile(b"guest@sub.example.org", HOST_SECOND)
    world = World([NodeProfile(HOST_NAME, HOST), NodeProfile(OTHER_NAME, OTHER), foreign], presence_interval=0)
    world.register(PREFIX)
    world.register(PREFIX_2, node=OTHER, interface=AP1)
    world.register(PREFIX_3, node=HOST_SECOND, interface=AP1 + 1)
    message = acknowledgement(world.handle(indication(*named, trigger=LOCAL_POLICY, flags=P | G)))
    assert message.status == STATUS.SUCCESS
    assert set(world.bound) == left


@pytest.mark.rfc("5846#9.1-5", "5846#9.1-6")
@pytest.mark.parametrize(
    "named",
    [
        (),
        (PREFIX,),
        (MobileNodeIdentifier(3, b"@example.org"),),
        (MobileNodeIdentifier(1, b"@example.net"),),
        (MobileNodeIdentifier(1, b"@example.org"), AlternateCareOfAddress(STRANGER)),
    ],
)
def test_a_realm_that_names_nobody_is_refused(named: tuple[Option, ...]) -> None:
    world = two_nodes()
    message = acknowledgement(world.handle(indication(*named, trigger=LOCAL_POLICY, flags=P | G)))
    assert message.status == STATUS.REVOKED_MOBILE_NODES_IDENTITY_REQUIRED
    assert len(world.bound) == 2


@pytest.mark.rfc("5846#9.1-3")
def test_a_realm_without_the_proxy_flag_is_refused() -> None:
    world = two_nodes()
    named = MobileNodeIdentifier(1, b"@example.org")
    message = acknowledgement(world.handle(indication(named, trigger=LOCAL_POLICY, flags=G)))
    assert message.status == STATUS.REVOCATION_FUNCTION_NOT_SUPPORTED


# ---- IPv4 -------------------------------------------------------------------------------------------------------------------


@pytest.mark.rfc("5846#9.1-9", "5846#9.1-13", "5846#6.1.2-11")
@pytest.mark.parametrize("identifier", [HOST_NAME, b"nobody@example.org"])
def test_an_ipv4_home_address_that_no_node_has_does_not_exist(identifier: bytes) -> None:
    world = two_nodes()
    named = (MobileNodeIdentifier(1, identifier), Ipv4HomeAddressRequest(32 << 2, bytes([192, 0, 2, 1])))
    message = acknowledgement(world.handle(indication(*named, flags=P | V)))
    assert (message.status, message.flags) == (STATUS.BINDING_DOES_NOT_EXIST, P | V)
    assert len(world.bound) == 2


def test_an_ipv4_revocation_without_the_address_is_refused() -> None:
    world = two_nodes()
    message = acknowledgement(world.handle(indication(NODE, flags=P | V)))
    assert message.status == STATUS.IPV4_HOME_ADDRESS_OPTION_REQUIRED


# ---- the gateway revokes (section 9.2) --------------------------------------------------------------------------------------


def indications(effects: list[Any]) -> list[Send]:
    return [one for one in of(effects, Send) if isinstance(one.message, BindingRevocationIndication)]


def acknowledge(sent: Send, status: int, source: bytes = ANCHOR, offset: int = 0) -> MessageReceived:
    assert isinstance(sent.message, BindingRevocationIndication)
    sequence = sent.message.sequence + offset
    return MessageReceived(source, GATEWAY, BindingRevocationAcknowledgement(status, sequence, sent.message.flags, ()))


@pytest.mark.rfc(
    "5846#6.1.1-1",
    "5846#6.1.1-2",
    "5846#6.1.1-3",
    "5846#6.1.1-4",
    "5846#6.1.1-5",
    "5846#5.1-6",
    "5846#5.1-7",
    "5846#9.2-1",
    "5846#9.2-2",
    "5846#9.2-3",
    "5846#6.2.2-3",
)
def test_the_operator_ends_all_sessions_with_an_anchor() -> None:
    world = two_nodes()
    done = world.handle(AnchorRevocationRequested(ANCHOR, 3))
    (sent,) = indications(done)
    assert (sent.source, sent.destination) == (GATEWAY, ANCHOR)
    message = sent.message
    assert isinstance(message, BindingRevocationIndication)
    assert (message.trigger, message.flags) == (TRIGGER.PER_PEER_POLICY, P | G)
    assert message.options == (MobileNodeIdentifier(1, b"mag1@example.org"),)
    assert of(done, Answer) == [Answer(3, {"sent": True})]
    assert len(world.bound) == 2
    world.handle(acknowledge(sent, STATUS.SUCCESS))
    assert world.bound == {}
    assert world.session()["reason"] == "revoked"
    assert indications(world.advance(10)) == []


@pytest.mark.rfc("5846#5.1-1")
def test_only_one_revocation_of_an_anchor_is_under_way() -> None:
    world = two_nodes()
    world.handle(AnchorRevocationRequested(ANCHOR))
    again = world.handle(AnchorRevocationRequested(ANCHOR, 4))
    assert again == [Answer(4, {"error": "a revocation is under way already"})]


@pytest.mark.rfc("5846#6.2.2-1", "5846#6.2.2-2")
def test_acknowledgements_of_nothing_are_dropped() -> None:
    world = two_nodes()
    (sent,) = indications(world.handle(AnchorRevocationRequested(ANCHOR)))
    world.handle(acknowledge(sent, STATUS.SUCCESS, offset=1), acknowledge(sent, STATUS.SUCCESS, source=STRANGER))
    assert world.counters["bra_unmatched"] == 2
    assert len(world.bound) == 2


@pytest.mark.rfc("5846#6.3-1", "5846#6.3-2", "5846#6.3-4", "5846#9.2-7", "5846#11-1")
def test_an_unanswered_revocation_is_sent_again_and_then_carried_out_here() -> None:
    world = two_nodes()
    (first,) = indications(world.handle(AnchorRevocationRequested(ANCHOR)))
    assert indications(world.advance(0.99)) == []
    (again,) = indications(world.advance(0.02))
    assert again == first
    assert len(world.bound) == 2
    done = world.advance(2.0)
    assert indications(done) == []
    assert world.bound == {}
    assert any("does not acknowledge" in text for text in said(done))


@pytest.mark.rfc("5846#6.2.2-4", "5846#9.2-9")
def test_an_anchor_that_does_not_allow_it_is_not_asked_again() -> None:
    world = two_nodes()
    (sent,) = indications(world.handle(AnchorRevocationRequested(ANCHOR)))
    done = world.handle(acknowledge(sent, STATUS.GLOBAL_REVOCATION_NOT_AUTHORIZED))
    assert any("GLOBAL_REVOCATION_NOT_AUTHORIZED" in text for text in said(done))
    assert len(world.bound) == 2
    refused = world.handle(AnchorRevocationRequested(ANCHOR, 5))
    assert refused == [Answer(5, {"error": "the anchor has refused global revocation before"})]


def test_an_anchor_that_refuses_for_another_reason_may_be_asked_again() -> None:
    world = two_nodes()
    (sent,) = indications(world.handle(AnchorRevocationRequested(ANCHOR)))
    world.handle(acknowledge(sent, STATUS.REVOCATION_FUNCTION_NOT_SUPPORTED))
    assert len(indications(world.handle(AnchorRevocationRequested(ANCHOR)))) == 1


def test_an_anchor_that_does_not_know_revocation_is_not_waited_for() -> None:
    world = two_nodes()
    world.handle(AnchorRevocationRequested(ANCHOR))
    world.handle(MessageReceived(ANCHOR, GATEWAY, BindingError(2, bytes(16), ())))
    assert indications(world.advance(10)) == []
    assert len(world.bound) == 2


def test_after_a_revocation_any_prefix_is_asked_for() -> None:
    """The old prefix is not the node's any more."""
    world = two_nodes()
    world.handle(indication(NODE))
    sent = update(world.handle(RetryRequested(HOST_NAME)))
    assert options(sent, HomeNetworkPrefix) == [HomeNetworkPrefix(0, bytes(16))]
