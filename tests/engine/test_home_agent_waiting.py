# SPDX-License-Identifier: Apache-2.0
"""A home agent whose data plane, or whose home link, takes its time: what comes meanwhile waits, and nothing is accepted before
it is so (ANC-8)."""

from __future__ import annotations

from typing import Any

import pytest

from halma.engine.anchor import PolicyReplaced
from halma.engine.api import Association, Assurance, Bind, BindingKind, ForwardingDone, Protection, Send, Tunnel, Unbind
from halma.engine.home_agent import QUEUE
from halma.engine.home_link import DetectDuplicate, DetectionDone, SendHome
from halma.engine.policy import Profile
from halma.engine.proxy_revocation import RevocationRequested
from halma.wire.messages import BindingAcknowledgement, BindingRefreshRequest
from halma.wire.numbers import Status
from tests.engine.home import AGENT, CARE_OF, ELSEWHERE, HOME, NODE, ON_LINK, Agent, Book, SilenceError

THIRD = ELSEWHERE[:15] + b"\3"
EIO = 5


class SlowAgent(Agent):
    """A home agent whose data plane answers when it is told to, change by change."""

    def __init__(self, book: Book | None = None, **settings: Any) -> None:
        super().__init__(book, **settings)
        self.slow = False
        self.asked: list[Bind | Unbind] = []

    def _carry_out(self, effects: list[Any]) -> list[Any]:
        if not self.slow:
            return super()._carry_out(effects)
        self.asked += [effect for effect in effects if isinstance(effect, Bind | Unbind)]
        return effects

    def done(self, error: int = 0) -> list[BindingAcknowledgement]:
        """The data plane has carried out the change that it was asked for first; the acknowledgements that follow."""
        change = self.asked.pop(0)
        if not error:
            self._forward(change)
        effects = list(self.engine.handle(ForwardingDone(change.op, error), self.now))
        return answers(self._carry_out(effects))

    def send(self, sequence: int, **fields: Any) -> None:
        """A Binding Update that is not answered yet."""
        with pytest.raises(SilenceError):
            self.update(sequence, **fields)


def answers(effects: list[Any]) -> list[BindingAcknowledgement]:
    sent = [effect.send if isinstance(effect, SendHome) else effect for effect in effects]
    return [e.message for e in sent if isinstance(e, Send) and isinstance(e.message, BindingAcknowledgement)]


def care_of(agent: Agent) -> Tunnel | None:
    return agent.bound.get((BindingKind.HOME_ADDRESS, HOME, 128))


def slow() -> SlowAgent:
    agent = SlowAgent()
    agent.slow = True
    return agent


@pytest.mark.requirement("ANC-8")
def test_what_comes_meanwhile_waits_its_turn() -> None:
    agent = slow()
    agent.send(1)
    agent.send(2, care_of=ELSEWHERE)
    assert len(agent.asked) == 1
    (first,) = agent.done()
    assert (first.sequence, first.status) == (1, Status.ACCEPTED)
    assert care_of(agent) == Tunnel(AGENT, CARE_OF)
    (second,) = agent.done()
    assert (second.sequence, second.status) == (2, Status.ACCEPTED)
    assert care_of(agent) == Tunnel(AGENT, ELSEWHERE)


@pytest.mark.requirement("ANC-5", "ANC-8")
def test_of_what_waits_only_the_newer_counts() -> None:
    agent = slow()
    agent.send(5)
    agent.send(7, care_of=ELSEWHERE)
    agent.send(6, care_of=THIRD)
    agent.done()
    told = agent.done()
    assert [(message.sequence, message.status) for message in told] == [
        (7, Status.ACCEPTED),
        (7, Status.SEQUENCE_NUMBER_OUT_OF_WINDOW),
    ]
    assert care_of(agent) == Tunnel(AGENT, ELSEWHERE)
    assert agent.asked == []


def test_only_so_many_wait() -> None:
    agent = slow()
    agent.send(1)
    for sequence in range(2, QUEUE + 4):
        agent.send(sequence)
    assert agent.engine.describe_counters()["binding_updates_discarded"] == 2
    assert len(agent.done()) == 1 + QUEUE


@pytest.mark.requirement("ANC-8")
def test_a_move_that_the_data_plane_refuses_leaves_the_node_where_it_was() -> None:
    agent = SlowAgent()
    assert agent.update(1).status == Status.ACCEPTED
    agent.slow = True
    agent.send(2, care_of=ELSEWHERE)
    (refused,) = agent.done(EIO)
    assert refused.status == Status.REASON_UNSPECIFIED
    assert agent.done() == [], "that the old tunnel is bound again is told to nobody"
    assert care_of(agent) == Tunnel(AGENT, CARE_OF)
    agent.slow = False
    assert agent.update(3, care_of=ELSEWHERE).status == Status.ACCEPTED


@pytest.mark.requirement("ANC-8")
def test_the_end_of_a_lifetime_waits_for_what_is_under_way() -> None:
    agent = SlowAgent(refresh_request=0)
    agent.update(1, lifetime=2)
    agent.slow = True
    agent.send(2, lifetime=2, care_of=ELSEWHERE)
    agent.advance(8.5)
    assert care_of(agent) == Tunnel(AGENT, CARE_OF)
    (accepted,) = agent.done()
    assert accepted.status == Status.ACCEPTED
    assert list(agent.engine.describe_home_bindings(agent.now)) != []
    agent.advance(9)
    agent.done()
    assert care_of(agent) is None


def test_what_is_being_ended_is_not_ended_twice() -> None:
    agent = SlowAgent()
    agent.update(1)
    agent.slow = True
    agent.send(2, lifetime=0, care_of=HOME)
    effects = agent.give(RevocationRequested(1, identifier=NODE))
    assert [effect for effect in effects if isinstance(effect, Send | Unbind)] == []
    assert [message.status for message in agent.done()] == [Status.ACCEPTED]


def test_a_refresh_is_asked_for_once() -> None:
    agent = Agent(refresh_request=20.0)
    agent.update(1, lifetime=10)
    asked = [e for e in agent.advance(39) if isinstance(e, Send) and isinstance(e.message, BindingRefreshRequest)]
    assert len(asked) == 1


def test_while_an_address_is_looked_for_others_wait_and_are_looked_at_anew() -> None:
    key = Protection(Assurance.VALID, Association(2, NODE, home_address=ON_LINK))
    agent = SlowAgent(wait_for_detection=True)
    agent.send(1, home=ON_LINK, protection=key)
    (wanted,) = [effect for effect in agent.effects if isinstance(effect, DetectDuplicate)]
    agent.send(2, home=ON_LINK, protection=key, care_of=ELSEWHERE)
    effects = agent.give(DetectionDone(wanted.op, True))
    assert [message.status for message in answers(effects)] == [Status.DUPLICATE_ADDRESS_DETECTION_FAILED]
    (again,) = [effect for effect in effects if isinstance(effect, DetectDuplicate)]
    (accepted,) = answers(agent.give(DetectionDone(again.op, False)))
    assert (accepted.sequence, accepted.status) == (2, Status.ACCEPTED)


@pytest.mark.requirement("ANC-7")
def test_a_node_without_a_profile_of_its_own_is_refused() -> None:
    book = Book()
    del book.profiles[NODE]
    assert Agent(book).update(1).status in (Status.ADMINISTRATIVELY_PROHIBITED, Status.NOT_HOME_SUBNET)
    book = Book()
    book.profiles[NODE] = Profile(NODE, pool="main", prefixes=(HOME[:8] + bytes(8),), mobile_ipv6=False)
    assert Agent(book).update(1).status == Status.ADMINISTRATIVELY_PROHIBITED


def test_a_profile_may_shorten_the_lifetime() -> None:
    book = Book()
    book.profiles[NODE] = Profile(NODE, pool="main", prefixes=(HOME[:8] + bytes(8),), mobile_ipv6=True, lifetime=60)
    assert Agent(book).update(1, lifetime=100).lifetime == 15


def test_a_new_policy_counts_from_the_next_message_on() -> None:
    agent = Agent()
    assert agent.update(1).status == Status.ACCEPTED
    book = Book()
    book.profiles[NODE] = Profile(NODE, pool="main", prefixes=(HOME[:8] + bytes(8),), mobile_ipv6=False)
    agent.give(PolicyReplaced(1, book))
    assert agent.update(2).status == Status.ADMINISTRATIVELY_PROHIBITED
