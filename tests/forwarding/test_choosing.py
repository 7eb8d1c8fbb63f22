# SPDX-License-Identifier: Apache-2.0
"""Which plane and which mechanism is chosen, and what the operator is told about it."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

import pytest

from halma import forwarding
from halma.forwarding import KINDS, open_plane
from halma.forwarding.plane import COUNTERS, PlaneSettings, PortKind, Side
from tests.forwarding.plane_network import run
from tests.forwarding.plane_openers import settings_of, why_not
from tests.netio.links import inside

pytestmark = pytest.mark.root


def test_every_port_gets_what_suits_it(namespace: Callable[[str], str]) -> None:
    name = namespace("anchor")
    run("ip", "-n", name, "link", "add", "a0", "type", "veth", "peer", "name", "b0")
    tc = "clsact" if why_not("tcx") else "tcx"
    with inside(name):
        plane = open_plane("auto", settings_of(Side.ANCHOR))
        try:
            assert plane.name == "bpf"
            state = plane.attach(socket.if_nametoindex("a0"), PortKind.NETWORK)
            assert state == plane.ports()[0]
            assert (state.name, state.kind, state.mechanism) == ("a0", PortKind.NETWORK, tc), "never XDP on veth"
            assert plane.attach(state.interface, PortKind.NETWORK) == state
            assert any("clsact" in note for note in plane.notes()) == (tc == "clsact")
            with pytest.raises(OSError, match="no access interfaces"):
                plane.attach(socket.if_nametoindex("b0"), PortKind.ACCESS)
            with pytest.raises(OSError, match="No such device"):
                plane.attach(99999, PortKind.NETWORK)
        finally:
            plane.close()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("auto", "memory")])
def test_a_mechanism_can_be_asked_for(namespace: Callable[[str], str], kind: str) -> None:
    if reason := why_not(kind):
        pytest.skip(reason)
    name = namespace("anchor")
    run("ip", "-n", name, "link", "add", "a0", "type", "veth", "peer", "name", "b0")
    with inside(name):
        plane = open_plane(kind, settings_of(Side.ANCHOR, device="tunnel7"))
        try:
            assert plane.name == kind
            assert plane.attach(socket.if_nametoindex("a0"), PortKind.NETWORK).mechanism == kind
            assert socket.if_nametoindex("tunnel7")
            assert set(plane.counters()) == set(COUNTERS)
        finally:
            plane.close()


def test_the_operator_is_told_that_the_kernel_does_not_forward(namespace: Callable[[str], str]) -> None:
    with inside(namespace("anchor")):
        plane = open_plane("auto", settings_of(Side.ANCHOR))
        try:
            assert any("net.ipv6.conf.all.forwarding is 0" in note for note in plane.notes())
        finally:
            plane.close()


def test_without_bpf_the_next_best_is_taken_and_said(namespace: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(settings: PlaneSettings) -> None:
        raise OSError(errno.EPERM, "not here")

    monkeypatch.setattr(forwarding, "BpfPlane", refuse)
    with inside(namespace("anchor")):
        plane = open_plane("auto", settings_of(Side.ANCHOR))
        try:
            assert plane.name == ("tun" if why_not("seg6") else "seg6")
            assert any("no BPF plane" in note and "not here" in note for note in plane.notes())
        finally:
            plane.close()
        monkeypatch.setattr(forwarding, "Seg6Plane", refuse)
        plane = open_plane("auto", settings_of(Side.ANCHOR))
        try:
            assert plane.name == "tun"
            assert any("no seg6 plane" in note for note in plane.notes())
        finally:
            plane.close()


def test_an_unknown_kind_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="unknown plane"):
        open_plane("carrier-pigeon", settings_of(Side.ANCHOR))


def test_several_daemons_share_a_namespace(namespace: Callable[[str], str]) -> None:
    with inside(namespace("both")):
        anchor, gateway = open_plane("auto", settings_of(Side.ANCHOR)), open_plane("auto", settings_of(Side.GATEWAY))
        try:
            assert {name for _, name in socket.if_nameindex()} >= {"mip0", "mip1"}
        finally:
            anchor.close()
            gateway.close()
        assert {name for _, name in socket.if_nameindex()} == {"lo"}
