# SPDX-License-Identifier: Apache-2.0
"""The interface of a mobile node in a namespace: what it hears and says, its addresses, and the way of its home address."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from halma.engine.node_api import (
    AddressClaimed,
    IcmpReceived,
    RouterAdvertisementReceived,
    RouterConfirmed,
)
from halma.netio.group_membership import groups_of
from halma.netio.netlink import LinkControl, LinkMonitor, LinkState
from halma.netio.node_interface import CONFIGURATION, SETTINGS, NodeInterface
from halma.netio.node_port import NodePort
from halma.text import read_address
from halma.wire.icmpv6 import (
    HomeAgentAddressDiscoveryReply,
    Icmpv6Message,
    MobilePrefixAdvertisement,
    decode_icmpv6,
    encode_icmpv6,
)
from halma.wire.ipv6 import Packet, TypeTwoRoutingHeader, build_packet, parse_packet
from halma.wire.nd import (
    NeighborAdvertisement,
    NeighborSolicitation,
    RouterAdvertisement,
    RouterSolicitation,
    SourceLinkLayerAddress,
    TargetLinkLayerAddress,
    solicited_node,
)
from halma.wire.numbers import NeighborAdvertisementFlag, NextHeader
from tests.conftest import run_ip
from tests.netio.links import inside

pytestmark = [pytest.mark.root, pytest.mark.needs("ip")]

HOME = read_address("2001:db8:100:1::1")
CARE_OF = read_address("2001:db8:9::1")
NETWORK = (read_address("2001:db8:f00::"), 56)
ROUTER = read_address("fe80::1")
ROUTER_MAC = bytes.fromhex("020000000001")
MAC = bytes.fromhex("020000000101")
LINK_LOCAL = read_address("fe80::ff:fe00:101")
ALL_NODES = read_address("ff02::1")


class Link:
    """The node's end of a cable, and a socket on the other."""

    def __init__(self, machine: str) -> None:
        self.machine = machine
        run_ip("-n", machine, "link", "add", "eth0", "address", "02:00:00:00:01:01", "type", "veth", "peer", "name", "far0")
        for name in ("tun", "inner"):
            run_ip("-n", machine, "link", "add", f"{name}0", "type", "veth", "peer", "name", f"{name}1")
        for name in ("eth0", "far0", "tun0", "tun1", "inner0", "inner1"):
            run_ip("-n", machine, "link", "set", name, "up")
        with inside(machine), contextlib.closing(LinkMonitor()) as monitor:
            self.states = {state.name: state for state in monitor.all() if isinstance(state, LinkState)}
            self.far = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self.far.bind(("far0", 3))
            self.far.settimeout(5)

    def send(
        self, message: Icmpv6Message, source: bytes, destination: bytes, *, home: bytes = b"", mac: bytes = ROUTER_MAC
    ) -> None:
        """An ICMPv6 message towards the node, behind a routing header if `home` is given."""
        payload = encode_icmpv6(message, source, home or destination)
        headers = (TypeTwoRoutingHeader(home),) if home else ()
        packet = build_packet(Packet(source, destination, NextHeader.ICMPV6, payload, 255, extension_headers=headers))
        self.far.send(MAC + mac + b"\x86\xdd" + packet)

    def heard(self, kind: type[Any]) -> tuple[bytes, bytes, bytes, Any]:
        """The next message of a kind that the node sent: (Ethernet destination, source, destination, message)."""
        while True:
            frame = self.far.recv(2048)
            packet = parse_packet(frame[14:]) if frame[12:14] == b"\x86\xdd" and frame[6:12] == MAC else None
            if packet is None or packet.next_header != NextHeader.ICMPV6 or packet.payload[0] == 143:
                continue
            message = decode_icmpv6(packet.payload, packet.source, packet.destination, packet.hop_limit)
            if isinstance(message, kind):
                return frame[:6], packet.source, packet.destination, message


@pytest.fixture
def link(namespace: Callable[[str], str]) -> Iterator[Link]:
    made = Link(namespace("node"))
    yield made
    made.far.close()


@pytest.fixture
def port(link: Link) -> Iterator[NodePort]:
    with inside(link.machine):
        made = NodePort(link.states["eth0"].interface, "eth0", MAC, LINK_LOCAL)
    yield made
    made.close()


def receive(port: NodePort) -> list[Any]:
    limit = time.monotonic() + 5
    while not (events := port.receive()) and time.monotonic() < limit:
        time.sleep(0.01)
    return events


@pytest.fixture
def interface(link: Link) -> Iterator[NodeInterface]:
    with inside(link.machine):
        control = LinkControl()
        inner = link.states["inner0"].interface
        made = NodeInterface(link.states["eth0"], control, [(HOME, 128), NETWORK], inner)
        yield made
        made.restore()
        control.close()


# ---- what is heard ----------------------------------------------------------------------------------------------------


@pytest.mark.rfc("3963#5.6-5")
def test_routers_and_neighbours_are_heard(link: Link, port: NodePort) -> None:
    advertisement = RouterAdvertisement(64, 0, 1800, 0, 0, (SourceLinkLayerAddress(ROUTER_MAC),))
    link.send(advertisement, ROUTER, ALL_NODES)
    assert receive(port) == [RouterAdvertisementReceived(ROUTER, ROUTER_MAC, advertisement)]
    link.send(NeighborAdvertisement(NeighborAdvertisementFlag.SOLICITED, ROUTER), ROUTER, LINK_LOCAL)
    assert receive(port) == [AddressClaimed(ROUTER, ROUTER_MAC), RouterConfirmed(ROUTER)]
    other = bytes.fromhex("020000000009")
    link.send(NeighborAdvertisement(0, CARE_OF, (TargetLinkLayerAddress(other),)), CARE_OF, ALL_NODES)
    assert receive(port) == [AddressClaimed(CARE_OF, other)]
    link.send(NeighborSolicitation(CARE_OF), bytes(16), solicited_node(CARE_OF))
    assert receive(port) == [AddressClaimed(CARE_OF, ROUTER_MAC)]


def test_what_is_our_own_or_makes_no_sense_is_not(link: Link, port: NodePort) -> None:
    advertisement = RouterAdvertisement(64, 0, 1800, 0, 0)
    link.send(advertisement, ROUTER, ALL_NODES, mac=MAC)
    link.send(NeighborAdvertisement(0, CARE_OF, (TargetLinkLayerAddress(MAC),)), CARE_OF, ALL_NODES)
    link.send(NeighborSolicitation(CARE_OF), ROUTER, solicited_node(CARE_OF))
    link.send(advertisement, CARE_OF, ALL_NODES)  # not from a link-local address
    link.send(advertisement, ROUTER, LINK_LOCAL, home=HOME)
    link.send(NeighborAdvertisement(0, HOME), ROUTER, ALL_NODES)
    assert receive(port)[-1:] == [AddressClaimed(HOME, ROUTER_MAC)]
    assert port.counters["frames_malformed"] == 1


def test_home_agents_answers_are_heard_also_behind_a_routing_header(link: Link, port: NodePort) -> None:
    reply = HomeAgentAddressDiscoveryReply(5, 0, bytes(16))
    link.send(reply, ROUTER, CARE_OF)
    assert receive(port) == [IcmpReceived(ROUTER, CARE_OF, reply)]
    advertisement = MobilePrefixAdvertisement(7, 0)
    link.send(advertisement, ROUTER, CARE_OF, home=HOME)
    assert receive(port) == [IcmpReceived(ROUTER, CARE_OF, advertisement, HOME)]


# ---- what is said -------------------------------------------------------------------------------------------------------


@pytest.mark.rfc("6275#11.3.1-7", "6275#11.3.1-8", "6275#11.5.3-8")
def test_routers_are_asked_from_the_link_local_address(link: Link, port: NodePort) -> None:
    port.solicit_routers()
    mac, source, destination, message = link.heard(RouterSolicitation)
    assert (mac, source, destination) == (bytes.fromhex("333300000002"), LINK_LOCAL, read_address("ff02::2"))
    assert message == RouterSolicitation((SourceLinkLayerAddress(MAC),))
    port.probe(ROUTER, ROUTER_MAC)
    mac, source, destination, message = link.heard(NeighborSolicitation)
    assert (mac, source, destination) == (ROUTER_MAC, LINK_LOCAL, ROUTER)
    port.probe(ROUTER, b"")
    mac, source, destination, message = link.heard(NeighborSolicitation)
    assert (mac, destination) == (bytes.fromhex("3333ff000001"), solicited_node(ROUTER))


def test_an_address_is_asked_for_from_none(link: Link, port: NodePort) -> None:
    port.ask_for(CARE_OF)
    mac, source, destination, message = link.heard(NeighborSolicitation)
    assert (mac, source, destination) == (bytes.fromhex("3333ff000001"), bytes(16), solicited_node(CARE_OF))
    assert message == NeighborSolicitation(CARE_OF)


@pytest.mark.rfc("6275#11.5.5-14", "6275#11.5.5-16", "6275#11.5.5-17")
def test_an_address_of_ours_is_told_to_all(link: Link, port: NodePort) -> None:
    port.advertise(HOME)
    mac, source, destination, message = link.heard(NeighborAdvertisement)
    assert (mac, source, destination) == (bytes.fromhex("333300000001"), HOME, ALL_NODES)
    assert message == NeighborAdvertisement(NeighborAdvertisementFlag.OVERRIDE, HOME, (TargetLinkLayerAddress(MAC),))


def test_on_an_interface_that_is_down_nothing_is_said(link: Link, port: NodePort) -> None:
    run_ip("-n", link.machine, "link", "set", "eth0", "down")
    port.solicit_routers()
    assert port.counters["frames_not_sent"] == 1


# ---- the interface ------------------------------------------------------------------------------------------------------


def way(link: Link, *arguments: str) -> str:
    return run_ip("-n", link.machine, "-6", "route", "get", "2001:db8:ee::1", *arguments)


@pytest.mark.rfc("6275#11.3.1-2", "6275#11.3.1-3", "6275#11.3.1-5", "6275#11.5.5-8")
@pytest.mark.requirement("MN-2")
def test_packets_from_the_home_address_go_nowhere_but_to_the_data_plane(link: Link, interface: NodeInterface) -> None:
    interface.prepare(link.states["tun0"].interface)
    interface.add_address(CARE_OF)
    interface.set_default_router(ROUTER, ROUTER_MAC)
    assert "02:00:00:00:00:01" in run_ip("-n", link.machine, "-6", "neighbour")
    assert "dev tun0" in way(link, "from", "2001:db8:100:1::1")
    unbound = way(link)  # a socket that has chosen no address
    assert "dev tun0" in unbound
    assert "src 2001:db8:100:1::1" in unbound
    assert "dev eth0" in way(link, "from", "2001:db8:9::1")
    run_ip("-n", link.machine, "link", "set", "tun0", "down")
    with pytest.raises(Exception, match="returned non-zero"):
        way(link, "from", "2001:db8:100:1::1")
    interface.let_go()
    assert "dev eth0" in way(link, "from", "2001:db8:100:1::1")
    assert "src 2001:db8:100:1::1" in way(link)
    interface.restore()


def test_a_mobile_network_is_behind_the_inner_interface(link: Link, interface: NodeInterface) -> None:
    interface.prepare(link.states["tun0"].interface)
    assert "dev tun0" in way(link, "from", "2001:db8:f00::5", "iif", "inner0")
    assert "dev inner0" in run_ip("-n", link.machine, "-6", "route", "get", "2001:db8:f00::9")
    interface.set_on_link((NETWORK, (read_address("2001:db8:9::"), 64)))
    assert "dev inner0" in run_ip("-n", link.machine, "-6", "route", "get", "2001:db8:f00::9")
    assert "dev eth0" in run_ip("-n", link.machine, "-6", "route", "get", "2001:db8:9::9", "from", "fe80::ff:fe00:101")
    interface.set_on_link(())
    interface.restore()


def test_what_the_kernel_forgets_while_the_interface_is_down_is_made_again(link: Link, interface: NodeInterface) -> None:
    interface.prepare(link.states["tun0"].interface)
    interface.add_address(CARE_OF)
    interface.set_default_router(ROUTER, ROUTER_MAC)
    interface.set_on_link(((read_address("2001:db8:9::"), 64),))
    run_ip("-n", link.machine, "link", "set", "eth0", "down")
    run_ip("-n", link.machine, "link", "set", "eth0", "up")
    assert "default" not in run_ip("-n", link.machine, "-6", "route")
    interface.renew()
    routes = run_ip("-n", link.machine, "-6", "route")
    assert "default via fe80::1 dev eth0" in routes
    assert "2001:db8:9::/64 dev eth0" in routes
    addresses = run_ip("-n", link.machine, "-6", "address", "show", "eth0")
    assert "2001:db8:9::1/128" in addresses
    assert "2001:db8:100:1::1/128" in addresses
    interface.restore()


@pytest.mark.rfc("6275#11.3.4-3")
def test_a_group_that_a_program_leaves_is_left_where_it_was_followed_to(link: Link, interface: NodeInterface) -> None:
    groups = {name: struct.pack("=16sI", read_address(f"ff0e::{name}"), link.states["eth0"].interface) for name in ("1", "2")}
    device = link.states["tun0"].interface
    with inside(link.machine), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as member:
        for group in groups.values():
            member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
        interface.prepare(device)
        assert {read_address("ff0e::1"), read_address("ff0e::2")} <= groups_of(device)
        member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP, groups["1"])
        interface.leave_groups()
        assert read_address("ff0e::1") not in groups_of(device)
        assert read_address("ff0e::2") in groups_of(device)


def test_what_was_made_outlives_the_carrier(link: Link, interface: NodeInterface) -> None:
    """So that a node which comes to another link has nothing to make again."""
    interface.prepare(link.states["tun0"].interface)
    interface.add_address(CARE_OF)
    interface.set_default_router(ROUTER, ROUTER_MAC)
    interface.set_on_link(((read_address("2001:db8:9::"), 64),))

    def look() -> list[str]:
        addresses = run_ip("-n", link.machine, "-6", "address", "show", "eth0").splitlines()
        return [
            run_ip("-n", link.machine, "-6", "route", "show", "dev", "eth0"),
            *(line for line in addresses if "inet6" in line),
            run_ip("-n", link.machine, "-6", "rule"),
        ]

    before = look()
    run_ip("-n", link.machine, "link", "set", "far0", "down")
    assert "NO-CARRIER" in run_ip("-n", link.machine, "link", "show", "eth0")
    run_ip("-n", link.machine, "link", "set", "far0", "up")
    assert look() == before
    interface.restore()


def test_the_interface_is_given_back_as_it_was(link: Link, interface: NodeInterface) -> None:
    run_ip("-n", link.machine, "address", "add", "2001:db8:77::5/64", "dev", "eth0", "valid_lft", "600", "preferred_lft", "300")

    def look() -> list[str]:
        return [
            run_ip("-n", link.machine, "-6", "rule"),
            run_ip("-n", link.machine, "-6", "route", "show", "table", "all", "proto", "212"),
            *((CONFIGURATION / "eth0" / name).read_text() for name in ("accept_ra", "autoconf", "accept_dad")),
        ]

    before = look()
    interface.prepare(link.states["tun0"].interface)
    assert "2001:db8:77::5" not in run_ip("-n", link.machine, "address", "show", "eth0")  # what the kernel had formed
    assert look() != before
    with contextlib.closing(LinkControl()) as control:
        second = NodeInterface(link.states["eth0"], control, [(HOME, 128), NETWORK], link.states["inner0"].interface)
        second.prepare(0)  # as after a crash
        second._requests.close()
    assert run_ip("-n", link.machine, "-6", "rule").count("lookup 52") == 2
    interface.restore()
    assert look() == before


def test_the_settings_are_given_back_as_the_first_of_two_lives_found_them(link: Link) -> None:
    def look() -> list[str]:
        return [(CONFIGURATION / "eth0" / name).read_text() for name in SETTINGS if (CONFIGURATION / "eth0" / name).exists()]

    kept: list[dict[str, str]] = []
    with inside(link.machine), contextlib.closing(LinkControl()) as control:
        before = look()
        place = link.states["eth0"], control, [(HOME, 128)]
        first = NodeInterface(*place, keep=kept.append)
        first.prepare(0)
        first._requests.close()
        during = look()
        assert during != before
        (CONFIGURATION / "eth0" / "autoconf").write_text("1")  # somebody's wish, in between
        second = NodeInterface(*place, former=kept[-1], keep=kept.append)
        second.prepare(0)
        assert look() == during
        second.restore()
        assert look() == before
        assert kept[-1] == {}
