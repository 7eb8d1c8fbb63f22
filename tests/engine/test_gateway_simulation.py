# SPDX-License-Identifier: Apache-2.0
"""Days of a small domain in a second: the real anchor, three real gateways, nodes that wander, and a network that loses,
delays, duplicates and reorders what they say to one another.

Always holds, whatever the seed: no prefix belongs to two nodes; a gateway forwards for a node only while it is on that very
link, or is being given up; and when the network has come to rest every node that is attached is served, the anchor's tunnel
leads to the gateway that the node is at, and the node has been told the prefix that it has.
"""

from __future__ import annotations

import itertools
from heapq import heappop, heappush
from random import Random
from typing import Any

import pytest

from halma.engine.anchor import Anchor
from halma.engine.anchor_settings import AnchorSettings, PoolSettings
from halma.engine.api import Bind, ForwardingDone, MessageReceived, Now, Send, Tunnel, Unbind
from halma.engine.gateway import Gateway
from halma.engine.gateway_api import (
    AdvertiseRouter,
    AttachTriggered,
    GatewaySettings,
    LinkAppeared,
    LinkDown,
    LinkUp,
    LinkVanished,
    NodeHeard,
    NodeProfile,
    ProbeNode,
    RouterSolicitationReceived,
    SolicitNodes,
)
from halma.policy.gateway import GatewayPolicy
from tests.engine.conversation import ANCHOR, POOL, gateway_address, policy
from tests.engine.gateway_world import advertised

NODES = 12
GATEWAYS = 3
LIFETIME = 240
WALL = 1_700_000_000.0


class Node:
    """A host: where it is (0: nowhere), the interface there, and what it has been told."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.name = f"host{number}@example.org".encode()
        self.link_layer_address = b"\x02\0\0\0\1" + bytes([number])
        self.address = b"\xfe\x80" + bytes(12) + b"\1" + bytes([number])
        self.at = 0
        self.interface = 0
        self.prefixes: dict[bytes, int] = {}


class Site:
    """An engine with its data plane."""

    def __init__(self, engine: Any, address: bytes) -> None:
        self.engine = engine
        self.address = address
        self.bound: dict[bytes, Bind] = {}


class Simulation:
    """See the module."""

    def __init__(self, seed: int, timestamp_based_approach: bool) -> None:
        self.random = Random(seed)
        self.monotonic = 0.0
        self.trouble = True
        self.queue: list[tuple[float, int, Any]] = []
        self.order = itertools.count()
        self.interfaces = itertools.count(10)
        self.nodes = [Node(number) for number in range(1, NODES + 1)]
        pools = (PoolSettings("main", POOL, 40),)
        anchor_settings = AnchorSettings(addresses=(ANCHOR,), pools=pools, timestamp_based_approach=timestamp_based_approach)
        self.anchor = Site(Anchor(anchor_settings, policy()), ANCHOR)
        profiles = GatewayPolicy([NodeProfile(node.name, node.link_layer_address) for node in self.nodes])
        self.gateways = [
            Site(
                Gateway(
                    GatewaySettings(
                        gateway_address(number),
                        ANCHOR,
                        lifetime=LIFETIME,
                        timestamp_based_approach=timestamp_based_approach,
                        presence_interval=30,
                    ),
                    profiles,
                ),
                gateway_address(number),
            )
            for number in range(1, GATEWAYS + 1)
        ]
        self.by_address = {site.address: site for site in (self.anchor, *self.gateways)}
        self.by_interface: dict[int, Node] = {}

    @property
    def now(self) -> Now:
        return Now(self.monotonic, WALL + self.monotonic)

    # ---- the network ----

    def later(self, seconds: float, what: Any) -> None:
        heappush(self.queue, (self.monotonic + seconds, next(self.order), what))

    def transmit(self, send: Send) -> None:
        """Lose some, duplicate some, and let the delays reorder the rest."""
        copies = 1
        if self.trouble:
            copies = self.random.choices([0, 1, 2], [10, 85, 5])[0]
        for _ in range(copies):
            delay = self.random.choice([0.002, 0.02, 0.2, 2.5]) if self.trouble else 0.002
            received = MessageReceived(send.source, send.destination, send.message)
            self.later(delay * self.random.random(), (send.destination, received))

    def give(self, site: Site, event: Any) -> None:
        self.carry_out(site, site.engine.handle(event, self.now))

    def carry_out(self, site: Site, effects: list[Any]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self.transmit(effect)
            elif isinstance(effect, Bind):
                site.bound[effect.prefix] = effect
                self.give(site, ForwardingDone(effect.op, 0))
            elif isinstance(effect, Unbind):
                assert effect.prefix in site.bound
                del site.bound[effect.prefix]
                self.give(site, ForwardingDone(effect.op, 0))
            elif isinstance(effect, ProbeNode | SolicitNodes | AdvertiseRouter):
                self.frame(site, effect)

    def frame(self, site: Site, effect: ProbeNode | SolicitNodes | AdvertiseRouter) -> None:
        """A frame on an access link reaches the node that is there, if it is not lost."""
        node = self.by_interface.get(effect.interface)
        if node is None or self.gateways[node.at - 1] is not site or (self.trouble and self.random.random() < 0.1):
            return
        if isinstance(effect, AdvertiseRouter):
            assert effect.link_layer_address == node.link_layer_address
            for prefix, lifetime in advertised(effect.message).items():
                if lifetime:
                    node.prefixes[prefix] = lifetime
                else:
                    node.prefixes.pop(prefix, None)
        else:
            self.later(0.0005, (site.address, NodeHeard(effect.interface, node.link_layer_address, node.address)))

    # ---- the nodes ----

    def leave(self, node: Node) -> None:
        """The node's link goes: at once for the gateway, or without a word, so that it has to find out."""
        site = self.gateways[node.at - 1]
        if self.random.random() < 0.8:
            self.give(site, self.random.choice([LinkDown, LinkVanished])(node.interface))
        del self.by_interface[node.interface]
        node.at = node.interface = 0

    def arrive(self, node: Node, at: int) -> None:
        """The node's link comes up at a gateway."""
        node.at, node.interface = at, next(self.interfaces)
        self.by_interface[node.interface] = node
        site = self.gateways[at - 1]
        self.give(site, LinkAppeared(node.interface, f"ap{node.interface}", 1500))
        self.give(site, LinkUp(node.interface, 1500))
        kind = self.random.randrange(3)
        if kind == 0:
            self.give(site, AttachTriggered(node.interface, node.link_layer_address))
        elif kind == 1:
            self.give(site, RouterSolicitationReceived(node.interface, node.link_layer_address, node.address))

    def wander(self) -> None:
        node = self.random.choice(self.nodes)
        if node.at:
            self.leave(node)
        if self.random.random() < 0.8:
            self.arrive(node, self.random.randint(1, GATEWAYS))

    # ---- time ----

    def run(self, until: float) -> None:
        """Do everything up to a time, in its order."""
        while True:
            deadlines = [
                (deadline, site)
                for site in (self.anchor, *self.gateways)
                if (deadline := site.engine.next_deadline()) is not None
            ]
            deadline, site = min(deadlines, key=lambda pair: pair[0], default=(float("inf"), self.anchor))
            arrival = self.queue[0][0] if self.queue else float("inf")
            if min(deadline, arrival) > until:
                self.monotonic = until
                return
            if arrival <= deadline:
                self.monotonic, _, (address, event) = heappop(self.queue)
                self.give(self.by_address[address], event)
            else:
                self.monotonic = max(self.monotonic, deadline)
                self.carry_out(site, site.engine.handle_timeout(self.now))
            self.check()

    # ---- what must hold ----

    def check(self) -> None:
        """At every moment."""
        owners: dict[bytes, bytes] = {}
        for row in self.anchor.engine.describe_bindings(self.now):
            for prefix, _ in row["prefixes"]:
                assert owners.setdefault(prefix, row["node"]) == row["node"]
        for site in self.gateways:
            shown = {prefix: row for row in site.engine.describe_sessions(self.now) for prefix, _ in row["prefixes"]}
            for prefix in site.bound:
                assert shown[prefix]["state"] in ("binding", "registered", "de-registering"), shown[prefix]

    def check_at_rest(self) -> None:
        """When nothing has moved for a while."""
        bindings = {row["node"]: row for row in self.anchor.engine.describe_bindings(self.now)}
        for node in self.nodes:
            if not node.at:
                assert node.name not in bindings
                continue
            site = self.gateways[node.at - 1]
            (row,) = [row for row in site.engine.describe_sessions(self.now) if row["node"] == node.name]
            assert row["state"] == "registered", row
            ((prefix, length),) = row["prefixes"]
            assert length == 64
            assert bindings[node.name]["prefixes"] == [(prefix, 64)]
            assert bindings[node.name]["gateway"] == site.address
            assert self.anchor.bound[prefix].tunnel == Tunnel(ANCHOR, site.address)
            assert site.bound[prefix].access == node.interface
            assert prefix in node.prefixes
        bound = [prefix for site in self.gateways for prefix in site.bound]
        assert len(bound) == len(set(bound)) == sum(1 for node in self.nodes if node.at)


@pytest.mark.requirement("GW-2", "GW-4", "ANC-4")
@pytest.mark.parametrize("timestamps", [True, False], ids=["timestamps", "sequence-numbers"])
@pytest.mark.parametrize("seed", range(6))
def test_after_any_trouble_every_node_is_served_where_it_is(seed: int, timestamps: bool) -> None:
    simulation = Simulation(seed, timestamps)
    for _ in range(4):
        simulation.trouble = True
        for _ in range(60):
            simulation.wander()
            simulation.run(simulation.monotonic + simulation.random.choice([0.01, 0.3, 3, 20]))
        simulation.trouble = False
        simulation.run(simulation.monotonic + 3 * LIFETIME)
        simulation.check_at_rest()
