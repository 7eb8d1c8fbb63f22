# SPDX-License-Identifier: Apache-2.0
"""The TUN plane at one end of a tunnel and programs at the other, between hosts that leave checksums and segments to their
links: what comes to a raw socket of this machine has neither been summed up nor cut yet."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from tests.forwarding.plane_network import CORRESPONDENT, FIRST, Network
from tests.forwarding.plane_openers import Planes, why_not
from tests.forwarding.plane_traffic import TO_ANCHOR, TO_GATEWAY, bind, transfer
from tests.netio.links import inside

pytestmark = pytest.mark.root
HOSTS = {"first": FIRST, "correspondent": CORRESPONDENT}


@pytest.fixture(params=["anchor", "gateway", "both"])
def served(request: pytest.FixtureRequest, network: Network) -> Iterator[Network]:
    """The network with its first node bound, and the TUN plane where the parameter says."""
    programs = next((kind for kind in ("tcx", "clsact") if not why_not(kind)), None)
    if programs is None or why_not("tun"):
        pytest.skip("this kernel has no two planes")
    kinds = {side: "tun" if request.param in (side, "both") else programs for side in ("anchor", "gateway")}
    with contextlib.ExitStack() as stack:
        openers = {side: stack.enter_context(contextlib.closing(Planes(network, kind))) for side, kind in kinds.items()}
        bind(openers["anchor"].anchor(), FIRST, TO_GATEWAY)
        bind(openers["gateway"].gateway(), FIRST, TO_ANCHOR, network.index("gateway.access1"))
        yield network


@pytest.mark.parametrize(("sender", "receiver"), [("first", "correspondent"), ("correspondent", "first")])
def test_datagrams(served: Network, sender: str, receiver: str) -> None:
    with inside(served.names[receiver]):
        there = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    with inside(served.names[sender]):
        here = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    with there, here:
        there.bind(("::", 5002))
        there.settimeout(3)
        for size in (0, 1, 2, 333, 1400):
            here.sendto(bytes([7]) * size, (HOSTS[receiver], 5002))
            assert there.recv(2000) == bytes([7]) * size


@pytest.mark.parametrize(("sender", "receiver"), [("first", "correspondent"), ("correspondent", "first")])
def test_streams(served: Network, sender: str, receiver: str) -> None:
    size = 4 << 20
    assert transfer(served, sender, receiver, HOSTS[receiver], size) == size
