# SPDX-License-Identifier: Apache-2.0
"""Every mobility option and sub-option, from wherever it is declared.

Always holds: importing this module declares all of them.
"""

from __future__ import annotations

from halma.wire.options_access import (
    AccessNetworkIdentifier,
    BindingReRegistrationControl,
    GeoLocation,
    HeartbeatControl,
    LmaControlledMagParameters,
    NetworkIdentifier,
    OperatorIdentifier,
)
from halma.wire.options_ipv4 import (
    GreKey,
    Ipv4DefaultRouterAddress,
    Ipv4DhcpSupportMode,
    Ipv4HomeAddressReply,
    Ipv4HomeAddressRequest,
)
from halma.wire.options_mobile import (
    AlternateCareOfAddress,
    BindingAuthorizationData,
    BindingRefreshAdvice,
    MobileNetworkPrefix,
    MobilityMessageAuthentication,
    MobilityMessageReplayProtection,
    NonceIndices,
    ServiceSelection,
    VendorSpecific,
)
from halma.wire.options_proxy import (
    AccessTechnologyType,
    HandoffIndicator,
    HomeNetworkPrefix,
    LinkLocalAddress,
    MobileNodeIdentifier,
    MobileNodeLinkLayerIdentifier,
    RestartCounter,
    Timestamp,
)
from halma.wire.options_proxy_extensions import (
    AlternateIpv4CareOfAddress,
    DelegatedMobileNetworkPrefix,
    LoadInformation,
    MobileNodeGroupIdentifier,
    Redirect,
    RedirectCapability,
)
from halma.wire.optionspace import (
    Option,
    UnknownOption,
)

__all__ = [
    "AccessNetworkIdentifier",
    "AccessTechnologyType",
    "AlternateCareOfAddress",
    "AlternateIpv4CareOfAddress",
    "BindingAuthorizationData",
    "BindingReRegistrationControl",
    "BindingRefreshAdvice",
    "DelegatedMobileNetworkPrefix",
    "GeoLocation",
    "GreKey",
    "HandoffIndicator",
    "HeartbeatControl",
    "HomeNetworkPrefix",
    "Ipv4DefaultRouterAddress",
    "Ipv4DhcpSupportMode",
    "Ipv4HomeAddressReply",
    "Ipv4HomeAddressRequest",
    "LinkLocalAddress",
    "LmaControlledMagParameters",
    "LoadInformation",
    "MobileNetworkPrefix",
    "MobileNodeGroupIdentifier",
    "MobileNodeIdentifier",
    "MobileNodeLinkLayerIdentifier",
    "MobilityMessageAuthentication",
    "MobilityMessageReplayProtection",
    "NetworkIdentifier",
    "NonceIndices",
    "OperatorIdentifier",
    "Option",
    "Redirect",
    "RedirectCapability",
    "RestartCounter",
    "ServiceSelection",
    "Timestamp",
    "UnknownOption",
    "VendorSpecific",
]
