# SPDX-License-Identifier: Apache-2.0
"""What people read: summaries, trees, JSON, and the page of all declarations."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halma.wire import table, text
from halma.wire.icmpv6 import PacketTooBig
from halma.wire.ipv6 import HopByHopOptions, Packet, TypeTwoRoutingHeader
from halma.wire.messages import (
    BindingAcknowledgement,
    BindingError,
    BindingRevocationIndication,
    BindingUpdate,
    Heartbeat,
    UnknownMessage,
    UpdateNotification,
)
from halma.wire.mld import MulticastListenerDone, MulticastListenerReportV2
from halma.wire.nd import NeighborAdvertisement, NeighborSolicitation, RouterAdvertisement
from halma.wire.options import (
    AccessNetworkIdentifier,
    DelegatedMobileNetworkPrefix,
    GeoLocation,
    MobileNetworkPrefix,
    MobileNodeIdentifier,
    MobilityMessageReplayProtection,
    NetworkIdentifier,
    RestartCounter,
    Timestamp,
    UnknownOption,
)
from halma.wire.spaces import MOBILITY_MESSAGES
from halma.wire.timestamp import from_timestamp, to_ntp, to_timestamp
from tests.wire import strategies
from tests.wire.samples import EXTENSION_HEADERS, GROUP, HOME, ICMPV6, MESSAGES, ND_OPTIONS, OPTIONS, PREFIX

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            MESSAGES[5],
            "Proxy Binding Update, sequence 7, lifetime 3600 s, host1@example.org, 2001:db8:100::/64, handoff unknown",
        ),
        (
            BindingAcknowledgement(156, 0x20, 7, 0),
            "Proxy Binding Acknowledgement, TIMESTAMP_MISMATCH, sequence 7, lifetime 0 s",
        ),
        (BindingAcknowledgement(250, 0, 7, 1), "Binding Acknowledgement, 250, sequence 7, lifetime 4 s"),
        (
            BindingUpdate(1, 0, 0, (MobileNetworkPrefix(64, PREFIX),)),
            "Binding Update, sequence 1, lifetime 0 s, 2001:db8:100::/64",
        ),
        (Heartbeat(0, 9), "Heartbeat, request, sequence 9"),
        (Heartbeat(1, 9, (RestartCounter(3),)), "Heartbeat, response, sequence 9, restart counter 3"),
        (BindingError(2, HOME), "Binding Error, UNRECOGNIZED_MH_TYPE"),
        (BindingRevocationIndication(128, 5, 0xA000), "Binding Revocation Indication, PER_PEER_POLICY, sequence 5"),
        (UpdateNotification(5, 1, 0), "Update Notification, FORCE_REREGISTRATION, sequence 5"),
        (NeighborSolicitation(HOME, ND_OPTIONS[:1]), "Neighbor Solicitation, target 2001:db8:100::10, from 02:00:00:00:01:01"),
        (
            NeighborAdvertisement(0, HOME, ND_OPTIONS[1:2]),
            "Neighbor Advertisement, target 2001:db8:100::10, at 02:00:00:00:01:01",
        ),
        (RouterAdvertisement(64, 0, 1800, 0, 0, ND_OPTIONS[2:3]), "Router Advertisement, 2001:db8:100::/64"),
        (PacketTooBig(0, 1400, b""), "Packet Too Big, mtu 1400"),
        (MulticastListenerDone(GROUP), "Multicast Listener Done, group ff0e::5213"),
        (UnknownMessage(8, b"??"), "Unknown Message"),
    ],
)
def test_summaries(message: Any, expected: str) -> None:
    assert text.summary(message) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (BindingUpdate(7, 0x8200, 900), ["sequence: 7", "flags: 0x8200 (ACKNOWLEDGE PROXY)", "lifetime: 900 (3600 s)"]),
        (BindingAcknowledgement(200, 0, 1, 0), ["status: 200", "flags: 0", "sequence: 1", "lifetime: 0 (0 s)"]),
        (MESSAGES[7], ["status: 2 (UNRECOGNIZED_MH_TYPE)", "home address: 2001:db8:100::10"]),
        (MobileNodeIdentifier(1, b"a\x00\xff@b"), ["subtype: 1 (NAI)", r"identifier: a\x00\xff@b"]),
        (MobileNodeIdentifier(2, HOME), ["subtype: 2 (IPV6_ADDRESS)", "identifier: 2001:db8:100::10"]),
        (MobileNodeIdentifier(3, b"\x12\x34"), ["subtype: 3 (IMSI)", "identifier: 1234"]),
        (UnknownOption(200, b"\x01\x02"), ["number: 200", "data: 0102"]),
        (Timestamp(0x6543_2100_8000), ["value: 111338990895104 (2023-11-02T04:09:36.500Z)"]),
        (Timestamp(1 << 63), [f"value: {1 << 63} (beyond the year 9999)"]),
        (MobilityMessageReplayProtection(0xE4D1A000 << 32), [f"timestamp: {0xE4D1A000 << 32} (2021-08-26T05:07:12.000Z)"]),
        (DelegatedMobileNetworkPrefix(0x80, 24, bytes(4)), ["flags: 0x80 (IPV4)", "prefix length: 24", "prefix: 0.0.0.0/24"]),
        (ND_OPTIONS[0], ["address: 02:00:00:00:01:01"]),
        (TypeTwoRoutingHeader(HOME), ["home address: 2001:db8:100::10"]),
        (
            AccessNetworkIdentifier((NetworkIdentifier(0x80, b"caf\xc3\xa9", b""),)),
            ["Network Identifier", "    flags: 0x80 (UTF8)", "    network name: café", "    access point name: "],
        ),
        (
            ICMPV6[-1],
            [
                "count: 2",
                "octets: CHANGE_TO_EXCLUDE_MODE ff0e::5213; ALLOW_NEW_SOURCES ff0e::5213 2001:db8:1::1 2001:db8:2::1",
            ],
        ),
        (MulticastListenerReportV2(1, b"\1\2"), ["count: 1", "octets: 0102"]),
        (HopByHopOptions((UnknownOption(30, b""),)), ["Unknown Option", "    number: 30", "    data: "]),
    ],
)
def test_lines(value: Any, expected: list[str]) -> None:
    assert text.lines(value) == expected


def test_plain_values() -> None:
    assert text.plain(MESSAGES[6])["type"] == "BindingAcknowledgement"
    assert text.plain(BindingAcknowledgement(156, 0x20, 7, 900, (Timestamp(0),))) == {
        "type": "BindingAcknowledgement",
        "status": 156,
        "status_text": "156 (TIMESTAMP_MISMATCH)",
        "flags": 32,
        "flags_text": "0x20 (PROXY)",
        "sequence": 7,
        "lifetime": 900,
        "lifetime_text": "900 (3600 s)",
        "options": [{"type": "Timestamp", "value": 0, "value_text": "0 (1970-01-01T00:00:00.000Z)"}],
    }
    assert text.plain(UnknownMessage(8, b"\1\2")) == {
        "type": "UnknownMessage",
        "type_number": 8,
        "type_text": "8 (FAST_BINDING_UPDATE)",
        "data": "0102",
    }


EVERYTHING = (*MESSAGES, *OPTIONS, *ICMPV6, *ND_OPTIONS, *EXTENSION_HEADERS)


@pytest.mark.parametrize("value", EVERYTHING, ids=lambda value: type(value).__name__)
def test_everything_can_be_shown(value: Any) -> None:
    assert text.lines(value) or not value.__slots__ or not any(getattr(value, name) for name in value.__slots__)
    assert json.loads(json.dumps(text.plain(value)))["type"]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.one_of(*(strategies.message_of(declaration) for declaration in MOBILITY_MESSAGES.declarations)))
def test_any_message_can_be_shown(message: Any) -> None:
    assert "\n" not in text.summary(message)
    assert all(line.strip().isprintable() for line in text.lines(message))
    json.dumps(text.plain(message)).encode("ascii")


def test_titles() -> None:
    titles = [text.title_of(option) for option in OPTIONS]
    assert titles[0] == "Binding Refresh Advice"
    assert "Alternate IPv4 Care-of Address" in titles
    assert "GRE Key" in titles
    assert "IPv4 DHCP Support Mode" in titles
    assert "LMA-Controlled MAG Parameters" in titles
    assert text.title_of(BindingUpdate(1, 0, 1)) == "Binding Update"
    assert text.title_of_protocol(Packet(HOME, HOME, 135, b"")) == "Mobility Header"
    assert text.title_of_protocol(Packet(HOME, HOME, 6, b"")) == "protocol 6"


def test_the_page_is_current() -> None:
    """When this fails: python -m halma.wire.table > docs/messages.md"""
    assert (ROOT / "docs" / "messages.md").read_text("utf-8") == table.page()


def test_the_page_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(table.__file__), run_name="__main__")
    assert capsys.readouterr().out == table.page()


def test_the_page_has_everything_once() -> None:
    names = [declaration.cls.__name__ for found in table.declarations().values() for declaration in found]
    assert len(names) == len(set(names))
    for value in EVERYTHING:
        if type(value) not in map(type, EXTENSION_HEADERS):
            assert table.page().count(f"| `{type(value).__name__}(") == 1


@pytest.mark.rfc("5213#8.8-1")
def test_timestamps_are_seconds_with_16_bits_of_fraction() -> None:
    assert to_timestamp(1.5) == 0x18000
    assert from_timestamp(0x18000) == 1.5
    assert to_timestamp(1_700_000_000.25) == 1_700_000_000 << 16 | 0x4000
    assert to_timestamp(2.0**48 + 1) == 0x10000


def test_the_ntp_format_counts_from_1900() -> None:
    assert to_ntp(0) == 2_208_988_800 << 32
    assert to_ntp(1.25) == (2_208_988_801 << 32) + (1 << 30)
    assert text.lines(MobilityMessageReplayProtection(to_ntp(0)))[0].endswith("(1970-01-01T00:00:00.000Z)")


@given(st.floats(0, 1e10))
def test_timestamps_there_and_back(wall: float) -> None:
    assert abs(from_timestamp(to_timestamp(wall)) - wall) <= 1 / 65536


def test_a_geographic_location() -> None:
    north, east = GeoLocation.at(-33.5, 151.25).degrees()
    assert (north, east) == (-33.5, 151.25)
    assert GeoLocation.at(90, -180) == GeoLocation(bytes.fromhex("2d0000"), bytes.fromhex("a60000"))
