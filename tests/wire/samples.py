# SPDX-License-Identifier: Apache-2.0
"""One example of everything that is declared, and of what belongs together: for oracles, round trips and fuzzing.

Always holds: `OPTIONS` and `MESSAGES` have an example of every declared option and message (a test counts them).
"""

from __future__ import annotations

from halma.wire.icmpv6 import (
    DestinationUnreachable,
    EchoReply,
    EchoRequest,
    HomeAgentAddressDiscoveryReply,
    HomeAgentAddressDiscoveryRequest,
    Icmpv6Message,
    MobilePrefixAdvertisement,
    MobilePrefixSolicitation,
    PacketTooBig,
    ParameterProblem,
    TimeExceeded,
)
from halma.wire.ipv6 import (
    DestinationOptions,
    ExtensionHeader,
    FragmentHeader,
    HomeAddress,
    HopByHopOptions,
    RouterAlert,
    RoutingHeader,
    TunnelEncapsulationLimit,
    TypeTwoRoutingHeader,
)
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
    Message,
    UpdateNotification,
    UpdateNotificationAcknowledgement,
)
from halma.wire.mld import (
    MulticastAddressRecord,
    MulticastListenerDone,
    MulticastListenerReport,
    RecordType,
    encode_records,
    general_query,
)
from halma.wire.nd import (
    AdvertisementInterval,
    HomeAgentInformation,
    MaximumTransmissionUnit,
    NeighborAdvertisement,
    NeighborSolicitation,
    PrefixInformation,
    RouterAdvertisement,
    RouterSolicitation,
    SourceLinkLayerAddress,
    TargetLinkLayerAddress,
)
from halma.wire.options import (
    AccessNetworkIdentifier,
    AccessTechnologyType,
    AlternateCareOfAddress,
    AlternateIpv4CareOfAddress,
    BindingAuthorizationData,
    BindingRefreshAdvice,
    BindingReRegistrationControl,
    DelegatedMobileNetworkPrefix,
    GeoLocation,
    GreKey,
    HandoffIndicator,
    HeartbeatControl,
    HomeNetworkPrefix,
    Ipv4DefaultRouterAddress,
    Ipv4DhcpSupportMode,
    Ipv4HomeAddressReply,
    Ipv4HomeAddressRequest,
    LinkLocalAddress,
    LmaControlledMagParameters,
    LoadInformation,
    MobileNetworkPrefix,
    MobileNodeGroupIdentifier,
    MobileNodeIdentifier,
    MobileNodeLinkLayerIdentifier,
    MobilityMessageAuthentication,
    MobilityMessageReplayProtection,
    NetworkIdentifier,
    NonceIndices,
    OperatorIdentifier,
    Option,
    Redirect,
    RedirectCapability,
    RestartCounter,
    ServiceSelection,
    Timestamp,
    VendorSpecific,
)


def address(text: str) -> bytes:
    """The 16 octets of an address that is written as 2001:db8:X::Y with X and Y given as "X Y" in hexadecimal."""
    subnet, host = text.split()
    return bytes.fromhex("20010db8" + subnet.zfill(4)) + bytes(8) + bytes.fromhex(host.zfill(4))


ANCHOR = address("1 1")
GATEWAY = address("2 1")
HOME = address("100 10")
CARE_OF = address("3 99")
LINK_LOCAL = bytes.fromhex("fe800000000000000200 5efffe005213".replace(" ", ""))
ALL_NODES = bytes.fromhex("ff02" + "00" * 13 + "01")
GROUP = bytes.fromhex("ff0e" + "00" * 12 + "5213")
PREFIX = address("100 0")
LINK_LAYER = bytes.fromhex("020000000101")
IPV4 = bytes((192, 0, 2, 7))

OPTIONS: tuple[Option, ...] = (
    BindingRefreshAdvice(450),
    AlternateCareOfAddress(CARE_OF),
    NonceIndices(3, 4),
    BindingAuthorizationData(bytes(range(12))),
    MobileNetworkPrefix(64, PREFIX),
    MobileNodeIdentifier(1, b"host1@example.org"),
    MobilityMessageAuthentication(1, 256, bytes(range(12))),
    MobilityMessageReplayProtection(0xE4D1A000_80000000),
    VendorSpecific(10415, 1, b"\x01\x02\x03"),
    ServiceSelection(b"ims"),
    HomeNetworkPrefix(64, PREFIX),
    HandoffIndicator(4),
    AccessTechnologyType(4),
    MobileNodeLinkLayerIdentifier(LINK_LAYER),
    LinkLocalAddress(LINK_LOCAL),
    Timestamp(0x0000_6543_2100_8000),
    RestartCounter(7),
    GreKey(b"\x00\x00\x00\x2a"),
    Ipv4HomeAddressRequest(24, IPV4),
    Ipv4HomeAddressReply(0, 24, IPV4),
    Ipv4DefaultRouterAddress(IPV4),
    Ipv4DhcpSupportMode(1),
    RedirectCapability(),
    Redirect(0x8000, ANCHOR),
    LoadInformation(1, 1000, 65536, 20000, 1000000),
    AlternateIpv4CareOfAddress(IPV4),
    MobileNodeGroupIdentifier(1, 1),
    AccessNetworkIdentifier(
        (
            NetworkIdentifier(0x80, b"campus", b"ap-17"),
            GeoLocation.at(59.33, -18.07),
            OperatorIdentifier(2, b"example.org"),
        )
    ),
    DelegatedMobileNetworkPrefix(0, 56, PREFIX),
    LmaControlledMagParameters((BindingReRegistrationControl(10, 1, 32), HeartbeatControl(60, 3, 3))),
)

PROXY_OPTIONS: tuple[Option, ...] = (
    MobileNodeIdentifier(1, b"host1@example.org"),
    HomeNetworkPrefix(64, PREFIX),
    HandoffIndicator(4),
    AccessTechnologyType(4),
    MobileNodeLinkLayerIdentifier(LINK_LAYER),
    LinkLocalAddress(LINK_LOCAL),
    Timestamp(0x0000_6543_2100_8000),
)

MESSAGES: tuple[Message, ...] = (
    BindingRefreshRequest(),
    HomeTestInit(b"homecook"),
    CareOfTestInit(b"careofck"),
    HomeTest(5, b"homecook", b"homekgen"),
    CareOfTest(6, b"careofck", b"careofkg"),
    BindingUpdate(7, 0x8200, 900, PROXY_OPTIONS),
    BindingAcknowledgement(0, 0x20, 7, 900, PROXY_OPTIONS),
    BindingError(2, HOME),
    Heartbeat(1, 0x12345678, (RestartCounter(3),)),
    BindingRevocationIndication(1, 9, 0x8000, PROXY_OPTIONS[:2]),
    BindingRevocationAcknowledgement(0, 9, 0x8000, PROXY_OPTIONS[:2]),
    UpdateNotification(11, 1, 0x8000, PROXY_OPTIONS[:2]),
    UpdateNotificationAcknowledgement(11, 0, PROXY_OPTIONS[:2]),
)

ND_OPTIONS: tuple[Option, ...] = (
    SourceLinkLayerAddress(LINK_LAYER),
    TargetLinkLayerAddress(LINK_LAYER),
    PrefixInformation(64, 0xC0, 3600, 1800, PREFIX),
    MaximumTransmissionUnit(1400),
    AdvertisementInterval(5000),
    HomeAgentInformation(0x8000, 10, 1800),
)

ICMPV6: tuple[Icmpv6Message, ...] = (
    DestinationUnreachable(0, bytes(48)),
    PacketTooBig(0, 1400, bytes(48)),
    TimeExceeded(0, bytes(48)),
    ParameterProblem(0, 41, bytes(48)),
    EchoRequest(0, 1, 2, b"ping"),
    EchoReply(0, 1, 2, b"ping"),
    HomeAgentAddressDiscoveryRequest(77, 0x8000),
    HomeAgentAddressDiscoveryReply(77, 0x8000, ANCHOR + GATEWAY),
    MobilePrefixSolicitation(78),
    MobilePrefixAdvertisement(78, 0x8000, (ND_OPTIONS[2],)),
    RouterSolicitation((ND_OPTIONS[0],)),
    RouterAdvertisement(64, 0x80, 1800, 0, 0, (ND_OPTIONS[0], *ND_OPTIONS[2:])),
    NeighborSolicitation(HOME, (ND_OPTIONS[0],)),
    NeighborAdvertisement(0x60000000, HOME, (ND_OPTIONS[1],)),
    general_query(10000, 2, 125),
    MulticastListenerReport(GROUP),
    MulticastListenerDone(GROUP),
    encode_records(
        (
            MulticastAddressRecord(RecordType.CHANGE_TO_EXCLUDE_MODE, GROUP),
            MulticastAddressRecord(RecordType.ALLOW_NEW_SOURCES, GROUP, (ANCHOR, GATEWAY)),
        )
    ),
)

EXTENSION_HEADERS: tuple[ExtensionHeader, ...] = (
    HopByHopOptions((RouterAlert(0),)),
    DestinationOptions((TunnelEncapsulationLimit(4), HomeAddress(HOME))),
    TypeTwoRoutingHeader(HOME),
    RoutingHeader(0, 0, bytes(20)),
    FragmentHeader(0, False, 99),
)
