# SPDX-License-Identifier: Apache-2.0
"""The interfaces of a plane to which the kernel's own routing brings packets: the TUN plane's and seg6's.

Always holds: an access interface has its rules before it counts as attached, and nothing is left on it that a daemon which died
had hooked in.
"""

from __future__ import annotations

import contextlib
import errno

from halma.forwarding.access_rules import AccessRules
from halma.forwarding.claim import Claim
from halma.forwarding.hooks import clean_interface, clean_interfaces
from halma.forwarding.plane import PortKind, PortState
from halma.forwarding.rtnetlink import RouteNetlink


class RoutedPorts:
    """The interfaces. A network port needs nothing; an access port has its part of `rules`, which only a gateway has."""

    def __init__(self, netlink: RouteNetlink, claim: Claim, mechanism: str, rules: AccessRules | None) -> None:
        self._netlink, self._claim, self._mechanism, self._rules = netlink, claim, mechanism, rules
        self._ports: dict[int, PortState] = {}

    def attach(self, interface: int, kind: PortKind) -> PortState:
        """See `Plane.attach`."""
        link = self._netlink.link(interface)
        if kind is PortKind.ACCESS:
            if self._rules is None:
                raise OSError(errno.EINVAL, f"{link.name}: an anchor has no access interfaces")
            self._netlink.delete_our_routes(interface)
            self._rules.attach(interface, link.name)
        clean_interface(self._netlink, self._claim, interface)
        self._ports[interface] = PortState(interface, link.name, kind, self._mechanism)
        return self._ports[interface]

    def settle(self) -> None:
        """Remove the rules, and the filters of another kind of plane, that daemons which have died left."""
        if self._rules is not None:
            self._rules.settle()
        clean_interfaces(self._netlink, self._claim, self._ports)

    def detach(self, interface: int) -> None:
        """Undo `attach`; the interface may have gone."""
        state = self._ports.pop(interface, None)
        if state is not None and state.kind is PortKind.ACCESS and self._rules is not None:
            with contextlib.suppress(OSError):
                self._netlink.delete_our_routes(interface)
            self._rules.detach(interface)

    def states(self) -> list[PortState]:
        """The attached interfaces."""
        return list(self._ports.values())

    def close(self) -> None:
        """Detach all of them."""
        for interface in list(self._ports):
            self.detach(interface)
