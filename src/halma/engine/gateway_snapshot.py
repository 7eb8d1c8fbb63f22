# SPDX-License-Identifier: Apache-2.0
"""What a gateway shows to people: its sessions, attachments, links and anchors as plain JSON-able values.

Always holds: no secrets; text that came off the network is escaped and bounded.
"""

from __future__ import annotations

from halma.engine.binding_update_list import BindingUpdateListEntry, EntryState
from halma.engine.gateway_link import AccessLink, Attachment
from halma.text import show_address, show_identifier, show_link_layer_address, show_prefix
from halma.wire.numbers import AccessTechnology, name_of


def describe_session(entry: BindingUpdateListEntry, link: AccessLink | None, moment: float) -> dict[str, object]:
    """A Binding Update List entry."""
    return {
        "node": show_identifier(entry.identifier),
        "link_layer_identifier": show_link_layer_address(entry.link_layer_identifier),
        "interface": link.name if link is not None else "-",
        "state": entry.state.value,
        "prefixes": [show_prefix(prefix.prefix, prefix.prefix_length) for prefix in entry.prefixes],
        "anchor": show_address(entry.anchor),
        "care_of_address": show_address(entry.tunnel.local),
        "link_local_address": show_address(entry.link_local_address),
        "access_technology": name_of(AccessTechnology, entry.access_technology),
        "lifetime_seconds": entry.lifetime,
        "remaining_seconds": max(0, int(entry.expires - moment)) if entry.prefixes else 0,
        "waits_for": entry.request.kind.value if entry.request is not None else "",
        "transmissions": len(entry.request.transmissions) if entry.request is not None else 0,
    }


def describe_attachment(attachment: Attachment, entry: BindingUpdateListEntry | None) -> dict[str, object]:
    """A node on an access link, and the service that it gets."""
    if attachment.denial is not None:
        service = "denied"
    elif entry is not None and entry.state is EntryState.REGISTERED:
        service = "mobility"
    else:
        service = "registering"
    return {
        "node": show_identifier(attachment.profile.identifier),
        "link_layer_address": show_link_layer_address(attachment.link_layer_address),
        "interface": attachment.interface,
        "address": show_address(attachment.address),
        "service": service,
        "reason": attachment.denial.reason if attachment.denial is not None else "",
        "until": attachment.denial.until if attachment.denial is not None else "",
    }


def describe_link(link: AccessLink) -> dict[str, object]:
    """An access interface."""
    return {
        "interface": link.interface,
        "name": link.name,
        "up": link.up,
        "mtu": link.mtu,
        "address": show_address(link.address),
        "attached": len(link.attachments),
        "unknown": [show_link_layer_address(address) for address in link.unknown],
    }


def describe_anchor(anchor: bytes, sessions: int, heartbeat: dict[str, object]) -> dict[str, object]:
    """An anchor that there are sessions with."""
    return {"address": show_address(anchor), "sessions": sessions, **heartbeat}
