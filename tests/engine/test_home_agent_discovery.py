# SPDX-License-Identifier: Apache-2.0
"""How a home agent is found, and tells of its link: RFC 6275 sections 7, 8.4, 10.5 and 10.6, RFC 3963 section 7."""

from __future__ import annotations

import itertools
from ipaddress import IPv6Address
from typing import Any

import pytest

from halma.engine.anchor import Anchor
from halma.engine.anchor_settings import Advertising, AnchorSettings, HomeLink
from halma.engine.anycast import home_agents_anycast
from halma.engine.api import Association, Assurance, HomeAddressOptionReceived, Protection, Send
from halma.engine.chance import Chance
from halma.engine.home_agent_discovery import MOST_ADDRESSES
from halma.engine.home_agent_discovery_api import (
    DiscoveryRequested,
    HomeAgentStopping,
    HomeLinkUp,
    PrefixSolicited,
    RouterAdvertisementHeard,
    RouterSolicitationHeard,
    SendAdvertisement,
    SendIcmp,
)
from halma.wire.icmpv6 import (
    HomeAgentAddressDiscoveryRequest,
    MobilePrefixSolicitation,
    encode_icmpv6,
)
from halma.wire.messages import BindingError
from halma.wire.nd import (
    AdvertisementInterval,
    HomeAgentInformation,
    PrefixInformation,
    RouterAdvertisement,
    SourceLinkLayerAddress,
)
from halma.wire.optionspace import Option, UnknownOption
from tests.engine.home import AGENT, CARE_OF, ELSEWHERE, HOME, NODE, ON_LINK, Agent

PREFIX = IPv6Address("2001:db8:5::").packed
OWN = IPv6Address("2001:db8:5::1").packed
SECOND_PREFIX = IPv6Address("2001:db8:6::").packed
SECOND_OWN = IPv6Address("2001:db8:6::1").packed
LINK_LAYER = bytes.fromhex("020000000001")
OTHER = IPv6Address("fe80::2").packed
OTHER_GLOBAL = IPv6Address("2001:db8:5::2").packed
ANYCAST = IPv6Address("2001:db8:5::fdff:ffff:ffff:fffe").packed
KEY = Protection(Assurance.VALID, Association(1, NODE, home_address=ON_LINK))


def link(prefix: bytes = PREFIX, address: bytes = OWN, interface: int = 7, **more: Any) -> HomeLink:
    advertising = Advertising(LINK_LAYER, 1.0, 3.0, 0.5, 1800, 1800)
    return HomeLink(prefix, 64, interface, address, **{"preference": 5, "advertising": advertising, **more})


def agent(*links: HomeLink, **settings: Any) -> Agent:
    return Agent(links=links or (link(),), **{"seed": 3, "minimum_prefix_interval": 10.0, **settings})


def sent(effects: list[Any], kind: type) -> list[Any]:
    return [effect for effect in effects if isinstance(effect, kind)]


def heard(
    agent: Agent, *options: Option, source: bytes = OTHER, flags: int = 0x20, lifetime: int = 100, interface: int = 7
) -> None:
    message = RouterAdvertisement(64, flags, lifetime, 0, 0, options)
    assert agent.give(RouterAdvertisementHeard(interface, source, message)) == []


def whole(address: bytes, *, valid: int = 1000, preferred: int = 500, flags: int = 0xE0) -> PrefixInformation:
    return PrefixInformation(64, flags, valid, preferred, address)


def discover(agent: Agent, *, flags: int = 0, seed: int = 1, to: bytes = ANYCAST, source: bytes = CARE_OF) -> Any:
    effects = agent.give(DiscoveryRequested(source, to, HomeAgentAddressDiscoveryRequest(9, flags), seed))
    agent.time += 0.1
    return effects[0] if effects else None


def listed(reply: SendIcmp) -> list[bytes]:
    return list(reply.message.home_agents())  # type: ignore[union-attr]


def register(agent: Agent, sequence: int = 1, **more: Any) -> None:
    answer = agent.update(sequence, home=ON_LINK, protection=KEY, stamp=None if more.pop("bare", False) else 0.0, **more)
    assert answer.status == 0


# ---- our own advertisements ----


@pytest.mark.rfc("6275#7.2-1", "6275#7.2-2", "6275#7.2-3", "6275#7.3-3", "6275#7.5-11", "3963#7.3-1")
def test_an_advertisement_says_that_a_home_agent_is_here() -> None:
    world = agent(link(), link(SECOND_PREFIX, SECOND_OWN, valid_lifetime=99, preferred_lifetime=98))
    assert world.give(HomeLinkUp(7)) == []
    (effect,) = world.advance(0)
    assert effect == SendAdvertisement(
        7,
        RouterAdvertisement(
            64,
            0x20,
            1800,
            0,
            0,
            (
                SourceLinkLayerAddress(LINK_LAYER),
                AdvertisementInterval(3000),
                PrefixInformation(64, 0xE0, 2592000, 604800, OWN),
                PrefixInformation(64, 0xE0, 99, 98, SECOND_OWN),
                HomeAgentInformation(0x8000, 5, 1800),
            ),
        ),
    )


@pytest.mark.rfc("6275#7.4-13")
def test_what_is_usual_need_not_be_said() -> None:
    world = agent(link(preference=0), mobile_routers=False)
    world.give(HomeLinkUp(7))
    (effect,) = world.advance(0)
    assert not any(isinstance(option, HomeAgentInformation) for option in effect.message.options)
    world = agent(link(preference=1), mobile_routers=False)
    world.give(HomeLinkUp(7))
    (effect,) = world.advance(0)
    assert HomeAgentInformation(0, 1, 1800) in effect.message.options


@pytest.mark.rfc("6275#7.5-8")
def test_a_short_interval_is_told_a_little_longer() -> None:
    world = agent(link(advertising=Advertising(LINK_LAYER, 0.03, 0.07, 0.03)))
    world.give(HomeLinkUp(7))
    (effect,) = world.advance(0)
    assert AdvertisementInterval(90) in effect.message.options
    assert 14 <= len(world.advance(1.0)) <= 34


def test_advertisements_come_between_the_intervals_and_the_first_ones_sooner() -> None:
    world = agent(link(advertising=Advertising(LINK_LAYER, 100.0, 600.0)))
    world.give(HomeLinkUp(7))
    times = []
    for _ in range(3000):
        if sent(world.advance(1.0), SendAdvertisement):
            times.append(world.time)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert all(15 <= gap <= 17 for gap in gaps[:2])
    assert all(99 <= gap <= 601 for gap in gaps[2:])
    assert len(set(gaps[2:])) > 3


def test_who_asks_is_answered_soon_but_not_more_often_than_allowed() -> None:
    world = agent(link(advertising=Advertising(LINK_LAYER, 100.0, 600.0)))
    world.give(HomeLinkUp(7))
    world.advance(100)
    assert world.give(RouterSolicitationHeard(7)) == []
    assert len(world.advance(0.5)) == 1
    for _ in range(50):
        world.give(RouterSolicitationHeard(7))
    assert world.advance(2.5) == []
    assert len(world.advance(0.5)) == 1
    assert world.advance(3.0) == []


def test_the_last_words() -> None:
    world = agent(link(), link(SECOND_PREFIX, SECOND_OWN, interface=8))
    world.give(HomeLinkUp(7))
    world.advance(0)
    (effect,) = world.give(HomeAgentStopping())  # interface 8 has never been up
    assert effect.interface == 7
    assert (effect.message.flags, effect.message.router_lifetime) == (0x20, 0)
    assert not any(isinstance(option, HomeAgentInformation) for option in effect.message.options)


def test_a_link_that_somebody_else_advertises() -> None:
    world = agent(link(advertising=None))
    for event in (HomeLinkUp(7), RouterSolicitationHeard(7), HomeAgentStopping()):
        assert world.give(event) == []
    assert world.advance(10000) == []


def test_an_anchor_that_is_no_home_agent_does_none_of_it() -> None:
    world = Agent()
    world.engine = Anchor(AnchorSettings((AGENT,)), world.book)
    for event in (HomeLinkUp(7), RouterSolicitationHeard(7), HomeAgentStopping()):
        assert world.give(event) == []
    heard(world)
    assert discover(world) is None
    assert solicit(world) == [Send(AGENT, CARE_OF, BindingError(1, ON_LINK, ()))]
    assert world.engine.next_deadline() is None


def test_what_is_heard_on_other_links_is_nobody_s_business() -> None:
    world = agent()
    for event in (HomeLinkUp(9), RouterSolicitationHeard(9)):
        assert world.give(event) == []
    heard(world, whole(OTHER_GLOBAL), interface=9)
    assert listed(discover(world)) == [OWN]


# ---- the Home Agents List ----


@pytest.mark.rfc("6275#10.1-1", "6275#10.5.1-5", "6275#10.5.1-6", "6275#6.5-2")
def test_home_agents_are_told_by_preference() -> None:
    world = agent()
    low, high = (IPv6Address(f"2001:db8:5::{n}").packed for n in (10, 20))
    heard(world, whole(low), HomeAgentInformation(0, 4, 100), source=IPv6Address("fe80::10").packed)
    heard(world, whole(high), HomeAgentInformation(0, 6, 100), source=IPv6Address("fe80::20").packed)
    reply = discover(world)
    assert (reply.source, reply.destination, reply.message.identifier) == (OWN, CARE_OF, 9)
    assert listed(reply) == [high, OWN, low]


@pytest.mark.rfc("6275#10.5.1-1", "6275#7.4-3", "6275#10.5.1-2", "6275#7.4-9")
def test_without_the_option_preference_is_0_and_lifetime_the_router_s() -> None:
    world = agent(link(preference=1))
    heard(world, whole(OTHER_GLOBAL), lifetime=50)
    assert listed(discover(world)) == [OWN, OTHER_GLOBAL]
    world.advance(49)
    assert listed(discover(world)) == [OWN, OTHER_GLOBAL]
    world.advance(1)
    assert listed(discover(world)) == [OWN]


@pytest.mark.rfc("6275#10.5.1-3", "6275#10.1-4")
def test_a_home_agent_is_forgotten_when_its_time_is_over_or_it_says_so() -> None:
    world = agent()
    information = HomeAgentInformation(0, 0, 60)
    heard(world, whole(OTHER_GLOBAL), information, lifetime=10)
    world.advance(40)
    heard(world, information, lifetime=10)
    world.advance(59)
    assert OTHER_GLOBAL in listed(discover(world))
    world.advance(1.1)
    assert listed(discover(world)) == [OWN]
    for ending in ({"flags": 0}, {"lifetime": 0}):
        heard(world, whole(OTHER_GLOBAL))
        assert OTHER_GLOBAL in listed(discover(world))
        heard(world, whole(OTHER_GLOBAL), **ending)  # type: ignore[arg-type]
        assert listed(discover(world)) == [OWN]


@pytest.mark.rfc("6275#10.1-3")
def test_an_address_ends_with_its_prefix() -> None:
    world = agent()
    second = IPv6Address("2001:db8:5::3").packed
    heard(world, whole(OTHER_GLOBAL, valid=20), whole(second, valid=0xFFFFFFFF), lifetime=1000)
    world.advance(21)
    assert sorted(listed(discover(world))) == [OWN, second]
    heard(world, whole(second, valid=0), lifetime=1000)
    assert listed(discover(world)) == [OWN]


def test_only_whole_global_addresses_are_taken() -> None:
    world = agent()
    heard(world, whole(OTHER_GLOBAL, flags=0xC0), whole(OTHER), whole(IPv6Address("ff02::1").packed), whole(bytes(16)))
    assert listed(discover(world)) == [OWN]


@pytest.mark.rfc("6275#8.4-8")
def test_each_link_has_its_own_list() -> None:
    world = agent(link(), link(SECOND_PREFIX, SECOND_OWN, interface=8))
    heard(world, whole(OTHER_GLOBAL), interface=7)
    heard(world, whole(OTHER_GLOBAL), interface=99)
    assert OTHER_GLOBAL in listed(discover(world))
    assert listed(discover(world, to=home_agents_anycast(SECOND_PREFIX, 64))) == [SECOND_OWN]


def test_a_link_s_neighbours_cannot_fill_the_memory() -> None:
    world = agent()
    for number in range(2000):
        source = IPv6Address(f"fe80::{number:x}").packed
        addresses = [whole(IPv6Address(f"2001:db8:5::{number:x}:{n:x}").packed) for n in range(1, 40)]
        prefixes = [whole(IPv6Address(f"2001:db8:{number:x}:{n:x}::").packed, flags=0xC0) for n in range(40)]
        heard(world, *addresses, *prefixes, source=source)
    assert world.engine.describe_counters()["home_agents_known"] == 64
    register(world)
    (told,) = world.give(PrefixSolicited(CARE_OF, AGENT, ON_LINK, MobilePrefixSolicitation(1)))
    assert len(told.message.options) <= 17
    assert len(encode_icmpv6(told.message, AGENT, ON_LINK)) + 64 <= 1280


# ---- discovery ----


@pytest.mark.parametrize(
    ("prefix", "length", "expected"),
    [
        ("2001:db8:5::", 64, "2001:db8:5:0:fdff:ffff:ffff:fffe"),
        ("2001:db8:5::", 48, "2001:db8:5:ffff:ffff:ffff:ffff:fffe"),
        ("2001:db8:5:1::", 112, "2001:db8:5:1::fffe"),
    ],
)
def test_the_anycast_address_of_rfc_2526(prefix: str, length: int, expected: str) -> None:
    assert home_agents_anycast(IPv6Address(prefix).packed, length) == IPv6Address(expected).packed


@pytest.mark.rfc("6275#10.5.1-7", "6275#10.5.1-8")
def test_equals_share_the_first_place_and_the_seed_decides() -> None:
    world = agent()
    second = IPv6Address("2001:db8:5::3").packed
    heard(world, whole(OTHER_GLOBAL), whole(second), HomeAgentInformation(0, 5, 1000))
    orders = [tuple(listed(discover(world, seed=seed))) for seed in range(40)]
    assert set(orders) == {
        (OWN, OTHER_GLOBAL, second),
        (OWN, second, OTHER_GLOBAL),
        (OTHER_GLOBAL, second, OWN),
        (second, OTHER_GLOBAL, OWN),
    }
    assert orders == [tuple(listed(discover(world, seed=seed))) for seed in range(40)]


@pytest.mark.rfc("6275#10.5.1-9", "6275#10.5.1-10")
def test_a_reply_fits_and_keeps_the_preferred() -> None:
    world = agent(link(preference=0))
    for number in range(1, 30):
        addresses = [whole(IPv6Address(f"2001:db8:5::{number:x}:{n:x}").packed) for n in range(1, 6)]
        heard(world, *addresses, HomeAgentInformation(0, number, 1000), source=IPv6Address(f"fe80::{number:x}").packed)
    reply = discover(world)
    assert len(listed(reply)) == MOST_ADDRESSES
    assert 40 + len(encode_icmpv6(reply.message, OWN, CARE_OF)) in range(1264, 1281)
    assert {address[13] for address in listed(reply)} == set(range(29, 29 - 16, -1)) or OWN not in listed(reply)


@pytest.mark.rfc("3963#7.2-1", "3963#7.2-2", "3963#7.2-3", "3963#7.2-4")
def test_a_mobile_router_is_told_who_supports_it_if_anybody_does() -> None:
    world = agent(mobile_routers=False)
    heard(world, whole(OTHER_GLOBAL), HomeAgentInformation(0, 9, 1000))
    reply = discover(world, flags=0x8000)
    assert (reply.message.flags, len(listed(reply))) == (0, 2)
    heard(world, whole(OTHER_GLOBAL), HomeAgentInformation(0x8000, 1, 1000))
    reply = discover(world, flags=0x8000)
    assert (reply.message.flags, listed(reply)) == (0x8000, [OTHER_GLOBAL])
    reply = discover(world)
    assert (reply.message.flags, listed(reply)) == (0, [OWN, OTHER_GLOBAL])


def test_nobody_is_answered_who_cannot_be_or_has_asked_elsewhere() -> None:
    world = agent()
    assert discover(world, to=OWN) is None
    assert discover(world, source=IPv6Address("ff02::1").packed) is None
    assert discover(world, source=bytes(16)) is None


def test_replies_are_limited() -> None:
    world = agent()
    event = DiscoveryRequested(CARE_OF, ANYCAST, HomeAgentAddressDiscoveryRequest(1, 0), 1)
    assert sum(len(world.give(event)) for _ in range(1000)) == 50
    world.advance(1.0)
    assert sum(len(world.give(event)) for _ in range(1000)) == 50


# ---- prefixes ----


def solicit(world: Agent, identifier: int = 7, *, source: bytes = CARE_OF, home: bytes = ON_LINK, to: bytes = AGENT) -> Any:
    message = MobilePrefixSolicitation(identifier, (UnknownOption(200, bytes(6)),))
    return world.give(PrefixSolicited(source, to, home, message))


@pytest.mark.rfc("6275#8.4-11", "6275#6.8-2", "6275#6.8-7", "6275#6.8-8", "6275#6.8-10", "6275#10.6.3-1", "6275#10.6.3-2")
@pytest.mark.rfc("6275#10.6.3-3", "6275#10.6.3-4", "6275#6.7-5")
def test_a_node_that_asks_is_told_all_prefixes_of_its_link_at_once() -> None:
    world = agent(link(), link(SECOND_PREFIX, SECOND_OWN))
    third = IPv6Address("2001:db8:7::").packed
    heard(world, PrefixInformation(64, 0xC0, 100, 50, third), whole(OTHER_GLOBAL))
    register(world)
    world.advance(9)
    (told,) = solicit(world)
    assert (told.source, told.destination, told.home_address) == (AGENT, CARE_OF, ON_LINK)
    assert (told.message.identifier, told.message.flags) == (7, 0)
    assert told.message.options == (
        PrefixInformation(64, 0xE0, 2592000, 604800, OWN),
        PrefixInformation(64, 0xE0, 2592000, 604800, SECOND_OWN),
        PrefixInformation(64, 0xC0, 91, 41, third),
    )


@pytest.mark.rfc("6275#6.8-9")
def test_no_node_is_told_twice_in_a_second() -> None:
    world = agent()
    register(world)
    assert len(solicit(world, 1)) == 1
    world.advance(0.4)
    assert solicit(world, 2) == []
    assert solicit(world, 3) == []
    assert world.advance(0.5) == []
    (told,) = world.advance(0.2)
    assert told.message.identifier == 3


@pytest.mark.rfc("6275#8.4-12")
def test_a_home_agent_may_be_told_to_keep_its_prefixes_to_itself() -> None:
    world = agent(send_prefix_advertisements=False)
    register(world)
    assert solicit(world) == []
    assert sent(world.advance(300), SendIcmp) == []


@pytest.mark.rfc("6275#9.3.1-4", "6275#9.3.1-5", "6275#9.3.3-2")
def test_who_is_not_registered_there_is_told_that() -> None:
    world = agent()
    (error,) = solicit(world)
    assert error == Send(AGENT, CARE_OF, BindingError(1, ON_LINK, ()))
    register(world)
    (error,) = solicit(world, source=ELSEWHERE)
    assert error == Send(AGENT, ELSEWHERE, BindingError(1, ON_LINK, ()))
    assert solicit(world, to=OWN) == []


def test_where_gateways_serve_the_home_network_the_prefix_is_the_node_s_own() -> None:
    world = agent()
    world.update(1)
    (told,) = solicit(world, home=HOME)
    assert told.message.options == (PrefixInformation(64, 0xC0, 2592000, 604800, HOME[:8] + bytes(8)),)
    assert sent(world.advance(390), SendIcmp) == []


@pytest.mark.rfc("6275#10.6.2-5", "6275#10.6.2-6", "6275#6.8-1")
def test_unasked_a_node_is_told_until_it_acknowledges_or_never_does() -> None:
    world = agent(maximum_prefix_interval=20.0)
    register(world)
    times = []
    for _ in range(1200):
        for told in sent(world.advance(0.1), SendIcmp):
            assert (told.destination, told.home_address, told.message.identifier) == (CARE_OF, ON_LINK, 0)
            times.append(world.time)
        if len(times) == 4:
            break
    assert 1010 <= times[0] <= 1020.2
    assert [round(after - before) for before, after in itertools.pairwise(times)] == [3, 6, 12]
    assert sent(world.advance(25), SendIcmp) == []


@pytest.mark.rfc("6275#10.6.2-5")
def test_asking_acknowledges() -> None:
    world = agent(maximum_prefix_interval=20.0)
    register(world)
    while not sent(world.advance(0.1), SendIcmp):
        pass
    world.advance(1.5)
    assert len(solicit(world)) == 1
    assert sent(world.advance(19), SendIcmp) == []


@pytest.mark.rfc("6275#10.6.2-8")
def test_a_node_that_never_answered_and_registers_again_is_told_again() -> None:
    world = agent(minimum_prefix_interval=2.0, maximum_prefix_interval=1000.0)
    heard(world, PrefixInformation(64, 0xC0, 1000, 3, IPv6Address("2001:db8:7::").packed))
    register(world, lifetime=100)
    assert len(sent(world.advance(30), SendIcmp)) == 4
    assert sent(world.advance(60), SendIcmp) == []
    register(world, 2)
    assert len(sent(world.advance(30), SendIcmp)) == 4


@pytest.mark.rfc("6275#10.6.2-7")
def test_a_registration_that_ends_takes_its_advertisements_along() -> None:
    world = agent(minimum_prefix_interval=2.0, maximum_prefix_interval=4.0)
    register(world, lifetime=2)
    assert len(sent(world.advance(30), SendIcmp)) <= 2
    world = agent(minimum_prefix_interval=2.0, maximum_prefix_interval=4.0)
    register(world)
    world.update(2, home=ON_LINK, protection=KEY, care_of=ON_LINK, lifetime=0)
    assert sent(world.advance(30), SendIcmp) == []


@pytest.mark.rfc("6275#10.6.2-9")
def test_what_changes_on_the_link_is_told_to_those_whose_home_it_is() -> None:
    world = agent(minimum_prefix_interval=10.0, maximum_prefix_interval=100000.0)
    new = IPv6Address("2001:db8:7::").packed
    register(world, lifetime=1000)
    assert len(solicit(world)) == 1
    assert sent(world.advance(50), SendIcmp) == []
    heard(world, PrefixInformation(64, 0xC0, 1000, 20, new), lifetime=9000)
    first = sent(world.advance(21), SendIcmp)
    assert first
    assert new in [option.prefix for option in first[0].message.options]
    world.advance(1.5)
    solicit(world)
    heard(world, PrefixInformation(64, 0xC0, 1000, 20, new), lifetime=9000)  # what was said before, said again
    assert sent(world.advance(60), SendIcmp) == []
    heard(world, PrefixInformation(64, 0xC0, 100, 20, new), lifetime=9000)
    assert sent(world.advance(21), SendIcmp)
    world.advance(1.5)
    solicit(world)
    heard(world, PrefixInformation(64, 0x80, 100, 20, new), lifetime=9000)
    assert sent(world.advance(21), SendIcmp)


def test_a_lifetime_that_counts_down_is_no_change() -> None:
    world = agent(minimum_prefix_interval=1.0, maximum_prefix_interval=100000.0)
    new = IPv6Address("2001:db8:7::").packed
    heard(world, PrefixInformation(64, 0xC0, 10000, 2000, new), lifetime=9000)
    register(world, lifetime=1000)
    solicit(world)
    for passed in range(100, 1500, 100):
        world.advance(100)
        heard(world, PrefixInformation(64, 0xC0, 10000 - passed, 2000 - passed, new), lifetime=9000)
    assert world.engine.describe_counters()["prefix_advertisements_sent"] == 1


@pytest.mark.rfc("6275#10.6.4-1")
def test_no_registration_outlives_the_prefix() -> None:
    world = agent(link(valid_lifetime=40))
    answer = world.update(1, home=ON_LINK, protection=KEY, lifetime=100)
    assert answer.lifetime == 10


# ---- the Home Address option of packets that are no signalling ----


@pytest.mark.rfc("6275#9.3.1-1", "6275#9.3.1-2", "6275#9.3.1-3", "6275#9.3.1-5", "6275#9.3.3-1", "6275#9.3.3-2", "6275#9.3.3-3")
def test_a_home_address_without_a_binding_is_an_error() -> None:
    world = agent()
    error = Send(AGENT, CARE_OF, BindingError(1, ON_LINK, ()))
    assert world.give(HomeAddressOptionReceived(CARE_OF, AGENT, ON_LINK, 17)) == [error]
    for next_header in (50, 51, 135):
        assert world.give(HomeAddressOptionReceived(CARE_OF, AGENT, ON_LINK, next_header)) == []
    for source in (bytes(16), IPv6Address("ff02::1").packed):
        assert world.give(HomeAddressOptionReceived(source, AGENT, ON_LINK, 17)) == []
    assert world.give(HomeAddressOptionReceived(CARE_OF, ELSEWHERE, ON_LINK, 17)) == []
    register(world)
    assert world.give(HomeAddressOptionReceived(CARE_OF, AGENT, ON_LINK, 17)) == []
    assert world.give(HomeAddressOptionReceived(CARE_OF, AGENT, HOME, 17)) != []
    flood = [world.give(HomeAddressOptionReceived(ELSEWHERE, AGENT, ON_LINK, 17)) for _ in range(100)]
    assert sum(map(len, flood)) <= 10


def test_chance_is_what_its_seed_is() -> None:
    one, other = Chance(5), Chance(5)
    assert [one.below(10) for _ in range(50)] == [other.below(10) for _ in range(50)]
    assert all(2.0 <= one.between(2.0, 3.0) < 3.0 for _ in range(1000))
    assert sorted(Chance(1).shuffled(range(20))) == list(range(20))
    firsts = [Chance(seed).shuffled("abcd")[0] for seed in range(4000)]
    assert all(900 < firsts.count(letter) < 1100 for letter in "abcd")
