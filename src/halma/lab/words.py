# SPDX-License-Identifier: Apache-2.0
"""Messages in a few words, as people write them in the figures of RFCs: `PBU`, `seq 7, lifetime 3600 s`.

Always holds: whatever decodes gets a name; unknown codes print as numbers.
"""

from __future__ import annotations

from ipaddress import IPv6Address

from halma.wire import DecodeError, Message, mld, nd, numbers
from halma.wire import messages as mh
from halma.wire.addresses import GLOBAL_SCOPE, MULTICAST, scope_of
from halma.wire.icmpv6 import Icmpv6Message
from halma.wire.numbers import BindingAcknowledgementFlag, BindingUpdateFlag, name_of
from halma.wire.options import HandoffIndicator, HomeNetworkPrefix, MobileNodeIdentifier

_UNIT = 4
"""Seconds in one unit of a lifetime on the wire."""

_SHORT: dict[type, str] = {
    mh.BindingRefreshRequest: "BRR",
    mh.BindingError: "BE",
    mh.Heartbeat: "heartbeat",
    mh.BindingRevocationIndication: "BRI",
    mh.BindingRevocationAcknowledgement: "BRA",
    mh.UpdateNotification: "UPN",
    mh.UpdateNotificationAcknowledgement: "UPA",
    nd.RouterSolicitation: "RS",
    nd.RouterAdvertisement: "RA",
    nd.NeighborSolicitation: "NS",
    nd.NeighborAdvertisement: "NA",
    mld.MulticastListenerQuery: "MLD query",
    mld.MulticastListenerReportV2: "MLD report",
}


def short_name(message: Message | Icmpv6Message | None) -> str:
    """What people call a message."""
    if message is None:
        return "malformed"
    if isinstance(message, mh.BindingUpdate):
        return "PBU" if message.flags & BindingUpdateFlag.PROXY else "BU"
    if isinstance(message, mh.BindingAcknowledgement):
        return "PBA" if message.flags & BindingAcknowledgementFlag.PROXY else "BA"
    if isinstance(message, mh.UnknownMessage):
        return f"MH type {message.type}"
    return _SHORT.get(type(message), type(message).__name__)


def _lifetime(units: int) -> str:
    return f"lifetime {units * _UNIT} s" if units else "lifetime 0"


def essence(message: Message | Icmpv6Message | None) -> str:
    """What of a message matters, in a few words."""
    if isinstance(message, mh.BindingUpdate):
        return f"seq {message.sequence}, {_lifetime(message.lifetime)}"
    if isinstance(message, mh.BindingAcknowledgement):
        return f"seq {message.sequence}, status {message.status}, {_lifetime(message.lifetime)}"
    if isinstance(message, nd.RouterAdvertisement):
        prefixes = [option for option in message.options if isinstance(option, nd.PrefixInformation)]
        return ", ".join(f"{IPv6Address(option.prefix)}/{option.prefix_length}" for option in prefixes) or "no prefix"
    if isinstance(message, nd.NeighborSolicitation | nd.NeighborAdvertisement):
        return str(IPv6Address(message.target))
    if isinstance(message, mld.MulticastListenerReportV2):
        return ", ".join(_groups(message))
    if isinstance(message, mh.BindingRevocationIndication):
        return f"seq {message.sequence}, trigger {message.trigger}"
    if isinstance(message, mh.BindingRevocationAcknowledgement):
        return f"seq {message.sequence}, status {message.status}"
    return ""


def _groups(report: mld.MulticastListenerReportV2) -> list[str]:
    """The groups of global scope in a report; with a minus sign those that are left."""
    left = (mld.RecordType.CHANGE_TO_INCLUDE_MODE, mld.RecordType.BLOCK_OLD_SOURCES)
    try:
        records = report.records()
    except DecodeError:
        return []
    return [
        f"{'-' if record.type in left and not record.sources else ''}{IPv6Address(record.group)}"
        for record in records
        if record.group[0] == MULTICAST and scope_of(record.group) == GLOBAL_SCOPE
    ]


def particulars(message: Message | Icmpv6Message | None) -> str:
    """The options of a message that a person looks for, in one line."""
    told = []
    for option in getattr(message, "options", ()):
        if isinstance(option, MobileNodeIdentifier):
            told.append(option.identifier.decode(errors="replace"))
        elif isinstance(option, HomeNetworkPrefix):
            told.append(f"{IPv6Address(option.prefix)}/{option.prefix_length}")
        elif isinstance(option, HandoffIndicator):
            told.append(f"handoff {name_of(numbers.HandoffIndicatorValue, option.indicator).lower().replace('_', ' ')}")
    return ", ".join(told)
