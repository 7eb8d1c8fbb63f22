# SPDX-License-Identifier: Apache-2.0
"""A topology that cannot be built is refused when it is declared, with the mistake named."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Interface, IPv6Network

import pytest

from halma.lab.scenario import IDEAL, Conditions
from halma.lab.scenarios import domain, plays
from halma.lab.topology import AccessLink, End, Impairment, Kind, Link, Node, Route, Topology, TopologyError, Zone

A = Node("a", Kind.ROUTER, "A", (0, 0))
B = Node("b", Kind.ROUTER, "B", (1, 0))
H = Node("h", Kind.HOST, "H", (0, 1))


def end(node: str, interface: str, *addresses: str) -> End:
    """An end of a link."""
    return End(node, interface, tuple(IPv6Interface(address) for address in addresses))


def link(left: End, right: End, name: str = "ab") -> Link:
    """A link of the core."""
    return Link(name, left, right, Zone.CORE)


GOOD = link(end("a", "x", "2001:db8::1/64"), end("b", "y", "2001:db8::2/64"))


@pytest.mark.parametrize(
    ("nodes", "links", "access", "mistake"),
    [
        ((A, A), (), (), "declared twice"),
        ((Node("Ä", Kind.ROUTER, "", (0, 0)),), (), (), "lower-case letters"),
        ((A, B), (link(end("a", "x"), end("c", "y")),), (), "no node 'c'"),
        ((A, B), (link(end("a", "x" * 16), end("b", "y")),), (), "1 to 15"),
        ((A, B), (GOOD, link(end("a", "x"), end("b", "z"), "other")), (), "has an interface 'x' already"),
        ((A, B), (GOOD, link(end("a", "z"), end("b", "z"))), (), "'ab' is declared twice"),
        ((A, B), (link(end("a", "x", "2001:db8::1/64"), end("b", "y", "2001:db8::1/64")),), (), "belongs to a already"),
        ((A, B), (link(end("a", "x", "2001:db8::1/64"), end("b", "y", "2001:db8:1::1/64")),), (), "no prefix in common"),
        ((A, B), (), (AccessLink("l", "a", "02:00:00:00:00:01", "ap1"),), "a is not a host"),
        ((H,), (), (AccessLink("l", "h", "03:00:00:00:00:01", "ap1"),), "not a unicast link-layer address"),
        ((H,), (), (AccessLink("l", "h", "02:00:00:00:00:01", ""),), "not a name for an interface"),
        (
            (H, Node("i", Kind.HOST, "I", (1, 1))),
            (),
            (AccessLink("l", "h", "02:00:00:00:00:01", "ap1"), AccessLink("m", "i", "02:00:00:00:00:02", "ap1")),
            "would meet at a gateway",
        ),
        (
            (Node("a", Kind.ROUTER, "A", (0, 0), (Route(IPv6Network("::/0"), IPv6Address("2001:db8:9::1")),)), B),
            (GOOD,),
            (),
            "on none of its links",
        ),
    ],
)
def test_mistakes_are_named(
    nodes: tuple[Node, ...], links: tuple[Link, ...], access: tuple[AccessLink, ...], mistake: str
) -> None:
    with pytest.raises(TopologyError, match=mistake):
        Topology(nodes, links, access)


@pytest.mark.parametrize("impairment", [(-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.5)])
def test_an_impairment_that_cannot_be(impairment: tuple[float, float, float]) -> None:
    with pytest.raises(TopologyError, match="times of 0 or more"):
        Impairment(*impairment)


def test_every_play_declares_a_network_that_can_be_built() -> None:
    for play in plays():
        topology = play.scenario.topology(play.conditions)
        nodes = {node.name for node in topology.nodes}
        assert {daemon.node for daemon in play.scenario.daemons()} <= nodes
        assert set(play.scenario.watched()) <= {access.host for access in topology.access}


def test_conditions_are_on_the_core_links() -> None:
    topology = domain.proxy_domain(1, Conditions(delay_ms=20, loss=0.01))
    impaired = {link.name for link in topology.links if link.impairment is not None}
    assert impaired == {"core-mag1", "core-mag2", "core-mag3"}
    assert not any(link.impairment for link in domain.proxy_domain(1, IDEAL).links)


def test_who_has_which_address() -> None:
    topology = domain.proxy_domain(1, IDEAL)
    assert topology.address("lma") == domain.ANCHOR_ADDRESS
    assert topology.owners()[domain.gateway_address(2).packed] == "mag2"
    with pytest.raises(KeyError):
        topology.address("h1")
    with pytest.raises(KeyError):
        topology.access_of("cn")
