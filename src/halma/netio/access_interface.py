# SPDX-License-Identifier: Apache-2.0
"""Making an interface of this machine an access link of the gateway, and giving it back as it was.

RFC 5213 section 6.9.3 and RFC 6543: the same link-layer and link-local address on every access link of the domain. All of it
is done before the interface comes up, so that the node's first question finds an answer.

Always holds: an access interface has no link-local addresses but those that the gateway wants, makes none up, believes no
Router Advertisement, and answers as a router; `restore` undoes what `prepare` did, in this life or in one that was cut short:
how the interface was is handed out to be kept before anything is changed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from halma.netio.netlink import LinkControl, LinkState
from halma.value import value
from halma.wire.addresses import UNSPECIFIED

CONFIGURATION = Path("/proc/sys/net/ipv6/conf")
LINK_LOCAL_LENGTH = 64
SETTINGS = {
    "disable_ipv6": "0",
    "accept_ra": "0",
    "autoconf": "0",
    "accept_redirects": "0",
    "accept_dad": "0",
    "addr_gen_mode": "1",  # none
    "forwarding": "1",
}
"""The kernel's settings of an access interface, in the order in which they are made."""


@value
class Original:
    """How an interface was before it became an access link, and the link-layer address that it was `given` then; `addresses`
    are link-local ones with their prefix lengths."""

    interface: int
    up: bool
    link_layer_address: bytes
    given: bytes
    settings: tuple[tuple[str, str], ...]
    addresses: tuple[tuple[bytes, int], ...]


class AccessInterface:
    """One access interface. `addresses` are the gateway's link-local addresses on it, the first of them the one that is said to
    everybody."""

    def __init__(
        self,
        state: LinkState,
        control: LinkControl,
        former: Original | None = None,
        keep: Callable[[Original], None] = lambda _original: None,
    ) -> None:
        """`former` is what a life before this one has kept of the interface, which it had no time to give back; `keep` writes
        down how it is."""
        self.state = state
        self.addresses: tuple[bytes, ...] = ()
        self.prepared = False
        self._control = control
        self._former = former
        self._keep = keep
        self._original: Original | None = None

    def prepare(self, link_layer_address: bytes, address: bytes) -> None:
        """Make it an access link, all but bringing it up. Raises OSError."""
        index = self.state.interface
        if self._original is None:
            original = self._look(link_layer_address)
            self._keep(original)
            self._original = original
        for name, wanted in SETTINGS.items():
            file = CONFIGURATION / self.state.name / name
            if file.read_text().strip() != wanted:
                file.write_text(wanted)
        if self.state.link_layer_address != link_layer_address:
            self._control.set_link_layer_address(index, link_layer_address)
        for held, length in self._control.link_local_addresses(index):
            if held != address:
                self._control.delete_address(index, held, length)
        self.set_addresses((address,) if address != UNSPECIFIED else ())
        self.prepared = True

    def _look(self, link_layer_address: bytes) -> Original:
        """How the interface was before we changed anything of it: what still is as the former life made it was as that found
        it."""
        index, former = self.state.interface, self._former
        now = {name: (CONFIGURATION / self.state.name / name).read_text().strip() for name in SETTINGS}
        if former is None:
            held = tuple(self._control.link_local_addresses(index))
            before = self.state.link_layer_address
            return Original(index, self.state.up, before, link_layer_address, tuple(now.items()), held)
        found = dict(former.settings)
        was = {name: found.get(name, text) if text == SETTINGS[name] else text for name, text in now.items()}
        before = self.state.link_layer_address
        if before == former.given:
            before = former.link_layer_address
        return Original(index, former.up, before, link_layer_address, tuple(was.items()), former.addresses)

    @property
    def address(self) -> bytes:
        """What is said to everybody comes from here; unspecified when there is no address."""
        return self.addresses[0] if self.addresses else UNSPECIFIED

    def set_addresses(self, addresses: tuple[bytes, ...]) -> None:
        """Use these link-local addresses and no other. Raises OSError."""
        before, self.addresses = self.addresses, addresses
        for address in before:
            if address not in addresses:
                with contextlib.suppress(OSError):  # the kernel takes them away when the interface is set down
                    self._control.delete_address(self.state.interface, address, LINK_LOCAL_LENGTH)
        self.renew_addresses()

    def renew_addresses(self) -> None:
        """Have the addresses again, which the kernel takes away when the interface is set down. Raises OSError."""
        for address in self.addresses:
            self._control.add_address(self.state.interface, address, LINK_LOCAL_LENGTH)

    def restore(self) -> None:
        """Give the interface back as it was, as far as it is still there."""
        index = self.state.interface
        if self._original is None and self._former is not None:
            with contextlib.suppress(OSError):
                self._original = self._look(self._former.given)
        original = self._original
        if original is None:
            return
        if not original.up:
            with contextlib.suppress(OSError):
                self._control.set_up(index, up=False)
        with contextlib.suppress(OSError):
            self._control.set_link_layer_address(index, original.link_layer_address)
        for name, before in reversed(original.settings):
            with contextlib.suppress(OSError):
                if before != SETTINGS[name]:
                    (CONFIGURATION / self.state.name / name).write_text(before)
        with contextlib.suppress(OSError):
            for address, length in self._control.link_local_addresses(index):
                if (address, length) not in original.addresses:
                    self._control.delete_address(index, address, length)
        for address, length in original.addresses:
            with contextlib.suppress(OSError):
                self._control.add_address(index, address, length)
