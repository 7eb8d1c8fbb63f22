# SPDX-License-Identifier: Apache-2.0
"""`a1-local` and `a1-global`: Mobile IPv6 above two Proxy Mobile IPv6 domains (RFC 6612 scenario A.1, figures 1, 5 and 6).

             cn                 2001:db8:cc::2
             |
             ha                 2001:db8:2::1, home addresses out of 2001:db8:200::/40
           /    \\
        lma      lma2           2001:db8:1::1 and 2001:db8:4::1, prefixes out of 2001:db8:100::/41 and 2001:db8:180::/41
           \\    /
            core
          /   |   \\
       mag1  mag2  mag3         the first two under lma, the third under lma2

Always holds: what a domain gives the node is its care-of address; the node itself has no part in the domain's signalling.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from ipaddress import IPv6Address, IPv6Interface, IPv6Network

from halma.lab import judge, judge_home, judge_traffic
from halma.lab.daemons import Daemon, Table
from halma.lab.evidence import Evidence
from halma.lab.judge_home import lifetime
from halma.lab.moves import Window, handovers
from halma.lab.scenario import Conditions
from halma.lab.scenarios import domain, roaming
from halma.lab.scenarios.a2_leave import LONGEST_GAP_MS
from halma.lab.session import Lab
from halma.lab.topology import End, Kind, Link, Node, Route, Topology, Zone
from halma.lab.traffic import Conversation, both_ways
from halma.lab.verdict import Check, Handover

NODE = roaming.NODE
_DOWN, _UP, _TCP = 1, 2, 20
_AGENT, _LMA2 = IPv6Address("2001:db8:2::1"), IPv6Address("2001:db8:4::1")
_HOME_PREFIX, _HOME_POOL = IPv6Network("2001:db8:200:1::/64"), IPv6Network("2001:db8:200::/40")
_HOME_ADDRESS = IPv6Address("2001:db8:200:1::1")
_POOLS = (IPv6Network("2001:db8:100::/41"), IPv6Network("2001:db8:180::/41"))
_PREFIXES = (IPv6Network("2001:db8:100:1::/64"), IPv6Network("2001:db8:180:1::/64"))
_GATEWAYS = IPv6Network("2001:db8:10::/44")
_DOMAIN_OF = {"mag1": 0, "mag2": 0, "mag3": 1}


class Hierarchical:
    """Both scenarios: the node goes along `route`."""

    variants: dict[str, Conditions] = {}  # noqa: RUF012 (read only)

    def __init__(self, name: str, title: str, story: str, route: Sequence[str]) -> None:
        self.name, self.title, self.story = name, title, story
        self._route = tuple(route)

    def topology(self, conditions: Conditions) -> Topology:
        """The home agent above, two anchors, three gateways."""
        base = roaming.roaming_domain(conditions, gateways=3)
        top = base.node("cn").place[0]
        between = [IPv6Network(f"2001:db8:3:{number}::/64").network_address for number in (1, 2)]
        upward = [Route(IPv6Network("::/0"), address + 1) for address in between]
        agent_routes = tuple(Route(pool, address + 2) for pool, address in zip(_POOLS, between, strict=True))
        lma = base.node("lma")
        nodes = (
            base.node("cn"),
            Node("ha", Kind.ANCHOR, "HA", (top, 0.5), agent_routes),
            dataclasses.replace(lma, title="LMA1", place=(top - 0.6, 1), routes=(*lma.routes, upward[0])),
            Node(
                "lma2",
                Kind.ANCHOR,
                "LMA2",
                (top + 0.6, 1),
                (Route(_GATEWAYS, IPv6Address("2001:db8:4::ff")), upward[1]),
            ),
            *(node for node in base.nodes if node.name not in {"cn", "lma", roaming.ROUTER}),
        )
        links = [
            Link(
                "outside",
                End("cn", "eth0", (IPv6Interface("2001:db8:cc::2/64"),)),
                End("ha", "inet0", (IPv6Interface("2001:db8:cc::1/64"),)),
                Zone.OUTSIDE,
            ),
            *(
                Link(
                    f"ha-{name}",
                    End("ha", f"core{index}", tuple(IPv6Interface(f"{own}/64") for own in addresses)),
                    End(name, "inet0", (IPv6Interface(f"{between[index] + 2}/64"),)),
                    Zone.OUTSIDE,
                )
                for index, (name, addresses) in enumerate((("lma", (between[0] + 1, _AGENT)), ("lma2", (between[1] + 1,))))
            ),
            Link(
                "core-lma2",
                End("core", "lmb0", (IPv6Interface("2001:db8:4::ff/64"),)),
                End("lma2", "core0", (IPv6Interface(f"{_LMA2}/64"),)),
                Zone.CORE,
            ),
            *(link for link in base.links if link.name not in {"outside", f"core-{roaming.ROUTER}"}),
        ]
        core = dataclasses.replace(base.node("core"), routes=())
        nodes = tuple(core if node.name == "core" else node for node in nodes)
        access = dataclasses.replace(base.access[0], address=_HOME_ADDRESS)
        return Topology(nodes, tuple(links), (access,), (*_POOLS, _HOME_POOL))

    def daemons(self, conditions: Conditions) -> Sequence[Daemon]:  # noqa: ARG002 (the same under all conditions)
        """A home agent, two anchors, three gateways, the node."""
        both = roaming.anchor_daemon()
        identifier = domain.host_identifier(1)
        own: Table = {"addresses": [str(_AGENT)], "interfaces": ["core0", "core1", "inet0"], "roles": ["ha"]}
        profile: Table = {"node": identifier, "pool": "main", "prefixes": [str(_HOME_PREFIX)], "mobile_ipv6": True}
        association: Table = {"node": identifier, "spi": 256, "key_file": roaming.key_file(), "home_prefix": str(_HOME_PREFIX)}
        agent: Table = {
            "anchor": own,
            "home_agent": {"maximum_lifetime_seconds": roaming.HOME_LIFETIME},
            "pool": [{"name": "main", "prefix": str(_HOME_POOL)}],
            "profile": [profile],
            "association": [association],
        }
        found = [Daemon("ha", "anchor", agent, both.keys)]
        for index, (name, address) in enumerate((("lma", domain.ANCHOR_ADDRESS), ("lma2", _LMA2))):
            served = [number for number in (1, 2, 3) if _DOMAIN_OF[f"mag{number}"] == index]
            tables: Table = {
                "anchor": {"addresses": [str(address)], "interfaces": ["core0", "inet0"], "roles": ["lma"]},
                "pool": [{"name": "main", "prefix": str(_POOLS[index])}],
                "peer": [{"address": str(domain.gateway_address(number))} for number in served],
                "profile": [{"node": identifier, "pool": "main", "prefixes": [str(_PREFIXES[index])]}],
            }
            found.append(Daemon(name, "anchor", tables))
            found += [domain.gateway_daemon(number, 1, {"anchor": str(address)}) for number in served]
        home = {"home_address": str(_HOME_ADDRESS), "home_agent": str(_AGENT)}
        return [*found, roaming.node_daemon(home)]

    def attach(self, lab: Lab) -> None:
        """The node in the first domain, with a binding at its home agent."""
        lab.step(f"the node attaches to {self._route[0]} and registers")
        lab.move(NODE, self._route[0])
        lab.wait_for_link(NODE)
        lab.wait(2.0)

    def timeline(self, lab: Lab) -> None:
        """Talk, and go along."""
        lab.step("the node talks")
        lab.talk(*both_ways(_DOWN, "cn", NODE), Conversation(_TCP, NODE, "cn"))
        lab.wait(1.5)
        for before, after in zip(self._route, self._route[1:], strict=False):
            lab.step(f"the node moves from {before} to {after}")
            lab.move(NODE, after)
            lab.wait(2.5)

    def checks(self, evidence: Evidence) -> Iterator[Check]:
        """What must be seen, by requirement."""
        yield judge.captures_complete(evidence)
        yield judge.daemons_lived(evidence)
        yield judge_traffic.sockets_agree(evidence)
        before = None
        for gateway in self._route:
            window = judge_home.window_to(evidence, NODE, gateway)
            yield self._proxy_exchange(evidence, window, gateway)
            if before == _DOMAIN_OF[gateway]:
                yield judge_home.no_home_signalling(evidence, NODE, window, "MN-1")
            else:
                yield from judge_home.registered_abroad(evidence, NODE, window, _PREFIXES[_DOMAIN_OF[gateway]])
                yield self._order(evidence, window, gateway)
            before = _DOMAIN_OF[gateway]
        yield judge_home.nothing_bare_abroad(evidence, NODE, judge_home.window_to(evidence, NODE, self._route[-1]))
        yield judge.no_complaints(evidence)
        yield judge.no_leak(evidence)
        yield judge_traffic.paths(evidence, _DOWN, [(f"to {gateway}",) for gateway in self._route], "ANC-2")
        yield judge_traffic.paths(evidence, _UP, [(f"from {gateway}",) for gateway in self._route], "ANC-3")
        for handover in self.handovers(evidence):
            yield judge_traffic.resumed(handover, LONGEST_GAP_MS, "MN-2")
        for stream in (_DOWN, _UP):
            yield judge_traffic.stray_losses(evidence, stream, allowed=0, requirement="ANC-2")
        yield judge_traffic.connection_lives(evidence, _TCP, "MN-2")

    @staticmethod
    def _proxy_exchange(evidence: Evidence, window: Window, gateway: str) -> Check:
        """The gateway registered the node with the anchor of its domain, once."""
        anchor = ("lma", "lma2")[_DOMAIN_OF[gateway]]
        sent = [
            update
            for update in judge_home.proxy_updates(evidence, NODE, window.moved, window.until)
            if update.source == gateway and lifetime(update)
        ]
        answered = [judge_home.answer_to(update, evidence.signals) for update in sent]
        passed = len(sent) == 1 and sent[0].destination == anchor and judge_home.status(answered[0] or sent[0]) == 0
        return Check("GW-2", f"{gateway} registers the node with {anchor}", passed, f"{len(sent)} PBUs")

    @staticmethod
    def _order(evidence: Evidence, window: Window, gateway: str) -> Check:
        """PBU, PBA, BU, BA, in this order (figure 6)."""
        name = f"the order of messages at {gateway}"
        found = judge_home.accepted(evidence, NODE, window, lambda update: lifetime(update) > 0)
        updates = [
            update
            for update in judge_home.proxy_updates(evidence, NODE, window.moved, window.until)
            if update.source == gateway and lifetime(update)
        ]
        answer = judge_home.answer_to(updates[0], evidence.signals) if updates else None
        if found is None or answer is None:
            return Check("GW-4", name, False, "no registration was accepted")
        times = [updates[0].sent, answer.arrived, found.update.sent, found.answer.sent]
        told = ", ".join(
            f"{word} {(time - times[0]) * 1000:.2f} ms" for word, time in zip(("PBU", "PBA", "BU", "BA"), times, strict=True)
        )
        return Check("GW-4", name, times == sorted(times), told)

    def handovers(self, evidence: Evidence) -> Sequence[Handover]:
        """The moves."""
        return handovers(evidence, NODE)

    def watched(self) -> Sequence[str]:
        """The node."""
        return (NODE,)


LOCAL = Hierarchical(
    "a1-local",
    "A node with a binding at its home agent moves MAG1 -> MAG2 under one LMA (figure 5)",
    "The node has registered the address that LMA1's domain gave it. It moves to another gateway of that domain: the gateway "
    "registers it there, and its home agent hears nothing, for the care-of address is still the same.",
    ("mag1", "mag2"),
)
GLOBAL = Hierarchical(
    "a1-global",
    "The node moves on to MAG3 under another LMA (figure 6)",
    "The node moves within LMA1's domain, then into that of LMA2: MAG3 registers it with LMA2, the node forms another care-of "
    "address out of what LMA2 gave, and registers that with its home agent.",
    ("mag1", "mag2", "mag3"),
)
