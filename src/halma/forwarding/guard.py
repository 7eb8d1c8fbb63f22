# SPDX-License-Identifier: Apache-2.0
"""Keeps the kernel from answering Mobility Headers in our place, with one nftables table.

A kernel without MIP6 treats a raw socket whose receive buffer is full as if there were none, and sends ICMPv6 Parameter
Problem (code 1, unrecognised Next Header) to the peer for each Mobility Header that it has to drop: under a flood the peers
would believe that we do not know the protocol. Such an error with code 0 is ours to send (RFC 6275 section 9.2) and passes.

Always holds: the table drops nothing but those errors, and goes with `close`; the next guard removes what a crash left.
"""

from __future__ import annotations

from halma.forwarding.nft import OwnTable

# The error quotes our peer's packet behind its 8 bytes: an IPv6 header whose version is 6 and whose Next Header is 135.
_RULE = "icmpv6 type parameter-problem icmpv6 code 1 @th,64,4 6 @th,112,8 135 drop"


class Guard(OwnTable):
    """The table."""

    def __init__(self, role: str) -> None:
        """Never raises."""
        without = "under a flood the kernel may answer Mobility Headers with Parameter Problem in our place"
        super().__init__(f"{role}guard", "output", "filter", _RULE, without)
