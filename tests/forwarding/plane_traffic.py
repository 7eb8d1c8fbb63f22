# SPDX-License-Identifier: Apache-2.0
"""What the tests of the contract send and bind in the test network."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

from halma.engine.api import Bind, BindingKind, Tunnel
from halma.forwarding.plane import Plane
from tests.forwarding.plane_network import ANCHOR, FAR, FIRST, GATEWAY, WAIT, Network
from tests.forwarding.plane_openers import Planes
from tests.forwarding.plane_packets import ICMPV6, IPV6, Ip, address, checksum
from tests.netio.links import inside

TO_GATEWAY, TO_FAR = Tunnel(address(ANCHOR), address(GATEWAY)), Tunnel(address(ANCHOR), address(FAR))
TO_ANCHOR = Tunnel(address(GATEWAY), address(ANCHOR))
PARAMETERS_PROBLEM, TOO_BIG, EXCEEDED, UNREACHABLE = 4, 2, 3, 1


def prefix(host: str) -> bytes:
    """The /64 of an address."""
    return address(host)[:8] + bytes(8)


def bind(plane: Plane, host: str, tunnel: Tunnel | None, access: int = 0, *, local_routing: bool = False) -> None:
    """Bind a host's prefix."""
    assert plane.apply([Bind(1, prefix(host), 64, tunnel, access, local_routing=local_routing)]) == [0]


def bind_locally(plane: Plane, host: str, access: int, *, local_routing: bool = False) -> None:
    """Bind the prefix of a gateway's own link."""
    assert plane.apply([Bind(1, prefix(host), 64, None, access, BindingKind.LOCAL, local_routing)]) == [0]


def counted(plane: Plane, name: str, packets: int) -> bool:
    """Whether a counter comes to this value; a plane that works in a thread may need a moment."""
    end = time.monotonic() + WAIT
    while plane.counters()[name] != packets and time.monotonic() < end:
        time.sleep(0.005)
    return plane.counters()[name] == packets


def from_correspondent(network: Network, packet: Ip) -> None:
    """A packet on the link from the correspondent to the anchor."""
    network.wire("correspondent.eth0").send(packet, network.wire("anchor.inet0"))


def from_far(network: Network, packet: Ip) -> None:
    """A packet from the far gateway to the anchor."""
    network.wire("far.core0").send(packet, network.wire("anchor.core2"))


def marked(port: int) -> Callable[[Ip], bool]:
    """UDP packets, tunnelled or not, from this port."""

    def wanted(packet: Ip) -> bool:
        inner = packet.inner() if packet.next_header == IPV6 else packet
        return inner.next_header == 17 and int.from_bytes(inner.payload[:2], "big") == port

    return wanted


def from_first(network: Network, packet: Ip, access: str = "access1") -> None:
    """A packet from a mobile node to the gateway."""
    host = "first" if access == "access1" else "second"
    network.wire(f"{host}.eth0").send(packet, network.wire(f"gateway.{access}"))


def gateway_with_first(network: Network, planes: Planes, **changes: Any) -> Plane:
    """A gateway's plane that serves the first node."""
    plane = planes.gateway(**changes)
    bind(plane, FIRST, TO_ANCHOR, network.index("gateway.access1"))
    return plane


def network_ping(network: Network, role: str, target: str) -> bool:
    """Whether a host gets an answer."""
    command = ["ip", "netns", "exec", network.names[role], "ping", "-c4", "-i0.3", "-W3", target]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def to_first(network: Network, packet: Ip) -> None:
    """A packet on the link from the anchor to the gateway."""
    network.wire("anchor.core1").send(packet, network.wire("gateway.core0"))


def too_big_about(outer: Ip, mtu: int) -> Ip:
    """What a router on the way says about a tunnel packet."""
    return _error_about(outer, TOO_BIG, 0, mtu)


def unreachable_about(outer: Ip) -> Ip:
    """What it says when it cannot find the next hop."""
    return _error_about(outer, UNREACHABLE, 3, 0)


def _error_about(outer: Ip, kind: int, code: int, value: int) -> Ip:
    router = address(FAR)
    body = bytes([kind, code, 0, 0]) + value.to_bytes(4, "big") + outer.bytes()[:1232]
    total = checksum(router + outer.source + len(body).to_bytes(4, "big") + bytes([0, 0, 0, 58]) + body)
    return Ip(router, outer.source, ICMPV6, body[:2] + total.to_bytes(2, "big") + body[4:])


def transfer(network: Network, sender: str, receiver: str, target: str, size: int) -> int:
    """Send this many bytes by TCP; how many came."""
    with inside(network.names[receiver]):
        listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    with inside(network.names[sender]):
        client = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    came = 0

    def take() -> None:
        nonlocal came
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(30)
            while data := connection.recv(1 << 16):
                came += len(data)

    with listener, client:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of tests before are still on their way out
        listener.bind(("::", 5001))
        listener.listen()
        listener.settimeout(10)
        thread = threading.Thread(target=take)
        thread.start()
        client.settimeout(30)
        client.connect((target, 5001))
        client.sendall(bytes(size))
        client.shutdown(socket.SHUT_WR)
        thread.join(40)
    return came


def both(network: Network, planes: Planes) -> tuple[Plane, Plane]:
    """Anchor and gateway that serve the first node."""
    anchor = planes.anchor()
    bind(anchor, FIRST, TO_GATEWAY)
    return anchor, gateway_with_first(network, planes)
