# SPDX-License-Identifier: Apache-2.0
"""A gateway's daemon, a foreign anchor and a host: RFC 5213 section 6, 5846, 5847."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator

import pytest

from tests.foreign import octets
from tests.foreign.anchor import Anchor
from tests.foreign.binding_update import flags_of, lifetime_of, number_of
from tests.foreign.octets import (
    ACCESS,
    BA,
    HANDOFF,
    HEARTBEAT,
    ICMPV6,
    LINK_LAYER,
    LINK_LOCAL,
    NAI,
    PREFIX,
    RESTART,
    UDP,
    Heard,
    Option,
    ip,
)
from tests.foreign.place import Place

pytestmark = [pytest.mark.root, pytest.mark.needs("ip")]

ANCHOR, GATEWAY, STRANGER, PEER = (ip(f"2001:db8:{text}") for text in ("1::1", "2::1", "66::5", "ee::2"))
FIRST, SECOND = ip("2001:db8:100:1::"), ip("2001:db8:100:2::")
ROUTER = ip("fe80::1234")
HOST = "02:00:00:00:01:01"
CONFIGURATION = """
[gateway]
address = "2001:db8:2::1"
anchor = "2001:db8:1::1"
interfaces = ["core0"]
access = ["ap*"]
identity = "mag1@example.org"
link_local_address = "::"
lifetime_seconds = 600
retry_interval_seconds = 1
presence_interval_seconds = 0
control_socket = "{directory}/control.sock"
state_directory = "{directory}"
[gateway.heartbeat]
enabled = true
[[profile]]
node = "host1@example.org"
link_layer_address = "02:00:00:00:01:01"
"""


class Network:
    """A gateway between a host and an anchor."""

    def __init__(self, place: Place) -> None:
        self.place = place
        place.ip("-6", "route", "add", "default", "via", "2001:db8:2::100")
        self.anchor = Anchor(place.station("core0", "02:00:00:00:00:02", "2001:db8:2::100"), ANCHOR, GATEWAY)
        place.start()
        self.host = place.station("ap0", HOST, "fe80::101")

    def solicit(self) -> None:
        """The host asks for a router (RFC 4861 section 4.1)."""
        message = octets.icmp(self.host.address, ip("ff02::2"), 133, bytes(4) + b"\x01\x01" + self.host.mac)
        self.host.send(octets.packet(self.host.address, ip("ff02::2"), ICMPV6, message, 255))

    def advertised(self) -> tuple[Heard, dict[bytes, int]]:
        """The next Router Advertisement, with the valid lifetimes of its prefixes."""
        heard = self.host.hear(lambda heard: heard.kind == 134, "a Router Advertisement")
        assert heard.octets[7] == 255
        found, options = {}, heard.body[12:]
        while options:
            if options[0] == 3:
                assert options[2] == 64
                assert options[3] & 0xC0 == 0xC0
                found[options[16:32]] = int.from_bytes(options[4:8], "big")
            options = options[8 * options[1] :]
        return heard, found

    def attached(self, *prefixes: bytes, lifetime: int = 100) -> None:
        """The host is registered, with these prefixes, whatever was before."""
        self.arrives()
        self.anchor.accept(*prefixes, lifetime=lifetime)
        self.place.until(lambda: self.states() == ["registered"], "the registration")

    def arrives(self) -> None:
        """The host comes, as if for the first time, and the anchor is asked."""
        states = self.states()
        if states:
            self.place.ask(request="detach", link_layer_address=HOST)
        if states == ["registered"]:
            while lifetime_of(self.anchor.hear_update()):
                pass
            self.anchor.accept(*[value[2:] for value in self.anchor.update.all(PREFIX)], lifetime=0)
        self.place.until(lambda: not self.states(), "the session to end")
        self.anchor.station.waiting()
        self.host.waiting()
        self.solicit()
        self.anchor.hear_update()

    def states(self) -> list[str]:
        return [row["state"] for row in self.place.show("sessions")]

    def accept(self) -> None:
        """The anchor accepts the last update, and that is taken in."""
        before = self.counters().get("pba_received_0", 0)
        self.anchor.accept(FIRST)
        self.place.until(lambda: self.counters().get("pba_received_0", 0) > before, "the acknowledgement to be taken")
        self.place.until(lambda: self.states() == ["registered"], "the registration")

    def served(self, prefix: bytes) -> None:
        """Datagrams go both ways between host and correspondent."""
        address = prefix[:8] + bytes(6) + b"\1\1"
        self.host.addresses = [self.host.address, address]
        message = octets.packet(address, PEER, UDP, octets.udp(address, PEER, b"up"))
        self.host.send(message, bytes.fromhex("00005e005213"))
        inner = self.anchor.tunnelled()
        assert (inner.source, inner.destination, inner.payload[8:]) == (address, PEER, b"up")
        self.anchor.talk(PEER, address, b"down")
        heard = self.host.hear(lambda heard: heard.protocol == UDP, "a datagram at the host")
        assert (heard.source, heard.destination, heard.payload[8:]) == (PEER, address, b"down")

    def counters(self) -> dict[str, int]:
        return {row["counter"]: row["value"] for row in self.place.show("counters")}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    ports: dict[str, str | None] = {"core0": "2001:db8:2::1/64", "ap0": None}
    with Place(tmp_path_factory.mktemp("gateway"), "gateway", CONFIGURATION, ports) as place:
        made = Network(place)
        first_attachment(made)
        yield made
        assert "Traceback" not in place.log


def first_attachment(network: Network) -> None:
    """A request is sent again ever less often, and is taken to be accepted only by an answer that is right in all (section
    6.9.1.2); what the answer says goes to the host."""
    anchor = network.anchor
    network.solicit()
    moments, numbers = [], []
    for _ in range(2):
        update = anchor.hear_update()
        moments.append(time.monotonic())
        numbers.append(number_of(update))
    assert abs(moments[1] - moments[0] - 1) < 0.35
    assert numbers[1] - numbers[0] & 0xFFFF == 1
    assert update.option(NAI) == b"\1host1@example.org"
    assert update.all(PREFIX) == [bytes(18)] or update.all(PREFIX) == [b"\0\x40" + bytes(16)]
    assert update.option(HANDOFF) in (b"\0\1", b"\0\4")
    assert update.option(ACCESS) == b"\0\3"
    assert update.option(LINK_LAYER) == bytes(2) + network.host.mac
    assert update.option(LINK_LOCAL) == bytes(16)
    assert lifetime_of(update) == 150
    router: Option = (LINK_LOCAL, ROUTER)
    given: Option = (PREFIX, b"\0\x40" + FIRST)
    right = [option for option in anchor.mirrored() if option[0] != LINK_LOCAL] + [router, given]
    anchor.say(BA, anchor.acknowledge(0, *right), wrong=1)
    anchor.say(BA, anchor.acknowledge(0, *right), source=STRANGER)
    anchor.say(BA, anchor.acknowledge(0, *right, more=77))
    anchor.say(BA, anchor.acknowledge(0, *right, flags=0))
    network.place.until(lambda: network.counters()["messages_received"] >= 4, "the wrong ones to be taken")
    assert network.states() != ["registered"]
    odd = [(200, b"odd"), *reversed(right), (201, b""), (0, b""), (254, bytes(60))]
    anchor.say(BA, anchor.acknowledge(0, *odd))
    heard, prefixes = network.advertised()
    assert heard.source == ROUTER
    assert set(prefixes) == {FIRST}
    assert int.from_bytes(heard.body[2:4], "big") > 0


def test_datagrams_through_the_tunnel(network: Network) -> None:
    network.served(FIRST)


def test_a_tunnel_takes_packets_of_its_anchor_alone(network: Network) -> None:
    address = FIRST[:8] + bytes(6) + b"\1\1"
    inner = octets.packet(PEER, address, UDP, octets.udp(PEER, address, b"forged"))
    network.anchor.station.send(octets.packet(STRANGER, GATEWAY, octets.TUNNEL, inner))
    network.served(FIRST)


def test_several_prefixes(network: Network) -> None:
    network.attached(SECOND, FIRST)
    _, prefixes = network.advertised()
    assert set(prefixes) == {FIRST, SECOND}
    for prefix in (FIRST, SECOND):
        network.served(prefix)


def test_a_lifetime_that_was_cut_short(network: Network) -> None:
    """Section 6.9.1.3: extended in time, with the prefixes and handoff indicator 5."""
    network.attached(FIRST, lifetime=1)
    granted = time.monotonic()
    update = network.anchor.hear_update()
    assert time.monotonic() - granted < 4
    assert update.all(PREFIX) == [b"\0\x40" + FIRST]
    assert update.option(HANDOFF) == b"\0\5"
    assert flags_of(update)
    network.accept()
    network.served(FIRST)


def test_a_deregistration(network: Network) -> None:
    """Section 6.9.1.4."""
    network.attached(FIRST)
    network.place.ask(request="detach", link_layer_address=HOST)
    update = network.anchor.hear_update()
    assert (lifetime_of(update), update.option(HANDOFF)) == (0, b"\0\4")
    assert update.all(PREFIX) == [b"\0\x40" + FIRST]
    network.anchor.accept(FIRST, lifetime=0)
    network.place.until(lambda: not network.place.show("sessions"), "the session to end")


@pytest.mark.parametrize("status", [130, 152, 156, 250])
def test_a_refusal_gives_no_service(network: Network, status: int) -> None:
    """Section 6.9.1.2."""
    network.arrives()
    network.anchor.refuse(status)
    network.place.until(lambda: network.counters().get(f"pba_received_{status}"), "the refusal to be counted")
    assert network.states() != ["registered"]
    assert not [heard for heard in network.host.waiting() if heard.kind == 134 and any(heard.body[2:4])]
    network.place.ask(request="retry")
    network.anchor.hear_update()
    network.accept()


@pytest.mark.parametrize("kind", [NAI, ACCESS])
def test_what_is_not_echoed_waits_for_the_operator(network: Network, kind: int) -> None:
    """Section 6.9.1.2, point 6."""
    anchor = network.anchor
    network.arrives()
    before = network.counters().get("pba_mismatched", 0)
    changed = [(number, value[:-1] + b"\x09" if number == kind else value) for number, value in anchor.mirrored()]
    anchor.say(BA, anchor.acknowledge(0, *changed, (PREFIX, b"\0\x40" + FIRST)))
    network.place.until(lambda: network.counters().get("pba_mismatched", 0) > before, "the mismatch to be seen")
    network.place.ask(request="retry")
    anchor.hear_update()
    network.accept()
    network.served(FIRST)


# ---- revocation and heartbeats ----


def test_a_revocation(network: Network) -> None:
    """RFC 5846 sections 9.1 and 6.2."""
    network.attached(FIRST)
    network.advertised()
    other = network.anchor.revoke(8, 0x8000, 1, (NAI, b"\1nobody@example.org"))
    assert other.body[1] == 128
    heard = network.anchor.revoke(9, 0x8000, 1, (NAI, b"\1host1@example.org"), (PREFIX, b"\0\x40" + FIRST), (200, b"odd"))
    assert heard.body[1] == 0
    assert heard.body[4] & 0x80
    network.place.until(lambda: network.states() != ["registered"], "the session to end")
    _, prefixes = network.advertised()
    assert prefixes.get(FIRST) in (None, 0)


@pytest.mark.parametrize("realm", [False, True])
def test_all_is_revoked(network: Network, realm: bool) -> None:
    """RFC 5846 section 9.1: without options by trigger 128, those of a realm by trigger 129."""
    network.attached(FIRST)
    if realm:
        assert network.anchor.revoke(10, 0xA000, 129, (NAI, b"\1@elsewhere")).body[1] >= 128
        heard = network.anchor.revoke(11, 0xA000, 129, (NAI, b"\1@example.org"))
    else:
        assert network.anchor.revoke(12, 0xA000, 128, (NAI, b"\1mag1@example.org")).body[1] >= 128
        heard = network.anchor.revoke(13, 0xA000, 128)
    assert (heard.body[1], heard.body[4] & 0xA0) == (0, 0xA0)
    network.place.until(lambda: network.states() != ["registered"], "the session to end")


def test_heartbeats(network: Network) -> None:
    """RFC 5847 section 3.3; after a restart of the anchor its sessions are registered again."""
    network.attached(FIRST)
    network.anchor.say(HEARTBEAT, struct.pack("!HI", 0, 0x0A0B0C0D))
    heard = network.anchor.station.hear(lambda heard: heard.kind == HEARTBEAT and heard.body[1] & 1, "a response")
    assert heard.body[2:6] == b"\x0a\x0b\x0c\x0d"
    assert len(heard.option(RESTART) or b"") == 4
    network.anchor.restarted(7)
    network.anchor.restarted(8)
    update = network.anchor.hear_update()
    assert lifetime_of(update) > 0
    assert update.all(PREFIX) == [b"\0\x40" + FIRST]
    network.accept()
    network.served(FIRST)
