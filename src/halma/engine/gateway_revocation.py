# SPDX-License-Identifier: Apache-2.0
"""Binding revocation at a gateway: what an anchor revokes (RFC 5846 sections 6.1.2, 6.2 and 9.1), and the revocation of all
sessions with an anchor that the operator asks for (section 9.2).

Always holds: each indication from a known anchor gets one acknowledgement, and the same one when it comes again; a revoked
session is gone before the acknowledgement says so; memory is bounded.
"""

from __future__ import annotations

from functools import partial

from halma.engine.api import Send, Severity
from halma.engine.binding_update_list import BindingUpdateListEntry
from halma.engine.constants import NAI
from halma.engine.gateway_context import GatewayContext
from halma.engine.gateway_link import QUICK_PROBE, AccessLinks
from halma.engine.gateway_registration import Registrations
from halma.engine.revocation import Revocation, Revocations
from halma.value import value
from halma.wire.messages import BindingRevocationAcknowledgement, BindingRevocationIndication
from halma.wire.numbers import RevocationFlag, RevocationStatus, RevocationTrigger, name_of
from halma.wire.options import (
    AlternateCareOfAddress,
    HomeNetworkPrefix,
    Ipv4HomeAddressRequest,
    MobileNodeIdentifier,
    Option,
)

REMEMBERED_ANSWERS = 256
"""Acknowledgements that are kept for indications that come again."""
ANSWER_LIFETIME = 10.0
"""Seconds for which an acknowledgement is kept: longer than an initiator goes on asking (section 11)."""
GLOBAL_TRIGGERS = 128
"""Triggers from here on are for global revocation (section 5.1)."""
HANDOVER = frozenset(
    {
        RevocationTrigger.INTER_MAG_HANDOVER_SAME,
        RevocationTrigger.INTER_MAG_HANDOVER_DIFFERENT,
        RevocationTrigger.INTER_MAG_HANDOVER_UNKNOWN,
    }
)
SUPPORTED = frozenset(int(trigger) for trigger in RevocationTrigger)


@value
class _Verdict:
    """The status for an indication, the sessions that it revokes, and the options that tell what could not be revoked."""

    status: int
    entries: tuple[BindingUpdateListEntry, ...] = ()
    options: tuple[Option, ...] = ()


class _Received:
    """An indication; `answer` is None while it is being found out whether the node is still here."""

    __slots__ = ("answer", "message", "when")

    def __init__(self, message: BindingRevocationIndication, when: float) -> None:
        self.message = message
        self.when = when
        self.answer: Send | None = None


class GatewayRevocations:
    """See the module. `started` are the gateway's own indications. What anchors have indicated is remembered by anchor and
    sequence number; an anchor that has refused to be told of all its sessions at once is not told again."""

    def __init__(self, context: GatewayContext, links: AccessLinks, registrations: Registrations) -> None:
        self._context = context
        self._links = links
        self._registrations = registrations
        self._received: dict[tuple[bytes, int], _Received] = {}
        self._unauthorized: set[bytes] = set()
        self.started = Revocations(context.settings.revocation)

    # ---- responder ------------------------------------------------------------------------------------------------------

    def indicated(self, source: bytes, destination: bytes, message: BindingRevocationIndication) -> None:
        """An indication has come (sections 6.2.1 and 9.1)."""
        context = self._context
        known, moment = self._received.get((source, message.sequence)), context.now.monotonic
        if known is not None and known.message == message and moment < known.when + ANSWER_LIFETIME:
            context.count("bri_repeated")
            if known.answer is not None:
                context.do(known.answer)
            return
        if source != context.settings.anchor and source not in self._registrations.sessions.anchors():
            context.count("bri_from_stranger")
            text = "revocation from {:address}, which is no anchor of ours"
            context.report(Severity.WARNING, "bri_from_stranger", text, source, peer=source)
            return
        context.count("bri_received")
        if len(self._received) >= REMEMBERED_ANSWERS:
            del self._received[next(iter(self._received))]
        received = self._received[source, message.sequence] = _Received(message, moment)
        verdict = self._examine(source, message)
        here = [entry for entry in verdict.entries if self._registrations.attachment(entry) is not None]
        if message.trigger in HANDOVER and here:
            self._ask(source, destination, received, verdict, here)
        else:
            self._carry_out(source, destination, received, verdict)

    def _examine(self, source: bytes, message: BindingRevocationIndication) -> _Verdict:
        flags, trigger = message.flags, message.trigger
        if trigger not in SUPPORTED:
            return _Verdict(RevocationStatus.REVOCATION_TRIGGER_NOT_SUPPORTED)
        if bool(flags & RevocationFlag.GLOBAL) != (trigger >= GLOBAL_TRIGGERS):
            return _Verdict(RevocationStatus.REVOCATION_FUNCTION_NOT_SUPPORTED)
        if flags & RevocationFlag.GLOBAL:
            if not flags & RevocationFlag.PROXY_BINDING:
                return _Verdict(RevocationStatus.REVOCATION_FUNCTION_NOT_SUPPORTED)
            return self._examine_global(source, message)
        identifier = _identifier(message)
        if not flags & RevocationFlag.PROXY_BINDING or identifier is None:
            return _Verdict(RevocationStatus.BINDING_DOES_NOT_EXIST)
        if flags & RevocationFlag.IPV4_HOME_ADDRESS_BINDING_ONLY:
            if not any(isinstance(option, Ipv4HomeAddressRequest) for option in message.options):
                return _Verdict(RevocationStatus.IPV4_HOME_ADDRESS_OPTION_REQUIRED)
            return _Verdict(RevocationStatus.BINDING_DOES_NOT_EXIST)  # no node here has an IPv4 home address
        entries = [entry for entry in self._registrations.sessions.of_node(identifier) if entry.anchor == source]
        return self._select(message, identifier, entries)

    def _examine_global(self, source: bytes, message: BindingRevocationIndication) -> _Verdict:
        entries = self._registrations.sessions.of_anchor(source)
        if message.trigger == RevocationTrigger.PER_PEER_POLICY:
            if message.options:
                return _Verdict(RevocationStatus.REVOCATION_FUNCTION_NOT_SUPPORTED)
            return _Verdict(RevocationStatus.SUCCESS, tuple(entries))
        identifier = _identifier(message)
        if identifier is None:
            return _Verdict(RevocationStatus.REVOKED_MOBILE_NODES_IDENTITY_REQUIRED)
        if identifier.startswith(b"@"):
            entries = [entry for entry in entries if entry.identifier.endswith(identifier)]
        else:
            entries = [entry for entry in entries if entry.identifier == identifier]
        verdict = self._select(message, identifier, entries)
        if not verdict.entries:
            return _Verdict(RevocationStatus.REVOKED_MOBILE_NODES_IDENTITY_REQUIRED)
        return verdict

    def _select(
        self, message: BindingRevocationIndication, identifier: bytes, entries: list[BindingUpdateListEntry]
    ) -> _Verdict:
        """Of these sessions the ones that the prefixes and the care-of address in the message name."""
        prefixes: list[HomeNetworkPrefix] = []
        for option in message.options:
            if isinstance(option, HomeNetworkPrefix):
                prefixes.append(option)
            elif isinstance(option, AlternateCareOfAddress):
                entries = [entry for entry in entries if entry.tunnel.local == option.address]
        if prefixes:
            entries = [entry for entry in entries if any(prefix in entry.prefixes for prefix in prefixes)]
        if not entries:
            return _Verdict(RevocationStatus.BINDING_DOES_NOT_EXIST)
        released = [prefix for prefix in prefixes if not any(prefix in entry.prefixes for entry in entries)]
        if released:
            return _Verdict(
                RevocationStatus.PARTIAL_SUCCESS, tuple(entries), (MobileNodeIdentifier(NAI, identifier), *released)
            )
        return _Verdict(RevocationStatus.SUCCESS, tuple(entries))

    def _ask(
        self,
        source: bytes,
        destination: bytes,
        received: _Received,
        verdict: _Verdict,
        here: list[BindingUpdateListEntry],
    ) -> None:
        """A handover to another gateway: accept only if the nodes have left this one (section 9.1)."""
        waiting = {entry.key for entry in here}

        def found() -> None:
            if received.answer is None:
                attached = _Verdict(RevocationStatus.REVOCATION_FAILED_MN_IS_ATTACHED)
                self._carry_out(source, destination, received, attached)

        def lost(key: bytes) -> None:
            waiting.discard(key)
            if not waiting and received.answer is None:
                self._carry_out(source, destination, received, verdict)

        for entry in here:
            attachment = self._links.attachment(entry.key)
            assert attachment is not None
            self._links.ask(attachment, QUICK_PROBE, found, partial(lost, entry.key))

    def _carry_out(self, source: bytes, destination: bytes, received: _Received, verdict: _Verdict) -> None:
        message = received.message
        for entry in verdict.entries:
            if self._registrations.sessions.get(entry.key) is not entry:
                continue
            self._context.report(
                Severity.INFO,
                "revoked",
                "anchor has revoked the binding of node {:node}: {}",
                entry.identifier,
                name_of(RevocationTrigger, message.trigger),
                peer=source,
            )
            attachment = self._registrations.attachment(entry)
            self._registrations.revoke(entry)
            if message.trigger == RevocationTrigger.POSSIBLE_OUT_OF_SYNC_BCE_STATE and attachment is not None:
                self._registrations.register(attachment)
        self._context.count(f"bra_sent_{int(verdict.status)}")
        answer = BindingRevocationAcknowledgement(int(verdict.status), message.sequence, message.flags, verdict.options)
        received.answer = Send(destination, source, answer)
        self._context.do(received.answer)

    # ---- initiator ------------------------------------------------------------------------------------------------------

    def revoke_all(self, anchor: bytes) -> str:
        """End all sessions with an anchor (section 9.2); what hinders it, or an empty string."""
        if anchor in self._unauthorized:
            return "the anchor has refused global revocation before"
        settings = self._context.settings
        send = self.started.start(
            settings.address,
            anchor,
            int(RevocationTrigger.PER_PEER_POLICY),
            RevocationFlag.PROXY_BINDING | RevocationFlag.GLOBAL,
            (MobileNodeIdentifier(NAI, settings.identity),),
            anchor,
            self._context.now,
        )
        if send is None:
            return "a revocation is under way already"
        self._context.count("bri_sent")
        self._context.do(send)
        return ""

    def acknowledged(self, source: bytes, message: BindingRevocationAcknowledgement) -> None:
        """An acknowledgement has come (section 6.2.2)."""
        revocation = self.started.answered(source, message)
        if revocation is None:
            self._context.count("bra_unmatched")
            return
        self._context.count(f"bra_received_{message.status}")
        if message.status < RevocationStatus.BINDING_DOES_NOT_EXIST:
            self._end_all(source)
            return
        if message.status == RevocationStatus.GLOBAL_REVOCATION_NOT_AUTHORIZED:
            self._unauthorized.add(source)
        text = "anchor refuses to end all sessions: {} (status {})"
        status = name_of(RevocationStatus, message.status)
        self._context.report(Severity.ERROR, "bri_refused", text, status, message.status, peer=source)

    def unsupported(self, anchor: bytes) -> None:
        """The anchor does not know Binding Revocation messages (Binding Error status 2)."""
        self.started.cancel(anchor)

    def handle_timeout(self) -> None:
        """Retransmit, and end what nobody has acknowledged (section 6.3)."""
        again, given_up = self.started.handle_timeout(self._context.now)
        for send in again:
            self._context.count("bri_retransmitted")
            self._context.do(send)
        for revocation in given_up:
            self._give_up(revocation)

    def _give_up(self, revocation: Revocation) -> None:
        anchor = revocation.indication.destination
        text = "anchor does not acknowledge the end of all sessions: they are ended here"
        self._context.report(Severity.WARNING, "bri_unanswered", text, peer=anchor)
        self._end_all(anchor)

    def _end_all(self, anchor: bytes) -> None:
        for entry in self._registrations.sessions.of_anchor(anchor):
            self._registrations.revoke(entry)


def _identifier(message: BindingRevocationIndication) -> bytes | None:
    for option in message.options:
        if isinstance(option, MobileNodeIdentifier) and option.subtype == NAI:
            return option.identifier
    return None
