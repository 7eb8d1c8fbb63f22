# SPDX-License-Identifier: Apache-2.0
"""The home link that a node sees: RFC 5213 sections 6.7, 6.9.2, 6.9.3, 6.9.5 and 6.12, RFC 6543."""

from __future__ import annotations

import pytest

from halma.engine.api import Tunnel
from halma.engine.gateway_api import (
    AdvertiseRouter,
    GatewaySettings,
    LinkDown,
    LinkUp,
    PathMtuChanged,
    PrepareLink,
    SetPathMtu,
)
from halma.wire.addresses import ALL_NODES
from halma.wire.icmpv6 import decode_icmpv6, encode_icmpv6
from halma.wire.nd import PrefixInformation, SourceLinkLayerAddress
from halma.wire.numbers import Status
from halma.wire.options import HomeNetworkPrefix
from tests.engine.gateway_world import (
    ANCHOR,
    AP0,
    AP1,
    GATEWAY,
    HOST,
    HOST_ADDRESS,
    OTHER,
    OTHER_ANCHOR,
    PREFIX,
    PREFIX_2,
    PREFIX_3,
    World,
    advertised,
    advertisement,
    advertisements,
    mtu,
    of,
    update,
    updates,
)

ROUTER = bytes.fromhex("fe8000000000000002005efffe005213")
ROUTER_LINK_LAYER = bytes.fromhex("00005e005213")


@pytest.mark.rfc("6543#1-1", "6543#1-2", "6543#1-3", "6543#1-4", "5213#6.9.3-1", "5213#9.3-8", "5213#9.3-9")
def test_every_access_link_has_the_reserved_addresses() -> None:
    world = World()
    assert (GatewaySettings(GATEWAY, ANCHOR).link_local_address, GatewaySettings(GATEWAY, ANCHOR).link_layer_address) == (
        ROUTER,
        ROUTER_LINK_LAYER,
    )
    for interface in (AP0, AP1):
        assert of(world.link_up(interface), PrepareLink) == [PrepareLink(interface, ROUTER_LINK_LAYER, ROUTER)]


@pytest.mark.requirement("GW-3")
@pytest.mark.rfc("5213#6.9.1.2-23", "5213#6.9.3-1", "5213#6.9.2-1", "6543#1-1", "6543#1-3")
def test_a_node_alone_is_told_its_prefixes() -> None:
    world = World()
    (sent,) = advertisements(world.register(PREFIX, PREFIX_2))
    assert (sent.interface, sent.link_layer_address, sent.source, sent.destination) == (AP0, HOST, ROUTER, HOST_ADDRESS)
    message = sent.message
    assert (message.flags, message.router_lifetime, message.hop_limit) == (0, 3600, 64)
    assert [option for option in message.options if isinstance(option, PrefixInformation)] == [
        PrefixInformation(64, 0xC0, 3600, 3600, PREFIX.prefix),
        PrefixInformation(64, 0xC0, 3600, 3600, PREFIX_2.prefix),
    ]
    assert SourceLinkLayerAddress(ROUTER_LINK_LAYER) in message.options
    assert decode_icmpv6(encode_icmpv6(message, ROUTER, HOST_ADDRESS), ROUTER, HOST_ADDRESS) == message


def test_a_prefix_that_cannot_be_autoconfigured_from_is_on_link_only() -> None:
    world = World()
    message = advertisement(world.register(HomeNetworkPrefix(56, PREFIX.prefix)))
    assert [option.flags for option in message.options if isinstance(option, PrefixInformation)] == [0x80]


def test_a_node_whose_address_was_not_heard_is_spoken_to_as_all_nodes() -> None:
    world = World()
    world.link_up()
    (sent,) = advertisements(world.accept(update(world.hear(HOST, bytes(16)))))
    assert (sent.link_layer_address, sent.destination) == (HOST, ALL_NODES)


@pytest.mark.rfc("5213#6.9.2-2", "5213#6.9.2-3", "5213#6.7-1")
def test_a_solicitation_is_answered_once_the_registration_is_complete() -> None:
    world = World()
    world.link_up()
    done = world.solicit()
    sent = update(done)
    assert advertisements(done) == []
    world.advance(0.5)
    assert advertisements(world.solicit()) == []
    assert len(advertisements(world.accept(sent))) == 1
    world.advance(0.5)
    assert advertised(advertisement(world.solicit())) == {PREFIX.prefix: 3599}


def test_a_flood_of_solicitations_brings_one_advertisement_in_a_tenth_of_a_second() -> None:
    world = World()
    world.register()
    world.advance(0.04)
    sent = [one for _ in range(50) for one in advertisements(world.solicit())]
    assert sent == []
    assert len(advertisements(world.advance(0.07))) == 1
    assert world.counters["router_solicitation_rate_limited"] == 50


def test_a_flood_from_a_denied_node_brings_no_more() -> None:
    world = World()
    world.refuse(world.attach(), Status.ADMINISTRATIVELY_PROHIBITED)
    assert advertisements(world.solicit()) == []
    assert advertisements(world.advance(1)) == []
    assert advertisement(world.solicit()).router_lifetime == 0


def test_the_first_advertisement_is_repeated_soon_in_case_it_was_lost() -> None:
    world = World()
    world.register()
    times = []
    for _ in range(700):
        times += [world.monotonic - 1000 for _ in advertisements(world.advance(1) + world.hear())]
    assert [round(moment) for moment in times] == [3, 6, 206, 406, 606]


@pytest.mark.rfc("5213#6.7-3")
def test_lifetimes_follow_the_binding() -> None:
    world = World(presence_interval=0)
    world.register(lifetime=75)  # 300 s
    sent = [one.message for one in advertisements(world.advance(199))]
    assert [message.router_lifetime for message in sent] == [297, 294, 194]
    assert [advertised(message)[PREFIX.prefix] for message in sent] == [297, 294, 194]
    refresh = update(world.advance(1) + world.hear())
    assert advertised(advertisement(world.accept(refresh, lifetime=75))) == {PREFIX.prefix: 300}


def test_a_router_is_advertised_for_no_longer_than_neighbor_discovery_allows() -> None:
    world = World(lifetime=65535 * 4)
    message = advertisement(world.register())
    assert (message.router_lifetime, advertised(message)[PREFIX.prefix]) == (9000, 262140)


@pytest.mark.requirement("GW-3")
def test_when_the_anchor_is_silent_until_the_binding_has_run_out_everything_is_withdrawn() -> None:
    world = World(presence_interval=0)
    world.register(lifetime=15)
    done = []
    for _ in range(70):
        done += world.advance(1) + world.hear()
    assert world.counters["binding_expired"] == 1
    last = advertisements(done)[-1].message
    assert (last.router_lifetime, advertised(last)) == (0, {PREFIX.prefix: 0})
    assert world.bound == {}
    assert world.session()["state"] == "registering"
    assert advertised(advertisement(world.accept(updates(done)[-1]))) == {PREFIX.prefix: 3600}


def test_while_the_anchor_is_silent_the_node_is_told_that_there_is_no_router() -> None:
    world = World(presence_interval=0)
    world.attach()
    done = []
    for _ in range(20):
        done += world.advance(0.5) + world.hear()
    assert [one.message.router_lifetime for one in advertisements(done)] == [0]
    assert advertisement(world.solicit()).router_lifetime == 0
    sent = updates(done)[-1]
    assert advertisement(world.accept(sent)).router_lifetime == 3600


@pytest.mark.rfc("5213#6.12-1", "5213#6.12-2")
def test_a_prefix_that_the_anchor_has_replaced_is_withdrawn() -> None:
    world = World(presence_interval=0)
    world.register(PREFIX, PREFIX_2)
    refresh = update(world.advance(2400) + world.hear())
    message = advertisement(world.accept(refresh, PREFIX_2, PREFIX_3))
    assert advertised(message) == {PREFIX_2.prefix: 3600, PREFIX_3.prefix: 3600, PREFIX.prefix: 0}
    assert set(world.bound) == {PREFIX_2.prefix, PREFIX_3.prefix}
    later = advertisements(world.advance(200))[0].message
    assert PREFIX.prefix not in advertised(later)


@pytest.mark.rfc("5213#6.9.2-6", "5213#6.9.2-7", "5213#6.9.2-8", "5213#6.9.5-6", "5213#6.9.5-7", "5213#6.9.5-8")
def test_the_mtu_is_that_of_the_tunnel() -> None:
    assert mtu(advertisement(World().register())) == 1460
    assert mtu(advertisement(World(path_mtu=9000).register())) == 1500
    assert mtu(advertisement(World(path_mtu=1300).register())) == 1280


@pytest.mark.rfc("5213#6.9.5-9")
def test_the_mtu_is_that_of_the_access_link_where_that_is_lower() -> None:
    world = World()
    world.link_up(AP0, 1400)
    assert mtu(advertisement(world.accept(update(world.hear())))) == 1400
    assert mtu(advertisement(world.handle(LinkUp(AP0, 1300)))) == 1300


@pytest.mark.rfc("5213#6.9.5-10", "5213#6.9.5-11", "5213#6.9.5-12")
def test_a_change_of_the_path_mtu_is_told_to_the_nodes_behind_it() -> None:
    world = World()
    world.register()
    world.attach(OTHER, interface=AP1)
    done = world.handle(PathMtuChanged(ANCHOR, 1400))
    assert of(done, SetPathMtu) == [SetPathMtu(Tunnel(GATEWAY, ANCHOR), 1400)]
    assert [mtu(one.message) for one in advertisements(done)] == [1360]
    assert mtu(advertisements(world.advance(300))[-1].message) == 1360
    assert world.handle(PathMtuChanged(OTHER_ANCHOR, 1400)) == []


def test_a_change_of_a_link_is_told_to_the_nodes_that_are_served_on_it() -> None:
    world = World()
    world.attach()
    assert world.handle(LinkUp(AP0, 1400)) == []
    world.refuse(updates(world.log)[-1], Status.ADMINISTRATIVELY_PROHIBITED)
    assert world.handle(LinkUp(AP0, 1300)) == []


def test_a_node_that_has_gone_is_told_nothing() -> None:
    world = World()
    world.register()
    world.handle(LinkDown(AP0))
    assert of(world.advance(1000), AdvertiseRouter) == []


def test_nothing_is_advertised_while_the_data_plane_is_being_told() -> None:
    world = World()
    world.forwarding_waits = True
    world.register()
    world.advance(0.5)
    assert advertisements(world.solicit() + world.advance(5)) == []
