# SPDX-License-Identifier: Apache-2.0
"""The access router (AR) of a lab: an ordinary IPv6 router that knows nothing of mobility. The kernel forwards; this program
brings an access interface up when one arrives, gives it an address and advertises its prefix (RFC 4861 section 6.2).

    python -m halma.lab.access_router -c FILE

FILE is TOML: `[router]`, with `interval_seconds` between unsolicited advertisements, and an `[[access]]` for each interface
that may arrive: `interface`, `prefix` (a /64).

Always holds: it says READY=1 (sd_notify) before the first interface is there; a Router Solicitation is answered at once, for
what its answer is delayed by in a network (up to half a second) is no property of what a lab is to show.
"""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import struct
import sys
import time
import tomllib
from ipaddress import IPv6Network
from pathlib import Path
from typing import Any

from halma.daemon.notify import Notifier
from halma.lab.processes import run
from halma.netio.netlink import LinkControl, LinkGone, LinkMonitor, LinkState
from halma.wire.addresses import ALL_NODES
from halma.wire.icmpv6 import encode_icmpv6
from halma.wire.nd import PrefixInformation, RouterAdvertisement, SourceLinkLayerAddress
from halma.wire.numbers import PrefixInformationFlag

LINK_LOCAL = IPv6Network("fe80::1/128").network_address.packed
_ROUTER_SOLICITATION = 133
_LIFETIME = 1800
_LETTING_GO = 0.1
"""Seconds that an interface which has arrived stays down. No gap is counted before it is up."""
_ICMPV6_FILTER = 1


class Access:
    """An access interface while it is here. Raises OSError when it goes meanwhile."""

    def __init__(self, state: LinkState, prefix: IPv6Network, control: LinkControl) -> None:
        self.next = 0.0
        self._prefix = prefix
        self._index = state.interface
        # The interface was a gateway's before, and may have what all gateways have in common (RFC 6543); we are somebody else.
        self._link_layer_address = bytes([2, 0, 0, 0, 2, state.interface & 0xFF])
        control.set_link_layer_address(state.interface, self._link_layer_address)
        # It still carries the filter of the gateway that it comes from, until that gateway's daemon has let go of it.
        time.sleep(_LETTING_GO)
        # Where no two nodes can have the same address, an address that is tentative for a second helps nobody.
        place = Path("/proc/sys/net/ipv6/conf", state.name)
        (place / "accept_dad").write_text("0")
        (place / "addr_gen_mode").write_text("1")
        control.set_up(state.interface)
        control.add_address(state.interface, LINK_LOCAL, 64)
        control.add_address(state.interface, (prefix.network_address + 1).packed, 64)
        self.socket = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, state.name.encode() + b"\0")
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
        wanted = [0xFFFFFFFF] * 8
        wanted[_ROUTER_SOLICITATION >> 5] &= ~(1 << (_ROUTER_SOLICITATION & 31))
        self.socket.setsockopt(socket.IPPROTO_ICMPV6, _ICMPV6_FILTER, struct.pack("=8I", *wanted))
        group = socket.inet_pton(socket.AF_INET6, "ff02::2") + struct.pack("=I", state.interface)
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
        self.socket.bind((socket.inet_ntop(socket.AF_INET6, b"\0" * 16), 0))

    def advertise(self) -> None:
        """Send a Router Advertisement to the link."""
        flags = PrefixInformationFlag.ON_LINK | PrefixInformationFlag.AUTONOMOUS
        options = (
            SourceLinkLayerAddress(self._link_layer_address),
            PrefixInformation(64, flags, _LIFETIME, _LIFETIME, self._prefix.network_address.packed),
        )
        message = encode_icmpv6(RouterAdvertisement(64, 0, _LIFETIME, 0, 0, options), LINK_LOCAL, ALL_NODES)
        info = LINK_LOCAL + struct.pack("=I", self._index)
        ancillary = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, info)]
        self.socket.sendmsg([message], ancillary, 0, ("ff02::1", 0, 0, self._index))

    def solicited(self) -> bool:
        """Take what has come: whether somebody asked."""
        asked = False
        with contextlib.suppress(BlockingIOError):
            while True:
                asked = bool(self.socket.recv(2048)) or asked
        return asked


def main(arguments: list[str]) -> None:
    """Route until SIGTERM."""
    plan = tomllib.loads(Path(arguments[1]).read_text())
    interval = float(plan["router"]["interval_seconds"])
    prefixes = {entry["interface"]: IPv6Network(entry["prefix"]) for entry in plan["access"]}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    monitor, control = LinkMonitor(), LinkControl()
    here: dict[int, Access] = {}

    def take(changes: list[LinkState | LinkGone]) -> None:
        for change in changes:
            if isinstance(change, LinkGone):
                if (gone := here.pop(change.interface, None)) is not None:
                    gone.socket.close()
            elif change.interface not in here and change.name in prefixes:
                with contextlib.suppress(OSError):  # it has gone again
                    here[change.interface] = Access(change, prefixes[change.name], control)

    for prefix in prefixes.values():
        # While no interface is here, what is for its prefix ends here, and does not go back and forth by default routes.
        run("ip", "route", "add", "unreachable", str(prefix), "metric", "4096")
    take(monitor.all())
    Notifier().ready()
    while True:
        now = time.monotonic()
        pause = max(0.0, min((access.next for access in here.values()), default=now + 1) - now)
        sockets: dict[Any, Access | None] = {monitor: None, **{access.socket: access for access in here.values()}}
        readable = select.select(list(sockets), [], [], pause)[0]
        now = time.monotonic()
        for ready in readable:
            access = sockets[ready]
            if access is None:
                take(monitor.receive())
            elif access.solicited():
                access.next = now
        for access in here.values():
            if access.next <= now:
                with contextlib.suppress(OSError):  # its far end is not up yet, or it goes
                    access.advertise()
                access.next = now + interval


if __name__ == "__main__":
    main(sys.argv[1:])
