# SPDX-License-Identifier: Apache-2.0
"""The anchor's MIPv6 bindings: home registrations by home address (RFC 6275 sections 9.1 and 10.1, RFC 3963 section 6.1).

Always holds: a home address has one binding at most; a binding that has gone stays for a while with its sequence number, so
that a message delayed in the network cannot bring it back (requirement ANC-5); nothing here knows of proxy bindings (ANC-1).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from halma.engine.api import Association, Tunnel
from halma.value import value

HOME_PREFIX_LENGTH = 64


class HomeState(Enum):
    """Where a home registration is in its life."""

    CREATING = "creating"
    """Accepted by the protocol; address detection or the data plane has not answered yet."""
    REGISTERED = "registered"
    INVALID = "invalid"
    """Gone; remembered for its sequence number (RFC 6275 section 10.3.2)."""


@value
class Network:
    """A mobile network prefix (RFC 3963): 16 bytes, and its length."""

    prefix: bytes
    length: int


@dataclass(slots=True, eq=False)
class HomeBinding:
    """One home registration. Compared by identity."""

    home_address: bytes
    identifier: bytes
    """The node's, empty where it is not known (no protection, no Mobile Node Identifier)."""
    tunnel: Tunnel
    """Local end: the anchor's address that the node registers with. Remote end: the primary care-of address."""
    sequence: int
    state: HomeState = HomeState.CREATING
    lifetime: int = 0
    """As granted, in units of 4 seconds."""
    mobile_router: bool = False
    networks: tuple[Network, ...] = ()
    link_local: bool = False
    """The node wants its link-local address defended too (flag L)."""
    association: Association | None = None
    timestamp: int = 0
    """The newest one accepted from the node (RFC 4285 section 6), 32.32 seconds; 0 where it sends none."""
    expires: float = 0.0
    refresh_requested: bool = False
    revoking: bool = False
    """We are ending it (RFC 5846 section 7): it stays as it is until the node has answered, or never does."""
    since: float = 0.0


def prefix_of(home_address: bytes) -> bytes:
    """The /64 that a home address lies in."""
    return home_address[:8] + bytes(8)


class HomeBindingCache:
    """All home registrations of an anchor, and the remembered ones."""

    def __init__(self) -> None:
        self._by_home_address: dict[bytes, HomeBinding] = {}
        self._by_prefix: dict[bytes, dict[HomeBinding, None]] = {}
        self._by_identifier: dict[bytes, dict[HomeBinding, None]] = {}

    def __len__(self) -> int:
        return len(self._by_home_address)

    def get(self, home_address: bytes) -> HomeBinding | None:
        """The binding of a home address, also a remembered one."""
        return self._by_home_address.get(home_address)

    def registered(self, home_address: bytes) -> HomeBinding | None:
        """The binding of a home address that is in force."""
        binding = self._by_home_address.get(home_address)
        return binding if binding is not None and binding.state is HomeState.REGISTERED else None

    def bindings(self) -> list[HomeBinding]:
        """All of them, the oldest first."""
        return list(self._by_home_address.values())

    def keeper(self, prefix: bytes) -> bytes | None:
        """The identifier of the node whose home address lies in this /64; None when no registration needs it (ANC-4)."""
        held = self._by_prefix.get(prefix)
        return None if held is None else next(iter(held)).identifier

    def kept_for(self, identifier: bytes) -> list[bytes]:
        """The /64s that a node's home addresses lie in."""
        return [prefix_of(binding.home_address) for binding in self._by_identifier.get(identifier, ())]

    def of_node(self, identifier: bytes) -> list[HomeBinding]:
        """The bindings of a node."""
        return list(self._by_identifier.get(identifier, ()))

    def count_of_node(self, identifier: bytes) -> int:
        """How many bindings a node has, remembered ones too."""
        return len(self._by_identifier.get(identifier, ()))

    def insert(self, binding: HomeBinding) -> None:
        """Take a binding in, in the place of a remembered one of its home address."""
        before = self._by_home_address.get(binding.home_address)
        if before is not None:
            self.remove(before)
        self._by_home_address[binding.home_address] = binding
        self._by_prefix.setdefault(prefix_of(binding.home_address), {})[binding] = None
        self._by_identifier.setdefault(binding.identifier, {})[binding] = None

    def remove(self, binding: HomeBinding) -> None:
        """Forget a binding."""
        if self._by_home_address.get(binding.home_address) is binding:
            del self._by_home_address[binding.home_address]
            for index, key in ((self._by_prefix, prefix_of(binding.home_address)), (self._by_identifier, binding.identifier)):
                held = index[key]
                del held[binding]
                if not held:
                    del index[key]
