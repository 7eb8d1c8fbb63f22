# SPDX-License-Identifier: Apache-2.0
"""What every plane does when its process is killed: until the next gateway serves, nothing of a mobile node leaves bare."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest

from tests.forwarding.plane_network import CORRESPONDENT, FIRST, UNBOUND, Network
from tests.forwarding.plane_openers import Planes
from tests.forwarding.plane_packets import Ip, address, udp
from tests.forwarding.plane_traffic import TO_ANCHOR, bind, from_first, marked
from tests.forwarding.test_cleaning import crash, state, without_ages

pytestmark = pytest.mark.root

LAST = 2001


def is_bare(packet: Ip) -> bool:
    """Whether a packet is a mobile node's and in no tunnel."""
    return packet.source in (address(FIRST), address(UNBOUND))


def bare(network: Network) -> list[Ip]:
    """The bare packets that have left the gateway. A last one of another source on the same wire says that all have come."""
    network.wire("gateway.core0").send(udp("2001:db8:2::77", CORRESPONDENT, port=LAST), network.wire("anchor.core1"))
    found: list[Ip] = []
    while True:
        packet = network.wire("anchor.core1").receive(lambda packet: is_bare(packet) or marked(LAST)(packet))
        assert packet is not None
        if not is_bare(packet):
            return found
        found.append(packet)


@contextlib.contextmanager
def stream(network: Network) -> Iterator[None]:
    """A node sends and does not pause, from its prefix and from one that is nobody's."""
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            from_first(network, udp(FIRST, CORRESPONDENT, port=91))
            from_first(network, udp(UNBOUND, CORRESPONDENT, port=92))
            stop.wait(0.0002)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.requirement("GW-4")
@pytest.mark.rfc("5213#6.10.5-8", "5213#6.10.5-13")
def test_nothing_leaves_bare_while_a_gateway_is_dead_and_comes_back(network: Network, planes: Planes) -> None:
    before = without_ages(state(network, "gateway"))
    crash(network, planes.kind)
    network.wire("anchor.core1").drain()
    if planes.kind == "tcx":
        from_first(network, udp(FIRST, CORRESPONDENT, port=91))
        assert bare(network), "TCX alone was believed not to outlive its process"
        plane = planes.gateway()
        assert any("TCX alone" in note for note in plane.notes())
        return
    with stream(network):
        for _ in range(3):
            assert bare(network) == []
        plane = planes.gateway()
        bind(plane, FIRST, TO_ANCHOR, network.index("gateway.access1"))
        assert bare(network) == []
    assert bare(network) == []
    planes.close()
    assert without_ages(state(network, "gateway")) == before


@pytest.mark.requirement("GW-4")
def test_another_kind_of_plane_takes_over(network: Network, planes: Planes) -> None:
    """A gateway that died had BPF filters; the next one has none, or filters under another number."""
    before = without_ages(state(network, "gateway"))
    crash(network, "clsact")
    network.wire("anchor.core1").drain()
    with stream(network):
        plane = planes.gateway()
        bind(plane, FIRST, TO_ANCHOR, network.index("gateway.access1"))
        if planes.kind != "tcx":
            assert bare(network) == []
    planes.close()
    assert without_ages(state(network, "gateway")) == before


def test_what_is_left_elsewhere_goes_when_the_next_gateway_has_settled(network: Network, planes: Planes) -> None:
    """The next gateway does not serve the interface any more. (Routes do not say whose they are: those stay.)"""
    before = without_ages(state(network, "gateway"))
    crash(network, planes.kind)
    try:
        planes.gateway(access=("access2",))
        planes.close()
        assert without_ages(state(network, "gateway")) | {"routes": ""} == before | {"routes": ""}
    finally:
        network.ip("gateway", "-6", "route", "flush", "proto", "213")
