# SPDX-License-Identifier: Apache-2.0
"""Registering nodes with their anchors, keeping the registrations, and giving them up. RFC 5213 sections 5.5, 6.9.1, 6.9.4
and 6.13.

Always holds: a prefix is bound in the data plane only after the anchor has accepted, and the node is told its prefixes only
after that (GW-4); nothing is retransmitted or refreshed for a node that is not known to be there; whoever is denied service
has no binding left.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from halma.engine.api import Bind, ForwardingDone, Send, Severity, Unbind
from halma.engine.binding_update_list import (
    LINK_LAYER_IDENTIFIER_UNKNOWN,
    BindingUpdateList,
    BindingUpdateListEntry,
    EntryState,
    Offer,
    Request,
    RequestKind,
)
from halma.engine.gateway_api import (
    INITIAL_BINDACK_TIMEOUT,
    LIFETIME_UNIT,
    MAX_BINDACK_TIMEOUT,
    RETRANS_TIMER,
    UNSPECIFIED,
    TearDownLink,
)
from halma.engine.gateway_context import GatewayContext, Timer
from halma.engine.gateway_link import AccessLinks, Attachment, Denial
from halma.engine.link_local import another_address
from halma.engine.proxy_binding_update import ProxyAnswer, proxy_binding_update
from halma.wire.messages import BindingAcknowledgement
from halma.wire.numbers import BindingAcknowledgementFlag, HandoffIndicatorValue, Status, name_of
from halma.wire.options import HomeNetworkPrefix
from halma.wire.timestamp import to_timestamp

REJECTED = 128
"""Status values from here on are refusals (section 8.2)."""
REFRESH_AT = 2 / 3
"""The part of a lifetime after which it is extended."""
IMMEDIATE_RETRIES = 1
"""How often a request is sent again at once because its timestamp or sequence number came too low; after that the next
attempt waits for the retransmission timer."""
SILENT_AFTER = 4
"""Unanswered transmissions after which the node is told that there is no router."""
CLOCK_STEP = 6554
"""Timestamp units (a tenth of a second) by which the clock may lie behind the last timestamp before it counts as set back."""
SEQUENCE_WINDOW = 0x8000
"""How far ahead of a refused sequence number the anchor's last one can be (RFC 6275 section 9.5.1)."""
CLOCK_TOLERANCE = 19661
"""Timestamp units (0.3 s, the default of TimestampValidityWindow) by which two clocks that agree may differ."""
TEMPORARY = frozenset({Status.REASON_UNSPECIFIED, Status.INSUFFICIENT_RESOURCES})
"""Refusals after which the gateway asks again by itself; others wait for a new attachment or somebody's action."""
WRONG_PREFIXES = frozenset({Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX, Status.BCE_PBU_PREFIX_SET_DO_NOT_MATCH})
TOO_OLD = frozenset({Status.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED, Status.SEQUENCE_NUMBER_OUT_OF_WINDOW})
UNKNOWN_HANDOFF = int(HandoffIndicatorValue.UNKNOWN)
UNCHANGED = int(HandoffIndicatorValue.NOT_CHANGED)
ADMINISTRATIVE = "administrative action"
CLOCK = "clock synchronization"
ATTACHMENT = "new attachment"
TIME = "time"
MISMATCHED = Denial("pba_mismatched", ADMINISTRATIVE)


class Memory:
    """What is kept of a node's interface between its visits: the last sequence number and timestamp that were used for it,
    and when its last registrations were sent."""

    __slots__ = ("sent", "sequence", "timestamp")

    def __init__(self, rate: int) -> None:
        self.sequence = 0
        self.timestamp = 0
        self.sent: deque[float] = deque(maxlen=rate)


class Service(Protocol):
    """What the registrations tell about a node's service; the gateway's advertisements answer to it."""

    def begin(self, entry: BindingUpdateListEntry, attachment: Attachment) -> None:
        """Packets flow, or flow for longer now: tell the node its prefixes."""

    def end(self, attachment: Attachment) -> None:
        """Packets do not flow (any more): take back what the node was told."""


class Registrations:
    """See the module."""

    def __init__(self, context: GatewayContext, links: AccessLinks, service: Service) -> None:
        self._context = context
        self._links = links
        self._service = service
        self.list = BindingUpdateList()
        self._memories: dict[bytes, Memory] = {}
        self._prohibited: dict[bytes, int] = {}
        self._ops: dict[int, bytes] = {}
        self._sequence = 0
        context.on(Timer.RETRANSMIT, self._retransmission_due)
        context.on(Timer.REFRESH, self._refresh_due)
        context.on(Timer.EXPIRE, self._expired)
        context.on(Timer.RETRY, self._retry_due)

    # ---- beginning and ending a session ---------------------------------------------------------------------------------

    def attachment(self, entry: BindingUpdateListEntry) -> Attachment | None:
        """The attachment that the session is for; None when the node has gone, or is served without a session meanwhile."""
        attachment = self._links.attachment(entry.key)
        return None if attachment is not None and attachment.local else attachment

    def register(self, attachment: Attachment) -> None:
        """A node has attached, or is to be asked for anew: send the initial registration (section 6.9.1.1)."""
        settings, profile = self._context.settings, attachment.profile
        self._context.disarm(Timer.RETRY, attachment.key)
        if profile.identifier in self._prohibited:
            self._context.count("registration_prohibited")
            attachment.denial = Denial("PROXY_REG_NOT_ENABLED", ADMINISTRATIVE)
            self._service.end(attachment)
            return
        attachment.denial = None
        anchor = profile.anchor or settings.anchor
        entry = self.list.get(attachment.key)
        if entry is not None and (entry.anchor != anchor or entry.identifier != profile.identifier):
            self._unbind(entry)
            self._forget(entry)
            entry = None
        if entry is None:
            entry = BindingUpdateListEntry(attachment.key, attachment.interface, anchor, settings.address, profile)
            self.list.add(entry)
        else:
            entry.requested = entry.prefixes or profile.prefixes
            self._unbind(entry)
        entry.profile = profile
        entry.interface = attachment.interface
        entry.link_layer_identifier = attachment.link_layer_address or LINK_LAYER_IDENTIFIER_UNKNOWN
        entry.access_technology = attachment.access_technology or profile.access_technology or settings.access_technology
        entry.handoff_indicator = self._handoff_indicator(attachment)
        entry.link_local_address = settings.link_local_address
        entry.requested_link_local_address = UNSPECIFIED
        entry.state = EntryState.REGISTERING
        self._request(entry, RequestKind.REGISTRATION)

    def deregister(self, entry: BindingUpdateListEntry) -> None:
        """The node has gone, or its session is to end (section 6.9.1.4). The node is on no link any more, or is denied."""
        if entry.state is EntryState.DEREGISTERING:
            return
        entry.state = EntryState.DEREGISTERING
        self._context.disarm(Timer.REFRESH, entry.key)
        self._context.disarm(Timer.EXPIRE, entry.key)
        self._request(entry, RequestKind.DEREGISTRATION)

    def move(self, entry: BindingUpdateListEntry, interface: int) -> None:
        """The node is on another link of this gateway: the same tunnel, another interface. The anchor is told by a refresh,
        for its binding has not changed."""
        entry.interface = interface
        if entry.state in (EntryState.REGISTERED, EntryState.BINDING):
            entry.state = EntryState.BINDING
            for prefix in entry.prefixes:
                self._bind(entry, prefix)
            self._request(entry, RequestKind.REFRESH)

    def revoke(self, entry: BindingUpdateListEntry) -> None:
        """The anchor has ended the session (RFC 5846 section 9.1): nothing is left to be given up there."""
        attachment = self.attachment(entry)
        self._remove(entry)
        if attachment is not None:
            attachment.denial = Denial("revoked", ATTACHMENT)
            self._service.end(attachment)

    # ---- sending --------------------------------------------------------------------------------------------------------

    def _handoff_indicator(self, attachment: Attachment) -> int:
        known = attachment.handoff_indicator or attachment.profile.handoff_indicator
        if known:
            return known
        for other in self.list.of_node(attachment.profile.identifier):
            if other.key != attachment.key and other.state is EntryState.REGISTERED:
                return int(HandoffIndicatorValue.NEW_INTERFACE)
        return UNKNOWN_HANDOFF

    def _request(self, entry: BindingUpdateListEntry, kind: RequestKind, timeout: float = INITIAL_BINDACK_TIMEOUT) -> None:
        prefixes, indicator = entry.prefixes, UNCHANGED
        if kind is RequestKind.REGISTRATION:
            prefixes, indicator = entry.requested, entry.handoff_indicator
        elif kind is RequestKind.DEREGISTRATION:
            prefixes, indicator = entry.prefixes or entry.requested, UNKNOWN_HANDOFF
        offer = Offer(entry.identifier, entry.link_layer_identifier, indicator, entry.access_technology, prefixes)
        entry.immediate_retries = 0
        entry.silence_told = entry.halted = False
        self.list.start(entry, Request(kind, offer, timeout, self._context.now.monotonic))
        self._transmit(entry)

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
        self.list.transmitted(entry, request, sequence, timestamp or 0)
        context.count(f"pbu_sent_{request.kind.name.lower()}")
        context.do(Send(settings.address, entry.anchor, message))
        context.arm_at(Timer.RETRANSMIT, entry.key, moment + request.timeout)

    def _retransmission_due(self, key: bytes) -> None:
        entry = self.list.get(key)
        assert entry is not None
        request = entry.request
        assert request is not None
        if not request.transmissions:
            self._transmit(entry)
        elif request.kind is RequestKind.DEREGISTRATION:
            self._context.count("deregistration_unanswered")
            self._remove(entry)
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
            self._report(Severity.WARNING, "anchor_silent", entry, text, request.kind.value, entry.identifier)
            attachment = self._links.attachment(entry.key)
            if entry.state is EntryState.REGISTERING and attachment is not None:
                self._service.end(attachment)

    # ---- keeping --------------------------------------------------------------------------------------------------------

    def _refresh_due(self, key: bytes) -> None:
        entry, attachment = self.list.get(key), self._links.attachment(key)
        assert entry is not None
        assert attachment is not None
        self._links.ask(attachment, RETRANS_TIMER, lambda: self.refresh(entry))

    def refresh(self, entry: BindingUpdateListEntry) -> None:
        """Extend the lifetime of a session whose node is known to be there (section 6.9.1.3)."""
        if entry.state is EntryState.REGISTERED and entry.request is None and self.list.get(entry.key) is entry:
            self._request(entry, RequestKind.REFRESH)

    def renew(self, entry: BindingUpdateListEntry) -> None:
        """The anchor may have lost the session: register it anew, with the prefixes that it has (RFC 5847 section 3)."""
        attachment = self._links.attachment(entry.key)
        if entry.state is EntryState.REGISTERED and attachment is not None:
            entry.requested = entry.prefixes
            entry.handoff_indicator = UNKNOWN_HANDOFF
            self._links.ask(attachment, RETRANS_TIMER, lambda: self._renew_now(entry))

    def _renew_now(self, entry: BindingUpdateListEntry) -> None:
        asked = entry.request is not None and entry.request.kind is RequestKind.REGISTRATION
        if entry.state is EntryState.REGISTERED and not asked and self.list.get(entry.key) is entry:
            self._request(entry, RequestKind.REGISTRATION)

    def hasten(self, anchor: bytes) -> None:
        """The anchor answers again: what waits for it is sent anew now, without the back-off that has built up."""
        for entry in self.list.of_anchor(anchor):
            if entry.request is not None and entry.request.kind is not RequestKind.DEREGISTRATION:
                entry.request.timeout = INITIAL_BINDACK_TIMEOUT / 2
                self._context.arm_at(Timer.RETRANSMIT, entry.key, self._context.now.monotonic)

    def _expired(self, key: bytes) -> None:
        entry, attachment = self.list.get(key), self._links.attachment(key)
        assert entry is not None
        assert attachment is not None
        self._context.count("binding_expired")
        text = "the binding of node {:node} has run out before the anchor extended it"
        self._report(Severity.WARNING, "binding_expired", entry, text, entry.identifier)
        self._context.disarm(Timer.REFRESH, key)
        if entry.halted:
            self.deny(entry, MISMATCHED)
            return
        self._unbind(entry)
        self._service.end(attachment)
        entry.requested, entry.prefixes = entry.prefixes, ()
        entry.handoff_indicator = UNKNOWN_HANDOFF
        entry.state = EntryState.REGISTERING
        timeout = entry.request.timeout if entry.request is not None else INITIAL_BINDACK_TIMEOUT
        self._request(entry, RequestKind.REGISTRATION, timeout)

    # ---- the anchor's answer --------------------------------------------------------------------------------------------

    def acknowledged(self, source: bytes, message: BindingAcknowledgement) -> None:
        """A Binding Acknowledgement came from `source` (section 6.9.1.2)."""
        context = self._context
        if not message.flags & BindingAcknowledgementFlag.PROXY:
            context.count("acknowledgement_without_proxy_flag")
            return
        answer = ProxyAnswer(message)
        if answer.duplicate:
            context.count("pba_duplicate_option")
            return
        entry, difference = self._match(source, answer)
        if entry is None:
            context.count("pba_unmatched")
            return
        request = entry.request
        assert request is not None
        if difference:
            self._mismatched(entry, difference)
            return
        timestamp = request.transmissions.get(answer.sequence, 0)
        if answer.status < REJECTED and timestamp and answer.timestamp not in (None, timestamp):
            context.count("pba_wrong_timestamp")
            return
        context.count(f"pba_received_{answer.status}")
        if request.kind is RequestKind.DEREGISTRATION:
            if answer.status >= REJECTED:
                text = "anchor refuses to give up node {:node}: {} (status {})"
                status = name_of(Status, answer.status)
                self._report(Severity.INFO, "deregistration_refused", entry, text, entry.identifier, status, answer.status)
            self._remove(entry)
        elif answer.status >= REJECTED:
            self._rejected(entry, request, answer)
        elif not answer.prefixes or not answer.lifetime:
            context.count("pba_without_grant")
        else:
            self._accepted(entry, answer)

    def _match(self, source: bytes, answer: ProxyAnswer) -> tuple[BindingUpdateListEntry | None, str]:
        if answer.status == Status.SEQUENCE_NUMBER_OUT_OF_WINDOW and answer.identifier is not None:
            for entry in self.list.of_node(answer.identifier):
                if entry.anchor == source and entry.request is not None and not answer.difference(entry.request.offer):
                    return entry, ""
            return None, ""
        candidates = [
            (entry, entry.request.offer)
            for entry in self.list.waiting(source, answer.sequence)
            if entry.request is not None
            # Without timestamps the number alone says nothing: each session counts for itself.
            and (self._context.settings.timestamp_based_approach or answer.is_about(entry.request.offer))
        ]
        if len(candidates) != 1:
            return None, ""
        ((entry, offer),) = candidates
        return entry, answer.difference(offer)

    def _mismatched(self, entry: BindingUpdateListEntry, difference: str) -> None:
        """Point 6: ignore it, and send this update no more until somebody has looked at it."""
        self._context.count("pba_mismatched")
        text = "anchor's answer for node {:node} does not echo the {} option: ignored, and nothing is sent again until told so"
        self._report(Severity.ERROR, "pba_mismatched", entry, text, entry.identifier, difference)
        self._context.disarm(Timer.RETRANSMIT, entry.key)
        self.list.finish(entry)
        attachment = self._links.attachment(entry.key)
        if attachment is None or entry.state is EntryState.DEREGISTERING:
            self._remove(entry)
        elif entry.state is EntryState.REGISTERING:
            self.deny(entry, MISMATCHED)
        else:
            entry.halted = True
            self._context.disarm(Timer.REFRESH, entry.key)

    def _accepted(self, entry: BindingUpdateListEntry, answer: ProxyAnswer) -> None:
        """Points 12 to 15."""
        context, settings = self._context, self._context.settings
        request, attachment = entry.request, self._links.attachment(entry.key)
        assert request is not None
        assert attachment is not None
        self.list.finish(entry)
        context.disarm(Timer.RETRANSMIT, entry.key)
        ours = settings.access_prefix
        if ours is not None and any(ours.contains(prefix.prefix) for prefix in answer.prefixes):
            self._not_a_home(entry, attachment, answer)
            return
        attachment.refusals = 0
        attachment.handoff_indicator = 0
        entry.handoff_indicator = UNKNOWN_HANDOFF
        entry.lifetime = answer.lifetime * LIFETIME_UNIT
        entry.expires = context.now.monotonic + entry.lifetime
        context.arm_at(Timer.EXPIRE, entry.key, entry.expires)
        context.arm_at(Timer.REFRESH, entry.key, context.now.monotonic + entry.lifetime * REFRESH_AT)
        gone = [prefix for prefix in entry.bound if prefix not in answer.prefixes]
        entry.prefixes = answer.prefixes
        for prefix in gone:
            self._unbind_one(entry, prefix)
        missing = [prefix for prefix in answer.prefixes if entry.bound.get(prefix) != entry.interface]
        for prefix in missing:
            self._bind(entry, prefix)
        if entry.pending:
            entry.state = EntryState.BINDING
        else:
            entry.state = EntryState.REGISTERED
        if settings.link_local_address == UNSPECIFIED:
            self._link_local_address(entry, attachment, answer.link_local_address or UNSPECIFIED)
        if not entry.pending:
            self._service.begin(entry, attachment)

    def _not_a_home(self, entry: BindingUpdateListEntry, attachment: Attachment, answer: ProxyAnswer) -> None:
        """The anchor gives out prefixes that belong to this gateway's own links: somebody has configured one of us wrongly."""
        self._context.count("access_prefix_granted")
        text = "anchor grants node {:node} a prefix of this gateway's own access links: the session is given up"
        self._report(Severity.ERROR, "access_prefix_granted", entry, text, entry.identifier)
        self._unbind(entry)
        attachment.denial = Denial("access_prefix_granted", ADMINISTRATIVE)
        self._service.end(attachment)
        entry.prefixes = answer.prefixes
        self.deregister(entry)

    def _link_local_address(self, entry: BindingUpdateListEntry, attachment: Attachment, address: bytes) -> None:
        """Point 15: the anchor's address, unless the node has it; then another, which the anchor is told."""
        link = self._links.link(attachment.interface)
        assert link is not None
        ours = self._context.settings.link_layer_address
        if address == UNSPECIFIED:
            address = link.address if link.address != UNSPECIFIED else another_address(ours, b"")
        conflict = address == attachment.address
        if conflict:
            self._context.count("link_local_address_conflict")
            address = another_address(ours, address)
        entry.link_local_address = address
        entry.requested_link_local_address = address
        self._links.set_address(link, address)
        if conflict:
            self._request(entry, RequestKind.REFRESH)

    def _rejected(self, entry: BindingUpdateListEntry, request: Request, answer: ProxyAnswer) -> None:
        """Points 7 to 11, and what else an anchor may say."""
        context, status = self._context, answer.status
        text = "anchor refuses the {} of node {:node}: {} (status {})"
        name = name_of(Status, status)
        self._report(Severity.WARNING, "refused", entry, text, request.kind.value, entry.identifier, name, status)
        if status in TOO_OLD or (status == Status.TIMESTAMP_MISMATCH and self._clocks_agree(request, answer)):
            memory = self._memory(entry.key)
            ahead = (answer.sequence - memory.sequence) & 0xFFFF
            if status == Status.SEQUENCE_NUMBER_OUT_OF_WINDOW and ahead <= SEQUENCE_WINDOW:
                memory.sequence = answer.sequence  # never back: an answer may be late
            if entry.immediate_retries < IMMEDIATE_RETRIES:
                entry.immediate_retries += 1
                self._transmit(entry)
            return
        if status in WRONG_PREFIXES and request.offer.prefixes:
            self._ask_for_any(entry)
        elif status == Status.PROXY_REG_NOT_ENABLED:
            if len(self._prohibited) >= context.settings.maximum_attachments:
                del self._prohibited[next(iter(self._prohibited))]
            self._prohibited[entry.identifier] = status
            self.deny(entry, Denial(name, ADMINISTRATIVE))
        elif status == Status.TIMESTAMP_MISMATCH:
            self.deny(entry, Denial(name, CLOCK))
        else:
            self.deny(entry, Denial(name, TIME if status in TEMPORARY else ATTACHMENT))

    def _clocks_agree(self, request: Request, answer: ProxyAnswer) -> bool:
        """Whether an update was refused for its age alone: what the anchor gives as its time of day (section 5.5) lies
        between our sending and now, so it was the network that took long, and the clock needs no synchronization."""
        sent = request.transmissions.get(answer.sequence, 0)
        if not sent or answer.timestamp is None:
            return False
        return sent - CLOCK_TOLERANCE <= answer.timestamp <= to_timestamp(self._context.now.wall) + CLOCK_TOLERANCE

    def _ask_for_any(self, entry: BindingUpdateListEntry) -> None:
        """The anchor does not grant these prefixes: ask once for whichever it has (point 10)."""
        attachment = self._links.attachment(entry.key)
        assert attachment is not None
        self._unbind(entry)
        self._service.end(attachment)
        self._context.disarm(Timer.REFRESH, entry.key)
        self._context.disarm(Timer.EXPIRE, entry.key)
        entry.requested = entry.prefixes = ()
        entry.handoff_indicator = UNKNOWN_HANDOFF
        entry.state = EntryState.REGISTERING
        self._request(entry, RequestKind.REGISTRATION)

    # ---- denial ---------------------------------------------------------------------------------------------------------

    def deny(self, entry: BindingUpdateListEntry, denial: Denial) -> None:
        """No service for an attached node until `denial` says otherwise (point 11)."""
        attachment = self._links.attachment(entry.key)
        assert attachment is not None
        attachment.denial = denial
        self._unbind(entry)
        self._forget(entry)
        self._service.end(attachment)
        if denial.until == TIME:
            wait = self._context.settings.retry_interval * min(2**attachment.refusals, 16)
            attachment.refusals += 1
            self._context.arm_at(Timer.RETRY, attachment.key, self._context.now.monotonic + wait)

    def retry(self, identifier: bytes) -> int:
        """An administrative action: ask again for this node (empty: for all); for how many it was asked."""
        for name in [identifier] if identifier else list(self._prohibited):
            self._prohibited.pop(name, None)
        asked = self._retry_if(lambda attachment, _: identifier in (b"", attachment.profile.identifier))
        for entry in self.list.of_node(identifier) if identifier else self.list:
            if entry.halted:
                self.renew(entry)
                asked += 1
        return asked

    def clock_synchronized(self) -> None:
        """Point 9: the clock has been set."""
        self._retry_if(lambda _, denial: denial.until == CLOCK)

    def _retry_if(self, wanted: _Wanted) -> int:
        asked = 0
        for attachment in self._links:
            denial = attachment.denial
            if denial is not None and attachment.profile.proxy_mobility and wanted(attachment, denial):
                self.register(attachment)
                asked += 1
        return asked

    def _retry_due(self, key: bytes) -> None:
        attachment = self._links.attachment(key)
        assert attachment is not None
        self._links.ask(attachment, RETRANS_TIMER, lambda: self._retry_now(attachment))

    def _retry_now(self, attachment: Attachment) -> None:
        if attachment.denial is not None:
            self.register(attachment)

    # ---- the data plane -------------------------------------------------------------------------------------------------

    def _bind(self, entry: BindingUpdateListEntry, prefix: HomeNetworkPrefix) -> None:
        op = self._context.op()
        self._ops[op] = entry.key
        entry.pending[op] = prefix
        entry.bound[prefix] = entry.interface
        local = self._context.settings.local_routing if entry.profile.local_routing is None else entry.profile.local_routing
        bind = Bind(op, prefix.prefix, prefix.prefix_length, entry.tunnel, entry.interface, local_routing=local)
        self._context.do(bind)

    def _unbind_one(self, entry: BindingUpdateListEntry, prefix: HomeNetworkPrefix) -> None:
        del entry.bound[prefix]
        for op in [op for op, pending in entry.pending.items() if pending == prefix]:
            del entry.pending[op]
            del self._ops[op]
        self._context.do(Unbind(self._context.op(), prefix.prefix, prefix.prefix_length))

    def _unbind(self, entry: BindingUpdateListEntry) -> None:
        for prefix in list(entry.bound):
            self._unbind_one(entry, prefix)

    def forwarding_done(self, done: ForwardingDone) -> None:
        """The data plane has answered."""
        entry = self.list.get(self._ops.pop(done.op, b""))
        if entry is None:
            if done.error:
                self._context.count("unbind_failed")
                text = "the data plane did not do what it was asked for: errno {}"
                self._context.report(Severity.ERROR, "unbind_failed", text, done.error)
            return
        prefix = entry.pending.pop(done.op)
        attachment = self.attachment(entry)
        if done.error:
            self._context.count("bind_failed")
            text = "the data plane did not take the prefix of node {:node}: errno {}"
            self._report(Severity.ERROR, "bind_failed", entry, text, entry.identifier, done.error)
            self._bind_failed(entry, prefix, attachment)
        elif not entry.pending and entry.state is EntryState.BINDING and attachment is not None:
            entry.state = EntryState.REGISTERED
            self._service.begin(entry, attachment)

    def _bind_failed(self, entry: BindingUpdateListEntry, prefix: HomeNetworkPrefix, attachment: Attachment | None) -> None:
        entry.bound.pop(prefix, None)
        self._unbind(entry)
        if attachment is not None:
            attachment.denial = Denial("bind_failed", TIME)
            self._service.end(attachment)
            self._context.arm_at(Timer.RETRY, entry.key, self._context.now.monotonic + self._context.settings.retry_interval)
        self.deregister(entry)

    def _report(self, severity: Severity, reason: str, entry: BindingUpdateListEntry, text: str, *details: object) -> None:
        self._context.report(severity, reason, text, *details, peer=entry.anchor)

    # ---- removal --------------------------------------------------------------------------------------------------------

    def _remove(self, entry: BindingUpdateListEntry) -> None:
        """Section 6.9.1.4: the entry, the routing state, and the link with the node."""
        self._unbind(entry)
        self._forget(entry)
        held = self._links.attachment(entry.key)
        if held is not None and held.local:
            return  # the link with the node goes on without the session
        if self._links.link(entry.interface) is not None and any(entry.link_layer_identifier):
            self._context.do(TearDownLink(entry.interface, entry.link_layer_identifier))

    def _forget(self, entry: BindingUpdateListEntry) -> None:
        for timer in (Timer.RETRANSMIT, Timer.REFRESH, Timer.EXPIRE):
            self._context.disarm(timer, entry.key)
        self.list.remove(entry)


class _Wanted(Protocol):
    def __call__(self, attachment: Attachment, denial: Denial, /) -> bool: ...
