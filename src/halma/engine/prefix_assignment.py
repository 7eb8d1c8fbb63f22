# SPDX-License-Identifier: Apache-2.0
"""Which home network prefixes a new session gets: the node's own, those of a pool, or those asked for.

RFC 5213 section 5.3.2 rules 1 to 3; requirements ANC-4 and ANC-7.

Always holds: no prefix is assigned that is in use, or that another node's profile reserves; a prefix that is asked for is
granted only when the node's profile lists it, or allows asking and its pool holds it; when one of several cannot be granted,
none is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from halma.engine.anchor_settings import PoolSettings
from halma.engine.policy import Policy, Profile
from halma.engine.prefix_pool import PrefixPool
from halma.engine.proxy_binding_cache import SESSION_PREFIX_LENGTH, prefix_key
from halma.engine.proxy_request import UNSPECIFIED
from halma.wire.numbers import Status
from halma.wire.options import HomeNetworkPrefix


class Kept(Protocol):
    """The prefixes that the home agent's registrations keep (ANC-4: a node has one prefix, whichever protocol asks first)."""

    def keeper(self, prefix: bytes) -> bytes | None:
        """The identifier of the node whose registration keeps this /64; None when none does."""

    def kept_for(self, identifier: bytes) -> list[bytes]:
        """The /64s that are kept for a node."""


class NothingKept:
    """An anchor that is no home agent."""

    def keeper(self, prefix: bytes) -> bytes | None:  # noqa: ARG002 (a `Kept`)
        """Nobody."""
        return None

    def kept_for(self, identifier: bytes) -> list[bytes]:  # noqa: ARG002
        """Nothing."""
        return []


class PrefixAssignment:
    """The pools of an anchor and the rules for taking from them. `in_use` tells which /64s proxy bindings hold."""

    def __init__(
        self,
        pools: tuple[PoolSettings, ...],
        policy: Policy,
        in_use: Callable[[bytes], bool],
        kept: Kept | None = None,
    ) -> None:
        self.policy = policy
        self._kept = NothingKept() if kept is None else kept
        self._pools = {pool.name: PrefixPool(pool.name, pool.base, pool.length) for pool in pools}
        self._in_use = in_use

    def __contains__(self, address: bytes) -> bool:
        """Whether an address lies in some pool."""
        return any(address in pool for pool in self._pools.values())

    def assign(
        self, asked: tuple[HomeNetworkPrefix, ...], profile: Profile, identifier: bytes
    ) -> tuple[HomeNetworkPrefix, ...] | Status:
        """The prefixes for a new session, or the status to refuse it with. Options of ALL_ZERO ask us to choose."""
        taken: list[bytes] = []
        choose = False
        for option in asked:
            if option.prefix != UNSPECIFIED:
                if not self._may_have(option, profile, identifier) or prefix_key(option) in taken:
                    self._give_back(taken)
                    return Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX
                taken.append(prefix_key(option))
            else:
                choose = True
        if choose and not self._choose(taken, profile, identifier):
            self._give_back(taken)
            return Status.INSUFFICIENT_RESOURCES
        return tuple([HomeNetworkPrefix(SESSION_PREFIX_LENGTH, prefix) for prefix in taken])

    def release(self, prefixes: tuple[HomeNetworkPrefix, ...]) -> None:
        """The session is gone; its prefixes go back to where they came from."""
        self._give_back([prefix_key(option) for option in prefixes])

    def kept_no_more(self, prefix: bytes) -> None:
        """No registration of the home agent needs the /64 any more."""
        self._give_back([prefix])

    def _may_have(self, option: HomeNetworkPrefix, profile: Profile, identifier: bytes) -> bool:
        prefix = prefix_key(option)
        if option.prefix_length != SESSION_PREFIX_LENGTH or self._in_use(prefix):
            return False
        keeper = self._kept.keeper(prefix)
        if keeper is not None or prefix in profile.prefixes:
            return keeper in (None, identifier)
        pool = self._pools.get(profile.pool)
        return profile.may_request_prefix and pool is not None and prefix in pool and not self.policy.is_reserved(prefix)

    def _choose(self, taken: list[bytes], profile: Profile, identifier: bytes) -> bool:
        """The node's reserved and kept prefixes that are free, all of them in one session; else as many of its pool as it is
        due, one at the least: ALL_ZERO beside a prefix that was asked for is a wish for another (section 5.3.2 rule 1)."""
        own: list[bytes] = []
        kept = self._kept.kept_for(identifier)
        if kept or profile.prefixes:
            mine = dict.fromkeys((*profile.prefixes, *[prefix for prefix in kept if prefix in self]))
            own = [
                prefix
                for prefix in mine
                if prefix not in taken and not self._in_use(prefix) and self._kept.keeper(prefix) in (None, identifier)
            ]
            taken += own
        pool = self._pools.get(profile.pool)
        for _ in range(0 if own else max(1, profile.prefixes_per_session - len(taken))):
            prefix = None if pool is None else pool.allocate(lambda p: self._is_taken(p) or p in taken)
            if prefix is None:
                return False
            taken.append(prefix)
        return True

    def _is_taken(self, prefix: bytes) -> bool:
        """Whether a pool must not hand it out."""
        return self._in_use(prefix) or self.policy.is_reserved(prefix) or self._kept.keeper(prefix) is not None

    def _give_back(self, prefixes: list[bytes]) -> None:
        for prefix in prefixes:
            if self._kept.keeper(prefix) is None and not self._in_use(prefix):
                for pool in self._pools.values():
                    pool.release(prefix)
