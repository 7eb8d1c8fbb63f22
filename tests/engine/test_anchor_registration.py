# SPDX-License-Identifier: Apache-2.0
"""Sessions begin, are extended, move, and expire: RFC 5213 sections 5.1, 5.2, 5.3.2 to 5.3.4, 5.6.1."""

from __future__ import annotations

import pytest

from halma.engine.anchor_settings import PoolSettings
from halma.engine.api import Bind, Tunnel
from halma.engine.local_mobility_anchor import SESSIONS_OF_A_NODE
from halma.engine.policy import Peer, Profile
from halma.policy.anchor import AnchorPolicy
from halma.text import read_address
from halma.wire.messages import BindingAcknowledgement
from halma.wire.numbers import Status
from halma.wire.options import HomeNetworkPrefix
from tests.engine.conversation import (
    ANCHOR,
    ASK,
    BETWEEN_GATEWAYS,
    BETWEEN_INTERFACES,
    ETHERNET,
    HOST,
    INTERFACE,
    OTHER,
    OTHER_INTERFACE,
    SECOND_ANCHOR,
    WLAN,
    Domain,
    accepted,
    gateway_address,
    hnp,
    policy,
    prefixes,
    refused,
)

RESERVED = hnp("2001:db8:100:7::")
SECOND = hnp("2001:db8:100:8::")


# ---- a new session (5.3.2) -------------------------------------------------------------------------------------------


@pytest.mark.rfc(
    "5213#5.1-1",
    "5213#5.3.2-1",
    "5213#5.3.2-7",
    "5213#5.3.2-8",
    "5213#5.3.2-10",
    "5213#5.3.2-12",
    "5213#5.6.1-1",
    "5213#5.6.1-4",
)
@pytest.mark.requirement("ANC-8")
def test_a_node_attaches_and_gets_a_prefix_of_the_pool_over_a_tunnel_to_its_gateway() -> None:
    domain = Domain()
    gateway1 = domain.gateway(1)
    answer = accepted(gateway1.update(HOST, link_layer=INTERFACE))
    (prefix,) = prefixes(answer)
    assert prefix == hnp("2001:db8:100::")
    assert domain.plane.bound == {prefix.prefix: Tunnel(ANCHOR, gateway_address(1))}
    assert domain.bindings() == [
        {
            "node": HOST,
            "prefixes": [(prefix.prefix, 64)],
            "gateway": gateway_address(1),
            "anchor": ANCHOR,
            "state": "registered",
            "access_technology": ETHERNET,
            "link_layer_identifier": INTERFACE,
            "lifetime_seconds": 3600,
            "remaining_seconds": 3600.0,
            "attached_seconds": 0.0,
        }
    ]


@pytest.mark.rfc("5213#5.1-2")
@pytest.mark.parametrize("link_layer", [None, b"", bytes(6)])
def test_an_entry_without_link_layer_identifier_holds_two_octets_of_zero(link_layer: bytes | None) -> None:
    domain = Domain()
    accepted(domain.gateway(1).update(HOST, link_layer=link_layer))
    assert domain.bindings()[0]["link_layer_identifier"] == bytes(2)


@pytest.mark.rfc("5213#5.2-1", "5213#5.2-2", "5213#5.2-3", "5213#5.3.2-2", "5213#5.4-1", "5213#5.4-3")
@pytest.mark.requirement("ANC-4")
def test_no_two_sessions_share_a_prefix() -> None:
    domain = Domain(policy(Profile(b"*@example.org", pool="main", prefixes_per_session=3)))
    gateway1 = domain.gateway(1)
    answers = [
        accepted(gateway1.update(HOST, link_layer=INTERFACE)),
        accepted(gateway1.update(HOST, link_layer=OTHER_INTERFACE)),
        accepted(gateway1.update(OTHER, link_layer=INTERFACE)),
    ]
    given = [prefix for answer in answers for prefix in prefixes(answer)]
    assert len(given) == len(set(given)) == 9
    assert [row["prefixes"] for row in domain.bindings()] == [[(p.prefix, 64) for p in prefixes(a)] for a in answers]
    accepted(gateway1.deregister(answers[0]))
    assert {domain.plane.bound[p.prefix] for p in prefixes(answers[0])} == {None}
    assert {domain.plane.bound[p.prefix] for p in (*prefixes(answers[1]), *prefixes(answers[2]))} == {gateway1.tunnel}


@pytest.mark.rfc("5213#5.3.2-4")
@pytest.mark.parametrize(
    "profile",
    [Profile(HOST), Profile(HOST, pool="gone"), Profile(HOST, pool="tiny", prefixes_per_session=5)],
)
def test_a_node_that_no_prefix_is_left_for_is_refused_and_takes_none(profile: Profile) -> None:
    domain = Domain(policy(profile, Profile(OTHER, pool="tiny", prefixes_per_session=4)), pools=(_tiny(),))
    refused(domain.gateway(1).update(HOST), Status.INSUFFICIENT_RESOURCES)
    assert len(prefixes(accepted(domain.gateway(1).update(OTHER)))) == 4
    refused(domain.gateway(1).update(HOST), Status.INSUFFICIENT_RESOURCES)


def _tiny() -> PoolSettings:
    return PoolSettings("tiny", read_address("2001:db8:f::"), 62)


@pytest.mark.rfc("5213#5.3.2-4")
def test_an_anchor_that_is_full_says_so_and_takes_the_next_when_one_has_gone() -> None:
    domain = Domain(maximum_bindings=2)
    gateway1 = domain.gateway(1)
    first = accepted(gateway1.update(HOST))
    accepted(gateway1.update(OTHER))
    refused(gateway1.update(b"third@example.org"), Status.INSUFFICIENT_RESOURCES)
    accepted(gateway1.refresh(first))
    accepted(gateway1.deregister(first))
    domain.advance(10)
    accepted(gateway1.update(b"third@example.org"))


@pytest.mark.requirement("ANC-7")
def test_a_node_has_no_more_sessions_than_a_machine_has_interfaces() -> None:
    """Whatever interfaces a gateway makes up: the others still have room, and the sessions that there are still live."""
    domain = Domain()
    gateway1 = domain.gateway(1)
    interfaces = [bytes([2, 0, 0, 0, 9, number]) for number in range(SESSIONS_OF_A_NODE)]
    answers = [accepted(gateway1.update(HOST, link_layer=interface)) for interface in interfaces]
    assert len({prefixes(answer) for answer in answers}) == SESSIONS_OF_A_NODE
    refused(gateway1.update(HOST, link_layer=bytes([2, 0, 0, 0, 10, 0])), Status.INSUFFICIENT_RESOURCES)
    accepted(gateway1.update(OTHER))
    accepted(gateway1.refresh(answers[-1], link_layer=interfaces[-1]))


@pytest.mark.requirement("ANC-4")
def test_a_reserved_prefix_goes_to_its_node_and_no_pool_gives_it_to_another() -> None:
    domain = Domain(
        policy(
            Profile(HOST, pool="main", prefixes=(RESERVED.prefix, SECOND.prefix)),
            Profile(b"*@example.org", pool="main", may_request_prefix=True),
        )
    )
    others = [accepted(domain.gateway(1).update(b"n%d@example.org" % n)) for n in range(20)]
    assert not {RESERVED, SECOND} & {p for answer in others for p in prefixes(answer)}
    refused(domain.gateway(1).update(OTHER, RESERVED), Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX)
    assert prefixes(accepted(domain.gateway(1).update(HOST))) == (RESERVED, SECOND)
    assert prefixes(accepted(domain.gateway(1).update(HOST, link_layer=INTERFACE))) == (hnp("2001:db8:100:16::"),)


@pytest.mark.rfc("5213#5.3.2-5")
def test_a_prefix_that_is_asked_for_is_granted_where_the_profile_has_it_or_lets_ask() -> None:
    domain = Domain(
        policy(Profile(HOST, prefixes=(RESERVED.prefix,)), Profile(OTHER, pool="main", may_request_prefix=True)),
    )
    assert prefixes(accepted(domain.gateway(1).update(HOST, RESERVED))) == (RESERVED,)
    wanted = (hnp("2001:db8:100:99::"), hnp("2001:db8:100:98::"))
    assert prefixes(accepted(domain.gateway(1).update(OTHER, *wanted))) == wanted
    assert {domain.plane.bound[p.prefix] for p in wanted} == {domain.gateway(1).tunnel}


@pytest.mark.rfc("5213#5.3.2-5", "5213#5.3.2-6")
@pytest.mark.requirement("ANC-7")
@pytest.mark.parametrize(
    "asked",
    [
        pytest.param((hnp("2001:db8:200::"),), id="not of the anchor"),
        pytest.param((RESERVED,), id="reserved for another"),
        pytest.param((hnp("2001:db8:100:50::"), RESERVED), id="one of two reserved for another"),
        pytest.param((hnp("2001:db8:100:50::"), hnp("2001:db8:100:50::")), id="the same twice"),
        pytest.param((HomeNetworkPrefix(63, hnp("2001:db8:100:50::").prefix),), id="a /63"),
        pytest.param((HomeNetworkPrefix(128, hnp("2001:db8:100:50::").prefix),), id="a /128"),
        pytest.param((HomeNetworkPrefix(255, hnp("2001:db8:100:50::").prefix),), id="a /255"),
    ],
)
def test_a_prefix_that_the_node_may_not_use_is_refused_and_none_is_taken(asked: tuple[HomeNetworkPrefix, ...]) -> None:
    domain = Domain(
        policy(Profile(HOST, prefixes=(RESERVED.prefix,)), Profile(OTHER, pool="main", may_request_prefix=True)),
    )
    answer = refused(domain.gateway(1).update(OTHER, *asked), Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX)
    assert prefixes(answer) == asked
    assert not domain.plane.history
    accepted(domain.gateway(1).update(OTHER, hnp("2001:db8:100:50::")))


@pytest.mark.rfc("5213#5.3.2-6")
def test_a_node_that_may_not_ask_gets_no_prefix_of_its_wish() -> None:
    domain = Domain()
    refused(domain.gateway(1).update(HOST, hnp("2001:db8:100::")), Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX)


@pytest.mark.rfc("5213#5.3.2-1")
def test_zeros_beside_a_prefix_that_is_asked_for_are_a_wish_for_another() -> None:
    domain = Domain(policy(Profile(HOST, pool="main", may_request_prefix=True)))
    asked = hnp("2001:db8:100::")
    assert prefixes(accepted(domain.gateway(1).update(HOST, asked, ASK))) == (asked, hnp("2001:db8:100:1::"))
    several = Domain(policy(Profile(HOST, pool="main", may_request_prefix=True, prefixes_per_session=3)))
    assert len(prefixes(accepted(several.gateway(1).update(HOST, asked, ASK)))) == 3


@pytest.mark.requirement("ANC-4")
def test_prefixes_that_were_taken_in_vain_go_back() -> None:
    """One of two is granted, the other is not: the first must not be lost to the pool of four."""
    domain = Domain(policy(Profile(HOST, pool="tiny", may_request_prefix=True)), pools=(_tiny(),))
    for _ in range(5):
        outside = (hnp("2001:db8:f:1::"), ASK, hnp("2001:db8:aaaa::"))
        refused(domain.gateway(1).update(HOST, *outside), Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX)
    for number in range(4):
        accepted(domain.gateway(1).update(HOST, link_layer=bytes([1, number])))


@pytest.mark.requirement("ANC-4")
def test_a_prefix_is_given_out_again_when_its_session_is_gone() -> None:
    domain = Domain(policy(Profile(b"*@example.org", pool="tiny", prefixes_per_session=4)), pools=(_tiny(),))
    first = accepted(domain.gateway(1).update(HOST))
    refused(domain.gateway(1).update(OTHER), Status.INSUFFICIENT_RESOURCES)
    accepted(domain.gateway(1).deregister(first))
    refused(domain.gateway(1).update(OTHER), Status.INSUFFICIENT_RESOURCES)
    domain.advance(10)
    assert set(prefixes(accepted(domain.gateway(1).update(OTHER)))) == set(prefixes(first))


# ---- lifetimes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "limit", "profile", "granted"),
    [
        (900, 3600.0, 0, 900),
        (901, 3600.0, 0, 900),
        (65535, 3600.0, 0, 900),
        (1, 3600.0, 0, 1),
        (900, 3600.0, 60, 15),
        (10, 3600.0, 60, 10),
        (900, 61.0, 0, 15),
        (900, 63.9, 3600, 15),
        (900, 3.0, 0, 1),
        (900, 3600.0, 2, 1),
        (65535, 262140.0, 0, 65535),
    ],
)
def test_a_lifetime_is_capped_by_anchor_and_profile_and_is_what_the_binding_lives(
    asked: int, limit: float, profile: int, granted: int
) -> None:
    """In units of 4 seconds, never more than was asked for (RFC 6275 section 9.5.2), never none."""
    domain = Domain(policy(Profile(HOST, pool="main", lifetime=profile)), maximum_lifetime=limit)
    answer = accepted(domain.gateway(1).update(HOST, lifetime=asked))
    assert answer.lifetime == granted
    domain.advance(4 * granted - 0.001)
    assert domain.route(answer) == domain.gateway(1).tunnel
    domain.advance(0.001)
    assert domain.route(answer) == "nowhere"
    assert not domain.bindings()


# ---- extension without handoff (5.3.3) -------------------------------------------------------------------------------


@pytest.mark.rfc("5213#5.3.1-17", "5213#5.3.3-1", "5213#5.3.3-2")
def test_a_refresh_extends_the_session_and_takes_the_new_values() -> None:
    domain = Domain()
    gateway1 = domain.gateway(1)
    first = accepted(gateway1.update(HOST, link_layer=INTERFACE))
    domain.advance(3000)
    changes = len(domain.plane.history)
    again = accepted(gateway1.refresh(first, lifetime=500, link_layer=OTHER_INTERFACE))
    assert prefixes(again) == prefixes(first)
    assert again.lifetime == 500
    assert len(domain.plane.history) == changes, "the data plane has nothing to do for a refresh"
    (row,) = domain.bindings()
    assert row["link_layer_identifier"] == OTHER_INTERFACE
    assert row["remaining_seconds"] == 2000.0
    assert row["attached_seconds"] > 3000
    domain.advance(1999)
    assert domain.route(first) == gateway1.tunnel
    domain.advance(1)
    assert domain.route(first) == "nowhere"
    assert domain.count("proxy_bindings_refreshed") == 1


def test_a_session_that_nobody_refreshes_expires_and_says_so() -> None:
    domain = Domain()
    accepted(domain.gateway(1).update(HOST, lifetime=1))
    domain.advance(4)
    assert domain.count("proxy_bindings_expired") == domain.count("proxy_bindings_deleted") == 1
    assert "expired" in [report.reason for report in domain.reports]
    domain.advance(60)
    assert domain.anchor.next_deadline() is None, "nothing is left that waits"


# ---- handoff (5.3.4) -------------------------------------------------------------------------------------------------


@pytest.mark.rfc("5213#5.3.1-18", "5213#5.3.4-1", "5213#5.3.4-2", "5213#5.3.4-4", "5213#5.3.4-6", "5213#5.3.4-8")
def test_a_handoff_moves_all_prefixes_of_the_session_with_one_write_each() -> None:
    domain = Domain(policy(Profile(b"*@example.org", pool="main", prefixes_per_session=2)))
    gateway1, gateway2 = domain.gateway(1), domain.gateway(2)
    first = accepted(gateway1.update(HOST, link_layer=INTERFACE))
    stays = accepted(gateway1.update(OTHER))
    domain.advance(100)
    domain.plane.history.clear()
    moved = accepted(gateway2.update(HOST, link_layer=INTERFACE, handoff=BETWEEN_GATEWAYS, lifetime=100))
    assert prefixes(moved) == prefixes(first)
    assert [(type(c), c.prefix, getattr(c, "tunnel", None)) for c in domain.plane.history] == [
        (Bind, p.prefix, gateway2.tunnel) for p in prefixes(first)
    ]
    assert {domain.plane.bound[p.prefix] for p in prefixes(first)} == {gateway2.tunnel}
    assert {domain.plane.bound[p.prefix] for p in prefixes(stays)} == {gateway1.tunnel}
    row = next(row for row in domain.bindings() if row["node"] == HOST)
    assert row["gateway"] == gateway_address(2)
    assert row["remaining_seconds"] == 400.0
    assert row["attached_seconds"] == 0.0
    assert domain.count("proxy_bindings_handed_over") == 1


@pytest.mark.rfc("5213#5.4-4")
def test_a_session_moves_to_another_interface_with_all_its_prefixes() -> None:
    domain = Domain(policy(Profile(HOST, pool="main", prefixes_per_session=2)))
    first = accepted(domain.gateway(1).update(HOST, link_layer=INTERFACE))
    moved = accepted(
        domain.gateway(2).update(HOST, link_layer=OTHER_INTERFACE, technology=WLAN, handoff=BETWEEN_INTERFACES),
    )
    assert prefixes(moved) == prefixes(first)
    (row,) = domain.bindings()
    assert (row["link_layer_identifier"], row["access_technology"]) == (OTHER_INTERFACE, WLAN)


@pytest.mark.rfc("5213#5.3.2-9", "5213#5.3.4-3", "5213#5.3.4-5", "5213#5.6.1-6")
def test_a_tunnel_is_in_use_for_as_long_as_a_node_shares_it() -> None:
    """The data plane makes a tunnel of the bindings that name it; so nothing may name one that nobody uses."""
    domain = Domain()
    gateway1, gateway2 = domain.gateway(1), domain.gateway(2)
    first, second = accepted(gateway1.update(HOST, link_layer=INTERFACE)), accepted(gateway1.update(OTHER, lifetime=10))
    assert set(domain.plane.bound.values()) == {gateway1.tunnel}
    accepted(gateway2.update(HOST, *prefixes(first), link_layer=INTERFACE, handoff=BETWEEN_GATEWAYS))
    assert set(domain.plane.bound.values()) == {gateway1.tunnel, gateway2.tunnel}
    domain.advance(40)
    assert set(domain.plane.bound.values()) == {gateway2.tunnel}
    assert domain.route(second) == "nowhere"


def test_a_session_moves_to_another_address_of_the_anchor() -> None:
    domain = Domain()
    gateway1 = domain.gateway(1)
    first = accepted(gateway1.update(HOST, link_layer=INTERFACE))
    accepted(gateway1.update(HOST, *prefixes(first), link_layer=INTERFACE, destination=SECOND_ANCHOR))
    assert domain.route(first) == Tunnel(SECOND_ANCHOR, gateway_address(1))


def test_the_alternate_care_of_address_is_the_far_end_of_the_tunnel() -> None:
    """Section 6.9.1.5: the Proxy-CoA, while the answers go to where the update came from (5.3.6)."""
    both = Peer("one", (b"*",))
    peers = [(gateway_address(1), 128, both), (gateway_address(2), 128, both)]
    domain = Domain(AnchorPolicy(peers, [Profile(b"*@example.org", pool="main")]))
    gateway1 = domain.gateway(1)
    first = accepted(gateway1.update(HOST, care_of=gateway_address(2)))
    assert domain.route(first) == Tunnel(ANCHOR, gateway_address(2))
    changes = len(domain.plane.history)
    accepted(gateway1.refresh(first, care_of=gateway_address(2)))
    assert len(domain.plane.history) == changes
    assert gateway1.deregister(first) is None, "without the option it is another Proxy-CoA"
    accepted(gateway1.deregister(first, care_of=gateway_address(2)))


def test_the_tunnels_that_are_remembered_are_bounded() -> None:
    everywhere = AnchorPolicy([(bytes(16), 0, Peer("all", (b"*",)))], [Profile(HOST, pool="main")])
    domain = Domain(everywhere, maximum_bindings=4)
    first = accepted(domain.gateway(1).update(HOST, link_layer=INTERFACE))
    for number in range(2, 20):
        moved = domain.gateway(number).update(HOST, link_layer=INTERFACE, handoff=BETWEEN_GATEWAYS)
        assert isinstance(moved, BindingAcknowledgement)
        assert domain.route(first) == domain.gateway(number).tunnel
    assert len(domain.anchor._proxy._tunnels) <= 4
