# SPDX-License-Identifier: Apache-2.0
"""What a home agent and a mobile node say to the world about multicast groups: events and effects.

RFC 6275 sections 10.4.2, 10.4.3 (home agent) and 11.3.4 (mobile node), RFC 9777 (Multicast Listener Discovery).

Always holds: a group is a multicast address of 16 bytes; a tunnel is seen from the side that names it.
"""

from __future__ import annotations

from halma.engine.api import Tunnel
from halma.value import value
from halma.wire.mld import ListenerReport, MulticastListenerQuery


@value
class ListenerReportReceived:
    """A mobile node has said through its tunnel which groups it listens to; the message has passed the checks of
    `wire.mld.is_from_listener_or_router`."""

    tunnel: Tunnel
    message: ListenerReport


@value
class ListenerQueryReceived:
    """A home agent has asked through its tunnel which groups the node listens to."""

    tunnel: Tunnel
    message: MulticastListenerQuery


@value
class SendListenerQuery:
    """Ask through a tunnel, from a link-local address of ours: to all nodes, with hop limit 1 and Router Alert (RFC 9777
    section 5.1)."""

    tunnel: Tunnel
    source: bytes
    message: MulticastListenerQuery


@value
class Subscribe:
    """Send the packets to a group through the tunnel of a home address from now on, as long as that has one."""

    group: bytes
    home_address: bytes


@value
class Unsubscribe:
    """Send them there no more."""

    group: bytes
    home_address: bytes


@value
class JoinGroup:
    """Listen to a group on the network that mobile nodes' groups come from."""

    group: bytes


@value
class LeaveGroup:
    """Listen to it no more."""

    group: bytes


@value
class AllowListenerReports:
    """Whether a mobile node's reports may go into the tunnel to its home agent (RFC 6275 section 11.3.4)."""

    allowed: bool


MulticastEffect = SendListenerQuery | Subscribe | Unsubscribe | JoinGroup | LeaveGroup
"""What a home agent wants done."""
