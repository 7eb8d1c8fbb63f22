# SPDX-License-Identifier: Apache-2.0
"""A domain to talk in: an anchor with a clock that tests move, a data plane that tests can hold back or make fail, and
gateways that speak as RFC 5213's figures do.

    domain = Domain()
    gateway1, gateway2 = domain.gateway(1), domain.gateway(2)
    first = accepted(gateway1.update(HOST, link_layer=INTERFACE))
    assert domain.route(first) == gateway1.tunnel

Always holds, and checked at every step: what the anchor sends can be encoded and decoded again; an update is accepted only
when the data plane forwards the session's prefixes as the acknowledgement says; next_deadline is never late.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from halma.engine.anchor import Anchor, AnchorEvent
from halma.engine.anchor_settings import AnchorSettings, PoolSettings
from halma.engine.api import (
    Answer,
    Bind,
    ForwardingDone,
    MessageReceived,
    Now,
    Report,
    Send,
    SendParameterProblem,
    Tunnel,
    Unbind,
    sentence,
)
from halma.engine.home_link import SendHome
from halma.engine.policy import Peer, Profile
from halma.policy.anchor import AnchorPolicy
from halma.text import read_address
from halma.wire import Message, decode, encode
from halma.wire.messages import (
    BindingAcknowledgement,
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
    BindingUpdate,
    Heartbeat,
)
from halma.wire.numbers import BindingUpdateFlag, HeartbeatFlag, RevocationFlag, Status
from halma.wire.options import (
    AccessTechnologyType,
    AlternateCareOfAddress,
    HandoffIndicator,
    HomeNetworkPrefix,
    LinkLocalAddress,
    MobileNodeIdentifier,
    MobileNodeLinkLayerIdentifier,
    RestartCounter,
    Timestamp,
)
from halma.wire.optionspace import Option
from halma.wire.timestamp import to_timestamp

T = TypeVar("T")

ANCHOR = read_address("2001:db8:1::1")
SECOND_ANCHOR = read_address("2001:db8:1::2")
POOL = read_address("2001:db8:100::")
HOST = b"host1@example.org"
OTHER = b"host2@example.org"
INTERFACE = bytes.fromhex("020000000101")
OTHER_INTERFACE = bytes.fromhex("020000000102")
ASK = HomeNetworkPrefix(0, bytes(16))
"""A Home Network Prefix option of ALL_ZERO."""
NEW_INTERFACE, BETWEEN_INTERFACES, BETWEEN_GATEWAYS, UNKNOWN, NOT_CHANGED = range(1, 6)
"""The handoff indicators of RFC 5213 section 8.4."""
ETHERNET, WLAN = 3, 4
PROXY = BindingUpdateFlag.PROXY | BindingUpdateFlag.ACKNOWLEDGE


def gateway_address(number: int) -> bytes:
    """The address of a gateway of the domain."""
    return read_address(f"2001:db8:2::{number:x}")


def hnp(text: str, length: int = 64) -> HomeNetworkPrefix:
    """A Home Network Prefix option."""
    return HomeNetworkPrefix(length, read_address(text))


def option(message: Message, kind: type[T]) -> T | None:
    """The only option of its kind in a message, None when there is none."""
    found = options(message, kind)
    assert len(found) <= 1
    return found[0] if found else None


def options(message: Message, kind: type[T]) -> list[T]:
    """The options of a kind in a message, in order."""
    return [each for each in getattr(message, "options", ()) if isinstance(each, kind)]


def prefixes(message: Message) -> tuple[HomeNetworkPrefix, ...]:
    """The Home Network Prefix options of a message."""
    return tuple(options(message, HomeNetworkPrefix))


def accepted(message: BindingAcknowledgement | None) -> BindingAcknowledgement:
    """The message, which is an acceptance."""
    assert message is not None, "no answer"
    assert message.status == Status.ACCEPTED, Status(message.status)
    return message


def refused(message: BindingAcknowledgement | None, status: int) -> BindingAcknowledgement:
    """The message, which is a refusal with this status."""
    assert message is not None, "no answer"
    assert message.status == status, (message.status, status)
    assert message.lifetime == 0
    return message


class ForwardingPlane:
    """What a data plane does, as far as an engine sees it. `holding` keeps the outcomes back until `Domain.release`;
    `failing` answers everything with an errno; `refuse_next` answers the next changes each with one."""

    def __init__(self) -> None:
        self.bound: dict[bytes, Tunnel | None] = {}
        self.history: list[Bind | Unbind] = []
        self.holding = False
        self.failing = 0
        self.refuse_next: list[int] = []

    def apply(self, change: Bind | Unbind) -> ForwardingDone:
        """Carry out one change."""
        self.history.append(change)
        assert change.prefix_length == 64
        assert change.prefix[8:] == bytes(8)
        error = self.refuse_next.pop(0) if self.refuse_next else self.failing
        if not error and isinstance(change, Bind):
            self.bound[change.prefix] = change.tunnel
        elif not error and change.prefix not in self.bound:
            error = errno.ENOENT
        elif not error:
            del self.bound[change.prefix]
        return ForwardingDone(change.op, error)


def policy(*profiles: Profile, gateways: int = 9, peer: Peer | None = None) -> AnchorPolicy:
    """Gateways 1 to 9, which may register everybody at example.org; these profiles, or one for everybody there."""
    template = peer or Peer("gateway", (b"*@example.org",))
    peers = [(gateway_address(n), 128, replace(template, name=f"{template.name}{n}")) for n in range(1, gateways + 1)]
    return AnchorPolicy(peers, profiles or (Profile(b"*@example.org", pool="main"),))


@dataclass
class Sent:
    """A message that the anchor has sent."""

    when: float
    send: Send

    @property
    def message(self) -> Any:
        """The message itself."""
        return self.send.message


class Domain:
    """An anchor and what is around it."""

    def __init__(self, policy_: AnchorPolicy | None = None, **settings: Any) -> None:
        given: dict[str, Any] = {"addresses": (ANCHOR, SECOND_ANCHOR), "pools": (PoolSettings("main", POOL, 40),)}
        self.settings = AnchorSettings(**(given | settings))
        self.anchor = Anchor(self.settings, policy_ or policy())
        self.plane = ForwardingPlane()
        self.monotonic = 1000.0
        self.wall = 1_700_000_000.0
        self.wire: list[Sent] = []
        """Everything that the anchor has sent, in order."""
        self.reports: list[Report] = []
        self.answers: dict[int, dict[str, object]] = {}
        self.problems: list[SendParameterProblem] = []
        self._held: list[Bind | Unbind] = []

    # ---- time ----

    @property
    def now(self) -> Now:
        """The time."""
        return Now(self.monotonic, self.wall)

    def advance(self, seconds: float) -> list[Sent]:
        """Let time pass, as the runner does: the anchor is called at each of its deadlines. What it sent."""
        begin, until = len(self.wire), self.monotonic + seconds
        while (deadline := self.anchor.next_deadline()) is not None and deadline <= until:
            self._pass(max(0.0, deadline - self.monotonic))
            self._carry_out(self.anchor.handle_timeout(self.now))
        self._pass(until - self.monotonic)
        assert not self.anchor.handle_timeout(self.now), "a deadline came late"
        return self.wire[begin:]

    def _pass(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds

    # ---- events and effects ----

    def handle(self, event: AnchorEvent) -> list[Sent]:
        """Give the anchor an event; what it sent because of it."""
        begin = len(self.wire)
        self._carry_out(self.anchor.handle(event, self.now))
        return self.wire[begin:]

    def receive(self, source: bytes, message: Message, destination: bytes = ANCHOR) -> list[Sent]:
        """Let a message come to the anchor."""
        return self.handle(MessageReceived(source, destination, message))

    def release(self) -> list[Sent]:
        """The data plane catches up with what it held back, and goes on at once from now on."""
        begin = len(self.wire)
        self.plane.holding = False
        held, self._held = self._held, []
        for change in held:
            self._carry_out(self.anchor.handle(self.plane.apply(change), self.now))
        return self.wire[begin:]

    def _carry_out(self, effects: Sequence[object]) -> None:
        """All changes before all messages, as the runner does."""
        outbox: list[Send] = []
        while effects:
            changes = [effect for effect in effects if isinstance(effect, Bind | Unbind)]
            for effect in effects:
                if isinstance(effect, Send):
                    outbox.append(effect)
                elif isinstance(effect, SendHome):
                    assert effect.tunnel == self.plane.bound[effect.send.destination[:8] + bytes(8)], "not the way home"
                    outbox.append(effect.send)
                elif isinstance(effect, Report):
                    assert sentence(effect).isprintable()
                    self.reports.append(effect)
                elif isinstance(effect, Answer):
                    self.answers[effect.op] = effect.result
                elif isinstance(effect, SendParameterProblem):
                    self.problems.append(effect)
                else:
                    assert isinstance(effect, Bind | Unbind), effect
            if self.plane.holding:
                self._held += changes
                break
            effects = [each for change in changes for each in self.anchor.handle(self.plane.apply(change), self.now)]
        revived = {
            each.prefix
            for send in outbox
            if isinstance(send.message, BindingAcknowledgement)
            and send.message.status == Status.ACCEPTED
            and send.message.lifetime
            for each in prefixes(send.message)
        }
        for send in outbox:
            self._check(send, revived)
            self.wire.append(Sent(self.monotonic, send))

    def _check(self, send: Send, revived: set[bytes]) -> None:
        """What the module promises. Where the data plane came late, what was given up may be `revived` in one go."""
        data = encode(send.message, send.source, send.destination)
        assert decode(data, send.source, send.destination) == send.message
        message = send.message
        if isinstance(message, BindingAcknowledgement) and message.status == Status.ACCEPTED:
            for each in prefixes(message):
                there = self.plane.bound.get(each.prefix)
                if message.lifetime:
                    assert there is not None, "accepted, and the data plane drops"
                elif each.prefix not in revived:
                    assert there is None or there.remote != send.destination, "given up, and the data plane forwards"

    # ---- who takes part ----

    def gateway(self, number: int) -> Gateway:
        """A gateway."""
        return Gateway(self, gateway_address(number))

    # ---- what there is ----

    def route(self, message_or_prefix: BindingAcknowledgement | bytes) -> Tunnel | str | None:
        """Where the data plane sends the first prefix of an acknowledgement: a tunnel, None when it drops, "nowhere" when it
        does not know the prefix."""
        prefix = message_or_prefix
        if isinstance(prefix, BindingAcknowledgement):
            prefix = prefixes(prefix)[0].prefix
        return self.plane.bound.get(prefix, "nowhere")

    def bindings(self) -> list[dict[str, Any]]:
        """The rows that a person sees."""
        return list(self.anchor.describe_bindings(self.now))

    def count(self, name: str) -> int:
        """A counter."""
        return self.anchor.describe_counters()[name]


@dataclass
class Gateway:
    """A mobile access gateway that says whatever a test wants. Its sequence numbers count up; its clock is that of the
    domain, with a new timestamp for each message."""

    domain: Domain
    address: bytes
    sequence: int = 0
    last: Any = field(default=None)

    @property
    def tunnel(self) -> Tunnel:
        """The tunnel between the anchor and this gateway."""
        return Tunnel(ANCHOR, self.address)

    def make(
        self,
        node: bytes | None = HOST,
        *asked: HomeNetworkPrefix,
        handoff: int | None = NEW_INTERFACE,
        technology: int | None = ETHERNET,
        link_layer: bytes | None = None,
        link_local: bytes | None = None,
        lifetime: int = 900,
        timestamp: int | None = -1,
        care_of: bytes | None = None,
        sequence: int | None = None,
        subtype: int = 1,
        extra: tuple[Option, ...] = (),
        bare: bool = False,
    ) -> BindingUpdate:
        """A Proxy Binding Update; None leaves an option out, `bare` the Home Network Prefix options. Lifetime in units of
        4 seconds."""
        self.sequence = (self.sequence + 1) % 0x10000 if sequence is None else sequence
        if timestamp == -1:
            self.domain._pass(1 / 1024)  # no two messages are sent at the same time
            timestamp = to_timestamp(self.domain.wall)
        given: list[Option] = []
        if node is not None:
            given.append(MobileNodeIdentifier(subtype, node))
        given += () if bare else asked or (ASK,)
        given += () if handoff is None else (HandoffIndicator(handoff),)
        given += () if technology is None else (AccessTechnologyType(technology),)
        given += () if link_layer is None else (MobileNodeLinkLayerIdentifier(link_layer),)
        given += () if link_local is None else (LinkLocalAddress(link_local),)
        given += () if timestamp is None else (Timestamp(timestamp),)
        given += () if care_of is None else (AlternateCareOfAddress(care_of),)
        return BindingUpdate(self.sequence, PROXY, lifetime, (*given, *extra))

    def send(self, message: Message, destination: bytes = ANCHOR) -> list[Sent]:
        """Send a message to the anchor; all that the anchor sent because of it."""
        return self.domain.receive(self.address, message, destination)

    def update(self, *arguments: Any, destination: bytes = ANCHOR, **options_: Any) -> BindingAcknowledgement | None:
        """Send the Proxy Binding Update of `make`; the acknowledgement that came here at once, None without one."""
        self.last = self.make(*arguments, **options_)
        return self.answer(self.send(self.last, destination))

    def again(self) -> BindingAcknowledgement | None:
        """Let a copy of the last update come to the anchor."""
        return self.answer(self.send(self.last))

    def deregister(self, held: BindingAcknowledgement, node: bytes = HOST, **options_: Any) -> BindingAcknowledgement | None:
        """Give up the session of an acknowledgement (RFC 5213 section 6.9.1.4)."""
        return self.update(node, *prefixes(held), **({"handoff": UNKNOWN, "lifetime": 0} | options_))

    def refresh(self, held: BindingAcknowledgement, node: bytes = HOST, **options_: Any) -> BindingAcknowledgement | None:
        """Extend the session of an acknowledgement (section 6.9.1.3)."""
        return self.update(node, *prefixes(held), **({"handoff": NOT_CHANGED} | options_))

    def answer(self, sent: list[Sent]) -> BindingAcknowledgement | None:
        """The only acknowledgement among these that came to this gateway."""
        mine = [each.message for each in sent if each.send.destination == self.address]
        acknowledgements = [message for message in mine if isinstance(message, BindingAcknowledgement)]
        assert len(acknowledgements) <= 1
        return acknowledgements[0] if acknowledgements else None

    def answers(self) -> list[BindingAcknowledgement]:
        """All acknowledgements that ever came to this gateway."""
        return [
            each.message
            for each in self.domain.wire
            if each.send.destination == self.address and isinstance(each.message, BindingAcknowledgement)
        ]

    # ---- revocation and heartbeats ----

    def indications(self) -> list[BindingRevocationIndication]:
        """All Binding Revocation Indications that ever came to this gateway."""
        return [
            each.message
            for each in self.domain.wire
            if each.send.destination == self.address and isinstance(each.message, BindingRevocationIndication)
        ]

    def acknowledge(self, status: int, sequence: int | None = None) -> list[Sent]:
        """Answer the last Binding Revocation Indication."""
        last = self.indications()[-1]
        number = last.sequence if sequence is None else sequence
        return self.send(BindingRevocationAcknowledgement(status, number, last.flags, ()))

    def revoke(
        self, trigger: int, *given: Option, flags: int = RevocationFlag.PROXY_BINDING, sequence: int = 7
    ) -> BindingRevocationAcknowledgement:
        """Send a Binding Revocation Indication; its answer."""
        sent = self.send(BindingRevocationIndication(trigger, sequence, flags, given))
        (answer,) = [each.message for each in sent if isinstance(each.message, BindingRevocationAcknowledgement)]
        assert answer.sequence == sequence
        assert isinstance(answer, BindingRevocationAcknowledgement)
        return answer

    def heartbeats(self) -> list[Heartbeat]:
        """All heartbeats that ever came to this gateway."""
        return [
            each.message
            for each in self.domain.wire
            if each.send.destination == self.address and isinstance(each.message, Heartbeat)
        ]

    def beat(self, restart_counter: int | None, unsolicited: bool = False, sequence: int | None = None) -> list[Sent]:
        """Answer the last heartbeat request, or (`unsolicited`) say unasked that this gateway has restarted."""
        flags = HeartbeatFlag.RESPONSE | (HeartbeatFlag.UNSOLICITED if unsolicited else 0)
        number = sequence if sequence is not None else 0 if unsolicited else self.heartbeats()[-1].sequence
        given = () if restart_counter is None else (RestartCounter(restart_counter),)
        return self.send(Heartbeat(flags, number, given))
