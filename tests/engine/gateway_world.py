# SPDX-License-Identifier: Apache-2.0
"""A gateway with everything around it played by the test: a clock that the test advances, a data plane that says yes, and an
anchor that answers when the test wants it to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar

from halma.engine.api import Bind, ForwardingDone, MessageReceived, Now, Report, Send, Unbind, sentence
from halma.engine.gateway import Gateway
from halma.engine.gateway_api import (
    AdvertiseRouter,
    GatewaySettings,
    LinkAppeared,
    LinkUp,
    NodeHeard,
    NodeProfile,
    ProbeNode,
    RouterSolicitationReceived,
)
from halma.engine.heartbeat import HeartbeatSettings
from halma.policy.gateway import GatewayPolicy
from halma.wire.messages import BindingAcknowledgement, BindingUpdate
from halma.wire.nd import MaximumTransmissionUnit, PrefixInformation, RouterAdvertisement
from halma.wire.numbers import BindingAcknowledgementFlag, Status
from halma.wire.options import (
    HandoffIndicator,
    HomeNetworkPrefix,
    LinkLocalAddress,
    MobileNodeIdentifier,
    MobileNodeLinkLayerIdentifier,
    Timestamp,
)
from halma.wire.optionspace import Option

T = TypeVar("T")

GATEWAY = bytes.fromhex("20010db8000200000000000000000001")
ANCHOR = bytes.fromhex("20010db8000100000000000000000001")
OTHER_ANCHOR = bytes.fromhex("20010db8000900000000000000000001")
STRANGER = bytes.fromhex("20010db8006600000000000000000001")
PREFIX = HomeNetworkPrefix(64, bytes.fromhex("20010db8010000010000000000000000"))
PREFIX_2 = HomeNetworkPrefix(64, bytes.fromhex("20010db8010000020000000000000000"))
PREFIX_3 = HomeNetworkPrefix(64, bytes.fromhex("20010db8010000030000000000000000"))
ANY = HomeNetworkPrefix(0, bytes(16))
HOST = bytes.fromhex("020000000101")
HOST_ADDRESS = bytes.fromhex("fe8000000000000000000000fffe0101")
HOST_SECOND = bytes.fromhex("020000000102")
OTHER = bytes.fromhex("020000000201")
OTHER_ADDRESS = bytes.fromhex("fe8000000000000000000000fffe0201")
PLAIN = bytes.fromhex("020000000301")
UNKNOWN = bytes.fromhex("020000000999")
HOST_NAME = b"host1@example.org"
OTHER_NAME = b"host2@example.org"
PLAIN_NAME = b"mobile@example.org"
AP0, AP1 = 7, 8

HOST_PROFILE = NodeProfile(HOST_NAME, HOST)
PROFILES = (
    HOST_PROFILE,
    NodeProfile(HOST_NAME, HOST_SECOND),
    NodeProfile(OTHER_NAME, OTHER),
    NodeProfile(PLAIN_NAME, PLAIN, proxy_mobility=False),
)


class World:
    """See the module. `log` holds every effect so far; what `handle`, `advance` and the rest return are the new ones."""

    def __init__(self, profiles: Iterable[NodeProfile] = PROFILES, /, **settings: Any) -> None:
        made = GatewaySettings(
            address=GATEWAY, anchor=ANCHOR, identity=b"mag1@example.org", heartbeat=HeartbeatSettings(enabled=False)
        )
        self.settings = replace(made, **settings)
        self.profiles = {profile.link_layer_address: profile for profile in profiles}
        self.gateway = Gateway(self.settings, GatewayPolicy(profiles))
        self.monotonic = 1000.0
        self.wall = 1_700_000_000.0
        self.log: list[Any] = []
        self.forwarding_errors: list[int] = []
        self.forwarding_waits = False
        self.waiting: list[Bind | Unbind] = []
        self.bound: dict[bytes, Bind] = {}

    @property
    def now(self) -> Now:
        return Now(self.monotonic, self.wall)

    @property
    def counters(self) -> dict[str, int]:
        return self.gateway.describe_counters()

    # ---- time and events ----

    def handle(self, *events: Any) -> list[Any]:
        """Give events to the gateway; the data plane answers at once, unless `forwarding_waits`."""
        done: list[Any] = []
        for event in events:
            done += self._play(self.gateway.handle(event, self.now))
        return done

    def _play(self, effects: list[Any]) -> list[Any]:
        done = list(effects)
        self.log += effects
        for effect in effects:
            if not isinstance(effect, Bind | Unbind):
                continue
            if self.forwarding_waits:
                self.waiting.append(effect)
            else:
                done += self.forward(effect)
        return done

    def forward(self, effect: Bind | Unbind) -> list[Any]:
        """The data plane carries one change out, or refuses it when `forwarding_errors` has an errno."""
        error = self.forwarding_errors.pop(0) if self.forwarding_errors else 0
        if not error:
            if isinstance(effect, Bind):
                self.bound[effect.prefix] = effect
            else:
                self.bound.pop(effect.prefix, None)
        return self._play(self.gateway.handle(ForwardingDone(effect.op, error), self.now))

    def advance(self, seconds: float) -> list[Any]:
        """Let time pass, doing what falls due at the moment when it does."""
        done: list[Any] = []
        end = self.monotonic + seconds
        while (deadline := self.gateway.next_deadline()) is not None and deadline <= end:
            self._to(max(deadline, self.monotonic))
            done += self._play(self.gateway.handle_timeout(self.now))
        self._to(end)
        return done

    def _to(self, moment: float) -> None:
        self.wall += moment - self.monotonic
        self.monotonic = moment

    # ---- nodes ----

    def link_up(self, interface: int = AP0, mtu: int = 1500) -> list[Any]:
        return self.handle(LinkAppeared(interface, f"ap{interface - AP0}", mtu), LinkUp(interface, mtu))

    def hear(self, node: bytes = HOST, address: bytes = HOST_ADDRESS, interface: int = AP0) -> list[Any]:
        return self.handle(NodeHeard(interface, node, address))

    def solicit(self, node: bytes = HOST, address: bytes = HOST_ADDRESS, interface: int = AP0) -> list[Any]:
        return self.handle(RouterSolicitationReceived(interface, node, address))

    def attach(self, node: bytes = HOST, address: bytes = HOST_ADDRESS, interface: int = AP0) -> Send:
        """The link comes up and the node is heard; the Proxy Binding Update that comes of it."""
        self.link_up(interface)
        return update(self.hear(node, address, interface))

    def register(self, *prefixes: HomeNetworkPrefix, node: bytes = HOST, interface: int = AP0, **changes: Any) -> list[Any]:
        """Attach a node and have the anchor accept it."""
        sent = self.attach(node, HOST_ADDRESS if node == HOST else OTHER_ADDRESS, interface)
        return self.accept(sent, *(prefixes or (PREFIX,)), **changes)

    # ---- the anchor ----

    def accept(self, sent: Send, *prefixes: HomeNetworkPrefix, **changes: Any) -> list[Any]:
        """The anchor accepts an update."""
        return self.handle(answer(sent, *(prefixes or (PREFIX,)), **changes))

    def refuse(self, sent: Send, status: int, **changes: Any) -> list[Any]:
        """The anchor refuses an update."""
        return self.handle(answer(sent, status=status, **changes))

    # ---- looking ----

    def session(self, node: bytes = HOST) -> dict[str, object]:
        """What the gateway shows (first) of a node's interface; empty when there is nothing."""
        for row in self.gateway.describe_sessions(self.now):
            if row["link_layer_address"] == node:
                return row
        return {}


def answer(
    sent: Send,
    *prefixes: HomeNetworkPrefix,
    status: int = Status.ACCEPTED,
    lifetime: int | None = None,
    source: bytes | None = None,
    flags: int = BindingAcknowledgementFlag.PROXY,
    sequence: int | None = None,
    instead: dict[type, Option | None] | None = None,
    more: tuple[Option, ...] = (),
) -> MessageReceived:
    """The acknowledgement of an update, as an anchor makes it: everything echoed, and the prefixes of the session. `instead`
    replaces options by their type, or leaves them out."""
    message = sent.message
    assert isinstance(message, BindingUpdate)
    options: list[Option] = []
    for option in message.options:
        kind = type(option)
        if kind is HomeNetworkPrefix:
            continue
        if instead is not None and kind in instead:
            replacement = instead[kind]
            options += [] if replacement is None else [replacement]
        else:
            options.append(option)
    options[1:1] = prefixes or [option for option in message.options if isinstance(option, HomeNetworkPrefix)]
    granted = (message.lifetime if status < 128 else 0) if lifetime is None else lifetime
    acknowledgement = BindingAcknowledgement(
        status, flags, message.sequence if sequence is None else sequence, granted, tuple(options) + more
    )
    return MessageReceived(source or sent.destination, sent.source, acknowledgement)


def of(effects: Iterable[Any], kind: type[T]) -> list[T]:
    """The effects of one kind."""
    return [effect for effect in effects if isinstance(effect, kind)]


def updates(effects: Iterable[Any]) -> list[Send]:
    """The Proxy Binding Updates among effects."""
    return [effect for effect in of(effects, Send) if isinstance(effect.message, BindingUpdate)]


def update(effects: Iterable[Any]) -> Send:
    """The only Proxy Binding Update among effects."""
    found = updates(effects)
    assert len(found) == 1, found
    return found[0]


def body(sent: Send) -> BindingUpdate:
    """The message of a Proxy Binding Update."""
    assert isinstance(sent.message, BindingUpdate)
    return sent.message


def options(sent: Send, kind: type[T]) -> list[T]:
    """The options of one kind in an update."""
    return [option for option in body(sent).options if isinstance(option, kind)]


def option(sent: Send, kind: type[T]) -> T:
    """The only option of its kind in an update."""
    found = options(sent, kind)
    assert len(found) == 1, found
    return found[0]


def indicator(sent: Send) -> int:
    """The handoff indicator of an update."""
    return option(sent, HandoffIndicator).indicator


def advertisements(effects: Iterable[Any]) -> list[AdvertiseRouter]:
    """The Router Advertisements among effects."""
    return of(effects, AdvertiseRouter)


def advertisement(effects: Iterable[Any]) -> RouterAdvertisement:
    """The only Router Advertisement among effects."""
    found = advertisements(effects)
    assert len(found) == 1, found
    return found[0].message


def advertised(message: RouterAdvertisement) -> dict[bytes, int]:
    """The prefixes of a Router Advertisement with their valid lifetimes."""
    return {option.prefix: option.valid_lifetime for option in message.options if isinstance(option, PrefixInformation)}


def mtu(message: RouterAdvertisement) -> int:
    """The MTU option of a Router Advertisement."""
    found = [option.mtu for option in message.options if isinstance(option, MaximumTransmissionUnit)]
    assert len(found) == 1, found
    return found[0]


def probes(effects: Iterable[Any]) -> list[ProbeNode]:
    """The probes among effects."""
    return of(effects, ProbeNode)


def said(effects: Iterable[Any]) -> list[str]:
    """The reports among effects, as sentences."""
    return [sentence(effect) for effect in of(effects, Report)]


__all__ = [
    "ANCHOR",
    "ANY",
    "AP0",
    "AP1",
    "GATEWAY",
    "HOST",
    "HOST_ADDRESS",
    "HOST_NAME",
    "HOST_PROFILE",
    "HOST_SECOND",
    "OTHER",
    "OTHER_ADDRESS",
    "OTHER_ANCHOR",
    "OTHER_NAME",
    "PLAIN",
    "PLAIN_NAME",
    "PREFIX",
    "PREFIX_2",
    "PREFIX_3",
    "PROFILES",
    "STRANGER",
    "UNKNOWN",
    "HandoffIndicator",
    "HomeNetworkPrefix",
    "LinkLocalAddress",
    "MobileNodeIdentifier",
    "MobileNodeLinkLayerIdentifier",
    "Timestamp",
    "World",
    "advertised",
    "advertisement",
    "advertisements",
    "answer",
    "body",
    "indicator",
    "mtu",
    "of",
    "option",
    "options",
    "probes",
    "said",
    "update",
    "updates",
]
