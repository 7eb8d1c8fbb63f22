# SPDX-License-Identifier: Apache-2.0
"""The home agent as the multicast router at the other end of its mobile nodes' tunnels: it asks each node which groups it
listens to, has their packets copied into its tunnel, and listens to them on the home network itself.

RFC 6275 sections 10.4.2 and 10.4.3, RFC 9777 section 7 (Multicast Listener Discovery, the router's part). A tunnel is a link
with one listener, so who leaves a group need not be asked whether another one still wants it, and there is no other querier.

Always holds: only a node with a registration in force is asked, and only by its tunnel can it subscribe; a group that is not of
global scope is never subscribed to (section 10.4.2); memory is bounded by the constants below, whatever nodes say. A group
belongs to the home address, so that it follows the node to its next care-of address without being asked for again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from halma.engine.api import Now, Tunnel
from halma.engine.home_binding_cache import HomeBinding
from halma.engine.home_link import LINK_LOCAL_PREFIX
from halma.engine.meter import Meter
from halma.engine.multicast_api import (
    JoinGroup,
    LeaveGroup,
    ListenerReportReceived,
    MulticastEffect,
    SendListenerQuery,
    Subscribe,
    Unsubscribe,
)
from halma.engine.timers import Deadlines
from halma.wire.addresses import GLOBAL_SCOPE, MULTICAST, scope_of
from halma.wire.errors import DecodeError
from halma.wire.mld import (
    ListenerReport,
    MulticastAddressRecord,
    MulticastListenerDone,
    MulticastListenerReport,
    RecordType,
    general_query,
)

ROBUSTNESS_VARIABLE = 2
QUERY_INTERVAL = 125
QUERY_RESPONSE_INTERVAL = 1.0
MULTICAST_ADDRESS_LISTENING_INTERVAL = ROBUSTNESS_VARIABLE * QUERY_INTERVAL + 2 * QUERY_RESPONSE_INTERVAL
STARTUP_QUERY_INTERVAL = 2.0
STARTUP_QUERY_COUNT = 4
"""RFC 9777 section 9: seconds, and numbers. A link with many listeners wants their answers spread over the ten seconds of
section 9.3, and a querier that is in no hurry (section 9.6); a tunnel has one, which has just moved and may be out of reach
for a moment, so it is asked again until it has answered."""
GROUPS_OF_A_NODE = 32
GROUPS = 1024
LISTENERS_OF_A_GROUP = 256
LISTENERS = 16384
"""How many there may be: of the groups of one home address, of groups, of home addresses that listen to one of them, and of
those of all groups together."""
SOURCES = 64
"""Sources by name that a node may want of a group; who names more gets the group from all."""
REPORTS_PER_SECOND = 20
"""Reports that are taken of one home address."""
QUERY = b""
"""Stands for no group in the table of deadlines."""
Sources = frozenset[bytes] | None
"""Those that a node listens to: None for all, and who listens to none of them does not listen."""


@dataclass(slots=True, eq=False)
class _Listener:
    """A home address: where it is, and the sources that it wants of each group."""

    home_address: bytes
    tunnel: Tunnel
    startup_queries: int = 0
    """How many more times it is asked soon, unless it answers."""
    groups: dict[bytes, Sources] = field(default_factory=dict)


class HomeMulticast:
    """See the module; one of the home agent's watchers."""

    def __init__(self) -> None:
        self.counters = {
            "listener_queries_sent": 0,
            "listener_reports_received": 0,
            "listener_reports_ignored": 0,
            "groups_joined": 0,
            "groups_left": 0,
            "groups_expired": 0,
            "groups_refused": 0,
        }
        self._listeners: dict[bytes, _Listener] = {}
        self._by_tunnel: dict[Tunnel, dict[bytes, _Listener]] = {}
        self._listening: dict[bytes, int] = {}
        """How many home addresses listen to each group."""
        self._deadlines: Deadlines[tuple[bytes, bytes]] = Deadlines()
        """By home address and group."""
        self._held = 0
        """The listeners of all groups."""
        self._due: list[MulticastEffect] = []
        self._meter = Meter()

    # ---- what happens to registrations (`home_agent.Watcher`) ----

    def registered(self, binding: HomeBinding, now: Now) -> None:
        """A node that is new, or somewhere else, is asked at once, and so is one that registers again where it was: it may have
        started anew, and must not report until it has been asked (RFC 6275 section 11.3.4). Of several home addresses at one
        care-of address the first stands for the node."""
        listener = self._listeners.get(binding.home_address)
        if listener is None:
            listener = self._listeners[binding.home_address] = _Listener(binding.home_address, binding.tunnel)
        elif listener.tunnel != binding.tunnel:
            self._leave_tunnel(listener, now.monotonic)
            listener.tunnel = binding.tunnel
        others = self._by_tunnel.setdefault(binding.tunnel, {})
        others[binding.home_address] = listener
        if next(iter(others)) == binding.home_address:
            self._begin_to_ask(listener, now.monotonic)

    def ended(self, binding: HomeBinding) -> None:
        """Nobody is there to listen."""
        listener = self._listeners.pop(binding.home_address, None)
        if listener is not None:
            self._leave_tunnel(listener, 0.0)
            for group in list(listener.groups):
                self._due += self._forget(listener, group)

    def _leave_tunnel(self, listener: _Listener, moment: float) -> None:
        """Another home address at the same care-of address is asked from now on."""
        self._deadlines.stop((listener.home_address, QUERY))
        others = self._by_tunnel[listener.tunnel]
        was_first = next(iter(others)) == listener.home_address
        del others[listener.home_address]
        if not others:
            del self._by_tunnel[listener.tunnel]
        elif was_first:
            self._begin_to_ask(next(iter(others.values())), moment)

    def _begin_to_ask(self, listener: _Listener, moment: float) -> None:
        listener.startup_queries = STARTUP_QUERY_COUNT
        self._deadlines.set((listener.home_address, QUERY), moment)

    # ---- time ----

    def next_deadline(self) -> float | None:
        """When `handle_timeout` is wanted next."""
        return 0.0 if self._due else self._deadlines.next()

    def handle_timeout(self, now: Now) -> list[MulticastEffect]:
        """Ask who is to be asked (RFC 9777 section 7.1), and forget what nobody has confirmed."""
        effects, self._due = self._due, []
        for home_address, group in self._deadlines.due(now.monotonic):
            listener = self._listeners[home_address]
            if group == QUERY:
                effects.append(self._ask(listener, now))
            else:
                self.counters["groups_expired"] += 1
                effects += self._forget(listener, group)
        return effects

    def _ask(self, listener: _Listener, now: Now) -> SendListenerQuery:
        interval = STARTUP_QUERY_INTERVAL if listener.startup_queries > 1 else QUERY_INTERVAL
        listener.startup_queries = max(0, listener.startup_queries - 1)
        self._deadlines.set((listener.home_address, QUERY), now.monotonic + interval)
        self.counters["listener_queries_sent"] += 1
        source = LINK_LOCAL_PREFIX + listener.tunnel.local[8:]
        query = general_query(int(QUERY_RESPONSE_INTERVAL * 1000), ROBUSTNESS_VARIABLE, QUERY_INTERVAL)
        return SendListenerQuery(listener.tunnel, source, query)

    # ---- what nodes say ----

    def reported(self, event: ListenerReportReceived, now: Now) -> list[MulticastEffect]:
        """A node says which groups it listens to (RFC 6275 section 10.4.3: the tunnel tells which node)."""
        self.counters["listener_reports_received"] += 1
        listener = next(iter(self._by_tunnel.get(event.tunnel, {}).values()), None)
        if listener is None or not self._meter.allows(listener.home_address, REPORTS_PER_SECOND, now.monotonic):
            self.counters["listener_reports_ignored"] += 1
            return []
        if listener.startup_queries > 0:
            listener.startup_queries = 0
            self._deadlines.set((listener.home_address, QUERY), now.monotonic + QUERY_INTERVAL)
        try:
            records = _records(event.message)
        except DecodeError:
            self.counters["listener_reports_ignored"] += 1
            return []
        effects: list[MulticastEffect] = []
        for record in records:
            effects += self._record(listener, record, now)
        return effects

    def _record(self, listener: _Listener, record: MulticastAddressRecord, now: Now) -> list[MulticastEffect]:
        """One record (RFC 9777 section 5.2.13); a type that is not known is ignored."""
        group, named = record.group, frozenset(record.sources)
        before = listener.groups.get(group, frozenset())
        if record.type in (RecordType.MODE_IS_EXCLUDE, RecordType.CHANGE_TO_EXCLUDE_MODE):
            wanted: Sources = None
        elif record.type in (RecordType.MODE_IS_INCLUDE, RecordType.CHANGE_TO_INCLUDE_MODE):
            wanted = named
        elif record.type == RecordType.ALLOW_NEW_SOURCES:
            wanted = None if before is None else before | named
        elif record.type == RecordType.BLOCK_OLD_SOURCES:
            wanted = None if before is None else before - named
        else:
            return []
        return self._left(listener, group) if wanted == frozenset() else self._listen(listener, group, wanted, now)

    def _listen(self, listener: _Listener, group: bytes, sources: Sources, now: Now) -> list[MulticastEffect]:
        """A node listens to a group, for the first time or still."""
        effects: list[MulticastEffect] = []
        if group not in listener.groups:
            held = self._listening.get(group, 0)
            if not _is_global(group):
                return []
            if (
                len(listener.groups) >= GROUPS_OF_A_NODE
                or held >= LISTENERS_OF_A_GROUP
                or self._held >= LISTENERS
                or (not held and len(self._listening) >= GROUPS)
            ):
                self.counters["groups_refused"] += 1
                return []
            self.counters["groups_joined"] += 1
            self._listening[group] = held + 1
            self._held += 1
            effects.append(Subscribe(group, listener.home_address))
            if not held:
                effects.append(JoinGroup(group))
        listener.groups[group] = None if sources is not None and len(sources) > SOURCES else sources
        self._deadlines.set((listener.home_address, group), now.monotonic + MULTICAST_ADDRESS_LISTENING_INTERVAL)
        return effects

    def _left(self, listener: _Listener, group: bytes) -> list[MulticastEffect]:
        if group not in listener.groups:
            return []
        self.counters["groups_left"] += 1
        return self._forget(listener, group)

    def _forget(self, listener: _Listener, group: bytes) -> list[MulticastEffect]:
        """A home address listens to a group no more, and with the last one we ourselves do not."""
        del listener.groups[group]
        self._deadlines.stop((listener.home_address, group))
        self._listening[group] -= 1
        self._held -= 1
        effects: list[MulticastEffect] = [Unsubscribe(group, listener.home_address)]
        if not self._listening[group]:
            del self._listening[group]
            effects.append(LeaveGroup(group))
        return effects

    # ---- for people ----

    def describe(self, now: Now) -> Iterator[dict[str, object]]:
        """A row for each group of each home address."""
        for listener in self._listeners.values():
            for group, sources in listener.groups.items():
                yield {
                    "group": group,
                    "home_address": listener.home_address,
                    "care_of_address": listener.tunnel.remote,
                    "sources": sorted(sources or ()),
                    "remaining_seconds": (self._deadlines.get((listener.home_address, group)) or 0.0) - now.monotonic,
                }

    def describe_counters(self) -> dict[str, int]:
        """All counters, with the number of groups that are listened to now."""
        return self.counters | {"groups": len(self._listening)}


def _records(message: ListenerReport) -> tuple[MulticastAddressRecord, ...]:
    """What version 1 says, in the words of version 2 (RFC 9777 section 8.3.2). Raises `DecodeError`."""
    if isinstance(message, MulticastListenerReport):
        return (MulticastAddressRecord(RecordType.MODE_IS_EXCLUDE, message.group),)
    if isinstance(message, MulticastListenerDone):
        return (MulticastAddressRecord(RecordType.CHANGE_TO_INCLUDE_MODE, message.group),)
    return message.records()


def _is_global(group: bytes) -> bool:
    """Such as go through a tunnel (RFC 6275 section 10.4.2)."""
    return group[0] == MULTICAST and scope_of(group) == GLOBAL_SCOPE
