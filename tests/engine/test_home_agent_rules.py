# SPDX-License-Identifier: Apache-2.0
"""The home agent, rule by rule: what of RFC 6275 sections 6.1, 9.5 and 10.3 and of RFC 3963 section 6 the conversations of
`test_home_agent` do not show."""

from __future__ import annotations

import errno
from ipaddress import IPv6Address
from typing import Any

import pytest

from halma.engine.anchor import Anchor
from halma.engine.anchor_settings import AnchorSettings, HomeLink
from halma.engine.api import (
    Association,
    Assurance,
    Bind,
    BindingKind,
    ForwardingDone,
    MessageReceived,
    Protection,
    Send,
    Tunnel,
    Unbind,
)
from halma.engine.home_link import DefendAddress, DetectDuplicate, DetectionDone, SendHome
from halma.engine.policy import Profile
from halma.wire.messages import BindingAcknowledgement, BindingError, BindingUpdate, UnknownMessage
from halma.wire.numbers import Status
from halma.wire.options import BindingRefreshAdvice, MobileNetworkPrefix, MobileNodeIdentifier, NonceIndices
from tests.engine.home import (
    AGENT,
    CARE_OF,
    ELSEWHERE,
    HOME,
    HOME_PREFIX,
    KEY,
    LINK,
    NODE,
    ON_LINK,
    REGISTER,
    ROUTER,
    Agent,
    Book,
    SilenceError,
)

ADDRESS = (BindingKind.HOME_ADDRESS, HOME, 128)
LINK_KEY = Protection(Assurance.VALID, Association(1, NODE, home_address=ON_LINK))
FIRST, SECOND = (IPv6Address(f"2001:db8:f{n}::").packed for n in "12")
LINK_LOCAL_COMPATIBILITY = 0x2000


def of_kind(effects: list[Any], kind: type) -> list[Any]:
    return [effect for effect in effects if isinstance(effect, kind)]


def router_book(*networks: tuple[bytes, int]) -> Book:
    book = Book()
    book.profiles[NODE] = Profile(
        NODE, prefixes=(HOME_PREFIX,), mobile_ipv6=True, mobile_router=True, mobile_network_prefixes=networks
    )
    return book


def status(answer: BindingAcknowledgement) -> int:
    return answer.status


# ---- RFC 3963 section 6 ----


@pytest.mark.rfc("3963#6.2-1", "3963#6.2-2")
def test_no_network_moves_without_a_home_registration() -> None:
    agent = Agent()
    assert status(agent.update(1, flags=ROUTER & ~0x4000)) == Status.MOBILE_ROUTER_OPERATION_NOT_PERMITTED
    assert agent.bound == {}


@pytest.mark.rfc("3963#6.2-3")
def test_a_node_does_not_become_a_router_meanwhile_nor_the_reverse() -> None:
    for first, second in ((REGISTER, ROUTER), (ROUTER, REGISTER)):
        agent = Agent()
        assert status(agent.update(1, flags=first)) == Status.ACCEPTED
        before = dict(agent.bound)
        assert status(agent.update(2, flags=second)) == Status.REGISTRATION_TYPE_CHANGE_DISALLOWED
        assert agent.bound == before
        assert status(agent.update(3, flags=second, lifetime=0)) == Status.ACCEPTED
        assert agent.bound == {}


@pytest.mark.rfc("3963#6-2", "3963#6.1.2-1", "3963#6.1.2-2", "3963#6.2-4", "3963#6.2-7", "3963#6.2-9")
def test_the_networks_that_are_named_are_moved_all_and_only_if_they_are_the_node_s() -> None:
    agent = Agent(router_book((FIRST, 48), (SECOND, 48)))
    both = (MobileNetworkPrefix(48, FIRST), MobileNetworkPrefix(48, SECOND))
    assert status(agent.update(1, flags=ROUTER, options=both)) == Status.ACCEPTED
    tunnel = Tunnel(AGENT, CARE_OF)
    networks = {(BindingKind.MOBILE_NETWORK, prefix, 48): tunnel for prefix in (FIRST, SECOND)}
    assert agent.bound == {ADDRESS: tunnel} | networks
    foreign = MobileNetworkPrefix(48, IPv6Address("2001:db8:f3::").packed)
    assert status(agent.update(2, flags=ROUTER, options=(*both, foreign))) == Status.NOT_AUTHORIZED_FOR_PREFIX
    assert agent.bound == {ADDRESS: tunnel} | networks
    assert status(agent.update(3, flags=ROUTER, options=both[1:])) == Status.ACCEPTED
    assert (BindingKind.MOBILE_NETWORK, FIRST, 48) not in agent.bound
    assert status(agent.update(4, flags=ROUTER)) == Status.ACCEPTED  # implicit: all that are configured
    assert agent.bound == {ADDRESS: tunnel} | networks


@pytest.mark.rfc("3963#6.2-5", "3963#6.2-6", "3963#6.2-10")
def test_when_one_network_cannot_be_moved_none_is_and_nothing_is_registered() -> None:
    agent = Agent(router_book((FIRST, 48), (SECOND, 48)))
    both = (MobileNetworkPrefix(48, FIRST), MobileNetworkPrefix(48, SECOND))
    refused: list[Bind] = []

    def give(event: Any) -> list[Any]:
        effects, seen = list(agent.engine.handle(event, agent.now)), []
        while effects:
            effect = effects.pop(0)
            seen.append(effect)
            if isinstance(effect, (Bind, Unbind)):
                key = (effect.kind, effect.prefix, effect.prefix_length)
                error = 0
                if isinstance(effect, Bind) and effect.prefix == SECOND:
                    refused.append(effect)
                    error = errno.EIO
                elif isinstance(effect, Bind):
                    agent.bound[key] = effect.tunnel
                elif agent.bound.pop(key, None) is None:
                    error = errno.ENOENT
                effects += agent.engine.handle(ForwardingDone(effect.op, error), agent.now)
        return seen

    agent.give = give  # type: ignore[method-assign]
    assert status(agent.update(1, flags=ROUTER, options=both)) == Status.INVALID_PREFIX
    assert refused
    assert agent.bound == {}
    assert list(agent.engine.describe_home_bindings(agent.now)) == []


@pytest.mark.rfc("3963#6.2-8")
def test_on_a_shared_link_no_network_is_known_unless_one_is_configured() -> None:
    agent = Agent()
    answer = agent.update(1, home=ON_LINK, flags=ROUTER, protection=LINK_KEY)
    assert status(answer) == Status.FORWARDING_SETUP_FAILED
    assert agent.bound == {}
    agent = Agent(router_book((FIRST, 48)))
    assert status(agent.update(1, home=ON_LINK, flags=ROUTER, protection=LINK_KEY)) == Status.ACCEPTED
    assert {key[1:] for key in agent.bound} == {(ON_LINK, 128), (FIRST, 48)}


@pytest.mark.rfc("3963#6.7-1")
def test_networks_in_a_deregistration_mean_nothing() -> None:
    agent = Agent(router_book((FIRST, 48), (SECOND, 48)))
    both = (MobileNetworkPrefix(48, FIRST), MobileNetworkPrefix(48, SECOND))
    agent.update(1, flags=ROUTER, options=both)
    odd = (MobileNetworkPrefix(0, FIRST), MobileNetworkPrefix(48, IPv6Address("2001:db8:f3::").packed))
    assert status(agent.update(2, flags=ROUTER, options=odd, lifetime=0)) == Status.ACCEPTED
    assert agent.bound == {}


@pytest.mark.rfc("3963#6.2-11")
def test_a_router_is_advertised_as_one() -> None:
    agent = Agent(router_book((FIRST, 48)))
    agent.update(1, home=ON_LINK, flags=ROUTER, protection=LINK_KEY)
    assert of_kind(agent.effects, DefendAddress) == [DefendAddress(7, ON_LINK, True)]


# ---- RFC 6275 sections 9.5 and 10.3 ----


@pytest.mark.rfc("6275#9.5.1-13", "6275#9.5.1-14")
def test_a_home_registration_stays_one() -> None:
    agent = Agent()
    agent.update(1)
    assert status(agent.update(2, flags=0x8000)) == Status.REGISTRATION_TYPE_CHANGE_DISALLOWED
    assert status(agent.update(3)) == Status.ACCEPTED


@pytest.mark.rfc("6275#9.5.1-2", "6275#9.5.4-1")
@pytest.mark.rfc("6275#9.3.1-1", "6275#9.3.1-5", "6275#9.3.3-2", "6275#10.3.1-9")
@pytest.mark.parametrize("home", ["ff02::1", "fe80::1", "::", "::1"])
def test_a_home_address_that_cannot_be_is_dropped_and_its_sender_told(home: str) -> None:
    agent = Agent()
    with pytest.raises(SilenceError):
        agent.update(1, home=IPv6Address(home).packed)
    assert of_kind(agent.effects, Send) == [Send(AGENT, CARE_OF, BindingError(1, IPv6Address(home).packed, ()))]
    sent = of_kind(agent.give(MessageReceived(CARE_OF, AGENT, UnknownMessage(99, b""), IPv6Address(home).packed)), Send)
    assert [send.message for send in sent] == [BindingError(1, IPv6Address(home).packed, ())]


def test_an_update_without_the_option_from_an_address_that_cannot_be_is_dropped() -> None:
    agent = Agent()
    with pytest.raises(SilenceError):
        agent.update(1, home=IPv6Address("fe80::1").packed, care_of=IPv6Address("fe80::1").packed, lifetime=0)
    assert not of_kind(agent.effects, Send)


@pytest.mark.rfc("6275#9.5.4-5", "6275#9.5.4-6", "6275#9.5.4-12", "6275#10.3.1-23", "6275#10.3.1-25", "6275#10.3.1-27")
@pytest.mark.rfc("6275#10.3.1-28", "6275#10.3.1-16", "6275#8.4-7", "6275#6.1.8-3")
def test_what_is_accepted_says_so_and_what_is_not_does_too() -> None:
    agent = Agent(maximum_lifetime=200)
    accepted = agent.update(500, lifetime=1000)
    assert (accepted.status, accepted.sequence, accepted.lifetime) == (0, 500, 50)
    (row,) = agent.engine.describe_home_bindings(agent.now)
    assert row["lifetime_seconds"] == 200
    refused = agent.update(400)
    assert refused.status >= 128


@pytest.mark.rfc("6275#9.5.4-10", "6275#9.5.4-11", "6275#10.3.2-4", "6275#10.3.2-5", "6275#10.3.2-6", "6275#10.3.2-7")
@pytest.mark.rfc("6275#10.3.2-8", "6275#9.5.3-1", "6275#6.1.7-7")
def test_a_deregistration_from_home_is_answered_there() -> None:
    agent = Agent(refresh_advice=0.5)
    agent.update(1)
    answer = agent.update(2, care_of=HOME, lifetime=0)
    (sent,) = of_kind(agent.effects, Send)
    assert (sent.source, sent.destination, sent.home_address) == (AGENT, HOME, b"")
    assert (answer.status, answer.sequence, answer.lifetime) == (0, 2, 0)
    assert not of_kind(list(answer.options), BindingRefreshAdvice)
    assert agent.bound == {}


@pytest.mark.rfc("6275#9.5.3-2", "6275#10.3.2-3")
def test_a_deregistration_makes_no_entry() -> None:
    agent = Agent()
    assert status(agent.update(1, lifetime=0)) == Status.NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE
    assert agent.engine.describe_counters()["home_bindings"] == 0


@pytest.mark.rfc("6275#10.3.1-4", "6275#10.3.1-5")
def test_an_anchor_that_is_no_home_agent_says_so() -> None:
    agent = Agent()
    agent.engine = Anchor(AnchorSettings((AGENT,)), agent.book)
    assert status(agent.update(1)) == Status.HOME_REGISTRATION_NOT_SUPPORTED


@pytest.mark.rfc("6275#10.3.1-7", "6275#9.5.2-6", "6275#10.3.1-13")
def test_a_full_anchor_refuses_newcomers_and_drops_nobody() -> None:
    agent = Agent()
    settings = agent.engine
    agent.engine._home._maximum = 1  # type: ignore[union-attr]
    assert status(agent.update(1)) == Status.ACCEPTED
    key = Protection(Assurance.VALID, Association(2, NODE, home_prefix=HOME_PREFIX))
    second = HOME[:15] + b"\x09"
    assert status(agent.update(1, home=second, protection=key)) == Status.INSUFFICIENT_RESOURCES
    assert set(agent.bound) == {ADDRESS}
    assert settings is agent.engine
    assert status(agent.update(2, care_of=ELSEWHERE)) == Status.ACCEPTED


def test_a_registration_from_home_that_is_no_deregistration_ends_it() -> None:
    agent = Agent()
    agent.update(1)
    answer = agent.update(2, care_of=HOME, lifetime=50)
    assert (answer.status, answer.lifetime) == (0, 0)
    assert agent.bound == {}


@pytest.mark.rfc("6275#10.3.1-31", "6275#10.3.1-33", "6275#6.2.4-2")
def test_whoever_takes_no_advice_keeps_the_registration_all_the_same() -> None:
    agent = Agent(refresh_advice=0.5, refresh_request=0)
    answer = agent.update(1, lifetime=100)
    (advice,) = of_kind(list(answer.options), BindingRefreshAdvice)
    assert advice.refresh_interval < answer.lifetime
    agent.advance(399)
    assert ADDRESS in agent.bound
    agent.advance(1.1)
    assert agent.bound == {}


@pytest.mark.rfc("6275#9.5.2-3", "6275#6.1.7-6")
def test_a_registration_ends_with_its_lifetime() -> None:
    agent = Agent()
    agent.update(1, lifetime=5)
    agent.advance(19.9)
    assert ADDRESS in agent.bound
    agent.advance(0.2)
    assert agent.bound == {}


@pytest.mark.rfc("6275#10.3.1-17", "6275#10.3.1-18", "6275#10.3.1-24")
def test_the_prefix_s_lifetimes_count() -> None:
    link = HomeLink(LINK.prefix, 64, 7, ON_LINK[:15] + b"\x01", valid_lifetime=80, preferred_lifetime=0)
    answer = Agent(links=(link,)).update(1, home=ON_LINK, protection=LINK_KEY, lifetime=100)
    assert (answer.status, answer.lifetime) == (Status.ACCEPTED_BUT_PREFIX_DISCOVERY_NECESSARY, 20)
    link = HomeLink(LINK.prefix, 64, 7, ON_LINK[:15] + b"\x01", valid_lifetime=80, preferred_lifetime=40)
    answer = Agent(links=(link,)).update(1, home=ON_LINK, protection=LINK_KEY, lifetime=100)
    assert (answer.status, answer.lifetime) == (Status.ACCEPTED, 20)


@pytest.mark.rfc("6275#10.3.1-14", "6275#10.3.1-15")
@pytest.mark.parametrize("taken", [None, 0, 1])
def test_with_flag_l_both_addresses_are_looked_for(taken: int | None) -> None:
    agent = Agent(wait_for_detection=True)
    flags = REGISTER | LINK_LOCAL_COMPATIBILITY
    with pytest.raises(SilenceError):
        agent.update(1, home=ON_LINK, protection=LINK_KEY, flags=flags)
    wanted = of_kind(agent.effects, DetectDuplicate)
    link_local = bytes.fromhex("fe80000000000000") + ON_LINK[8:]
    assert [effect.address for effect in wanted] == [ON_LINK, link_local]
    answers: list[Any] = []
    for index, effect in enumerate(wanted):
        answers += of_kind(agent.give(DetectionDone(effect.op, index == taken)), Send)
    (answer,) = answers
    expected = Status.ACCEPTED if taken is None else Status.DUPLICATE_ADDRESS_DETECTION_FAILED
    assert answer.message.status == expected
    assert bool(agent.bound) is (taken is None)
    if taken is None:
        assert status(agent.update(2, home=ON_LINK, protection=LINK_KEY, flags=flags)) == Status.ACCEPTED  # and not again


@pytest.mark.rfc("6275#10.4.1-3")
def test_with_flag_l_both_addresses_are_defended() -> None:
    agent = Agent()
    agent.update(1, home=ON_LINK, protection=LINK_KEY, flags=REGISTER | LINK_LOCAL_COMPATIBILITY)
    defended = [effect.address for effect in of_kind(agent.effects, DefendAddress)]
    assert defended == [ON_LINK, bytes.fromhex("fe80000000000000") + ON_LINK[8:]]


@pytest.mark.rfc("6275#9.1-6", "6275#6.3-8")
def test_a_home_address_option_alone_changes_no_binding() -> None:
    agent = Agent()
    agent.update(1)
    before = list(agent.engine.describe_home_bindings(agent.now))
    message = BindingUpdate(9, 0x0000, 10, (MobileNodeIdentifier(1, NODE),))
    agent.give(MessageReceived(ELSEWHERE, AGENT, message, HOME, Protection(Assurance.NONE)))
    assert list(agent.engine.describe_home_bindings(agent.now)) == before


@pytest.mark.rfc("4285#10.2-1")
def test_the_first_sequence_number_may_be_any() -> None:
    for sequence in (0, 1, 32768, 65535):
        assert status(Agent().update(sequence, protection=Protection(Assurance.VALID, KEY))) == Status.ACCEPTED


@pytest.mark.rfc("6275#10.3.1-8")
def test_a_registration_needs_the_home_address_option() -> None:
    agent = Agent()
    with pytest.raises(SilenceError):
        agent.update(1, care_of=HOME, alternate=CARE_OF)
    assert agent.bound == {}
    assert status(agent.update(1)) == Status.ACCEPTED
    assert status(agent.update(2, care_of=HOME, lifetime=0)) == Status.ACCEPTED


@pytest.mark.rfc("6275#9.5.1-11")
def test_a_home_registration_has_no_nonces() -> None:
    agent = Agent()
    with pytest.raises(SilenceError):
        agent.update(1, options=(NonceIndices(1, 1),))
    assert agent.bound == {}


@pytest.mark.rfc("6275#9.5.1-14")
def test_what_is_no_home_registration_is_discarded_whoever_owns_the_address() -> None:
    agent = Agent(insecure=True)
    for home in (HOME, IPv6Address("2001:db8:ffff::1").packed):
        with pytest.raises(SilenceError):
            agent.update(1, home=home, flags=0x8000, protection=Protection(Assurance.NONE), stamp=None)


@pytest.mark.rfc("6275#10.3.2-9")
def test_a_refusal_finds_a_node_that_is_home_although_its_packets_go_abroad() -> None:
    agent = Agent()
    agent.update(9, home=ON_LINK, protection=LINK_KEY)
    answer = agent.update(5, home=ON_LINK, care_of=ON_LINK, lifetime=0, protection=LINK_KEY)
    assert (answer.status, answer.sequence) == (Status.SEQUENCE_NUMBER_OUT_OF_WINDOW, 9)
    (sent,) = of_kind(agent.effects, SendHome)
    assert (sent.interface, sent.send.destination) == (LINK.interface, ON_LINK)
    agent.update(5, home=ON_LINK, lifetime=0, protection=LINK_KEY)
    assert not of_kind(agent.effects, SendHome)


@pytest.mark.parametrize("home", ["2001:db8:1::1", "2001:db8:1::", "2001:db8:1:0:fdff:ffff:ffff:fffe"])
def test_addresses_of_home_agents_are_nobody_s_home(home: str) -> None:
    link = HomeLink(AGENT[:8] + bytes(8), 64, 8)
    agent = Agent(links=(LINK, link), insecure=True)
    answer = agent.update(1, home=IPv6Address(home).packed, protection=Protection(Assurance.NONE), stamp=None)
    assert answer.status == Status.NOT_HOME_SUBNET
    assert agent.bound == {}


def test_a_router_that_does_not_say_who_it_is_moves_the_networks_of_its_prefix_s_owner() -> None:
    agent = Agent(router_book((FIRST, 48)), insecure=True)
    agent.give(MessageReceived(CARE_OF, AGENT, BindingUpdate(1, ROUTER, 100, ()), HOME, Protection(Assurance.NONE)))
    assert (BindingKind.MOBILE_NETWORK, FIRST, 48) in agent.bound
    agent.give(MessageReceived(CARE_OF, AGENT, BindingUpdate(1, ROUTER, 100, ()), ON_LINK, Protection(Assurance.NONE)))
    assert (BindingKind.HOME_ADDRESS, ON_LINK, 128) not in agent.bound


@pytest.mark.rfc("6275#9.3.3-2")
def test_an_unknown_message_of_a_home_address_is_told_with_it() -> None:
    agent = Agent()
    agent.give(MessageReceived(CARE_OF, AGENT, UnknownMessage(77, b""), HOME, Protection(Assurance.NONE)))
    assert agent.effects == [Send(AGENT, CARE_OF, BindingError(2, HOME, ()))]
