# SPDX-License-Identifier: Apache-2.0
"""The mobile node's registrations with its home agents: Binding Updates out, acknowledgements in.

RFC 6275 sections 11.5.5 (return home), 11.7.1, 11.7.3 and 11.8; RFC 3963 sections 5.1 to 5.4 (mobile routers). Beside it:
`node_transmission` (the updates on their way), `home_agent_choice` (whom they go to), `node_binding` (the Binding Update List).

Always holds: what a home agent may still hold is in the Binding Update List, and nobody is told that the node is de-registered
before that is empty.
"""

from __future__ import annotations

from math import inf
from typing import Protocol

from halma.engine.api import MessageReceived, Severity
from halma.engine.constants import INITIAL_BINDACK_TIMEOUT, LIFETIME_UNIT, MAX_BINDACK_TIMEOUT
from halma.engine.home_agent_choice import HomeAgentChoice
from halma.engine.node_api import Remember
from halma.engine.node_binding import (
    NOTHING_HELD,
    BindingUpdateListEntry,
    Remedy,
    Request,
    RequestKind,
    RouterMode,
    Transmission,
    refusal,
)
from halma.engine.node_context import NodeContext, Timer
from halma.engine.node_transmission import Transmissions
from halma.engine.node_update import lead
from halma.wire.messages import BindingAcknowledgement
from halma.wire.numbers import BindingAcknowledgementFlag, Status, name_of

LONGEST_LIFETIME = 0xFFFF
SILENT_ATTEMPTS = 3
"""Unanswered updates after which the operator is told."""
LONGEST_RETRY = 16
"""Times `retry_interval` that the wait after temporary refusals grows to."""


class Subscriber(Protocol):
    """Who wants to know how registrations stand."""

    def requested(self, agent: bytes, care_of_address: bytes) -> None:
        """A home agent is asked to accept: it may do so from now on, and its packets may overtake its answer."""

    def registered(self, entry: BindingUpdateListEntry) -> None:
        """A home agent has accepted: its tunnel may be used."""

    def unregistered(self) -> None:
        """The tunnel may not be used any more: refused, expired, revoked."""

    def deregistered(self) -> None:
        """No home agent holds a binding any more: it has said so, or its time is over."""

    def agents_exhausted(self) -> None:
        """No home agent serves: none is left to be tried, or the one in use does not answer."""

    def prefixes_wanted(self) -> None:
        """The home agent wants the node to look at the prefixes of its home link (status 1)."""


class Registrations:
    """See the module. `_goal` is what is wanted: what kind of request, from which care-of address."""

    def __init__(self, context: NodeContext, subscriber: Subscriber) -> None:
        self._context = context
        self._subscriber = subscriber
        self._transmissions = Transmissions(context, self)
        self._choice = HomeAgentChoice(context.settings)
        self.entries: dict[bytes, BindingUpdateListEntry] = {}
        """The Binding Update List, by home agent."""
        self.halted: Remedy | None = None
        """What has to happen before anything is sent again; None when that is not so."""
        self.awaiting_prefixes = False
        self.home_address_valid_until = inf
        self.care_of_valid_for = inf
        """Seconds for which the present care-of address stays valid."""
        self._goal: tuple[RequestKind, bytes] | None = None
        self._retries = 0
        context.on(Timer.RETRANSMIT, self._unanswered)
        context.on(Timer.REFRESH, self._refresh_due)
        context.on(Timer.EXPIRE, self._expired)
        context.on(Timer.RETRY, self._retry_due)

    # ---- what there is ----

    def remember_former(self) -> None:
        """A former life has left a binding with a home agent that may still be there."""
        settings, now = self._context.settings, self._context.now
        left = settings.former_expiry - now.wall
        if settings.former_home_agent and left > 0:
            left = min(left, float(LONGEST_LIFETIME * LIFETIME_UNIT))
            entry = BindingUpdateListEntry(settings.former_home_agent, b"", self._choice.mode, now.monotonic + left)
            self.entries[entry.agent] = entry
            self._choice.in_use = entry.agent
            self._context.arm(Timer.EXPIRE, left, entry.agent)

    @property
    def agents(self) -> tuple[bytes, ...]:
        """The home agents that are known, the preferred first."""
        return self._choice.agents

    @property
    def agent(self) -> bytes:
        """The home agent in use: the one that holds a binding before any other (section 11.4.1). Empty: none is known."""
        return self._choice.agent

    @property
    def request(self) -> Request | None:
        """The update that waits for its acknowledgement."""
        return self._transmissions.request

    def is_outstanding(self, agent: bytes, sequence: int | None = None) -> bool:
        """Whether an answer of this home agent is waited for (to an update with this sequence number, if given)."""
        return self._transmissions.is_outstanding(agent, sequence)

    @property
    def entry(self) -> BindingUpdateListEntry | None:
        """What the home agent in use may hold."""
        return self.entries.get(self.agent)

    @property
    def is_registered(self) -> bool:
        """Whether the home agent has accepted the present care-of address, and that has not ended."""
        entry = self.entry
        return entry is not None and entry.acknowledged

    # ---- what is wanted ----

    @property
    def _wants_binding(self) -> bool:
        return self._goal is not None and self._goal[0] is RequestKind.REGISTRATION

    def register(self, care_of_address: bytes, *, again: bool) -> None:
        """Let the home agent know that the node is there; nothing happens if it does. `again`: what is out already may have
        been lost with the link."""
        goal = (RequestKind.REGISTRATION, care_of_address)
        if self._goal == goal and not (again and (self.request is not None or self.halted is Remedy.ELSEWHERE)):
            return
        self._goal = goal
        if self.halted is Remedy.ELSEWHERE:
            self.halted = None
        entry = self.entry
        if entry is not None and entry.acknowledged and entry.care_of_address == care_of_address:
            self._drop_request()
            if self._context.remaining(Timer.REFRESH) is None:  # it was due while nothing could be said
                self._context.arm(Timer.REFRESH, max(0.0, entry.refresh - self._context.now.monotonic))
            return
        if entry is not None:
            entry.acknowledged = False
        self._retries = 0
        self._begin()

    def return_home(self) -> None:
        """De-register from the home link; `deregistered` says when that is done, at once if nothing is held anywhere."""
        self._end(RequestKind.RETURN, self._context.settings.home_address)

    def leave(self, care_of_address: bytes) -> None:
        """De-register from a foreign link."""
        self._end(RequestKind.FAREWELL, care_of_address)

    def _end(self, kind: RequestKind, care_of_address: bytes) -> None:
        if self._goal == (kind, care_of_address):
            return
        self._goal = (kind, care_of_address)
        self._context.disarm(Timer.REFRESH)
        for entry in self.entries.values():
            entry.acknowledged = False
        if self.entries:
            self._retries = 0
            self._begin()
        else:
            self._drop_request()
            self._subscriber.deregistered()

    def forget_goal(self) -> None:
        """The node does not know where it is: nothing can be sent from there."""
        self._goal = None
        self._drop_request()

    def refresh(self) -> None:
        """Tell the home agent again where the node is (Binding Refresh Request, Binding Error, a lifetime that ends)."""
        if self._wants_binding and self.request is None and self.halted is None:
            self._begin()

    def retry(self) -> bool:
        """The operator has mended something. Whether that was waited for."""
        waited = self.halted is not None or self._choice.has_refusals or self._context.remaining(Timer.RETRY) is not None
        self.halted = None
        self._choice.start_anew()
        self._retries = 0
        if waited and self._goal is not None:
            self._begin()
        return waited

    def discovered(self, agents: tuple[bytes, ...]) -> None:
        """These are the home agents, the preferred first (section 11.4.1; RFC 5026 section 5.1). What serves is left alone, and
        so is what another home agent would not mend."""
        agent, request = self.agent, self.request
        self._choice.agents = agents
        if self.halted in (Remedy.GIVE_UP, Remedy.ELSEWHERE):
            return
        if self.halted is not None:
            self.halted = None
            self._choice.forgive()
        if not self._wants_binding or self.is_registered:
            return
        if request is not None and (agent in agents or request.attempts < SILENT_ATTEMPTS):
            return
        if agent in agents and self._context.remaining(Timer.RETRY) is not None:
            return
        self._choice.in_use = agents[0]
        self._begin()

    # ---- updates out (section 11.7.1) ----

    def _begin(self) -> None:
        """Start to send what is wanted, instead of anything else."""
        assert self._goal is not None
        self._drop_request()
        kind, care_of_address = self._goal
        if self.halted is not None and kind is RequestKind.REGISTRATION:
            return
        agent = self.agent
        if kind is not RequestKind.REGISTRATION and agent not in self.entries:
            agent = next(iter(self.entries))
        if not agent:
            self._subscriber.agents_exhausted()
            return
        self._transmissions.start(Request(kind, agent, care_of_address, self._choice.mode, self._first_timeout(agent)))

    def _first_timeout(self, agent: bytes) -> float:
        """Longer when the home agent is going to look for duplicates first (sections 11.8 and 13)."""
        if agent in self.entries:
            return INITIAL_BINDACK_TIMEOUT
        return self._context.settings.initial_bindack_timeout_first_registration

    def _drop_request(self) -> None:
        self._transmissions.drop()
        self._context.disarm(Timer.RETRY)

    def prepare(self, request: Request) -> int:
        """An update is about to leave (`node_transmission.Requester`)."""
        lifetime = self._lifetime(request)
        self._note(request, lifetime)
        return lifetime

    def sent(self, request: Request) -> None:
        """An update has left (`node_transmission.Requester`)."""
        if request.kind is RequestKind.REGISTRATION:
            self._subscriber.requested(request.agent, request.care_of_address)

    def _lifetime(self, request: Request) -> int:
        """In units of 4 seconds: no longer than the home address and the care-of address stay valid; 0 ends a binding."""
        if request.kind is not RequestKind.REGISTRATION:
            return 0
        left = min(self.care_of_valid_for, self.home_address_valid_until - self._context.now.monotonic)
        wanted = min(float(self._context.settings.lifetime), left)
        return max(1, min(int(wanted) // LIFETIME_UNIT, LONGEST_LIFETIME))

    def _note(self, request: Request, lifetime: int) -> None:
        """Create or update the entry of the Binding Update List: the home agent may hold what was sent from now on."""
        now, entry = self._context.now, self.entries.get(request.agent)
        if lifetime:
            expires = now.monotonic + lifetime * LIFETIME_UNIT
            if entry is None:
                entry = BindingUpdateListEntry(request.agent, request.care_of_address, request.mode, expires)
                self.entries[request.agent] = entry
            if entry.care_of_address != request.care_of_address:
                entry.care_of_address, entry.acknowledged = request.care_of_address, False
            entry.mode = request.mode
            entry.expires = max(entry.expires, expires)
            self._choice.in_use = request.agent
        if entry is not None:
            if not entry.acknowledged:
                self._context.arm(Timer.EXPIRE, entry.expires - now.monotonic, entry.agent)
            self._remember(entry)

    def _remember(self, entry: BindingUpdateListEntry | None) -> None:
        now = self._context.now
        left = max((held.expires for held in self.entries.values()), default=0.0) - now.monotonic
        agent = entry.agent if entry is not None else b""
        self._context.do(Remember(self._transmissions.sequence, agent, now.wall + left if agent else 0.0))

    # ---- no answer (section 11.8) ----

    def _unanswered(self, _key: bytes) -> None:
        request = self.request
        assert request is not None
        if request.attempts == SILENT_ATTEMPTS:
            text = "home agent {:address} does not answer; still trying"
            self._context.report(Severity.WARNING, "no_acknowledgement", text, request.agent, peer=request.agent)
        timeout = min(2 * request.timeout, MAX_BINDACK_TIMEOUT)
        silent = timeout == MAX_BINDACK_TIMEOUT and request.kind is RequestKind.REGISTRATION
        if silent:
            self._subscriber.agents_exhausted()
        if silent and len(self.agents) > 1:
            following = self._choice.in_use = self._choice.following(request.agent)
            text = "home agent {:address} does not answer; trying {:address}"
            self._context.report(Severity.WARNING, "next_home_agent", text, request.agent, following, peer=request.agent)
            self._begin()
            return
        request.timeout = timeout
        self._transmissions.transmit()

    # ---- answers (section 11.7.3) ----

    def acknowledged(self, event: MessageReceived, message: BindingAcknowledgement) -> None:
        """An acknowledgement has come: those that pass every test are acted upon, all others ignored."""
        found = self._transmissions.answered(event, message)
        if found is None:
            self._context.count("acknowledgements_ignored")
            return
        request, transmission = found
        self._context.count(f"acknowledgements_{name_of(Status, message.status).lower()}")
        if message.status >= Status.REASON_UNSPECIFIED:
            self._refused_by(request, transmission, message)
        elif request.kind is RequestKind.REGISTRATION:
            self._accepted(request, transmission, message)
        else:
            self._gone(request.agent)

    def _accepted(self, request: Request, transmission: Transmission, message: BindingAcknowledgement) -> None:
        if request.mode is not RouterMode.NONE and not message.flags & BindingAcknowledgementFlag.MOBILE_ROUTER:
            self._router_ignored(request)
            return
        entry = self.entries[request.agent]
        granted = min(message.lifetime, transmission.lifetime)
        left = transmission.when + granted * LIFETIME_UNIT - self._context.now.monotonic
        if left <= 0:  # max(L_remain - (L_update - L_ack), 0)
            self._later(request, "granted no time")
            return
        first = not entry.acknowledged
        self._drop_request()
        self._retries = 0
        self._choice.forgive()
        entry.lifetime = granted
        entry.acknowledged = True
        entry.expires = self._context.now.monotonic + left
        if first:
            entry.since = self._context.now.monotonic
        self._context.arm(Timer.EXPIRE, left, entry.agent)
        entry.refresh = self._context.now.monotonic + max(0.0, left - lead(granted, message))
        self._context.arm(Timer.REFRESH, entry.refresh - self._context.now.monotonic)
        self.awaiting_prefixes = message.status == Status.ACCEPTED_BUT_PREFIX_DISCOVERY_NECESSARY
        if first:
            text = "registered with home agent {:address} from {:address} for {} s"
            details = (request.agent, request.care_of_address, granted * LIFETIME_UNIT)
            self._context.report(Severity.INFO, "registered", text, *details, peer=request.agent)
        self._subscriber.registered(entry)
        self._remember(entry)  # that the tunnel is used comes first
        if self.awaiting_prefixes:
            self._subscriber.prefixes_wanted()

    def _gone(self, agent: bytes) -> None:
        """A home agent holds nothing any more; go on with the next one that does."""
        self._drop_request()
        self.entries.pop(agent, None)
        self._context.disarm(Timer.EXPIRE, agent)
        self._choice.leave(agent)
        if self._wants_binding:  # it knew no mobile routers
            self._give_way(agent, Remedy.ROUTER, Status.MOBILE_ROUTER_OPERATION_NOT_PERMITTED)
        elif self.entries:
            self._begin()
        else:
            text = "home agent {:address} holds no binding any more"
            self._context.report(Severity.INFO, "deregistered", text, agent, peer=agent)
            self._subscriber.deregistered()
        self._remember(next(iter(self.entries.values()), None))  # that the home link is used comes first

    # ---- refusals ----

    def _refused_by(self, request: Request, transmission: Transmission, message: BindingAcknowledgement) -> None:
        status = message.status
        meaning = refusal(status)
        ending = request.kind is not RequestKind.REGISTRATION
        if meaning.remedy is Remedy.SEQUENCE:
            self._transmissions.sequence = message.sequence
            self._transmissions.correct(request, status)
        elif meaning.remedy is Remedy.CLOCK:
            self._transmissions.adjust_clock(request, transmission, message)
            self._transmissions.correct(request, status)
        elif meaning.remedy is Remedy.TIMESTAMP and not self._transmissions.timestamps:
            self._transmissions.timestamps = True
            self._transmissions.correct(request, status)
        elif ending and status in NOTHING_HELD:
            self._gone(request.agent)
        elif ending or meaning.remedy in (Remedy.LATER, Remedy.TIMESTAMP):
            self._later(request, meaning.text, status)
        else:
            self._tell_refusal(request, meaning.text, status)
            self._lose(request.agent)
            self._give_way(request.agent, meaning.remedy, status)

    def _tell_refusal(self, request: Request, why: str, status: int) -> None:
        text = "home agent {:address} refuses: {} (status {})"
        severity = Severity.WARNING if refusal(status).remedy is Remedy.LATER else Severity.ERROR
        reason = f"refused_{name_of(Status, status).lower()}"
        self._context.report(severity, reason, text, request.agent, why, status, peer=request.agent)

    def _later(self, request: Request, why: str, status: int = Status.REASON_UNSPECIFIED) -> None:
        """Wait before the next try, longer each time."""
        self._tell_refusal(request, why, status)
        entry = self.entries.get(request.agent)
        if request.kind is RequestKind.REGISTRATION and not (entry is not None and entry.acknowledged):
            self._subscriber.unregistered()
        self._drop_request()
        wait = self._context.settings.retry_interval * min(1 << self._retries, LONGEST_RETRY)
        self._retries = min(self._retries + 1, LONGEST_RETRY)
        self._context.arm(Timer.RETRY, wait)

    def _lose(self, agent: bytes) -> None:
        """The home agent has refused, so it holds no binding to the present care-of address (RFC 3963 section 5.4.2)."""
        entry = self.entries.get(agent)
        if entry is None:
            return
        entry.acknowledged = False
        self._context.disarm(Timer.REFRESH)
        self._subscriber.unregistered()

    def _retry_due(self, _key: bytes) -> None:
        if self._goal is not None:
            self._begin()

    def _router_ignored(self, request: Request) -> None:
        """It has registered a node, not a router: end that before another home agent is tried (RFC 3963 section 5.3)."""
        text = "home agent {:address} knows no mobile routers"
        self._context.report(Severity.ERROR, "no_mobile_routers", text, request.agent, peer=request.agent)
        self._lose(request.agent)
        self._choice.refuse(request.agent)
        self._drop_request()
        self._transmissions.start(
            Request(RequestKind.FAREWELL, request.agent, request.care_of_address, RouterMode.NONE, INITIAL_BINDACK_TIMEOUT)
        )

    def _give_way(self, agent: bytes, remedy: Remedy, status: int) -> None:
        """Another home agent, or another way to be a mobile router, or none at all (RFC 3963 section 5.4)."""
        self._drop_request()
        if remedy in (Remedy.GIVE_UP, Remedy.ELSEWHERE):
            self.halted = remedy
            return
        self._choice.refuse(agent)
        self._forget_refused(agent)
        if self._other_agent(agent):
            return
        if remedy is Remedy.ROUTER and self._choice.mode is not RouterMode.NONE:
            mode = self._choice.change_mode(status)
            what = "as a plain mobile node" if mode is RouterMode.NONE else f"in {mode.value} mode"
            text = f"no home agent serves this mobile router as it asks: trying {what}"
            self._context.report(Severity.ERROR, "mobile_router_refused", text)
            self._choice.in_use = b""
            self._context.arm(Timer.RETRY, self._context.settings.initial_bindack_timeout_first_registration)
            return
        self.halted = remedy
        self._subscriber.agents_exhausted()

    def _forget_refused(self, agent: bytes) -> None:
        """A home agent that has refused holds nothing."""
        if self.entries.pop(agent, None) is not None:
            self._context.disarm(Timer.EXPIRE, agent)
            self._remember(next(iter(self.entries.values()), None))
        self._choice.leave(agent)

    def _other_agent(self, after: bytes) -> bool:
        """Turn to the next home agent that has not refused, after InitialBindackTimeoutFirstReg (section 11.4.1)."""
        following = self._choice.following(after)
        if following == after:
            return False
        self._choice.in_use = following
        self._context.arm(Timer.RETRY, self._context.settings.initial_bindack_timeout_first_registration)
        return True

    # ---- time ----

    def _refresh_due(self, _key: bytes) -> None:
        entry = self.entry
        if self.awaiting_prefixes and entry is not None:
            left = entry.expires - self._context.now.monotonic
            if left > 2 * INITIAL_BINDACK_TIMEOUT:
                self._context.arm(Timer.REFRESH, min(INITIAL_BINDACK_TIMEOUT, left))
                return
        self.refresh()

    def _expired(self, agent: bytes) -> None:
        """What the home agent has accepted is over; or whatever it held (section 11.1)."""
        entry, now = self.entries[agent], self._context.now.monotonic
        goal = self._goal[0] if self._goal is not None else RequestKind.REGISTRATION
        if entry.acknowledged:
            entry.acknowledged = False
            self._context.count("bindings_expired")
            text = "registration with home agent {:address} has expired"
            self._context.report(Severity.WARNING, "expired", text, agent, peer=agent)
            self._subscriber.unregistered()
        if entry.expires > now:  # a refresh is out, and may have been heard
            self._context.arm(Timer.EXPIRE, entry.expires - now, agent)
            return
        farewell = self.request is not None and self.request.kind is not RequestKind.REGISTRATION
        if goal is not RequestKind.REGISTRATION or farewell:
            self._gone(agent)
            return
        self._forget_refused(agent)
        if self._goal is not None and self.request is None and self._context.remaining(Timer.RETRY) is None:
            self._begin()

    def revoked(self, agent: bytes) -> None:
        """The home agent has taken the binding back (RFC 5846 section 10)."""
        self._lose(agent)
        self._drop_request()
        self._forget_refused(agent)
        self._context.arm(Timer.RETRY, self._context.settings.retry_interval)

    def not_understood(self, agent: bytes, why: str) -> None:
        """What came back says that nobody there knows Binding Updates, now at least: try another, or later."""
        request = self.request
        if request is None or request.agent != agent:
            return
        text = "{:address} is no home agent, it seems: {}"
        self._context.report(Severity.ERROR, "no_home_agent", text, agent, why, peer=agent)
        self._context.count("not_understood")
        if self._choice.following(agent) == agent:
            self._later(request, why)
            self._subscriber.agents_exhausted()
            return
        self._lose(agent)
        self._drop_request()
        self._other_agent(agent)
