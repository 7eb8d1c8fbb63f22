# SPDX-License-Identifier: Apache-2.0
"""Constants of the protocols that more than one role goes by: RFC 6275 section 12, RFC 4861 section 10, and what their messages
count in.

Always holds: names and values are those of the RFCs; what an operator may change is in the settings of a role.
"""

from __future__ import annotations

from halma.wire.numbers import MobileNodeIdentifierSubtype

LIFETIME_UNIT = 4
"""Seconds in one unit of a Lifetime field (RFC 6275 section 6.1.7)."""
NAI = int(MobileNodeIdentifierSubtype.NAI)
"""How a Mobile Node Identifier option says that it holds a network access identifier (RFC 4283 section 3.1)."""
AUTOCONFIGURATION_LENGTH = 64
"""The prefix length that stateless address autoconfiguration works with (RFC 4862 section 5.5.3, RFC 4291 section 2.5.1)."""

# ---- RFC 6275 section 12, in seconds ----

INITIAL_BINDACK_TIMEOUT = 1.0
MAX_BINDACK_TIMEOUT = 32.0
MAX_UPDATE_RATE = 3
"""Binding Updates of one node within one second."""

# ---- RFC 4861 section 10, in seconds ----

RETRANS_TIMER = 1.0
"""Between two solicitations of a neighbour, and for how long Duplicate Address Detection listens (RFC 4862 section 5.1)."""
MAX_UNICAST_SOLICIT = 3
"""Solicitations of a neighbour before it counts as gone."""
MAX_NEIGHBOR_ADVERTISEMENT = 3
"""Unsolicited Neighbor Advertisements, one RETRANS_TIMER apart."""
