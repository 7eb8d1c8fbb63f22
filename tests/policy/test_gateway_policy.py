# SPDX-License-Identifier: Apache-2.0
"""How a gateway finds a node's profile: by link-layer address, or by the identifier that authentication gave."""

from __future__ import annotations

import pytest

from halma.engine.gateway_api import NodeProfile, Profiles
from halma.policy.gateway import GatewayPolicy

WIRED = NodeProfile(b"laptop@example.org", bytes.fromhex("020000000101"), lifetime=60)
RADIO = NodeProfile(b"laptop@example.org", bytes.fromhex("020000000102"), lifetime=120)
PHONE = NodeProfile(b"phone@example.org", lifetime=180)
GUEST = NodeProfile(b"*@guests.example.org", lifetime=240)
RANDOM = bytes.fromhex("da0000000001")


def profiles() -> Profiles:
    return GatewayPolicy([WIRED, RADIO, PHONE, GUEST])


@pytest.mark.requirement("GW-1")
def test_a_node_is_known_by_its_link_layer_address() -> None:
    assert profiles().for_link_layer_address(RADIO.link_layer_address) is RADIO
    assert profiles().for_link_layer_address(RANDOM) is None


def test_each_interface_of_an_authenticated_node_has_its_profile() -> None:
    assert profiles().for_identifier(b"laptop@example.org", RADIO.link_layer_address) is RADIO


@pytest.mark.parametrize(
    ("identifier", "lifetime"),
    [(b"laptop@example.org", 60), (b"phone@example.org", 180), (b"x@guests.example.org", 240)],
)
def test_an_authenticated_node_on_an_unlisted_interface_has_its_profile_with_that_interface(
    identifier: bytes, lifetime: int
) -> None:
    assert profiles().for_identifier(identifier, RANDOM) == NodeProfile(identifier, RANDOM, lifetime=lifetime)


def test_a_stranger_has_none() -> None:
    assert profiles().for_identifier(b"x@example.org", WIRED.link_layer_address) is None


def test_a_profile_for_any_interface_comes_before_one_for_another_interface() -> None:
    asked = GatewayPolicy([WIRED, NodeProfile(b"laptop@example.org", lifetime=300)])
    found = asked.for_identifier(b"laptop@example.org", RANDOM)
    assert found is not None
    assert found.lifetime == 300
