# SPDX-License-Identifier: Apache-2.0
"""The tunnel device: a TUN interface that the routes of our prefixes lead to, and that user space can read.

With it the kernel itself does what a router has to do for a tunnel (RFC 2473 section 3): routing into it, Packet Too Big by its
MTU, Time Exceeded. It goes, with its routes, when its descriptor is closed or the process dies.

Always holds: the interface exists as long as the object is not closed, is up, and has no address of its own.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import struct
from pathlib import Path

from halma.forwarding.rtnetlink import RouteNetlink

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_NAMES = 64
_QUEUE = 4096  # packets that wait for this process


class TunDevice:
    """A TUN interface of this process."""

    def __init__(self, name: str, mtu: int, netlink: RouteNetlink) -> None:
        """`name` empty takes the first free of mip0, mip1, ... Raises OSError: ENOENT or ENODEV without the driver, EBUSY
        when the name is in use, EPERM without the capability."""
        self.fd = -1
        for candidate in [name] if name else [f"mip{number}" for number in range(_NAMES)]:
            if not name:
                with contextlib.suppress(OSError):
                    socket.if_nametoindex(candidate)
                    continue
            fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", candidate.encode(), _IFF_TUN | _IFF_NO_PI))
            except OSError as error:
                os.close(fd)
                if error.errno in (errno.EBUSY, errno.EEXIST, errno.EINVAL) and not name:
                    continue
                raise
            self.fd, self.name = fd, candidate
            break
        if self.fd < 0:
            raise OSError(errno.EBUSY, "no free name for a tunnel device")
        try:
            self.index = socket.if_nametoindex(self.name)
            for setting, value in (("forwarding", "1"), ("accept_ra", "0"), ("addr_gen_mode", "1")):
                with contextlib.suppress(OSError):
                    Path(f"/proc/sys/net/ipv6/conf/{self.name}/{setting}").write_text(value, encoding="ascii")
            netlink.set_up(self.index, mtu, _QUEUE)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Remove the interface."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
