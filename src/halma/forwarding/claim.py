# SPDX-License-Identifier: Apache-2.0
"""Which of the marks in the kernel belong to a daemon that lives.

A daemon claims a number by binding an abstract socket name, which exists once in each network namespace and goes with the
process however it dies. Its filters, tables and rules carry the role and the number, so whoever can claim a number may
clean up everything that is marked with it.

Always holds: two living daemons of a namespace never hold the same role and number.
"""

from __future__ import annotations

import errno
import socket

_NUMBERS = 16


class Claim:
    """A claimed number of a role, until `close`."""

    def __init__(self, role: str, number: int | None = None) -> None:
        """Claim the lowest free number, or the given one. Raises OSError (EADDRINUSE) when none can be had."""
        self.role = role
        for candidate in range(_NUMBERS) if number is None else (number,):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                self._socket.bind(f"\0halma/{role}/{candidate}")
            except OSError as error:
                self._socket.close()
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            self.number = candidate
            return
        raise OSError(errno.EADDRINUSE, f"another {role} holds the marks in this network namespace")

    @property
    def mark(self) -> str:
        """The name that is put on things in the kernel."""
        return f"halma_{self.role}_{self.number}"

    def close(self) -> None:
        """Give the number back."""
        self._socket.close()


def claim_the_dead(mark: str) -> Claim | None:
    """The claim on a mark that no living daemon holds, or None when one does or when it is not a mark of ours."""
    parts = mark.split("_")
    if len(parts) != 3 or parts[0] != "halma" or not parts[2].isdigit():
        return None
    try:
        return Claim(parts[1], int(parts[2]))
    except OSError:
        return None
