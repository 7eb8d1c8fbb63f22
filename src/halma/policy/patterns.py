# SPDX-License-Identifier: Apache-2.0
"""Which pattern names this node? `host1@example.org`, `*@example.org`, `guest-*@example.org`, `*`.

In a pattern `*` stands for any bytes, none included; every other byte stands for itself. Identifiers are compared byte for
byte, case included, so that one node never has two spellings and with them two entitlements.

Always holds: of the patterns that fit an identifier the narrowest wins: the exact one, else the one with the most bytes
besides `*`; of equally narrow ones a plain `*@realm`, else the first. An exact name or a plain `*@realm` costs two dictionary
lookups at most, however many there are; what other patterns gave is remembered for the last identifiers only, so strangers'
names cannot fill the memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")

WILDCARD = b"*"
REMEMBERED = 65536
"""Identifiers whose answer is remembered, where patterns had to be tried one after the other."""


def fits(pattern: bytes, identifier: bytes) -> bool:
    """Whether `pattern` names `identifier`. Costs the product of their lengths at worst."""
    first, *others = pattern.split(WILDCARD)
    if not others:
        return first == identifier
    if not identifier.startswith(first):
        return False
    *middle, last = others
    at, end = len(first), len(identifier) - len(last)
    if end < at or not identifier.endswith(last):
        return False
    for part in middle:
        found = identifier.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def narrowness(pattern: bytes) -> int:
    """How narrow a pattern is: its bytes besides `*`; of two patterns that fit, the greater number wins."""
    return len(pattern) - pattern.count(WILDCARD)


def is_realm(pattern: bytes) -> bool:
    """Whether the pattern is a plain `*@realm`."""
    return pattern.startswith(b"*@") and WILDCARD not in pattern[2:] and b"@" not in pattern[2:]


def overlap(one: bytes, other: bytes) -> bool:
    """Whether some identifier is named by both patterns. Costs the product of their lengths."""
    reach = [True] + [False] * len(other)
    for column, byte in enumerate(other, 1):
        reach[column] = reach[column - 1] and byte == WILDCARD[0]
    for letter in one:
        row = [reach[0] and letter == WILDCARD[0]] + [False] * len(other)
        for column, byte in enumerate(other, 1):
            if WILDCARD[0] in (letter, byte):
                row[column] = row[column - 1] or reach[column]
            else:
                row[column] = letter == byte and reach[column - 1]
        reach = row
    return reach[-1]


class PatternTable(Generic[T]):
    """Values by pattern. Of patterns given twice the first counts."""

    __slots__ = ("_exact", "_known", "_others", "_realms", "_remembered")

    def __init__(self, entries: Iterable[tuple[bytes, T]], remembered: int = REMEMBERED) -> None:
        self._exact: dict[bytes, T] = {}
        self._realms: dict[bytes, T] = {}
        self._others: list[tuple[bytes, T]] = []
        self._known: dict[bytes, T | None] = {}
        self._remembered = remembered
        for pattern, value in entries:
            if WILDCARD not in pattern:
                self._exact.setdefault(pattern, value)
            elif is_realm(pattern):
                self._realms.setdefault(pattern[2:], value)
            else:
                self._others.append((pattern, value))
        self._others.sort(key=lambda entry: -narrowness(entry[0]))  # stable: the first of equals stays first

    def find(self, identifier: bytes) -> T | None:
        """The value of the narrowest pattern that names `identifier`."""
        found = self._exact.get(identifier)
        if found is not None:
            return found
        if not self._others:
            at = identifier.rfind(b"@")
            return self._realms.get(identifier[at + 1 :]) if at >= 0 else None
        try:
            return self._known[identifier]
        except KeyError:
            pass
        found = self._try(identifier)
        if len(self._known) >= self._remembered:
            self._known.clear()
        self._known[identifier] = found
        return found

    def _try(self, identifier: bytes) -> T | None:
        _, at, realm = identifier.rpartition(b"@")
        by_realm = self._realms.get(realm) if at else None
        for pattern, value in self._others:
            if by_realm is not None and narrowness(pattern) <= len(realm) + 1:
                break
            if fits(pattern, identifier):
                return value
        return by_realm
