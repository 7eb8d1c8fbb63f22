# SPDX-License-Identifier: Apache-2.0
"""Foreign mobile nodes at an anchor that is home agent, as real process: RFC 6275 sections 9 and 10, 4285, 3963."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import IPv6Address

import pytest

from tests.foreign import octets
from tests.foreign.home_network import AGENT, OPEN, PEER, PORTS, HomeNetwork, delivered_at_home, returns
from tests.foreign.mobile_node import flags_of, lifetime_of, sequence_of, status_of
from tests.foreign.octets import (
    ACCESS,
    ALTERNATE,
    BA,
    BE,
    BRR,
    BU,
    DESTINATION,
    HOP_BY_HOP,
    ICMPV6,
    MOBILITY,
    NAI,
    NONCES,
    PAD1,
    ROUTING,
    TUNNEL,
    UDP,
    A,
    H,
    K,
    L,
    Option,
    ip,
)
from tests.foreign.place import Place

pytestmark = [pytest.mark.root, pytest.mark.needs("ip")]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HomeNetwork]:
    """A home agent that takes what no key protects."""
    with Place(tmp_path_factory.mktemp("open"), "anchor", OPEN, PORTS) as place:
        made = HomeNetwork(place)
        yield made
        assert "Traceback" not in place.log


# ---- what a Binding Update may look like ----


def test_flags_in_all_combinations(network: HomeNetwork) -> None:
    """RFC 6275 section 10.3.1: an acknowledgement with or without A, and never K."""
    for more in range(8):
        flags = H | (A if more & 1 else 0) | (L if more & 2 else 0) | (K if more & 4 else 0)
        heard = network.node().register(flags)
        assert (flags_of(heard), lifetime_of(heard)) == (0, 100)
        assert not heard.options


@pytest.mark.parametrize(("asked", "granted"), [(1, 1), (10000, 10000), (0xFFFF, 10000)])
def test_lifetimes(network: HomeNetwork, asked: int, granted: int) -> None:
    assert lifetime_of(network.node().register(lifetime=asked)) == granted


UNKNOWN: Option = (200, b"\xff" * 5)
ODD: dict[str, tuple[tuple[Option, ...], int]] = {
    "an unknown option": ((UNKNOWN, (ALTERNATE, ip("2001:db8:1::2"))), 1),
    "an unknown option without data": (((201, b""),), 1),
    "an option of another protocol": (((ACCESS, b"\0\4"),), 1),
    "padding one by one": ((PAD1, PAD1, PAD1, (ALTERNATE, ip("2001:db8:1::2"))), 0),
    "padding in the midst": (((1, bytes(30)), (ALTERNATE, ip("2001:db8:1::2")), (1, bytes(250))), 1),
    "a name that is not in order": (((ALTERNATE, ip("2001:db8:1::2")), (NAI, b"\1plain@example.org"), UNKNOWN), 1),
}


@pytest.mark.parametrize("what", ODD)
def test_odd_but_legal_options(network: HomeNetwork, what: str) -> None:
    node = network.node()
    wanted, padding = ODD[what]
    node.update(A | H, 100, *wanted, padding=padding)
    assert status_of(node.acknowledged()) == 0


def test_padding_behind_the_last_option(network: HomeNetwork) -> None:
    node = network.node()
    node.send(node.message(octets.update(node.next(), A | H, 9), trailer=64))
    assert status_of(node.acknowledged()) == 0


BESIDE = {
    "an unknown option that may be skipped": (b"\x1e\x04abcd",),
    "a tunnel encapsulation limit": (b"\x04\x01\x04",),
    "padding": (b"\0\0\0", b"\x01\x0a" + bytes(10)),
}


@pytest.mark.parametrize("what", BESIDE)
def test_other_destination_options_beside_the_home_address(network: HomeNetwork, what: str) -> None:
    node = network.node()
    node.send(node.message(octets.update(node.next(), A | H, 9)), MOBILITY, *BESIDE[what])
    assert status_of(node.acknowledged()) == 0


AHEAD = {
    "hop-by-hop options": (HOP_BY_HOP,),
    "destination options": (DESTINATION,),
    "hop-by-hop and destination options": (HOP_BY_HOP, DESTINATION),
    "a routing header that has been worked off": (ROUTING,),
    "all of them": (HOP_BY_HOP, DESTINATION, ROUTING),
}


@pytest.mark.rfc("6275#9.3.1-2")
@pytest.mark.parametrize("fragment", [False, True])
@pytest.mark.parametrize("what", AHEAD)
def test_other_headers_around_the_home_address(network: HomeNetwork, what: str, fragment: bool) -> None:
    """RFC 8200 section 4.1: whatever stands there, the update is heard once, and no header of it is complained of; nor is one
    that stands behind it and says that the fragment is all there is."""
    node = network.node()
    first, before = octets.ahead(AHEAD[what], DESTINATION)
    option = octets.destination_options(MOBILITY, home_address=node.home)
    update = node.message(octets.update(node.next(), A | H, 9))
    if fragment:
        option, update = bytes([octets.FRAGMENT]) + option[1:], bytes([MOBILITY, 0xEE, 0, 0, 0, 0, 0, 9]) + update
    network.abroad.send(octets.packet(node.care_of, AGENT, first, before + option + update))
    heard = network.abroad.hear_all(lambda heard: heard.kind == BA and heard.home_address == node.home)
    assert (status_of(heard[-1]), [each for each in heard if each.kind == octets.PARAMETER_PROBLEM]) == (0, [])
    nothing_more(network, node.home)


@pytest.mark.parametrize("what", AHEAD)
def test_other_headers_and_no_home_address(network: HomeNetwork, what: str) -> None:
    """A node at home, and one that is not mobile: the stack hands these out itself."""
    node, address = network.node(), network.abroad.address
    node.register()
    first, before = octets.ahead(AHEAD[what], MOBILITY)
    network.home.addresses = [node.home]
    update = node.message(octets.update(node.next(), A | H, 0))
    network.home.send(octets.packet(node.home, AGENT, first, before + update))
    assert status_of(network.home.hear(lambda heard: heard.kind == BA, "the acknowledgement at home")) == 0
    first, before = octets.ahead(AHEAD[what], ICMPV6)
    echo = octets.icmp(address, AGENT, 128, b"\0\7\0\1halma?")
    network.abroad.send(octets.packet(address, AGENT, first, before + echo))
    assert network.abroad.hear(lambda heard: heard.kind == 129, "an echo").body == b"\0\7\0\1halma?"
    assert not [heard for heard in network.home.waiting() if heard.kind in (BA, octets.PARAMETER_PROBLEM)]


def nothing_more(network: HomeNetwork, of: bytes) -> None:
    """Nothing more is said to a home address or about a packet: the answer to another node comes after it."""
    another = network.node()
    another.update()
    heard = network.abroad.hear_all(lambda heard: heard.kind == BA and heard.home_address == another.home)
    assert not [each for each in heard if each.kind in (BA, BE, octets.PARAMETER_PROBLEM) and of in each.octets]


def test_destination_options_without_a_home_address_are_the_kernel_s(network: HomeNetwork) -> None:
    address = network.abroad.address
    echo = octets.icmp(address, AGENT, 128, b"\0\7\0\1halma?")
    network.abroad.send(octets.packet(address, AGENT, DESTINATION, bytes([ICMPV6, 0, 1, 4, 0, 0, 0, 0]) + echo))
    assert network.abroad.hear(lambda heard: heard.kind == 129, "an echo").body == b"\0\7\0\1halma?"


def refused(network: HomeNetwork, kind: int, place: str, message: bytes, protocol: int = MOBILITY) -> tuple[bytes, int]:
    """Send a message with an option of this kind somewhere; the packet, and where in it the option is."""
    node = network.node()
    odd = bytes([kind, 2]) + b"ab"
    first, before, option = DESTINATION, b"", octets.destination_options(protocol, home_address=node.home)
    if place == "behind":
        option = bytes([protocol, 3]) + option[2:] + odd + octets.gap(4)
    elif place == "before":
        option = octets.destination_options(protocol, odd, home_address=node.home)
    else:
        first, before = HOP_BY_HOP, bytes([DESTINATION, 0]) + odd + octets.gap(2)
    sent = octets.packet(node.care_of, AGENT, first, before + option + message)
    network.abroad.send(sent)
    return sent, sent.index(odd)


PLACES = ["behind", "before", "hop-by-hop"]


@pytest.mark.parametrize(("kind", "place"), [*zip((0x9E, 0xDE, 0x9E), PLACES, strict=True)])
def test_an_option_that_must_not_be_skipped_is_pointed_at(network: HomeNetwork, kind: int, place: str) -> None:
    """RFC 8200 section 4.2, RFC 4443 section 3.4: the packet is discarded, and its sender told where the option is."""
    update = octets.mobility(BU, octets.update(1, A | H, 9), network.node().home, AGENT)
    sent, where = refused(network, kind, place, update)
    heard = network.abroad.hear_all(lambda heard: heard.kind == octets.PARAMETER_PROBLEM, "a Parameter Problem")
    assert not [each for each in heard if each.kind == BA]
    assert (heard[-1].source, heard[-1].payload[:2]) == (AGENT, b"\x04\x02")
    assert int.from_bytes(heard[-1].body[:4], "big") == where
    assert heard[-1].body[4:] == sent
    nothing_more(network, sent)


@pytest.mark.parametrize("place", PLACES)
def test_an_option_that_is_to_be_discarded_in_silence(network: HomeNetwork, place: str) -> None:
    update = octets.mobility(BU, octets.update(1, A | H, 9), network.node().home, AGENT)
    sent, _ = refused(network, 0x5E, place, update)
    network.silence(network.sentinel)
    assert sent


@pytest.mark.parametrize("place", PLACES)
def test_no_error_is_sent_about_an_error(network: HomeNetwork, place: str) -> None:
    """RFC 4443 section 2.4 (e.1)."""
    address = network.abroad.address
    refused(network, 0x9E, place, octets.icmp(address, AGENT, 1, bytes(4) + bytes(40)), ICMPV6)
    network.silence(network.sentinel)


def test_nonces_have_no_place_in_a_home_registration(network: HomeNetwork) -> None:
    """Section 9.5.1: MUST NOT be present, else silently discarded."""
    node = network.node()
    node.update(A | H, 9, (NONCES, bytes(4)))
    network.silence(node)


def test_a_registration_without_the_home_address_option(network: HomeNetwork) -> None:
    """Section 10.3.1: it MUST be present."""
    node = network.node()
    network.home.addresses = [node.home]
    body = octets.update(1, A | H, 9, (ALTERNATE, node.care_of))
    network.home.send(octets.packet(node.home, AGENT, MOBILITY, node.message(body)))
    network.silence(node)
    held = [row["home_address"] for row in network.place.show("home_bindings")]
    assert str(IPv6Address(network.sentinel.home)) in held
    assert str(IPv6Address(node.home)) not in held


def test_what_is_no_home_registration_is_not_answered(network: HomeNetwork) -> None:
    """Section 9.5.1: no nonces, no authorization data."""
    node = network.node()
    node.update(A, 9)
    network.silence(node)
    node.home = ip("2001:db8:9::1")
    node.update(A, 9)
    network.silence(node)
    node = network.node()
    node.register()
    node.update(A, 9)
    assert status_of(node.acknowledged()) == 139


def test_a_home_address_from_elsewhere(network: HomeNetwork) -> None:
    node = network.node()
    node.home = ip("2001:db8:9::1")
    node.update()
    assert status_of(node.acknowledged()) == 132


@pytest.mark.parametrize("home", ["2001:db8:5::1", "2001:db8:5::", "2001:db8:5:0:fdff:ffff:ffff:fffe"])
def test_addresses_of_home_agents_are_nobody_s_home(network: HomeNetwork, home: str) -> None:
    node = network.node()
    node.home = ip(home)
    node.update()
    assert status_of(node.acknowledged()) >= 128


def test_a_wrong_checksum(network: HomeNetwork) -> None:
    node = network.node()
    node.send(node.message(octets.update(1, A | H, 9), wrong=0x0101))
    network.silence(node)


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("option", [False, True])
def test_a_malformed_header_is_pointed_at(network: HomeNetwork, option: bool, place: int) -> None:
    """Section 9.2: Payload Proto and Header Len; the answer goes to the source address, and quotes the packet."""
    node = network.node()
    source = node.home if option else node.care_of
    spoilt = bytearray(octets.mobility(BU, octets.update(1, A | H, 9), source, AGENT))
    spoilt[place] = 0 if place else 6
    spoilt[4:6] = bytes(2)
    covered = bytes(spoilt[:8]) if place else bytes(spoilt)
    spoilt[4:6] = struct.pack("!H", octets.checksum(source, AGENT, MOBILITY, covered))
    header = octets.destination_options(MOBILITY, home_address=node.home) if option else b""
    sent = octets.packet(node.care_of, AGENT, DESTINATION if option else MOBILITY, header + bytes(spoilt))
    network.abroad.send(sent)
    heard = network.abroad.hear(lambda heard: heard.kind == 4, "a Parameter Problem")
    assert (heard.source, heard.destination, heard.payload[1]) == (AGENT, node.care_of, 0)
    assert int.from_bytes(heard.body[:4], "big") == 40 + len(header) + place
    assert heard.body[4:] == sent


# ---- order ----


def test_sequence_numbers(network: HomeNetwork) -> None:
    """Section 9.5.1: modulo 2**16; the last accepted one comes back."""
    node = network.node()
    node.sequence = 65533
    for _ in range(4):
        node.register()
    assert node.sequence == 1
    for wrong in (1, 0, 65535, 1 - 32768 & 0xFFFF):
        node.sequence = wrong - 1
        node.update()
        heard = node.acknowledged(1)
        assert status_of(heard) == 135
    node.sequence = 32767
    node.register()


# ---- moving, and the tunnel ----


def test_the_tunnel_follows_both_ways(network: HomeNetwork) -> None:
    node = network.node()
    for care_of in network.abroad.addresses:
        node.care_of = care_of
        node.register(A | H | K)
        network.say(node.home, b"down")
        inner = node.tunnelled()
        assert (inner.source, inner.destination, inner.payload[8:]) == (PEER, node.home, b"down")
        node.talk(PEER, b"up")
        heard = network.said(b"up")
        assert (heard.source, heard.destination) == (node.home, PEER)
        assert octets.checksum(node.home, PEER, UDP, heard.payload) == 0


def test_an_alternate_care_of_address(network: HomeNetwork) -> None:
    node = network.node()
    other = network.abroad.addresses[1]
    node.register(A | H, 100, (ALTERNATE, other))
    node.care_of = other
    network.say(node.home, b"there")
    assert node.tunnelled().payload[8:] == b"there"


def test_two_nodes_that_are_away_talk_to_each_other(network: HomeNetwork) -> None:
    node, other = network.node(), network.node()
    other.care_of = network.abroad.addresses[1]
    for each in (node, other):
        each.register()
    node.talk(other.home, b"hello")
    inner = other.tunnelled()
    assert (inner.source, inner.payload[8:]) == (node.home, b"hello")


def test_a_reverse_tunnel_takes_the_home_address_alone(network: HomeNetwork) -> None:
    """Section 10.4.5."""
    node, other = network.node(), network.node()
    node.register()
    node.talk(PEER, b"forged", source=other.home)
    node.care_of = network.abroad.addresses[1]
    node.talk(PEER, b"from elsewhere")
    node.care_of = network.abroad.addresses[0]
    node.talk(PEER, b"honest")
    heard = [packet.payload[8:] for packet in network.peer.hear_all(lambda packet: packet.payload.endswith(b"honest"))]
    assert b"forged" not in heard
    assert b"from elsewhere" not in heard


@pytest.mark.parametrize("whom", ["peer", "agent"])
def test_an_echo_through_the_tunnel(network: HomeNetwork, whom: str) -> None:
    node = network.node()
    node.register()
    to = PEER if whom == "peer" else AGENT
    echo = octets.icmp(node.home, to, 128, b"\0\7\0\1halma?")
    inner = octets.packet(node.home, to, ICMPV6, echo)
    network.abroad.send(octets.packet(node.care_of, AGENT, TUNNEL, inner))
    if whom == "peer":
        asked = network.peer.hear(lambda heard: heard.kind == 128)
        network.peer.send(octets.packet(PEER, node.home, ICMPV6, octets.icmp(PEER, node.home, 129, asked.body)))
    answer = node.tunnelled()
    assert (answer.kind, answer.body) == (129, b"\0\7\0\1halma?")


def test_return_routability_goes_through_the_tunnel(network: HomeNetwork) -> None:
    """Section 10.4.5: a Home Test Init for a correspondent is as any other packet."""
    node = network.node()
    node.register()
    header = octets.mobility(octets.HOTI, bytes(2) + b"cookiexx", node.home, PEER)
    network.abroad.send(octets.packet(node.care_of, AGENT, TUNNEL, octets.packet(node.home, PEER, MOBILITY, header)))
    assert network.peer.hear(lambda heard: heard.octets.endswith(header)).source == node.home


def test_an_unknown_message_is_told_with_the_home_address(network: HomeNetwork) -> None:
    """Sections 9.2 and 9.3.3."""
    node = network.node()
    node.send(node.message(bytes(10), 77))
    heard = network.abroad.hear(lambda heard: heard.kind == BE)
    assert (heard.destination, heard.home_address, heard.body[:18]) == (node.care_of, b"", b"\2\0" + node.home)


@pytest.mark.parametrize("kind", [octets.HOTI, octets.COTI])
def test_return_routability_with_the_home_agent_itself(network: HomeNetwork, kind: int) -> None:
    """It optimises no routes: who tries is told that the message is unknown (section 9.2), and need not go on (11.3.6)."""
    node = network.node()
    header = octets.mobility(kind, bytes(2) + b"cookiexx", node.care_of, AGENT)
    network.abroad.send(octets.packet(node.care_of, AGENT, MOBILITY, header))
    heard = network.abroad.hear(lambda heard: heard.kind == BE)
    assert heard.body[:2] == b"\2\0"


# ---- going home ----


@pytest.mark.parametrize("option", [False, True])
@pytest.mark.parametrize("lifetime", [0, 30])
def test_home_again(network: HomeNetwork, option: bool, lifetime: int) -> None:
    """Sections 10.3.2 and 9.5.4: a care-of address that is the home address de-registers as a lifetime of 0 does."""
    node = network.node()
    node.register(A | H | L)
    heard = returns(network, node, option=option, sequence=2, lifetime=lifetime)
    assert (status_of(heard), sequence_of(heard), lifetime_of(heard), heard.options) == (0, 2, 0, [])
    assert (heard.source, heard.destination) == (AGENT, node.home)
    assert heard.home_address == (node.home if option else b"")
    delivered_at_home(network, node)


def test_a_node_that_comes_home_asks_for_the_home_agent(network: HomeNetwork) -> None:
    """Section 11.5.5: from the unspecified address, for its own; the answer is multicast, and not solicited (10.4.1)."""
    node = network.node()
    node.register(A | H | L)
    network.home.addresses = []
    group = ip("ff02::1:ff00:0")[:13] + node.home[13:]
    solicitation = octets.icmp(bytes(16), group, 135, bytes(4) + node.home)
    network.home.waiting()
    network.home.send(octets.packet(bytes(16), group, ICMPV6, solicitation, 255))
    heard = network.home.hear(lambda heard: heard.kind == 136 and heard.body[4:20] == node.home, "an advertisement", 0.8)
    assert heard.destination == ip("ff02::1")
    assert heard.body[0] & 0x40 == 0
    assert heard.body[20:28] == b"\x02\x01" + network.home.router


def test_a_refusal_reaches_a_node_that_is_home_while_a_binding_is_there(network: HomeNetwork) -> None:
    """Section 10.3.2: it goes to the node's link-layer address, not into the tunnel."""
    node = network.node()
    node.sequence = 100
    node.register()
    heard = returns(network, node, option=False, sequence=50)
    assert (status_of(heard), sequence_of(heard)) == (135, 101)
    heard = returns(network, node, option=False, sequence=102)
    assert status_of(heard) == 0


def test_gone_from_abroad(network: HomeNetwork) -> None:
    node = network.node()
    node.register()
    node.update(A | H, 0)
    heard = node.acknowledged()
    assert (status_of(heard), lifetime_of(heard), heard.options) == (0, 0, [])
    network.home.addresses = [node.home]
    delivered_at_home(network, node)
    node.register()
    network.say(node.home, b"again")
    assert node.tunnelled().payload[8:] == b"again"


def test_what_was_never_registered_cannot_end(network: HomeNetwork) -> None:
    node = network.node()
    node.update(A | H, 0)
    assert status_of(node.acknowledged()) == 133


# ---- what else a node may hear and ask ----


def test_a_node_is_asked_to_refresh(network: HomeNetwork) -> None:
    node = network.node()
    node.register(lifetime=1)
    heard = network.abroad.hear(lambda heard: heard.kind == BRR and heard.home_address == node.home)
    assert (heard.source, heard.destination) == (AGENT, node.care_of)
    node.register()


def test_an_unknown_home_address_is_told(network: HomeNetwork) -> None:
    node = network.node()
    node.send(octets.udp(node.home, AGENT, b"?"), UDP)
    heard = network.abroad.hear(lambda heard: heard.kind == BE)
    assert heard.body[:2] == b"\1\0"
    assert heard.body[2:18] == node.home
    assert not heard.home_address


def test_discovery_and_prefixes(network: HomeNetwork) -> None:
    """Sections 10.5 and 10.6."""
    node = network.node()
    anycast = ip("2001:db8:5:0:fdff:ffff:ffff:fffe")
    request = octets.icmp(node.care_of, anycast, 144, b"\x12\x34\0\0")
    network.abroad.send(octets.packet(node.care_of, anycast, ICMPV6, request))
    heard = network.abroad.hear(lambda heard: heard.kind == 145)
    assert (heard.source, heard.body) == (AGENT, b"\x12\x34\0\0" + AGENT)
    node.register()
    node.send(octets.icmp(node.home, AGENT, 146, b"\x56\x78\0\0"), ICMPV6)
    heard = network.abroad.hear(lambda heard: heard.kind == 147)
    assert (heard.source, heard.home_address, heard.body[:2]) == (AGENT, node.home, b"\x56\x78")
    assert heard.body[4:7] == b"\x03\x04\x40"
    assert heard.body[7] & 0xE0 == 0xE0
    assert heard.body[20:36] == AGENT
