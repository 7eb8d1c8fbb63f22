# SPDX-License-Identifier: Apache-2.0
"""Messages as people read them: one line, a tree of lines, or plain values for JSON.

Names of numbers come from `halma.wire.numbers`; the numbers themselves are always shown, too, where a name stands for one.

Always holds: every value that a decoder of this package gives can be shown; nothing is raised for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from halma.wire import icmpv6, messages, mld, nd, numbers, options
from halma.wire.errors import DecodeError
from halma.wire.ipv6 import Packet
from halma.wire.timestamp import from_timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NTP_EPOCH = datetime(1900, 1, 1, tzinfo=UTC)

_ENUMERATIONS: dict[tuple[type[Any], str], type[IntEnum]] = {
    (messages.BindingAcknowledgement, "status"): numbers.Status,
    (messages.BindingError, "status"): numbers.BindingErrorStatus,
    (messages.BindingRevocationIndication, "trigger"): numbers.RevocationTrigger,
    (messages.BindingRevocationAcknowledgement, "status"): numbers.RevocationStatus,
    (messages.UpdateNotification, "reason"): numbers.NotificationReason,
    (messages.UpdateNotificationAcknowledgement, "status"): numbers.NotificationStatus,
    (messages.UnknownMessage, "type"): numbers.MobilityHeaderType,
    (options.AccessTechnologyType, "technology"): numbers.AccessTechnology,
    (options.HandoffIndicator, "indicator"): numbers.HandoffIndicatorValue,
    (options.MobileNodeIdentifier, "subtype"): numbers.MobileNodeIdentifierSubtype,
    (options.MobilityMessageAuthentication, "subtype"): numbers.AuthenticationSubtype,
    (options.MobileNodeGroupIdentifier, "subtype"): numbers.GroupType,
    (options.Ipv4HomeAddressReply, "status"): numbers.Ipv4HomeAddressReplyStatus,
    (options.OperatorIdentifier, "type"): numbers.OperatorIdentifierType,
}
_FLAGS: dict[type[Any], type[Any]] = {
    messages.BindingUpdate: numbers.BindingUpdateFlag,
    messages.BindingAcknowledgement: numbers.BindingAcknowledgementFlag,
    messages.Heartbeat: numbers.HeartbeatFlag,
    messages.BindingRevocationIndication: numbers.RevocationFlag,
    messages.BindingRevocationAcknowledgement: numbers.RevocationFlag,
    messages.UpdateNotification: numbers.NotificationFlag,
    options.Redirect: numbers.RedirectFlag,
    options.DelegatedMobileNetworkPrefix: numbers.DelegatedPrefixFlag,
    options.NetworkIdentifier: numbers.NetworkIdentifierFlag,
    nd.RouterAdvertisement: numbers.RouterAdvertisementFlag,
    nd.NeighborAdvertisement: numbers.NeighborAdvertisementFlag,
    nd.PrefixInformation: numbers.PrefixInformationFlag,
    nd.HomeAgentInformation: numbers.HomeAgentFlag,
    icmpv6.HomeAgentAddressDiscoveryRequest: numbers.HomeAgentFlag,
    icmpv6.HomeAgentAddressDiscoveryReply: numbers.HomeAgentFlag,
    icmpv6.MobilePrefixAdvertisement: numbers.MobilePrefixFlag,
}
_FOUR_SECONDS = {
    (messages.BindingUpdate, "lifetime"),
    (messages.BindingAcknowledgement, "lifetime"),
    (options.BindingRefreshAdvice, "refresh_interval"),
    (options.BindingReRegistrationControl, "re_registration_start_time"),
}
_TEXT = {
    (options.ServiceSelection, "identifier"),
    (options.NetworkIdentifier, "network_name"),
    (options.NetworkIdentifier, "access_point_name"),
}
_LINK_LAYER = {
    (options.MobileNodeLinkLayerIdentifier, "identifier"),
    (nd.SourceLinkLayerAddress, "address"),
    (nd.TargetLinkLayerAddress, "address"),
}
_ADDRESSES = ("address", "home_address", "target", "group")
_SPELLING = (
    ("Care Of", "Care-of"),
    ("Re Registration", "Re-registration"),
    ("Link Layer", "Link-layer"),
    ("Link Local", "Link-local"),
    ("Type Two", "Type 2"),
    ("Hop By Hop", "Hop-by-hop"),
    ("Dhcp", "DHCP"),
    ("Default Router", "Default-Router"),
    ("Vendor Specific", "Vendor-Specific"),
    ("Lma Controlled Mag", "LMA-Controlled MAG"),
    ("Gre ", "GRE "),
    ("Ipv4", "IPv4"),
    ("Icmpv6", "ICMPv6"),
)
_TITLES = {
    numbers.NextHeader.MOBILITY: "Mobility Header",
    numbers.NextHeader.ICMPV6: "ICMPv6",
}


def format_octets(octets: bytes) -> str:
    """Octets as an address where they can be one, else in hexadecimal."""
    if len(octets) == 16:
        return str(IPv6Address(octets))
    return str(IPv4Address(octets)) if len(octets) == 4 else octets.hex()


def format_identifier(subtype: int, identifier: bytes) -> str:
    """The identifier of a mobile node (RFC 4283, RFC 8371): an NAI as text, an address as one, anything else in hexadecimal."""
    if subtype == numbers.MobileNodeIdentifierSubtype.NAI:
        return format_text(identifier)
    if subtype == numbers.MobileNodeIdentifierSubtype.IPV6_ADDRESS:
        return format_octets(identifier)
    return identifier.hex()


def format_text(octets: bytes) -> str:
    """UTF-8 as text, with whatever is not printable escaped."""
    text = octets.decode("utf-8", "backslashreplace")
    return "".join(character if character.isprintable() else f"\\x{ord(character):02x}" for character in text)


def format_prefix(prefix: bytes, length: int) -> str:
    """A prefix as "2001:db8::/32"."""
    return f"{format_octets(prefix)}/{length}"


def title_of_class(cls: type[Any]) -> str:
    """The name of a message or option in words, as its RFC writes it: "Mobile Node Link-layer Identifier"."""
    words = "".join(f" {letter}" if letter.isupper() else letter for letter in cls.__name__).strip()
    for ours, theirs in _SPELLING:
        words = words.replace(ours, theirs)
    return words


def title_of(value: object) -> str:
    """The name of a value in words; a Proxy Binding Update or Acknowledgement is called so."""
    title = title_of_class(type(value))
    if isinstance(value, messages.BindingUpdate) and value.flags & numbers.BindingUpdateFlag.PROXY:
        return f"Proxy {title}"
    if isinstance(value, messages.BindingAcknowledgement) and value.flags & numbers.BindingAcknowledgementFlag.PROXY:
        return f"Proxy {title}"
    return title


def _format_field(value: Any, name: str, content: Any) -> str:
    """The text of one field that is a number or octets."""
    key = (type(value), name)
    if isinstance(content, int):
        return _format_number(value, key, content)
    if key in _LINK_LAYER:
        return str(content.hex(":"))
    if key in _TEXT:
        return format_text(content)
    if isinstance(value, options.MobileNodeIdentifier):
        return format_identifier(value.subtype, content)
    if name in _ADDRESSES:
        return format_octets(content)
    if isinstance(value, mld.MulticastListenerReportV2):
        return _format_records(value)
    if name == "prefix":
        return format_prefix(content, value.prefix_length)
    return str(content.hex())


def _format_records(report: mld.MulticastListenerReportV2) -> str:
    """The records of a report; as far as they can be read, which is all or nothing."""
    try:
        records = report.records()
    except DecodeError:
        return report.octets.hex()
    return "; ".join(
        " ".join([numbers.name_of(mld.RecordType, record.type), *map(format_octets, (record.group, *record.sources))])
        for record in records
    )


def _format_number(value: Any, key: tuple[type[Any], str], number: int) -> str:
    if key in _ENUMERATIONS:
        name = numbers.name_of(_ENUMERATIONS[key], number)
        return name if name == str(number) else f"{number} ({name})"
    if key[1] == "flags":
        return f"{number:#x} ({numbers.flag_names(_FLAGS[key[0]], number)})" if number else "0"
    if key in _FOUR_SECONDS:
        return f"{number} ({number * 4} s)"
    if isinstance(value, options.Timestamp):
        return f"{number} ({_format_time(_EPOCH, from_timestamp(number))})"
    if isinstance(value, options.MobilityMessageReplayProtection):
        return f"{number} ({_format_time(_NTP_EPOCH, number / (1 << 32))})"
    return str(number)


def _format_time(epoch: datetime, seconds: float) -> str:
    try:
        return (epoch + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except OverflowError:
        return "beyond the year 9999"


def lines(value: Any, indent: str = "") -> list[str]:
    """A message or option as a tree of lines, without the line that names a message."""
    made = []
    for field in dataclasses.fields(value):
        content = getattr(value, field.name)
        if isinstance(content, tuple):
            for option in content:
                made.append(f"{indent}{title_of(option)}")
                made.extend(lines(option, indent + "    "))
        else:
            made.append(f"{indent}{field.name.replace('_', ' ')}: {_format_field(value, field.name, content)}")
    return made


def plain(value: Any) -> dict[str, Any]:
    """A message or option as values for JSON: numbers stay numbers, octets become text, and `<field>_text` has the text of a
    number that has one."""
    made: dict[str, Any] = {"type": type(value).__name__}
    for field in dataclasses.fields(value):
        content = getattr(value, field.name)
        key = f"{field.name}_number" if field.name == "type" else field.name
        if isinstance(content, tuple):
            made[key] = [plain(option) for option in content]
            continue
        text = _format_field(value, field.name, content)
        if isinstance(content, int):
            made[key] = content
            if text != str(content):
                made[f"{field.name}_text"] = text
        else:
            made[key] = text
    return made


_IN_SUMMARY: tuple[tuple[type[Any], Callable[[Any], str]], ...] = (
    (options.MobileNodeIdentifier, lambda option: format_identifier(option.subtype, option.identifier)),
    (options.HomeNetworkPrefix, lambda option: format_prefix(option.prefix, option.prefix_length)),
    (options.MobileNetworkPrefix, lambda option: format_prefix(option.prefix, option.prefix_length)),
    (
        options.HandoffIndicator,
        lambda option: "handoff " + numbers.name_of(numbers.HandoffIndicatorValue, option.indicator).lower(),
    ),
    (options.RestartCounter, lambda option: f"restart counter {option.counter}"),
    (nd.PrefixInformation, lambda option: format_prefix(option.prefix, option.prefix_length)),
    (nd.SourceLinkLayerAddress, lambda option: "from " + option.address.hex(":")),
    (nd.TargetLinkLayerAddress, lambda option: "at " + option.address.hex(":")),
)


def summary(message: Any) -> str:
    """A message in one line: what it is, how it went, and whom it is about."""
    words = [title_of(message)]
    for name in ("status", "trigger", "reason"):
        number = getattr(message, name, None)
        if number is not None:
            words.append(numbers.name_of(_ENUMERATIONS[type(message), name], number))
    if isinstance(message, messages.Heartbeat):
        words.append("response" if message.flags & numbers.HeartbeatFlag.RESPONSE else "request")
    for name in ("sequence", "target", "mtu", "pointer", "group"):
        content = getattr(message, name, None)
        if content is not None:
            words.append(f"{name} {_format_field(message, name, content)}")
    if (type(message), "lifetime") in _FOUR_SECONDS:
        words.append(f"lifetime {message.lifetime * 4} s")
    for option in getattr(message, "options", ()):
        words.extend(describe(option) for cls, describe in _IN_SUMMARY if isinstance(option, cls))
    return ", ".join(words)


def title_of_protocol(packet: Packet) -> str:
    """What a packet carries: "Mobility Header", "ICMPv6", or the number of another protocol."""
    return _TITLES.get(packet.next_header, f"protocol {packet.next_header}")
