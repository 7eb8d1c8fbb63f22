# SPDX-License-Identifier: Apache-2.0
"""`pmip-handover`: a plain Linux host moves MAG1 -> MAG2 -> MAG1, and nobody else notices (RFC 5213 section 3, figures 2-4).

Always holds: the mobile hosts run their kernel and ordinary sockets, nothing of ours; host 1 moves, hosts 2 and 3 share a
gateway and talk to each other through the anchor, host 4 stays alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from halma.lab import judge, judge_traffic
from halma.lab.daemons import Daemon
from halma.lab.evidence import Evidence
from halma.lab.moves import handovers
from halma.lab.scenario import SLOW_CORE, Conditions
from halma.lab.scenarios import domain
from halma.lab.session import Lab
from halma.lab.topology import Topology, Zone
from halma.lab.traffic import Conversation, Stream, both_ways
from halma.lab.verdict import Check, Handover

HOSTS = 4
_ROAMER = "h1"
_PLACES = {"h1": "mag1", "h2": "mag2", "h3": "mag2", "h4": "mag3"}
_ROUTE = ("mag1", "mag2", "mag1")

_DOWN, _UP = 1, 2
_STAYING = {"h2": (3, 4), "h3": (5, 6), "h4": (7, 8)}
_NEIGHBOURS = (9, 10)
_TCP = 20
_FORGED_SOURCE, _FORGED_GATEWAY, _FORGED_TUNNEL = 30, 31, 32
_FORGED = 20
"""How many packets each forgery sends."""

_SOON = 2.0
"""Seconds in which a gateway must notice that a host has come or gone."""
_LONGEST_GAP_MS = 500.0
_LONGEST_GAP_LOSSY_MS = 5000.0


class PmipHandover:
    """The scenario, see the module."""

    name = "pmip-handover"
    title = "A plain Linux host moves MAG1 -> MAG2 -> MAG1"
    story = (
        "Four hosts without any mobility software attach to three gateways. Host 1 moves from MAG1 to MAG2 and back while "
        "numbered packets run in both directions and a TCP connection stands. It keeps its address and says nothing; the "
        "gateways register and give up; every packet takes the tunnel of the gateway where the host is; the other hosts, two "
        "of which talk to each other on one gateway, lose nothing; packets with a forged source or tunnel get nowhere."
    )
    variants = SLOW_CORE

    def topology(self, conditions: Conditions) -> Topology:
        """Three gateways, four hosts."""
        return domain.proxy_domain(HOSTS, conditions)

    def daemons(self) -> Sequence[Daemon]:
        """The anchor and the gateways."""
        return domain.domain_daemons(HOSTS)

    def attach(self, lab: Lab) -> None:
        """Each host at its gateway."""
        lab.step("the hosts attach")
        for host, gateway in _PLACES.items():
            lab.move(host, gateway)
        for host in _PLACES:
            lab.address(host)

    def timeline(self, lab: Lab) -> None:
        """Talk, move, move back, forge."""
        pause = 1.5 if all(link.impairment is None for link in lab.topology.links) else 4.0
        lab.step("everybody talks")
        streams: list[Stream] = [*both_ways(_DOWN, "cn", _ROAMER), Conversation(_TCP, _ROAMER, "cn")]
        for host, (down, _) in _STAYING.items():
            streams += both_ways(down, "cn", host, 5.0)
        lab.talk(*streams, *both_ways(_NEIGHBOURS[0], "h2", "h3", 5.0))
        lab.wait(pause)
        for before, after in itertools.pairwise(_ROUTE):
            lab.step(f"{_ROAMER} moves from {before} to {after}")
            lab.move(_ROAMER, after)
            lab.wait(pause)
        lab.step("forged packets")
        self._forge(lab)
        lab.wait(0.3)

    @staticmethod
    def _forge(lab: Lab) -> None:
        victim, target = str(lab.address(_ROAMER)), str(lab.address("cn"))
        anchor = str(domain.ANCHOR_ADDRESS)
        count = str(_FORGED)
        # Host 4 uses host 1's address; MAG3 sends as if host 1 were there; the core router pretends to be a gateway.
        lab.forge("h4", str(_FORGED_SOURCE), count, victim, target)
        lab.forge("mag3", str(_FORGED_GATEWAY), count, victim, target, str(domain.gateway_address(3)), anchor)
        lab.forge("core", str(_FORGED_TUNNEL), count, victim, target, "2001:db8:1::ff", anchor)

    def checks(self, evidence: Evidence) -> Iterator[Check]:
        """What must be seen, by requirement."""
        lossy = evidence.topology.lossy
        yield judge.captures_complete(evidence)
        yield judge.daemons_lived(evidence)
        yield judge_traffic.sockets_agree(evidence)
        for host in _PLACES:
            yield judge.address_kept(evidence, host)
        for host in _PLACES:
            yield from judge.registrations(evidence, host, exact=not lossy)
            yield judge.noticed(evidence, host, _SOON)
        yield judge.same_prefix(evidence, _ROAMER, "lma", domain.host_prefix(1))
        yield judge.waits_silently(evidence, _ROAMER)
        yield judge.advertisements(evidence, _ROAMER, domain.ROUTER_LINK_LOCAL.packed, domain.ROUTER_LINK_LAYER)
        for host in _PLACES:
            yield judge.host_silent(evidence, host)
        yield judge.nothing_before_answer(evidence, _ROAMER)
        yield judge.honest_answers(evidence, _ROAMER)
        yield judge.no_complaints(evidence)
        yield judge.no_leak(evidence)
        yield judge_traffic.paths(evidence, _DOWN, [(f"to {gateway}",) for gateway in _ROUTE], "ANC-2")
        yield judge_traffic.paths(evidence, _UP, [(f"from {gateway}",) for gateway in _ROUTE], "GW-4")
        for host, (down, up) in _STAYING.items():
            yield judge_traffic.paths(evidence, down, [(f"to {_PLACES[host]}",)], "ANC-2")
            yield judge_traffic.paths(evidence, up, [(f"from {_PLACES[host]}",)], "GW-4")
        for stream in _NEIGHBOURS:
            yield judge_traffic.paths(evidence, stream, [("from mag2", "to mag2")], "ANC-2")
        longest = _LONGEST_GAP_LOSSY_MS if lossy else _LONGEST_GAP_MS
        for handover in self.handovers(evidence):
            yield judge_traffic.resumed(handover, longest, "GW-2")
        for stream, ends in evidence.streams.items():
            if ends["kind"] == "udp":
                requirement = "GW-4" if ends["destination"] == "cn" else "ANC-2"
                allowed = judge_traffic.tolerated(evidence, stream)
                yield judge_traffic.stray_losses(evidence, stream, allowed=allowed, requirement=requirement)
        yield judge_traffic.connection_lives(evidence, _TCP, "GW-3")
        yield judge_traffic.forged_dropped(
            evidence, _FORGED_SOURCE, {Zone.ACCESS}, "a source that is not the host's own goes nowhere", "GW-4"
        )
        core = {Zone.CORE}
        yield judge_traffic.forged_dropped(evidence, _FORGED_GATEWAY, core, "another gateway cannot send for the host", "ANC-3")
        yield judge_traffic.forged_dropped(evidence, _FORGED_TUNNEL, core, "a stranger's tunnel is not opened", "ANC-3")

    def handovers(self, evidence: Evidence) -> Sequence[Handover]:
        """The moves of host 1."""
        return handovers(evidence, _ROAMER)

    def watched(self) -> Sequence[str]:
        """Host 1."""
        return (_ROAMER,)
