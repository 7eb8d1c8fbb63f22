# SPDX-License-Identifier: Apache-2.0
"""The numbers of `halma.wire.numbers` and of the declarations are those of the IANA registries (`iana.json`: the registry
"Mobile IPv6 Parameters", reduced to numbers and names)."""

from __future__ import annotations

import json
import re
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest

from halma.wire import icmpv6, messages, nd, numbers, options, table
from halma.wire.spaces import (
    ACCESS_NETWORK_SUBOPTIONS,
    GATEWAY_PARAMETER_SUBOPTIONS,
    MOBILITY_MESSAGES,
    MOBILITY_OPTIONS,
)
from halma.wire.text import title_of_class
from tests.wire.samples import MESSAGES, OPTIONS

REGISTRIES: dict[str, list[dict[str, Any]]] = json.loads(Path(__file__).with_name("iana.json").read_text("utf-8"))

ENUMERATIONS: dict[str, type[IntEnum]] = {
    "mobility_header_types": numbers.MobilityHeaderType,
    "mobility_options": numbers.MobilityOption,
    "binding_ack_status": numbers.Status,
    "binding_error_status": numbers.BindingErrorStatus,
    "handoff_indicator": numbers.HandoffIndicatorValue,
    "access_technology_type": numbers.AccessTechnology,
    "mn_id_subtype": numbers.MobileNodeIdentifierSubtype,
    "auth_option_subtype": numbers.AuthenticationSubtype,
    "binding_revocation_type": numbers.RevocationType,
    "binding_revocation_trigger": numbers.RevocationTrigger,
    "binding_revocation_ack_status": numbers.RevocationStatus,
    "ipv4_home_address_reply_status": numbers.Ipv4HomeAddressReplyStatus,
    "mn_group_id_type": numbers.GroupType,
    "ani_suboptions": numbers.AccessNetworkSuboption,
    "operator_id_type": numbers.OperatorIdentifierType,
    "update_notification_reason": numbers.NotificationReason,
    "update_notification_ack_status": numbers.NotificationStatus,
    "lma_controlled_mag_suboptions": numbers.GatewayParameterSuboption,
}
SHORTENED = {
    ("binding_ack_status", 0),
    ("binding_ack_status", 5),
    ("handoff_indicator", 1),
    ("handoff_indicator", 2),
    ("handoff_indicator", 3),
    ("handoff_indicator", 4),
    ("handoff_indicator", 5),
    ("handoff_indicator", 6),
    ("access_technology_type", 11),
    ("mobility_options", 5),
    ("mobility_options", 8),
    ("mobility_options", 9),
    ("mobility_options", 10),
    ("mobility_options", 17),
    ("operator_id_type", 1),
}
"""Numbers whose name here is not the beginning or end of the words of IANA."""


def _words(text: str) -> list[str]:
    return [word for word in re.sub(r"\(s\)", "s", text.lower()).replace("-", " ").replace("_", " ").split() if word]


@pytest.mark.parametrize("registry", ENUMERATIONS)
def test_an_enumeration_has_the_numbers_of_its_registry_and_no_other(registry: str) -> None:
    assigned = {row["value"] for row in REGISTRIES[registry] if not row["name"].startswith("Reserved")}
    assert {int(member) for member in ENUMERATIONS[registry]} == assigned


@pytest.mark.parametrize("registry", ENUMERATIONS)
def test_a_name_has_words_of_its_registry(registry: str) -> None:
    for row in REGISTRIES[registry]:
        if row["name"].startswith("Reserved") or (registry, row["value"]) in SHORTENED:
            continue
        ours = _words(ENUMERATIONS[registry](row["value"]).name)
        theirs = re.findall(r"[a-z0-9]+", " ".join(_words(row["name"])))
        assert set(ours) <= set(theirs), row


def test_names_and_numbers_without_one() -> None:
    assert numbers.name_of(numbers.Status, 156) == "TIMESTAMP_MISMATCH"
    assert numbers.name_of(numbers.Status, 250) == "250"


@pytest.mark.parametrize(
    ("flags", "registry"),
    [(numbers.BindingUpdateFlag, "binding_update_flags"), (numbers.BindingAcknowledgementFlag, "binding_ack_flags")],
)
def test_flags_are_those_of_the_registry(flags: type, registry: str) -> None:
    ours = {mask for mask in vars(flags).values() if isinstance(mask, int)}
    assert ours == {row["value"] for row in REGISTRIES[registry]}


PICTURES: dict[type, tuple[int, str]] = {
    numbers.BindingUpdateFlag: (16, "AHLKMRPFTBSD...."),
    numbers.BindingAcknowledgementFlag: (8, "KRPTBSD."),
    numbers.HeartbeatFlag: (16, "..............UR"),
    numbers.RevocationFlag: (16, "PVG............."),
    numbers.NotificationFlag: (16, "AD.............."),
    numbers.RedirectFlag: (16, "KN.............."),
    numbers.DelegatedPrefixFlag: (8, "V......."),
    numbers.NetworkIdentifierFlag: (8, "E......."),
    numbers.RouterAdvertisementFlag: (8, "MOH....."),
    numbers.NeighborAdvertisementFlag: (32, "RSO............................."),
    numbers.PrefixInformationFlag: (8, "LAR....."),
    numbers.HomeAgentFlag: (16, "R..............."),
    numbers.MobilePrefixFlag: (16, "MO.............."),
}
"""The width of each flags field and its letters from the left, as the RFCs draw them."""
LETTERS = {
    "ACKNOWLEDGE": "A", "HOME_REGISTRATION": "H", "LINK_LOCAL_ADDRESS_COMPATIBILITY": "L", "KEY_MANAGEMENT_MOBILITY": "K",
    "MAP_REGISTRATION": "M", "MOBILE_ROUTER": "R", "PROXY": "P", "FORCE_UDP_ENCAPSULATION": "F", "TLV_HEADER": "T",
    "BULK_BINDING_UPDATE": "B", "SUBSCRIPTION": "S", "DISTRIBUTED": "D", "UNSOLICITED": "U", "RESPONSE": "R",
    "PROXY_BINDING": "P", "IPV4_HOME_ADDRESS_BINDING_ONLY": "V", "GLOBAL": "G", "RETRANSMIT": "D", "UTF8": "E",
    "MANAGED": "M", "OTHER": "O", "HOME_AGENT": "H", "ROUTER": "R", "SOLICITED": "S", "OVERRIDE": "O", "ON_LINK": "L",
    "AUTONOMOUS": "A", "ROUTER_ADDRESS": "R",
}  # fmt: skip


@pytest.mark.parametrize(("flags", "picture"), PICTURES.items(), ids=lambda each: getattr(each, "__name__", ""))
def test_flags_stand_where_the_rfcs_draw_them(flags: type, picture: tuple[int, str]) -> None:
    width, letters = picture
    special: dict[tuple[type, str], str] = {
        (numbers.RedirectFlag, "IPV6"): "K",
        (numbers.RedirectFlag, "IPV4"): "N",
        (numbers.DelegatedPrefixFlag, "IPV4"): "V",
    }
    drawn = ["."] * width
    for name, mask in vars(flags).items():
        if isinstance(mask, int):
            drawn[width - mask.bit_length()] = special.get((flags, name)) or LETTERS[name]
    assert "".join(drawn) == letters


KEPT: tuple[tuple[type, type], ...] = (
    (messages.BindingUpdate, numbers.BindingUpdateFlag),
    (messages.BindingAcknowledgement, numbers.BindingAcknowledgementFlag),
    (messages.Heartbeat, numbers.HeartbeatFlag),
    (messages.BindingRevocationIndication, numbers.RevocationFlag),
    (messages.BindingRevocationAcknowledgement, numbers.RevocationFlag),
    (messages.UpdateNotification, numbers.NotificationFlag),
    (options.Redirect, numbers.RedirectFlag),
    (options.DelegatedMobileNetworkPrefix, numbers.DelegatedPrefixFlag),
    (options.NetworkIdentifier, numbers.NetworkIdentifierFlag),
    (nd.RouterAdvertisement, numbers.RouterAdvertisementFlag),
    (nd.NeighborAdvertisement, numbers.NeighborAdvertisementFlag),
    (nd.PrefixInformation, numbers.PrefixInformationFlag),
    (nd.HomeAgentInformation, numbers.HomeAgentFlag),
    (icmpv6.HomeAgentAddressDiscoveryRequest, numbers.HomeAgentFlag),
    (icmpv6.HomeAgentAddressDiscoveryReply, numbers.HomeAgentFlag),
    (icmpv6.MobilePrefixAdvertisement, numbers.MobilePrefixFlag),
)


@pytest.mark.parametrize(("cls", "flags"), KEPT, ids=lambda each: each.__name__)
def test_a_flags_field_keeps_the_flags_that_are_assigned_and_no_other_bit(cls: type, flags: type) -> None:
    layouts = {declaration.cls: declaration.layout for found in table.declarations().values() for declaration in found}
    width, _ = PICTURES[flags]
    every = sum(mask for mask in vars(flags).values() if isinstance(mask, int))
    code = {8: "B", 16: "H", 32: "I"}[width]
    assert f"{code}&{every:0{width // 4}x}" in layouts[cls].split()


def test_every_flags_field_is_among_them() -> None:
    found = [declaration.cls for each in table.declarations().values() for declaration in each]
    assert {cls for cls in found if "flags" in cls.__slots__} == {cls for cls, _ in KEPT}


def test_flag_names() -> None:
    assert numbers.flag_names(numbers.BindingUpdateFlag, 0x8200) == "ACKNOWLEDGE PROXY"
    assert numbers.flag_names(numbers.BindingUpdateFlag, 0x8001) == "ACKNOWLEDGE 0x1"
    assert numbers.flag_names(numbers.HeartbeatFlag, 0) == ""


@pytest.mark.parametrize(
    ("space", "registry"),
    [
        (MOBILITY_OPTIONS, "mobility_options"),
        (ACCESS_NETWORK_SUBOPTIONS, "ani_suboptions"),
        (GATEWAY_PARAMETER_SUBOPTIONS, "lma_controlled_mag_suboptions"),
    ],
)
def test_an_option_is_declared_with_the_number_that_its_registry_gives_its_name(space: Any, registry: str) -> None:
    for number, declaration in space.declarations.items():
        name = ENUMERATIONS[registry](number).name.lower().replace("_", " ")
        title = re.sub(r"[-/]", " ", title_of_class(declaration.cls)).lower()
        assert title == name or number in (48, 49), (number, title, name)


@pytest.mark.rfc("5847#3.3-1", "5847#3.4-1")
def test_a_message_is_declared_with_the_number_that_its_registry_gives_its_name() -> None:
    for declaration in MOBILITY_MESSAGES.declarations:
        name = numbers.MobilityHeaderType(declaration.number).name.lower().replace("_", " ")
        title = title_of_class(declaration.cls).lower().replace("-", " ")
        if declaration.subtype is not None:
            name += f" {numbers.RevocationType(declaration.subtype).name.lower()}"
        assert title == name


def test_every_rfc_in_scope_is_declared() -> None:
    declared = {declaration.section.split("#")[0] for declaration in MOBILITY_OPTIONS.declarations.values()}
    declared |= {declaration.section.split("#")[0] for declaration in MOBILITY_MESSAGES.declarations}
    expected = "6275 5213 4283 4285 3963 5094 5149 5844 5845 5846 5847 6463 6602 6757 7077 7148 8127"
    assert declared == set(expected.split())


def test_there_is_a_sample_of_everything() -> None:
    assert {type(option) for option in OPTIONS} == {found.cls for found in MOBILITY_OPTIONS.declarations.values()}
    assert {type(message) for message in MESSAGES} == {found.cls for found in MOBILITY_MESSAGES.declarations}
