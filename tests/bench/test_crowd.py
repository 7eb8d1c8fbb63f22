# SPDX-License-Identifier: Apache-2.0
"""What crowds of mobile nodes send, and which answers they take."""

from __future__ import annotations

import pytest

from halma.bench.crowd import CREATE, HANDOVER, LEAVE, REFRESH, UNANSWERABLE, identifier
from halma.bench.home_crowd import SECRET, SPI, HomeCrowd, home_address, home_prefix
from halma.bench.proxy_crowd import ProxyCrowd
from halma.bench.volley import STRIDE, Answer
from halma.daemon.courier import Courier, Side
from halma.engine.api import Association, Assurance, MessageReceived
from halma.engine.home_request import HomeRequest, answer
from halma.engine.sequence import is_newer
from halma.security.authentication import AuthenticationGuardian, Key
from halma.wire.messages import BindingUpdate
from halma.wire.numbers import Status

ANCHOR = bytes.fromhex("20010db8000100000000000000000001")
NETWORKS = tuple(bytes.fromhex(f"20010db8e000000{number}") + bytes(8) for number in range(2))
GATEWAY = bytes(15) + b"\x01"
NOW = 1_700_000_000.0


class Packets:
    """A socket that brings what it is told, and keeps what is sent."""

    def __init__(self) -> None:
        self.waiting: list[bytes] = []

    def receive(self) -> list[bytes]:
        waiting, self.waiting = self.waiting, []
        return waiting


class Agent:
    """A home agent's ears and mouth, with the same keys as the crowd or another."""

    def __init__(self, nodes: int, secret: str = SECRET) -> None:
        associations = [Association(node, identifier(node), home_prefix=home_prefix(node)) for node in range(nodes)]
        guardian = AuthenticationGuardian(Key(each, SPI, "hmac-sha1", bytes.fromhex(secret)) for each in associations)
        self._packets = Packets()
        self._courier = Courier(Side.AGENT, self._packets, guardian)  # type: ignore[arg-type]

    def hear(self, packet: bytes) -> MessageReceived:
        """What an update is for the engine."""
        self._packets.waiting.append(packet)
        (event,) = self._courier.receive()
        assert isinstance(event, MessageReceived)
        return event

    def answer(self, packet: bytes, status: int = Status.ACCEPTED) -> bytes:
        """The acknowledgement as the generator gets it."""
        event = self.hear(packet)
        assert isinstance(event.message, BindingUpdate)
        return self._courier.packet(answer(HomeRequest(event, event.message), status))[2].ljust(STRIDE, b"\0")


def test_a_node_of_mobile_ipv6_signs_its_updates_and_moves_to_another_care_of_address() -> None:
    crowd, agent = HomeCrowd(2, NETWORKS), Agent(2)
    places = []
    sequence = -1
    for phase in (CREATE, REFRESH, HANDOVER, LEAVE):
        updates = crowd.updates(phase, range(2), NOW, ANCHOR, echo=False)
        event = agent.hear(updates.messages[1])
        assert event.protection.assurance is Assurance.VALID
        assert event.home_address == home_address(1)
        assert isinstance(event.message, BindingUpdate)
        request = HomeRequest(event, event.message)
        assert request.care_of_address == event.source
        assert request.deregisters is (phase == LEAVE)
        assert request.sequence == (updates.sequence + 1) & 0xFFFF
        assert sequence < 0 or is_newer(request.sequence, sequence)
        sequence = request.sequence
        places.append(event.source[:8])
        answers = [Answer(index, agent.answer(message), 0.0) for index, message in enumerate(updates.messages)]
        assert crowd.take(phase, range(2), ANCHOR, answers) == {0: 2}
    first, second = (network[:8] for network in NETWORKS)
    assert places == [second, second, first, first]


def test_only_an_authentic_answer_to_the_right_node_counts() -> None:
    crowd, agent = HomeCrowd(2, NETWORKS), Agent(2)
    updates = crowd.updates(CREATE, range(2), NOW, ANCHOR, echo=False)
    right = agent.answer(updates.messages[0])
    forged = bytes((octet ^ (index == 90) for index, octet in enumerate(right)))
    other = agent.answer(updates.messages[1])
    unsigned = Agent(2, SECRET[::-1]).answer(updates.messages[0])
    refused = agent.answer(updates.messages[0], Status.ADMINISTRATIVELY_PROHIBITED)
    wrong = (b"", right[:60], forged, other, unsigned, updates.messages[0])
    answers = [Answer(0, octets, 0.0) for octets in (*wrong, refused, right)]
    expected = {UNANSWERABLE: len(wrong), Status.ADMINISTRATIVELY_PROHIBITED: 1, 0: 1}
    assert crowd.take(CREATE, range(2), ANCHOR, answers) == expected


def test_an_old_timestamp_does_not_count() -> None:
    crowd, agent = HomeCrowd(1, NETWORKS), Agent(1)
    old = agent.answer(crowd.updates(CREATE, range(1), NOW, ANCHOR, echo=False).messages[0])
    crowd.updates(CREATE, range(1), NOW + 1, ANCHOR, echo=False)
    assert crowd.take(CREATE, range(1), ANCHOR, [Answer(0, old, 0.0)]) == {UNANSWERABLE: 1}


def test_an_echo_gives_the_message_back_behind_another_header() -> None:
    crowd = HomeCrowd(1, NETWORKS)
    updates = crowd.updates(CREATE, range(1), NOW, ANCHOR, echo=True)
    message = updates.messages[0]
    back = message[:8] + message[24:40] + message[8:24] + message[40:]
    changed = back[:-1] + bytes((back[-1] ^ 1,))
    assert crowd.take_echo(updates, [Answer(0, back, 0.0), Answer(0, changed, 0.0)]) == {0: 1, UNANSWERABLE: 1}


def test_nodes_of_mobile_ipv6_have_to_follow_one_another() -> None:
    with pytest.raises(ValueError, match="follow one another"):
        HomeCrowd(4, NETWORKS).updates(CREATE, range(0, 4, 2), NOW, ANCHOR, echo=False)


def test_an_answer_to_a_gateway_that_is_none_is_not_an_acceptance() -> None:
    """Octets that do not decode, and the update itself, are counted apart from every status."""
    crowd = ProxyCrowd(1, [GATEWAY])
    updates = crowd.updates(CREATE, range(1), NOW, GATEWAY, echo=False)
    wrong = [Answer(0, b"nonsense", 0.0), Answer(0, updates.messages[0], 0.0)]
    assert crowd.take(CREATE, range(1), GATEWAY, wrong) == {UNANSWERABLE: 2}
