# SPDX-License-Identifier: Apache-2.0
"""`halma gateway`: the mobile access gateway's engine in the world, from a gateway.toml.

Always holds: the address that tunnels end at exists on this machine before anything is said to be ready; at a clean stop the
anchors are told that the nodes have gone, and the access interfaces are given back as they were. What no link has of the access
prefix leads nowhere meanwhile.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from halma.control.rows import Row
from halma.control.schema import Attach, ControlError, Detach, Request, Retry, Revoke, Show
from halma.daemon.access import AccessInterfaces
from halma.daemon.configuration import ConfigurationError, GatewayConfiguration, load_gateway
from halma.daemon.log import Log
from halma.daemon.original_interfaces import OriginalInterfaces
from halma.daemon.runner import RunnableEngine
from halma.daemon.service import Service, serve
from halma.daemon.state import Peers, State
from halma.daemon.unused_prefix import UnusedPrefix
from halma.engine.api import Now, Report, Tunnel
from halma.engine.gateway import Gateway
from halma.engine.gateway_api import (
    AnchorRevocationRequested,
    AttachTriggered,
    DetachTriggered,
    GatewayEvent,
    PathMtuChanged,
    ProfilesReplaced,
    RetryRequested,
    SetPathMtu,
    Started,
    StopRequested,
)
from halma.forwarding.plane import PlaneSettings, PortKind, Side
from halma.text import show_address

FAREWELL_SECONDS = 1.2
"""How long a clean stop waits for the anchors' acknowledgements: a little more than INITIAL_BINDACK_TIMEOUT."""
FAREWELL_LOOK_SECONDS = 0.02
FORWARDING = Path("/proc/sys/net/ipv6/conf/all/forwarding")


def run(configuration: GatewayConfiguration, path: Path, log: Log) -> int:
    """Serve until SIGTERM; the exit status. `path` is read again on SIGHUP and `halma reload`."""
    return serve(lambda log: GatewayService(configuration, path, log), log)


class GatewayService(Service):
    """The daemon."""

    role = "gateway"

    def __init__(self, configuration: GatewayConfiguration, path: Path, log: Log) -> None:
        super().__init__(log)
        self._configuration = configuration
        self._path = path
        self._gateway: Gateway
        self._access: AccessInterfaces | None = None
        self._unused: UnusedPrefix | None = None

    def paths(self) -> tuple[Path, Path]:
        """The control socket and the state directory."""
        table = self._configuration.gateway
        return Path(table.control_socket), Path(table.state_directory)

    def plane_settings(self) -> tuple[str, PlaneSettings]:
        """The kind of data plane that is wanted, and what for."""
        table = self._configuration.gateway
        settings = PlaneSettings(
            side=Side.GATEWAY,
            addresses=(table.address,),
            prefixes=(),
            path_mtu=table.path_mtu,
            maximum_bindings=table.maximum_attachments,
        )
        return table.plane, settings

    def make_engine(self, state: State) -> RunnableEngine:
        """The gateway's engine."""
        self._gateway = Gateway(self._configuration.settings(state.restart_counter), self._configuration.policy())
        return self._gateway

    def own_counters(self) -> dict[str, dict[str, int]]:
        """What was heard and said on access links."""
        return {} if self._access is None else {"access": self._access.counters()}

    def handlers(self) -> dict[type, Callable[[Any], Iterable[Any]]]:
        """The effects of a gateway; those about access links are carried out by `AccessInterfaces`."""
        table = self._configuration.gateway
        originals = OriginalInterfaces(Path(table.state_directory), self.role)
        self._access = AccessInterfaces(table.access, table.interfaces, self.plane, self._post, self._report, originals)
        return {**self._access.handlers(), SetPathMtu: self._set_path_mtu}

    async def begin(self, state: State) -> None:
        """Attach the network ports, tell the anchors of a former life, and look who is on the access links."""
        table = self._configuration.gateway
        _check_address(table.address)
        for name in table.interfaces:
            try:
                interface = socket.if_nametoindex(name)
            except OSError:
                raise ValueError(f"there is no interface {name}") from None
            self.plane.attach(interface, PortKind.NETWORK)
        if table.access_prefix is not None:
            self._unused = UnusedPrefix(table.access_prefix)
        loop = asyncio.get_running_loop()
        self.plane.on_path_mtu = lambda tunnel, mtu: _in_loop(loop, self._path_mtu_changed, tunnel, mtu)
        if state.former_peers:
            self.runner.post(Started(state.former_peers))
        assert self._access is not None
        self._access.start()

    async def end(self) -> None:
        """Tell the anchors that the nodes are served no more, and give the access interfaces back."""
        self.plane.on_path_mtu = None
        self.runner.post(StopRequested())
        limit = asyncio.get_running_loop().time() + FAREWELL_SECONDS
        while self._gateway.peers() and asyncio.get_running_loop().time() < limit:
            await asyncio.sleep(FAREWELL_LOOK_SECONDS)
        assert self._access is not None
        self._access.close()
        if self._unused is not None:
            self._unused.close()

    def peers(self) -> Peers:
        """The anchors with sessions."""
        return tuple(self._gateway.peers())

    def notes(self) -> list[str]:
        """What the kernel lacks and what is used instead."""
        notes = super().notes()
        if FORWARDING.read_text().strip() == "0":
            notes.append("net.ipv6.conf.all.forwarding is 0: what the data plane leaves to the kernel is not forwarded")
        return notes

    def shows(self, what: str) -> bool:
        """A gateway has sessions and peers."""
        return what in ("sessions", "peers")

    def rows(self, show: Show, now: Now) -> Iterable[Row]:
        """Sessions and peers."""
        if show.what == "sessions":
            return self._gateway.describe_sessions(now)
        if show.what == "peers":
            return self._gateway.describe_peers()
        raise ControlError(f"a gateway has no {show.what}; its nodes are in `sessions`")

    async def command(self, request: Request) -> dict[str, object]:
        """What a gateway can be asked for."""
        if isinstance(request, Attach):
            result = await self._attach(request)
        elif isinstance(request, Detach):
            if bool(request.link_layer_address) == bool(request.node):
                raise ControlError("give one of link_layer_address and node")
            address, node = bytes(request.link_layer_address), bytes(request.node)
            result = await self.runner.ask(lambda op: DetachTriggered(address, node, op))
        elif isinstance(request, Retry):
            result = await self.runner.ask(lambda op: RetryRequested(bytes(request.node), op))
        elif isinstance(request, Revoke):
            if not request.peer or request.node or request.prefix or request.realm:
                raise ControlError("a gateway revokes all sessions with an anchor: give its address as peer, and nothing else")
            result = await self.runner.ask(lambda op: AnchorRevocationRequested(bytes(request.peer), op))
        else:
            raise ControlError(f"a gateway does not {type(request).__name__.lower()}")
        if "error" in result:
            raise ControlError(str(result["error"]))
        return result

    async def _attach(self, request: Attach) -> dict[str, object]:
        assert self._access is not None
        index = self._access.index(request.interface)
        if not index:
            raise ControlError(f"there is no access interface {request.interface}")
        return await self.runner.ask(
            lambda op: AttachTriggered(
                index,
                bytes(request.link_layer_address),
                bytes(request.node),
                request.handoff_indicator,
                request.access_technology,
                op,
            )
        )

    async def reload(self) -> None:
        """Take over profiles; what else has changed stays as it was until a restart."""
        try:
            configuration = load_gateway(self._path)
        except (ConfigurationError, OSError) as error:
            raise ControlError(str(error)) from None
        await self.runner.ask(lambda op: ProfilesReplaced(configuration.policy(), op))
        if configuration.gateway != self._configuration.gateway:
            raise ControlError("profiles were taken over; what changed in [gateway] needs a restart")

    # ---- the world ------------------------------------------------------------------------------------------------------

    def _post(self, *events: GatewayEvent) -> None:
        if events:
            self.runner.post(*events)

    def _report(self, report: Report) -> None:
        self.log.report(report)

    def _set_path_mtu(self, effect: SetPathMtu) -> list[GatewayEvent]:
        self.plane.set_path_mtu(effect.tunnel, effect.mtu)
        return []

    def _path_mtu_changed(self, tunnel: Tunnel, mtu: int) -> None:
        self.runner.post(PathMtuChanged(tunnel.remote, mtu))


def _in_loop(loop: asyncio.AbstractEventLoop, callback: Callable[[Tunnel, int], None], tunnel: Tunnel, mtu: int) -> None:
    """Called from the data plane's own thread."""
    loop.call_soon_threadsafe(callback, tunnel, mtu)


def _check_address(address: bytes) -> None:
    """Raises ValueError unless the address is one of this machine's."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((show_address(address), 0))
        except OSError as error:
            raise ValueError(f"{show_address(address)} is not an address of this machine: {error.strerror}") from None
