# SPDX-License-Identifier: Apache-2.0
"""Router Advertisements to one node alone, with its prefixes: the home link that a gateway emulates, or for a node that manages
its own mobility the plain link. RFC 5213 sections 6.7, 6.9.2, 6.9.3, 6.9.5, 6.12 and 6.14, RFC 4861 section 6.2, RFC 6543.

Always holds: a prefix is advertised only while it is bound; the lifetime of a home network prefix, and there the router's, end
when the binding does; every advertisement goes to one node's link-layer address.
"""

from __future__ import annotations

from collections.abc import Callable

from halma.engine.binding_update_list import BindingUpdateList, EntryState
from halma.engine.constants import AUTOCONFIGURATION_LENGTH
from halma.engine.gateway_api import TUNNEL_OVERHEAD, AdvertiseRouter, SetPathMtu
from halma.engine.gateway_context import GatewayContext, Timer
from halma.engine.gateway_link import AccessLinks, Attachment
from halma.value import value
from halma.wire.addresses import ALL_NODES, UNSPECIFIED
from halma.wire.icmpv6 import MINIMUM_MTU
from halma.wire.nd import MaximumTransmissionUnit, PrefixInformation, RouterAdvertisement, SourceLinkLayerAddress
from halma.wire.numbers import PrefixInformationFlag
from halma.wire.options import HomeNetworkPrefix
from halma.wire.optionspace import Option

HOP_LIMIT = 64
"""Cur Hop Limit for the node's own packets."""
MAXIMUM_ROUTER_LIFETIME = 9000
"""AdvDefaultLifetime is never greater (RFC 4861 section 6.2.1)."""
EARLY_ADVERTISEMENTS = 2
"""Further advertisements soon after the first, in case that one was lost (RFC 4861: MAX_INITIAL_RTR_ADVERTISEMENTS is 3)."""
EARLY_INTERVAL = 3.0
"""Seconds between them (RFC 4861: MIN_DELAY_BETWEEN_RAS)."""
SOLICITED_INTERVAL = 0.1
"""Seconds from one advertisement to the next that a node can bring about by soliciting."""


@value
class Terms:
    """What a node is told: its prefixes with their lifetimes, for how long the router is one, the MTU; and how many seconds
    later it is told again."""

    prefixes: tuple[HomeNetworkPrefix, ...]
    valid_lifetime: int
    preferred_lifetime: int
    router_lifetime: int
    mtu: int
    interval: float


class Advertisements:
    """See the module. `local_terms` knows what a node that is served by ordinary routing is told."""

    def __init__(
        self,
        context: GatewayContext,
        links: AccessLinks,
        sessions: BindingUpdateList,
        local_terms: Callable[[Attachment], Terms | None],
    ) -> None:
        self._context = context
        self._links = links
        self._sessions = sessions
        self._local_terms = local_terms
        self._path_mtu: dict[bytes, int] = {}
        context.on(Timer.ADVERTISE, self._due)

    def begin(self, attachment: Attachment) -> None:
        """The node's packets flow, or flow for longer now: tell it its prefixes, and which it has lost (section 6.12)."""
        if not attachment.advertised:
            attachment.early_advertisements = EARLY_ADVERTISEMENTS
        self.refresh(attachment)

    def end(self, attachment: Attachment) -> None:
        """The node's packets do not flow (any more): there is no router here, and its prefixes are void."""
        self._context.disarm(Timer.ADVERTISE, attachment.key)
        prefixes, attachment.advertised = attachment.advertised, ()
        self._send(attachment, self._farewell(prefixes))

    def solicited(self, attachment: Attachment) -> None:
        """The node has sent a Router Solicitation (section 6.9.2)."""
        terms = self._terms(attachment)
        entry = None if attachment.local else self._sessions.get(attachment.key)
        silent = attachment.denial is not None if entry is None else entry.silence_told
        if terms is None and not silent:
            return  # the advertisement comes when the registration is complete
        moment = self._context.now.monotonic
        if attachment.advertised_at is not None and moment < attachment.advertised_at + SOLICITED_INTERVAL:
            self._context.count("router_solicitation_rate_limited")
            if terms is not None:
                self._context.arm_at(Timer.ADVERTISE, attachment.key, attachment.advertised_at + SOLICITED_INTERVAL)
        elif terms is not None:
            self._advertise(attachment, terms)
        else:
            self.end(attachment)

    def path_mtu_changed(self, anchor: bytes, mtu: int) -> None:
        """The path to an anchor has another MTU: the tunnel and the nodes behind it are told (section 6.9.5)."""
        self._path_mtu[anchor] = mtu
        entries = self._sessions.of_anchor(anchor)
        if entries:
            self._context.do(SetPathMtu(entries[0].tunnel, mtu))
        for entry in entries:
            attachment = self._links.attachment(entry.key)
            if attachment is not None and not attachment.local:
                self.refresh(attachment)

    def refresh(self, attachment: Attachment) -> None:
        """Something that the node was told has changed."""
        terms = self._terms(attachment)
        if terms is not None:
            self._advertise(attachment, terms)

    def mtu(self, anchor: bytes, link_mtu: int) -> int:
        """What the node's packets may measure: the tunnel MTU (RFC 2473 section 6.7), or the link's if that is lower."""
        path_mtu = self._path_mtu.get(anchor, self._context.settings.path_mtu)
        return max(MINIMUM_MTU, min(path_mtu - TUNNEL_OVERHEAD, link_mtu))

    def _due(self, key: bytes) -> None:
        attachment = self._links.attachment(key)
        assert attachment is not None
        self.refresh(attachment)

    def _terms(self, attachment: Attachment) -> Terms | None:
        """What the node is to be told now; None while its packets do not flow."""
        if attachment.local:
            return self._local_terms(attachment)
        entry, link = self._sessions.get(attachment.key), self._links.link(attachment.interface)
        if entry is None or entry.state is not EntryState.REGISTERED or link is None:
            return None
        lifetime = max(0, int(entry.expires - self._context.now.monotonic))
        router_lifetime = min(lifetime, MAXIMUM_ROUTER_LIFETIME)
        interval = min(self._context.settings.advertisement_interval, max(entry.lifetime / 3, 1.0))
        return Terms(entry.prefixes, lifetime, lifetime, router_lifetime, self.mtu(entry.anchor, link.mtu), interval)

    def _advertise(self, attachment: Attachment, terms: Terms) -> None:
        options: list[Option] = [
            SourceLinkLayerAddress(self._context.settings.link_layer_address),
            MaximumTransmissionUnit(terms.mtu),
        ]
        options += [_prefix(prefix, terms.valid_lifetime, terms.preferred_lifetime) for prefix in terms.prefixes]
        options += [_prefix(prefix, 0, 0) for prefix in attachment.advertised if prefix not in terms.prefixes]
        attachment.advertised = terms.prefixes
        interval = terms.interval
        if attachment.early_advertisements:
            attachment.early_advertisements -= 1
            interval = min(interval, EARLY_INTERVAL)
        self._context.arm_at(Timer.ADVERTISE, attachment.key, self._context.now.monotonic + interval)
        self._send(attachment, RouterAdvertisement(HOP_LIMIT, 0, terms.router_lifetime, 0, 0, tuple(options)))
        if attachment.local:
            self._disclaim(attachment)

    def _disclaim(self, attachment: Attachment) -> None:
        """The node may know the router of emulated home links, which looks the same everywhere: it is no router here. Without
        this it would be believed to be there, if it answered once before we knew who the node is."""
        link = self._links.link(attachment.interface)
        if link is not None and link.address != UNSPECIFIED:
            self._tell(attachment, link.address, self._farewell(()))

    def _farewell(self, prefixes: tuple[HomeNetworkPrefix, ...]) -> RouterAdvertisement:
        """There is no router at this address, and these prefixes are void."""
        options: list[Option] = [SourceLinkLayerAddress(self._context.settings.link_layer_address)]
        options += [_prefix(prefix, 0, 0) for prefix in prefixes]
        return RouterAdvertisement(HOP_LIMIT, 0, 0, 0, 0, tuple(options))

    def _send(self, attachment: Attachment, message: RouterAdvertisement) -> None:
        link = self._links.link(attachment.interface)
        assert link is not None
        source = link.router_address(attachment)
        if source == UNSPECIFIED:
            self._context.count("advertisement_without_address")
            return
        attachment.advertised_at = self._context.now.monotonic
        self._context.count("router_advertisement_sent")
        self._tell(attachment, source, message)

    def _tell(self, attachment: Attachment, source: bytes, message: RouterAdvertisement) -> None:
        destination = attachment.address or ALL_NODES
        self._context.do(AdvertiseRouter(attachment.interface, attachment.link_layer_address, source, destination, message))


def _prefix(prefix: HomeNetworkPrefix, valid_lifetime: int, preferred_lifetime: int) -> PrefixInformation:
    flags = PrefixInformationFlag.ON_LINK
    if prefix.prefix_length == AUTOCONFIGURATION_LENGTH:
        flags |= PrefixInformationFlag.AUTONOMOUS
    return PrefixInformation(prefix.prefix_length, flags, valid_lifetime, preferred_lifetime, prefix.prefix)
