# SPDX-License-Identifier: Apache-2.0
"""Scapy and this package read one another: the messages and options of RFC 6275, NEMO, RFC 4283 and RFC 4285.

Scapy gives its Care-of messages the type of the Home ones, and its Nonce Indices and Binding Authorization Data a wrong
length, when it builds them: so these are told to it. Its bits of a Binding Update are P R M K L H A from the right.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from halma.wire import Message, decode, encode
from halma.wire.icmpv6 import (
    HomeAgentAddressDiscoveryReply,
    HomeAgentAddressDiscoveryRequest,
    Icmpv6Message,
    MobilePrefixAdvertisement,
    MobilePrefixSolicitation,
    decode_icmpv6,
    encode_icmpv6,
)
from halma.wire.ipv6 import DestinationOptions, HomeAddress, Packet, TypeTwoRoutingHeader, build_packet, parse_packet
from halma.wire.messages import (
    BindingAcknowledgement,
    BindingError,
    BindingRefreshRequest,
    BindingUpdate,
    CareOfTest,
    CareOfTestInit,
    HomeTest,
    HomeTestInit,
)
from halma.wire.mld import (
    MulticastAddressRecord,
    MulticastListenerDone,
    MulticastListenerReport,
    RecordType,
    encode_records,
    general_query,
)
from halma.wire.nd import PrefixInformation
from halma.wire.numbers import NextHeader
from halma.wire.options import (
    AlternateCareOfAddress,
    BindingAuthorizationData,
    BindingRefreshAdvice,
    MobileNetworkPrefix,
    MobileNodeIdentifier,
    MobilityMessageAuthentication,
    MobilityMessageReplayProtection,
    NonceIndices,
    Option,
)
from tests.wire.samples import ANCHOR, CARE_OF, GATEWAY, GROUP, HOME, PREFIX

inet6 = pytest.importorskip("scapy.layers.inet6", reason="needs scapy")

SOURCE, DESTINATION = "2001:db8:2::1", "2001:db8:1::1"
MANY: tuple[Option, ...] = (
    AlternateCareOfAddress(CARE_OF),
    NonceIndices(3, 4),
    MobileNetworkPrefix(56, PREFIX),
    MobileNodeIdentifier(1, b"host1@example.org"),
    MobilityMessageReplayProtection(0xE4D1A000_80000000),
    MobilityMessageAuthentication(1, 256, b"authenticate"),
)
SCAPY_OPTIONS: dict[type[Option], Any] = {
    BindingRefreshAdvice: lambda option: inet6.MIP6OptBRAdvice(rinter=option.refresh_interval),
    AlternateCareOfAddress: lambda option: inet6.MIP6OptAltCoA(acoa=_text(option.address)),
    NonceIndices: lambda option: inet6.MIP6OptNonceIndices(
        olen=4, hni=option.home_nonce_index, coni=option.care_of_nonce_index
    ),
    BindingAuthorizationData: lambda option: inet6.MIP6OptBindingAuthData(
        olen=12, authenticator=int.from_bytes(option.authenticator, "big")
    ),
    MobileNetworkPrefix: lambda option: inet6.MIP6OptMobNetPrefix(plen=option.prefix_length, prefix=_text(option.prefix)),
    MobileNodeIdentifier: lambda option: inet6.MIP6OptMNID(subtype=option.subtype, id=option.identifier),
    MobilityMessageAuthentication: lambda option: inet6.MIP6OptMsgAuth(
        subtype=option.subtype, mspi=option.spi, authdata=option.authentication_data
    ),
    MobilityMessageReplayProtection: lambda option: inet6.MIP6OptReplayProtection(timestamp=option.timestamp),
}


def _text(address: bytes) -> str:
    return str(inet6.inet_ntop(10, address))


def in_scapy(message: Message) -> Any:
    """The same message as Scapy builds it."""
    options = [SCAPY_OPTIONS[type(option)](option) for option in getattr(message, "options", ())]
    match message:
        case BindingRefreshRequest():
            return inet6.MIP6MH_BRR(options=options)
        case HomeTestInit():
            return inet6.MIP6MH_HoTI(cookie=message.home_init_cookie, options=options)
        case CareOfTestInit():
            return inet6.MIP6MH_CoTI(mhtype=2, cookie=message.care_of_init_cookie, options=options)
        case HomeTest():
            return inet6.MIP6MH_HoT(
                index=message.home_nonce_index,
                cookie=message.home_init_cookie,
                token=message.home_keygen_token,
                options=options,
            )
        case CareOfTest():
            return inet6.MIP6MH_CoT(
                mhtype=4,
                index=message.care_of_nonce_index,
                cookie=message.care_of_init_cookie,
                token=message.care_of_keygen_token,
                options=options,
            )
        case BindingUpdate():
            return inet6.MIP6MH_BU(seq=message.sequence, flags=message.flags >> 9, mhtime=message.lifetime, options=options)
        case BindingAcknowledgement():
            return inet6.MIP6MH_BA(
                status=message.status,
                flags=message.flags >> 5,
                seq=message.sequence,
                mhtime=message.lifetime,
                options=options,
            )
        case BindingError():
            return inet6.MIP6MH_BE(status=message.status, ha=_text(message.home_address), options=options)
    raise AssertionError(message)


MESSAGES: tuple[Message, ...] = (
    BindingRefreshRequest(),
    HomeTestInit(b"homecook"),
    CareOfTestInit(b"careofck"),
    HomeTest(5, b"homecook", b"homekgen"),
    CareOfTest(6, b"careofck", b"careofkg"),
    BindingUpdate(7, 0xFE00, 900),
    BindingUpdate(7, 0xC400, 900, MANY),
    BindingUpdate(8, 0x8000, 420, (NonceIndices(3, 4), BindingAuthorizationData(b"authenticate"))),
    BindingAcknowledgement(0, 0xC0, 7, 900, (BindingRefreshAdvice(450),)),
    BindingAcknowledgement(135, 0, 7, 0),
    BindingError(1, HOME),
)


def check_both_ways(message: Message) -> None:
    """What Scapy builds decodes to the message; what is encoded here Scapy reads as what it would have built."""
    packet = inet6.IPv6(src=SOURCE, dst=DESTINATION) / in_scapy(message)
    octets = bytes(packet)[40:]
    assert decode(octets, GATEWAY, ANCHOR) == message
    ours = encode(message, GATEWAY, ANCHOR)
    theirs = inet6.IPv6(build_packet(Packet(GATEWAY, ANCHOR, NextHeader.MOBILITY, ours)))
    header = theirs.payload
    assert type(header) is type(packet.payload)
    for name, content in packet.payload.fields.items():
        if name == "options":
            found = [option for option in header.options if not isinstance(option, inet6.Pad1 | inet6.PadN)]
            assert [bytes(option) for option in found] == [bytes(option) for option in content]
            assert [type(option) for option in found] == [type(option) for option in content]
        elif name != "autopad":
            assert getattr(header, name) == getattr(packet.payload, name), name
    del header.cksum
    assert bytes(theirs)[40:][4:6] == ours[4:6], "Scapy computes another checksum"


@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: type(each).__name__)
def test_messages(message: Message) -> None:
    check_both_ways(message)


@pytest.mark.parametrize("order", list(itertools.permutations(MANY, 3)), ids=lambda _: "")
def test_options_in_any_order(order: tuple[Option, ...]) -> None:
    check_both_ways(BindingUpdate(7, 0xC400, 900, order))


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 65535), st.integers(0, 127), st.integers(0, 65535), st.binary(min_size=1, max_size=60))
def test_any_binding_update(sequence: int, flags: int, lifetime: int, identifier: bytes) -> None:
    check_both_ways(BindingUpdate(sequence, flags << 9, lifetime, (MobileNodeIdentifier(1, identifier), MANY[0])))


ICMPV6: tuple[tuple[Icmpv6Message, Any], ...] = (
    (HomeAgentAddressDiscoveryRequest(77, 0x8000), lambda: inet6.ICMPv6HAADRequest(id=77, R=1)),
    (HomeAgentAddressDiscoveryRequest(77, 0), lambda: inet6.ICMPv6HAADRequest(id=77, R=0)),
    (
        HomeAgentAddressDiscoveryReply(77, 0x8000, ANCHOR + GATEWAY),
        lambda: inet6.ICMPv6HAADReply(id=77, R=1, addresses=[DESTINATION, SOURCE]),
    ),
    (MobilePrefixSolicitation(78), lambda: inet6.ICMPv6MPSol(id=78)),
    (
        MobilePrefixAdvertisement(78, 0x8000, (PrefixInformation(64, 0xE0, 3600, 1800, PREFIX),)),
        lambda: (
            inet6.ICMPv6MPAdv(id=78, flags=2)
            / inet6.ICMPv6NDOptPrefixInfo(
                prefixlen=64, L=1, A=1, R=1, validlifetime=3600, preferredlifetime=1800, prefix="2001:db8:100::"
            )
        ),
    ),
    (general_query(10000, 2, 125), lambda: inet6.ICMPv6MLQuery2(mrd=10000, QRV=2, QQIC=125)),
    (MulticastListenerReport(GROUP), lambda: inet6.ICMPv6MLReport(mladdr="ff0e::5213")),
    (MulticastListenerDone(GROUP), lambda: inet6.ICMPv6MLDone(mladdr="ff0e::5213")),
    (
        encode_records((MulticastAddressRecord(RecordType.CHANGE_TO_EXCLUDE_MODE, GROUP, (ANCHOR,)),)),
        lambda: inet6.ICMPv6MLReport2(
            records_number=1,
            records=[inet6.ICMPv6MLDMultAddrRec(rtype=4, sources_number=1, dst="ff0e::5213", sources=[DESTINATION])],
        ),
    ),
)


@pytest.mark.parametrize(("message", "scapy"), ICMPV6, ids=lambda each: type(each).__name__)
def test_icmpv6(message: Icmpv6Message, scapy: Any) -> None:
    theirs = bytes(inet6.IPv6(src=SOURCE, dst=DESTINATION) / scapy())[40:]
    assert decode_icmpv6(theirs, GATEWAY, ANCHOR) == message
    assert encode_icmpv6(message, GATEWAY, ANCHOR) == theirs


@pytest.mark.rfc("6275#6.1.1-4", "6275#6.3-1", "6275#6.4.1-2", "6275#6.4.1-3")
def test_the_checksum_is_over_the_home_address() -> None:
    message = BindingUpdate(7, 0xC000, 900)
    home, care_of = "2001:db8:100::10", "2001:db8:3::99"
    option = inet6.IPv6ExtHdrDestOpt(options=[inet6.HAO(hoa=home)])
    octets = bytes(inet6.IPv6(src=care_of, dst=DESTINATION) / option / in_scapy(message))
    packet = parse_packet(octets)
    assert packet.home_address == HOME
    assert packet.checksum_source == HOME
    assert decode(packet.payload, packet.checksum_source, packet.checksum_destination) == message
    ours = Packet(CARE_OF, ANCHOR, NextHeader.MOBILITY, encode(message, HOME, ANCHOR), 64, 0, 0, packet.extension_headers)
    assert packet.extension_headers == (DestinationOptions((HomeAddress(HOME),)),)
    assert build_packet(ours) == octets

    acknowledgement = BindingAcknowledgement(0, 0, 7, 900)
    routing = inet6.IPv6ExtHdrRouting(type=2, segleft=1, addresses=[home])
    octets = bytes(inet6.IPv6(src=DESTINATION, dst=care_of) / routing / in_scapy(acknowledgement))
    packet = parse_packet(octets)
    assert packet.extension_headers == (TypeTwoRoutingHeader(HOME),)
    assert packet.checksum_destination == HOME
    assert decode(packet.payload, packet.checksum_source, packet.checksum_destination) == acknowledgement
    assert build_packet(packet) == octets
