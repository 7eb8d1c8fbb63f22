# SPDX-License-Identifier: Apache-2.0
"""The Proxy Binding Update that a gateway sends, and the acknowledgement as it reads it. RFC 5213 sections 6.9.1.1, 6.9.1.2,
6.9.1.5, 8.1 and 8.2.

Always holds: an update has the P and A flags, an identifier, at least one Home Network Prefix, a Handoff Indicator and an
Access Technology Type; a link-layer identifier that is unknown or all zeros is never sent.
"""

from __future__ import annotations

from halma.engine.binding_update_list import Offer
from halma.engine.constants import NAI
from halma.wire.addresses import UNSPECIFIED
from halma.wire.messages import BindingAcknowledgement, BindingUpdate
from halma.wire.numbers import BindingUpdateFlag
from halma.wire.options import (
    AccessTechnologyType,
    HandoffIndicator,
    HomeNetworkPrefix,
    LinkLocalAddress,
    MobileNodeIdentifier,
    MobileNodeLinkLayerIdentifier,
    Option,
    Timestamp,
)

FLAGS = BindingUpdateFlag.ACKNOWLEDGE | BindingUpdateFlag.PROXY
ANY_PREFIX = (HomeNetworkPrefix(0, UNSPECIFIED),)
"""One option with the prefix ALL_ZERO asks the anchor to choose (section 6.9.1.1 point 3)."""


def proxy_binding_update(
    offer: Offer, sequence: int, lifetime: int, timestamp: int | None, link_local_address: bytes | None
) -> BindingUpdate:
    """The update of figure 12. `lifetime` is in units of four seconds; `timestamp` None leaves the Timestamp option out
    (sequence-number-based approach), `link_local_address` None the Link-local Address option (section 6.9.1.1 point 9)."""
    options: list[Option] = [
        MobileNodeIdentifier(NAI, offer.identifier),
        *(offer.prefixes or ANY_PREFIX),
        HandoffIndicator(offer.handoff_indicator),
        AccessTechnologyType(offer.access_technology),
    ]
    if timestamp is not None:
        options.append(Timestamp(timestamp))
    if any(offer.link_layer_identifier):
        options.append(MobileNodeLinkLayerIdentifier(offer.link_layer_identifier))
    if link_local_address is not None:
        options.append(LinkLocalAddress(link_local_address))
    return BindingUpdate(sequence, FLAGS, lifetime, tuple(options))


class ProxyAnswer:
    """A Proxy Binding Acknowledgement, its options sorted out: None where it had none. `prefixes` holds the Home Network
    Prefix options that name a prefix, each once; `duplicate` says that an option came twice which may come only once
    (section 8.2)."""

    __slots__ = (
        "access_technology",
        "duplicate",
        "handoff_indicator",
        "identifier",
        "lifetime",
        "link_layer_identifier",
        "link_local_address",
        "prefixes",
        "sequence",
        "status",
        "timestamp",
    )

    def __init__(self, message: BindingAcknowledgement) -> None:
        self.status = message.status
        self.sequence = message.sequence
        self.lifetime = message.lifetime
        self.identifier: bytes | None = None
        self.handoff_indicator: int | None = None
        self.access_technology: int | None = None
        self.link_layer_identifier: bytes | None = None
        self.link_local_address: bytes | None = None
        self.timestamp: int | None = None
        self.duplicate = False
        prefixes: dict[HomeNetworkPrefix, None] = {}
        for option in message.options:
            if isinstance(option, HomeNetworkPrefix):
                if any(option.prefix):
                    prefixes[option] = None
            elif isinstance(option, MobileNodeIdentifier):
                self.duplicate |= self.identifier is not None
                self.identifier = option.identifier
            elif isinstance(option, HandoffIndicator):
                self.duplicate |= self.handoff_indicator is not None
                self.handoff_indicator = option.indicator
            elif isinstance(option, AccessTechnologyType):
                self.duplicate |= self.access_technology is not None
                self.access_technology = option.technology
            elif isinstance(option, MobileNodeLinkLayerIdentifier):
                self.duplicate |= self.link_layer_identifier is not None
                self.link_layer_identifier = option.identifier
            elif isinstance(option, Timestamp):
                self.duplicate |= self.timestamp is not None
                self.timestamp = option.value
            elif isinstance(option, LinkLocalAddress):
                self.duplicate |= self.link_local_address is not None
                self.link_local_address = option.address
        self.prefixes = tuple(prefixes)

    def is_about(self, offer: Offer) -> bool:
        """Whether the session that the answer names, as far as it names one, is the one of the offer."""
        return self.identifier in (None, offer.identifier) and self.link_layer_identifier in (
            None,
            bytes(len(self.link_layer_identifier or b"")),
            offer.link_layer_identifier,
        )

    def difference(self, offer: Offer) -> str:
        """The option that does not echo the request (section 6.9.1.2 point 6), or an empty string."""
        if self.identifier is not None and self.identifier != offer.identifier:
            return "Mobile Node Identifier"
        if self.handoff_indicator is not None and self.handoff_indicator != offer.handoff_indicator:
            return "Handoff Indicator"
        if self.access_technology is not None and self.access_technology != offer.access_technology:
            return "Access Technology Type"
        if self.link_layer_identifier is not None and any(self.link_layer_identifier + offer.link_layer_identifier):
            return "" if self.link_layer_identifier == offer.link_layer_identifier else "Mobile Node Link-layer Identifier"
        return ""
