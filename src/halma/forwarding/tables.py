# SPDX-License-Identifier: Apache-2.0
"""Bindings and tunnels in BPF maps: the values of bpf/maps.h, and the batches that `apply` writes.

A binding points to a tunnel by number, so moving a mobile node to another gateway is one map write. Tunnels are counted by
the bindings that share them and forgotten with the last one (RFC 5213 section 5.6.1).

Always holds: a tunnel's entry is written before any binding points to it, and its number is not given to another tunnel
before all others that are free have been used.
"""

from __future__ import annotations

import errno
import os
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol

from halma.engine.api import Bind, Tunnel
from halma.forwarding.checks import refusal
from halma.forwarding.plane import Change, PlaneSettings, Side

_TUNNEL = struct.Struct("=16s16sI28x")
_BINDING = struct.Struct("=II")
MAXIMUM_TUNNELS = 65535
_ZEROS = bytes(8)


def maximum_tunnels(settings: PlaneSettings) -> int:
    """How many tunnels there can be: never more than bindings."""
    return min(MAXIMUM_TUNNELS, settings.maximum_bindings)


class Entries(Protocol):
    """What the tables need of a map: `halma.forwarding.bpf.Map` has it, and `DictionaryMap`."""

    def update(self, key: bytes, value: bytes) -> None:
        """Set one entry. Raises OSError."""

    def lookup(self, key: bytes) -> bytes | None:
        """One entry's value, or None."""

    def update_batch(self, keys: bytes, values: bytes) -> int:
        """Set entries in order; answers how many before the first refusal."""

    def delete_batch(self, keys: bytes) -> int:
        """Remove entries in order; answers how many before the first that is not there."""

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All entries."""


class DictionaryMap:
    """A map without a kernel, which refuses what the kernel's would refuse."""

    def __init__(self, key_size: int, maximum_entries: int) -> None:
        self._key_size, self._maximum_entries = key_size, maximum_entries
        self._held: dict[bytes, bytes] = {}

    def update(self, key: bytes, value: bytes) -> None:
        """Raises OSError (E2BIG) when it is full."""
        if key not in self._held and len(self._held) >= self._maximum_entries:
            raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))
        self._held[key] = value

    def lookup(self, key: bytes) -> bytes | None:
        """One entry's value, or None."""
        return self._held.get(key)

    def update_batch(self, keys: bytes, values: bytes) -> int:
        """As `Entries` says."""
        total = len(keys) // self._key_size
        size = len(values) // total
        for index in range(total):
            try:
                key = keys[index * self._key_size : (index + 1) * self._key_size]
                self.update(key, values[index * size : (index + 1) * size])
            except OSError:
                return index
        return total

    def delete_batch(self, keys: bytes) -> int:
        """As `Entries` says."""
        total = len(keys) // self._key_size
        for index in range(total):
            if self._held.pop(keys[index * self._key_size : (index + 1) * self._key_size], None) is None:
                return index
        return total

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All entries."""
        yield from list(self._held.items())


class TunnelRecord:
    """A tunnel in use: its number in the map, how many bindings share it, and its path MTU."""

    __slots__ = ("mtu", "number", "tunnel", "users", "values")

    def __init__(self, tunnel: Tunnel, number: int, mtu: int) -> None:
        self.tunnel, self.number, self.mtu, self.users = tunnel, number, mtu, 0
        self.values: dict[int, bytes] = {}  # access interface -> the binding's value in the map

    def value(self, access: int) -> bytes:
        """The map value of a binding to this tunnel."""
        found = self.values.get(access)
        if found is None:
            found = self.values[access] = _BINDING.pack(self.number, access)
        return found


class Tables:
    """The tables of a BPF plane."""

    def __init__(self, settings: PlaneSettings, prefixes: Entries, tunnels: Entries) -> None:
        self._settings, self._prefixes, self._tunnels = settings, prefixes, tunnels
        self._free: deque[int] = deque(range(1, maximum_tunnels(settings) + 1))
        self._records: dict[Tunnel, TunnelRecord] = {}
        self._nothing = TunnelRecord(Tunnel(bytes(16), bytes(16)), 0, 0)
        self._bound: dict[bytes, TunnelRecord] = {}
        self._path_mtus: dict[Tunnel, int] = {}

    def record_of(self, prefix: bytes) -> TunnelRecord | None:
        """What a prefix (16 bytes) is bound to: a record, whose number is 0 for nothing; None when it is not bound."""
        return self._bound.get(prefix)

    def is_nothing(self, record: TunnelRecord) -> bool:
        """Whether packets bound to this record are dropped."""
        return record is self._nothing

    def tunnels(self) -> dict[Tunnel, TunnelRecord]:
        """The tunnels in use."""
        return self._records

    def apply(self, changes: Sequence[Change]) -> list[int]:
        """Carry the changes out, in order, with a constant number of system calls for the whole batch."""
        bound, records, settings = self._bound, self._records, self._settings
        answers = [0] * len(changes)
        at_gateway = settings.side is Side.GATEWAY
        writes: dict[bytes, bytes] = {}
        removals: dict[bytes, None] = {}
        unused: list[TunnelRecord] = []
        before: dict[bytes, TunnelRecord | None] = {}
        indices: dict[bytes, list[int]] | None = None
        for index, change in enumerate(changes):
            prefix = change.prefix
            if change.__class__ is Bind:
                tunnel = change.tunnel
                record = self._nothing if tunnel is None else records.get(tunnel)
                old = bound.get(prefix)
                if record is None or old is None or change.prefix_length != 64 or (at_gateway and not change.access):
                    error = refusal(change, settings)
                    if not error and record is None and tunnel is not None:
                        record = self._new_tunnel(tunnel)
                        error = errno.ENOSPC if record is None else 0
                    if error or record is None:
                        answers[index] = error
                        continue
                if prefix not in before:
                    before[prefix] = old
                key = prefix[:8]
                bound[prefix] = record
                record.users += 1
                if old is not None:
                    old.users -= 1
                    if not old.users:
                        unused.append(old)
                writes[key] = record.values.get(change.access) or record.value(change.access)
                if removals:
                    removals.pop(key, None)
            else:
                error = refusal(change, settings)
                if error:
                    answers[index] = error
                    continue
                old = bound.pop(prefix, None)
                if old is None:
                    continue
                if prefix not in before:
                    before[prefix] = old
                old.users -= 1
                if not old.users:
                    unused.append(old)
                key = prefix[:8]
                writes.pop(key, None)
                removals[key] = None
        failed = self._write(writes, removals)
        if failed:
            indices = {}
            for index, change in enumerate(changes):
                indices.setdefault(change.prefix[:8], []).append(index)
            for key, error in failed.items():
                for index in indices[key]:
                    answers[index] = answers[index] or error
                self._restore(key + _ZEROS, before[key + _ZEROS], unused)
        for record in unused:
            if not record.users and record is not self._nothing and records.get(record.tunnel) is record:
                del records[record.tunnel]
                self._free.append(record.number)
        return answers

    def _restore(self, prefix: bytes, old: TunnelRecord | None, unused: list[TunnelRecord]) -> None:
        """The kernel refused the last change of a prefix: it still holds what it held before the batch."""
        now = self._bound.pop(prefix, None)
        if now is not None:
            now.users -= 1
            unused.append(now)
        if old is not None:
            self._bound[prefix] = old
            old.users += 1

    def _write(self, writes: dict[bytes, bytes], removals: dict[bytes, None]) -> dict[bytes, int]:
        """Removals first, for they make room. Answers the keys that the kernel refused, with the errno."""
        failed: dict[bytes, int] = {}
        if removals:
            keys = list(removals)
            while keys:  # a key that is not there ends a batch: for a table bound and removed at once
                done = self._prefixes.delete_batch(b"".join(keys))
                keys = keys[done + 1 :]
        if writes:
            keys = list(writes)
            while keys:
                done = self._prefixes.update_batch(b"".join(keys), b"".join([writes[key] for key in keys]))
                if done < len(keys):
                    try:
                        self._prefixes.update(keys[done], writes[keys[done]])
                    except OSError as error:
                        failed[keys[done]] = error.errno or errno.EIO
                keys = keys[done + 1 :]
        return failed

    def _new_tunnel(self, tunnel: Tunnel) -> TunnelRecord | None:
        if not self._free:
            return None
        number = self._free.popleft()
        record = TunnelRecord(tunnel, number, self._path_mtus.get(tunnel, self._settings.path_mtu))
        self._tunnels.update(struct.pack("=I", number), _TUNNEL.pack(tunnel.local, tunnel.remote, record.mtu))
        self._records[tunnel] = record
        return record

    def set_path_mtu(self, tunnel: Tunnel, mtu: int) -> None:
        """The MTU of the path outside the tunnel from now on, also when the tunnel is used again later."""
        if mtu == self._settings.path_mtu:
            self._path_mtus.pop(tunnel, None)
        else:
            self._path_mtus[tunnel] = mtu
        record = self._records.get(tunnel)
        if record is not None:
            record.mtu = mtu
            self._tunnels.update(struct.pack("=I", record.number), _TUNNEL.pack(tunnel.local, tunnel.remote, mtu))

    def read_back(self) -> Iterator[tuple[bytes, int, Tunnel | None]]:
        """The bindings as the kernel holds them."""
        known: dict[int, Tunnel | None] = {0: None}
        for key, raw in self._prefixes.items():
            number, _ = _BINDING.unpack(raw)
            if number not in known:
                held = self._tunnels.lookup(struct.pack("=I", number))
                local, remote, _ = _TUNNEL.unpack(held or bytes(_TUNNEL.size))
                known[number] = Tunnel(local, remote)
            yield key + _ZEROS, 64, known[number]
