# SPDX-License-Identifier: Apache-2.0
"""The mobile node's Binding Updates on their way: sent no faster than is allowed, and found again by their answers.

RFC 6275 sections 11.7.1, 11.7.3 and 11.8, RFC 4285 sections 5 and 6 (authentication, timestamps). What is asked for, and what
an answer means, is the business of the registrations (`node_registration`).

Always holds: no sequence number and no timestamp is sent twice; no more than MAX_UPDATE_RATE updates leave within a second; an
acknowledgement counts only if it answers an update that is outstanding, comes from where that went, and is authenticated as the
update was.
"""

from __future__ import annotations

from typing import Protocol

from halma.engine.api import Assurance, MessageReceived, Severity
from halma.engine.constants import MAX_UPDATE_RATE
from halma.engine.node_binding import Request, RequestKind, Transmission, refusal
from halma.engine.node_context import NodeContext, Timer
from halma.engine.node_update import Stamps, binding_update, timestamp_of
from halma.wire.messages import BindingAcknowledgement
from halma.wire.numbers import Status

CORRECTIONS = 3
"""How often an update is sent again at once because the home agent has told what was wrong with it."""
WHOLE, LOW_HALF = (1 << 64) - 1, (1 << 32) - 1
"""What of a timestamp an acknowledgement has to bring back."""


class Requester(Protocol):
    """Whose updates these are."""

    def prepare(self, request: Request) -> int:
        """An update is about to leave, and the home agent may hold what it says from then on. The lifetime to ask for, in units
        of 4 seconds."""

    def sent(self, request: Request) -> None:
        """It has left."""


class Transmissions:
    """See the module. `request` is what an answer is waited for to; `sequence` the number that was used last; `timestamps` says
    whether updates carry one."""

    def __init__(self, context: NodeContext, requester: Requester) -> None:
        settings = context.settings
        self._context = context
        self._requester = requester
        self.request: Request | None = None
        self.sequence = settings.sequence
        self.timestamps = settings.timestamps and settings.association is not None
        self._stamps = Stamps(settings.secret)
        self._sent: list[float] = []
        context.on(Timer.RATE, self._rate_allows)

    # ---- sending (section 11.7.1) ----

    def start(self, request: Request) -> None:
        """Send this, instead of anything else."""
        self.drop()
        self.request = request
        self.transmit()

    def drop(self) -> None:
        """No answer is waited for any more."""
        self.request = None
        self._context.disarm(Timer.RETRANSMIT)
        self._context.disarm(Timer.RATE)

    def transmit(self) -> None:
        """Send what is outstanding, once more if it has been sent before: now, or as soon as the rate allows."""
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
        self.sequence = (self.sequence + 1) & 0xFFFF
        lifetime = self._requester.prepare(request)
        timestamp = self._stamps.next(context.now.wall, self.sequence) if self.timestamps else 0
        request.sent(self.sequence, Transmission(now, lifetime, timestamp))
        context.count(f"binding_updates_{request.kind.name.lower()}")
        context.do(binding_update(context.settings, request, self.sequence, lifetime, timestamp))
        self._requester.sent(request)
        context.arm(Timer.RETRANSMIT, request.timeout)

    def _rate_allows(self, _key: bytes) -> None:
        self.transmit()

    # ---- what the home agent corrects ----

    def adjust_clock(self, request: Request, transmission: Transmission, message: BindingAcknowledgement) -> None:
        """The home agent's clock differs from ours: timestamps follow that one from now on (RFC 4285 section 6)."""
        ahead = self._stamps.adjust(timestamp_of(message) or 0, transmission.timestamp)
        if ahead:
            text = "clock of the home agent is {} s ahead of this one: timestamps are adjusted"
            self._context.report(Severity.WARNING, "clock", text, ahead, peer=request.agent)

    def correct(self, request: Request, status: int) -> None:
        """What was wrong has been mended: send it again, at once unless that has not helped before."""
        request.corrections += 1
        text = "home agent {:address}: {}"
        self._context.report(Severity.DEBUG, "corrected", text, request.agent, refusal(status).text, peer=request.agent)
        if request.corrections <= CORRECTIONS:
            self.transmit()

    # ---- answers (section 11.7.3) ----

    def answered(self, event: MessageReceived, message: BindingAcknowledgement) -> tuple[Request, Transmission] | None:
        """What an acknowledgement answers; None when it does not pass every test, and is to be ignored."""
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

    def is_outstanding(self, agent: bytes, sequence: int | None = None) -> bool:
        """Whether an answer of this home agent is waited for (to an update with this sequence number, if given)."""
        request = self.request
        if request is None or request.agent != agent:
            return False
        return sequence is None or sequence in request.transmissions
