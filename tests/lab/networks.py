# SPDX-License-Identifier: Apache-2.0
"""Small networks without any daemon for the tests of the lab's own machinery."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Interface, IPv6Network

from halma.lab.session import Lab
from halma.lab.topology import AccessLink, End, Impairment, Kind, Link, Node, Route, Topology, Zone

LEFT, RIGHT = IPv6Address("2001:db8:1::1"), IPv6Address("2001:db8:1::2")
HOST = IPv6Address("2001:db8:100:1::1")
ROUTER = "fe80::200:5eff:fe00:5213"
_EVERYWHERE = IPv6Network("::/0")


def pair(impairment: Impairment | None = None) -> Topology:
    """Two nodes and a link."""
    return Topology(
        (Node("left", Kind.CORRESPONDENT, "left", (0, 0)), Node("right", Kind.CORRESPONDENT, "right", (1, 0))),
        (
            Link(
                "wire",
                End("left", "eth0", (IPv6Interface(f"{LEFT}/64"),)),
                End("right", "eth0", (IPv6Interface(f"{RIGHT}/64"),)),
                Zone.OUTSIDE,
                impairment=impairment,
            ),
        ),
    )


def roaming() -> Topology:
    """A correspondent, a core router, two plain routers, and a host that can be moved between them."""
    nodes = [
        Node("cn", Kind.CORRESPONDENT, "CN", (0, 0), (Route(_EVERYWHERE, IPv6Address("2001:db8:1::ff")),)),
        Node("core", Kind.ROUTER, "core", (0, 1)),
    ]
    links = [
        Link(
            "outside",
            End("cn", "eth0", (IPv6Interface("2001:db8:1::1/64"),)),
            End("core", "cn0", (IPv6Interface("2001:db8:1::ff/64"),)),
            Zone.OUTSIDE,
        )
    ]
    for number in (1, 2):
        near, far = f"2001:db8:1{number}::ff", f"2001:db8:1{number}::1"
        nodes.append(Node(f"r{number}", Kind.ROUTER, f"R{number}", (number, 2), (Route(_EVERYWHERE, IPv6Address(near)),)))
        links.append(
            Link(
                f"core-r{number}",
                End("core", f"r{number}x", (IPv6Interface(f"{near}/64"),)),
                End(f"r{number}", "core0", (IPv6Interface(f"{far}/64"),)),
                Zone.OUTSIDE,
            )
        )
    nodes.append(Node("h1", Kind.HOST, "host", (0, 3)))
    return Topology(tuple(nodes), tuple(links), (AccessLink("access-h1", "h1", "02:00:00:00:01:01", "ap1"),))


def prepare(lab: Lab) -> None:
    """Give the host of `roaming` an address and a router that is the same everywhere."""
    lab.command("h1", "ip", "address", "add", f"{HOST}/64", "dev", "eth0", "nodad")
    lab.command("h1", "ip", "route", "add", "default", "via", ROUTER, "dev", "eth0")


def place(lab: Lab, number: int) -> None:
    """Take the host to a router, and do by hand what a gateway does."""
    lab.move("h1", f"r{number}")
    commands = (
        "ip link set ap1 addrgenmode none address 00:00:5e:00:52:13",
        "ip link set ap1 up",
        f"ip address add {ROUTER}/64 dev ap1 nodad",
        f"ip route add {HOST}/128 dev ap1",
    )
    lab.command(f"r{number}", "sh", "-e", "-c", "; ".join(commands))
    lab.command("core", "ip", "route", "replace", f"{HOST}/128", "via", f"2001:db8:1{number}::1")
