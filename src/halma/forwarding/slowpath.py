# SPDX-License-Identifier: Apache-2.0
"""What a plane does in user space: a thread that reads the tunnel device and the tunnel packets that no program took.

For the BPF planes these are the rare cases: no binding (Destination Unreachable), too big for one tunnel (Packet Too Big),
small packets on a path of less than 1320 bytes (fragmented outside, RFC 2473 section 7.1) and their reassembly, ICMPv6
errors that routers in the tunnel's path send us (RFC 2473 section 8), and changes of routes. For the TUN plane it is all.

Always holds: no packet goes out bare, and none comes in but from the far end of the tunnel that its inner address is bound to.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Protocol

from halma.engine.api import Tunnel
from halma.forwarding import offload, tunnelling
from halma.forwarding.checks import MINIMUM_MTU, inner_mtu
from halma.forwarding.group_port import GroupPort, link_mtu
from halma.forwarding.listeners import Listeners
from halma.forwarding.plane import PlaneSettings, Side
from halma.forwarding.rtnetlink import change_listener
from halma.forwarding.tables import Tables, TunnelRecord
from halma.wire.addresses import MULTICAST

NEXT_HOP_LIFETIME = 5.0
"""Seconds for which the programs remember the way to a next hop at the most: the kernel tells nobody when a Router
Advertisement changes the MTU of a link."""
PATH_MTU_LIFETIME = 600.0
"""Seconds after which a learnt path MTU is forgotten (RFC 8201 section 4)."""

_ERRORS_PER_SECOND, _BURST = 500.0, 100.0
_BUDGET = 64  # packets read from one descriptor before the others have their turn
_IPV6_HDRINCL, _IPV6_RECVERR = 36, 25
_MSG_ERRQUEUE = 0x2000
_SO_RCVBUFFORCE, _RECEIVE_BUFFER = 33, 4 << 20
_RULE_MESSAGES = (32, 33)
_ORIGIN_ICMPV6 = 3


class Owner(Protocol):
    """What the slow path needs of the plane that it works for."""

    settings: PlaneSettings
    software: bool
    on_path_mtu: Callable[[Tunnel, int], None] | None

    def set_path_mtu(self, tunnel: Tunnel, mtu: int) -> None:
        """See Plane."""

    def routes_changed(self) -> None:
        """See Plane."""

    def rules_changed(self) -> None:
        """Routing rules have changed."""


def _raw_socket(protocol: int) -> socket.socket:
    return socket.socket(socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)


class SlowPath:
    """The thread and its sockets."""

    def __init__(
        self,
        owner: Owner,
        tables: Tables,
        listeners: Listeners,
        device: int,
        *,
        hop_limit_is_done: bool,
        group_port: GroupPort | None = None,
    ) -> None:
        """`device` is the descriptor of the tunnel device; `hop_limit_is_done` says that the kernel has forwarded what is read
        from it; `group_port` is where groups' packets are to be fetched from and brought to. Raises OSError."""
        self._owner, self._tables, self._listeners, self._device = owner, tables, listeners, device
        self._group_port = group_port
        self.reports_allowed = False
        """Whether a mobile node's reports of groups may go into its tunnel, as far as they come here."""
        self._at_anchor = owner.settings.side is Side.ANCHOR
        self._hop_limit_is_done = hop_limit_is_done
        self.counters: dict[str, int] = {}
        self._learnt: dict[Tunnel, float] = {}
        self._forgotten = time.monotonic()
        self._tokens, self._refilled = _BURST, time.monotonic()
        self._identification = int.from_bytes(os.urandom(4), "big")
        self._stopping = False
        with contextlib.ExitStack() as undo:
            self._raw = undo.enter_context(_raw_socket(socket.IPPROTO_RAW))
            self._raw.setsockopt(socket.IPPROTO_IPV6, _IPV6_HDRINCL, 1)
            self._icmp = undo.enter_context(_raw_socket(socket.IPPROTO_ICMPV6))
            self._icmp.setsockopt(socket.IPPROTO_ICMPV6, 1, bytes([255] * 32))  # ICMP6_FILTER: it only sends
            self._tunnel = undo.enter_context(_raw_socket(tunnelling.IPV6))
            for option in (socket.IPV6_RECVPKTINFO, socket.IPV6_RECVTCLASS, _IPV6_RECVERR):
                self._tunnel.setsockopt(socket.IPPROTO_IPV6, option, 1)
            with contextlib.suppress(OSError):
                self._tunnel.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
            self._changes = undo.enter_context(change_listener())
            self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            undo.callback(os.close, self._wake_read)
            undo.callback(os.close, self._wake_write)
            self._undo = undo.pop_all()
        self._thread = threading.Thread(target=self._run, name="halma-slow-path", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the thread and close the sockets."""
        self._stopping = True
        os.write(self._wake_write, b"x")
        self._thread.join()
        self._undo.close()

    # ---- the thread ----

    def _run(self) -> None:
        poll = select.poll()
        readers: dict[int, Callable[[], None]] = {
            self._device: self._read_device,
            self._tunnel.fileno(): self._read_tunnel,
            self._changes.fileno(): self._read_changes,
        }
        if self._group_port is not None:
            readers[self._group_port.fileno()] = self._read_group_port
        for descriptor in (*readers, self._wake_read):
            poll.register(descriptor, select.POLLIN)
        while not self._stopping:
            ready = poll.poll(self._timeout())
            for descriptor, events in ready:
                reader = readers.get(descriptor)
                if reader is None:
                    continue
                if descriptor == self._tunnel.fileno() and events & select.POLLERR:
                    self._read_errors()
                if descriptor == self._device and events & (select.POLLERR | select.POLLHUP):
                    poll.unregister(descriptor)
                    continue
                with contextlib.suppress(BlockingIOError, InterruptedError):
                    reader()
            self._forget_old_mtus()
            self._forget_next_hops()

    def _timeout(self) -> float:
        """Milliseconds until something is to be forgotten."""
        return max(0.0, min((self._forgotten + NEXT_HOP_LIFETIME, *self._learnt.values())) - time.monotonic()) * 1000 + 1

    def _count(self, name: str) -> None:
        self.counters[name] = self.counters.get(name, 0) + 1

    # ---- towards the far end ----

    def _read_device(self) -> None:
        for _ in range(_BUDGET):
            try:
                self.outbound(os.read(self._device, 65536))
            except OSError as error:
                if error.errno in (errno.EIO, errno.EBADFD):  # the interface is down or gone
                    time.sleep(0.01)
                raise BlockingIOError from error

    def outbound(self, packet: bytes) -> None:
        """A packet from the tunnel device: into its tunnel, or answered."""
        if tunnelling.total_length(packet) is None:
            return
        source, destination = packet[8:24], packet[24:40]
        if destination[0] == MULTICAST:
            self._outbound_to_group(packet)
        elif (record := self._narrow_tunnel_around(packet)) is not None:
            self._send(packet[tunnelling.HEADER :], record)
        elif source[:2] != tunnelling.LINK_LOCAL and source != bytes(16):
            self._into_tunnel(packet, self._tables.record_to(destination if self._at_anchor else source))

    def _narrow_tunnel_around(self, packet: bytes) -> TunnelRecord | None:
        """At an anchor: the tunnel of a listener whose copy of a group's packet a program has put its header around, since only
        here it can be cut for a narrow path. None for what a program would have taken."""
        if not self._at_anchor or packet[6] != tunnelling.IPV6:
            return None
        record = self._tables.tunnels().get(Tunnel(packet[8:24], packet[24:40]))
        return record if record is not None and len(packet) > record.mtu else None

    def _outbound_to_group(self, packet: bytes) -> None:
        """At a mobile node: what it sends to groups that are not of the link, and its reports (RFC 6275 section 11.3.4). At an
        anchor these are copies that a program found too big for a tunnel, or for the link that groups go to."""
        source, group = packet[8:24], packet[24:40]
        if self._at_anchor:
            records = self._listening(group)
            if self._is_too_big_for_group(packet, [inner_mtu(record.mtu) for record in records]):
                return
            if not self._owner.software:
                for record in records:
                    self._path_is_narrower(record.tunnel, packet)  # or the BPF program would have taken it
        elif self._owner.settings.side is Side.GATEWAY:
            return
        elif tunnelling.is_listener_message(packet, tunnelling.LISTENER_REPORTS):
            if self.reports_allowed:
                self._into_tunnel(packet, self._tables.record_to(self._owner.settings.prefixes[0][0]))
        elif tunnelling.leaves_its_link(group) and source[:2] != tunnelling.LINK_LOCAL and source != bytes(16):
            self._into_tunnel(packet, self._tables.record_to(source))

    def _is_too_big_for_group(self, packet: bytes, mtus: list[int]) -> bool:
        """Whether a packet is too big for one of these, or for the link that groups go to; its sender is told then."""
        with contextlib.suppress(OSError):  # the interface has gone
            mtus = [*mtus, link_mtu(self._owner.settings.multicast_interface)]
        if not mtus or len(packet) <= min(mtus):
            return False
        self._answer(tunnelling.PACKET_TOO_BIG, 0, min(mtus), packet)
        return True

    def _listening(self, group: bytes) -> list[TunnelRecord]:
        """The tunnels of those who listen to a group."""
        records = [self._tables.record_to(home_address) for home_address in self._listeners.of(group)]
        return [record for record in records if record is not None and not self._tables.is_nothing(record)]

    def _read_group_port(self) -> None:
        assert self._group_port is not None
        for _ in range(_BUDGET):
            try:
                packet = self._group_port.receive()
            except OSError:
                return  # none waits; or the interface has gone down, which is told once
            length = tunnelling.total_length(packet)
            if length is not None and tunnelling.may_be_forwarded(packet):
                for piece in offload.finished(packet[:length]):
                    self.to_listeners(piece, None)

    def to_listeners(self, packet: bytes, sender: Tunnel | None) -> None:
        """A packet for a group, that came from the network or by the tunnel of a mobile node: a copy for each other node that
        listens to it."""
        for record in self._listening(packet[24:40]):
            if record.tunnel != sender:
                self._into_tunnel(tunnelling.less_hop_limit(packet), record)

    def _into_tunnel(self, packet: bytes, record: TunnelRecord | None) -> None:
        if record is None:
            if self._at_anchor:
                self._count_if_first("passed_unbound")
                self._answer(tunnelling.DESTINATION_UNREACHABLE, tunnelling.NO_ROUTE, 0, packet)
            else:
                self._count("dropped_wrong_inner_source")
            return
        if self._tables.is_nothing(record):
            self._count("dropped_bound_to_nothing")
            return
        if not self._hop_limit_is_done and packet[7] <= 1:
            self._answer(tunnelling.TIME_EXCEEDED, 0, 0, packet)
            return
        if not self._owner.software and len(packet) + tunnelling.HEADER <= record.mtu:
            self._path_is_narrower(record.tunnel, packet)  # or the BPF program would have taken it
            if len(packet) > inner_mtu(record.mtu):
                return  # as its sender was told
        if len(packet) > inner_mtu(record.mtu):
            self._count_if_first("passed_too_big")
            self._answer(tunnelling.PACKET_TOO_BIG, 0, inner_mtu(record.mtu), packet)
            return
        if not self._hop_limit_is_done:
            packet = tunnelling.less_hop_limit(packet)
        self._send(packet, record)

    def _count_if_first(self, name: str) -> None:
        """Count what the BPF programs have counted already where there are any."""
        if self._owner.software:
            self._count(name)

    def _send(self, inner: bytes, record: TunnelRecord) -> None:
        tunnel, options = record.tunnel, []
        if self._owner.settings.side is Side.NODE:  # its routing rules look at the source of what is still to be routed
            options = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, tunnel.local + bytes(4))]
        whole = tunnelling.encapsulate(inner, tunnel.local, tunnel.remote)
        self._identification = (self._identification + 1) & 0xFFFFFFFF
        for packet in tunnelling.fragments(whole, max(MINIMUM_MTU, record.mtu), self._identification):
            try:
                self._raw.sendmsg([packet], options, 0, record.destination)
            except OSError as error:
                self._count("error")
                if error.errno == errno.EMSGSIZE:
                    self._path_is_narrower(tunnel, inner)
                return
        self._count("encapsulated")

    def _path_is_narrower(self, tunnel: Tunnel, inner: bytes) -> None:
        """The first link is narrower than the path MTU that we were told: learn its MTU, which is the kernel's for the link and
        may be less than the interface's (RFC 4861 section 6.3.4)."""
        with contextlib.suppress(OSError), contextlib.closing(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)) as probe:
            probe.bind((socket.inet_ntop(socket.AF_INET6, tunnel.local), 0))  # what is ours may be routed by its source
            probe.connect((socket.inet_ntop(socket.AF_INET6, tunnel.remote), 9))
            self._learn(tunnel, probe.getsockopt(socket.IPPROTO_IPV6, 24), inner)  # IPV6_MTU

    def _answer(self, kind: int, code: int, value: int, about: bytes) -> None:
        """Send an ICMPv6 error to the source of a packet, within a rate (RFC 4443 section 2.4 (f))."""
        if not tunnelling.may_be_answered(about, kind):
            return
        now = time.monotonic()
        self._tokens = min(_BURST, self._tokens + (now - self._refilled) * _ERRORS_PER_SECOND)
        self._refilled = now
        if self._tokens < 1:
            return
        self._tokens -= 1
        with contextlib.suppress(OSError):
            target = socket.inet_ntop(socket.AF_INET6, about[8:24])
            self._icmp.sendto(tunnelling.error_message(kind, code, value, about), (target, 0))

    # ---- from the far end ----

    def _read_tunnel(self) -> None:
        for _ in range(_BUDGET):
            try:
                inner, ancillary, _, address = self._tunnel.recvmsg(65536, 128)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # an ICMPv6 error has come since the last were read: it is in their queue, and read there
            local, traffic_class = b"", 0
            for level, kind, data in ancillary:
                if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
                    local = data[:16]
                elif level == socket.IPPROTO_IPV6 and kind == socket.IPV6_TCLASS:
                    traffic_class = struct.unpack("=i", data[:4])[0]
            self.inbound(inner, Tunnel(local, socket.inet_pton(socket.AF_INET6, address[0].partition("%")[0])), traffic_class)

    def inbound(self, inner: bytes, tunnel: Tunnel, traffic_class: int) -> None:
        """What came in a tunnel: to the stack, as from the tunnel device, or dropped and counted."""
        at_node = self._owner.settings.side is Side.NODE
        if not at_node and tunnel.local not in self._owner.settings.addresses:
            return
        length = tunnelling.total_length(inner)
        if length is None:
            self._count("dropped_malformed")
            return
        to_group = inner[24] == MULTICAST
        if self._at_anchor and tunnelling.is_listener_message(inner):
            return  # the engine has heard it ahead of us
        address = (
            inner[8:24] if self._at_anchor else self._owner.settings.prefixes[0][0] if at_node and to_group else inner[24:40]
        )
        records = self._tables.records_from(address)
        if at_node and all(record.tunnel.local != tunnel.local for record in records):
            return  # not the reverse tunnel's
        if not records:
            self._count("dropped_unknown_inner")
        elif all(record.tunnel != tunnel for record in records):
            nothing = self._tables.is_nothing(records[0])
            self._count("dropped_bound_to_nothing" if nothing else "dropped_wrong_outer_source")
        else:
            packet = tunnelling.congestion(inner[:length], traffic_class)
            if packet is None:
                self._count("dropped_congestion_mark")
                return
            if to_group and not self._takes_group(packet):
                self._count("dropped_group")
                return
            self._count("decapsulated")
            for piece in offload.finished(packet):
                if to_group and self._at_anchor:
                    self._forward_to_group(piece, tunnel)
                else:
                    with contextlib.suppress(OSError):
                        os.write(self._device, piece)

    def _takes_group(self, packet: bytes) -> bool:
        """Whether a packet for a group that came out of a tunnel may go on, or at a mobile node be taken."""
        if self._at_anchor:
            return self._group_port is not None and tunnelling.may_be_forwarded(packet)
        return tunnelling.leaves_its_link(packet[24:40]) or tunnelling.is_listener_message(packet)

    def _forward_to_group(self, packet: bytes, sender: Tunnel) -> None:
        """What a mobile node sends to a group goes to the network that groups come from, and to the others."""
        assert self._group_port is not None
        if not self._group_port.send(tunnelling.less_hop_limit(packet)):
            self._is_too_big_for_group(packet, [])
        self.to_listeners(packet, sender)

    # ---- errors about tunnel packets (RFC 2473 section 8) ----

    def _read_errors(self) -> None:
        for _ in range(_BUDGET):
            try:
                inner, ancillary, _, address = self._tunnel.recvmsg(65536, 256, _MSG_ERRQUEUE)
            except OSError:
                return
            for level, kind, data in ancillary:
                if level == socket.IPPROTO_IPV6 and kind == _IPV6_RECVERR and len(data) >= 16:
                    _, origin, icmp_type, _, _, information, _ = struct.unpack_from("=IBBBBII", data)
                    if origin == _ORIGIN_ICMPV6:
                        remote = socket.inet_pton(socket.AF_INET6, address[0].partition("%")[0])
                        self.outer_error(remote, icmp_type, information, inner)

    def outer_error(self, remote: bytes, icmp_type: int, information: int, inner: bytes) -> None:
        """An ICMPv6 error about a tunnel packet to `remote`; `inner` is what it quotes of the inner packet."""
        if len(inner) < tunnelling.HEADER or inner[0] >> 4 != 6:
            return
        address = inner[24:40] if self._at_anchor else inner[8:24]
        to_group = address[0] == MULTICAST
        records = self._listening(address) if to_group else self._tables.records_from(address)
        record = next((held for held in records if held.tunnel.remote == remote), None)
        if record is None:
            return
        if icmp_type == tunnelling.PACKET_TOO_BIG:
            self._learn(record.tunnel, information, inner)
        elif icmp_type < 128:
            self._answer(tunnelling.DESTINATION_UNREACHABLE, tunnelling.ADDRESS_UNREACHABLE, 0, inner)

    def _learn(self, tunnel: Tunnel, mtu: int, inner: bytes) -> None:
        record = self._tables.tunnels().get(tunnel)
        mtu = max(MINIMUM_MTU, mtu)
        if record is None or mtu >= record.mtu:
            return
        self._learnt[tunnel] = time.monotonic() + PATH_MTU_LIFETIME
        self._owner.set_path_mtu(tunnel, mtu)
        if self._owner.on_path_mtu is not None:
            self._owner.on_path_mtu(tunnel, mtu)
        if tunnelling.HEADER + int.from_bytes(inner[4:6], "big") > inner_mtu(mtu):
            self._answer(tunnelling.PACKET_TOO_BIG, 0, inner_mtu(mtu), inner)

    def _forget_next_hops(self) -> None:
        if time.monotonic() >= self._forgotten + NEXT_HOP_LIFETIME:
            self._forgotten = time.monotonic()
            self._owner.routes_changed()

    def _forget_old_mtus(self) -> None:
        now = time.monotonic()
        for tunnel in [tunnel for tunnel, until in self._learnt.items() if until <= now]:
            del self._learnt[tunnel]
            self._owner.set_path_mtu(tunnel, self._owner.settings.path_mtu)
            if self._owner.on_path_mtu is not None:
                self._owner.on_path_mtu(tunnel, self._owner.settings.path_mtu)

    # ---- routes ----

    def _read_changes(self) -> None:
        rules = False
        try:
            while True:
                data = self._changes.recv(65536)
                rules = rules or struct.unpack_from("=H", data, 4)[0] in _RULE_MESSAGES
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # some were lost: all the more reason
                raise
            rules = True
        if rules:
            self._owner.rules_changed()
        else:
            self._owner.routes_changed()
