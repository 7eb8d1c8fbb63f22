# SPDX-License-Identifier: Apache-2.0
"""Proxy Binding Updates on their way: sent, sent again until they are answered, and found again by their answers. RFC 5213
sections 5.5 (timestamps and sequence numbers), 6.9.1.2 (points 1 to 6) and 6.9.4 (retransmissions, rate).

What is asked for, and what an answer means, is the business of the registrations (`gateway_registration`).

Always holds: the timestamps of the updates for a node's interface increase, unless the clock is set back, and so do their
sequence numbers where these put them in order; nothing is retransmitted for a node that is not known to be there; an
acknowledgement that answers nothing changes nothing.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from halma.engine.api import Send, Severity
from halma.engine.binding_update_list import BindingUpdateList, BindingUpdateListEntry, Offer, Request, RequestKind
from halma.engine.constants import INITIAL_BINDACK_TIMEOUT, LIFETIME_UNIT, MAX_BINDACK_TIMEOUT, RETRANS_TIMER
from halma.engine.gateway_context import GatewayContext, Timer
from halma.engine.gateway_link import AccessLinks
from halma.engine.proxy_binding_update import ProxyAnswer, proxy_binding_update
from halma.value import value
from halma.wire.addresses import UNSPECIFIED
from halma.wire.messages import BindingAcknowledgement
from halma.wire.numbers import BindingAcknowledgementFlag, HandoffIndicatorValue, Status
from halma.wire.timestamp import to_timestamp

REJECTED = 128
"""Status values from here on are refusals (section 8.2)."""
IMMEDIATE_RETRIES = 1
"""How often a request is sent again at once because its timestamp or sequence number came too low; after that the next
attempt waits for the retransmission timer."""
SILENT_AFTER = 4
"""Unanswered transmissions after which the anchor counts as silent."""
CLOCK_STEP = 6554
"""Timestamp units (a tenth of a second) by which the clock may lie behind the last timestamp before it counts as set back."""
SEQUENCE_WINDOW = 0x8000
"""How far ahead of a refused sequence number the anchor's last one can be (RFC 6275 section 9.5.1)."""
CLOCK_TOLERANCE = 19661
"""Timestamp units (0.3 s, the default of TimestampValidityWindow) by which two clocks that agree may differ."""


class Memory:
    """What is kept of a node's interface between its visits: the last sequence number and timestamp that were used for it,
    and when its last registrations were sent."""

    __slots__ = ("sent", "sequence", "timestamp")

    def __init__(self, rate: int) -> None:
        self.sequence = 0
        self.timestamp = 0
        self.sent: deque[float] = deque(maxlen=rate)


@value
class Answered:
    """An acknowledgement beside the request that it answers. `difference` names an option that it should have echoed and has
    not (point 6); empty: it is to be acted upon."""

    entry: BindingUpdateListEntry
    request: Request
    answer: ProxyAnswer
    difference: str


class Requester(Protocol):
    """Who is told what becomes of updates that are not answered."""

    def silent(self, entry: BindingUpdateListEntry) -> None:
        """The anchor does not answer a request. That is said once for each, and it is sent again all the same."""

    def unanswered(self, entry: BindingUpdateListEntry) -> None:
        """The anchor has not answered a de-registration, and it is not sent again."""


class Transmissions:
    """See the module. What is kept between a node's visits is kept by its interface, so that its next update is newer than its
    last."""

    def __init__(self, context: GatewayContext, links: AccessLinks, sessions: BindingUpdateList, requester: Requester) -> None:
        self._context = context
        self._links = links
        self._sessions = sessions
        self._requester = requester
        self._memories: dict[bytes, Memory] = {}
        self._sequence = 0
        context.on(Timer.RETRANSMIT, self._due)

    # ---- sending --------------------------------------------------------------------------------------------------------

    def request(self, entry: BindingUpdateListEntry, kind: RequestKind, timeout: float = INITIAL_BINDACK_TIMEOUT) -> None:
        """Ask the anchor, instead of whatever it was asked before. `timeout` is the first wait for its answer."""
        prefixes, indicator = entry.prefixes, int(HandoffIndicatorValue.NOT_CHANGED)
        if kind is RequestKind.REGISTRATION:
            prefixes, indicator = entry.requested, entry.handoff_indicator
        elif kind is RequestKind.DEREGISTRATION:
            prefixes, indicator = entry.prefixes or entry.requested, int(HandoffIndicatorValue.UNKNOWN)
        offer = Offer(entry.identifier, entry.link_layer_identifier, indicator, entry.access_technology, prefixes)
        entry.immediate_retries = 0
        entry.silence_told = entry.halted = False
        self._sessions.start(entry, Request(kind, offer, timeout, self._context.now.monotonic))
        self._transmit(entry)

    def finish(self, entry: BindingUpdateListEntry) -> None:
        """No answer is waited for any more."""
        self._context.disarm(Timer.RETRANSMIT, entry.key)
        self._sessions.finish(entry)

    def hasten(self, anchor: bytes) -> None:
        """The anchor answers again: what waits for it is sent anew now, without the back-off that has built up."""
        for entry in self._sessions.of_anchor(anchor):
            if entry.request is not None and entry.request.kind is not RequestKind.DEREGISTRATION:
                entry.request.timeout = INITIAL_BINDACK_TIMEOUT / 2
                self._context.arm_at(Timer.RETRANSMIT, entry.key, self._context.now.monotonic)

    def _memory(self, key: bytes) -> Memory:
        memory = self._memories.pop(key, None)
        if memory is None:
            memory = Memory(self._context.settings.maximum_update_rate)
            if len(self._memories) >= self._context.settings.maximum_attachments:
                del self._memories[next(iter(self._memories))]
        self._memories[key] = memory
        return memory

    def _transmit(self, entry: BindingUpdateListEntry) -> None:
        context, settings, request = self._context, self._context.settings, entry.request
        assert request is not None
        moment = context.now.monotonic
        memory = self._memory(entry.key)
        if request.kind is not RequestKind.DEREGISTRATION and settings.maximum_update_rate:
            if len(memory.sent) == settings.maximum_update_rate and moment < memory.sent[0] + 1.0:
                context.count("registration_rate_limited")
                context.arm_at(Timer.RETRANSMIT, entry.key, memory.sent[0] + 1.0)
                return
            memory.sent.append(moment)
        timestamp = None
        if settings.timestamp_based_approach:
            self._sequence = sequence = (self._sequence + 1) & 0xFFFF
            timestamp = to_timestamp(context.now.wall)
            if timestamp <= memory.timestamp < timestamp + CLOCK_STEP:
                timestamp = memory.timestamp + 1
            memory.timestamp = timestamp
        else:
            memory.sequence = sequence = (memory.sequence + 1) & 0xFFFF
        lifetime = 0
        if request.kind is not RequestKind.DEREGISTRATION:
            lifetime = min((entry.profile.lifetime or settings.lifetime) // LIFETIME_UNIT, 0xFFFF)
        link_local = None if settings.link_local_address != UNSPECIFIED else entry.requested_link_local_address
        message = proxy_binding_update(request.offer, sequence, lifetime, timestamp, link_local)
        self._sessions.transmitted(entry, request, sequence, timestamp or 0)
        context.count(f"pbu_sent_{request.kind.name.lower()}")
        context.do(Send(settings.address, entry.anchor, message))
        context.arm_at(Timer.RETRANSMIT, entry.key, moment + request.timeout)

    # ---- sending again --------------------------------------------------------------------------------------------------

    def _due(self, key: bytes) -> None:
        entry = self._sessions.get(key)
        assert entry is not None
        request = entry.request
        assert request is not None
        if not request.transmissions:
            self._transmit(entry)
        elif request.kind is RequestKind.DEREGISTRATION:
            self._context.count("deregistration_unanswered")
            self._requester.unanswered(entry)
        else:
            attachment = self._links.attachment(key)
            assert attachment is not None
            if self._context.now.monotonic - attachment.last_heard <= request.timeout:
                self._retransmit(entry, request)
            else:
                self._links.ask(attachment, RETRANS_TIMER, lambda: self._retransmit(entry, request))

    def _retransmit(self, entry: BindingUpdateListEntry, request: Request) -> None:
        if entry.request is not request:
            return
        request.timeout = min(2 * request.timeout, MAX_BINDACK_TIMEOUT)
        self._context.count("pbu_retransmitted")
        self._transmit(entry)
        if len(request.transmissions) >= SILENT_AFTER and not entry.silence_told:
            entry.silence_told = True
            text = "anchor does not answer the {} of node {:node}"
            details = (request.kind.value, entry.identifier)
            self._context.report(Severity.WARNING, "anchor_silent", text, *details, peer=entry.anchor)
            self._requester.silent(entry)

    def correct(self, entry: BindingUpdateListEntry, answer: ProxyAnswer) -> None:
        """The anchor has seen a later timestamp or sequence number: send the request again with one that is later still (point
        8), at once unless that has not helped before."""
        memory = self._memory(entry.key)
        ahead = (answer.sequence - memory.sequence) & 0xFFFF
        if answer.status == Status.SEQUENCE_NUMBER_OUT_OF_WINDOW and ahead <= SEQUENCE_WINDOW:
            memory.sequence = answer.sequence  # never back: an answer may be late
        if entry.immediate_retries < IMMEDIATE_RETRIES:
            entry.immediate_retries += 1
            self._transmit(entry)

    # ---- answers --------------------------------------------------------------------------------------------------------

    def answered(self, source: bytes, message: BindingAcknowledgement) -> Answered | None:
        """Which request an acknowledgement from `source` answers; None when it is to be ignored."""
        if not message.flags & BindingAcknowledgementFlag.PROXY:
            self._context.count("acknowledgement_without_proxy_flag")
            return None
        answer = ProxyAnswer(message)
        if answer.duplicate:
            self._context.count("pba_duplicate_option")
            return None
        found = self._match(source, answer)
        if found is None:
            self._context.count("pba_unmatched")
            return None
        timestamp = found.request.transmissions.get(answer.sequence, 0)
        echoed = not timestamp or answer.timestamp in (None, timestamp)
        if not found.difference and answer.status < REJECTED and not echoed:
            self._context.count("pba_wrong_timestamp")
            return None
        return found

    def _match(self, source: bytes, answer: ProxyAnswer) -> Answered | None:
        if answer.status == Status.SEQUENCE_NUMBER_OUT_OF_WINDOW and answer.identifier is not None:
            # The number in it is the anchor's, not the request's: only what it echoes tells which it answers.
            for entry in self._sessions.of_node(answer.identifier):
                request = entry.request
                if entry.anchor == source and request is not None and not answer.difference(request.offer):
                    return Answered(entry, request, answer, "")
            return None
        candidates = [
            (entry, entry.request)
            for entry in self._sessions.waiting(source, answer.sequence)
            if entry.request is not None
            # Without timestamps the number alone says nothing: each session counts for itself.
            and (self._context.settings.timestamp_based_approach or answer.is_about(entry.request.offer))
        ]
        if len(candidates) != 1:
            return None
        ((entry, request),) = candidates
        return Answered(entry, request, answer, answer.difference(request.offer))

    def late(self, request: Request, answer: ProxyAnswer) -> bool:
        """Whether an update was refused for its age alone: what the anchor gives as its time of day (section 5.5) lies
        between our sending and now, so it was the network that took long, and the clock needs no synchronization."""
        sent = request.transmissions.get(answer.sequence, 0)
        if not sent or answer.timestamp is None:
            return False
        return sent - CLOCK_TOLERANCE <= answer.timestamp <= to_timestamp(self._context.now.wall) + CLOCK_TOLERANCE
