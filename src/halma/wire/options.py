# SPDX-License-Identifier: Apache-2.0
"""Every mobility option, from wherever it is declared.

Always holds: importing this module declares all of them.
"""

from __future__ import annotations

from halma.wire.codec import Option, UnknownOption
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

__all__ = [
    "AccessTechnologyType",
    "HandoffIndicator",
    "HomeNetworkPrefix",
    "LinkLocalAddress",
    "MobileNodeIdentifier",
    "MobileNodeLinkLayerIdentifier",
    "Option",
    "RestartCounter",
    "Timestamp",
    "UnknownOption",
]
