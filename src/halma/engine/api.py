# SPDX-License-Identifier: Apache-2.0
"""What engines and the world say to one another: events (past tense) go in, effects (imperative) come out.

An engine is an object with a few methods, see `Engine`. It opens no socket, reads no clock, draws no random number and logs
nothing: the runner (`halma.daemon.runner`) gives it events with a time, carries its effects out in order, and gives their
outcomes back as events. So every engine can be run, replayed and tested without a machine around it.

Always holds: addresses and prefixes are 16 `bytes` in network order; times are `Now`; an effect that can fail carries an
`op`, and exactly one outcome event with that `op` comes back.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from string import Formatter
from typing import Protocol

from halma.text import show_address, show_identifier
from halma.value import value
from halma.wire import DecodeError, Message


@value
class Now:
    """The time of an event: `monotonic` seconds drive every timer; `wall` seconds since 1970 are for what others read, the
    timestamps in messages (RFC 5213 section 8.8, RFC 4285 section 6), and for what a next life reads."""

    monotonic: float
    wall: float


class Assurance(Enum):
    """What the security layer says of a message: of RFC 4285's authentication option, or of ESP."""

    NONE = "none"
    """Nothing protects it."""
    VALID = "valid"
    FAILED = "failed"
    """It names an association that there is, and the authentication does not hold."""
    UNKNOWN = "unknown"
    """It names an association that there is not."""


@value
class Association:
    """A security association with a mobile node, without its key: `handle` is what the security layer knows it by. It belongs
    to one node, and to one home address, or one home prefix (16 bytes, a /64), or where both are empty to the prefix that the
    anchor has given the node. `replay_window` is how far the node's clock may be off in seconds, 0 where sequence numbers
    alone protect against replay (RFC 4285 sections 5.1 and 6)."""

    handle: int
    identifier: bytes
    home_address: bytes = b""
    home_prefix: bytes = b""
    replay_window: float = 7.0


@value
class Protection:
    """How a message was protected, and by which association and for which care-of address (`VALID` and `FAILED` only)."""

    assurance: Assurance
    association: Association | None = None
    care_of_address: bytes = b""


UNPROTECTED = Protection(Assurance.NONE)


@value
class Tunnel:
    """A bidirectional IPv6-in-IPv6 tunnel (RFC 2473) by its two ends: `local` is ours, `remote` the peer's."""

    local: bytes
    remote: bytes


# ---- events: what has happened ----------------------------------------------------------------------------------------


@value
class MessageReceived:
    """A well-formed Mobility Header message came from `source` to our address `destination`. `home_address` is that of its
    Home Address option (RFC 6275 section 6.3), or of the type 2 routing header (section 6.4) that brought it to a mobile
    node; empty where there was none."""

    source: bytes
    destination: bytes
    message: Message
    home_address: bytes = b""
    protection: Protection = UNPROTECTED


@value
class HomeAddressOptionReceived:
    """A packet that is no signalling came with a Home Address option (RFC 6275 section 9.3.1); `next_header` is what it
    carries."""

    source: bytes
    destination: bytes
    home_address: bytes
    next_header: int


@value
class MalformedReceived:
    """A Mobility Header came that does not decode: `error` says why and where, `data` is the header as it came, `packet` the
    packet that it ends where it stood behind extension headers. Where one of those has an option that must not be skipped,
    both are the packet."""

    source: bytes
    destination: bytes
    error: DecodeError
    data: bytes
    packet: bytes = b""


@value
class ForwardingDone:
    """The data plane has carried out (`error` 0) or refused (`error` an errno) the Bind or Unbind with this `op`."""

    op: int
    error: int


# ---- effects: what is to be done --------------------------------------------------------------------------------------


@value
class Send:
    """Send a Mobility Header message from our address `source` to `destination`. With a `home_address` an anchor puts it into
    a type 2 routing header, a mobile node into a Home Address option; the security layer protects the message by
    `association` where one is given, for the `care_of_address` if that is not where the node's end of the message is."""

    source: bytes
    destination: bytes
    message: Message
    home_address: bytes = b""
    association: Association | None = None
    care_of_address: bytes = b""


@value
class SendParameterProblem:
    """Send an ICMPv6 Parameter Problem from `source` to `destination` (RFC 6275 section 9.2, RFC 4443 section 3.4): `pointer`
    counts from the start of the Mobility Header `data` that caused it, the end of `packet` if that is known. Code 0 is about a
    field, 2 about an option that is not known."""

    source: bytes
    destination: bytes
    pointer: int
    data: bytes
    packet: bytes = b""
    code: int = 0


class BindingKind(IntEnum):
    """What a binding of the data plane was made for; a packet that more than one fits goes by the lowest (ANC-2)."""

    HOME_ADDRESS = 0
    """A mobile node's home address: a /128."""
    MOBILE_NETWORK = 1
    """A mobile network prefix, /64 or shorter (RFC 3963)."""
    PROXY = 2
    """A home network prefix of Proxy Mobile IPv6: a /64."""
    LOCAL = 3
    """A prefix of a gateway's own access link, which has nothing to do with a tunnel (RFC 5213 section 6.14): a /64."""


@value
class Bind:
    """Carry the packets of a prefix through `tunnel`, from now on; replaces what the prefix was bound to before.

    At an anchor (`access` 0): packets *to* the prefix go into the tunnel, and packets *from* it are taken only out of that
    tunnel (RFC 5213 section 5.6.2). At a gateway (`access` an interface index): packets *from* the prefix that came in on
    that interface go into the tunnel, and packets *to* it are taken only out of that tunnel and leave on that interface
    (section 6.10.5). `tunnel` None drops the packets of the prefix silently (section 5.3.5: the wait before deletion).
    `local_routing` (gateway) lets packets between this prefix and another of this gateway that has it go directly (6.10.3).
    At a mobile node: packets *from* the prefix go into the tunnel, and packets *to* it are taken out of that tunnel (RFC 6275
    section 11.3.3). `receive_only` (mobile node) takes packets out of the tunnel and drops those that would go into it.
    The kind `LOCAL` (gateway, `tunnel` None): packets from the prefix that came in on that interface, and packets to it, meet
    ordinary routing, and none is taken out of a tunnel.
    """

    op: int
    prefix: bytes
    prefix_length: int
    tunnel: Tunnel | None
    access: int = 0
    kind: BindingKind = BindingKind.PROXY
    local_routing: bool = False
    receive_only: bool = False


@value
class Unbind:
    """Forget the prefix: its packets meet ordinary routing again (at an anchor: Destination Unreachable)."""

    op: int
    prefix: bytes
    prefix_length: int
    kind: BindingKind = BindingKind.PROXY


class Severity(IntEnum):
    """How much a report matters to the person who runs the daemon."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


@value
class Report:
    """Tell the operator. `reason` is a short fixed word for counting and filtering; `peer` (an address, or empty) and `reason`
    together are what the log is rate-limited by. `text` is a sentence without secrets in the format of `str.format`, filled
    from `details` only if somebody will read it, see `sentence`."""

    severity: Severity
    reason: str
    text: str
    peer: bytes = b""
    details: tuple[object, ...] = ()


@value
class Answer:
    """The outcome of something that a person asked for: `op` is the one of the asking event, `result` JSON-able."""

    op: int
    result: dict[str, object]


Event = MessageReceived | HomeAddressOptionReceived | MalformedReceived | ForwardingDone
Effect = Send | SendParameterProblem | Bind | Unbind | Report | Answer


class _Sentence(Formatter):
    """Fields may ask for `{:address}` (16 bytes) or `{:node}` (an identifier off the network: escaped, never long)."""

    def format_field(self, value: object, format_spec: str) -> str:
        if format_spec == "address" and isinstance(value, bytes):
            return show_address(value)
        if format_spec == "node" and isinstance(value, bytes):
            return show_identifier(value)
        return str(super().format_field(value, format_spec))


_SENTENCE = _Sentence()


def sentence(report: Report) -> str:
    """The report as a person reads it."""
    return _SENTENCE.vformat(report.text, report.details, {}) if report.details else report.text


class Engine(Protocol):
    """A protocol role. Roles take more events and give more effects than the ones here: each names its own unions."""

    def handle(self, event: Event, now: Now) -> list[Effect]:
        """Take one event; give the effects in the order in which they are to be carried out. Raises nothing."""

    def handle_timeout(self, now: Now) -> list[Effect]:
        """Do all that is due at `now`."""

    def next_deadline(self) -> float | None:
        """The monotonic time at which `handle_timeout` is wanted next; None when nothing waits. Costs O(1)."""

    def describe_counters(self) -> dict[str, int]:
        """All counters, by name."""

    def snapshot(self, now: Now) -> dict[str, object]:
        """Everything a person may see, as plain JSON-able values without secrets."""
