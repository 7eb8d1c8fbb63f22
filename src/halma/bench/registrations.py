# SPDX-License-Identifier: Apache-2.0
"""The Proxy Binding Updates that a crowd of mobile nodes makes its gateways send, and what comes back.

The messages are those of a real gateway (RFC 5213 sections 6.9.1.1, 6.9.1.3 and 6.9.1.5): a new session asks for any prefix,
with the handoff indicator "unknown"; a refresh names the prefix that was given, with "state not changed"; a handover is a
registration by another gateway, which knows the node by its link-layer identifier and not its prefix.

Always holds: what the anchor granted is remembered by node; every answer is decoded whole, its checksum included.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from halma.bench.volley import Answer
from halma.engine.binding_update_list import Offer
from halma.engine.proxy_binding_update import proxy_binding_update
from halma.wire import DecodeError, decode, encode
from halma.wire.messages import BindingAcknowledgement
from halma.wire.numbers import AccessTechnology, HandoffIndicatorValue
from halma.wire.options import HomeNetworkPrefix, MobileNodeIdentifier

PHASES = ("create", "refresh", "handover")
"""What a node can do: register for the first time, stay where it is, go to the next gateway."""
REALM = "bench.example"
LIFETIME = 900
"""In units of four seconds: an hour."""
UNANSWERABLE = -1
"""Counted instead of a status for an answer that is none."""


def identifier(node: int) -> bytes:
    """The NAI of a node."""
    return f"n{node:07d}@{REALM}".encode()


class Crowd:
    """`size` nodes at several gateways (16-byte addresses); node n begins at gateway n modulo their number."""

    def __init__(self, size: int, gateways: Sequence[bytes]) -> None:
        self._gateways = tuple(gateways)
        self._at = array("B", (node % len(self._gateways) for node in range(size)))
        self._prefixes = bytearray(8 * size)

    def updates(self, phase: str, nodes: Sequence[int], timestamp: int, destination: bytes) -> tuple[list[bytes], list[bytes]]:
        """The encoded update of each of these nodes, with its place in the list as sequence number, and the gateway that each
        is sent from. `timestamp` is the value of the Timestamp option."""
        indicator = HandoffIndicatorValue.NOT_CHANGED if phase == "refresh" else HandoffIndicatorValue.UNKNOWN
        messages, sources = [], []
        for sequence, node in enumerate(nodes):
            gateway = self._at[node]
            if phase == "handover":
                gateway = (gateway + 1) % len(self._gateways)
            prefixes: tuple[HomeNetworkPrefix, ...] = ()
            if phase == "refresh":
                prefixes = (HomeNetworkPrefix(64, bytes(self._prefixes[node * 8 : node * 8 + 8]) + bytes(8)),)
            link_layer = b"\x02\0" + node.to_bytes(4, "big")
            offer = Offer(identifier(node), link_layer, int(indicator), int(AccessTechnology.IEEE_802_11A_B_G), prefixes)
            source = self._gateways[gateway]
            messages.append(encode(proxy_binding_update(offer, sequence, LIFETIME, timestamp, None), source, destination))
            sources.append(source)
        return messages, sources

    def take(
        self, phase: str, nodes: Sequence[int], sources: Sequence[bytes], destination: bytes, answers: Sequence[Answer]
    ) -> dict[int, int]:
        """Note what was granted; how many answers there were of each status."""
        statuses: dict[int, int] = {}
        for answer in answers:
            node = nodes[answer.index]
            status = self._status(answer, node, destination, sources[answer.index])
            statuses[status] = statuses.get(status, 0) + 1
            if not status and phase == "handover":
                self._at[node] = (self._at[node] + 1) % len(self._gateways)
        return statuses

    def _status(self, answer: Answer, node: int, anchor: bytes, gateway: bytes) -> int:
        try:
            message = decode(answer.octets, anchor, gateway)
        except DecodeError:
            return UNANSWERABLE
        if not isinstance(message, BindingAcknowledgement):
            return UNANSWERABLE
        names = [option.identifier for option in message.options if isinstance(option, MobileNodeIdentifier)]
        prefixes = [option.prefix for option in message.options if isinstance(option, HomeNetworkPrefix)]
        if names != [identifier(node)] or len(prefixes) != 1:
            return UNANSWERABLE
        if not message.status:
            known = self._prefixes[node * 8 : node * 8 + 8]
            if any(known) and known != prefixes[0][:8]:
                return UNANSWERABLE  # its prefix has changed in the middle of the session
            self._prefixes[node * 8 : node * 8 + 8] = prefixes[0][:8]
        return message.status
