# SPDX-License-Identifier: Apache-2.0
"""Running `nft`, the tables that a daemon of ours makes, and those that daemons which have died left.

Always holds: what nft says against a command is raised, never printed; an `OwnTable` goes with `close`, and what a crash left
goes when the next one is made.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess

from halma.forwarding.claim import Claim, claim_the_dead

_SECONDS = 30


def nft(*arguments: str, text: str = "") -> str:
    """Run nft in the current network namespace; what it printed. Raises subprocess.SubprocessError and OSError."""
    done = subprocess.run(["nft", *arguments], input=text, check=True, capture_output=True, text=True, timeout=_SECONDS)
    return done.stdout


def tables_of_the_dead(own: Claim) -> list[str]:
    """The tables of family ip6 whose marks no living daemon holds, or that carry the mark of `own`, whose holder has just begun
    and has made none."""
    found = []
    for entry in json.loads(nft("-j", "list", "tables", "ip6")).get("nftables", ()):
        name = entry.get("table", {}).get("name", "")
        dead = None if name == own.mark else claim_the_dead(name)
        if dead is not None:
            dead.close()
        if dead is not None or name == own.mark:
            found.append(name)
    return found


_TABLE = """
table ip6 {mark} {{
    chain {hook} {{
        type filter hook {hook} priority {priority}; policy accept;
        {rules}
    }}
}}
"""


class OwnTable:
    """A table of family ip6 with one chain that drops something, while it is open. `notes` says so when there can be none."""

    def __init__(self, role: str, hook: str, priority: str, rules: str, without: str) -> None:
        """`without` is a clause that tells what may happen where there can be none. Never raises: a daemon without nft works,
        and says what it lacks."""
        self._claim: Claim | None = None
        self._notes: list[str] = []
        if shutil.which("nft") is None:
            self._notes.append(f"nft is not installed: {without}")
            return
        try:
            self._claim = Claim(role)
            for table in tables_of_the_dead(self._claim):
                nft("delete", "table", "ip6", table)
            nft("-f", "-", text=_TABLE.format(mark=self.table, hook=hook, priority=priority, rules=rules))
        except (OSError, subprocess.SubprocessError) as error:
            said = error.stderr.strip().splitlines()[:1] if isinstance(error, subprocess.CalledProcessError) else [str(error)]
            self._notes.append(f"no nftables here ({' '.join(said)}): {without}")
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
