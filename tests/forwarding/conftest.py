# SPDX-License-Identifier: Apache-2.0
"""The network of the contract, made once a module, and the planes that this kernel has."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator

import pytest

from tests.forwarding.plane_network import Network, run
from tests.forwarding.plane_openers import REAL_KINDS, Planes, why_not


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
