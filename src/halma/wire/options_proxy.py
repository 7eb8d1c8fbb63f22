# SPDX-License-Identifier: Apache-2.0
"""Mobility options of Proxy Mobile IPv6: RFC 5213 section 8, and the identifier and heartbeat options it goes with (RFC
4283 section 3, RFC 5847 section 3.4).

Always holds: a field is the number or the octets on the wire; nothing is interpreted here.
"""

from __future__ import annotations

from halma.wire.optionspace import Option, option
from halma.wire.spaces import MOBILITY_OPTIONS


@option(MOBILITY_OPTIONS, 8, "B *", section="4283#3")
class MobileNodeIdentifier(Option):
    """Who the mobile node is: `subtype` says how to read `identifier` (numbers.MobileNodeIdentifierSubtype; 1 is an NAI)."""

    subtype: int
    identifier: bytes


@option(MOBILITY_OPTIONS, 22, "x B 16s", section="5213#8.3", align=(8, 4))
class HomeNetworkPrefix(Option):
    """A home network prefix of the mobile node; all zeros asks for one."""

    prefix_length: int
    prefix: bytes


@option(MOBILITY_OPTIONS, 23, "x B", section="5213#8.4")
class HandoffIndicator(Option):
    """What kind of attachment this is (numbers.HandoffIndicatorValue)."""

    indicator: int


@option(MOBILITY_OPTIONS, 24, "x B", section="5213#8.5")
class AccessTechnologyType(Option):
    """By which technology the mobile node is attached (numbers.AccessTechnology)."""

    technology: int


@option(MOBILITY_OPTIONS, 25, "2x *", section="5213#8.6", align_rest=True)
class MobileNodeLinkLayerIdentifier(Option):
    """The link-layer identifier of the mobile node's interface; empty or zeros when it is not known."""

    identifier: bytes


@option(MOBILITY_OPTIONS, 26, "16s", section="5213#8.7", align=(8, 6))
class LinkLocalAddress(Option):
    """The link-local address of the gateway on the link it shares with the mobile node."""

    address: bytes


@option(MOBILITY_OPTIONS, 27, "Q", section="5213#8.8", align=(8, 2))
class Timestamp(Option):
    """When the message was sent: 48.16 fixed point seconds since 1970 (see `halma.wire.timestamp`)."""

    value: int


@option(MOBILITY_OPTIONS, 28, "I", section="5847#3.4", align=(4, 2))
class RestartCounter(Option):
    """How often the sender has lost all its state."""

    counter: int
