# SPDX-License-Identifier: Apache-2.0
"""Which home network prefixes a new session gets: the node's own, those of a pool, or those asked for.

RFC 5213 section 5.3.2 rules 1 to 3; requirements ANC-4 and ANC-7.

Always holds: no prefix is assigned that is in use, or that another node's profile reserves, or that is remembered for another;
a prefix that is asked for is granted only when the node's profile lists it, or when its pool holds it and either the profile
allows asking or we assigned it to the node before we restarted; when one of several cannot be granted, none is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from halma.engine.anchor_settings import PoolSettings
from halma.engine.assignment_memory import AssignmentMemory
from halma.engine.policy import Policy, Profile
from halma.engine.prefix_pool import PrefixPool
from halma.engine.proxy_binding_cache import SESSION_PREFIX_LENGTH, prefix_key
from halma.wire.addresses import UNSPECIFIED
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
        self.memory = AssignmentMemory()
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
        for prefix in taken:
            if prefix in self:
                self.memory.assigned(prefix, identifier)
        return tuple([HomeNetworkPrefix(SESSION_PREFIX_LENGTH, prefix) for prefix in taken])

    def release(self, prefixes: tuple[HomeNetworkPrefix, ...]) -> None:
        """The session is gone; its prefixes go back to where they came from."""
        self._give_back([prefix_key(option) for option in prefixes])

    def remember(self, assignments: Iterable[tuple[bytes, bytes]]) -> None:
        """These (prefix, identifier) were assigned before a restart. What is of no pool any more is not ours to remember."""
        ours = []
        for prefix, identifier in assignments:
            if prefix in self:
                ours.append((prefix, identifier))
            else:
                self.memory.released(prefix)
        self.memory.restore(ours)

    def memory_expired(self) -> None:
        """Nobody has come for what is still remembered of before a restart."""
        self._give_back(self.memory.expire())

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
        if pool is None or prefix not in pool or self.policy.is_reserved(prefix):
            return False
        owner = self.memory.owner(prefix)
        return profile.may_request_prefix if owner is None else owner == identifier

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
        wanted = 0 if own else max(1, profile.prefixes_per_session - len(taken))
        had = [prefix for prefix in self.memory.of(identifier) if prefix not in taken]
        if pool is not None and 0 < len(had) <= wanted and all(prefix in pool and self._is_free(prefix) for prefix in had):
            taken += had
            wanted -= len(had)
        for _ in range(wanted):
            prefix = None if pool is None else pool.allocate(lambda p: not self._is_to_be_had(p) or p in taken)
            if prefix is None:
                return False
            taken.append(prefix)
        return True

    def _is_free(self, prefix: bytes) -> bool:
        """Whether a prefix is nobody's."""
        return not self._in_use(prefix) and not self.policy.is_reserved(prefix) and self._kept.keeper(prefix) is None

    def _is_to_be_had(self, prefix: bytes) -> bool:
        """Whether a pool may hand it out."""
        return self._is_free(prefix) and self.memory.owner(prefix) is None

    def _give_back(self, prefixes: list[bytes]) -> None:
        for prefix in prefixes:
            if self._kept.keeper(prefix) is None and not self._in_use(prefix) and self.memory.owner(prefix) is None:
                for pool in self._pools.values():
                    if prefix in pool:
                        pool.release(prefix)
                        self.memory.released(prefix)
