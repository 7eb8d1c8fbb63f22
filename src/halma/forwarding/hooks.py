# SPDX-License-Identifier: Apache-2.0
"""Hooking programs into interfaces: TCX where the kernel has it (6.6), a BPF filter on clsact where not, and native XDP in
front of either where the driver runs it.

On a virtual Ethernet pair XDP would break senders' checksum and segmentation offload, so it is not taken there unless it is
asked for by name.

A TCX link goes with the process that made it, a filter on clsact outlives it: what must still hold when a daemon has been
killed is hooked in by clsact.

Always holds: an interface whose `detach` has been called carries nothing of ours; a clsact qdisc that was there before us
stays, and one that we made goes with our last filter; a filter that a daemon which died left on an interface goes only when
ours is in its place, so that nothing gets by in between.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Container, Iterator

from halma.forwarding.bpf import XDP_FLAG_DRIVER, AttachType, Link, Program
from halma.forwarding.claim import Claim, claim_the_dead
from halma.forwarding.rtnetlink import EGRESS, INGRESS, Filter, LinkInformation, RouteNetlink

_PRIORITY = 0x5200
_OWN_QDISC = ":q"
_VIRTUAL = ("veth", "bridge", "vlan", "bond", "tun", "dummy", "macvlan", "ipvlan", "vrf", "vxlan")


def probe_tcx(program: Program, interface: int) -> bool:
    """Whether this kernel has TCX."""
    try:
        Link(program, interface, AttachType.TCX_INGRESS).close()
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):
            return False
        raise
    return True


class Hook:
    """A program on one side of an interface, by TCX or clsact."""

    def __init__(self, netlink: RouteNetlink, claim: Claim, interface: int, program: Program, egress: bool, tcx: bool) -> None:
        """Takes the place of what a daemon that died has left on the interface. Raises OSError."""
        self._netlink, self._interface = netlink, interface
        self._parent = EGRESS if egress else INGRESS
        self._link: Link | None = None
        self._made_qdisc = False
        self._priority = _PRIORITY + claim.number
        if tcx:
            self._link = Link(program, interface, AttachType.TCX_EGRESS if egress else AttachType.TCX_INGRESS)
            clean_interface(netlink, claim, interface)
            return
        left = list(_left_on(netlink, claim, interface))
        made = netlink.add_clsact(interface)
        self._made_qdisc = made or any(_owns_qdisc(found) for found in left)
        while True:
            try:
                name = claim.mark + (_OWN_QDISC if self._made_qdisc else "")
                netlink.add_filter(interface, self._parent, self._priority, program.fd, name)
                break
            except FileExistsError:
                self._priority += 0x10  # a daemon that died, or another role, has the same number
            except OSError:
                if made:
                    netlink.delete_clsact(interface)
                raise
        for found in left:
            netlink.delete_filter(interface, found.parent, found.priority)

    def close(self) -> None:
        """Unhook. The interface may have gone already."""
        if self._link is not None:
            self._link.close()
            return
        with contextlib.suppress(OSError):
            self._netlink.delete_filter(self._interface, self._parent, self._priority)
            if self._made_qdisc and not any(self._netlink.filters(self._interface)):
                self._netlink.delete_clsact(self._interface)


def attach_xdp(program: Program, link: LinkInformation) -> Link:
    """Native XDP on an interface. Raises OSError when its driver has none (generic XDP is slower than tc and not taken)."""
    return Link(program, link.index, AttachType.XDP, XDP_FLAG_DRIVER)


def wants_xdp(link: LinkInformation) -> bool:
    """Whether native XDP is worth trying on an interface without being asked for by name."""
    return link.kind not in _VIRTUAL


def _left_on(netlink: RouteNetlink, claim: Claim, interface: int) -> Iterator[Filter]:
    """The filters on an interface that a daemon which died has left: its mark can be claimed, or it is that of `claim`, whose
    holder has hooked nothing in here."""
    for found in list(netlink.filters(interface)):
        mark = found.name.partition(":")[0]
        dead = None if mark == claim.mark else claim_the_dead(mark)
        if dead is not None:
            dead.close()
        if dead is not None or mark == claim.mark:
            yield found


def _owns_qdisc(found: Filter) -> bool:
    return found.name.endswith(_OWN_QDISC)


def clean_interface(netlink: RouteNetlink, claim: Claim, interface: int) -> bool:
    """Remove what daemons that have died left on an interface on which `claim` has no filter; whether there was any."""
    left = list(_left_on(netlink, claim, interface))
    for found in left:
        netlink.delete_filter(interface, found.parent, found.priority)
    if any(_owns_qdisc(found) for found in left) and not any(netlink.filters(interface)):
        netlink.delete_clsact(interface)
    return bool(left)


def clean_interfaces(netlink: RouteNetlink, claim: Claim, ours: Container[int]) -> list[str]:
    """The same on all interfaces but `ours`. The names of those that had some."""
    links = netlink.links()
    return [link.name for link in links if link.index not in ours and clean_interface(netlink, claim, link.index)]
