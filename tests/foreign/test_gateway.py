# SPDX-License-Identifier: Apache-2.0
"""Foreign gateways at an anchor that is local mobility anchor: RFC 5213 section 5, 5846, 5847."""

from __future__ import annotations

import itertools
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.foreign import octets
from tests.foreign.gateway import ANY, Gateway, access, handoff, link_layer, name, prefix, stamp
from tests.foreign.octets import (
    ACCESS,
    ALTERNATE,
    BA,
    BE,
    BRA,
    BRI,
    BU,
    HANDOFF,
    HEARTBEAT,
    LINK_LOCAL,
    NAI,
    PAD1,
    PREFIX,
    RESTART,
    REVOCATION,
    TIMESTAMP,
    UDP,
    A,
    H,
    Heard,
    Option,
    P,
    ip,
)
from tests.foreign.place import Place

pytestmark = [pytest.mark.root, pytest.mark.needs("ip")]

ANCHOR, PEER = ip("2001:db8:1::1"), ip("2001:db8:ee::2")
CONFIGURATION = """
[anchor]
addresses = ["2001:db8:1::1"]
interfaces = ["core0", "peer0"]
roles = ["lma"]
control_socket = "{directory}/control.sock"
state_directory = "{directory}"
minimum_delay_before_bce_delete_ms = 300
maximum_delay_before_new_bce_assign_ms = 300
[anchor.revocation]
initial_delay_seconds = 0.5
[[pool]]
name = "main"
prefix = "2001:db8:100::/48"
[[peer]]
address = "2001:db8:1::11"
global_revocation = true
nodes = ["*@example.org"]
[[peer]]
address = "2001:db8:1::12"
nodes = ["*@example.org", "*@nowhere.example"]
[[profile]]
node = "*@example.org"
pool = "main"
[[profile]]
node = "two@example.org"
pool = "main"
prefixes_per_session = 2
[[profile]]
node = "own@example.org"
pool = "main"
prefixes = ["2001:db8:100:aa::/64", "2001:db8:100:ab::/64"]
[[profile]]
node = "self@example.org"
pool = "main"
proxy_mobility = false
"""
PORTS: dict[str, str | None] = {"core0": "2001:db8:1::1/64", "peer0": "2001:db8:ee::1/64"}

_nodes = itertools.count()


def fresh() -> str:
    """A node that nobody has heard of yet."""
    return f"n{next(_nodes)}@example.org"


class Domain:
    """An anchor between two gateways and a correspondent."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.one = Gateway(place.station("core0", "02:00:00:00:00:11", "2001:db8:1::11"), ANCHOR)
        self.two = Gateway(place.station("core0", "02:00:00:00:00:12", "2001:db8:1::12"), ANCHOR)
        self.peer = place.station("peer0", "02:00:00:00:00:cc", "2001:db8:ee::2")
        place.start()

    def say(self, to: bytes, text: bytes) -> None:
        """The correspondent sends a datagram."""
        self.peer.send(octets.packet(PEER, to, UDP, octets.udp(PEER, to, text)))

    def served(self, gateway: Gateway, of: bytes) -> None:
        """Datagrams go both ways between the correspondent and an address in a prefix."""
        address = of[:8] + bytes(7) + b"\x99"
        self.say(address, b"down")
        inner = gateway.tunnelled(address)
        assert (inner.source, inner.payload[8:]) == (PEER, b"down")
        gateway.talk(address, PEER, b"up")
        assert self.peer.hear(lambda heard: heard.payload.endswith(b"up")).source == address

    def silence(self, gateway: Gateway) -> None:
        """What was sent before this registration is not answered."""
        gateway.update(name(fresh()), ANY, handoff(1), access(), stamp())
        before = gateway.station.hear_all(
            lambda heard: heard.kind == BA and int.from_bytes(heard.body[2:4], "big") == gateway.sequence
        )
        assert [heard for heard in before if heard.kind in (BA, BE, HEARTBEAT, REVOCATION)] == before[-1:]

    def bindings(self) -> set[str]:
        """The nodes that are bound."""
        return {row["node"] for row in self.place.show("bindings")}


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Domain]:
    with Place(tmp_path_factory.mktemp("domain"), "anchor", CONFIGURATION, PORTS) as place:
        yield Domain(place)
        assert "Traceback" not in place.log


def answers(heard: Heard, node: str, how: int, *more: Option) -> None:
    """The acknowledgement has what section 5.3.6 wants, and nothing else."""
    kinds = sorted(kind for kind, _ in heard.options if kind not in (PREFIX,))
    assert kinds == sorted([NAI, HANDOFF, ACCESS, *(kind for kind, _ in more)])
    assert heard.option(NAI) == name(node)[1]
    assert heard.option(HANDOFF) == handoff(how)[1]
    for kind, value in more:
        assert heard.option(kind) == value


# ---- what a Proxy Binding Update may look like ----


def test_a_registration_of_all_options(domain: Domain) -> None:
    node, now, identifier = fresh(), stamp(), link_layer("0200000000aa")
    domain.one.update(name(node), ANY, handoff(1), access(), now, identifier)
    heard = domain.one.acknowledged()
    assert heard.body[0] == 0
    answers(heard, node, 1, now, identifier)
    (given,) = heard.all(PREFIX)
    assert given[:2] == b"\0\x40"
    assert int.from_bytes(heard.body[4:6], "big") == 100
    domain.served(domain.one, given[2:])


@pytest.mark.parametrize("flags", [A | P, A | H | P, A | P | 0x00FF, P])
def test_flags(domain: Domain, flags: int) -> None:
    assert domain.one.register(fresh(), flags=flags).body[0] == 0


UNKNOWN: Option = (200, b"\xff" * 5)
ORDERS: dict[str, list[Option | str]] = {
    "backwards": ["stamp", access(), handoff(1), ANY, "name"],
    "unknown ones between": [
        UNKNOWN,
        "name",
        (201, b""),
        ANY,
        UNKNOWN,
        handoff(1),
        (254, bytes(100)),
        access(),
        "stamp",
        UNKNOWN,
    ],
    "padding between": [
        PAD1,
        "name",
        (1, bytes(20)),
        handoff(1),
        PAD1,
        PAD1,
        access(),
        (1, b""),
        "stamp",
        ANY,
        (1, bytes(250)),
    ],
    "those of Mobile IPv6 too": ["name", (ALTERNATE, ip("2001:db8:1::11")), ANY, handoff(1), access(), "stamp"],
}


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("order", ORDERS)
def test_odd_but_legal_options(domain: Domain, order: str, padding: int) -> None:
    node, now = fresh(), stamp()
    wanted = [name(node) if part == "name" else now if part == "stamp" else part for part in ORDERS[order]]
    domain.one.update(*[part for part in wanted if not isinstance(part, str)], padding=padding, trailer=32)
    heard = domain.one.acknowledged()
    assert heard.body[0] == 0
    answers(heard, node, 1, now)


def test_a_registration_behind_destination_options(domain: Domain) -> None:
    gateway = domain.one
    gateway.sequence += 1
    body = octets.update(gateway.sequence, A | P, 100, name(fresh()), ANY, handoff(1), access(), stamp())
    header = octets.mobility(BU, body, gateway.address, ANCHOR)
    padding = bytes([octets.MOBILITY, 0, 1, 4, 0, 0, 0, 0])
    gateway.station.send(octets.packet(gateway.address, ANCHOR, octets.DESTINATION, padding + header))
    assert gateway.acknowledged().body[0] == 0


@pytest.mark.parametrize("how", [1, 2, 3, 4, 5])
def test_handoff_indicators_of_a_first_registration(domain: Domain, how: int) -> None:
    heard = domain.one.register(fresh(), how=how)
    assert heard.body[0] == 0
    assert heard.option(HANDOFF) == handoff(how)[1]


MISSING = {160: 0, 158: 1, 161: 2, 162: 3}


@pytest.mark.parametrize("status", MISSING)
def test_an_option_is_missing(domain: Domain, status: int) -> None:
    """Section 5.3.1; the answer has all of section 5.3.6 nevertheless."""
    node = fresh()
    wanted = [name(node), ANY, handoff(3), access(), stamp()]
    del wanted[MISSING[status]]
    domain.one.update(*wanted)
    heard = domain.one.acknowledged()
    assert heard.body[0] == status
    assert len(heard.option(NAI) or b"") <= 1 if status == 160 else heard.option(NAI) == name(node)[1]
    assert heard.all(PREFIX) == [ANY[1]]
    assert heard.option(HANDOFF) == (b"\0\0" if status == 161 else handoff(3)[1])
    assert heard.option(ACCESS) == (b"\0\0" if status == 162 else access()[1])
    assert heard.option(TIMESTAMP)


def test_refusals(domain: Domain) -> None:
    assert domain.one.register("self@example.org").body[0] == 152
    assert domain.two.register("x@nowhere.example").body[0] == 153
    assert domain.one.register("x@nowhere.example").body[0] == 154
    heard = domain.one.register(fresh(), prefixes=(prefix(ip("2001:db8:100:99::")), prefix(ip("2001:db8:100:98::"))))
    assert heard.body[0] == 155
    assert [value[2:] for value in heard.all(PREFIX)] == [ip("2001:db8:100:99::"), ip("2001:db8:100:98::")]
    assert int.from_bytes(heard.body[4:6], "big") == 0


def test_a_wrong_checksum(domain: Domain) -> None:
    body = octets.update(1, A | P, 100, name(fresh()), ANY, handoff(1), access(), stamp())
    domain.one.say(BU, body, wrong=0x0100)
    domain.silence(domain.one)


# ---- order ----


def test_timestamps(domain: Domain) -> None:
    """Section 5.5."""
    node, gateway = fresh(), domain.one
    first = stamp()
    gateway.update(name(node), ANY, handoff(1), access(), first)
    assert gateway.acknowledged().option(TIMESTAMP) == first[1]
    gateway.update(name(node), ANY, handoff(5), access(), (TIMESTAMP, struct.pack("!Q", int.from_bytes(first[1], "big") - 1)))
    assert gateway.acknowledged().body[0] == 157
    gateway.update(name(node), ANY, handoff(5), access(), stamp(time.time() + 30))
    heard = gateway.acknowledged()
    assert heard.body[0] == 156
    theirs = int.from_bytes(heard.option(TIMESTAMP) or b"", "big") / 65536
    assert abs(theirs - time.time()) < 2
    gateway.update(name(node), ANY, handoff(5), access(), stamp())
    assert gateway.acknowledged().body[0] == 0


def test_sequence_numbers(tmp_path: Path) -> None:
    """Section 5.5, without timestamps."""
    text = CONFIGURATION.replace("[anchor]", "[anchor]\ntimestamp_based_approach = false")
    with Place(tmp_path, "anchor", text, PORTS) as place:
        domain = Domain(place)
        node, gateway = fresh(), domain.one

        def ask(sequence: int, *prefixes: Option, how: int, who: Gateway = gateway) -> Heard:
            who.sequence = sequence - 1 & 0xFFFF
            who.update(name(node), *prefixes, handoff(how), access())
            return who.station.hear(lambda heard: heard.kind == BA)

        heard = ask(65535, ANY, how=1)
        assert heard.body[0] == 0
        answers(heard, node, 1)
        given = PREFIX, heard.all(PREFIX)[0]
        assert ask(0, given, how=5).body[0] == 0
        for wrong in (0, 65535, 32768):
            heard = ask(wrong, given, how=5)
            assert (heard.body[0], heard.body[2:4]) == (135, bytes(2))
        assert ask(1, given, how=3, who=domain.two).body[0] == 0
        domain.served(domain.two, given[1][2:])


# ---- sessions ----


def test_several_prefixes(domain: Domain) -> None:
    heard = domain.one.register("two@example.org")
    given = [value[2:] for value in heard.all(PREFIX)]
    assert len(set(given)) == 2
    for address in given:
        domain.served(domain.one, address)
    options = tuple(prefix(address) for address in reversed(given))
    heard = domain.two.register("two@example.org", how=3, prefixes=options)
    assert (heard.body[0], {value[2:] for value in heard.all(PREFIX)}) == (0, set(given))
    for address in given:
        domain.served(domain.two, address)
    heard = domain.two.register("two@example.org", how=5, prefixes=options[:1])
    assert heard.body[0] == 159
    heard = domain.two.register("two@example.org", how=4, prefixes=options, lifetime=0)
    assert heard.body[0] == 0


def test_prefixes_of_the_node_itself(domain: Domain) -> None:
    heard = domain.one.register("own@example.org", prefixes=(prefix(ip("2001:db8:100:aa::")), prefix(ip("2001:db8:100:ab::"))))
    assert heard.body[0] == 0
    assert {value[2:] for value in heard.all(PREFIX)} == {ip("2001:db8:100:aa::"), ip("2001:db8:100:ab::")}


def test_a_handover_and_a_deregistration_that_comes_late(domain: Domain) -> None:
    """Sections 5.3.4 and 5.3.5: the old gateway's is ignored, the new one's ends the session after a while."""
    node = fresh()
    given = domain.one.attached(node, link_layer("020000000001"))
    domain.served(domain.one, given)
    assert domain.two.attached(node, link_layer("020000000001"), how=3) == given
    domain.served(domain.two, given)
    domain.one.update(name(node), prefix(given), handoff(4), access(), stamp(), lifetime=0)
    domain.silence(domain.one)
    domain.served(domain.two, given)
    heard = domain.two.register(node, how=4, prefixes=(prefix(given),), lifetime=0)
    assert (heard.body[0], heard.body[4:6]) == (0, bytes(2))
    domain.place.until(lambda: node not in domain.bindings(), "the end of the session")


def test_a_node_that_comes_back_in_time(domain: Domain) -> None:
    node = fresh()
    given = domain.one.attached(node)
    assert domain.one.register(node, how=4, prefixes=(prefix(given),), lifetime=0).body[0] == 0
    assert domain.two.attached(node, how=3) == given
    domain.served(domain.two, given)


def test_what_was_never_registered_cannot_end(domain: Domain) -> None:
    """Section 5.4.1: silently ignored."""
    domain.one.update(name(fresh()), ANY, handoff(4), access(), stamp(), lifetime=0)
    domain.silence(domain.one)


def test_link_local_addresses(domain: Domain) -> None:
    """Section 5.3.6."""
    node = fresh()
    heard = domain.one.register(node, (LINK_LOCAL, bytes(16)))
    made = heard.option(LINK_LOCAL)
    assert made is not None
    assert made[:8] == ip("fe80::")[:8]
    assert any(made[8:])
    assert domain.two.register(node, (LINK_LOCAL, bytes(16)), how=3).option(LINK_LOCAL) == made
    wanted = ip("fe80::1234")
    assert domain.two.register(node, (LINK_LOCAL, wanted), how=5).option(LINK_LOCAL) == wanted


# ---- heartbeats and revocation ----


def test_heartbeats(domain: Domain) -> None:
    """RFC 5847 section 3.3: the response has the sequence number, R, and the restart counter."""
    heard = domain.one.heartbeat(0x01020304)
    assert (heard.body[1] & 3, heard.body[2:6]) == (1, b"\1\2\3\4")
    assert len(heard.option(RESTART) or b"") == 4


def test_a_gateway_that_has_restarted_serves_nobody(domain: Domain) -> None:
    """RFC 5847 section 3.2: its other restart counter says so."""
    node = fresh()
    domain.two.attached(node)
    for counter in (5, 6):
        domain.two.say(HEARTBEAT, struct.pack("!HI", 3, 0) + octets.options(12, (RESTART, struct.pack("!I", counter))))
    domain.place.until(lambda: node not in domain.bindings(), "the end of the session")


def test_the_anchor_revokes(domain: Domain) -> None:
    """RFC 5846 sections 8.1 and 9.1: asked again when unanswered."""
    node = fresh()
    given = domain.one.attached(node)
    domain.place.ask(request="revoke", node=node)
    for _ in range(2):
        heard = domain.one.revocation()
        assert heard.body[0] == BRI
        assert heard.body[4] & 0x80
        assert heard.option(NAI) == name(node)[1]
        assert [value[2:] for value in heard.all(PREFIX)] in ([given], [])
    body = struct.pack("!BBHHH", BRA, 0, int.from_bytes(heard.body[2:4], "big"), 0x8000, 0)
    domain.one.say(REVOCATION, body + octets.options(12, name(node), prefix(given)))
    domain.place.until(lambda: node not in domain.bindings(), "the end of the session")


def test_a_gateway_revokes_all_it_has(domain: Domain) -> None:
    """RFC 5846 sections 9.2 and 8.2."""
    node, other = fresh(), fresh()
    domain.one.attached(node)
    domain.two.attached(other)
    body = struct.pack("!BBHHH", BRI, 128, 77, 0xA000, 0)
    domain.two.say(REVOCATION, body + octets.options(12, name("two.mag")))
    heard = domain.two.revocation()
    assert (heard.body[0], heard.body[2:4]) == (BRA, b"\0\x4d")
    assert heard.body[1] >= 128
    assert {node, other} <= domain.bindings()
    domain.one.say(REVOCATION, body + octets.options(12, name("one.mag")))
    heard = domain.one.revocation()
    assert (heard.body[0], heard.body[1], heard.body[2:4]) == (BRA, 0, b"\0\x4d")
    assert heard.body[4] & 0xA0 == 0xA0
    domain.place.until(lambda: node not in domain.bindings(), "the end of the session")
    assert other in domain.bindings()
