# SPDX-License-Identifier: Apache-2.0
"""Keeps the kernel from sending Redirects on home links, with one nftables table.

A packet that a mobile node has sent through the reverse tunnel may leave by the link that the tunnel came in on, or by the home
link on which its source would be a neighbour: a router would tell the node of a better first hop, and the node is not there
(RFC 4861 section 8.2). IPv6 has no setting against it.

Always holds: the table drops Redirects of this machine on those interfaces and nothing else, and goes with `close`; the next
one removes what a crash left.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterable

from halma.forwarding.claim import Claim
from halma.forwarding.nft import nft, tables_of_the_dead

_TABLE = """
table ip6 {mark} {{
    chain output {{
        type filter hook output priority filter; policy accept;
        oifname {{ {interfaces} }} icmpv6 type nd-redirect drop
    }}
}}
"""


class NoRedirects:
    """The table, while it is open. `notes` says so when there can be none."""

    def __init__(self, role: str, interfaces: Iterable[str]) -> None:
        """Never raises: a daemon without nft works, and says what it lacks."""
        self._claim: Claim | None = None
        self._notes: list[str] = []
        if shutil.which("nft") is None:
            self._notes.append("nft is not installed: the kernel may send Redirects for packets out of reverse tunnels")
            return
        try:
            self._claim = Claim(f"{role}redirects")
            for table in tables_of_the_dead(self._claim):
                nft("delete", "table", "ip6", table)
            quoted = ", ".join(f'"{name}"' for name in interfaces)
            nft("-f", "-", text=_TABLE.format(mark=self._claim.mark, interfaces=quoted))
        except (OSError, subprocess.SubprocessError) as error:
            said = error.stderr.strip().splitlines()[:1] if isinstance(error, subprocess.CalledProcessError) else [str(error)]
            self._notes.append(
                f"no nftables here ({' '.join(said)}): the kernel may send Redirects for packets out of reverse tunnels"
            )
            self._release()

    def notes(self) -> list[str]:
        """Sentences for the operator."""
        return list(self._notes)

    def close(self) -> None:
        """Remove the table."""
        if self._claim is not None:
            with contextlib.suppress(OSError, subprocess.SubprocessError):  # it may have gone already, with all tables
                nft("delete", "table", "ip6", self._claim.mark)
            self._release()

    def _release(self) -> None:
        if self._claim is not None:
            self._claim.close()
            self._claim = None
