# SPDX-License-Identifier: Apache-2.0
"""The anchor: one engine on one set of addresses, and the roles that it plays (RFC 6612 section 3.2).

It gives each Mobility Header message to the role that it is for: Binding Updates with the proxy flag to the local mobility
anchor, those without to the home agent, whose links are the business of `home_agent_discovery`. The roles share nothing but the
knowledge of whose a prefix is (ANC-4). What no role knows is answered as RFC 6275 section 9.2 says.

Always holds: whatever comes from the network, `handle` raises nothing and what it keeps is bounded; a message that was not
sent to an address of ours is dropped; no answer goes to an address that is not unicast.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import assert_never

from halma.engine.anchor_settings import AnchorSettings
from halma.engine.api import (
    Answer,
    Effect,
    ForwardingDone,
    HomeAddressOptionReceived,
    MalformedReceived,
    MessageReceived,
    Now,
    Report,
    Send,
    SendParameterProblem,
    Severity,
    Tunnel,
)
from halma.engine.heartbeat import Heartbeat, Outcome, PeerChange
from halma.engine.home_agent import HomeAgent, HomeAgentEffect, is_routable
from halma.engine.home_agent_discovery import HomeAgentDiscovery
from halma.engine.home_agent_discovery_api import HomeDiscoveryEffect, HomeDiscoveryEvent, PrefixSolicited
from halma.engine.home_binding_cache import prefix_of
from halma.engine.home_link import DetectionDone, HomeLinks
from halma.engine.home_multicast import HomeMulticast
from halma.engine.home_request import HomeRequest, answer
from halma.engine.home_revocation import HomeRevocation
from halma.engine.local_mobility_anchor import LocalMobilityAnchor
from halma.engine.malformed import parameter_problem
from halma.engine.meter import Meter
from halma.engine.multicast_api import ListenerReportReceived, MulticastEffect
from halma.engine.policy import Policy
from halma.engine.proxy_binding_cache import BindingState
from halma.engine.proxy_revocation import ProxyRevocation, RevocationRequested
from halma.value import value
from halma.wire.addresses import UNSPECIFIED
from halma.wire.errors import DecodeReason
from halma.wire.messages import (
    BindingError,
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
    BindingUpdate,
    CareOfTestInit,
    HomeTestInit,
    UnknownMessage,
)
from halma.wire.messages import Heartbeat as HeartbeatMessage
from halma.wire.numbers import BindingErrorStatus, BindingUpdateFlag, NextHeader, RevocationFlag, Status

ERRORS_PER_SECOND = 10
"""Binding Errors and Parameter Problems that are sent at the most, all peers together (RFC 4443 section 2.4 f)."""
PROXY = int(BindingUpdateFlag.PROXY)
TAKEN_ANYWAY = (NextHeader.ESP, NextHeader.AUTHENTICATION, NextHeader.MOBILITY)
"""What may come with a Home Address option that no binding explains (RFC 6275 section 9.3.1)."""


@value
class PolicyReplaced:
    """The operator has a new policy."""

    op: int
    policy: Policy


@value
class Started:
    """The daemon has begun to run; `peers` (our address, theirs) had sessions with us in a former life, and `assignments`
    (prefix, identifier) of our pools were nodes' when it ended."""

    peers: tuple[tuple[bytes, bytes], ...]
    assignments: tuple[tuple[bytes, bytes], ...] = ()


AnchorEvent = (
    MessageReceived
    | HomeAddressOptionReceived
    | MalformedReceived
    | ForwardingDone
    | RevocationRequested
    | PolicyReplaced
    | Started
    | DetectionDone
    | ListenerReportReceived
    | HomeDiscoveryEvent
)
AnchorEffect = HomeAgentEffect | HomeDiscoveryEffect | MulticastEffect


class Anchor:
    """An `Engine`: the local mobility anchor (and, with Mobile IPv6, the home agent) of one daemon."""

    def __init__(self, settings: AnchorSettings, policy: Policy) -> None:
        self._addresses = frozenset(settings.addresses)
        self._policy = policy
        self._heartbeat = Heartbeat(settings.heartbeat, settings.restart_counter)
        ops = itertools.count(1)
        self._home: HomeAgent | None = None
        self._discovery: HomeAgentDiscovery | None = None
        self._home_revocation: HomeRevocation | None = None
        self._multicast: HomeMulticast | None = None
        if settings.home_agent is not None:
            self._home = HomeAgent(
                settings.home_agent,
                policy,
                HomeLinks(settings.home_agent.links),
                maximum_bindings=settings.maximum_bindings,
                is_home=self._is_home,
                owner_of=self._owner_of,
                gateway_of=self._gateway_of,
                released=self._kept_no_more,
                ops=ops,
            )
        self._links = HomeLinks(settings.home_agent.links if settings.home_agent is not None else ())
        kept = None if self._home is None else self._home.cache
        self._proxy = LocalMobilityAnchor(settings, policy, self._heartbeat, ops, kept)
        self._revocation = ProxyRevocation(settings, policy, self._proxy)
        if settings.home_agent is not None and self._home is not None:
            self._discovery = HomeAgentDiscovery(settings.home_agent, self._home.cache)
            self._home_revocation = HomeRevocation(settings.revocation, self._home, self._proxy.revocations.numbers)
            self._home.watchers += (self._discovery.prefixes, self._home_revocation)
            if settings.home_agent.multicast:
                self._multicast = HomeMulticast()
                self._home.watchers.append(self._multicast)
        self._maximum_lifetime = settings.maximum_lifetime
        self._remembers_until: float | None = None
        self._meter = Meter()
        self.counters = {f"malformed_{reason.value}": 0 for reason in DecodeReason} | {
            "not_addressed_to_us": 0,
            "unknown_message_type": 0,
            "unexpected_message": 0,
            "home_registrations_unsupported": 0,
            "errors_sent": 0,
            "errors_suppressed": 0,
            "binding_errors_received": 0,
            "home_address_options_unbound": 0,
        }

    # ---- the four methods of an engine ----

    def handle(self, event: AnchorEvent, now: Now) -> Sequence[AnchorEffect]:
        """Take one event; give the effects in order."""
        if isinstance(event, MessageReceived):
            return self._message(event, now)
        if isinstance(event, ForwardingDone):
            home = [] if self._home is None else self._home.forwarding_done(event, now)
            return home or self._proxy.forwarding_done(event, now)
        if isinstance(event, MalformedReceived):
            return self._malformed(event, now)
        if isinstance(event, RevocationRequested):
            return self._revoke(event, now)
        if isinstance(event, PolicyReplaced):
            self._policy = self._revocation.policy = event.policy
            self._proxy.replace_policy(event.policy)
            if self._home is not None:
                self._home.policy = event.policy
            return [Answer(event.op, {})]
        if isinstance(event, Started):
            return self._started(event, now)
        if isinstance(event, DetectionDone):
            return [] if self._home is None else self._home.detection_done(event.op, now, duplicate=event.duplicate)
        if isinstance(event, HomeAddressOptionReceived):
            return self._home_address_option(event, now)
        if isinstance(event, ListenerReportReceived):
            return [] if self._multicast is None else self._multicast.reported(event, now)
        if isinstance(event, HomeDiscoveryEvent):
            return self._discover(event, now)
        assert_never(event)

    def handle_timeout(self, now: Now) -> Sequence[AnchorEffect]:
        """Do all that is due."""
        if self._remembers_until is not None and now.monotonic >= self._remembers_until:
            self._remembers_until = None
            self._proxy.assignment.memory_expired()
        home = [] if self._home is None else self._home.handle_timeout(now)
        effects: list[AnchorEffect] = [*home, *self._proxy.handle_timeout(now), *self._revocation.handle_timeout(now)]
        if self._discovery is not None and self._home_revocation is not None:
            effects += [*self._home_revocation.handle_timeout(now), *self._discovery.handle_timeout(now)]
        if self._multicast is not None:
            effects += self._multicast.handle_timeout(now)
        requests, outcomes = self._heartbeat.handle_timeout(now)
        return [*effects, *requests, *self._outcomes(outcomes, now)]

    def next_deadline(self) -> float | None:
        """The earliest deadline of all roles."""
        deadlines = (
            self._remembers_until,
            self._proxy.deadlines.next(),
            self._revocation.next_deadline(),
            self._heartbeat.next_deadline(),
            None if self._home is None else self._home.deadlines.next(),
            None if self._discovery is None else self._discovery.next_deadline(),
            None if self._home_revocation is None else self._home_revocation.next_deadline(),
            None if self._multicast is None else self._multicast.next_deadline(),
        )
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def snapshot(self, now: Now) -> dict[str, object]:
        """Everything that a person may see."""
        return {
            "bindings": list(self.describe_bindings(now)),
            "home_bindings": list(self.describe_home_bindings(now)),
            "groups": list(self.describe_groups(now)),
            "peers": list(self.describe_peers()),
            "counters": self.describe_counters(),
        }

    # ---- for people ----

    def describe_bindings(self, now: Now) -> Iterator[dict[str, object]]:
        """A row for each binding."""
        return self._proxy.describe_bindings(now)

    def describe_home_bindings(self, now: Now) -> Iterator[dict[str, object]]:
        """A row for each MIPv6 binding."""
        return iter(()) if self._home is None else self._home.describe_bindings(now)

    def describe_groups(self, now: Now) -> Iterator[dict[str, object]]:
        """A row for each multicast group that a mobile node listens to."""
        return iter(()) if self._multicast is None else self._multicast.describe(now)

    def describe_peers(self) -> Iterator[dict[str, object]]:
        """A row for each gateway that has sessions here."""
        for gateway in self._proxy.cache.gateways():
            peer = self._policy.peer(gateway)
            yield {
                "peer": gateway,
                "name": "" if peer is None else peer.name,
                "sessions": self._proxy.cache.count_of_gateway(gateway),
                **self._heartbeat.describe(gateway),
            }

    def describe_counters(self) -> dict[str, int]:
        """All counters, by name, with the number of bindings that exist now."""
        existing = {"bindings": len(self._proxy.cache), "prefixes_remembered": len(self._proxy.assignment.memory)}
        if self._home is not None:
            registered = self._home.in_force
            remembered = len(self._home.cache) - registered
            existing |= {"home_bindings": registered, "home_bindings_remembered": remembered} | self._home.counters
        if self._discovery is not None and self._home_revocation is not None:
            existing |= self._discovery.describe_counters() | self._home_revocation.counters
        if self._multicast is not None:
            existing |= self._multicast.describe_counters()
        return existing | self.counters | self._proxy.counters | self._revocation.counters | self._heartbeat.counters

    def peers(self) -> list[tuple[bytes, bytes]]:
        """Our address and theirs, for every gateway with sessions: what `Started` wants after a restart."""
        cache = self._proxy.cache
        return [(cache.of_gateway(gateway)[0].tunnel.local, gateway) for gateway in cache.gateways()]

    def take_assignments(self) -> dict[bytes, bytes]:
        """What has changed since the last call: the node of each prefix of a pool, or nothing for one that is nobody's. Written
        down, it is what `Started` wants after a restart."""
        return self._proxy.assignment.memory.take_changes()

    # ---- whose is a prefix? (ANC-4) ----

    def _started(self, event: Started, now: Now) -> list[AnchorEffect]:
        """A session of the former life ends where its gateway does not come again within the longest lifetime."""
        if event.assignments:
            self._proxy.assignment.remember(event.assignments)
            self._remembers_until = now.monotonic + self._maximum_lifetime
        return [send for local, peer in event.peers for send in self._heartbeat.announce(local, [peer])]

    def _is_home(self, address: bytes) -> bool:
        """Whether we are home to an address: it lies in a pool, on a home link, or in a prefix that a profile reserves, and is
        not our own, which must not go into anybody's tunnel."""
        if address in self._addresses:
            return False
        assignment = self._proxy.assignment
        return self._links.of(address) is not None or address in assignment or self._policy.is_reserved(prefix_of(address))

    def _owner_of(self, prefix: bytes) -> bytes | None:
        """The node that a /64 belongs to: by a proxy binding, a home registration, its profile, or one of the first two before
        we restarted."""
        binding = self._proxy.cache.by_prefix(prefix)
        if binding is not None:
            return binding.node.identifier
        keeper = None if self._home is None else self._home.cache.keeper(prefix)
        owner = keeper if keeper is not None else self._policy.owner(prefix)
        return owner if owner is not None else self._proxy.assignment.memory.owner(prefix)

    def _gateway_of(self, prefix: bytes) -> Tunnel | None:
        """The tunnel to the gateway that serves a /64, if one does."""
        binding = self._proxy.cache.by_prefix(prefix)
        return binding.tunnel if binding is not None and binding.state is BindingState.REGISTERED else None

    def _kept_no_more(self, prefix: bytes) -> None:
        self._proxy.assignment.kept_no_more(prefix)

    # ---- messages ----

    def _message(self, event: MessageReceived, now: Now) -> Sequence[AnchorEffect]:
        if event.destination not in self._addresses or not _is_unicast(event.source):
            self.counters["not_addressed_to_us"] += 1
            return []
        if event.home_address and not is_routable(event.home_address):
            return self._unknown_binding(event, now)
        message = event.message
        if isinstance(message, BindingUpdate):
            if message.flags & PROXY:
                return self._proxy.binding_update(event, message, now)
            if self._home is not None:
                return self._home.binding_update(event, message, now)
            self.counters["home_registrations_unsupported"] += 1
            return self._error(answer(HomeRequest(event, message), Status.HOME_REGISTRATION_NOT_SUPPORTED), now)
        if isinstance(message, HeartbeatMessage):
            return self._heartbeat_message(event, message, now)
        if isinstance(message, BindingRevocationAcknowledgement):
            return self._revocation_acknowledged(event, message, now)
        if isinstance(message, BindingRevocationIndication):
            if self._policy.peer(event.source) is None:
                return self._unexpected(event)
            return self._revocation.indicated(event, message)
        if isinstance(message, BindingError):
            self.counters["binding_errors_received"] += 1
            if message.status == BindingErrorStatus.UNRECOGNIZED_MH_TYPE:
                self._heartbeat.unsupported(event.source)
            return []
        if isinstance(message, UnknownMessage | HomeTestInit | CareOfTestInit):  # we optimise no routes
            self.counters["unknown_message_type"] += 1
            error = BindingError(BindingErrorStatus.UNRECOGNIZED_MH_TYPE, event.home_address or UNSPECIFIED, ())
            return self._error(Send(event.destination, event.source, error), now)
        return self._unexpected(event)

    def _home_address_option(self, event: HomeAddressOptionReceived | PrefixSolicited, now: Now) -> list[AnchorEffect]:
        """It has to name a registration of that care-of address."""
        if isinstance(event, HomeAddressOptionReceived) and event.next_header in TAKEN_ANYWAY:
            return []
        binding = None if self._home is None else self._home.cache.registered(event.home_address)
        if binding is not None and binding.tunnel.remote == event.source:
            return []
        if event.destination not in self._addresses or not _is_unicast(event.source):
            self.counters["not_addressed_to_us"] += 1
            return []
        return [*self._unknown_binding(event, now)]

    def _unknown_binding(self, event: MessageReceived | HomeAddressOptionReceived | PrefixSolicited, now: Now) -> list[Effect]:
        """RFC 6275 section 9.3.1: the packet is dropped, and its sender told with the option's address as it came."""
        self.counters["home_address_options_unbound"] += 1
        error = BindingError(BindingErrorStatus.UNKNOWN_BINDING, event.home_address, ())
        return self._error(Send(event.destination, event.source, error), now)

    def _discover(self, event: HomeDiscoveryEvent, now: Now) -> Sequence[AnchorEffect]:
        refused = self._home_address_option(event, now) if isinstance(event, PrefixSolicited) else []
        return refused or ([] if self._discovery is None else self._discovery.handle(event, now))

    def _revoke(self, event: RevocationRequested, now: Now) -> Sequence[AnchorEffect]:
        """A person wants something ended, whichever protocol made it."""
        effects, count = self._revocation.requested(event, now)
        home, more = ([], 0) if self._home_revocation is None else self._home_revocation.requested(event, now)
        return [*effects, *home, Answer(event.op, {"revoked": count + more})]

    def _revocation_acknowledged(
        self, event: MessageReceived, message: BindingRevocationAcknowledgement, now: Now
    ) -> Sequence[AnchorEffect]:
        """Without the proxy flag it is a mobile node's; unless no node was asked (RFC 5846 section 5.2)."""
        if self._home_revocation is not None and not message.flags & RevocationFlag.PROXY_BINDING:
            answered = self._home_revocation.acknowledged(event, message)
            if answered is not None:
                return answered
        return self._revocation.acknowledged(event, message, now)

    def _heartbeat_message(self, event: MessageReceived, message: HeartbeatMessage, now: Now) -> list[Effect]:
        if self._policy.peer(event.source) is None:
            return self._unexpected(event)
        responses, outcomes = self._heartbeat.receive(event.source, event.destination, message, now, known=True)
        return [*responses, *self._outcomes(outcomes, now)]

    def _outcomes(self, outcomes: list[Outcome], now: Now) -> list[Effect]:
        effects: list[Effect] = []
        for outcome in outcomes:
            severity = Severity.INFO if outcome.change is PeerChange.REACHABLE else Severity.WARNING
            text = "gateway {:address} " + (
                "has restarted" if outcome.change is PeerChange.RESTARTED else "is " + outcome.change.value
            )
            effects.append(Report(severity, f"peer_{outcome.change.value}", text, outcome.peer, (outcome.peer,)))
            if outcome.change is PeerChange.RESTARTED:
                effects += self._revocation.gateway_restarted(outcome.peer, outcome.before, now)
        return effects

    def _unexpected(self, event: MessageReceived) -> list[Effect]:
        """A message that no role of ours takes, or from somebody that it is not taken from."""
        self.counters["unexpected_message"] += 1
        text = "dropped a {} from {:address}, who has no business to send it"
        details = (type(event.message).__name__, event.source)
        return [Report(Severity.WARNING, "unexpected_message", text, event.source, details)]

    # ---- malformed ones (RFC 6275 section 9.2) ----

    def _malformed(self, event: MalformedReceived, now: Now) -> list[Effect]:
        reason = event.error.reason
        self.counters[f"malformed_{reason.value}"] += 1
        text = "malformed message from {:address}: {} at octet {}"
        details = (event.source, reason.value, event.error.offset)
        report = Report(Severity.WARNING, "malformed", text, event.source, details)
        problem = parameter_problem(event)
        if problem is None or event.destination not in self._addresses or not _is_unicast(event.source):
            return [report]
        return [report, *self._error(problem, now)]

    def _error(self, error: Send | SendParameterProblem, now: Now) -> list[Effect]:
        """Errors are rate-limited like those of ICMPv6 (RFC 6275 section 9.3.3)."""
        allowed = self._meter.allows(b"", ERRORS_PER_SECOND, now.monotonic)
        self.counters["errors_sent" if allowed else "errors_suppressed"] += 1
        return [error] if allowed else []


def _is_unicast(address: bytes) -> bool:
    """Neither multicast (ff00::/8) nor unspecified (RFC 4291 sections 2.5.2, 2.7)."""
    return address[0] != 0xFF and address != UNSPECIFIED
