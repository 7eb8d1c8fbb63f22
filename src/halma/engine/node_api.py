# SPDX-License-Identifier: Apache-2.0
"""What a mobile node is told and what it wants done: its settings, events and effects.

RFC 6275 sections 11 to 13, RFC 3963 section 5 (mobile routers), RFC 4285 (authentication), RFC 4429 (optimistic addresses), RFC
5026 section 5.1 (home agents by DNS).

Always holds: a node has one interface, which is not named; addresses are 16 bytes, link-layer addresses `bytes`, empty when
unknown; times are seconds.
"""

from __future__ import annotations

from enum import Enum

from halma.engine.api import (
    Answer,
    Association,
    Bind,
    ForwardingDone,
    MalformedReceived,
    MessageReceived,
    Report,
    Send,
    SendParameterProblem,
    Unbind,
)
from halma.engine.multicast_api import AllowListenerReports, ListenerQueryReceived
from halma.value import value
from halma.wire.icmpv6 import Icmpv6Message
from halma.wire.nd import RouterAdvertisement

LINK_LOCAL_PREFIX = bytes.fromhex("fe80000000000000")
HOST = 128
"""The length of a prefix that is one address."""
FOREVER = 0xFFFFFFFF
"""A lifetime in a Prefix Information option that does not end (RFC 4861 section 4.6.2)."""

DHAAD_RETRIES = 4
INITIAL_DHAAD_TIMEOUT = 3.0
INITIAL_SOLICIT_TIMER = 3.0
"""RFC 6275 section 12, like the two above."""
MAX_RTR_SOLICITATIONS = 3
"""RFC 4861 section 10."""


@value
class MobileNetwork:
    """A mobile network prefix (RFC 3963): 16 bytes, and its length."""

    prefix: bytes
    length: int


@value
class NodeSettings:
    """What one mobile node is configured with.

    `home_agents` are tried in their order; when there are none, the DNS is asked for `home_agent_name` or, by service, for
    `home_domain` (RFC 5026 section 5.1), and without either the home link (RFC 6275 section 11.4.1).
    `interface_identifier` (8 bytes) makes the first care-of address of each prefix; `secret` makes the others, see
    `care_of_address`. `link_local_address` has the interface's own identifier. `association` protects the signalling; without
    one, `insecure` must say so. `timestamps` sends the replay protection option of RFC 4285. A mobile router names its
    networks in each update where `explicit` (RFC 3963 section 5.2). `sequence` and the two fields after it are what a former
    life left: the last sequence number, and until when (wall clock) which home agent may hold a binding.
    `optimistic_handover` uses the tunnel before the home agent has acknowledged it.
    """

    home_address: bytes
    home_prefix: bytes
    home_agents: tuple[bytes, ...]
    link_local_address: bytes
    interface_identifier: bytes
    home_prefix_length: int = 64
    home_agent_name: str = ""
    home_domain: str = ""
    identifier: bytes = b""
    secret: bytes = b""
    association: Association | None = None
    insecure: bool = False
    timestamps: bool = True
    lifetime: int = 3600
    mobile_router: bool = False
    explicit: bool = False
    networks: tuple[MobileNetwork, ...] = ()
    initial_bindack_timeout_first_registration: float = 1.5
    router_solicitation_interval: float = 1.0
    router_probe_interval: float = 0.2
    lost_advertisements: int = 3
    retry_interval: float = 32.0
    optimistic_handover: bool = False
    sequence: int = 0
    former_home_agent: bytes = b""
    former_expiry: float = 0.0


# ---- events: what has happened ----------------------------------------------------------------------------------------


@value
class Started:
    """The daemon has begun to run. The first event."""


@value
class LinkUp:
    """The interface carries frames now, or the link layer says that it may be another link than before."""


@value
class LinkDown:
    """The interface carries no frames any more."""


@value
class RouterAdvertisementReceived:
    """A valid Router Advertisement (RFC 4861 section 6.1.2) from the link-local address `source`; the frame came from
    `link_layer_address`."""

    source: bytes
    link_layer_address: bytes
    message: RouterAdvertisement


@value
class RouterConfirmed:
    """A router has answered a Neighbor Solicitation: it is reachable in both directions (RFC 4861 section 7.3.1)."""

    address: bytes


@value
class RouterUnreachable:
    """Neighbor Unreachability Detection, the kernel's own, has given a router up."""

    address: bytes


@value
class AddressClaimed:
    """Somebody else on the link has an address that we asked about, or asks for it too: a Neighbor Advertisement for it, or a
    Neighbor Solicitation for it from the unspecified address (RFC 4862 sections 5.4.3 and 5.4.4). `link_layer_address` is
    the one advertised, else the frame's."""

    address: bytes
    link_layer_address: bytes


@value
class IcmpReceived:
    """An ICMPv6 message came from `source` to our `destination`; `home_address` is that of the type 2 routing header that
    brought it, or empty."""

    source: bytes
    destination: bytes
    message: Icmpv6Message
    home_address: bytes = b""


@value
class HomeAgentRecord:
    """A home agent as the DNS has it: its addresses, and how much it is preferred (RFC 2782: the lowest priority comes first;
    of equals one that weighs more comes first oftener)."""

    addresses: tuple[bytes, ...]
    priority: int = 0
    weight: int = 0


@value
class HomeAgentsFound:
    """The DNS has answered `FindHomeAgents` number `op`; the answer is good for `lifetime` seconds. `seed` is where the order
    among equals comes from."""

    op: int
    records: tuple[HomeAgentRecord, ...]
    lifetime: float
    seed: int


@value
class HomeAgentsNotFound:
    """`FindHomeAgents` number `op` has come to nothing; `why` ends a sentence for people."""

    op: int
    why: str


@value
class RetryRequested:
    """The operator has mended what a home agent refused, or what kept the node from finding one: try again at once. `op` other
    than 0 wants an `Answer`."""

    op: int = 0


@value
class StopRequested:
    """The daemon is going to stop: end the registration."""


NodeEvent = (
    MessageReceived
    | MalformedReceived
    | ForwardingDone
    | Started
    | LinkUp
    | LinkDown
    | RouterAdvertisementReceived
    | RouterConfirmed
    | RouterUnreachable
    | AddressClaimed
    | IcmpReceived
    | ListenerQueryReceived
    | HomeAgentsFound
    | HomeAgentsNotFound
    | RetryRequested
    | StopRequested
)


# ---- effects: what is to be done --------------------------------------------------------------------------------------


@value
class SolicitRouters:
    """Send one Router Solicitation, from the link-local address."""


@value
class ProbeRouter:
    """Ask a router for a sign of life: a unicast Neighbor Solicitation. `RouterConfirmed` tells of the answer."""

    address: bytes
    link_layer_address: bytes


@value
class AskForAddress:
    """Send one Neighbor Solicitation for an address from the unspecified address: Duplicate Address Detection (RFC 4862
    section 5.4.2). `AddressClaimed` tells of an answer."""

    address: bytes


@value
class AdvertiseAddress:
    """Tell all nodes of the link that an address is ours: an unsolicited Neighbor Advertisement with the Override flag and our
    link-layer address (RFC 6275 section 11.5.5)."""

    address: bytes


@value
class ConfigureAddress:
    """Have this address on the interface and use it at once, without the kernel's Duplicate Address Detection."""

    address: bytes


@value
class RemoveAddress:
    """Have an address no more."""

    address: bytes


@value
class SetDefaultRouter:
    """Packets that leave from other than the home address go by this router; its link-layer address, where known, is taken
    for reachable (RFC 6275 section 11.5.5). Empty: there is none."""

    address: bytes
    link_layer_address: bytes


@value
class SetOnLink:
    """These prefixes (16 bytes, length) are on the link, and no others."""

    prefixes: tuple[tuple[bytes, int], ...]


class HomePath(Enum):
    """The way that packets from the home address, and from the mobile networks, take."""

    TUNNEL = "tunnel"
    """Into the data plane, which sends them through the tunnel that is bound, and drops them while there is none."""
    LINK = "link"
    """As any other packets: the node is at home."""


@value
class SetHomePath:
    """Send packets from the home address that way. Mobility Headers from the home address always take the link."""

    path: HomePath


@value
class SendIcmp:
    """Send an ICMPv6 message, with a Home Address option if `home_address` is given."""

    source: bytes
    destination: bytes
    message: Icmpv6Message
    home_address: bytes = b""


@value
class FindHomeAgents:
    """Ask the DNS, from our address `source`, for the addresses of the host `name`, or `by_service` for the home agents of the
    domain `name` (RFC 5026 section 5.1), instead of whatever it is being asked. `HomeAgentsFound` or `HomeAgentsNotFound`
    tells what came of it."""

    op: int
    source: bytes
    name: str
    by_service: bool


@value
class Remember:
    """Write down for a next life: the last sequence number used, and which home agent may hold a binding until when (wall
    clock; 0 for none)."""

    sequence: int
    home_agent: bytes
    expiry: float


NodeEffect = (
    Send
    | SendParameterProblem
    | Bind
    | Unbind
    | Report
    | Answer
    | SolicitRouters
    | ProbeRouter
    | AskForAddress
    | AdvertiseAddress
    | ConfigureAddress
    | RemoveAddress
    | SetDefaultRouter
    | SetOnLink
    | SetHomePath
    | SendIcmp
    | AllowListenerReports
    | FindHomeAgents
    | Remember
)
