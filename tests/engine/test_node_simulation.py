# SPDX-License-Identifier: Apache-2.0
"""A mobile node and its home agent over hours of virtual time, with a network between them that loses, delays, doubles and
reorders what they say; at the end their data planes agree."""

from __future__ import annotations

import itertools
from heapq import heappop, heappush
from random import Random
from typing import Any

import pytest

from halma.engine.api import (
    Association,
    Assurance,
    BindingKind,
    MessageReceived,
    Protection,
    Send,
    Tunnel,
)
from halma.engine.node_api import (
    FindHomeAgents,
    HomeAgentRecord,
    HomeAgentsFound,
    HomeAgentsNotFound,
    HomePath,
    LinkDown,
    LinkUp,
    NodeSettings,
)
from tests.engine.home import KEY as AGENTS_KEY
from tests.engine.home import Agent
from tests.engine.mobile import (
    AGENT,
    ELSEWHERE,
    FOREIGN,
    HOME,
    HOME_PREFIX,
    HOME_ROUTER,
    IDENTIFIER,
    KEY,
    ROUTER,
    ROUTER_MAC,
    SECOND_AGENT,
    SECOND_MAC,
    SECOND_ROUTER,
    Mobile,
)

THIRD_ROUTER, THIRD_MAC = HOME_ROUTER, bytes.fromhex("00005e005213")
LINKS = {
    "home": (HOME_PREFIX, THIRD_ROUTER, THIRD_MAC),
    "foreign": (FOREIGN, ROUTER, ROUTER_MAC),
    "elsewhere": (ELSEWHERE, SECOND_ROUTER, SECOND_MAC),
}
HOUR = 3600.0


class World:
    """Both engines, one clock, and the network. `loss` and `doubling` are chances, `delay` the most seconds on the way."""

    def __init__(self, seed: int, *, loss: float, doubling: float, delay: float, skew: float = 0.0, **settings: Any) -> None:
        self.random = Random(seed)
        self.loss, self.doubling, self.delay = loss, doubling, delay
        self.agent = Agent(refresh_advice=0.7)
        self.node = Mobile(**{"home_agents": (AGENT,), **settings})
        self.agent.time = self.node.time = 5000.0
        self.node.wall += skew
        self.queue: list[tuple[float, int, str, Any]] = []
        self.serial = itertools.count()
        self.place = ""
        self.advertised = 0.0
        self.bare: list[str] = []

    # ---- the network ----

    def carry(self, effects: list[Any], towards: str) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                for _ in range(1 + (self.random.random() < self.doubling)):
                    if self.random.random() >= self.loss:
                        self.later(self.random.uniform(0.001, self.delay), towards, effect)
            elif isinstance(effect, FindHomeAgents):
                self.look_up(effect)

    def look_up(self, effect: FindHomeAgents) -> None:
        """A DNS that fails and lies as often as packets are lost."""
        if self.random.random() < self.loss:
            self.later(5.0, "names", HomeAgentsNotFound(effect.op, "no answer"))
            return
        agents = [SECOND_AGENT] if self.random.random() < self.loss else self.random.choice([[AGENT], [SECOND_AGENT, AGENT]])
        lifetime, seed = self.random.uniform(0, 600), self.random.getrandbits(64)
        records = tuple(HomeAgentRecord((agent,), 10, 1) for agent in agents)
        self.later(self.random.uniform(0.001, self.delay), "names", HomeAgentsFound(effect.op, records, lifetime, seed))

    def later(self, seconds: float, what: str, item: Any) -> None:
        heappush(self.queue, (self.node.time + seconds, next(self.serial), what, item))

    def arrive(self, what: str, sent: Send) -> None:
        if what == "agent":
            if sent.destination != AGENT:  # a stranger, who says nothing
                return
            protection = Protection(Assurance.VALID, AGENTS_KEY)
            event = MessageReceived(sent.source, sent.destination, sent.message, sent.home_address, protection)
            self.carry(self.agent.give(event), "node")
        elif self.reachable(sent.destination):
            protection = Protection(Assurance.VALID, KEY)
            event = MessageReceived(sent.source, sent.destination, sent.message, sent.home_address, protection)
            self.carry(self.node.give(event), "agent")

    def reachable(self, destination: bytes) -> bool:
        if not self.place:
            return False
        prefix = LINKS[self.place][0]
        return destination[:8] == prefix[:8]

    # ---- the links ----

    def move(self, place: str) -> None:
        if self.place:
            self.carry(self.node.give(LinkDown()), "nowhere")
        self.place = ""
        self.look()
        self.place = place
        if place:
            self.carry(self.node.give(LinkUp()), "agent")
            self.later(self.random.uniform(0.0, 0.3), "router", place)

    def advertise(self, place: str) -> None:
        if place == self.place:
            prefix, router, mac = LINKS[place]
            self.carry(self.node.advertise(prefix, router, mac, lifetime=1800, valid=86400, preferred=14400), "agent")
            self.later(self.random.uniform(200, 600), "router", place)

    def look(self) -> None:
        """Nothing leaves bare but at home, with nothing bound (MN-2, MN-3)."""
        if self.node.path() is HomePath.LINK:
            if self.place != "home":
                self.bare.append(f"{self.node.time}: bare {self.place or 'between links'}")
        elif (tunnel := self.node.tunnel()) is not None and tunnel.remote != AGENT:
            self.bare.append(f"{self.node.time}: tunnel to a stranger")

    # ---- time ----

    def run(self, seconds: float) -> None:
        end = self.node.time + seconds
        while True:
            deadlines = [self.node.engine.next_deadline(), self.agent.engine.next_deadline()]
            times = [max(self.node.time, time) for time in deadlines if time is not None]
            times += [self.queue[0][0]] if self.queue else []
            now = min(times, default=end)
            if now > end:
                break
            self.node.time = self.agent.time = now
            while self.queue and self.queue[0][0] <= now:
                _, _, what, item = heappop(self.queue)
                if what == "router":
                    self.advertise(item)
                elif what == "names":
                    self.carry(self.node.give(item), "agent" if self.place else "nowhere")
                elif what != "nowhere":
                    self.arrive(what, item)
            self.carry(self.node.advance(0), "agent" if self.place else "nowhere")
            self.carry(self.agent.advance(0), "node")
            self.look()
        self.node.time = self.agent.time = end

    def agrees(self) -> bool:
        """Whether both ends forward alike."""
        held = self.agent.bound.get((BindingKind.HOME_ADDRESS, HOME, 128))
        if self.place == "home":
            return self.node.path() is HomePath.LINK and held is None
        care_of = LINKS[self.place][0][:8] + IDENTIFIER
        return held == Tunnel(AGENT, care_of) and self.node.tunnel() == Tunnel(care_of, AGENT)


@pytest.mark.requirement("MN-1", "MN-2", "MN-3", "ANC-5", "ANC-6")
@pytest.mark.parametrize("seed", range(12))
def test_after_any_journey_both_ends_agree(seed: int) -> None:
    world = World(seed, loss=0.2, doubling=0.1, delay=3.0, lifetime=400)
    for _ in range(40):
        world.move(world.random.choice(list(LINKS)))
        world.run(world.random.choice([0.05, 0.5, 2.0, 20.0, 300.0, 0.5 * HOUR]))
    world.loss = world.doubling = 0.0
    world.run(0.5 * HOUR)
    assert not world.bare
    assert world.agrees(), (world.place, world.node.row)


@pytest.mark.requirement("MN-5")
@pytest.mark.parametrize("seed", range(12))
def test_after_any_journey_with_a_dns_that_fails_and_lies_both_ends_agree(seed: int) -> None:
    world = World(seed, loss=0.2, doubling=0.1, delay=3.0, lifetime=400, home_agents=(), home_domain="example.org")
    for _ in range(40):
        world.move(world.random.choice(list(LINKS)))
        world.run(world.random.choice([0.05, 0.5, 2.0, 20.0, 300.0, 0.5 * HOUR]))
    world.loss = world.doubling = 0.0
    world.run(0.5 * HOUR)
    assert not world.bare
    assert world.agrees(), (world.place, world.node.row)


@pytest.mark.parametrize("seed", range(4))
def test_a_day_on_one_foreign_link_is_no_trouble(seed: int) -> None:
    world = World(seed, loss=0.05, doubling=0.02, delay=0.5, lifetime=600)
    world.move("foreign")
    for _ in range(48):
        world.run(0.5 * HOUR)
        assert world.agrees()
    assert "bindings_expired" not in world.node.engine.describe_counters()


def test_a_node_whose_clock_is_off_by_hours_gets_through() -> None:
    world = World(1, loss=0.0, doubling=0.0, delay=0.05, skew=-7200.0)
    for place in ("foreign", "home", "elsewhere", "home"):
        world.move(place)
        world.run(5)
        assert world.agrees(), place


def test_a_home_agent_that_has_lost_everything_gets_it_back() -> None:
    world = World(2, loss=0.0, doubling=0.0, delay=0.05, lifetime=100)
    world.move("foreign")
    world.run(10)
    fresh = Agent()
    fresh.time = world.node.time
    world.agent = fresh
    world.run(120)
    assert world.agrees()


def test_the_settings_of_the_conversations_are_sound() -> None:
    assert isinstance(Mobile().settings, NodeSettings)
    assert isinstance(KEY, Association)
