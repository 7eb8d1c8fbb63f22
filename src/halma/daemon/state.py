# SPDX-License-Identifier: Apache-2.0
"""The little that a daemon remembers over a restart: its Restart Counter, and the peers that it had sessions with.

RFC 5847 section 3.2: the counter is preserved across reboots and grows each time that sessions are lost; peers of the former
life are told so at once.

Always holds: the file is replaced as a whole, so a crash leaves the old one or the new one; nothing in it is a secret.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

Peers = tuple[tuple[bytes, bytes], ...]
BOOT = Path("/proc/sys/kernel/random/boot_id")


def boot() -> str:
    """Which run of the kernel this is. What it was told is forgotten with it."""
    return BOOT.read_text().strip()


class _Stored(msgspec.Struct):
    restart_counter: int = 0
    peers: tuple[tuple[str, str], ...] = ()


class State:
    """The state file of one daemon: `<role>.json` in its state directory, which is made when it is missing. Raises OSError
    when it cannot be written, and ValueError when it is not what this class wrote."""

    def __init__(self, directory: Path, role: str) -> None:
        self._path = directory / f"{role}.json"
        directory.mkdir(parents=True, exist_ok=True)
        try:
            stored = msgspec.json.decode(self._path.read_bytes(), type=_Stored)
        except FileNotFoundError:
            stored = _Stored()
        except msgspec.DecodeError as error:
            raise ValueError(f"{self._path}: {error}") from None
        self.restart_counter = (stored.restart_counter + 1) & 0xFFFFFFFF
        """Of this life: one more than that of the last, since its sessions are lost."""
        self.former_peers: Peers = tuple((bytes.fromhex(local), bytes.fromhex(peer)) for local, peer in stored.peers)
        """(our address, theirs) of the sessions of the last life."""
        self._peers = self.former_peers
        self._write()

    def remember(self, peers: Peers) -> None:
        """These are the peers with sessions now. Written only when they have changed."""
        if peers != self._peers:
            self._peers = peers
            self._write()

    def _write(self) -> None:
        peers = tuple((local.hex(), peer.hex()) for local, peer in self._peers)
        beside = self._path.with_suffix(".new")
        with beside.open("wb") as file:
            file.write(msgspec.json.encode(_Stored(self.restart_counter, peers)))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
