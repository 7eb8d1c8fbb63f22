# SPDX-License-Identifier: Apache-2.0
"""A gateway's daemon as a plain access router: an ordinary Linux host that manages its own mobility forms an address of the
gateway's prefix and is reached natively (RFC 5213 section 6.14, GW-6).

host (eth0) ---- (ap0) gateway (core0, 2001:db8:2::1) ---- (eth0, 2001:db8:2::9) correspondent
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from halma.engine.link_local import plain_router_address
from halma.text import read_address, read_prefix, show_address
from halma.wire.ipv6 import parse_packet
from tests.conftest import run_ip
from tests.daemon.running import Daemon
from tests.netio.links import inside

pytestmark = [pytest.mark.root, pytest.mark.needs("ip", "sysctl", "ping")]

PATIENCE = 15
ACCESS = read_prefix("2001:db8:21::/56")
LINK_LAYER = "02:00:00:00:03:01"
CONFIGURATION = """
[gateway]
address = "2001:db8:2::1"
anchor = "2001:db8:1::1"
interfaces = ["core0"]
access = ["ap*"]
access_prefix = "2001:db8:21::/56"
control_socket = "{directory}/control.sock"
state_directory = "{directory}"
plane = "{plane}"
[gateway.heartbeat]
enabled = false
[[profile]]
node = "mobile@example.org"
link_layer_address = "02:00:00:00:03:01"
proxy_mobility = {proxy_mobility}
"""


class World:
    """The three machines, the one in the middle with its daemon."""

    def __init__(self, namespace: Callable[[str], str], directory: Path, plane: str) -> None:
        self.gateway, self.host, self.correspondent = (namespace(role) for role in ("gateway", "host", "correspondent"))
        self.directory, self.plane = directory, plane
        self.file = directory / "gateway.toml"
        run_ip("-n", self.gateway, "link", "add", "ap0", "type", "veth", "peer", "name", "eth0", "netns", self.host)
        run_ip("-n", self.gateway, "link", "add", "core0", "type", "veth", "peer", "name", "eth0", "netns", self.correspondent)
        self.run(self.gateway, "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1", "net.ipv6.conf.core0.accept_dad=0")
        self.run(self.correspondent, "sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=0")
        settings = ("accept_ra=1", "autoconf=1", "forwarding=0", "accept_dad=0", "addr_gen_mode=0", "use_tempaddr=0")
        self.run(self.host, "sysctl", "-qw", *(f"net.ipv6.conf.eth0.{setting}" for setting in settings))
        run_ip("-n", self.host, "link", "set", "eth0", "address", LINK_LAYER)
        for where, device in ((self.gateway, "core0"), (self.correspondent, "eth0"), (self.host, "eth0")):
            run_ip("-n", where, "link", "set", device, "up")
        run_ip("-n", self.gateway, "address", "add", "2001:db8:2::1/64", "dev", "core0", "nodad")
        run_ip("-n", self.gateway, "route", "add", "default", "via", "2001:db8:2::9")
        run_ip("-n", self.correspondent, "address", "add", "2001:db8:2::9/64", "dev", "eth0", "nodad")
        run_ip("-n", self.correspondent, "route", "add", str(ACCESS), "via", "2001:db8:2::1")
        self.daemon = Daemon(self.gateway, "gateway", self.file)

    def configure(self, *, proxy_mobility: bool) -> None:
        """Write the configuration."""
        flag = "true" if proxy_mobility else "false"
        self.file.write_text(CONFIGURATION.format(directory=self.directory, plane=self.plane, proxy_mobility=flag))

    def close(self) -> None:
        """Whatever happened, nothing runs any more."""
        self.daemon.close()

    def run(self, where: str, *command: str) -> str:
        """What a command prints in one of the namespaces. Raises CalledProcessError."""
        return subprocess.run(["ip", "netns", "exec", where, *command], capture_output=True, text=True, check=True).stdout

    def halma(self, *words: str) -> str:
        """What a command to the daemon prints."""
        return self.run(self.gateway, sys.executable, "-m", "halma", *words, "-s", str(self.directory / "control.sock"))

    def session(self) -> dict[str, Any]:
        """How the daemon shows the host; empty when it does not."""
        rows: list[dict[str, Any]] = json.loads(self.halma("show", "sessions", "--json"))
        return next((row for row in rows if row["link_layer_address"] == LINK_LAYER), {})

    def addresses(self) -> list[dict[str, Any]]:
        """The host's addresses of the access prefix."""
        (device,) = json.loads(run_ip("-n", self.host, "-j", "-6", "address", "show", "dev", "eth0"))
        return [held for held in device["addr_info"] if ACCESS.contains(read_address(held["local"]))]

    def routers(self) -> set[str]:
        """The host's default routers."""
        routes = json.loads(run_ip("-n", self.host, "-j", "-6", "route", "show", "default"))
        return {route["gateway"] for route in routes if "gateway" in route}


@contextlib.contextmanager
def world(namespace: Callable[[str], str], directory: Path, plane: str = "auto") -> Iterator[World]:
    """The world with its daemon running."""
    made = World(namespace, directory, plane)
    made.configure(proxy_mobility=False)
    try:
        made.daemon.start()
        yield made
        made.daemon.stop()
    finally:
        made.close()


def eventually(holds: Callable[[], object], w: World) -> None:
    """It is so before long."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, w.daemon.log()
        time.sleep(0.02)


@pytest.mark.requirement("GW-6")
def test_what_no_link_has_of_the_access_prefix_does_not_go_back_to_where_it_came_from(
    namespace: Callable[[str], str], tmp_path: Path
) -> None:
    with world(namespace, tmp_path) as w:
        eventually(w.addresses, w)
        (held,) = w.addresses()
        command = ["ip", "netns", "exec", w.correspondent, "ping", "-c1", "-W2", "2001:db8:21:ff::1"]
        told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        assert "From 2001:db8:2::1 icmp_seq=1 Destination unreachable: No route" in told
        w.run(w.correspondent, "ping", "-c1", "-W5", held["local"])
    assert "2001:db8:21" not in run_ip("-n", w.gateway, "-6", "route", "show")


ROUTER = show_address(plain_router_address(read_address("2001:db8:2::1"), "ap0"))


@pytest.mark.requirement("GW-6")
@pytest.mark.rfc("5213#6.14-2", "5213#6.14-3")
@pytest.mark.parametrize("plane", ["auto", "seg6", "tun"])
def test_a_linux_host_forms_an_address_and_is_reached_natively(
    namespace: Callable[[str], str], tmp_path: Path, plane: str
) -> None:
    with world(namespace, tmp_path, plane) as w:
        eventually(w.addresses, w)
        (held,) = w.addresses()
        assert (held["prefixlen"], held["dynamic"]) == (64, True)
        assert 5000 < held["preferred_life_time"] <= 5400 < held["valid_life_time"] <= 7200
        assert w.routers() == {ROUTER}
        session = w.session()
        assert session["state"] == "local"
        assert read_prefix(session["prefixes"][0]).contains(read_address(held["local"]))
        with inside(w.correspondent):
            listener = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x86DD))
            listener.bind(("eth0", 0x86DD))
        with listener:
            w.run(w.host, "ping", "-c2", "-i0.2", "-W5", "2001:db8:2::9")
            w.run(w.correspondent, "ping", "-c2", "-i0.2", "-W5", held["local"])
            packets = []
            while select.select([listener], [], [], 0)[0]:
                packets.append(parse_packet(listener.recv(2000)))
        from_host = [packet for packet in packets if packet.source == read_address(held["local"])]
        assert len(from_host) == 4
        assert {packet.next_header for packet in from_host} == {58}, "something was tunnelled"
        # what is not of this link is not let through
        run_ip("-n", w.host, "address", "add", "2001:db8:77::1/128", "dev", "eth0", "nodad")
        refused = ["ping", "-c1", "-W1", "-I", "2001:db8:77::1", "2001:db8:2::9"]
        run_ip("-n", w.correspondent, "route", "add", "2001:db8:77::/64", "via", "2001:db8:2::1")
        run_ip("-n", w.gateway, "route", "add", "2001:db8:77::/64", "via", "fe80::ff:fe00:301", "dev", "ap0")
        with pytest.raises(subprocess.CalledProcessError):
            w.run(w.host, *refused)
        assert w.session()["state"] == "local"
        told = run_ip("-n", w.gateway, "-6", "address", "show", "dev", "ap0")
        assert ROUTER in told
        assert "fe80::200:5eff:fe00:5213" not in told
    assert "2001:db8:21" not in run_ip("-n", w.gateway, "-6", "route", "show")
    assert ROUTER not in run_ip("-n", w.gateway, "-6", "address", "show", "dev", "ap0")
    eventually(lambda: not w.routers(), w)  # it has been told


@pytest.mark.requirement("GW-6")
@pytest.mark.rfc("5213#6.14-1", "5213#6.14-3")
def test_the_profile_changes_while_the_host_is_there(namespace: Callable[[str], str], tmp_path: Path) -> None:
    with world(namespace, tmp_path) as w:
        eventually(w.addresses, w)
        w.configure(proxy_mobility=True)
        w.halma("reload")
        eventually(lambda: not w.routers(), w)
        assert [held["preferred_life_time"] for held in w.addresses()] == [0]
        assert w.session()["state"] == "registering"
        assert "fe80::200:5eff:fe00:5213" in run_ip("-n", w.gateway, "-6", "address", "show", "dev", "ap0")
        with pytest.raises(subprocess.CalledProcessError):
            w.run(w.correspondent, "ping", "-c1", "-W1", w.addresses()[0]["local"])
        w.configure(proxy_mobility=False)
        w.halma("reload")
        eventually(lambda: w.routers() == {ROUTER}, w)
        (held,) = w.addresses()
        assert held["preferred_life_time"] > 5000
        w.run(w.correspondent, "ping", "-c1", "-W5", held["local"])
        w.file.write_text(w.file.read_text().replace('["ap*"]', '["ap*", "wlan*"]'))
        for _ in range(2):
            with pytest.raises(subprocess.CalledProcessError) as told:
                w.halma("reload")
            assert "needs a restart" in told.value.stderr
