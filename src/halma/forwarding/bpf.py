# SPDX-License-Identifier: Apache-2.0
"""The bpf(2) system call by ctypes: maps, programs, links. Neither libbpf nor a compiler is needed at run time.

Always holds: every file descriptor made here is owned by one object and given back by its `close`; a link that is closed, or
whose process dies, detaches its program.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import struct
from collections.abc import Iterator
from enum import IntEnum

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_SYSTEM_CALL = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "ppc64le": 361, "s390x": 351}
_NUMBER = _SYSTEM_CALL.get(os.uname().machine, -1)
_ATTRIBUTE_SIZE = 128

MAP_CREATE, MAP_LOOKUP, MAP_UPDATE, MAP_DELETE = 0, 1, 2, 3
PROGRAM_LOAD, PROGRAM_TEST_RUN, PROGRAM_QUERY = 5, 10, 16
MAP_LOOKUP_BATCH, MAP_UPDATE_BATCH, MAP_DELETE_BATCH = 24, 26, 27
LINK_CREATE = 28

XDP_FLAG_DRIVER = 4
TEST_RUN_LIVE_FRAMES = 2
_BATCH = 1 << 16


class MapType(IntEnum):
    """The kinds of map that the loader treats specially."""

    HASH = 1
    ARRAY = 2
    PERCPU_ARRAY = 6


class ProgramType(IntEnum):
    """What a program is run for."""

    CLASSIFIER = 3
    XDP = 6


class AttachType(IntEnum):
    """Where a link hooks a program in."""

    XDP = 37
    TCX_INGRESS = 46
    TCX_EGRESS = 47


def call(command: int, attribute: bytes | bytearray) -> tuple[int, bytes]:
    """bpf(2): its result and the attribute as the kernel left it. Raises OSError (ENOSYS on a machine whose number for it is
    not known here)."""
    buffer = ctypes.create_string_buffer(bytes(attribute), _ATTRIBUTE_SIZE)
    result = _libc.syscall(_NUMBER, command, buffer, _ATTRIBUTE_SIZE)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"bpf command {command}: {os.strerror(number)}")
    return result, buffer.raw


def lift_memory_limit() -> None:
    """Kernels before 5.11 count maps as locked memory; lift that limit where we may."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def possible_processors() -> int:
    """How many values a per-CPU map has for each key (not the number of processors that are present)."""
    with open("/sys/devices/system/cpu/possible", encoding="ascii") as file:
        return max(int(part.split("-")[-1]) for part in file.read().strip().split(",")) + 1


def _address(buffer: ctypes.Array[ctypes.c_char]) -> int:
    return ctypes.addressof(buffer)


class Map:
    """A map. Keys and values are `bytes`; a per-CPU value is all processors' values, each padded to 8 bytes."""

    def __init__(self, name: str, kind: int, key_size: int, value_size: int, maximum_entries: int, flags: int = 0) -> None:
        """Raises OSError (EPERM without the capability, E2BIG or ENOMEM for too much)."""
        self.name, self.kind, self.key_size, self.value_size = name, kind, key_size, value_size
        self.maximum_entries = maximum_entries
        lift_memory_limit()
        attribute = struct.pack("=7I16s", kind, key_size, value_size, maximum_entries, flags, 0, 0, name.encode()[:15])
        self.fd, _ = call(MAP_CREATE, attribute)
        if kind == MapType.PERCPU_ARRAY:
            self.stored_size = ((value_size + 7) & ~7) * possible_processors()
        else:
            self.stored_size = value_size

    def _one(self, command: int, key: bytes, value: ctypes.Array[ctypes.c_char] | None) -> None:
        held = ctypes.create_string_buffer(key, self.key_size)
        call(command, struct.pack("=IxxxxQQQ", self.fd, _address(held), _address(value) if value is not None else 0, 0))

    def update(self, key: bytes, value: bytes) -> None:
        """Set one entry. Raises OSError (E2BIG when the map is full), and ValueError for a value that is not of the map's size,
        beyond whose end the kernel would read."""
        if len(value) != self.stored_size:
            raise ValueError(f"a value of map {self.name} has {self.stored_size} octets, not {len(value)}")
        self._one(MAP_UPDATE, key, ctypes.create_string_buffer(value, len(value)))

    def lookup(self, key: bytes) -> bytes | None:
        """One entry's value, or None."""
        value = ctypes.create_string_buffer(self.stored_size)
        try:
            self._one(MAP_LOOKUP, key, value)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        return value.raw

    def delete(self, key: bytes) -> bool:
        """Remove one entry; whether it was there."""
        try:
            self._one(MAP_DELETE, key, None)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return False
            raise
        return True

    def update_batch(self, keys: bytes, values: bytes) -> int:
        """Set many entries in order with one system call for each 65536; answers how many were set, fewer than all when the
        kernel refused the next one."""
        return self._batch(MAP_UPDATE_BATCH, keys, values)

    def delete_batch(self, keys: bytes) -> int:
        """Remove many entries in order; answers how many were removed before one was not there."""
        return self._batch(MAP_DELETE_BATCH, keys, b"")

    def _batch(self, command: int, keys: bytes, values: bytes) -> int:
        total, done = len(keys) // self.key_size, 0
        held_keys, held_values = (
            ctypes.create_string_buffer(keys, len(keys)),
            ctypes.create_string_buffer(values, len(values) or 1),
        )
        while done < total:
            count = min(_BATCH, total - done)
            attribute = struct.pack(
                "=QQQQIIQQ",
                0,
                0,
                _address(held_keys) + done * self.key_size,
                _address(held_values) + done * self.value_size if values else 0,
                count,
                self.fd,
                0,
                0,
            )
            buffer = ctypes.create_string_buffer(attribute, _ATTRIBUTE_SIZE)
            result = _libc.syscall(_NUMBER, command, buffer, _ATTRIBUTE_SIZE)
            if result < 0:
                number = ctypes.get_errno()
                if number == errno.EFAULT:
                    raise OSError(number, os.strerror(number))
                return done + int(struct.unpack_from("=I", buffer, 32)[0])
            done += count
        return done

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All entries of a hash map, read in batches. Entries that change meanwhile may be seen before or after."""
        if self.maximum_entries == 0:
            return
        count = min(4096, max(16, self.maximum_entries))
        keys = ctypes.create_string_buffer(self.key_size * count)
        values = ctypes.create_string_buffer(self.value_size * count)
        cursor, next_cursor = (
            ctypes.create_string_buffer(max(8, self.key_size)),
            ctypes.create_string_buffer(max(8, self.key_size)),
        )
        first = True
        while True:
            attribute = struct.pack(
                "=QQQQIIQQ",
                0 if first else _address(cursor),
                _address(next_cursor),
                _address(keys),
                _address(values),
                count,
                self.fd,
                0,
                0,
            )
            buffer = ctypes.create_string_buffer(attribute, _ATTRIBUTE_SIZE)
            result = _libc.syscall(_NUMBER, MAP_LOOKUP_BATCH, buffer, _ATTRIBUTE_SIZE)
            number = ctypes.get_errno() if result < 0 else 0
            if number == errno.ENOSPC and count < 1 << 20:  # one bucket holds more than the buffer
                count *= 2
                keys = ctypes.create_string_buffer(self.key_size * count)
                values = ctypes.create_string_buffer(self.value_size * count)
                continue
            if number not in (0, errno.ENOENT):
                raise OSError(number, os.strerror(number))
            got = int(struct.unpack_from("=I", buffer, 32)[0])
            raw_keys, raw_values = keys.raw, values.raw
            for i in range(got):
                yield (
                    raw_keys[i * self.key_size : (i + 1) * self.key_size],
                    raw_values[i * self.value_size : (i + 1) * self.value_size],
                )
            if number == errno.ENOENT:
                return
            cursor.raw, first = next_cursor.raw, False

    def locked_bytes(self) -> int:
        """The memory that the kernel accounts to the map."""
        with open(f"/proc/self/fdinfo/{self.fd}", encoding="ascii") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("memlock")), 0)

    def close(self) -> None:
        """Give the map back; programs that use it keep it alive."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Link:
    """A program hooked to an interface by bpf_link."""

    def __init__(self, program: Program, interface: int, kind: AttachType, flags: int = 0) -> None:
        """Raises OSError: EINVAL where the kernel does not know the kind, EOPNOTSUPP where the driver cannot, EBUSY where
        another program has the place."""
        self.fd, _ = call(LINK_CREATE, struct.pack("=IIIIQQQ", program.fd, interface, kind, flags, 0, 0, 0))

    def close(self) -> None:
        """Unhook the program."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def hooked(interface: int, kind: AttachType) -> int:
    """How many programs are hooked into an interface of the calling thread's namespace by TCX, whoever did it. Raises OSError:
    EINVAL where the kernel does not know the kind."""
    _, answer = call(PROGRAM_QUERY, struct.pack("=IIIIQI", interface, kind, 0, 0, 0, 0))
    return int(struct.unpack_from("=I", answer, 24)[0])


class Program:
    """A loaded program."""

    def __init__(self, name: str, kind: ProgramType, code: bytes, licence: bytes) -> None:
        """Raises OSError; when the verifier refuses, its last words are in the message."""
        self.name, self.kind = name, kind
        instructions = ctypes.create_string_buffer(code, len(code))
        held_licence = ctypes.create_string_buffer(licence)

        def attribute(level: int, log: ctypes.Array[ctypes.c_char] | None) -> bytes:
            return struct.pack(
                "=IIQQIIQII16sII",
                kind,
                len(code) // 8,
                _address(instructions),
                _address(held_licence),
                level,
                len(log) if log is not None else 0,
                _address(log) if log is not None else 0,
                0,
                0,
                name.encode()[:15],
                0,
                AttachType.XDP if kind == ProgramType.XDP else 0,
            )

        try:
            self.fd, _ = call(PROGRAM_LOAD, attribute(0, None))
        except OSError as error:
            if error.errno == errno.EPERM:
                raise
            log = ctypes.create_string_buffer(1 << 24)
            try:
                self.fd, _ = call(PROGRAM_LOAD, attribute(1, log))
            except OSError as again:
                words = log.value.decode(errors="replace").strip().splitlines()[-4:]
                raise OSError(again.errno, f"program {name}: {os.strerror(again.errno or 0)}: {' / '.join(words)}") from again

    def test_run(self, data: bytes, repeat: int = 1, live: bool = False, batch: int = 64) -> tuple[int, bytes, int]:
        """BPF_PROG_TEST_RUN: the program's verdict, the packet afterwards, and nanoseconds a run. With `live` the frames are
        really sent on (XDP, Linux 5.18)."""
        packet = ctypes.create_string_buffer(data, len(data))
        out = None if live else ctypes.create_string_buffer(len(data) + 256)
        attribute = struct.pack(
            "=IIIIQQIIIIQQIIII",
            self.fd,
            0,
            len(data),
            len(out) if out is not None else 0,
            _address(packet),
            _address(out) if out is not None else 0,
            repeat,
            0,
            0,
            0,
            0,
            0,
            TEST_RUN_LIVE_FRAMES if live else 0,
            0,
            batch if live else 0,
            0,
        )
        _, answer = call(PROGRAM_TEST_RUN, attribute)
        verdict, _, size = struct.unpack_from("=III", answer, 4)
        nanoseconds = int(struct.unpack_from("=I", answer, 36)[0])
        return int(verdict), out.raw[:size] if out is not None else b"", nanoseconds

    def close(self) -> None:
        """Give the program back; links keep it alive."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
