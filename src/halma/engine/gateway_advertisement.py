# SPDX-License-Identifier: Apache-2.0
"""The home link that a gateway emulates: Router Advertisements to one node alone, with its prefixes. RFC 5213 sections 6.7,
6.9.2, 6.9.3, 6.9.5 and 6.12, RFC 4861 section 6.2, RFC 6543.

Always holds: a prefix is advertised only while it is bound; its lifetime, and the router's, end when the binding does; every
advertisement goes to one node's link-layer address.
"""

from __future__ import annotations

from halma.engine.binding_update_list import BindingUpdateList, BindingUpdateListEntry, EntryState
from halma.engine.gateway_api import ALL_NODES, TUNNEL_OVERHEAD, UNSPECIFIED, AdvertiseRouter, SetPathMtu
from halma.engine.gateway_context import GatewayContext, Timer
from halma.engine.gateway_link import AccessLinks, Attachment
from halma.wire.icmpv6 import MINIMUM_MTU
from halma.wire.nd import MaximumTransmissionUnit, PrefixInformation, RouterAdvertisement, SourceLinkLayerAddress
from halma.wire.numbers import PrefixInformationFlag
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
AUTOCONFIGURATION_LENGTH = 64
"""The prefix length that stateless address autoconfiguration works with (RFC 4862 section 5.5.3, RFC 4291)."""


class Advertisements:
    """See the module. Implements `gateway_registration.Service`."""

    def __init__(self, context: GatewayContext, links: AccessLinks) -> None:
        self._context = context
        self._links = links
        self._path_mtu: dict[bytes, int] = {}
        self.list = BindingUpdateList()
        """The Binding Update List; the gateway puts the real one here."""
        context.on(Timer.ADVERTISE, self._due)

    def begin(self, entry: BindingUpdateListEntry, attachment: Attachment) -> None:
        """The node's packets flow, or flow for longer now: tell it its prefixes, and which it has lost (section 6.12)."""
        if not attachment.advertised:
            attachment.early_advertisements = EARLY_ADVERTISEMENTS
        self._advertise(entry, attachment)

    def end(self, attachment: Attachment) -> None:
        """The node's packets do not flow (any more): there is no router here, and its prefixes are void."""
        self._context.disarm(Timer.ADVERTISE, attachment.key)
        link = self._links.link(attachment.interface)
        assert link is not None
        options: list[Option] = [SourceLinkLayerAddress(self._context.settings.link_layer_address)]
        options += [_prefix(prefix.prefix, prefix.prefix_length, 0) for prefix in attachment.advertised]
        attachment.advertised = ()
        self._send(attachment, RouterAdvertisement(HOP_LIMIT, 0, 0, 0, 0, tuple(options)))

    def solicited(self, attachment: Attachment) -> None:
        """The node has sent a Router Solicitation (section 6.9.2)."""
        entry = self.list.get(attachment.key)
        registered = entry is not None and entry.state is EntryState.REGISTERED
        silent = entry is None or entry.silence_told
        if not registered and not silent:
            return  # the advertisement comes when the registration is complete
        moment = self._context.now.monotonic
        if attachment.advertised_at is not None and moment < attachment.advertised_at + SOLICITED_INTERVAL:
            self._context.count("router_solicitation_rate_limited")
            if registered:
                self._context.arm(Timer.ADVERTISE, attachment.key, attachment.advertised_at + SOLICITED_INTERVAL)
        elif entry is not None and registered:
            self._advertise(entry, attachment)
        else:
            self.end(attachment)

    def path_mtu_changed(self, anchor: bytes, mtu: int) -> None:
        """The path to an anchor has another MTU: the tunnel and the nodes behind it are told (section 6.9.5)."""
        self._path_mtu[anchor] = mtu
        entries = self.list.of_anchor(anchor)
        if entries:
            self._context.do(SetPathMtu(entries[0].tunnel, mtu))
        for entry in entries:
            self.refresh(entry)

    def refresh(self, entry: BindingUpdateListEntry) -> None:
        """Something that the node was told has changed."""
        attachment = self._links.attachment(entry.key)
        if entry.state is EntryState.REGISTERED and attachment is not None:
            self._advertise(entry, attachment)

    def mtu(self, anchor: bytes, link_mtu: int) -> int:
        """What the node's packets may measure: the tunnel MTU (RFC 2473 section 6.7), or the link's if that is lower."""
        path_mtu = self._path_mtu.get(anchor, self._context.settings.path_mtu)
        return max(MINIMUM_MTU, min(path_mtu - TUNNEL_OVERHEAD, link_mtu))

    def _due(self, key: bytes) -> None:
        entry, attachment = self.list.get(key), self._links.attachment(key)
        assert attachment is not None
        if entry is not None and entry.state is EntryState.REGISTERED:
            self._advertise(entry, attachment)

    def _advertise(self, entry: BindingUpdateListEntry, attachment: Attachment) -> None:
        link = self._links.link(attachment.interface)
        assert link is not None
        moment = self._context.now.monotonic
        lifetime = max(0, int(entry.expires - moment))
        options: list[Option] = [
            SourceLinkLayerAddress(self._context.settings.link_layer_address),
            MaximumTransmissionUnit(self.mtu(entry.anchor, link.mtu)),
        ]
        options += [_prefix(prefix.prefix, prefix.prefix_length, lifetime) for prefix in entry.prefixes]
        options += [
            _prefix(prefix.prefix, prefix.prefix_length, 0) for prefix in attachment.advertised if prefix not in entry.prefixes
        ]
        attachment.advertised = entry.prefixes
        message = RouterAdvertisement(HOP_LIMIT, 0, min(lifetime, MAXIMUM_ROUTER_LIFETIME), 0, 0, tuple(options))
        interval = min(self._context.settings.advertisement_interval, max(entry.lifetime / 3, 1.0))
        if attachment.early_advertisements:
            attachment.early_advertisements -= 1
            interval = min(interval, EARLY_INTERVAL)
        self._context.arm(Timer.ADVERTISE, attachment.key, moment + interval)
        self._send(attachment, message)

    def _send(self, attachment: Attachment, message: RouterAdvertisement) -> None:
        link = self._links.link(attachment.interface)
        assert link is not None
        if link.address == UNSPECIFIED:
            self._context.count("advertisement_without_address")
            return
        attachment.advertised_at = self._context.now.monotonic
        self._context.count("router_advertisement_sent")
        destination = attachment.address or ALL_NODES
        self._context.do(
            AdvertiseRouter(attachment.interface, attachment.link_layer_address, link.address, destination, message)
        )


def _prefix(prefix: bytes, length: int, lifetime: int) -> PrefixInformation:
    flags = PrefixInformationFlag.ON_LINK
    if length == AUTOCONFIGURATION_LENGTH:
        flags |= PrefixInformationFlag.AUTONOMOUS
    return PrefixInformation(length, flags, lifetime, lifetime, prefix)
