# SPDX-License-Identifier: Apache-2.0
"""A Proxy Binding Update as the anchor reads it, and the acknowledgement that answers it.

RFC 5213 section 8.1 (which options, how often), 5.3.6 (what the acknowledgement carries), 8.8 (Timestamp).

Always holds: an acknowledgement echoes the identifier, handoff indicator, access technology and link-layer identifier of its
request, with empty or zero values where the request had none; it has at least one Home Network Prefix option; it carries a
Timestamp or a Link-local Address option only where the request had one.
"""

from __future__ import annotations

from halma.engine.api import Send
from halma.engine.policy import Profile
from halma.wire.messages import BindingAcknowledgement, BindingUpdate
from halma.wire.numbers import BindingAcknowledgementFlag, Status
from halma.wire.options import (
    AccessTechnologyType,
    AlternateCareOfAddress,
    HandoffIndicator,
    HomeNetworkPrefix,
    LinkLocalAddress,
    MobileNodeIdentifier,
    MobileNodeLinkLayerIdentifier,
    Timestamp,
)
from halma.wire.optionspace import Option

UNSPECIFIED = bytes(16)
"""ALL_ZERO, as RFC 5213 calls it: please choose for me."""
LIFETIME_UNIT = 4
"""Seconds in one unit of a Lifetime field (RFC 6275 section 6.1.7)."""
PROXY = int(BindingAcknowledgementFlag.PROXY)
NO_IDENTIFIER = MobileNodeIdentifier(1, b"")
NO_HANDOFF_INDICATOR = HandoffIndicator(0)
NO_ACCESS_TECHNOLOGY = AccessTechnologyType(0)
NO_PREFIX = (HomeNetworkPrefix(0, UNSPECIFIED),)
ACCEPTED = int(Status.ACCEPTED)


class ProxyRequest:
    """One Proxy Binding Update, its options sorted out. `source` is the gateway's address, `destination` ours;
    `care_of_address` the Proxy-CoA (section 6.9.1.5: the Alternate Care-of Address, else the source). Each option is None where
    the message had none; `prefixes` holds all Home Network Prefix options in order; `duplicate` says that an option came twice
    which may come only once (section 8.1); `link_layer_address` is what sessions are told apart by (section 5.4.1.2): None
    without the option, and also where it says nothing, for the look-up wants a NON_ZERO value (figure 8); `arrival` is our time
    of day when it came, in the format of the Timestamp option, by which its timestamp is judged however long the request waits
    here; `profile` is the node's, once the request has been found to be for a node that is served."""

    __slots__ = (
        "access_technology",
        "arrival",
        "care_of_address",
        "destination",
        "duplicate",
        "handoff_indicator",
        "identifier",
        "lifetime",
        "link_layer_address",
        "link_layer_identifier",
        "link_local_address",
        "prefixes",
        "profile",
        "sequence",
        "source",
        "timestamp",
    )

    def __init__(self, source: bytes, destination: bytes, message: BindingUpdate, arrival: int) -> None:
        self.arrival = arrival
        self.profile: Profile | None = None
        self.source = source
        self.destination = destination
        self.sequence = message.sequence
        self.lifetime = message.lifetime
        self.care_of_address = source
        self.identifier: MobileNodeIdentifier | None = None
        self.handoff_indicator: HandoffIndicator | None = None
        self.access_technology: AccessTechnologyType | None = None
        self.link_layer_identifier: MobileNodeLinkLayerIdentifier | None = None
        self.link_local_address: LinkLocalAddress | None = None
        self.timestamp: Timestamp | None = None
        self.duplicate = False
        prefixes: list[HomeNetworkPrefix] = []
        for option in message.options:
            before: Option | None = None
            if isinstance(option, MobileNodeIdentifier):
                before, self.identifier = self.identifier, option
            elif isinstance(option, HomeNetworkPrefix):
                prefixes.append(option)
            elif isinstance(option, HandoffIndicator):
                before, self.handoff_indicator = self.handoff_indicator, option
            elif isinstance(option, AccessTechnologyType):
                before, self.access_technology = self.access_technology, option
            elif isinstance(option, MobileNodeLinkLayerIdentifier):
                before, self.link_layer_identifier = self.link_layer_identifier, option
            elif isinstance(option, Timestamp):
                before, self.timestamp = self.timestamp, option
            elif isinstance(option, LinkLocalAddress):
                before, self.link_local_address = self.link_local_address, option
            elif isinstance(option, AlternateCareOfAddress):
                self.care_of_address = option.address
            if before is not None:
                self.duplicate = True
        self.prefixes = tuple(prefixes)
        named = b"" if self.link_layer_identifier is None else self.link_layer_identifier.identifier
        self.link_layer_address = named if named.strip(b"\0") else None


def accept(request: ProxyRequest, prefixes: tuple[HomeNetworkPrefix, ...], lifetime: int, link_local_address: bytes) -> Send:
    """The acknowledgement with status 0 (section 5.3.6): the session's prefixes (16 bytes each, all /64), the lifetime that is
    granted in units of 4 seconds, the link-local address of the gateway on the node's link."""
    link_local = None if request.link_local_address is None else LinkLocalAddress(link_local_address)
    return _acknowledge(request, ACCEPTED, request.sequence, lifetime, prefixes, request.timestamp, link_local)


def refuse(request: ProxyRequest, status: int, timestamp: Timestamp | None, sequence: int | None = None) -> Send:
    """The acknowledgement that refuses: the request's own prefixes and link-local address come back (section 5.3.6).

    `timestamp` replaces the request's (section 5.5: our time of day where theirs was not valid); `sequence` replaces its
    sequence number (RFC 6275 section 9.5.1: the last accepted one with status 135).
    """
    answered = request.sequence if sequence is None else sequence
    return _acknowledge(request, status, answered, 0, request.prefixes or NO_PREFIX, timestamp, request.link_local_address)


def _acknowledge(
    request: ProxyRequest,
    status: int,
    sequence: int,
    lifetime: int,
    prefixes: tuple[HomeNetworkPrefix, ...],
    timestamp: Timestamp | None,
    link_local_address: LinkLocalAddress | None,
) -> Send:
    options: list[Option] = [
        request.identifier or NO_IDENTIFIER,
        *prefixes,
        request.handoff_indicator or NO_HANDOFF_INDICATOR,
        request.access_technology or NO_ACCESS_TECHNOLOGY,
    ]
    if request.link_layer_identifier is not None:
        options.append(request.link_layer_identifier)
    if link_local_address is not None:
        options.append(link_local_address)
    if request.timestamp is not None and timestamp is not None:
        options.append(timestamp)
    message = BindingAcknowledgement(status, PROXY, sequence, lifetime, tuple(options))
    return Send(request.destination, request.source, message)
