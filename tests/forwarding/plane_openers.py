# SPDX-License-Identifier: Apache-2.0
"""Opens planes in the test network, and says which ones this kernel can run."""

from __future__ import annotations

import errno
import functools
import os
import socket
from collections.abc import Sequence
from typing import Any, cast

from halma.forwarding import open_plane
from halma.forwarding.plane import Plane, PlaneSettings, PortKind, Side
from tests.forwarding.plane_network import AGGREGATE, ANCHOR, GATEWAY, Network, run
from tests.forwarding.plane_packets import address
from tests.netio.links import inside

REAL_KINDS = ("tcx", "clsact", "xdp", "seg6", "tun")


LACKING = (errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOENT, errno.ENODEV, errno.EPERM)
"""What the kernel says of something that it does not have; all other errors are ours."""


def settings_of(side: Side, **changes: object) -> PlaneSettings:
    """Settings for a side of the test network."""
    ours = ANCHOR if side is Side.ANCHOR else GATEWAY
    fields: dict[str, object] = {"side": side, "addresses": (address(ours),), "prefixes": ((address(AGGREGATE), 40),)}
    return PlaneSettings(**(fields | changes))  # type: ignore[arg-type]


@functools.cache
def why_not(kind: str) -> str:
    """Why this kernel cannot run a kind of plane, or nothing."""
    if os.geteuid() != 0:
        return "needs root"
    name = f"halma-{os.getpid()}-probe"
    run("ip", "netns", "add", name)
    try:
        run("ip", "-n", name, "link", "add", "a0", "type", "veth", "peer", "name", "b0")
        run("ip", "-n", name, "link", "set", "a0", "up")
        with inside(name):
            try:
                plane = open_plane(kind, settings_of(Side.ANCHOR))
            except OSError as error:
                if error.errno not in LACKING:
                    raise
                return f"no {kind} plane here: {error.strerror or error}"
            try:
                plane.attach(socket.if_nametoindex("a0"), PortKind.NETWORK)
            except OSError as error:
                if error.errno not in LACKING:
                    raise
                return f"no {kind} plane here: {error.strerror or error}"
            finally:
                plane.close()
    finally:
        run("ip", "netns", "delete", name)
    return ""


class InNamespace:
    """A plane whose methods are called in its network namespace, as they are in a daemon."""

    def __init__(self, plane: Plane, namespace: str) -> None:
        object.__setattr__(self, "_plane", plane)
        object.__setattr__(self, "_namespace", namespace)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._plane, name)
        if not callable(found):
            return found

        def called(*arguments: Any) -> Any:
            with inside(self._namespace):
                return found(*arguments)

        return called

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._plane, name, value)


class Planes:
    """Opens planes in the network's anchor and gateway."""

    def __init__(self, network: Network, kind: str) -> None:
        self.network, self.kind = network, kind
        self._open: list[tuple[str, Plane]] = []

    def anchor(self, **changes: object) -> Plane:
        """An anchor's plane on all its ports."""
        with inside(self.network.names["anchor"]):
            plane = open_plane(self.kind, settings_of(Side.ANCHOR, **changes))
            self._open.append(("anchor", plane))
            for port in ("inet0", "core1", "core2"):
                plane.attach(self.network.index(f"anchor.{port}"), PortKind.NETWORK)
            plane.settle()
        return cast("Plane", InNamespace(plane, self.network.names["anchor"]))

    def gateway(self, access: Sequence[str] = ("access1", "access2"), **changes: object) -> Plane:
        """A gateway's plane on its ports, all of them if not said otherwise."""
        with inside(self.network.names["gateway"]):
            plane = open_plane(self.kind, settings_of(Side.GATEWAY, **changes))
            self._open.append(("gateway", plane))
            plane.attach(self.network.index("gateway.core0"), PortKind.NETWORK)
            for port in access:
                plane.attach(self.network.index(f"gateway.{port}"), PortKind.ACCESS)
            plane.settle()
        return cast("Plane", InNamespace(plane, self.network.names["gateway"]))

    def close(self) -> None:
        """Close what is open."""
        for role, plane in reversed(self._open):
            with inside(self.network.names[role]):
                plane.close()
        self._open.clear()
