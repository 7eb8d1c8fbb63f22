# SPDX-License-Identifier: Apache-2.0
"""The number spaces that declarations go into.

Always holds: every number of a space is declared once, in the module of the RFC family that defines it; importing
`halma.wire.options`, `halma.wire.messages`, `halma.wire.nd`, `halma.wire.icmpv6` and `halma.wire.ipv6` fills all the spaces.
"""

from __future__ import annotations

from halma.wire.messagespace import IcmpSpace, MobilitySpace
from halma.wire.optionspace import OptionSpace

MOBILITY_OPTIONS = OptionSpace("mobility option", padded=True)
ACCESS_NETWORK_SUBOPTIONS = OptionSpace("Access Network Identifier sub-option", padded=False)
GATEWAY_PARAMETER_SUBOPTIONS = OptionSpace("LMA-Controlled MAG Parameters sub-option", padded=False)
MOBILITY_MESSAGES = MobilitySpace(MOBILITY_OPTIONS)

DESTINATION_OPTIONS = OptionSpace("destination or hop-by-hop option", padded=True)

ND_OPTIONS = OptionSpace("Neighbor Discovery option", padded=False, unit=8)
ICMPV6_MESSAGES = IcmpSpace(ND_OPTIONS)

OPTION_SPACES = (
    MOBILITY_OPTIONS,
    ACCESS_NETWORK_SUBOPTIONS,
    GATEWAY_PARAMETER_SUBOPTIONS,
    DESTINATION_OPTIONS,
    ND_OPTIONS,
)
