# SPDX-License-Identifier: Apache-2.0
"""The interface of a mobile node's daemon: it turns what netlink and the packet socket tell into events of the engine, and
carries out the effects that are about the link.

Always holds: the engine hears of every loss of the link, also of one that was too brief for the kernel to tell; a flood takes a
bounded share of the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from halma.daemon.courier import Courier
from halma.daemon.node_state import NodeState
from halma.engine.api import Report, Severity
from halma.engine.node_api import (
    LINK_LOCAL_PREFIX,
    AdvertiseAddress,
    AskForAddress,
    ConfigureAddress,
    HomePath,
    LinkDown,
    LinkUp,
    NodeEvent,
    ProbeRouter,
    RemoveAddress,
    SetDefaultRouter,
    SetHomePath,
    SetOnLink,
    SolicitRouters,
)
from halma.netio.netlink import LinkControl, LinkGone, LinkMonitor, LinkState
from halma.netio.node_interface import NodeInterface
from halma.netio.node_port import BURST, NodePort

PAUSE = 0.02
"""Seconds without listening after as many frames as are taken at once."""
GROUPS_PERIOD = 5.0
"""Seconds until it is noticed that a program has left a group."""
DEVICE = "mip-"
LONGEST_NAME = 15


class NodeLink:
    """See the module. `post` gives events to the engine, `report` tells the operator. Raises ValueError when there is no such
    interface."""

    def __init__(self, name: str, inner: str | None, post: Callable[..., None], report: Callable[[Report], None]) -> None:
        self._post = post
        self._report = report
        with contextlib.closing(LinkMonitor()) as monitor:
            states = {state.name: state for state in monitor.all() if isinstance(state, LinkState)}
        for wanted in (name, inner):
            if wanted is not None and wanted not in states:
                raise ValueError(f"there is no interface {wanted}")
        self._state = states[name]
        if len(self._state.link_layer_address) != 6:
            raise ValueError(f"{name} is not an Ethernet interface")
        self._inner = states[inner].interface if inner else 0
        self.courier: Courier | None = None
        self._control: LinkControl | None = None
        self._monitor: LinkMonitor | None = None
        self._interface: NodeInterface | None = None
        self._port: NodePort | None = None
        self._addresses: list[bytes] = []
        self._was_down = False
        """The kernel may have undone what was made of the interface."""
        self._timer: asyncio.TimerHandle | None = None
        self._groups_timer: asyncio.TimerHandle | None = None

    # ---- what the interface is ----

    @property
    def index(self) -> int:
        """The index of the interface."""
        return self._state.interface

    @property
    def device(self) -> str:
        """The name of the data plane's device."""
        return (DEVICE + self._state.name)[:LONGEST_NAME]

    @property
    def interface_identifier(self) -> bytes:
        """From the link-layer address (RFC 4291 appendix A)."""
        mac = self._state.link_layer_address
        return bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]

    @property
    def link_local_address(self) -> bytes:
        """Of this interface identifier."""
        return LINK_LOCAL_PREFIX + self.interface_identifier

    # ---- life ----

    def take_over(self, home: Sequence[tuple[bytes, int]], memory: NodeState) -> None:
        """Make the interface the node's; the data plane has its device by now. Raises OSError."""
        control = self._control = LinkControl()
        interface = self._interface = NodeInterface(
            self._state, control, home, self._inner, memory.settings, memory.keep_settings
        )
        self._monitor = LinkMonitor()
        device = next((s.interface for s in self._monitor.all() if isinstance(s, LinkState) and s.name == self.device), 0)
        interface.prepare(device)
        control.set_up(self.index)
        if self.link_local_address not in [address for address, _ in control.link_local_addresses(self.index)]:
            interface.add_address(self.link_local_address, preferred=True)
        self._port = NodePort(self.index, self._state.name, self._state.link_layer_address, self.link_local_address)

    def start(self) -> None:
        """Listen, and tell how the link is."""
        assert self._monitor is not None
        assert self._port is not None
        assert self._control is not None
        loop = asyncio.get_running_loop()
        loop.add_reader(self._monitor.fileno(), self._changed)
        loop.add_reader(self._port.fileno(), self._heard)
        self._look_at_groups()
        self._state = self._control.link(self.index)
        if self._interface is not None:
            self._interface.state = self._state
        self._was_down = not self._state.carrier
        if self._state.carrier:
            self._post(LinkUp())

    def close(self) -> None:
        """Give the interface back."""
        loop = asyncio.get_running_loop()
        for timer in (self._timer, self._groups_timer):
            if timer is not None:
                timer.cancel()
        for socket in (self._monitor, self._port):
            if socket is not None:
                loop.remove_reader(socket.fileno())
                socket.close()
        if self._interface is not None:
            self._interface.restore()
        if self._control is not None:
            self._control.close()

    def handlers(self) -> dict[type, Callable[[Any], Iterable[Any]]]:
        """Who carries out which effect."""
        return {
            SolicitRouters: self._solicit,
            ProbeRouter: self._probe,
            AskForAddress: self._ask,
            AdvertiseAddress: self._advertise,
            ConfigureAddress: self._configure,
            RemoveAddress: self._remove,
            SetDefaultRouter: self._set_default_router,
            SetOnLink: self._set_on_link,
            SetHomePath: self._set_home_path,
        }

    # ---- what happens ----

    def _changed(self) -> None:
        """Links have changed; ours among them, maybe."""
        assert self._monitor is not None
        for change in self._monitor.receive():
            if change.interface != self.index:
                continue
            if isinstance(change, LinkGone):
                self._report(Report(Severity.ERROR, "interface", "interface {} has gone", b"", (self._state.name,)))
                self._post(LinkDown())
            else:
                self._state_changed(change)

    def _state_changed(self, state: LinkState) -> None:
        before, self._state = self._state, state
        assert self._interface is not None
        self._interface.state = state
        flapped = state.carrier and before.carrier and state.carrier_changes != before.carrier_changes
        if before.carrier and (flapped or not state.carrier):
            self._post(LinkDown())
            self._interface.forget_router()
        self._was_down = self._was_down or flapped or not state.up
        if state.carrier and (flapped or not before.carrier):
            if self._was_down:  # only the carrier went, mostly: nothing is lost then, and the next router waits
                self._interface.renew()
                self._was_down = False
            self._post(LinkUp())

    def _heard(self) -> None:
        assert self._port is not None
        try:
            events = self._port.receive()
        except OSError:  # the interface is down or has gone, which netlink tells
            return
        if len(events) >= BURST:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._port.fileno())
            self._timer = loop.call_later(PAUSE, self._listen_again)
        self._post(*events)

    def _listen_again(self) -> None:
        assert self._port is not None
        self._timer = None
        asyncio.get_running_loop().add_reader(self._port.fileno(), self._heard)

    def _look_at_groups(self) -> None:
        if self._interface is not None:
            self._interface.leave_groups()
        self._groups_timer = asyncio.get_running_loop().call_later(GROUPS_PERIOD, self._look_at_groups)

    # ---- what is to be done ----

    def _solicit(self, _effect: SolicitRouters) -> list[NodeEvent]:
        assert self._port is not None
        self._port.solicit_routers()
        return []

    def _probe(self, effect: ProbeRouter) -> list[NodeEvent]:
        assert self._port is not None
        self._port.probe(effect.address, effect.link_layer_address)
        return []

    def _ask(self, effect: AskForAddress) -> list[NodeEvent]:
        assert self._port is not None
        self._port.ask_for(effect.address)
        return []

    def _advertise(self, effect: AdvertiseAddress) -> list[NodeEvent]:
        assert self._port is not None
        self._port.advertise(effect.address)
        return []

    def _configure(self, effect: ConfigureAddress) -> list[NodeEvent]:
        assert self._interface is not None
        self._interface.add_address(effect.address)
        self._addresses.append(effect.address)
        self._listen()
        return []

    def _remove(self, effect: RemoveAddress) -> list[NodeEvent]:
        assert self._interface is not None
        self._interface.remove_address(effect.address)
        if effect.address in self._addresses:
            self._addresses.remove(effect.address)
            self._listen()
        return []

    def _listen(self) -> None:
        """Messages with extension headers come to our care-of addresses."""
        if self.courier is not None:
            self.courier.listen_for(tuple(self._addresses))

    def _set_default_router(self, effect: SetDefaultRouter) -> list[NodeEvent]:
        assert self._interface is not None
        self._interface.set_default_router(effect.address, effect.link_layer_address)
        return []

    def _set_on_link(self, effect: SetOnLink) -> list[NodeEvent]:
        assert self._interface is not None
        self._interface.set_on_link(effect.prefixes)
        return []

    def _set_home_path(self, effect: SetHomePath) -> list[NodeEvent]:
        assert self._interface is not None
        if effect.path is HomePath.LINK:
            self._interface.let_go()
        else:
            self._interface.divert()
        return []
