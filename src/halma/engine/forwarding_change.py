# SPDX-License-Identifier: Apache-2.0
"""Changes of proxy bindings that wait for the data plane's word (requirement ANC-8: honest answers).

A role begins a change with the requests for the data plane, and gets it back, complete, with the last outcome. Meanwhile the
binding is busy: what comes for it is put behind the change and taken up after it.

Always holds: a binding has one change at a time; every op belongs to one change; at most `QUEUE` requests wait behind one.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from halma.engine.api import Bind, Tunnel, Unbind
from halma.engine.proxy_binding_cache import SESSION_PREFIX_LENGTH, ProxyBinding, prefix_key
from halma.engine.proxy_request import ProxyRequest

QUEUE = 4
"""Requests that may wait behind one change; a gateway sends another only after a second."""


class Purpose(Enum):
    """What a change is for."""

    CREATE = "create"
    MOVE = "move"
    RESTORE = "restore"
    """Back to where the binding was, after a MOVE or DEREGISTER that the data plane refused in part."""
    DEREGISTER = "deregister"
    BLOCK = "block"
    """Stop a session's traffic without being asked by its gateway: a revocation, or a gateway that lost its state."""
    DELETE = "delete"


@dataclass(slots=True, eq=False)
class Change:
    """One change: the request that asked for it, if one did; the tunnel that it leads to; the first errno, 0 for none; whether
    the binding has been revoked meanwhile, and is to go when the data plane is free for it."""

    purpose: Purpose
    binding: ProxyBinding
    request: ProxyRequest | None
    tunnel: Tunnel | None
    outstanding: int
    error: int = 0
    revoked: bool = False
    queued: list[ProxyRequest] = field(default_factory=list)


class Changes:
    """The changes under way; `ops` numbers their parts, no number twice in one daemon."""

    def __init__(self, ops: Iterator[int]) -> None:
        self._ops = ops
        self._by_op: dict[int, Change] = {}
        self._by_binding: dict[ProxyBinding, Change] = {}

    def of(self, binding: ProxyBinding) -> Change | None:
        """The change that a binding is busy with."""
        return self._by_binding.get(binding)

    def bind(
        self, purpose: Purpose, binding: ProxyBinding, tunnel: Tunnel | None, request: ProxyRequest | None = None
    ) -> list[Bind]:
        """Begin a change that binds all prefixes to a tunnel, or to nothing. The binding must not be busy."""
        change = Change(purpose, binding, request, tunnel, len(binding.prefixes))
        self._by_binding[binding] = change
        return [Bind(self._op(change), prefix_key(option), SESSION_PREFIX_LENGTH, tunnel) for option in binding.prefixes]

    def unbind(self, binding: ProxyBinding) -> list[Unbind]:
        """Begin the change that makes the data plane forget all prefixes. The binding must not be busy."""
        change = Change(Purpose.DELETE, binding, None, None, len(binding.prefixes))
        self._by_binding[binding] = change
        return [Unbind(self._op(change), prefix_key(option), SESSION_PREFIX_LENGTH) for option in binding.prefixes]

    def done(self, op: int, error: int) -> Change | None:
        """An outcome has come: the change, if it was the last one of it. The binding is no longer busy then."""
        change = self._by_op.pop(op, None)
        if change is None:
            return None
        change.outstanding -= 1
        if change.purpose is not Purpose.DELETE or error != errno.ENOENT:  # what is not there need not be forgotten
            change.error = change.error or error
        if change.outstanding:
            return None
        del self._by_binding[change.binding]
        return change

    def _op(self, change: Change) -> int:
        op = next(self._ops)
        self._by_op[op] = change
        return op
