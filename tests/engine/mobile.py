# SPDX-License-Identifier: Apache-2.0
"""A mobile node in conversation with routers and home agents, so that a test reads like the figure of the RFC."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import Any, TypeVar

from halma.engine.api import (
    Association,
    Assurance,
    BindingKind,
    MessageReceived,
    Protection,
    Report,
    Send,
    Tunnel,
)
from halma.engine.node import Node
from halma.engine.node_api import (
    ConfigureAddress,
    HomePath,
    LinkDown,
    LinkUp,
    NodeSettings,
    Remember,
    RemoveAddress,
    RouterAdvertisementReceived,
    RouterConfirmed,
    SetDefaultRouter,
    SetHomePath,
    SetOnLink,
    Started,
)
from halma.wire.messages import BindingAcknowledgement, BindingUpdate, Message
from halma.wire.nd import AdvertisementInterval, PrefixInformation, RouterAdvertisement, SourceLinkLayerAddress
from halma.wire.numbers import PrefixInformationFlag
from halma.wire.options import MobilityMessageReplayProtection
from halma.wire.optionspace import Option
from tests.engine.party import Party

T = TypeVar("T")


def address(text: str) -> bytes:
    return IPv6Address(text).packed


AGENT = address("2001:db8:1::1")
SECOND_AGENT = address("2001:db8:1::2")
HOME_PREFIX = address("2001:db8:100:1::")
HOME = address("2001:db8:100:1::1")
LINK_LOCAL = address("fe80::200:ff:fe00:101")
IDENTIFIER = LINK_LOCAL[8:]
FOREIGN = address("2001:db8:9::")
ELSEWHERE = address("2001:db8:a::")
CARE_OF = FOREIGN[:8] + IDENTIFIER
OTHER_CARE_OF = ELSEWHERE[:8] + IDENTIFIER
ROUTER = address("fe80::1")
ROUTER_MAC = bytes.fromhex("020000000001")
SECOND_ROUTER = address("fe80::2")
SECOND_MAC = bytes.fromhex("020000000002")
HOME_ROUTER = address("fe80::200:5eff:fe00:5213")
NODE = b"mn@example.org"
KEY = Association(7, NODE, home_address=HOME)
FLAGS = int(PrefixInformationFlag.ON_LINK | PrefixInformationFlag.AUTONOMOUS)


def settings(**changes: Any) -> NodeSettings:
    fields: dict[str, Any] = {
        "home_address": HOME,
        "home_prefix": HOME_PREFIX,
        "home_agents": (AGENT,),
        "link_local_address": LINK_LOCAL,
        "interface_identifier": IDENTIFIER,
        "identifier": NODE,
        "secret": b"secret",
        "association": KEY,
        "lifetime": 400,
    }
    return NodeSettings(**{**fields, **changes})


class Mobile(Party):
    """The node's engine; its interface is a few sets."""

    engine: Node

    def __init__(self, *, started: bool = True, **changes: Any) -> None:
        super().__init__(time=5000.0)
        self.settings = settings(**changes)
        self.engine = Node(self.settings)
        self.addresses: set[bytes] = set()
        self._path: HomePath | None = None
        self.router = b""
        self._on_link: tuple[tuple[bytes, int], ...] = ()
        self.remembered: Remember | None = None
        if started:
            self.give(Started())

    def do(self, effect: Any) -> None:
        """Do to the interface what is asked for."""
        if isinstance(effect, ConfigureAddress):
            self.addresses.add(effect.address)
        elif isinstance(effect, RemoveAddress):
            self.addresses.discard(effect.address)
        elif isinstance(effect, SetHomePath):
            self._path = effect.path
        elif isinstance(effect, SetDefaultRouter):
            self.router = effect.address
        elif isinstance(effect, SetOnLink):
            self._on_link = effect.prefixes
        elif isinstance(effect, Remember):
            self.remembered = effect

    # ---- links ----

    def advertise(
        self,
        prefix: bytes = FOREIGN,
        router: bytes = ROUTER,
        mac: bytes = ROUTER_MAC,
        *,
        lifetime: int = 1800,
        valid: int = 7200,
        preferred: int = 3600,
        interval: int = 0,
        link_layer: bool = True,
        flags: int = FLAGS,
        more: tuple[Option, ...] = (),
    ) -> list[Any]:
        """A Router Advertisement with one prefix (empty: none)."""
        options: list[Option] = [SourceLinkLayerAddress(mac)] if link_layer else []
        if interval:
            options.append(AdvertisementInterval(interval))
        if prefix:
            options.append(PrefixInformation(64, flags, valid, preferred, prefix))
        message = RouterAdvertisement(64, 0, lifetime, 0, 0, (*options, *more))
        return self.give(RouterAdvertisementReceived(router, mac if link_layer else b"", message))

    def replug(self) -> list[Any]:
        """The interface loses its link and has one again."""
        return [*self.give(LinkDown()), *self.give(LinkUp())]

    def answer_probe(self, router: bytes = ROUTER) -> list[Any]:
        return self.give(RouterConfirmed(router))

    # ---- the home agent ----

    def acknowledge(
        self,
        sent: Send,
        status: int = 0,
        *,
        lifetime: int | None = None,
        flags: int = 0,
        sequence: int | None = None,
        options: tuple[Option, ...] | None = None,
        protection: Protection | None = None,
        delay: float = 0.01,
        **changes: Any,
    ) -> list[Any]:
        """The acknowledgement of an update that was sent."""
        update = sent.message
        assert isinstance(update, BindingUpdate)
        if options is None:
            options = tuple(o for o in update.options if isinstance(o, MobilityMessageReplayProtection))
        granted = (update.lifetime if status < 128 else 0) if lifetime is None else lifetime
        message = BindingAcknowledgement(status, flags, update.sequence if sequence is None else sequence, granted, options)
        fields = {
            "source": sent.destination,
            "destination": sent.source,
            "message": message,
            "home_address": sent.home_address,
            "protection": Protection(Assurance.VALID, self.settings.association) if protection is None else protection,
        }
        self.time += delay
        return self.give(MessageReceived(**{**fields, **changes}))

    def from_agent(self, message: Message, *, agent: bytes = AGENT, trusted: bool = True) -> list[Any]:
        """Another message of the home agent's to the node abroad."""
        protection = Protection(Assurance.VALID, KEY) if trusted else Protection(Assurance.NONE)
        return self.give(MessageReceived(agent, CARE_OF, message, HOME, protection))

    def abroad(self) -> Mobile:
        """Registered from a foreign link."""
        self.give(LinkUp())
        (sent,) = updates(self.advertise())
        self.acknowledge(sent)
        assert self.tunnel() == Tunnel(CARE_OF, AGENT)
        return self

    def at_home(self) -> Mobile:
        """At home, where nothing had to be done."""
        self.give(LinkUp())
        self.advertise(HOME_PREFIX, HOME_ROUTER)
        assert self.path() is HomePath.LINK
        return self

    def tunnel(self) -> Tunnel | None:
        """That of the home address."""
        return self.bound.get((BindingKind.HOME_ADDRESS, HOME, 128))

    def receives(self) -> Tunnel | None:
        """Where packets to the home address are taken from."""
        return self.received.get((BindingKind.HOME_ADDRESS, HOME, 128))

    def on_link(self) -> tuple[tuple[bytes, int], ...]:
        """The prefixes that are on the link."""
        return self._on_link

    def noted(self) -> tuple[int, bytes, float]:
        """What was written down for a next life: sequence number, home agent, seconds from now."""
        assert self.remembered is not None
        left = self.remembered.expiry - self.now.wall if self.remembered.expiry else 0.0
        return self.remembered.sequence, self.remembered.home_agent, round(left, 1)

    def path(self) -> HomePath | None:
        """The way of the home address's packets."""
        return self._path

    @property
    def row(self) -> dict[str, object]:
        """What a person sees."""
        return next(self.engine.describe_registration(self.now))


def updates(effects: list[Any]) -> list[Send]:
    return [effect for effect in effects if isinstance(effect, Send) and isinstance(effect.message, BindingUpdate)]


def of(effects: list[Any], kind: type[T]) -> list[T]:
    return [effect for effect in effects if isinstance(effect, kind)]


def reasons(effects: list[Any]) -> list[str]:
    return [report.reason for report in of(effects, Report)]
