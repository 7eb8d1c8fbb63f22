# SPDX-License-Identifier: Apache-2.0
"""The runner, with an engine that says what it is told to, on real sockets over loopback."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from halma.daemon.log import Log, Style
from halma.daemon.runner import Runner
from halma.engine.api import (
    Answer,
    Bind,
    ForwardingDone,
    MalformedReceived,
    MessageReceived,
    Now,
    Send,
    SendParameterProblem,
    Tunnel,
)
from halma.forwarding.memory import MemoryPlane
from halma.forwarding.plane import PlaneSettings, Side
from halma.netio.mobility import MobilitySocket
from halma.wire import encode
from halma.wire.icmpv6 import ParameterProblem, decode_icmpv6
from halma.wire.messages import Heartbeat

pytestmark = pytest.mark.root

LOOPBACK = bytes(15) + b"\x01"
PREFIX = bytes.fromhex("20010db8010000010000000000000000")
ICMP6_FILTER = 1
PARAMETER_PROBLEM_ONLY = b"\xef" + b"\xff" * 31


class Script:
    """An engine: `react` maps an event to effects; every event is kept."""

    def __init__(self, react: Callable[[Any], list[Any]]) -> None:
        self.react = react
        self.events: list[Any] = []
        self.deadline: float | None = None

    def handle(self, event: Any, now: Now) -> list[Any]:
        self.events.append(event)
        return self.react(event)

    def handle_timeout(self, now: Now) -> list[Any]:
        self.deadline = None
        return self.handle(now, now)

    def next_deadline(self) -> float | None:
        return self.deadline

    def describe_counters(self) -> dict[str, int]:
        return {}


class House:
    """A runner with a memory plane, its log, and a peer on the other end of loopback."""

    def __init__(self, react: Callable[[Any], list[Any]], handlers: dict[type, Any] | None = None) -> None:
        self.engine = Script(react)
        self.plane = MemoryPlane(PlaneSettings(Side.ANCHOR, (LOOPBACK,), ()))
        self.lines: list[str] = []
        self.runner = Runner(self.engine, self.plane, Log(self.lines.append, Style.TEXT), handlers)
        self.peer = MobilitySocket()

    def live(self, story: Callable[[], Awaitable[None]]) -> None:
        async def life() -> None:
            self.runner.start()
            async with asyncio.timeout(5):
                await story()

        try:
            asyncio.run(life())
        finally:
            self.runner.close()
            self.peer.close()

    async def until(self, count: int) -> None:
        while len(self.engine.events) < count:
            await asyncio.sleep(0)


@pytest.fixture
def problems() -> Iterator[socket.socket]:
    """A socket that hears Parameter Problems."""
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as icmp:
        icmp.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER, PARAMETER_PROBLEM_ONLY)
        icmp.settimeout(5)
        yield icmp


def heartbeat(sequence: int) -> bytes:
    return encode(Heartbeat(0, sequence, ()), LOOPBACK, LOOPBACK)


def test_messages_reach_the_engine_in_order_with_both_addresses() -> None:
    house = House(lambda _: [])

    async def story() -> None:
        house.peer.send([(LOOPBACK, LOOPBACK, heartbeat(i)) for i in range(200)])
        await house.until(200)

    house.live(story)
    assert house.engine.events[:200] == [MessageReceived(LOOPBACK, LOOPBACK, Heartbeat(0, i, ())) for i in range(200)]


def test_a_message_that_does_not_decode_is_an_event_with_its_reason() -> None:
    house = House(lambda _: [])
    broken = bytearray(heartbeat(1))
    broken[4] ^= 0xFF

    async def story() -> None:
        house.peer.send([(LOOPBACK, LOOPBACK, bytes(broken))])
        await house.until(1)

    house.live(story)
    event = house.engine.events[0]
    assert isinstance(event, MalformedReceived)
    assert (event.error.reason, event.data) == ("checksum", bytes(broken))


@pytest.mark.requirement("ANC-8")
def test_the_engine_hears_from_the_data_plane_before_anything_is_sent() -> None:
    answer = Send(LOOPBACK, LOOPBACK, Heartbeat(1, 7, ()))

    def react(event: Any) -> list[Any]:
        if isinstance(event, MessageReceived) and event.message == Heartbeat(0, 1, ()):
            return [Bind(5, PREFIX, 64, Tunnel(LOOPBACK, LOOPBACK))]
        return [answer] if isinstance(event, ForwardingDone) else []

    house = House(react)

    async def story() -> None:
        house.peer.send([(LOOPBACK, LOOPBACK, heartbeat(1))])
        await house.until(3)

    house.live(story)
    assert house.engine.events[1:] == [ForwardingDone(5, 0), MessageReceived(LOOPBACK, LOOPBACK, answer.message)]
    assert list(house.plane.bindings()) == [(PREFIX, 64, Tunnel(LOOPBACK, LOOPBACK))]


def test_a_data_plane_that_raises_has_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine waits for an answer to each change: it gets one, and nothing else of the batch is lost."""

    def react(event: Any) -> list[Any]:
        return [Bind(5, PREFIX, 64, None), Bind(6, PREFIX, 64, None)] if isinstance(event, MessageReceived) else []

    def broken(changes: object) -> list[int]:
        raise ZeroDivisionError("a bug")

    house = House(react)
    monkeypatch.setattr(house.plane, "apply", broken)

    async def story() -> None:
        house.peer.send([(LOOPBACK, LOOPBACK, heartbeat(1))])
        await house.until(3)

    house.live(story)
    assert house.engine.events[1:] == [ForwardingDone(5, errno.EIO), ForwardingDone(6, errno.EIO)]
    assert house.runner.counters["engine_faults"] == 1


def test_a_bug_in_the_engine_ends_with_its_event() -> None:
    def react(event: Any) -> list[Any]:
        if event.message.sequence == 1:
            raise ZeroDivisionError("a bug")
        return []

    house = House(react)

    async def story() -> None:
        house.peer.send([(LOOPBACK, LOOPBACK, heartbeat(i)) for i in (1, 2)])
        await house.until(2)

    house.live(story)
    assert house.runner.counters["engine_faults"] == 1
    assert any("ZeroDivisionError" in line for line in house.lines)


def test_an_effect_that_nobody_carries_out_does_not_stop_the_others() -> None:
    done: list[str] = []

    def carry_out(effect: str) -> list[str]:
        done.append(effect)
        return ["done"]

    house = House(lambda event: [3.5, "do it"] if event == "go" else [], {str: carry_out})

    async def story() -> None:
        house.runner.post("go")

    house.live(story)
    assert (done, house.engine.events) == (["do it"], ["go", "done"])
    assert house.runner.counters["engine_faults"] == 1


def test_who_asks_gets_the_answer_with_his_op() -> None:
    house = House(lambda event: [Answer(event, {"op": event})])
    answers: list[dict[str, object]] = []

    async def story() -> None:
        answers.extend(await asyncio.gather(*(house.runner.ask(lambda op: op) for _ in range(3))))

    house.live(story)
    assert answers == [{"op": op} for op in house.engine.events]
    assert len(set(house.engine.events)) == 3


def test_the_engine_is_called_when_its_deadline_comes() -> None:
    house = House(lambda _: [])
    house.engine.deadline = Runner.now().monotonic

    async def story() -> None:
        await house.until(1)

    house.live(story)
    assert isinstance(house.engine.events[0], Now)


@pytest.mark.rfc("5213#5.3.1-2")
def test_a_parameter_problem_points_into_the_packet(problems: socket.socket) -> None:
    house = House(lambda _: [SendParameterProblem(LOOPBACK, LOOPBACK, 1, heartbeat(9))])

    async def story() -> None:
        house.runner.post("malformed")

    house.live(story)
    message = decode_icmpv6(problems.recv(2048), LOOPBACK, LOOPBACK)
    assert isinstance(message, ParameterProblem)
    assert (message.code, message.pointer, message.packet[40:]) == (0, 41, heartbeat(9))


def test_a_parameter_problem_quotes_extension_headers_that_are_known(problems: socket.socket) -> None:
    packet = bytes(64) + heartbeat(9)
    house = House(lambda _: [SendParameterProblem(LOOPBACK, LOOPBACK, 1, heartbeat(9), packet)])

    async def story() -> None:
        house.runner.post("malformed")

    house.live(story)
    message = decode_icmpv6(problems.recv(2048), LOOPBACK, LOOPBACK)
    assert isinstance(message, ParameterProblem)
    assert (message.pointer, message.packet) == (65, packet)
