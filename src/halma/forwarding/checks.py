# SPDX-License-Identifier: Apache-2.0
"""What every plane refuses before it touches the kernel.

Always holds: the answer depends on the change and the settings alone, so all planes give the same.
"""

from __future__ import annotations

import errno
from pathlib import Path

from halma.engine.api import Bind, BindingKind
from halma.forwarding.plane import Change, PlaneSettings, Side

PREFIX_LENGTH = 64
"""The length of every home network prefix here: hosts configure their addresses by SLAAC (RFC 4862)."""

MINIMUM_MTU = 1280
"""RFC 8200 section 5."""

ENCAPSULATION_OVERHEAD = 40
"""The outer IPv6 header (RFC 2473 section 6.7)."""


def refusal(change: Change, settings: PlaneSettings) -> int:
    """0, or the errno that the change is refused with: EOPNOTSUPP for a length that its kind of binding cannot have, or a kind
    that this side has no use for, or a tunnel that only receives at any side but a mobile node's; EINVAL for a prefix that has
    bits behind its length, is link-local or multicast, or (a gateway's Bind) names no access interface, or a tunnel for a
    prefix of its own link."""
    prefix, length = change.prefix, change.prefix_length
    if not _has_use_for(settings.side, change.kind, length):
        return errno.EOPNOTSUPP
    if len(prefix) != 16 or prefix[0] in (0x00, 0xFE, 0xFF) or int.from_bytes(prefix, "big") & ((1 << (128 - length)) - 1):
        return errno.EINVAL
    if isinstance(change, Bind):
        if settings.side is Side.GATEWAY and not change.access:
            return errno.EINVAL
        if change.receive_only and settings.side is not Side.NODE:
            return errno.EOPNOTSUPP
        if change.kind is BindingKind.LOCAL and change.tunnel is not None:
            return errno.EINVAL
        if change.tunnel is not None and (len(change.tunnel.local) != 16 or len(change.tunnel.remote) != 16):
            return errno.EINVAL
    return 0


def _has_use_for(side: Side, kind: BindingKind, length: int) -> bool:
    """Whether a side knows bindings of this kind, and the kind prefixes of this length."""
    if kind is BindingKind.PROXY:
        return side is not Side.NODE and length == PREFIX_LENGTH
    if kind is BindingKind.LOCAL:
        return side is Side.GATEWAY and length == PREFIX_LENGTH
    if kind is BindingKind.HOME_ADDRESS:
        return side is not Side.GATEWAY and length == 128
    return side is not Side.GATEWAY and 1 <= length <= 64


def inner_mtu(path_mtu: int) -> int:
    """The MTU of a tunnel: 40 less than its path's, and never under 1280, for smaller paths are fragmented outside the tunnel
    packet (RFC 2473 sections 6.7 and 7.1)."""
    return max(MINIMUM_MTU, path_mtu - ENCAPSULATION_OVERHEAD)


def forwarding_notes(settings: PlaneSettings) -> list[str]:
    """What the operator should know about the kernel's forwarding switch, which is not ours to turn."""
    if settings.side is Side.NODE:  # its packets are its own; a mobile router sees to the switch itself
        return []
    try:
        forwards = Path("/proc/sys/net/ipv6/conf/all/forwarding").read_text(encoding="ascii").strip() != "0"
    except OSError as error:
        return [f"this kernel has no IPv6: {error}"]
    return [] if forwards else ["net.ipv6.conf.all.forwarding is 0: the kernel will forward no packets; set it to 1"]
