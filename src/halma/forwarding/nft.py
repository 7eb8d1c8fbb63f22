# SPDX-License-Identifier: Apache-2.0
"""Running `nft`, and finding the tables that daemons which have died left.

Always holds: what nft says against a command is raised, never printed.
"""

from __future__ import annotations

import json
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
