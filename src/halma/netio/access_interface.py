# SPDX-License-Identifier: Apache-2.0
"""Making an interface of this machine an access link of the gateway, and giving it back as it was.

RFC 5213 section 6.9.3 and RFC 6543: the same link-layer and link-local address on every access link of the domain. All of it
is done before the interface comes up, so that the node's first question finds an answer.

Always holds: an access interface has no link-local addresses but those that the gateway wants, makes none up, believes no
Router Advertisement, and answers as a router; `restore` undoes what `prepare` did.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from halma.engine.gateway_api import UNSPECIFIED
from halma.netio.netlink import LinkControl, LinkState

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


class AccessInterface:
    """One access interface. `addresses` are the gateway's link-local addresses on it, the first of them the one that is said to
    everybody."""

    def __init__(self, state: LinkState, control: LinkControl) -> None:
        self.state = state
        self.addresses: tuple[bytes, ...] = ()
        self.prepared = False
        self._control = control
        self._link_layer_address = state.link_layer_address
        self._settings: dict[str, str] = {}
        self._addresses: list[tuple[bytes, int]] = []

    def prepare(self, link_layer_address: bytes, address: bytes) -> None:
        """Make it an access link, all but bringing it up. Raises OSError."""
        index = self.state.interface
        for name, wanted in SETTINGS.items():
            file = CONFIGURATION / self.state.name / name
            now = file.read_text().strip()
            if now != wanted:
                file.write_text(wanted)
                self._settings.setdefault(name, now)
        if self.state.link_layer_address != link_layer_address:
            self._control.set_link_layer_address(index, link_layer_address)
        for held, length in self._control.link_local_addresses(index):
            if held != address:
                self._control.delete_address(index, held, length)
                self._addresses.append((held, length))
        self.set_addresses((address,) if address != UNSPECIFIED else ())
        self.prepared = True

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
        for address in self.addresses:
            with contextlib.suppress(OSError):
                self._control.delete_address(index, address, LINK_LOCAL_LENGTH)
        with contextlib.suppress(OSError):
            self._control.set_link_layer_address(index, self._link_layer_address)
        for name, before in reversed(self._settings.items()):
            with contextlib.suppress(OSError):
                (CONFIGURATION / self.state.name / name).write_text(before)
        for address, length in self._addresses:
            with contextlib.suppress(OSError):
                self._control.add_address(index, address, length)
        if not self.state.up:
            with contextlib.suppress(OSError):
                self._control.set_up(index, up=False)
