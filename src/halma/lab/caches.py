# SPDX-License-Identifier: Apache-2.0
"""The anchors' two binding caches as they were during a run, and what changed in them (RFC 6612 section 4.2: they are apart).

`halma.lab.cache_recorder` wrote them down. They are what the daemons said of themselves, for people to see beside what was on
the wire: no evidence, and no verdict knows them.

Always holds: an entry is the same one as long as its node and what it is looked up by are the same; time that passes changes
nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from halma.value import value


@value
class Entry:
    """An entry of a cache: `key` is what it is looked up by (home network prefixes, or a home address with the mobile network
    prefixes that go with it), `target` the address that packets are tunnelled to, `left` the seconds until it ends."""

    node: str
    key: tuple[str, ...]
    target: str
    state: str
    left: float | None


@value
class Look:
    """What both caches of an anchor held at a time, or the `fault` for which it did not say."""

    time: float
    anchor: str
    proxy: tuple[Entry, ...] = ()
    home: tuple[Entry, ...] = ()
    fault: str = ""


class Mark(Enum):
    """What has become of an entry since the look before."""

    SAME = "same"
    NEW = "new"
    CHANGED = "changed"
    GONE = "gone"


@value
class Marked:
    """An entry and what has become of it; one that has gone is shown as it was. `before` is what a changed entry was."""

    entry: Entry
    mark: Mark
    before: Entry | None = None


def read(records: Path) -> tuple[Look, ...]:
    """All looks of a run in their order; none where the run wrote none. Raises OSError, ValueError."""
    file = records / "caches.jsonl"
    if not file.exists():
        return ()
    return tuple(_look(json.loads(line)) for line in file.read_text().splitlines())


def _look(told: Mapping[str, Any]) -> Look:
    proxy = tuple(_entry(row, tuple(row["prefixes"]), row["gateway"]) for row in told.get("bindings", ()))
    home = tuple(
        _entry(row, (row["home_address"], *row["prefixes"]), row["care_of_address"]) for row in told.get("home_bindings", ())
    )
    return Look(told["time"], told["anchor"], proxy, home, told.get("fault", ""))


def _entry(row: Mapping[str, Any], key: tuple[str, ...], target: str) -> Entry:
    return Entry(row["node"], key, target, row["state"], row["remaining_seconds"])


def stages(looks: Sequence[Look], anchor: str, since: float, until: float) -> tuple[Look, ...]:
    """What an anchor's caches held one after the other from `since` to `until`: the last look before, a look for each change,
    and the last look. One alone means that nothing changed. None when nobody looked."""
    own = [look for look in looks if look.anchor == anchor]
    before = [look for look in own if look.time <= since][-1:]
    found: list[Look] = []
    for look in [*before, *(look for look in own if since < look.time <= until)]:
        if not found or _lasting(look) != _lasting(found[-1]):
            found.append(look)
    return tuple(found)


def compare(before: Sequence[Entry], after: Sequence[Entry]) -> tuple[Marked, ...]:
    """The entries of a cache, each with what has become of it since before; those that have gone stand at the end."""
    known = {_identity(entry): entry for entry in before}
    found = []
    for entry in after:
        old = known.pop(_identity(entry), None)
        if old is None:
            found.append(Marked(entry, Mark.NEW))
        elif _fields(old) == _fields(entry):
            found.append(Marked(entry, Mark.SAME))
        else:
            found.append(Marked(entry, Mark.CHANGED, old))
    return (*found, *(Marked(entry, Mark.GONE) for entry in known.values()))


def _identity(entry: Entry) -> tuple[str, str]:
    return entry.node, entry.key[0] if entry.key else ""


def _fields(entry: Entry) -> tuple[object, ...]:
    return entry.node, entry.key, entry.target, entry.state


def _lasting(look: Look) -> tuple[object, ...]:
    return tuple(map(_fields, look.proxy)), tuple(map(_fields, look.home)), look.fault
