# SPDX-License-Identifier: Apache-2.0
"""A brief run of the mutation fuzzing, and that it would find something."""

from __future__ import annotations

import random

import pytest

from halma.wire.messages import BindingUpdate
from halma.wire.spaces import MOBILITY_MESSAGES
from tests.fuzz import mutate


def test_no_mutation_raises_anything_but_a_decode_error() -> None:
    outcomes = mutate.run(30_000, seed=1)
    assert sum(outcomes.values()) == 30_000
    refused = {outcome.removeprefix("refused: ") for outcome in outcomes if outcome.startswith("refused")}
    assert {"checksum", "header_length", "option_length", "option_overrun", "payload_proto", "truncated"} <= refused
    reached = {declaration.cls.__name__ for declaration in MOBILITY_MESSAGES.declarations}
    assert reached <= set(outcomes), "a message is never reached"


def test_the_same_seed_makes_the_same_mutations() -> None:
    assert mutate.run(500, seed=3) == mutate.run(500, seed=3)
    assert mutate.run(500, seed=3) != mutate.run(500, seed=4)


def test_a_broken_decoder_is_found() -> None:
    def broken(data: bytes, end: int) -> BindingUpdate:
        return BindingUpdate(data[end - 1], data[200], 0)

    whole = MOBILITY_MESSAGES.decoders[5]
    MOBILITY_MESSAGES.decoders[5] = broken
    try:
        with pytest.raises((IndexError, AssertionError)) as caught:
            mutate.run(2000, seed=1)
    finally:
        MOBILITY_MESSAGES.decoders[5] = whole
    assert "seed 1, mutation" in caught.value.__notes__[0]


def test_nothing_left_to_damage() -> None:
    assert mutate.mutate(bytearray(), random.Random(1)) == b""
