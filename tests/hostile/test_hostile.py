# SPDX-License-Identifier: Apache-2.0
"""An anchor and a gateway under attack, as real processes: bad input is counted by cause, answered as the RFC says or not
at all, leaves no state, and harms nobody else.

Always holds: each test leaves the honest host served; nothing is asserted about how long anything takes.
"""

from __future__ import annotations

import json
import random
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from halma.lab.processes import inside
from halma.wire import Message, encode
from halma.wire.checksum import checksum
from halma.wire.icmpv6 import encode_icmpv6
from halma.wire.messages import (
    BindingAcknowledgement,
    BindingError,
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
    BindingUpdate,
    Heartbeat,
)
from halma.wire.nd import RouterSolicitation
from halma.wire.options import (
    AlternateCareOfAddress,
    HandoffIndicator,
    HomeNetworkPrefix,
    MobileNodeIdentifier,
    RestartCounter,
    Timestamp,
)
from tests.fuzz.mutate import mutate
from tests.hostile.hostile_world import (
    ANCHOR,
    GATEWAY,
    HOST_PREFIX,
    LISTED,
    MOBILITY,
    OTHER_LISTED,
    STRANGER,
    World,
    octets,
    packet,
    update,
)
from tests.wire.samples import MESSAGES, OPTIONS

pytestmark = [pytest.mark.root, pytest.mark.requirement("ANC-7", "ANC-8")]

MEMORY = 6 << 20
"""Octets by which a process may grow in a flood that it has seen the like of before."""
LINES = 150
"""Lines of log that a flood may cause: 100 at once, 5 a second, and some that are always written."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("hostile")) as made:
        made.start("anchor", "gateway")
        made.attach_host()
        assert made.host_is_served()
        yield made


@pytest.fixture(autouse=True)
def unharmed(world: World) -> Iterator[None]:
    """After each test both daemons run, have met no bug, and serve."""
    yield
    assert world.host_is_served()
    for role in ("anchor", "gateway"):
        assert world.daemons[role].running
        assert "Traceback" not in world.log(role)
        assert world.counters(role)["engine_faults"] == 0
        assert all(letter == "\n" or letter.isprintable() for letter in world.log(role)), "escapes are printed raw"


def counted(world: World, message: Message | bytes, source: bytes = LISTED) -> tuple[Message | None, dict[str, int]]:
    """The answer to a message, and which counters of the anchor it has moved."""
    before = world.counters("anchor")
    answer = world.answer(source, message)
    after = world.counters("anchor")
    return answer, {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}


BEYOND = {
    "a stranger": (STRANGER, update(b"a@honest.example"), 154),
    "a node of another gateway": (LISTED, update(b"a@other.example"), 154),
    "the host of another gateway": (LISTED, update(b"host1@example.org"), 154),
    "its de-registration": (LISTED, update(b"host1@example.org", lifetime=0), 154),
    "the prefix of another node": (LISTED, update(b"b@honest.example", prefixes=(HomeNetworkPrefix(64, HOST_PREFIX),)), 155),
    "a prefix from elsewhere": (
        LISTED,
        update(b"b@honest.example", prefixes=(HomeNetworkPrefix(64, octets("2001:db9::")),)),
        155,
    ),
    "a shorter prefix": (LISTED, update(b"b@honest.example", prefixes=(HomeNetworkPrefix(40, octets("2001:db8:100::")),)), 155),
    "a prefix unasked": (
        OTHER_LISTED,
        update(b"b@other.example", prefixes=(HomeNetworkPrefix(64, octets("2001:db8:100:9::")),)),
        155,
    ),
    **{
        f"packets to {there}": (LISTED, update(b"b@honest.example", AlternateCareOfAddress(octets(there))), 154)
        for there in ("2001:db8:77:1::1", "2001:db8:2::1", "2001:db8:1::1", "ff02::1", "::", "::1", "fe80::1")
    },
}


@pytest.mark.parametrize("what", BEYOND)
def test_who_goes_beyond_its_rights_is_refused(world: World, what: str) -> None:
    source, message, status = BEYOND[what]
    bindings = world.show("anchor", "bindings")
    now = update(b"-").options[-1]
    options = tuple(now if isinstance(option, Timestamp) else option for option in message.options)
    assert world.status(source, BindingUpdate(message.sequence, message.flags, message.lifetime, options)) == status
    assert {row["node"] for row in world.show("anchor", "bindings")} == {row["node"] for row in bindings}


def _raw(change: dict[int, int], *, length: int | None = None, right: bool = True) -> bytes:
    """A good update with octets changed, its checksum made right or left."""
    data = bytearray(encode(update(b"raw@honest.example"), LISTED, ANCHOR))[:length]
    for place, octet in change.items():
        data[place] = octet
    if right:
        data[4:6] = bytes(2)
        data[4:6] = checksum(LISTED, ANCHOR, bytes(data[: (data[1] + 1) * 8]), MOBILITY).to_bytes(2, "big")
    return bytes(data)


MALFORMED = {
    "cut short": (_raw({}, length=40, right=False), "malformed_truncated"),
    "almost nothing": (b"\x3b", "malformed_truncated"),
    "checksum": (_raw({4: 1, 5: 1}, right=False), "malformed_checksum"),
    "payload proto": (_raw({0: 6}), "malformed_payload_proto"),
    "a length that is too long": (_raw({1: 200}), "malformed_truncated"),
    "a length that is too short": (_raw({1: 0}), "malformed_header_length"),
    "an option beyond the end": (_raw({13: 250}), "malformed_option_overrun"),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_what_is_malformed_is_counted_by_cause(world: World, what: str) -> None:
    data, counter = MALFORMED[what]
    answer, moved = counted(world, data)
    assert answer is None
    assert moved.pop(counter) == 1
    assert {name for name in moved if name.startswith(("malformed", "proxy", "refused", "bindings"))} == set()


def test_an_unknown_type_is_answered_with_a_binding_error(world: World) -> None:
    answer, moved = counted(world, _raw({2: 77}))
    assert answer == BindingError(2, bytes(16), ())
    assert moved["unknown_message_type"] == 1


def test_a_replay_and_a_late_message_are_refused(world: World) -> None:
    message = update(b"replayed@honest.example")
    assert world.status(LISTED, message) == 0
    assert world.status(LISTED, message) == 156
    assert world.status(LISTED, update(b"replayed@honest.example", when=1.7e9)) == 157
    assert world.status(LISTED, update(b"late@honest.example", when=1.7e9)) == 156
    assert world.status(OTHER_LISTED, message) == 154


def test_an_option_twice_is_refused_and_reserved_bits_are_ignored(world: World) -> None:
    assert world.status(LISTED, update(b"twice@honest.example", HandoffIndicator(2))) == 128
    message = update(b"reserved@honest.example")
    assert world.status(LISTED, BindingUpdate(1, 0x821F, 100, message.options)) == 0


def test_a_lifetime_without_end_is_cut(world: World) -> None:
    answer = world.answer(LISTED, update(b"long@honest.example", lifetime=65535))
    assert isinstance(answer, BindingAcknowledgement)
    assert (answer.status, answer.lifetime) == (0, 900)


def test_names_with_escapes_are_shown_harmless(world: World) -> None:
    """The log is looked at after each test; this looks at what `halma show` gets."""
    name = b"\x1b[31m\x00\r\n\xff\xc2\x9b" + b"A" * 220 + b"@honest.example"
    assert world.status(LISTED, update(name)) == 0
    assert world.status(OTHER_LISTED, update(b"\x1b]0;owned\x07@elsewhere")) == 154
    for what in ("bindings", "events"):
        text = "".join(str(value) for row in world.show("anchor", what) for value in row.values())
        assert "1b[31m" in text
        assert text.isprintable()


@pytest.mark.parametrize(
    "message",
    [
        BindingRevocationIndication(128, 5, 0xA000, ()),
        BindingRevocationIndication(1, 5, 0x8000, (MobileNodeIdentifier(1, b"host1@example.org"),)),
        BindingRevocationAcknowledgement(0, 1, 0x8000, ()),
        Heartbeat(0, 7, ()),
        Heartbeat(3, 7, (RestartCounter(99),)),
        BindingAcknowledgement(0, 0x20, 1, 100, ()),
    ],
    ids=lambda message: type(message).__name__,
)
def test_strangers_are_not_answered(world: World, message: Message) -> None:
    answer, moved = counted(world, message, STRANGER)
    assert answer is None
    assert set(moved) & {"unexpected_message", "revocation_acknowledgements_unmatched"}
    assert not set(moved) & {"messages_sent", "bindings"}


def test_what_an_anchor_says_is_taken_from_anchors_alone(world: World) -> None:
    """The gateway's session stays, whoever revokes, refuses or restarts."""
    for message in (
        BindingRevocationIndication(1, 5, 0x8000, (MobileNodeIdentifier(1, b"host1@example.org"),)),
        BindingRevocationIndication(128, 6, 0xA000, ()),
        BindingAcknowledgement(154, 0x20, 0, 0, (MobileNodeIdentifier(1, b"host1@example.org"),)),
        Heartbeat(3, 0, (RestartCounter(99),)),
        BindingError(2, bytes(16), ()),
    ):
        world.send(STRANGER, GATEWAY, message)
    world.settle("gateway")
    (session,) = world.show("gateway", "sessions")
    assert session["state"] == "registered"
    assert world.counters("gateway")["bri_from_stranger"] == 2


def _mutations(chance: random.Random, sources: list[bytes], destination: bytes, count: int) -> list[bytes]:
    good = [encode(message, LISTED, ANCHOR) for message in MESSAGES]
    good += [
        encode(update(b"flood%d@honest.example" % number, option), LISTED, ANCHOR) for number, option in enumerate(OPTIONS)
    ]
    packets = []
    for _ in range(count):
        source, data = chance.choice(sources), mutate(bytearray(chance.choice(good)), chance)
        if len(data) >= 8 and chance.randrange(8):
            data.extend(bytes(-len(data) % 8))
            del data[1024:]
            data[1] = len(data) // 8 - 1
            data[4:6] = bytes(2)
            data[4:6] = checksum(source, destination, bytes(data), MOBILITY).to_bytes(2, "big")
        packets.append(packet(source, destination, MOBILITY, bytes(data)))
    return packets


@pytest.mark.parametrize("role", ["anchor", "gateway"])
def test_a_flood_costs_neither_memory_nor_log(world: World, role: str) -> None:
    chance = random.Random(7)
    destination = ANCHOR if role == "anchor" else GATEWAY
    sources = [LISTED, *(octets("2001:db8:66::")[:8] + chance.randbytes(8) for _ in range(3000))]
    packets = _mutations(chance, sources, destination, 4000)
    world.flood(role, destination, packets, 1)
    memory, lines, before = world.memory(role), world.log(role).count("\n"), world.counters(role)
    world.flood(role, destination, packets, 4)
    after = world.counters(role)
    assert after["messages_received"] - before["messages_received"] == 16000
    assert world.memory(role) - memory < MEMORY
    assert world.log(role).count("\n") - lines < LINES
    assert after["messages_sent"] - before["messages_sent"] < 1000
    assert after["malformed_option_overrun"] > before["malformed_option_overrun"]


def test_frames_of_strangers_on_an_access_link_change_nothing(world: World) -> None:
    chance = random.Random(8)
    source, group = octets("fe80::1"), octets("ff02::2")
    solicitation = encode_icmpv6(RouterSolicitation(()), source, group)
    broken = solicitation[:2] + bytes([solicitation[2] ^ 1]) + solicitation[3:]
    before = world.counters("gateway")
    with inside(world.names["attacker"]), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
        link.bind(("n0", 0))
        for number in range(3000):
            sender = b"\x02" + chance.randbytes(5)
            body = packet(source, group, 58, broken if number % 3 == 0 else solicitation)
            link.send(b"\x33\x33\x00\x00\x00\x02" + sender + b"\x86\xdd" + body[:7] + b"\xff" + body[8:])
    world.until(lambda: world.counters("gateway")["frames_malformed"] > before["frames_malformed"], "malformed frames")
    world.until(lambda: world.counters("gateway")["heard_unknown"] > before.get("heard_unknown", 0), "unknown senders")
    assert len(world.show("gateway", "sessions")) == 1


def test_a_tunnel_takes_packets_of_its_ends_alone(world: World) -> None:
    host, far = octets(world.host_address()), octets("2001:db8:66::9")
    before = {role: world.counters(role) for role in ("anchor", "gateway")}
    for source, destination, inner in ((LISTED, ANCHOR, (host, far)), (LISTED, GATEWAY, (far, host))):
        world.send(source, destination, packet(*inner, 17, bytes(8)), 41)
    for destination, source in ((ANCHOR, GATEWAY), (GATEWAY, ANCHOR)):
        world.send(source, destination, packet(host, far, 17, b"")[:20], 41)

    def all_counted() -> bool:
        after = {role: world.counters(role) for role in before}
        names = ("dropped_wrong_outer_source", "dropped_malformed")
        return all(after[role][name] == before[role][name] + 1 for role in before for name in names)

    world.until(all_counted, "the packets to be counted")


@pytest.mark.parametrize("role", ["anchor", "gateway"])
def test_garbage_on_the_control_socket_is_refused(world: World, role: str) -> None:
    for garbage in (b"\n", b"null\n", b"\xff\x00\n", b"[" * 9000 + b"\n", b"x" * 200_000 + b"\n", b'{"request":"x"}\n'):
        (reply,) = world.ask(role, garbage)
        assert reply["error"]


@pytest.mark.parametrize("role", ["anchor", "gateway"])
def test_a_broken_file_and_a_second_daemon_change_nothing(world: World, role: str) -> None:
    text = world.file(role).read_text()
    world.file(role).write_text("[[[nonsense\x1b[31m")
    world.daemons[role].handle.send_signal(signal.SIGHUP)
    world.until(lambda: "is not TOML" in world.log(role), "the mistake to be told")
    world.file(role).write_text(text)
    world.counters(role)  # a turn of its loop: it writes its state down
    state = (world.directory / f"{role}-state" / f"{role}.json").read_text()
    second = world.spawn(role)
    assert second.handle.wait(10) == 1
    assert f"{role}.sock" in world.log(role).splitlines()[-1]
    assert json.loads(state)["restart_counter"] == 1
    after = (world.directory / f"{role}-state" / f"{role}.json").read_text()
    assert json.loads(after)["restart_counter"] == 1, "the second has counted a restart"


def test_who_is_killed_comes_back_and_leaves_nothing_at_its_end(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        before = {role: world.kernel(role) for role in ("anchor", "gateway")}
        world.start("anchor", "gateway")
        world.attach_host()
        world.daemons["anchor"].handle.send_signal(signal.SIGHUP)  # it writes its peers down, which it does now and then
        world.until(lambda: "20010db8" in (tmp_path / "anchor-state" / "anchor.json").read_text(), "the peers to be remembered")
        for role in ("anchor", "gateway"):
            world.daemons[role].handle.kill()
            world.daemons[role].handle.wait()
            world.start(role)
            world.until(world.host_is_served, f"service after the {role} was killed")
        for role in ("gateway", "anchor"):
            world.daemons[role].handle.terminate()
            assert world.daemons[role].handle.wait(10) == 0
            assert world.kernel(role) == before[role]
            assert not (tmp_path / f"{role}.sock").exists()
