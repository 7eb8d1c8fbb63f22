# SPDX-License-Identifier: Apache-2.0
"""A Binding Update as a mobile node makes it, its timestamp, and when the next one is due.

RFC 6275 section 11.7.1, RFC 3963 sections 5.2 and 5.8, RFC 4283 section 3, RFC 4285 section 6.

Always holds: a timestamp is greater than all before it, unless the home agent has told that the clock was wrong.
"""

from __future__ import annotations

from hashlib import sha256

from halma.engine.api import Send
from halma.engine.constants import LIFETIME_UNIT, NAI
from halma.engine.node_api import NodeSettings
from halma.engine.node_binding import Request, RequestKind, RouterMode
from halma.wire.messages import BindingAcknowledgement, BindingUpdate
from halma.wire.numbers import BindingUpdateFlag
from halma.wire.options import (
    AlternateCareOfAddress,
    BindingRefreshAdvice,
    MobileNetworkPrefix,
    MobileNodeIdentifier,
    MobilityMessageReplayProtection,
)
from halma.wire.optionspace import Option
from halma.wire.timestamp import to_ntp

UNCERTAIN = 0x3FF
"""Low bits of a timestamp that no clock of ours tells (RFC 4285 section 6)."""


class Stamps:
    """The timestamps of a node's updates. `ahead` is how many seconds the home agent's clock is before ours."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._newest = 0
        self.ahead = 0

    def next(self, wall: float, sequence: int) -> int:
        """Bits that the clock does not tell are made up."""
        made_up = int.from_bytes(sha256(self._secret + sequence.to_bytes(2, "big")).digest()[:2], "big") & UNCERTAIN
        clock = (to_ntp(wall) + (self.ahead << 32)) & ~UNCERTAIN | made_up
        self._newest = max(clock, self._newest + 1)
        return self._newest

    def adjust(self, theirs: int, ours: int) -> int:
        """The home agent's time of day is in the high-order half of `theirs`, which answers `ours`. By how many seconds the
        clocks differ beyond what was known."""
        difference = (theirs >> 32) - (ours >> 32)
        if difference:
            self.ahead += difference
            self._newest = 0
        return difference


def binding_update(settings: NodeSettings, request: Request, sequence: int, lifetime: int, timestamp: int) -> Send:
    """The update for a request; `lifetime` in units of 4 seconds, 0 to de-register, `timestamp` 0 for none."""
    flags = BindingUpdateFlag.ACKNOWLEDGE | BindingUpdateFlag.HOME_REGISTRATION
    if settings.link_local_address[8:] == settings.home_address[8:]:
        flags |= BindingUpdateFlag.LINK_LOCAL_ADDRESS_COMPATIBILITY
    if request.mode is not RouterMode.NONE:
        flags |= BindingUpdateFlag.MOBILE_ROUTER
    options: list[Option] = [AlternateCareOfAddress(request.care_of_address)]
    if request.mode is RouterMode.EXPLICIT and lifetime:
        options += [MobileNetworkPrefix(network.length, network.prefix) for network in settings.networks]
    if settings.identifier:
        options.append(MobileNodeIdentifier(NAI, settings.identifier))
    if timestamp:
        options.append(MobilityMessageReplayProtection(timestamp))
    message = BindingUpdate(sequence, flags, lifetime, tuple(options))
    home_address = b"" if request.kind is RequestKind.RETURN else settings.home_address
    return Send(request.care_of_address, request.agent, message, home_address, settings.association)


def lead(granted: int, message: BindingAcknowledgement) -> float:
    """How many seconds before its end a registration of `granted` units is refreshed: as the home agent advises, else a
    quarter of its time, with room for some retransmissions."""
    lifetime = granted * LIFETIME_UNIT
    for option in message.options:
        if isinstance(option, BindingRefreshAdvice) and option.refresh_interval < granted:
            return float(lifetime - option.refresh_interval * LIFETIME_UNIT)
    return max(lifetime / 4, min(lifetime / 2, 5.0))


def timestamp_of(message: BindingAcknowledgement) -> int | None:
    """The timestamp that an acknowledgement carries back."""
    for option in message.options:
        if isinstance(option, MobilityMessageReplayProtection):
            return option.timestamp
    return None
