# SPDX-License-Identifier: Apache-2.0
"""A plane without a kernel: it keeps what it is told. For tests of whatever drives a plane.

Always holds: `apply` refuses exactly what the other planes refuse, so a test that passes with this plane does not pass by
its leniency.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Sequence

from halma.engine.api import Bind, BindingKind, Tunnel
from halma.forwarding.checks import refusal
from halma.forwarding.plane import COUNTERS, Change, PlaneSettings, PortKind, PortState


class MemoryPlane:
    """The double. `history` is every change in order; `refuse_next` are errnos to answer the next changes with."""

    name = "memory"

    def __init__(self, settings: PlaneSettings) -> None:
        """Nothing can fail."""
        self.settings = settings
        self.history: list[Change] = []
        self.refuse_next: list[int] = []
        self.path_mtus: dict[Tunnel, int] = {}
        self.on_path_mtu: Callable[[Tunnel, int], None] | None = None
        self._bound: dict[tuple[BindingKind, bytes, int], tuple[Tunnel | None, int]] = {}
        self._ports: dict[int, PortState] = {}
        self.listeners: dict[bytes, list[bytes]] = {}
        self.reports_allowed = False

    def attach(self, interface: int, kind: PortKind) -> PortState:
        """Remember the interface."""
        state = PortState(interface, f"if{interface}", kind, "memory")
        self._ports[interface] = state
        return state

    def settle(self) -> None:
        """No predecessor can have left anything."""

    def detach(self, interface: int) -> None:
        """Forget the interface."""
        self._ports.pop(interface, None)

    def apply(self, changes: Sequence[Change]) -> list[int]:
        """Carry the changes out in the table."""
        answers = []
        for change in changes:
            self.history.append(change)
            kind = BindingKind.PROXY if change.kind is BindingKind.LOCAL else change.kind  # a /64 is one or the other
            key = (kind, change.prefix, change.prefix_length)
            error = self.refuse_next.pop(0) if self.refuse_next else refusal(change, self.settings)
            if not error and isinstance(change, Bind):
                if key not in self._bound and len(self._bound) >= self.settings.maximum_bindings:
                    error = errno.E2BIG
                else:
                    self._bound[key] = (change.tunnel, change.access)
            elif not error:
                self._bound.pop(key, None)
            answers.append(error)
        return answers

    def subscribe(self, group: bytes, home_address: bytes) -> None:
        """Remember the listener."""
        if home_address not in self.listeners.setdefault(group, []):
            self.listeners[group].append(home_address)

    def unsubscribe(self, group: bytes, home_address: bytes) -> None:
        """Forget the listener."""
        if home_address in self.listeners.get(group, []):
            self.listeners[group].remove(home_address)

    def allow_listener_reports(self, allowed: bool) -> None:
        """Remember it."""
        self.reports_allowed = allowed

    def bindings(self) -> Iterable[tuple[bytes, int, Tunnel | None]]:
        """What is bound now."""
        return [(prefix, length, tunnel) for (_, prefix, length), (tunnel, _) in self._bound.items()]

    def access_of(self, prefix: bytes, length: int) -> int:
        """The access interface that the prefix was bound with. Raises KeyError when it is not bound."""
        return self._bound[BindingKind.PROXY, prefix, length][1]

    def tunnels(self) -> dict[Tunnel, int]:
        """The tunnels in use and how many bindings share each."""
        used: dict[Tunnel, int] = {}
        for tunnel, _ in self._bound.values():
            if tunnel is not None:
                used[tunnel] = used.get(tunnel, 0) + 1
        return used

    def ports(self) -> list[PortState]:
        """The attached interfaces."""
        return list(self._ports.values())

    def set_path_mtu(self, tunnel: Tunnel, mtu: int) -> None:
        """Remember the MTU."""
        self.path_mtus[tunnel] = mtu

    def routes_changed(self) -> None:
        """Nothing is remembered of routes."""

    def counters(self) -> dict[str, int]:
        """All zero: no packet comes here."""
        return dict.fromkeys(COUNTERS, 0)

    def notes(self) -> list[str]:
        """What this plane is."""
        return ["packets are not forwarded: this plane keeps its table in memory only"]

    def close(self) -> None:
        """Forget everything."""
        self._bound.clear()
        self._ports.clear()
