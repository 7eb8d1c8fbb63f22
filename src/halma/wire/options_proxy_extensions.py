# SPDX-License-Identifier: Apache-2.0
"""Mobility options that extend Proxy Mobile IPv6: choice of the anchor at run time (RFC 6463 section 4), groups of mobile
nodes (RFC 6602 section 4.3) and delegated prefixes (RFC 7148 section 4.1).

Always holds: a field is the number or the octets on the wire; where a flag tells which kind of address follows, the two agree.
"""

from __future__ import annotations

from halma.wire.numbers import DelegatedPrefixFlag, RedirectFlag
from halma.wire.optionspace import Option, option
from halma.wire.spaces import MOBILITY_OPTIONS


@option(MOBILITY_OPTIONS, 46, "2x", section="6463#4.1", align=(4, 0))
class RedirectCapability(Option):
    """The gateway can be sent to another anchor."""


def _redirect_agrees(redirect: Redirect) -> bool:
    return redirect.flags == (RedirectFlag.IPV6 if len(redirect.address) == 16 else RedirectFlag.IPV4)


@option(MOBILITY_OPTIONS, 47, "H&c000 *4/16", section="6463#4.2", align=(4, 0), check=_redirect_agrees)
class Redirect(Option):
    """The anchor that has been chosen: its IPv6 (flag K) or IPv4 (flag N) address."""

    flags: int
    address: bytes


@option(MOBILITY_OPTIONS, 48, "H 4I", section="6463#4.3", align=(4, 0))
class LoadInformation(Option):
    """How busy an anchor is; the lower `priority`, the rather it wants work; capacities are in kilobytes a second."""

    priority: int
    sessions_in_use: int
    maximum_sessions: int
    used_capacity: int
    maximum_capacity: int


@option(MOBILITY_OPTIONS, 49, "4s", section="6463#4.4", align=(4, 2))
class AlternateIpv4CareOfAddress(Option):
    """The IPv4 care-of address of the binding, instead of the packet's source address."""

    address: bytes


@option(MOBILITY_OPTIONS, 50, "B x I", section="6602#4.3", align=(4, 0))
class MobileNodeGroupIdentifier(Option):
    """A group of mobile nodes that bulk operations can name; 1 is all sessions of the peer."""

    subtype: int
    identifier: int


def _delegated_agrees(delegated: DelegatedMobileNetworkPrefix) -> bool:
    return delegated.flags == (DelegatedPrefixFlag.IPV4 if len(delegated.prefix) == 4 else 0)


@option(MOBILITY_OPTIONS, 55, "B&80 B *4/16", section="7148#4.1", align=(8, 2), check=_delegated_agrees)
class DelegatedMobileNetworkPrefix(Option):
    """A prefix for the network behind a mobile router: IPv4 with flag V, else IPv6."""

    flags: int
    prefix_length: int
    prefix: bytes
