# SPDX-License-Identifier: Apache-2.0
"""Many datagrams a system call: recvmmsg(2) and sendmmsg(2) for IPv6 sockets, by ctypes.

The kernel's structures are laid out once, over buffers that live as long as the batch; the lengths and addresses that change
from call to call are read and written through memoryviews, not through ctypes attributes.

Always holds: nothing here knows a protocol; a batch belongs to one socket and one direction.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from array import array
from collections.abc import Sequence

MESSAGES = 64
"""Datagrams in one system call at the most."""
SIZE = 2048
"""Octets kept of a datagram: the longest Mobility Header there can be (RFC 6275 section 6.1.1: 255 units of 8, and 8)."""
NAME = 28
"""sizeof(struct sockaddr_in6)."""
CONTROL = 40
"""CMSG_SPACE(sizeof(struct in6_pktinfo))."""
CONTROL_HEADER = 16
"""sizeof(struct cmsghdr)."""

IN6_PKTINFO = 20
"""sizeof(struct in6_pktinfo)."""

_PLACES = tuple(
    (
        slice(i * NAME + 8, i * NAME + 24),
        slice(i * CONTROL + CONTROL_HEADER, i * CONTROL + CONTROL_HEADER + 16),
        i * SIZE,
    )
    for i in range(MESSAGES)
)
"""For each message of a batch: where the peer's address is among the names, ours among the controls, and the data begin."""

_libc = ctypes.CDLL(None, use_errno=True)


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("iovec", ctypes.c_void_p),
        ("iovec_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Mmsghdr(ctypes.Structure):
    _fields_ = (("header", _Msghdr), ("length", ctypes.c_uint32))


class _Batch:
    """The buffers of one direction: data, socket addresses, and one control message of type IPV6_PKTINFO each."""

    def __init__(self) -> None:
        self._data = bytearray(MESSAGES * SIZE)
        self._names = bytearray(MESSAGES * NAME)
        self._controls = bytearray(MESSAGES * CONTROL)
        data, names, controls = (
            ctypes.addressof(ctypes.c_char.from_buffer(buffer)) for buffer in (self._data, self._names, self._controls)
        )
        self._iovecs = (_Iovec * MESSAGES)(*(_Iovec(data + i * SIZE, SIZE) for i in range(MESSAGES)))
        iovecs = ctypes.addressof(self._iovecs)
        step = ctypes.sizeof(_Iovec)
        self._headers = (_Mmsghdr * MESSAGES)(
            *(
                _Mmsghdr(_Msghdr(names + i * NAME, NAME, iovecs + i * step, 1, controls + i * CONTROL, CONTROL, 0), 0)
                for i in range(MESSAGES)
            )
        )
        self._iovec_lengths = memoryview(self._iovecs).cast("B").cast("L")[1::2]
        words = memoryview(self._headers).cast("B").cast("I")
        self._lengths = words[_Mmsghdr.length.offset // 4 :: ctypes.sizeof(_Mmsghdr) // 4]


class ReceiveBatch(_Batch):
    """Datagrams that come in on a raw socket with IPV6_RECVPKTINFO set."""

    def __init__(self) -> None:
        super().__init__()
        self._pristine = bytes(self._headers)
        self._header_bytes = memoryview(self._headers).cast("B")
        self._data_view = memoryview(self._data)

    def receive(self, descriptor: int) -> list[tuple[bytes, bytes, bytes]]:
        """(source, destination, data) of what is waiting now, `MESSAGES` at the most; none when nothing waits. Raises
        OSError."""
        self._header_bytes[:] = self._pristine
        count = _libc.recvmmsg(descriptor, self._headers, MESSAGES, socket.MSG_DONTWAIT, None)
        if count < 0:
            error = ctypes.get_errno()
            if error in (errno.EAGAIN, errno.EINTR):
                return []
            raise OSError(error, os.strerror(error))
        names, controls, data = bytes(self._names), bytes(self._controls), self._data_view
        return [
            (names[peer], controls[ours], data[start : start + length].tobytes())
            for (peer, ours, start), length in zip(_PLACES, self._lengths[:count].tolist(), strict=False)
        ]


class SendBatch(_Batch):
    """Datagrams that go out from chosen source addresses."""

    def __init__(self) -> None:
        super().__init__()
        header = struct.pack("@Nii", CONTROL_HEADER + IN6_PKTINFO, socket.IPPROTO_IPV6, socket.IPV6_PKTINFO)
        family = struct.pack("@H", socket.AF_INET6)
        for i in range(MESSAGES):
            self._controls[i * CONTROL : i * CONTROL + CONTROL_HEADER] = header
            self._names[i * NAME : i * NAME + 2] = family

    def send(self, descriptor: int, datagrams: Sequence[tuple[bytes, bytes, bytes]]) -> list[tuple[int, int]]:
        """Send (source, destination, data) each, in order. Gives (index, errno) of those that the kernel refused."""
        refused: list[tuple[int, int]] = []
        for start in range(0, len(datagrams), MESSAGES):
            self._fill(datagrams[start : start + MESSAGES])
            self._flush(descriptor, start, min(MESSAGES, len(datagrams) - start), refused)
        return refused

    def _fill(self, datagrams: Sequence[tuple[bytes, bytes, bytes]]) -> None:
        data, names, controls = self._data, self._names, self._controls
        lengths = array("L")
        for (peer, ours, start), (source, destination, octets) in zip(_PLACES, datagrams, strict=False):
            length = len(octets)
            lengths.append(length)
            data[start : start + length] = octets
            names[peer] = destination
            controls[ours] = source
        self._iovec_lengths[: len(lengths)] = memoryview(lengths)

    def _flush(self, descriptor: int, start: int, count: int, refused: list[tuple[int, int]]) -> None:
        """sendmmsg stops at the first datagram that is refused: it is noted, and the rest goes on behind it."""
        done = 0
        size = ctypes.sizeof(_Mmsghdr)
        while done < count:
            sent = _libc.sendmmsg(descriptor, ctypes.byref(self._headers, done * size), count - done, 0)
            if sent > 0:
                done += sent
            else:
                refused.append((start + done, ctypes.get_errno()))
                done += 1
