# SPDX-License-Identifier: Apache-2.0
"""A topology made real: a network namespace a node, veth pairs and relays between them, all gone at the end.

A lab has an identity of a few letters; its namespaces are `halma-<identity>-<node>` and its directory is
`/run/halma-lab/<identity>`, where a locked file says that the lab lives. Whatever a dead lab has left is found by those names.

Three traps of the kernel are avoided here. Interface indices are given out by the lab, unique over all of its namespaces: a
veth whose own index equals its peer's is taken for a hardware link by the kernel's link watch, which then reports its
carrier up to one second late. Frames that a relay carries come from TAP devices, so that checksums are finished. And a program
that was hooked into an interface by TCX goes along when the interface changes its namespace, and would forward for the old
gateway what the host sends to the new one: a link stays in the air until the old gateway has unhooked what it had there. The
link-layer address that the old gateway gave it does not go along either.

Always holds: after `close` no namespace of the lab exists, and with the namespaces all their interfaces, routes, tables
and rules are gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import signal
import socket
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from halma.forwarding.bpf import AttachType, hooked
from halma.lab.processes import LabError, inside, run
from halma.lab.topology import AccessLink, End, Kind, Link, Topology

RUN = Path("/run/halma-lab")
"""Where labs keep their directories: sockets need short paths, and it is empty again after a boot."""

AIR = "air"
"""The namespace where the far end of an access link hangs while it is at no gateway."""

_PATIENCE = 5.0
"""Seconds in which a gateway must let go of a link that was taken from it."""

_NAMESPACE = re.compile(r"halma-(l[0-9a-f]{5})-[a-z0-9]+")
_FIRST_INDEX = 100

_SYSCTLS = {"net.ipv6.conf.all.disable_ipv6": "0", "net.ipv6.conf.default.disable_ipv6": "0"}
_FORWARDING_SYSCTLS = {"net.ipv6.conf.all.forwarding": "1", "net.ipv6.conf.default.forwarding": "1"}


def namespaces() -> list[str]:
    """The names of all network namespaces of the machine."""
    try:
        return sorted(os.listdir("/run/netns"))
    except FileNotFoundError:
        return []


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Try to lock a file: True inside while it is ours, False when its owner lives."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def alive(identity: str) -> bool:
    """Whether the lab of that identity is held by a living process. One of another user counts as alive: it is theirs."""
    lock = RUN / identity / "lock"
    if not lock.exists():
        return False
    if not os.access(lock, os.R_OK | os.W_OK):
        return True
    with _locked(lock) as ours:
        return not ours


def labs() -> dict[str, bool]:
    """All labs of the machine, by identity, and whether each is alive; a dead one has left something behind."""
    found = {match[1] for name in namespaces() if (match := _NAMESPACE.fullmatch(name))}
    if RUN.is_dir():
        found |= {entry.name for entry in RUN.iterdir() if re.fullmatch(r"l[0-9a-f]{5}", entry.name)}
    return {identity: alive(identity) for identity in sorted(found)}


def remove_remains(identity: str) -> list[str]:
    """Remove what a dead lab has left: the processes in its namespaces (each by its number), the namespaces, its directory.
    What was removed, for a person to read. Raises LabError when the lab is alive."""
    if alive(identity):
        raise LabError(f"lab {identity} is alive")
    names = [name for name in namespaces() if (match := _NAMESPACE.fullmatch(name)) and match[1] == identity]
    removed = [f"process {process}" for process in _end_processes({inode(name) for name in names})]
    for name in names:
        run("ip", "netns", "delete", name)
        removed.append(f"namespace {name}")
    if (RUN / identity).exists():
        shutil.rmtree(RUN / identity)
        removed.append(f"directory {RUN / identity}")
    return removed


def inode(namespace: str) -> int:
    """The number by which the kernel knows a named namespace, 0 where there is none of that name."""
    with contextlib.suppress(FileNotFoundError):
        return os.stat(f"/run/netns/{namespace}").st_ino
    return 0


def processes_in(inodes: Collection[int]) -> list[int]:
    """The processes that are in one of these network namespaces."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if os.stat(f"/proc/{entry}/ns/net").st_ino in inodes:
                    found.append(int(entry))
    return found


def _end_processes(inodes: Collection[int]) -> list[int]:
    """Kill the processes that run in namespaces of ours; their numbers."""
    numbers = processes_in(inodes)
    for number in numbers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    limit = time.monotonic() + 2
    while numbers and processes_in(inodes) and time.monotonic() < limit:
        time.sleep(0.01)
    return numbers


def _far_link_layer_address(access: AccessLink) -> str:
    """What a far end has where nobody has given it another one."""
    return f"06{access.link_layer_address[2:]}"


class Network:
    """The namespaces of one lab. Use it as a context manager, or call `close`."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.identity = f"l{secrets.token_hex(3)[:5]}"
        self.directory = RUN / self.identity
        self.attached: dict[str, str] = {}
        """At which gateway each host is; hosts in the air are missing."""
        self.inodes: set[int] = set()
        """The kernel's numbers of all namespaces that were made; until `release` no others have them, also when the names of
        these have gone."""
        self._held: list[int] = []
        self._index = _FIRST_INDEX
        self._lock = -1

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self.release()

    def namespace(self, node: str) -> str:
        """The name of a node's namespace."""
        return f"halma-{self.identity}-{node}"

    def all_namespaces(self) -> list[str]:
        """The names of all namespaces of this lab, the one in the air included."""
        return [self.namespace(name) for name in (AIR, *(node.name for node in self.topology.nodes))]

    def claim(self) -> None:
        """Make the lab's directory and say that the lab is alive. Raises OSError."""
        RUN.mkdir(mode=0o755, exist_ok=True)
        self.directory.mkdir(mode=0o755)
        self._lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(self._lock, f"{os.getpid()}\n".encode())

    def build_nodes(self) -> None:
        """Make the namespaces. Raises LabError."""
        run("ip", "-batch", "-", text="".join(f"netns add {name}\n" for name in self.all_namespaces()))
        self._held = [os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in self.all_namespaces()]
        self.inodes = {os.fstat(descriptor).st_ino for descriptor in self._held}
        for name in (AIR, *(node.name for node in self.topology.nodes)):
            settings = dict(_SYSCTLS)
            if name != AIR and self.topology.node(name).kind.forwards:
                settings |= _FORWARDING_SYSCTLS
            with inside(self.namespace(name)):
                for key, setting in settings.items():
                    Path("/proc/sys", *key.split(".")).write_text(setting)
            run("ip", "-n", self.namespace(name), "link", "set", "lo", "up")

    def build_links(self) -> None:
        """Make every link whose frames the kernel carries itself. Raises LabError."""
        lines: list[str] = []
        for link in self.topology.links:
            if link.impairment is None:
                left, right = link.ends
                lines.append(
                    f"link add name {left.interface} netns {self.namespace(left.node)} index {self.next_index()} "
                    f"mtu {link.mtu} type veth peer name {right.interface} netns {self.namespace(right.node)} "
                    f"index {self.next_index()} mtu {link.mtu}"
                )
        for access in self.topology.access:
            lines.append(
                f"link add name {access.interface} netns {self.namespace(access.host)} index {self.next_index()} "
                f"address {access.link_layer_address} mtu {access.mtu} type veth peer name {access.far} "
                f"netns {self.namespace(AIR)} index {self.next_index()} mtu {access.mtu}"
            )
        run("ip", "-batch", "-", text="\n".join(lines) + "\n")

    def configure(self) -> None:
        """Give the links' ends their addresses and routes and bring them up; needs the relays' devices. Raises LabError."""
        for node in self.topology.nodes:
            lines = []
            with inside(self.namespace(node.name)):
                for _, end in self.topology.ends_of(node.name):
                    # Neighbours are found at once, not when a link-local address has been tentative for a second.
                    Path(f"/proc/sys/net/ipv6/conf/{end.interface}/accept_dad").write_text("0")
            for _, end in self.topology.ends_of(node.name):
                lines += [f"address add {address} dev {end.interface} nodad" for address in end.addresses]
                lines.append(f"link set {end.interface} up")
            lines += [f"link set {access.interface} up" for access in self.topology.access if access.host == node.name]
            lines += [f"route add {route.destination} via {route.via}" for route in node.routes]
            run("ip", "-n", self.namespace(node.name), "-batch", "-", text="\n".join(lines) + "\n")

    def next_index(self) -> int:
        """An interface index that no interface of this lab has."""
        self._index += 1
        return self._index

    def move(self, host: str, gateway: str | None, patience: float = _PATIENCE) -> None:
        """Take a host's link from where it is through the air to a gateway (or into the air): the far end of its veth pair
        changes its namespace. The host sees its carrier go, and come back when somebody brings the far end up. Raises
        LabError, also when the old gateway has not let go of the link in `patience` seconds."""
        access = self.topology.access_of(host)
        if gateway is not None and self.topology.node(gateway).kind not in {Kind.GATEWAY, Kind.ROUTER}:
            raise LabError(f"{gateway} is not a node that hosts attach to")
        before, after = self.attached.get(host, AIR), gateway or AIR
        if before == after:
            return
        if before != AIR:
            run("ip", "-n", self.namespace(before), "link", "set", access.far, "netns", self.namespace(AIR))
            del self.attached[host]
            if not self._released(access.far, patience):
                raise LabError(f"{before} does not let go of the link of {host}")
        if gateway is not None:
            # Two requests: one that asks for both changes the address when the gateway has seen the interface already.
            own = f"link set {access.far} address {_far_link_layer_address(access)}\n"
            moved = f"link set {access.far} netns {self.namespace(after)}\n"
            run("ip", "-n", self.namespace(AIR), "-batch", "-", text=own + moved)
            self.attached[host] = gateway

    def _released(self, far: str, patience: float) -> bool:
        """Whether no program is hooked into a far end in the air any more: in `patience` seconds, or sooner."""
        limit = time.monotonic() + patience
        with inside(self.namespace(AIR)), contextlib.suppress(OSError):  # a kernel without TCX unhooks programs itself
            index = socket.if_nametoindex(far)
            while any(hooked(index, kind) for kind in (AttachType.TCX_INGRESS, AttachType.TCX_EGRESS)):
                if time.monotonic() > limit:
                    return False
                time.sleep(0.0005)
        return True

    def capture_points(self) -> Iterator[tuple[str, Link | AccessLink, str, str]]:
        """Where to listen: (name of the point, link, node, interface).

        A veth link is heard at one end, at a plain node where there is one, for a BPF program may take frames on the other
        end before a listener sees them. A relayed link is heard at both ends, since they differ.
        """
        for link in self.topology.links:
            if link.impairment is None:
                end = min(link.ends, key=self._plainness)
                yield link.name, link, end.node, end.interface
            else:
                for end in link.ends:
                    yield f"{link.name}@{end.node}", link, end.node, end.interface
        for access in self.topology.access:
            yield access.name, access, access.host, access.interface

    def _plainness(self, end: End) -> int:
        return 1 if self.topology.node(end.node).kind in {Kind.ANCHOR, Kind.GATEWAY} else 0

    def close(self) -> None:
        """Remove every namespace of the lab, ending what runs in them, and the lab's claim. Does nothing the second time."""
        existing = set(namespaces()) & set(self.all_namespaces())
        if existing:
            _end_processes({inode(name) for name in existing})
            run("ip", "-batch", "-", text="".join(f"netns delete {name}\n" for name in sorted(existing)))
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
            shutil.rmtree(self.directory, ignore_errors=True)

    def release(self) -> None:
        """Let the kernel give the numbers of the namespaces to others: nobody looks any more for processes that are left in
        them."""
        while self._held:
            os.close(self._held.pop())
