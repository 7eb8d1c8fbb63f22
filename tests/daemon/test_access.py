# SPDX-License-Identifier: Apache-2.0
"""The access interfaces of a running gateway: prepared before they are up, heard, spoken to, and given back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from halma.daemon.access import AccessInterfaces
from halma.daemon.original_interfaces import OriginalInterfaces
from halma.engine.gateway_api import (
    AdmitNode,
    AdvertiseRouter,
    LinkAppeared,
    LinkDown,
    LinkUp,
    LinkVanished,
    NodeHeard,
    PrepareLink,
    ProbeNode,
    SetLinkLocalAddresses,
    SolicitNodes,
    TearDownLink,
)
from halma.forwarding.plane import PortKind
from halma.netio.access_interface import SETTINGS, Original
from halma.wire.nd import RouterAdvertisement
from tests.conftest import run_ip
from tests.netio.links import GATEWAY_ADDRESS, GATEWAY_LINK_LAYER, NODE, NODE_ADDRESS, Pair, inside

pytestmark = pytest.mark.root

ADVERTISEMENT = RouterAdvertisement(64, 0, 1800, 0, 0, ())
OTHER_ADDRESS = bytes.fromhex("fe80000000000000000000000000beef")


class Plane:
    """Which interfaces are attached; whether they were up already."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.attached: dict[int, str] = {}
        self.refuses = False

    def attach(self, interface: int, kind: PortKind) -> None:
        if self.refuses:
            raise OSError(95, "Operation not supported")
        assert kind is PortKind.ACCESS
        self.attached[interface] = run_ip("-n", self.namespace, "link", "show", "dev", "ap0")

    def detach(self, interface: int) -> None:
        self.attached.pop(interface, None)


class Daemon:
    """What stands around the access interfaces in a daemon: the engine's part is to have every new link prepared."""

    def __init__(self, pair: Pair, directory: Path) -> None:
        self.pair = pair
        self.directory = directory
        self.plane = Plane(pair.gateway)
        self.events: list[Any] = []
        self.reports: list[Any] = []
        self.happened = asyncio.Event()
        originals = OriginalInterfaces(directory, "gateway")
        patterns, network = ("ap*", "core*"), ("core0",)
        self.access = AccessInterfaces(patterns, network, self.plane, self.post, self.reports.append, originals)  # type: ignore[arg-type]

    def post(self, *events: Any) -> None:
        for event in events:
            self.events.append(event)
            if isinstance(event, LinkAppeared):
                self.post(*self.do(PrepareLink(event.interface, GATEWAY_LINK_LAYER, GATEWAY_ADDRESS)))
        self.happened.set()

    def do(self, effect: Any) -> list[Any]:
        return list(self.access.handlers()[type(effect)](effect))

    async def wait_for(self, wanted: Any) -> None:
        async with asyncio.timeout(10):
            while wanted not in self.events:
                self.happened.clear()
                await self.happened.wait()


@asynccontextmanager
async def running(pair: Pair, directory: Path) -> AsyncIterator[Daemon]:
    with inside(pair.gateway):
        daemon = Daemon(pair, directory)
        daemon.access.start()
        try:
            yield daemon
        finally:
            daemon.access.close()


@pytest.fixture
def pair(namespace: Callable[[str], str]) -> Any:
    made = Pair(namespace)
    yield made
    made.close()


@pytest.mark.requirement("GW-1", "GW-3", "GW-4")
def test_a_link_is_prepared_before_it_is_up_and_its_node_is_heard(pair: Pair, tmp_path: Path) -> None:
    async def scene() -> None:
        async with running(pair, tmp_path) as daemon:
            await daemon.wait_for(LinkUp(pair.index, 1500))
            assert "state DOWN" in daemon.plane.attached[pair.index]
            assert daemon.access.index("ap0") == pair.index
            assert daemon.access.index("ap1") == 0
            daemon.do(SolicitNodes(pair.index))
            daemon.do(AdvertiseRouter(pair.index, NODE, GATEWAY_ADDRESS, NODE_ADDRESS, ADVERTISEMENT))
            daemon.do(ProbeNode(pair.index, NODE, GATEWAY_ADDRESS, NODE_ADDRESS))
            assert [frame[54] for frame in pair.heard(4)] == [136, 128, 134, 135]
            pair.up()
            pair.say(b"data")
            await daemon.wait_for(NodeHeard(pair.index, NODE, NODE_ADDRESS))
            daemon.do(AdmitNode(pair.index, NODE))
            daemon.do(TearDownLink(pair.index, NODE))
            daemon.events.clear()
            pair.say(b"data")
            await daemon.wait_for(NodeHeard(pair.index, NODE, NODE_ADDRESS))
            assert daemon.access.counters()["frames_heard"] == 2
            daemon.do(SetLinkLocalAddresses(pair.index, (OTHER_ADDRESS,)))
            assert "fe80::beef" in run_ip("-n", pair.gateway, "-6", "address", "show", "dev", "ap0")
        assert "00:00:5e:00:52:13" not in run_ip("-n", pair.gateway, "link", "show", "dev", "ap0")

    asyncio.run(scene())


def test_a_link_loses_its_carrier_has_another_mtu_is_renamed_and_goes(pair: Pair, tmp_path: Path) -> None:
    async def scene() -> None:
        async with running(pair, tmp_path) as daemon:
            await daemon.wait_for(LinkUp(pair.index, 1500))
            run_ip("-n", pair.gateway, "link", "set", "ap0", "mtu", "1400")
            await daemon.wait_for(LinkUp(pair.index, 1400))
            run_ip("-n", pair.node, "link", "set", "eth0", "down")
            await daemon.wait_for(LinkDown(pair.index))
            run_ip("-n", pair.gateway, "link", "set", "ap0", "down")
            run_ip("-n", pair.node, "link", "set", "eth0", "up")
            daemon.events.clear()
            run_ip("-n", pair.gateway, "link", "set", "ap0", "up")
            await daemon.wait_for(LinkUp(pair.index, 1400))
            assert "fe80::200:5eff:fe00:5213" in run_ip("-n", pair.gateway, "-6", "address", "show", "dev", "ap0")
            run_ip("-n", pair.gateway, "link", "set", "ap0", "netns", pair.node)
            await daemon.wait_for(LinkVanished(pair.index))
            assert daemon.plane.attached == {}
            for effect in (
                SolicitNodes(pair.index),
                AdvertiseRouter(pair.index, NODE, GATEWAY_ADDRESS, NODE_ADDRESS, ADVERTISEMENT),
                ProbeNode(pair.index, NODE, GATEWAY_ADDRESS, NODE_ADDRESS),
                AdmitNode(pair.index, NODE),
                TearDownLink(pair.index, NODE),
                SetLinkLocalAddresses(pair.index, (OTHER_ADDRESS,)),
                PrepareLink(pair.index, GATEWAY_LINK_LAYER, GATEWAY_ADDRESS),
            ):
                assert daemon.do(effect) == []  # it comes too late, and nothing happens
            assert daemon.reports == []

    asyncio.run(scene())


def test_interfaces_that_are_not_meant_are_left_alone(pair: Pair, tmp_path: Path) -> None:
    run_ip("-n", pair.gateway, "link", "add", "core0", "type", "veth", "peer", "name", "eth9")

    async def scene() -> None:
        async with running(pair, tmp_path) as daemon:
            await daemon.wait_for(LinkUp(pair.index, 1500))
            assert {event.name for event in daemon.events if isinstance(event, LinkAppeared)} == {"ap0"}
            run_ip("-n", pair.gateway, "link", "set", "ap0", "down")
            run_ip("-n", pair.gateway, "link", "set", "ap0", "name", "other0")
            await daemon.wait_for(LinkVanished(pair.index))
            assert "00:00:5e:00:52:13" not in run_ip("-n", pair.gateway, "link", "show", "dev", "other0")

    asyncio.run(scene())


def test_an_interface_that_the_data_plane_refuses_is_told_of_and_not_brought_up(pair: Pair, tmp_path: Path) -> None:
    async def scene() -> None:
        with inside(pair.gateway):
            daemon = Daemon(pair, tmp_path)
            daemon.plane.refuses = True
            daemon.access.start()
            assert [type(event) for event in daemon.events] == [LinkAppeared]
            assert [report.reason for report in daemon.reports] == ["interface"]
            assert "state DOWN" in run_ip("-n", pair.gateway, "link", "show", "dev", "ap0")
            daemon.access.close()

    asyncio.run(scene())


def test_a_flood_on_one_interface_takes_a_bounded_share(pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("halma.daemon.access.BURST", 5)

    async def scene() -> None:
        async with running(pair, tmp_path) as daemon:
            await daemon.wait_for(LinkUp(pair.index, 1500))
            pair.up()
            for number in range(20):
                pair.say(b"data", sender=b"\x02\x55" + number.to_bytes(4, "big"))
                await asyncio.sleep(0)
            last = NodeHeard(pair.index, b"\x02\x55\0\0\0\x13", NODE_ADDRESS)
            await daemon.wait_for(last)  # put off, not lost
            assert len([event for event in daemon.events if isinstance(event, NodeHeard)]) == 20

    asyncio.run(scene())


def shape(pair: Pair) -> tuple[str, dict[str, str]]:
    """How the interface is: its link-layer address, flags and link-local addresses, and its settings."""
    shown = json.loads(run_ip("-n", pair.gateway, "-j", "address", "show", "dev", "ap0"))[0]
    held = sorted(entry["local"] for entry in shown["addr_info"])
    with inside(pair.gateway):
        settings = {name: Path(f"/proc/sys/net/ipv6/conf/ap0/{name}").read_text().strip() for name in SETTINGS}
    return f"{shown['address']} {'UP' in shown['flags']} {held}", settings


async def cut_short(pair: Pair, directory: Path) -> None:
    """A life that prepares the interface and does not come to giving it back."""
    async with running(pair, directory) as daemon:
        await daemon.wait_for(LinkUp(pair.index, 1500))
        daemon.access._give_back = lambda interface: None  # type: ignore[method-assign]  # noqa: ARG005


@pytest.mark.requirement("GW-3")
@pytest.mark.parametrize("up", [False, True])
def test_lives_that_were_cut_short_do_not_make_the_original_be_forgotten(pair: Pair, tmp_path: Path, *, up: bool) -> None:
    if up:
        pair.up()
        run_ip("-n", pair.gateway, "address", "add", "fe80::77/64", "dev", "ap0", "nodad")
    before = shape(pair)

    async def scene() -> None:
        await cut_short(pair, tmp_path)
        await cut_short(pair, tmp_path)
        assert shape(pair)[1] == SETTINGS
        async with running(pair, tmp_path) as daemon:
            await daemon.wait_for(LinkUp(pair.index, 1500))
            assert "fe80::77" not in shape(pair)[0]

    asyncio.run(scene())
    assert shape(pair) == before
    assert list((tmp_path / "gateway-access").iterdir()) == []


def test_an_interface_of_a_former_life_that_is_not_wanted_any_more_is_given_back(pair: Pair, tmp_path: Path) -> None:
    before = shape(pair)

    async def scene() -> None:
        await cut_short(pair, tmp_path)
        assert shape(pair) != before
        with inside(pair.gateway):
            plane, known = Plane(pair.gateway), OriginalInterfaces(tmp_path, "gateway")
            access = AccessInterfaces(("wlan*",), (), plane, lambda *_: None, lambda _: None, known)  # type: ignore[arg-type]
            access.start()
            assert shape(pair) == before
            access.close()

    asyncio.run(scene())
    assert shape(pair) == before


def test_what_was_changed_between_two_lives_stays(pair: Pair, tmp_path: Path) -> None:
    async def scene() -> None:
        await cut_short(pair, tmp_path)
        run_ip("-n", pair.gateway, "link", "set", "ap0", "address", "02:00:00:00:00:77")
        async with running(pair, tmp_path) as daemon:
            await daemon.wait_for(LinkUp(pair.index, 1500))

    asyncio.run(scene())
    assert "02:00:00:00:00:77" in shape(pair)[0]


def test_what_is_kept_is_forgotten_with_the_interface_and_with_the_boot(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with running(pair, tmp_path) as daemon:
            await daemon.wait_for(LinkUp(pair.index, 1500))
            assert OriginalInterfaces(tmp_path, "gateway").of(pair.index) is not None
            assert OriginalInterfaces(tmp_path, "other").of(pair.index) is None
            run_ip("-n", pair.gateway, "link", "delete", "ap0")
            await daemon.wait_for(LinkVanished(pair.index))
            assert OriginalInterfaces(tmp_path, "gateway").of(pair.index) is None

    asyncio.run(scene())
    known = OriginalInterfaces(tmp_path, "gateway")
    known.keep(Original(7, True, NODE, GATEWAY_LINK_LAYER, (("accept_ra", "1"),), ((NODE_ADDRESS, 64),)))
    known.keep(Original(8, True, NODE, GATEWAY_LINK_LAYER, (), ()))
    (tmp_path / "gateway-access" / "9.json").write_text('{"boot": "half')
    again = OriginalInterfaces(tmp_path, "gateway")
    assert again.of(7) == known.of(7)
    again.retain([7])
    assert again.of(8) is None
    (tmp_path / "boot").write_text("another one\n")
    monkeypatch.setattr("halma.daemon.state.BOOT", tmp_path / "boot")
    assert OriginalInterfaces(tmp_path, "gateway").of(7) is None
    assert list((tmp_path / "gateway-access").iterdir()) == []
