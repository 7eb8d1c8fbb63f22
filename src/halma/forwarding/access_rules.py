# SPDX-License-Identifier: Apache-2.0
"""The routing rules of a gateway whose packets the kernel's own routing has to bring to the tunnel: the TUN plane's and seg6's.

Rules outlive the process that made them: when a gateway is killed, the rule that drops what is not bound stays, and the tables
of what was bound are empty without the tunnel's device. So nothing gets out; the next gateway makes its own rules first
and removes those of the dead afterwards.

Always holds: between `attach` and `detach` nothing from the interface is routed that no rule of a binding matches, and
neither before `attach` where a gateway that died had the interface.
"""

from __future__ import annotations

import errno
from collections.abc import Container

from halma.engine.api import Bind, BindingKind
from halma.forwarding.claim import Claim, claim_the_dead
from halma.forwarding.rtnetlink import MAIN_TABLE, PROTOCOL, Route, RouteNetlink, Rule

_TABLE, _LOCAL_TABLE = 52130, 52114  # + the claimed number
_BOUND, _REST = 5216, 5232  # + the claimed number, in this order
_TO_TABLE, DROP = 1, 6


def clean_rules(netlink: RouteNetlink, claim: Claim, first: int, ours: Container[Rule] = ()) -> None:
    """Remove the rules that daemons of the role of `claim` which have died left among the 16 priorities from `first` on (one
    for each number that can be claimed), and those with the claim's own number that are not `ours`."""
    for owner, rule in netlink.rules():
        number = rule.priority - first
        if owner != PROTOCOL or not 0 <= number < 16 or rule in ours:
            continue
        dead = None if number == claim.number else claim_the_dead(f"halma_{claim.role}_{number}")
        if dead is not None:
            dead.close()
        if dead is not None or number == claim.number:
            netlink.delete_rule(rule)


def clean_access_rules(netlink: RouteNetlink, claim: Claim, ours: Container[Rule] = ()) -> None:
    """The same for the rules of this file."""
    clean_rules(netlink, claim, _BOUND, ours)
    clean_rules(netlink, claim, _REST, ours)


class AccessRules:
    """The rules. Two tables have a default route into the tunnel; in the second one there are also the prefixes that may be
    talked to directly."""

    def __init__(self, netlink: RouteNetlink, claim: Claim, device: int) -> None:
        """`device` is where packets for the tunnel go. Raises OSError."""
        self._netlink, self._claim, self._number = netlink, claim, claim.number
        self._names: dict[int, str] = {}
        self._bound: dict[bytes, Rule] = {}
        self._direct: set[bytes] = set()
        for first in (_TABLE, _LOCAL_TABLE):
            self._netlink.replace_route(Route(bytes(16), 0, device, first + self._number))

    def _priority(self, base: int) -> int:
        return base + self._number

    def attach(self, interface: int, name: str) -> None:
        """From now on nothing from the interface is forwarded unless it is bound."""
        self._names[interface] = name
        self._netlink.add_rule(self._rest(name))

    def _rest(self, name: str) -> Rule:
        return Rule(self._priority(_REST), interface_name=name, action=DROP)

    def settle(self) -> None:
        """Remove what gateways that died have left, under this number or another one."""
        ours = {self._rest(name) for name in self._names.values()} | set(self._bound.values())
        clean_access_rules(self._netlink, self._claim, ours)

    def detach(self, interface: int) -> None:
        """Remove the interface's rules."""
        name = self._names.pop(interface, None)
        if name is not None:
            self._netlink.delete_rule(self._rest(name))

    def bind(self, change: Bind) -> None:
        """Packets from the prefix on its access interface go to a table with the tunnel, or where everybody's go."""
        prefix, access = change.prefix, change.access
        name = self._names.get(access)
        if name is None:
            raise OSError(errno.ENODEV, "not an access interface of this plane")
        table = (_LOCAL_TABLE if change.local_routing else _TABLE) + self._number
        if change.kind is BindingKind.LOCAL:
            table = MAIN_TABLE
        rule = Rule(self._priority(_BOUND), table, prefix, 64, name, _TO_TABLE)
        held = self._bound.get(prefix)
        if change.local_routing:
            self._netlink.replace_route(Route(prefix, 64, access, _LOCAL_TABLE + self._number))
            self._direct.add(prefix)
        else:
            self._withdraw(prefix)
        if held == rule:
            return
        self._netlink.add_rule(rule)
        if held is not None:
            self._netlink.delete_rule(held)
        self._bound[prefix] = rule

    def unbind(self, prefix: bytes) -> None:
        """Remove the prefix's rule."""
        held = self._bound.pop(prefix, None)
        if held is not None:
            self._netlink.delete_rule(held)
            self._withdraw(prefix)

    def _withdraw(self, prefix: bytes) -> None:
        """The prefix may not be talked to directly any more."""
        if prefix in self._direct:
            self._direct.discard(prefix)
            self._netlink.delete_route(Route(prefix, 64, 0, _LOCAL_TABLE + self._number))

    def close(self) -> None:
        """Remove all of them."""
        for prefix in list(self._bound):
            self.unbind(prefix)
        for interface in list(self._names):
            self.detach(interface)
