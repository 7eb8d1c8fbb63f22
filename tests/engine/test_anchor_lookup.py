# SPDX-License-Identifier: Apache-2.0
"""Which session an update is about: RFC 5213 section 5.4.1, every branch of it with every handoff indicator.

Each table says what an update finds when the node has one session that gateway 1 registered: it UPDATEs that, CREATEs another,
WAITs, is SILENTly ignored, or is refused with a status. Where a request is to create a session with a prefix that is in use,
it ends with 155 (section 5.3.2 rule 3).
"""

from __future__ import annotations

from typing import Any

import pytest

from halma.engine.policy import Profile
from halma.wire.messages import BindingAcknowledgement
from halma.wire.numbers import Status
from halma.wire.options import HomeNetworkPrefix
from tests.engine.conversation import (
    ASK,
    BETWEEN_GATEWAYS,
    BETWEEN_INTERFACES,
    ETHERNET,
    HOST,
    INTERFACE,
    NEW_INTERFACE,
    NOT_CHANGED,
    OTHER,
    OTHER_INTERFACE,
    UNKNOWN,
    WLAN,
    Domain,
    accepted,
    hnp,
    policy,
    prefixes,
)

UPDATE, CREATE, WAIT, SILENT = "update", "create", "wait", "silent"
IN_USE = int(Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX)
DIFFER = int(Status.BCE_PBU_PREFIX_SET_DO_NOT_MATCH)
HANDOFF_INDICATORS = (NEW_INTERFACE, BETWEEN_INTERFACES, BETWEEN_GATEWAYS, UNKNOWN, NOT_CHANGED)


def two_prefixes() -> Domain:
    """Every session gets two prefixes."""
    return Domain(policy(Profile(b"*@example.org", pool="main", prefixes_per_session=2)))


def outcome(domain: Domain, first: BindingAcknowledgement, sent: int, answer: BindingAcknowledgement | None) -> str | int:
    """What became of an update beside the session of `first`, when `sent` messages had been sent before it."""
    if answer is None:
        assert len(domain.bindings()) == 1
        return WAIT if len(domain.wire) > sent else SILENT
    if answer.status:
        assert len(domain.bindings()) == 1
        return answer.status
    if prefixes(answer) == prefixes(first):
        assert len(domain.bindings()) == 1
        return UPDATE
    assert len(domain.bindings()) == 2
    assert not {p.prefix for p in prefixes(answer)} & {p.prefix for p in prefixes(first)}
    return CREATE


# ---- 5.4.1.1: by home network prefix ---------------------------------------------------------------------------------

BY_PREFIX: list[tuple[str, int, dict[str, Any], dict[str, Any], tuple[str | int, ...]]] = [
    # name, gateway, what the session has, what the update has, and the outcome for handoff indicators 1 to 5
    ("same interface, elsewhere", 2, {"link_layer": INTERFACE}, {"link_layer": INTERFACE}, (UPDATE,) * 5),
    ("same interface, same gateway", 1, {"link_layer": INTERFACE}, {"link_layer": INTERFACE}, (UPDATE,) * 5),
    (
        "other interface, elsewhere",
        2,
        {"link_layer": INTERFACE},
        {"link_layer": OTHER_INTERFACE},
        (IN_USE, UPDATE, *[IN_USE] * 3),
    ),
    ("other interface, same gateway", 1, {"link_layer": INTERFACE}, {"link_layer": OTHER_INTERFACE}, (UPDATE,) * 5),
    (
        "same identifier, other technology, elsewhere",
        2,
        {"link_layer": INTERFACE},
        {"link_layer": INTERFACE, "technology": WLAN},
        (IN_USE, UPDATE, *[IN_USE] * 3),
    ),
    (
        "same identifier, other technology, same gateway",
        1,
        {"link_layer": INTERFACE},
        {"link_layer": INTERFACE, "technology": WLAN},
        (IN_USE, UPDATE, *[IN_USE] * 3),
    ),
    ("no identifier at all, elsewhere", 2, {}, {}, (IN_USE, UPDATE, UPDATE, IN_USE, IN_USE)),
    ("no identifier at all, same gateway", 1, {}, {}, (UPDATE,) * 5),
    ("no identifier, other technology, elsewhere", 2, {}, {"technology": WLAN}, (IN_USE, UPDATE, *[IN_USE] * 3)),
    ("no identifier any more, elsewhere", 2, {"link_layer": INTERFACE}, {}, (IN_USE, UPDATE, *[IN_USE] * 3)),
    ("an identifier for the first time, elsewhere", 2, {}, {"link_layer": INTERFACE}, (IN_USE, UPDATE, *[IN_USE] * 3)),
    (
        "identifiers of zeros, elsewhere",
        2,
        {"link_layer": bytes(2)},
        {"link_layer": bytes(6)},
        (IN_USE, UPDATE, UPDATE, *[IN_USE] * 2),
    ),
]


@pytest.mark.rfc(
    "5213#5.3.1-14",
    "5213#5.4-5",
    "5213#5.4.1-1",
    "5213#5.4.1.1-1",
    "5213#5.4.1.1-2",
    "5213#5.4.1.1-6",
    "5213#5.4.1.1-7",
)
@pytest.mark.parametrize("indicator", HANDOFF_INDICATORS)
@pytest.mark.parametrize(("name", "number", "held", "asked", "outcomes"), BY_PREFIX, ids=[row[0] for row in BY_PREFIX])
def test_a_session_is_found_by_its_prefixes(
    name: str, number: int, held: dict[str, Any], asked: dict[str, Any], outcomes: tuple[str | int, ...], indicator: int
) -> None:
    domain = two_prefixes()
    first = accepted(domain.gateway(1).update(HOST, **held))
    sent = len(domain.wire)
    backwards = tuple(reversed(prefixes(first)))
    answer = domain.gateway(number).update(HOST, *backwards, handoff=indicator, **asked)
    if answer is not None and not answer.status:
        assert set(prefixes(answer)) == set(prefixes(first))
    assert outcome(domain, first, sent, answer) == outcomes[indicator - 1]
    expected = domain.gateway(number if outcomes[indicator - 1] == UPDATE else 1).tunnel
    assert domain.route(first) == expected


@pytest.mark.rfc("5213#5.4.1.1-8")
@pytest.mark.parametrize("indicator", HANDOFF_INDICATORS)
@pytest.mark.parametrize(("name", "number", "held", "asked", "outcomes"), BY_PREFIX, ids=[row[0] for row in BY_PREFIX])
def test_a_deregistration_that_fits_no_session_is_ignored_in_silence(
    name: str, number: int, held: dict[str, Any], asked: dict[str, Any], outcomes: tuple[str | int, ...], indicator: int
) -> None:
    """One that fits is silent too when it comes from another gateway than the one that serves (section 5.3.5 rule 1)."""
    domain = two_prefixes()
    first = accepted(domain.gateway(1).update(HOST, **held))
    answer = domain.gateway(number).update(HOST, *prefixes(first), handoff=indicator, lifetime=0, **asked)
    fits = outcomes[indicator - 1] == UPDATE and number == 1
    assert (answer is not None) == fits
    assert domain.route(first) == (None if fits else domain.gateway(1).tunnel)


@pytest.mark.rfc("5213#5.4.1.1-3")
def test_a_prefix_that_no_session_has_asks_for_a_new_one() -> None:
    domain = Domain(policy(Profile(HOST, pool="main", may_request_prefix=True)))
    first = accepted(domain.gateway(1).update(HOST, link_layer=INTERFACE))
    wanted = hnp("2001:db8:100:77::")
    second = accepted(domain.gateway(2).update(HOST, wanted, link_layer=INTERFACE, handoff=BETWEEN_GATEWAYS))
    assert prefixes(second) == (wanted,)
    assert len(domain.bindings()) == 2
    assert domain.route(first) == domain.gateway(1).tunnel
    assert domain.gateway(1).update(HOST, hnp("2001:db8:100:78::"), lifetime=0) is None


@pytest.mark.rfc("5213#5.4.1.1-4")
@pytest.mark.requirement("ANC-7")
@pytest.mark.parametrize("lifetime", [900, 0])
@pytest.mark.parametrize("indicator", HANDOFF_INDICATORS)
def test_a_prefix_of_another_node_is_refused(indicator: int, lifetime: int) -> None:
    domain = two_prefixes()
    first = accepted(domain.gateway(1).update(HOST, link_layer=INTERFACE))
    own = accepted(domain.gateway(1).update(OTHER, link_layer=INTERFACE))
    for asked in (
        prefixes(first),
        (prefixes(first)[0],),
        (ASK, prefixes(first)[1]),
        (prefixes(own)[0], prefixes(first)[0]),
        (prefixes(first)[0], prefixes(own)[0]),
        (hnp("2001:db8:999::"), prefixes(first)[0]),
    ):
        answer = domain.gateway(1).update(OTHER, *asked, link_layer=INTERFACE, handoff=indicator, lifetime=lifetime)
        assert answer is not None
        assert answer.status == Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX
    assert domain.route(first) == domain.gateway(1).tunnel


@pytest.mark.rfc("5213#5.4.1.1-5")
@pytest.mark.parametrize("lifetime", [900, 0])
@pytest.mark.parametrize("indicator", HANDOFF_INDICATORS)
def test_prefixes_that_are_not_all_those_of_the_session_are_refused(indicator: int, lifetime: int) -> None:
    domain = two_prefixes()
    one, two = prefixes(accepted(domain.gateway(1).update(HOST, link_layer=INTERFACE)))
    third = prefixes(accepted(domain.gateway(1).update(HOST, link_layer=OTHER_INTERFACE)))[0]
    for asked in (
        (one,),
        (one, one),
        (one, ASK),
        (one, two, ASK),
        (one, two, two),
        (one, third),
        (one, hnp("2001:db8:100:99::")),
        (HomeNetworkPrefix(63, one.prefix), two),
    ):
        answer = domain.gateway(1).update(HOST, *asked, link_layer=INTERFACE, handoff=indicator, lifetime=lifetime)
        assert answer is not None
        assert answer.status == Status.BCE_PBU_PREFIX_SET_DO_NOT_MATCH
    assert len(domain.bindings()) == 2
    assert set(domain.plane.bound.values()) == {domain.gateway(1).tunnel}


# ---- 5.4.1.2: by node, access technology and link-layer identifier ---------------------------------------------------

BY_INTERFACE: list[tuple[str, dict[str, Any], dict[str, Any], tuple[str, ...]]] = [
    ("the same", {"link_layer": INTERFACE}, {"link_layer": INTERFACE}, (UPDATE,) * 5),
    ("another", {"link_layer": INTERFACE}, {"link_layer": OTHER_INTERFACE}, (CREATE, UPDATE, CREATE, WAIT, CREATE)),
    (
        "another technology",
        {"link_layer": INTERFACE},
        {"link_layer": INTERFACE, "technology": WLAN},
        (CREATE, UPDATE, CREATE, WAIT, CREATE),
    ),
    ("known for the first time", {}, {"link_layer": INTERFACE}, (CREATE, UPDATE, CREATE, WAIT, CREATE)),
    ("a longer one", {"link_layer": INTERFACE}, {"link_layer": INTERFACE + b"\0"}, (CREATE, UPDATE, CREATE, WAIT, CREATE)),
]


@pytest.mark.rfc(
    "5213#5.4.1.2-1",
    "5213#5.4.1.2-2",
    "5213#5.4.1.2-3",
    "5213#5.4.1.2-4",
    "5213#5.4.1.2-5",
    "5213#5.4.1.2-6",
    "5213#5.4.1.2-7",
    "5213#5.4.1.2-8",
    "5213#5.4.1.2-9",
    "5213#5.4.1.2-12",
)
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("indicator", HANDOFF_INDICATORS)
@pytest.mark.parametrize(("name", "held", "asked", "outcomes"), BY_INTERFACE, ids=[row[0] for row in BY_INTERFACE])
def test_a_session_is_found_by_its_interface(
    name: str, held: dict[str, Any], asked: dict[str, Any], outcomes: tuple[str, ...], indicator: int, number: int
) -> None:
    domain = two_prefixes()
    first = accepted(domain.gateway(1).update(HOST, **held))
    sent = len(domain.wire)
    answer = domain.gateway(number).update(HOST, handoff=indicator, **asked)
    assert outcome(domain, first, sent, answer) == outcomes[indicator - 1]


@pytest.mark.rfc("5213#5.4.1.2-5", "5213#5.4.1.2-8", "5213#5.4.1.2-12")
@pytest.mark.parametrize("indicator", HANDOFF_INDICATORS)
def test_of_two_sessions_none_is_chosen_for_a_third_interface(indicator: int) -> None:
    domain = Domain()
    first = accepted(domain.gateway(1).update(HOST, link_layer=INTERFACE))
    second = accepted(domain.gateway(1).update(HOST, link_layer=OTHER_INTERFACE))
    third = accepted(domain.gateway(2).update(HOST, link_layer=b"\x07", handoff=indicator))
    assert len({prefixes(each) for each in (first, second, third)}) == 3
    same = accepted(domain.gateway(3).update(HOST, link_layer=OTHER_INTERFACE, handoff=indicator))
    assert prefixes(same) == prefixes(second)


@pytest.mark.rfc("5213#5.4.1.2-13")
@pytest.mark.parametrize("indicator", HANDOFF_INDICATORS)
def test_a_deregistration_of_an_interface_without_session_is_ignored_in_silence(indicator: int) -> None:
    """With "between two interfaces" it is about the only session there is; from elsewhere that is section 5.3.5 rule 1."""
    domain = Domain()
    assert domain.gateway(1).update(HOST, link_layer=INTERFACE, handoff=indicator, lifetime=0) is None
    first = accepted(domain.gateway(1).update(HOST, link_layer=INTERFACE))
    assert domain.gateway(2).update(HOST, link_layer=OTHER_INTERFACE, handoff=indicator, lifetime=0) is None
    if indicator != BETWEEN_INTERFACES:
        assert domain.gateway(1).update(HOST, link_layer=OTHER_INTERFACE, handoff=indicator, lifetime=0) is None
    assert domain.route(first) == domain.gateway(1).tunnel
    assert len(domain.wire) == 1
    accepted(domain.gateway(1).update(HOST, link_layer=INTERFACE, handoff=indicator, lifetime=0))
    assert domain.route(first) is None


# ---- 5.4.1.3: by node alone ------------------------------------------------------------------------------------------


@pytest.mark.rfc(
    "5213#5.4.1.3-1",
    "5213#5.4.1.3-2",
    "5213#5.4.1.3-3",
    "5213#5.4.1.3-4",
    "5213#5.4.1.3-7",
)
@pytest.mark.parametrize("link_layer", [None, b"", bytes(6)], ids=["absent", "empty", "zeros"])
@pytest.mark.parametrize("held", [{}, {"link_layer": INTERFACE}, {"link_layer": INTERFACE, "technology": WLAN}])
@pytest.mark.parametrize(
    ("indicator", "expected"),
    [(NEW_INTERFACE, CREATE), (BETWEEN_INTERFACES, UPDATE), (BETWEEN_GATEWAYS, UPDATE), (UNKNOWN, WAIT), (NOT_CHANGED, CREATE)],
)
def test_the_only_session_is_found_by_its_node(
    indicator: int, expected: str, held: dict[str, Any], link_layer: bytes | None
) -> None:
    """A link-layer identifier of zeros does not tell sessions apart (figure 8: NON_ZERO value)."""
    domain = two_prefixes()
    first = accepted(domain.gateway(1).update(HOST, **held))
    sent = len(domain.wire)
    answer = domain.gateway(2).update(HOST, handoff=indicator, technology=ETHERNET, link_layer=link_layer)
    assert outcome(domain, first, sent, answer) == expected


@pytest.mark.rfc("5213#5.4.1.3-2", "5213#5.4.1.3-7")
@pytest.mark.parametrize("indicator", HANDOFF_INDICATORS)
def test_of_two_sessions_none_is_chosen_by_the_node_alone(indicator: int) -> None:
    domain = Domain()
    accepted(domain.gateway(1).update(HOST, link_layer=INTERFACE))
    accepted(domain.gateway(1).update(HOST, link_layer=OTHER_INTERFACE))
    accepted(domain.gateway(2).update(HOST, handoff=indicator))
    assert len(domain.bindings()) == 3


@pytest.mark.rfc("5213#5.4.1.3-8")
@pytest.mark.parametrize("indicator", HANDOFF_INDICATORS)
def test_a_deregistration_of_a_node_without_session_is_ignored_in_silence(indicator: int) -> None:
    domain = Domain()
    assert domain.gateway(1).update(HOST, handoff=indicator, lifetime=0) is None
    accepted(domain.gateway(1).update(HOST, link_layer=INTERFACE))
    accepted(domain.gateway(1).update(HOST, link_layer=OTHER_INTERFACE))
    assert domain.gateway(1).update(HOST, handoff=indicator, lifetime=0) is None
    assert len(domain.wire) == 2
    assert not domain.reports[2:]


def test_a_deregistration_by_node_alone_is_taken_from_the_gateway_that_serves() -> None:
    """Handoff state unknown, as all de-registrations have it (section 6.9.1.4): there is nothing to wait for."""
    domain = Domain()
    first = accepted(domain.gateway(1).update(HOST))
    assert domain.gateway(2).update(HOST, handoff=UNKNOWN, lifetime=0) is None
    assert domain.route(first) == domain.gateway(1).tunnel
    accepted(domain.gateway(1).update(HOST, handoff=UNKNOWN, lifetime=0))
    assert domain.route(first) is None
    assert not domain.gateway(1).indications()
