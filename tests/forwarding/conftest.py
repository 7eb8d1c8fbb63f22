# SPDX-License-Identifier: Apache-2.0
"""The network of the contract, made once a module, and the planes that this kernel has."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from network import AGGREGATE, ANCHOR, GATEWAY, Network, inside, run  # noqa: E402
from packets import address  # noqa: E402

from halma.forwarding import open_plane  # noqa: E402
from halma.forwarding.plane import Plane, PlaneSettings, PortKind, Side  # noqa: E402

REAL_KINDS = ("auto", "tcx", "clsact", "xdp", "tun")


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
        return plane

    def gateway(self, **changes: object) -> Plane:
        """A gateway's plane on all its ports."""
        with inside(self.network.names["gateway"]):
            plane = open_plane(self.kind, settings_of(Side.GATEWAY, **changes))
            self._open.append(("gateway", plane))
            plane.attach(self.network.index("gateway.core0"), PortKind.NETWORK)
            for port in ("access1", "access2"):
                plane.attach(self.network.index(f"gateway.{port}"), PortKind.ACCESS)
        return plane

    def close(self) -> None:
        """Close what is open."""
        for role, plane in reversed(self._open):
            with inside(self.network.names[role]):
                plane.close()
        self._open.clear()


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """The network."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("needs root and the program ip")
    made: list[str] = []

    def make(role: str) -> str:
        name = f"halma-{os.getpid()}-plane-{role}"
        with contextlib.suppress(Exception):
            run("ip", "netns", "delete", name)
        run("ip", "netns", "add", name)
        made.append(name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        return name

    try:
        built = Network(make)
        built.learn_neighbours()
        yield built
        built.close()
    finally:
        for name in made:
            run("ip", "netns", "delete", name)


@pytest.fixture(params=REAL_KINDS)
def planes(request: pytest.FixtureRequest, network: Network) -> Iterator[Planes]:
    """A way to open planes of each kind that this kernel can run."""
    kind = request.param
    if reason := why_not(kind):
        pytest.skip(reason)
    if kind == "xdp":
        network.prepare_for_xdp()
    opener = Planes(network, kind)
    try:
        for wire in network.wires.values():
            wire.drain()
        yield opener
    finally:
        opener.close()
