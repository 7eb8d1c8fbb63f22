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
import socket
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Protocol

from halma.engine.api import Bind, BindingKind, Tunnel
from halma.forwarding.checks import PREFIX_LENGTH, refusal
from halma.forwarding.plane import Change, PlaneSettings, Side

_TUNNEL = struct.Struct("=16s16sI28x")
_BINDING = struct.Struct("=III")
_LOCAL_ROUTING, _ROUTED, _RECEIVE_ONLY = 1, 2, 4
"""Flags of a binding (bpf/maps.h)."""
_FLAGS_AT = 32
"""Where a target's flags are in its key, above the access interface."""
_LENGTH = struct.Struct("=I")
_HOME, _NETWORK = 17, 20
"""Octets of the names of home addresses and mobile networks; a home network prefix has 16."""
TUNNELS_WITHOUT_HOMES = 65535
"""As many gateways as an anchor without mobile nodes may have."""
_ZEROS = bytes(8)


def maximum_tunnels(settings: PlaneSettings) -> int:
    """How many tunnels there can be: never more than bindings, and each mobile node may have one of its own."""
    most = settings.maximum_bindings
    return most if settings.home_agent else min(TUNNELS_WITHOUT_HOMES, most)


class Entries(Protocol):
    """What the tables need of a map: `halma.forwarding.bpf.Map` has it, and `DictionaryMap`."""

    def update(self, key: bytes, value: bytes) -> None:
        """Set one entry. Raises OSError."""

    def lookup(self, key: bytes) -> bytes | None:
        """One entry's value, or None."""

    def update_batch(self, keys: bytes, values: bytes) -> int:
        """Set entries in order; answers how many before the first refusal."""

    def delete(self, key: bytes) -> bool:
        """Remove one entry; whether it was there. Raises OSError."""

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

    def delete(self, key: bytes) -> bool:
        """As `Entries` says."""
        return self._held.pop(key, None) is not None

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


def name_of(change: Change) -> bytes:
    """What a binding is called here. The length of the name tells its kind: a home network prefix, or that of a gateway's own
    link, is its 16 octets; a home address has one more; a mobile network is the key of the kernel's longest-prefix match."""
    if change.kind is BindingKind.PROXY or change.kind is BindingKind.LOCAL:
        return change.prefix
    if change.kind is BindingKind.HOME_ADDRESS:
        return change.prefix + b"\0"
    return _LENGTH.pack(change.prefix_length) + change.prefix


def key_of(name: bytes) -> bytes:
    """The key of a binding in the map of its kind."""
    return name[:8] if len(name) == 16 else name[:16] if len(name) == _HOME else name


class Target:
    """What a binding points to: a tunnel, and at a gateway the access interface, with its flags. All bindings with the same
    share one."""

    __slots__ = ("receive_only", "record", "users", "value")

    def __init__(self, record: TunnelRecord, access: int, flags: int) -> None:
        self.record, self.users, self.value = record, 0, _BINDING.pack(record.number, flags, access)
        self.receive_only = bool(flags & _RECEIVE_ONLY)


class TunnelRecord:
    """A tunnel in use: its number in the map, its path MTU, and its targets by access interface and flags."""

    __slots__ = ("destination", "mtu", "number", "targets", "tunnel")

    def __init__(self, tunnel: Tunnel, number: int, mtu: int) -> None:
        self.tunnel, self.number, self.mtu = tunnel, number, mtu
        self.targets: dict[int, Target] = {}
        self.destination = (socket.inet_ntop(socket.AF_INET6, tunnel.remote), 0)  # as a socket wants it

    @property
    def users(self) -> int:
        """How many bindings share the tunnel."""
        return sum(target.users for target in self.targets.values())


class Tables:
    """The tables of a plane."""

    def __init__(
        self,
        settings: PlaneSettings,
        prefixes: Entries,
        tunnels: Entries,
        homes: tuple[Entries, Entries] | None = None,
    ) -> None:
        """`homes` are the maps of home addresses and of mobile networks, None for a plane that knows neither."""
        self._settings, self._prefixes, self._tunnels = settings, prefixes, tunnels
        self._home_maps = homes
        self._hashes = ((8, prefixes),) if homes is None else ((8, prefixes), (16, homes[0]))  # by the octets of a key
        self._lengths: dict[int, int] = {}  # of mobile networks, and how many of each
        self._network_keys: set[bytes] = set()  # a longest-prefix match does not tell whether it holds just this one
        self.homes = 0
        """How many home addresses are bound."""
        self._numbers = iter(range(1, maximum_tunnels(settings) + 1))
        self._released: deque[int] = deque()  # numbers that tunnels had which are gone
        self._records: dict[Tunnel, TunnelRecord] = {}
        self._new: list[TunnelRecord] = []  # of which the kernel does not know yet
        self._by_remote: dict[bytes, TunnelRecord] = {}  # a shorter way to most records than the hash of a Tunnel
        self._nothing = TunnelRecord(Tunnel(bytes(16), bytes(16)), 0, 0)
        self._routed = TunnelRecord(Tunnel(bytes(16), bytes(16)), 0, 0)
        self._bound: dict[bytes, Target] = {}
        self._path_mtus: dict[Tunnel, int] = {}

    def record_of(self, prefix: bytes) -> TunnelRecord | None:
        """What a home network prefix (16 bytes) is bound to; None when it is bound to no tunnel and not dropped either."""
        target = self._bound.get(prefix)
        return None if target is None or target.record is self._routed else target.record

    def is_bound(self, prefix: bytes) -> bool:
        """Whether a home network prefix, or one of a gateway's own link (16 bytes), is bound."""
        return prefix in self._bound

    def record_to(self, address: bytes) -> TunnelRecord | None:
        """Where a packet to an address goes, or at a mobile node one from it: by the home address, the mobile network, or the
        home network prefix; nowhere, where that tunnel only receives."""
        targets = self._home_targets(address)
        if targets:
            return self._nothing if targets[0].receive_only else targets[0].record
        return self.record_of(address[:8] + _ZEROS)

    def records_from(self, address: bytes) -> list[TunnelRecord]:
        """Everything that an address is bound to, in the order of `record_to`: a packet from it may come out of any of these
        tunnels, for a node that comes home is registered by itself and by its gateway for a while."""
        records = [target.record for target in self._home_targets(address)]
        proxy = self.record_of(address[:8] + _ZEROS)
        return records if proxy is None else [*records, proxy]

    def _home_targets(self, address: bytes) -> list[Target]:
        """The targets of a home address and of the narrowest mobile network around it."""
        value = int.from_bytes(address, "big")
        networks = [
            _LENGTH.pack(length) + (value >> (128 - length) << (128 - length)).to_bytes(16, "big")
            for length in sorted(self._lengths, reverse=True)
        ]
        network = next((name for name in networks if name in self._bound), b"")
        targets = [self._bound.get(name) for name in (address + b"\0", network)]
        return [target for target in targets if target is not None]

    def is_nothing(self, record: TunnelRecord) -> bool:
        """Whether packets bound to this record are dropped."""
        return record is self._nothing

    def tunnels(self) -> dict[Tunnel, TunnelRecord]:
        """The tunnels in use."""
        return self._records

    def apply(self, changes: Sequence[Change]) -> list[int]:
        """Carry the changes out, in order, with a constant number of system calls for the whole batch."""
        bound, by_remote, settings = self._bound, self._by_remote, self._settings
        at_gateway = settings.side is Side.GATEWAY
        answers = [0] * len(changes)
        before: list[Target | None] = []  # what each change found
        remember = before.append
        writes: dict[bytes, bytes] = {}
        removals: dict[bytes, None] = {}
        unused: list[Target] = []
        for index, change in enumerate(changes):
            prefix = change.prefix if change.kind is BindingKind.PROXY else name_of(change)
            old = bound.get(prefix)
            remember(old)
            if not isinstance(change, Bind):
                error = self._refusal(change)
                if error:
                    answers[index] = error
                elif old is not None:
                    del bound[prefix]
                    self.homes -= len(prefix) == _HOME
                    old.users -= 1
                    if not old.users:
                        unused.append(old)
                    key = key_of(prefix)
                    writes.pop(key, None)
                    removals[key] = None
                continue
            tunnel, place = change.tunnel, change.access
            if change.local_routing:
                place |= _LOCAL_ROUTING << _FLAGS_AT
            elif change.receive_only:
                place |= _RECEIVE_ONLY << _FLAGS_AT
            if tunnel is None:
                record: TunnelRecord | None = self._nothing
                if change.kind is BindingKind.LOCAL:
                    record = self._routed
                    place |= _ROUTED << _FLAGS_AT
            else:
                record = by_remote.get(tunnel.remote)
                if record is None or record.tunnel.local != tunnel.local:
                    record = self._records.get(tunnel)
            target = None if record is None else record.targets.get(place)
            if (
                target is None
                or old is None
                or change.kind is not BindingKind.PROXY
                or len(prefix) != 16
                or change.prefix_length != PREFIX_LENGTH
                or (at_gateway and not change.access)
            ):
                error = self._refusal(change)
                if not error and target is None:
                    target = self._new_target(record, tunnel, place)
                    error = errno.ENOSPC if target is None else 0
                if error or target is None:
                    answers[index] = error
                    continue
            if target is old:
                continue
            bound[prefix] = target
            target.users += 1
            if old is not None:
                old.users -= 1
                if not old.users:
                    unused.append(old)
            if len(prefix) == 16:
                key = prefix[:8]
            else:
                key = key_of(prefix)
                self.homes += old is None and len(prefix) == _HOME
            writes[key] = target.value
            if removals:
                removals.pop(key, None)
        failed = self._write(writes, removals)
        if failed:
            self._take_back(changes, answers, before, failed, unused)
        for target in unused:
            self._release(target)
        return answers

    def _refusal(self, change: Change) -> int:
        if self._home_maps is None and change.kind in (BindingKind.HOME_ADDRESS, BindingKind.MOBILE_NETWORK):
            return errno.EOPNOTSUPP
        return refusal(change, self._settings)

    def _take_back(
        self,
        changes: Sequence[Change],
        answers: list[int],
        before: list[Target | None],
        failed: dict[bytes, int],
        unused: list[Target],
    ) -> None:
        """The kernel refused what a batch made of some prefixes: it still holds what it held before the batch."""
        seen: set[bytes] = set()
        for index, change in enumerate(changes):
            name = name_of(change)
            error = failed.get(key_of(name))
            if error is None or answers[index]:
                continue
            answers[index] = error
            if name in seen:
                continue
            seen.add(name)
            now, old = self._bound.pop(name, None), before[index]
            if now is not None:
                now.users -= 1
                unused.append(now)
            if old is not None:
                self._bound[name] = old
                old.users += 1
            if len(name) == _HOME:
                self.homes += (old is not None) - (now is not None)

    def _release(self, target: Target) -> None:
        """Forget a target without users, and its tunnel when that was the last one."""
        record = target.record
        if target.users or target not in record.targets.values():
            return
        record.targets = {place: held for place, held in record.targets.items() if held is not target}
        if not record.targets and self._records.get(record.tunnel) is record:
            del self._records[record.tunnel]
            if self._by_remote.get(record.tunnel.remote) is record:
                del self._by_remote[record.tunnel.remote]
            self._released.append(record.number)

    def _write(self, writes: dict[bytes, bytes], removals: dict[bytes, None]) -> dict[bytes, int]:
        """Removals first, for they make room. Answers the keys that the kernel refused, with the errno."""
        failed: dict[bytes, int] = {}
        self._write_tunnels()
        for size, held in self._hashes:
            keys = [key for key in removals if len(key) == size]
            while keys:  # a key that is not there ends a batch: for a table bound and removed at once
                done = held.delete_batch(b"".join(keys))
                keys = keys[done + 1 :]
            chosen = {key: value for key, value in writes.items() if len(key) == size}
            done = held.update_batch(b"".join(chosen), b"".join(chosen.values())) if chosen else 0
            for key, written in list(chosen.items())[done:]:  # the kernel stopped at one: which others it refuses, and why
                try:
                    held.update(key, written)
                except OSError as error:
                    failed[key] = error.errno or errno.EIO
        self._write_networks(writes, removals, failed)
        return failed

    def _write_tunnels(self) -> None:
        """Tunnels that are new, before anything is bound to them. Raises OSError."""
        new, self._new = self._new, []
        if new:
            keys = b"".join(_LENGTH.pack(record.number) for record in new)
            values = b"".join(_TUNNEL.pack(record.tunnel.local, record.tunnel.remote, record.mtu) for record in new)
            if self._tunnels.update_batch(keys, values) < len(new):
                raise OSError(errno.EIO, "the kernel refuses a tunnel")

    def _write_networks(self, writes: dict[bytes, bytes], removals: dict[bytes, None], failed: dict[bytes, int]) -> None:
        """Mobile networks one by one: not every kernel takes these in batches."""
        networks = None if self._home_maps is None else self._home_maps[1]
        if networks is None:
            return
        for key in removals:
            if len(key) == _NETWORK and networks.delete(key):
                self._count_network(key, -1)
        for key, written in writes.items():
            if len(key) != _NETWORK:
                continue
            try:
                networks.update(key, written)
            except OSError as error:
                failed[key] = error.errno or errno.EIO
            else:
                if key not in self._network_keys:
                    self._count_network(key, 1)

    def _count_network(self, key: bytes, change: int) -> None:
        length = _LENGTH.unpack_from(key)[0]
        self._lengths[length] = self._lengths.get(length, 0) + change
        if not self._lengths[length]:
            del self._lengths[length]
        if change > 0:
            self._network_keys.add(key)
        else:
            self._network_keys.discard(key)

    @property
    def networks(self) -> int:
        """How many mobile networks are bound."""
        return len(self._network_keys)

    def _new_target(self, record: TunnelRecord | None, tunnel: Tunnel | None, place: int) -> Target | None:
        """The target for a tunnel at a place (access interface and flags), with a record of the tunnel when it has none; None
        when all the numbers of tunnels are in use."""
        if record is None and tunnel is not None:
            number = next(self._numbers, 0) or (self._released.popleft() if self._released else 0)
            if not number:
                return None
            record = TunnelRecord(tunnel, number, self._path_mtus.get(tunnel, self._settings.path_mtu))
            self._new.append(record)
            self._records[tunnel] = record
            self._by_remote.setdefault(tunnel.remote, record)
        assert record is not None
        target = record.targets[place] = Target(record, place & 0xFFFFFFFF, place >> _FLAGS_AT)
        return target

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
        for key, raw in chain(self._prefixes.items(), *(held.items() for held in self._home_maps or ())):
            number, _, _ = _BINDING.unpack(raw)
            if number not in known:
                held = self._tunnels.lookup(struct.pack("=I", number))
                local, remote, _ = _TUNNEL.unpack(held or bytes(_TUNNEL.size))
                known[number] = Tunnel(local, remote)
            if len(key) == 8:
                yield key + _ZEROS, 64, known[number]
            elif len(key) == _NETWORK:
                yield key[_LENGTH.size :], _LENGTH.unpack_from(key)[0], known[number]
            else:
                yield key, 128, known[number]
