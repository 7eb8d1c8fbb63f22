# SPDX-License-Identifier: Apache-2.0
"""Home agents by DNS: RFC 5026 section 5.1, RFC 2782; what a mobile node makes of the answers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from halma.engine.api import Answer, Assurance, Protection, Report, Severity, Tunnel, sentence
from halma.engine.chance import Chance
from halma.engine.home_agent_lookup import LONGEST_LIFETIME, MAXIMUM_AGENTS, PATIENCE, SHORTEST_LIFETIME, in_order
from halma.engine.node_api import (
    FindHomeAgents,
    HomeAgentRecord,
    HomeAgentsFound,
    HomeAgentsNotFound,
    LinkUp,
    RetryRequested,
    SendIcmp,
)
from halma.wire.messages import BindingRefreshRequest
from halma.wire.numbers import Status
from tests.engine.mobile import (
    AGENT,
    CARE_OF,
    ELSEWHERE,
    HOME,
    HOME_PREFIX,
    HOME_ROUTER,
    OTHER_CARE_OF,
    SECOND_AGENT,
    SECOND_MAC,
    SECOND_ROUTER,
    Mobile,
    address,
    of,
    reasons,
    updates,
)

NAME, DOMAIN = "ha1.example.org", "example.org"
RETRY = 32.0
HOUR = 3600.0


def named(**changes: Any) -> Mobile:
    """A node that knows the name of its home agent."""
    return Mobile(home_agents=(), **{"home_agent_name": NAME, **changes})


def arrived(**changes: Any) -> tuple[Mobile, FindHomeAgents]:
    """Abroad, with its question."""
    node = named(**changes)
    node.give(LinkUp())
    (question,) = of(node.advertise(), FindHomeAgents)
    return node, question


def answer(node: Mobile, question: FindHomeAgents, *agents: bytes, lifetime: float = HOUR) -> list[Any]:
    """The DNS has these addresses for one name."""
    return node.give(HomeAgentsFound(question.op, (HomeAgentRecord(agents),), lifetime, 1))


def registered(*agents: bytes, lifetime: float = HOUR) -> Mobile:
    """Abroad, with the first of these."""
    node, question = arrived()
    (sent,) = updates(answer(node, question, *agents, lifetime=lifetime))
    node.acknowledge(sent)
    return node


def silence(node: Mobile, seconds: float) -> list[Any]:
    """Nobody answers anything; what the node did."""
    return node.advance(seconds)


# ---- asking ----


@pytest.mark.requirement("MN-5")
def test_abroad_the_question_leaves_from_the_care_of_address_and_its_answer_is_registered_with() -> None:
    node, question = arrived()
    assert (question.source, question.name, question.by_service) == (CARE_OF, NAME, False)
    assert not updates(node.effects)
    assert node.tunnel() is None
    assert node.row["anchor_from"] == ""
    effects = answer(node, question, AGENT)
    (sent,) = updates(effects)
    assert (sent.source, sent.destination) == (CARE_OF, AGENT)
    assert "home_agents" in reasons(effects)
    node.acknowledge(sent)
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)
    assert (node.row["anchor"], node.row["anchor_from"]) == (AGENT, "DNS name")
    assert not of(node.advertise(), FindHomeAgents)


@pytest.mark.requirement("MN-5")
def test_a_domain_is_asked_for_its_service_and_the_lowest_priority_comes_first() -> None:
    node, question = arrived(home_agent_name="", home_domain=DOMAIN)
    assert (question.name, question.by_service) == (DOMAIN, True)
    records = (HomeAgentRecord((SECOND_AGENT,), 20, 100), HomeAgentRecord((AGENT,), 10, 0))
    (sent,) = updates(node.give(HomeAgentsFound(question.op, records, HOUR, 1)))
    assert sent.destination == AGENT
    assert node.row["anchor_from"] == "DNS service"


@pytest.mark.requirement("MN-4", "MN-5")
def test_the_node_knows_its_home_agent_before_it_leaves() -> None:
    node = named()
    node.give(LinkUp())
    (question,) = of(node.advertise(HOME_PREFIX, HOME_ROUTER), FindHomeAgents)
    assert question.source == HOME
    assert not updates(answer(node, question, AGENT))
    assert (node.row["state"], node.row["anchor"]) == ("at home", AGENT)
    effects = [*node.replug(), *node.advertise()]
    assert not of(effects, FindHomeAgents)
    assert [sent.destination for sent in updates(effects)] == [AGENT]


def test_at_home_nothing_is_asked_before_the_home_address_may_be_used() -> None:
    node = registered(AGENT, lifetime=60)
    node.replug()
    effects = [*node.advertise(HOME_PREFIX, HOME_ROUTER), *node.advance(0.5)]
    assert not of(effects, FindHomeAgents)
    (farewell,) = updates(effects)
    node.acknowledge(farewell)
    (question,) = of(node.advance(61), FindHomeAgents)
    assert question.source == HOME


def test_with_addresses_in_the_configuration_or_nothing_there_the_dns_is_not_asked() -> None:
    known = Mobile()
    known.give(LinkUp())
    assert not of([*known.advertise(), *silence(known, 500)], FindHomeAgents)
    assert known.row["anchor_from"] == "configuration"
    link = Mobile(home_agents=())
    link.give(LinkUp())
    effects = link.advertise()
    assert not of(effects, FindHomeAgents)
    assert of(effects, SendIcmp)


def test_a_former_registration_is_told_as_such() -> None:
    node = named(former_home_agent=SECOND_AGENT, former_expiry=1.7e9 + 5000 + 300)
    assert (node.row["anchor"], node.row["anchor_from"]) == (SECOND_AGENT, "former registration")


# ---- order (RFC 2782) ----


def test_equals_share_by_weight() -> None:
    one, three, none, later = (address(f"2001:db8::{number}") for number in range(1, 5))
    records = [
        HomeAgentRecord((later,), 2, 60000),
        HomeAgentRecord((three,), 1, 30),
        HomeAgentRecord((none,), 1, 0),
        HomeAgentRecord((one,), 1, 10),
    ]
    orders = [list(in_order(records, Chance(seed))) for seed in range(4000)]
    assert all(sorted(order) == sorted([one, three, none, later]) and order[-1] == later for order in orders)
    first = Counter(order[0] for order in orders)
    assert 2.5 < first[three] / first[one] < 3.5
    assert 0 < first[none] < 200  # one in 41: a weight of 0 has "a very small chance"


def test_weights_of_zero_alone_are_taken_as_they_come() -> None:
    records = [HomeAgentRecord((AGENT, SECOND_AGENT), 7, 0), HomeAgentRecord((CARE_OF,), 7, 0)]
    assert list(in_order(records, Chance(5))) == [AGENT, SECOND_AGENT, CARE_OF]
    assert list(in_order([], Chance(5))) == []


# ---- answers ----


def test_only_the_answer_to_the_last_question_counts_and_only_once() -> None:
    node, question = arrived()
    effects = [*node.replug(), *node.advertise(ELSEWHERE, SECOND_ROUTER, SECOND_MAC), *node.advance(1.0)]
    (again,) = of(effects, FindHomeAgents)
    assert again.source == OTHER_CARE_OF
    assert not answer(node, question, AGENT)
    assert updates(answer(node, again, SECOND_AGENT))
    assert not answer(node, again, AGENT)
    assert node.row["anchor"] == SECOND_AGENT
    assert node.engine.describe_counters()["home_agent_lookups_ignored"] == 2


@pytest.mark.parametrize("text", ["::", "::1", "ff02::1", "fe80::1", "2001:db8:100:1::1"])
def test_addresses_that_no_home_agent_can_have_are_left_out(text: str) -> None:
    node, question = arrived()
    (sent,) = updates(answer(node, question, address(text), AGENT))
    assert sent.destination == AGENT
    node, question = arrived()
    effects = answer(node, question, address(text))
    assert not updates(effects)
    assert reasons(effects) == ["home_agent_lookup"]


def test_of_too_many_the_first_are_kept() -> None:
    node, question = arrived()
    answer(node, question, *(address(f"2001:db8:7::{number:x}") for number in range(1, 40)))
    assert len(node.engine._registrations.agents) == MAXIMUM_AGENTS


def test_an_answer_is_asked_for_anew_when_its_time_is_over_and_that_disturbs_nothing() -> None:
    node = registered(AGENT, lifetime=100)
    assert not of(node.advance(99), FindHomeAgents)
    (question,) = of(node.advance(1), FindHomeAgents)
    assert question.source == CARE_OF
    assert not answer(node, question, SECOND_AGENT, AGENT, lifetime=100)[1:]  # the report, and nothing else
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)
    assert node.row["anchor"] == AGENT


@pytest.mark.parametrize(("said", "kept"), [(0.0, SHORTEST_LIFETIME), (4e9, LONGEST_LIFETIME)])
def test_an_answer_is_good_for_a_bounded_time(said: float, kept: float) -> None:
    node = named()
    node.give(LinkUp())
    (question,) = of(node.advertise(HOME_PREFIX, HOME_ROUTER), FindHomeAgents)
    answer(node, question, AGENT, lifetime=said)
    began = node.time
    while not of(node.advance(20), FindHomeAgents):
        node.advertise(HOME_PREFIX, HOME_ROUTER)
    assert node.time - began == kept


def test_what_was_found_is_used_beyond_its_time_when_nothing_else_is_found() -> None:
    node = registered(AGENT, lifetime=60)
    (question,) = of(node.advance(60), FindHomeAgents)
    effects = node.give(HomeAgentsNotFound(question.op, "no answer"))
    (report,) = of(effects, Report)
    assert report.severity is Severity.WARNING
    effects = [*node.replug(), *node.advertise(ELSEWHERE, SECOND_ROUTER, SECOND_MAC)]
    assert [sent.destination for sent in updates(effects)] == [AGENT]
    (question,) = of([*effects, *node.advance(1)], FindHomeAgents)
    assert question.source == OTHER_CARE_OF


# ---- no answer ----


@pytest.mark.rfc("5026#5.1.2-2")
def test_a_question_in_vain_is_asked_again_after_a_while_longer_each_time() -> None:
    node, question = arrived(retry_interval=10.0)
    effects = node.give(HomeAgentsNotFound(question.op, "ha1.example.org AAAA: no such name"))
    (report,) = of(effects, Report)
    assert report.severity is Severity.ERROR
    text = "the DNS does not tell the home agent ha1.example.org: ha1.example.org AAAA: no such name; asking again in 10 s"
    assert sentence(report) == text
    waits = []
    for _ in range(7):
        began = node.time
        while not (questions := of(node.advance(0.5), FindHomeAgents)):
            assert node.time - began < 1000
            node.advertise()
        waits.append(node.time - began)
        node.give(HomeAgentsNotFound(questions[0].op, "no answer"))
    assert waits == [10, 20, 40, 80, 160, 160, 160]


def test_a_question_that_nobody_carries_out_counts_as_unanswered() -> None:
    node, _ = arrived()
    effects = node.advance(PATIENCE)
    assert reasons(effects) == ["home_agent_lookup"]
    assert of(node.advance(RETRY), FindHomeAgents)


def test_another_link_is_another_chance_but_not_more_than_one_a_second() -> None:
    node, question = arrived()
    node.give(HomeAgentsNotFound(question.op, "no answer"))
    asked = []
    for number in range(20):
        prefix = address(f"2001:db8:{0x20 + number:x}::")
        router = address(f"fe80::{0x20 + number:x}")
        effects = [*node.replug(), *node.advertise(prefix, router, bytes([2, 0, 0, 0, 1, number])), *node.advance(0.1)]
        asked += of(effects, FindHomeAgents)
    assert 1 <= len(asked) <= 3


def test_on_another_link_the_wait_begins_anew() -> None:
    node, question = arrived()
    for _ in range(3):
        node.give(HomeAgentsNotFound(question.op, "no answer"))
        while not (questions := of(node.advance(1), FindHomeAgents)):
            node.advertise()
        (question,) = questions
    effects = [*node.replug(), *node.advertise(ELSEWHERE, SECOND_ROUTER, SECOND_MAC), *node.advance(1)]
    (question,) = of(effects, FindHomeAgents)
    (report,) = of(node.give(HomeAgentsNotFound(question.op, "no answer")), Report)
    assert sentence(report).endswith("asking again in 32 s")


def test_the_operator_does_not_have_to_wait() -> None:
    node, question = arrived()
    assert of(node.give(RetryRequested(7)), Answer) == [Answer(7, {"retried": False})]  # it is being asked
    node.give(HomeAgentsNotFound(question.op, "no answer"))
    node.advance(2)
    effects = node.give(RetryRequested(8))
    assert of(effects, Answer) == [Answer(8, {"retried": True})]
    (question,) = of(effects, FindHomeAgents)
    answer(node, question, AGENT)
    assert not of(node.give(RetryRequested()), FindHomeAgents)
    at_home = Mobile().at_home()
    assert of(at_home.give(RetryRequested(9)), Answer) == [Answer(9, {"retried": False})]


# ---- home agents that do not serve ----


@pytest.mark.rfc("5026#5.1.2-1")
def test_one_that_does_not_answer_gives_way_to_the_next_on_the_list() -> None:
    node, question = arrived()
    answer(node, question, AGENT, SECOND_AGENT)
    effects = silence(node, 60)
    assert [sent.destination for sent in updates(effects)][-1] == SECOND_AGENT


@pytest.mark.rfc("5026#5.1.2-1")
def test_one_that_refuses_gives_way_to_the_next_on_the_list() -> None:
    node, question = arrived()
    (sent,) = updates(answer(node, question, AGENT, SECOND_AGENT))
    node.acknowledge(sent, Status.MIPV6_AUTH_FAIL)
    assert [sent.destination for sent in updates(node.advance(2))] == [SECOND_AGENT]


def test_when_the_only_one_is_silent_the_dns_is_asked_for_another() -> None:
    node = registered(AGENT)
    effects = [*node.replug(), *node.advertise(ELSEWHERE, SECOND_ROUTER, SECOND_MAC), *silence(node, 50)]
    assert {sent.destination for sent in updates(effects)} == {AGENT}
    (question,) = of(effects, FindHomeAgents)
    (sent,) = updates(answer(node, question, SECOND_AGENT))
    node.acknowledge(sent)
    assert node.tunnel() == Tunnel(OTHER_CARE_OF, SECOND_AGENT)


def test_while_nobody_answers_at_all_the_dns_is_asked_no_oftener_than_before() -> None:
    node = registered(AGENT)
    effects = [*node.replug(), *node.advertise(ELSEWHERE, SECOND_ROUTER, SECOND_MAC)]
    began, asked = node.time, 0
    while node.time - began < 1500:
        for question in of(effects, FindHomeAgents):
            asked += 1
            effects = node.give(HomeAgentsNotFound(question.op, "no answer"))
        node.advertise(ELSEWHERE, SECOND_ROUTER, SECOND_MAC)
        effects = node.advance(1)
    assert asked == 6  # after 45 s, and then 32, 64, 128, 256 and 512 s later


def test_what_was_in_vain_long_ago_makes_nobody_wait() -> None:
    node, question = arrived()
    for _ in range(4):
        node.give(HomeAgentsNotFound(question.op, "no answer"))
        while not (questions := of(node.advance(1), FindHomeAgents)):
            node.advertise()
        (question,) = questions
    (sent,) = updates(answer(node, question, AGENT))
    node.acknowledge(sent)
    began = node.time
    while node.time - began < 16 * RETRY:
        node.advertise()
        for sent in updates(node.advance(10)):
            node.acknowledge(sent)
    (sent,) = updates(node.from_agent(BindingRefreshRequest()))
    assert of(node.acknowledge(sent, Status.ADMINISTRATIVELY_PROHIBITED), FindHomeAgents)


def test_one_that_has_only_just_been_asked_is_given_its_time() -> None:
    node = registered(AGENT, lifetime=60)
    node.advance(59.9)
    (sent,) = updates([*node.replug(), *node.advertise(ELSEWHERE, SECOND_ROUTER, SECOND_MAC)])
    (question,) = of(node.advance(0.5), FindHomeAgents)
    assert not updates(answer(node, question, SECOND_AGENT))
    node.acknowledge(sent)
    assert node.tunnel() == Tunnel(OTHER_CARE_OF, AGENT)


def test_when_all_refuse_the_dns_is_asked_again_at_a_falling_rate() -> None:
    node, question = arrived(retry_interval=10.0)
    began = node.time
    asked: list[int] = []
    effects = answer(node, question, AGENT)
    while len(asked) < 6:
        for sent in updates(effects):
            effects = node.acknowledge(sent, Status.ADMINISTRATIVELY_PROHIBITED, delay=0.0)
        questions = of(effects, FindHomeAgents)
        asked += [round(node.time - began) for _ in questions]
        effects = answer(node, questions[0], AGENT) if questions else node.advance(1)
    assert asked == [1, 11, 31, 71, 151, 311]


def test_a_temporary_refusal_is_waited_out_whatever_the_dns_says_of_it_meanwhile() -> None:
    node, question = arrived(retry_interval=100.0)
    (sent,) = updates(answer(node, question, AGENT, lifetime=60))
    node.acknowledge(sent, Status.INSUFFICIENT_RESOURCES)
    (question,) = of(node.advance(60), FindHomeAgents)
    assert not updates(answer(node, question, AGENT))
    assert updates(node.advance(60))


def test_a_temporary_refusal_is_not_waited_out_when_the_home_agent_is_another_now() -> None:
    node, question = arrived(retry_interval=100.0)
    (sent,) = updates(answer(node, question, AGENT, lifetime=60))
    node.acknowledge(sent, Status.INSUFFICIENT_RESOURCES)
    (question,) = of(node.advance(60), FindHomeAgents)
    assert [sent.destination for sent in updates(answer(node, question, SECOND_AGENT))] == [SECOND_AGENT]


def test_what_another_home_agent_would_not_mend_stays_as_it_is() -> None:
    node, question = arrived()
    (sent,) = updates(answer(node, question, AGENT, lifetime=60))
    node.acknowledge(sent, Status.DUPLICATE_ADDRESS_DETECTION_FAILED)
    (question,) = of(node.advance(60), FindHomeAgents)
    assert not updates([*answer(node, question, SECOND_AGENT), *node.advance(1)])
    assert node.row["state"] == "refused"


@pytest.mark.requirement("MN-5")
def test_a_forged_answer_leads_to_nobody_whose_word_counts() -> None:
    node, question = arrived()
    (sent,) = updates(answer(node, question, address("2001:db8:bad::1"), AGENT))
    assert sent.destination == address("2001:db8:bad::1")
    for assurance in (Assurance.NONE, Assurance.UNKNOWN):
        node.acknowledge(sent, protection=Protection(assurance))
    assert node.tunnel() is None
    effects = silence(node, 60)
    (last, *_) = reversed(updates(effects))
    assert last.destination == AGENT
    node.acknowledge(last)
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)
