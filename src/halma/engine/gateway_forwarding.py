# SPDX-License-Identifier: Apache-2.0
"""The routing state of a gateway's sessions: which prefixes the data plane holds, and what it has yet to answer. RFC 5213
sections 6.9.1.2 (points 12 and 13) and 6.10.5.

Always holds: an outcome counts only for the session that asked for it, and only while that still wants the prefix.
"""

from __future__ import annotations

from halma.engine.api import Bind, ForwardingDone, Severity, Unbind
from halma.engine.binding_update_list import BindingUpdateList, BindingUpdateListEntry
from halma.engine.gateway_context import GatewayContext
from halma.wire.options import HomeNetworkPrefix


class Forwarding:
    """See the module. `bound` and `pending` of an entry are written here alone."""

    def __init__(self, context: GatewayContext, sessions: BindingUpdateList) -> None:
        self._context = context
        self._sessions = sessions
        self._ops: dict[int, bytes] = {}

    def bind(self, entry: BindingUpdateListEntry, prefix: HomeNetworkPrefix) -> None:
        """Let the prefix's packets through the session's tunnel, from and to the link that its node is on now."""
        op = self._context.op()
        self._ops[op] = entry.key
        entry.pending[op] = prefix
        entry.bound[prefix] = entry.interface
        local = self._context.settings.local_routing if entry.profile.local_routing is None else entry.profile.local_routing
        bind = Bind(op, prefix.prefix, prefix.prefix_length, entry.tunnel, entry.interface, local_routing=local)
        self._context.do(bind)

    def unbind(self, entry: BindingUpdateListEntry) -> None:
        """No packets of the session any more."""
        for prefix in list(entry.bound):
            self.unbind_prefix(entry, prefix)

    def unbind_prefix(self, entry: BindingUpdateListEntry, prefix: HomeNetworkPrefix) -> None:
        """No packets of one prefix of the session any more."""
        del entry.bound[prefix]
        for op in [op for op, pending in entry.pending.items() if pending == prefix]:
            del entry.pending[op]
            del self._ops[op]
        self._context.do(Unbind(self._context.op(), prefix.prefix, prefix.prefix_length))

    def done(self, done: ForwardingDone) -> BindingUpdateListEntry | None:
        """The data plane has answered: the session that waited for that, if one did."""
        entry = self._sessions.get(self._ops.pop(done.op, b""))
        if entry is None:
            if done.error:
                self._context.count("unbind_failed")
                text = "the data plane did not do what it was asked for: errno {}"
                self._context.report(Severity.ERROR, "unbind_failed", text, done.error)
            return None
        del entry.pending[done.op]
        if done.error:
            self._context.count("bind_failed")
            text = "the data plane did not take the prefix of node {:node}: errno {}"
            self._context.report(Severity.ERROR, "bind_failed", text, entry.identifier, done.error, peer=entry.anchor)
        return entry
