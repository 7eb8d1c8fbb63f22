# SPDX-License-Identifier: Apache-2.0
"""Nodes that manage their own mobility, to which the gateway is a plain access router: RFC 5213 section 6.14, GW-6."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from halma.engine.api import Answer, Bind, BindingKind, MessageReceived, Report, Unbind
from halma.engine.gateway_api import (
    FIXED_LINK_LOCAL_ADDRESS,
    AttachTriggered,
    DetachTriggered,
    LinkDown,
    LinkUp,
    LinkVanished,
    NodeProfile,
    PathMtuChanged,
    ProfilesReplaced,
    RetryRequested,
    SetLinkLocalAddresses,
    SolicitNodes,
    StopRequested,
    TearDownLink,
)
from halma.engine.link_local import plain_router_address
from halma.policy.gateway import GatewayPolicy
from halma.text import Prefix, read_prefix
from halma.wire.messages import BindingRevocationIndication
from halma.wire.nd import PrefixInformation, RouterAdvertisement, SourceLinkLayerAddress
from halma.wire.numbers import PrefixInformationFlag, RevocationFlag, RevocationTrigger
from halma.wire.options import MobileNodeIdentifier
from tests.engine.gateway_world import (
    ANCHOR,
    AP0,
    AP1,
    GATEWAY,
    HOST,
    HOST_NAME,
    HOST_PROFILE,
    OTHER_ADDRESS,
    PLAIN,
    PLAIN_NAME,
    PREFIX,
    PROFILES,
    HomeNetworkPrefix,
    World,
    advertised,
    advertisements,
    answer,
    body,
    mtu,
    of,
    option,
    probes,
    said,
    update,
    updates,
)

ACCESS = read_prefix("2001:db8:21::/56")
PLAIN_ADDRESS = bytes.fromhex("fe8000000000000000000000fffe0301")
SECOND = bytes.fromhex("020000000302")
SECOND_PROFILE = NodeProfile(b"second@example.org", SECOND, proxy_mobility=False)
LOCAL_HOST = NodeProfile(HOST_NAME, HOST, proxy_mobility=False)
ROUTER = plain_router_address(GATEWAY, "ap0")
ROUTER_1 = plain_router_address(GATEWAY, "ap1")


def mixed(*profiles: NodeProfile, prefix: Prefix = ACCESS, **settings: Any) -> World:
    """A gateway that has an access prefix."""
    return World(profiles or (*PROFILES, SECOND_PROFILE), access_prefix=prefix, **settings)


def bind(effects: list[Any]) -> Bind:
    """The only Bind among effects."""
    (found,) = of(effects, Bind)
    return found


def from_router(effects: list[Any], router: bytes = ROUTER) -> RouterAdvertisement:
    """The only Router Advertisement that a router has sent."""
    (found,) = [sent.message for sent in advertisements(effects) if sent.source == router]
    return found


def plain(world: World, interface: int = AP0, node: bytes = PLAIN) -> list[Any]:
    """A node that manages its own mobility comes to a link."""
    return world.link_up(interface) + world.solicit(node, PLAIN_ADDRESS, interface)


# ---- being a plain router -----------------------------------------------------------------------------------------------


@pytest.mark.requirement("GW-6")
@pytest.mark.rfc("5213#6.14-1", "5213#6.14-2", "5213#6.14-3", "5213#6.9.2-5")
def test_a_node_that_manages_its_own_mobility_is_advertised_a_prefix_of_the_gateways_own() -> None:
    world = mixed()
    done = plain(world)
    assert updates(done) == []
    made = bind(done)
    assert (made.kind, made.tunnel, made.access, made.prefix_length) == (BindingKind.LOCAL, None, AP0, 64)
    assert ACCESS.contains(made.prefix)
    message = from_router(done)
    (information,) = [given for given in message.options if isinstance(given, PrefixInformation)]
    assert information.flags == PrefixInformationFlag.ON_LINK | PrefixInformationFlag.AUTONOMOUS
    assert (information.prefix, information.prefix_length) == (made.prefix, 64)
    assert information.preferred_lifetime == 5400 < information.valid_lifetime == 7200
    assert (message.router_lifetime, mtu(message)) == (600, 1500)  # three intervals; there is no tunnel
    (sent, _) = advertisements(done)
    assert (sent.interface, sent.link_layer_address, sent.destination) == (AP0, PLAIN, PLAIN_ADDRESS)
    row = world.session(PLAIN)
    assert (row["node"], row["state"], row["reason"]) == (PLAIN_NAME, "local", "")
    assert (row["prefixes"], row["anchor"]) == ([(made.prefix, 64)], b"")


@pytest.mark.requirement("GW-6")
@pytest.mark.rfc("5213#6.14-3")
def test_the_router_is_one_of_its_own_so_that_the_node_sees_that_it_has_moved() -> None:
    world = mixed()
    done = plain(world)
    assert of(done, SetLinkLocalAddresses) == [SetLinkLocalAddresses(AP0, (ROUTER,))]
    assert FIXED_LINK_LOCAL_ADDRESS not in (ROUTER, ROUTER_1)
    elsewhere = plain_router_address(bytes.fromhex("20010db8000300000000000000000001"), "ap0")
    assert len({ROUTER, ROUTER_1, elsewhere}) == 3
    assert all(address[:8] == bytes.fromhex("fe80000000000000") and not address[8] & 2 for address in (ROUTER, ROUTER_1))
    message = from_router(done)
    assert SourceLinkLayerAddress(world.settings.link_layer_address) in message.options


@pytest.mark.requirement("GW-6")
def test_the_router_of_emulated_home_links_says_that_it_is_none_here() -> None:
    world = mixed()
    done = plain(world)
    first, second = advertisements(done)
    assert (first.source, second.source) == (ROUTER, FIXED_LINK_LOCAL_ADDRESS)  # never without a router
    assert (second.message.router_lifetime, advertised(second.message)) == (0, {})
    asks = mixed(link_local_address=bytes(16))
    (only,) = advertisements(plain(asks))
    assert only.source == ROUTER


def test_nothing_is_advertised_before_the_data_plane_has_the_prefix() -> None:
    world = mixed()
    world.forwarding_waits = True
    done = plain(world)
    assert advertisements(done) == []
    assert (world.session(PLAIN)["state"], world.session(PLAIN)["prefixes"]) == ("binding", [])
    assert advertisements(world.solicit(PLAIN, PLAIN_ADDRESS)) == []
    world.forward(world.waiting.pop())
    assert world.session(PLAIN)["state"] == "local"
    assert len(advertisements(world.log)) == 2


def test_it_is_advertised_again_soon_when_asked_and_at_intervals() -> None:
    world = mixed(presence_interval=0.0)
    plain(world)
    moments = []
    for _ in range(500):
        if advertisements(world.advance(1)):
            moments.append(world.monotonic - 1000)
    assert moments == [3.0, 6.0, 206.0, 406.0]
    assert len(advertisements(world.solicit(PLAIN, PLAIN_ADDRESS))) == 2
    assert advertisements(world.solicit(PLAIN, PLAIN_ADDRESS)) == []  # no more than ten a second
    assert len(advertisements(world.advance(0.1))) == 2


def test_another_mtu_of_the_link_is_told() -> None:
    world = mixed()
    plain(world)
    assert mtu(from_router(world.handle(LinkUp(AP0, 1400)))) == 1400


def test_its_presence_is_looked_after_from_the_routers_own_address() -> None:
    world = mixed()
    plain(world)
    done = world.advance(61)
    assert {probe.source for probe in probes(done)} == {ROUTER}
    done = world.advance(3)
    assert of(done, Unbind) != []
    assert world.session(PLAIN) == {}
    assert of(done, SetLinkLocalAddresses) == [SetLinkLocalAddresses(AP0, (FIXED_LINK_LOCAL_ADDRESS,))]
    assert of(done, TearDownLink) == [TearDownLink(AP0, PLAIN)]


# ---- prefixes -------------------------------------------------------------------------------------------------------------


def test_every_link_has_its_own_prefix_and_has_it_again_when_it_comes_back() -> None:
    world = mixed()
    first = bind(plain(world)).prefix
    second = bind(plain(world, AP1, SECOND)).prefix
    assert first != second
    world.handle(LinkVanished(AP0), LinkDown(AP1))
    assert world.bound == {}
    assert bind(plain(world, AP1, SECOND)).prefix == second
    assert bind(plain(world)).prefix == first
    assert bind(plain(mixed())).prefix == first  # after a restart as well


def test_nodes_of_one_link_share_its_prefix() -> None:
    world = mixed()
    made = bind(plain(world))
    done = world.solicit(SECOND, OTHER_ADDRESS)
    assert of(done, Bind) == []
    assert advertised(from_router(done)).keys() == {made.prefix}
    assert of(world.handle(DetachTriggered(PLAIN)), Unbind) == []
    (gone,) = of(world.handle(DetachTriggered(SECOND)), Unbind)
    assert (gone.prefix, gone.prefix_length, gone.kind) == (made.prefix, 64, BindingKind.LOCAL)


def test_links_whose_names_point_to_one_prefix_get_two_and_then_there_is_none_left() -> None:
    world = mixed(
        *(NodeProfile(b"n%d" % number, b"\x02\0\0\0\0" + bytes([number]), proxy_mobility=False) for number in range(5)),
        prefix=read_prefix("2001:db8:21::/62"),
    )
    prefixes = set()
    for number in range(4):
        done = plain(world, AP0 + number, b"\x02\0\0\0\0" + bytes([number]))
        prefixes.add(bind(done).prefix)
    assert len(prefixes) == 4
    last = b"\x02\0\0\0\0\x04"
    done = plain(world, AP0 + 4, last)
    assert of(done, Bind) == []
    assert "no prefix is left for ap4" in " ".join(said(done))
    assert (world.session(last)["state"], world.session(last)["reason"]) == ("denied", "no_access_prefix")
    assert [sent.message.router_lifetime for sent in advertisements(done)] == [0]
    world.handle(LinkDown(AP0))
    (told,) = of(world.handle(RetryRequested(b"n4", op=3)), Answer)
    assert told.result == {"retried": 1}
    assert world.session(last)["state"] == "local"


def test_one_prefix_serves_one_link() -> None:
    world = mixed(prefix=read_prefix("2001:db8:21::/64"))
    assert bind(plain(world)).prefix == read_prefix("2001:db8:21::/64").address
    assert of(plain(world, AP1, SECOND), Bind) == []


@pytest.mark.rfc("5213#6.14-2")
def test_without_an_access_prefix_the_node_gets_nothing() -> None:
    world = World()
    done = plain(world)
    assert of(done, Bind) + of(done, SetLinkLocalAddresses) == []
    assert advertisements(done) == []
    assert world.session(PLAIN)["reason"] == "not_entitled"
    (told,) = of(world.handle(RetryRequested(op=1)), Answer)
    assert told.result == {"retried": 1}
    assert world.session(PLAIN)["reason"] == "not_entitled"


def test_an_anchor_that_grants_a_prefix_of_ours_is_not_believed() -> None:
    world = mixed()
    ours = bind(plain(world, AP1)).prefix
    done = world.accept(world.attach(), HomeNetworkPrefix(64, ours))
    assert of(done, Bind) == []
    assert "a prefix of this gateway's own access links" in " ".join(said(done))
    assert body(update(done)).lifetime == 0
    assert world.session()["reason"] == "access_prefix_granted"
    world.handle(answer(update(done)))
    again = update(world.handle(RetryRequested(HOST_NAME)))
    world.accept(again, PREFIX)
    assert world.session()["state"] == "registered"


# ---- the data plane -------------------------------------------------------------------------------------------------------


def test_a_data_plane_that_refuses_is_asked_again() -> None:
    world = mixed(presence_interval=0.0)
    world.forwarding_errors = [errno.ENOSPC]
    done = plain(world)
    assert "errno 28" in " ".join(said(done))
    assert (world.session(PLAIN)["state"], world.session(PLAIN)["reason"]) == ("denied", "bind_failed")
    world.hear(SECOND, OTHER_ADDRESS)
    assert world.session(SECOND)["reason"] == "bind_failed"
    assert of(world.advance(31), Bind) == []
    assert bind(world.advance(2)).kind is BindingKind.LOCAL
    assert [world.session(node)["state"] for node in (PLAIN, SECOND)] == ["local", "local"]
    assert len(of(world.advance(100), Bind)) == 0


def test_an_operator_need_not_wait_for_the_next_try() -> None:
    world = mixed(presence_interval=0.0)
    world.forwarding_errors = [errno.ENOSPC]
    plain(world)
    world.handle(AttachTriggered(AP0, PLAIN))
    assert world.session(PLAIN)["reason"] == "bind_failed"
    world.forwarding_waits = True
    bind(world.handle(RetryRequested(PLAIN_NAME)))
    assert of(world.handle(RetryRequested(PLAIN_NAME)), Bind) == []  # it has been asked
    world.forward(world.waiting.pop())
    assert world.session(PLAIN)["state"] == "local"
    assert of(world.advance(100), Bind) == []


def test_nobody_is_left_when_the_data_plane_answers() -> None:
    world = mixed()
    world.forwarding_waits = True
    plain(world)
    done = world.handle(LinkDown(AP0))
    assert len(of(done, Unbind)) == 1
    for change in world.waiting:
        assert of(world.forward(change), Report) == []
    assert world.session(PLAIN) == {}


# ---- both kinds at one time -----------------------------------------------------------------------------------------------


@pytest.mark.requirement("GW-6")
@pytest.mark.rfc("5213#6.14-1", "5213#6.14-2")
def test_both_kinds_are_served_at_one_time_on_different_links() -> None:
    world = mixed()
    world.register(PREFIX)
    local = bind(plain(world, AP1)).prefix
    assert {(made.prefix, made.kind, made.access) for made in world.bound.values()} == {
        (PREFIX.prefix, BindingKind.PROXY, AP0),
        (local, BindingKind.LOCAL, AP1),
    }
    (sent,) = advertisements(world.solicit() + world.advance(0.2))
    assert (sent.source, set(advertised(sent.message))) == (FIXED_LINK_LOCAL_ADDRESS, {PREFIX.prefix})
    done = world.solicit(PLAIN, PLAIN_ADDRESS, AP1) + world.advance(0.2)
    assert advertised(from_router(done, ROUTER_1)).keys() == {local}
    world.handle(LinkDown(AP1))
    assert world.bound.keys() == {PREFIX.prefix}
    assert world.session()["state"] == "registered"


@pytest.mark.requirement("GW-6")
def test_both_kinds_on_one_link_have_a_router_each() -> None:
    world = mixed()
    world.register(PREFIX)
    done = world.solicit(PLAIN, PLAIN_ADDRESS)
    assert of(done, SetLinkLocalAddresses) == [SetLinkLocalAddresses(AP0, (FIXED_LINK_LOCAL_ADDRESS, ROUTER))]
    assert {sent.link_layer_address for sent in advertisements(done)} == {PLAIN}
    done = world.handle(DetachTriggered(HOST))
    assert of(done, SetLinkLocalAddresses) == [SetLinkLocalAddresses(AP0, (ROUTER,))]
    done = world.hear()
    assert of(done, SetLinkLocalAddresses) == [SetLinkLocalAddresses(AP0, (FIXED_LINK_LOCAL_ADDRESS, ROUTER))]
    done = world.handle(DetachTriggered(PLAIN))
    assert of(done, SetLinkLocalAddresses) == [SetLinkLocalAddresses(AP0, (FIXED_LINK_LOCAL_ADDRESS,))]


@pytest.mark.requirement("GW-6")
@pytest.mark.rfc("5213#6.14-3")
def test_a_node_that_moves_between_links_of_one_gateway_sees_another_router_and_prefix() -> None:
    world = mixed()
    before = bind(plain(world)).prefix
    world.link_up(AP1)
    world.hear(PLAIN, PLAIN_ADDRESS, AP1)  # on two links: where it does not answer, it is not
    done = world.advance(1)
    after = bind(done)
    assert (after.access, after.prefix != before) == (AP1, True)
    assert [gone.prefix for gone in of(done, Unbind)] == [before]
    assert advertised(from_router(done, ROUTER_1)) == {after.prefix: 7200}
    assert set(of(done, SetLinkLocalAddresses)) == {
        SetLinkLocalAddresses(AP0, (FIXED_LINK_LOCAL_ADDRESS,)),
        SetLinkLocalAddresses(AP1, (ROUTER_1,)),
    }


def test_a_link_that_goes_down_and_comes_up_asks_from_the_address_that_it_has() -> None:
    world = mixed(link_local_address=bytes(16))
    assert of(plain(world), SolicitNodes) == []
    assert of(world.hear(PLAIN, PLAIN_ADDRESS) + world.advance(64), SolicitNodes) == []
    done = plain(world)
    done += world.advance(64)  # it does not answer: by now the link has no address
    assert world.session(PLAIN) == {}
    assert of(done, SetLinkLocalAddresses)[-1] == SetLinkLocalAddresses(AP0, ())


def test_stopping_withdraws_everything() -> None:
    world = mixed()
    local = bind(plain(world)).prefix
    done = world.handle(StopRequested())
    message = from_router(done)
    assert (message.router_lifetime, advertised(message)) == (0, {local: 0})
    assert world.bound == {}


# ---- the profile changes while the node is attached -----------------------------------------------------------------------


def replace(world: World, *profiles: NodeProfile) -> list[Any]:
    """The operator has other profiles."""
    return world.handle(ProfilesReplaced(GatewayPolicy(profiles)))


@pytest.mark.requirement("GW-6")
@pytest.mark.rfc("5213#6.14-1")
def test_a_node_that_is_to_manage_its_own_mobility_from_now_on_loses_its_home_link() -> None:
    world = mixed()
    world.register(PREFIX)
    done = replace(world, LOCAL_HOST)
    local = bind(done).prefix
    gone, here, other = advertisements(done)
    assert (gone.source, gone.message.router_lifetime) == (FIXED_LINK_LOCAL_ADDRESS, 0)
    assert advertised(gone.message) == {PREFIX.prefix: 0}
    assert (here.source, advertised(here.message)) == (ROUTER, {local: 7200})
    assert other.source == FIXED_LINK_LOCAL_ADDRESS
    sent = update(done)
    assert body(sent).lifetime == 0
    rows = [(row["state"], row["prefixes"]) for row in world.gateway.describe_sessions(world.now)]
    assert rows == [("local", [(local, 64)]), ("de-registering", [(PREFIX.prefix, 64)])]
    assert advertisements(world.handle(PathMtuChanged(ANCHOR, 1400))) == []
    done = world.handle(answer(sent))
    assert world.bound.keys() == {local}
    assert of(done, TearDownLink) == []  # it is still there
    assert world.session()["state"] == "local"
    assert world.gateway.peers() == []


@pytest.mark.requirement("GW-6")
@pytest.mark.rfc("5213#6.14-1", "5213#6.9.2-3")
def test_a_node_that_managed_its_own_mobility_gets_a_home_link() -> None:
    world = mixed()
    world.link_up()
    replace(world, LOCAL_HOST)
    world.hear()
    (local,) = world.bound
    done = replace(world, HOST_PROFILE)
    (gone,) = advertisements(done)
    assert (gone.source, gone.message.router_lifetime, advertised(gone.message)) == (ROUTER, 0, {local: 0})
    assert world.bound == {}
    assert of(done, SetLinkLocalAddresses) == [SetLinkLocalAddresses(AP0, (FIXED_LINK_LOCAL_ADDRESS,))]
    sent = update(done)
    assert option(sent, MobileNodeIdentifier).identifier == HOST_NAME
    (here,) = advertisements(world.accept(sent, PREFIX))
    assert (here.source, advertised(here.message)) == (FIXED_LINK_LOCAL_ADDRESS, {PREFIX.prefix: 3600})


def test_back_and_forth_before_the_anchor_has_answered() -> None:
    world = mixed()
    world.register(PREFIX)
    late = update(replace(world, LOCAL_HOST))
    done = replace(world, HOST_PROFILE)
    world.handle(answer(late))
    sent = update(done)
    assert body(sent).lifetime != 0
    world.accept(sent, PREFIX)
    assert world.session()["state"] == "registered"
    assert {made.kind for made in world.bound.values()} == {BindingKind.PROXY}


def test_an_anchor_that_ends_the_old_session_does_not_end_what_came_after_it() -> None:
    world = mixed()
    world.register(PREFIX)
    replace(world, LOCAL_HOST)
    indication = BindingRevocationIndication(
        RevocationTrigger.ADMINISTRATIVE_REASON,
        9,
        RevocationFlag.PROXY_BINDING,
        (MobileNodeIdentifier(1, HOST_NAME), PREFIX),
    )
    world.handle(MessageReceived(ANCHOR, GATEWAY, indication))
    rows = [row["state"] for row in world.gateway.describe_sessions(world.now)]
    assert rows == ["local"]
    assert {made.kind for made in world.bound.values()} == {BindingKind.LOCAL}


def test_the_node_leaves_while_its_old_session_is_still_being_given_up() -> None:
    world = mixed()
    world.register(PREFIX)
    sent = update(replace(world, LOCAL_HOST))
    done = world.handle(LinkDown(AP0))
    assert updates(done) == []
    world.handle(answer(sent))
    assert world.bound == {}
    assert list(world.gateway.describe_sessions(world.now)) == []


def test_another_profile_of_the_same_kind_keeps_the_prefix() -> None:
    world = mixed()
    before = bind(plain(world)).prefix
    done = replace(world, NodeProfile(b"new@example.org", PLAIN, proxy_mobility=False))
    assert bind(done).prefix == before
    assert world.session(PLAIN)["node"] == b"new@example.org"
