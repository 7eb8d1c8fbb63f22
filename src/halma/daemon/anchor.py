# SPDX-License-Identifier: Apache-2.0
"""`halma anchor`: the anchor's engine in the world, from an anchor.toml.

Always holds: the addresses that tunnels end at exist on this machine before anything is said to be ready; after a clean
end home links are as they were; which node has which prefix of a pool is written down, a second later at the most and never
while a message is being answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from halma.control.rows import Row
from halma.control.schema import ControlError, Request, Revoke, Show
from halma.daemon.assignment_journal import AssignmentJournal
from halma.daemon.configuration import AnchorConfiguration, ConfigurationError, load_anchor
from halma.daemon.configuration_home import home_agent_settings
from halma.daemon.courier import Courier
from halma.daemon.courier import Side as CourierSide
from halma.daemon.home_agent import LINK_EFFECTS, HomeLinkService, LinkEffect, home_links
from halma.daemon.home_multicast import HomeMulticastService
from halma.daemon.log import Log
from halma.daemon.runner import RunnableEngine
from halma.daemon.service import Service, serve
from halma.daemon.state import Peers, State
from halma.engine.anchor import Anchor, PolicyReplaced, Started
from halma.engine.anchor_settings import AnchorSettings, HomeLink, PoolSettings
from halma.engine.api import Now, Severity
from halma.engine.home_agent_discovery_api import SendIcmp
from halma.engine.home_link import SendHome
from halma.engine.proxy_revocation import RevocationRequested
from halma.forwarding.plane import PlaneSettings, PortKind, Side
from halma.forwarding.tunnelling import encapsulate
from halma.netio.signalling import SignallingSocket
from halma.security.authentication import AuthenticationGuardian

JOURNAL_SECONDS = 1.0
"""How often changes of assignments are written down."""


def run(configuration: AnchorConfiguration, path: Path, log: Log) -> int:
    """Serve until SIGTERM; the exit status. `path` is read again on SIGHUP and `halma reload`."""
    return serve(lambda log: AnchorService(configuration, path, log), log)


def engine_settings(
    configuration: AnchorConfiguration, restart_counter: int, links: tuple[HomeLink, ...] = (), seed: int = 0
) -> AnchorSettings:
    """What the engine needs of the file; `links` are its home links as they are on this machine."""
    table = configuration.anchor
    home_agent = home_agent_settings(configuration.home_agent, table.maximum_lifetime_seconds, links, seed)
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
        heartbeat=table.heartbeat.settings(),
        revocation=table.revocation.settings(),
        proxy="lma" in table.roles,
        home_agent=home_agent if "ha" in table.roles else None,
    )


class AnchorService(Service):
    """The daemon."""

    role = "anchor"

    def __init__(self, configuration: AnchorConfiguration, path: Path, log: Log) -> None:
        super().__init__(log)
        self._configuration = configuration
        self._path = path
        self._anchor: Anchor
        self._courier: Courier | None = None
        self._links: tuple[HomeLink, ...] = ()
        self._home: HomeLinkService | None = None
        self._multicast: HomeMulticastService | None = None
        self._journal: AssignmentJournal
        self._writing: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()

    def paths(self) -> tuple[Path, Path]:
        """The control socket and the state directory."""
        table = self._configuration.anchor
        return Path(table.control_socket), Path(table.state_directory)

    def plane_settings(self) -> tuple[str, PlaneSettings]:
        """The kind of data plane that is wanted, and what for."""
        table = self._configuration.anchor
        pools = [pool.prefix for pool in self._configuration.pools]
        networks = [network for profile in self._configuration.profiles for network in profile.mobile_network_prefixes]
        beside = [network for network in networks if not any(pool.contains(network.address) for pool in pools)]
        settings = PlaneSettings(
            side=Side.ANCHOR,
            addresses=table.addresses,
            prefixes=tuple((prefix.address, prefix.length) for prefix in (*pools, *beside)),
            path_mtu=table.path_mtu,
            maximum_bindings=table.maximum_bindings,
            home_agent="ha" in table.roles,
            multicast_interface=self._multicast_interface(),
        )
        return table.plane, settings

    def _multicast_interface(self) -> int:
        """By its index, 0 where there is none."""
        name = self._configuration.home_agent.multicast_interface
        return interface_index(name) if name is not None else 0

    def make_engine(self, state: State) -> RunnableEngine:
        """The anchor's engine."""
        self._links = home_links(self._configuration)
        settings = engine_settings(self._configuration, state.restart_counter, self._links, secrets.randbits(64))
        self._anchor = Anchor(settings, self._configuration.policy())
        return self._anchor

    def courier(self) -> Courier | None:
        """A home agent's messages come behind extension headers and under protection."""
        if "ha" in self._configuration.anchor.roles:
            guardian = AuthenticationGuardian(self._configuration.keys())
            self._courier = Courier(CourierSide.AGENT, SignallingSocket(self._configuration.anchor.addresses), guardian)
        return self._courier

    def handlers(self) -> dict[type, Callable[[Any], Iterable[Any]]]:
        """What a home agent does on its links."""
        handlers: dict[type, Callable[[Any], Iterable[Any]]] = dict.fromkeys(LINK_EFFECTS, self._at_home)
        handlers |= {SendIcmp: self._send_icmp, SendHome: self._send_home}
        interface = self._multicast_interface()
        if interface and self._courier is not None:
            self._multicast = HomeMulticastService(interface, self.plane, self._courier, self.log.report)
            handlers |= self._multicast.handlers()
        return handlers

    async def begin(self, state: State) -> None:
        """Attach the network ports; look after the home links; tell the gateways of a former life."""
        configuration = self._configuration
        names = [*configuration.anchor.interfaces, *(link.interface for link in configuration.home_links)]
        names.append(configuration.home_agent.multicast_interface or names[0])
        for name in dict.fromkeys(names):
            self.plane.attach(interface_index(name), PortKind.NETWORK)
        if self._links:
            self._home = HomeLinkService(self._links, self.runner.post, self.log.report)
            self._home.start()
        self._journal = AssignmentJournal(Path(self._configuration.anchor.state_directory), self.role)
        self.runner.post(Started(state.former_peers, tuple(self._journal.assignments.items())))
        self._writing = asyncio.create_task(self._write_assignments())

    async def end(self) -> None:
        """Gateways notice by themselves: their anchor answers no more, and has another restart counter when it is back. Home
        links are told."""
        if self._home is not None:
            self._home.close()
        if self._multicast is not None:
            self._multicast.close()
        self._ending.set()
        if self._writing is not None:
            await self._writing

    async def _write_assignments(self) -> None:
        """Write down, in a thread of its own, whose the prefixes of the pools are; for the last time at the end."""
        while not self._ending.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(JOURNAL_SECONDS):
                    await self._ending.wait()
            changes = self._anchor.take_assignments()
            if changes:
                try:
                    await asyncio.to_thread(self._journal.write, changes)
                except OSError as error:
                    self.say(Severity.WARNING, "state", f"cannot write down whose prefixes are: {error}")

    def notes(self) -> list[str]:
        """What the kernel lacks and what is used instead."""
        return [*super().notes(), *(self._home.notes() if self._home is not None else ())]

    def _at_home(self, effect: LinkEffect) -> list[Any]:
        assert self._home is not None
        self._home.carry_out(effect)
        return []

    def _send_icmp(self, effect: SendIcmp) -> list[Any]:
        assert self._courier is not None
        self._courier.send_icmp(effect.source, effect.destination, effect.message, effect.home_address)
        return []

    def _send_home(self, effect: SendHome) -> list[Any]:
        assert self._courier is not None
        source, destination, packet = self._courier.packet(effect.send)
        if effect.tunnel is not None:
            source, destination = effect.tunnel.local, effect.tunnel.remote
            packet = encapsulate(packet, source, destination)
        self._courier.send([(source, destination, packet)], effect.interface)
        return []

    def peers(self) -> Peers:
        """The gateways with sessions."""
        return tuple(self._anchor.peers())

    def shows(self, what: str) -> bool:
        """An anchor has bindings of both kinds, and peers."""
        return what in ("bindings", "home_bindings", "groups", "peers")

    def rows(self, show: Show, now: Now) -> Iterable[Row]:
        """Bindings and peers."""
        if show.what == "bindings":
            return self._anchor.describe_bindings(now)
        if show.what == "home_bindings":
            return self._anchor.describe_home_bindings(now)
        if show.what == "groups":
            return self._anchor.describe_groups(now)
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
        held, length = (b"", 0) if prefix is None else prefix
        realm = request.realm.removeprefix("@").encode()
        return await self.runner.ask(
            lambda op: RevocationRequested(op, bytes(request.node), held, bytes(request.peer), realm, length)
        )

    async def reload(self) -> None:
        """Take over peers, profiles and keys; what the kernel was given at the start stays until a restart."""
        try:
            configuration = load_anchor(self._path)
            guardian = AuthenticationGuardian(configuration.keys())
        except (ConfigurationError, OSError, ValueError) as error:
            raise ControlError(str(error)) from None
        if self._courier is not None:
            self._courier.replace_guardian(guardian)
        await self.runner.ask(lambda op: PolicyReplaced(op, configuration.policy()))
        if _fixed(configuration) != _fixed(self._configuration):
            taken, fixed = "peers, profiles and keys", "[anchor], [[pool]], [home_agent] and [[home_link]]"
            raise ControlError(f"{taken} were taken over; what changed in {fixed} needs a restart")


def interface_index(name: str) -> int:
    """The index of an interface. Raises ValueError when it is not there."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        raise ValueError(f"there is no interface {name}") from None


def _fixed(configuration: AnchorConfiguration) -> tuple[object, ...]:
    """What cannot be changed while the daemon runs."""
    return configuration.anchor, configuration.pools, configuration.home_agent, configuration.home_links
