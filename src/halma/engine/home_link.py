# SPDX-License-Identifier: Apache-2.0
"""The home agent on a shared home link: it answers there in the stead of the nodes that are away.

RFC 6275 sections 10.3.1 (Duplicate Address Detection), 10.4.1 (interception by proxy Neighbor Discovery); RFC 3963 section 6.2.

Always holds: an address is defended from the moment its registration is accepted until it ends; nothing is defended for a home
network that is a Proxy Mobile IPv6 domain, since no link of ours carries it.
"""

from __future__ import annotations

from collections.abc import Callable

from halma.engine.anchor_settings import HomeLink
from halma.engine.api import Send, Tunnel
from halma.engine.home_binding_cache import HomeBinding
from halma.value import value

LINK_LOCAL_PREFIX = bytes.fromhex("fe80000000000000")


@value
class DetectDuplicate:
    """Find out whether another node on the link uses an address (RFC 4862 section 5.4); a `DetectionDone` with this `op`
    comes back."""

    op: int
    interface: int
    address: bytes


@value
class DetectionDone:
    """Duplicate Address Detection has ended."""

    op: int
    duplicate: bool


@value
class DefendAddress:
    """Answer Neighbor Solicitations for an address from now on, and tell all nodes of the link at once: an unsolicited
    Neighbor Advertisement to all of them with the Override flag and our link-layer address, Router flag as given (RFC 6275
    section 10.4.1, RFC 3963 section 6.2)."""

    interface: int
    address: bytes
    router: bool


@value
class ReleaseAddress:
    """Answer for an address no more."""

    interface: int
    address: bytes


@value
class SendHome:
    """Send a message to a node that is at home, wherever the data plane leads: while its packets still go into the tunnel to
    its care-of address it would not hear it otherwise (RFC 6275 sections 9.5.4 and 10.3.2). Home is on the link `interface`,
    or behind the gateway at the end of `tunnel`."""

    send: Send
    interface: int = 0
    tunnel: Tunnel | None = None


HomeLinkEffect = DetectDuplicate | DefendAddress | ReleaseAddress


class HomeLinks:
    """The links that are home to mobile nodes."""

    def __init__(self, links: tuple[HomeLink, ...]) -> None:
        self._links = links

    def of(self, address: bytes) -> HomeLink | None:
        """The home link whose prefix an address lies in; None for an address of no shared link."""
        if not self._links:
            return None
        number = int.from_bytes(address, "big")
        for link in self._links:
            shift = 128 - link.length
            if number >> shift == int.from_bytes(link.prefix, "big") >> shift:
                return link
        return None

    def on(self, interface: int) -> tuple[HomeLink, ...]:
        """The home links of an interface, one for each prefix."""
        return tuple(link for link in self._links if link.interface == interface)

    def detect(self, binding: HomeBinding, op: Callable[[], int]) -> list[DetectDuplicate]:
        """Look whether somebody has the home address, or with flag L the link-local one."""
        link = self.of(binding.home_address)
        return [] if link is None else [DetectDuplicate(op(), link.interface, address) for address in _addresses(binding)]

    def defend(self, binding: HomeBinding) -> list[DefendAddress]:
        """The registration has been accepted: stand in for the node."""
        link = self.of(binding.home_address)
        if link is None:
            return []
        return [DefendAddress(link.interface, address, binding.mobile_router) for address in _addresses(binding)]

    def release(self, binding: HomeBinding) -> list[ReleaseAddress]:
        """The registration has ended."""
        link = self.of(binding.home_address)
        return [] if link is None else [ReleaseAddress(link.interface, address) for address in _addresses(binding)]


def _addresses(binding: HomeBinding) -> list[bytes]:
    """The home address, and with flag L the link-local address of the same interface identifier (section 10.3.1)."""
    addresses = [binding.home_address]
    if binding.link_local:
        addresses.append(LINK_LOCAL_PREFIX + binding.home_address[8:])
    return addresses
