# SPDX-License-Identifier: Apache-2.0
"""How proxy bindings end other than by a gateway's own Proxy Binding Update: revoked by us, revoked by a gateway, or lost with
a gateway that has restarted.

RFC 5846 sections 6, 8.1 (sending) and 8.2 (receiving), RFC 5847 section 3.2 (restart).

Always holds: a gateway revokes none but its own bindings (ANC-7); the traffic of a session that is revoked by name stops at
once, that of all a gateway's sessions when it has answered; a revocation that is never answered ends the same way, after the
retransmissions of section 6.3.
"""

from __future__ import annotations

from halma.engine.anchor_settings import AnchorSettings
from halma.engine.api import Effect, MessageReceived, Now, Report, Send, Severity
from halma.engine.constants import NAI
from halma.engine.forwarding_change import Purpose
from halma.engine.local_mobility_anchor import LocalMobilityAnchor
from halma.engine.policy import Policy
from halma.engine.proxy_binding_cache import SESSION_PREFIX_LENGTH, BindingState, ProxyBinding, prefix_key
from halma.engine.revocation import Revocation
from halma.engine.waiting import HasLeft
from halma.value import value
from halma.wire.messages import BindingRevocationAcknowledgement, BindingRevocationIndication
from halma.wire.numbers import (
    RevocationFlag,
    RevocationStatus,
    RevocationTrigger,
    name_of,
)
from halma.wire.options import AlternateCareOfAddress, HomeNetworkPrefix, MobileNodeIdentifier
from halma.wire.optionspace import Option

PER_NODE_TRIGGERS = range(RevocationTrigger.UNSPECIFIED, RevocationTrigger.POSSIBLE_OUT_OF_SYNC_BCE_STATE + 1)
GLOBAL_TRIGGERS = (RevocationTrigger.PER_PEER_POLICY, RevocationTrigger.REVOKING_MOBILITY_NODE_LOCAL_POLICY)


@value
class RevocationRequested:
    """A person wants sessions ended. One of: `identifier` (all sessions and home registrations of the node), `prefix` of
    `length` (the session that holds it, and home registrations of a home address or for a network in it), `gateway` (all of a
    gateway, or with `realm` those of nodes in that realm). The `Answer` tells how many are concerned."""

    op: int
    identifier: bytes = b""
    prefix: bytes = b""
    gateway: bytes = b""
    realm: bytes = b""
    length: int = SESSION_PREFIX_LENGTH


@value
class GatewayRevocation:
    """The subject of a global indication: a gateway, and a realm or empty for all nodes."""

    gateway: bytes
    realm: bytes


Judgement = tuple[int, list[ProxyBinding], tuple[Option, ...]]
"""Of an indication: the status of its answer, the bindings that go, the options that name what had gone before."""


class ProxyRevocation:
    """Ends sessions of a local mobility anchor."""

    def __init__(self, settings: AnchorSettings, policy: Policy, anchor: LocalMobilityAnchor) -> None:
        self.policy = policy
        self.counters = {
            "revocations_sent": 0,
            "revocations_retransmitted": 0,
            "revocations_unanswered": 0,
            "revocation_acknowledgements_received": 0,
            "revocation_acknowledgements_unmatched": 0,
            "revocations_received": 0,
            "revocations_refused": 0,
        }
        self._settings = settings
        self._anchor = anchor

    # ---- as initiator (section 8.1) ----

    def requested(self, event: RevocationRequested, now: Now) -> tuple[list[Effect], int]:
        """Begin to end the sessions that a person names; with how many they are."""
        if event.gateway:
            return self._revoke_gateway(event, now)
        if event.prefix:
            held = self._anchor.cache.by_prefix(event.prefix[:8] + bytes(8))
            bindings = [] if held is None else [held]
        else:
            node = self._anchor.cache.node(event.identifier)
            bindings = [] if node is None else list(node.sessions)
        effects: list[Effect] = []
        revoked = 0
        for binding in bindings:
            begun = self._revoke(binding, now)
            revoked += bool(begun)
            effects += begun
        return effects, revoked

    def _revoke(self, binding: ProxyBinding, now: Now) -> list[Effect]:
        """One session: its traffic stops, and its gateway is told why (section 8.1)."""
        if binding.state not in (BindingState.REGISTERED, BindingState.DEREGISTERED) or self._anchor.changes.of(binding):
            return []
        if binding.state is BindingState.DEREGISTERED:
            return self._anchor.delete(binding)
        indication = self._anchor.ask_gateway(binding, RevocationTrigger.ADMINISTRATIVE_REASON, binding, now)
        if indication is None:
            return []
        self.counters["revocations_sent"] += 1
        binding.state = BindingState.REVOKING
        self._anchor.deadlines.stop(binding)
        text = "revoking the session of node '{:node}' at {:address}"
        report = Report(Severity.INFO, "revoking", text, binding.gateway, (binding.node.identifier, binding.gateway))
        return [*self._anchor.changes.bind(Purpose.BLOCK, binding, None), indication, report]

    def _revoke_gateway(self, event: RevocationRequested, now: Now) -> tuple[list[Effect], int]:
        """All sessions of a gateway, or those of one realm: one indication with the Global flag for all of them."""
        subject = GatewayRevocation(event.gateway, event.realm)
        concerned = self._concerned(subject)
        if not concerned:
            return [], 0
        if event.realm:
            trigger = RevocationTrigger.REVOKING_MOBILITY_NODE_LOCAL_POLICY
            options: tuple[Option, ...] = (MobileNodeIdentifier(NAI, b"@" + event.realm),)
        else:
            trigger, options = RevocationTrigger.PER_PEER_POLICY, ()
        flags = RevocationFlag.PROXY_BINDING | RevocationFlag.GLOBAL
        local = concerned[0].tunnel.local
        indication = self._anchor.revocations.start(local, event.gateway, trigger, flags, options, subject, now)
        if indication is None:
            return [], 0
        self.counters["revocations_sent"] += 1
        return [indication], len(concerned)

    def _concerned(self, subject: GatewayRevocation) -> list[ProxyBinding]:
        bindings = self._anchor.cache.of_gateway(subject.gateway)
        if not subject.realm:
            return bindings
        return [binding for binding in bindings if binding.node.identifier.endswith(b"@" + subject.realm)]

    def acknowledged(self, event: MessageReceived, message: BindingRevocationAcknowledgement, now: Now) -> list[Effect]:
        """A Binding Revocation Acknowledgement (section 6.2.2)."""
        revocation = self._anchor.revocations.answered(event.source, message)
        if revocation is None:
            self.counters["revocation_acknowledgements_unmatched"] += 1
            return []
        self.counters["revocation_acknowledgements_received"] += 1
        return self._ended(revocation, message.status, now)

    def handle_timeout(self, now: Now) -> list[Effect]:
        """Retransmit, and give up what is never answered (section 6.3)."""
        again, given_up = self._anchor.revocations.handle_timeout(now)
        self.counters["revocations_retransmitted"] += len(again)
        effects: list[Effect] = [*again]
        for revocation in given_up:
            self.counters["revocations_unanswered"] += 1
            effects += self._ended(revocation, None, now)
        return effects

    def next_deadline(self) -> float | None:
        """When `handle_timeout` is wanted next."""
        return self._anchor.revocations.next_deadline()

    def _ended(self, revocation: Revocation, status: int | None, now: Now) -> list[Effect]:
        """An indication was answered with `status`, or never (None)."""
        subject = revocation.subject
        if isinstance(subject, HasLeft):
            if status is None:
                return self._anchor.said_nothing(subject.binding, now)
            if status <= RevocationStatus.BINDING_DOES_NOT_EXIST:  # a gateway that has no such session does not serve the node
                return self._anchor.has_left(subject.binding, now)
            return self._anchor.has_stayed(subject.binding, now)
        effects: list[Effect] = []
        if status is None or status >= RevocationStatus.BINDING_DOES_NOT_EXIST:
            outcome = "no answer" if status is None else name_of(RevocationStatus, status)
            text = "the gateway {:address} did not carry out a revocation ({}); its sessions are ended here"
            peer = revocation.indication.destination
            effects.append(Report(Severity.WARNING, "revocation_failed", text, peer, (peer, outcome)))
        bindings = [subject] if isinstance(subject, ProxyBinding) else []
        if isinstance(subject, GatewayRevocation):
            bindings = self._concerned(subject)
        for binding in bindings:
            effects += self._anchor.end(binding)
        return effects

    # ---- as responder (section 8.2) ----

    def indicated(self, event: MessageReceived, message: BindingRevocationIndication) -> list[Effect]:
        """A gateway ends sessions of its own: all of them, or those of one node."""
        self.counters["revocations_received"] += 1
        status, bindings, released = self._judge(event, message)
        effects: list[Effect] = []
        if status >= RevocationStatus.BINDING_DOES_NOT_EXIST:
            self.counters["revocations_refused"] += 1
            text = "refused revocation from {:address}: {}"
            details = (event.source, name_of(RevocationStatus, status))
            effects.append(Report(Severity.WARNING, "revocation_refused", text, event.source, details))
        for binding in bindings:
            self._anchor.revocations.cancel(binding)
            effects += self._anchor.end(binding)
        flags = message.flags & (
            RevocationFlag.PROXY_BINDING | RevocationFlag.IPV4_HOME_ADDRESS_BINDING_ONLY | RevocationFlag.GLOBAL
        )
        answer = BindingRevocationAcknowledgement(status, message.sequence, flags, released)
        return [*effects, Send(event.destination, event.source, answer)]

    def _judge(self, event: MessageReceived, message: BindingRevocationIndication) -> Judgement:
        """What is to be done with an indication (sections 6.2.1 and 8.2)."""
        is_global = bool(message.flags & RevocationFlag.GLOBAL)
        if message.trigger not in PER_NODE_TRIGGERS and message.trigger not in GLOBAL_TRIGGERS:
            return RevocationStatus.REVOCATION_TRIGGER_NOT_SUPPORTED, [], ()
        if message.trigger not in ((RevocationTrigger.PER_PEER_POLICY,) if is_global else PER_NODE_TRIGGERS):
            return RevocationStatus.REVOCATION_FUNCTION_NOT_SUPPORTED, [], ()
        identifier, care_of_address = b"", event.source
        prefixes: list[HomeNetworkPrefix] = []
        for option in message.options:
            if isinstance(option, MobileNodeIdentifier):
                identifier = option.identifier
            elif isinstance(option, AlternateCareOfAddress):
                care_of_address = option.address
            elif isinstance(option, HomeNetworkPrefix):
                prefixes.append(option)
        own = self._anchor.cache.of_gateway(event.source)
        if is_global:
            peer = self.policy.peer(event.source)
            if peer is None or not peer.global_revocation or not identifier or not message.flags & RevocationFlag.PROXY_BINDING:
                return RevocationStatus.GLOBAL_REVOCATION_NOT_AUTHORIZED, [], ()
            return RevocationStatus.SUCCESS, [binding for binding in own if binding.tunnel.remote == care_of_address], ()
        return self._judge_node(event, message, identifier, prefixes)

    def _judge_node(
        self, event: MessageReceived, message: BindingRevocationIndication, identifier: bytes, prefixes: list[HomeNetworkPrefix]
    ) -> Judgement:
        """One node's sessions at that gateway: all, or those with the named prefixes."""
        node = self._anchor.cache.node(identifier)
        proxy = (
            message.flags & RevocationFlag.PROXY_BINDING and not message.flags & RevocationFlag.IPV4_HOME_ADDRESS_BINDING_ONLY
        )
        if node is None or not proxy:
            return RevocationStatus.BINDING_DOES_NOT_EXIST, [], ()
        bindings = [binding for binding in node.sessions if binding.gateway == event.source]
        if prefixes:
            wanted = {prefix_key(option) for option in prefixes}
            bindings = [b for b in bindings if any(prefix_key(option) in wanted for option in b.prefixes)]
        if not bindings:
            return RevocationStatus.BINDING_DOES_NOT_EXIST, [], ()
        held = {prefix_key(option) for binding in bindings for option in binding.prefixes}
        released = tuple(option for option in prefixes if prefix_key(option) not in held)
        if released:
            return RevocationStatus.PARTIAL_SUCCESS, bindings, (MobileNodeIdentifier(NAI, identifier), *released)
        return RevocationStatus.SUCCESS, bindings, ()

    # ---- a gateway that lost its state (RFC 5847 section 3.2) ----

    def gateway_restarted(self, gateway: bytes, before: float, now: Now) -> list[Effect]:
        """What it had registered before a monotonic time is not served there any more; later sessions may be of its new life.
        Each session waits for a gateway as if it had been given up, so that one that comes back keeps its prefixes."""
        effects: list[Effect] = []
        for binding in self._anchor.cache.of_gateway(gateway):
            if binding.state is not BindingState.REGISTERED or self._anchor.changes.of(binding):
                continue
            if self._anchor.accepted_at(binding) <= before:
                self._anchor.hold(binding, now)
                effects += self._anchor.changes.bind(Purpose.BLOCK, binding, None)
                effects += self._anchor.given_up(binding, now)
        return effects
