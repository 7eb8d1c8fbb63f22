# SPDX-License-Identifier: Apache-2.0
"""The Mobility Header octet by octet: vectors written by hand from the pictures in the RFCs, and the rules for what is sent
as zero, ignored, refused, and where a refusal points."""

from __future__ import annotations

from typing import Any

import pytest

from halma.wire import DecodeError, DecodeReason, EncodeError, Message, decode, encode
from halma.wire.checksum import checksum
from halma.wire.messages import (
    BindingAcknowledgement,
    BindingError,
    BindingRefreshRequest,
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
    BindingUpdate,
    CareOfTest,
    CareOfTestInit,
    Heartbeat,
    HomeTest,
    HomeTestInit,
    UnknownMessage,
    UpdateNotification,
    UpdateNotificationAcknowledgement,
)
from halma.wire.numbers import BindingAcknowledgementFlag, BindingUpdateFlag, NextHeader
from halma.wire.options import (
    AccessTechnologyType,
    BindingAuthorizationData,
    DelegatedMobileNetworkPrefix,
    GreKey,
    HandoffIndicator,
    HomeNetworkPrefix,
    Ipv4HomeAddressReply,
    Ipv4HomeAddressRequest,
    LinkLocalAddress,
    MobileNodeIdentifier,
    MobileNodeLinkLayerIdentifier,
    NetworkIdentifier,
    NonceIndices,
    Option,
    Redirect,
    RestartCounter,
    Timestamp,
    UnknownOption,
)
from halma.wire.spaces import ACCESS_NETWORK_SUBOPTIONS, MOBILITY_OPTIONS
from tests.wire.samples import ANCHOR, GATEWAY, HOME, MESSAGES, OPTIONS, PREFIX


def sealed(text: str) -> bytes:
    """A Mobility Header in hexadecimal with the checksum field, written as ----, made right."""
    octets = bytes.fromhex(text.replace("----", "0000"))
    end = min(len(octets), (octets[1] + 1) * 8)
    right = checksum(GATEWAY, ANCHOR, octets[:end], NextHeader.MOBILITY)
    return octets[:4] + right.to_bytes(2, "big") + octets[6:]


VECTORS: tuple[tuple[Message, str], ...] = (
    (BindingRefreshRequest(), "3b000000 ----0000"),
    (HomeTestInit(b"homecook"), "3b010100 ----0000 686f6d65636f6f6b"),
    (CareOfTestInit(b"careofck"), "3b010200 ----0000 636172656f66636b"),
    (HomeTest(5, b"homecook", b"homekgen"), "3b020300 ----0005 686f6d65636f6f6b 686f6d656b67656e"),
    (CareOfTest(6, b"careofck", b"careofkg"), "3b020400 ----0006 636172656f66636b 636172656f666b67"),
    (BindingUpdate(0x1234, 0xC000, 0x0102), "3b010500 ----1234 c0000102 01020000"),
    (
        BindingUpdate(1, 0x8200, 900, (MobileNodeIdentifier(1, b"a@b"), HomeNetworkPrefix(64, PREFIX))),
        "3b040500 ----0001 82000384 0804 01 614062 0100 1612 0040 20010db8 01000000 00000000 00000000",
    ),
    (BindingAcknowledgement(156, 0x20, 0x1234, 0), "3b010600 ----9c20 12340000 01020000"),
    (BindingError(2, HOME), "3b020700 ----0200 20010db8 01000000 00000000 00000010"),
    (Heartbeat(0, 0x01020304), "3b010d00 ----0000 01020304 01020000"),
    (Heartbeat(3, 9, (RestartCounter(7),)), "3b020d00 ----0003 00000009 0100 1c04 00000007 01020000"),
    (BindingRevocationIndication(128, 0x0102, 0xA000), "3b011000 ----0180 0102a000 01020000"),
    (BindingRevocationAcknowledgement(132, 0x0102, 0x8000), "3b011000 ----0284 01028000 01020000"),
    (UpdateNotification(1, 4, 0xC000), "3b011300 ----0001 0004c000 01020000"),
    (UpdateNotificationAcknowledgement(1, 128), "3b011400 ----0001 80000000 01020000"),
)


@pytest.mark.parametrize(("message", "text"), VECTORS, ids=lambda each: type(each).__name__)
@pytest.mark.rfc("6275#6.1.1-2", "6275#6.1.1-4", "6275#6.1.1-5", "5847#3.3-1", "5847#3.4-1")
def test_messages_on_the_wire(message: Message, text: str) -> None:
    octets = sealed(text)
    assert encode(message, GATEWAY, ANCHOR).hex(" ", 4) == octets.hex(" ", 4)
    assert decode(octets, GATEWAY, ANCHOR) == message


OPTION_VECTORS: tuple[tuple[int, str], ...] = (
    (2, "0202 01c2"),
    (3, "0310 20010db8 00030000 00000000 00000099"),
    (4, "0404 0003 0004"),
    (5, "050c 00010203 04050607 08090a0b"),
    (6, "0612 0040 20010db8 01000000 00000000 00000000"),
    (8, "0812 01 686f737431406578616d706c652e6f7267"),
    (9, "0911 01 00000100 00010203 04050607 08090a0b"),
    (10, "0a08 e4d1a000 80000000"),
    (19, "1308 000028af 01 010203"),
    (20, "1403 696d73"),
    (22, "1612 0040 20010db8 01000000 00000000 00000000"),
    (23, "1702 0004"),
    (24, "1802 0004"),
    (25, "1908 0000 020000000101"),
    (26, "1a10 fe800000 00000000 02005eff fe005213"),
    (27, "1b08 0000 6543 2100 8000"),
    (28, "1c04 00000007"),
    (33, "2106 0000 0000002a"),
    (36, "2406 6000 c0000207"),
    (37, "2506 0060 c0000207"),
    (38, "2606 0000 c0000207"),
    (39, "2702 0001"),
    (46, "2e02 0000"),
    (47, "2f12 8000 20010db8 00010000 00000000 00000001"),
    (48, "3012 0001 000003e8 00010000 00004e20 000f4240"),
    (49, "3104 c0000207"),
    (50, "3206 0100 00000001"),
    (52, "3426 010e 80 06 63616d707573 05 61702d3137 0206 1daa3d f6f70a 030c 02 6578616d706c652e6f7267"),
    (55, "3712 0038 20010db8 01000000 00000000 00000000"),
    (62, "3e10 0106 000a 0001 0020 0206 003c 0003 0003"),
)
SAMPLES = {
    number: option for option in OPTIONS for number, each in MOBILITY_OPTIONS.declarations.items() if each.cls is type(option)
}


@pytest.mark.parametrize(("number", "text"), OPTION_VECTORS)
@pytest.mark.rfc("5213#8.3-1", "5213#8.4-1", "5213#8.5-1", "5213#8.7-1", "5213#8.8-1")
def test_options_on_the_wire(number: int, text: str) -> None:
    octets = bytes.fromhex(text)
    option = SAMPLES[number]
    aligned = next(offset for offset in range(8) if not MOBILITY_OPTIONS.encode((option,), offset).startswith((b"\0", b"\1")))
    assert MOBILITY_OPTIONS.encode((option,), aligned)[: len(octets)].hex() == octets.hex()
    assert MOBILITY_OPTIONS.decode(octets, 0, len(octets)) == (option,)


ALIGNMENTS = {
    2: "2n", 3: "8n+6", 4: "2n", 5: "8n+2", 6: "8n+4", 8: "n", 9: "4n+1", 10: "8n+2", 19: "4n+2", 20: "n", 22: "8n+4", 23: "n",
    24: "n", 26: "8n+6", 27: "8n+2", 28: "4n+2", 33: "4n", 36: "4n", 37: "4n", 38: "4n", 39: "n", 46: "4n", 47: "4n", 48: "4n",
    49: "4n+2", 50: "4n", 52: "4n", 55: "8n+2", 62: "4n+2",
}  # fmt: skip
"""As the RFCs write them; that of a Link-layer Identifier (25) depends on its size, that of a group identifier (50) follows
from the rule that a field of four octets stands at a multiple of four (RFC 6275 section 6.2.1)."""


@pytest.mark.parametrize(("number", "alignment"), ALIGNMENTS.items())
def test_options_stand_where_the_rfcs_put_them(number: int, alignment: str) -> None:
    multiple, _, remainder = alignment.partition("n")
    octets = bytes((number,))
    for before in range(9):
        options = (UnknownOption(200, b"\xaa" * before), SAMPLES[number], RestartCounter(1))
        message = encode(BindingUpdate(1, 0x8000, 1, options), GATEWAY, ANCHOR)
        place = message.index(octets + bytes((len(bytes.fromhex(dict(OPTION_VECTORS)[number])) - 2,)), 14 + before)
        assert place % int(multiple or 1) == int(remainder or 0)


def test_every_option_has_an_alignment() -> None:
    assert set(ALIGNMENTS) | {25} == set(MOBILITY_OPTIONS.declarations)


def test_every_option_has_a_vector() -> None:
    assert [number for number, _ in OPTION_VECTORS] == sorted(MOBILITY_OPTIONS.declarations)


RESERVED = (
    (pytest.mark.rfc("6275#6.1.1-3"), "3b010500 ----0001 80000001 01020000", "3b0105ff ----0001 80000001 01020000"),
    (pytest.mark.rfc("6275#6.1.2-1"), "3b000000 ----0000", "3b000000 ----ffff"),
    (pytest.mark.rfc("6275#6.1.3-1"), "3b010100 ----0000 686f6d65636f6f6b", "3b010100 ----ffff 686f6d65636f6f6b"),
    (pytest.mark.rfc("6275#6.1.4-1"), "3b010200 ----0000 686f6d65636f6f6b", "3b010200 ----ffff 686f6d65636f6f6b"),
    (pytest.mark.rfc("6275#6.1.7-5"), "3b010500 ----0001 82000001 01020000", "3b010500 ----0001 820f0001 01020000"),
    (pytest.mark.rfc("6275#6.1.8-2"), "3b010600 ----0020 00010001 01020000", "3b010600 ----0021 00010001 01020000"),
    (pytest.mark.rfc("6275#6.1.9-1"), "3b020700 ----0200" + "00" * 16, "3b020700 ----02ff" + "00" * 16),
    (pytest.mark.rfc("5846#5-1"), "3b011000 ----0101 00018000 01020000", "3b0110ff ----0101 00018000 01020000"),
    (pytest.mark.rfc("5846#5.1-2"), "3b011000 ----0101 00018000 01020000", "3b011000 ----0101 00019fff 01020000"),
    (pytest.mark.rfc("5846#5.2-1"), "3b011000 ----0201 00018000 01020000", "3b011000 ----0201 00019fff 01020000"),
    (
        pytest.mark.rfc("5213#8.3-2"),
        "3b030500----0001 82000001 1612 0040" + "20" * 16,
        "3b030500----0001 82000001 1612 ff40" + "20" * 16,
    ),
    (pytest.mark.rfc("5213#8.4-2"), "3b010500 ----0001 82000001 1702 0004", "3b010500 ----0001 82000001 1702 ff04"),
    (pytest.mark.rfc("5213#8.5-2"), "3b010500 ----0001 82000001 1802 0004", "3b010500 ----0001 82000001 1802 ff04"),
    (
        pytest.mark.rfc("5213#8.6-2"),
        "3b020500 ----0001 82000001 1908 0000 020000000101 0100",
        "3b020500 ----0001 82000001 1908 ffff 020000000101 0100",
    ),
    (pytest.mark.rfc("6275#6.2.3-1"), "3b010500 ----0001 80000001 01020000", "3b010500 ----0001 80000001 0102ffff"),
)


@pytest.mark.parametrize(("zero", "set_bits"), [pytest.param(*each, marks=mark, id=mark.args[0]) for mark, *each in RESERVED])
def test_reserved_bits_are_ignored_when_received_and_zero_when_sent(zero: str, set_bits: str) -> None:
    assert decode(sealed(set_bits), GATEWAY, ANCHOR) == decode(sealed(zero), GATEWAY, ANCHOR)
    assert encode(decode(sealed(set_bits), GATEWAY, ANCHOR), GATEWAY, ANCHOR) == sealed(zero)


def test_flags_that_nobody_has_assigned_are_not_sent() -> None:
    assert encode(BindingUpdate(1, 0xFFFF, 1), GATEWAY, ANCHOR) == encode(BindingUpdate(1, 0xFFF0, 1), GATEWAY, ANCHOR)


@pytest.mark.rfc("5213#8.1-1")
def test_the_proxy_flag_stands_where_rfc_5213_puts_it() -> None:
    update = encode(BindingUpdate(1, BindingUpdateFlag.PROXY, 1), GATEWAY, ANCHOR)
    assert update[8] == 0b0000_0010
    acknowledgement = encode(BindingAcknowledgement(0, BindingAcknowledgementFlag.PROXY, 1, 1), GATEWAY, ANCHOR)
    assert acknowledgement[7] == 0b0010_0000


@pytest.mark.parametrize("size", range(20))
@pytest.mark.rfc("5213#8.6-1")
def test_a_link_layer_identifier_is_aligned_by_its_size(size: int) -> None:
    for before in range(9):
        options: tuple[Option, ...] = (UnknownOption(200, bytes(before)), MobileNodeLinkLayerIdentifier(bytes(size)))
        octets = encode(BindingUpdate(1, 0, 1, options), GATEWAY, ANCHOR)
        place = octets.index(bytes((25, size + 2)), 14 + before) + 4
        width = next(width for width in (8, 4, 2) if size % width == 0 or width == 2)
        assert place % width == 0


@pytest.mark.rfc("6275#6.2-1")
def test_an_authenticator_of_96_bits_ends_its_message_without_padding() -> None:
    options = (NonceIndices(1, 2), BindingAuthorizationData(b"authenticate"))
    octets = encode(BindingUpdate(1, 0x8000, 1, options), GATEWAY, ANCHOR)
    assert octets.endswith(b"\x05\x0cauthenticate")
    assert octets.index(b"\x05\x0c") % 8 == 2


def refusal(octets: bytes) -> tuple[DecodeReason, int]:
    """Why, and pointing where, a decoder refuses these octets."""
    with pytest.raises(DecodeError) as caught:
        decode(octets, GATEWAY, ANCHOR)
    return caught.value.reason, caught.value.offset


def test_too_few_octets() -> None:
    whole = encode(MESSAGES[5], GATEWAY, ANCHOR)
    for size in range(len(whole)):
        assert refusal(whole[:size]) == (DecodeReason.TRUNCATED, size)


def test_octets_after_the_header_are_ignored() -> None:
    whole = encode(MESSAGES[5], GATEWAY, ANCHOR)
    assert decode(whole + b"more octets", GATEWAY, ANCHOR) == MESSAGES[5]


@pytest.mark.rfc("6275#9.2-2")
def test_every_wrong_bit_is_found_by_the_checksum() -> None:
    whole = encode(MESSAGES[5], GATEWAY, ANCHOR)
    for bit in range(16, len(whole) * 8):
        wrong = bytearray(whole)
        wrong[bit // 8] ^= 0x80 >> bit % 8
        assert refusal(bytes(wrong)) == (DecodeReason.CHECKSUM, 4)


@pytest.mark.rfc("6275#6.1.1-4")
def test_the_checksum_covers_both_addresses() -> None:
    whole = encode(MESSAGES[5], GATEWAY, ANCHOR)
    with pytest.raises(DecodeError):
        decode(whole, GATEWAY, HOME)
    with pytest.raises(DecodeError):
        decode(whole, HOME, ANCHOR)


@pytest.mark.rfc("6275#9.2-5", "6275#9.2-7")
def test_payload_proto_must_be_none() -> None:
    assert refusal(sealed("3a010500 ----0001 80000001 01020000")) == (DecodeReason.PAYLOAD_PROTO, 0)


@pytest.mark.rfc("6275#9.2-1", "6275#9.2-3")
def test_an_unknown_type_comes_before_payload_proto() -> None:
    assert decode(sealed("3a000800 ----0001"), GATEWAY, ANCHOR) == UnknownMessage(8, b"\0\1")
    assert decode(sealed("3b000800 ----0001"), GATEWAY, ANCHOR) == UnknownMessage(8, b"\0\1")


def test_an_unknown_revocation_type_is_an_unknown_message() -> None:
    assert decode(sealed("3b001000 ----0301"), GATEWAY, ANCHOR) == UnknownMessage(16, b"\3\1")


MINIMUM = {1: 16, 2: 16, 3: 24, 4: 24, 5: 16, 6: 16, 7: 24, 13: 16, 16: 16, 19: 16, 20: 16}


@pytest.mark.parametrize(("number", "least"), MINIMUM.items())
@pytest.mark.rfc("6275#9.2-8", "6275#9.2-10")
def test_header_len_must_not_be_less_than_the_type_needs(number: int, least: int) -> None:
    for size in range(8, least, 8):
        text = f"3b{size // 8 - 1:02x}{number:02x}00 ---- 0100" + "00" * (size - 8)
        assert refusal(sealed(text)) == (DecodeReason.HEADER_LENGTH, 1)
    decode(sealed(f"3b{least // 8 - 1:02x}{number:02x}00 ---- 0100" + "00" * (least - 8)), GATEWAY, ANCHOR)


def test_options_that_overrun() -> None:
    assert refusal(sealed("3b010500 ----0001 80000001 1702 0004".replace("1702", "1703"))) == (DecodeReason.OPTION_OVERRUN, 13)
    assert refusal(sealed("3b010500 ----0001 80000001 000000c8")) == (DecodeReason.OPTION_OVERRUN, 15)
    assert refusal(sealed("3b010500 ----0001 80000001 01030000")) == (DecodeReason.OPTION_OVERRUN, 13)


@pytest.mark.parametrize(("number", "text"), OPTION_VECTORS)
@pytest.mark.rfc("5213#8.3-1", "5213#8.4-1", "5213#8.5-1", "5213#8.7-1", "5213#8.8-1")
def test_options_of_a_wrong_length_are_refused(number: int, text: str) -> None:
    """Every length but the allowed ones, with enough octets after it to hold any."""
    allowed = {
        5: range(256), 8: range(1, 256), 9: range(5, 256), 19: range(5, 256), 20: range(1, 256), 25: range(2, 256),
        33: (2, 6), 47: (18,), 55: (18,), 52: (0, 16, 24, 38), 62: (0, 8, 16),
    }.get(number, (len(bytes.fromhex(text)) - 2,))  # fmt: skip
    for length in range(256):
        octets = bytes((number, length)) + bytes.fromhex(text)[2:].ljust(length, b"\1")[:length]
        reason = _reason(octets)
        if number in (52, 62) and length > 16:
            continue  # more sub-options may be in it
        assert (reason is None) == (length in allowed), length
        assert reason in (None, DecodeReason.OPTION_LENGTH, DecodeReason.OPTION_OVERRUN)


def _reason(octets: bytes) -> DecodeReason | None:
    """Why these octets are no option; None when they are one."""
    try:
        MOBILITY_OPTIONS.decode(octets, 0, len(octets))
    except DecodeError as error:
        return error.reason
    return None


CONTRADICTIONS: tuple[Option, ...] = (
    Redirect(0x4000, ANCHOR),
    Redirect(0x8000, bytes(4)),
    Redirect(0xC000, ANCHOR),
    Redirect(0, ANCHOR),
    DelegatedMobileNetworkPrefix(0x80, 56, PREFIX),
    DelegatedMobileNetworkPrefix(0, 24, bytes(4)),
)


@pytest.mark.parametrize("option", CONTRADICTIONS)
def test_a_flag_that_contradicts_its_address_is_refused_both_ways(option: Any) -> None:
    with pytest.raises(EncodeError):
        MOBILITY_OPTIONS.encode((option,), 0)
    data = option.address if isinstance(option, Redirect) else option.prefix
    second = 0 if isinstance(option, Redirect) else option.prefix_length
    number = 47 if isinstance(option, Redirect) else 55
    flags = option.flags >> 8 if isinstance(option, Redirect) else option.flags
    octets = bytes((number, 2 + len(data), flags, second)) + data
    with pytest.raises(DecodeError):
        MOBILITY_OPTIONS.decode(octets, 0, len(octets))


def test_the_names_of_an_access_network_fill_their_option_exactly() -> None:
    for text in ("0103 80 01 61", "0104 80 02 61 00", "0105 80 01 61 01 62", "0106 80 01 61 01 62 63"):
        octets = bytes.fromhex(text)
        if octets[1] == 5:
            assert ACCESS_NETWORK_SUBOPTIONS.decode(octets, 0, len(octets)) == (NetworkIdentifier(0x80, b"a", b"b"),)
            continue
        with pytest.raises(DecodeError) as caught:
            ACCESS_NETWORK_SUBOPTIONS.decode(octets, 0, len(octets))
        assert caught.value == DecodeError(DecodeReason.OPTION_LENGTH, 1)


UNFIT: tuple[Any, ...] = (
    BindingUpdate(-1, 0, 0),
    BindingUpdate(65536, 0, 0),
    BindingAcknowledgement(256, 0, 0, 0),
    BindingError(1, bytes(15)),
    HomeTestInit(b"short"),
    BindingUpdate(1, 0, 1, (HomeNetworkPrefix(64, bytes(17)),)),
    BindingUpdate(1, 0, 1, (LinkLocalAddress(b""),)),
    BindingUpdate(1, 0, 1, (HandoffIndicator(256),)),
    BindingUpdate(1, 0, 1, (AccessTechnologyType(-1),)),
    BindingUpdate(1, 0, 1, (Timestamp(1 << 64),)),
    BindingUpdate(1, 0, 1, (MobileNodeIdentifier(1, bytes(255)),)),
    BindingUpdate(1, 0, 1, (GreKey(b"\1\2"),)),
    BindingUpdate(1, 0, 1, (Ipv4HomeAddressRequest(64, bytes(4)),)),
    BindingUpdate(1, 0, 1, (Ipv4HomeAddressReply(0, -1, bytes(4)),)),
    BindingUpdate(1, 0, 1, (NetworkIdentifier(0, b"a sub-option", b""),)),
    BindingUpdate(1, 0, 1, (UnknownOption(200, bytes(256)),)),
    BindingUpdate(1, 0, 1, (UnknownOption(200, bytes(200)),) * 11),
    UnknownMessage(99, b"odd"),
)


@pytest.mark.parametrize("message", UNFIT, ids=lambda each: repr(each)[:60])
def test_values_that_do_not_fit_are_a_mistake_of_the_caller(message: Any) -> None:
    with pytest.raises(EncodeError):
        encode(message, GATEWAY, ANCHOR)


def test_what_is_no_message_is_a_mistake_of_the_caller() -> None:
    nothing: Any = "no message at all"
    with pytest.raises((EncodeError, TypeError)):  # the latter where the coder is compiled
        encode(nothing, GATEWAY, ANCHOR)


def test_an_access_point_name_that_does_not_fit() -> None:
    with pytest.raises(EncodeError):
        ACCESS_NETWORK_SUBOPTIONS.encode((NetworkIdentifier(0, b"a", bytes(256)),), 0)


def test_an_error_says_what_and_where() -> None:
    error = DecodeError(DecodeReason.OPTION_OVERRUN, 13)
    assert str(error) == "option_overrun at octet 13"
    assert error == DecodeError(DecodeReason.OPTION_OVERRUN, 13)
    assert error != DecodeError(DecodeReason.OPTION_OVERRUN, 14)
    assert len({error, DecodeError(DecodeReason.OPTION_OVERRUN, 13)}) == 1
