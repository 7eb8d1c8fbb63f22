# SPDX-License-Identifier: Apache-2.0
"""The access links of a gateway, who is attached to them, and whether they are still there. RFC 5213 sections 6.3, 6.6 and
6.13, RFC 4861 section 7.3.

Always holds: a node's interface is attached to one link at most; an attachment is on a link that is up; of the link-layer
addresses that no profile knows, each link remembers a bounded number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum

from halma.engine.constants import MAX_UNICAST_SOLICIT, RETRANS_TIMER
from halma.engine.gateway_api import (
    AdmitNode,
    NodeProfile,
    ProbeNode,
    SetLinkLocalAddresses,
    SolicitNodes,
    TearDownLink,
)
from halma.engine.gateway_context import GatewayContext, Timer
from halma.engine.link_local import LINK_LOCAL, plain_router_address
from halma.value import value
from halma.wire.addresses import ALL_NODES, UNSPECIFIED
from halma.wire.options import HomeNetworkPrefix

QUICK_PROBE = 0.2
"""Seconds between two probes while somebody waits for the answer (a revocation that asks whether the node has left)."""
SOLICITATIONS = (0.001, 0.003, 0.01, 0.05, 0.2, 1.0)
"""Seconds after which a link that has come up is asked again who is there, as long as nobody is heard: the node's end may need
a moment until it can answer."""


class Until(Enum):
    """What ends a denial."""

    ADMINISTRATIVE_ACTION = "administrative action"
    CLOCK_SYNCHRONIZATION = "clock synchronization"
    NEW_ATTACHMENT = "new attachment"
    NEW_PROFILE = "profile"
    TIME = "time"


@value
class Denial:
    """Why an attached node gets no mobility service: `reason` is a short fixed word; `until` says what ends it."""

    reason: str
    until: Until


BIND_FAILED = Denial("bind_failed", Until.TIME)
"""The data plane did not take what the node was to get."""


class _Probe:
    """A look whether a node is there: `left` more questions, `interval` apart."""

    __slots__ = ("found", "interval", "left", "lost")

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.left = MAX_UNICAST_SOLICIT
        self.found: list[Callable[[], None]] = []
        self.lost: list[Callable[[], None]] = []


class Attachment:
    """A node's interface on an access link. `key` is its name here: the link-layer address, or what stands for it where the
    link has none. `address` is the node's link-local address as far as it was heard, `last_heard` when it last was.
    `handoff_indicator` and `access_technology` are what a trigger knew. `advertised` are the prefixes that the node has been
    told; `early_advertisements` how many more are sent in short order; `contested` the other interface on which the same
    link-layer address was heard. A `local` node is served by ordinary routing, without a session."""

    __slots__ = (
        "access_technology",
        "address",
        "advertised",
        "advertised_at",
        "contested",
        "denial",
        "early_advertisements",
        "handoff_indicator",
        "interface",
        "key",
        "last_heard",
        "link_layer_address",
        "local",
        "profile",
        "refusals",
    )

    def __init__(self, key: bytes, link_layer_address: bytes, interface: int, profile: NodeProfile) -> None:
        self.key = key
        self.link_layer_address = link_layer_address
        self.interface = interface
        self.profile = profile
        self.address = b""
        self.last_heard = 0.0
        self.handoff_indicator = 0
        self.access_technology = 0
        self.advertised: tuple[HomeNetworkPrefix, ...] = ()
        self.advertised_at: float | None = None
        self.early_advertisements = 0
        self.contested = 0
        self.denial: Denial | None = None
        self.local = False
        self.refusals = 0


class AccessLink:
    """An access interface. `address` is the link-local address of the router of the home link that is emulated on it,
    `plain_address` that of the plain router that the gateway is to other nodes; `addresses` those that it has now. `unknown`
    are the link-layer addresses that were heard and have no profile."""

    __slots__ = (
        "address",
        "addresses",
        "attachments",
        "interface",
        "mtu",
        "name",
        "plain_address",
        "solicited",
        "unknown",
        "up",
        "up_at",
    )

    def __init__(self, interface: int, name: str, mtu: int, address: bytes, plain_address: bytes) -> None:
        self.interface = interface
        self.name = name
        self.mtu = mtu
        self.address = address
        self.plain_address = plain_address
        self.addresses = (address,) if address != UNSPECIFIED else ()
        self.up = False
        self.up_at = 0.0  # or when it was last asked from the beginning
        self.solicited = 0
        self.attachments: dict[bytes, Attachment] = {}
        self.unknown: dict[bytes, None] = {}

    def locals(self) -> list[Attachment]:
        """The nodes that are served by ordinary routing."""
        return [attachment for attachment in self.attachments.values() if attachment.local]

    def router_address(self, attachment: Attachment) -> bytes:
        """The router's link-local address as the node knows it."""
        return self.plain_address if attachment.local else self.address


class AccessLinks:
    """All access links and attachments. `absent` hears of nodes that turn out to have left when nobody in particular asked."""

    def __init__(self, context: GatewayContext, absent: Callable[[Attachment], None]) -> None:
        self._context = context
        self._absent = absent
        self._links: dict[int, AccessLink] = {}
        self._attachments: dict[bytes, Attachment] = {}
        self._probes: dict[bytes, _Probe] = {}
        context.on(Timer.PROBE, self._probe_due)
        context.on(Timer.PRESENCE, self._presence_due)
        context.on(Timer.SOLICIT, self._solicitation_due)

    def __len__(self) -> int:
        return len(self._attachments)

    def __iter__(self) -> Iterator[Attachment]:
        return iter(list(self._attachments.values()))

    # ---- links ----------------------------------------------------------------------------------------------------------

    def link(self, interface: int) -> AccessLink | None:
        """The link of this interface."""
        return self._links.get(interface)

    def links(self) -> list[AccessLink]:
        """Every link."""
        return list(self._links.values())

    def appear(self, interface: int, name: str, mtu: int) -> AccessLink:
        """There is a new link, not up yet; or an old one was told again."""
        link = self._links.get(interface)
        if link is None:
            settings = self._context.settings
            plain_address = plain_router_address(settings.address, name)
            link = self._links[interface] = AccessLink(interface, name, mtu, settings.link_local_address, plain_address)
        link.name, link.mtu = name or link.name, mtu
        return link

    def vanish(self, interface: int) -> None:
        """The link does not exist any more; nobody is attached to it."""
        self._links.pop(interface, None)

    def come_up(self, link: AccessLink) -> None:
        """The link carries frames from now on: ask who is there, until somebody is heard."""
        link.up = True
        link.up_at = self._context.now.monotonic
        link.solicited = 0
        self._solicit(link)

    def ask_again(self, interface: int) -> None:
        """Somebody on the link has fallen silent: ask once more who is there, for the questions may have been lost."""
        link = self._links[interface]
        link.up_at = self._context.now.monotonic
        link.solicited = 0
        self._solicit(link)

    def go_down(self, link: AccessLink) -> None:
        """The link carries no frames any more, and nobody is attached to it."""
        link.up = False
        link.unknown.clear()
        self._context.disarm(Timer.SOLICIT, name_of_link(link.interface))

    def _solicit(self, link: AccessLink) -> None:
        if link.addresses:
            self._context.do(SolicitNodes(link.interface))
            if link.solicited < len(SOLICITATIONS):
                self._context.arm_at(Timer.SOLICIT, name_of_link(link.interface), link.up_at + SOLICITATIONS[link.solicited])
                link.solicited += 1

    def _solicitation_due(self, name: bytes) -> None:
        link = self._links[int(name)]
        if not link.attachments and not link.unknown:
            self._solicit(link)

    def remember_unknown(self, link: AccessLink, link_layer_address: bytes) -> bool:
        """Somebody without a profile was heard; whether that is news."""
        if link_layer_address in link.unknown:
            return False
        if len(link.unknown) >= self._context.settings.maximum_unknown_per_interface:
            del link.unknown[next(iter(link.unknown))]
        link.unknown[link_layer_address] = None
        return True

    def set_address(self, link: AccessLink, address: bytes) -> None:
        """Use another link-local address on the link, for the home links that are emulated there."""
        link.address = address
        self.readdress(link)

    def readdress(self, link: AccessLink) -> None:
        """Have the link-local addresses on the link that its nodes want: where there are none but such as are served by
        ordinary routing, nobody answers for the router of a home link, which they may know from elsewhere."""
        local = link.locals()
        addresses = (link.plain_address,) if local else ()
        if len(local) < len(link.attachments) or not local:
            addresses = (link.address, *addresses) if link.address != UNSPECIFIED else addresses
        if addresses != link.addresses:
            link.addresses = addresses
            self._context.do(SetLinkLocalAddresses(link.interface, addresses))

    # ---- attachments ----------------------------------------------------------------------------------------------------

    def attachment(self, key: bytes) -> Attachment | None:
        """The attachment of this name."""
        return self._attachments.get(key)

    def attach(self, attachment: Attachment) -> None:
        """A node is on a link now. Its key is in no other attachment."""
        link = self._links[attachment.interface]
        link.attachments[attachment.key] = attachment
        link.unknown.pop(attachment.link_layer_address, None)
        self._attachments[attachment.key] = attachment
        attachment.last_heard = self._context.now.monotonic
        self._context.do(AdmitNode(attachment.interface, attachment.link_layer_address))
        self._watch(attachment)

    def move(self, attachment: Attachment, interface: int) -> None:
        """The node is on another link now, and was heard there."""
        left = self._links[attachment.interface]
        del left.attachments[attachment.key]
        self.readdress(left)
        self._context.do(TearDownLink(attachment.interface, attachment.link_layer_address))
        attachment.interface = interface
        attachment.contested = 0
        attachment.advertised = ()
        self.attach(attachment)
        self.heard(attachment, b"")

    def learn(self, attachment: Attachment, link_layer_address: bytes) -> None:
        """The link-layer address of an attachment that was made without one."""
        attachment.link_layer_address = link_layer_address
        self._context.do(AdmitNode(attachment.interface, link_layer_address))

    def detach(self, attachment: Attachment) -> None:
        """A node is on no link any more. Whoever has asked whether it is there is told."""
        left = self._links[attachment.interface]
        del left.attachments[attachment.key]
        self.readdress(left)
        del self._attachments[attachment.key]
        probe = self._probes.pop(attachment.key, None)
        for timer in (Timer.PROBE, Timer.PRESENCE, Timer.ADVERTISE, Timer.RETRY):
            self._context.disarm(timer, attachment.key)
        for lost in probe.lost if probe is not None else ():
            lost()

    # ---- presence -------------------------------------------------------------------------------------------------------

    def heard(self, attachment: Attachment, address: bytes) -> None:
        """The node is there: it was heard, or something that knows says so. Every question about it is answered."""
        attachment.last_heard = self._context.now.monotonic
        if address[:2] == LINK_LOCAL:
            attachment.address = address
        self._watch(attachment)
        probe = self._probes.pop(attachment.key, None)
        if probe is not None:
            self._context.disarm(Timer.PROBE, attachment.key)
            for found in probe.found:
                found()

    def lose(self, attachment: Attachment) -> None:
        """The node is not there. Whoever asked is told first, and may know that it is on another link."""
        probe, interface = self._probes.pop(attachment.key, _Probe(0.0)), attachment.interface
        self._context.disarm(Timer.PROBE, attachment.key)
        for lost in probe.lost:
            lost()
        if attachment.interface == interface:
            self._absent(attachment)
        else:
            for found in probe.found:
                found()

    def ask(
        self, attachment: Attachment, interval: float, found: Callable[[], None], lost: Callable[[], None] | None = None
    ) -> None:
        """Find out whether the node is there: `found` or `lost` is called, and after `lost` the node is detached. Questions
        asked while another is open share its answer; the more urgent interval holds."""
        probe = self._probes.get(attachment.key)
        fresh = probe is None or interval < probe.interval
        if probe is None:
            probe = self._probes[attachment.key] = _Probe(interval)
        probe.found.append(found)
        if lost is not None:
            probe.lost.append(lost)
        if fresh:
            probe.interval = interval
            probe.left = MAX_UNICAST_SOLICIT
            self._probe_due(attachment.key)

    def _probe_due(self, key: bytes) -> None:
        attachment, probe = self._attachments[key], self._probes[key]
        if probe.left == 0:
            self._context.count("node_unreachable")
            self.lose(attachment)
            return
        probe.left -= 1
        self._context.arm_at(Timer.PROBE, key, self._context.now.monotonic + probe.interval)
        source = self._links[attachment.interface].router_address(attachment)
        address = attachment.address or ALL_NODES
        self._context.do(ProbeNode(attachment.interface, attachment.link_layer_address, source, address))

    def _presence_due(self, key: bytes) -> None:
        attachment = self._attachments[key]
        self.ask(attachment, RETRANS_TIMER, lambda: None)

    def _watch(self, attachment: Attachment) -> None:
        if self._context.settings.presence_interval:
            when = self._context.now.monotonic + self._context.settings.presence_interval
            self._context.arm_at(Timer.PRESENCE, attachment.key, when)


def name_of_link(interface: int) -> bytes:
    """The key of a link's deadlines."""
    return str(interface).encode()
