# SPDX-License-Identifier: Apache-2.0
"""What the home agent hears and says about its home links, beside Mobility Headers: events and effects.

RFC 6275 sections 6.5 to 6.8 and 10.5 to 10.6, RFC 4861 section 6.2, RFC 3963 section 7. What it does in the stead of nodes that
are away is in `home_link`.

Always holds: the messages in the events have passed the checks of `halma.wire`; whoever carries an effect out fills in our
link-local address.
"""

from __future__ import annotations

from halma.value import value
from halma.wire.icmpv6 import (
    HomeAgentAddressDiscoveryReply,
    HomeAgentAddressDiscoveryRequest,
    MobilePrefixAdvertisement,
    MobilePrefixSolicitation,
)
from halma.wire.nd import RouterAdvertisement

# ---- events ----


@value
class HomeLinkUp:
    """An interface that is a home link carries frames, from now on or again."""

    interface: int


@value
class HomeAgentStopping:
    """The daemon is about to end: these are the last words to the home links (RFC 4861 section 6.2.5)."""


@value
class RouterAdvertisementHeard:
    """Another router of a home link has advertised itself; `source` is its link-local address."""

    interface: int
    source: bytes
    message: RouterAdvertisement


@value
class RouterSolicitationHeard:
    """Somebody on a home link asks for routers."""

    interface: int


@value
class DiscoveryRequested:
    """A node looks for home agents (RFC 6275 section 6.5): `destination` is what it has asked, most likely the anycast address
    of a home link. `seed` is where the order among equals comes from."""

    source: bytes
    destination: bytes
    message: HomeAgentAddressDiscoveryRequest
    seed: int


@value
class PrefixSolicited:
    """A mobile node asks for the prefixes of its home link (section 6.7), from its care-of address `source`."""

    source: bytes
    destination: bytes
    home_address: bytes
    message: MobilePrefixSolicitation


HomeDiscoveryEvent = (
    HomeLinkUp | HomeAgentStopping | RouterAdvertisementHeard | RouterSolicitationHeard | DiscoveryRequested | PrefixSolicited
)
"""What `home_agent_discovery` takes; its anchor looks at the Home Address option of a `PrefixSolicited` first."""

# ---- effects ----


@value
class SendAdvertisement:
    """Send a Router Advertisement to all nodes of a home link, from our link-local address there."""

    interface: int
    message: RouterAdvertisement


@value
class SendIcmp:
    """Send an ICMPv6 message; a `home_address` goes into a type 2 routing header."""

    source: bytes
    destination: bytes
    message: HomeAgentAddressDiscoveryReply | MobilePrefixAdvertisement
    home_address: bytes = b""


HomeDiscoveryEffect = SendAdvertisement | SendIcmp
