# SPDX-License-Identifier: Apache-2.0
"""Keeps the kernel from answering Mobility Headers in our place, with one nftables table.

A kernel without MIP6 treats a raw socket whose receive buffer is full as if there were none, and sends ICMPv6 Parameter
Problem (code 1, unrecognised Next Header) to the peer for each Mobility Header that it has to drop: under a flood the peers
would believe that we do not know the protocol. Such an error with code 0 is ours to send (RFC 6275 section 9.2) and passes.

Always holds: the table drops nothing but those errors, and goes with `close`; the next guard removes what a crash left.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess

from halma.forwarding.claim import Claim
from halma.forwarding.nft import nft, tables_of_the_dead

_TABLE = """
table ip6 {mark} {{
    chain output {{
        type filter hook output priority filter; policy accept;
        icmpv6 type parameter-problem icmpv6 code 1 @th,64,4 6 {quoted} drop
    }}
}}
"""
# The error quotes our peer's packet behind its 8 bytes: an IPv6 header whose Next Header (byte 6) is 135.
_QUOTES_MOBILITY_HEADER = "@th,112,8 135"


class Guard:
    """The table, while it is open. `notes` says so when there can be none."""

    def __init__(self, role: str) -> None:
        """Never raises: a daemon without nft works, and says what it lacks."""
        self._claim: Claim | None = None
        self._notes: list[str] = []
        if shutil.which("nft") is None:
            self._notes.append(
                "nft is not installed: under a flood the kernel may answer Mobility Headers with Parameter Problem in our place"
            )
            return
        try:
            self._claim = Claim(f"{role}guard")
            for table in tables_of_the_dead(self._claim):
                nft("delete", "table", "ip6", table)
            text = _TABLE.format(mark=self.table, quoted=_QUOTES_MOBILITY_HEADER)
            nft("-f", "-", text=text)
        except (OSError, subprocess.SubprocessError) as error:
            said = error.stderr.strip().splitlines()[:1] if isinstance(error, subprocess.CalledProcessError) else [str(error)]
            self._notes.append(
                f"no nftables here ({' '.join(said)}): under a flood the kernel may answer Mobility Headers in our place"
            )
            self._release()

    @property
    def table(self) -> str:
        """The name of the table, or nothing."""
        return "" if self._claim is None else self._claim.mark

    def _release(self) -> None:
        if self._claim is not None:
            self._claim.close()
            self._claim = None

    def notes(self) -> list[str]:
        """Sentences for the operator."""
        return list(self._notes)

    def close(self) -> None:
        """Remove the table."""
        if self._claim is not None:
            with contextlib.suppress(OSError, subprocess.SubprocessError):  # it may have gone already, with all tables
                nft("delete", "table", "ip6", self.table)
            self._release()
