# SPDX-License-Identifier: Apache-2.0
"""What every daemon of ours is besides its role: state, data plane, runner, control socket, log, and a clean end.

A role's daemon derives from `Service` and says what is its own: the engine, the ports, the rows that it shows, the requests
that it takes. `serve` runs it in the foreground until SIGTERM or SIGINT; SIGHUP reads the configuration again.

Always holds: what was opened is closed, in reverse, however the daemon ends; nothing is announced as ready before messages and
packets are taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from halma.control.rows import Row
from halma.control.schema import ControlError, Reload, Request, Show, What
from halma.control.server import ControlServer, Rows
from halma.daemon.courier import Courier
from halma.daemon.log import Follower, Log
from halma.daemon.notify import Notifier
from halma.daemon.runner import RunnableEngine, Runner
from halma.daemon.state import Peers, State
from halma.engine.api import Now, Severity
from halma.forwarding import open_plane
from halma.forwarding.guard import Guard
from halma.forwarding.plane import Plane, PlaneSettings

HOUSEKEEPING_SECONDS = 5.0
"""How often peers are written down and the log tells what it has left out."""
FOLLOW_SECONDS = 0.2
"""How often new events are looked for while somebody follows them."""

COLLECTIONS = (50_000, 20, 50)
"""When the collector of reference cycles looks (gc.set_threshold). A binding is a few objects that live for hours and are freed
without it: with Python's defaults it would look at all of them again and again, half of what a new binding costs."""

OWN_ROWS: tuple[What, ...] = ("bindings", "home_bindings", "groups", "sessions", "registration", "peers")
"""The kinds of rows that some role has of its own."""

ServiceType = TypeVar("ServiceType", bound="Service")


class Service(ABC):
    """One daemon. `role` is its name in files, logs and units."""

    role: str

    def __init__(self, log: Log) -> None:
        self.log = log
        self.engine: RunnableEngine
        self.plane: Plane
        self.runner: Runner
        self._guard: Guard
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()

    # ---- what a role says ------------------------------------------------------------------------------------------------

    @abstractmethod
    def paths(self) -> tuple[Path, Path]:
        """The control socket and the state directory."""

    @abstractmethod
    def plane_settings(self) -> tuple[str, PlaneSettings]:
        """The kind of data plane that is wanted, and what for."""

    @abstractmethod
    def make_engine(self, state: State) -> RunnableEngine:
        """The engine, for this life."""

    @abstractmethod
    async def begin(self, state: State) -> None:
        """Ports are attached, the world is listened to: the runner runs already."""

    @abstractmethod
    async def end(self) -> None:
        """The last words of the role, while everything still runs."""

    @abstractmethod
    def peers(self) -> Peers:
        """(our address, theirs) of the sessions there are now."""

    @abstractmethod
    def rows(self, show: Show, now: Now) -> Iterable[Row]:
        """What of the role's own is to be shown. Raises ControlError for what this role has not."""

    @abstractmethod
    async def command(self, request: Request) -> dict[str, object]:
        """Carry out a request other than `show`. Raises ControlError."""

    @abstractmethod
    async def reload(self) -> None:
        """Read the configuration again. Raises ControlError with every mistake in it, and changes nothing then."""

    def handlers(self) -> dict[type, Callable[[Any], Iterable[Any]]]:
        """Who carries out the effects that only this role has; called once, after `courier`."""
        return {}

    def own_counters(self) -> dict[str, dict[str, int]]:
        """Groups of counters that only this role has."""
        return {}

    def courier(self) -> Courier | None:
        """Who carries messages of Mobile IPv6; called once, after `make_engine`. Raises OSError and ValueError."""
        return None

    # ---- life --------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until told to stop. Raises OSError and ValueError when the daemon cannot start."""
        control_path, state_directory = self.paths()
        loop = asyncio.get_running_loop()
        async with contextlib.AsyncExitStack() as stack:
            control = ControlServer(control_path, self)
            control.claim()  # before anything is changed that a daemon which runs here already has
            stack.push_async_callback(control.stop)
            state = State(state_directory, self.role)
            kind, settings = self.plane_settings()
            self.plane = open_plane(kind, settings)
            stack.callback(self.plane.close)
            self._guard = Guard(self.role)
            stack.callback(self._guard.close)
            self.engine = self.make_engine(state)
            courier = self.courier()
            self.runner = Runner(self.engine, self.plane, self.log, self.handlers(), courier)
            stack.callback(self.runner.close)
            await control.start()
            stack.push_async_callback(control.stop)
            notifier = Notifier()
            stack.callback(notifier.close)
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._stop.set)
            loop.add_signal_handler(signal.SIGHUP, self._reload.set)
            self.runner.start()
            await self.begin(state)
            self.plane.settle()
            for note in self.notes():
                self.say(Severity.WARNING, "kernel", note)
            gc.set_threshold(*COLLECTIONS)
            gc.freeze()  # code and configuration are here to stay
            ports = ", ".join(f"{port.name} by {port.mechanism}" for port in self.plane.ports())
            self.say(Severity.INFO, "ready", f"{self.role} is ready: plane {self.plane.name}, ports {ports or 'none yet'}")
            notifier.ready(f"plane {self.plane.name}")
            await self._attend(state, notifier)
            notifier.stopping()
            self.say(Severity.INFO, "stopping", f"{self.role} is stopping")
            await self.end()
            state.remember(self.peers())
            self.log.flush()

    async def _attend(self, state: State, notifier: Notifier) -> None:
        """Housekeeping until `stop` is set."""
        pause = min(HOUSEKEEPING_SECONDS, notifier.watchdog_seconds or HOUSEKEEPING_SECONDS)
        while not self._stop.is_set():
            if self._reload.is_set():
                self._reload.clear()
                notifier.reloading()
                with contextlib.suppress(ControlError):  # it has been logged
                    await self._reload_and_tell()
                notifier.ready()
            notifier.alive()
            state.remember(self.peers())
            self.log.flush()
            waits = [asyncio.ensure_future(event.wait()) for event in (self._stop, self._reload)]
            await asyncio.wait(waits, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()

    async def _reload_and_tell(self) -> None:
        try:
            await self.reload()
        except ControlError as error:
            self.say(Severity.ERROR, "reload_failed", f"the configuration was not taken over: {error}")
            raise
        self.say(Severity.INFO, "reloaded", "the configuration has been read again")

    # ---- the operator -----------------------------------------------------------------------------------------------------

    def say(self, severity: Severity, reason: str, text: str) -> None:
        """A line of the daemon's own in the log."""
        self.log.say(severity, reason, text)

    def notes(self) -> list[str]:
        """What the kernel lacks and what is used instead."""
        return [*self.plane.notes(), *self._guard.notes()]

    async def answer(self, request: Request) -> Rows:
        """The control socket's requests (`halma.control.server.Handler`)."""
        if not isinstance(request, Show):
            if isinstance(request, Reload):
                await self._reload_and_tell()
                return []
            return [await self.command(request)]
        if request.what == "events":
            return self._follow_events() if request.follow else [logged.row() for logged in self.log.events()]
        if request.what == "counters":
            return self._counters()
        if request.what == "plane":
            return self._plane()
        if request.what == "tunnels":
            return self._tunnels()
        if request.what == "all":
            return [self._everything()]
        return self.rows(request, self.runner.now())

    async def _follow_events(self) -> AsyncIterator[Row]:
        follower: Follower = self.log.follow()
        try:
            while True:
                for logged in follower.take():
                    yield logged.row()
                await asyncio.sleep(FOLLOW_SECONDS)
        finally:
            follower.close()

    def _counters(self) -> Iterator[Row]:
        groups = {
            "signalling": {**self.runner.describe_counters(), **self.engine.describe_counters()},
            "packets": self.plane.counters(),
            "log": self.log.counters,
        } | self.own_counters()
        for group, counters in groups.items():
            for name, count in counters.items():
                yield {"group": group, "counter": name, "value": count}

    def _plane(self) -> Iterator[Row]:
        yield {"plane": self.plane.name, "notes": self.notes()}
        for port in self.plane.ports():
            yield {"interface": port.name, "kind": port.kind, "mechanism": port.mechanism}

    def _tunnels(self) -> Iterator[Row]:
        for tunnel, users in self.plane.tunnels().items():
            yield {"local": tunnel.local, "remote": tunnel.remote, "bindings": users}

    def _everything(self) -> Row:
        """For support: one row with all that can be shown."""
        now = self.runner.now()
        own: dict[str, object] = {what: list(self.rows(Show(what), now)) for what in OWN_ROWS if self.shows(what)}
        return {
            **own,
            "tunnels": list(self._tunnels()),
            "counters": {str(row["counter"]): row["value"] for row in self._counters()},
            "plane": list(self._plane()),
            "events": [logged.row() for logged in self.log.events()],
        }

    @abstractmethod
    def shows(self, what: str) -> bool:
        """Whether this role has rows of that kind."""


def serve(make: Callable[[Log], Service], log: Log) -> int:
    """Run a daemon in the foreground; the exit status: 0 after a clean stop, 1 when it could not start."""

    async def life() -> None:
        await make(log).run()

    try:
        asyncio.run(life())
    except (OSError, ValueError) as error:
        log.say(Severity.ERROR, "cannot_start", f"cannot start: {error}")
        return 1
    return 0
