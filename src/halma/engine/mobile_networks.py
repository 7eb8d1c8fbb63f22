# SPDX-License-Identifier: Apache-2.0
"""Which registration each mobile network follows (RFC 3963 section 6, RFC 6612 section 4.2.1).

A mobile router may register several home addresses, and each of these registrations moves the same networks where the prefix is
implied. A network follows the registration that took it last. When that one gives it up, it goes back to the one before.

Always holds: a network that some registration moves is never left behind by the end of another one; what is said here is what
the data plane has been told, also while it has not yet answered.
"""

from __future__ import annotations

from halma.engine.api import Tunnel
from halma.engine.home_binding_cache import HomeBinding, Network


class MobileNetworks:
    """The networks, and for each the registrations that move it and by which tunnel, the last to take it at the end."""

    def __init__(self) -> None:
        self._carriers: dict[Network, dict[HomeBinding, Tunnel]] = {}

    def __len__(self) -> int:
        return len(self._carriers)

    def tunnel(self, network: Network) -> Tunnel | None:
        """Where a network's packets go; None where no registration moves it."""
        carriers = self._carriers.get(network)
        return carriers[next(reversed(carriers))] if carriers else None

    def take(self, network: Network, binding: HomeBinding, tunnel: Tunnel) -> None:
        """From now on the network follows this registration."""
        carriers = self._carriers.setdefault(network, {})
        carriers.pop(binding, None)
        carriers[binding] = tunnel

    def give_up(self, network: Network, binding: HomeBinding) -> None:
        """This registration moves the network no more."""
        carriers = self._carriers[network]
        del carriers[binding]
        if not carriers:
            del self._carriers[network]
