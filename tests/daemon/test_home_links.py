# SPDX-License-Identifier: Apache-2.0
"""A home agent's daemon on a real home link: who answers for whom, who is told what, and what is left behind."""

from __future__ import annotations

import contextlib
import json
import re
import select
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from halma.netio.home_link import HomeLinkPort
from halma.netio.mobility import MobilitySocket
from halma.netio.netlink import LinkControl
from halma.text import read_address
from halma.wire import decode
from halma.wire.icmpv6 import (
    HomeAgentAddressDiscoveryReply,
    HomeAgentAddressDiscoveryRequest,
    MobilePrefixAdvertisement,
    MobilePrefixSolicitation,
    decode_icmpv6,
    encode_icmpv6,
)
from halma.wire.messages import BindingAcknowledgement, BindingError, BindingRevocationIndication
from halma.wire.nd import (
    HomeAgentInformation,
    NeighborSolicitation,
    PrefixInformation,
    RouterAdvertisement,
    SourceLinkLayerAddress,
)
from halma.wire.numbers import Status
from tests.conftest import run_ip
from tests.daemon.home_world import AGENT, CARE_OF, HOME, NEIGHBOUR, PATIENCE, World, world
from tests.netio.links import inside

pytestmark = [pytest.mark.root, pytest.mark.needs("ip", "sysctl")]

Namespace = Callable[[str], str]
ANYCAST = read_address("2001:db8:5::fdff:ffff:ffff:fffe")
SOLICITED_NODE = read_address("ff02::1:ff00:77")


def link_layer_address(w: World, where: str, device: str) -> str:
    return str(json.loads(w.run(where, "ip", "-j", "link", "show", device))[0]["address"])


def neighbour_entry(w: World) -> dict[str, object]:
    entries = json.loads(w.run(w.neighbour, "ip", "-j", "-6", "neighbour", "show", "dev", "home0"))
    return next((entry for entry in entries if entry["dst"] == "2001:db8:5::77"), {})


def proxies(w: World) -> list[str]:
    shown = w.run(w.agent, "ip", "-6", "neighbour", "show", "proxy")
    return [line.split()[0] for line in shown.splitlines() if line]


def registered(w: World, sequence: int = 1) -> None:
    w.update(sequence)
    answer = w.answer()
    assert isinstance(answer, BindingAcknowledgement)
    assert answer.status == Status.ACCEPTED


def eventually(holds: Callable[[], bool]) -> None:
    """It is so before long."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def listen(where: str, device: str) -> socket.socket:
    with inside(where):
        made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x86DD))
        made.bind((device, 0x86DD))
    return made


def heard(listener: socket.socket, kind: int, fits: Callable[[bytes], bool] = lambda _: True) -> bytes:
    """The next such ICMPv6 message of this type, with its IPv6 header."""
    end = time.monotonic() + PATIENCE
    while (left := end - time.monotonic()) > 0:
        readable, _, _ = select.select([listener], [], [], left)
        if not readable:
            break
        packet = listener.recv(2000)
        if packet[6] == 58 and packet[40] == kind and fits(packet):
            return packet
    raise AssertionError(f"no such message of type {kind}")


def is_about_the_node(packet: bytes) -> bool:
    return packet[48:64] == HOME


def waiting(listener: socket.socket) -> Iterator[bytes]:
    """What has been heard already."""
    listener.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            yield listener.recv(2000)


@pytest.mark.rfc(
    "6275#8.4-2", "6275#10.4.1-1", "6275#10.4.1-2", "6275#10.4.1-5", "6275#10.4.1-6", "6275#10.4.1-7", "6275#10.4.1-8"
)
@pytest.mark.rfc("6275#10.4.1-9", "6275#10.4.1-10", "6275#10.4.1-11")
def test_all_nodes_are_told_at_once_and_again_where_the_address_is_now(namespace: Namespace, tmp_path: Path) -> None:
    with world(namespace, tmp_path) as w, listen(w.neighbour, "home0") as listener:
        registered(w)
        for _ in range(3):
            packet = heard(listener, 136)
            assert (packet[8:24], packet[24:40]) == (AGENT, read_address("ff02::1"))
            assert packet[7] == 255
            assert packet[44] == 0x20  # O, neither R nor S
            assert packet[48:64] == HOME
            assert packet[64:66] == b"\x02\x01"
            assert packet[66:72].hex(":") == link_layer_address(w, w.agent, "home0")


@pytest.mark.rfc("6275#10.4.1-12", "6275#10.4.1-13", "6275#10.4.1-14", "6275#10.4.1-15", "6275#10.3.2-11")
def test_a_neighbour_resolves_the_node_to_the_home_agent_until_it_is_home_again(namespace: Namespace, tmp_path: Path) -> None:
    with world(namespace, tmp_path) as w, listen(w.neighbour, "home0") as listener:
        registered(w)
        run_ip("-n", w.neighbour, "neighbour", "flush", "dev", "home0")
        with inside(w.neighbour), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", ("2001:db8:5::77", 9))
        packet = heard(listener, 136, lambda packet: bool(packet[44] & 0x40))
        assert packet[48:64] == HOME
        assert not packet[44] & 0x80
        assert neighbour_entry(w)["lladdr"] == link_layer_address(w, w.agent, "home0")
        assert proxies(w) == ["2001:db8:5::77"]
        w.update(2, lifetime=0)
        assert isinstance(w.answer(), BindingAcknowledgement)
        assert proxies(w) == []


@pytest.mark.rfc("6275#8.4-3", "6275#10.4.2-1")
def test_what_a_neighbour_sends_to_the_node_goes_through_the_tunnel(namespace: Namespace, tmp_path: Path) -> None:
    with world(namespace, tmp_path) as w, listen(w.abroad, "eth0") as far:
        registered(w)
        with inside(w.neighbour), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"for the node", ("2001:db8:5::77", 9))
        far.settimeout(PATIENCE)
        packet = far.recv(2000)
        while packet[6] != 41:
            packet = far.recv(2000)
        assert (packet[8:24], packet[24:40]) == (AGENT, CARE_OF)
        assert (packet[48:64], packet[64:80]) == (NEIGHBOUR, HOME)
        assert packet.endswith(b"for the node")


def test_a_third_host_cannot_take_the_address_of_a_node_that_is_away(namespace: Namespace, tmp_path: Path) -> None:
    with world(namespace, tmp_path) as w, listen(w.neighbour, "home0") as listener:
        registered(w)
        for _ in range(3):  # none of these is to be what tells the host
            heard(listener, 136)
        w.run(w.neighbour, "sysctl", "-qw", "net.ipv6.conf.home0.accept_dad=1")
        run_ip("-n", w.neighbour, "address", "add", "2001:db8:5::77/64", "dev", "home0")
        packet = heard(listener, 136)
        assert (packet[24:40], packet[48:64]) == (read_address("ff02::1"), HOME)
        eventually(lambda: "dadfailed" in run_ip("-n", w.neighbour, "-6", "address", "show", "dev", "home0"))


@pytest.mark.rfc("6275#10.4.2-2", "6275#10.4.2-3")
def test_what_goes_to_the_link_local_address_of_a_node_that_is_away_is_not_delivered(
    namespace: Namespace, tmp_path: Path
) -> None:
    with world(namespace, tmp_path) as w, listen(w.neighbour, "home0") as listener, listen(w.abroad, "eth0") as far:
        w.update(1, flags=0xE000)
        assert isinstance(w.answer(), BindingAcknowledgement)
        assert sorted(proxies(w)) == ["2001:db8:5::77", "fe80::77"]
        with inside(w.neighbour), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
            index = socket.if_nametoindex("home0")
            for _ in range(2):
                sender.sendto(b"x", ("fe80::77", 9, 0, index))
        packet = heard(listener, 1)
        assert packet[41] == 3
        assert packet[48 + 24 : 48 + 40] == read_address("fe80::77")
        assert not any(read_address("fe80::77") in packet for packet in waiting(far))


@pytest.mark.rfc("6275#8.4-9", "6275#10.5.1-4", "6275#6.5-2", "3963#7.2-2")
def test_whoever_asks_the_anycast_address_is_told_of_the_home_agent(namespace: Namespace, tmp_path: Path) -> None:
    with world(namespace, tmp_path) as w, inside(w.abroad):
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as client:
            client.settimeout(PATIENCE)
            request = HomeAgentAddressDiscoveryRequest(77, 0x8000)
            client.sendto(encode_icmpv6(request, CARE_OF, ANYCAST), ("2001:db8:5:0:fdff:ffff:ffff:fffe", 0))
            data, sender = b"", ("", 0)
            while data[:1] != b"\x91":
                data, sender = client.recvfrom(2000)
        assert sender[0] == "2001:db8:5::1"
        assert decode_icmpv6(data, AGENT, CARE_OF) == HomeAgentAddressDiscoveryReply(77, 0x8000, AGENT)


@pytest.mark.needs("tshark")
@pytest.mark.rfc(
    "6275#7.2-1", "6275#7.3-1", "6275#7.3-2", "6275#7.3-3", "6275#7.4-1", "6275#7.4-2", "6275#7.5-11", "3963#7.3-1"
)
def test_advertisements_are_well_formed_to_another_eye(namespace: Namespace, tmp_path: Path) -> None:
    with world(namespace, tmp_path) as w:
        fields: tuple[str, ...] = (
            "_ws.expert.message",
            "_ws.malformed",
            "icmpv6.nd.ra.flag.h",
            "icmpv6.opt.prefix",
            "icmpv6.opt.prefix.flag.r",
        )
        fields += ("icmpv6.opt.advertisement_interval", "icmpv6.opt.home_agent_preference", "icmpv6.opt.home_agent_lifetime")
        fields += ("icmpv6.opt.linkaddr", "ipv6.dst", "ipv6.hlim")
        command = ["tshark", "-l", "-i", "home0", "-c", "2", "-a", f"duration:{PATIENCE}", "-Y", "icmpv6.type == 134", "-T"]
        command += ["fields", "-E", "separator=|", *(part for field in fields for part in ("-e", field))]
        shown = w.run(w.neighbour, *command, "-f", "icmp6[icmp6type] == 134").splitlines()
        assert len(shown) == 2
        for line in shown:
            warning, malformed, is_agent, prefix, whole, interval, preference, lifetime, address, to, limit = line.split("|")
            assert (warning, malformed) == ("", "")
            assert is_agent in ("1", "True")
            assert whole in ("1", "True")
            assert (prefix, interval, preference, lifetime) == ("2001:db8:5::1", "1000", "5", "1800")
            assert address == link_layer_address(w, w.agent, "home0")
            assert (to, limit) == ("ff02::1", "255")


@pytest.mark.rfc("6275#10.3.1-11")
def test_with_wait_an_address_that_somebody_has_is_refused(namespace: Namespace, tmp_path: Path) -> None:
    with world(namespace, tmp_path, 'duplicate_address_detection = "wait"') as w:
        run_ip("-n", w.neighbour, "address", "add", "2001:db8:5::77/64", "dev", "home0", "nodad")
        w.update(1)
        answer = w.answer()
        assert isinstance(answer, BindingAcknowledgement)
        assert answer.status == Status.DUPLICATE_ADDRESS_DETECTION_FAILED
        assert proxies(w) == []
        run_ip("-n", w.neighbour, "address", "delete", "2001:db8:5::77/64", "dev", "home0")
        registered(w, 2)
        assert proxies(w) == ["2001:db8:5::77"]


@pytest.mark.rfc("6275#10.3.1-11")
def test_with_wait_two_that_want_an_address_at_once_do_not_both_get_it(namespace: Namespace, tmp_path: Path) -> None:
    with world(namespace, tmp_path, 'duplicate_address_detection = "wait"') as w, listen(w.neighbour, "home0") as listener:
        w.update(1)
        heard(listener, 135, is_about_the_node)
        with inside(w.neighbour):
            control = LinkControl()
            port = HomeLinkPort(socket.if_nametoindex("home0"), "home0", NEIGHBOUR, control)
            port.seek(HOME)
        answer = w.answer()
        assert isinstance(answer, BindingAcknowledgement)
        assert answer.status == Status.DUPLICATE_ADDRESS_DETECTION_FAILED
        port.close()
        control.close()


def test_a_link_that_comes_back_defends_the_same_addresses(namespace: Namespace, tmp_path: Path) -> None:
    with world(namespace, tmp_path) as w, listen(w.neighbour, "home0") as listener:
        registered(w)
        for _ in range(3):
            heard(listener, 136)
        run_ip("-n", w.agent, "link", "set", "home0", "down")
        run_ip("-n", w.agent, "link", "set", "home0", "up")
        heard(listener, 136, is_about_the_node)
        assert proxies(w) == ["2001:db8:5::77"]


def test_nothing_is_left_at_the_end_and_a_crash_is_cleaned_up_after(namespace: Namespace, tmp_path: Path) -> None:
    with world(namespace, tmp_path) as w:
        settings = ("conf.home0.proxy_ndp", "neigh.home0.proxy_delay")
        read = ("sysctl", "-n", *(f"net.ipv6.{name}" for name in settings))
        registered(w)
        assert w.run(w.agent, *read).split() == ["1", "0"]
        run_ip("-n", w.agent, "neighbour", "add", "proxy", "2001:db8:5::99", "dev", "home0")
        w.daemon.kill()
        assert len(proxies(w)) == 2
        w.run(w.agent, "sysctl", "-qw", "net.ipv6.conf.home0.proxy_ndp=0", "net.ipv6.neigh.home0.proxy_delay=80")
        w.daemon.start()
        assert proxies(w) == ["2001:db8:5::99"]
        registered(w, 5)
        with listen(w.neighbour, "home0") as listener:
            w.daemon.stop()
            heard(listener, 134, lambda packet: packet[46:48] == b"\0\0")
        assert proxies(w) == ["2001:db8:5::99"]
        assert w.run(w.agent, *read).split() == ["0", "80"]
        assert "fdfffffffffffffe" not in w.run(w.agent, "cat", "/proc/net/anycast6")


@pytest.mark.needs("nft")
def test_no_redirect_leaves_by_a_home_link(namespace: Namespace, tmp_path: Path) -> None:
    with world(namespace, tmp_path) as w:
        table = w.run(w.agent, "nft", "list", "ruleset")
        assert re.search(r'oifname \{? ?"home0" ?\}? icmpv6 type nd-redirect drop', table)
        w.daemon.stop()
        assert "redirect" not in w.run(w.agent, "nft", "list", "ruleset")


@pytest.mark.rfc("6275#10.6.3-3", "6275#10.6.3-4", "6275#6.8-2", "6275#6.8-8")
def test_a_node_that_asks_is_told_the_prefix(namespace: Namespace, tmp_path: Path) -> None:
    with world(namespace, tmp_path) as w:
        registered(w)
        w.send_icmp(MobilePrefixSolicitation(4711))
        answer = w.answer()
        assert isinstance(answer, MobilePrefixAdvertisement)
        assert (answer.identifier, answer.flags) == (4711, 0)
        (option,) = answer.options
        assert option == PrefixInformation(64, 0xE0, 2592000, 604800, AGENT)


@pytest.mark.rfc("6275#9.3.1-3", "6275#9.3.1-5", "6275#9.3.3-2")
def test_a_home_address_that_is_not_registered_is_told_so(namespace: Namespace, tmp_path: Path) -> None:
    with world(namespace, tmp_path) as w:
        with inside(w.abroad):
            mobility = MobilitySocket()
        w.send(17, bytes(8))
        readable, _, _ = select.select([mobility.fileno()], [], [], PATIENCE)
        assert readable
        ((source, destination, data),) = mobility.receive()
        assert decode(data, source, destination) == BindingError(1, HOME, ())
        mobility.close()


def test_the_operator_revokes_a_registration(namespace: Namespace, tmp_path: Path) -> None:
    with world(namespace, tmp_path) as w:
        registered(w)
        (row,) = w.show("home-bindings")
        assert (row["node"], row["home_address"], row["care_of_address"]) == (
            "mn@example.org",
            "2001:db8:5::77",
            "2001:db8:1::2",
        )
        asked = w.run(w.agent, *w.command("revoke", "--prefix", "2001:db8:5::77"))
        assert asked == "revoked: 1\n"
        indication = w.answer()
        assert isinstance(indication, BindingRevocationIndication)
        assert w.show("home-bindings")[0]["state"] == "revoking"
        w.acknowledge(indication)
        eventually(lambda: not w.show("home-bindings"))
        assert proxies(w) == []
        missing = subprocess.run(
            ["ip", "netns", "exec", w.agent, *w.command("revoke", "--node", "mn@example.org")], capture_output=True, check=False
        )
        assert missing.returncode == 1


def test_other_home_agents_of_the_link_are_learnt(namespace: Namespace, tmp_path: Path) -> None:
    with world(namespace, tmp_path) as w:
        other = read_address("2001:db8:5::5")
        options = (
            SourceLinkLayerAddress(b"\2\0\0\0\0\5"),
            PrefixInformation(64, 0xE0, 2592000, 604800, other),
            HomeAgentInformation(0x8000, 9, 100),
        )
        with inside(w.neighbour):
            control = LinkControl()
            port = HomeLinkPort(socket.if_nametoindex("home0"), "home0", NEIGHBOUR, control)
            assert port.advertise_router(RouterAdvertisement(64, 0x20, 0, 0, 0, options))
            port.close()
            control.close()
        eventually(
            lambda: {"home_agents_known": 1}.items() <= {row["counter"]: row["value"] for row in w.show("counters")}.items()
        )
        with inside(w.abroad), socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as client:
            client.settimeout(PATIENCE)
            request = HomeAgentAddressDiscoveryRequest(1, 0)
            client.sendto(encode_icmpv6(request, CARE_OF, ANYCAST), ("2001:db8:5:0:fdff:ffff:ffff:fffe", 0))
            data = b""
            while data[:1] != b"\x91":
                data = client.recv(2000)
        assert decode_icmpv6(data, AGENT, CARE_OF) == HomeAgentAddressDiscoveryReply(1, 0, other + AGENT)


def test_the_wire_format_of_what_asks_for_an_address() -> None:
    assert encode_icmpv6(NeighborSolicitation(HOME), bytes(16), SOLICITED_NODE)[8:24] == HOME
