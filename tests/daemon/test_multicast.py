# SPDX-License-Identifier: Apache-2.0
"""Multicast groups of a mobile node that is away: RFC 6275 sections 10.4.2, 10.4.3 and 11.3.4 on real links, with programs that
know nothing of it, and tshark to say what was on the wire."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import run_ip
from tests.daemon.node_world import HALMA, HOME, World

pytestmark = [pytest.mark.root, pytest.mark.needs("ip", "sysctl", "tcpdump", "tshark")]

GROUP, OTHER, ON_LINK = "ff0e::5:213", "ff0e::5:214", "ff02::5:213"
PORT = "5213"
NEIGHBOUR = "2001:db8:5::9"
CARE_OF, AGENT = "2001:db8:1::ff:fe00:101", "2001:db8:5::1"
SEND = """
import socket, sys
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, int(sys.argv[4]))
    for name in sys.argv[5:]:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex(name))
    s.sendto(sys.argv[3].encode(), (sys.argv[1], int(sys.argv[2])))
"""


class Network(World):
    """With a neighbour on the home link."""

    def __init__(self, namespace: Callable[[str], str], directory: Path, plane: str) -> None:
        super().__init__(namespace, directory, plane)
        self.neighbour = namespace("neighbour")
        run_ip("link", "add", "eth0", "netns", self.neighbour, "type", "veth", "peer", "name", "port9", "netns", self.agent)
        run_ip("-n", self.agent, "link", "set", "port9", "master", "home0", "up")
        self.run(self.neighbour, "sysctl", "-qw", "net.ipv6.conf.eth0.accept_ra=0")
        self._up(self.neighbour, "eth0", f"{NEIGHBOUR}/64")

    def listen(self, machine: str, group: str, *interface: str) -> str:
        """A program begins to listen; the name of its log."""
        name = f"member-{machine}-{group.replace(':', '_')}"
        self.start(machine, name, sys.executable, "-m", "tests.daemon.group_member", group, PORT, *interface)
        self.wait(lambda: "listening" in self.log(name), lambda: self.log(name))
        return name

    def send(self, machine: str, group: str, text: str, *interface: str, hops: int = 8) -> None:
        """A program sends one datagram, by the interface where it names one."""
        self.run(machine, sys.executable, "-c", SEND, group, PORT, text, str(hops), *interface)

    def hears(self, name: str, source: str, text: str) -> None:
        """Before long the program has told so."""
        self.wait(lambda: f"{source} {text}" in self.log(name), lambda: f"{self.log(name)}\n{self.log('anchor')}")

    def groups(self) -> list[tuple[str, str]]:
        """What the anchor shows."""
        shown = self.run(
            self.agent, sys.executable, "-m", "halma", "show", "groups", "--json", "-s", f"{self.directory}/anchor.sock"
        )
        return [(row["group"], row["home_address"]) for row in json.loads(shown)]


@pytest.fixture
def network(namespace: Callable[[str], str], tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Network]:
    made = Network(namespace, tmp_path, getattr(request, "param", "auto"))
    try:
        yield made
    finally:
        made.close()


@pytest.mark.rfc(
    "6275#8.4-14", "6275#8.4-15", "6275#8.5-17", "6275#8.5-18", "6275#10.4.2-7", "6275#10.4.3-1", "6275#11.3.4-3",
    "6275#11.3.4-7",
)  # fmt: skip
@pytest.mark.parametrize("network", ["auto", "tun"], indirect=True)
def test_a_node_that_is_away_listens_and_speaks_through_its_tunnel(network: Network) -> None:
    network.start_daemons()
    network.plug(1)
    network.wait_for(place="abroad", state="registered")
    member = network.listen(network.node, GROUP)
    network.wait(lambda: (GROUP, HOME) in network.groups(), lambda: network.log("anchor"))
    network.send(network.neighbour, GROUP, "one")
    network.hears(member, NEIGHBOUR, "one")
    others = network.listen(network.neighbour, GROUP, "eth0")
    network.send(network.node, GROUP, "two")
    network.hears(others, HOME, "two")

    network.plug(2)
    network.wait_for(state="registered", care_of_address="2001:db8:2::ff:fe00:101")
    network.send(network.neighbour, GROUP, "three")
    network.hears(member, NEIGHBOUR, "three")


def test_who_listens_hears_the_group_at_home_and_away_whenever_it_began(network: Network) -> None:
    network.start_daemons()
    network.plug(0)
    network.wait_for(place="home", state="at home")
    at_home = network.listen(network.node, GROUP)
    network.send(network.neighbour, GROUP, "one")
    network.hears(at_home, NEIGHBOUR, "one")

    network.plug(1)
    network.wait_for(place="abroad", state="registered")
    away = network.listen(network.node, OTHER)
    network.wait(lambda: {(GROUP, HOME), (OTHER, HOME)} <= set(network.groups()), lambda: network.log("anchor"))
    for member, group in ((at_home, GROUP), (away, OTHER)):
        network.send(network.neighbour, group, "two")
        network.hears(member, NEIGHBOUR, "two")

    network.plug(0)
    network.wait_for(place="home", state="at home")
    for member, group in ((at_home, GROUP), (away, OTHER)):
        network.send(network.neighbour, group, "three")
        network.hears(member, NEIGHBOUR, "three")
    others = network.listen(network.neighbour, GROUP, "eth0")
    network.send(network.node, GROUP, "four")
    network.hears(others, HOME, "four")
    assert network.groups() == []


@pytest.mark.rfc("6275#11.3.4-7")
def test_nothing_leaves_bare_from_the_home_address_on_a_visited_link(network: Network) -> None:
    """Who names the interface speaks there from the care-of address, all others through the tunnel."""
    network.start_daemons()
    for link in network.routers:
        care_of = CARE_OF.replace("8:1:", f"8:{link}:")
        network.plug(link)
        network.wait_for(state="registered", care_of_address=care_of)
        lines = what_leaves(network, link)
        tunnelled = [line for line in lines if line.startswith(f"{care_of} > {AGENT}: IP6 {HOME}.")]
        bare = [line.split(" > ")[0].rpartition(".")[0] for line in lines if line not in tunnelled]
        assert (len(tunnelled), bare) == (4, [care_of] * 4 + ["fe80::ff:fe00:101"])


def what_leaves(network: Network, link: int) -> list[str]:
    """What tcpdump shows on a visited link of datagrams to groups of four scopes, by nobody's and by the interface's name, and
    of a last one that stays on the link."""
    log = f"dump{link}"
    network.start(network.routers[link], log, "tcpdump", "--immediate-mode", "-lntqi", "far0", "udp or ip6 proto 41")
    network.wait(lambda: "listening" in network.log(log))
    for group in ("ff04::7", "ff05::7", "ff08::7", GROUP):
        network.send(network.node, group, "one")
        network.send(network.node, group, "one", "eth0")
    network.send(network.node, ON_LINK, "last", "eth0")
    network.wait(lambda: f"{ON_LINK}.{PORT}" in network.log(log), lambda: network.log(log))
    return [line.removeprefix("IP6 ") for line in network.log(log).splitlines() if f".{PORT}:" in line]


@pytest.mark.parametrize("network", ["auto", "tun"], indirect=True)
def test_the_link_of_groups_may_be_down_for_a_while(network: Network) -> None:
    network.run(network.agent, "sysctl", "-qw", "net.ipv6.conf.home0.keep_addr_on_down=1")
    network.start_daemons()
    network.plug(1)
    network.wait_for(place="abroad", state="registered")
    member = network.listen(network.node, GROUP)
    network.wait(lambda: (GROUP, HOME) in network.groups(), lambda: network.log("anchor"))
    for state in ("down", "up"):
        run_ip("-n", network.agent, "link", "set", "home0", state)
    network.send(network.neighbour, GROUP, "one")
    network.hears(member, NEIGHBOUR, "one")


def test_another_interface_needs_a_restart_whenever_one_asks(network: Network) -> None:
    file = network.directory / "anchor.toml"
    network.start(network.agent, "anchor", *HALMA, "anchor", "-c", str(file))
    network.wait(lambda: "ready" in network.log("anchor"))
    reload = [*HALMA, "reload", "-s", f"{network.directory}/anchor.sock"]
    before = file.read_text()
    file.write_text(before.replace('multicast_interface = "home0"', 'multicast_interface = "peer0"'))
    for _ in range(2):
        with pytest.raises(subprocess.CalledProcessError) as told:
            network.run(network.agent, *reload)
        assert "needs a restart" in told.value.stderr
    file.write_text(before)
    network.run(network.agent, *reload)


@pytest.mark.rfc("6275#10.4.3-1", "6275#11.3.4-4")
def test_what_is_on_the_wire(network: Network) -> None:
    """The home agent asks first; what both say is what tshark takes for sound Multicast Listener Discovery, in the tunnel that
    all else goes through."""
    network.start_daemons()
    file = network.directory / "core1.pcap"
    command = ("tcpdump", "-U", "--immediate-mode", "-ni", "core1", "-w", str(file), "ip6 proto 41")
    dump = network.start(network.agent, "dump", *command)
    network.wait(lambda: "listening" in network.log("dump"))
    network.listen(network.node, GROUP)
    network.plug(1)
    network.wait_for(place="abroad", state="registered")
    network.wait(lambda: (GROUP, HOME) in network.groups(), lambda: network.log("anchor"))
    assert network.stop(dump) == 0
    fields = ("icmpv6.type", "ipv6.src", "ipv6.dst", "ipv6.hlim", "ipv6.opt.router_alert", "_ws.malformed", "_ws.expert")
    options = [word for field in fields for word in ("-e", field)]
    decoded = subprocess.run(
        ["tshark", "-r", str(file), "-Y", "icmpv6", "-T", "fields", "-E", "separator=;", *options],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = [line.split(";") for line in decoded.splitlines()]
    query, *reports = [line for line in lines if line[0] in ("130", "143")]
    assert query[:5] == ["130", f"{AGENT},fe80::1", f"{CARE_OF},ff02::1", "64,1", "0"]
    assert reports
    for report in reports:
        assert report[:5] == ["143", f"{CARE_OF},fe80::77", f"{AGENT},ff02::16", "63,1", "0"]
    assert all(line[5] == "" for line in lines)
