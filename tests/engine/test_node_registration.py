# SPDX-License-Identifier: Apache-2.0
"""Binding Updates of a mobile node and what it makes of the answers: RFC 6275 sections 11.7.1, 11.7.3 and 11.8, RFC 4285."""

from __future__ import annotations

from typing import Any

import pytest

from halma.engine.api import Association, Assurance, Bind, Protection, Report, Send, Severity, Tunnel, sentence
from halma.engine.node_api import (
    ConfigureAddress,
    HomePath,
    LinkUp,
    Remember,
    RemoveAddress,
    RetryRequested,
    SendIcmp,
    SetHomePath,
    Started,
)
from halma.engine.node_binding import REFUSALS
from halma.wire.messages import BindingUpdate
from halma.wire.numbers import BindingUpdateFlag, Status
from halma.wire.options import (
    AlternateCareOfAddress,
    BindingRefreshAdvice,
    MobileNodeIdentifier,
    MobilityMessageReplayProtection,
)
from halma.wire.timestamp import to_ntp
from tests.engine.mobile import (
    AGENT,
    CARE_OF,
    ELSEWHERE,
    HOME,
    HOME_PREFIX,
    HOME_ROUTER,
    IDENTIFIER,
    KEY,
    NODE,
    OTHER_CARE_OF,
    SECOND_AGENT,
    SECOND_MAC,
    SECOND_ROUTER,
    Mobile,
    of,
    reasons,
    updates,
)


def update(sent: Send) -> BindingUpdate:
    assert isinstance(sent.message, BindingUpdate)
    return sent.message


def timestamp(sent: Send) -> int:
    (stamp,) = (o.timestamp for o in update(sent).options if isinstance(o, MobilityMessageReplayProtection))
    return stamp


def arrive(**changes: Any) -> tuple[Mobile, Send]:
    """A node that has sent its first update."""
    node = Mobile(**changes)
    node.give(LinkUp())
    (sent,) = updates(node.advertise())
    return node, sent


def moved(node: Mobile) -> Send:
    """The update after a move to the other foreign link."""
    (sent,) = updates([*node.replug(), *node.advertise(ELSEWHERE, SECOND_ROUTER, SECOND_MAC)])
    return sent


@pytest.mark.rfc(
    "6275#8.5-1", "6275#8.5-2", "6275#8.5-10", "6275#11.1-1", "6275#11.5.4-3", "6275#11.5.4-4", "6275#11.7.1-1",
    "6275#11.7.1-2", "6275#11.7.1-3", "6275#11.7.1-4", "6275#11.7.1-5", "6275#11.7.1-6", "6275#11.7.1-8",
    "6275#11.7.1-10", "6275#11.7.1-11", "6275#11.7.1-16", "6275#11.7.1-17", "6275#11.3.1-11", "4283#1-1", "4283#3.1-1",
    "4283#3.2-1", "4285#4-1", "4285#5.1.1-1", "4285#6-6",
)  # fmt: skip
@pytest.mark.requirement("MN-1", "MN-2")
def test_a_foreign_link_brings_a_care_of_address_and_an_update() -> None:
    node = Mobile()
    node.give(LinkUp())
    effects = node.advertise()
    assert ConfigureAddress(CARE_OF) in effects
    (sent,) = updates(effects)
    assert (sent.source, sent.destination, sent.home_address, sent.association) == (CARE_OF, AGENT, HOME, KEY)
    message = update(sent)
    assert message.flags == BindingUpdateFlag.ACKNOWLEDGE | BindingUpdateFlag.HOME_REGISTRATION
    assert message.lifetime == 100
    alternate, identifier, replay = message.options
    assert alternate == AlternateCareOfAddress(CARE_OF)
    assert identifier == MobileNodeIdentifier(1, NODE)
    assert isinstance(replay, MobilityMessageReplayProtection)
    assert abs(replay.timestamp - to_ntp(node.now.wall)) < 1 << 12
    assert node.tunnel() is None
    assert node.path() is HomePath.TUNNEL
    node.acknowledge(sent)
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)
    assert node.row["state"] == "registered"


@pytest.mark.rfc("6275#11.7.1-7")
def test_the_link_local_address_is_to_be_defended_where_it_has_the_same_identifier() -> None:
    home = HOME[:8] + IDENTIFIER
    _, sent = arrive(home_address=home)
    assert update(sent).flags & BindingUpdateFlag.LINK_LOCAL_ADDRESS_COMPATIBILITY


@pytest.mark.rfc("6275#11.7.1-11", "6275#11.4.2-6")
def test_a_registration_lasts_no_longer_than_the_care_of_address() -> None:
    node = Mobile(lifetime=4000)
    node.give(LinkUp())
    (sent,) = updates(node.advertise(valid=100, preferred=100))
    assert update(sent).lifetime == 25


@pytest.mark.rfc("6275#11.7.1-13", "6275#11.8-2", "6275#11.8-3", "6275#11.8-4", "6275#11.8-8", "6275#11.7.1-15", "6275#11.8-5")
def test_an_unanswered_first_update_is_sent_again_ever_more_slowly() -> None:
    node, sent = arrive()
    began, first = node.time, update(sent).sequence
    times, stamps = [], [timestamp(sent)]
    while node.time < began + 200:
        for again in updates(node.advance(0.25)):
            times.append(node.time - began)
            stamps.append(timestamp(again))
            assert update(again).sequence == (first + len(times)) & 0xFFFF
    assert times[:6] == [1.5, 4.5, 10.5, 22.5, 46.5, 78.5]
    assert times[6] - times[5] == 32
    assert stamps == sorted(set(stamps))
    assert node.tunnel() is None


@pytest.mark.rfc("6275#11.8-2", "6275#11.8-6")
def test_with_a_binding_the_first_wait_is_a_second() -> None:
    node = Mobile().abroad()
    moved(node)
    assert not updates(node.advance(0.9))
    (again,) = updates(node.advance(0.2))
    assert again.source == OTHER_CARE_OF


def test_the_operator_hears_of_silence_once() -> None:
    node, _ = arrive()
    assert reasons(node.advance(300)).count("no_acknowledgement") == 1


@pytest.mark.rfc("6275#11.5.3-3", "6275#11.8-7")
def test_no_more_than_three_updates_leave_within_a_second() -> None:
    node, _ = arrive()
    times = [node.time]
    for step in range(12):
        node.time += 0.05
        prefix = bytes.fromhex("20010db8bb") + bytes([step]) + bytes(10)
        effects = [*node.replug(), *node.advertise(prefix, SECOND_ROUTER, SECOND_MAC)]
        times += [node.time for _ in updates(effects)]
    while node.time < 5010:
        times += [node.time for _ in updates(node.advance(0.01))]
    assert len(times) > 4
    assert all(late - early >= 1.0 for early, late in zip(times, times[3:], strict=False))


@pytest.mark.rfc("6275#11.7.3-6", "6275#11.7.3-7", "6275#11.7.3-8", "6275#11.1-3")
def test_the_lifetime_granted_counts_from_the_update_that_is_answered() -> None:
    node, sent = arrive()
    node.acknowledge(sent, lifetime=50, delay=1.0)
    assert node.row["lifetime_seconds"] == 200
    assert node.row["remaining_seconds"] == pytest.approx(199)
    assert not updates(node.advance(148.9))
    (refresh,) = updates(node.advance(0.2))
    assert update(refresh).lifetime == 100
    node.acknowledge(refresh)
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)


@pytest.mark.rfc("6275#11.1-3")
def test_a_registration_that_is_never_refreshed_ends() -> None:
    node = Mobile().abroad()
    node.advance(399.9)
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)
    assert "expired" in reasons(node.advance(0.2))
    assert node.tunnel() is None
    assert updates(node.advance(40))


@pytest.mark.rfc("6275#11.7.3-14")
def test_the_home_agent_may_advise_an_earlier_refresh() -> None:
    node, sent = arrive()
    replay = MobilityMessageReplayProtection(timestamp(sent))
    node.acknowledge(sent, options=(BindingRefreshAdvice(10), replay))
    assert not updates(node.advance(39))
    assert len(updates(node.advance(1.1))) == 1


@pytest.mark.rfc("6275#11.7.3-1", "6275#11.7.3-4", "6275#8.5-11", "4285#5.1.1-3", "4285#6-14")
@pytest.mark.parametrize(
    "wrong",
    [
        {"source": SECOND_AGENT},
        {"destination": OTHER_CARE_OF},
        {"home_address": b""},
        {"home_address": CARE_OF},
        {"sequence": 77},
        {"protection": Protection(Assurance.NONE)},
        {"protection": Protection(Assurance.FAILED, KEY)},
        {"protection": Protection(Assurance.UNKNOWN)},
        {"protection": Protection(Assurance.VALID, Association(8, NODE))},
        {"options": ()},
        {"options": (MobilityMessageReplayProtection(1),)},
    ],
)
def test_an_acknowledgement_that_fails_a_test_is_ignored(wrong: dict[str, Any]) -> None:
    node, sent = arrive()
    node.acknowledge(sent, **wrong)
    assert node.tunnel() is None
    assert node.engine.describe_counters()["acknowledgements_ignored"] == 1
    node.acknowledge(sent)
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)


def test_any_of_the_last_transmissions_may_be_answered() -> None:
    node, sent = arrive()
    node.advance(12)
    node.acknowledge(sent)
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)


def test_an_answer_to_an_update_from_another_place_counts_no_more() -> None:
    node, sent = arrive()
    moved(node)
    node.acknowledge(sent)
    assert node.tunnel() is None


@pytest.mark.rfc("6275#11.7.3-9", "6275#11.7.1-19", "6275#11.1-4")
def test_the_home_agents_sequence_number_is_taken_over() -> None:
    node, sent = arrive()
    (again,) = updates(node.acknowledge(sent, Status.SEQUENCE_NUMBER_OUT_OF_WINDOW, sequence=0xFFFF))
    assert update(again).sequence == 0
    assert node.noted() == (0, AGENT, 400.0)
    node.acknowledge(again)
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)


@pytest.mark.rfc("6275#11.7.3-10")
def test_an_unauthentic_sequence_number_is_not_taken_over() -> None:
    node, sent = arrive()
    status = Status.SEQUENCE_NUMBER_OUT_OF_WINDOW
    assert not updates(node.acknowledge(sent, status, sequence=500, protection=Protection(Assurance.NONE)))
    assert not updates(node.acknowledge(sent, status, sequence=500, options=(MobilityMessageReplayProtection(5),)))
    (again,) = updates(node.advance(1.6))
    assert update(again).sequence == update(sent).sequence + 1


def test_a_home_agent_that_is_never_satisfied_is_asked_at_a_measured_pace() -> None:
    node, sent = arrive()
    count, last = 0, sent
    for _ in range(6):
        effects = node.acknowledge(last, Status.SEQUENCE_NUMBER_OUT_OF_WINDOW, sequence=update(last).sequence)
        effects += [] if updates(effects) else node.advance(1.0)
        if not updates(effects):
            break
        (last,) = updates(effects)
        count += 1
    assert count < 6


@pytest.mark.rfc("4285#6-12", "4285#6-13", "4285#6-8")
def test_a_wrong_clock_is_put_right_by_the_home_agent() -> None:
    node, sent = arrive()
    stamp = timestamp(sent)
    theirs = ((stamp >> 32) + 3600) << 32 | (stamp & 0xFFFFFFFF)
    replay = (MobilityMessageReplayProtection(theirs),)
    (again,) = updates(node.acknowledge(sent, Status.MIPV6_ID_MISMATCH, options=replay))
    assert timestamp(again) >> 32 == to_ntp(node.now.wall + 3600) >> 32
    node.acknowledge(again)
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)
    assert timestamp(moved(node)) > timestamp(again)


def test_a_mismatch_that_does_not_answer_ours_is_ignored() -> None:
    node, sent = arrive()
    replay = (MobilityMessageReplayProtection(timestamp(sent) + 1),)
    assert not updates(node.acknowledge(sent, Status.MIPV6_ID_MISMATCH, options=replay))


def test_a_node_without_timestamps_sends_them_when_asked() -> None:
    node, sent = arrive(timestamps=False)
    assert not [o for o in update(sent).options if isinstance(o, MobilityMessageReplayProtection)]
    (again,) = updates(node.acknowledge(sent, Status.MIPV6_MESG_ID_REQD))
    assert timestamp(again)
    node.acknowledge(again)
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)
    (elsewhere,) = [moved(node)]
    assert "refused_mipv6_mesg_id_reqd" in reasons(node.acknowledge(elsewhere, Status.MIPV6_MESG_ID_REQD))


@pytest.mark.rfc("4285#5.3-2", "6275#11.7.3-12")
@pytest.mark.parametrize(
    "status", [129, 131, 132, 133, 136, 137, 138, 139, 146, 151], ids=lambda number: Status(number).name.lower()
)
def test_a_refusal_for_good_is_told_and_not_repeated_until_the_operator_says_so(status: int) -> None:
    node, sent = arrive()
    effects = node.acknowledge(sent, status)
    (report,) = [r for r in of(effects, Report) if r.reason.startswith("refused_")]
    assert report.severity is Severity.ERROR
    assert REFUSALS[Status(status)].text in sentence(report)
    assert not updates(node.advance(1500))
    assert node.row["state"] == "refused"
    assert node.tunnel() is None
    (again,) = updates(node.give(RetryRequested(3)))
    node.acknowledge(again)
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)


@pytest.mark.rfc("6275#11.7.1-22")
def test_a_home_address_that_another_node_has_is_not_used_again() -> None:
    node, sent = arrive()
    node.acknowledge(sent, Status.DUPLICATE_ADDRESS_DETECTION_FAILED)
    assert not updates(node.advance(1500))
    assert not updates([*node.replug(), *node.advertise(ELSEWHERE, SECOND_ROUTER, SECOND_MAC)])


@pytest.mark.parametrize("status", [128, 130, 200])
def test_a_refusal_that_may_be_temporary_is_repeated_ever_later(status: int) -> None:
    node, sent = arrive()
    waits: list[float] = []
    for _ in range(6):
        node.acknowledge(sent, status)
        began = node.time
        while not (found := updates(node.advance(1.0))):
            assert node.time < began + 1000
        (sent,) = found
        waits.append(round(node.time - began))
    assert waits == [32, 64, 128, 256, 512, 512]


def test_a_temporary_refusal_of_a_refresh_leaves_the_tunnel() -> None:
    node = Mobile().abroad()
    (refresh,) = updates(node.advance(300.1))
    node.acknowledge(refresh, Status.INSUFFICIENT_RESOURCES)
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)


def test_a_care_of_address_that_is_not_taken_ends_with_the_next_one() -> None:
    node, sent = arrive()
    node.acknowledge(sent, Status.INVALID_CARE_OF_ADDRESS)
    assert not updates(node.advance(1500))
    node.acknowledge(moved(node))
    assert node.tunnel() == Tunnel(OTHER_CARE_OF, AGENT)


def test_an_unauthentic_word_that_keys_differ_is_told_but_stops_nothing() -> None:
    node, sent = arrive()
    effects = node.acknowledge(sent, Status.MIPV6_AUTH_FAIL, protection=Protection(Assurance.FAILED, KEY))
    assert "authentication_failed" in reasons(effects)
    assert updates(node.advance(2))


def test_an_acceptance_for_no_time_at_all_is_none() -> None:
    node, sent = arrive()
    node.acknowledge(sent, lifetime=0)
    assert node.tunnel() is None
    assert updates(node.advance(33))


@pytest.mark.rfc("6275#11.7.3-11")
def test_the_node_looks_for_prefixes_when_told_to() -> None:
    node, sent = arrive()
    assert of(node.acknowledge(sent, Status.ACCEPTED_BUT_PREFIX_DISCOVERY_NECESSARY), SendIcmp)
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)
    assert not updates(node.advance(390))
    assert updates(node.advance(9))


@pytest.mark.rfc("6275#11.4.1-3", "6275#11.4.1-4", "6275#11.4.1-5", "6275#11.4.1-9", "6275#11.7.1-14")
def test_another_home_agent_is_tried_after_a_refusal_and_after_silence() -> None:
    node, sent = arrive(home_agents=(AGENT, SECOND_AGENT))
    assert not updates(node.acknowledge(sent, Status.ADMINISTRATIVELY_PROHIBITED))
    assert not updates(node.advance(1.4))
    (other,) = updates(node.advance(0.2))
    assert other.destination == SECOND_AGENT
    node.acknowledge(other)
    assert node.tunnel() == Tunnel(CARE_OF, SECOND_AGENT)
    silent, _ = arrive(home_agents=(AGENT, SECOND_AGENT))
    assert {sent.destination for sent in updates(silent.advance(46))} == {AGENT}
    assert {sent.destination for sent in updates(silent.advance(40))} == {SECOND_AGENT}


@pytest.mark.parametrize("status", range(Status.MOBILE_ROUTER_OPERATION_NOT_PERMITTED, Status.FORWARDING_SETUP_FAILED + 1))
def test_a_refusal_that_is_for_mobile_routers_stops_a_plain_node(status: int) -> None:
    node, sent = arrive()
    node.acknowledge(sent, status)
    assert not updates(node.advance(600))
    assert updates(node.give(RetryRequested(1)))


@pytest.mark.rfc("6275#11.4.1-8")
def test_the_home_agent_that_holds_a_binding_comes_first() -> None:
    node, sent = arrive(home_agents=(AGENT, SECOND_AGENT))
    node.acknowledge(sent, Status.ADMINISTRATIVELY_PROHIBITED)
    (other,) = updates(node.advance(2))
    node.acknowledge(other)
    assert moved(node).destination == SECOND_AGENT


@pytest.mark.rfc("6275#11.7.1-18", "6275#11.7.1-19")
def test_what_has_to_survive_is_written_down_with_every_update() -> None:
    node, sent = arrive(sequence=41)
    assert update(sent).sequence == 42
    assert node.noted() == (42, AGENT, 400.0)
    node.acknowledge(sent, lifetime=10)
    assert node.noted() == (42, AGENT, 40.0)


def test_insecure_nodes_need_no_key_and_believe_anybody() -> None:
    node, sent = arrive(association=None, insecure=True)
    assert sent.association is None
    assert not [o for o in update(sent).options if isinstance(o, MobilityMessageReplayProtection)]
    node.acknowledge(sent, protection=Protection(Assurance.NONE))
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)


@pytest.mark.requirement("MN-2")
def test_what_overtakes_the_acknowledgement_is_taken_and_nothing_is_sent_before_it() -> None:
    node, sent = arrive()
    assert (node.receives(), node.tunnel()) == (Tunnel(CARE_OF, AGENT), None)
    node.acknowledge(sent)
    assert node.receives() == node.tunnel() == Tunnel(CARE_OF, AGENT)
    (refresh,) = updates(node.advance(300.5))
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)
    node.acknowledge(refresh)
    sent = moved(node)
    assert (node.receives(), node.tunnel()) == (Tunnel(OTHER_CARE_OF, AGENT), None)
    node.acknowledge(sent, Status.REASON_UNSPECIFIED)
    assert (node.receives(), node.tunnel()) == (None, None)


def test_the_next_home_agent_is_listened_to_as_soon_as_it_is_asked() -> None:
    node, _ = arrive(home_agents=(AGENT, SECOND_AGENT))
    asked = {sent.destination for sent in updates(node.advance(50))}
    assert asked == {AGENT, SECOND_AGENT}
    assert (node.receives(), node.tunnel()) == (Tunnel(CARE_OF, SECOND_AGENT), None)


@pytest.mark.requirement("MN-3")
def test_at_home_no_tunnel_is_listened_to() -> None:
    node, sent = arrive()
    node.acknowledge(sent)
    (sent,) = updates([*node.replug(), *node.advertise(HOME_PREFIX, HOME_ROUTER)])
    assert (node.receives(), node.tunnel()) == (None, None)
    node.acknowledge(sent)
    assert node.path() is HomePath.LINK
    assert node.receives() is None


def test_an_answer_is_acted_upon_before_it_is_written_down() -> None:
    """A file takes its time, and the gap of a handover would last as long."""
    node, sent = arrive()
    registered = [type(effect) for effect in node.acknowledge(sent)]
    assert registered.index(Bind) < registered.index(Remember)
    left = [type(effect) for effect in (*node.replug(), *node.advertise(HOME_PREFIX, HOME_ROUTER))]
    assert left.index(Remember) < left.index(Send) < left.index(RemoveAddress)
    (sent,) = (effect for effect in node.effects if isinstance(effect, Send))
    home = [type(effect) for effect in node.acknowledge(sent)]
    assert home.index(SetHomePath) < home.index(Remember)


def test_an_optimistic_node_uses_the_tunnel_before_it_is_acknowledged() -> None:
    node, sent = arrive(optimistic_handover=True)
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)
    node.acknowledge(sent, Status.REASON_UNSPECIFIED)
    assert node.tunnel() is None


def test_a_data_plane_that_fails_is_asked_again() -> None:
    node, sent = arrive()
    node.error = 12
    assert "forwarding_failed" in reasons(node.acknowledge(sent))
    node.error = 0
    assert node.tunnel() is None
    node.advance(1.1)
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)


def test_before_anything_is_known_nothing_leaves() -> None:
    node = Mobile(started=False)
    node.give(Started())
    assert node.path() is HomePath.TUNNEL
    assert node.tunnel() is None
    assert node.row["state"] == "waiting"


def test_every_home_agent_that_may_hold_a_binding_is_told_at_home() -> None:
    node, _ = arrive(home_agents=(AGENT, SECOND_AGENT), identifier=b"", association=None, insecure=True)
    assert {sent.destination for sent in updates(node.advance(50))} == {AGENT, SECOND_AGENT}
    (first,) = updates([*node.replug(), *node.advertise(HOME_PREFIX, HOME_ROUTER)])
    (second,) = updates(node.acknowledge(first))
    assert {first.destination, second.destination} == {AGENT, SECOND_AGENT}
    assert node.path() is HomePath.TUNNEL
    node.acknowledge(second)
    assert node.path() is HomePath.LINK


def test_a_refused_node_that_has_lost_its_router_waits_for_one() -> None:
    node, sent = arrive()
    node.acknowledge(sent, Status.REASON_UNSPECIFIED)
    node.advertise(lifetime=0)
    assert not updates(node.advance(100))
    assert len(updates(node.advertise())) == 1
