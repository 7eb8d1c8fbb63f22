# SPDX-License-Identifier: Apache-2.0
"""`b-mixed`: two gateways serve a plain host by Proxy Mobile IPv6 and a Mobile IPv6 node as plain access routers, both at once
(RFC 6612 scenario B, figure 4).

Always holds: the plain host runs nothing of ours; the node is at no home link ever, and its profile has Mobile IPv6 alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from ipaddress import IPv6Network

from halma.lab import judge, judge_home, judge_traffic
from halma.lab.daemons import Daemon
from halma.lab.evidence import Evidence
from halma.lab.moves import handovers
from halma.lab.scenario import Conditions
from halma.lab.scenarios import domain, roaming
from halma.lab.scenarios.a2_leave import LONGEST_GAP_MS
from halma.lab.session import Lab
from halma.lab.topology import AccessLink, Kind, Node, Route, Topology
from halma.lab.traffic import Conversation, both_ways
from halma.lab.verdict import Check, Handover

NODE, HOST = roaming.NODE, "h2"
_ROUTE = ("mag1", "mag2")
_NODE_DOWN, _NODE_UP, _NODE_TCP = 1, 2, 20
_HOST_DOWN, _HOST_UP, _HOST_TCP = 3, 4, 21


def access_prefix(number: int) -> IPv6Network:
    """What gateway `number` gives to the links of nodes that manage their own mobility, a /64 each."""
    return IPv6Network(f"2001:db8:{10 + number}:100::/56")


class Mixed:
    """The scenario, see the module."""

    name = "b-mixed"
    title = "A plain host and a Mobile IPv6 node move MAG1 -> MAG2 together"
    story = (
        "Two gateways serve both kinds of nodes. The plain host keeps its address and its gateways register it. The node is "
        "given a local prefix by each gateway, forms a care-of address and registers that itself; no gateway registers it."
    )
    variants: dict[str, Conditions] = {}  # noqa: RUF012 (read only)

    def topology(self, conditions: Conditions) -> Topology:
        """Two gateways with prefixes of their own, the node, the host."""
        base = roaming.roaming_domain(conditions)
        core = base.node("core")
        routes = (*core.routes, *(Route(access_prefix(number), domain.gateway_address(number)) for number in (1, 2)))
        others = [node for node in base.nodes if node.name != "core"]
        nodes = (*others, dataclasses.replace(core, routes=routes), Node(HOST, Kind.HOST, "host 2", (2, 4)))
        access = AccessLink(f"access-{HOST}", HOST, domain.host_link_layer(2), "ap2")
        return dataclasses.replace(base, nodes=nodes, access=(*base.access, access))

    def daemons(self, conditions: Conditions) -> Sequence[Daemon]:  # noqa: ARG002 (the same under all conditions)
        """Gateways that know both kinds of nodes."""
        anchor = roaming.anchor_daemon(profile={"proxy_mobility": False, "lifetime_seconds": 600})
        profiles = anchor.tables["profile"]
        assert isinstance(profiles, list)
        plain = {"node": domain.host_identifier(2), "pool": "main", "prefixes": [str(domain.host_prefix(2))]}
        found = [Daemon(anchor.node, anchor.role, {**anchor.tables, "profile": [*profiles, plain]}, anchor.keys)]
        for number in (1, 2):
            gateway = domain.gateway_daemon(number, 2, {"access_prefix": str(access_prefix(number))})
            entries = gateway.tables["profile"]
            assert isinstance(entries, list)
            entries[0] = {**entries[0], "proxy_mobility": False}
            found.append(gateway)
        return [*found, roaming.router_daemon(), roaming.node_daemon()]

    def attach(self, lab: Lab) -> None:
        """Both at the first gateway."""
        lab.step(f"both attach to {_ROUTE[0]}")
        lab.move(NODE, _ROUTE[0])
        lab.move(HOST, _ROUTE[0])
        lab.address(HOST)
        lab.wait(2.0)

    def timeline(self, lab: Lab) -> None:
        """Talk, and move together."""
        lab.step("both talk")
        node = (*both_ways(_NODE_DOWN, "cn", NODE), Conversation(_NODE_TCP, NODE, "cn"))
        lab.talk(*node, *both_ways(_HOST_DOWN, "cn", HOST), Conversation(_HOST_TCP, HOST, "cn"))
        lab.wait(1.5)
        lab.step(f"both move from {_ROUTE[0]} to {_ROUTE[1]}")
        lab.move(NODE, _ROUTE[1])
        lab.move(HOST, _ROUTE[1])
        lab.wait(3.0)

    def checks(self, evidence: Evidence) -> Iterator[Check]:
        """What must be seen, by requirement."""
        yield judge.captures_complete(evidence)
        yield judge.daemons_lived(evidence)
        yield judge_traffic.sockets_agree(evidence)
        yield judge.address_kept(evidence, HOST)
        yield from judge.registrations(evidence, HOST, exact=True)
        yield judge.host_silent(evidence, HOST)
        for number, gateway in enumerate(_ROUTE, 1):
            window = judge_home.window_to(evidence, NODE, gateway)
            yield from judge_home.registered_abroad(evidence, NODE, window, access_prefix(number), "GW-6")
        yield judge_home.nothing_bare_abroad(evidence, NODE, judge_home.window_to(evidence, NODE, _ROUTE[1]))
        proxied = [
            signal
            for signal in evidence.signals
            if judge_home.is_proxy_update(signal) and signal.node_identifier == domain.host_identifier(1).encode()
        ]
        own = judge_home.home_updates(evidence, NODE)
        detail = f"{len(own)} BUs of its own, {len(proxied)} PBUs about it"
        yield Check("GW-6", f"no gateway registers {NODE}", bool(own) and not proxied, detail)
        yield judge.no_complaints(evidence)
        yield judge.no_leak(evidence)
        yield judge_traffic.paths(evidence, _NODE_DOWN, [(f"to {NODE}",)], "ANC-2")
        yield judge_traffic.paths(evidence, _NODE_UP, [(f"from {NODE}",)], "ANC-3")
        yield judge_traffic.paths(evidence, _HOST_DOWN, [(f"to {gateway}",) for gateway in _ROUTE], "ANC-2")
        yield judge_traffic.paths(evidence, _HOST_UP, [(f"from {gateway}",) for gateway in _ROUTE], "GW-4")
        for handover in self.handovers(evidence):
            yield judge_traffic.resumed(handover, LONGEST_GAP_MS, "MN-2" if handover.host == NODE else "GW-2")
        for stream in (_NODE_DOWN, _NODE_UP, _HOST_DOWN, _HOST_UP):
            yield judge_traffic.stray_losses(evidence, stream, allowed=0, requirement="ANC-2")
        yield judge_traffic.connection_lives(evidence, _NODE_TCP, "MN-2")
        yield judge_traffic.connection_lives(evidence, _HOST_TCP, "GW-3")

    def handovers(self, evidence: Evidence) -> Sequence[Handover]:
        """Both moves."""
        return [*handovers(evidence, NODE), *handovers(evidence, HOST)]

    def watched(self) -> Sequence[str]:
        """Both."""
        return (NODE, HOST)
