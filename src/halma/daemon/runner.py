# SPDX-License-Identifier: Apache-2.0
"""The one place where an engine meets the world: messages and time in, effects out, in batches.

A wake-up of the signalling socket takes a batch of messages, gives each to the engine, writes all bindings that come of it to
the data plane at once, tells the engine how that went, and sends all answers at once. Effects that only one role has are
carried out by functions that the role's daemon hands in.

Always holds: effects are carried out in their order, save that messages leave last, those behind extension headers before the
next effect that only one role has; an exception inside the engine or on the way of an effect is logged with it, counted, and
ends there; one timer is set, at the engine's next deadline.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from halma.daemon.courier import Courier
from halma.daemon.log import Log
from halma.engine.api import (
    Answer,
    Bind,
    ForwardingDone,
    MalformedReceived,
    MessageReceived,
    Now,
    Report,
    Send,
    SendParameterProblem,
    Severity,
    Unbind,
)
from halma.forwarding.plane import Change, Plane
from halma.netio.icmp import IcmpSocket
from halma.netio.mobility import MOBILITY_HEADER, MobilitySocket
from halma.wire import DecodeError, decode, encode
from halma.wire.icmpv6 import ParameterProblem, encode_icmpv6
from halma.wire.ipv6 import Packet, build_packet

BATCHES = 4
"""Batches that are taken in a row before the event loop has its turn."""
LONGEST_EVENT = 500
"""Characters of an event that are logged with an exception."""
INVOKING = 1232
"""Octets of the packet that caused an ICMPv6 error which fit beside the error in 1280 (RFC 4443 section 2.4 c)."""


class RunnableEngine(Protocol):
    """What the runner needs of an engine; its events and effects are wider than `engine.api` names."""

    def handle(self, event: Any, now: Now) -> Sequence[Any]: ...
    def handle_timeout(self, now: Now) -> Sequence[Any]: ...
    def next_deadline(self) -> float | None: ...
    def describe_counters(self) -> dict[str, int]: ...


class Runner:
    """Runs an engine on an asyncio loop. `log` takes the engine's reports; `handlers` carry out the effects of one role, by
    their type, and give events that come of it at once. With a `courier` messages go behind extension headers and under
    protection as well (Mobile IPv6)."""

    def __init__(
        self,
        engine: RunnableEngine,
        plane: Plane,
        log: Log,
        handlers: Mapping[type, Callable[[Any], Iterable[Any]]] | None = None,
        courier: Courier | None = None,
    ) -> None:
        self.counters = {
            "messages_received": 0,
            "messages_sent": 0,
            "send_errors": 0,
            "engine_faults": 0,
        }
        self._engine = engine
        self._plane = plane
        self._log = log
        self._handlers = dict(handlers or {})
        self._socket = MobilitySocket()
        self._icmp = IcmpSocket()
        self._courier = courier
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._ops = itertools.count(1)
        self._asked: dict[int, asyncio.Future[dict[str, object]]] = {}

    # ---- from outside -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to listen; call on the event loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._readable)
        if self._courier is not None:
            self._loop.add_reader(self._courier.fileno(), self._packets_readable)
        self._arm()

    def close(self) -> None:
        """Stop listening and give the sockets back."""
        if self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())
            if self._courier is not None:
                self._loop.remove_reader(self._courier.fileno())
        if self._timer is not None:
            self._timer.cancel()
        for future in self._asked.values():
            future.cancel()
        self._socket.close()
        self._icmp.close()
        if self._courier is not None:
            self._courier.close()

    def post(self, *events: Any) -> None:
        """Something has happened: give it to the engine and carry out what comes of it."""
        now = self.now()
        effects: list[Any] = []
        for event in events:
            effects += self._handle(event, now)
        self._carry_out(effects, now)
        self._arm()

    async def ask(self, event: Callable[[int], Any]) -> dict[str, object]:
        """Post the event that is made with an op, and wait for its `Answer`."""
        op = next(self._ops)
        future: asyncio.Future[dict[str, object]] = asyncio.get_running_loop().create_future()
        self._asked[op] = future
        try:
            self.post(event(op))
            return await future
        finally:
            self._asked.pop(op, None)

    def describe_counters(self) -> dict[str, int]:
        """What the runner itself has counted."""
        return {**self.counters, "dropped_by_kernel": self._socket.drops()}

    @staticmethod
    def now() -> Now:
        """The time, read once for everything that happens in one go."""
        return Now(time.monotonic(), time.time())

    # ---- messages in --------------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        for _ in range(BATCHES):
            try:
                batch = self._socket.receive()
            except OSError as error:  # such as ENETDOWN of an interface that went: the socket itself is still good
                self._log.report(
                    Report(Severity.WARNING, "receive_failed", "cannot receive messages: {}", b"", (error.strerror,))
                )
                break
            if not batch:
                break
            self._take(batch)
        self._arm()

    def _packets_readable(self) -> None:
        """Messages behind extension headers."""
        assert self._courier is not None
        try:
            events = self._courier.receive()
        except OSError as error:
            report = Report(Severity.WARNING, "receive_failed", "cannot receive packets: {}", b"", (error.strerror,))
            self._log.report(report)
            return
        self.counters["messages_received"] += len(events)
        self.post(*events)

    def _take(self, batch: list[tuple[bytes, bytes, bytes]]) -> None:
        now = self.now()
        self.counters["messages_received"] += len(batch)
        effects: list[Any] = []
        handle, courier = self._engine.handle, self._courier
        for source, destination, data in batch:
            event: MessageReceived | MalformedReceived
            try:
                message = decode(data, source, destination)
                if courier is None:
                    event = MessageReceived(source, destination, message)
                else:
                    event = courier.judged(source, destination, message, data)
            except DecodeError as error:
                event = MalformedReceived(source, destination, error, data)
            try:
                effects += handle(event, now)
            except Exception as error:
                self._fault(event, error)
        self._carry_out(effects, now)

    def _handle(self, event: Any, now: Now) -> Sequence[Any]:
        try:
            return self._engine.handle(event, now)
        except Exception as error:
            self._fault(event, error)
            return []

    def _fault(self, event: object, error: Exception) -> None:
        self.counters["engine_faults"] += 1
        self._log.bug(f"failed on {event!r}"[:LONGEST_EVENT], error)

    # ---- time -----------------------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        """Set the one timer to the engine's next deadline."""
        deadline = self._engine.next_deadline()
        if deadline == self._timer_at or self._loop is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._due)

    def _due(self) -> None:
        self._timer = self._timer_at = None
        now = self.now()
        try:
            effects = self._engine.handle_timeout(now)
        except Exception as error:
            self._fault("a timeout", error)
            effects = []
        self._carry_out(effects, now)
        self._arm()

    # ---- effects out ------------------------------------------------------------------------------------------------------

    def _carry_out(self, effects: Sequence[Any], now: Now) -> None:
        outbox: list[tuple[bytes, bytes, bytes]] = []
        packets: list[tuple[bytes, bytes, bytes]] = []
        while effects:
            changes: list[Change] = []
            follow: list[Any] = []
            for effect in effects:
                kind = type(effect)
                if kind is Bind or kind is Unbind:  # isinstance would make a union of them first
                    changes.append(effect)
                    continue
                try:
                    if isinstance(effect, Send):
                        if effect.home_address or effect.association is not None:
                            packets.append(self._packet(effect))
                            continue
                        source, destination = effect.source, effect.destination
                        outbox.append((source, destination, encode(effect.message, source, destination)))
                    elif isinstance(effect, Report):
                        self._log.report(effect, now)
                    elif isinstance(effect, Answer):
                        self._answered(effect)
                    elif isinstance(effect, SendParameterProblem):
                        self._parameter_problem(effect)
                    else:
                        follow += self._apply(changes, now)
                        changes = []
                        packets = self._dispatch(packets)  # what a handler does may take its time
                        for event in self._handlers[kind](effect):
                            follow += self._handle(event, now)
                except Exception as error:
                    self._fault(effect, error)
            effects = follow + self._apply(changes, now)
        if outbox:
            self._transmitted(outbox, self._socket.send(outbox))
        self._dispatch(packets)

    def _answered(self, answer: Answer) -> None:
        future = self._asked.get(answer.op)
        if future is not None and not future.done():
            future.set_result(answer.result)

    def _apply(self, changes: list[Change], now: Now) -> list[Any]:
        """Write all changes to the data plane at once; what the engine makes of the outcomes."""
        effects: list[Any] = []
        if changes:
            try:
                errors = self._plane.apply(changes)
            except Exception as error:  # the engine waits for an answer to each
                self._fault(changes[0], error)
                errors = [errno.EIO] * len(changes)
            for change, number in zip(changes, errors, strict=True):
                effects += self._handle(ForwardingDone(change.op, number), now)
        return effects

    def _transmitted(self, outbox: list[tuple[bytes, bytes, bytes]], refused: list[tuple[int, int]]) -> None:
        self.counters["messages_sent"] += len(outbox) - len(refused)
        self.counters["send_errors"] += len(refused)

    def _dispatch(self, packets: list[tuple[bytes, bytes, bytes]]) -> list[tuple[bytes, bytes, bytes]]:
        """Let packets of the courier leave; those that remain."""
        if packets and self._courier is not None:
            self._transmitted(packets, self._courier.send(packets))
        return []

    def _packet(self, effect: Send) -> tuple[bytes, bytes, bytes]:
        """A message that needs more than a Mobility Header of its own."""
        if self._courier is None:
            raise ValueError("a message with a home address or an association, and nobody to carry it")
        return self._courier.packet(effect)

    def _parameter_problem(self, effect: SendParameterProblem) -> None:
        """The packet is told back as it came; a Mobility Header right behind the IPv6 header is all that the kernel gives."""
        packet = effect.packet or build_packet(Packet(effect.destination, effect.source, MOBILITY_HEADER, effect.data))
        problem = ParameterProblem(effect.code, len(packet) - len(effect.data) + effect.pointer, packet[:INVOKING])
        self._icmp.send(effect.source, effect.destination, encode_icmpv6(problem, effect.source, effect.destination))
