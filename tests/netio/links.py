# SPDX-License-Identifier: Apache-2.0
"""A gateway's end and a node's end of one veth pair, each in its own namespace."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import socket
from collections.abc import Callable, Iterator

from tests.conftest import run_ip

NODE = bytes.fromhex("020000000101")
NODE_ADDRESS = bytes.fromhex("fe8000000000000000000000000000aa")
GATEWAY_LINK_LAYER = bytes.fromhex("00005e005213")
GATEWAY_ADDRESS = bytes.fromhex("fe8000000000000002005efffe005213")
CLONE_NEWNET = 0x40000000
ETH_P_ALL = 3

_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Sockets that are made here belong to the namespace."""
    before = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if _libc.setns(there, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        yield
    finally:
        _libc.setns(before, CLONE_NEWNET)
        os.close(before)
        os.close(there)


class Pair:
    """`ap0` in the gateway's namespace, down; `eth0` in the node's, up as far as it can be, spoken to with raw frames."""

    def __init__(self, namespace: Callable[[str], str]) -> None:
        self.gateway, self.node = namespace("gateway"), namespace("node")
        run_ip("-n", self.gateway, "link", "add", "ap0", "type", "veth", "peer", "name", "eth0", "netns", self.node)
        run_ip("-n", self.node, "link", "set", "eth0", "addrgenmode", "none")
        run_ip("-n", self.node, "link", "set", "eth0", "address", NODE.hex(":"), "up")
        with inside(self.gateway):
            self.index = socket.if_nametoindex("ap0")
        with inside(self.node):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self.socket.bind(("eth0", ETH_P_ALL))
            self.socket.setblocking(False)

    def up(self) -> None:
        """The gateway's end comes up, and the node's kernel has noticed: until then it loses what is sent."""
        run_ip("-n", self.gateway, "link", "set", "ap0", "up")
        for _ in range(500):
            if "state UP" in run_ip("-n", self.node, "link", "show", "eth0"):
                return
        raise AssertionError("the node's end does not come up")

    def say(self, payload: bytes, next_header: int = 17, sender: bytes = NODE, source: bytes = NODE_ADDRESS) -> None:
        """The node sends an IPv6 frame."""
        header = b"\x60\0\0\0" + len(payload).to_bytes(2, "big") + bytes([next_header, 255]) + source + GATEWAY_ADDRESS
        self.socket.send(GATEWAY_LINK_LAYER + sender + b"\x86\xdd" + header + payload)

    def heard(self, wanted: int) -> list[bytes]:
        """The first frames that the node hears from the gateway's link-layer address."""
        frames: list[bytes] = []
        while len(frames) < wanted:
            readable, _, _ = select.select([self.socket], [], [], 5)
            assert readable, f"heard {len(frames)} of {wanted} frames"
            frame = self.socket.recv(2000)
            if frame[6:12] == GATEWAY_LINK_LAYER:
                frames.append(frame)
        return frames

    def close(self) -> None:
        """Give the socket back."""
        self.socket.close()
