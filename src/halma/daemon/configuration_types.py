# SPDX-License-Identifier: Apache-2.0
"""The kinds of value that configuration files have, and the keys and tables that stand in more than one of them.

A kind says at once how it is read, how it is shown, and how the reference page calls it; a key that several roles have brings
its description along as well, so that a table declares it in one line.

Always holds: an address is 16 bytes once it is read, a prefix a `halma.text.Prefix`, a node identifier or pattern bytes.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from halma.daemon.configuration_reader import TEXT, WHY, Reader, Text
from halma.engine.heartbeat import HeartbeatSettings
from halma.engine.revocation import RevocationSettings
from halma.text import (
    Prefix,
    read_address,
    read_identifier,
    read_link_layer_address,
    read_prefix,
    show_address,
    show_identifier,
    show_link_layer_address,
    show_text,
)

HNP_LENGTH = 64
"""Home network prefixes are /64: what a host needs for SLAAC (RFC 4862 section 5.5.3, RFC 4291 section 2.5.4)."""
SHORTEST_PREFIX = 3
"""As short as 2000::/3, from which global unicast addresses are given out: what is shorter has others in it."""
_LINK_LOCAL = Prefix(b"\xfe\x80" + bytes(14), 10)
LONGEST_DOMAIN_NAME = 240
"""Characters; the DNS has room for 253, and the service goes in front."""
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_PATTERN_SIGNS = re.compile(r"[*?\[]")


def read_unicast_address(text: str) -> bytes:
    """An address that a router can be reached at from elsewhere. Raises ValueError."""
    address = read_address(text)
    if address == bytes(16) or address[0] == 0xFF or _LINK_LOCAL.contains(address):
        kind = "the unspecified" if address == bytes(16) else "a multicast" if address[0] == 0xFF else "a link-local"
        raise ValueError(f'"{text}" is {kind} address; a global or unique local one is needed')
    return address


def read_link_local_address(text: str) -> bytes:
    """An address of fe80::/10. Raises ValueError."""
    address = read_address(text)
    if not _LINK_LOCAL.contains(address):
        raise ValueError(f'"{text}" is not a link-local address (fe80::/10)')
    return address


def read_unicast_prefix(text: str) -> Prefix:
    """A prefix of addresses that nodes may have. Raises ValueError."""
    prefix = read_prefix(text)
    if prefix.length and (prefix.address[0] == 0xFF or _LINK_LOCAL.contains(prefix.address)):
        raise ValueError(f'"{text}" is not a prefix of global or unique local addresses')
    return prefix


def prefix_of_length(what: str, shortest: int, longest: int) -> Text:
    """The kind of a unicast prefix that is a /shortest to /longest; `what` it is called where one is not."""
    lengths = f"/{longest}" if shortest == longest else f"/{shortest} to /{longest}"

    def read(text: str) -> Prefix:
        prefix = read_unicast_prefix(text)
        if not shortest <= prefix.length <= longest:
            raise ValueError(f'"{text}" is a /{prefix.length}; {what} is a {lengths}')
        return prefix

    return Text(f"{lengths} prefix", read)


def read_interface(text: str) -> str:
    """A name that Linux takes for an interface. Raises ValueError."""
    name = read_interface_pattern(text)
    if _PATTERN_SIGNS.search(name):
        raise ValueError(f'"{text}" is a pattern; the name of one interface is needed')
    return name


def read_interface_pattern(text: str) -> str:
    """A name of an interface, or a pattern of shell signs such as `ap*`. Raises ValueError."""
    if not 1 <= len(text.encode()) <= 15 or "/" in text or text in (".", "..") or not text.isprintable() or " " in text:
        raise ValueError(f'"{text}" cannot be the name of an interface (1 to 15 bytes, no / and no space)')
    return text


def read_domain_name(text: str) -> str:
    """A name of the DNS as hosts have them (RFC 1123 section 2.1), without the final dot. Raises ValueError."""
    name = text.removesuffix(".")
    if len(name) > LONGEST_DOMAIN_NAME or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError(f'"{show_text(text, 80)}" is not a domain name such as ha.example.org (in ASCII: xn--...)')
    return name


def read_absolute_path(text: str) -> str:
    """A path that does not depend on where the daemon was started. Raises ValueError."""
    if not text.startswith("/") or "\0" in text:
        raise ValueError(f'"{text}" is not an absolute path')
    return text


def read_socket_path(text: str) -> str:
    """An absolute path that fits a unix socket's address. Raises ValueError."""
    if len(read_absolute_path(text).encode()) > 107:
        raise ValueError(f'"{text}" is longer than the 107 bytes of a unix socket\'s address')
    return text


# ---- kinds of value ----

Address = Annotated[bytes, Meta(extra={TEXT: Text("address", read_unicast_address, show_address)})]
LinkLayerAddress = Annotated[
    bytes, Meta(extra={TEXT: Text("link-layer address", read_link_layer_address, show_link_layer_address)})
]
AnyPrefix = Annotated[Prefix, Meta(extra={TEXT: Text("prefix", read_unicast_prefix)})]
HomeNetworkPrefix = Annotated[Prefix, Meta(extra={TEXT: prefix_of_length("a home network prefix", HNP_LENGTH, HNP_LENGTH)})]
MobileNetworkPrefix = Annotated[
    Prefix, Meta(extra={TEXT: prefix_of_length("a mobile network prefix", SHORTEST_PREFIX, HNP_LENGTH)})
]
DomainName = Annotated[str, Meta(extra={TEXT: Text("domain name", read_domain_name)})]
Identifier = Annotated[bytes, Meta(extra={TEXT: Text("identifier", read_identifier, show_identifier)})]
AbsolutePath = Annotated[str, Meta(extra={TEXT: Text("path", read_absolute_path)})]
Interface = Annotated[str, Meta(extra={TEXT: Text("interface", read_interface)})]
InterfacePattern = Annotated[str, Meta(extra={TEXT: Text("interface or pattern", read_interface_pattern)})]
Lifetime = Annotated[
    int,
    Meta(ge=4, le=262140, multiple_of=4, extra={WHY: "a Lifetime field counts units of 4 seconds, RFC 6275 section 6.1.7"}),
]
"""Seconds that the Lifetime field of a Binding Update can say."""

# ---- keys that more than one role has ----

ControlSocket = Annotated[
    str,
    Meta(
        description="The unix socket on which `halma show` and the other commands reach this daemon.",
        extra={TEXT: Text("path", read_socket_path)},
    ),
]
DataPlane = Annotated[
    Literal["auto", "xdp", "tcx", "clsact", "seg6", "tun"],
    Meta(
        description="How packets are carried: `auto` probes the kernel and takes the fastest way that works, `xdp`, `tcx` "
        "(Linux 6.6 and later) and `clsact` are BPF programs, `seg6` is the kernel's segment routing, `tun` carries packets "
        "through the daemon."
    ),
]
PathMtu = Annotated[
    int,
    Meta(
        description="MTU of the network that tunnels cross, in bytes. What nodes can send is 40 bytes less, for the tunnel's "
        "header (RFC 2473 section 6.7).",
        ge=1320,
        le=65535,
        extra={WHY: "IPv6 needs 1280 bytes inside the tunnel, whose header takes 40, RFC 2473"},
    ),
]
TimestampBasedApproach = Annotated[
    bool,
    Meta(
        description="Order registrations by timestamp (TimestampBasedApproachInUse, RFC 5213 section 9.3); with `false` by "
        "sequence number. Must be the same on every anchor and gateway of a domain."
    ),
]
RequestedLifetime = Annotated[
    Lifetime, Meta(description="The registration time that is asked for, in seconds; less may be granted.")
]
RetryInterval = Annotated[
    float,
    Meta(
        description="Seconds before the first new try after a refusal that may be temporary; each later one waits twice as "
        "long, up to 16 times as long.",
        ge=1,
        le=3600,
    ),
]


class HeartbeatTable(msgspec.Struct, frozen=True, kw_only=True):
    """Heartbeats, by which each end learns that the other has gone or has restarted (RFC 5847)."""

    enabled: Annotated[bool, Meta(description="Send heartbeats to every peer with which sessions are shared.")] = True
    interval_seconds: Annotated[
        int,
        Meta(
            description="Seconds between two heartbeat requests to a peer (HEARTBEAT_INTERVAL).",
            ge=30,
            le=3600,
            extra={WHY: "RFC 5847 section 5"},
        ),
    ] = 60
    missing_allowed: Annotated[
        int,
        Meta(
            description="Requests in a row that may stay unanswered before the peer counts as unreachable "
            "(MISSING_HEARTBEATS_ALLOWED).",
            ge=1,
            le=100,
        ),
    ] = 3

    def settings(self) -> HeartbeatSettings:
        """What an engine is told of it."""
        return HeartbeatSettings(self.enabled, self.interval_seconds, self.missing_allowed)


class RevocationTable(msgspec.Struct, frozen=True, kw_only=True):
    """How bindings are taken back (RFC 5846 section 11)."""

    maximum_retries: Annotated[
        int,
        Meta(
            description="How often an unanswered Binding Revocation Indication is sent again (BRIMaxRetriesNumber).",
            ge=0,
            le=10,
        ),
    ] = 1
    initial_delay_seconds: Annotated[
        float,
        Meta(
            description="Seconds before the first retransmission (InitMINDelayBRIs); each later one waits twice as long.",
            ge=0.5,
            le=3600,
            extra={WHY: "RFC 5846 section 11"},
        ),
    ] = 1.0
    maximum_timeout_seconds: Annotated[
        float,
        Meta(
            description="The longest of these waits, in seconds (MAX_BRACK_TIMEOUT). Not less than the initial delay.",
            ge=0.5,
            le=3600,
        ),
    ] = 2.0

    def settings(self) -> RevocationSettings:
        """What an engine is told of it."""
        return RevocationSettings(self.maximum_retries, self.initial_delay_seconds, self.maximum_timeout_seconds)


# ---- what must hold between keys ----


def check_revocation(table: RevocationTable, path: str, reader: Reader) -> None:
    """The waits of RFC 5846 section 11 are in order."""
    if table.maximum_timeout_seconds < table.initial_delay_seconds:
        reader.mistake(f"{path}.maximum_timeout_seconds", "is less than initial_delay_seconds")
