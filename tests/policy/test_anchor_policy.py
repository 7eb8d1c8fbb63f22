# SPDX-License-Identifier: Apache-2.0
"""Who may say what at an anchor: peers by address and prefix, nodes by name and pattern."""

from __future__ import annotations

import pytest

from halma.engine.policy import Peer, Policy, Profile
from halma.policy.anchor import AnchorPolicy
from halma.text import read_address, read_prefix

ONE = Peer("one", (b"*@example.org", b"fixed"))
SITE = Peer("site", (b"*",))
FLOOR = Peer("floor", ())
HOST = Profile(b"host@example.org", prefixes=(read_address("2001:db8:100:1::"),))
ANYONE = Profile(b"*@example.org", pool="main")


def policy() -> Policy:
    return AnchorPolicy(
        [
            (read_address("2001:db8:2::1"), 128, ONE),
            (*read_prefix("2001:db8::/32"), SITE),
            (*read_prefix("2001:db8:3:8000::/49"), FLOOR),
        ],
        [HOST, ANYONE],
    )


@pytest.mark.requirement("ANC-7")
@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("2001:db8:2::1", ONE),
        ("2001:db8:2::2", SITE),
        ("2001:db8:3:7fff::1", SITE),
        ("2001:db8:3:8000::1", FLOOR),
        ("2001:db9::1", None),
        ("::", None),
    ],
)
def test_the_longest_prefix_says_who_a_peer_is(address: str, peer: Peer | None) -> None:
    assert policy().peer(read_address(address)) is peer


@pytest.mark.requirement("ANC-7")
def test_a_peer_registers_the_nodes_of_its_patterns_alone() -> None:
    asked = policy()
    assert asked.may_register(ONE, b"host@example.org")
    assert asked.may_register(ONE, b"fixed")
    assert not asked.may_register(ONE, b"host@example.com")
    assert asked.may_register(SITE, b"host@example.com")
    assert not asked.may_register(FLOOR, b"host@example.org")
    assert not asked.may_register(Peer("stranger", (b"*",)), b"host@example.org")


def test_a_node_has_its_own_profile_or_that_of_its_realm_or_none() -> None:
    asked = policy()
    assert asked.profile(b"host@example.org") is HOST
    assert asked.profile(b"guest@example.org") is ANYONE
    assert asked.profile(b"HOST@EXAMPLE.ORG") is None
    assert asked.profile(b"") is None


def test_reserved_prefixes_are_known() -> None:
    assert policy().is_reserved(read_address("2001:db8:100:1::"))
    assert not policy().is_reserved(read_address("2001:db8:100:2::"))


@pytest.mark.requirement("ANC-7")
def test_two_peers_of_one_name_would_share_their_rights_and_are_refused() -> None:
    with pytest.raises(ValueError, match="two peers have the name one"):
        AnchorPolicy([(bytes(16), 128, ONE), (read_address("2001:db8::1"), 128, Peer("one", (b"*",)))], [])
