# SPDX-License-Identifier: Apache-2.0
"""A mobile node's daemon on its journey, in namespaces: RFC 6275 section 11 on real links."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from halma.netio.node_interface import SETTINGS
from tests.conftest import run_ip
from tests.daemon.node_world import CORRESPONDENT, HOME, PATIENCE, World
from tests.forwarding.plane_openers import why_not
from tests.netio.links import inside

pytestmark = [pytest.mark.root, pytest.mark.needs("ip", "ping", "sysctl", "tcpdump")]


@pytest.fixture
def world(namespace: Callable[[str], str], tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    plane, _, node_plane = getattr(request, "param", "auto").partition("-")
    if plane == "seg6" and (reason := why_not("seg6")):
        pytest.skip(reason)
    made = World(namespace, tmp_path, plane, node_plane)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.rfc(
    "6275#8.5-3", "6275#11.3.1-2", "6275#11.3.1-3", "6275#11.3.1-5", "6275#11.3.2-2", "6275#11.3.3-2", "6275#11.5.3-8",
    "6275#11.5.5-11", "6275#11.5.5-14", "6275#11.5.5-16", "6275#11.5.5-17",
)  # fmt: skip
@pytest.mark.requirement("MN-1", "MN-2", "MN-3")
@pytest.mark.parametrize("world", ["auto", "seg6", "tun"], indirect=True)
def test_a_journey(world: World) -> None:
    world.start_daemons()
    watched = {number: world.directory / f"bare{number}" for number in world.routers}
    world.plug(1)
    world.wait_for(place="abroad", state="registered", care_of_address="2001:db8:1::ff:fe00:101")
    assert world.ping(world.node, CORRESPONDENT)
    assert world.ping(world.correspondent, HOME)
    for number, router in world.routers.items():
        world.start(router, f"bare{number}", "tcpdump", "-lni", "any", f"ip6 and src host {HOME}")
    world.wait(lambda: all("listening" in path.with_suffix(".log").read_text() for path in watched.values()))
    world.plug(2)
    world.wait_for(place="abroad", state="registered", care_of_address="2001:db8:2::ff:fe00:101")
    assert world.ping(world.node, CORRESPONDENT)
    assert world.ping(world.correspondent, HOME)
    for path in watched.values():
        assert HOME not in "\n".join(path.with_suffix(".log").read_text().splitlines()[2:])

    world.start(world.agent, "home", "tcpdump", "-lneti", "home0", "icmp6 or ip6 proto 135")
    world.wait(lambda: "listening" in world.log("home"))
    world.plug(0)
    world.wait_for(place="home", state="at home", care_of_address="")
    assert world.ping(world.node, CORRESPONDENT)
    assert world.ping(world.correspondent, HOME)
    assert HOME not in run_ip("-n", world.node, "-6", "rule")
    wanted = "02:00:00:00:01:01 > 33:33:00:00:00:01"
    world.wait(lambda: any(line.startswith(wanted) and f"tgt is {HOME}" in line for line in world.log("home").splitlines()))

    world.plug(1)
    world.wait_for(place="abroad", state="registered")
    assert world.ping(world.node, CORRESPONDENT)
    assert world.ping(world.correspondent, HOME)


@pytest.mark.requirement("MN-2")
@pytest.mark.parametrize("world", ["tun-auto", "auto-tun"], indirect=True)
def test_datagrams_and_streams_go_both_ways_where_one_side_is_without_programs(world: World) -> None:
    """Neither host sums up or cuts what its virtual link would."""
    world.start_daemons()
    world.plug(1)
    world.wait_for(place="abroad", state="registered")
    for sender, receiver, target in ((world.node, world.correspondent, CORRESPONDENT), (world.correspondent, world.node, HOME)):
        with talking(sender, receiver, target, socket.SOCK_DGRAM) as (here, there):
            here.send(b"a datagram")
            assert there.recv(100) == b"a datagram"
        with talking(sender, receiver, target, socket.SOCK_STREAM) as (here, there):
            here.sendall(bytes(60_000))
            here.shutdown(socket.SHUT_WR)
            assert len(b"".join(iter(lambda there=there: there.recv(1 << 16), b""))) == 60_000  # type: ignore[misc]


@contextlib.contextmanager
def talking(sender: str, receiver: str, target: str, kind: int) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A socket of each of two machines; what the first sends comes to the second."""
    with contextlib.ExitStack() as stack:
        pair = []
        for machine in (sender, receiver):
            with inside(machine):
                pair.append(stack.enter_context(socket.socket(socket.AF_INET6, kind)))
        here, there = pair
        there.bind((target, 5003))
        here.settimeout(PATIENCE)
        there.settimeout(PATIENCE)
        if kind == socket.SOCK_STREAM:
            there.listen()
        here.connect((target, 5003))
        yield here, there if kind == socket.SOCK_DGRAM else stack.enter_context(there.accept()[0])


@pytest.mark.requirement("MN-2")
def test_a_link_that_is_narrower_than_its_interface_narrows_the_tunnel(world: World) -> None:
    """A router says the MTU of its link, which the kernel keeps beside that of the interface; a gateway of a domain does so to
    make room for its own tunnel."""
    world.start_daemons()
    world.plug(1)
    world.wait_for(place="abroad", state="registered")
    world.run(world.node, "sysctl", "-qw", "net.ipv6.conf.eth0.mtu=1460")
    told: list[str] = []

    def narrower() -> bool:
        told.append(world.answers(world.node, "-M", "do", "-s", str(1420 - 48 + 1), CORRESPONDENT))
        return "mtu=1420" in told[-1] or "mtu: 1420" in told[-1]

    world.wait(narrower, lambda: told[-1])
    assert world.ping(world.node, "-M", "do", "-s", str(1420 - 48), CORRESPONDENT)


@pytest.mark.rfc("6275#11.7.1-19")
def test_a_clean_stop_tells_the_home_agent_and_gives_the_interface_back(world: World) -> None:
    before = run_ip("-n", world.node, "-6", "rule")
    world.start_daemons()
    world.plug(1)
    world.wait_for(state="registered")
    state = (world.directory / "node" / "node-eth0.json").read_text()
    assert (world.directory / "node" / "node-eth0.json").stat().st_mode & 0o077 == 0
    daemon = world._started[-1]
    assert world.stop(daemon) == 0
    world.wait(lambda: "home again, or gone" in world.log("anchor"))
    assert run_ip("-n", world.node, "-6", "rule") == before
    assert "2001:db8" not in run_ip("-n", world.node, "-6", "address")
    assert "default" not in run_ip("-n", world.node, "-6", "route")
    world.start_node()
    world.wait_for(state="registered")
    assert "135" not in world.log("anchor")
    assert (world.directory / "node" / "node-eth0.json").read_text() != state


def test_a_crash_abroad_is_mended_at_home(world: World) -> None:
    def settings() -> str:
        return world.run(world.node, "sysctl", *(f"net.ipv6.conf.eth0.{name}" for name in SETTINGS))

    before = settings()
    world.start_daemons()
    world.plug(1)
    world.wait_for(state="registered")
    daemon = world._started[-1]
    daemon.send_signal(signal.SIGKILL)
    daemon.wait()
    world.plug(0)
    world.start_node()
    world.wait_for(place="home", state="at home")
    assert world.ping(world.correspondent, HOME)
    assert "home again, or gone" in world.log("anchor")
    assert settings() != before
    assert world.stop(world._started[-1]) == 0
    assert settings() == before, "the second life took what the first had made for how it was"
