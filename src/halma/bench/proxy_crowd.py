# SPDX-License-Identifier: Apache-2.0
"""The Proxy Binding Updates that a crowd of mobile nodes makes its gateways send, and what comes back.

The messages are those of a real gateway (RFC 5213 sections 6.9.1.1, 6.9.1.3 and 6.9.1.5): a new session asks for any prefix,
with the handoff indicator "unknown"; a refresh names the prefix that was given, with "state not changed"; a handover is a
registration by another gateway, which knows the node by its link-layer identifier and not its prefix.

Always holds: what the anchor granted is remembered by node, and may not change in the middle of a session.
"""

from __future__ import annotations

from collections.abc import Sequence

from halma.bench.crowd import LIFETIME, REFRESH, UNANSWERABLE, Crowd, Updates, identifier
from halma.bench.volley import Answer
from halma.engine.binding_update_list import Offer
from halma.engine.proxy_binding_update import proxy_binding_update
from halma.netio.mobility import MobilitySocket
from halma.wire import DecodeError, decode, encode
from halma.wire.messages import BindingAcknowledgement
from halma.wire.numbers import AccessTechnology, HandoffIndicatorValue
from halma.wire.options import HomeNetworkPrefix, MobileNodeIdentifier
from halma.wire.timestamp import to_timestamp


class ProxyCrowd(Crowd):
    """Nodes at `gateways` (16-byte addresses of ours)."""

    acknowledgement_sequence, update_sequence = 8, 6

    def __init__(self, size: int, gateways: Sequence[bytes]) -> None:
        super().__init__(size, len(gateways))
        self._gateways = tuple(gateways)
        self._prefixes = bytearray(8 * size)
        self._socket: MobilitySocket | None = None

    def descriptors(self) -> tuple[int, int]:
        """One raw socket for both."""
        if self._socket is None:
            self._socket = MobilitySocket()
        return self._socket.fileno(), self._socket.fileno()

    def close(self) -> None:
        """Give the socket back."""
        if self._socket is not None:
            self._socket.close()

    def updates(
        self,
        phase: str,
        nodes: range,
        now: float,
        destination: bytes,
        *,
        echo: bool,  # noqa: ARG002  (an echo gets what the anchor gets)
    ) -> Updates:
        """As `Crowd` says."""
        indicator = int(HandoffIndicatorValue.NOT_CHANGED if phase == REFRESH else HandoffIndicatorValue.UNKNOWN)
        timestamp = to_timestamp(now)
        messages, sources = [], []
        for sequence, node in enumerate(nodes):
            prefixes: tuple[HomeNetworkPrefix, ...] = ()
            if phase == REFRESH:
                prefixes = (HomeNetworkPrefix(64, bytes(self._prefixes[node * 8 : node * 8 + 8]) + bytes(8)),)
            link_layer = b"\x02\0" + node.to_bytes(4, "big")
            offer = Offer(identifier(node), link_layer, indicator, int(AccessTechnology.IEEE_802_11A_B_G), prefixes)
            source = self._gateways[self._place(phase, node)]
            messages.append(encode(proxy_binding_update(offer, sequence, LIFETIME, timestamp, None), source, destination))
            sources.append(source)
        return Updates(messages, sources, 0)

    def _status(self, answer: Answer, node: int, phase: str, destination: bytes) -> int:
        try:
            message = decode(answer.octets, destination, self._gateways[self._place(phase, node)])
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
