# SPDX-License-Identifier: Apache-2.0
"""The anchor as home agent and local mobility anchor at once: Binding Updates and Proxy Binding Updates of the same nodes,
lost, delayed, copied and overtaken; de-registrations, expiries, revocations, a data plane that refuses. After every step both
caches and the data plane must be as the two models say, which know nothing of one another but whose a prefix is (ANC-1 to
ANC-8)."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from halma.engine.anchor_settings import HomeAgentSettings, PoolSettings
from halma.engine.api import (
    Association,
    Assurance,
    Bind,
    BindingKind,
    ForwardingDone,
    MessageReceived,
    Protection,
    Tunnel,
    Unbind,
)
from halma.engine.heartbeat import HeartbeatSettings
from halma.engine.home_binding_cache import HomeState
from halma.engine.policy import Profile
from halma.engine.proxy_revocation import RevocationRequested
from halma.text import read_address
from halma.wire.messages import (
    BindingAcknowledgement,
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
    BindingUpdate,
)
from halma.wire.options import MobileNodeIdentifier, MobilityMessageReplayProtection
from halma.wire.timestamp import to_ntp
from tests.engine.conversation import ANCHOR, POOL, Domain, ForwardingPlane, Sent, policy
from tests.engine.home_model import BothModel, HomeModel, HomeUpdate, prefix_of
from tests.engine.test_anchor_interleavings import NETWORK, NODES, WHICH, AgainstTheModel

PLACES = st.sampled_from([read_address(f"2001:db8:9::{n}") for n in (1, 2)])
HOSTS = st.sampled_from([b"\0" * 7 + b"\1", b"\0" * 7 + b"\2"])
ELSEWHERE = read_address("2001:db8:f::1")
HOME_REGISTRATION, ROUTER = 0xC000, 0x0400
POOL_LENGTH = 61
AUTHENTICATION_FAILED = 146


class BothPlane(ForwardingPlane):
    """A data plane with the bindings of both protocols; `homes` are those of mobile nodes, by prefix and length."""

    def __init__(self) -> None:
        super().__init__()
        self.homes: dict[tuple[bytes, int], bytes] = {}

    def apply(self, change: Bind | Unbind) -> ForwardingDone:
        """Carry out one change."""
        if change.kind is BindingKind.PROXY:
            return super().apply(change)
        assert (change.kind is BindingKind.HOME_ADDRESS) == (change.prefix_length == 128)
        key = (change.prefix, change.prefix_length)
        error = self.refuse_next.pop(0) if self.refuse_next else 0
        if not error and isinstance(change, Bind):
            assert change.tunnel is not None
            assert change.tunnel.local == ANCHOR
            self.homes[key] = change.tunnel.remote
        elif not error:
            error = 0 if self.homes.pop(key, None) else errno.ENOENT
        return ForwardingDone(change.op, error)


class BothDomain(Domain):
    """What goes to mobile nodes is in `home_wire`."""

    def __init__(self, *arguments: Any, **given: Any) -> None:
        super().__init__(*arguments, **given)
        self.plane: BothPlane = BothPlane()
        self.home_wire: list[Sent] = []

    def _carry_out(self, effects: Sequence[object]) -> None:
        begin = len(self.wire)
        super()._carry_out(effects)
        new = self.wire[begin:]
        self.wire[begin:] = [sent for sent in new if sent.send.association is None and not sent.send.home_address]
        self.home_wire += [sent for sent in new if sent.send.association is not None or sent.send.home_address]


def association(node: bytes) -> Association:
    """A key that is for whatever prefix the anchor has given the node."""
    return Association(node[0], node)


class Both(AgainstTheModel):
    """One anchor, two models. The rules for gateways are those of `AgainstTheModel`."""

    domain: BothDomain
    model: BothModel

    @initialize()
    def begin(self) -> None:
        """An empty domain with room for eight prefixes."""
        self.domain = BothDomain(
            policy(Profile(b"*@example.org", pool="small", mobile_ipv6=True, mobile_router=True)),
            pools=(PoolSettings("small", POOL, POOL_LENGTH),),
            minimum_delay_before_bce_delete=10.03,
            maximum_delay_before_new_bce_assign=1.51,
            heartbeat=HeartbeatSettings(enabled=False),
            home_agent=HomeAgentSettings(),
        )
        self.model = BothModel(10.03, 1.51, 8, now=self.domain.monotonic)
        self.homes = self.model.home = HomeModel(self.model.owner, lambda prefix: prefix[:7] == POOL[:7])
        self.network = []
        self.home_network: list[tuple[Any, HomeUpdate]] = []
        self.restarts = 0
        self.indicated = {}
        self.sequences: dict[bytes, int] = {}

    # ---- mobile nodes say something, and the network carries it ----

    def put_home(self, node: bytes, home: bytes, care_of: bytes, lifetime: int, router: bool, step: int = 1) -> None:
        """A mobile node sends an update into the network."""
        self.pass_time(1 / 1024)
        sequence = self.sequences[home] = (self.sequences.get(home, 65530) + step) % 65536
        sent = self.domain.wall
        options = (MobileNodeIdentifier(1, node), MobilityMessageReplayProtection(to_ntp(sent)))
        message = BindingUpdate(sequence, HOME_REGISTRATION | (ROUTER if router else 0), lifetime, options)
        update = HomeUpdate(node, home, care_of, sequence, sent, lifetime, router)
        self.home_network = [*self.home_network[-NETWORK:], (message, update)]

    def home_of(self, node: bytes, host: bytes) -> bytes | None:
        """An address of the prefix that the node has, by whichever protocol; None when it has none."""
        kept = [prefix for prefix, owner in self.homes.kept().items() if owner == node]
        held = [session.prefix for session in self.model.of(node)]
        return next(iter(kept + held))[:8] + host if kept or held else None

    @rule(node=NODES, host=HOSTS, place=PLACES, lifetime=st.integers(0, 12), router=st.booleans(), now=st.booleans())
    def register(self, node: bytes, host: bytes, place: bytes, lifetime: int, router: bool, now: bool) -> None:
        """A mobile node tells where it is (or, with lifetime 0, that it is nowhere), and the update arrives or waits."""
        home = self.home_of(node, host)
        if home is not None:
            self.put_home(node, home, place, lifetime, router and node[0] == ord("c"))
            if now:
                self.arrive_home(len(self.home_network) - 1, refuses=False)

    @rule(node=NODES, host=HOSTS, now=st.booleans())
    def return_home(self, node: bytes, host: bytes, now: bool) -> None:
        """A mobile node is at home and says so from its home address."""
        home = self.home_of(node, host)
        if home is not None:
            self.put_home(node, home, home, 0, False)
            if now:
                self.arrive_home(len(self.home_network) - 1, refuses=False)

    @rule(node=NODES, host=HOSTS, place=PLACES, which=st.integers(0, 7), far=st.booleans())
    def claim_what_is_another_s(self, node: bytes, host: bytes, place: bytes, which: int, far: bool) -> None:
        """A node asks for an address in some prefix that is not its own."""
        prefix = POOL[:7] + bytes([which]) + bytes(8)
        if (self.model.owner(prefix) or self.homes.kept().get(prefix)) != node:
            self.put_home(node, ELSEWHERE if far else prefix[:8] + host, place, 10, False, step=7)
            self.arrive_home(len(self.home_network) - 1, refuses=False)
            del self.home_network[-1]

    @rule(which=WHICH, refuses=st.booleans())
    def deliver_home(self, which: int, refuses: bool) -> None:
        """Something that was sent arrives, perhaps again; the data plane may refuse the first thing that comes of it."""
        if self.home_network:
            self.arrive_home(which % len(self.home_network), refuses)

    def arrive_home(self, which: int, refuses: bool) -> None:
        """An update comes to the anchor."""
        message, update = self.home_network[which]
        self.pass_time(0.0)
        kept = [prefix for prefix, owner in self.homes.kept().items() if owner == update.node]
        if kept and prefix_of(update.home) not in kept:
            return  # the models know one kept prefix a node; that it has two is for `test_anchor_registration`
        refuses = refuses and not update.ends
        begin = len(self.domain.wire)
        self.homes.refuses = refuses
        self.domain.plane.refuse_next = [errno.EIO] if refuses else []
        self.homes.receive(update, self.domain.monotonic, self.domain.wall)
        self.give(message, update, Protection(Assurance.VALID, association(update.node)))
        self.domain.plane.refuse_next = []
        self.homes.refuses = False
        self.compare(begin)

    def give(self, message: Any, update: HomeUpdate, protection: Protection) -> None:
        """The anchor gets a message of a mobile node."""
        home = b"" if update.care_of == update.home else update.home
        self.domain.handle(MessageReceived(update.care_of, ANCHOR, message, home, protection))

    @rule(which=WHICH, assurance=st.sampled_from([Assurance.NONE, Assurance.FAILED, Assurance.UNKNOWN]))
    def forge(self, which: int, assurance: Assurance) -> None:
        """Somebody without the key says what the node has said: nothing changes, and only a bad key is answered."""
        if self.home_network:
            message, update = self.home_network[which % len(self.home_network)]
            self.pass_time(0.0)
            begin = len(self.domain.wire)
            failed = assurance is Assurance.FAILED
            if failed:
                self.homes.answers.append((update.care_of, update.sequence, AUTHENTICATION_FAILED))
            self.give(message, update, Protection(assurance, association(update.node) if failed else None))
            self.compare(begin)

    # ---- people ----

    @rule(which=WHICH)
    def person_revokes(self, which: int) -> None:
        """A person wants all ended that has to do with a session's prefix."""
        if self.model.sessions:
            session = self.model.sessions[which % len(self.model.sessions)]
            self.revoke(session.prefix)

    @rule(which=WHICH)
    def person_revokes_registration(self, which: int) -> None:
        """The same, of a prefix that a registration keeps."""
        kept = list(self.homes.kept())
        if kept:
            self.revoke(kept[which % len(kept)])

    def revoke(self, prefix: bytes) -> None:
        """Both protocols end what holds a prefix, each in its way."""
        begin = len(self.domain.wire)
        self.domain.handle(RevocationRequested(1, prefix=prefix))
        for session in [each for each in self.model.sessions if each.prefix == prefix]:
            self.model.revoke(session)
        self.homes.revoke(prefix, self.domain.monotonic)
        self.compare(begin)

    @rule(which=WHICH, status=st.sampled_from([0, 128, 129]))
    def node_answers(self, which: int, status: int) -> None:
        """A mobile node answers an indication, in time or too late."""
        asked = [each.send for each in self.domain.home_wire if isinstance(each.message, BindingRevocationIndication)]
        if not asked:
            return
        indication = asked[which % len(asked)]
        home, care_of, sequence = indication.home_address, indication.destination, indication.message.sequence  # type: ignore[union-attr]
        out = self.revocations._outstanding.get(sequence)
        entry = self.homes.entries.get(home)
        begin = len(self.domain.wire)
        if out is not None and out.indication == indication:
            assert entry is not None
            self.homes.end(entry, self.domain.monotonic)
        protection = Protection(Assurance.VALID, indication.association)
        message = BindingRevocationAcknowledgement(status, sequence, 0, ())
        self.domain.handle(MessageReceived(care_of, ANCHOR, message, home, protection))
        self.compare(begin)

    @property
    def revocations(self) -> Any:
        """Of the home agent."""
        revocation = self.domain.anchor._home_revocation
        assert revocation is not None
        return revocation._revocations

    # ---- the two are the same ----

    def compare(self, begin: int) -> None:
        """What was sent since then, and what there is now, in both halves."""
        super().compare(begin)
        said = []
        for sent in self.domain.home_wire[getattr(self, "heard", 0) :]:
            if isinstance(sent.message, BindingAcknowledgement):
                said.append((sent.send.destination, sent.message.sequence, sent.message.status))
                if not sent.message.status and sent.message.lifetime:  # ANC-8
                    home = sent.send.home_address
                    assert self.domain.plane.homes[home, 128] == sent.send.destination
        self.heard = len(self.domain.home_wire)
        assert said == self.homes.answers
        self.homes.answers.clear()
        assert self.domain.plane.homes == self.homes.plane()  # ANC-1: whatever has happened to sessions
        self.check_prefixes()

    def check_prefixes(self) -> None:
        """ANC-4: no two nodes share a prefix; ANC-2: of a packet's destination, the narrowest of the home agent's entries is
        looked at first, and these are of the prefix's owner."""
        owners: dict[bytes, bytes] = self.homes.kept()
        for session in self.model.sessions:
            assert owners.setdefault(session.prefix, session.node) == session.node

    @invariant()
    def registrations_agree(self) -> None:
        """The home agent agrees with the model, and with itself."""
        if not hasattr(self, "homes"):
            return
        home = self.domain.anchor._home
        assert home is not None
        found = {
            binding.home_address: (
                binding.identifier,
                binding.tunnel.remote if binding.state is HomeState.REGISTERED else None,
                binding.sequence,
                binding.revoking,
            )
            for binding in home.cache.bindings()
        }
        assert found == {
            entry.home: (entry.node, entry.care_of, entry.sequence, entry.revoked is not None)
            for entry in self.homes.entries.values()
        }
        assert len(home.deadlines) == len(found)
        assert home.in_force == sum(entry.care_of is not None for entry in self.homes.entries.values())
        assert not home._by_op
        assert not home._busy
        assert set(home.cache._by_prefix) == set(self.homes.kept())
        assert len(self.revocations) == sum(entry.revoked is not None for entry in self.homes.entries.values())
        numbers = self.domain.anchor._proxy.revocations.numbers
        assert len(numbers) == len(self.revocations) + len(self.domain.anchor._proxy.revocations)

    def teardown(self) -> None:
        """In the end nothing is left."""
        if hasattr(self, "domain"):
            super().teardown()
            assert not self.domain.plane.homes
            assert not self.homes.entries
            counters = self.domain.anchor.describe_counters()
            assert counters["home_bindings"] == counters["home_bindings_remembered"] == 0
            assert not self.domain.anchor._proxy.revocations.numbers


Both.TestCase.settings = settings(max_examples=80, stateful_step_count=60, deadline=None, report_multiple_bugs=False)


@pytest.mark.requirement("ANC-1", "ANC-4", "ANC-5", "ANC-6", "ANC-7", "ANC-8")
class TestBoth(Both.TestCase):  # type: ignore[misc, valid-type]  # hypothesis makes this class at run time
    """The anchor beside its two models."""


def test_the_tunnel_of_a_registration_ends_here() -> None:
    assert Tunnel(ANCHOR, ELSEWHERE).local == ANCHOR
