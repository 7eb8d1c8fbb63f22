# SPDX-License-Identifier: Apache-2.0
"""The mobile access gateway: finds out who is on its access links, has them registered with their anchors, and emulates their
home link. RFC 5213 section 6, RFC 5846 section 9, RFC 5847, RFC 6543.

This file takes the events apart and decides what attachment and detachment mean. Beside it: `gateway_link` (links, presence),
`gateway_registration` (sessions and their Proxy Binding Updates), `gateway_advertisement` (Router Advertisements),
`gateway_revocation`, and `gateway_local` (nodes that manage their own mobility).

Always holds: only a node whose profile says so gets mobility service (section 6.14); every node that is heard on an access
link is attached, denied or unknown, and a snapshot says which and why.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from halma.engine.api import (
    Answer,
    ForwardingDone,
    MalformedReceived,
    MessageReceived,
    Now,
    Send,
    Severity,
)
from halma.engine.binding_update_list import BindingUpdateList, BindingUpdateListEntry
from halma.engine.gateway_advertisement import Advertisements, Terms
from halma.engine.gateway_api import (
    AnchorRevocationRequested,
    AttachTriggered,
    ClockSynchronized,
    DetachTriggered,
    GatewayEffect,
    GatewayEvent,
    GatewaySettings,
    LinkAppeared,
    LinkDown,
    LinkUp,
    LinkVanished,
    NodeConfirmed,
    NodeHeard,
    NodeProfile,
    NodeUnreachable,
    PathMtuChanged,
    PrepareLink,
    Profiles,
    ProfilesReplaced,
    RetryRequested,
    RouterSolicitationReceived,
    Started,
    StopRequested,
    TearDownLink,
)
from halma.engine.gateway_context import GatewayContext, Timer
from halma.engine.gateway_link import QUICK_PROBE, AccessLink, AccessLinks, Attachment
from halma.engine.gateway_local import NOT_ENTITLED, LocalAccess
from halma.engine.gateway_registration import Registrations
from halma.engine.gateway_revocation import GatewayRevocations
from halma.engine.gateway_snapshot import describe_link, describe_local, describe_session
from halma.engine.heartbeat import Heartbeat, Outcome, PeerChange
from halma.engine.link_local import LINK_LOCAL
from halma.engine.malformed import parameter_problem
from halma.wire.addresses import MULTICAST, UNSPECIFIED
from halma.wire.messages import (
    BindingAcknowledgement,
    BindingError,
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
    UnknownMessage,
)
from halma.wire.messages import Heartbeat as HeartbeatMessage
from halma.wire.numbers import BindingErrorStatus, HandoffIndicatorValue

ANONYMOUS = b"interface "
"""Begins the key of an attachment that was made without a link-layer address."""
CLOCK_STEP = 0.05
"""Seconds by which wall and monotonic clock drift apart when somebody sets the clock."""
GROUP_BIT = 0x01


class Gateway:
    """The engine of a mobile access gateway; `engine.api.Engine` says what its methods do."""

    def __init__(self, settings: GatewaySettings, profiles: Profiles) -> None:
        self._settings = settings
        self._profiles = profiles
        self._context = GatewayContext(settings)
        self._sessions = BindingUpdateList()
        self._links = AccessLinks(self._context, self._absent)
        self._advertisements = Advertisements(self._context, self._links, self._sessions, self._local_terms)
        self._registrations = Registrations(self._context, self._links, self._sessions, self)
        self._local = LocalAccess(self._context, self._links, self._advertisements)
        self._revocations = GatewayRevocations(self._context, self._links, self._registrations)
        self._heartbeat = Heartbeat(settings.heartbeat, settings.restart_counter)
        self._watched: set[bytes] = set()
        self._without_heartbeat: set[bytes] = set()
        self._clock_offset: float | None = None
        self._context.on(Timer.RENEW, self._renew_due)

    # ---- the four methods of an engine ----------------------------------------------------------------------------------

    def handle(self, event: GatewayEvent, now: Now) -> list[GatewayEffect]:
        """Take one event."""
        self._context.begin(now)
        self._watch_clock(now)
        if isinstance(event, MessageReceived):
            self._received(event)
        elif isinstance(event, NodeHeard | RouterSolicitationReceived):
            self._heard(event)
        elif isinstance(event, ForwardingDone):
            if not self._local.forwarding_done(event):
                self._registrations.forwarding_done(event)
        elif isinstance(event, MalformedReceived):
            self._malformed(event)
        elif isinstance(event, LinkAppeared):
            self._links.appear(event.interface, event.name, event.mtu)
            settings = self._settings
            self._context.do(PrepareLink(event.interface, settings.link_layer_address, settings.link_local_address))
        elif isinstance(event, LinkUp):
            self._link_up(event)
        elif isinstance(event, LinkDown | LinkVanished):
            self._link_down(event)
        elif isinstance(event, NodeConfirmed | NodeUnreachable):
            self._presence(event)
        elif isinstance(event, AttachTriggered):
            self._answer(event.op, self._attach_triggered(event))
        elif isinstance(event, DetachTriggered):
            self._answer(event.op, self._detach_triggered(event))
        elif isinstance(event, PathMtuChanged):
            self._advertisements.path_mtu_changed(event.anchor, event.mtu)
        elif isinstance(event, RetryRequested):
            retried = self._registrations.retry(event.identifier) + self._local.retry(event.identifier)
            self._answer(event.op, {"retried": retried})
        elif isinstance(event, ClockSynchronized):
            self._registrations.clock_synchronized()
        elif isinstance(event, AnchorRevocationRequested):
            hindrance = self._revocations.revoke_all(event.anchor)
            self._answer(event.op, {"error": hindrance} if hindrance else {"sent": True})
        elif isinstance(event, ProfilesReplaced):
            self._profiles = event.profiles
            self._profiles_replaced()
            self._answer(event.op, {"attached": len(self._links)})
        elif isinstance(event, StopRequested):
            for attachment in self._links:
                self._dismiss(attachment)
        elif isinstance(event, Started):
            for local, peer in event.peers:
                self._heartbeats(self._heartbeat.announce(local, [peer]), [])
        else:
            assert_never(event)
        self._forget_anchors()
        return self._context.effects()

    def handle_timeout(self, now: Now) -> list[GatewayEffect]:
        """Do all that is due."""
        self._context.begin(now)
        self._watch_clock(now)
        self._context.fire()
        self._revocations.handle_timeout()
        requests, outcomes = self._heartbeat.handle_timeout(now)
        self._heartbeats(requests, outcomes)
        self._forget_anchors()
        return self._context.effects()

    def next_deadline(self) -> float | None:
        """When `handle_timeout` is wanted next."""
        deadlines = (
            self._context.next_deadline(),
            self._revocations.started.next_deadline(),
            self._heartbeat.next_deadline(),
        )
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def snapshot(self, now: Now) -> dict[str, object]:
        """Everything that a person may see."""
        return {
            "sessions": list(self.describe_sessions(now)),
            "links": [describe_link(link) for link in self._links.links()],
            "peers": list(self.describe_peers()),
            "counters": self.describe_counters(),
        }

    # ---- for people -----------------------------------------------------------------------------------------------------

    def describe_sessions(self, now: Now) -> Iterator[dict[str, object]]:
        """A row for each node that is attached here, or is being given up."""
        for attachment in self._links:
            link = self._links.link(attachment.interface)
            if attachment.local:
                yield describe_local(attachment, self._local.prefix(attachment), link, now)
            else:
                yield describe_session(attachment, self._sessions.get(attachment.key), link, now)
        for entry in self._sessions:
            if self._registrations.attachment(entry) is None:
                yield describe_session(None, entry, self._links.link(entry.interface), now)

    def describe_peers(self) -> Iterator[dict[str, object]]:
        """A row for each anchor that there are sessions with."""
        for anchor in self._sessions.anchors():
            yield {"anchor": anchor, "sessions": len(self._sessions.of_anchor(anchor)), **self._heartbeat.describe(anchor)}

    def describe_counters(self) -> dict[str, int]:
        """All counters, by name, with the number of sessions that exist now."""
        existing = {"sessions": len(self._sessions), "attachments": len(self._links)}
        return existing | self._context.counters | self._heartbeat.counters

    def peers(self) -> list[tuple[bytes, bytes]]:
        """Our address and theirs, for every anchor with sessions: what `Started` wants after a restart."""
        return [(self._settings.address, anchor) for anchor in self._sessions.anchors()]

    # ---- what registrations tell (gateway_registration.Service) ---------------------------------------------------------

    def begin(self, entry: BindingUpdateListEntry, attachment: Attachment) -> None:
        """A node's packets flow."""
        if entry.anchor not in self._without_heartbeat:
            self._watched.add(entry.anchor)
            self._heartbeat.watch(self._settings.address, entry.anchor, self._context.now)
        self._advertisements.begin(attachment)

    def end(self, attachment: Attachment) -> None:
        """A node's packets do not flow any more."""
        self._advertisements.end(attachment)

    def _local_terms(self, attachment: Attachment) -> Terms | None:
        return self._local.terms(attachment)

    # ---- links ----------------------------------------------------------------------------------------------------------

    def _link_up(self, event: LinkUp) -> None:
        link = self._links.appear(event.interface, "", event.mtu)
        if not link.up:
            self._links.come_up(link)
            return
        for attachment in link.attachments.values():
            self._advertisements.refresh(attachment)

    def _link_down(self, event: LinkDown | LinkVanished) -> None:
        link = self._links.link(event.interface)
        if link is None:
            return
        link.up = False
        for attachment in list(link.attachments.values()):
            self._move(attachment, attachment.contested)  # where it was heard already, if it was
            if attachment.interface == link.interface:
                self._detach(attachment)
        self._links.go_down(link)
        if isinstance(event, LinkVanished):
            self._links.vanish(event.interface)

    # ---- nodes come -----------------------------------------------------------------------------------------------------

    def _heard(self, event: NodeHeard | RouterSolicitationReceived) -> None:
        link, address = self._links.link(event.interface), event.link_layer_address
        if link is None or not link.up:
            self._context.count("heard_on_no_link")
            return
        if not any(address) or address[0] & GROUP_BIT or address == self._settings.link_layer_address:
            self._context.count("heard_without_sender")
            return
        attachment = self._links.attachment(address) or self._anonymous(link, address)
        if attachment is None:
            attachment = self._newcomer(link, address)
            if attachment is None:
                return
            if event.address[:2] == LINK_LOCAL:
                attachment.address = event.address
        elif attachment.interface != link.interface:
            self._contested(attachment, link)
            return
        else:
            self._links.heard(attachment, event.address)
        if isinstance(event, RouterSolicitationReceived) and attachment.denial is not NOT_ENTITLED:
            self._advertisements.solicited(attachment)

    def _anonymous(self, link: AccessLink, address: bytes) -> Attachment | None:
        """The attachment on the link whose link-layer address is not known yet: it is the only other end of the link."""
        attachment = self._links.attachment(_anonymous_key(link.interface))
        if attachment is not None and not attachment.link_layer_address:
            self._links.learn(attachment, address)
        return attachment if attachment is not None and attachment.link_layer_address == address else None

    def _newcomer(self, link: AccessLink, address: bytes) -> Attachment | None:
        profile = self._profiles.for_link_layer_address(address)
        if profile is None:
            self._context.count("heard_unknown")
            if self._links.remember_unknown(link, address):
                text = "no profile has the link-layer address {}, heard on {}: no service"
                self._context.report(Severity.INFO, "unknown_node", text, address.hex(":"), link.name)
            return None
        return self._attach(link, address, profile, Attachment(address, address, link.interface, profile))

    def _attach(self, link: AccessLink, address: bytes, profile: NodeProfile, attachment: Attachment) -> Attachment | None:
        if len(self._links) >= self._settings.maximum_attachments:
            self._context.count("too_many_attachments")
            text = "no room for node {:node} on {}: {} nodes are attached"
            self._context.report(Severity.ERROR, "too_many", text, profile.identifier, link.name, len(self._links))
            return None
        self._context.count("attached")
        text = "node {:node} ({}) is on {}"
        self._context.report(Severity.INFO, "attached", text, profile.identifier, address.hex(":") or "-", link.name)
        self._links.attach(attachment)
        self._serve(attachment)
        return attachment

    def _serve(self, attachment: Attachment) -> None:
        """Section 6.14: which service the node gets. One that manages its own mobility gets a plain access router."""
        if attachment.profile.proxy_mobility:
            link = self._links.link(attachment.interface)
            assert link is not None
            self._links.readdress(link)
            self._registrations.register(attachment)
        else:
            self._local.serve(attachment)

    def _contested(self, attachment: Attachment, link: AccessLink) -> None:
        """The node was heard on another link than its own: it has moved, unless it answers where it was."""
        if attachment.contested == link.interface:
            return
        attachment.contested = link.interface
        interface = link.interface
        self._links.ask(attachment, QUICK_PROBE, lambda: self._stayed(attachment), lambda: self._move(attachment, interface))

    def _stayed(self, attachment: Attachment) -> None:
        if not attachment.contested:
            return  # it has moved meanwhile
        self._context.count("link_layer_address_contested")
        text = "link-layer address {} is on two links at once; node {:node} is served where it was"
        address = attachment.link_layer_address.hex(":")
        self._context.report(Severity.WARNING, "contested", text, address, attachment.profile.identifier)
        attachment.contested = 0

    def _move(self, attachment: Attachment, interface: int) -> None:
        """The node is on another link of this gateway now."""
        link = self._links.link(interface)
        if link is None or not link.up or self._links.attachment(attachment.key) is not attachment:
            return
        self._context.count("moved")
        left, local = attachment.interface, attachment.local
        self._links.move(attachment, interface)
        self._local.leave(attachment, left)
        entry = self._sessions.get(attachment.key)
        if entry is None or local:
            self._serve(attachment)
        else:
            self._links.set_address(link, entry.link_local_address)
            self._registrations.move(entry, interface)

    def _attach_triggered(self, event: AttachTriggered) -> dict[str, object]:
        link, address = self._links.link(event.interface), event.link_layer_address
        if link is None or not link.up:
            return {"error": "no such access interface is up"}
        if not 0 <= event.handoff_indicator <= HandoffIndicatorValue.UNKNOWN:
            return {"error": "the handoff indicator of an attachment is 1 to 4"}
        if event.identifier:
            profile = self._profiles.for_identifier(event.identifier, address)
        else:
            profile = self._profiles.for_link_layer_address(address)
        if profile is None:
            return {"error": "no profile for this node"}
        key = address if any(address) else _anonymous_key(event.interface)
        attachment = self._links.attachment(key)
        if attachment is not None and attachment.profile.identifier != profile.identifier:
            self._detach(attachment)
            attachment = None
        if attachment is None:
            made = Attachment(key, address if any(address) else b"", event.interface, profile)
            made.handoff_indicator, made.access_technology = event.handoff_indicator, event.access_technology
            attachment = self._attach(link, address, profile, made)
        else:
            attachment.handoff_indicator, attachment.access_technology = event.handoff_indicator, event.access_technology
            if attachment.interface != event.interface:
                self._move(attachment, event.interface)
            elif attachment.denial is not None and attachment.denial is not NOT_ENTITLED:
                self._serve(attachment)
            self._links.heard(attachment, b"")
        return {"error": "too many nodes are attached"} if attachment is None else {"node": _text(profile.identifier)}

    # ---- nodes go -------------------------------------------------------------------------------------------------------

    def _absent(self, attachment: Attachment) -> None:
        text = "node {:node} does not answer any more"
        self._context.report(Severity.INFO, "absent", text, attachment.profile.identifier)
        self._detach(attachment)
        self._links.ask_again(attachment.interface)

    def _detach(self, attachment: Attachment) -> None:
        """Section 6.9.1.4: the node has gone, or its session is to end."""
        self._context.count("detached")
        text = "node {:node} has left"
        self._context.report(Severity.INFO, "detached", text, attachment.profile.identifier)
        self._links.detach(attachment)
        self._context.disarm(Timer.RENEW, attachment.key)
        entry = None if attachment.local else self._sessions.get(attachment.key)
        self._local.leave(attachment, attachment.interface)
        if entry is not None:
            self._registrations.deregister(entry)
        elif attachment.link_layer_address:
            self._context.do(TearDownLink(attachment.interface, attachment.link_layer_address))

    def _dismiss(self, attachment: Attachment) -> None:
        """The node may still be there, and is to be served no longer."""
        self._advertisements.end(attachment)
        self._detach(attachment)

    def _detach_triggered(self, event: DetachTriggered) -> dict[str, object]:
        detached = 0
        for attachment in self._links:
            if event.link_layer_address:
                wanted = attachment.link_layer_address == event.link_layer_address
            else:
                wanted = attachment.profile.identifier == event.identifier
            if wanted:
                self._dismiss(attachment)
                detached += 1
        return {"detached": detached} if detached else {"error": "no such node is attached"}

    def _presence(self, event: NodeConfirmed | NodeUnreachable) -> None:
        attachment = self._links.attachment(event.link_layer_address)
        if attachment is None:
            return
        if isinstance(event, NodeConfirmed):
            self._links.heard(attachment, b"")
        else:
            self._links.lose(attachment)

    def _profiles_replaced(self) -> None:
        for attachment in self._links:
            old, address = attachment.profile, attachment.link_layer_address
            profile = self._profiles.for_link_layer_address(address)
            if profile is None or profile.identifier != old.identifier:
                profile = self._profiles.for_identifier(old.identifier, address) or profile
            if profile == old:
                continue
            link = self._links.link(attachment.interface)
            assert link is not None
            self._dismiss(attachment)
            if profile is not None:
                self._attach(link, address, profile, Attachment(attachment.key, address, link.interface, profile))
        for link in self._links.links():
            for address in list(link.unknown):
                self._newcomer(link, address)
        self._registrations.retry(b"")

    # ---- messages -------------------------------------------------------------------------------------------------------

    def _received(self, event: MessageReceived) -> None:
        source, message = event.source, event.message
        if event.destination != self._settings.address or source[0] == MULTICAST or source == UNSPECIFIED:
            self._context.count("not_addressed_to_us")
            return
        if isinstance(message, BindingAcknowledgement):
            self._registrations.acknowledged(source, message)
        elif isinstance(message, HeartbeatMessage):
            known = source == self._settings.anchor or source in self._sessions.anchors()
            self._heartbeats(*self._heartbeat.receive(source, event.destination, message, self._context.now, known=known))
        elif isinstance(message, BindingRevocationIndication):
            self._revocations.indicated(source, event.destination, message)
        elif isinstance(message, BindingRevocationAcknowledgement):
            self._revocations.acknowledged(source, message)
        elif isinstance(message, BindingError):
            self._binding_error(source, message)
        elif isinstance(message, UnknownMessage):
            self._context.count("unknown_message_type")
            error = BindingError(int(BindingErrorStatus.UNRECOGNIZED_MH_TYPE), UNSPECIFIED, ())
            if self._may_send_error(source):
                self._context.do(Send(event.destination, source, error))
        else:
            self._context.count(f"unexpected_{type(message).__name__}")

    def _binding_error(self, source: bytes, message: BindingError) -> None:
        self._context.count(f"binding_error_{message.status}")
        if message.status != BindingErrorStatus.UNRECOGNIZED_MH_TYPE or source not in self._sessions.anchors():
            return
        if source not in self._without_heartbeat:
            text = "anchor does not know heartbeats: it gets none any more"
            self._context.report(Severity.WARNING, "no_heartbeat", text, peer=source)
        self._without_heartbeat.add(source)
        self._heartbeat.unsupported(source)
        self._revocations.unsupported(source)

    def _malformed(self, event: MalformedReceived) -> None:
        """RFC 6275 section 9.2."""
        reason = event.error.reason
        self._context.count(f"malformed_{reason.value}")
        text = "malformed Mobility Header from {:address}: {} at octet {}"
        details = (event.source, reason.value, event.error.offset)
        self._context.report(Severity.WARNING, "malformed", text, *details, peer=event.source)
        problem = parameter_problem(event)
        if problem is not None and self._may_send_error(event.source):
            self._context.do(problem)

    def _may_send_error(self, destination: bytes) -> bool:
        if destination[0] == MULTICAST or destination == UNSPECIFIED:
            return False
        return self._context.error_allowed()

    # ---- anchors --------------------------------------------------------------------------------------------------------

    def _heartbeats(self, sends: list[Send], outcomes: list[Outcome]) -> None:
        for send in sends:
            self._context.do(send)
        for outcome in outcomes:
            anchor = outcome.peer
            self._context.count(f"anchor_{outcome.change.value}")
            if outcome.change is PeerChange.REACHABLE:
                self._context.report(Severity.INFO, "anchor_reachable", "anchor answers again", peer=anchor)
                self._registrations.hasten(anchor)
                continue
            text = "anchor is silent: its nodes are registered anew"
            if outcome.change is PeerChange.RESTARTED:
                text = "anchor has restarted and lost its sessions: its nodes are registered anew"
            self._context.report(Severity.WARNING, f"anchor_{outcome.change.value}", text, peer=anchor)
            self._renew_all(anchor)

    def _renew_all(self, anchor: bytes) -> None:
        """RFC 5847 section 3: the entries are not valid any more; register all the nodes anew, at a measured pace."""
        moment, pace = self._context.now.monotonic, 1 / self._settings.reregistrations_per_second
        for position, entry in enumerate(self._sessions.of_anchor(anchor)):
            self._context.arm_at(Timer.RENEW, entry.key, moment + position * pace)

    def _renew_due(self, key: bytes) -> None:
        entry = self._sessions.get(key)
        if entry is not None:
            self._registrations.renew(entry)

    def _forget_anchors(self) -> None:
        """No heartbeats with an anchor that no session is left with (RFC 5847 section 3)."""
        gone = [anchor for anchor in self._watched if not self._sessions.of_anchor(anchor)]
        for anchor in gone:
            self._watched.discard(anchor)
            self._heartbeat.forget(anchor)

    # ---- the rest -------------------------------------------------------------------------------------------------------

    def _watch_clock(self, now: Now) -> None:
        """A clock that has been set may be right now (RFC 5213 section 6.9.1.2 point 9)."""
        offset = now.wall - now.monotonic
        if self._clock_offset is not None and abs(offset - self._clock_offset) >= CLOCK_STEP:
            self._context.count("clock_step")
            self._registrations.clock_synchronized()
        self._clock_offset = offset

    def _answer(self, op: int, result: dict[str, object]) -> None:
        if op:
            self._context.do(Answer(op, result))


def _anonymous_key(interface: int) -> bytes:
    return ANONYMOUS + str(interface).encode()


def _text(identifier: bytes) -> str:
    return identifier.decode("utf-8", "backslashreplace")
