# SPDX-License-Identifier: Apache-2.0
"""`halma anchor`: the anchor's engine in the world, from an anchor.toml.

Always holds: the addresses that tunnels end at exist on this machine before anything is said to be ready.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path

from halma.control.rows import Row
from halma.control.schema import ControlError, Request, Revoke, Show
from halma.daemon.configuration import AnchorConfiguration, ConfigurationError, load_anchor
from halma.daemon.log import Log
from halma.daemon.runner import RunnableEngine
from halma.daemon.service import Service, serve
from halma.daemon.state import Peers, State
from halma.engine.anchor import Anchor, PolicyReplaced, Started
from halma.engine.anchor_settings import AnchorSettings, PoolSettings
from halma.engine.api import Now
from halma.engine.heartbeat import HeartbeatSettings
from halma.engine.proxy_revocation import RevocationRequested
from halma.engine.revocation import RevocationSettings
from halma.forwarding.plane import PlaneSettings, PortKind, Side


def run(configuration: AnchorConfiguration, path: Path, log: Log) -> int:
    """Serve until SIGTERM; the exit status. `path` is read again on SIGHUP and `halma reload`."""
    return serve(lambda log: AnchorService(configuration, path, log), log)


def engine_settings(configuration: AnchorConfiguration, restart_counter: int) -> AnchorSettings:
    """What the engine needs of the file."""
    table = configuration.anchor
    heartbeat, revocation = table.heartbeat, table.revocation
    return AnchorSettings(
        addresses=table.addresses,
        pools=tuple(PoolSettings(pool.name, pool.prefix.address, pool.prefix.length) for pool in configuration.pools),
        maximum_bindings=table.maximum_bindings,
        maximum_lifetime=table.maximum_lifetime_seconds,
        minimum_delay_before_bce_delete=table.minimum_delay_before_bce_delete_ms / 1000,
        maximum_delay_before_new_bce_assign=table.maximum_delay_before_new_bce_assign_ms / 1000,
        wait_for_deregistration=table.wait_for_deregistration,
        timestamp_validity_window=table.timestamp_validity_window_ms / 1000,
        timestamp_based_approach=table.timestamp_based_approach,
        mobile_node_generated_timestamp=table.mobile_node_generated_timestamp,
        restart_counter=restart_counter,
        heartbeat=HeartbeatSettings(heartbeat.enabled, heartbeat.interval_seconds, heartbeat.missing_allowed),
        revocation=RevocationSettings(
            revocation.maximum_retries, revocation.initial_delay_seconds, revocation.maximum_timeout_seconds
        ),
    )


class AnchorService(Service):
    """The daemon."""

    role = "anchor"

    def __init__(self, configuration: AnchorConfiguration, path: Path, log: Log) -> None:
        super().__init__(log)
        self._configuration = configuration
        self._path = path
        self._anchor: Anchor

    def paths(self) -> tuple[Path, Path]:
        """The control socket and the state directory."""
        table = self._configuration.anchor
        return Path(table.control_socket), Path(table.state_directory)

    def plane_settings(self) -> tuple[str, PlaneSettings]:
        """The kind of data plane that is wanted, and what for."""
        table = self._configuration.anchor
        settings = PlaneSettings(
            side=Side.ANCHOR,
            addresses=table.addresses,
            prefixes=tuple((pool.prefix.address, pool.prefix.length) for pool in self._configuration.pools),
            path_mtu=table.path_mtu,
            maximum_bindings=table.maximum_bindings,
        )
        return table.plane, settings

    def make_engine(self, state: State) -> RunnableEngine:
        """The anchor's engine."""
        settings = engine_settings(self._configuration, state.restart_counter)
        self._anchor = Anchor(settings, self._configuration.policy())
        return self._anchor

    async def begin(self, state: State) -> None:
        """Attach the network ports; tell the gateways of a former life."""
        for name in self._configuration.anchor.interfaces:
            try:
                interface = socket.if_nametoindex(name)
            except OSError:
                raise ValueError(f"there is no interface {name}") from None
            self.plane.attach(interface, PortKind.NETWORK)
        if state.former_peers:
            self.runner.post(Started(state.former_peers))

    async def end(self) -> None:
        """Gateways notice by themselves: their anchor answers no more, and has another restart counter when it is back."""

    def peers(self) -> Peers:
        """The gateways with sessions."""
        return tuple(self._anchor.peers())

    def shows(self, what: str) -> bool:
        """An anchor has bindings and peers."""
        return what in ("bindings", "peers")

    def rows(self, show: Show, now: Now) -> Iterable[Row]:
        """Bindings and peers."""
        if show.what == "bindings":
            return self._anchor.describe_bindings(now)
        if show.what == "peers":
            return self._anchor.describe_peers()
        raise ControlError(f"an anchor has no {show.what}; its nodes are in `bindings`")

    async def command(self, request: Request) -> dict[str, object]:
        """Revocation is what an anchor can be asked for."""
        if not isinstance(request, Revoke):
            raise ControlError(f"an anchor does not {type(request).__name__.lower()}; a gateway does")
        prefix = request.prefix.prefix
        if sum(map(bool, (request.node, prefix, request.peer))) != 1:
            raise ControlError("give one of node, prefix and peer")
        if request.realm and not request.peer:
            raise ControlError("a realm narrows a peer; give the peer as well")
        held = b"" if prefix is None else prefix.address[:8] + bytes(8)
        realm = request.realm.removeprefix("@").encode()
        return await self.runner.ask(lambda op: RevocationRequested(op, bytes(request.node), held, bytes(request.peer), realm))

    async def reload(self) -> None:
        """Take over peers and profiles; what the kernel was given at the start stays until a restart."""
        try:
            configuration = load_anchor(self._path)
        except (ConfigurationError, OSError) as error:
            raise ControlError(str(error)) from None
        fixed = (configuration.anchor, configuration.pools) != (self._configuration.anchor, self._configuration.pools)
        self._configuration = configuration
        await self.runner.ask(lambda op: PolicyReplaced(op, configuration.policy()))
        if fixed:
            raise ControlError("peers and profiles were taken over; what changed in [anchor] and [[pool]] needs a restart")
