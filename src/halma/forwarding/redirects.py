# SPDX-License-Identifier: Apache-2.0
"""Keeps the kernel from sending Redirects on home links, with one nftables table.

A packet that a mobile node has sent through the reverse tunnel may leave by the link that the tunnel came in on, or by the home
link on which its source would be a neighbour: a router would tell the node of a better first hop, and the node is not there
(RFC 4861 section 8.2). IPv6 has no setting against it.

Always holds: the table drops Redirects of this machine on those interfaces and nothing else, and goes with `close`; the next
one removes what a crash left.
"""

from __future__ import annotations

from collections.abc import Iterable

from halma.forwarding.nft import OwnTable


class NoRedirects(OwnTable):
    """The table."""

    def __init__(self, role: str, interfaces: Iterable[str]) -> None:
        """Never raises."""
        quoted = ", ".join(f'"{name}"' for name in interfaces)
        rule = f"oifname {{ {quoted} }} icmpv6 type nd-redirect drop"
        without = "the kernel may send Redirects for packets out of reverse tunnels"
        super().__init__(f"{role}redirects", "output", "filter", rule, without)
