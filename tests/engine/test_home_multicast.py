# SPDX-License-Identifier: Apache-2.0
"""Groups that mobile nodes listen to through their tunnels: RFC 6275 section 10.4.3, RFC 9777 section 7."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import Any

import pytest

from halma.engine.api import Now, Tunnel
from halma.engine.home_binding_cache import HomeBinding
from halma.engine.home_multicast import (
    GROUPS,
    GROUPS_OF_A_NODE,
    LISTENERS,
    LISTENERS_OF_A_GROUP,
    MULTICAST_ADDRESS_LISTENING_INTERVAL,
    QUERY_INTERVAL,
    REPORTS_PER_SECOND,
    SOURCES,
    STARTUP_QUERY_COUNT,
    STARTUP_QUERY_INTERVAL,
    HomeMulticast,
)
from halma.engine.multicast_api import (
    JoinGroup,
    LeaveGroup,
    ListenerReportReceived,
    SendListenerQuery,
    Subscribe,
    Unsubscribe,
)
from halma.wire.mld import (
    ListenerReport,
    MulticastAddressRecord,
    MulticastListenerDone,
    MulticastListenerReport,
    MulticastListenerReportV2,
    RecordType,
    encode_records,
    general_query,
)
from tests.engine.home import AGENT, CARE_OF, ELSEWHERE, HOME, Agent

T = RecordType
GROUP = IPv6Address("ff0e::5:213").packed
OTHER = IPv6Address("ff3e::5:213").packed
SOURCE, ANOTHER = IPv6Address("2001:db8:ee::1").packed, IPv6Address("2001:db8:ee::2").packed


def report(*records: tuple[int, bytes, tuple[bytes, ...]]) -> MulticastListenerReportV2:
    return encode_records([MulticastAddressRecord(*record) for record in records])


LISTENS = report((RecordType.CHANGE_TO_EXCLUDE_MODE, GROUP, ()))
LEAVES = report((RecordType.CHANGE_TO_INCLUDE_MODE, GROUP, ()))


def away(**settings: Any) -> Agent:
    """A home agent whose node is away."""
    agent = Agent(multicast=True, **settings)
    assert agent.update(1).status == 0
    return agent


def say(agent: Agent, message: ListenerReport, care_of: bytes = CARE_OF, local: bytes = AGENT) -> list[Any]:
    """The node says something by its tunnel."""
    return agent.give(ListenerReportReceived(Tunnel(local, care_of), message))


def queries(effects: list[Any]) -> list[tuple[bytes, bytes]]:
    """Which tunnels are asked: both ends."""
    return [(e.tunnel.local, e.tunnel.remote) for e in effects if isinstance(e, SendListenerQuery)]


def groups(agent: Agent) -> list[tuple[bytes, bytes]]:
    return [(row["group"], row["home_address"]) for row in agent.engine.describe_groups(agent.now)]  # type: ignore[misc]


def counter(agent: Agent, name: str) -> int:
    return agent.engine.describe_counters()[name]


@pytest.mark.rfc("6275#10.4.3-1", "6275#8.4-14")
def test_a_node_that_is_away_is_asked_at_once_and_for_ever() -> None:
    agent = away()
    (query,) = [e for e in agent.advance(0) if isinstance(e, SendListenerQuery)]
    assert query.tunnel == Tunnel(AGENT, CARE_OF)
    assert query.source == IPv6Address("fe80::1").packed
    assert query.message == general_query(1000, 2, 125)
    agent.update(2, lifetime=1000)
    say(agent, LISTENS)
    assert queries(agent.advance(QUERY_INTERVAL - 1)) == []
    assert len(queries(agent.advance(1))) == 1
    assert len(queries(agent.advance(4 * QUERY_INTERVAL))) == 4


@pytest.mark.rfc("6275#10.4.3-1")
def test_a_node_that_does_not_answer_is_asked_again_soon() -> None:
    agent = away()
    agent.update(2, lifetime=1000)
    assert len(queries(agent.advance(STARTUP_QUERY_INTERVAL))) == 2
    say(agent, LEAVES)
    assert queries(agent.advance(STARTUP_QUERY_INTERVAL)) == []
    agent.update(3, lifetime=1000, care_of=ELSEWHERE)
    assert (
        queries(agent.advance(STARTUP_QUERY_INTERVAL * (STARTUP_QUERY_COUNT + 1))) == [(AGENT, ELSEWHERE)] * STARTUP_QUERY_COUNT
    )
    assert len(queries(agent.advance(QUERY_INTERVAL))) == 1


def test_a_node_that_registers_again_is_asked_again_for_it_may_have_started_anew() -> None:
    agent = away()
    agent.advance(0)
    say(agent, LISTENS)
    assert queries(agent.advance(STARTUP_QUERY_INTERVAL)) == []
    agent.update(2, lifetime=1000)
    assert queries(agent.advance(0)) == [(AGENT, CARE_OF)]
    assert groups(agent) == [(GROUP, HOME)]


def test_nobody_is_asked_where_it_is_not_wanted() -> None:
    agent = Agent()
    agent.update(1)
    assert queries(agent.advance(300)) == []
    assert say(agent, LISTENS) == []
    assert "groups" not in agent.engine.describe_counters()


@pytest.mark.rfc("6275#10.4.2-7", "6275#8.4-15")
def test_what_a_node_listens_to_is_copied_into_its_tunnel() -> None:
    agent = away()
    assert say(agent, LISTENS) == [Subscribe(GROUP, HOME), JoinGroup(GROUP)]
    assert say(agent, LISTENS) == []
    assert groups(agent) == [(GROUP, HOME)]
    assert say(agent, LEAVES) == [Unsubscribe(GROUP, HOME), LeaveGroup(GROUP)]
    assert say(agent, LEAVES) == []
    assert groups(agent) == []
    assert (counter(agent, "groups_joined"), counter(agent, "groups_left"), counter(agent, "groups")) == (1, 1, 0)


def test_version_1_says_the_same() -> None:
    agent = away()
    assert say(agent, MulticastListenerReport(GROUP)) == [Subscribe(GROUP, HOME), JoinGroup(GROUP)]
    assert say(agent, MulticastListenerDone(GROUP)) == [Unsubscribe(GROUP, HOME), LeaveGroup(GROUP)]


@pytest.mark.rfc("6275#10.4.2-4", "6275#10.4.2-6")
@pytest.mark.parametrize("group", ["ff01::1", "ff02::1:ff00:77", "ff05::5:213", "ff08::5:213", "2001:db8::1", "::"])
def test_only_groups_of_global_scope_go_through_a_tunnel(group: str) -> None:
    agent = away()
    assert say(agent, report((RecordType.MODE_IS_EXCLUDE, IPv6Address(group).packed, ()))) == []
    assert groups(agent) == []


def test_only_a_tunnel_that_is_in_use_tells_who_listens() -> None:
    agent = away()
    assert say(agent, LISTENS, care_of=ELSEWHERE) == []
    assert say(agent, LISTENS, local=ELSEWHERE) == []
    assert counter(agent, "listener_reports_ignored") == 2
    assert agent.update(2, lifetime=0, care_of=HOME).status == 0
    assert say(agent, LISTENS) == []


@pytest.mark.rfc("6275#10.4.3-1")
def test_a_group_that_is_not_confirmed_is_forgotten() -> None:
    agent = away()
    agent.update(2, lifetime=1000)
    say(agent, LISTENS)
    agent.advance(MULTICAST_ADDRESS_LISTENING_INTERVAL - 10)
    say(agent, report((RecordType.MODE_IS_EXCLUDE, GROUP, ())))
    seen = agent.advance(MULTICAST_ADDRESS_LISTENING_INTERVAL - 1)
    assert not [e for e in seen if isinstance(e, Unsubscribe)]
    assert [e for e in agent.advance(1) if not isinstance(e, SendListenerQuery)] == [
        Unsubscribe(GROUP, HOME),
        LeaveGroup(GROUP),
    ]
    assert counter(agent, "groups_expired") == 1


def test_a_group_follows_the_node_and_the_node_is_asked_where_it_is_now() -> None:
    agent = away()
    agent.advance(0)
    say(agent, LISTENS)
    agent.update(2, care_of=ELSEWHERE)
    assert groups(agent) == [(GROUP, HOME)]
    assert queries(agent.advance(0)) == [(AGENT, ELSEWHERE)]
    assert say(agent, LEAVES, care_of=CARE_OF) == []
    assert say(agent, LEAVES, care_of=ELSEWHERE) == [Unsubscribe(GROUP, HOME), LeaveGroup(GROUP)]


@pytest.mark.parametrize("end", ["deregistered", "expired"])
def test_the_end_of_a_registration_ends_its_groups(end: str) -> None:
    agent = away()
    say(agent, LISTENS)
    if end == "deregistered":
        agent.update(2, lifetime=0, care_of=HOME)
    seen = agent.advance(600)
    assert [e for e in seen if isinstance(e, Unsubscribe | LeaveGroup)] == [Unsubscribe(GROUP, HOME), LeaveGroup(GROUP)]
    assert queries(agent.advance(600)) == []


@pytest.mark.parametrize(
    ("records", "listens"),
    [
        ([(T.MODE_IS_INCLUDE, (SOURCE,))], [SOURCE]),
        ([(T.CHANGE_TO_INCLUDE_MODE, (SOURCE, ANOTHER))], [SOURCE, ANOTHER]),
        ([(T.ALLOW_NEW_SOURCES, (SOURCE,)), (T.ALLOW_NEW_SOURCES, (ANOTHER,))], [SOURCE, ANOTHER]),
        ([(T.ALLOW_NEW_SOURCES, (SOURCE, ANOTHER)), (T.BLOCK_OLD_SOURCES, (SOURCE,))], [ANOTHER]),
        ([(T.ALLOW_NEW_SOURCES, (SOURCE,)), (T.BLOCK_OLD_SOURCES, (SOURCE,))], None),
        ([(T.BLOCK_OLD_SOURCES, (SOURCE,))], None),
        ([(T.ALLOW_NEW_SOURCES, ())], None),
        (
            [
                (T.MODE_IS_EXCLUDE, (SOURCE,)),
                (T.ALLOW_NEW_SOURCES, (SOURCE,)),
                (T.BLOCK_OLD_SOURCES, (ANOTHER,)),
            ],
            [],
        ),
        ([(T.MODE_IS_EXCLUDE, ()), (T.CHANGE_TO_INCLUDE_MODE, (SOURCE,))], [SOURCE]),
        ([(T.MODE_IS_EXCLUDE, ()), (T.CHANGE_TO_INCLUDE_MODE, ())], None),
        ([(7, (SOURCE,))], None),
        ([(0, ()), (T.MODE_IS_EXCLUDE, ())], []),
        ([(T.MODE_IS_INCLUDE, tuple(bytes(15) + bytes([number]) for number in range(SOURCES + 1)))], []),
    ],
)
def test_sources(records: list[tuple[int, tuple[bytes, ...]]], listens: list[bytes] | None) -> None:
    """Who listens to some sources listens to the group, until it names none any more (RFC 9777 sections 5.2.13 and 7.4)."""
    agent = away()
    say(agent, report(*[(kind, OTHER, sources) for kind, sources in records]))
    rows = list(agent.engine.describe_groups(agent.now))
    assert [row["sources"] for row in rows] == ([] if listens is None else [listens])


def test_a_report_that_is_malformed_changes_nothing() -> None:
    agent = away()
    assert say(agent, MulticastListenerReportV2(2, LISTENS.octets)) == []
    assert counter(agent, "listener_reports_ignored") == 1


def test_a_node_that_says_too_much_is_not_listened_to() -> None:
    agent = away()
    for _ in range(REPORTS_PER_SECOND):
        say(agent, LISTENS)
    assert say(agent, LEAVES) == []
    assert counter(agent, "listener_reports_ignored") == 1
    agent.advance(1)
    assert say(agent, LEAVES) == [Unsubscribe(GROUP, HOME), LeaveGroup(GROUP)]


def group(number: int) -> bytes:
    return GROUP[:12] + number.to_bytes(4, "big")


def test_a_node_listens_to_so_many_groups() -> None:
    agent = away()
    say(agent, report(*[(RecordType.MODE_IS_EXCLUDE, group(number), ()) for number in range(GROUPS_OF_A_NODE + 1)]))
    assert len(groups(agent)) == GROUPS_OF_A_NODE
    assert counter(agent, "groups_refused") == 1


class Crowd:
    """Nodes of a home agent, as `HomeMulticast` sees them."""

    def __init__(self) -> None:
        self.multicast, self.time = HomeMulticast(), 0.0

    @property
    def now(self) -> Now:
        return Now(self.time, self.time)

    @staticmethod
    def binding(number: int, care_of: bytes = b"") -> HomeBinding:
        home = HOME[:12] + number.to_bytes(4, "big")
        return HomeBinding(home, b"", Tunnel(AGENT, care_of or CARE_OF[:12] + number.to_bytes(4, "big")), 1)

    def add(self, number: int, *wanted: bytes) -> list[Any]:
        binding = self.binding(number)
        self.multicast.registered(binding, self.now)
        message = report(*[(RecordType.MODE_IS_EXCLUDE, each, ()) for each in wanted])
        return list(self.multicast.reported(ListenerReportReceived(binding.tunnel, message), self.now))


def test_so_many_listen_to_a_group() -> None:
    crowd = Crowd()
    for number in range(LISTENERS_OF_A_GROUP):
        assert crowd.add(number, GROUP)
    assert crowd.add(LISTENERS_OF_A_GROUP, GROUP) == []
    crowd.multicast.ended(crowd.binding(0))
    assert crowd.add(LISTENERS_OF_A_GROUP, GROUP) != []


def test_so_many_listen_altogether() -> None:
    crowd, here = Crowd(), range(GROUPS_OF_A_NODE)
    for number in range(LISTENERS // GROUPS_OF_A_NODE):
        crowd.add(number, *[group(each + GROUPS_OF_A_NODE * (number % 4)) for each in here])
    assert len(list(crowd.multicast.describe(crowd.now))) == LISTENERS
    assert crowd.add(LISTENERS, group(0)) == []
    crowd.multicast.ended(crowd.binding(1))
    assert crowd.add(LISTENERS, group(0)) != []


def test_there_are_so_many_groups() -> None:
    crowd = Crowd()
    per_node = GROUPS_OF_A_NODE
    for number in range(GROUPS // per_node):
        crowd.add(number, *[group(number * per_node + each) for each in range(per_node)])
    assert crowd.multicast.describe_counters()["groups"] == GROUPS
    assert crowd.add(GROUPS, group(GROUPS)) == []
    assert crowd.add(GROUPS, group(0)) != []


@pytest.mark.rfc("6275#10.4.3-1")
def test_of_several_home_addresses_at_one_place_one_is_asked() -> None:
    crowd, here = Crowd(), CARE_OF
    first, second = crowd.binding(1, here), crowd.binding(2, here)
    for binding in (first, second):
        crowd.multicast.registered(binding, crowd.now)
    assert len(queries(crowd.multicast.handle_timeout(crowd.now))) == 1
    crowd.multicast.reported(ListenerReportReceived(first.tunnel, LISTENS), crowd.now)
    crowd.multicast.registered(second, crowd.now)
    assert queries(crowd.multicast.handle_timeout(crowd.now)) == []

    crowd.multicast.ended(first)
    effects = crowd.multicast.handle_timeout(crowd.now)
    assert [e for e in effects if not isinstance(e, SendListenerQuery)] == [
        Unsubscribe(GROUP, first.home_address),
        LeaveGroup(GROUP),
    ]
    assert queries(effects) == [(AGENT, here)]
    assert crowd.multicast.reported(ListenerReportReceived(first.tunnel, LISTENS), crowd.now) == [
        Subscribe(GROUP, second.home_address),
        JoinGroup(GROUP),
    ]
    second.tunnel = Tunnel(AGENT, ELSEWHERE)
    crowd.multicast.registered(second, crowd.now)
    assert queries(crowd.multicast.handle_timeout(crowd.now)) == [(AGENT, ELSEWHERE)]
    crowd.multicast.ended(crowd.binding(3))
    assert crowd.multicast.next_deadline() is not None


def test_two_nodes_share_a_group() -> None:
    crowd = Crowd()
    assert crowd.add(1, GROUP) == [Subscribe(GROUP, crowd.binding(1).home_address), JoinGroup(GROUP)]
    assert crowd.add(2, GROUP) == [Subscribe(GROUP, crowd.binding(2).home_address)]
    crowd.multicast.ended(crowd.binding(1))
    assert [e for e in crowd.multicast.handle_timeout(crowd.now) if isinstance(e, LeaveGroup)] == []


def test_a_home_address_that_is_not_first_may_move_alone() -> None:
    crowd, here = Crowd(), CARE_OF
    first, second = crowd.binding(1, here), crowd.binding(2, here)
    for binding in (first, second):
        crowd.multicast.registered(binding, crowd.now)
    crowd.multicast.handle_timeout(crowd.now)
    second.tunnel = Tunnel(AGENT, ELSEWHERE)
    crowd.multicast.registered(second, crowd.now)
    assert queries(crowd.multicast.handle_timeout(crowd.now)) == [(AGENT, ELSEWHERE)]
