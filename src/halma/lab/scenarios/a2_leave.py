# SPDX-License-Identifier: Apache-2.0
"""`a2-leave`: a Mobile IPv6 node leaves its home, a Proxy Mobile IPv6 domain, for an access router that knows nothing of
mobility (RFC 6612 section 4.2.1, scenario A.2, figure 2).

Two stories: in `a2-leave` the gateway's de-registration never arrives, so that the proxy entry ends by itself; in
`a2-leave-given-up` it does.

Always holds: the node has its key and its home address before it first leaves; the correspondent knows no other address.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from halma.lab import judge, judge_home, judge_traffic
from halma.lab.daemons import Daemon
from halma.lab.evidence import Evidence
from halma.lab.judge_home import is_proxy_update, lifetime
from halma.lab.moves import handovers
from halma.lab.scenario import Conditions
from halma.lab.scenarios import domain, roaming
from halma.lab.session import Lab
from halma.lab.topology import Topology
from halma.lab.traffic import Conversation, Datagrams, both_ways
from halma.lab.verdict import Check, Handover

NODE, HOME, ROUTER = roaming.NODE, "mag1", roaming.ROUTER
_DOWN, _UP, _OTHER, _TCP = 1, 2, 3, 20
_OTHER_ADDRESS = domain.host_prefix(1).network_address + 0x77
"""An address of the home network prefix that is not the home address: no home binding is about it."""
_BINDING_UPDATE = 5
_SLACK = 1.0
LONGEST_GAP_MS = 500.0
LONGEST_GAP_LOSSY_MS = 8000.0


class Leave:
    """The scenario, see the module."""

    variants = {"slow-core": Conditions(delay_ms=20.0, loss=0.01)}  # noqa: RUF012 (read only)

    def __init__(self, *, given_up: bool) -> None:
        self._given_up = given_up
        self.name = "a2-leave-given-up" if given_up else "a2-leave"
        how = "gives it up" if given_up else "cannot say so"
        self.title = f"A node leaves the PMIPv6 domain for a plain access router; its gateway {how}"
        ends = (
            "The gateway de-registers the node"
            if given_up
            else "The gateway's de-registration is lost, so that the PMIPv6 entry expires by itself"
        )
        self.story = (
            "A Mobile IPv6 node is at home behind MAG1 and talks from its home address, then goes to an access router. It "
            "forms a care-of address, registers it with the anchor, and all its packets take the tunnel between the two. "
            f"{ends}; packets to the home address are not touched by that."
        )

    def topology(self, conditions: Conditions) -> Topology:
        """Two gateways and the access router."""
        return roaming.roaming_domain(conditions, relayed=(f"core-{HOME}",))

    def daemons(self, conditions: Conditions) -> Sequence[Daemon]:  # noqa: ARG002 (the same under all conditions)
        """Anchor, gateways, router, node."""
        return roaming.daemons()

    def attach(self, lab: Lab) -> None:
        """The node at home."""
        lab.step("the node boots at home")
        lab.move(NODE, HOME)
        lab.wait_for_link(NODE)
        lab.wait(1.0)

    def timeline(self, lab: Lab) -> None:
        """Talk, leave, stay away until the proxy entry has gone."""
        lab.step("the node talks from home")
        lab.talk(*both_ways(_DOWN, "cn", NODE), Conversation(_TCP, NODE, "cn"), *self.others())
        lab.wait(2.0)
        lab.step(f"the node leaves {HOME} for {ROUTER}")
        if not self._given_up:
            lab.impair(f"core-{HOME}", toward="core", hold=_BINDING_UPDATE)
        lab.move(NODE, ROUTER)
        lab.wait((10.0 if self._given_up else roaming.PROXY_LIFETIME) + 4.0)

    def others(self) -> Sequence[Datagrams]:
        """Traffic to other addresses of the prefix."""
        return (Datagrams(_OTHER, "cn", NODE, 100.0, address=_OTHER_ADDRESS),)

    def checks(self, evidence: Evidence) -> Iterator[Check]:
        """What must be seen, by requirement."""
        lossy = any(link.impairment is not None and link.impairment.loss for link in evidence.topology.links)
        yield judge.captures_complete(evidence)
        yield judge.daemons_lived(evidence)
        yield judge_traffic.sockets_agree(evidence)
        window = judge_home.window_to(evidence, NODE, ROUTER)
        yield from judge_home.registered_abroad(evidence, NODE, window, roaming.ROUTER_PREFIX)
        yield judge_home.no_home_signalling(evidence, NODE, judge_home.window_to(evidence, NODE, HOME), "MN-4")
        yield judge_home.nothing_bare_abroad(evidence, NODE, window)
        yield judge.no_complaints(evidence)
        yield judge.no_leak(evidence)
        yield judge.same_prefix(evidence, NODE)
        yield judge_traffic.paths(evidence, _DOWN, [(f"to {HOME}",), (f"to {NODE}",)], "ANC-2")
        yield judge_traffic.paths(evidence, _UP, [(f"from {HOME}",), (f"from {NODE}",)], "ANC-3")
        yield from self.entry(evidence)
        for handover in self.handovers(evidence):
            yield judge_traffic.resumed(handover, LONGEST_GAP_LOSSY_MS if lossy else LONGEST_GAP_MS, "MN-2")
        for stream in (_DOWN, _UP):
            allowed = judge_traffic.tolerated(evidence, stream)
            yield judge_traffic.stray_losses(evidence, stream, allowed=allowed, requirement="ANC-2")
        yield judge_traffic.connection_lives(evidence, _TCP, "MN-2")

    def entry(self, evidence: Evidence) -> Iterator[Check]:
        """What became of the proxy entry."""
        yield self._de_registration(evidence)
        yield self._end_of_entry(evidence)

    def _de_registration(self, evidence: Evidence) -> Check:
        """The gateway's de-registration arrived, or did not."""
        window = judge_home.window_to(evidence, NODE, ROUTER)
        updates = [
            signal
            for signal in judge_home.proxy_updates(evidence, NODE, window.moved, evidence.end)
            if is_proxy_update(signal) and lifetime(signal) == 0
        ]
        points = evidence.points_of("lma")
        arrived = [update for update in updates if any(seen.point in points for seen in update.sightings)]
        name = "the gateway's de-registration reaches the anchor" if self._given_up else "no de-registration reaches the anchor"
        detail = f"{len(updates)} sent, {len(arrived)} arrived"
        return Check("ANC-6", name, bool(updates) and bool(arrived) == self._given_up, detail)

    def _end_of_entry(self, evidence: Evidence) -> Check:
        """When the last registration by the gateway ends, at the latest."""
        window = judge_home.window_to(evidence, NODE, ROUTER)
        points = evidence.points_of("lma")
        registered = [
            signal.sent
            for signal in judge_home.proxy_updates(evidence, NODE, 0.0, evidence.end)
            if lifetime(signal) and any(seen.point in points for seen in signal.sightings)
        ]
        end = window.moved + 10.0 if self._given_up else max(registered, default=0.0) + roaming.PROXY_LIFETIME
        return judge_home.untouched_by_home(
            evidence,
            _OTHER,
            (HOME,),
            end + _SLACK,
            "the proxy entry stands beside the home binding, and ends by itself",
            "ANC-1",
        )

    def handovers(self, evidence: Evidence) -> Sequence[Handover]:
        """The way out."""
        return handovers(evidence, NODE)

    def watched(self) -> Sequence[str]:
        """The node."""
        return (NODE,)
