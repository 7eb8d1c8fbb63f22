# SPDX-License-Identifier: Apache-2.0
"""An access router of the plainest kind: `python -m tests.daemon.advertiser INTERFACE PREFIX` advertises a /64 when the
interface is there, and whenever somebody asks."""

from __future__ import annotations

import socket
import struct
import sys
import time

from halma.text import read_address
from halma.wire.icmpv6 import encode_icmpv6
from halma.wire.nd import PrefixInformation, RouterAdvertisement, SourceLinkLayerAddress

ALL_NODES = read_address("ff02::1")


def main(interface: str, prefix: bytes) -> None:
    """Until killed."""
    heard = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD))
    while True:
        try:
            heard.bind((interface, 0x86DD))
            advertise(heard, prefix)
            while True:
                frame = heard.recv(2048)
                if frame[20] == 58 and frame[54] == 133:
                    advertise(heard, prefix)
        except OSError:  # not there, or down
            time.sleep(0.01)


def advertise(port: socket.socket, prefix: bytes) -> None:
    """To all nodes of the link."""
    own = port.getsockname()[4]
    source = b"\xfe\x80" + bytes(6) + bytes([own[0] ^ 2]) + own[1:3] + b"\xff\xfe" + own[3:]
    options = (SourceLinkLayerAddress(own), PrefixInformation(64, 0xC0, 86400, 14400, prefix))
    message = encode_icmpv6(RouterAdvertisement(64, 0, 1800, 0, 0, options), source, ALL_NODES)
    header = struct.pack("!IHBB", 6 << 28, len(message), 58, 255) + source + ALL_NODES
    port.send(b"\x33\x33\0\0\0\1" + own + b"\x86\xdd" + header + message)


if __name__ == "__main__":
    main(sys.argv[1], read_address(sys.argv[2]))
