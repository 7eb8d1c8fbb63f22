# SPDX-License-Identifier: Apache-2.0
"""What a mobile access gateway is told and what it wants done: its settings, profiles, events and effects.

RFC 5213 sections 6.2 (policy profile) and 9.2, 9.3 (configuration variables), RFC 6543 (the fixed addresses).

Always holds: an interface is named by its index, which is never 0; link-layer addresses are `bytes`, empty when unknown;
times are seconds.
"""

from __future__ import annotations

from typing import Protocol

from halma.engine.api import (
    Answer,
    Bind,
    ForwardingDone,
    MalformedReceived,
    MessageReceived,
    Report,
    Send,
    SendParameterProblem,
    Tunnel,
    Unbind,
)
from halma.engine.constants import MAX_UPDATE_RATE
from halma.engine.heartbeat import HeartbeatSettings
from halma.engine.revocation import RevocationSettings
from halma.text import Prefix
from halma.value import value
from halma.wire.nd import RouterAdvertisement
from halma.wire.options import HomeNetworkPrefix

FIXED_LINK_LOCAL_ADDRESS = bytes.fromhex("fe8000000000000002005efffe005213")
"""FixedMAGLinkLocalAddressOnAllAccessLinks from the interface identifier that RFC 6543 reserves."""
FIXED_LINK_LAYER_ADDRESS = bytes.fromhex("00005e005213")
"""FixedMAGLinkLayerAddressOnAllAccessLinks: the Ethernet address that RFC 6543 reserves."""

TUNNEL_OVERHEAD = 40
"""Octets of the outer IPv6 header (RFC 2473 section 6.7)."""


@value
class GatewaySettings:
    """What one gateway is configured with.

    `address` is the Proxy-CoA, `anchor` the LMA of nodes whose profile names none (GW-5), `identity` the gateway's own
    identifier (RFC 5846 section 9.2). `link_local_address` zero asks the anchor for one (RFC 5213 section 6.8).
    `path_mtu` is the administratively configured MTU of the path to an anchor (section 6.9.5). `advertisement_interval` is
    the time between unsolicited Router Advertisements to a node; `presence_interval` the time between looks whether a
    silent node is still there (0: only before a refresh). `retry_interval` is the first wait after a refusal that may be
    temporary; it doubles up to 16 times as much. `reregistrations_per_second` paces what follows an anchor's restart.
    `access_prefix` is what the links of nodes that manage their own mobility get their /64 from; without it such nodes get
    nothing (section 6.14).
    """

    address: bytes
    anchor: bytes
    identity: bytes = b""
    link_local_address: bytes = FIXED_LINK_LOCAL_ADDRESS
    link_layer_address: bytes = FIXED_LINK_LAYER_ADDRESS
    timestamp_based_approach: bool = True
    access_technology: int = 3
    lifetime: int = 3600
    path_mtu: int = 1500
    local_routing: bool = False
    heartbeat: HeartbeatSettings = HeartbeatSettings()
    revocation: RevocationSettings = RevocationSettings()
    restart_counter: int = 0
    advertisement_interval: float = 200.0
    presence_interval: float = 60.0
    retry_interval: float = 32.0
    maximum_update_rate: int = MAX_UPDATE_RATE
    reregistrations_per_second: int = 500
    maximum_attachments: int = 65536
    maximum_unknown_per_interface: int = 16
    access_prefix: Prefix | None = None


@value
class NodeProfile:
    """A mobile node's policy profile (RFC 5213 section 6.2), for one of its interfaces.

    With `proxy_mobility` false the node manages its own mobility, and the gateway is a plain router to it (section 6.14).
    `anchor` empty means the gateway's own; `prefixes` are asked for at the first registration; `handoff_indicator` is what
    the operator knows of the node's attachments (0: nothing, section 6.9.1.1 point 5); `local_routing` None follows the
    gateway's flag (section 9.2); `lifetime` 0 and `access_technology` 0 follow the gateway's.
    """

    identifier: bytes
    link_layer_address: bytes = b""
    anchor: bytes = b""
    prefixes: tuple[HomeNetworkPrefix, ...] = ()
    proxy_mobility: bool = True
    handoff_indicator: int = 0
    access_technology: int = 0
    local_routing: bool | None = None
    lifetime: int = 0


class Profiles(Protocol):
    """Where profiles come from. Both answer at once, from memory."""

    def for_link_layer_address(self, address: bytes) -> NodeProfile | None:
        """The profile of the interface with this link-layer address."""

    def for_identifier(self, identifier: bytes, link_layer_address: bytes) -> NodeProfile | None:
        """The profile of the node that access authentication has found to be `identifier`."""


# ---- events: what has happened ----------------------------------------------------------------------------------------


@value
class LinkAppeared:
    """An access interface is there, not yet up. Its `mtu` is in octets."""

    interface: int
    name: str
    mtu: int


@value
class LinkUp:
    """An access interface carries frames now (or still does: `mtu` may be new)."""

    interface: int
    mtu: int


@value
class LinkDown:
    """An access interface carries no frames any more: whoever was on it has gone."""

    interface: int


@value
class LinkVanished:
    """An access interface does not exist any more."""

    interface: int


@value
class NodeHeard:
    """A frame from `link_layer_address` came in on an access interface; `address` is the IPv6 source that it carried."""

    interface: int
    link_layer_address: bytes
    address: bytes


@value
class RouterSolicitationReceived:
    """A valid Router Solicitation (RFC 4861 section 6.1.1) came from a node."""

    interface: int
    link_layer_address: bytes
    address: bytes


@value
class NodeConfirmed:
    """A node has been found to be on its link, by whatever method the link has (RFC 5213 section 6.13)."""

    link_layer_address: bytes


@value
class NodeUnreachable:
    """A node has been found not to be on its link any more."""

    link_layer_address: bytes


@value
class AttachTriggered:
    """A program that knows (an access point, say) tells that a node is on an access interface. `identifier` is what access
    authentication found, or empty; `handoff_indicator` what the link layer knows of the movement, or 0; the same holds for
    `access_technology`. `op` other than 0 wants an `Answer`."""

    interface: int
    link_layer_address: bytes
    identifier: bytes = b""
    handoff_indicator: int = 0
    access_technology: int = 0
    op: int = 0


@value
class DetachTriggered:
    """A program that knows tells that a node has left: the one with this link-layer address, or, when that is empty, every
    session of `identifier`. `op` other than 0 wants an `Answer`."""

    link_layer_address: bytes
    identifier: bytes = b""
    op: int = 0


@value
class PathMtuChanged:
    """The path to an anchor has this MTU now (RFC 5213 section 6.9.5)."""

    anchor: bytes
    mtu: int


@value
class RetryRequested:
    """The administrative action that RFC 5213 section 6.9.1.2 waits for: ask the anchor again for a node that was denied
    (empty: for every one)."""

    identifier: bytes = b""
    op: int = 0


@value
class ClockSynchronized:
    """The clock has been set from the domain's time source (RFC 5213 section 6.9.1.2 point 9)."""


@value
class AnchorRevocationRequested:
    """The operator ends all sessions with an anchor by one message (RFC 5846 section 9.2)."""

    anchor: bytes
    op: int = 0


@value
class ProfilesReplaced:
    """The operator has new profiles: look at every node anew. `op` other than 0 wants an `Answer`."""

    profiles: Profiles
    op: int = 0


@value
class Started:
    """The daemon has begun to run; `peers` (our address, theirs) had sessions with us in a former life."""

    peers: tuple[tuple[bytes, bytes], ...]


@value
class StopRequested:
    """The daemon is going to stop: end all sessions (RFC 5213 section 6.9.1.4)."""


GatewayEvent = (
    MessageReceived
    | MalformedReceived
    | ForwardingDone
    | LinkAppeared
    | LinkUp
    | LinkDown
    | LinkVanished
    | NodeHeard
    | RouterSolicitationReceived
    | NodeConfirmed
    | NodeUnreachable
    | AttachTriggered
    | DetachTriggered
    | PathMtuChanged
    | RetryRequested
    | ClockSynchronized
    | AnchorRevocationRequested
    | ProfilesReplaced
    | Started
    | StopRequested
)


# ---- effects: what is to be done --------------------------------------------------------------------------------------


@value
class PrepareLink:
    """Make a new access interface ready for nodes, then set it up: the gateway's link-layer address, its link-local address
    (unspecified: none yet), forwarding, the data plane. `LinkUp` tells when it carries frames."""

    interface: int
    link_layer_address: bytes
    link_local_address: bytes


@value
class SetLinkLocalAddresses:
    """Use these link-local addresses on an access interface, and no other (RFC 5213 section 6.9.1.2 point 15, section 6.14);
    what is said to everybody on the link is said from the first."""

    interface: int
    addresses: tuple[bytes, ...]


@value
class SolicitNodes:
    """Ask whoever is on a link that has just come up to show itself."""

    interface: int


@value
class AdvertiseRouter:
    """Send a Router Advertisement to one node alone: the frame goes to `link_layer_address`, the packet to `destination`
    (the node's link-local address, or all nodes while that is unknown)."""

    interface: int
    link_layer_address: bytes
    source: bytes
    destination: bytes
    message: RouterAdvertisement


@value
class ProbeNode:
    """Ask one node for a sign of life once: a unicast Neighbor Solicitation for `address`, or an Echo Request to all nodes
    while that is unknown. From an unspecified `source` (we have no address yet) the solicitation has the form of Duplicate
    Address Detection. Any answer is heard as `NodeHeard`."""

    interface: int
    link_layer_address: bytes
    source: bytes
    address: bytes


@value
class AdmitNode:
    """The node with this link-layer address is known on the interface: its data frames need not be shown any more."""

    interface: int
    link_layer_address: bytes


@value
class SetPathMtu:
    """The path outside this tunnel has this MTU now; the data plane is to use it (RFC 5213 section 6.9.5)."""

    tunnel: Tunnel
    mtu: int


@value
class TearDownLink:
    """The point-to-point link with this node is over (RFC 5213 section 6.9.1.4): forget its neighbour entries, and show its
    frames again."""

    interface: int
    link_layer_address: bytes


GatewayEffect = (
    Send
    | SendParameterProblem
    | Bind
    | Unbind
    | Report
    | PrepareLink
    | SetLinkLocalAddresses
    | SolicitNodes
    | AdvertiseRouter
    | ProbeNode
    | AdmitNode
    | SetPathMtu
    | TearDownLink
    | Answer
)
