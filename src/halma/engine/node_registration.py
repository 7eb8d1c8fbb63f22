# SPDX-License-Identifier: Apache-2.0
"""The mobile node's registrations with its home agents: Binding Updates out, acknowledgements in.

RFC 6275 sections 11.5.5 (return home), 11.7.1, 11.7.3 and 11.8; RFC 3963 sections 5.1 to 5.4 and 5.8 (mobile routers); RFC
4285 sections 5 and 6 and RFC 4283 (authentication, timestamps, identifier).

Always holds: no sequence number and no timestamp is sent twice; no more than MAX_UPDATE_RATE updates leave within a second; an
acknowledgement counts only if it answers an update that is outstanding, comes from where that went, and is authenticated as the
update was; what a home agent may still hold is in the Binding Update List.
"""

from __future__ import annotations

from math import inf
from typing import Protocol

from halma.engine.api import Assurance, MessageReceived, Severity
from halma.engine.node_api import (
    INITIAL_BINDACK_TIMEOUT,
    LIFETIME_UNIT,
    MAX_BINDACK_TIMEOUT,
    MAX_UPDATE_RATE,
    Remember,
)
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
from halma.engine.node_update import Stamps, binding_update, lead, timestamp_of
from halma.wire.messages import BindingAcknowledgement
from halma.wire.numbers import BindingAcknowledgementFlag, Status, name_of

LONGEST_LIFETIME = 0xFFFF
CORRECTIONS = 3
"""How often an update is sent again at once because the home agent has told what was wrong with it."""
SILENT_ATTEMPTS = 3
"""Unanswered updates after which the operator is told."""
LONGEST_RETRY = 16
"""Times `retry_interval` that the wait after temporary refusals grows to."""
WHOLE, LOW_HALF = (1 << 64) - 1, (1 << 32) - 1
"""What of a timestamp an acknowledgement has to bring back."""


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
    """See the module."""

    def __init__(self, context: NodeContext, subscriber: Subscriber) -> None:
        self._context = context
        self._subscriber = subscriber
        settings = context.settings
        self.agents: tuple[bytes, ...] = settings.home_agents
        self.entries: dict[bytes, BindingUpdateListEntry] = {}
        """The Binding Update List, by home agent."""
        self.request: Request | None = None
        self.halted = ""
        """Why nothing is sent any more; empty when that is not so."""
        self.awaiting_prefixes = False
        self.home_address_valid_until = inf
        self._agent = b""
        self._goal: tuple[RequestKind, bytes] | None = None
        self._mode = RouterMode.NONE
        if settings.mobile_router:
            self._mode = RouterMode.EXPLICIT if settings.explicit else RouterMode.IMPLICIT
        self._refused: dict[tuple[bytes, RouterMode], int] = {}
        self._sequence = settings.sequence
        self._timestamps = settings.timestamps and settings.association is not None
        self._stamps = Stamps(settings.secret)
        self._sent: list[float] = []
        self._retries = 0
        context.on(Timer.RETRANSMIT, self._unanswered)
        context.on(Timer.RATE, self._rate_allows)
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
            entry = BindingUpdateListEntry(settings.former_home_agent, b"", self._mode, now.monotonic + left)
            self.entries[entry.agent] = entry
            self._agent = entry.agent
            self._context.arm(Timer.EXPIRE, left, entry.agent)

    @property
    def agent(self) -> bytes:
        """The home agent in use: the one that holds a binding before any other (section 11.4.1). Empty: none is known."""
        if self._agent:
            return self._agent
        return self.agents[0] if self.agents else b""

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

    def register(self, care_of_address: bytes, *, again: bool) -> None:
        """Let the home agent know that the node is there; nothing happens if it does. `again`: what is out already may have
        been lost with the link."""
        goal = (RequestKind.REGISTRATION, care_of_address)
        if self._goal == goal and not (again and (self.request is not None or self.halted == Remedy.ELSEWHERE.value)):
            return
        self._goal = goal
        if self.halted == Remedy.ELSEWHERE.value:
            self.halted = ""
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
        if self._goal is not None and self.request is None and not self.halted and self._goal[0] is RequestKind.REGISTRATION:
            self._begin()

    def retry(self) -> bool:
        """The operator has mended something. Whether that was waited for."""
        waited = bool(self.halted or self._refused) or self._context.remaining(Timer.RETRY) is not None
        self.halted = ""
        self._refused.clear()
        self._retries = 0
        settings = self._context.settings
        if settings.mobile_router:
            self._mode = RouterMode.EXPLICIT if settings.explicit else RouterMode.IMPLICIT
        if waited and self._goal is not None:
            self._begin()
        return waited

    def discovered(self, agents: tuple[bytes, ...]) -> None:
        """These are the home agents, the preferred first (section 11.4.1; RFC 5026 section 5.1). What serves is left alone, and
        so is what another home agent would not mend."""
        agent, request = self.agent, self.request
        self.agents = agents
        if self.halted in (Remedy.GIVE_UP.value, Remedy.ELSEWHERE.value):
            return
        if self.halted:
            self.halted = ""
            self._refused.clear()
        if self._goal is None or self._goal[0] is not RequestKind.REGISTRATION or self.is_registered:
            return
        if request is not None and (agent in agents or request.attempts < SILENT_ATTEMPTS):
            return
        if agent in agents and self._context.remaining(Timer.RETRY) is not None:
            return
        self._agent = agents[0]
        self._begin()

    # ---- updates out (section 11.7.1) ----

    def _begin(self) -> None:
        """Start to send what is wanted, instead of anything else."""
        assert self._goal is not None
        self._drop_request()
        kind, care_of_address = self._goal
        if self.halted and kind is RequestKind.REGISTRATION:
            return
        agent = self.agent
        if kind is not RequestKind.REGISTRATION and agent not in self.entries:
            agent = next(iter(self.entries))
        if not agent:
            self._subscriber.agents_exhausted()
            return
        self.request = Request(kind, agent, care_of_address, self._mode, self._first_timeout(agent))
        self._transmit()

    def _first_timeout(self, agent: bytes) -> float:
        """Longer when the home agent is going to look for duplicates first (sections 11.8 and 13)."""
        if agent in self.entries:
            return INITIAL_BINDACK_TIMEOUT
        return self._context.settings.initial_bindack_timeout_first_registration

    def _drop_request(self) -> None:
        self.request = None
        for timer in (Timer.RETRANSMIT, Timer.RATE, Timer.RETRY):
            self._context.disarm(timer)

    def _transmit(self) -> None:
        request, context = self.request, self._context
        assert request is not None
        now = context.now.monotonic
        self._sent = [when for when in self._sent if now - when < 1.0]
        if len(self._sent) >= MAX_UPDATE_RATE:
            context.count("binding_updates_delayed")
            context.disarm(Timer.RETRANSMIT)
            context.arm(Timer.RATE, max(0.001, self._sent[0] + 1.0 - now))
            return
        self._sent.append(now)
        self._sequence = (self._sequence + 1) & 0xFFFF
        lifetime = self._lifetime(request)
        timestamp = self._stamps.next(context.now.wall, self._sequence) if self._timestamps else 0
        request.sent(self._sequence, Transmission(now, lifetime, timestamp))
        self._note(request, lifetime)
        context.count(f"binding_updates_{request.kind.name.lower()}")
        context.do(binding_update(context.settings, request, self._sequence, lifetime, timestamp))
        if request.kind is RequestKind.REGISTRATION:
            self._subscriber.requested(request.agent, request.care_of_address)
        context.arm(Timer.RETRANSMIT, request.timeout)

    def _lifetime(self, request: Request) -> int:
        """In units of 4 seconds: no longer than the home address and the care-of address stay valid; 0 ends a binding."""
        if request.kind is not RequestKind.REGISTRATION:
            return 0
        left = min(self.care_of_valid_for, self.home_address_valid_until - self._context.now.monotonic)
        wanted = min(float(self._context.settings.lifetime), left)
        return max(1, min(int(wanted) // LIFETIME_UNIT, LONGEST_LIFETIME))

    care_of_valid_for: float = inf
    """Seconds for which the present care-of address stays valid."""

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
            self._agent = request.agent
        if entry is not None:
            if not entry.acknowledged:
                self._context.arm(Timer.EXPIRE, entry.expires - now.monotonic, entry.agent)
            self._remember(entry)

    def _remember(self, entry: BindingUpdateListEntry | None) -> None:
        now = self._context.now
        left = max((held.expires for held in self.entries.values()), default=0.0) - now.monotonic
        agent = entry.agent if entry is not None else b""
        self._context.do(Remember(self._sequence, agent, now.wall + left if agent else 0.0))

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
            self._agent = self._next_agent(request.agent)
            text = "home agent {:address} does not answer; trying {:address}"
            self._context.report(Severity.WARNING, "next_home_agent", text, request.agent, self._agent, peer=request.agent)
            self._begin()
            return
        request.timeout = timeout
        self._transmit()

    def _rate_allows(self, _key: bytes) -> None:
        self._transmit()

    def _next_agent(self, after: bytes) -> bytes:
        """In their order, from the one behind `after` on; those that have refused are left out."""
        start = self.agents.index(after) + 1 if after in self.agents else 0
        order = self.agents[start:] + self.agents[:start]
        return next((agent for agent in order if (agent, self._mode) not in self._refused), after)

    # ---- answers (section 11.7.3) ----

    def acknowledged(self, event: MessageReceived, message: BindingAcknowledgement) -> None:
        """An acknowledgement has come: those that pass every test are acted upon, all others ignored."""
        found = self._match(event, message)
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

    def _match(self, event: MessageReceived, message: BindingAcknowledgement) -> tuple[Request, Transmission] | None:
        request, settings = self.request, self._context.settings
        if request is None or event.source != request.agent or event.destination != request.care_of_address:
            return None
        at_home = request.kind is RequestKind.RETURN
        if event.home_address != (b"" if at_home else settings.home_address):
            return None
        if not self._is_authentic(event, message):
            return None
        transmission = request.transmissions.get(message.sequence)
        timestamp = timestamp_of(message)
        if message.status == Status.SEQUENCE_NUMBER_OUT_OF_WINDOW:  # its sequence number is the home agent's
            stamped = [sent for sent in request.transmissions.values() if sent.timestamp in (0, timestamp)]
            transmission = stamped[-1] if stamped else None
        if transmission is None:
            return None
        if transmission.timestamp:  # RFC 4285 section 6: it comes back whole, or its low-order half
            whole = message.status != Status.MIPV6_ID_MISMATCH
            if timestamp is None or (timestamp ^ transmission.timestamp) & (WHOLE if whole else LOW_HALF):
                return None
        return request, transmission

    def _is_authentic(self, event: MessageReceived, message: BindingAcknowledgement) -> bool:
        settings, protection = self._context.settings, event.protection
        if settings.association is None:
            return settings.insecure
        if protection.assurance is Assurance.VALID and protection.association is not None:
            return protection.association.handle == settings.association.handle
        self._context.count("acknowledgements_not_authentic")
        text = "an acknowledgement from {:address} is not authentic ({})"
        reason = "not_authentic"
        if message.status == Status.MIPV6_AUTH_FAIL:  # it cannot prove it, and may be anybody: go on, but say so
            text = "home agent {:address} says that the authentication does not hold ({}): do the keys differ?"
            reason = "authentication_failed"
        self._context.report(Severity.WARNING, reason, text, event.source, protection.assurance.value, peer=event.source)
        return False

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
        self._refused.clear()
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
        if self._agent == agent:
            self._agent = b""
        if self._goal is not None and self._goal[0] is RequestKind.REGISTRATION:  # it knew no mobile routers
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
            self._sequence = message.sequence
            self._correct(request, status)
        elif meaning.remedy is Remedy.CLOCK:
            ahead = self._stamps.adjust(timestamp_of(message) or 0, transmission.timestamp)
            if ahead:
                text = "clock of the home agent is {} s ahead of this one: timestamps are adjusted"
                self._context.report(Severity.WARNING, "clock", text, ahead, peer=request.agent)
            self._correct(request, status)
        elif meaning.remedy is Remedy.TIMESTAMP and not self._timestamps:
            self._timestamps = True
            self._correct(request, status)
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

    def _correct(self, request: Request, status: int) -> None:
        """What was wrong has been mended: send it again, at once unless that has not helped before."""
        request.corrections += 1
        self._context.report(
            Severity.DEBUG, "corrected", "home agent {:address}: {}", request.agent, refusal(status).text, peer=request.agent
        )
        if request.corrections <= CORRECTIONS:
            self._transmit()

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
        self._refused[request.agent, self._mode] = Status.MOBILE_ROUTER_OPERATION_NOT_PERMITTED
        self._drop_request()
        self.request = Request(
            RequestKind.FAREWELL, request.agent, request.care_of_address, RouterMode.NONE, INITIAL_BINDACK_TIMEOUT
        )
        self._transmit()

    def _give_way(self, agent: bytes, remedy: Remedy, status: int) -> None:
        """Another home agent, or another way to be a mobile router, or none at all (RFC 3963 section 5.4)."""
        self._drop_request()
        if remedy in (Remedy.GIVE_UP, Remedy.ELSEWHERE):
            self.halted = remedy.value
            return
        self._refused[agent, self._mode] = status
        self._forget_refused(agent)
        if self._other_agent(agent):
            return
        if remedy is Remedy.ROUTER and self._mode is not RouterMode.NONE:
            self._mode = self._other_mode(status)
            what = "as a plain mobile node" if self._mode is RouterMode.NONE else f"in {self._mode.value} mode"
            text = f"no home agent serves this mobile router as it asks: trying {what}"
            self._context.report(Severity.ERROR, "mobile_router_refused", text)
            self._agent = b""
            self._context.arm(Timer.RETRY, self._context.settings.initial_bindack_timeout_first_registration)
            return
        self.halted = remedy.value
        self._subscriber.agents_exhausted()

    def _forget_refused(self, agent: bytes) -> None:
        """A home agent that has refused holds nothing."""
        if self.entries.pop(agent, None) is not None:
            self._context.disarm(Timer.EXPIRE, agent)
            self._remember(next(iter(self.entries.values()), None))
        if self._agent == agent:
            self._agent = b""

    def _other_agent(self, after: bytes) -> bool:
        """Turn to the next home agent that has not refused, after InitialBindackTimeoutFirstReg (section 11.4.1)."""
        following = self._next_agent(after)
        if following == after:
            return False
        self._agent = following
        self._context.arm(Timer.RETRY, self._context.settings.initial_bindack_timeout_first_registration)
        return True

    def _other_mode(self, status: int) -> RouterMode:
        """RFC 3963 sections 5.4.1 and 5.4.2; a status that does not belong to the mode is fatal to it."""
        settings = self._context.settings
        tried = {mode for _, mode in self._refused}
        if status == Status.FORWARDING_SETUP_FAILED and self._mode is RouterMode.IMPLICIT and settings.networks:
            other = RouterMode.EXPLICIT
        elif status in (Status.INVALID_PREFIX, Status.NOT_AUTHORIZED_FOR_PREFIX) and self._mode is RouterMode.EXPLICIT:
            other = RouterMode.IMPLICIT
        else:
            return RouterMode.NONE
        return RouterMode.NONE if other in tried else other

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

    def is_outstanding(self, agent: bytes, sequence: int | None = None) -> bool:
        """Whether an answer of this home agent is waited for (to an update with this sequence number, if given)."""
        request = self.request
        if request is None or request.agent != agent:
            return False
        return sequence is None or sequence in request.transmissions

    def not_understood(self, agent: bytes, why: str) -> None:
        """What came back says that nobody there knows Binding Updates, now at least: try another, or later."""
        request = self.request
        if request is None or request.agent != agent:
            return
        text = "{:address} is no home agent, it seems: {}"
        self._context.report(Severity.ERROR, "no_home_agent", text, agent, why, peer=agent)
        self._context.count("not_understood")
        if self._next_agent(agent) == agent:
            self._later(request, why)
            self._subscriber.agents_exhausted()
            return
        self._lose(agent)
        self._drop_request()
        self._other_agent(agent)
