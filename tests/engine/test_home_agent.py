# SPDX-License-Identifier: Apache-2.0
"""The home agent's rules: RFC 6275 sections 9.5 and 10.3, RFC 3963 section 6, RFC 4285 sections 5 and 6."""

from __future__ import annotations

import errno
from ipaddress import IPv6Address
from typing import Any

import pytest

from halma.engine.api import Association, Assurance, BindingKind, MessageReceived, Protection, Send, Tunnel
from halma.engine.home_agent import HOME_ADDRESSES_OF_A_NODE
from halma.engine.home_link import DefendAddress, DetectDuplicate, DetectionDone, ReleaseAddress, SendHome
from halma.wire.messages import BindingRefreshRequest, BindingUpdate
from halma.wire.numbers import BindingUpdateFlag, Status
from halma.wire.options import (
    AccessTechnologyType,
    BindingRefreshAdvice,
    HandoffIndicator,
    HomeNetworkPrefix,
    MobileNetworkPrefix,
    MobileNodeIdentifier,
    MobilityMessageReplayProtection,
    Timestamp,
)
from halma.wire.timestamp import to_ntp, to_timestamp
from tests.engine.home import (
    AGENT,
    CARE_OF,
    ELSEWHERE,
    GATEWAY,
    HOME,
    HOME_PREFIX,
    KEY,
    NODE,
    ON_LINK,
    OTHER,
    ROUTER,
    Agent,
    Book,
    SilenceError,
)

ADDRESS = (BindingKind.HOME_ADDRESS, HOME, 128)


def status(answer: Any) -> int:
    assert answer is not None
    return int(answer.status)


def of_kind(effects: list[Any], kind: type) -> list[Any]:
    return [effect for effect in effects if isinstance(effect, kind)]


@pytest.mark.requirement("ANC-8")
@pytest.mark.rfc("6275#10.3.1-9", "6275#10.3.1-21", "6275#10.3.1-22")
def test_a_registration_moves_the_home_address_and_says_so() -> None:
    agent = Agent()
    answer = agent.update(7)
    assert (status(answer), answer.sequence, answer.lifetime) == (Status.ACCEPTED, 7, 100)
    assert agent.bound == {ADDRESS: Tunnel(AGENT, CARE_OF)}


@pytest.mark.rfc("4285#5.1.1-2", "4285#6-2")
def test_the_acknowledgement_is_protected_as_the_update_was_and_carries_its_timestamp() -> None:
    agent = Agent()
    answer = agent.update(7)
    (sent,) = of_kind(agent.effects, Send)
    assert sent.association == KEY
    assert MobilityMessageReplayProtection(to_ntp(agent.now.wall - 0.001)) in answer.options


def test_lifetimes_are_what_was_asked_for_at_the_most() -> None:
    agent = Agent(maximum_lifetime=400)
    assert agent.update(1, lifetime=0xFFFF).lifetime == 100
    assert agent.update(2, lifetime=3).lifetime == 3


@pytest.mark.rfc("6275#9.5.1-3", "6275#9.5.1-10")
@pytest.mark.parametrize(
    ("first", "second", "accepted"),
    [
        (15, 16, True),
        (15, 15, False),
        (15, 0, False),
        (15, 32783, False),
        (15, 32782, True),
        (65535, 0, True),
        (65535, 65534, False),
    ],
)
def test_sequence_numbers_wrap(first: int, second: int, accepted: bool) -> None:
    agent = Agent()
    agent.update(first)
    answer = agent.update(second, care_of=ELSEWHERE)
    if accepted:
        assert status(answer) == Status.ACCEPTED
        assert agent.bound[ADDRESS] == Tunnel(AGENT, ELSEWHERE)
    else:
        assert (status(answer), answer.sequence) == (Status.SEQUENCE_NUMBER_OUT_OF_WINDOW, first)
        assert agent.bound[ADDRESS] == Tunnel(AGENT, CARE_OF)


@pytest.mark.requirement("ANC-5")
@pytest.mark.rfc("6275#10.3.2-10", "6275#10.3.2-11")
def test_a_delayed_update_does_not_bring_back_what_was_deregistered() -> None:
    agent = Agent()
    agent.update(1)
    assert status(agent.update(3, lifetime=0, care_of=HOME)) == Status.ACCEPTED
    assert agent.bound == {}
    delayed = agent.update(2)
    assert (status(delayed), delayed.sequence) == (Status.SEQUENCE_NUMBER_OUT_OF_WINDOW, 3)
    assert agent.bound == {}
    agent.advance(11)
    assert status(agent.update(2)) == Status.ACCEPTED


@pytest.mark.requirement("ANC-5")
@pytest.mark.rfc("4285#6-9", "4285#6-10", "4285#6-11")
def test_an_old_timestamp_is_told_with_our_time() -> None:
    agent = Agent()
    agent.update(1)
    old = agent.update(2, stamp=-1.0)
    assert status(old) == Status.MIPV6_ID_MISMATCH
    far = agent.update(3, stamp=7.5)
    assert status(far) == Status.MIPV6_ID_MISMATCH
    (option,) = [o for o in far.options if isinstance(o, MobilityMessageReplayProtection)]
    assert option.timestamp >> 32 == to_ntp(agent.now.wall) >> 32
    assert option.timestamp & 0xFFFFFFFF == to_ntp(agent.now.wall - 0.001 + 7.5) & 0xFFFFFFFF
    assert status(agent.update(4)) == Status.ACCEPTED


@pytest.mark.rfc("4285#5.1.1-4", "4285#5.1.1-5", "4285#5.3-1")
def test_what_nobody_vouches_for_changes_nothing() -> None:
    agent = Agent()
    with pytest.raises(SilenceError):
        agent.update(1, protection=Protection(Assurance.NONE))
    with pytest.raises(SilenceError):
        agent.update(2, protection=Protection(Assurance.UNKNOWN))
    assert status(agent.update(3, protection=Protection(Assurance.FAILED, KEY))) == Status.MIPV6_AUTH_FAIL
    assert status(agent.update(4, stamp=None)) == Status.MIPV6_MESG_ID_REQD
    assert agent.bound == {}


def test_an_insecure_home_agent_takes_unprotected_updates_of_addresses_that_are_the_node_s() -> None:
    agent = Agent(insecure=True)
    bare = Protection(Assurance.NONE)
    assert status(agent.update(1, protection=bare)) == Status.ACCEPTED
    foreign = HOME_PREFIX[:7] + b"\x09" + HOME[8:]
    assert status(agent.update(1, protection=bare, home=foreign)) == Status.ACCEPTED


@pytest.mark.requirement("ANC-7")
@pytest.mark.parametrize(
    "association",
    [
        Association(1, NODE, home_address=ON_LINK),
        Association(1, NODE, home_prefix=HOME_PREFIX[:7] + b"\x02" + bytes(8)),
        Association(1, OTHER),
    ],
)
def test_a_key_registers_no_other_home_address(association: Association) -> None:
    agent = Agent()
    answer = agent.update(1, protection=Protection(Assurance.VALID, association))
    assert status(answer) == Status.ADMINISTRATIVELY_PROHIBITED
    assert agent.bound == {}


@pytest.mark.requirement("ANC-4")
def test_a_key_without_an_address_is_for_the_prefix_that_the_node_was_given() -> None:
    agent = Agent()
    assert status(agent.update(1, protection=Protection(Assurance.VALID, Association(1, NODE)))) == Status.ACCEPTED


@pytest.mark.rfc("6275#10.3.1-6")
def test_an_address_that_is_not_home_here() -> None:
    strange = ELSEWHERE
    key = Protection(Assurance.VALID, Association(1, NODE, home_address=strange))
    assert status(Agent().update(1, home=strange, protection=key)) == Status.NOT_HOME_SUBNET


@pytest.mark.parametrize("care_of", ["ff02::1", "fe80::1", "::1", "::"])
def test_a_care_of_address_that_cannot_be(care_of: str) -> None:
    answer = Agent().update(1, alternate=IPv6Address(care_of).packed)
    assert status(answer) == Status.INVALID_CARE_OF_ADDRESS


def test_the_alternate_care_of_address_is_where_packets_go_and_the_answer_goes_to_the_source() -> None:
    agent = Agent()
    assert status(agent.update(1, alternate=ELSEWHERE)) == Status.ACCEPTED
    assert agent.bound[ADDRESS] == Tunnel(AGENT, ELSEWHERE)


@pytest.mark.rfc("6275#10.3.2-2")
def test_nothing_to_deregister() -> None:
    answer = Agent().update(1, lifetime=0, care_of=HOME)
    assert status(answer) == Status.NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE


def test_a_deregistration_that_is_sent_again_is_answered_again() -> None:
    agent = Agent()
    agent.update(1)
    agent.update(2, lifetime=0, care_of=HOME)
    assert status(agent.update(3, lifetime=0, care_of=HOME)) == Status.ACCEPTED


@pytest.mark.rfc("6275#9.5.1-13")
def test_the_kind_of_a_registration_cannot_change() -> None:
    agent = Agent()
    agent.update(1)
    assert status(agent.update(2, flags=int(BindingUpdateFlag.ACKNOWLEDGE))) == Status.REGISTRATION_TYPE_CHANGE_DISALLOWED
    assert status(agent.update(3, flags=ROUTER)) == Status.REGISTRATION_TYPE_CHANGE_DISALLOWED
    assert status(agent.update(4, flags=ROUTER, lifetime=0, care_of=HOME)) == Status.ACCEPTED


def test_a_correspondent_registration_is_not_answered() -> None:
    with pytest.raises(SilenceError):
        Agent().update(1, flags=int(BindingUpdateFlag.ACKNOWLEDGE))


@pytest.mark.requirement("ANC-7")
def test_a_node_has_room_for_so_many_home_addresses() -> None:
    """One that has a whole prefix does not fill the anchor with it, and what it has registered lives."""
    agent = Agent()
    homes = [HOME_PREFIX[:8] + number.to_bytes(8, "big") for number in range(1, HOME_ADDRESSES_OF_A_NODE + 2)]
    for home in homes[:-1]:
        assert status(agent.update(1, home=home)) == Status.ACCEPTED
    assert status(agent.update(1, home=homes[-1])) == Status.INSUFFICIENT_RESOURCES
    assert status(agent.update(2, home=homes[0], care_of=ELSEWHERE)) == Status.ACCEPTED


# ---- mobile routers ----


@pytest.mark.requirement("ANC-9")
@pytest.mark.rfc("3963#6.4-1")
def test_implicit_mode_moves_the_prefix_of_the_profile_or_the_home_network() -> None:
    agent = Agent()
    answer = agent.update(1, flags=ROUTER)
    assert (status(answer), answer.flags & 0x40) == (Status.ACCEPTED, 0x40)
    assert agent.bound[BindingKind.MOBILE_NETWORK, HOME_PREFIX, 64] == Tunnel(AGENT, CARE_OF)


@pytest.mark.requirement("ANC-9")
def test_explicit_mode_moves_what_the_profile_allows_and_drops_what_is_named_no_more() -> None:
    first, second = (bytes.fromhex(f"20010db8f{i:03x}").ljust(16, b"\0") for i in (1, 2))
    book = Book()
    book.profiles[NODE] = type(book.profiles[NODE])(
        NODE, prefixes=(HOME_PREFIX,), mobile_ipv6=True, mobile_router=True, mobile_network_prefixes=((first, 48), (second, 56))
    )
    agent = Agent(book)
    both = (MobileNetworkPrefix(48, first), MobileNetworkPrefix(56, second))
    assert status(agent.update(1, flags=ROUTER, options=both)) == Status.ACCEPTED
    assert {key[2] for key in agent.bound} == {128, 48, 56}
    assert status(agent.update(2, flags=ROUTER, options=both[:1])) == Status.ACCEPTED
    assert {key[2] for key in agent.bound} == {128, 48}
    assert status(agent.update(3, flags=ROUTER, options=(MobileNetworkPrefix(64, first),))) == Status.NOT_AUTHORIZED_FOR_PREFIX
    assert status(agent.update(4, flags=ROUTER, options=(MobileNetworkPrefix(0, first),))) == Status.INVALID_PREFIX
    assert {key[2] for key in agent.bound} == {128, 48}


SECOND_HOME = HOME_PREFIX[:8] + bytes(7) + b"\2"
PLACE = ELSEWHERE[:15] + b"\7"


def two_homes_of_one_router() -> Agent:
    """A router with two home addresses out of its network: the first is at CARE_OF, the second, later, ELSEWHERE."""
    agent = Agent()
    assert status(agent.update(1, flags=ROUTER)) == Status.ACCEPTED
    assert status(agent.update(1, flags=ROUTER, home=SECOND_HOME, care_of=ELSEWHERE)) == Status.ACCEPTED
    assert agent.bound[BindingKind.MOBILE_NETWORK, HOME_PREFIX, 64] == Tunnel(AGENT, ELSEWHERE)
    return agent


@pytest.mark.requirement("ANC-9")
@pytest.mark.parametrize(("home", "care_of", "left"), [(HOME, CARE_OF, ELSEWHERE), (SECOND_HOME, ELSEWHERE, CARE_OF)])
def test_a_network_that_two_registrations_move_outlives_the_end_of_either(home: bytes, care_of: bytes, left: bytes) -> None:
    agent = two_homes_of_one_router()
    agent.update(2, flags=ROUTER, home=home, care_of=care_of, lifetime=0)
    assert agent.bound[BindingKind.MOBILE_NETWORK, HOME_PREFIX, 64] == Tunnel(AGENT, left)
    other = HOME if home == SECOND_HOME else SECOND_HOME
    agent.update(2, flags=ROUTER, home=other, care_of=left, lifetime=0)
    assert not agent.bound
    assert not agent.engine._home._mobile_networks  # type: ignore[union-attr]


@pytest.mark.requirement("ANC-9")
def test_a_network_follows_the_registration_that_moved_last() -> None:
    agent = two_homes_of_one_router()
    assert status(agent.update(2, flags=ROUTER, care_of=PLACE)) == Status.ACCEPTED
    assert agent.bound[BindingKind.MOBILE_NETWORK, HOME_PREFIX, 64] == Tunnel(AGENT, PLACE)
    agent.update(3, flags=ROUTER, care_of=PLACE, lifetime=0)
    assert agent.bound[BindingKind.MOBILE_NETWORK, HOME_PREFIX, 64] == Tunnel(AGENT, ELSEWHERE)


def test_a_node_that_is_no_router() -> None:
    agent = Agent(mobile_routers=False)
    assert status(agent.update(1, flags=ROUTER)) == Status.MOBILE_ROUTER_OPERATION_NOT_PERMITTED


# ---- the home link ----

LINK_KEY = Protection(Assurance.VALID, Association(1, NODE, home_address=ON_LINK))


@pytest.mark.rfc("6275#10.4.1-2", "6275#10.3.1-12")
def test_on_a_shared_link_the_address_is_defended_until_it_is_home() -> None:
    agent = Agent()
    agent.update(1, home=ON_LINK, protection=LINK_KEY)
    assert of_kind(agent.effects, DefendAddress) == [DefendAddress(7, ON_LINK, False)]
    agent.update(2, home=ON_LINK, protection=LINK_KEY, lifetime=0)
    assert of_kind(agent.effects, ReleaseAddress) == [ReleaseAddress(7, ON_LINK)]


@pytest.mark.rfc("6275#10.3.1-11")
@pytest.mark.parametrize("duplicate", [False, True])
def test_a_home_agent_that_waits_for_detection(duplicate: bool) -> None:
    agent = Agent(wait_for_detection=True)
    with pytest.raises(SilenceError):
        agent.update(1, home=ON_LINK, protection=LINK_KEY)
    (wanted,) = of_kind(agent.effects, DetectDuplicate)
    assert agent.bound == {}
    (sent,) = of_kind(agent.give(DetectionDone(wanted.op, duplicate)), Send)
    expected = Status.DUPLICATE_ADDRESS_DETECTION_FAILED if duplicate else Status.ACCEPTED
    assert sent.message.status == expected
    assert bool(agent.bound) is not duplicate


def test_in_a_proxy_mobile_ipv6_home_network_nothing_is_defended() -> None:
    agent = Agent(wait_for_detection=True)
    assert status(agent.update(1)) == Status.ACCEPTED
    assert of_kind(agent.effects, DefendAddress) == []


# ---- time and the data plane ----


@pytest.mark.rfc("6275#9.6-1")
def test_a_registration_is_asked_for_again_and_ends_with_its_lifetime() -> None:
    agent = Agent()
    agent.update(1, lifetime=10)
    asked = of_kind(agent.advance(33), Send)
    assert [(type(send.message), send.destination, send.home_address) for send in asked] == [
        (BindingRefreshRequest, CARE_OF, HOME)
    ]
    agent.advance(8)
    assert agent.bound == {}


def test_advice_is_shorter_than_the_lifetime() -> None:
    answer = Agent(refresh_advice=0.9).update(1, lifetime=100)
    assert BindingRefreshAdvice(90) in answer.options


@pytest.mark.requirement("ANC-8")
def test_what_the_data_plane_refuses_is_not_accepted() -> None:
    agent = Agent()
    agent.error = errno.ENOMEM
    assert status(agent.update(1)) == Status.INSUFFICIENT_RESOURCES
    agent.error = 0
    assert status(agent.update(2)) == Status.ACCEPTED
    agent.error = errno.EIO
    assert status(agent.update(3, care_of=ELSEWHERE)) == Status.REASON_UNSPECIFIED
    assert agent.bound[ADDRESS] == Tunnel(AGENT, CARE_OF)


# ---- both protocols at once ----


def proxy_update(agent: Agent, node: bytes, *, lifetime: int = 100, prefix: bytes = bytes(16)) -> Any:
    agent.time += 0.01
    options = (
        MobileNodeIdentifier(1, node),
        HomeNetworkPrefix(64, prefix),
        HandoffIndicator(1 if lifetime else 4),
        AccessTechnologyType(3),
        Timestamp(to_timestamp(agent.now.wall)),
    )
    effects = agent.give(MessageReceived(GATEWAY, AGENT, BindingUpdate(1, 0x8200, lifetime, options)))
    sent = of_kind(effects, Send)
    return sent[0].message if sent else None


PROXY = (BindingKind.PROXY, HOME_PREFIX, 64)


@pytest.mark.requirement("ANC-1", "ANC-6")
def test_neither_protocol_touches_the_other_s_entry() -> None:
    agent = Agent()
    assert proxy_update(agent, NODE).status == 0
    assert status(agent.update(1)) == Status.ACCEPTED
    assert set(agent.bound) == {PROXY, ADDRESS}
    agent.update(2, lifetime=0, care_of=HOME)
    assert set(agent.bound) == {PROXY}
    assert status(agent.update(3)) == Status.ACCEPTED
    proxy_update(agent, NODE, lifetime=0, prefix=HOME_PREFIX)
    agent.advance(11)
    assert set(agent.bound) == {ADDRESS}


@pytest.mark.requirement("ANC-6", "ANC-8")
@pytest.mark.rfc("6275#10.3.2-9")
def test_a_refusal_goes_by_the_gateway_where_the_node_is_behind_one() -> None:
    agent = Agent()
    agent.update(9)
    agent.update(5, care_of=HOME, lifetime=0)
    assert not of_kind(agent.effects, SendHome), "there is no gateway: it is not known where home is"
    proxy_update(agent, NODE)
    assert agent.update(5, care_of=HOME, lifetime=0).status == Status.SEQUENCE_NUMBER_OUT_OF_WINDOW
    (sent,) = of_kind(agent.effects, SendHome)
    assert (sent.interface, sent.tunnel, sent.send.destination) == (0, Tunnel(AGENT, GATEWAY), HOME)
    agent.update(5, lifetime=0)
    assert not of_kind(agent.effects, SendHome), "what comes from abroad is answered there"
    proxy_update(agent, NODE, lifetime=0, prefix=HOME_PREFIX)
    agent.update(5, care_of=HOME, lifetime=0)
    assert not of_kind(agent.effects, SendHome), "the gateway has given the node up"


@pytest.mark.requirement("ANC-4")
def test_a_prefix_stays_the_node_s_while_it_is_abroad_and_is_given_back_to_it() -> None:
    agent = Agent()
    prefix = next(o.prefix for o in proxy_update(agent, OTHER).options if isinstance(o, HomeNetworkPrefix))
    key = Protection(Assurance.VALID, Association(2, OTHER))
    home = prefix[:8] + bytes(7) + b"\x01"
    assert status(agent.update(1, home=home, protection=key, lifetime=1000)) == Status.ACCEPTED
    proxy_update(agent, OTHER, lifetime=0, prefix=prefix)
    agent.advance(20)
    agent.book.profiles[b"third@example.org"] = type(agent.book.profiles[OTHER])(b"third@example.org", pool="main")
    taken = next(o.prefix for o in proxy_update(agent, b"third@example.org").options if isinstance(o, HomeNetworkPrefix))
    assert taken != prefix
    again = next(o.prefix for o in proxy_update(agent, OTHER).options if isinstance(o, HomeNetworkPrefix))
    assert again == prefix
