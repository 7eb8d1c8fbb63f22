# SPDX-License-Identifier: Apache-2.0
"""What a gateway shows to people, as rows of plain values: whoever shows them turns addresses into text.

Always holds: no secrets; a row has the same keys whatever the state of the session.
"""

from __future__ import annotations

from halma.engine.api import Now
from halma.engine.binding_update_list import BindingUpdateListEntry, EntryState
from halma.engine.gateway_link import AccessLink, Attachment
from halma.wire.options import HomeNetworkPrefix


def describe_session(
    attachment: Attachment | None, entry: BindingUpdateListEntry | None, link: AccessLink | None, now: Now
) -> dict[str, object]:
    """A node on an access link with the service that it gets, or a session that is being given up: one of `attachment` and
    `entry` at least is there."""
    denial = attachment.denial if attachment is not None else None
    row: dict[str, object] = {
        "state": "denied" if denial is not None else "",
        "reason": denial.reason if denial is not None else "",
        "until": denial.until.value if denial is not None else "",
        "interface": link.name if link is not None else "",
        "prefixes": [],
        "anchor": b"",
        "access_technology": 0,
        "lifetime_seconds": 0,
        "remaining_seconds": None,
        "waits_for": "",
    }
    if attachment is not None:
        row |= {
            "node": attachment.profile.identifier,
            "link_layer_address": attachment.link_layer_address,
            "link_local_address": attachment.address,
        }
    if entry is not None:
        row |= {
            "node": entry.identifier,
            "link_layer_address": entry.link_layer_identifier,
            "state": row["state"] or entry.state.value,
            "prefixes": [(prefix.prefix, prefix.prefix_length) for prefix in entry.prefixes],
            "anchor": entry.anchor,
            "access_technology": entry.access_technology,
            "lifetime_seconds": entry.lifetime,
            "waits_for": entry.request.kind.value if entry.request is not None else "",
        }
        if entry.state is EntryState.REGISTERED:
            row["remaining_seconds"] = max(0.0, entry.expires - now.monotonic)
    return row


def describe_local(
    attachment: Attachment, prefix: HomeNetworkPrefix | None, link: AccessLink | None, now: Now
) -> dict[str, object]:
    """A node on an access link that manages its own mobility, with the prefix of the link once that is there."""
    row = describe_session(attachment, None, link, now)
    row["state"] = row["state"] or ("binding" if prefix is None else "local")
    row["prefixes"] = [] if prefix is None else [(prefix.prefix, prefix.prefix_length)]
    return row


def describe_link(link: AccessLink) -> dict[str, object]:
    """An access interface."""
    return {
        "interface": link.name,
        "state": "up" if link.up else "down",
        "mtu": link.mtu,
        "address": link.addresses[0] if link.addresses else b"",
        "attached": len(link.attachments),
        "unknown": list(link.unknown),
    }
