# SPDX-License-Identifier: Apache-2.0
"""Hooking programs into interfaces: TCX where the kernel has it (6.6), a BPF filter on clsact where not, and native XDP in
front of either where the driver runs it.

On a virtual Ethernet pair XDP would break senders' checksum and segmentation offload, so it is not taken there unless it is
asked for by name.

Always holds: an interface whose `detach` has been called carries nothing of ours; a clsact qdisc that was there before us
stays, and one that we made goes with our last filter.
"""

from __future__ import annotations

import contextlib
import errno

from halma.forwarding.bpf import XDP_FLAG_DRIVER, AttachType, Link, Program
from halma.forwarding.claim import Claim, claim_the_dead
from halma.forwarding.rtnetlink import EGRESS, INGRESS, LinkInformation, RouteNetlink

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
        """Raises OSError."""
        self._netlink, self._interface = netlink, interface
        self._parent = EGRESS if egress else INGRESS
        self._link: Link | None = None
        self._made_qdisc = False
        self._priority = _PRIORITY + claim.number
        if tcx:
            self._link = Link(program, interface, AttachType.TCX_EGRESS if egress else AttachType.TCX_INGRESS)
            return
        self._made_qdisc = netlink.add_clsact(interface)
        while True:
            try:
                name = claim.mark + (_OWN_QDISC if self._made_qdisc else "")
                netlink.add_filter(interface, self._parent, self._priority, program.fd, name)
                return
            except FileExistsError:
                self._priority += 0x10  # another role with the same number
            except OSError:
                if self._made_qdisc:
                    netlink.delete_clsact(interface)
                raise

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


def clean_filters(netlink: RouteNetlink, claim: Claim) -> list[str]:
    """Remove the filters that daemons which have died left on any interface (ours among them: whoever holds `claim` has hooked
    nothing in yet). The names of the interfaces that had some."""
    cleaned = []
    for link in netlink.links():
        qdisc = False
        for found in list(netlink.filters(link.index)):
            mark, _, suffix = found.name.partition(":")
            dead = None if mark == claim.mark else claim_the_dead(mark)
            if dead is None and mark != claim.mark:
                continue
            netlink.delete_filter(link.index, found.parent, found.priority)
            if dead is not None:
                dead.close()
            qdisc = qdisc or bool(suffix)
            cleaned.append(link.name)
        if qdisc and not any(netlink.filters(link.index)):
            netlink.delete_clsact(link.index)
    return sorted(set(cleaned))
