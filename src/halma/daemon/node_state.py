# SPDX-License-Identifier: Apache-2.0
"""What a mobile node remembers over a restart: its last sequence number, which home agent may hold a binding until when, the
secret that its made-up addresses and identifiers come from, and how the settings of its interface were before it changed them.

RFC 6275 section 11.7.1 (sequence numbers are stored), RFC 7217 section 5 (the secret).

Always holds: the file appears whole, and is overwritten by a single write of the same length, a disk's sector as a rule, so a
crash leaves what was there or what was to be there; nobody but its owner can read it.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import msgspec

from halma.daemon.state import boot

SECRET = 16
"""Octets."""
SECTOR = 512
"""Octets that the file is filled up to, or a multiple of them. One of another length has to be replaced, and that would be to
wait for the disk, in the middle of a handover."""


class _Stored(msgspec.Struct):
    secret: str
    sequence: int = 0
    home_agent: str = ""
    expiry: float = 0.0
    boot: str = ""
    settings: dict[str, str] = {}


class NodeState:
    """The file `node-INTERFACE.json` in the state directory. Raises OSError when it cannot be written, and ValueError when it
    is not what this class wrote."""

    def __init__(self, directory: Path, interface: str) -> None:
        self._path = directory / f"node-{interface}.json"
        directory.mkdir(parents=True, exist_ok=True)
        try:
            written = self._path.read_bytes()
            self._length = len(written)
            self._stored = msgspec.json.decode(written, type=_Stored)
            self.secret = bytes.fromhex(self._stored.secret)
            self.home_agent = bytes.fromhex(self._stored.home_agent)
        except FileNotFoundError:
            self.secret, self.home_agent = secrets.token_bytes(SECRET), b""
            # a number that nobody can guess is as good a start as any (RFC 6275 section 11.7.2)
            self._stored = _Stored(self.secret.hex(), secrets.randbelow(1 << 16))
            self._length = 0
            self._write()
        except (msgspec.DecodeError, msgspec.ValidationError, ValueError) as error:
            raise ValueError(f"{self._path}: {error}") from None

    @property
    def sequence(self) -> int:
        """The last sequence number used."""
        return self._stored.sequence & 0xFFFF

    @property
    def expiry(self) -> float:
        """Until when, by the wall clock, `home_agent` may hold a binding."""
        return self._stored.expiry

    @property
    def settings(self) -> dict[str, str]:
        """The kernel's settings (a file, and what was in it) that a former life has changed and not given back."""
        return self._stored.settings if self._stored.boot == boot() else {}

    def keep_settings(self, settings: dict[str, str]) -> None:
        """Write down how the settings are that are going to be changed, or that they are as they were. Raises OSError."""
        self._stored = msgspec.structs.replace(self._stored, boot=boot(), settings=settings)
        self._write()

    def remember(self, sequence: int, home_agent: bytes, expiry: float) -> None:
        """Write down. Raises OSError."""
        self._stored = msgspec.structs.replace(self._stored, sequence=sequence, home_agent=home_agent.hex(), expiry=expiry)
        self._write()

    def _write(self) -> None:
        record = msgspec.json.encode(self._stored)
        record += b" " * (-len(record) % SECTOR)
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC) if len(record) == self._length else None
        except FileNotFoundError:
            descriptor = None
        if descriptor is None:
            self._create(record)
            self._length = len(record)
            return
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            file.write(record)

    def _create(self, record: bytes) -> None:
        beside = self._path.with_suffix(".new")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(record)
        beside.replace(self._path)
