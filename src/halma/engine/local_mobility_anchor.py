# SPDX-License-Identifier: Apache-2.0
"""The local mobility anchor: Proxy Binding Updates in, proxy bindings and their acknowledgements out.

RFC 5213 section 5.3 (the rules, in their order), 5.4 (which session), 5.5 (order of messages), 5.6.1 (tunnels). What becomes of
bindings by other ways (revocation, a gateway's restart) is in `proxy_revocation`.

Always holds: no request is accepted before the data plane has said that it forwards accordingly (ANC-8); a request that is
refused or ignored changes nothing but counters; what a gateway may not do is refused before any binding is looked at (ANC-7).
"""

from __future__ import annotations

import errno
from collections.abc import Hashable, Iterator

from halma.engine.anchor_settings import AnchorSettings
from halma.engine.api import Effect, ForwardingDone, MessageReceived, Now, Report, Send, Severity, Tunnel
from halma.engine.forwarding_change import QUEUE, Change, Changes, Purpose
from halma.engine.heartbeat import Heartbeat
from halma.engine.meter import Meter
from halma.engine.policy import Peer, Policy, Profile
from halma.engine.prefix_assignment import Kept, PrefixAssignment
from halma.engine.proxy_binding_cache import (
    NO_LINK_LAYER_IDENTIFIER,
    BindingState,
    Node,
    ProxyBinding,
    ProxyBindingCache,
    Verdict,
)
from halma.engine.proxy_refusal import REFUSALS
from halma.engine.proxy_request import LIFETIME_UNIT, UNSPECIFIED, ProxyRequest, accept, refuse
from halma.engine.revocation import Revocations
from halma.engine.sequence import is_newer
from halma.engine.timers import Deadlines
from halma.engine.waiting import HasLeft, Standing, Waiting
from halma.wire.messages import BindingUpdate
from halma.wire.numbers import MobileNodeIdentifierSubtype, RevocationFlag, RevocationTrigger, Status, name_of
from halma.wire.options import AlternateCareOfAddress, MobileNodeIdentifier, Timestamp
from halma.wire.optionspace import Option
from halma.wire.timestamp import to_timestamp

RESERVED_LINK_LOCAL_ADDRESS = bytes.fromhex("fe80 0000 0000 0000 0200 5eff fe00 5213")
"""What a gateway uses on a node's link when it leaves the choice to us: made from the interface identifier that RFC 6543
section 3 reserves."""
LOOPBACK = bytes(15) + b"\x01"
TIMESTAMP_MEMORY = 3600.0
"""Seconds for which the last timestamp of a node is remembered after its last session, where nodes make their own: no validity
window bounds how late an old message may come."""
STRANGER_ANSWERS = 10
"""Refusals a second for gateways that the policy does not know; the rest is only counted."""
REFUSALS_PER_SECOND = 100
"""Refusals a second for a gateway that acts beyond its rights (ANC-7); the rest is only counted."""
BEYOND_RIGHTS = frozenset(
    (
        Status.PROXY_REG_NOT_ENABLED,
        Status.NOT_LMA_FOR_THIS_MOBILE_NODE,
        Status.MAG_NOT_AUTHORIZED_FOR_PROXY_REG,
        Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX,
    )
)
SESSIONS_OF_A_NODE = 32
"""Sessions that a node may have, one for each of its interfaces (RFC 5213 section 5.4): a gateway that makes up interfaces
must not take all the room there is, nor make finding a session slow."""
RETRY_DELAY = 10.0
"""Seconds until the data plane is asked again to forget a prefix that it would not."""
NAI = int(MobileNodeIdentifierSubtype.NAI)


class LocalMobilityAnchor:
    """The role. Its effects are carried out by the runner; `ProxyRevocation` shares its cache, changes and deadlines."""

    def __init__(
        self, settings: AnchorSettings, policy: Policy, heartbeat: Heartbeat, ops: Iterator[int], kept: Kept | None = None
    ) -> None:
        self.cache = ProxyBindingCache()
        self.changes = Changes(ops)
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
        self.assignment = PrefixAssignment(settings.pools, policy, self.cache.holds, kept)
        self._tunnels: dict[tuple[bytes, bytes], Tunnel] = {}
        self._meter = Meter()
        self._refusals = Meter()
        self._window = int(settings.timestamp_validity_window * 65536)

    def replace_policy(self, policy: Policy) -> None:
        """Ask this policy from now on. Existing sessions stay until their gateways come again."""
        self._policy = policy
        self.assignment.policy = policy

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
        request = ProxyRequest(event.source, event.destination, message, to_timestamp(now.wall))
        return self._consider(request, peer, now, Standing.NEW)

    def _consider(self, request: ProxyRequest, peer: Peer | None, now: Now, standing: Standing) -> list[Effect]:
        """Rules 4 to 12: who asks for whom, and is the message whole and in order."""
        if request.identifier is None or not request.identifier.identifier:
            return self._refuse(request, Status.MISSING_MN_IDENTIFIER_OPTION, now)
        identifier = request.identifier.identifier
        if peer is None or not self._speaks_for(peer, request, identifier):
            return self._refuse(request, Status.MAG_NOT_AUTHORIZED_FOR_PROXY_REG, now)
        profile = self._policy.profile(identifier) if request.identifier.subtype == NAI else None
        if profile is None:
            return self._refuse(request, Status.NOT_LMA_FOR_THIS_MOBILE_NODE, now)
        request.profile = profile
        if not profile.proxy_mobility or not self._settings.proxy:
            return self._refuse(request, Status.PROXY_REG_NOT_ENABLED, now)
        if request.duplicate:
            return self._refuse(request, Status.REASON_UNSPECIFIED, now)
        if request.timestamp is not None and standing is Standing.NEW and self._settings.timestamp_based_approach:
            status = self._check_timestamp(request, request.timestamp.value, self.cache.node(identifier))
            if status:
                ours = Timestamp(to_timestamp(now.wall))
                return self._refuse(request, status, now, timestamp=ours)
        if not request.prefixes:
            return self._refuse(request, Status.MISSING_HOME_NETWORK_PREFIX_OPTION, now)
        if request.handoff_indicator is None:
            return self._refuse(request, Status.MISSING_HANDOFF_INDICATOR_OPTION, now)
        if request.access_technology is None:
            return self._refuse(request, Status.MISSING_ACCESS_TECH_TYPE_OPTION, now)
        return self._route(request, identifier, profile, now, standing)

    def _speaks_for(self, peer: Peer, request: ProxyRequest, identifier: bytes) -> bool:
        """A gateway speaks only for its nodes, and moves their packets only to addresses of its own (RFC 4832 section 2.2)."""
        if not self._policy.may_register(peer, identifier):
            return False
        there = request.care_of_address
        if there in self._settings.addresses or not _is_unicast_beyond_the_link(there):
            return False
        return there == request.source or self._policy.peer(there) == peer

    def _check_timestamp(self, request: ProxyRequest, timestamp: int, node: Node | None) -> int:
        """Section 5.5, rules 6 to 9 of the timestamp-based approach: a status, 0 for a valid timestamp."""
        last = node.timestamp if node is not None else 0
        if timestamp < last:
            return Status.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED
        near = abs(timestamp - request.arrival) <= self._window
        if timestamp == last or not (near or self._settings.mobile_node_generated_timestamp):
            return Status.TIMESTAMP_MISMATCH
        return 0

    def _route(self, request: ProxyRequest, identifier: bytes, profile: Profile, now: Now, standing: Standing) -> list[Effect]:
        """Rule 13: which session the request is about, and which section goes on from here."""
        found = self.cache.find(request, identifier)
        if found.verdict is Verdict.REFUSE:
            return self._refuse(request, found.status, now)
        binding = found.binding
        if binding is None:
            if request.lifetime == 0:
                return self._ignore()
            return self._create(request, identifier, profile, now)
        if standing is Standing.IN_VAIN:
            if found.verdict is Verdict.WAIT:
                return self._create(request, identifier, profile, now)
            return self._consider(request, self._policy.peer(request.source), now, Standing.NEW)  # it got a session meanwhile
        change = self.changes.of(binding)
        if change is not None:
            if len(change.queued) < QUEUE:
                change.queued.append(request)
                return []
            return self._ignore()
        in_order = standing is Standing.HANDED_OVER or not self._by_sequence(request)
        if not in_order and not is_newer(request.sequence, binding.sequence):
            status = Status.SEQUENCE_NUMBER_OUT_OF_WINDOW
            return self._refuse(request, status, now, sequence=binding.sequence)
        if request.lifetime == 0:
            return self._deregister(request, binding)
        if binding.state is BindingState.REVOKING:
            return self._refuse(request, Status.ADMINISTRATIVELY_PROHIBITED, now)
        if found.verdict is Verdict.UPDATE:
            return self._update(request, binding, now)
        return self._wait(request, binding, identifier, profile, now)

    def _by_sequence(self, request: ProxyRequest) -> bool:
        """Whether messages are ordered by sequence number: configured so, or no Timestamp is there (section 5.5)."""
        return request.timestamp is None or not self._settings.timestamp_based_approach

    # ---- a new session (section 5.3.2) ----

    def _create(self, request: ProxyRequest, identifier: bytes, profile: Profile, now: Now) -> list[Effect]:
        known = self.cache.node(identifier)
        crowded = known is not None and len(known.sessions) >= SESSIONS_OF_A_NODE
        if crowded or len(self.cache) >= self._settings.maximum_bindings:
            return self._refuse(request, Status.INSUFFICIENT_RESOURCES, now)
        prefixes = self.assignment.assign(request.prefixes, profile, identifier)
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
        tunnel = self._tunnel(request)
        stays = tunnel == binding.tunnel and request.source == binding.gateway
        if stays and binding.settled and binding.state is BindingState.REGISTERED:
            self.counters["proxy_bindings_refreshed"] += 1
            return [self._commit(request, binding, now)]
        return [*self.changes.bind(Purpose.MOVE, binding, tunnel, request)]

    def _deregister(self, request: ProxyRequest, binding: ProxyBinding) -> list[Effect]:
        if request.care_of_address != binding.tunnel.remote:
            return self._ignore()  # section 5.3.5 rule 1: a gateway that serves the node no more
        if binding.settled and binding.state in (BindingState.DEREGISTERED, BindingState.REVOKING):
            return [self._commit_deregistration(request, binding)]
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
            if not self._is_later(request, waiting.request):
                return self._ignore()
            waiting.request = request
            return []
        waiting = self.waiting[binding] = Waiting(binding, request)
        self.deadlines.set(waiting, now.monotonic + self._settings.maximum_delay_before_new_bce_assign)
        indication = self.ask_gateway(
            binding, RevocationTrigger.INTER_MAG_HANDOVER_UNKNOWN, HasLeft(binding), now
        )  # RFC 5846 section 8.1: rather than wait only
        waiting.asked = indication is not None
        return [] if indication is None else [indication]

    def _is_later(self, request: ProxyRequest, other: ProxyRequest) -> bool:
        """Whether a request was sent after another, or is a copy of it."""
        if self._by_sequence(request) or other.timestamp is None:
            return request.sequence == other.sequence or is_newer(request.sequence, other.sequence)
        assert request.timestamp is not None
        return request.timestamp.value >= other.timestamp.value

    def ask_gateway(self, binding: ProxyBinding, trigger: int, subject: Hashable, now: Now) -> Send | None:
        """The indication that revokes one session at its gateway (RFC 5846 section 8.1): sent to the address that the gateway
        signals from, with the Proxy-CoA beside it where that is another. None when it cannot be sent now."""
        options: tuple[Option, ...] = (MobileNodeIdentifier(NAI, binding.node.identifier), *binding.prefixes)
        if binding.gateway != binding.tunnel.remote:
            options = (*options, AlternateCareOfAddress(binding.tunnel.remote))
        flags = RevocationFlag.PROXY_BINDING
        return self.revocations.start(binding.tunnel.local, binding.gateway, trigger, flags, options, subject, now)

    def _ask_no_more(self, binding: ProxyBinding) -> None:
        """Whether the node has left the session's gateway does not matter any more."""
        if len(self.revocations):  # nearly never is any out
            self.revocations.cancel(HasLeft(binding))

    def go_on(self, waiting: Waiting, now: Now, standing: Standing) -> list[Effect]:
        """Take up a request that has waited: as an update of the session that was given up, or as a session of its own."""
        del self.waiting[waiting.binding]
        self.deadlines.stop(waiting)
        request = waiting.request
        assert request.identifier is not None
        found = self.cache.find(request, request.identifier.identifier)
        if standing is Standing.HANDED_OVER and found.binding is not waiting.binding:
            standing = Standing.NEW  # its interface has got a session meanwhile, by a message that may be newer
        return self._consider(request, self._policy.peer(request.source), now, standing)

    def _overtaken(self, binding: ProxyBinding, request: ProxyRequest, now: Now) -> list[Effect]:
        """The session has gone to another gateway while a request waited for it: what its previous gateway would say does not
        matter any more. The request is judged anew, save where its own gateway has sent the newer one."""
        self._ask_no_more(binding)
        waiting = self.waiting.get(binding)
        if waiting is None:
            return []
        if waiting.request.source != request.source:
            return self.go_on(waiting, now, Standing.NEW)
        del self.waiting[binding]
        self.deadlines.stop(waiting)
        return self._ignore()

    # ---- the data plane's word ----

    def forwarding_done(self, event: ForwardingDone, now: Now) -> list[Effect]:
        """A Bind or Unbind has been carried out, or not."""
        change = self.changes.done(event.op, event.error)
        if change is None:
            return []
        request = change.request
        leads_away = change.purpose is Purpose.MOVE and request is not None and request.source != change.binding.gateway
        if change.revoked and (change.error or not leads_away):
            effects = self._revoked(change, now)
        elif change.error:
            effects = self._failed(change, now)
        else:
            effects = self._succeeded(change, now)
        for queued in change.queued:
            effects += self._consider(queued, self._policy.peer(queued.source), now, Standing.NEW)
        return effects

    def _revoked(self, change: Change, now: Now) -> list[Effect]:
        """The binding was revoked while the data plane was at work for it."""
        effects: list[Effect] = []
        if change.request is not None and change.request.lifetime:
            effects += self._refuse(change.request, Status.ADMINISTRATIVELY_PROHIBITED, now)
        elif change.request is not None:
            effects.append(self._commit_deregistration(change.request, change.binding))
        return [*effects, *self.delete(change.binding)]

    def _succeeded(self, change: Change, now: Now) -> list[Effect]:
        binding = change.binding
        if change.purpose is Purpose.CREATE or change.purpose is Purpose.MOVE:
            assert change.request is not None and change.tunnel is not None  # noqa: PT018
            if change.purpose is Purpose.CREATE:
                self.counters["proxy_bindings_created"] += 1
                reason, text = "created", "node '{:node}' attached at {:address}"
            elif change.tunnel != binding.tunnel or change.request.source != binding.gateway:
                self.counters["proxy_bindings_handed_over"] += 1
                reason, text = "handed_over", "node '{:node}' handed over to {:address}"
                self._move(binding, change.tunnel, change.request.source, now)
            else:
                self.counters["proxy_bindings_refreshed"] += 1
                reason, text = "revived", "node '{:node}' stays at {:address}"
            if reason != "revived":
                binding.since = now.monotonic
            binding.settled = True
            details = (binding.node.identifier, binding.tunnel.remote)
            return [
                self._commit(change.request, binding, now),
                Report(Severity.INFO, reason, text, binding.gateway, details),
                *self._overtaken(binding, change.request, now),
            ]
        if change.purpose is Purpose.DEREGISTER:
            assert change.request is not None
            self.counters["proxy_bindings_deregistered"] += 1
            binding.settled = True
            if binding.state is BindingState.REVOKING:  # its gateway has still to answer that
                return [self._commit_deregistration(change.request, binding)]
            self.hold(binding, now)
            return [self._commit_deregistration(change.request, binding), *self.given_up(binding, now)]
        if change.purpose is Purpose.DELETE:
            return self._removed(binding, now)
        binding.settled = True
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
        elif change.purpose is Purpose.MOVE or change.purpose is Purpose.DEREGISTER:
            before = binding.tunnel if binding.state is BindingState.REGISTERED else None
            effects += self.changes.bind(Purpose.RESTORE, binding, before)
        elif change.purpose is Purpose.DELETE:
            self.deadlines.set(binding, now.monotonic + RETRY_DELAY)
        else:
            binding.settled = False  # the next update is not accepted before the data plane is set right
        return effects

    # ---- writing bindings ----

    def _describe(self, binding: ProxyBinding, request: ProxyRequest) -> None:
        """The fields of section 5.1 that every accepted request renews."""
        assert request.access_technology is not None
        binding.link_layer_identifier = request.link_layer_address or NO_LINK_LAYER_IDENTIFIER
        binding.access_technology = request.access_technology.technology

    def _commit(self, request: ProxyRequest, binding: ProxyBinding, now: Now) -> Effect:
        """The request is accepted: the binding takes its values, and the gateway is told (section 5.3.6)."""
        self._describe(binding, request)
        self._note_order(request, binding)
        binding.lifetime = self._lifetime(request)
        binding.state = BindingState.REGISTERED
        self.deadlines.set(binding, now.monotonic + binding.lifetime * LIFETIME_UNIT)
        return accept(request, binding.prefixes, binding.lifetime, binding.link_local_address)

    def _commit_deregistration(self, request: ProxyRequest, binding: ProxyBinding) -> Effect:
        """Section 5.3.5 rule 2: answered at once. A copy does not lengthen the wait before deletion."""
        self._note_order(request, binding)
        return accept(request, binding.prefixes, 0, binding.link_local_address)

    def _note_order(self, request: ProxyRequest, binding: ProxyBinding) -> None:
        """What an accepted request says of the order of messages (section 5.5) and of the gateway's link-local address (5.3.6:
        theirs, or the one that we have chosen for the session)."""
        if not self._by_sequence(request) or is_newer(request.sequence, binding.sequence):
            binding.sequence = request.sequence
        if request.timestamp is not None and self._settings.timestamp_based_approach:
            binding.node.timestamp = max(binding.node.timestamp, request.timestamp.value)
        if request.link_local_address is not None:
            if any(request.link_local_address.address):
                binding.link_local_address = request.link_local_address.address
            elif binding.link_local_address == UNSPECIFIED:
                binding.link_local_address = RESERVED_LINK_LOCAL_ADDRESS

    def _lifetime(self, request: ProxyRequest) -> int:
        """What is granted, in units of 4 seconds: at most what the anchor and the node's profile allow, at least one."""
        longest = self._settings.maximum_lifetime
        if request.profile is not None and request.profile.lifetime:
            longest = min(longest, request.profile.lifetime)
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
        self._ask_no_more(binding)
        waiting = self.waiting.get(binding)
        return [] if waiting is None else self.go_on(waiting, now, Standing.HANDED_OVER)

    def has_left(self, binding: ProxyBinding, now: Now) -> list[Effect]:
        """The session's gateway has answered that the node has left it: as if it had been de-registered (RFC 5846 section 8.1).
        What else has befallen the session meanwhile goes its own way."""
        if binding.state is not BindingState.REGISTERED or self.changes.of(binding):
            return []
        self.hold(binding, now)
        effects = self.given_up(binding, now)
        if self.changes.of(binding) is None:
            effects += self.changes.bind(Purpose.BLOCK, binding, None)
        return effects

    def has_stayed(self, binding: ProxyBinding, now: Now) -> list[Effect]:
        """The session's gateway has answered that the node is still there: who waited gets a session of its own."""
        waiting = self.waiting.get(binding)
        return [] if waiting is None else self.go_on(waiting, now, Standing.IN_VAIN)

    def said_nothing(self, binding: ProxyBinding, now: Now) -> list[Effect]:
        """The session's gateway has not answered. Who came after it was asked waits for the rest of its own time."""
        waiting = self.waiting.get(binding)
        return [] if waiting is None or not waiting.asked else self.go_on(waiting, now, Standing.IN_VAIN)

    def accepted_at(self, binding: ProxyBinding) -> float:
        """The monotonic time of the last update that was accepted for a registered binding."""
        due = self.deadlines.get(binding)
        assert due is not None
        return due - binding.lifetime * LIFETIME_UNIT

    def end(self, binding: ProxyBinding) -> list[Effect]:
        """Delete a binding, now or as soon as the data plane is free for it; one that leaves for another gateway lives on."""
        change = self.changes.of(binding)
        if change is not None:
            change.revoked = change.purpose is not Purpose.DELETE
            return []
        return self.delete(binding)

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
        self.assignment.release(binding.prefixes)
        self._left(binding.gateway)
        if not node.sessions:
            self._remember(node, now)
        self.revocations.cancel(binding)
        self._ask_no_more(binding)
        waiting = self.waiting.get(binding)
        return [] if waiting is None else self.go_on(waiting, now, Standing.IN_VAIN)

    def _remember(self, node: Node, now: Now) -> None:
        """A copy of an old message must not bring a session back: the last timestamp is kept for as long as one could be valid,
        which is twice the window, since the clock that made it may have been ahead."""
        if not node.timestamp or self.cache.count_of_nodes() > 2 * self._settings.maximum_bindings:
            self.cache.forget(node)
        elif self._settings.mobile_node_generated_timestamp:
            self.deadlines.set(node, now.monotonic + TIMESTAMP_MEMORY)
        else:
            self.deadlines.set(node, now.monotonic + 2 * self._settings.timestamp_validity_window)

    # ---- time ----

    def handle_timeout(self, now: Now) -> list[Effect]:
        """Expiry, the end of the wait before deletion, the end of a wait for a de-registration."""
        effects: list[Effect] = []
        for key in self.deadlines.due(now.monotonic):
            if isinstance(key, Node):
                self.cache.forget(key)
            elif isinstance(key, Waiting):
                if self.changes.of(key.binding) is None:
                    effects += self.go_on(key, now, Standing.IN_VAIN)
                else:  # the data plane is about to decide whether the session goes
                    self.deadlines.set(key, now.monotonic + self._settings.maximum_delay_before_new_bce_assign)
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
        if status in BEYOND_RIGHTS and not self._refusals.allows(request.source, REFUSALS_PER_SECOND, now.monotonic):
            self.counters["proxy_updates_rate_limited"] += 1
            return []
        if request.timestamp is not None and timestamp is None:
            near = abs(request.timestamp.value - request.arrival) <= self._window
            valid = near or self._settings.mobile_node_generated_timestamp
            timestamp = request.timestamp if valid else Timestamp(to_timestamp(now.wall))
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


def _is_unicast_beyond_the_link(address: bytes) -> bool:
    """Whether a tunnel can end there: not multicast, link-local, unspecified or loopback (RFC 4291 section 2)."""
    link_local = address[0] == 0xFE and address[1] & 0xC0 == 0x80
    return address[0] != 0xFF and not link_local and address not in (UNSPECIFIED, LOOPBACK)
