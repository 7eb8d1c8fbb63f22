# SPDX-License-Identifier: Apache-2.0
"""How the access interfaces of a gateway were before it changed them, kept over a crash in its state directory: the next life
gives them back as they were, and not as it found them.

A file for each interface, so that a gateway with many hosts writes little when one comes.

Always holds: what is known here was written down before the interface was changed; nothing is known of interfaces of before
the machine last booted, for the kernel has forgotten them too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from halma.daemon.state import boot
from halma.netio.access_interface import Original


class _Stored(msgspec.Struct):
    boot: str
    original: Original


class OriginalInterfaces:
    """The directory `<role>-access` in the state directory, which is made when it is missing. Raises OSError."""

    def __init__(self, directory: Path, role: str) -> None:
        self._directory = directory / f"{role}-access"
        self._directory.mkdir(parents=True, exist_ok=True)
        self._boot = boot()
        self._known: dict[int, Original] = {}
        for file in self._directory.iterdir():
            with contextlib.suppress(msgspec.DecodeError):  # it was not whole when the life ended: nothing was changed yet
                stored = msgspec.json.decode(file.read_bytes(), type=_Stored)
                if stored.boot == self._boot:
                    self._known[stored.original.interface] = stored.original
                    continue
            file.unlink()

    def of(self, interface: int) -> Original | None:
        """What a former life has written down of an interface and not given back."""
        return self._known.get(interface)

    def keep(self, original: Original) -> None:
        """Write down. (Not against a fall of the machine, which ends the interface's settings as well.) Raises OSError."""
        self._known[original.interface] = original
        self._file(original.interface).write_bytes(msgspec.json.encode(_Stored(self._boot, original)))

    def forget(self, interface: int) -> None:
        """It has been given back, or has gone."""
        self._known.pop(interface, None)
        with contextlib.suppress(OSError):
            self._file(interface).unlink()

    def retain(self, here: Iterable[int]) -> None:
        """Forget all interfaces but those that are here."""
        for gone in set(self._known) - set(here):
            self.forget(gone)

    def _file(self, interface: int) -> Path:
        return self._directory / f"{interface}.json"
