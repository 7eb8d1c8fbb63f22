# SPDX-License-Identifier: Apache-2.0
"""A link that is home to mobile nodes: what a home agent hears and says there.

RFC 6275 sections 10.4.1 (Neighbor Advertisements in others' stead) and 10.5.1 (Router Advertisements of others), RFC 4861
sections 4 and 6.2, RFC 4862 section 5.4 (Duplicate Address Detection for a node that is away).

Always holds: nothing but Router Solicitations and Advertisements reaches this process, and Neighbor Solicitations and
Advertisements while an address is being looked for; `close` gives the kernel's settings back as they were.
"""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

from halma.engine.home_agent_discovery_api import RouterAdvertisementHeard, RouterSolicitationHeard
from halma.netio.netlink import LinkControl
from halma.netio.packet_socket import (
    ETH_P_IPV6,
    HOP_LIMIT,
    IPV6,
    JUMP_EQUAL,
    LD_BYTE,
    RETURN,
    Step,
    attach_filter,
    group_address,
    hear_all_groups,
    packet_socket,
)
from halma.value import value
from halma.wire.addresses import ALL_NODES, UNSPECIFIED
from halma.wire.errors import DecodeError
from halma.wire.icmpv6 import Icmpv6Message, decode_icmpv6, encode_icmpv6
from halma.wire.ipv6 import Packet, build_packet
from halma.wire.nd import (
    NeighborAdvertisement,
    NeighborSolicitation,
    RouterAdvertisement,
    RouterSolicitation,
    TargetLinkLayerAddress,
    solicited_node,
)
from halma.wire.numbers import NeighborAdvertisementFlag, NextHeader

LONGEST = 2048
BURST = 64
"""Messages that are taken before the event loop has its turn."""
SYSCTL = Path("/proc/sys/net/ipv6")
_ROUTERS, _NEIGHBOURS = (133, 134), (135, 136)


@value
class AddressSeen:
    """Another node on the link has this address, or is about to take it."""

    address: bytes


Heard = RouterAdvertisementHeard | RouterSolicitationHeard | AddressSeen


def link_filter(types: tuple[int, ...]) -> list[Step]:
    """Takes ICMPv6 messages of these types, unless a router has forwarded them."""
    steps = [
        (LD_BYTE, 0, 0, 6),
        (JUMP_EQUAL, 1, 0, NextHeader.ICMPV6),
        (RETURN, 0, 0, 0),
        (LD_BYTE, 0, 0, 7),
        (JUMP_EQUAL, 1, 0, HOP_LIMIT),
        (RETURN, 0, 0, 0),
        (LD_BYTE, 0, 0, IPV6),
    ]
    for left, kind in zip(range(len(types), 0, -1), types, strict=True):
        steps.append((JUMP_EQUAL, left, 0, kind))
    return [*steps, (RETURN, 0, 0, 0), (RETURN, 0, 0, LONGEST)]


class HomeLinkPort:
    """One interface. `address` is ours on the link, `link_layer_address` may change. Raises OSError when the interface is not
    there, or may not be used."""

    def __init__(self, interface: int, name: str, address: bytes, control: LinkControl) -> None:
        self.interface = interface
        self.name = name
        self.address = address
        self.link_layer_address = b""
        self._control = control
        self._settings: dict[Path, str] = {}
        self._sought = 0
        self._socket = packet_socket(socket.SOCK_DGRAM, name, ETH_P_IPV6, link_filter(_ROUTERS))
        try:
            for setting, wanted in self._wanted():
                self._set(setting, wanted)
        except OSError:
            self.close()
            raise

    def fileno(self) -> int:
        """The descriptor, for the event loop."""
        return self._socket.fileno()

    def close(self) -> None:
        """Give the socket and the settings back."""
        self._socket.close()
        for setting, before in reversed(self._settings.items()):
            with contextlib.suppress(OSError):
                setting.write_text(before)
        self._settings.clear()

    # ---- the kernel's part ----

    def _wanted(self) -> list[tuple[Path, str]]:
        """A router that answers for others, at once. The setting for all interfaces makes the kernel take unicast Neighbor
        Solicitations for these addresses itself, and not forward what goes to their link-local ones."""
        here = SYSCTL / "conf" / self.name
        return [
            (here / "forwarding", "1"),
            (SYSCTL / "conf" / "all" / "proxy_ndp", "1"),
            (here / "proxy_ndp", "1"),
            (SYSCTL / "neigh" / self.name / "proxy_delay", "0"),
        ]

    def _set(self, setting: Path, wanted: str) -> None:
        now = setting.read_text().strip()
        if now != wanted:
            setting.write_text(wanted)
            self._settings[setting] = now

    # ---- in ----

    def receive(self) -> list[Heard]:
        """What was heard since the last call, `BURST` at the most. Never blocks; raises OSError (ENETDOWN)."""
        heard: list[Heard] = []
        for _ in range(BURST):
            try:
                data = self._socket.recv(LONGEST)
            except BlockingIOError:
                break
            event = self._read(data)
            if event is not None:
                heard.append(event)
        return heard

    def _read(self, data: bytes) -> Heard | None:
        source, destination = data[8:24], data[24:40]
        length = int.from_bytes(data[4:6], "big")
        try:
            message = decode_icmpv6(data[IPV6 : IPV6 + length], source, destination, data[7])
        except DecodeError:
            return None
        if isinstance(message, RouterAdvertisement):
            return RouterAdvertisementHeard(self.interface, source, message)
        if isinstance(message, RouterSolicitation):
            return RouterSolicitationHeard(self.interface)
        if isinstance(message, NeighborAdvertisement) or (isinstance(message, NeighborSolicitation) and source == UNSPECIFIED):
            return AddressSeen(message.target)
        return None

    # ---- out ----

    def advertise_router(self, message: RouterAdvertisement) -> bool:
        """To all nodes, from our link-local address; whether that could be done."""
        try:
            sources = self._control.link_local_addresses(self.interface)
        except OSError:
            return False
        return bool(sources) and self._send(sources[0][0], ALL_NODES, message)

    def advertise_address(self, address: bytes, *, router: bool) -> bool:
        """Tell all nodes that an address is to be found at ours (RFC 6275 section 10.4.1)."""
        flags = int(NeighborAdvertisementFlag.OVERRIDE) | (int(NeighborAdvertisementFlag.ROUTER) if router else 0)
        message = NeighborAdvertisement(flags, address, (TargetLinkLayerAddress(self.link_layer_address),))
        return self._send(self.address, ALL_NODES, message)

    def seek(self, address: bytes) -> bool:
        """Ask whether somebody has an address, as whoever would take it does; answers are `AddressSeen`. End it with
        `sought`."""
        self._sought += 1
        if self._sought == 1:
            self._all_multicast(hear=True)
            attach_filter(self._socket, link_filter(_ROUTERS + _NEIGHBOURS))
        return self._send(UNSPECIFIED, solicited_node(address), NeighborSolicitation(address))

    def sought(self) -> None:
        """One address is not looked for any more."""
        self._sought -= 1
        if not self._sought:
            attach_filter(self._socket, link_filter(_ROUTERS))
            self._all_multicast(hear=False)

    def _all_multicast(self, *, hear: bool) -> None:
        """Answers to the solicited-node group of an address that is not ours must get through the network card."""
        with contextlib.suppress(OSError):
            hear_all_groups(self._socket, self.interface, hear=hear)

    def _send(self, source: bytes, destination: bytes, message: Icmpv6Message) -> bool:
        data = encode_icmpv6(message, source, destination)
        packet = build_packet(Packet(source, destination, NextHeader.ICMPV6, data, HOP_LIMIT))
        try:
            self._socket.sendto(packet, (self.name, ETH_P_IPV6, 0, 0, group_address(destination)))
        except OSError:  # the link is down, which netlink tells
            return False
        return True
