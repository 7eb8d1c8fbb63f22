# SPDX-License-Identifier: Apache-2.0
"""The judge of multicast: who asked whom which groups it listens to, and in which order (RFC 6275 sections 10.4.3 and 11.3.4).

Always holds: as in `halma.lab.judge`. A message counts as said in a tunnel by the headers around it on the node's own link.
"""

from __future__ import annotations

from ipaddress import IPv6Address

from halma.lab.evidence import Evidence
from halma.lab.verdict import Check
from halma.wire.mld import (
    MulticastListenerMessage,
    MulticastListenerQuery,
    MulticastListenerReportV2,
    RecordType,
)

REQUIREMENT = "RFC 6275"
BARE, TUNNELLED = 1, 2
"""Headers of a packet."""


def _listens_to(message: MulticastListenerMessage, group: bytes) -> bool:
    """Whether a report of version 2 says that its sender listens to a group, whoever sends to it."""
    kinds = (RecordType.MODE_IS_EXCLUDE, RecordType.CHANGE_TO_EXCLUDE_MODE)
    records = message.records() if isinstance(message, MulticastListenerReportV2) else ()
    return any(record.group == group and record.type in kinds for record in records)


def asked_first(evidence: Evidence, node: str, group: IPv6Address) -> Check:
    """In the node's tunnel the anchor asks before the node says anything, and the node says that it listens to a group."""
    asked: list[float] = []
    told: list[float] = []
    for sighting, message in evidence.listener_messages(evidence.topology.access_of(node).name, TUNNELLED):
        if isinstance(message, MulticastListenerQuery):
            asked.append(sighting.time)
        elif evidence.owner(sighting.outer.source) == node and _listens_to(message, group.packed):
            told.append(sighting.time)
    good = bool(asked) and bool(told) and min(asked) < min(told)
    detail = f"asked {len(asked)} times, told {len(told)} times"
    return Check(REQUIREMENT, f"{node} tells its anchor what it listens to, once it has been asked", good, detail)


def joined(evidence: Evidence, group: IPv6Address, source: str) -> Check:
    """On the link of who sends to a group, and does not listen to it, somebody has said that he does: the anchor is all that is
    there besides."""
    told = [
        sighting
        for point in evidence.points_of(source)
        for sighting, message in evidence.listener_messages(point, BARE)
        if _listens_to(message, group.packed)
    ]
    return Check(REQUIREMENT, f"the anchor listens to {group} for its nodes", bool(told), f"told {len(told)} times")
