# SPDX-License-Identifier: Apache-2.0
"""The kinds of value that both configuration files share, and the tables that are the same in both.

Always holds: an address is 16 bytes once it is read, a prefix a `halma.text.Prefix`, a node identifier or pattern bytes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from halma.daemon.configuration_reader import READ, WHY, Reader
from halma.policy.patterns import WILDCARD, is_realm, narrowness, overlap
from halma.text import Prefix, read_address, read_identifier, read_link_layer_address, read_prefix, show_identifier, show_text

HNP_LENGTH = 64
"""Home network prefixes are /64: what a host needs for SLAAC (RFC 4862 section 5.5.3, RFC 4291 section 2.5.4)."""
_LINK_LOCAL = Prefix(b"\xfe\x80" + bytes(14), 10)
LONGEST_DOMAIN_NAME = 240
"""Characters; the DNS has room for 253, and the service goes in front."""
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_PATTERN_SIGNS = re.compile(r"[*?\[]")


def read_unicast_address(text: str) -> bytes:
    """An address that a router can be reached at from elsewhere. Raises ValueError."""
    address = read_address(text)
    if address == bytes(16) or address[0] == 0xFF or _LINK_LOCAL.contains(address):
        kind = "unspecified" if address == bytes(16) else "multicast" if address[0] == 0xFF else "link-local"
        raise ValueError(f'"{text}" is a {kind} address; a global or unique local one is needed')
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


def read_home_network_prefix(text: str) -> Prefix:
    """A /64 of unicast addresses. Raises ValueError."""
    prefix = read_unicast_prefix(text)
    if prefix.length != HNP_LENGTH:
        raise ValueError(f'"{text}" is a /{prefix.length}; a home network prefix is a /{HNP_LENGTH}')
    return prefix


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


Address = Annotated[bytes, Meta(extra={READ: read_unicast_address})]
LinkLocalAddress = Annotated[bytes, Meta(extra={READ: read_link_local_address})]
LinkLayerAddress = Annotated[bytes, Meta(extra={READ: read_link_layer_address})]
AnyPrefix = Annotated[Prefix, Meta(extra={READ: read_unicast_prefix})]
HomeNetworkPrefix = Annotated[Prefix, Meta(extra={READ: read_home_network_prefix})]
DomainName = Annotated[str, Meta(extra={READ: read_domain_name})]
Identifier = Annotated[bytes, Meta(extra={READ: read_identifier})]
Interface = Annotated[str, Meta(extra={READ: read_interface})]
InterfacePattern = Annotated[str, Meta(extra={READ: read_interface_pattern})]
AbsolutePath = Annotated[str, Meta(extra={READ: read_absolute_path})]
SocketPath = Annotated[str, Meta(extra={READ: read_socket_path})]
Lifetime = Annotated[
    int,
    Meta(ge=4, le=262140, multiple_of=4, extra={WHY: "a Lifetime field counts units of 4 seconds, RFC 6275 section 6.1.7"}),
]
"""Seconds that the Lifetime field of a Binding Update can say."""
PathMtu = Annotated[
    int, Meta(ge=1320, le=65535, extra={WHY: "IPv6 needs 1280 bytes inside the tunnel, whose header takes 40, RFC 2473"})
]
PlaneName = Literal["auto", "xdp", "tcx", "clsact", "seg6", "tun"]

PLANE = (
    "How packets are carried: `auto` probes the kernel and takes the fastest way that works, `xdp`, `tcx` (Linux 6.6 and "
    "later) and `clsact` are BPF programs, `seg6` is the kernel's segment routing, `tun` carries packets through the daemon."
)
PATH_MTU = (
    "MTU of the network between anchor and gateways, in bytes. What nodes can send is 40 bytes less, for the tunnel's header "
    "(RFC 2473 section 6.7)."
)
CONTROL_SOCKET = "The unix socket on which `halma show` and the other commands reach this daemon."
STATE_DIRECTORY = (
    "Where the daemon keeps what must survive a restart: the restart counter (RFC 5847 section 3.2), at an anchor whose the "
    "prefixes of its pools are, at a gateway how its access interfaces were before it changed them."
)
TIMESTAMP_BASED_APPROACH = (
    "Order registrations by timestamp (TimestampBasedApproachInUse, RFC 5213 section 9.3); with `false` by sequence number. "
    "Must be the same on every anchor and gateway of a domain."
)


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


def check_patterns(profiles: Sequence[Any], reader: Reader) -> None:
    """No two patterns may fit the same node without one of them being the narrower. Each profile has a `node`."""
    before: list[Any] = []
    odd: list[Any] = []  # plain `*@realm` patterns do not meet one another, and there may be many
    for profile in profiles:
        if WILDCARD not in profile.node:
            continue
        for other in odd if is_realm(profile.node) else before:
            if (
                profile.node != other.node
                and narrowness(profile.node) == narrowness(other.node)
                and overlap(profile.node, other.node)
            ):
                reader.mistake(
                    f"{reader.path_of(profile)}.node",
                    f'"{show_identifier(profile.node)}" and "{show_identifier(other.node)}" of {reader.path_of(other)} can fit '
                    "the same node, and neither is narrower",
                )
        before.append(profile)
        if not is_realm(profile.node):
            odd.append(profile)
