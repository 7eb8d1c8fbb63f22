# SPDX-License-Identifier: Apache-2.0
"""Which node has which prefix of the anchor's pools, written down for the next life: a journal in the state directory.

A line for each change, the last one of a prefix holds. Once there are many more lines than prefixes, the file is written anew.

Always holds: a crash while writing loses nothing but the last lines; the file has a bounded number of lines for each prefix
that is assigned. What the machine had not brought to its disk when it fell is lost: then a gateway's wish is refused, and no
node gets another's prefix while that one is registered.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

LINES_FOR_ONE = 2
LINES_AT_LEAST = 1024
"""Lines for each prefix, and beside them, before the file is written anew."""


class AssignmentJournal:
    """The file `<role>-assignments`. `assignments` has what holds: prefix (16 bytes, a /64) and the node's identifier. One
    thread at a time may use it. Raises OSError."""

    def __init__(self, directory: Path, role: str) -> None:
        self._path = directory / f"{role}-assignments"
        self.assignments: dict[bytes, bytes] = {}
        self._lines = 0
        with contextlib.suppress(FileNotFoundError):
            self._read(self._path.read_bytes())
        self._rewrite()

    def _read(self, data: bytes) -> None:
        whole, _, _ = data.rpartition(b"\n")  # what follows was not written to its end
        for line in whole.split(b"\n"):
            with contextlib.suppress(ValueError):  # of a machine that fell while it wrote
                prefix, _, identifier = line.decode("ascii").partition(" ")
                self._take(bytes.fromhex(prefix), bytes.fromhex(identifier))

    def _take(self, prefix: bytes, identifier: bytes) -> None:
        if identifier:
            self.assignments[prefix] = identifier
        else:
            self.assignments.pop(prefix, None)

    def write(self, changes: Mapping[bytes, bytes]) -> None:
        """Write down the node of each prefix, or nothing for one that is nobody's. Raises OSError; what was to be written is
        written with the next changes then."""
        for prefix, identifier in changes.items():
            self._take(prefix, identifier)
        self._lines += len(changes)
        if self._lines > LINES_FOR_ONE * len(self.assignments) + LINES_AT_LEAST:
            self._rewrite()
            return
        try:
            with self._path.open("ab") as file:
                file.write(_lines(changes))
        except OSError:
            self._lines = 1 << 62  # half a line may be there: the whole file is to be written anew
            raise

    def _rewrite(self) -> None:
        beside = self._path.with_suffix(".new")
        with beside.open("wb") as file:
            file.write(_lines(self.assignments))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
        self._lines = len(self.assignments)


def _lines(assignments: Mapping[bytes, bytes]) -> bytes:
    return "".join(f"{prefix.hex()} {identifier.hex()}\n" for prefix, identifier in assignments.items()).encode("ascii")
