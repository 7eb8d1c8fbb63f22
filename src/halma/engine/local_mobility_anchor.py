# SPDX-License-Identifier: Apache-2.0
"""The local mobility anchor: Proxy Binding Updates in, proxy bindings and their acknowledgements out.

RFC 5213 section 5.3 (the rules, in their order), 5.4 (which session), 5.5 (order of messages), 5.6.1 (tunnels). What becomes of
bindings by other ways (revocation, a gateway's restart) is in `proxy_revocation`.

Always holds: no request is accepted before the data plane has said that it forwards accordingly (ANC-8); a request that is
refused or ignored changes nothing but counters; what a gateway may not do is refused before any binding is looked at (ANC-7).
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass

from halma.engine.anchor_settings import AnchorSettings
from halma.engine.api import Effect, ForwardingDone, MessageReceived, Now, Report, Severity, Tunnel
from halma.engine.forwarding_change import QUEUE, Change, Changes, Purpose
from halma.engine.heartbeat import Heartbeat
from halma.engine.meter import Meter
from halma.engine.policy import Peer, Policy, Profile
from halma.engine.prefix_assignment import PrefixAssignment
from halma.engine.proxy_binding_cache import (
    NO_LINK_LAYER_IDENTIFIER,
    BindingState,
    Node,
    ProxyBinding,
    ProxyBindingCache,
    Verdict,
)
from halma.engine.proxy_request import LIFETIME_UNIT, UNSPECIFIED, Acceptance, ProxyRequest, accept, refuse
from halma.engine.revocation import Revocations
from halma.engine.timers import Deadlines
from halma.wire.messages import BindingUpdate
from halma.wire.numbers import MobileNodeIdentifierSubtype, RevocationFlag, RevocationTrigger, Status, name_of
from halma.wire.options import MobileNodeIdentifier, Timestamp
from halma.wire.timestamp import to_timestamp

RESERVED_LINK_LOCAL_ADDRESS = bytes.fromhex("fe80 0000 0000 0000 0200 5eff fe00 5213")
"""What a gateway uses on a node's link when it leaves the choice to us: made from the interface identifier that RFC 6543
section 3 reserves."""
TIMESTAMP_MEMORY = 3600.0
"""Seconds for which the last timestamp of a node is remembered after its last session, where nodes make their own: no validity
window bounds how late an old message may come."""
STRANGER_ANSWERS = 10
"""Refusals a second for gateways that the policy does not know; the rest is only counted."""
RETRY_DELAY = 10.0
"""Seconds until the data plane is asked again to forget a prefix that it would not."""
NAI = int(MobileNodeIdentifierSubtype.NAI)

REFUSALS = {
    Status.REASON_UNSPECIFIED: "node '{1:node}': malformed request, or the data plane failed",
    Status.ADMINISTRATIVELY_PROHIBITED: "the session of node '{1:node}' is being revoked",
    Status.INSUFFICIENT_RESOURCES: "no room or no prefix left for node '{1:node}'",
    Status.SEQUENCE_NUMBER_OUT_OF_WINDOW: "node '{1:node}': sequence number not newer than the last one",
    Status.PROXY_REG_NOT_ENABLED: "node '{1:node}' is not entitled to proxy mobility",
    Status.NOT_LMA_FOR_THIS_MOBILE_NODE: "node '{1:node}' is not served here",
    Status.MAG_NOT_AUTHORIZED_FOR_PROXY_REG: "node '{1:node}' may not attach there",
    Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX: "node '{1:node}' may not use a prefix that was asked for",
    Status.TIMESTAMP_MISMATCH: "node '{1:node}': timestamp outside the validity window; are the clocks in step?",
    Status.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED: "node '{1:node}': timestamp older than one already accepted",
    Status.MISSING_HOME_NETWORK_PREFIX_OPTION: "node '{1:node}': no Home Network Prefix option",
    Status.BCE_PBU_PREFIX_SET_DO_NOT_MATCH: "node '{1:node}': other prefixes than those of its session",
    Status.MISSING_MN_IDENTIFIER_OPTION: "no Mobile Node Identifier option",
    Status.MISSING_HANDOFF_INDICATOR_OPTION: "node '{1:node}': no Handoff Indicator option",
    Status.MISSING_ACCESS_TECH_TYPE_OPTION: "node '{1:node}': no Access Technology Type option",
}
"""Why, for people: every status that is ever given. Fields: the gateway's address, the node."""


@dataclass(slots=True, eq=False)
class Waiting:
    """A request that waits for the de-registration of the node's only session (sections 5.4.1.2 rule 4, 5.4.1.3 rule 3)."""

    binding: ProxyBinding
    request: ProxyRequest


class LocalMobilityAnchor:
    """The role. Its effects are carried out by the runner; `ProxyRevocation` shares its cache, changes and deadlines."""

    def __init__(self, settings: AnchorSettings, policy: Policy, heartbeat: Heartbeat) -> None:
        self.cache = ProxyBindingCache()
        self.changes = Changes()
        self.revocations = Revocations(settings.revocation)
        self.waiting: dict[ProxyBinding, Waiting] = {}
        self.deadlines: Deadlines[ProxyBinding | Node | Waiting] = Deadlines()
        self.counters = {
            "proxy_binding_updates_received": 0,
            "proxy_bindings_created": 0,
            "proxy_bindings_refreshed": 0,
            "proxy_bindings_handed_over": 0,
            "proxy_bindings_deregistered": 0,
            "proxy_bindings_expired": 0,
            "proxy_bindings_deleted": 0,
            "proxy_updates_ignored": 0,
            "proxy_updates_waiting": 0,
            "proxy_updates_rate_limited": 0,
            "forwarding_failures": 0,
        } | {f"refused_{name_of(Status, status).lower()}": 0 for status in REFUSALS}
        self._refused = {int(status): f"refused_{name_of(Status, status).lower()}" for status in REFUSALS}
        self._settings = settings
        self._policy = policy
        self._heartbeat = heartbeat
        self._assignment = PrefixAssignment(settings.pools, policy, self.cache.holds)
        self._tunnels: dict[tuple[bytes, bytes], Tunnel] = {}
        self._meter = Meter()
        self._window = int(settings.timestamp_validity_window * 65536)

    def replace_policy(self, policy: Policy) -> None:
        """Ask this policy from now on. Existing sessions stay until their gateways come again."""
        self._policy = policy
        self._assignment.policy = policy

    # ---- a Proxy Binding Update (section 5.3.1) ----

    def binding_update(self, event: MessageReceived, message: BindingUpdate, now: Now) -> list[Effect]:
        """Take a Proxy Binding Update that came for us."""
        self.counters["proxy_binding_updates_received"] += 1
        peer = self._policy.peer(event.source)
        if peer is None:
            if not self._meter.allows(b"", STRANGER_ANSWERS, now.monotonic):
                self.counters["proxy_updates_rate_limited"] += 1
                return []
        elif peer.rate_limit and not self._meter.allows(event.source, peer.rate_limit, now.monotonic):
            self.counters["proxy_updates_rate_limited"] += 1
            return []
        return self._consider(ProxyRequest(event.source, event.destination, message), peer, now)

    def _consider(self, request: ProxyRequest, peer: Peer | None, now: Now) -> list[Effect]:
        """Rules 4 to 12: who asks for whom, and is the message whole and in order."""
        if request.identifier is None or not request.identifier.identifier:
            return self._refuse(request, Status.MISSING_MN_IDENTIFIER_OPTION, now)
        identifier = request.identifier.identifier
        if peer is None or not self._speaks_for(peer, request, identifier):
            return self._refuse(request, Status.MAG_NOT_AUTHORIZED_FOR_PROXY_REG, now)
        profile = self._policy.profile(identifier) if request.identifier.subtype == NAI else None
        if profile is None:
            return self._refuse(request, Status.NOT_LMA_FOR_THIS_MOBILE_NODE, now)
        if not profile.proxy_mobility:
            return self._refuse(request, Status.PROXY_REG_NOT_ENABLED, now)
        if request.duplicate:
            return self._refuse(request, Status.REASON_UNSPECIFIED, now)
        if request.timestamp is not None and self._settings.timestamp_based_approach:
            status = self._check_timestamp(request.timestamp.value, self.cache.node(identifier), now)
            if status:
                ours = Timestamp(to_timestamp(now.wall))
                return self._refuse(request, status, now, timestamp=ours)
        if not request.prefixes:
            return self._refuse(request, Status.MISSING_HOME_NETWORK_PREFIX_OPTION, now)
        if request.handoff_indicator is None:
            return self._refuse(request, Status.MISSING_HANDOFF_INDICATOR_OPTION, now)
        if request.access_technology is None:
            return self._refuse(request, Status.MISSING_ACCESS_TECH_TYPE_OPTION, now)
        return self._route(request, identifier, profile, now)

    def _speaks_for(self, peer: Peer, request: ProxyRequest, identifier: bytes) -> bool:
        """A gateway speaks only for its nodes, and moves their packets only to addresses of its own (RFC 4832 section 2.2)."""
        if not self._policy.may_register(peer, identifier):
            return False
        return request.care_of_address == request.source or self._policy.peer(request.care_of_address) == peer

    def _check_timestamp(self, timestamp: int, node: Node | None, now: Now) -> int:
        """Section 5.5, rules 6 to 9 of the timestamp-based approach: a status, 0 for a valid timestamp."""
        last = node.timestamp if node is not None else 0
        if timestamp < last:
            return Status.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED
        near = abs(timestamp - to_timestamp(now.wall)) <= self._window
        if timestamp == last or not (near or self._settings.mobile_node_generated_timestamp):
            return Status.TIMESTAMP_MISMATCH
        return 0

    def _route(self, request: ProxyRequest, identifier: bytes, profile: Profile, now: Now) -> list[Effect]:
        """Rule 13: which session the request is about, and which section goes on from here."""
        found = self.cache.find(request, identifier)
        if found.verdict is Verdict.REFUSE:
            return self._refuse(request, found.status, now)
        binding = found.binding
        if binding is None:
            if request.lifetime == 0:
                return self._ignore()
            return self._create(request, identifier, profile, now)
        change = self.changes.of(binding)
        if change is not None:
            if len(change.queued) < QUEUE:
                change.queued.append(request)
                return []
            return self._ignore()
        if self._by_sequence(request) and not _is_newer(request.sequence, binding.sequence):
            status = Status.SEQUENCE_NUMBER_OUT_OF_WINDOW
            return self._refuse(request, status, now, sequence=binding.sequence)
        if request.lifetime == 0:
            return self._deregister(request, binding, now) if found.verdict is Verdict.UPDATE else self._ignore()
        if found.verdict is Verdict.UPDATE:
            return self._update(request, binding, now)
        return self._wait(request, binding, identifier, profile, now)

    def _by_sequence(self, request: ProxyRequest) -> bool:
        """Whether messages are ordered by sequence number: configured so, or no Timestamp is there (section 5.5)."""
        return request.timestamp is None or not self._settings.timestamp_based_approach

    # ---- a new session (section 5.3.2) ----

    def _create(self, request: ProxyRequest, identifier: bytes, profile: Profile, now: Now) -> list[Effect]:
        if len(self.cache) >= self._settings.maximum_bindings:
            return self._refuse(request, Status.INSUFFICIENT_RESOURCES, now)
        prefixes = self._assignment.assign(request.prefixes, profile)
        if not isinstance(prefixes, tuple):
            return self._refuse(request, prefixes, now)
        node = self.cache.add(identifier)
        self.deadlines.stop(node)
        binding = ProxyBinding(
            node=node,
            prefixes=prefixes,
            link_layer_identifier=NO_LINK_LAYER_IDENTIFIER,
            access_technology=0,
            tunnel=self._tunnel(request),
            gateway=request.source,
            link_local_address=UNSPECIFIED,
            lifetime=0,
            sequence=request.sequence,
            state=BindingState.CREATING,
        )
        self._describe(binding, request)
        self.cache.insert(binding)
        self._heartbeat.watch(binding.tunnel.local, binding.gateway, now)
        return [*self.changes.bind(Purpose.CREATE, binding, binding.tunnel, request)]

    # ---- an existing one (sections 5.3.3 to 5.3.5) ----

    def _update(self, request: ProxyRequest, binding: ProxyBinding, now: Now) -> list[Effect]:
        if binding.state is BindingState.REVOKING:
            return self._refuse(request, Status.ADMINISTRATIVELY_PROHIBITED, now)
        tunnel = self._tunnel(request)
        if binding.state is BindingState.REGISTERED and tunnel == binding.tunnel and request.source == binding.gateway:
            self.counters["proxy_bindings_refreshed"] += 1
            return [self._commit(request, binding, now)]
        return [*self.changes.bind(Purpose.MOVE, binding, tunnel, request)]

    def _deregister(self, request: ProxyRequest, binding: ProxyBinding, now: Now) -> list[Effect]:
        if request.care_of_address != binding.tunnel.remote:
            return self._ignore()  # section 5.3.5 rule 1: a gateway that serves the node no more
        if binding.state is BindingState.DEREGISTERED:
            return [self._commit_deregistration(request, binding, now)]
        if binding.state is BindingState.REVOKING:
            return [accept(request, Acceptance(binding.prefixes, 0, binding.link_local_address))]
        return [*self.changes.bind(Purpose.DEREGISTER, binding, None, request)]

    def _wait(
        self, request: ProxyRequest, binding: ProxyBinding, identifier: bytes, profile: Profile, now: Now
    ) -> list[Effect]:
        """Nobody knows whether this is a handoff: the old gateway's de-registration would tell."""
        if not self._settings.wait_for_deregistration:
            return self._create(request, identifier, profile, now)
        self.counters["proxy_updates_waiting"] += 1
        waiting = self.waiting.get(binding)
        if waiting is not None:
            waiting.request = request
            return []
        waiting = self.waiting[binding] = Waiting(binding, request)
        self.deadlines.set(waiting, now.monotonic + self._settings.maximum_delay_before_new_bce_assign)
        return self._ask_previous_gateway(waiting, now)

    def _ask_previous_gateway(self, waiting: Waiting, now: Now) -> list[Effect]:
        """RFC 5846 section 8.1: rather than wait only, ask the gateway that holds the session whether the node has left."""
        binding = waiting.binding
        options = (MobileNodeIdentifier(NAI, binding.node.identifier), *binding.prefixes)
        trigger = RevocationTrigger.INTER_MAG_HANDOVER_UNKNOWN
        indication = self.revocations.start(
            binding.tunnel.local, binding.tunnel.remote, trigger, RevocationFlag.PROXY_BINDING, options, waiting, now
        )
        return [] if indication is None else [indication]

    def go_on(self, waiting: Waiting, now: Now, *, handed_over: bool) -> list[Effect]:
        """Take up a request that has waited: as an update of the session that was given up, or as a session of its own. Its
        timestamp was found valid when it came, and the de-registration that it waited for may well be newer."""
        self.waiting.pop(waiting.binding, None)
        self.deadlines.stop(waiting)
        self.revocations.cancel(waiting)
        request = waiting.request
        assert request.identifier is not None
        identifier = request.identifier.identifier
        profile = self._policy.profile(identifier)
        if profile is None:
            return self._refuse(request, Status.NOT_LMA_FOR_THIS_MOBILE_NODE, now)
        if handed_over:
            return self._route(request, identifier, profile, now)
        return self._create(request, identifier, profile, now)

    # ---- the data plane's word ----

    def forwarding_done(self, event: ForwardingDone, now: Now) -> list[Effect]:
        """A Bind or Unbind has been carried out, or not."""
        change = self.changes.done(event.op, event.error)
        if change is None:
            return []
        if change.error and not (change.purpose is Purpose.DELETE and change.error == errno.ENOENT):
            effects = self._failed(change, now)
        else:
            effects = self._succeeded(change, now)
        for request in change.queued:
            effects += self._consider(request, self._policy.peer(request.source), now)
        return effects

    def _succeeded(self, change: Change, now: Now) -> list[Effect]:
        binding = change.binding
        if change.purpose is Purpose.CREATE or change.purpose is Purpose.MOVE:
            assert change.request is not None and change.tunnel is not None  # noqa: PT018
            if change.purpose is Purpose.CREATE:
                self.counters["proxy_bindings_created"] += 1
                reason, text = "created", "node '{:node}' attached at {:address}"
            else:
                self.counters["proxy_bindings_handed_over"] += 1
                reason, text = "handed_over", "node '{:node}' handed over to {:address}"
                self._move(binding, change.tunnel, change.request.source, now)
            binding.since = now.monotonic
            details = (binding.node.identifier, binding.tunnel.remote)
            return [self._commit(change.request, binding, now), Report(Severity.INFO, reason, text, binding.gateway, details)]
        if change.purpose is Purpose.DEREGISTER:
            assert change.request is not None
            self.counters["proxy_bindings_deregistered"] += 1
            return [self._commit_deregistration(change.request, binding, now), *self.given_up(binding, now)]
        if change.purpose is Purpose.DELETE:
            return self._removed(binding, now)
        return []

    def _failed(self, change: Change, now: Now) -> list[Effect]:
        self.counters["forwarding_failures"] += 1
        binding = change.binding
        text = "the data plane refused to {} the prefixes of node '{:node}': {}"
        what = (change.purpose.value, binding.node.identifier, errno.errorcode.get(change.error, str(change.error)))
        effects: list[Effect] = [Report(Severity.ERROR, "forwarding_failed", text, binding.gateway, what)]
        if change.request is not None:
            full = change.error in (errno.ENOMEM, errno.E2BIG, errno.ENOSPC)
            status = Status.INSUFFICIENT_RESOURCES if full else Status.REASON_UNSPECIFIED
            effects += self._refuse(change.request, status, now)
        if change.purpose is Purpose.CREATE:
            effects += self.delete(binding)
        elif change.purpose is Purpose.MOVE:
            before = binding.tunnel if binding.state is BindingState.REGISTERED else None
            effects += self.changes.bind(Purpose.RESTORE, binding, before)
        elif change.purpose is Purpose.DELETE:
            self.deadlines.set(binding, now.monotonic + RETRY_DELAY)
        return effects

    # ---- writing bindings ----

    def _describe(self, binding: ProxyBinding, request: ProxyRequest) -> None:
        """The fields of section 5.1 that every accepted request renews."""
        assert request.access_technology is not None
        identifier = request.link_layer_identifier
        binding.link_layer_identifier = NO_LINK_LAYER_IDENTIFIER if identifier is None else identifier.identifier
        binding.access_technology = request.access_technology.technology

    def _commit(self, request: ProxyRequest, binding: ProxyBinding, now: Now) -> Effect:
        """The request is accepted: the binding takes its values, and the gateway is told (section 5.3.6)."""
        self._describe(binding, request)
        self._note_order(request, binding)
        if request.link_local_address is not None:
            if any(request.link_local_address.address):
                binding.link_local_address = request.link_local_address.address
            elif binding.link_local_address == UNSPECIFIED:
                binding.link_local_address = RESERVED_LINK_LOCAL_ADDRESS
        binding.lifetime = self._lifetime(request)
        binding.state = BindingState.REGISTERED
        self.deadlines.set(binding, now.monotonic + binding.lifetime * LIFETIME_UNIT)
        return accept(request, Acceptance(binding.prefixes, binding.lifetime, binding.link_local_address))

    def _commit_deregistration(self, request: ProxyRequest, binding: ProxyBinding, now: Now) -> Effect:
        """Section 5.3.5 rule 2: answered at once, deleted after MinDelayBeforeBCEDelete. A copy does not lengthen the wait."""
        self._note_order(request, binding)
        if binding.state is not BindingState.DEREGISTERED:
            self.hold(binding, now)
        return accept(request, Acceptance(binding.prefixes, 0, binding.link_local_address))

    def _note_order(self, request: ProxyRequest, binding: ProxyBinding) -> None:
        binding.sequence = request.sequence
        if request.timestamp is not None and self._settings.timestamp_based_approach:
            binding.node.timestamp = max(binding.node.timestamp, request.timestamp.value)

    def _lifetime(self, request: ProxyRequest) -> int:
        """What is granted, in units of 4 seconds: at most what the anchor and the node's profile allow, at least one."""
        assert request.identifier is not None
        profile = self._policy.profile(request.identifier.identifier)
        longest = self._settings.maximum_lifetime
        if profile is not None and profile.lifetime:
            longest = min(longest, profile.lifetime)
        return max(1, min(request.lifetime, int(longest) // LIFETIME_UNIT))

    def _tunnel(self, request: ProxyRequest) -> Tunnel:
        """One object for all the sessions that share a tunnel (section 5.6.1)."""
        ends = (request.destination, request.care_of_address)
        tunnel = self._tunnels.get(ends)
        if tunnel is None:
            if len(self._tunnels) >= self._settings.maximum_bindings:
                self._tunnels.clear()
            tunnel = self._tunnels[ends] = Tunnel(*ends)
        return tunnel

    def _move(self, binding: ProxyBinding, tunnel: Tunnel, gateway: bytes, now: Now) -> None:
        before = binding.gateway
        self.cache.move(binding, tunnel, gateway)
        self._heartbeat.watch(tunnel.local, gateway, now)
        self._left(before)

    def _left(self, gateway: bytes) -> None:
        if not self.cache.count_of_gateway(gateway):
            self._heartbeat.forget(gateway)

    def hold(self, binding: ProxyBinding, now: Now) -> None:
        """Let a binding wait for a new gateway, MinDelayBeforeBCEDelete long."""
        binding.state = BindingState.DEREGISTERED
        self.deadlines.set(binding, now.monotonic + self._settings.minimum_delay_before_bce_delete)

    def given_up(self, binding: ProxyBinding, now: Now) -> list[Effect]:
        """The old gateway has let the session go: a request that waited for this is a handoff."""
        waiting = self.waiting.get(binding)
        return [] if waiting is None else self.go_on(waiting, now, handed_over=True)

    def delete(self, binding: ProxyBinding) -> list[Effect]:
        """Make the data plane forget a binding; it is gone when that has been done. The binding must not be busy."""
        binding.state = BindingState.DELETING
        self.deadlines.stop(binding)
        return [*self.changes.unbind(binding)]

    def _removed(self, binding: ProxyBinding, now: Now) -> list[Effect]:
        """Nothing forwards for the binding any more: its prefixes are free (section 5.3.5)."""
        self.counters["proxy_bindings_deleted"] += 1
        node = binding.node
        self.cache.remove(binding)
        self._assignment.release(binding.prefixes)
        self._left(binding.gateway)
        if not node.sessions:
            window = self._settings.timestamp_validity_window
            memory = TIMESTAMP_MEMORY if self._settings.mobile_node_generated_timestamp else 2 * window
            self.deadlines.set(node, now.monotonic + (memory if node.timestamp else 0.0))
        waiting = self.waiting.get(binding)
        return [] if waiting is None else self.go_on(waiting, now, handed_over=False)

    # ---- time ----

    def handle_timeout(self, now: Now) -> list[Effect]:
        """Expiry, the end of the wait before deletion, the end of a wait for a de-registration."""
        effects: list[Effect] = []
        for key in self.deadlines.due(now.monotonic):
            if isinstance(key, Node):
                self.cache.forget(key)
            elif isinstance(key, Waiting):
                effects += self.go_on(key, now, handed_over=False)
            elif self.changes.of(key) is not None:
                self.deadlines.set(key, now.monotonic + RETRY_DELAY)
            else:
                if key.state is BindingState.REGISTERED:
                    self.counters["proxy_bindings_expired"] += 1
                    text = "the registration of node '{:node}' at {:address} has expired"
                    details = (key.node.identifier, key.tunnel.remote)
                    effects.append(Report(Severity.INFO, "expired", text, key.gateway, details))
                effects += self.delete(key)
        return effects

    # ---- answers ----

    def _ignore(self) -> list[Effect]:
        self.counters["proxy_updates_ignored"] += 1
        return []

    def _refuse(
        self, request: ProxyRequest, status: int, now: Now, timestamp: Timestamp | None = None, sequence: int | None = None
    ) -> list[Effect]:
        """Say no with the status that the RFC names, and tell the operator why."""
        self.counters[self._refused[status]] += 1
        if request.timestamp is not None and timestamp is None:
            ours = to_timestamp(now.wall)
            near = abs(request.timestamp.value - ours) <= self._window
            valid = near or self._settings.mobile_node_generated_timestamp
            timestamp = request.timestamp if valid else Timestamp(ours)
        identifier = b"" if request.identifier is None else request.identifier.identifier
        text = "refused PBU from {0:address}: " + REFUSALS[Status(status)] + " (status {2})"
        details = (request.source, identifier, int(status))
        report = Report(Severity.WARNING, self._refused[status], text, request.source, details)
        return [refuse(request, status, timestamp, sequence), report]

    # ---- for people ----

    def describe_bindings(self, now: Now) -> Iterator[dict[str, object]]:
        """One row a binding, without addresses turned to text: whoever shows them does that."""
        for node in self.cache.nodes():
            for binding in node.sessions:
                deadline = self.deadlines.get(binding)
                yield {
                    "node": node.identifier,
                    "prefixes": [(option.prefix, option.prefix_length) for option in binding.prefixes],
                    "gateway": binding.tunnel.remote,
                    "anchor": binding.tunnel.local,
                    "state": binding.state.value,
                    "access_technology": binding.access_technology,
                    "link_layer_identifier": binding.link_layer_identifier,
                    "lifetime_seconds": binding.lifetime * LIFETIME_UNIT,
                    "remaining_seconds": None if deadline is None else max(0.0, deadline - now.monotonic),
                    "attached_seconds": now.monotonic - binding.since,
                }


def _is_newer(sequence: int, last: int) -> bool:
    """RFC 6275 section 9.5.1: greater, modulo 2^16; the preceding 32768 values and the last one itself are not."""
    return 0 < ((sequence - last) & 0xFFFF) < 0x8000
