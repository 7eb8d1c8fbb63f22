# SPDX-License-Identifier: Apache-2.0
"""What the parts of a gateway share (`halma.engine.context`), and what its deadlines are for.

Always holds: a deadline is that of one attachment, or of one link, by its key.
"""

from __future__ import annotations

from enum import Enum

from halma.engine.context import Context
from halma.engine.gateway_api import GatewayEffect, GatewaySettings


class Timer(Enum):
    """What a deadline is for."""

    RETRANSMIT = "retransmit"
    REFRESH = "refresh"
    EXPIRE = "expire"
    RETRY = "retry"
    ADVERTISE = "advertise"
    PROBE = "probe"
    PRESENCE = "presence"
    RENEW = "renew"
    SOLICIT = "solicit"
    BIND = "bind"


GatewayContext = Context[GatewaySettings, GatewayEffect, Timer]
"""That of a gateway."""
