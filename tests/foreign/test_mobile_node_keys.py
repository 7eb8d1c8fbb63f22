# SPDX-License-Identifier: Apache-2.0
"""Foreign mobile nodes with keys, and mobile routers, at a home agent that wants keys: RFC 4285, RFC 3963."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator

import pytest

from tests.foreign import octets
from tests.foreign.home_network import AGENT, PEER, PORTS, SECRET, SECURE, HomeNetwork, delivered_at_home, returns
from tests.foreign.mobile_node import MobileNode, flags_of, status_of
from tests.foreign.octets import (
    ALTERNATE,
    BA,
    MESSAGE_ID,
    NAI,
    NETWORK,
    TUNNEL,
    A,
    H,
    K,
    L,
    Option,
    R,
    ip,
)
from tests.foreign.place import Place

pytestmark = [pytest.mark.root, pytest.mark.needs("ip")]


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HomeNetwork]:
    """A home agent that wants keys."""
    with Place(tmp_path_factory.mktemp("secure"), "anchor", SECURE, PORTS) as place:
        made = HomeNetwork(place)
        made.sentinel = made.keyed(0x101, 256)
        yield made
        assert "Traceback" not in place.log


# ---- RFC 4285 ----


def stamp(moment: float | None = None) -> Option:
    """A timestamp option."""
    moment = time.time() if moment is None else moment
    return MESSAGE_ID, struct.pack("!Q", int((moment + 2208988800) * 2**32))


def test_keys(secure: HomeNetwork) -> None:
    """Sections 5.1 and 5.1.1; the keyed class checks the signature of each answer."""
    node = secure.keyed(0x101, 256)
    secure.sentinel.sequence = node.sequence = 1000
    node.register(A | H, 100, (ALTERNATE, node.care_of), (NAI, b"\1plain@example.org"))
    node.register(A | H | L | K)
    secure.sentinel.sequence = node.sequence
    stranger = MobileNode(secure.abroad, node.home, AGENT)
    stranger.sequence = 2000
    stranger.update()
    secure.silence(stranger)
    stranger.key = (999, SECRET)
    stranger.update()
    secure.silence(stranger)
    node.sequence = 3000
    body = octets.update(3000, A | H, 9)
    right = node.signed(body)
    node.send(node.message(right[:-1] + bytes([right[-1] ^ 1])))
    assert status_of(node.acknowledged()) == octets_status("MIPV6-AUTH-FAIL")
    node.home = ip("2001:db8:5::102")
    node.update()
    secure.abroad.hear(lambda heard: heard.kind == BA and status_of(heard) == 129)


def octets_status(name: str) -> int:
    """RFC 4285 section 9."""
    return {"MIPV6-ID-MISMATCH": 144, "MIPV6-MESG-ID-REQD": 145, "MIPV6-AUTH-FAIL": 146}[name]


def test_a_signature_over_an_alternate_care_of_address(secure: HomeNetwork) -> None:
    """Section 5.1 says "care-of address": with an alternate one, that is it (RFC 6275 section 9.5.1)."""
    node = secure.keyed(0x104, 258)
    node.sequence = 20
    other = secure.abroad.addresses[1]
    for care_of in (other, node.care_of):
        body = octets.update(node.next(), A | H, 100, (ALTERNATE, other))
        node.send(node.message(node.signed(body, care_of=care_of)))
        heard = secure.abroad.hear(lambda heard: heard.kind == BA and heard.home_address == node.home)
        assert status_of(heard) == 0
        assert octets.signature_holds(heard, 258, SECRET, care_of, node.home)
    node.care_of = other
    secure.say(node.home, b"there")
    assert node.tunnelled().payload[8:] == b"there"


def test_timestamps(secure: HomeNetwork) -> None:
    """Section 6."""
    node = secure.keyed(0x102, 4294967295)
    first = stamp()
    heard = node.register(A | H, 100, first)
    assert heard.option(MESSAGE_ID) == first[1]
    node.update(A | H, 100)
    assert status_of(node.acknowledged()) == octets_status("MIPV6-MESG-ID-REQD")
    for wrong in (first, stamp(time.time() - 60), stamp(time.time() + 60)):
        node.update(A | H, 100, wrong)
        heard = node.acknowledged()
        assert status_of(heard) == octets_status("MIPV6-ID-MISMATCH")
        value = heard.option(MESSAGE_ID)
        assert value is not None
        assert value[4:] == wrong[1][4:]
        assert abs(int.from_bytes(value[:4], "big") - 2208988800 - time.time()) < 3
    node.register(A | H, 100, stamp())


def test_a_key_goes_home(secure: HomeNetwork) -> None:
    """At home the care-of address is the home address."""
    node = secure.keyed(0x104, 258)
    node.sequence = 500
    node.register()
    heard = returns(secure, node, option=False, sequence=502)
    assert status_of(heard) == 0
    assert octets.signature_holds(heard, 258, SECRET, node.home, node.home)
    delivered_at_home(secure, node)


# ---- RFC 3963 ----


def network_option(text: str, length: int) -> Option:
    return NETWORK, bytes([0, length]) + ip(text)


def test_a_mobile_router(secure: HomeNetwork) -> None:
    router = secure.keyed(0x103, 257)
    router.update(A | H, 100)
    assert (status_of(heard := router.acknowledged()), flags_of(heard)) == (0, 0)
    router.update(A | H | R, 100)
    assert status_of(router.acknowledged()) == 139
    router.register(A | H, 0)
    inside = ip("2001:db8:7f::1"), ip("2001:db8:70:f::1"), ip("2001:db8:71::1")
    heard = router.register(A | H | R, 100)
    assert flags_of(heard) == octets.BA_R
    for address in inside[1:]:
        secure.say(address, b"network")
        outer = secure.abroad.hear(lambda heard: heard.protocol == TUNNEL)
        assert (outer.destination, outer.payload[24:40]) == (router.care_of, address)
        router.talk(PEER, b"from within", source=address)
        assert secure.said(b"from within").source == address
    heard = router.register(A | H | R, 100, network_option("2001:db8:71::", 64))
    assert flags_of(heard) == octets.BA_R
    router.update(A | H | R, 100, network_option("2001:db8:72::", 64))
    assert status_of(router.acknowledged()) == 142
    router.update(A | H | R, 100, network_option("::", 0))
    assert status_of(router.acknowledged()) == 141
    secure.say(inside[1], b"given up")
    secure.say(inside[2], b"kept")
    outer = secure.abroad.hear(lambda heard: heard.protocol == TUNNEL)
    assert outer.payload.endswith(b"kept")
    router.update(A | R, 100)
    assert status_of(router.acknowledged()) == 140
    plain = secure.keyed(0x104, 258)
    plain.sequence = 4000
    plain.update(A | H | R, 100)
    assert status_of(plain.acknowledged()) == 140
    assert router.register(A | H, 0)
