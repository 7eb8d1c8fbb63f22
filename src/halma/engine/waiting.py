# SPDX-License-Identifier: Apache-2.0
"""A request that may be a handoff waits for the old gateway's word: RFC 5213 sections 5.4.1.2 and 5.4.1.3, RFC 5846 section
8.1.

Always holds: the request that waits was in order when it came (RFC 5213 section 5.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from halma.engine.proxy_binding_cache import ProxyBinding
from halma.engine.proxy_request import ProxyRequest
from halma.value import value


@dataclass(slots=True, eq=False)
class Waiting:
    """A request that waits for the de-registration of the node's only session (sections 5.4.1.2 rule 4, 5.4.1.3 rule 3).
    `asked` says that the session's gateway was asked on its behalf whether the node has left."""

    binding: ProxyBinding
    request: ProxyRequest
    asked: bool = False


@value
class HasLeft:
    """The subject of the indication that asks a session's gateway whether its node has left (RFC 5846 section 8.1)."""

    binding: ProxyBinding


class Standing(Enum):
    """What is known of a request beside what it says."""

    NEW = "new"
    HANDED_OVER = "handed over"
    """The session that it waited for has been given up. It was in order when it came; the de-registration may be newer."""
    IN_VAIN = "in vain"
    """The session that it waited for was not given up."""
