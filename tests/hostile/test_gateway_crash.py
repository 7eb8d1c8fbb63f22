# SPDX-License-Identifier: Apache-2.0
"""A gateway is killed with its nodes attached: nothing of them leaves bare until it is back, and a clean stop of a later life
gives the access interfaces back as the first one found them."""

from __future__ import annotations

import json
import select
import socket
import subprocess
from pathlib import Path

import pytest

from halma.lab.processes import inside
from halma.netio.access_interface import SETTINGS
from halma.wire.ipv6 import parse_packet
from tests.conftest import run_ip
from tests.forwarding.plane_openers import why_not
from tests.hostile.hostile_world import HOST_PREFIX, World

pytestmark = [pytest.mark.root, pytest.mark.needs("ip", "tc", "ping")]

ETH_P_IPV6, PACKET_IGNORE_OUTGOING = 0x86DD, 23
IPV6 = 41
PLANES = ("auto", "clsact", "seg6", "tun")


def shape(world: World, device: str) -> tuple[object, ...]:
    """How an access interface is."""
    name = world.names["gateway"]
    (shown,) = json.loads(run_ip("-n", name, "-j", "address", "show", "dev", device))
    addresses = sorted(held["local"] for held in shown["addr_info"])
    with inside(name):
        settings = [Path(f"/proc/sys/net/ipv6/conf/{device}/{setting}").read_text() for setting in SETTINGS]
    traffic = [subprocess.run(["tc", "-n", name, "qdisc", "show", "dev", device], capture_output=True, check=True).stdout]
    return shown["address"], "UP" in shown["flags"], addresses, settings, traffic


def host_sends(world: World, source: str) -> bool:
    """The host sends to the world outside; whether it is answered."""
    command = ["ip", "netns", "exec", world.names["host"], "ping", "-c5", "-i0.05", "-W1", "-I", source, "2001:db8:66::9"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.requirement("GW-4", "GW-3")
@pytest.mark.rfc("5213#6.10.5-8", "6543#1-1")
@pytest.mark.parametrize("plane", PLANES)
def test_nothing_leaves_bare_and_what_the_first_life_found_is_given_back(tmp_path: Path, plane: str) -> None:
    if plane == "seg6" and (reason := why_not("seg6")):
        pytest.skip(reason)
    with World(tmp_path) as world:
        file = world.file("gateway")
        file.write_text(file.read_text().replace("[gateway]\n", f'[gateway]\nplane = "{plane}"\n'))
        before, found = world.kernel("gateway"), shape(world, "ap1")
        world.start("anchor", "gateway")
        world.attach_host()
        own, stolen = world.host_address(), "2001:db8:100:9::1"
        world.until(lambda: host_sends(world, own), "service")
        run_ip("-n", world.names["host"], "address", "add", f"{stolen}/128", "dev", "h0", "nodad")
        with inside(world.names["attacker"]):
            wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IPV6))
            wire.setsockopt(263, PACKET_IGNORE_OUTGOING, 1)
            wire.bind(("g0", ETH_P_IPV6))
        with wire:
            for _ in range(2):
                world.daemons["gateway"].handle.kill()
                world.daemons["gateway"].handle.wait()
                assert shape(world, "ap1") != found
                for source in (own, stolen):
                    host_sends(world, source)
                world.start("gateway")
                world.until(lambda: host_sends(world, own), "service after the gateway was killed")
            assert not host_sends(world, stolen)
            packets = []
            while select.select([wire], [], [], 0)[0]:
                packets.append(parse_packet(wire.recv(2000)))
        tunnelled = [packet for packet in packets if packet.next_header == IPV6]
        assert tunnelled, "nothing was seen, so nothing is shown"
        bare = [packet for packet in packets if packet.source[:6] == HOST_PREFIX[:6]]
        assert bare == []
        world.daemons["gateway"].handle.terminate()
        assert world.daemons["gateway"].handle.wait(10) == 0, world.log("gateway")
        assert world.kernel("gateway") == before
        assert shape(world, "ap1") == found
        address, up, *_ = shape(world, "ap0")
        assert address != "00:00:5e:00:52:13"
        assert not up, "the host's interface was down when the first life found it"
        assert list((tmp_path / "gateway-state" / "gateway-access").iterdir()) == []
