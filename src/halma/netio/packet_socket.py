# SPDX-License-Identifier: Apache-2.0
"""What all packet sockets here have in common: how they are opened, filters in classic BPF, and Neighbor Discovery in Ethernet
frames.

Always holds: a filter is in force before its socket is bound to a link, so that nothing else is ever read.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence

from halma.wire.icmpv6 import Icmpv6Message, encode_icmpv6
from halma.wire.numbers import NextHeader

ETH_P_ALL, ETH_P_IPV6 = 0x0003, 0x86DD
"""A socket for all protocols is asked before a tc program is, one for IPv6 alone only after it."""
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_DROP_MEMBERSHIP, PACKET_IGNORE_OUTGOING = 263, 1, 2, 23
PACKET_MR_ALLMULTI = 2
SO_ATTACH_FILTER = 26
ETHERNET, IPV6 = 14, 40
"""Octets of the headers."""
HOP_LIMIT = 255
"""That of Neighbor Discovery: no router has forwarded it (RFC 4861 section 7.1)."""

LD_WORD, LD_HALF, LD_BYTE = 0x20, 0x28, 0x30
JUMP_EQUAL, RETURN = 0x15, 0x06

Step = tuple[int, int, int, int]
"""An instruction of classic BPF: code, how many to skip when true, how many when false, operand."""


def packet_socket(kind: int, name: str, protocol: int, steps: Sequence[Step]) -> socket.socket:
    """A packet socket on an interface that hears what others send and the filter lets through, and never blocks. `kind` is
    SOCK_RAW where link-layer headers are wanted, else SOCK_DGRAM. Raises OSError (CAP_NET_RAW)."""
    packets = socket.socket(socket.AF_PACKET, kind | socket.SOCK_NONBLOCK, 0)
    try:
        packets.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        attach_filter(packets, steps)
        packets.bind((name, protocol))
    except OSError:
        packets.close()
        raise
    return packets


def attach_filter(packets: socket.socket, steps: Sequence[Step]) -> None:
    """Let through what these instructions let through, instead of what others did before. Raises OSError."""
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    packets.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(steps), ctypes.addressof(program)))


def hear_all_groups(packets: socket.socket, interface: int, *, hear: bool = True) -> None:
    """Let all multicast of a link through its network card, also for groups that nobody here is in, or no longer. Raises
    OSError."""
    change = PACKET_ADD_MEMBERSHIP if hear else PACKET_DROP_MEMBERSHIP
    packets.setsockopt(SOL_PACKET, change, struct.pack("@iHH8x", interface, PACKET_MR_ALLMULTI, 0))


def group_address(address: bytes) -> bytes:
    """The Ethernet address of a multicast group (RFC 2464 section 7)."""
    return b"\x33\x33" + address[12:]


def discovery_frame(to: bytes, sender: bytes, source: bytes, destination: bytes, message: Icmpv6Message) -> bytes:
    """A message of Neighbor Discovery in an Ethernet frame between two link-layer addresses."""
    payload = encode_icmpv6(message, source, destination)
    header = struct.pack("!IHBB", 6 << 28, len(payload), NextHeader.ICMPV6, HOP_LIMIT) + source + destination
    return to + sender + ETH_P_IPV6.to_bytes(2, "big") + header + payload


def send_frame(packets: socket.socket, frame: bytes) -> bool:
    """Send a frame on the link that a socket is bound to; False when the link is down or has gone, or its queue is full, which
    is as if the frame had been lost on the way."""
    for _ in range(2):  # that the interface was down before is told once, by an error that means nothing any more
        try:
            packets.send(frame)
        except OSError:
            continue
        return True
    return False
