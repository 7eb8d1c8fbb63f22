# SPDX-License-Identifier: Apache-2.0
"""The Binding Update List: what a gateway has registered, is registering or is giving up. RFC 5213 section 6.1, RFC 6275
section 11.1.

Always holds: an entry exists from the first Proxy Binding Update of a session until the session is over; every outstanding
request is found by the anchor that it went to and its sequence number; memory is linear in the number of entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import TypeVar

from halma.engine.api import Tunnel
from halma.engine.gateway_api import NodeProfile
from halma.value import value
from halma.wire.options import HomeNetworkPrefix

Name = TypeVar("Name", bytes, tuple[bytes, int])
"""What an index finds entries by."""
LINK_LAYER_IDENTIFIER_UNKNOWN = bytes(2)
"""Section 6.1: two octets of zero stand for a link-layer identifier that is not available."""
REMEMBERED_TRANSMISSIONS = 8
"""The transmissions of one request whose answers are still taken."""


class RequestKind(Enum):
    """Why a Proxy Binding Update is sent."""

    REGISTRATION = "registration"
    REFRESH = "refresh"
    DEREGISTRATION = "de-registration"


class EntryState(Enum):
    """Where a session stands."""

    REGISTERING = "registering"
    """A registration is on its way; nothing is forwarded."""
    BINDING = "binding"
    """The anchor has accepted; the data plane is being told."""
    REGISTERED = "registered"
    """Packets go through the tunnel, and the node has been told its prefixes."""
    DEREGISTERING = "de-registering"
    """The node has gone or its session is being ended; the anchor is being told."""


@value
class Offer:
    """The options of a Proxy Binding Update that the anchor has to echo (section 6.9.1.2 point 6), and its prefixes."""

    identifier: bytes
    link_layer_identifier: bytes
    handoff_indicator: int
    access_technology: int
    prefixes: tuple[HomeNetworkPrefix, ...]


class Request:
    """A Proxy Binding Update that waits for its acknowledgement. `transmissions` maps the sequence number of each
    transmission to its timestamp (0 in the sequence-number-based approach); `timeout` is the present retransmission
    interval."""

    __slots__ = ("first_sent", "kind", "offer", "timeout", "transmissions")

    def __init__(self, kind: RequestKind, offer: Offer, timeout: float, first_sent: float) -> None:
        self.kind = kind
        self.offer = offer
        self.timeout = timeout
        self.first_sent = first_sent
        self.transmissions: dict[int, int] = {}


class BindingUpdateListEntry:
    """One mobility session (section 6.1). `key` names its attachment; `interface` is the if-id, `tunnel` the tunnel-if-id;
    `link_local_address` the gateway's own on that link (unspecified while it waits for the anchor to say). `expires` is
    when the anchor forgets the session unless it is refreshed; `lifetime` what it granted, both in seconds. `requested` are
    the prefixes that the next registration asks for (empty: any). `bound` are the prefixes that the data plane holds,
    `pending` the outcomes that are still to come from it."""

    __slots__ = (
        "access_technology",
        "anchor",
        "bound",
        "expires",
        "halted",
        "handoff_indicator",
        "identifier",
        "immediate_retries",
        "interface",
        "key",
        "lifetime",
        "link_layer_identifier",
        "link_local_address",
        "pending",
        "prefixes",
        "profile",
        "request",
        "requested",
        "requested_link_local_address",
        "silence_told",
        "state",
        "tunnel",
    )

    def __init__(self, key: bytes, interface: int, anchor: bytes, local: bytes, profile: NodeProfile) -> None:
        self.key = key
        self.interface = interface
        self.anchor = anchor
        self.tunnel = Tunnel(local, anchor)
        self.profile = profile
        self.identifier = profile.identifier
        self.link_layer_identifier = LINK_LAYER_IDENTIFIER_UNKNOWN
        self.link_local_address = bytes(16)
        self.requested_link_local_address = bytes(16)
        self.access_technology = 0
        self.handoff_indicator = 0
        self.prefixes: tuple[HomeNetworkPrefix, ...] = ()
        self.requested: tuple[HomeNetworkPrefix, ...] = profile.prefixes
        self.bound: dict[HomeNetworkPrefix, int] = {}
        self.pending: dict[int, HomeNetworkPrefix] = {}
        self.lifetime = 0
        self.expires = 0.0
        self.state = EntryState.REGISTERING
        self.request: Request | None = None
        self.immediate_retries = 0
        self.silence_told = False
        self.halted = False


class BindingUpdateList:
    """All entries, found by key, by node, by anchor, and by outstanding request."""

    def __init__(self) -> None:
        self._entries: dict[bytes, BindingUpdateListEntry] = {}
        self._by_identifier: dict[bytes, dict[bytes, BindingUpdateListEntry]] = {}
        self._by_anchor: dict[bytes, dict[bytes, BindingUpdateListEntry]] = {}
        self._by_sequence: dict[tuple[bytes, int], dict[bytes, BindingUpdateListEntry]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[BindingUpdateListEntry]:
        return iter(list(self._entries.values()))

    def add(self, entry: BindingUpdateListEntry) -> None:
        """Take a new entry in; its key is in no other."""
        self._entries[entry.key] = entry
        self._by_identifier.setdefault(entry.identifier, {})[entry.key] = entry
        self._by_anchor.setdefault(entry.anchor, {})[entry.key] = entry

    def remove(self, entry: BindingUpdateListEntry) -> None:
        """Forget an entry and what it waits for."""
        self.finish(entry)
        del self._entries[entry.key]
        _drop(self._by_identifier, entry.identifier, entry.key)
        _drop(self._by_anchor, entry.anchor, entry.key)

    def get(self, key: bytes) -> BindingUpdateListEntry | None:
        """The entry of an attachment."""
        return self._entries.get(key)

    def of_node(self, identifier: bytes) -> list[BindingUpdateListEntry]:
        """Every session of a node."""
        return list(self._by_identifier.get(identifier, {}).values())

    def of_anchor(self, anchor: bytes) -> list[BindingUpdateListEntry]:
        """Every session with an anchor."""
        return list(self._by_anchor.get(anchor, {}).values())

    def anchors(self) -> list[bytes]:
        """The anchors that there are sessions with."""
        return list(self._by_anchor)

    def start(self, entry: BindingUpdateListEntry, request: Request) -> None:
        """Let `request` be what the entry waits for, instead of any other."""
        self.finish(entry)
        entry.request = request

    def transmitted(self, entry: BindingUpdateListEntry, request: Request, sequence: int, timestamp: int) -> None:
        """The request went out with this sequence number and timestamp."""
        if len(request.transmissions) >= REMEMBERED_TRANSMISSIONS:
            oldest = next(iter(request.transmissions))
            del request.transmissions[oldest]
            _drop(self._by_sequence, (entry.anchor, oldest), entry.key)
        request.transmissions[sequence] = timestamp
        self._by_sequence.setdefault((entry.anchor, sequence), {})[entry.key] = entry

    def finish(self, entry: BindingUpdateListEntry) -> None:
        """The entry waits for no acknowledgement any more."""
        if entry.request is not None:
            for sequence in entry.request.transmissions:
                _drop(self._by_sequence, (entry.anchor, sequence), entry.key)
            entry.request = None

    def waiting(self, anchor: bytes, sequence: int) -> list[BindingUpdateListEntry]:
        """The entries with an outstanding request to this anchor under this sequence number."""
        return list(self._by_sequence.get((anchor, sequence), {}).values())


def _drop(index: dict[Name, dict[bytes, BindingUpdateListEntry]], name: Name, key: bytes) -> None:
    members = index[name]
    del members[key]
    if not members:
        del index[name]
