# SPDX-License-Identifier: Apache-2.0
"""A Binding Update as the home agent reads it, and the acknowledgement that answers it.

RFC 6275 sections 6.1.7 and 6.1.8 (messages), 9.5.4 (where an acknowledgement goes), 10.3.1; RFC 3963 section 4 (mobile
routers); RFC 4285 section 6 (replay protection).

Always holds: an acknowledgement goes to the address that the update came from, by a type 2 routing header when the update had
a Home Address option, and is protected by the association that the update was.
"""

from __future__ import annotations

from halma.engine.api import Association, MessageReceived, Send
from halma.engine.home_binding_cache import Network
from halma.wire.messages import BindingAcknowledgement, BindingUpdate
from halma.wire.numbers import BindingAcknowledgementFlag, BindingUpdateFlag
from halma.wire.options import (
    AlternateCareOfAddress,
    BindingRefreshAdvice,
    MobileNetworkPrefix,
    MobileNodeIdentifier,
    MobilityMessageReplayProtection,
    NonceIndices,
)
from halma.wire.optionspace import Option

ROUTER = int(BindingUpdateFlag.MOBILE_ROUTER)
ACKNOWLEDGED_ROUTER = int(BindingAcknowledgementFlag.MOBILE_ROUTER)
HOME_REGISTRATION = int(BindingUpdateFlag.HOME_REGISTRATION)
LINK_LOCAL = int(BindingUpdateFlag.LINK_LOCAL_ADDRESS_COMPATIBILITY)


class HomeRequest:
    """One Binding Update, its options sorted out. `home_address` is that of the Home Address option, else the source; where the
    source is at home, no routing header is needed back. `networks` is None in implicit mode (RFC 3963 section 5.2). It
    `is_complete` with a Home Address option where one has to be (RFC 6275 section 10.3.1), and without the nonces of a
    correspondent's (section 9.5.1)."""

    __slots__ = (
        "care_of_address",
        "deregisters",
        "destination",
        "event",
        "flags",
        "home_address",
        "identifier",
        "is_complete",
        "lifetime",
        "networks",
        "replay",
        "sequence",
        "source",
    )

    def __init__(self, event: MessageReceived, message: BindingUpdate) -> None:
        self.event = event
        self.source = event.source
        self.destination = event.destination
        self.home_address = event.home_address or event.source
        self.sequence = message.sequence
        self.flags = message.flags
        self.lifetime = message.lifetime
        self.care_of_address = event.source
        self.identifier = b""
        self.replay: MobilityMessageReplayProtection | None = None
        networks: list[Network] = []
        has_nonces = False
        for option in message.options:
            if isinstance(option, AlternateCareOfAddress):
                self.care_of_address = option.address
            elif isinstance(option, MobileNodeIdentifier):
                self.identifier = option.identifier
            elif isinstance(option, MobilityMessageReplayProtection):
                self.replay = option
            elif isinstance(option, MobileNetworkPrefix):
                networks.append(Network(option.prefix, option.prefix_length))
            elif isinstance(option, NonceIndices):
                has_nonces = True
        self.networks = tuple(networks) or None
        self.deregisters = message.lifetime == 0 or self.care_of_address == self.home_address
        is_home_registration = bool(message.flags & HOME_REGISTRATION)
        self.is_complete = bool(event.home_address or self.deregisters) and not (is_home_registration and has_nonces)
        if self.association is not None:
            self.identifier = self.association.identifier

    @property
    def association(self) -> Association | None:
        """What protects the request."""
        return self.event.protection.association

    @property
    def mobile_router(self) -> bool:
        """Flag R (RFC 3963 section 4.1)."""
        return bool(self.flags & ROUTER)


def answer(  # each is a field of the message
    request: HomeRequest,
    status: int,
    *,
    lifetime: int = 0,
    sequence: int | None = None,
    router: bool = False,
    advice: int = 0,
    replay: MobilityMessageReplayProtection | None = None,
) -> Send:
    """The acknowledgement. `sequence` replaces the request's (status 135), `replay` its timestamp (status 144); `advice` is a
    refresh interval in units of 4 seconds, 0 for none."""
    options: list[Option] = []
    if advice:
        options.append(BindingRefreshAdvice(advice))
    if request.replay is not None:
        options.append(replay or request.replay)
    message = BindingAcknowledgement(
        status,
        ACKNOWLEDGED_ROUTER if router else 0,
        request.sequence if sequence is None else sequence,
        lifetime,
        tuple(options),
    )
    care_of_address = request.event.protection.care_of_address
    return Send(request.destination, request.source, message, request.event.home_address, request.association, care_of_address)
