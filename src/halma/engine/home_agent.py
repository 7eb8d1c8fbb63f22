# SPDX-License-Identifier: Apache-2.0
"""The home agent: Binding Updates of mobile nodes in, home registrations and their acknowledgements out.

RFC 6275 sections 9.5.1 (validation), 10.3 (registration and its end), 9.5.5 (refresh requests); RFC 3963 section 6 (mobile
routers); RFC 4285 sections 5 and 6 (what authenticates a message, and keeps it from being replayed). What the home agent does
on a shared home link is in `home_link`.

Always holds: a node changes only the binding of its own home address, and only by its own association (ANC-7); nothing is
accepted before the data plane forwards accordingly (ANC-8); a message older than the last one, delayed or replayed, brings
no binding back (ANC-5); no proxy binding is ever looked at but to learn whose a prefix is, and behind which gateway (ANC-1,
ANC-4).
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from halma.engine.anchor_settings import HomeAgentSettings
from halma.engine.anycast import is_anycast
from halma.engine.api import (
    Assurance,
    Bind,
    BindingKind,
    Effect,
    ForwardingDone,
    MessageReceived,
    Now,
    Report,
    Send,
    Severity,
    Tunnel,
    Unbind,
)
from halma.engine.constants import LIFETIME_UNIT
from halma.engine.home_binding_cache import HomeBinding, HomeBindingCache, HomeState, Network, prefix_of
from halma.engine.home_link import HomeLinkEffect, HomeLinks, SendHome
from halma.engine.home_request import HOME_REGISTRATION, LINK_LOCAL, HomeRequest, answer
from halma.engine.mobile_networks import MobileNetworks
from halma.engine.policy import Policy, Profile
from halma.engine.sequence import is_newer
from halma.engine.timers import Deadlines
from halma.wire.messages import BindingRefreshRequest, BindingUpdate
from halma.wire.numbers import Status, name_of
from halma.wire.options import MobilityMessageReplayProtection
from halma.wire.timestamp import to_ntp

MAX_DELETE_BCE_TIMEOUT = 10.0
"""Seconds for which a binding that has gone is remembered (RFC 6275 section 12)."""
QUEUE = 4
"""Requests that may wait behind one that the data plane has not answered."""
HOME_ADDRESSES_OF_A_NODE = 32
"""Home addresses that a node may have, remembered ones too: one that registers a whole prefix must not take all the room there
is, nor make looking at its timestamps slow."""
HOST = 128

HomeAgentEffect = Effect | HomeLinkEffect | SendHome


class Watcher(Protocol):
    """Whoever wants to know what becomes of registrations."""

    def registered(self, binding: HomeBinding, now: Now) -> None:
        """A registration has been accepted, for the first time or again."""

    def ended(self, binding: HomeBinding) -> None:
        """A registration is over, or about to be."""


REFUSALS = {
    Status.REASON_UNSPECIFIED: "the data plane failed",
    Status.ADMINISTRATIVELY_PROHIBITED: "node '{1:node}' may not register this home address",
    Status.INSUFFICIENT_RESOURCES: "no room left",
    Status.NOT_HOME_SUBNET: "not an address that this anchor is home to",
    Status.NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE: "nothing is registered that could be de-registered",
    Status.DUPLICATE_ADDRESS_DETECTION_FAILED: "another node on the home link uses the address",
    Status.SEQUENCE_NUMBER_OUT_OF_WINDOW: "sequence number not newer than the last one",
    Status.REGISTRATION_TYPE_CHANGE_DISALLOWED: "the kind of a registration cannot change",
    Status.MOBILE_ROUTER_OPERATION_NOT_PERMITTED: "node '{1:node}' is no mobile router",
    Status.INVALID_PREFIX: "a mobile network prefix that cannot be",
    Status.NOT_AUTHORIZED_FOR_PREFIX: "node '{1:node}' may not move a network that it named",
    Status.FORWARDING_SETUP_FAILED: "no network is known that node '{1:node}' moves",
    Status.MIPV6_ID_MISMATCH: "timestamp old, or too far from this clock",
    Status.MIPV6_MESG_ID_REQD: "no timestamp against replay",
    Status.MIPV6_AUTH_FAIL: "the authentication of node '{1:node}' does not hold",
    Status.INVALID_CARE_OF_ADDRESS: "a care-of address that cannot be",
}
"""Why, for people: every status that is ever given. Fields: the home address, the node."""


@dataclass(slots=True, eq=False)
class _Change:
    """A request that waits for address detection or the data plane; `tunnel` None takes the binding out of force."""

    request: HomeRequest | None
    binding: HomeBinding
    tunnel: Tunnel | None
    networks: tuple[Network, ...]
    outstanding: int = 0
    error: int = 0
    queued: list[HomeRequest] = field(default_factory=list)


class HomeAgent:
    """The role. `owner_of` tells whose a /64 is, by either protocol or by a profile (ANC-4); `gateway_of` by which tunnel it is
    reached at home, where it is behind a gateway; `released` hears of each /64 that no home registration needs any more;
    `is_home` tells whether an address lies in a prefix of ours; `ops` numbers effects."""

    def __init__(
        self,
        settings: HomeAgentSettings,
        policy: Policy,
        links: HomeLinks,
        *,
        maximum_bindings: int,
        is_home: Callable[[bytes], bool],
        owner_of: Callable[[bytes], bytes | None],
        gateway_of: Callable[[bytes], Tunnel | None],
        released: Callable[[bytes], None],
        ops: Iterator[int],
    ) -> None:
        self.policy = policy
        self.cache = HomeBindingCache()
        self.deadlines: Deadlines[HomeBinding] = Deadlines()
        self.in_force = 0
        """Registrations that packets follow; the cache has those besides that are remembered, or still to be set up."""
        self.counters = {
            "binding_updates_received": 0,
            "binding_updates_unprotected": 0,
            "binding_updates_unknown_association": 0,
            "binding_updates_discarded": 0,
            "home_bindings_created": 0,
            "home_bindings_refreshed": 0,
            "home_bindings_moved": 0,
            "home_bindings_deregistered": 0,
            "home_bindings_expired": 0,
            "home_bindings_refresh_requests": 0,
        } | {_counter(status): 0 for status in REFUSALS}
        self._settings = settings
        self._links = links
        self._maximum = maximum_bindings
        self._is_home = is_home
        self._owner_of = owner_of
        self._gateway_of = gateway_of
        self._released = released
        self._ops = ops
        self.watchers: list[Watcher] = []
        self._mobile_networks = MobileNetworks()
        self._by_op: dict[int, _Change] = {}
        self._busy: dict[HomeBinding, _Change] = {}

    # ---- a Binding Update (RFC 6275 sections 9.5.1 and 10.3.1) ----

    def binding_update(self, event: MessageReceived, message: BindingUpdate, now: Now) -> list[HomeAgentEffect]:
        """Take a Binding Update without the proxy flag that came for us."""
        self.counters["binding_updates_received"] += 1
        request = HomeRequest(event, message)
        if not is_routable(request.home_address) or not request.is_complete:
            return self._discard()
        return self._protected(request) or self._consider(request, now)

    def _protected(self, request: HomeRequest) -> list[HomeAgentEffect]:
        """RFC 4285 section 5: what nobody vouches for is discarded in silence; what is vouched for wrongly is told so."""
        assurance = request.event.protection.assurance
        if assurance is Assurance.FAILED:
            return self._refuse(request, Status.MIPV6_AUTH_FAIL)
        if assurance is Assurance.UNKNOWN or (assurance is Assurance.NONE and not self._settings.insecure):
            unknown = assurance is Assurance.UNKNOWN
            self.counters["binding_updates_unknown_association" if unknown else "binding_updates_unprotected"] += 1
            why = "an unknown security association" if unknown else "no protection"
            text = "dropped a Binding Update from {:address} for {:address}: {}"
            details = (request.source, request.home_address, why)
            return [Report(Severity.WARNING, "unprotected", text, request.source, details)]
        return []

    def _consider(self, request: HomeRequest, now: Now) -> list[HomeAgentEffect]:
        status = self._check_replay(request, now)
        if status is Status.MIPV6_ID_MISMATCH:
            return self._mismatch(request, now)
        is_ours = bool(request.flags & HOME_REGISTRATION)
        status = status or self._check_right(request)
        if status:
            return self._refuse(request, status) if is_ours else self._discard()
        binding = self.cache.get(request.home_address)
        if not is_ours:
            return self._not_home_registration(request, binding)
        if binding is not None:
            change = self._busy.get(binding)
            if change is not None:
                if len(change.queued) < QUEUE:
                    change.queued.append(request)
                    return []
                return self._discard()
            if not is_newer(request.sequence, binding.sequence):
                return self._refuse(request, Status.SEQUENCE_NUMBER_OUT_OF_WINDOW, sequence=binding.sequence)
        if request.deregisters:
            return self._deregister(request, binding)
        if binding is not None and binding.revoking:
            return self._refuse(request, Status.ADMINISTRATIVELY_PROHIBITED)
        return self._register(request, binding, now)

    def _check_replay(self, request: HomeRequest, now: Now) -> Status | None:
        """RFC 4285 section 6: the timestamp is near our clock, and newer than all accepted before."""
        association = request.association
        if association is None or not association.replay_window:
            return None
        if request.replay is None:
            return Status.MIPV6_MESG_ID_REQD
        binding = self.cache.get(request.home_address)
        newest = 0 if binding is None else binding.timestamp
        for held in self.cache.of_node(association.identifier):
            newest = max(newest, held.timestamp)
        near = abs(request.replay.timestamp - to_ntp(now.wall)) <= int(association.replay_window * 2**32)
        return None if near and request.replay.timestamp > newest else Status.MIPV6_ID_MISMATCH

    def _mismatch(self, request: HomeRequest, now: Now) -> list[HomeAgentEffect]:
        """RFC 4285 section 6: the low-order half comes back, beside the high-order half of our own time."""
        assert request.replay is not None
        timestamp = (to_ntp(now.wall) >> 32 << 32) | (request.replay.timestamp & 0xFFFFFFFF)
        return self._refuse(request, Status.MIPV6_ID_MISMATCH, replay=MobilityMessageReplayProtection(timestamp))

    def _check_right(self, request: HomeRequest) -> Status | None:
        """Whose address is it, and may the one who asks register it? (RFC 6275 section 10.3.1, ANC-7)"""
        address, prefix = request.home_address, prefix_of(request.home_address)
        if not self._is_home(address) or is_anycast(address):
            return Status.NOT_HOME_SUBNET
        if request.identifier:
            profile = self.policy.profile(request.identifier)
            if profile is None or not profile.mobile_ipv6:
                return Status.ADMINISTRATIVELY_PROHIBITED
        association = request.association
        if association is None:
            shared = self._links.of(address) is not None
            own = shared or not request.identifier or self._owner_of(prefix) in (None, request.identifier)
        elif association.home_address:
            own = association.home_address == address
        elif association.home_prefix:
            own = association.home_prefix == prefix
        else:
            own = self._owner_of(prefix) == association.identifier
        return None if own else Status.ADMINISTRATIVELY_PROHIBITED

    def _not_home_registration(self, request: HomeRequest, binding: HomeBinding | None) -> list[HomeAgentEffect]:
        """Flag H is not set: we are nobody's correspondent (RFC 6275 section 9.5.1, RFC 3963 section 6.2)."""
        if request.mobile_router:
            return self._refuse(request, Status.MOBILE_ROUTER_OPERATION_NOT_PERMITTED)
        if binding is not None and binding.state is HomeState.REGISTERED:
            return self._refuse(request, Status.REGISTRATION_TYPE_CHANGE_DISALLOWED)
        return self._discard()

    # ---- registration ----

    def _register(self, request: HomeRequest, binding: HomeBinding | None, now: Now) -> list[HomeAgentEffect]:
        if not is_routable(request.care_of_address) or request.care_of_address == request.destination:
            return self._refuse(request, Status.INVALID_CARE_OF_ADDRESS)
        registered = binding is not None and binding.state is HomeState.REGISTERED
        if binding is not None and registered and binding.mobile_router != request.mobile_router:
            return self._refuse(request, Status.REGISTRATION_TYPE_CHANGE_DISALLOWED)
        networks = self._networks(request) if request.mobile_router else ()
        if not isinstance(networks, tuple):
            return self._refuse(request, networks)
        tunnel = Tunnel(request.destination, request.care_of_address)
        if binding is not None and registered:
            if tunnel == binding.tunnel and networks == binding.networks:
                self.counters["home_bindings_refreshed"] += 1
                return self._commit(request, binding, now)
            return self._bind(_Change(request, binding, tunnel, networks))
        crowded = bool(request.identifier) and self.cache.count_of_node(request.identifier) >= HOME_ADDRESSES_OF_A_NODE
        if binding is None and (crowded or len(self.cache) >= self._maximum):
            return self._refuse(request, Status.INSUFFICIENT_RESOURCES)
        made = HomeBinding(
            home_address=request.home_address,
            identifier=request.identifier,
            tunnel=tunnel,
            sequence=request.sequence,
            mobile_router=request.mobile_router,
            networks=networks,
            link_local=bool(request.flags & LINK_LOCAL),
            association=request.association,
        )
        if binding is not None:
            made.sequence, made.timestamp = binding.sequence, binding.timestamp
            self.deadlines.stop(binding)
        self.cache.insert(made)
        change = _Change(request, made, tunnel, networks)
        link = self._links.of(request.home_address)
        if link is not None and self._settings.wait_for_detection:
            detections = self._links.detect(made, lambda: self._op(change))
            change.outstanding = len(detections)
            self._busy[made] = change
            return [*detections]
        return self._bind(change)

    def _networks(self, request: HomeRequest) -> tuple[Network, ...] | Status:
        """The mobile networks that a registration moves (RFC 3963 section 6.2), or the status that refuses it."""
        profile = self._profile(request)
        if not self._settings.mobile_routers or profile is None or not profile.mobile_router:
            return Status.MOBILE_ROUTER_OPERATION_NOT_PERMITTED
        known = self._known_networks(profile, request.home_address, shared=self._links.of(request.home_address) is not None)
        if request.networks is None:
            return known or Status.FORWARDING_SETUP_FAILED
        for network in request.networks:
            if not 0 < network.length <= 64 or not any(network.prefix):
                return Status.INVALID_PREFIX
            if network not in known:
                return Status.NOT_AUTHORIZED_FOR_PREFIX
        return tuple(dict.fromkeys(request.networks))

    def _profile(self, request: HomeRequest) -> Profile | None:
        """The node's. One that does not say who it is (which takes no key) is the one whose home network prefix it uses."""
        shared = self._links.of(request.home_address) is not None
        identifier = request.identifier or (None if shared else self._owner_of(prefix_of(request.home_address)))
        return self.policy.profile(identifier) if identifier else None

    @staticmethod
    def _known_networks(profile: Profile, home_address: bytes, *, shared: bool) -> tuple[Network, ...]:
        """The prefix table. In a Proxy Mobile IPv6 home network the node's prefix is its network (RFC 6612 section 4.2.1);
        that of a `shared` home link is everybody's."""
        configured = tuple(Network(prefix, length) for prefix, length in profile.mobile_network_prefixes)
        return configured or (() if shared else (Network(prefix_of(home_address), 64),))

    def _commit(self, request: HomeRequest, binding: HomeBinding, now: Now) -> list[HomeAgentEffect]:
        """The request is accepted: the binding takes its values, and the node is told (RFC 6275 section 10.3.1)."""
        self._note_order(request, binding)
        binding.association = request.association
        binding.lifetime = self._lifetime(request)
        self.in_force += binding.state is not HomeState.REGISTERED
        binding.state = HomeState.REGISTERED
        binding.refresh_requested = False
        binding.expires = now.monotonic + binding.lifetime * LIFETIME_UNIT
        for watcher in self.watchers:
            watcher.registered(binding, now)
        early = self._settings.refresh_request
        self.deadlines.set(binding, binding.expires - early if early < binding.expires - now.monotonic else binding.expires)
        advice = int(binding.lifetime * self._settings.refresh_advice)
        link = self._links.of(binding.home_address)
        deprecated = link is not None and not link.preferred_lifetime
        accepted = answer(
            request,
            Status.ACCEPTED_BUT_PREFIX_DISCOVERY_NECESSARY if deprecated else Status.ACCEPTED,
            lifetime=binding.lifetime,
            router=binding.mobile_router,
            advice=advice if advice < binding.lifetime else 0,
        )
        return [self._to_sender(request, accepted)]

    def _note_order(self, request: HomeRequest, binding: HomeBinding) -> None:
        binding.sequence = request.sequence
        if request.replay is not None:
            binding.timestamp = max(binding.timestamp, request.replay.timestamp)

    def _lifetime(self, request: HomeRequest) -> int:
        """In units of 4 seconds: at most what was asked for, and what the anchor, the prefix (RFC 6275 section 10.6.4) and the
        node's profile allow."""
        profile = self._profile(request)
        longest = self._settings.maximum_lifetime
        link = self._links.of(request.home_address)
        if link is not None:
            longest = min(longest, link.valid_lifetime)
        if profile is not None and profile.lifetime:
            longest = min(longest, profile.lifetime)
        return max(1, min(request.lifetime, int(longest) // LIFETIME_UNIT))

    # ---- the end of a registration (RFC 6275 section 10.3.2) ----

    def _deregister(self, request: HomeRequest, binding: HomeBinding | None) -> list[HomeAgentEffect]:
        if binding is None:
            return self._refuse(request, Status.NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE)
        if binding.state is HomeState.INVALID:  # the answer to the first was lost: say it again
            self._note_order(request, binding)
            return [answer(request, Status.ACCEPTED)]
        return self._unbind(_Change(request, binding, None, ()))

    def end(self, binding: HomeBinding) -> list[HomeAgentEffect]:
        """Take a registration that was revoked out of force. Nothing happens where it is being given up already."""
        if binding.state is not HomeState.REGISTERED or binding in self._busy:
            return []
        return self._unbind(_Change(None, binding, None, ()))

    def is_busy(self, binding: HomeBinding) -> bool:
        """Whether the data plane has yet to answer something about it."""
        return binding in self._busy

    def _remember(self, binding: HomeBinding, now: Now) -> None:
        """Out of force, but not forgotten, so that a delayed message meets its sequence number."""
        self.in_force -= binding.state is HomeState.REGISTERED
        binding.state = HomeState.INVALID
        binding.networks = ()
        self.deadlines.set(binding, now.monotonic + MAX_DELETE_BCE_TIMEOUT)

    # ---- the data plane and the home link ----

    def _op(self, change: _Change) -> int:
        op = next(self._ops)
        self._by_op[op] = change
        return op

    def _bind(self, change: _Change) -> list[HomeAgentEffect]:
        """Bring the home address and its networks into the new tunnel; networks that are named no more leave the old one."""
        binding, tunnel = change.binding, change.tunnel
        assert tunnel is not None
        effects: list[HomeAgentEffect] = [
            Bind(self._op(change), binding.home_address, HOST, tunnel, kind=BindingKind.HOME_ADDRESS)
        ]
        for network in change.networks:
            self._mobile_networks.take(network, binding, tunnel)
            effects.append(self._follow(change, network, tunnel))
        for network in binding.networks:
            if network not in change.networks:
                effects += self._give_up(change, network)
        change.outstanding = len(effects)
        self._busy[binding] = change
        return effects

    def _unbind(self, change: _Change) -> list[HomeAgentEffect]:
        """Take the home address and its networks out of the data plane. Interception stops at once."""
        binding = change.binding
        for watcher in self.watchers:
            watcher.ended(binding)
        released = self._links.release(binding)
        effects: list[HomeAgentEffect] = [Unbind(self._op(change), binding.home_address, HOST, BindingKind.HOME_ADDRESS)]
        for network in binding.networks:
            effects += self._give_up(change, network)
        change.outstanding = len(effects)
        self._busy[binding] = change
        return [*released, *effects]

    def _give_up(self, change: _Change, network: Network) -> list[HomeAgentEffect]:
        """A registration moves a network no more: it goes to another that does, where there is one."""
        before = self._mobile_networks.tunnel(network)
        self._mobile_networks.give_up(network, change.binding)
        after = self._mobile_networks.tunnel(network)
        if after is None:
            return [Unbind(self._op(change), network.prefix, network.length, BindingKind.MOBILE_NETWORK)]
        return [] if after == before else [self._follow(change, network, after)]

    def _follow(self, change: _Change, network: Network, tunnel: Tunnel) -> Bind:
        return Bind(self._op(change), network.prefix, network.length, tunnel, kind=BindingKind.MOBILE_NETWORK)

    def forwarding_done(self, event: ForwardingDone, now: Now) -> list[HomeAgentEffect]:
        """A Bind or Unbind of ours has been carried out, or not."""
        change = self._by_op.pop(event.op, None)
        if change is None:
            return []
        change.outstanding -= 1
        if not (change.tunnel is None and event.error == errno.ENOENT):
            change.error = change.error or event.error
        if change.outstanding:
            return []
        del self._busy[change.binding]
        effects = self._failed(change, now) if change.error else self._succeeded(change, now)
        for request in change.queued:
            effects += self._consider(request, now)
        return effects

    def detection_done(self, op: int, now: Now, *, duplicate: bool) -> list[HomeAgentEffect]:
        """Duplicate Address Detection for a first registration has ended, for one of its addresses."""
        change = self._by_op.pop(op, None)
        if change is None or change.request is None or self._busy.get(change.binding) is not change:
            return []
        change.outstanding -= 1
        if change.outstanding and not duplicate:
            return []
        del self._busy[change.binding]
        if duplicate:
            self.cache.remove(change.binding)
            effects = self._refuse(change.request, Status.DUPLICATE_ADDRESS_DETECTION_FAILED)
            for request in change.queued:
                effects += self._consider(request, now)
            return effects
        queued, change.queued = change.queued, []
        effects = self._bind(change)
        change.queued = queued
        return effects

    def _succeeded(self, change: _Change, now: Now) -> list[HomeAgentEffect]:
        binding, request = change.binding, change.request
        if change.tunnel is None:
            self._remember(binding, now)
            if request is None:
                return []
            self.counters["home_bindings_deregistered"] += 1
            self._note_order(request, binding)
            return [answer(request, Status.ACCEPTED), self._tell(binding, "deregistered", "is home again, or gone")]
        if request is None:  # back to where it was
            return []
        first = binding.state is HomeState.CREATING
        self.counters["home_bindings_created" if first else "home_bindings_moved"] += 1
        binding.tunnel, binding.networks, binding.since = change.tunnel, change.networks, now.monotonic
        accepted = self._commit(request, binding, now)
        defence = self._links.defend(binding) if first else []
        return [*defence, *accepted, self._tell(binding, "registered" if first else "moved", "is at {1:address}")]

    def _failed(self, change: _Change, now: Now) -> list[HomeAgentEffect]:
        binding = change.binding
        text = "the data plane failed for {:address}: {}"
        details = (binding.home_address, errno.errorcode.get(change.error, str(change.error)))
        effects: list[HomeAgentEffect] = [Report(Severity.ERROR, "forwarding_failed", text, binding.tunnel.remote, details)]
        if change.request is not None:
            full = change.error in (errno.ENOMEM, errno.E2BIG, errno.ENOSPC)
            network = bool(change.networks) and change.request.networks is not None
            status = Status.INVALID_PREFIX if network else Status.REASON_UNSPECIFIED
            effects += self._refuse(change.request, Status.INSUFFICIENT_RESOURCES if full else status)
        if change.tunnel is None or binding.state is HomeState.CREATING:
            binding.networks = change.networks or binding.networks
            effects += self._unbind(_Change(None, binding, None, ())) if change.tunnel is not None else []
            if change.tunnel is None:
                self._remember(binding, now)
        elif change.request is not None:
            before = _Change(None, binding, binding.tunnel, binding.networks)
            binding.networks = tuple(dict.fromkeys((*binding.networks, *change.networks)))
            effects += self._bind(before)
            binding.networks = before.networks
        return effects

    # ---- time ----

    def handle_timeout(self, now: Now) -> list[HomeAgentEffect]:
        """Refresh requests, expiry, and the end of remembering."""
        effects: list[HomeAgentEffect] = []
        for binding in self.deadlines.due(now.monotonic):
            if binding in self._busy:
                self.deadlines.set(binding, now.monotonic + 1.0)
            elif binding.state is HomeState.INVALID:
                self.cache.remove(binding)
                self._released(prefix_of(binding.home_address))
            elif now.monotonic < binding.expires:
                self.deadlines.set(binding, binding.expires)
                if not binding.refresh_requested:
                    binding.refresh_requested = True
                    self.counters["home_bindings_refresh_requests"] += 1
                    effects.append(self._refresh_request(binding))
            else:
                self.counters["home_bindings_expired"] += 1
                effects.append(self._tell(binding, "expired", "has not refreshed its registration in time"))
                effects += self._unbind(_Change(None, binding, None, ()))
        return effects

    @staticmethod
    def _refresh_request(binding: HomeBinding) -> Send:
        """RFC 6275 section 9.5.5: to the home address, which is at the care-of address."""
        message = BindingRefreshRequest(())
        return Send(binding.tunnel.local, binding.tunnel.remote, message, binding.home_address)

    # ---- answers ----

    def _discard(self) -> list[HomeAgentEffect]:
        self.counters["binding_updates_discarded"] += 1
        return []

    def _refuse(
        self,
        request: HomeRequest,
        status: int,
        *,
        sequence: int | None = None,
        replay: MobilityMessageReplayProtection | None = None,
    ) -> list[HomeAgentEffect]:
        """Say no with the status that the RFC names, and tell the operator why."""
        self.counters[_counter(status)] += 1
        text = "refused BU from {2:address} for {0:address}: " + REFUSALS[Status(status)] + " (status {3})"
        details = (request.home_address, request.identifier, request.source, int(status))
        report = Report(Severity.WARNING, _counter(status), text, request.source, details)
        return [self._to_sender(request, answer(request, status, sequence=sequence, replay=replay)), report]

    def _to_sender(self, request: HomeRequest, send: Send) -> Send | SendHome:
        """An acknowledgement that leaves a registration in force goes where the update came from (RFC 6275 section 9.5.4)."""
        if request.source != request.home_address:
            return send
        link = self._links.of(request.home_address)
        if link is not None:
            return SendHome(send, link.interface)
        tunnel = self._gateway_of(prefix_of(request.home_address))
        return send if tunnel is None else SendHome(send, tunnel=tunnel)

    @staticmethod
    def _tell(binding: HomeBinding, reason: str, what: str) -> Report:
        details = (binding.home_address, binding.tunnel.remote)
        return Report(Severity.INFO, f"home_{reason}", "mobile node {0:address} " + what, binding.tunnel.remote, details)

    # ---- for people ----

    def describe_bindings(self, now: Now) -> Iterator[dict[str, object]]:
        """One row a binding in force."""
        for binding in self.cache.bindings():
            if binding.state is HomeState.REGISTERED:
                yield {
                    "node": binding.identifier,
                    "home_address": binding.home_address,
                    "prefixes": [(network.prefix, network.length) for network in binding.networks],
                    "care_of_address": binding.tunnel.remote,
                    "anchor": binding.tunnel.local,
                    "state": "revoking" if binding.revoking else "registered",
                    "mobile_router": binding.mobile_router,
                    "lifetime_seconds": binding.lifetime * LIFETIME_UNIT,
                    "remaining_seconds": max(0.0, binding.expires - now.monotonic),
                    "attached_seconds": now.monotonic - binding.since,
                }


def _counter(status: int) -> str:
    return f"bu_refused_{name_of(Status, status).lower()}"


def is_routable(address: bytes) -> bool:
    """A unicast address that packets can be sent to from afar: not unspecified, loopback, multicast or link-local."""
    return any(address[:15]) and address[0] != 0xFF and not (address[0] == 0xFE and address[1] & 0xC0 == 0x80)
