# SPDX-License-Identifier: Apache-2.0
"""`a2-rogue-mag`: a gateway claims nodes that it may not serve (RFC 6612 issue 4 of section 3.2, RFC 4832 section 2.2).

MAG3 has the anchor's trust for guests and for nothing else; it has been taken over. What it asks is refused while a node is at
home behind MAG1, and again while the node is abroad.

Always holds: each forged message names the status that it must get; the forger is a gateway's machine, not a stranger's.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Sequence

from halma.lab import judge_home
from halma.lab.daemons import Daemon, Table
from halma.lab.evidence import Evidence, Signal
from halma.lab.judge_home import answer_to, home_updates, is_proxy_update, status
from halma.lab.scenario import Conditions
from halma.lab.scenarios import domain, roaming
from halma.lab.scenarios.a2_leave import AT_ROUTER, NODE, at_home
from halma.lab.scenarios.journey import Journey
from halma.lab.scenarios.travellers import MobileNode
from halma.lab.session import Lab
from halma.lab.topology import Topology
from halma.lab.verdict import Check
from halma.value import value
from halma.wire.messages import BindingAcknowledgement
from halma.wire.numbers import Status

ROGUE, STRANGER = "mag3", roaming.ROUTER
_GUEST = "guest1@example.org"
_MOBILE_ONLY = "host2@example.org"
"""A host whose profile has Mobile IPv6 alone."""


@value
class Forgery:
    """A forged message: by whom, about whom, asking for what, and the statuses that are right for it."""

    sender: str
    address: str
    node: str
    lifetime: int
    statuses: tuple[int, ...]
    about: str
    prefix: str = ""


_VICTIM = domain.host_identifier(1)
_MAG3 = str(domain.gateway_address(3))
FORGERIES = (
    Forgery(ROGUE, _MAG3, _VICTIM, 60, (Status.MAG_NOT_AUTHORIZED_FOR_PROXY_REG,), "a node of another gateway"),
    Forgery(ROGUE, _MAG3, _VICTIM, 0, (Status.MAG_NOT_AUTHORIZED_FOR_PROXY_REG,), "the de-registration of that node"),
    Forgery(ROGUE, _MAG3, _MOBILE_ONLY, 60, (Status.PROXY_REG_NOT_ENABLED,), "a host that has Mobile IPv6 alone"),
    Forgery(
        ROGUE,
        _MAG3,
        _GUEST,
        60,
        (Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX,),
        "a guest, with the prefix of that node",
        str(domain.host_prefix(1)),
    ),
    Forgery(
        STRANGER,
        str(roaming.ROUTER_ADDRESS),
        _VICTIM,
        60,
        (Status.MAG_NOT_AUTHORIZED_FOR_PROXY_REG,),
        "a node, by a machine that is no gateway",
    ),
)


class RogueGateway(Journey):
    """The scenario, see the module."""

    def __init__(self) -> None:
        super().__init__(
            "a2-rogue-mag",
            "A gateway that was taken over claims nodes that it may not serve (RFC 6612, issue 4)",
            "MAG3 may serve guests only. It claims a node that is behind MAG1, gives it up in MAG1's stead, claims a host that "
            "has Mobile IPv6 alone, and asks for the node's prefix on behalf of a guest; a machine that is no gateway tries it "
            "too. It does all this again when the node is abroad. Each message is refused with its status, and no packet "
            "changes its way.",
            [MobileNode(NODE, 1, (at_home("mag1"), AT_ROUTER), domain.host_prefix(1))],
        )

    def topology(self, conditions: Conditions) -> Topology:
        """Three gateways, one of them without our daemon."""
        return roaming.peopled(roaming.roaming_domain(conditions, gateways=3), {1: roaming.home_address()})

    def daemons(self) -> Sequence[Daemon]:
        """All but the rogue's."""
        profiles: list[Table] = [
            roaming.node_profile(1),
            {"node": _MOBILE_ONLY, "pool": "main", "proxy_mobility": False, "mobile_ipv6": True},
            {"node": "guest*@example.org", "pool": "main", "may_request_prefix": True},
        ]
        anchor = roaming.anchor_daemon(profiles=profiles)
        peers: list[Table] = [
            {"address": str(domain.gateway_address(1)), "nodes": ["host*@example.org"]},
            {"address": str(domain.gateway_address(2)), "nodes": ["host*@example.org"]},
            {"address": _MAG3, "nodes": ["guest*@example.org", _MOBILE_ONLY]},
        ]
        return [
            dataclasses.replace(anchor, tables={**anchor.tables, "peer": peers}),
            *(domain.gateway_daemon(number, 1) for number in (1, 2)),
            roaming.router_daemon(),
            roaming.node_daemon(),
        ]

    def leaving(self, lab: Lab, leg: int) -> None:  # noqa: ARG002 (there is but one)
        """The first forgeries."""
        lab.step(f"{ROGUE} forges while the node is at home")
        self._forge(lab)

    def arrived(self, lab: Lab, leg: int) -> None:
        """The second."""
        super().arrived(lab, leg)
        lab.step(f"{ROGUE} forges while the node is abroad")
        self._forge(lab)
        lab.wait(0.5)

    @staticmethod
    def _forge(lab: Lab) -> None:
        for forged in FORGERIES:
            arguments = [forged.address, str(domain.ANCHOR_ADDRESS), forged.node, str(forged.lifetime)]
            if forged.prefix:
                arguments.append(forged.prefix)
            lab.command(forged.sender, sys.executable, "-m", "halma.lab.rogue", *arguments)
            lab.wait(0.1)

    def checks(self, evidence: Evidence) -> Iterator[Check]:
        """What must be seen, by requirement: also that no packet of the node was lost or changed its way."""
        yield from super().checks(evidence)
        yield from self._refused(evidence)
        yield self._nothing_diverted(evidence)

    def _refused(self, evidence: Evidence) -> Iterator[Check]:
        """Each forged message got its status, each time."""
        answers = [signal for signal in evidence.signals if isinstance(signal.message, BindingAcknowledgement)]
        updates = [signal for signal in evidence.signals if is_proxy_update(signal) and signal.source in {ROGUE, STRANGER}]
        left = list(updates)
        for when in ("at home", "abroad"):
            for forged in FORGERIES:
                update = left.pop(0) if left else None
                answer = None if update is None else answer_to(update, answers)
                seen = "no such message" if update is None else "no answer" if answer is None else f"status {status(answer)}"
                fits = update is not None and _is(update, forged)
                passed = fits and answer is not None and status(answer) in forged.statuses
                yield Check("ANC-7", f"{when}: {forged.sender} is refused {forged.about}", passed, seen)

    def _nothing_diverted(self, evidence: Evidence) -> Check:
        """No tunnel led to or from those who forge."""
        tunnelled = [seen for seen in evidence.sightings if not seen.bare and seen.probe is not None]
        diverted = sum(
            bool({ROGUE, STRANGER} & {evidence.owner(seen.outer.source), evidence.owner(seen.outer.destination)})
            for seen in tunnelled
        )
        sent = len(home_updates(evidence, NODE))
        detail = f"{len(tunnelled)} packets in tunnels, {diverted} of them diverted; {sent} BUs of the node"
        return Check("ANC-7", "no packet is diverted", bool(tunnelled) and not diverted, detail)


def _is(update: Signal, forged: Forgery) -> bool:
    """Whether a message is that forgery."""
    return (
        update.source == forged.sender
        and update.node_identifier == forged.node.encode()
        and judge_home.lifetime(update) * 4 == forged.lifetime
    )
