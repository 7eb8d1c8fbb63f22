# SPDX-License-Identifier: Apache-2.0
"""A home agent's daemon between foreign stations: nodes abroad, a node at home, a correspondent."""

from __future__ import annotations

import itertools

from tests.foreign import octets
from tests.foreign.mobile_node import MobileNode, sequence_of
from tests.foreign.octets import (
    BA,
    BE,
    DESTINATION,
    MOBILITY,
    PARAMETER_PROBLEM,
    UDP,
    A,
    H,
    Heard,
    ip,
)
from tests.foreign.place import Place

AGENT, PEER = ip("2001:db8:5::1"), ip("2001:db8:ee::2")
SECRET = bytes(range(20))
SECURE = """
[anchor]
addresses = ["2001:db8:5::1"]
interfaces = ["core0", "peer0"]
roles = ["ha"]
control_socket = "{directory}/control.sock"
state_directory = "{directory}"
[home_agent]
refresh_request_seconds = 3.6
maximum_lifetime_seconds = 40000
[[home_link]]
prefix = "2001:db8:5::/64"
interface = "home0"
[[profile]]
node = "*@example.org"
mobile_ipv6 = true
[[profile]]
node = "router@example.org"
mobile_ipv6 = true
mobile_router = true
mobile_network_prefixes = ["2001:db8:70::/60", "2001:db8:71::/64"]
[[association]]
node = "plain@example.org"
spi = 256
key_file = "{directory}/key"
home_address = "2001:db8:5::101"
replay_window_seconds = 0
[[association]]
node = "stamps@example.org"
spi = 4294967295
key_file = "{directory}/key"
home_address = "2001:db8:5::102"
[[association]]
node = "router@example.org"
spi = 257
key_file = "{directory}/key"
home_address = "2001:db8:5::103"
replay_window_seconds = 0
[[association]]
node = "journey@example.org"
spi = 258
key_file = "{directory}/key"
home_address = "2001:db8:5::104"
replay_window_seconds = 0
"""
OPEN = SECURE.replace("[home_agent]", "[home_agent]\ninsecure = true")
PORTS: dict[str, str | None] = {"home0": "2001:db8:5::1/64", "core0": "2001:db8:1::1/64", "peer0": "2001:db8:ee::1/64"}

_homes = itertools.count(0x200)


class HomeNetwork:
    """The stations around a home agent: a node abroad (with two addresses), one that is at home, and a correspondent."""

    def __init__(self, place: Place) -> None:
        key = place.directory / "key"
        key.touch(0o600)
        key.write_text(SECRET.hex())
        self.place = place
        self.abroad = place.station("core0", "02:00:00:00:00:aa", "2001:db8:1::2", "2001:db8:1::3")
        self.home = place.station("home0", "02:00:00:00:00:bb")
        self.peer = place.station("peer0", "02:00:00:00:00:cc", "2001:db8:ee::2")
        place.start()
        self.sentinel = self.node()

    def node(self) -> MobileNode:
        """A node that nobody has heard of yet, without a key."""
        return MobileNode(self.abroad, ip(f"2001:db8:5::{next(_homes):x}"), AGENT)

    def keyed(self, number: int, spi: int) -> MobileNode:
        """A node with an association."""
        return MobileNode(self.abroad, ip(f"2001:db8:5::{number:x}"), AGENT, (spi, SECRET))

    def silence(self, node: MobileNode) -> None:
        """Nothing is said to a node's last message: a registration that is sent after it is answered first. That one moves, so
        that it waits for the data plane as the other would."""
        sentinel = self.sentinel
        sentinel.care_of = self.abroad.addresses[sentinel.care_of == self.abroad.address]
        sentinel.update()
        before = self.abroad.hear_all(
            lambda heard: heard.home_address == sentinel.home and sequence_of(heard) == sentinel.sequence
        )
        answers = (BA, BE, PARAMETER_PROBLEM)
        assert not [heard for heard in before if heard.kind in answers and heard.home_address != sentinel.home], node

    def say(self, to: bytes, text: bytes) -> None:
        """The correspondent sends a datagram."""
        self.peer.send(octets.packet(PEER, to, UDP, octets.udp(PEER, to, text)))

    def said(self, text: bytes) -> Heard:
        """What the correspondent hears."""
        return self.peer.hear(lambda heard: heard.protocol == UDP and heard.payload.endswith(text), text.decode())


def delivered_at_home(network: HomeNetwork, node: MobileNode) -> None:
    network.say(node.home, b"at home")
    network.home.hear(lambda heard: heard.protocol == UDP and heard.payload.endswith(b"at home"), "delivery at home")


def returns(network: HomeNetwork, node: MobileNode, *, option: bool, sequence: int, lifetime: int = 0) -> Heard:
    """De-register from the home link, and answer solicitations for the home address from now on (section 11.5.5)."""
    network.home.addresses = [node.home]
    header = node.message(node.signed(octets.update(sequence, A | H, lifetime), care_of=node.home))
    before = octets.destination_options(MOBILITY, home_address=node.home) if option else b""
    network.home.send(octets.packet(node.home, AGENT, DESTINATION if option else MOBILITY, before + header))
    return network.home.hear(lambda heard: heard.kind == BA, "the acknowledgement at home")
