# SPDX-License-Identifier: Apache-2.0
"""Is the other end alive, and is it still the one that we knew? RFC 5847, for both roles.

A role tells `Heartbeat` which peers it has sessions with (`watch`, `forget`); heartbeats go to those alone (section 3). What
comes of it is an `Outcome`: a peer is unreachable, is back, or has restarted and lost its sessions. What that means is the
role's business.

Always holds: one request at most is outstanding per watched peer; only a response that carries its sequence number counts
(section 3.1), save for unsolicited ones (section 3.2); strangers together get no more than `STRANGER_ANSWERS` responses a
second; memory is linear in the number of watched peers, and bounded by `UNSUPPORTED` for others.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import inf

from halma.engine.api import Now, Send
from halma.engine.meter import Meter
from halma.engine.timers import Deadlines
from halma.value import value
from halma.wire.messages import Heartbeat as HeartbeatMessage
from halma.wire.numbers import HeartbeatFlag
from halma.wire.options import RestartCounter

UNSUPPORTED = 4096
"""Peers without heartbeats that are remembered; the one known longest makes room."""

STRANGER_ANSWERS = 10
"""Responses a second for peers that the role does not know; the rest is only counted."""


@value
class HeartbeatSettings:
    """RFC 5847 section 5: `interval` is HEARTBEAT_INTERVAL in seconds, `missing_allowed` MISSING_HEARTBEATS_ALLOWED."""

    enabled: bool = True
    interval: float = 60.0
    missing_allowed: int = 3


class PeerChange(Enum):
    """What a peer turned out to have done."""

    UNREACHABLE = "unreachable"
    REACHABLE = "reachable"
    RESTARTED = "restarted"


@value
class Outcome:
    """`change` has happened to the peer at this address. If it has restarted: all that was agreed with it before the monotonic
    time `before` is lost, what was agreed later may be of its new life."""

    peer: bytes
    change: PeerChange
    before: float = inf


@dataclass(slots=True, eq=False)
class _Watched:
    local: bytes
    sequence: int
    answered: bool = True
    missing: int = 0
    unreachable: bool = False
    unsupported: bool = False
    restart_counter: int | None = None
    asked: float = -inf
    """When the last request was sent."""
    known: float = -inf
    """When the last request was sent that was answered with `restart_counter`."""


class Heartbeat:
    """Heartbeats with every peer that sessions are shared with."""

    def __init__(self, settings: HeartbeatSettings, restart_counter: int) -> None:
        self._settings = settings
        self._restart_counter = restart_counter
        self._peers: dict[bytes, _Watched] = {}
        self._deadlines: Deadlines[bytes] = Deadlines()
        self._unsupported: dict[bytes, None] = {}
        self._strangers = Meter()
        self.counters = {
            "heartbeat_requests_sent": 0,
            "heartbeat_requests_received": 0,
            "heartbeat_requests_rate_limited": 0,
            "heartbeat_responses_received": 0,
            "heartbeat_responses_unmatched": 0,
        }

    def watch(self, local: bytes, peer: bytes, now: Now) -> None:
        """The first session with `peer` exists; the first request goes out one interval from now."""
        if peer not in self._peers:
            unsupported = peer in self._unsupported
            self._peers[peer] = _Watched(local, sequence=0, unsupported=unsupported)
            if self._settings.enabled and not unsupported:
                self._deadlines.set(peer, now.monotonic + self._settings.interval)

    def forget(self, peer: bytes) -> None:
        """The last session with `peer` is gone, and with it the reason to ask (section 3)."""
        if self._peers.pop(peer, None) is not None:
            self._deadlines.stop(peer)

    def receive(
        self, source: bytes, destination: bytes, message: HeartbeatMessage, now: Now, *, known: bool
    ) -> tuple[list[Send], list[Outcome]]:
        """Answer a request; match a response. Section 3: a request is answered whether or not sessions exist, within a rate
        if the role does not know who asks."""
        if not message.flags & HeartbeatFlag.RESPONSE:
            self.counters["heartbeat_requests_received"] += 1
            if not known and not self._strangers.allows(b"", STRANGER_ANSWERS, now.monotonic):
                self.counters["heartbeat_requests_rate_limited"] += 1
                return [], []
            return [Send(destination, source, self._response(HeartbeatFlag.RESPONSE, message.sequence))], []
        watched = self._peers.get(source)
        unsolicited = bool(message.flags & HeartbeatFlag.UNSOLICITED)
        if watched is None or (not unsolicited and (watched.answered or message.sequence != watched.sequence)):
            self.counters["heartbeat_responses_unmatched"] += 1
            return [], []
        self.counters["heartbeat_responses_received"] += 1
        outcomes = []
        watched.missing = 0
        watched.answered = True
        if watched.unreachable:
            watched.unreachable = False
            outcomes.append(Outcome(source, PeerChange.REACHABLE))
        for option in message.options:
            if isinstance(option, RestartCounter):
                former, watched.restart_counter = watched.restart_counter, option.counter
                # Who speaks up unasked has lost what it had, also where we have not come to ask for its counter yet.
                if former != option.counter and (unsolicited or former is not None):
                    # who speaks up unasked does so when it starts, before it registers anything
                    outcomes.append(Outcome(source, PeerChange.RESTARTED, inf if unsolicited else watched.known))
                if not unsolicited:
                    watched.known = watched.asked
        return [], outcomes

    def unsupported(self, peer: bytes) -> None:
        """The peer has sent a Binding Error with status 2. If that may answer a request of ours: no heartbeats to it, not even
        when it has sessions again (section 3)."""
        watched = self._peers.get(peer)
        if watched is not None and not watched.answered:
            watched.unsupported = True
            self._deadlines.stop(peer)
            if len(self._unsupported) >= UNSUPPORTED:
                del self._unsupported[next(iter(self._unsupported))]
            self._unsupported[peer] = None

    def announce(self, local: bytes, peers: list[bytes]) -> list[Send]:
        """Tell the peers of a former life that the sessions are lost (section 3.2, unsolicited responses)."""
        return [Send(local, peer, self._response(HeartbeatFlag.RESPONSE | HeartbeatFlag.UNSOLICITED, 0)) for peer in peers]

    def handle_timeout(self, now: Now) -> tuple[list[Send], list[Outcome]]:
        """Send the requests that are due, and count the ones that were never answered (section 3.1)."""
        requests, outcomes = [], []
        for peer in self._deadlines.due(now.monotonic):
            watched = self._peers[peer]
            if not watched.answered:
                watched.missing += 1
                if watched.missing > self._settings.missing_allowed and not watched.unreachable:
                    watched.unreachable = True
                    outcomes.append(Outcome(peer, PeerChange.UNREACHABLE))
            watched.sequence = (watched.sequence + 1) & 0xFFFFFFFF
            watched.answered = False
            watched.asked = now.monotonic
            self.counters["heartbeat_requests_sent"] += 1
            requests.append(Send(watched.local, peer, HeartbeatMessage(0, watched.sequence, ())))
            self._deadlines.set(peer, now.monotonic + self._settings.interval)
        return requests, outcomes

    def next_deadline(self) -> float | None:
        """When `handle_timeout` is wanted next, in monotonic seconds."""
        return self._deadlines.next()

    def describe(self, peer: bytes) -> dict[str, object]:
        """What is known of a watched peer, for people; empty when it is not watched."""
        watched = self._peers.get(peer)
        if watched is None:
            return {}
        state = "unreachable" if watched.unreachable else "reachable"
        return {
            "heartbeat": "unsupported" if watched.unsupported else state if self._settings.enabled else "off",
            "missing_heartbeats": watched.missing,
            "restart_counter": watched.restart_counter,
        }

    def _response(self, flags: int, sequence: int) -> HeartbeatMessage:
        return HeartbeatMessage(flags, sequence, (RestartCounter(self._restart_counter),))
