# SPDX-License-Identifier: Apache-2.0
"""Many nodes and gateways at once: messages that are lost, delayed, copied and overtaken, sessions that expire and are revoked,
gateways that restart, a data plane that refuses. After every step the anchor must be as `anchor_model` says; and whatever the
data plane does, nothing may be left behind."""

from __future__ import annotations

import errno
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from halma.engine.anchor_settings import PoolSettings
from halma.engine.api import Tunnel
from halma.engine.heartbeat import HeartbeatSettings
from halma.engine.policy import Profile
from halma.engine.proxy_binding_cache import BindingState
from halma.engine.proxy_revocation import RevocationRequested
from halma.engine.timers import SLACK
from halma.wire.messages import BindingAcknowledgement, BindingRevocationAcknowledgement, BindingRevocationIndication
from halma.wire.numbers import RevocationTrigger
from halma.wire.options import HomeNetworkPrefix, MobileNodeIdentifier
from halma.wire.timestamp import from_timestamp, to_timestamp
from tests.engine.anchor_model import Model, Session, Update
from tests.engine.conversation import (
    ANCHOR,
    BETWEEN_INTERFACES,
    NOT_CHANGED,
    POOL,
    UNKNOWN,
    Domain,
    gateway_address,
    policy,
    prefixes,
)

GATEWAYS = st.integers(1, 3)
NODES = st.sampled_from([b"a@example.org", b"b@example.org", b"c@example.org"])
INTERFACES = st.sampled_from([b"\x01", b"\x02"])
INDICATORS = st.sampled_from([1, 3, UNKNOWN, UNKNOWN, BETWEEN_INTERFACES])
WHICH = st.integers(0, 1 << 20)
LIFETIMES = st.integers(1, 12)
SPANS = st.sampled_from([0.0, 0.013, 0.11, 0.29, 0.71, 1.1, 1.6, 3.2, 7.3, 11.1, 31.7])
NETWORK = 12
"""Messages that the network keeps, to deliver them late, often, or never."""


def check_consistency(domain: Domain) -> None:
    """The indices of the cache agree with one another, timers and tables are linear in what there is."""
    proxy = domain.anchor._proxy
    cache = proxy.cache
    bindings = [binding for node in cache.nodes() for binding in node.sessions]
    assert len(cache) == len(bindings) == sum(map(cache.count_of_gateway, cache.gateways()))
    held = [(option.prefix, binding) for binding in bindings for option in binding.prefixes]
    assert len({prefix for prefix, _ in held}) == len(held), "a prefix is shared"
    assert all(cache.by_prefix(prefix) is binding for prefix, binding in held)
    assert set(cache._by_prefix) == {prefix for prefix, _ in held}
    for gateway in cache.gateways():
        assert {binding for binding in bindings if binding.gateway == gateway} == set(cache.of_gateway(gateway))
    assert set(proxy.waiting) <= set(bindings)
    assert len(proxy.deadlines) <= len(bindings) + len(proxy.waiting) + cache.count_of_nodes()
    assert len(proxy.deadlines._heap) <= 2 * len(proxy.deadlines) + SLACK
    assert set(domain.anchor._heartbeat._peers) == set(cache.gateways())
    if not proxy.changes._by_binding:
        assert not proxy.changes._by_op
        for binding in bindings:
            assert binding.state is not BindingState.CREATING
            asked = binding.state is BindingState.REVOKING
            assert asked or proxy.deadlines.get(binding) is not None, "a binding that nothing will ever end"


class AgainstTheModel(RuleBasedStateMachine):
    """The anchor beside the model."""

    @initialize()
    def begin(self) -> None:
        """An empty domain with room for eight sessions."""
        self.domain = Domain(
            policy(Profile(b"*@example.org", pool="small")),
            pools=(PoolSettings("small", POOL, 61),),
            minimum_delay_before_bce_delete=10.03,
            maximum_delay_before_new_bce_assign=1.51,
            heartbeat=HeartbeatSettings(enabled=False),
        )
        self.model = Model(10.03, 1.51, 8, now=self.domain.monotonic)
        self.network: list[tuple[Any, Update]] = []
        self.restarts = 0
        self.indicated: dict[int, tuple[Session, bool]] = {}

    # ---- gateways say something, and the network carries it ----

    def put(self, number: int, node: bytes, interface: bytes, **given: Any) -> None:
        """A gateway sends an update into the network."""
        asked = given.pop("asked", None)
        gateway = self.domain.gateway(number)
        gateway.sequence = len(self.domain.wire) * 37 + self.domain.count("proxy_binding_updates_received") * 3
        self.pass_time(1 / 1024)
        stamp = to_timestamp(self.domain.wall)
        options = () if asked is None else (HomeNetworkPrefix(64, asked),)
        message = gateway.make(node, *options, link_layer=interface, timestamp=stamp, **given)
        sent = from_timestamp(stamp) - self.offset
        update = Update(number, node, interface, message.sequence, sent, message.lifetime, given["handoff"], asked)
        self.network = [*self.network[-NETWORK:], (message, update)]

    @property
    def offset(self) -> float:
        """Time of day less monotonic time."""
        return 1_700_000_000.0 - 1000.0

    @rule(number=GATEWAYS, node=NODES, interface=INTERFACES, handoff=INDICATORS, lifetime=LIFETIMES)
    def attach(self, number: int, node: bytes, interface: bytes, handoff: int, lifetime: int) -> None:
        """A node comes to a gateway, and the update arrives."""
        self.put(number, node, interface, handoff=handoff, lifetime=lifetime)
        self.arrive(len(self.network) - 1, refuses=False)

    @rule(number=GATEWAYS, node=NODES, interface=INTERFACES, handoff=INDICATORS, lifetime=st.integers(0, 12))
    def attach_later(self, number: int, node: bytes, interface: bytes, handoff: int, lifetime: int) -> None:
        """The same, and the network keeps the update for now."""
        self.put(number, node, interface, handoff=handoff, lifetime=lifetime)

    @rule(which=WHICH, lifetime=st.integers(0, 12), number=GATEWAYS, own=st.booleans(), now=st.booleans(), interface=INTERFACES)
    def extend_or_give_up(self, which: int, lifetime: int, number: int, own: bool, now: bool, interface: bytes) -> None:
        """A gateway, mostly the one that serves the session, refreshes it or gives it up."""
        if self.model.sessions:
            session = self.model.sessions[which % len(self.model.sessions)]
            speaker = session.gateway if own else number
            spoken = session.interface if own else interface
            handoff = NOT_CHANGED if lifetime else UNKNOWN
            self.put(speaker, session.node, spoken, handoff=handoff, lifetime=lifetime, asked=session.prefix)
            if now:
                self.arrive(len(self.network) - 1, refuses=False)

    @rule(which=WHICH, refuses=st.booleans())
    def deliver(self, which: int, refuses: bool) -> None:
        """Something that was sent arrives, perhaps again; the data plane may refuse the first thing that comes of it."""
        if self.network:
            self.arrive(which % len(self.network), refuses)

    def arrive(self, which: int, refuses: bool) -> None:
        """An update comes to the anchor."""
        message, update = self.network[which]
        self.pass_time(0.0)
        waiting = self.model.waits and refuses
        if refuses and not waiting:
            self.model.refuses = True
            self.domain.plane.refuse_next = [errno.EIO]
        self.model.receive(update)
        begin = len(self.domain.wire)
        self.domain.receive(gateway_address(update.gateway), message)
        self.domain.plane.refuse_next.clear()
        self.model.refuses = False
        self.compare(begin)

    # ---- time, people, gateways ----

    def pass_time(self, seconds: float) -> None:
        """Time passes for both."""
        begin = len(self.domain.wire)
        until = self.domain.monotonic + seconds
        self.model.advance(until)
        self.domain.advance(seconds)
        self.model.now = self.domain.monotonic
        self.compare(begin)

    @rule(seconds=SPANS)
    def time_passes(self, seconds: float) -> None:
        """Deadlines come."""
        self.pass_time(seconds)

    @rule(which=WHICH)
    def person_revokes(self, which: int) -> None:
        """A person wants a session ended."""
        if self.model.sessions:
            session = self.model.sessions[which % len(self.model.sessions)]
            begin = len(self.domain.wire)
            self.domain.handle(RevocationRequested(1, prefix=session.prefix))
            self.model.revoke(session)
            self.compare(begin)

    @rule(which=WHICH, status=st.sampled_from([0, 0, 1, 128, 132]))
    def gateway_answers(self, which: int, status: int) -> None:
        """A gateway answers an indication, in time or too late."""
        if not self.indicated:
            return
        sequence = list(self.indicated)[which % len(self.indicated)]
        session, is_question = self.indicated[sequence]
        out = session in self.model.asked if is_question else session in self.model.sessions and session.state == "revoking"
        begin = len(self.domain.wire)
        source = next(
            sent.send.destination
            for sent in self.domain.wire
            if isinstance(sent.message, BindingRevocationIndication) and sent.message.sequence == sequence
        )
        if out and self.sequence_is_out(sequence):
            if not is_question:
                self.model.revocation_answered(session)
            elif status == 132:
                self.model.has_stayed(session)
            else:
                self.model.has_left(session)
        self.domain.receive(source, BindingRevocationAcknowledgement(status, sequence, 0x8000, ()))
        self.compare(begin)

    def sequence_is_out(self, sequence: int) -> bool:
        """Whether this very indication still waits for its answer."""
        return sequence in self.domain.anchor._proxy.revocations._outstanding

    @rule(number=GATEWAYS, again=st.booleans())
    def gateway_restarts(self, number: int, again: bool) -> None:
        """A gateway tells that it has begun anew, or tells it once more."""
        self.restarts += not again
        begin = len(self.domain.wire)
        self.domain.gateway(number).beat(self.restarts, unsolicited=True)
        self.model.restarted(number, self.restarts)
        self.compare(begin)

    # ---- the two are the same ----

    def compare(self, begin: int) -> None:
        """What was sent since then, and what there is now."""
        said = []
        for sent in self.domain.wire[begin:]:
            number = sent.send.destination[-1]
            message = sent.message
            if isinstance(message, BindingAcknowledgement):
                said.append((number, message.sequence, message.status))
                for session in self.model.sessions:
                    if message.status == 0 and session.prefix == b"new %d" % message.sequence:
                        assert session.gateway == number
                        session.prefix = prefixes(message)[0].prefix
                        assert [s.prefix for s in self.model.sessions].count(session.prefix) == 1, "the prefix was not free"
            elif isinstance(message, BindingRevocationIndication):
                held = prefixes(message)[0].prefix
                is_question = message.trigger == RevocationTrigger.INTER_MAG_HANDOVER_UNKNOWN
                for session in self.model.sessions:
                    if session.prefix == held and message.sequence not in self.indicated:
                        self.indicated[message.sequence] = (session, is_question)
        assert sorted(said) == sorted(self.model.answers)
        self.model.answers.clear()
        expected = {
            prefix: None if gateway is None else Tunnel(ANCHOR, gateway_address(gateway))
            for prefix, gateway in self.model.plane().items()
        }
        assert self.domain.plane.bound == expected

    @invariant()
    def consistent(self) -> None:
        """Also within the anchor."""
        if hasattr(self, "domain"):
            check_consistency(self.domain)
            remembered = {node.identifier for node in self.domain.anchor._proxy.cache.nodes()}
            assert remembered == {s.node for s in self.model.sessions} | set(self.model.forget)
            assert len(self.domain.anchor._proxy.revocations) == len(self.model.asked) + sum(
                session.state == "revoking" for session in self.model.sessions
            )

    def teardown(self) -> None:
        """In the end nothing is left."""
        if hasattr(self, "domain"):
            self.pass_time(100.0)
            self.pass_time(100.0)
            assert not self.domain.plane.bound
            assert not self.domain.anchor._proxy.cache.nodes()
            assert len(self.domain.anchor._proxy.deadlines) == 0


AgainstTheModel.TestCase.settings = settings(max_examples=60, stateful_step_count=50, deadline=None, report_multiple_bugs=False)
TestAgainstTheModel = AgainstTheModel.TestCase


class Chaos(RuleBasedStateMachine):
    """No model: the data plane holds back and refuses as it likes, and every promise is kept all the same: `Domain` checks
    that nothing is accepted without it."""

    @initialize(per_session=st.integers(1, 3))
    def begin(self, per_session: int) -> None:
        """An empty domain."""
        self.domain = Domain(
            policy(Profile(b"*@example.org", pool="main", prefixes_per_session=per_session)), maximum_bindings=6
        )
        self.sessions: list[tuple[bytes, tuple[HomeNetworkPrefix, ...]]] = []
        self.old: list[tuple[int, Any]] = []

    @rule(
        number=GATEWAYS,
        node=NODES,
        interface=st.sampled_from([None, b"\x01", b"\x02"]),
        handoff=st.integers(0, 5),
        lifetime=LIFETIMES,
    )
    def attach(self, number: int, node: bytes, interface: bytes | None, handoff: int, lifetime: int) -> None:
        """A node comes."""
        gateway = self.domain.gateway(number)
        self.say(number, gateway.make(node, handoff=handoff, link_layer=interface, lifetime=lifetime))

    @rule(number=GATEWAYS, which=WHICH, lifetime=st.integers(0, 12), handoff=st.integers(1, 5))
    def name_prefixes(self, number: int, which: int, lifetime: int, handoff: int) -> None:
        """A gateway speaks of a session by its prefixes."""
        if self.sessions:
            node, held = self.sessions[which % len(self.sessions)]
            self.say(number, self.domain.gateway(number).make(node, *held, handoff=handoff, lifetime=lifetime))

    @rule(which=WHICH)
    def copy(self, which: int) -> None:
        """An old message comes again."""
        if self.old:
            self.say(*self.old[which % len(self.old)])

    def say(self, number: int, message: Any) -> None:
        """A gateway says something, and remembers what it is told."""
        self.old = [*self.old[-10:], (number, message)]
        before = len(self.domain.wire)
        self.domain.receive(gateway_address(number), message)
        for sent in self.domain.wire[before:]:
            if isinstance(sent.message, BindingAcknowledgement) and not sent.message.status:
                (name,) = [o.identifier for o in sent.message.options if isinstance(o, MobileNodeIdentifier)]
                self.sessions = [*self.sessions[-10:], (name, prefixes(sent.message))]

    @rule(node=NODES)
    def person_revokes(self, node: bytes) -> None:
        """A person wants a node's sessions ended."""
        self.domain.handle(RevocationRequested(1, identifier=node))

    @rule(number=GATEWAYS)
    def person_revokes_gateway(self, number: int) -> None:
        """A person wants a gateway's sessions ended."""
        self.domain.handle(RevocationRequested(1, gateway=gateway_address(number)))

    @rule(number=GATEWAYS, node=NODES)
    def gateway_revokes(self, number: int, node: bytes) -> None:
        """A gateway ends its sessions of a node."""
        self.domain.gateway(number).revoke(RevocationTrigger.UNSPECIFIED, MobileNodeIdentifier(1, node))

    @rule(number=GATEWAYS, status=st.sampled_from([0, 1, 128, 132]))
    def gateway_answers(self, number: int, status: int) -> None:
        """A gateway answers the last indication."""
        gateway = self.domain.gateway(number)
        if gateway.indications():
            gateway.acknowledge(status)

    @rule(number=GATEWAYS, counter=st.integers(0, 2), unsolicited=st.booleans())
    def gateway_beats(self, number: int, counter: int, unsolicited: bool) -> None:
        """A gateway answers a heartbeat, or tells of its restart."""
        gateway = self.domain.gateway(number)
        if unsolicited or gateway.heartbeats():
            gateway.beat(counter, unsolicited)

    @rule(seconds=SPANS)
    def time_passes(self, seconds: float) -> None:
        """Deadlines come, whatever the data plane does."""
        self.domain.advance(seconds)

    @rule()
    def plane_holds(self) -> None:
        """The data plane keeps its outcomes back."""
        self.domain.plane.holding = True

    @rule(errors=st.lists(st.sampled_from([0, errno.EIO, errno.E2BIG]), max_size=6))
    def plane_refuses(self, errors: list[int]) -> None:
        """The data plane refuses some of what comes."""
        self.domain.plane.refuse_next += errors

    @rule()
    def plane_catches_up(self) -> None:
        """All outcomes come."""
        self.domain.release()

    @invariant()
    def consistent(self) -> None:
        """The anchor agrees with itself, and nothing is forwarded that it does not know."""
        if hasattr(self, "domain"):
            check_consistency(self.domain)
            if not self.domain.plane.holding:
                held = {prefix for row in self.domain.bindings() for prefix, _ in row["prefixes"]}
                assert set(self.domain.plane.bound) <= held

    def teardown(self) -> None:
        """In the end nothing is left."""
        if hasattr(self, "domain"):
            self.domain.release()
            self.domain.plane.refuse_next.clear()
            self.domain.advance(4000)
            assert not self.domain.plane.bound
            assert not self.domain.bindings()
            check_consistency(self.domain)
            assert len(self.domain.anchor._proxy.deadlines) == 0
            assert len(self.domain.anchor._proxy.revocations) == 0
            assert not self.domain.anchor._proxy.waiting


Chaos.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None, report_multiple_bugs=False)
TestChaos = Chaos.TestCase
