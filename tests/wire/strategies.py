# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies for every declared message and option, made from the declarations themselves.

Always holds: what a strategy gives is a value that a conforming message can carry.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from hypothesis import strategies as st

from halma.wire.layout import Declaration
from halma.wire.options import DelegatedMobileNetworkPrefix, Option, Redirect, UnknownOption
from halma.wire.spaces import MOBILITY_OPTIONS, OPTION_SPACES

BITS = {"B": 8, "H": 16, "I": 32, "Q": 64}
SPACES = {space.name: space for space in OPTION_SPACES}


def _integers(bits: int, mask: int | None = None) -> st.SearchStrategy[int]:
    numbers = st.integers(0, (1 << bits) - 1)
    return numbers if mask is None else numbers.map(lambda number: number & mask)


def _rest(sizes: str, unit: int, fixed: int) -> st.SearchStrategy[bytes]:
    if unit > 1:
        return st.integers(1, 4).flatmap(lambda units: st.binary(min_size=units * unit - 2, max_size=units * unit - 2))
    if sizes.endswith("+") or not sizes:
        return st.binary(min_size=int(sizes[:-1] or 0) if sizes else 0, max_size=min(60, 255 - fixed))
    return st.sampled_from([int(size) for size in sizes.split("/")]).flatmap(
        lambda size: st.binary(min_size=size, max_size=size)
    )


def fields(declaration: Declaration, unit: int = 1) -> list[st.SearchStrategy[Any]]:
    """A strategy for each field that the layout of a declaration has, in order."""
    made: list[st.SearchStrategy[Any]] = []
    for word in declaration.layout.split():
        if word.startswith("{"):
            made.extend(_integers(int(bits)) for bits in word[1:-1].split(",") if not bits.startswith("x"))
        elif word == "p":
            made.append(st.binary(max_size=60))
        elif word.startswith("*") and declaration.inner:
            made.append(st.lists(options(declaration.inner), max_size=3).map(tuple))
        elif word.startswith("*"):
            made.append(_rest(word[1:], unit, declaration.minimum))
        elif found := re.fullmatch(r"(\d+)s", word):
            made.append(st.binary(min_size=int(found[1]), max_size=int(found[1])))
        elif found := re.fullmatch(r"(\d*)([BHIQ])(?:&([0-9a-f]+))?", word):
            mask = int(found[3], 16) if found[3] else None
            made.extend([_integers(BITS[found[2]], mask)] * int(found[1] or 1))
        else:
            assert re.fullmatch(r"\d*x", word), word
    return made


def _agreeing(option: Option) -> Option:
    """The same option with the flags that its address demands."""
    if isinstance(option, Redirect):
        return Redirect(0x8000 if len(option.address) == 16 else 0x4000, option.address)
    if isinstance(option, DelegatedMobileNetworkPrefix):
        return DelegatedMobileNetworkPrefix(0x80 if len(option.prefix) == 4 else 0, option.prefix_length, option.prefix)
    return option


def option_of(declaration: Declaration) -> st.SearchStrategy[Option]:
    """Options of one declared type."""
    return st.builds(declaration.cls, *fields(declaration, SPACES[declaration.space].unit)).map(_agreeing)


def unknown(space: str) -> st.SearchStrategy[Option]:
    """Options with a number that is not declared in the space."""
    known = set(SPACES[space].declarations) | ({0, 1} if SPACES[space].padded else set())
    numbers = st.integers(0, 255).filter(lambda number: number not in known)
    unit = SPACES[space].unit
    return st.builds(UnknownOption, numbers, _rest("", unit, 2))


def options(space: str) -> st.SearchStrategy[Option]:
    """Options of a space, known or not."""
    declared = [option_of(declaration) for declaration in SPACES[space].declarations.values()]
    return st.one_of(*declared, unknown(space))


def message_of(declaration: Declaration, space: str = MOBILITY_OPTIONS.name) -> st.SearchStrategy[Any]:
    """Messages of one declared type with any options of its space."""
    names = [field.name for field in dataclasses.fields(declaration.cls)]
    made = fields(declaration)
    if names[0] == "code":
        made.insert(0, _integers(8))
    if names[-1] == "options":
        made.append(st.lists(options(space), max_size=5).map(tuple))
    return st.builds(declaration.cls, *made)
