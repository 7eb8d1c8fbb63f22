# SPDX-License-Identifier: Apache-2.0
"""A mobile node's daemon and a foreign home agent: RFC 6275 section 11, 4285, 5846."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import run_ip
from tests.foreign import octets
from tests.foreign.binding_update import flags_of, lifetime_of, number_of
from tests.foreign.home_agent import HomeAgent
from tests.foreign.octets import (
    ADVICE,
    ALTERNATE,
    BE,
    BRA,
    DESTINATION,
    HOP_BY_HOP,
    ICMPV6,
    MESSAGE_ID,
    MOBILITY,
    NAI,
    REVOCATION,
    TUNNEL,
    UDP,
    A,
    H,
    Heard,
    ip,
)
from tests.foreign.place import ALL_NODES, Place
from tests.netio.links import inside

pytestmark = [pytest.mark.root, pytest.mark.needs("ip")]

AGENT, OTHER, HOME, PEER = ip("2001:db8:5::1"), ip("2001:db8:5::2"), ip("2001:db8:5::77"), ip("2001:db8:ee::2")
STRANGER = ip("2001:db8:66::5")
SECRET = bytes(range(20))
ABROAD, HOME_ROUTER = "fe80::1", "fe80::5"
NODE = """
[node]
interface = "eth0"
home_address = "2001:db8:5::77"
{agent}
identifier = "mn@example.org"
control_socket = "{{directory}}/control.sock"
state_directory = "{{directory}}"
first_registration_timeout_seconds = 1
retry_interval_seconds = 1
{key}
"""
KEY = """
[node.association]
spi = 300
key_file = "{directory}/key"
timestamps = false
"""


class Abroad:
    """A node that is on a foreign link, and its home agent."""

    def __init__(self, directory: Path, stack: contextlib.ExitStack, *, key: bool, agent: str = "2001:db8:5::1") -> None:
        file = directory / "key"
        file.touch(0o600)
        file.write_text(SECRET.hex())
        agent = f'home_agent = "{agent}"' if agent else ""
        text = NODE.format(agent=agent, key=KEY if key else "insecure = true")
        self.place = stack.enter_context(Place(directory, "node", text, {"eth0": None}))
        link = self.place.station("eth0", "02:00:00:00:00:01", ABROAD)
        self.agent = HomeAgent(link, AGENT, HOME, (300, SECRET) if key else None)
        self.station = link
        self.place.start()
        self.agent.advertise("2001:db8:1::", ABROAD)

    def state(self) -> str:
        """What the node takes itself to be."""
        (row,) = self.place.show("registration")
        return str(row["state"])

    def until_registered(self) -> None:
        self.place.until(lambda: self.state() == "registered", "a registration")

    def refreshed(self) -> Heard:
        """The update that a Binding Refresh Request causes."""
        self.agent.ask_to_refresh()
        return self.agent.hear_update()

    def port(self) -> socket.socket:
        """A socket on the node's home address."""
        with inside(self.place.machine):
            made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            made.bind(("2001:db8:5::77", 7))
        made.settimeout(10)
        return made

    def counters(self) -> dict[str, int]:
        return {row["counter"]: row["value"] for row in self.place.show("counters")}


@pytest.fixture(scope="module")
def abroad(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Abroad]:
    with contextlib.ExitStack() as stack:
        made = Abroad(tmp_path_factory.mktemp("keyed"), stack, key=True)
        first_registration(made)
        yield made
        assert "Traceback" not in made.place.log


def first_registration(abroad: Abroad) -> None:
    """The update is as section 11.7.1 wants it, is sent again ever less often (11.8), and is taken to be accepted only by an
    acknowledgement that is right in all."""
    agent = abroad.agent
    moments, numbers = [], []
    for _ in range(3):
        update = agent.hear_update()
        moments.append(time.monotonic())
        numbers.append(number_of(update))
    assert abs(moments[1] - moments[0] - 1) < 0.35
    assert abs(moments[2] - moments[1] - 2) < 0.35
    assert [number - numbers[0] & 0xFFFF for number in numbers] == [0, 1, 2]
    assert update.source[:8] == ip("2001:db8:1::")[:8]
    assert flags_of(update) & 0xDFFF == A | H
    assert lifetime_of(update) == 900
    assert update.option(ALTERNATE) == agent.care_of
    assert update.option(NAI) == b"\1mn@example.org"
    agent.acknowledge(header=False)
    agent.acknowledge(sequence=numbers[0] - 1 & 0xFFFF)
    agent.say(octets.BA, agent.signed(octets.acknowledgement(0, 0, agent.sequence, 900)), wrong=0x10)
    agent.say(octets.BA, agent.signed(octets.acknowledgement(0, 0, agent.sequence, 900)), source=STRANGER)
    if agent.key is not None:
        right = agent.signed(octets.acknowledgement(0, 0, agent.sequence, 900))
        agent.say(octets.BA, right[:-1] + bytes([right[-1] ^ 1]))
        agent.say(octets.BA, octets.acknowledgement(0, 0, agent.sequence, 900))
    expected = 5 if agent.key else 3
    abroad.place.until(lambda: abroad.counters()["acknowledgements_ignored"] >= expected, "acknowledgements to be ignored")
    assert abroad.state() != "registered"
    agent.acknowledge(0, 600, (200, b"odd"), (ADVICE, struct.pack("!H", 100)), (201, b""))
    abroad.until_registered()
    (row,) = abroad.place.show("registration")
    assert 2300 < row["remaining_seconds"] <= 2400


# ---- traffic ----


def test_datagrams_through_the_tunnel(abroad: Abroad) -> None:
    agent = abroad.agent
    with abroad.port() as port:
        agent.talk(PEER, b"from a stranger", outer=STRANGER)
        agent.talk(PEER, b"down")
        assert port.recvfrom(100)[0] == b"down"
        port.sendto(b"up", ("2001:db8:ee::2", 9))
        outer = abroad.station.hear(lambda heard: heard.protocol == TUNNEL, "a packet through the tunnel")
        assert (outer.source, outer.destination) == (agent.care_of, AGENT)
        inner = octets.read(outer.payload)
        assert (inner.source, inner.destination, inner.payload[8:]) == (HOME, PEER, b"up")
        assert octets.checksum(HOME, PEER, UDP, inner.payload) == 0


def test_an_echo_through_the_tunnel(abroad: Abroad) -> None:
    abroad.agent.tunnel(octets.packet(PEER, HOME, ICMPV6, octets.icmp(PEER, HOME, 128, b"\0\1\0\2abc")))
    outer = abroad.station.hear(lambda heard: heard.protocol == TUNNEL, "an answer through the tunnel")
    inner = octets.read(outer.payload)
    assert (inner.source, inner.destination, inner.kind, inner.body) == (HOME, PEER, 129, b"\0\1\0\2abc")


# ---- what a home agent may say ----


def test_a_refresh_request(abroad: Abroad) -> None:
    agent = abroad.agent
    agent.ask_to_refresh(source=STRANGER)
    update = abroad.refreshed()
    moment = time.monotonic()
    agent.hear_update()
    assert abs(time.monotonic() - moment - 1) < 0.35
    assert flags_of(update) & A
    agent.acknowledge()


def test_a_sequence_number_out_of_window(abroad: Abroad) -> None:
    agent = abroad.agent
    for theirs in (40000, 65535, 5):
        abroad.refreshed()
        agent.acknowledge(135, 0, sequence=theirs)
        assert number_of(agent.hear_update()) == theirs + 1 & 0xFFFF
        agent.acknowledge()
        abroad.until_registered()


def test_a_binding_error(abroad: Abroad) -> None:
    agent = abroad.agent
    body = b"\1\0" + HOME
    agent.say(BE, body, header=False, source=STRANGER)
    agent.say(BE, body, header=False)
    agent.hear_update()
    agent.acknowledge()
    assert abroad.counters()["binding_errors_ignored"] >= 1


def test_prefixes_are_asked_for(abroad: Abroad) -> None:
    """Section 11.7.3: with status 1 a node SHOULD send a Mobile Prefix Solicitation (11.4.2)."""
    agent, station = abroad.agent, abroad.station
    for valid, lifetime in ((400, 100), (86400, 900)):
        abroad.refreshed()
        agent.acknowledge(1)
        asked = station.hear(lambda heard: heard.kind == 146, "a Mobile Prefix Solicitation")
        assert (asked.source, asked.destination, asked.home_address) == (agent.care_of, AGENT, HOME)
        option = struct.pack("!BBBBIII", 3, 4, 64, 0xE0, valid, 300, 0) + AGENT
        answer = octets.icmp(AGENT, HOME, 147, asked.body[:2] + bytes(2) + option)
        header = octets.routing_header(ICMPV6, HOME)
        station.send(octets.packet(AGENT, agent.care_of, octets.ROUTING, header + answer))
        assert lifetime - 2 <= lifetime_of(abroad.refreshed()) <= lifetime
        agent.acknowledge()


def test_a_lifetime_that_was_cut_short(abroad: Abroad) -> None:
    abroad.refreshed()
    granted = time.monotonic()
    abroad.agent.acknowledge(0, 1)
    abroad.agent.hear_update()
    assert time.monotonic() - granted < 4
    abroad.agent.acknowledge()


@pytest.mark.parametrize("kind", [octets.HOTI, octets.COTI, 77])
def test_messages_that_a_node_does_not_know(abroad: Abroad, kind: int) -> None:
    """Section 9.2: told by a Binding Error."""
    abroad.agent.say(kind, bytes(10), header=False)
    heard = abroad.station.hear(lambda heard: heard.kind == BE, "a Binding Error")
    assert heard.body[0] == 2


@pytest.mark.parametrize("kinds", [(HOP_BY_HOP,), (DESTINATION,), (HOP_BY_HOP, DESTINATION)])
def test_other_headers_before_the_routing_header(abroad: Abroad, kinds: tuple[int, ...]) -> None:
    """RFC 8200 section 4.1: what stands behind them is heard once, and no header of it is complained of."""
    abroad.agent.say_behind(kinds, 77, bytes(10))
    abroad.agent.ask_to_refresh()
    heard = abroad.station.hear_all(lambda heard: heard.kind == octets.BU, "an update")
    abroad.agent.sequence = number_of(heard[-1])
    abroad.agent.acknowledge()
    assert [each.kind for each in heard if each.kind in (BE, octets.PARAMETER_PROBLEM)] == [BE]


def test_an_option_that_must_not_be_skipped(abroad: Abroad) -> None:
    """RFC 8200 section 4.2, RFC 4443 section 3.4."""
    agent, odd = abroad.agent, b"\x9e\x02ab"
    message = octets.routing_header(MOBILITY, HOME) + octets.mobility(octets.BRR, bytes(2), AGENT, HOME)
    sent = octets.packet(AGENT, agent.care_of, DESTINATION, bytes([octets.ROUTING, 0]) + odd + octets.gap(2) + message)
    abroad.station.send(sent)
    heard = abroad.station.hear_all(lambda heard: heard.kind == octets.PARAMETER_PROBLEM, "a Parameter Problem")
    assert not [each for each in heard if each.kind == octets.BU]
    assert (heard[-1].source, heard[-1].destination, heard[-1].payload[1]) == (agent.care_of, AGENT, 2)
    assert int.from_bytes(heard[-1].body[:4], "big") == sent.index(odd)
    assert heard[-1].body[4:] == sent


@pytest.mark.parametrize("status", [128, 133, 134, 143, 200])
def test_a_refusal_stops_the_tunnel_and_is_told(abroad: Abroad, status: int) -> None:
    agent = abroad.agent
    abroad.refreshed()
    agent.acknowledge(status, 0)
    abroad.place.until(lambda: f"(status {status})" in abroad.place.log, "the refusal to be told")
    if abroad.state() != "registered":
        with abroad.port() as port:
            port.sendto(b"not to leave bare", ("2001:db8:ee::2", 9))
            assert not [heard for heard in abroad.station.waiting() if HOME in (heard.source, heard.payload[8:24])]
    abroad.place.ask(request="retry")
    agent.hear_update()
    agent.acknowledge()
    abroad.until_registered()


def test_a_revocation(abroad: Abroad) -> None:
    """RFC 5846 section 10."""
    agent = abroad.agent
    agent.revoke(4711)
    heard = abroad.station.hear(lambda heard: heard.kind == REVOCATION, "an acknowledgement")
    assert heard.body[:4] == struct.pack("!BBH", BRA, 0, 4711)
    assert (heard.source, heard.destination, heard.home_address) == (agent.care_of, AGENT, HOME)
    agent.hear_update()
    agent.acknowledge()
    abroad.until_registered()


def test_a_home_agent_that_wants_timestamps(abroad: Abroad) -> None:
    """RFC 4285 section 6: one that asks for them, and one whose clock is another."""
    agent = abroad.agent
    abroad.refreshed()
    agent.acknowledge(145, 0)
    update = agent.hear_update()
    value = update.option(MESSAGE_ID)
    assert value is not None
    theirs = int.from_bytes(value[:4], "big") + 100000
    agent.acknowledge(144, 0, (MESSAGE_ID, struct.pack("!I", theirs) + value[4:]))
    value = agent.hear_update().option(MESSAGE_ID)
    assert value is not None
    assert abs(int.from_bytes(value[:4], "big") - theirs) < 3
    ignored = abroad.counters()["acknowledgements_ignored"]
    agent.acknowledge(0, 900, (MESSAGE_ID, bytes(8)))
    abroad.place.until(lambda: abroad.counters()["acknowledgements_ignored"] > ignored, "another's timestamp to be ignored")
    agent.acknowledge()
    abroad.until_registered()


# ---- home; last, since the node is another's neighbour then ----


def test_home_again(abroad: Abroad) -> None:
    """Section 11.5.5."""
    agent, station = abroad.agent, abroad.station
    station.addresses = [ip(HOME_ROUTER), AGENT]
    run_ip("-n", abroad.place.others, "link", "set", "eth0", "down")
    run_ip("-n", abroad.place.others, "link", "set", "eth0", "up")
    station.waiting()
    station.hear(lambda heard: heard.kind == 133, "a Router Solicitation")
    agent.advertise("2001:db8:5::", HOME_ROUTER, 0x20)
    for _ in range(2):  # the first answer is lost
        update = agent.hear_update()
        assert (update.source, update.home_address, lifetime_of(update)) == (HOME, b"", 0)
        assert flags_of(update) & (A | H) == A | H
        assert update.option(ALTERNATE) in (None, HOME)
    solicitation = octets.icmp(AGENT, ip("ff02::1:ff00:77"), 135, bytes(4) + HOME + b"\x01\x01" + station.mac)
    station.send(octets.packet(AGENT, ip("ff02::1:ff00:77"), ICMPV6, solicitation, 255))
    heard = station.hear(lambda heard: heard.kind == 136 and heard.body[4:20] == HOME, "a Neighbor Advertisement")
    assert heard.destination == AGENT
    assert heard.body[0] & 0x40
    agent.acknowledge(0, 0, header=False)
    heard = station.hear(lambda heard: heard.kind == 136 and heard.destination == ALL_NODES and heard.body[4:20] == HOME)
    assert heard.body[0] & 0x60 == 0x20
    assert heard.body[20:28] == b"\x02\x01" + station.router
    with abroad.port() as port:
        port.sendto(b"at home", ("2001:db8:ee::2", 9))
        bare = station.hear(lambda heard: heard.protocol == UDP, "a bare packet")
        assert (bare.source, bare.destination) == (HOME, PEER)


def test_home_agents_are_discovered(tmp_path: Path) -> None:
    """Section 11.4.1: the first that is told of is asked; one that refuses gives way to the next."""
    with contextlib.ExitStack() as stack:
        abroad = Abroad(tmp_path, stack, key=True, agent="")
        agent, station = abroad.agent, abroad.station
        request = station.hear(lambda heard: heard.kind == 144, "a discovery request")
        assert request.destination == ip("2001:db8:5:0:fdff:ffff:ffff:fffe")
        answer = octets.icmp(AGENT, request.source, 145, request.body[:2] + bytes(2) + AGENT + OTHER)
        station.send(octets.packet(AGENT, request.source, ICMPV6, answer))
        agent.hear_update()
        agent.acknowledge(129, 0)
        agent.address = OTHER
        agent.hear_update()
        agent.acknowledge()
        abroad.until_registered()


def test_all_of_it_without_a_key(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        abroad = Abroad(tmp_path, stack, key=False)
        first_registration(abroad)
        test_datagrams_through_the_tunnel(abroad)
        test_a_revocation(abroad)
        test_home_again(abroad)
        assert "Traceback" not in abroad.place.log
