# SPDX-License-Identifier: Apache-2.0
"""Home addresses and mobile networks in the data plane: which binding a packet goes by, and which tunnel it may come out of."""

from __future__ import annotations

import errno
import struct

import pytest

from halma.engine.api import Bind, BindingKind, Tunnel, Unbind
from halma.forwarding.loader import Collection
from halma.forwarding.memory import MemoryPlane
from halma.forwarding.plane import PlaneSettings, Side
from halma.forwarding.tables import DictionaryMap, Tables
from tests.forwarding.plane_packets import Ip, address, parse, tunnelled, udp
from tests.forwarding.test_programs import (
    ANCHOR,
    CONTINUE,
    GATEWAY,
    NODE,
    OTHER,
    REDIRECT,
    SHOT,
    XDP_PASS,
    XDP_REDIRECT,
    bind,
    configure,
    counters,
    know_next_hop,
    maps,
    objects,
    outcome,
    set_tunnel,
)

__all__ = ["maps", "objects"]

CARE_OF, ELSEWHERE = "2001:db8:9::1", "2001:db8:a::1"
INSIDE = "2001:db8:100:1::99"
HOMES, NETWORKS, HOME_AGENT = 4, 8, 16
RECEIVE_ONLY = 4
LISTENER_REPORTS = 32
NETWORK_KEY = struct.Struct("=I16s")


def away(objects: Collection, *, network: str = "", length: int = 64) -> None:
    """The node is bound by its gateway (tunnel 1), and by itself at its care-of address (tunnel 2)."""
    bind(objects, NODE, 1)
    set_tunnel(objects, 2, ANCHOR, CARE_OF)
    objects.maps["homes"].update(address(NODE), struct.pack("=III", 2, 0, 0))
    if network:
        objects.maps["networks"].update(NETWORK_KEY.pack(length, address(network)), struct.pack("=III", 2, 0, 0))
    configure(objects, HOMES | (NETWORKS if network else 0) | HOME_AGENT)
    for slot in range(4096):
        know_next_hop(objects, "inner_next_hops", slot, OTHER)


@pytest.fixture
def bound(maps: Collection) -> Collection:
    """The tables with nothing bound, but the tunnel between anchor and gateway."""
    for name in ("homes", "networks"):
        for key, _ in list(maps.maps[name].items()):
            maps.maps[name].delete(key)
    return maps


@pytest.mark.requirement("ANC-2")
@pytest.mark.rfc("6275#10.4.2-1")
@pytest.mark.parametrize("name", ["anchor_network", "anchor_network_xdp"])
def test_the_home_address_goes_to_the_care_of_address_and_the_rest_of_the_prefix_to_the_gateway(
    bound: Collection, name: str
) -> None:
    away(bound)
    to_node, to_prefix = (outcome(bound.program(name), udp(OTHER, host)) for host in (NODE, INSIDE))
    assert parse(to_node[1][14:]).destination == address(CARE_OF)
    assert parse(to_prefix[1][14:]).destination == address(GATEWAY)
    assert to_node[0] == (XDP_REDIRECT if name.endswith("xdp") else REDIRECT)


@pytest.mark.requirement("ANC-2", "ANC-9")
@pytest.mark.rfc("3963#6.5-1")
@pytest.mark.parametrize(("network", "length"), [("2001:db8:100:1::", 64), ("2001:db8:100::", 48)])
def test_a_mobile_network_comes_before_the_home_network_prefix(bound: Collection, network: str, length: int) -> None:
    away(bound, network=network, length=length)
    _, data = outcome(bound.program("anchor_network"), udp(OTHER, INSIDE))
    assert parse(data[14:]).destination == address(CARE_OF)


@pytest.mark.requirement("ANC-3")
@pytest.mark.rfc("6275#10.4.5-3")
@pytest.mark.parametrize(
    ("source", "outer", "taken"),
    [
        (NODE, CARE_OF, True),
        (NODE, GATEWAY, True),  # both registrations exist while the node comes home
        (NODE, ELSEWHERE, False),
        (INSIDE, CARE_OF, False),
        (INSIDE, GATEWAY, True),
    ],
)
def test_what_comes_out_of_a_tunnel_was_registered_there(bound: Collection, source: str, outer: str, taken: bool) -> None:
    away(bound)
    verdict, _ = outcome(bound.program("anchor_network"), tunnelled(udp(source, OTHER), outer, ANCHOR))
    assert (verdict == REDIRECT) is taken
    assert counters(bound) == ({"decapsulated": 1} if taken else {"dropped_wrong_outer_source": 1})


@pytest.mark.requirement("ANC-9")
def test_the_whole_mobile_network_may_send(bound: Collection) -> None:
    away(bound, network="2001:db8:100:1::")
    verdict, _ = outcome(bound.program("anchor_network"), tunnelled(udp(INSIDE, OTHER), CARE_OF, ANCHOR))
    assert verdict == REDIRECT


def test_signalling_behind_a_home_address_option_is_kept_from_the_stack(bound: Collection) -> None:
    away(bound)
    option = bytes([1, 2, 0, 0, 201, 16]) + address(NODE)
    update = Ip(address(CARE_OF), address(ANCHOR), 60, bytes([135, 2]) + option + bytes(16))
    other = Ip(address(CARE_OF), address(ANCHOR), 60, bytes([17, 2]) + option + bytes(16))
    program = bound.program("anchor_network")
    assert (outcome(program, update)[0], outcome(program, other)[0]) == (SHOT, CONTINUE)
    assert outcome(bound.program("anchor_network_xdp"), update)[0] == XDP_PASS
    configure(bound, HOMES)
    assert outcome(program, update)[0] == CONTINUE


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (bytes([201, 16]) + bytes(16) + bytes(4), True),
        (bytes(4) + bytes([201, 16]) + bytes(16), True),
        (bytes([30, 2, 0, 0]) + bytes([201, 16]) + bytes(16), True),
        (bytes(22), True),
        (bytes([1, 20]) + bytes(20), False),
        (bytes([1, 20]) + bytes([201] * 20), False),
        (bytes([30, 255]) + bytes([201] * 20), False),
    ],
)
def test_destination_options_are_kept_from_the_stack_only_with_a_home_address(
    bound: Collection, options: bytes, kept: bool
) -> None:
    away(bound)
    packet = Ip(address(CARE_OF), address(ANCHOR), 60, bytes([58, 2]) + options + bytes(16))
    assert outcome(bound.program("anchor_network"), packet)[0] == (SHOT if kept else CONTINUE)


# ---- the node's side ----


@pytest.fixture
def node(bound: Collection) -> Collection:
    """The node abroad: its home address and the anchor's are the ends of the reverse tunnel, number 3."""
    set_tunnel(bound, 3, CARE_OF, ANCHOR)
    bound.maps["homes"].update(address(NODE), struct.pack("=III", 3, 0, 0))
    configure(bound, HOMES, home=NODE)
    return bound


@pytest.mark.requirement("MN-2")
@pytest.mark.rfc("6275#11.3.3-2")
def test_a_node_takes_only_its_home_agent_s_tunnel(node: Collection) -> None:
    program = node.program("node_network")
    sent = udp(OTHER, NODE)
    verdict, data = outcome(program, tunnelled(sent, ANCHOR, CARE_OF))
    assert (verdict, data[14:]) == (CONTINUE, sent.bytes())
    verdict, _ = outcome(program, tunnelled(sent, ELSEWHERE, CARE_OF))
    assert verdict == SHOT
    assert counters(node) == {"decapsulated": 1, "dropped_wrong_outer_source": 1}


def test_a_node_leaves_other_packets_to_the_stack_but_answers_behind_a_routing_header(node: Collection) -> None:
    program = node.program("node_network")
    for packet in (udp(OTHER, NODE), udp(OTHER, CARE_OF), tunnelled(udp(OTHER, INSIDE), ELSEWHERE, CARE_OF)):
        assert outcome(program, packet)[0] == CONTINUE
    answer = Ip(address(ANCHOR), address(CARE_OF), 43, bytes([135, 2, 2, 1]) + bytes(4) + address(NODE) + bytes(16))
    assert outcome(program, answer)[0] == SHOT


@pytest.mark.requirement("MN-2")
@pytest.mark.rfc("6275#11.3.3-2")
def test_a_tunnel_that_only_receives_takes_packets_and_sends_none(node: Collection) -> None:
    network, device = node.program("node_network"), node.program("node_out")
    sent, leaves = udp(OTHER, NODE), udp(NODE, OTHER).bytes()
    node.maps["homes"].update(address(NODE), struct.pack("=III", 3, RECEIVE_ONLY, 0))
    verdict, data = outcome(network, tunnelled(sent, ANCHOR, CARE_OF))
    assert (verdict, data[14:]) == (CONTINUE, sent.bytes())
    assert outcome(network, tunnelled(sent, ELSEWHERE, CARE_OF))[0] == SHOT
    assert device.test_run(leaves)[0] == SHOT
    assert counters(node) == {"decapsulated": 1, "dropped_wrong_outer_source": 1, "dropped_bound_to_nothing": 1}
    node.maps["homes"].update(address(NODE), struct.pack("=III", 3, 0, 0))
    device.test_run(leaves)  # there is no Ethernet header to encapsulate it behind, which is as far as it gets here
    assert counters(node)["dropped_bound_to_nothing"] == 1
    assert counters(node)["error"] == 1


# ---- multicast ----

GROUP, ON_LINK = "ff0e::5:213", "ff02::5:213"


def listener_message(kind: int, source: str = "fe80::77", group: str = "ff02::16") -> Ip:
    """A message of Multicast Listener Discovery: its headers are all that the programs look at."""
    return Ip(address(source), address(group), 0, bytes([58, 0, 5, 2, 0, 0, 1, 0, kind]) + bytes(27), 1)


@pytest.mark.rfc("6275#11.3.4-4")
@pytest.mark.parametrize("kind", [131, 132, 143])
def test_a_node_s_reports_leave_by_the_tunnel_when_they_are_allowed_to(node: Collection, kind: int) -> None:
    device, report = node.program("node_out"), listener_message(kind).bytes()
    assert device.test_run(report)[0] == SHOT
    assert counters(node) == {}
    configure(node, HOMES | LISTENER_REPORTS, home=NODE)
    device.test_run(report)  # as far as it gets here, see above
    assert counters(node) == {"error": 1}


@pytest.mark.parametrize(
    "packet",
    [
        listener_message(130),
        listener_message(134),
        udp("fe80::77", ON_LINK),
        udp("fe80::77", GROUP),
        udp(NODE, ON_LINK),
        udp("::", GROUP),
        Ip(address("fe80::77"), address("ff02::16"), 0, bytes([58, 1]) + bytes(40), 1),
        Ip(address("fe80::77"), address("ff02::16"), 0, bytes(4), 1),
    ],
)
def test_nothing_else_of_the_link_leaves_a_node_by_the_tunnel(node: Collection, packet: Ip) -> None:
    configure(node, HOMES | LISTENER_REPORTS, home=NODE)
    assert node.program("node_out").test_run(packet.bytes())[0] == SHOT
    assert counters(node) == {}


@pytest.mark.rfc("6275#8.5-18")
def test_what_comes_to_a_node_for_a_group_comes_by_the_device(node: Collection) -> None:
    program = node.program("node_network")
    for inner in (udp(OTHER, GROUP), listener_message(130, "fe80::1", "ff02::1")):
        verdict, data = outcome(program, tunnelled(inner, ANCHOR, CARE_OF))
        assert (verdict, data[14:]) == (REDIRECT, inner.bytes())
        assert outcome(program, tunnelled(inner, ELSEWHERE, CARE_OF))[0] == SHOT
    assert counters(node) == {"decapsulated": 2, "dropped_wrong_outer_source": 2}
    assert outcome(program, tunnelled(udp(OTHER, ON_LINK), ANCHOR, CARE_OF))[0] == SHOT
    assert counters(node)["dropped_group"] == 1


def test_a_home_agent_s_engine_hears_reports_and_the_stack_does_not(bound: Collection) -> None:
    away(bound)
    report = tunnelled(listener_message(143), CARE_OF, ANCHOR)
    assert outcome(bound.program("anchor_network"), report)[0] == SHOT
    assert counters(bound) == {}
    assert outcome(bound.program("anchor_network_xdp"), report)[0] == XDP_PASS


# ---- the tables ----

TO_CARE_OF = Tunnel(address(ANCHOR), address(CARE_OF))
TO_GATEWAY = Tunnel(address(ANCHOR), address(GATEWAY))
PREFIX = address("2001:db8:100:1::")


def tables(*, maximum: int = 8) -> Tables:
    settings = PlaneSettings(Side.ANCHOR, (address(ANCHOR),), (), maximum_bindings=maximum, home_agent=True)
    homes = DictionaryMap(16, maximum), DictionaryMap(20, maximum)
    return Tables(settings, DictionaryMap(8, maximum), DictionaryMap(4, maximum + 1), homes)


def test_three_kinds_of_bindings_of_one_prefix_do_not_touch_each_other() -> None:
    made = tables()
    binds = [
        Bind(1, PREFIX, 64, TO_GATEWAY),
        Bind(2, PREFIX, 64, TO_CARE_OF, kind=BindingKind.MOBILE_NETWORK),
        Bind(3, address(NODE), 128, TO_CARE_OF, kind=BindingKind.HOME_ADDRESS),
    ]
    assert made.apply(binds) == [0, 0, 0]
    assert set(made.read_back()) == {(PREFIX, 64, TO_GATEWAY), (PREFIX, 64, TO_CARE_OF), (address(NODE), 128, TO_CARE_OF)}
    assert (made.homes, made.networks) == (1, 1)
    assert made.record_to(address(INSIDE)).tunnel == TO_CARE_OF  # type: ignore[union-attr]
    assert made.apply([Unbind(4, PREFIX, 64, BindingKind.MOBILE_NETWORK)]) == [0]
    assert made.record_to(address(INSIDE)).tunnel == TO_GATEWAY  # type: ignore[union-attr]
    assert made.apply([Unbind(5, PREFIX, 64)]) == [0]
    assert list(made.read_back()) == [(address(NODE), 128, TO_CARE_OF)]
    assert made.record_to(address(NODE)).tunnel == TO_CARE_OF  # type: ignore[union-attr]
    assert made.apply([Unbind(6, address(NODE), 128, BindingKind.HOME_ADDRESS)]) == [0]
    assert (made.homes, made.tunnels()) == (0, {})


def test_every_node_of_a_large_home_agent_may_have_a_tunnel_of_its_own() -> None:
    """More than 16 bits can count."""
    count = 66_000
    made = tables(maximum=count)
    hosts = [number.to_bytes(8, "big") for number in range(1, count + 1)]
    places = [Tunnel(address(ANCHOR), address("2001:db8:aaaa::")[:8] + host) for host in hosts]
    homes = [
        Bind(number, address("2001:db8:bbbb::")[:8] + host, 128, place, kind=BindingKind.HOME_ADDRESS)
        for number, (host, place) in enumerate(zip(hosts, places, strict=True))
    ]
    assert not any(made.apply(homes))
    assert [tunnel for _, _, tunnel in made.read_back()] == places
    another = Bind(count, address(NODE), 128, TO_CARE_OF, kind=BindingKind.HOME_ADDRESS)
    gone = Unbind(count + 1, homes[0].prefix, 128, BindingKind.HOME_ADDRESS)
    assert made.apply([another]) == [errno.ENOSPC]
    assert made.apply([gone]) + made.apply([another]) == [0, 0]  # with the number that the other one had
    assert made.record_to(address(NODE)).tunnel == TO_CARE_OF  # type: ignore[union-attr]


def test_a_full_table_of_homes_refuses_and_keeps_what_it_has() -> None:
    made = tables(maximum=1)
    home, other = (Bind(1, address(host), 128, TO_CARE_OF, kind=BindingKind.HOME_ADDRESS) for host in (NODE, INSIDE))
    assert made.apply([home]) == [0]
    assert made.apply([other]) == [errno.E2BIG]
    assert list(made.read_back()) == [(address(NODE), 128, TO_CARE_OF)]
    assert made.homes == 1
    assert made.apply([Unbind(2, address(NODE), 128, BindingKind.HOME_ADDRESS), other]) == [0, 0]
    assert list(made.read_back()) == [(address(INSIDE), 128, TO_CARE_OF)]
    assert made.homes == 1


def test_a_batch_of_homes_that_the_kernel_refuses_in_part_counts_what_was_taken() -> None:
    made = tables(maximum=2)
    homes = [Bind(i, address(f"2001:db8:100::{i}"), 128, TO_CARE_OF, kind=BindingKind.HOME_ADDRESS) for i in range(1, 4)]
    assert made.apply(homes) == [0, 0, errno.E2BIG]
    assert len(list(made.read_back())) == made.homes == 2


def test_what_only_receives_leads_nowhere_and_shares_the_tunnel() -> None:
    settings = PlaneSettings(Side.NODE, (), (), maximum_bindings=4)
    made = Tables(settings, DictionaryMap(8, 1), DictionaryMap(4, 5), (DictionaryMap(16, 4), DictionaryMap(20, 4)))
    reverse = Tunnel(address(CARE_OF), address(ANCHOR))
    for kind, prefix, length, host in (
        (BindingKind.HOME_ADDRESS, address(NODE), 128, NODE),
        (BindingKind.MOBILE_NETWORK, PREFIX, 64, INSIDE),
    ):
        assert made.apply([Bind(1, prefix, length, reverse, kind=kind, receive_only=True)]) == [0]
        (taken, *_), way = made.records_from(address(host)), made.record_to(address(host))
        assert taken.tunnel == reverse
        assert way is not None
        assert made.is_nothing(way)
        assert made.apply([Bind(2, prefix, length, reverse, kind=kind)]) == [0]
        assert made.record_to(address(host)) is taken
    assert {tunnel: record.users for tunnel, record in made.tunnels().items()} == {reverse: 2}


@pytest.mark.parametrize("side", [Side.ANCHOR, Side.GATEWAY])
def test_only_a_node_has_tunnels_that_only_receive(side: Side) -> None:
    plane = MemoryPlane(PlaneSettings(side, (address(ANCHOR),), ()))
    assert plane.apply([Bind(1, PREFIX, 64, TO_CARE_OF, 1, receive_only=True)]) == [errno.EOPNOTSUPP]


@pytest.mark.parametrize(
    ("side", "kind", "length", "answer"),
    [
        (Side.ANCHOR, BindingKind.HOME_ADDRESS, 64, errno.EOPNOTSUPP),
        (Side.ANCHOR, BindingKind.MOBILE_NETWORK, 65, errno.EOPNOTSUPP),
        (Side.ANCHOR, BindingKind.MOBILE_NETWORK, 40, errno.EINVAL),  # bits behind the length
        (Side.GATEWAY, BindingKind.HOME_ADDRESS, 128, errno.EOPNOTSUPP),
        (Side.ANCHOR, BindingKind.LOCAL, 64, errno.EOPNOTSUPP),
        (Side.NODE, BindingKind.LOCAL, 64, errno.EOPNOTSUPP),
        (Side.GATEWAY, BindingKind.LOCAL, 56, errno.EOPNOTSUPP),
        (Side.GATEWAY, BindingKind.LOCAL, 64, errno.EINVAL),  # it has no tunnel
        (Side.NODE, BindingKind.PROXY, 64, errno.EOPNOTSUPP),
        (Side.NODE, BindingKind.MOBILE_NETWORK, 64, 0),
    ],
)
def test_what_a_side_has_no_use_for_is_refused(side: Side, kind: BindingKind, length: int, answer: int) -> None:
    plane = MemoryPlane(PlaneSettings(side, (address(ANCHOR),), ()))
    assert plane.apply([Bind(1, PREFIX, length, TO_CARE_OF, 1, kind=kind)]) == [answer]
