# SPDX-License-Identifier: Apache-2.0
"""`a2-return`, `a2-dereg` and `a2-race`: a Mobile IPv6 node comes back from an access router to its home, a Proxy Mobile IPv6
domain (RFC 6612 section 4.2.2 and issues 2 and 3 of section 3.2).

In `a2-dereg` it stays for longer than a registration by its gateway lasts. In `a2-race` a refresh that it sent abroad is held
back inside the network, and goes on when everything is over.

Always holds: the correspondent knows no other address than the home address.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from halma.lab import judge_home
from halma.lab.daemons import Daemon
from halma.lab.evidence import Evidence, Signal
from halma.lab.judge_home import lifetime, sequence, status
from halma.lab.scenario import SLOW_CORE, Conditions
from halma.lab.scenarios import domain, roaming
from halma.lab.scenarios.a2_leave import AT_ROUTER, BINDING_UPDATE, NODE, OTHER, OTHER_ADDRESS, at_home
from halma.lab.scenarios.journey import Journey
from halma.lab.scenarios.travellers import MobileNode
from halma.lab.session import Lab
from halma.lab.topology import Topology, Zone
from halma.lab.traffic import Datagrams
from halma.lab.verdict import Check

HOME, ROUTER, NEW_HOME = "mag1", roaming.ROUTER, "mag2"
_RACE_LIFETIME = 8
"""Seconds that the node registers for in `a2-race`: it refreshes after 4."""
_TOO_OLD = {135, 144}


class Return(Journey):
    """`a2-return`."""

    stay = 3.0

    def __init__(self, name: str, title: str, story: str, variants: Mapping[str, Conditions] | None = None) -> None:
        stops = (at_home(HOME), AT_ROUTER, at_home(NEW_HOME))
        super().__init__(name, title, story, [MobileNode(NODE, 1, stops, domain.host_prefix(1))], variants)

    def topology(self, conditions: Conditions) -> Topology:
        """Two gateways and the access router."""
        whole = roaming.peopled(roaming.roaming_domain(conditions), {1: roaming.home_address()})
        return roaming.relayed(whole, conditions, [f"core-{ROUTER}"])

    def daemons(self) -> Sequence[Daemon]:
        """Anchor, gateways, router, node."""
        return roaming.daemons()

    def others(self) -> Sequence[Datagrams]:
        """Traffic to another address of the prefix."""
        return (Datagrams(OTHER, "cn", NODE, 20.0, address=OTHER_ADDRESS),)

    def arrived(self, lab: Lab, leg: int) -> None:
        """Away, and home again."""
        if leg == 1:
            super().arrived(lab, leg)
        else:
            lab.wait(self.stay + (6.0 if lab.topology.lossy else 0.0))

    def checks(self, evidence: Evidence) -> Iterator[Check]:
        """What must be seen, by requirement."""
        yield from super().checks(evidence)
        yield from self.order(evidence)

    def order(self, evidence: Evidence) -> Iterator[Check]:
        """Packets went to the care-of address until the de-registration, though the proxy entry was there; and the proxy entry
        lived on."""
        back = judge_home.window_to(evidence, NODE, NEW_HOME)
        found = judge_home.accepted(evidence, NODE, back, lambda update: lifetime(update) == 0)
        registered = [
            update for update in judge_home.proxy_updates(evidence, NODE, back.moved, evidence.end) if lifetime(update) > 0
        ]
        if found is None or not registered:
            yield Check("ANC-2", "packets follow the home binding until it is given up", False, "no de-registration, or no PBU")
            return
        home = evidence.topology.address(NODE).packed
        abroad = gateway = early = late = 0
        others = others_lost = 0
        for sighting in evidence.sightings:
            tunnelled = evidence.zones.get(sighting.point) is Zone.CORE and not sighting.bare and sighting.probe is not None
            if (
                not tunnelled
                or evidence.owner(sighting.outer.source) != "lma"
                or sighting.point not in evidence.points_of("lma")
            ):
                continue
            target = evidence.owner(sighting.outer.destination)
            if sighting.inner.destination == home and back.moved <= sighting.time:
                if target == NODE:
                    abroad += 1
                    late += sighting.time > found.answer.sent + 0.0005
                else:
                    gateway += 1
                    early += sighting.time < found.update.sent
            elif sighting.inner.destination == OTHER_ADDRESS.packed and sighting.time > found.answer.sent:
                others += 1
                others_lost += target != NEW_HOME
        detail = f"{abroad} to the care-of address, {late} of them after the answer; {gateway} to {NEW_HOME}, {early} too early"
        passed = bool(abroad and gateway) and not early and not late
        yield Check("ANC-2", "packets follow the home binding until it is given up", passed, detail)
        sent = [
            number
            for number, sightings in evidence.seen(OTHER).items()
            if found.answer.sent + 0.1 < sightings[0].time < evidence.end - 0.5
        ]
        detail = f"{len(sent)} packets to another address of the prefix after it, {others} of them to {NEW_HOME}"
        passed = bool(sent) and others >= len(sent) * 0.97 and not others_lost
        yield Check("ANC-6", "the PMIPv6 entry survives the de-registration", passed, detail)


class DeRegistration(Return):
    """`a2-dereg`."""

    stay = roaming.PROXY_LIFETIME + 4.0


class Race(Return):
    """`a2-race`."""

    stay = 1.5

    def daemons(self) -> Sequence[Daemon]:
        """With registrations that need a refresh soon, and do not end while it is held back."""
        return [
            roaming.anchor_daemon(profiles=[roaming.node_profile(1, {"lifetime_seconds": 600})]),
            *(domain.gateway_daemon(number, 1) for number in (1, 2)),
            roaming.router_daemon(),
            roaming.node_daemon({"lifetime_seconds": _RACE_LIFETIME}),
        ]

    def arrived(self, lab: Lab, leg: int) -> None:
        """Abroad the first registration arrives and the refresh does not; at home it does."""
        if leg == 1:
            lab.wait(3.0)
            lab.step("the network begins to hold Binding Updates back")
            lab.impair(f"core-{ROUTER}", toward="core", hold=BINDING_UPDATE)
            lab.wait(1.8)
        else:
            super().arrived(lab, leg)
            lab.step("the held Binding Update goes on")
            lab.impair(f"core-{ROUTER}", toward="core", release=BINDING_UPDATE)
            lab.wait(2.0)

    def order(self, evidence: Evidence) -> Iterator[Check]:
        """As ever, and the late update was late, and refused, and changed nothing."""
        yield from super().order(evidence)
        back = judge_home.window_to(evidence, NODE, NEW_HOME)
        found = judge_home.accepted(evidence, NODE, back, lambda update: lifetime(update) == 0)
        points = evidence.points_of("lma")
        answers = judge_home.home_answers(evidence, NODE)
        late: list[Signal] = []
        faults = []
        told = []
        for update in judge_home.home_updates(evidence, NODE):
            arrived = next((seen.time for seen in update.sightings if seen.point in points), None)
            if found is None or arrived is None or not (update.sent < back.moved and arrived > found.answer.sent):
                continue
            late.append(update)
            answer = next(
                (one for one in answers if one.sent >= arrived and one.layer.destination == update.layer.source), None
            )
            if answer is None or status(answer) not in _TOO_OLD:
                faults.append(f"BU {sequence(update)}: {'no answer' if answer is None else f'status {status(answer)}'}")
            else:
                held = (arrived - update.sent) * 1000
                told.append(f"BU {sequence(update)}, {held:.0f} ms late, refused with {status(answer)}")
        yield Check(
            "ANC-5", "the late update is refused", bool(late) and not faults, "; ".join(faults or told) or "no update was late"
        )

    # That packets stay on the gateway's path after it is in `judge_traffic.paths`: three ways, and no fourth.


RETURN = Return(
    "a2-return",
    "The node comes back from the access router to the PMIPv6 domain",
    "A Mobile IPv6 node is at an access router and goes to MAG2, which emulates its home link. MAG2 registers it; packets "
    "still go to the care-of address until the node has de-registered there; from then on they take MAG2's tunnel, and "
    "only the PMIPv6 entry is left.",
    SLOW_CORE,
)
DE_REGISTRATION = DeRegistration(
    "a2-dereg",
    "A de-registration right after the PBU does not touch the PMIPv6 entry (RFC 6612, issue 2)",
    "The node comes home to MAG2 and de-registers a few milliseconds after MAG2 has registered it. The PMIPv6 entry lives "
    "on, also when it is refreshed, and packets to every address of the prefix take MAG2's tunnel.",
)
RACE = Race(
    "a2-race",
    "A refresh that is delayed past the return and the de-registration is refused (RFC 6612, issue 3)",
    "At the access router the node refreshes its registration, but the network holds that message back. The node comes "
    "home and de-registers; then the message goes on. The anchor refuses it and packets stay on MAG2's path.",
)
