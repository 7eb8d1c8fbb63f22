# SPDX-License-Identifier: Apache-2.0
"""Mobility Headers behind extension headers: Binding Updates with a Home Address option, and what comes to a mobile node by a
type 2 routing header (RFC 6275 sections 6.3 and 6.4); and Multicast Listener Discovery in tunnels (section 10.4.3).

A kernel without Mobile IPv6 answers such packets with Parameter Problem, one with it takes part itself. So they are heard on
a packet socket, ahead of the stack, and sent whole; the data plane keeps them from the stack (`forwarding`).

Always holds: only packets for our addresses reach this process, and of these only such as have a destination options or
routing header, right behind the IPv6 header or behind hop-by-hop options, or in a tunnel a packet for a group that begins
with hop-by-hop options; nothing that is heard here is also heard on the
Mobility Header socket.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Sequence

from halma.netio.batch import SendBatch
from halma.netio.packet_socket import (
    ETH_P_ALL,
    ETH_P_IPV6,
    JUMP_EQUAL,
    LD_BYTE,
    LD_WORD,
    PACKET_IGNORE_OUTGOING,
    RETURN,
    SOL_PACKET,
    Step,
    attach_filter,
)
from halma.wire.addresses import MULTICAST
from halma.wire.numbers import NextHeader

SO_RCVBUFFORCE, SO_BINDTOIFINDEX = 33, 62
RECEIVE_BUFFER = 1 << 24
LONGEST = 4096
"""Octets of a packet that are read: a Mobility Header has at most 2048."""
BURST = 64
"""Packets that are taken before the event loop has its turn."""

_PROTOCOL = 0xFFFFF000 + 0
"""SKF_AD_OFF + SKF_AD_PROTOCOL: what the frame carries."""
_PACKET_TYPE = 0xFFFFF000 + 4
"""SKF_AD_OFF + SKF_AD_PKTTYPE: whom the frame was for; 0 is us."""
_NEXT_HEADER, _DESTINATION = 6, 24
_HEADER = 40
"""Where what follows the IPv6 header begins: an extension header with the next header's number, or the packet in a tunnel."""
_OPTIONS, _ROUTING = int(NextHeader.DESTINATION_OPTIONS), int(NextHeader.ROUTING)


def packet_filter(addresses: Sequence[bytes]) -> list[Step]:
    """Takes a packet that was sent to this machine, is for one of `addresses`, and begins with one of the two extension
    headers, or with hop-by-hop options and then one of them, or has in it a packet for a group that begins with hop-by-hop
    options."""
    steps: list[Step] = [
        (LD_WORD, 0, 0, _PROTOCOL),
        (JUMP_EQUAL, 1, 0, ETH_P_IPV6),
        (RETURN, 0, 0, 0),
        (LD_BYTE, 0, 0, _PACKET_TYPE),
        (JUMP_EQUAL, 1, 0, 0),
        (RETURN, 0, 0, 0),
        (LD_BYTE, 0, 0, _NEXT_HEADER),
        (JUMP_EQUAL, 11, 0, _OPTIONS),
        (JUMP_EQUAL, 10, 0, _ROUTING),
        (JUMP_EQUAL, 0, 3, NextHeader.HOP_BY_HOP),
        (LD_BYTE, 0, 0, _HEADER),
        (JUMP_EQUAL, 7, 0, _OPTIONS),
        (JUMP_EQUAL, 6, 5, _ROUTING),
        (JUMP_EQUAL, 0, 4, NextHeader.IPV6),
        (LD_BYTE, 0, 0, _HEADER + _NEXT_HEADER),
        (JUMP_EQUAL, 0, 2, NextHeader.HOP_BY_HOP),
        (LD_BYTE, 0, 0, _HEADER + _DESTINATION),
        (JUMP_EQUAL, 1, 0, MULTICAST),
        (RETURN, 0, 0, 0),
    ]
    for address in addresses:
        words = struct.unpack("!4I", address)
        for i, word in enumerate(words):
            steps.append((LD_WORD, 0, 0, _DESTINATION + 4 * i))
            steps.append((JUMP_EQUAL, 0, 2 * (len(words) - i) - 1, word))
        steps.append((RETURN, 0, 0, LONGEST))
    steps.append((RETURN, 0, 0, 0))
    return steps


class SignallingSocket:
    """IPv6 packets with extension headers in and out. Raises OSError when it cannot be opened (CAP_NET_RAW)."""

    def __init__(self, addresses: Iterable[bytes]) -> None:
        kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
        self._packets = socket.socket(socket.AF_PACKET, kind, socket.htons(ETH_P_ALL))
        self._raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_RAW)
        self._send = SendBatch()
        # Else the kernel copies every packet that leaves this machine, forwarded ones too, for the filter to refuse it.
        self._packets.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        try:
            self._packets.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
        except PermissionError:
            self._packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self.listen_for(tuple(addresses))
        while self.receive():  # what came in before the filter was there
            pass

    def fileno(self) -> int:
        """The descriptor, for the event loop."""
        return self._packets.fileno()

    def listen_for(self, addresses: Sequence[bytes]) -> None:
        """Our addresses are these from now on (a mobile node's care-of address comes and goes)."""
        attach_filter(self._packets, packet_filter(addresses))

    def receive(self) -> list[bytes]:
        """The packets that wait, from the IPv6 header on, `BURST` at the most. Never blocks; raises OSError."""
        packets = []
        for _ in range(BURST):
            try:
                packets.append(self._packets.recv(LONGEST))
            except BlockingIOError:
                break
        return packets

    def send(self, packets: Sequence[tuple[bytes, bytes, bytes]], interface: int = 0) -> list[tuple[int, int]]:
        """Send (source, destination, whole packet) each, on an interface where one is given. Gives (index, errno) of those that
        were refused. Raises OSError when there is no such interface."""
        if not interface:
            return self._send.send(self._raw.fileno(), packets)
        self._raw.setsockopt(socket.SOL_SOCKET, SO_BINDTOIFINDEX, interface)  # else a route to a home address leads elsewhere
        try:
            return self._send.send(self._raw.fileno(), packets)
        finally:
            self._raw.setsockopt(socket.SOL_SOCKET, SO_BINDTOIFINDEX, 0)

    def close(self) -> None:
        """Give the sockets back."""
        self._packets.close()
        self._raw.close()
