# SPDX-License-Identifier: Apache-2.0
"""Registering nodes with their anchors, keeping the registrations, and giving them up. RFC 5213 sections 6.9.1 and 6.13.

Beside it: `gateway_transmission` (the Proxy Binding Updates on their way), `gateway_forwarding` (the data plane).

Always holds: a prefix is bound in the data plane only after the anchor has accepted, and the node is told its prefixes only
after that (GW-4); nothing is refreshed for a node that is not known to be there; whoever is denied service has no binding left.
"""

from __future__ import annotations

from typing import Protocol

from halma.engine.api import ForwardingDone, Severity
from halma.engine.binding_update_list import (
    LINK_LAYER_IDENTIFIER_UNKNOWN,
    BindingUpdateList,
    BindingUpdateListEntry,
    EntryState,
    RequestKind,
)
from halma.engine.constants import INITIAL_BINDACK_TIMEOUT, LIFETIME_UNIT, RETRANS_TIMER
from halma.engine.gateway_api import TearDownLink
from halma.engine.gateway_context import GatewayContext, Timer
from halma.engine.gateway_forwarding import Forwarding
from halma.engine.gateway_link import BIND_FAILED, AccessLinks, Attachment, Denial, Until
from halma.engine.gateway_transmission import REJECTED, Answered, Transmissions
from halma.engine.link_local import another_address
from halma.engine.proxy_binding_update import ProxyAnswer
from halma.wire.addresses import UNSPECIFIED
from halma.wire.messages import BindingAcknowledgement
from halma.wire.numbers import HandoffIndicatorValue, Status, name_of

REFRESH_AT = 2 / 3
"""The part of a lifetime after which it is extended."""
TEMPORARY = frozenset({Status.REASON_UNSPECIFIED, Status.INSUFFICIENT_RESOURCES})
"""Refusals after which the gateway asks again by itself; others wait for a new attachment or somebody's action."""
WRONG_PREFIXES = frozenset({Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX, Status.BCE_PBU_PREFIX_SET_DO_NOT_MATCH})
TOO_OLD = frozenset({Status.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED, Status.SEQUENCE_NUMBER_OUT_OF_WINDOW})
UNKNOWN_HANDOFF = int(HandoffIndicatorValue.UNKNOWN)
MISMATCHED = Denial("pba_mismatched", Until.ADMINISTRATIVE_ACTION)


class Service(Protocol):
    """What the registrations tell about a node's service; the gateway's advertisements answer to it."""

    def begin(self, entry: BindingUpdateListEntry, attachment: Attachment) -> None:
        """Packets flow, or flow for longer now: tell the node its prefixes."""

    def end(self, attachment: Attachment) -> None:
        """Packets do not flow (any more): take back what the node was told."""


class Registrations:
    """See the module. `sessions` is the Binding Update List."""

    def __init__(self, context: GatewayContext, links: AccessLinks, sessions: BindingUpdateList, service: Service) -> None:
        self._context = context
        self._links = links
        self._service = service
        self.sessions = sessions
        self._transmissions = Transmissions(context, links, sessions, self)
        self._forwarding = Forwarding(context, sessions)
        self._prohibited: dict[bytes, int] = {}
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
            attachment.denial = Denial("PROXY_REG_NOT_ENABLED", Until.ADMINISTRATIVE_ACTION)
            self._service.end(attachment)
            return
        attachment.denial = None
        anchor = profile.anchor or settings.anchor
        entry = self.sessions.get(attachment.key)
        if entry is not None and (entry.anchor != anchor or entry.identifier != profile.identifier):
            self._forwarding.unbind(entry)
            self._forget(entry)
            entry = None
        if entry is None:
            entry = BindingUpdateListEntry(attachment.key, attachment.interface, anchor, settings.address, profile)
            self.sessions.add(entry)
        else:
            entry.requested = entry.prefixes or profile.prefixes
            self._forwarding.unbind(entry)
        entry.profile = profile
        entry.interface = attachment.interface
        entry.link_layer_identifier = attachment.link_layer_address or LINK_LAYER_IDENTIFIER_UNKNOWN
        entry.access_technology = attachment.access_technology or profile.access_technology or settings.access_technology
        entry.handoff_indicator = self._handoff_indicator(attachment)
        entry.link_local_address = settings.link_local_address
        entry.requested_link_local_address = UNSPECIFIED
        entry.state = EntryState.REGISTERING
        self._transmissions.request(entry, RequestKind.REGISTRATION)

    def deregister(self, entry: BindingUpdateListEntry) -> None:
        """The node has gone, or its session is to end (section 6.9.1.4). The node is on no link any more, or is denied."""
        if entry.state is EntryState.DEREGISTERING:
            return
        entry.state = EntryState.DEREGISTERING
        self._context.disarm(Timer.REFRESH, entry.key)
        self._context.disarm(Timer.EXPIRE, entry.key)
        self._transmissions.request(entry, RequestKind.DEREGISTRATION)

    def move(self, entry: BindingUpdateListEntry, interface: int) -> None:
        """The node is on another link of this gateway: the same tunnel, another interface. The anchor is told by a refresh,
        for its binding has not changed."""
        entry.interface = interface
        if entry.state in (EntryState.REGISTERED, EntryState.BINDING):
            entry.state = EntryState.BINDING
            for prefix in entry.prefixes:
                self._forwarding.bind(entry, prefix)
            self._transmissions.request(entry, RequestKind.REFRESH)

    def revoke(self, entry: BindingUpdateListEntry) -> None:
        """The anchor has ended the session (RFC 5846 section 9.1): nothing is left to be given up there."""
        attachment = self.attachment(entry)
        self._remove(entry)
        if attachment is not None:
            attachment.denial = Denial("revoked", Until.NEW_ATTACHMENT)
            self._service.end(attachment)

    def _handoff_indicator(self, attachment: Attachment) -> int:
        known = attachment.handoff_indicator or attachment.profile.handoff_indicator
        if known:
            return known
        for other in self.sessions.of_node(attachment.profile.identifier):
            if other.key != attachment.key and other.state is EntryState.REGISTERED:
                return int(HandoffIndicatorValue.NEW_INTERFACE)
        return UNKNOWN_HANDOFF

    # ---- keeping --------------------------------------------------------------------------------------------------------

    def _refresh_due(self, key: bytes) -> None:
        entry, attachment = self.sessions.get(key), self._links.attachment(key)
        assert entry is not None
        assert attachment is not None
        self._links.ask(attachment, RETRANS_TIMER, lambda: self.refresh(entry))

    def refresh(self, entry: BindingUpdateListEntry) -> None:
        """Extend the lifetime of a session whose node is known to be there (section 6.9.1.3)."""
        if entry.state is EntryState.REGISTERED and entry.request is None and self.sessions.get(entry.key) is entry:
            self._transmissions.request(entry, RequestKind.REFRESH)

    def renew(self, entry: BindingUpdateListEntry) -> None:
        """The anchor may have lost the session: register it anew, with the prefixes that it has (RFC 5847 section 3)."""
        attachment = self._links.attachment(entry.key)
        if entry.state is EntryState.REGISTERED and attachment is not None:
            entry.requested = entry.prefixes
            entry.handoff_indicator = UNKNOWN_HANDOFF
            self._links.ask(attachment, RETRANS_TIMER, lambda: self._renew_now(entry))

    def _renew_now(self, entry: BindingUpdateListEntry) -> None:
        asked = entry.request is not None and entry.request.kind is RequestKind.REGISTRATION
        if entry.state is EntryState.REGISTERED and not asked and self.sessions.get(entry.key) is entry:
            self._transmissions.request(entry, RequestKind.REGISTRATION)

    def hasten(self, anchor: bytes) -> None:
        """The anchor answers again: what it has not answered is sent anew now."""
        self._transmissions.hasten(anchor)

    def _expired(self, key: bytes) -> None:
        entry, attachment = self.sessions.get(key), self._links.attachment(key)
        assert entry is not None
        assert attachment is not None
        self._context.count("binding_expired")
        text = "the binding of node {:node} has run out before the anchor extended it"
        self._context.report(Severity.WARNING, "binding_expired", text, entry.identifier, peer=entry.anchor)
        self._context.disarm(Timer.REFRESH, key)
        if entry.halted:
            self.deny(entry, MISMATCHED)
            return
        self._forwarding.unbind(entry)
        self._service.end(attachment)
        entry.requested, entry.prefixes = entry.prefixes, ()
        entry.handoff_indicator = UNKNOWN_HANDOFF
        entry.state = EntryState.REGISTERING
        timeout = entry.request.timeout if entry.request is not None else INITIAL_BINDACK_TIMEOUT
        self._transmissions.request(entry, RequestKind.REGISTRATION, timeout)

    # ---- the anchor's answer --------------------------------------------------------------------------------------------

    def acknowledged(self, source: bytes, message: BindingAcknowledgement) -> None:
        """A Binding Acknowledgement came from `source` (section 6.9.1.2)."""
        answered = self._transmissions.answered(source, message)
        if answered is None:
            return
        entry, answer = answered.entry, answered.answer
        if answered.difference:
            self._mismatched(entry, answered.difference)
            return
        self._context.count(f"pba_received_{answer.status}")
        if answered.request.kind is RequestKind.DEREGISTRATION:
            if answer.status >= REJECTED:
                text = "anchor refuses to give up node {:node}: {} (status {})"
                details = (entry.identifier, name_of(Status, answer.status), answer.status)
                self._context.report(Severity.INFO, "deregistration_refused", text, *details, peer=entry.anchor)
            self._remove(entry)
        elif answer.status >= REJECTED:
            self._rejected(answered)
        elif not answer.prefixes or not answer.lifetime:
            self._context.count("pba_without_grant")
        else:
            self._accepted(entry, answer)

    def _mismatched(self, entry: BindingUpdateListEntry, difference: str) -> None:
        """Point 6: ignore it, and send this update no more until somebody has looked at it."""
        self._context.count("pba_mismatched")
        text = "anchor's answer for node {:node} does not echo the {} option: ignored, and nothing is sent again until told so"
        self._context.report(Severity.ERROR, "pba_mismatched", text, entry.identifier, difference, peer=entry.anchor)
        self._transmissions.finish(entry)
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
        attachment = self._links.attachment(entry.key)
        assert attachment is not None
        self._transmissions.finish(entry)
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
            self._forwarding.unbind_prefix(entry, prefix)
        missing = [prefix for prefix in answer.prefixes if entry.bound.get(prefix) != entry.interface]
        for prefix in missing:
            self._forwarding.bind(entry, prefix)
        entry.state = EntryState.BINDING if entry.pending else EntryState.REGISTERED
        if settings.link_local_address == UNSPECIFIED:
            self._link_local_address(entry, attachment, answer.link_local_address or UNSPECIFIED)
        if not entry.pending:
            self._service.begin(entry, attachment)

    def _not_a_home(self, entry: BindingUpdateListEntry, attachment: Attachment, answer: ProxyAnswer) -> None:
        """The anchor gives out prefixes that belong to this gateway's own links: somebody has configured one of us wrongly."""
        self._context.count("access_prefix_granted")
        text = "anchor grants node {:node} a prefix of this gateway's own access links: the session is given up"
        self._context.report(Severity.ERROR, "access_prefix_granted", text, entry.identifier, peer=entry.anchor)
        self._forwarding.unbind(entry)
        attachment.denial = Denial("access_prefix_granted", Until.ADMINISTRATIVE_ACTION)
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
            self._transmissions.request(entry, RequestKind.REFRESH)

    def _rejected(self, answered: Answered) -> None:
        """Points 7 to 11, and what else an anchor may say."""
        entry, request, answer = answered.entry, answered.request, answered.answer
        status, name = answer.status, name_of(Status, answer.status)
        text = "anchor refuses the {} of node {:node}: {} (status {})"
        details = (request.kind.value, entry.identifier, name, status)
        self._context.report(Severity.WARNING, "refused", text, *details, peer=entry.anchor)
        if status in TOO_OLD or (status == Status.TIMESTAMP_MISMATCH and self._transmissions.late(request, answer)):
            self._transmissions.correct(entry, answer)
        elif status in WRONG_PREFIXES and request.offer.prefixes:
            self._ask_for_any(entry)
        elif status == Status.PROXY_REG_NOT_ENABLED:
            if len(self._prohibited) >= self._context.settings.maximum_attachments:
                del self._prohibited[next(iter(self._prohibited))]
            self._prohibited[entry.identifier] = status
            self.deny(entry, Denial(name, Until.ADMINISTRATIVE_ACTION))
        elif status == Status.TIMESTAMP_MISMATCH:
            self.deny(entry, Denial(name, Until.CLOCK_SYNCHRONIZATION))
        else:
            self.deny(entry, Denial(name, Until.TIME if status in TEMPORARY else Until.NEW_ATTACHMENT))

    def _ask_for_any(self, entry: BindingUpdateListEntry) -> None:
        """The anchor does not grant these prefixes: ask once for whichever it has (point 10)."""
        attachment = self._links.attachment(entry.key)
        assert attachment is not None
        self._forwarding.unbind(entry)
        self._service.end(attachment)
        self._context.disarm(Timer.REFRESH, entry.key)
        self._context.disarm(Timer.EXPIRE, entry.key)
        entry.requested = entry.prefixes = ()
        entry.handoff_indicator = UNKNOWN_HANDOFF
        entry.state = EntryState.REGISTERING
        self._transmissions.request(entry, RequestKind.REGISTRATION)

    # ---- no answer (gateway_transmission.Requester) ---------------------------------------------------------------------

    def silent(self, entry: BindingUpdateListEntry) -> None:
        """The anchor does not answer: a node that it has not accepted yet is told that there is no router."""
        attachment = self._links.attachment(entry.key)
        if entry.state is EntryState.REGISTERING and attachment is not None:
            self._service.end(attachment)

    def unanswered(self, entry: BindingUpdateListEntry) -> None:
        """The anchor does not say that it has given the session up: here it ends all the same."""
        self._remove(entry)

    # ---- denial ---------------------------------------------------------------------------------------------------------

    def deny(self, entry: BindingUpdateListEntry, denial: Denial) -> None:
        """No service for an attached node until `denial` says otherwise (point 11)."""
        attachment = self._links.attachment(entry.key)
        assert attachment is not None
        attachment.denial = denial
        self._forwarding.unbind(entry)
        self._forget(entry)
        self._service.end(attachment)
        if denial.until is Until.TIME:
            wait = self._context.settings.retry_interval * min(2**attachment.refusals, 16)
            attachment.refusals += 1
            self._context.arm_at(Timer.RETRY, attachment.key, self._context.now.monotonic + wait)

    def retry(self, identifier: bytes) -> int:
        """An administrative action: ask again for this node (empty: for all); for how many it was asked."""
        for name in [identifier] if identifier else list(self._prohibited):
            self._prohibited.pop(name, None)
        asked = self._retry_if(lambda attachment, _: identifier in (b"", attachment.profile.identifier))
        for entry in self.sessions.of_node(identifier) if identifier else self.sessions:
            if entry.halted:
                self.renew(entry)
                asked += 1
        return asked

    def clock_synchronized(self) -> None:
        """Point 9: the clock has been set."""
        self._retry_if(lambda _, denial: denial.until is Until.CLOCK_SYNCHRONIZATION)

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

    def forwarding_done(self, done: ForwardingDone) -> None:
        """The data plane has answered."""
        entry = self._forwarding.done(done)
        if entry is None:
            return
        attachment = self.attachment(entry)
        if done.error:
            self._bind_failed(entry, attachment)
        elif not entry.pending and entry.state is EntryState.BINDING and attachment is not None:
            entry.state = EntryState.REGISTERED
            self._service.begin(entry, attachment)

    def _bind_failed(self, entry: BindingUpdateListEntry, attachment: Attachment | None) -> None:
        """The data plane holds what it held before, which may be the way to the link that the node has left: nothing of it is
        to stay."""
        self._forwarding.unbind(entry)
        if attachment is not None:
            attachment.denial = BIND_FAILED
            self._service.end(attachment)
            self._context.arm_at(Timer.RETRY, entry.key, self._context.now.monotonic + self._context.settings.retry_interval)
        self.deregister(entry)

    # ---- removal --------------------------------------------------------------------------------------------------------

    def _remove(self, entry: BindingUpdateListEntry) -> None:
        """Section 6.9.1.4: the entry, the routing state, and the link with the node."""
        self._forwarding.unbind(entry)
        self._forget(entry)
        held = self._links.attachment(entry.key)
        if held is not None and held.local:
            return  # the link with the node goes on without the session
        if self._links.link(entry.interface) is not None and any(entry.link_layer_identifier):
            self._context.do(TearDownLink(entry.interface, entry.link_layer_identifier))

    def _forget(self, entry: BindingUpdateListEntry) -> None:
        for timer in (Timer.RETRANSMIT, Timer.REFRESH, Timer.EXPIRE):
            self._context.disarm(timer, entry.key)
        self.sessions.remove(entry)


class _Wanted(Protocol):
    def __call__(self, attachment: Attachment, denial: Denial, /) -> bool: ...
