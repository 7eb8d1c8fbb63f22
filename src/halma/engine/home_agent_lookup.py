# SPDX-License-Identifier: Apache-2.0
"""A mobile node's questions to the Domain Name System: which addresses its home agents have.

RFC 5026 section 5.1 (by the name of a home agent, or by the service of a domain), RFC 2782 (order among a service's targets).

What comes back is not authenticated. Who forges it can keep the node from registering (RFC 5026 section 9.1) and no more: it
turns to somebody who does not have its key, whose acknowledgements count for nothing.

Always holds: one question is out at most, and questions are LEAST_INTERVAL apart at the least; only the answer to the last one
is taken; what was found stays until something else is found, also beyond its time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import inf

from halma.engine.api import Severity
from halma.engine.chance import Chance
from halma.engine.node_api import FindHomeAgents, HomeAgentRecord, HomeAgentsFound, HomeAgentsNotFound
from halma.engine.node_context import NodeContext, Timer
from halma.text import Prefix
from halma.wire.addresses import UNSPECIFIED

LEAST_INTERVAL = 1.0
"""Seconds between two questions, however often the node moves."""
PATIENCE = 30.0
"""Seconds after which a question counts as unanswered. Whoever carries it out has given up long before."""
LONGEST_RETRY = 16
"""Times `retry_interval` that the wait between questions in vain grows to."""
SHORTEST_LIFETIME, LONGEST_LIFETIME = 60.0, 86400.0
"""Seconds that an answer is good for, whatever it says itself."""
MAXIMUM_AGENTS = 16
"""Home agents that are kept."""
_NOBODYS = (Prefix(UNSPECIFIED, 127), Prefix(b"\xff" + bytes(15), 8), Prefix(b"\xfe\x80" + bytes(14), 10))
"""Addresses that no home agent can have: unspecified and loopback, multicast, link-local."""


class HomeAgentLookup:
    """See the module. `found` hears of the home agents, those to be tried first in front."""

    def __init__(self, context: NodeContext, found: Callable[[tuple[bytes, ...]], None]) -> None:
        self._context = context
        self._found = found
        settings = context.settings
        self._name = settings.home_agent_name or settings.home_domain
        self._by_service = not settings.home_agent_name
        self._source = b""
        self._op = 0
        self._last = -inf
        self._in_vain = 0
        """Questions in a row that have not helped."""
        self._pressing = False
        """Whether what is known does not serve, so that an answer has yet to show that it helps."""
        self._good_until = -inf
        self._agents: tuple[bytes, ...] = ()
        context.on(Timer.LOOK_UP, self._due)

    def at(self, source: bytes) -> None:
        """The node asks from this address; empty: it cannot ask. What it knows it asks for anew when its time is over."""
        if source == self._source:
            return
        self._source = source
        self._op = 0
        self._pressing = False
        self._in_vain = 0  # what has failed may have been the other link's fault
        if source:
            self._ask_in(self._good_until - self._context.now.monotonic)
        else:
            self._context.disarm(Timer.LOOK_UP)

    def ask(self) -> None:
        """What is known does not serve: ask, unless that is being done, or was done a moment ago and did not help."""
        if not self._source or self._op:
            return
        since = self._context.now.monotonic - self._last
        if since >= self._context.settings.retry_interval * LONGEST_RETRY:
            self._in_vain = 0
        wait = self._pause() - since if self._in_vain else 0.0
        if wait < (self._context.remaining(Timer.LOOK_UP) or inf):
            self._pressing = True
            self._ask_in(wait)

    def retry(self) -> bool:
        """The operator has mended something: ask at once. Whether that was waited for."""
        waited = bool(self._in_vain and self._source and not self._op)
        if waited:
            self._in_vain = 0
            self._ask_in(0.0)
        return waited

    def _pause(self) -> float:
        """Seconds between questions that do not help, more each time (RFC 5026 section 5.1.2: configurable)."""
        return self._context.settings.retry_interval * min(1 << max(self._in_vain - 1, 0), LONGEST_RETRY)

    def _ask_in(self, seconds: float) -> None:
        seconds = max(seconds, self._last + LEAST_INTERVAL - self._context.now.monotonic)
        if seconds > 0:
            self._context.arm(Timer.LOOK_UP, seconds)
        else:
            self._due(b"")

    def _due(self, _key: bytes) -> None:
        if self._op:
            self._failed("nobody answers")
            return
        self._op = self._context.op()
        self._last = self._context.now.monotonic
        self._context.count("home_agent_lookups")
        self._context.do(FindHomeAgents(self._op, self._source, self._name, self._by_service))
        self._context.arm(Timer.LOOK_UP, PATIENCE)

    # ---- answers ----

    def answered(self, event: HomeAgentsFound | HomeAgentsNotFound) -> None:
        """What came of the question; of another one than the last it counts for nothing."""
        if event.op != self._op or not self._op:
            self._context.count("home_agent_lookups_ignored")
            return
        if isinstance(event, HomeAgentsNotFound):
            self._failed(event.why)
            return
        agents = tuple(dict.fromkeys(filter(self._is_possible, in_order(event.records, Chance(event.seed)))))[:MAXIMUM_AGENTS]
        if not agents:
            self._failed("it leads to no address that a home agent could have")
            return
        self._op = 0
        self._in_vain = self._in_vain + 1 if self._pressing else 0
        self._pressing = False
        now = self._last = self._context.now.monotonic
        lifetime = min(max(event.lifetime, SHORTEST_LIFETIME), LONGEST_LIFETIME)
        self._good_until = now + lifetime
        self._context.arm(Timer.LOOK_UP, lifetime)
        if set(agents) != set(self._agents):
            text = "the DNS names {} home agents, first {:address}"
            self._context.report(Severity.INFO, "home_agents", text, len(agents), agents[0])
        self._agents = agents
        self._found(agents)

    def _is_possible(self, address: bytes) -> bool:
        return address != self._context.settings.home_address and not any(prefix.contains(address) for prefix in _NOBODYS)

    def _failed(self, why: str) -> None:
        self._op = 0
        self._last = self._context.now.monotonic
        self._in_vain += 1
        self._context.count("home_agent_lookups_failed")
        what = "home agents of" if self._by_service else "home agent"
        severity = Severity.WARNING if self._agents else Severity.ERROR
        text = "the DNS does not tell the {} {}: {}; asking again in {:.0f} s"
        self._context.report(severity, "home_agent_lookup", text, what, self._name, why, self._pause())
        self._context.arm(Timer.LOOK_UP, self._pause())


def in_order(records: Iterable[HomeAgentRecord], chance: Chance) -> Iterator[bytes]:
    """The addresses in the order in which they are to be tried: by priority, and by weight among equals (RFC 2782)."""
    left = sorted(records, key=lambda record: (record.priority, record.weight))
    while left:
        equals = [record for record in left if record.priority == left[0].priority]
        drawn, chosen = chance.below(sum(record.weight for record in equals) + 1), 0
        while (drawn := drawn - equals[chosen].weight) > 0:
            chosen += 1
        yield from left.pop(chosen).addresses
