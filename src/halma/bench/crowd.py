# SPDX-License-Identifier: Apache-2.0
"""What a crowd of mobile nodes does, whichever protocol says it: the phases, and where each node is.

A crowd makes the messages of a volley beforehand, and afterwards looks at what came back. `proxy_crowd` has nodes whose
gateways speak for them (RFC 5213), `home_crowd` those that speak for themselves (RFC 6275).

Always holds: the messages of a volley have sequence numbers that follow one another; every answer is decoded whole, its
checksum included.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Sequence
from enum import StrEnum

from halma.bench.volley import Answer
from halma.value import value

CREATE, REFRESH, HANDOVER, LEAVE = "create", "refresh", "handover", "leave"
PHASES = (CREATE, REFRESH, HANDOVER)
"""What is measured of a node: it registers for the first time, stays where it is, goes to the next place."""
REALM = "bench.example"
LIFETIME = 900
"""In units of four seconds: an hour."""
UNANSWERABLE = -1
"""Counted instead of a status for an answer that is none."""


class Protocol(StrEnum):
    """Who tells the anchor where a node is."""

    PMIPV6 = "pmipv6"
    """Gateways, by Proxy Binding Updates."""
    MIPV6 = "mipv6"
    """The nodes themselves, by Binding Updates."""


def identifier(node: int) -> bytes:
    """The NAI of a node."""
    return f"n{node:07d}@{REALM}".encode()


@value
class Updates:
    """The messages of a volley: `sequence` is the first one's number, `sources` the address that each is sent from, empty where
    a message is a packet with its own header."""

    messages: list[bytes]
    sources: list[bytes]
    sequence: int


class Crowd(ABC):
    """`size` nodes at several places; node n begins at place n modulo their number."""

    before = 0
    """Octets before the Mobility Header in what is sent and received, where no extension header stands between."""
    acknowledgement_sequence: int
    """Where the sequence number stands in an answer of the anchor."""
    update_sequence: int
    """Where it stands in the update itself, which an echo gives back."""

    def __init__(self, size: int, places: int) -> None:
        self._places = places
        self._at = array("B", (node % places for node in range(size)))

    @abstractmethod
    def updates(self, phase: str, nodes: range, now: float, destination: bytes, *, echo: bool) -> Updates:
        """The update of each of these nodes for a phase at the wall time `now`, as the anchor is to get it, or an `echo`."""

    @abstractmethod
    def descriptors(self) -> tuple[int, int]:
        """Where to send, and where to receive."""

    @abstractmethod
    def close(self) -> None:
        """Give the sockets back."""

    @abstractmethod
    def _status(self, answer: Answer, node: int, phase: str, destination: bytes) -> int:
        """The status in an anchor's answer to a node; `UNANSWERABLE` when it is no answer to it."""

    def take(self, phase: str, nodes: range, destination: bytes, answers: Sequence[Answer]) -> dict[int, int]:
        """Note where the nodes are now; how many answers there were of each status."""
        statuses: dict[int, int] = {}
        for answer in answers:
            node = nodes[answer.index]
            status = self._status(answer, node, phase, destination)
            statuses[status] = statuses.get(status, 0) + 1
            if not status:
                self._at[node] = self._place(phase, node)
        return statuses

    def take_echo(self, updates: Updates, answers: Sequence[Answer]) -> dict[int, int]:
        """How many updates an echo gave back as they were (0), and how many not."""
        behind = self.before
        same = sum(answer.octets[behind:].startswith(updates.messages[answer.index][behind:]) for answer in answers)
        return {0: same, UNANSWERABLE: len(answers) - same}

    def _place(self, phase: str, node: int) -> int:
        """Where a node is in this phase."""
        at = self._at[node]
        return (at + 1) % self._places if phase == HANDOVER else at
