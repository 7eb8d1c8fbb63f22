# SPDX-License-Identifier: Apache-2.0
"""A mobile node and a home agent in conversation, so that a test reads like the figure of the RFC."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Any

from halma.engine.anchor import Anchor
from halma.engine.anchor_settings import AnchorSettings, HomeAgentSettings, HomeLink, PoolSettings
from halma.engine.api import (
    Association,
    Assurance,
    MessageReceived,
    Protection,
    Send,
)
from halma.engine.home_link import SendHome
from halma.engine.policy import Peer, Profile
from halma.wire.messages import BindingAcknowledgement, BindingUpdate
from halma.wire.numbers import BindingUpdateFlag
from halma.wire.options import AlternateCareOfAddress, MobileNodeIdentifier, MobilityMessageReplayProtection
from halma.wire.optionspace import Option
from halma.wire.timestamp import to_ntp
from tests.engine.party import Party

AGENT = IPv6Address("2001:db8:1::1").packed
HOME = IPv6Address("2001:db8:100:1::1").packed
HOME_PREFIX = IPv6Address("2001:db8:100:1::").packed
ON_LINK = IPv6Address("2001:db8:5::77").packed
CARE_OF = IPv6Address("2001:db8:9::1").packed
ELSEWHERE = IPv6Address("2001:db8:a::1").packed
GATEWAY = IPv6Address("2001:db8:2::1").packed
NODE = b"mn@example.org"
OTHER = b"other@example.org"
KEY = Association(1, NODE, home_prefix=HOME_PREFIX)
REGISTER = int(BindingUpdateFlag.ACKNOWLEDGE | BindingUpdateFlag.HOME_REGISTRATION)
ROUTER = REGISTER | int(BindingUpdateFlag.MOBILE_ROUTER)
LINK = HomeLink(IPv6Address("2001:db8:5::").packed, 64, 7)


@dataclass
class Book:
    """A policy in two dictionaries."""

    peers: dict[bytes, Peer] = field(default_factory=lambda: {GATEWAY: Peer("mag", (b"*",))})
    profiles: dict[bytes, Profile] = field(
        default_factory=lambda: {
            NODE: Profile(NODE, pool="main", prefixes=(HOME_PREFIX,), mobile_ipv6=True, mobile_router=True),
            OTHER: Profile(OTHER, pool="main", mobile_ipv6=True),
        }
    )

    def peer(self, address: bytes) -> Peer | None:
        return self.peers.get(address)

    def profile(self, identifier: bytes) -> Profile | None:
        return self.profiles.get(identifier)

    def may_register(self, peer: Peer, identifier: bytes) -> bool:
        return identifier in self.profiles and peer in self.peers.values()

    def owner(self, prefix: bytes) -> bytes | None:
        return next((name for name, profile in self.profiles.items() if prefix in profile.prefixes), None)

    def is_reserved(self, prefix: bytes) -> bool:
        return self.owner(prefix) is not None


class SilenceError(Exception):
    """A Binding Update got no acknowledgement."""


class Agent(Party):
    """The anchor as a home agent."""

    engine: Anchor

    def __init__(self, book: Book | None = None, **settings: Any) -> None:
        super().__init__(time=1000.0)
        self.book = book or Book()
        pool = PoolSettings("main", IPv6Address("2001:db8:100::").packed, 48)
        home = HomeAgentSettings(**{"links": (LINK,), **settings})
        self.engine = Anchor(AnchorSettings((AGENT,), (pool,), home_agent=home), self.book)

    def update(
        self,
        sequence: int,
        *,
        lifetime: int = 100,
        care_of: bytes = CARE_OF,
        home: bytes = HOME,
        flags: int = REGISTER,
        options: tuple[Option, ...] = (),
        protection: Protection | None = None,
        stamp: float | None = 0.0,
        alternate: bytes | None = None,
    ) -> BindingAcknowledgement:
        """A Binding Update from the node and its acknowledgement; `SilenceError` when there is none. `stamp` is how many
        seconds the node's clock is ahead, None sends no timestamp."""
        added: list[Option] = [MobileNodeIdentifier(1, NODE)]
        if stamp is not None:
            added.append(MobilityMessageReplayProtection(to_ntp(self.now.wall + stamp)))
        if alternate is not None:
            added.append(AlternateCareOfAddress(alternate))
        request = BindingUpdate(sequence, flags, lifetime, (*added, *options))
        at_home = care_of == home
        event = MessageReceived(
            care_of,
            AGENT,
            request,
            b"" if at_home else home,
            protection if protection is not None else Protection(Assurance.VALID, KEY),
        )
        self.time += 0.001
        sent = [e.send if isinstance(e, SendHome) else e for e in self.give(event)]
        answers = [e for e in sent if isinstance(e, Send) and isinstance(e.message, BindingAcknowledgement)]
        if not answers:
            raise SilenceError
        (answer,) = answers
        assert answer.destination == care_of
        assert answer.home_address == (b"" if at_home else home)
        message = answer.message
        assert isinstance(message, BindingAcknowledgement)
        return message
