# SPDX-License-Identifier: Apache-2.0
"""The small things that the anchor is made of: deadlines, prefix pools, meters, revocations that are out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halma.engine.api import Now
from halma.engine.meter import PEERS, Meter
from halma.engine.prefix_pool import PrefixPool
from halma.engine.revocation import SEQUENCE_NUMBERS, Revocations, RevocationSettings
from halma.engine.timers import SLACK, Deadlines
from halma.text import read_address
from halma.wire.messages import BindingRevocationAcknowledgement
from tests.engine.conversation import ANCHOR, gateway_address

# ---- deadlines --------------------------------------------------------------------------------------------------------


def test_each_key_is_due_once_in_the_order_of_the_deadlines() -> None:
    deadlines: Deadlines[str] = Deadlines()
    for key, when in (("c", 3.0), ("a", 1.0), ("b", 2.0), ("d", 9.0)):
        deadlines.set(key, when)
    assert deadlines.next() == 1.0
    assert list(deadlines.due(0.9)) == []
    assert list(deadlines.due(3.0)) == ["a", "b", "c"]
    assert list(deadlines.due(3.0)) == []
    assert (deadlines.next(), len(deadlines), "d" in deadlines, "a" in deadlines) == (9.0, 1, True, False)


def test_a_deadline_that_is_set_again_is_replaced_earlier_or_later() -> None:
    deadlines: Deadlines[str] = Deadlines()
    deadlines.set("x", 5.0)
    deadlines.set("x", 8.0)
    assert list(deadlines.due(7.0)) == []
    assert deadlines.next() == 8.0
    deadlines.set("x", 2.0)
    assert deadlines.get("x") == 2.0
    assert list(deadlines.due(2.0)) == ["x"]
    deadlines.set("x", 8.0)
    assert list(deadlines.due(8.0)) == ["x"]
    assert list(deadlines.due(99.0)) == []
    assert deadlines.next() is None


def test_what_is_stopped_is_not_due() -> None:
    deadlines: Deadlines[str] = Deadlines()
    deadlines.set("x", 5.0)
    deadlines.stop("x")
    deadlines.stop("x")
    deadlines.stop("never")
    assert deadlines.get("x") is None
    assert list(deadlines.due(9.0)) == []


def test_the_table_may_be_changed_while_it_tells_what_is_due() -> None:
    deadlines: Deadlines[int] = Deadlines()
    for key in range(10):
        deadlines.set(key, float(key))
    told = []
    for key in deadlines.due(9.0):
        told.append(key)
        deadlines.stop(key + 1)
        if key == 4:
            deadlines.set(20, 5.0)
    assert told == [0, 2, 4, 20, 6, 8]


Step = tuple[str, int, float]
STEPS = st.lists(
    st.tuples(st.sampled_from(["set", "stop", "due"]), st.integers(0, 12), st.floats(0, 20, allow_nan=False)), max_size=120
)


@given(STEPS)
@settings(max_examples=300, deadline=None)
def test_deadlines_are_what_a_dictionary_says(steps: list[Step]) -> None:
    deadlines: Deadlines[int] = Deadlines()
    model: dict[int, float] = {}
    for what, key, when in steps:
        if what == "set":
            deadlines.set(key, when)
            model[key] = when
        elif what == "stop":
            deadlines.stop(key)
            model.pop(key, None)
        else:
            due = sorted((at, each) for each, at in model.items() if at <= when)
            told = list(deadlines.due(when))
            assert sorted((model[each], each) for each in told) == due
            assert [model[each] for each in told] == [at for at, _ in due]
            model = {each: at for each, at in model.items() if at > when}
        assert len(deadlines) == len(model)
        earliest = deadlines.next()
        assert not model or (earliest is not None and earliest <= min(model.values()))


def test_memory_is_linear_in_the_keys_that_wait() -> None:
    """However often they are moved earlier, stopped, or told."""
    deadlines: Deadlines[int] = Deadlines()
    for key in range(1000):
        deadlines.set(key, 10000.0)
    for step in range(1, 3000):
        deadlines.set(step % 1000, 10000.0 - step)
        assert len(deadlines._heap) <= 2 * len(deadlines) + SLACK
    for key in range(900):
        deadlines.stop(key)
        assert len(deadlines._heap) <= 2 * len(deadlines) + SLACK
    for key in range(900, 1000):
        deadlines.set(key, 1.0)
    for _ in deadlines.due(1.0):
        assert len(deadlines._heap) <= 2 * len(deadlines) + SLACK
    assert len(deadlines) == 0
    for when in (10000.0, 1.0):
        for key in range(1000):
            deadlines.set(key, when)
    for _ in deadlines.due(1.0):
        assert len(deadlines._heap) <= 2 * len(deadlines) + SLACK


# ---- prefix pools -----------------------------------------------------------------------------------------------------

BASE = read_address("2001:db8:100::")


def test_a_pool_gives_each_prefix_once_and_what_is_released_last() -> None:
    pool = PrefixPool("p", BASE, 62)
    assert pool.size == 4
    given_out = [pool.allocate(lambda _: False) for _ in range(5)]
    assert given_out == [read_address(f"2001:db8:100:{n}::") for n in range(4)] + [None]
    pool.release(read_address("2001:db8:100:2::"))
    pool.release(read_address("2001:db8:100::"))
    pool.release(read_address("2001:db8:100:2::"))
    again = [pool.allocate(lambda _: False) for _ in range(3)]
    assert again == [read_address("2001:db8:100:2::"), read_address("2001:db8:100::"), None]


def test_a_pool_passes_over_what_is_in_use_until_it_is_released() -> None:
    pool = PrefixPool("p", BASE, 63)
    first, second = (read_address(f"2001:db8:100:{n}::") for n in range(2))
    assert pool.allocate(lambda prefix: prefix == first) == second
    assert pool.allocate(lambda prefix: prefix == first) is None
    pool.release(first)
    assert pool.allocate(lambda prefix: prefix == first) is None
    pool.release(first)
    assert pool.allocate(lambda _: False) == first


def test_a_pool_takes_no_note_of_what_it_has_not_come_to_or_does_not_hold() -> None:
    pool = PrefixPool("p", read_address("2001:db8:100::ffff"), 62)
    for text in ("2001:db8:100:3::", "2001:db8:100:4::", "2001:db8:ff:ffff::", "::"):
        pool.release(read_address(text))
    assert [pool.allocate(lambda _: False) for _ in range(5)].count(None) == 1
    assert [read_address(f"2001:db8:{text}::") in pool for text in ("100:0", "100:3", "100:4", "ff:ffff")] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("length", [0, 65, 128, -1])
def test_a_pool_is_an_aggregate_of_64s(length: int) -> None:
    with pytest.raises(ValueError, match="an aggregate of /64s"):
        PrefixPool("p", BASE, length)


def test_a_pool_may_be_one_64() -> None:
    pool = PrefixPool("p", BASE, 64)
    assert [pool.allocate(lambda _: False), pool.allocate(lambda _: False)] == [BASE, None]


@given(st.lists(st.one_of(st.none(), st.integers(0, 15)), max_size=80))
@settings(max_examples=200, deadline=None)
def test_no_prefix_is_given_twice_and_none_is_lost(steps: list[int | None]) -> None:
    pool, held = PrefixPool("p", BASE, 60), set[bytes]()
    for step in steps:
        if step is None:
            prefix = pool.allocate(held.__contains__)
            assert (prefix is None) == (len(held) == 16)
            assert prefix not in held
            held |= set() if prefix is None else {prefix}
        else:
            released = read_address(f"2001:db8:100:{step:x}::")
            if released in held:
                held.remove(released)
                pool.release(released)


# ---- meters -----------------------------------------------------------------------------------------------------------


def test_a_meter_allows_its_rate_and_a_second_s_worth_at_once() -> None:
    meter = Meter()
    assert [meter.allows(b"a", 3, 100.0) for _ in range(5)] == [True] * 3 + [False] * 2
    assert [meter.allows(b"b", 1, 100.0) for _ in range(2)] == [True, False]
    assert meter.allows(b"a", 3, 100.4)
    assert not meter.allows(b"a", 3, 100.4)
    assert [meter.allows(b"a", 3, 500.0) for _ in range(5)] == [True] * 3 + [False] * 2


@given(st.integers(1, 20), st.lists(st.floats(0, 0.7), min_size=1, max_size=100))
@settings(max_examples=200, deadline=None)
def test_over_any_span_no_more_than_the_rate_is_allowed(rate: int, pauses: list[float]) -> None:
    meter, now, allowed = Meter(), 0.0, list[float]()
    for pause in pauses:
        now += pause
        if meter.allows(b"a", rate, now):
            allowed.append(now)
    for begin, first in enumerate(allowed):
        for end in range(begin, len(allowed)):
            assert end - begin + 1 <= rate * (allowed[end] - first + 1) + 1e-6


def test_a_meter_forgets_who_was_there_longest_ago() -> None:
    meter = Meter()
    for number in range(PEERS + 100):
        assert meter.allows(number.to_bytes(16, "big"), 1, 0.0)
    assert len(meter._buckets) == PEERS
    assert not meter.allows((PEERS + 99).to_bytes(16, "big"), 1, 0.0)
    assert not meter.allows((100).to_bytes(16, "big"), 1, 0.0)
    assert meter.allows((0).to_bytes(16, "big"), 1, 0.0)


# ---- revocations ------------------------------------------------------------------------------------------------------

BEGIN = Now(100.0, 0.0)


def start(revocations: Revocations, subject: object, now: Now = BEGIN) -> int | None:
    """Begin a revocation; its sequence number."""
    send = revocations.start(ANCHOR, gateway_address(1), 1, 0x8000, (), subject, now)
    assert send is None or not isinstance(send.message, BindingRevocationAcknowledgement)
    return None if send is None else getattr(send.message, "sequence", None)


def answer(sequence: int) -> BindingRevocationAcknowledgement:
    """A successful answer."""
    return BindingRevocationAcknowledgement(0, sequence, 0x8000, ())


def test_a_subject_is_asked_for_once_at_a_time() -> None:
    revocations = Revocations(RevocationSettings())
    assert start(revocations, "a") == 1
    assert start(revocations, "a") is None
    assert start(revocations, "b") == 2
    ended = revocations.answered(gateway_address(1), answer(1))
    assert ended is not None
    assert ended.subject == "a"
    assert start(revocations, "a") == 3
    revocations.cancel("a")
    revocations.cancel("a")
    assert len(revocations) == 1
    assert revocations.answered(gateway_address(1), answer(3)) is None
    assert revocations.answered(gateway_address(2), answer(2)) is None


@pytest.mark.rfc("5846#5.1-1")
def test_sequence_numbers_wrap_and_pass_over_those_that_are_out() -> None:
    revocations = Revocations(RevocationSettings())
    assert start(revocations, "first") == 1
    for number in range(SEQUENCE_NUMBERS - 2):
        assert start(revocations, number) == number + 2
        revocations.cancel(number)
    assert [start(revocations, letter) for letter in "abc"] == [0, 2, 3]


@pytest.mark.rfc("5846#5.1-1")
def test_when_all_sequence_numbers_are_out_nothing_more_is_asked() -> None:
    revocations = Revocations(RevocationSettings())
    assert len({start(revocations, number) for number in range(SEQUENCE_NUMBERS)}) == SEQUENCE_NUMBERS
    assert start(revocations, "one more") is None
    assert revocations.answered(gateway_address(1), answer(4711)) is not None
    assert start(revocations, "one more") == 4711


@pytest.mark.rfc("5846#6.3-1", "5846#6.3-2", "5846#6.3-4")
@pytest.mark.parametrize(
    ("retries", "initial", "maximum", "expected"),
    [(1, 1.0, 2.0, [1, 3]), (0, 1.0, 2.0, [1]), (4, 1.0, 4.0, [1, 3, 7, 11, 15]), (2, 3.0, 2.0, [3, 5, 7])],
)
def test_the_wait_doubles_to_its_maximum_and_then_it_is_given_up(
    retries: int, initial: float, maximum: float, expected: list[float]
) -> None:
    revocations = Revocations(RevocationSettings(retries, initial, maximum))
    start(revocations, "a")
    happened = []
    while (deadline := revocations.next_deadline()) is not None:
        again, given_up = revocations.handle_timeout(Now(deadline, 0.0))
        assert len(again) + len(given_up) == 1
        happened.append((deadline - 100.0, bool(given_up)))
    assert happened == [(when, when == expected[-1]) for when in expected]
    assert len(revocations) == 0
