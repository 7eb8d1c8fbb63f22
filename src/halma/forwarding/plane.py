# SPDX-License-Identifier: Apache-2.0
"""The data plane as the rest of Halma sees it: one small interface, whichever mechanism of the kernel is behind it.

A plane belongs to one daemon, which is an anchor or a gateway. It is told which interfaces carry traffic (`attach`), and for
each prefix which tunnel its packets use (`apply`, in batches). `engine.api.Bind` says what a binding means on either side.

Always holds: a packet is encapsulated only for a bound prefix, and decapsulated only when its outer source and destination
are the ends of the tunnel that its inner address is bound to (RFC 5213 sections 5.6.2 and 6.10.5); everything else that
comes in a tunnel is dropped and counted. What a plane makes in the kernel is gone after `close`. When its process is killed,
nothing from an access interface is forwarded outside a tunnel all the same (`BpfPlane` says where not), and the next one
cleans up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Protocol

from halma.engine.api import Bind, Tunnel, Unbind
from halma.value import value

Change = Bind | Unbind


class Side(Enum):
    """Which end of the tunnels this daemon is."""

    ANCHOR = "anchor"
    GATEWAY = "gateway"
    NODE = "node"


class PortKind(Enum):
    """What an interface is to the plane: `NETWORK` faces routers (tunnels, and at an anchor the correspondents too),
    `ACCESS` faces mobile nodes."""

    NETWORK = "network"
    ACCESS = "access"


@value
class PortState:
    """An attached interface and the mechanism that was chosen for it by probing, e.g. `xdp`, `tcx`, `clsact`."""

    interface: int
    name: str
    kind: PortKind
    mechanism: str


@value
class PlaneSettings:
    """What a plane is made for. `addresses` are our tunnel ends (LMAA, or Proxy-CoA); `prefixes` the aggregates that the
    home network prefixes come from (16 bytes, length); `path_mtu` the MTU of the path outside the tunnel (the inner MTU is
    40 less, RFC 2473 section 6.7); `maximum_bindings` bounds the memory of the kernel's tables; `home_agent`
    makes room for home addresses, and keeps signalling behind extension headers from the stack, since it is heard ahead of
    it; `multicast_interface` is what a home agent's groups come from and go to, 0 for none; `device` names the tunnel interface
    (empty: the first of mip0, mip1, ... that is free)."""

    side: Side
    addresses: tuple[bytes, ...]
    prefixes: tuple[tuple[bytes, int], ...]
    path_mtu: int = 1500
    maximum_bindings: int = 65536
    home_agent: bool = False
    multicast_interface: int = 0
    device: str = ""


class Plane(Protocol):
    """A data plane. Every method raises OSError when the kernel refuses, except `apply`, which answers per change."""

    name: str
    on_path_mtu: Callable[[Tunnel, int], None] | None
    """Called, from a thread of the plane, when the path MTU of a tunnel was learnt or forgotten (RFC 5213 section 6.9.5)."""

    def attach(self, interface: int, kind: PortKind) -> PortState:
        """Let an interface carry packets of the plane from now on."""

    def settle(self) -> None:
        """All interfaces that there are have been attached. What a predecessor that crashed left on them is replaced by
        `attach`, so that no packet slips through between the two lives; what it left elsewhere goes now."""

    def detach(self, interface: int) -> None:
        """Undo `attach`; nothing happens if the interface has gone already."""

    def apply(self, changes: Sequence[Change]) -> list[int]:
        """Carry changes out in order and answer each with 0 or an errno. One batch costs a constant number of system
        calls in the BPF planes."""

    def subscribe(self, group: bytes, home_address: bytes) -> None:
        """At a home agent: packets to a multicast group that come in on the multicast interface, or out of a mobile node's
        tunnel, are copied into the tunnel of this home address too, wherever that leads (RFC 6275 section 10.4.2)."""

    def unsubscribe(self, group: bytes, home_address: bytes) -> None:
        """They are not any more; nothing happens if they were not."""

    def allow_listener_reports(self, allowed: bool) -> None:
        """At a mobile node: whether the kernel's reports of multicast groups, which it sends by the device, go into the tunnel
        of the home address (section 11.3.4). At first they do not."""

    def bindings(self) -> Iterable[tuple[bytes, int, Tunnel | None]]:
        """What the kernel holds now, read back from it: prefix, length, tunnel."""

    def tunnels(self) -> dict[Tunnel, int]:
        """The tunnels in use, and how many bindings share each (RFC 5213 section 5.6.1)."""

    def ports(self) -> list[PortState]:
        """The attached interfaces."""

    def set_path_mtu(self, tunnel: Tunnel, mtu: int) -> None:
        """The path to a tunnel's far end has this MTU now (RFC 5213 section 6.9.5)."""

    def routes_changed(self) -> None:
        """Links, neighbours or routes have changed: look next hops up again. The planes notice by themselves; this is for
        whoever knows earlier."""

    def counters(self) -> dict[str, int]:
        """Packets by what became of them, by the names in `COUNTERS`."""

    def notes(self) -> list[str]:
        """Sentences for the operator: what the kernel lacks and what is used instead."""

    def close(self) -> None:
        """Give everything back to the kernel."""


COUNTERS: tuple[str, ...] = (
    "encapsulated",
    "decapsulated",
    "dropped_wrong_outer_source",
    "dropped_unknown_inner",
    "dropped_wrong_inner_source",
    "dropped_bound_to_nothing",
    "dropped_malformed",
    "dropped_congestion_mark",
    "passed_too_big",
    "passed_hop_limit",
    "passed_no_neighbour",
    "passed_unbound",
    "error",
    "dropped_group",
)
