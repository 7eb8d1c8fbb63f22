# SPDX-License-Identifier: Apache-2.0
"""A mobile node's daemon finds its home agent by DNS (RFC 5026 section 5.1), with Debian's dnsmasq as the name server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.daemon.node_world import CORRESPONDENT, HOME, World
from tests.netio.name_server import NameServer

pytestmark = [pytest.mark.root, pytest.mark.needs("ip", "ping", "sysctl", "dnsmasq")]

AGENT = "2001:db8:5::1"
CARE_OF = "2001:db8:1::ff:fe00:101"
SERVICE = "_mip6._ipv6.example.org"
RECORDS = (
    f"--host-record=ha.example.org,{AGENT}",
    "--host-record=spare.example.org,2001:db8:5::2",
    f"--srv-host={SERVICE},spare.example.org,1,20",
    f"--srv-host={SERVICE},ha.example.org,1,10",
)


@pytest.fixture
def world(namespace: Callable[[str], str], tmp_path: Path) -> Iterator[World]:
    made = World(namespace, tmp_path)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def names(world: World) -> Iterator[NameServer]:
    made = NameServer(world.correspondent, CORRESPONDENT, world.directory / "names.log", *RECORDS)
    try:
        yield made
    finally:
        made.close()


def know(world: World, key: str, name: str) -> None:
    """Let the node's configuration have a name instead of an address."""
    file = world.directory / "node.toml"
    text = file.read_text()
    assert f'home_agent = "{AGENT}"' in text
    file.write_text(text.replace(f'home_agent = "{AGENT}"', f'{key} = "{name}"\nname_servers = ["{CORRESPONDENT}"]'))


@pytest.mark.requirement("MN-5")
def test_abroad_the_service_is_asked_for_from_the_care_of_address(world: World, names: NameServer) -> None:
    know(world, "home_domain", "example.org")
    world.start_daemons()
    world.plug(1)
    world.wait_for(state="registered", anchor=AGENT, anchor_from="DNS service", care_of_address=CARE_OF)
    assert names.asked() == [("SRV", SERVICE, CARE_OF)]
    assert world.ping(world.node, CORRESPONDENT)
    assert world.ping(world.correspondent, HOME)


@pytest.mark.requirement("MN-4", "MN-5")
def test_at_home_the_name_is_asked_for_before_the_node_leaves(world: World, names: NameServer) -> None:
    know(world, "home_agent_name", "ha.example.org")
    world.start_daemons()
    world.plug(0)
    world.wait_for(state="at home", anchor=AGENT, anchor_from="DNS name")
    assert names.asked() == [("AAAA", "ha.example.org", HOME)]
    names.close()
    world.plug(1)
    world.wait_for(state="registered", anchor=AGENT)
    assert world.ping(world.correspondent, HOME)


def test_a_name_that_is_not_there_is_told_and_asked_for_again(world: World, names: NameServer) -> None:
    know(world, "home_agent_name", "nobody.example.org")
    file = world.directory / "node.toml"
    file.write_text(file.read_text().replace("[node]", "[node]\nretry_interval_seconds = 1"))
    world.start_daemons()
    world.plug(1)
    told = "the DNS does not tell the home agent nobody.example.org: nobody.example.org AAAA: no such name; asking again in 1 s"
    world.wait(lambda: told in world.log("node"), lambda: world.log("node"))
    world.wait(lambda: len(names.asked()) > 1)
    row = world.wait_for(state="waiting", anchor="", anchor_from="")
    assert row["place"] == "abroad"
    assert not world.ping(world.node, "-I", HOME, CORRESPONDENT)
