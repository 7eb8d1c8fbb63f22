# SPDX-License-Identifier: Apache-2.0
"""`halma node`: the mobile node's engine in the world, from a node.toml.

Always holds: from the moment that the daemon takes the interface over until it gives it back, no packet leaves bare from the
home address but at home (a program that insists on the home address and on the interface, for a multicast group, can still do
so); at a clean stop the home agent is told, and the interface is as it was before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from halma.control.rows import Row
from halma.control.schema import ControlError, Request, Retry, Show
from halma.daemon.configuration import ConfigurationError, NodeConfiguration, load_node
from halma.daemon.courier import Courier
from halma.daemon.courier import Side as CourierSide
from halma.daemon.home_agent_names import HomeAgentNames
from halma.daemon.log import Log
from halma.daemon.node_link import NodeLink
from halma.daemon.node_state import NodeState
from halma.daemon.runner import RunnableEngine
from halma.daemon.service import Service, serve
from halma.daemon.state import Peers, State
from halma.engine.api import Now, Report, Severity
from halma.engine.multicast_api import AllowListenerReports
from halma.engine.node import Node
from halma.engine.node_api import NodeEvent, NodeSettings, Remember, RetryRequested, SendIcmp, Started, StopRequested
from halma.forwarding.plane import PlaneSettings, PortKind, Side
from halma.netio.signalling import SignallingSocket
from halma.security.authentication import AuthenticationGuardian
from halma.text import show_address

FAREWELL_SECONDS = 1.2
"""How long a clean stop waits for the home agent's acknowledgement: a little more than INITIAL_BINDACK_TIMEOUT."""
FAREWELL_LOOK_SECONDS = 0.02
HOST = 128


def run(configuration: NodeConfiguration, path: Path, log: Log) -> int:
    """Serve until SIGTERM; the exit status. `path` is read again on SIGHUP and `halma reload`."""
    return serve(lambda log: NodeService(configuration, path, log), log)


class NodeService(Service):
    """The daemon."""

    role = "node"

    def __init__(self, configuration: NodeConfiguration, path: Path, log: Log) -> None:
        super().__init__(log)
        self._configuration = configuration
        self._path = path
        self._link = NodeLink(configuration.node.interface, configuration.node.inner_interface, self._post, self._report)
        self._names = HomeAgentNames([show_address(server) for server in configuration.node.name_servers], self._post)
        self._node: Node
        self._settings: NodeSettings
        self._courier: Courier
        self._state: NodeState

    def paths(self) -> tuple[Path, Path]:
        """The control socket and the state directory."""
        table = self._configuration.node
        return Path(table.control_socket), Path(table.state_directory)

    def plane_settings(self) -> tuple[str, PlaneSettings]:
        """The kind of data plane that is wanted, and what for."""
        table = self._configuration.node
        home_address = table.home_address or table.prefix[:8] + self._link.interface_identifier
        networks = tuple((network.prefix, network.length) for network in table.networks)
        settings = PlaneSettings(
            side=Side.NODE,
            addresses=(),
            prefixes=((home_address, HOST), *networks),
            path_mtu=table.path_mtu,
            maximum_bindings=1 + len(networks),
            device=self._link.device,
        )
        return table.plane, settings

    def make_engine(self, state: State) -> RunnableEngine:  # noqa: ARG002  (a node has no restart counter)
        """The node's engine, which goes on where its last life ended."""
        table, link = self._configuration.node, self._link
        self._state = NodeState(Path(table.state_directory), table.interface)
        home_address = table.home_address or table.prefix[:8] + link.interface_identifier
        key = self._configuration.key(home_address)
        self._settings = NodeSettings(
            home_address=home_address,
            home_prefix=table.prefix,
            home_agents=table.home_agents,
            home_agent_name=table.home_agent_name or "",
            home_domain=table.home_domain or "",
            link_local_address=link.link_local_address,
            interface_identifier=link.interface_identifier,
            identifier=table.identifier,
            secret=self._state.secret,
            association=None if key is None else key.association,
            insecure=table.insecure,
            timestamps=table.association is not None and table.association.timestamps,
            lifetime=table.lifetime_seconds,
            mobile_router=table.mobile_router,
            explicit=table.explicit_prefixes,
            networks=table.networks,
            initial_bindack_timeout_first_registration=table.first_registration_timeout_seconds,
            router_solicitation_interval=table.router_solicitation_interval_seconds,
            router_probe_interval=table.router_probe_interval_seconds,
            lost_advertisements=table.lost_advertisements,
            retry_interval=table.retry_interval_seconds,
            optimistic_handover=table.optimistic_handover,
            sequence=self._state.sequence,
            former_home_agent=self._state.home_agent,
            former_expiry=self._state.expiry,
        )
        self._node = Node(self._settings)
        return self._node

    def courier(self) -> Courier:
        """Messages go behind a Home Address option, and come behind a routing header."""
        key = self._configuration.key(self._settings.home_address)
        guardian = AuthenticationGuardian([] if key is None else [key])
        self._courier = Courier(CourierSide.NODE, SignallingSocket(()), guardian)
        self._link.courier = self._courier
        return self._courier

    def handlers(self) -> dict[type, Callable[[Any], Iterable[Any]]]:
        """The effects of a node; those about its link are carried out by `NodeLink`."""
        return {
            **self._link.handlers(),
            **self._names.handlers(),
            Remember: self._remember,
            SendIcmp: self._send_icmp,
            AllowListenerReports: self._allow_reports,
        }

    async def begin(self, state: State) -> None:  # noqa: ARG002  (nor peers that lose sessions)
        """Take the interface over."""
        self.plane.attach(self._link.index, PortKind.NETWORK)
        networks = [(network.prefix, network.length) for network in self._configuration.node.networks]
        self._link.take_over([(self._settings.home_address, HOST), *networks], self._state)
        self.runner.post(Started())
        self._link.start()

    async def end(self) -> None:
        """Tell the home agent, and give the interface back."""
        self._names.close()
        self.runner.post(StopRequested())
        loop = asyncio.get_running_loop()
        limit = loop.time() + FAREWELL_SECONDS
        while not self._node.is_done() and loop.time() < limit:
            await asyncio.sleep(FAREWELL_LOOK_SECONDS)
        self._link.close()

    def peers(self) -> Peers:
        """The home agents that may hold a binding."""
        return tuple(self._node.peers())

    def shows(self, what: str) -> bool:
        """A node has a registration."""
        return what == "registration"

    def rows(self, show: Show, now: Now) -> Iterable[Row]:
        """The registration."""
        if show.what == "registration":
            return self._node.describe_registration(now)
        raise ControlError(f"a node has no {show.what}; where it is and how it stands is its `registration`")

    async def command(self, request: Request) -> dict[str, object]:
        """To try again is what a node can be asked for."""
        if isinstance(request, Retry):
            return await self.runner.ask(RetryRequested)
        raise ControlError(f"a node does not {type(request).__name__.lower()}")

    async def reload(self) -> None:
        """Nothing can be taken over while the node runs, but mistakes are told."""
        try:
            configuration = load_node(self._path)
        except (ConfigurationError, OSError) as error:
            raise ControlError(str(error)) from None
        if configuration != self._configuration:
            raise ControlError("what changed in [node] needs a restart")

    # ---- the world ------------------------------------------------------------------------------------------------------

    def _post(self, *events: NodeEvent) -> None:
        if events:
            self.runner.post(*events)

    def _report(self, report: Report) -> None:
        self.log.report(report)

    def _remember(self, effect: Remember) -> list[NodeEvent]:
        try:
            self._state.remember(effect.sequence, effect.home_agent, effect.expiry)
        except OSError as error:
            self.say(Severity.ERROR, "state", f"cannot write down the sequence number: {error}")
        return []

    def _allow_reports(self, effect: AllowListenerReports) -> list[NodeEvent]:
        self.plane.allow_listener_reports(effect.allowed)
        return []

    def _send_icmp(self, effect: SendIcmp) -> list[NodeEvent]:
        self._courier.send_icmp(effect.source, effect.destination, effect.message, effect.home_address)
        return []
