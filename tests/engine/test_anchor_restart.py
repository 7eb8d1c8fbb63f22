# SPDX-License-Identifier: Apache-2.0
"""An anchor that restarts remembers which node had which prefix of its pools (RFC 5213 section 5.3.2, ANC-4)."""

from __future__ import annotations

import pytest

from halma.engine.anchor import Started
from halma.engine.anchor_settings import PoolSettings
from halma.engine.api import Association, Assurance, Protection
from halma.engine.policy import Profile
from halma.wire.numbers import Status
from halma.wire.options import HomeNetworkPrefix
from tests.engine.conversation import (
    ASK,
    BETWEEN_INTERFACES,
    HOST,
    INTERFACE,
    OTHER,
    OTHER_INTERFACE,
    POOL,
    UNKNOWN,
    Domain,
    accepted,
    hnp,
    policy,
    prefixes,
    refused,
)
from tests.engine.home import HOME_PREFIX, NODE, Agent, Book

FIRST, SECOND = hnp("2001:db8:100::"), hnp("2001:db8:100:1::")
NOT_YOURS = Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX
LIFETIME = 3600.0
POOLS = (PoolSettings("main", POOL, 62),)


def journal(domain: Domain, before: dict[bytes, bytes] | None = None) -> dict[bytes, bytes]:
    """What somebody who has written all changes down holds now."""
    told = {**(before or {}), **domain.anchor.take_assignments()}
    return {prefix: identifier for prefix, identifier in told.items() if identifier}


def restarted(written: dict[bytes, bytes], *profiles: Profile) -> Domain:
    """The next life."""
    domain = Domain(policy(*profiles), pools=POOLS)
    domain.handle(Started((), tuple(written.items())))
    return domain


def one_session() -> dict[bytes, bytes]:
    """The journal of a life in which the host got the first prefix."""
    domain = Domain(pools=POOLS)
    assert prefixes(accepted(domain.gateway(1).update(HOST))) == (FIRST,)
    return journal(domain)


@pytest.mark.requirement("ANC-4")
def test_what_is_assigned_is_told_once_and_so_is_what_is_released() -> None:
    domain = Domain()
    gateway1 = domain.gateway(1)
    held = accepted(gateway1.update(HOST))
    assert domain.anchor.take_assignments() == {FIRST.prefix: HOST}
    accepted(gateway1.refresh(held))
    assert domain.anchor.take_assignments() == {}
    accepted(gateway1.deregister(held))
    assert domain.anchor.take_assignments() == {}, "it waits for a new gateway"
    domain.advance(10)
    assert domain.anchor.take_assignments() == {FIRST.prefix: b""}


@pytest.mark.requirement("ANC-4", "ANC-7")
@pytest.mark.parametrize("asked", [(FIRST,), ()], ids=["by name", "all zero"])
def test_the_node_gets_its_prefix_again_without_the_right_to_ask_for_any(asked: tuple[HomeNetworkPrefix, ...]) -> None:
    domain = restarted(one_session())
    assert domain.count("prefixes_remembered") == 1
    assert prefixes(accepted(domain.gateway(2).update(OTHER))) == (SECOND,)
    assert prefixes(accepted(domain.gateway(1).update(HOST, *asked, handoff=UNKNOWN))) == (FIRST,)
    assert domain.count("prefixes_remembered") == 0
    assert journal(domain) == {FIRST.prefix: HOST, SECOND.prefix: OTHER}


@pytest.mark.requirement("ANC-4", "ANC-7")
@pytest.mark.rfc("5213#5.3.2-2", "5213#5.3.2-6")
def test_nobody_else_gets_it_by_name_or_by_chance() -> None:
    may_ask = Profile(b"*@example.org", pool="main", may_request_prefix=True)
    domain = restarted(one_session(), may_ask)
    refused(domain.gateway(2).update(OTHER, FIRST), NOT_YOURS)
    refused(domain.gateway(77).update(HOST, FIRST), Status.MAG_NOT_AUTHORIZED_FOR_PROXY_REG)
    for number in range(3):
        accepted(domain.gateway(2).update(b"%d@example.org" % number))
    refused(domain.gateway(2).update(OTHER), Status.INSUFFICIENT_RESOURCES)
    assert prefixes(accepted(domain.gateway(1).update(HOST, FIRST))) == (FIRST,)


@pytest.mark.requirement("ANC-7")
@pytest.mark.rfc("5213#5.3.2-5", "5213#5.3.2-6")
def test_a_prefix_that_was_not_the_nodes_is_refused_as_ever() -> None:
    domain = restarted(one_session())
    refused(domain.gateway(1).update(HOST, SECOND), NOT_YOURS)
    refused(domain.gateway(1).update(HOST, FIRST, SECOND), NOT_YOURS)
    assert prefixes(accepted(domain.gateway(1).update(HOST, FIRST))) == (FIRST,), "a refusal took it away"


@pytest.mark.requirement("ANC-4")
def test_after_the_longest_lifetime_a_prefix_that_nobody_came_for_is_free() -> None:
    written = one_session()
    domain = restarted(written)
    for number in range(3):
        accepted(domain.gateway(2).update(b"%d@example.org" % number))
    domain.advance(LIFETIME - 1)
    refused(domain.gateway(2).update(OTHER, FIRST), NOT_YOURS)
    assert journal(domain, written)[FIRST.prefix] == HOST, "a second crash would have forgotten it"
    domain.advance(1)
    assert domain.count("prefixes_remembered") == 0
    refused(domain.gateway(1).update(HOST, FIRST), NOT_YOURS)
    assert FIRST.prefix not in journal(domain, written)
    held = [accepted(domain.gateway(2).update(OTHER))]
    assert prefixes(held[0]) == (FIRST,)


@pytest.mark.requirement("ANC-4")
def test_of_a_node_with_two_sessions_none_is_guessed_at() -> None:
    domain = Domain(pools=POOLS)
    for interface in (INTERFACE, OTHER_INTERFACE):
        accepted(domain.gateway(1).update(HOST, link_layer=interface))
    again = restarted(journal(domain))
    third = accepted(again.gateway(2).update(HOST, link_layer=b"\2\0\0\0\1\3"))
    assert prefixes(third)[0] not in (FIRST, SECOND)
    for option, interface in ((SECOND, OTHER_INTERFACE), (FIRST, INTERFACE)):
        assert prefixes(accepted(again.gateway(1).update(HOST, option, link_layer=interface))) == (option,)


@pytest.mark.requirement("ANC-4")
def test_several_prefixes_of_one_session_come_back_together() -> None:
    two = Profile(b"*@example.org", pool="main", prefixes_per_session=2)
    domain = Domain(policy(two), pools=POOLS)
    assert prefixes(accepted(domain.gateway(1).update(HOST))) == (FIRST, SECOND)
    again = restarted(journal(domain), two)
    assert prefixes(accepted(again.gateway(1).update(HOST, handoff=BETWEEN_INTERFACES))) == (FIRST, SECOND)
    again = restarted({FIRST.prefix: HOST, SECOND.prefix: HOST}, two)
    assert prefixes(accepted(again.gateway(1).update(HOST, SECOND, ASK))) == (SECOND, FIRST), "one by name, and another"
    again = restarted({FIRST.prefix: HOST}, two)
    assert prefixes(accepted(again.gateway(1).update(HOST, FIRST, ASK))) == (FIRST, SECOND)


@pytest.mark.requirement("ANC-4")
def test_what_the_operator_has_changed_meanwhile_comes_first() -> None:
    written = one_session()
    reserved = restarted(written, Profile(OTHER, pool="main", prefixes=(FIRST.prefix,)), Profile(HOST, pool="main"))
    refused(reserved.gateway(1).update(HOST, FIRST), NOT_YOURS)
    assert prefixes(accepted(reserved.gateway(1).update(HOST))) == (SECOND,)
    assert prefixes(accepted(reserved.gateway(1).update(OTHER))) == (FIRST,)
    elsewhere = Domain(pools=(PoolSettings("main", hnp("2001:db8:200::").prefix, 62),))
    elsewhere.handle(Started((), tuple(written.items())))
    assert elsewhere.count("prefixes_remembered") == 0
    assert journal(elsewhere, written) == {}


@pytest.mark.requirement("ANC-4")
@pytest.mark.parametrize(("owner", "status"), [(NODE, 0), (OTHER, None), (None, None)])
def test_a_home_address_in_it_is_the_nodes_own_for_mipv6_too(owner: bytes | None, status: int | None) -> None:
    """The association is for whatever prefix the anchor has given the node."""
    agent = Agent(Book(profiles={NODE: Profile(NODE, pool="main", mobile_ipv6=True)}))
    if owner is not None:
        agent.give(Started((), ((HOME_PREFIX, owner),)))
    answer = agent.update(1, protection=Protection(Assurance.VALID, Association(1, NODE)))
    assert answer.status == 0 if status == 0 else answer.status >= Status.REASON_UNSPECIFIED
