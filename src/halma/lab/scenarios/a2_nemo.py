# SPDX-License-Identifier: Apache-2.0
"""`a2-nemo`: as `a2-leave`, with a mobile router in implicit mode, whose mobile network prefix is its home network prefix
(RFC 6612 section 4.2.1, RFC 3963).

             mn  2001:db8:100:1::1, and ::fe on its inner interface
             |
            lfn  2001:db8:100:1::77, a local fixed node

Always holds: the fixed node runs nothing of ours and knows nothing of mobility.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from ipaddress import IPv6Address, IPv6Interface, IPv6Network

from halma.lab import judge_home, judge_traffic
from halma.lab.daemons import Daemon
from halma.lab.evidence import Evidence
from halma.lab.judge_home import lifetime
from halma.lab.moves import losses
from halma.lab.scenario import Conditions
from halma.lab.scenarios import domain, roaming
from halma.lab.scenarios.a2_leave import Leave
from halma.lab.topology import End, Kind, Link, Node, Route, Topology, Zone
from halma.lab.traffic import Datagrams, both_ways
from halma.lab.verdict import Check
from halma.wire.messages import BindingAcknowledgement, BindingUpdate
from halma.wire.numbers import BindingAcknowledgementFlag, BindingUpdateFlag
from halma.wire.options import MobileNetworkPrefix

NODE, ROUTER, FIXED = roaming.NODE, roaming.ROUTER, "lfn"
_DOWN, _UP = 5, 6
_INNER = IPv6Address("2001:db8:100:1::fe")
_FIXED_ADDRESS = IPv6Address("2001:db8:100:1::77")


class Nemo(Leave):
    """The scenario, see the module."""

    def __init__(self) -> None:
        super().__init__(
            "a2-nemo",
            "A mobile router leaves the PMIPv6 domain with its home network prefix",
            "The node is a mobile router: a machine behind it has an address of the same home network prefix. When it leaves "
            "for the access router, it registers with the R bit and names no prefix; the anchor moves the whole home network "
            "prefix, and every address of it is reached through the tunnel to the care-of address.",
            given_up=True,
        )

    def topology(self, conditions: Conditions) -> Topology:
        """The domain, with a machine behind the node."""
        base = super().topology(conditions)
        where = base.node(NODE).place
        fixed = Node(FIXED, Kind.CORRESPONDENT, "LFN", (where[0], where[1] + 1), (Route(IPv6Network("::/0"), _INNER),))
        inner = Link(
            "lan",
            End(NODE, "lan0", (IPv6Interface(f"{_INNER}/64"),)),
            End(FIXED, "eth0", (IPv6Interface(f"{_FIXED_ADDRESS}/64"),)),
            Zone.ACCESS,
        )
        return dataclasses.replace(base, nodes=(*base.nodes, fixed), links=(*base.links, inner))

    def daemons(self) -> Sequence[Daemon]:
        """With a mobile router, which the anchor knows for one."""
        prefix = str(domain.host_prefix(1))
        return [
            roaming.anchor_daemon(profiles=[roaming.node_profile(1, {"mobile_router": True})]),
            *(domain.gateway_daemon(number, 1) for number in (1, 2)),
            roaming.router_daemon(),
            roaming.node_daemon({"mobile_router": True, "mobile_network_prefixes": [prefix], "inner_interface": "lan0"}),
        ]

    def others(self) -> Sequence[Datagrams]:
        """Traffic with the machine behind the node."""
        return both_ways(_DOWN, "cn", FIXED, 5.0)

    def entry(self, evidence: Evidence) -> Iterator[Check]:
        """The prefix moved, by the R bit alone."""
        window = judge_home.window_to(evidence, NODE, ROUTER)
        found = judge_home.accepted(evidence, NODE, window, lambda update: lifetime(update) > 0)
        passed, detail = False, "no registration"
        if found is not None:
            update, answer = found.update.message, found.answer.message
            assert isinstance(update, BindingUpdate)
            assert isinstance(answer, BindingAcknowledgement)
            asked = bool(update.flags & BindingUpdateFlag.MOBILE_ROUTER)
            given = bool(answer.flags & BindingAcknowledgementFlag.MOBILE_ROUTER)
            named = any(isinstance(option, MobileNetworkPrefix) for option in update.options)
            passed = asked and given and not named
            detail = f"R {'set' if asked else 'not set'} in the BU, {'set' if given else 'not set'} in the BA, prefix {named}"
        yield Check("MN-6", f"{NODE} registers as a mobile router in implicit mode", passed, detail)
        for stream, way, requirement in ((_DOWN, "to", "ANC-9"), (_UP, "from", "ANC-3")):
            runs = judge_traffic.runs(evidence, stream)
            seen = "; ".join(f"{run.first}-{run.last} {' then '.join(run.path) or 'bare'}" for run in runs[:6])
            abroad = bool(runs) and runs[-1].path == (f"{way} {NODE}",) and runs[-1].count > 100
            before = all(run.path == (f"{way} mag1",) for run in runs[:-1])
            ends = evidence.streams[stream]
            name = f"the way of each packet {ends['source']} to {ends['destination']}"
            yield Check(requirement, name, abroad and before, seen or "no packet was delivered")
            first = runs[-1].first if runs else 0
            lost = [number for number in losses(evidence, stream).strays if number > first]
            detail = f"{len(lost)} lost after number {first}"
            yield Check("ANC-9", f"no loss abroad {ends['source']} to {ends['destination']}", bool(runs) and not lost, detail)
