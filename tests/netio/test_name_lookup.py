# SPDX-License-Identifier: Apache-2.0
"""Home agents by DNS (RFC 5026 section 5.1), asked of a name server that is not ours."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv6Address
from pathlib import Path

import pytest

from halma.engine.node_api import HomeAgentRecord
from halma.netio.name_lookup import (
    LONGEST,
    MAXIMUM_ADDRESSES,
    MAXIMUM_TARGETS,
    Found,
    HomeAgentLookupError,
    find_home_agents,
    name_servers,
)
from tests.conftest import run_ip
from tests.netio.links import inside
from tests.netio.name_server import ADDRESS_TTL, TTL, NameServer

SERVER, OTHER_SERVER, NODE = "2001:db8:53::1", "2001:db8:53::3", "2001:db8:53::2"
FIRST, SECOND = IPv6Address("2001:db8:1::1").packed, IPv6Address("2001:db8:1::2").packed
MANY = range(60)
RECORDS = [
    f"--host-record=ha1.example.org,2001:db8:1::1,{ADDRESS_TTL}",
    "--host-record=ha2.example.org,2001:db8:1::2",
    "--host-record=old.example.org,192.0.2.1",
    *(f"--host-record=crowd.example.org,2001:db8:2::{number:x}" for number in range(1, 9)),
    "--cname=anchor.example.org,ha1.example.org",
    "--srv-host=_mip6._ipv6.example.org,ha1.example.org,1,10,30",
    "--srv-host=_mip6._ipv6.example.org,ha2.example.org,1,20,0",
    "--srv-host=_mip6._ipv6.alias.example.org,anchor.example.org,1",
    "--srv-host=_mip6._ipv6.half.example.org,lost.example.org,1",
    "--srv-host=_mip6._ipv6.half.example.org,ha2.example.org,1,5",
    "--srv-host=_mip6._ipv6.gone.example.org,lost.example.org,1",
    "--srv-host=_mip6._ipv6.none.example.org",
    *(f"--srv-host=_mip6._ipv6.many.example.org,ha{number}.many.example.org,1,{100 - number}" for number in MANY),
    *(f"--host-record=ha{number}.many.example.org,2001:db8:3::{number:x}" for number in MANY),
]


class World:
    """A namespace with a name server and whoever asks it."""

    def __init__(self, namespace: str, log: Path) -> None:
        self.namespace = namespace
        for address in (SERVER, OTHER_SERVER, NODE):
            run_ip("-n", namespace, "address", "add", f"{address}/128", "dev", "lo", "nodad")
        self.server = NameServer(namespace, SERVER, log, *RECORDS)

    def find(self, name: str, *, by_service: bool = False, servers: Sequence[str] = (SERVER,)) -> Found:
        source = IPv6Address(NODE).packed
        with inside(self.namespace):
            return asyncio.run(find_home_agents(name, by_service=by_service, source=source, servers=servers))

    def failure(self, name: str, *, by_service: bool = False, servers: Sequence[str] = (SERVER,)) -> str:
        with pytest.raises(HomeAgentLookupError) as raised:
            self.find(name, by_service=by_service, servers=servers)
        return str(raised.value)


@pytest.fixture
def world(namespace: Callable[[str], str], tmp_path: Path) -> Iterator[World]:
    made = World(namespace("names"), tmp_path / "dnsmasq.log")
    try:
        yield made
    finally:
        made.server.close()


def server_files(directory: Path, *texts: str) -> list[Path]:
    files = []
    for number, text in enumerate(texts):
        files.append(directory / f"resolv{number}.conf")
        files[-1].write_text(text)
    return files


network = [pytest.mark.root, pytest.mark.needs("ip", "dnsmasq")]


class TestAsking:
    pytestmark = network

    @pytest.mark.requirement("MN-5")
    def test_by_name(self, world: World) -> None:
        assert world.find("ha1.example.org") == Found((HomeAgentRecord((FIRST,)),), ADDRESS_TTL)
        assert world.server.asked() == [("AAAA", "ha1.example.org", NODE)]

    def test_by_another_name_of_it(self, world: World) -> None:
        assert world.find("anchor.example.org") == Found((HomeAgentRecord((FIRST,)),), ADDRESS_TTL)

    @pytest.mark.requirement("MN-5")
    def test_by_service_with_the_addresses_beside(self, world: World) -> None:
        found = world.find("example.org", by_service=True)
        assert set(found.records) == {HomeAgentRecord((FIRST,), 10, 30), HomeAgentRecord((SECOND,), 20, 0)}
        assert found.lifetime == ADDRESS_TTL
        assert world.server.asked() == [("SRV", "_mip6._ipv6.example.org", NODE)]

    @pytest.mark.requirement("MN-5")
    def test_by_service_and_then_the_addresses(self, world: World) -> None:
        assert world.find("alias.example.org", by_service=True) == Found((HomeAgentRecord((FIRST,)),), ADDRESS_TTL)
        assert world.server.asked() == [
            ("SRV", "_mip6._ipv6.alias.example.org", NODE),
            ("AAAA", "anchor.example.org", NODE),
        ]

    def test_a_target_without_an_address_is_left_out(self, world: World) -> None:
        assert world.find("half.example.org", by_service=True) == Found((HomeAgentRecord((SECOND,), 5, 0),), TTL)
        assert world.failure("gone.example.org", by_service=True) == "lost.example.org AAAA: no such name"

    def test_what_does_not_fit_comes_by_tcp_and_the_best_of_it_are_kept(self, world: World) -> None:
        found = world.find("many.example.org", by_service=True)
        priorities = sorted(100 - number for number in MANY)[:MAXIMUM_TARGETS]
        assert [record.priority for record in found.records] == priorities
        assert [record.addresses[0][-1] for record in found.records] == [100 - priority for priority in priorities]

    def test_of_one_name_so_many_addresses_are_kept(self, world: World) -> None:
        assert len(world.find("crowd.example.org").records[0].addresses) == MAXIMUM_ADDRESSES

    def test_what_is_not_there_is_told(self, world: World) -> None:
        assert world.failure("ha9.example.org") == "ha9.example.org AAAA: no such name"
        assert world.failure("old.example.org") == "old.example.org AAAA: no such record"
        assert world.failure("none.example.org", by_service=True) == "the domain has no home agents, it says"
        assert world.failure("ha1.example.net") == "ha1.example.net AAAA: the name servers fail"  # it has nobody to ask
        assert world.failure("ha1.example.org", servers=()) == "no name server with an IPv6 address is known"

    def test_another_server_is_asked_when_one_is_silent_and_nothing_stands_still_meanwhile(self, world: World) -> None:
        with inside(world.namespace), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as silent:
            silent.bind((OTHER_SERVER, 53))
            began = time.monotonic()
            assert world.find("ha1.example.org", servers=(OTHER_SERVER, SERVER)).records == (HomeAgentRecord((FIRST,)),)
            turns = 0

            async def ask() -> None:
                nonlocal turns
                source = IPv6Address(NODE).packed
                asking = asyncio.create_task(
                    find_home_agents("ha1.example.org", by_service=True, source=source, servers=(OTHER_SERVER,))
                )
                while not asking.done():
                    await asyncio.sleep(0.05)
                    turns += 1
                with pytest.raises(HomeAgentLookupError, match="no answer"):
                    await asking

            asyncio.run(ask())
        assert time.monotonic() - began < LONGEST
        assert turns > 40


def test_the_name_servers_of_the_machine_are_those_elsewhere_with_an_ipv6_address(tmp_path: Path) -> None:
    servers = f"search example.org\nnameserver 192.0.2.1\nnameserver ::1\nnameserver {SERVER}\nnameserver fe80::1%eth0\n"
    assert name_servers(server_files(tmp_path, servers, "nameserver 2001:db8::1\n")) == (SERVER, "fe80::1%eth0")


def test_a_server_on_the_machine_itself_gives_way_to_those_that_it_asks(tmp_path: Path) -> None:
    stub = "nameserver 127.0.0.53\noptions edns0 trust-ad\n"
    assert name_servers(server_files(tmp_path, stub, f"nameserver {SERVER}\n")) == (SERVER,)
    assert name_servers([tmp_path / "nothing", *server_files(tmp_path, "# nothing\n", stub)]) == ()
    assert name_servers(server_files(tmp_path, "nameserver rubbish\n")) == ()
