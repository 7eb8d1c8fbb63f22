# SPDX-License-Identifier: Apache-2.0
"""Multicast Listener Discovery octet by octet, and what is taken of a report that is not as it should be (RFC 9777 section
5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halma.wire.errors import DecodeError, DecodeReason
from halma.wire.ipv6 import HopByHopOptions, Packet, RouterAlert
from halma.wire.mld import (
    ALL_MLDV2_ROUTERS,
    MulticastAddressRecord,
    MulticastListenerReportV2,
    RecordType,
    encode_records,
    is_from_listener_or_router,
)
from halma.wire.numbers import NextHeader
from tests.wire.samples import ANCHOR, GROUP, LINK_LOCAL

RECORD = bytes.fromhex("02000000") + GROUP


def test_auxiliary_data_and_what_follows_the_records_are_ignored() -> None:
    auxiliary = bytes.fromhex("02010000") + GROUP + b"aux!"
    report = MulticastListenerReportV2(2, auxiliary + bytes.fromhex("05000001") + GROUP + ANCHOR + b"more")
    assert report.records() == (
        MulticastAddressRecord(RecordType.MODE_IS_EXCLUDE, GROUP),
        MulticastAddressRecord(RecordType.ALLOW_NEW_SOURCES, GROUP, (ANCHOR,)),
    )


@pytest.mark.parametrize(
    ("count", "octets", "offset"),
    [
        (1, b"", 8),
        (2, RECORD, 28),
        (1, RECORD[:-1], 8),
        (1, bytes.fromhex("05000001") + GROUP, 28),
        (1, bytes.fromhex("0201ffff") + GROUP, 28),
        (0xFFFF, RECORD, 28),
    ],
)
def test_a_record_beyond_the_end_is_an_error(count: int, octets: bytes, offset: int) -> None:
    with pytest.raises(DecodeError) as caught:
        MulticastListenerReportV2(count, octets).records()
    assert (caught.value.reason, caught.value.offset) == (DecodeReason.TRUNCATED, offset)


@given(
    st.lists(
        st.builds(
            MulticastAddressRecord,
            st.integers(0, 255),
            st.binary(min_size=16, max_size=16),
            st.lists(st.binary(min_size=16, max_size=16), max_size=4).map(tuple),
        ),
        max_size=5,
    )
)
def test_records_survive(records: list[MulticastAddressRecord]) -> None:
    assert encode_records(records).records() == tuple(records)


@pytest.mark.parametrize(
    ("source", "hop_limit", "headers", "good"),
    [
        (LINK_LOCAL, 1, (HopByHopOptions((RouterAlert(0),)),), True),
        (bytes(16), 1, (HopByHopOptions((RouterAlert(0),)),), False),
        (ANCHOR, 1, (HopByHopOptions((RouterAlert(0),)),), False),
        (LINK_LOCAL, 255, (HopByHopOptions((RouterAlert(0),)),), False),
        (LINK_LOCAL, 1, (HopByHopOptions((RouterAlert(1),)),), False),
        (LINK_LOCAL, 1, (HopByHopOptions(()),), False),
        (LINK_LOCAL, 1, (), False),
    ],
)
def test_what_every_message_has(source: bytes, hop_limit: int, headers: tuple[HopByHopOptions, ...], good: bool) -> None:
    packet = Packet(source, ALL_MLDV2_ROUTERS, NextHeader.ICMPV6, b"", hop_limit, 0, 0, headers)
    assert is_from_listener_or_router(packet) is good
