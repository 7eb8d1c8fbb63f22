# SPDX-License-Identifier: Apache-2.0
"""The mobile node: knows whether it is at home, has its home agent know where it is, and keeps its home address's packets off
the link until they may be there. RFC 6275 sections 8.5 and 11, RFC 3963 section 5, RFC 5846 section 10, RFC 6612 section 4.

This file takes the events apart and decides what arriving somewhere means. Beside it: `movement` and `routers` (which link this
is), `care_of_address` (addresses there), `node_registration` (bindings and Binding Updates), `home_discovery` (home agents and
prefixes).

Always holds: a packet from the home address leaves bare only on the home link, and only when no home agent holds a binding
(MN-2, MN-3); abroad it leaves in a tunnel that the home agent has accepted (where the settings are optimistic: that it has been
asked for), or not at all. What the home agent sends is taken from the moment on in which it may have accepted.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from enum import Enum
from typing import assert_never

from halma.engine.api import (
    Answer,
    Assurance,
    Bind,
    BindingKind,
    ForwardingDone,
    MalformedReceived,
    MessageReceived,
    Now,
    Send,
    Severity,
    Tunnel,
    Unbind,
)
from halma.engine.care_of_address import CareOfAddresses
from halma.engine.constants import LIFETIME_UNIT, MAX_NEIGHBOR_ADVERTISEMENT, RETRANS_TIMER
from halma.engine.home_discovery import HomeDiscovery
from halma.engine.malformed import parameter_problem
from halma.engine.movement import Movement
from halma.engine.multicast_api import ListenerQueryReceived
from halma.engine.node_api import (
    HOST,
    AddressClaimed,
    AdvertiseAddress,
    HomeAgentsFound,
    HomeAgentsNotFound,
    HomePath,
    IcmpReceived,
    LinkDown,
    LinkUp,
    NodeEffect,
    NodeEvent,
    NodeSettings,
    RetryRequested,
    RouterAdvertisementReceived,
    RouterConfirmed,
    RouterUnreachable,
    SetDefaultRouter,
    SetHomePath,
    SetOnLink,
    Started,
    StopRequested,
)
from halma.engine.node_binding import BindingUpdateListEntry
from halma.engine.node_context import NodeContext, Timer
from halma.engine.node_listener import ListenerReports
from halma.engine.node_registration import Registrations
from halma.engine.routers import Router
from halma.wire.addresses import MULTICAST, UNSPECIFIED
from halma.wire.errors import DecodeError
from halma.wire.icmpv6 import HomeAgentAddressDiscoveryReply, MobilePrefixAdvertisement, ParameterProblem
from halma.wire.ipv6 import parse_packet
from halma.wire.messages import (
    BindingAcknowledgement,
    BindingError,
    BindingRefreshRequest,
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
    CareOfTest,
    HomeTest,
)
from halma.wire.numbers import BindingErrorStatus, NextHeader, RevocationFlag, RevocationStatus
from halma.wire.options import Ipv4HomeAddressRequest

FORWARDING_RETRY = 1.0
"""Seconds after which what the data plane has refused is asked of it again."""
HEADER_TYPE_UNKNOWN, OPTION_UNKNOWN = 1, 2
"""Codes of a Parameter Problem (RFC 4443 section 3.4)."""
BINDING_UPDATE = 5
SEQUENCE = 6
"""Where the sequence number of a Binding Update stands in its Mobility Header."""


class Place(Enum):
    """Where the node takes itself to be."""

    UNKNOWN = "unknown"
    HOME = "home"
    ABROAD = "abroad"


class Node:
    """The engine of a mobile node; `engine.api.Engine` says what its methods do."""

    def __init__(self, settings: NodeSettings) -> None:
        self._settings = settings
        self._context = NodeContext(settings)
        self._registrations = Registrations(self._context, self)
        self._movement = Movement(self._context, self)
        self._addresses = CareOfAddresses(self._context, self._addresses_changed)
        self._discovery = HomeDiscovery(self._context, self._registrations.discovered, self._home_prefix_valid)
        self._listener = ListenerReports()
        self.place = Place.UNKNOWN
        self._path: HomePath | None = None
        self._care_of_address = b""
        self._free = False
        self._bound_before = False
        self._taken = False
        self._stopping = False
        self._wanted: tuple[Tunnel | None, bool] = (None, False)
        """The tunnel of the home address, and whether it only receives."""
        self._is_bound = False
        self._pending: set[int] = set()
        self._router = (b"", b"")
        self._on_link: tuple[tuple[bytes, int], ...] = ()
        self._announcements = 0
        self._context.on(Timer.ANNOUNCE, self._announce)
        self._context.on(Timer.FORWARD, self._forward_again)

    # ---- the four methods of an engine ----------------------------------------------------------------------------------

    def handle(self, event: NodeEvent, now: Now) -> list[NodeEffect]:
        """Take one event."""
        context = self._context
        context.begin(now)
        if isinstance(event, MessageReceived):
            self._received(event)
        elif isinstance(event, RouterAdvertisementReceived):
            self._movement.advertised(event)
        elif isinstance(event, ForwardingDone):
            self._forwarding_done(event)
        elif isinstance(event, RouterConfirmed):
            self._movement.confirmed(event.address)
        elif isinstance(event, RouterUnreachable):
            self._movement.unreachable(event.address)
        elif isinstance(event, AddressClaimed):
            self._claimed(event.address)
        elif isinstance(event, LinkUp):
            self._movement.link_up()
        elif isinstance(event, LinkDown):
            self._movement.link_down()
        elif isinstance(event, IcmpReceived):
            self._icmp_received(event)
        elif isinstance(event, ListenerQueryReceived):
            taken = self._listener.asked(event, self._way_out())
            self._context.count("listener_queries" if taken else "listener_queries_ignored")
        elif isinstance(event, HomeAgentsFound | HomeAgentsNotFound):
            self._discovery.looked_up(event)
        elif isinstance(event, MalformedReceived):
            self._malformed(event)
        elif isinstance(event, RetryRequested):
            waited = self._registrations.retry()
            waited = self._discovery.retry() or waited
            if event.op:
                context.do(Answer(event.op, {"retried": waited}))
        elif isinstance(event, StopRequested):
            self._stop()
        elif isinstance(event, Started):
            self._registrations.remember_former()
            self._block()
        else:
            assert_never(event)
        return self._effects()

    def handle_timeout(self, now: Now) -> list[NodeEffect]:
        """Do all that is due."""
        self._context.begin(now)
        self._context.fire()
        return self._effects()

    def _effects(self) -> list[NodeEffect]:
        return [*self._context.effects(), *self._listener.follow(self._way_out(), self._registrations.entries)]

    def next_deadline(self) -> float | None:
        """When `handle_timeout` is wanted next."""
        return self._context.next_deadline()

    def snapshot(self, now: Now) -> dict[str, object]:
        """Everything that a person may see."""
        return {"registration": list(self.describe_registration(now)), "counters": self.describe_counters()}

    # ---- for people -----------------------------------------------------------------------------------------------------

    def describe_registration(self, now: Now) -> Iterator[dict[str, object]]:
        """One row: where the node is, and how it stands with its home agent."""
        settings, registrations = self._settings, self._registrations
        entry = registrations.entry
        yield {
            "node": settings.identifier,
            "home_address": settings.home_address,
            "place": self.place,
            "state": self._state(),
            "care_of_address": self._care_of_address,
            "anchor": registrations.agent,
            "anchor_from": self._anchor_from(),
            "prefixes": [(network.prefix, network.length) for network in settings.networks] if settings.mobile_router else [],
            "lifetime_seconds": entry.lifetime * LIFETIME_UNIT if entry is not None and entry.acknowledged else 0,
            "remaining_seconds": max(0.0, entry.expires - now.monotonic) if entry is not None else 0.0,
            "registered_seconds": now.monotonic - entry.since if entry is not None and entry.acknowledged else 0.0,
            **self._movement.describe(),
        }

    def _anchor_from(self) -> str:
        agent = self._registrations.agent
        if agent and agent not in self._registrations.agents:
            return "former registration"
        return self._discovery.origin.value if agent else ""

    def _state(self) -> str:
        registrations = self._registrations
        if self._taken:
            return "home address taken"
        if registrations.halted is not None and self.place is Place.ABROAD:
            return "refused"
        if self.place is Place.HOME:
            return "at home" if self._path is HomePath.LINK else "returning"
        if registrations.is_registered:
            return "registered"
        return "registering" if registrations.request is not None else "waiting"

    def describe_counters(self) -> dict[str, int]:
        """All counters, by name."""
        return dict(self._context.counters)

    def is_done(self) -> bool:
        """Whether nothing is waited for of a home agent, after `StopRequested`."""
        return self._registrations.request is None

    def peers(self) -> list[tuple[bytes, bytes]]:
        """Our home address and the home agents that hold, or may hold, a binding."""
        return [(self._settings.home_address, agent) for agent in self._registrations.entries]

    # ---- where the node is (movement.Traveller) ---------------------------------------------------------------------------

    def arrived(self, router: Router, *, moved: bool) -> None:
        """This router is in use, with these prefixes."""
        if self._stopping:
            return
        if self._router != (router.address, router.link_layer_address) or moved:
            self._router = (router.address, router.link_layer_address)
            self._context.do(SetDefaultRouter(router.address, router.link_layer_address))
        now, home = self._context.now.monotonic, (self._settings.home_prefix, self._settings.home_prefix_length)
        at_home = any(record.prefix == home for record in router.advertised(now))
        if moved:
            self._taken = False
            self._addresses.moved()
            if not (at_home and self._registrations.entries):  # there, the home agent may stand in for us
                self._addresses.check(self._settings.link_local_address)
        if at_home:
            self._discovery.home_prefix_known(router)
            self._at_home(router)
        else:
            self._abroad(router, moved=moved)
        self._tell_on_link(router)

    def doubtful(self) -> None:
        """Nothing bare on a link that may be another; nothing is said on a link that is down."""
        if self._path is HomePath.LINK:
            self._block()
        if not self._movement.up:
            self._registrations.forget_goal()

    def stranded(self) -> None:
        """No router: nobody can be told anything."""
        self.place = Place.UNKNOWN
        self._router = (b"", b"")
        self._context.do(SetDefaultRouter(b"", b""))
        self._registrations.forget_goal()
        self._discovery.at(b"", b"")
        self._block()

    def _at_home(self, router: Router) -> None:
        """RFC 6275 section 11.5.5: first the home agent has to give the address free."""
        if self.place is not Place.HOME:
            self.place = Place.HOME
            self._context.report(Severity.INFO, "home", "on the home link, by router {:address}", router.address)
            self._care_of_address = b""
            self._discovery.at(b"", b"")
            self._bound_before = bool(self._registrations.entries)
            self._free = False
            self._block()
            self._registrations.return_home()
            self._addresses.withdraw_all()  # behind what the home agent is waiting for
        elif not self._free:
            self._registrations.return_home()
        elif not self._taken:
            self._use_link()

    def _abroad(self, router: Router, *, moved: bool) -> None:
        """RFC 6275 sections 11.5.3 and 11.5.4: an address here, and the home agent told of it."""
        if self.place is not Place.ABROAD:
            self.place = Place.ABROAD
            self._context.disarm(Timer.ANNOUNCE)
            self._context.report(Severity.INFO, "abroad", "on a foreign link, by router {:address}", router.address)
            self._block()
        address = self._addresses.choose(router, self._care_of_address)
        if address != self._care_of_address:
            self._care_of_address = address
            self._forward(None)
        registrations = self._registrations
        if not address:
            registrations.forget_goal()
            self._discovery.at(b"", b"")
            return
        registrations.care_of_valid_for = self._addresses.valid_for(address)
        self._discovery.at(address, registrations.agent)
        registrations.register(address, again=moved)
        if registrations.is_registered:
            self._forward(Tunnel(address, registrations.agent))

    def _addresses_changed(self) -> None:
        """An address is a duplicate, or may be used now."""
        router = self._movement.current
        if router is not None and self.place is Place.ABROAD:
            self._abroad(router, moved=False)

    def _tell_on_link(self, router: Router) -> None:
        """The prefixes of the link; the home prefix only once it may be used."""
        now, settings = self._context.now.monotonic, self._settings
        home = (settings.home_prefix, settings.home_prefix_length)
        prefixes = tuple(
            record.prefix
            for record in router.prefixes.values()
            if record.is_on_link(now) and (record.prefix != home or self._path is HomePath.LINK)
        )
        if prefixes != self._on_link:
            self._on_link = prefixes
            self._context.do(SetOnLink(prefixes))

    def _home_prefix_valid(self, until: float) -> None:
        self._registrations.home_address_valid_until = until

    def _stop(self) -> None:
        """Let the home agent forget the node: nobody will be here."""
        self._stopping = True
        if self.place is Place.ABROAD and self._care_of_address:
            self._block()
            self._registrations.leave(self._care_of_address)

    # ---- what registrations tell (node_registration.Subscriber) -------------------------------------------------------------

    def requested(self, agent: bytes, care_of_address: bytes) -> None:
        """RFC 6275 section 11.3.3 asks only that the tunnel is from the home agent; to send is another matter."""
        if self.place is Place.ABROAD and not self._registrations.is_registered:
            self._forward(Tunnel(care_of_address, agent), receive_only=not self._settings.optimistic_handover)

    def registered(self, entry: BindingUpdateListEntry) -> None:
        """A home agent has accepted."""
        self._discovery.at(entry.care_of_address, entry.agent)
        self._forward(Tunnel(entry.care_of_address, entry.agent))

    def unregistered(self) -> None:
        """No tunnel, and nothing bare."""
        if self.place is Place.ABROAD:
            self._forward(None)

    def deregistered(self) -> None:
        """The home address is the node's own again on its home link (RFC 6275 section 11.5.5)."""
        self._free = True
        if self.place is Place.HOME:
            self._use_link()
            if self._bound_before:
                self._announcements = 0
                self._announce(b"")
            else:
                self._addresses.check(self._settings.home_address)
            router = self._movement.current
            if router is not None:
                self._tell_on_link(router)

    def agents_exhausted(self) -> None:
        """Look for other home agents."""
        self._discovery.discover()

    def prefixes_wanted(self) -> None:
        """RFC 6275 section 11.7.3, status 1."""
        self._discovery.solicit_prefixes()

    def _announce(self, _key: bytes) -> None:
        """Tell the home link where the home address, and the link-local address, are now."""
        self._announcements += 1
        self._context.do(AdvertiseAddress(self._settings.home_address))
        self._context.do(AdvertiseAddress(self._settings.link_local_address))
        if self._announcements < MAX_NEIGHBOR_ADVERTISEMENT:
            self._context.arm(Timer.ANNOUNCE, RETRANS_TIMER)

    # ---- the way of the home address's packets ----------------------------------------------------------------------------

    def _block(self) -> None:
        """Keep packets from the home address: they go to the data plane, which has no tunnel for them."""
        self._forward(None)
        if self._path is not HomePath.TUNNEL:
            self._path = HomePath.TUNNEL
            self._context.do(SetHomePath(HomePath.TUNNEL))

    def _use_link(self) -> None:
        """Packets from the home address take the link as any others."""
        if self._path is HomePath.LINK:
            return
        self._path = HomePath.LINK
        self._context.disarm(Timer.FORWARD)
        self._is_bound = False
        self._pending.clear()
        self._context.do(SetHomePath(HomePath.LINK))
        self._discovery.at_home()
        for prefix, length, kind in self._entries():
            self._context.do(Unbind(self._context.op(), prefix, length, kind))

    def _forward(self, tunnel: Tunnel | None, *, receive_only: bool = False) -> None:
        """Have packets from and to the home address go through this tunnel, or only those to it; None drops them."""
        wanted = (tunnel, receive_only)
        if self._is_bound and self._wanted == wanted:
            return
        self._wanted, self._is_bound = wanted, True
        self._pending.clear()
        for prefix, length, kind in self._entries():
            op = self._context.op()
            self._pending.add(op)
            self._context.do(Bind(op, prefix, length, tunnel, kind=kind, receive_only=receive_only))

    def _way_out(self) -> Tunnel | None:
        """The tunnel that packets from the home address leave by."""
        tunnel, receive_only = self._wanted
        return tunnel if self._is_bound and not receive_only else None

    def _entries(self) -> Iterator[tuple[bytes, int, BindingKind]]:
        yield self._settings.home_address, HOST, BindingKind.HOME_ADDRESS
        if self._settings.mobile_router:
            for network in self._settings.networks:
                yield network.prefix, network.length, BindingKind.MOBILE_NETWORK

    def _forwarding_done(self, event: ForwardingDone) -> None:
        if event.op not in self._pending:
            return
        self._pending.discard(event.op)
        if event.error:
            self._context.count("forwarding_failed")
            text = "the data plane failed for the home address: {}"
            name = errno.errorcode.get(event.error, str(event.error))
            self._context.report(Severity.ERROR, "forwarding_failed", text, name)
            self._context.arm(Timer.FORWARD, FORWARDING_RETRY)

    def _forward_again(self, _key: bytes) -> None:
        if self._is_bound:
            self._is_bound = False
            tunnel, receive_only = self._wanted
            self._forward(tunnel, receive_only=receive_only)

    # ---- messages ---------------------------------------------------------------------------------------------------------

    def _received(self, event: MessageReceived) -> None:
        message = event.message
        if isinstance(message, BindingAcknowledgement):
            self._registrations.acknowledged(event, message)
        elif isinstance(message, BindingRefreshRequest):
            self._refresh_requested(event)
        elif isinstance(message, BindingError):
            self._binding_error(event, message)
        elif isinstance(message, BindingRevocationIndication):
            self._revocation(event, message)
        elif isinstance(message, HomeTest | CareOfTest | BindingRevocationAcknowledgement):
            self._context.count("messages_ignored")
        else:
            self._unrecognized(event)

    def _refresh_requested(self, event: MessageReceived) -> None:
        """RFC 6275 section 6.1.2, from a home agent that holds a binding."""
        if self._is_from_agent(event):
            self._context.count("refresh_requests")
            self._registrations.refresh()
        else:
            self._context.count("refresh_requests_ignored")

    def _is_from_agent(self, event: MessageReceived) -> bool:
        return event.source in self._registrations.entries and event.home_address == self._settings.home_address

    def _binding_error(self, event: MessageReceived, message: BindingError) -> None:
        """RFC 6275 section 11.3.6."""
        source, registrations = event.source, self._registrations
        if source not in registrations.entries:
            self._context.count("binding_errors_ignored")
            return
        self._context.count("binding_errors")
        if message.status == BindingErrorStatus.UNKNOWN_BINDING:
            if message.home_address == self._settings.home_address and self.place is Place.ABROAD:
                registrations.refresh()
        elif message.status == BindingErrorStatus.UNRECOGNIZED_MH_TYPE and registrations.is_outstanding(source):
            registrations.not_understood(source, "it does not know Binding Updates")

    def _revocation(self, event: MessageReceived, message: BindingRevocationIndication) -> None:
        """RFC 5846 section 10. Only what is protected, or where nothing needs to be, can end a registration (section 7)."""
        trusted = event.protection.assurance is Assurance.VALID or self._settings.insecure
        if not trusted or not self._is_from_agent(event):
            self._context.count("revocations_ignored")
            return
        if message.flags & RevocationFlag.PROXY_BINDING:
            status = RevocationStatus.PROXY_BINDING_REVOCATION_NOT_SUPPORTED
        elif message.flags & RevocationFlag.IPV4_HOME_ADDRESS_BINDING_ONLY:
            named = any(isinstance(option, Ipv4HomeAddressRequest) for option in message.options)
            required = RevocationStatus.IPV4_HOME_ADDRESS_OPTION_REQUIRED
            status = RevocationStatus.BINDING_DOES_NOT_EXIST if named else required
        else:
            status = RevocationStatus.SUCCESS
        self._context.count("revocations")
        answer = BindingRevocationAcknowledgement(status, message.sequence, 0, ())
        self._context.do(Send(event.destination, event.source, answer, self._settings.home_address, self._settings.association))
        if status is RevocationStatus.SUCCESS:
            text = "home agent {:address} has revoked the registration (trigger {})"
            self._context.report(Severity.WARNING, "revoked", text, event.source, message.trigger, peer=event.source)
            self._registrations.revoked(event.source)

    def _unrecognized(self, event: MessageReceived) -> None:
        """RFC 6275 section 9.2: a node that is nobody's correspondent knows no other messages."""
        self._context.count("messages_unrecognized")
        if self._may_send_error(event.source):
            message = BindingError(BindingErrorStatus.UNRECOGNIZED_MH_TYPE, event.home_address or UNSPECIFIED)
            self._context.do(Send(event.destination, event.source, message))

    def _malformed(self, event: MalformedReceived) -> None:
        """RFC 6275 section 9.2."""
        reason = event.error.reason
        self._context.count(f"malformed_{reason.value}")
        text = "malformed Mobility Header: {} at octet {}"
        self._context.report(Severity.WARNING, "malformed", text, reason.value, event.error.offset, peer=event.source)
        problem = parameter_problem(event)
        if problem is not None and self._may_send_error(event.source):
            self._context.do(problem)

    def _may_send_error(self, destination: bytes) -> bool:
        if destination[0] == MULTICAST or destination == UNSPECIFIED:
            return False
        return self._context.error_allowed()

    # ---- ICMPv6 and Neighbor Discovery --------------------------------------------------------------------------------------

    def _icmp_received(self, event: IcmpReceived) -> None:
        message = event.message
        if isinstance(message, HomeAgentAddressDiscoveryReply):
            self._discovery.reply(event, message)
        elif isinstance(message, MobilePrefixAdvertisement):
            if self._discovery.prefixes_advertised(event, message):
                self._registrations.awaiting_prefixes = False
        elif isinstance(message, ParameterProblem):
            self._parameter_problem(event, message)

    def _parameter_problem(self, event: IcmpReceived, message: ParameterProblem) -> None:
        """RFC 6275 section 11.3.5: it counts only if it quotes an update that is outstanding."""
        if message.code == OPTION_UNKNOWN:
            text = "{:address} does not know the Home Address option"
            self._context.report(Severity.WARNING, "home_address_option", text, event.source, peer=event.source)
        elif message.code == HEADER_TYPE_UNKNOWN and self._quotes_update(event.source, message.packet):
            self._registrations.not_understood(event.source, "it does not know the Mobility Header")
        else:
            self._context.count("parameter_problems_ignored")

    def _quotes_update(self, agent: bytes, quoted: bytes) -> bool:
        try:
            packet = parse_packet(quoted)
        except DecodeError:
            return False
        header = packet.payload
        if packet.destination != agent or packet.next_header != NextHeader.MOBILITY or len(header) < SEQUENCE + 2:
            return False
        sequence = int.from_bytes(header[SEQUENCE : SEQUENCE + 2], "big")
        return header[2] == BINDING_UPDATE and self._registrations.is_outstanding(agent, sequence)

    def _claimed(self, address: bytes) -> None:
        """Duplicate Address Detection has failed for an address."""
        if not self._addresses.claimed(address):
            return
        if address == self._settings.home_address:
            self._taken = True
            text = "another node has the home address {:address}: it is not used"
            self._context.report(Severity.ERROR, "home_address_taken", text, address)
            self._block()
        elif address == self._settings.link_local_address:
            text = "another node has the link-local address {:address} of this interface"
            self._context.report(Severity.ERROR, "link_local_address_taken", text, address)
