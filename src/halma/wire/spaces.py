# SPDX-License-Identifier: Apache-2.0
"""The number spaces that declarations go into.

Always holds: every number of a space is declared once, in the module of the RFC family that defines it; importing
`halma.wire` fills all the spaces.
"""

from __future__ import annotations

from halma.wire.codec import MessageSpace, OptionSpace

MOBILITY_OPTIONS = OptionSpace("mobility option", padded=True)
MOBILITY_MESSAGES = MessageSpace(MOBILITY_OPTIONS)
