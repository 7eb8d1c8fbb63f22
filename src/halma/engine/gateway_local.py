# SPDX-License-Identifier: Apache-2.0
"""Nodes that manage their own mobility: to them the gateway is a plain access router, with a prefix that belongs to their link.
RFC 5213 section 6.14, RFC 4861 section 6.2; requirement GW-6.

Each access link with such nodes gets a /64 of the gateway's access prefix, by its name: a link that comes back has the prefix
that it had, unless another one has taken it meanwhile. The router's link-local address there is one of its own too: with that
of RFC 6543 all gateways would look like one router, and the node would not see that it has moved. The link-layer address
stays the same for all, for it cannot be changed on every kind of link while the link is up.

Always holds: no two links have the same prefix; a prefix is bound as long as its link has such a node, and is advertised only
while it is bound.
"""

from __future__ import annotations

from hashlib import sha256

from halma.engine.api import Bind, BindingKind, ForwardingDone, Severity, Unbind
from halma.engine.constants import AUTOCONFIGURATION_LENGTH
from halma.engine.gateway_advertisement import Advertisements, Terms
from halma.engine.gateway_context import GatewayContext, Timer
from halma.engine.gateway_link import BIND_FAILED, AccessLink, AccessLinks, Attachment, Denial, Until, name_of_link
from halma.wire.icmpv6 import MINIMUM_MTU
from halma.wire.options import HomeNetworkPrefix

VALID_LIFETIME = 7200
"""AdvValidLifetime in seconds: a node that has gone without a word keeps no address longer, and two hours are what a host
believes in any case (RFC 4862 section 5.5.3 e)."""
PREFERRED_LIFETIME = 5400
"""AdvPreferredLifetime in seconds: three of the longest intervals between advertisements."""
ROUTER_LIFETIME = 3
"""AdvDefaultLifetime, in intervals between advertisements (RFC 4861 section 6.2.1)."""
NOT_ENTITLED = Denial("not_entitled", Until.NEW_PROFILE)
NO_PREFIX_LEFT = Denial("no_access_prefix", Until.NEW_ATTACHMENT)


class _LinkPrefix:
    """The prefix of a link. `op` names the Bind that is being carried out (0: none); if not `bound` then, it was refused."""

    __slots__ = ("bound", "link", "op", "prefix")

    def __init__(self, link: AccessLink, prefix: HomeNetworkPrefix) -> None:
        self.link = link
        self.prefix = prefix
        self.op = 0
        self.bound = False


class LocalAccess:
    """See the module. Prefixes are kept by interface, and by the op of a Bind that is being carried out."""

    def __init__(self, context: GatewayContext, links: AccessLinks, advertisements: Advertisements) -> None:
        self._context = context
        self._links = links
        self._advertisements = advertisements
        self._prefixes: dict[int, _LinkPrefix] = {}
        self._ops: dict[int, _LinkPrefix] = {}
        context.on(Timer.BIND, self._bind_again)

    def prefix(self, attachment: Attachment) -> HomeNetworkPrefix | None:
        """The prefix that a node's packets may come from; None when it has none here, or not yet."""
        held = self._prefixes.get(attachment.interface)
        return held.prefix if attachment.local and held is not None and held.bound else None

    def terms(self, attachment: Attachment) -> Terms | None:
        """What a node is told."""
        prefix, link = self.prefix(attachment), self._links.link(attachment.interface)
        if prefix is None or link is None:
            return None
        interval = self._context.settings.advertisement_interval
        router = int(interval * ROUTER_LIFETIME)
        return Terms((prefix,), VALID_LIFETIME, PREFERRED_LIFETIME, router, max(MINIMUM_MTU, link.mtu), interval)

    # ---- nodes come and go ------------------------------------------------------------------------------------------------

    def serve(self, attachment: Attachment) -> None:
        """A node has attached that is not entitled to mobility service, or is to be looked at anew."""
        link = self._links.link(attachment.interface)
        assert link is not None
        if self._context.settings.access_prefix is None:
            attachment.denial = NOT_ENTITLED
            self._context.count("not_entitled")
            return
        held = self._prefixes.get(link.interface)
        if held is None:
            prefix = self._choose(link)
            if prefix is None:
                attachment.denial = NO_PREFIX_LEFT
                self._context.count("no_access_prefix")
                text = "no prefix is left for {}, where node {:node} is: every /64 of the access prefix is on another link"
                self._context.report(Severity.ERROR, "no_access_prefix", text, link.name, attachment.profile.identifier)
                return
            held = self._prefixes[link.interface] = _LinkPrefix(link, prefix)
            self._bind(held)
        attachment.local = True
        attachment.denial = None if held.bound or held.op else BIND_FAILED
        self._context.count("served_locally")
        self._links.readdress(link)
        if held.bound:
            self._advertisements.begin(attachment)

    def leave(self, attachment: Attachment, interface: int) -> None:
        """The node is not on this link any more; nothing happens if it was not served here."""
        link = self._links.link(interface)
        if not attachment.local or link is None:
            return
        attachment.local = False
        if not link.locals():
            held = self._prefixes.pop(interface)
            self._ops.pop(held.op, None)
            self._context.disarm(Timer.BIND, name_of_link(interface))
            prefix = held.prefix
            self._context.do(Unbind(self._context.op(), prefix.prefix, prefix.prefix_length, BindingKind.LOCAL))

    def retry(self, identifier: bytes) -> int:
        """An administrative action: look again at this node (empty: at all) if it was denied; for how many that was done."""
        asked = 0
        for attachment in self._links:
            denied = attachment.denial is not None and not attachment.profile.proxy_mobility
            if denied and identifier in (b"", attachment.profile.identifier):
                if attachment.local:
                    self._bind_again(name_of_link(attachment.interface))
                else:
                    self.serve(attachment)
                asked += 1
        return asked

    def _choose(self, link: AccessLink) -> HomeNetworkPrefix | None:
        """A /64 that no other link has."""
        access_prefix = self._context.settings.access_prefix
        assert access_prefix is not None
        taken = {held.prefix.prefix for held in self._prefixes.values()}
        count = 1 << (AUTOCONFIGURATION_LENGTH - access_prefix.length)
        first = int.from_bytes(access_prefix.address[:8], "big")
        start = int.from_bytes(sha256(link.name.encode()).digest()[:8], "big")
        for step in range(min(count, len(taken) + 1)):
            prefix = (first + (start + step) % count).to_bytes(8, "big") + bytes(8)
            if prefix not in taken:
                return HomeNetworkPrefix(AUTOCONFIGURATION_LENGTH, prefix)
        return None

    # ---- the data plane -----------------------------------------------------------------------------------------------------

    def _bind(self, held: _LinkPrefix) -> None:
        held.op = self._context.op()
        self._ops[held.op] = held
        prefix, interface = held.prefix, held.link.interface
        self._context.do(Bind(held.op, prefix.prefix, prefix.prefix_length, None, interface, BindingKind.LOCAL))

    def forwarding_done(self, done: ForwardingDone) -> bool:
        """The data plane has answered; whether that was about a prefix of ours."""
        held = self._ops.pop(done.op, None)
        if held is None:
            return False
        held.op, held.bound = 0, not done.error
        for attachment in held.link.locals():
            attachment.denial = BIND_FAILED if done.error else None
            if not done.error:
                self._advertisements.begin(attachment)
        if done.error:
            self._context.count("bind_failed")
            text = "the data plane did not take the prefix of {}: errno {}"
            self._context.report(Severity.ERROR, "bind_failed", text, held.link.name, done.error)
            again = self._context.now.monotonic + self._context.settings.retry_interval
            self._context.arm_at(Timer.BIND, name_of_link(held.link.interface), again)
        return True

    def _bind_again(self, name: bytes) -> None:
        held = self._prefixes[int(name)]
        if not held.op and not held.bound:
            self._context.disarm(Timer.BIND, name)
            self._bind(held)
