# SPDX-License-Identifier: Apache-2.0
"""What an anchor must do for mobile nodes, in dictionaries, beside `anchor_model`: written from RFC 6275 sections 9.5.1 and
10.3, RFC 4285 section 6, RFC 5846 section 7 and RFC 6612 section 4.2, not from the anchor's code.

Always holds: `entries` is what there must be; what happens to it depends on no session but for whose a prefix is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.engine.anchor_model import (
    ACCEPTED,
    FULL,
    NOT_AUTHORIZED,
    REVOCATION_LIFE,
    UNSPECIFIED,
    WINDOW,
    Model,
    Session,
    Update,
)

NOT_HOME, NOT_AGENT, OUT_OF_WINDOW, KIND, OLD, FORBIDDEN = 132, 133, 135, 139, 144, 129
REMEMBERED = 10.0
"""MAX_DELETE_BCE_TIMEOUT (RFC 6275 section 12)."""
REPLAY = 7.0


@dataclass(frozen=True)
class HomeUpdate:
    """A Binding Update; `sent` is the node's clock, a care-of address equal to the home address is at home."""

    node: bytes
    home: bytes
    care_of: bytes
    sequence: int
    sent: float
    lifetime: int
    router: bool

    @property
    def ends(self) -> bool:
        """Whether it is a de-registration (RFC 6275 section 10.3.1)."""
        return self.lifetime == 0 or self.care_of == self.home


@dataclass(eq=False)
class Entry:
    """A home registration, or what is remembered of one (`care_of` None); it ends at `until`, or is revoked at `revoked`."""

    node: bytes
    home: bytes
    care_of: bytes | None
    sequence: int
    sent: float
    router: bool
    until: float
    revoked: float | None = None
    took: int = 0
    """When it last took its network: what it moves follows the last that did (`mobile_networks`)."""

    @property
    def due(self) -> float:
        """When something happens to it by itself."""
        return self.until if self.revoked is None else min(self.until, self.revoked)


@dataclass
class HomeModel:
    """The home agent as it must be. `owner` tells whose a /64 is by a proxy binding, `is_home` whether it is ours."""

    owner: Callable[[bytes], bytes | None]
    is_home: Callable[[bytes], bool]
    entries: dict[bytes, Entry] = field(default_factory=dict)
    refuses: bool = False
    answers: list[tuple[bytes, int, int]] = field(default_factory=list)
    """Where it goes, sequence number and status of the acknowledgements that are to be sent now."""
    turns: int = 0

    def plane(self) -> dict[tuple[bytes, int], bytes]:
        """Where the packets of home addresses, and of routers' networks, must go."""
        found: dict[tuple[bytes, int], bytes] = {}
        for entry in sorted(self.entries.values(), key=lambda entry: entry.took):
            if entry.care_of is not None:
                found[entry.home, 128] = entry.care_of
                if entry.router:
                    found[prefix_of(entry.home), 64] = entry.care_of
        return found

    def kept(self) -> dict[bytes, bytes]:
        """The /64s that registrations need, remembered ones too, and whose they are (ANC-4)."""
        return {prefix_of(entry.home): entry.node for entry in self.entries.values()}

    def next(self) -> float | None:
        """When something happens by itself."""
        return min((entry.due for entry in self.entries.values()), default=None)

    def advance(self, until: float) -> None:
        """What happens by itself at `until`."""
        for entry in list(self.entries.values()):
            if entry.due <= until:
                if entry.care_of is None:
                    del self.entries[entry.home]
                else:
                    self.end(entry, entry.due)

    def end(self, entry: Entry, now: float) -> None:
        """It is in force no more, and remembered for a while."""
        entry.care_of, entry.revoked, entry.router, entry.until = None, None, False, now + REMEMBERED

    def receive(self, update: HomeUpdate, now: float, wall: float) -> None:
        """A Binding Update whose protection holds."""
        self.answers.append((update.care_of, *self._judge(update, now, wall)))

    def _judge(self, update: HomeUpdate, now: float, wall: float) -> tuple[int, int]:
        newest = max((entry.sent for entry in self.entries.values() if entry.node == update.node), default=0.0)
        if abs(update.sent - wall) > REPLAY or update.sent <= newest:
            return update.sequence, OLD
        prefix = prefix_of(update.home)
        if not self.is_home(prefix):
            return update.sequence, NOT_HOME
        if (self.owner(prefix) or self.kept().get(prefix)) != update.node:
            return update.sequence, FORBIDDEN
        entry = self.entries.get(update.home)
        if entry is not None and not 0 < (update.sequence - entry.sequence) % 65536 < 32768:
            return entry.sequence, OUT_OF_WINDOW
        if update.ends:
            return update.sequence, self._deregister(update, entry, now)
        if entry is not None and entry.revoked is not None:
            return update.sequence, FORBIDDEN
        return update.sequence, self._register(update, entry, now)

    def _deregister(self, update: HomeUpdate, entry: Entry | None, now: float) -> int:
        if entry is None:
            return NOT_AGENT
        entry.sequence, entry.sent = update.sequence, update.sent
        if entry.care_of is not None:
            self.end(entry, now)
        return ACCEPTED

    def _register(self, update: HomeUpdate, entry: Entry | None, now: float) -> int:
        there = entry is not None and entry.care_of is not None
        if entry is not None and there and entry.router != update.router:
            return KIND
        moves = entry is None or entry.care_of != update.care_of
        self.turns += 1
        if moves and entry is not None:
            entry.took = self.turns
        if moves and self.refuses:
            if entry is None:
                entry = self.entries[update.home] = Entry(update.node, update.home, None, update.sequence, 0.0, False, 0.0)
            if not there:
                self.end(entry, now)
            return UNSPECIFIED
        if entry is None:
            entry = self.entries[update.home] = Entry(update.node, update.home, None, 0, 0.0, False, 0.0, took=self.turns)
        entry.care_of, entry.router, entry.until = update.care_of, update.router, now + 4 * update.lifetime
        entry.sequence, entry.sent = update.sequence, update.sent
        return ACCEPTED

    def revoke(self, prefix: bytes, now: float) -> None:
        """A person wants the registrations in a /64 ended (RFC 5846 section 7)."""
        for entry in self.entries.values():
            if prefix_of(entry.home) == prefix and entry.care_of is not None and entry.revoked is None:
                entry.revoked = now + REVOCATION_LIFE


class BothModel(Model):
    """The local mobility anchor beside a home agent, which keeps prefixes for its nodes (ANC-4)."""

    home: HomeModel

    def owner(self, prefix: bytes) -> bytes | None:
        """Whose session holds a /64."""
        return next((session.node for session in self.sessions if session.prefix == prefix), None)

    def advance(self, until: float) -> None:
        """Both, in the order of time."""
        while (moment := self.home.next()) is not None and moment <= until:
            if moment > self.now:
                super().advance(max(self.now, moment - 1e-7))
            self.now = max(self.now, moment)
            self.home.advance(moment)
        super().advance(until)

    def create(self, update: Update) -> None:
        """RFC 5213 section 5.3.2; a node gets the prefix that is kept for it, and nobody else does."""
        kept, held = self.home.kept(), {session.prefix for session in self.sessions}
        mine = [prefix for prefix, node in kept.items() if node == update.node and prefix not in held]
        if update.prefix is not None and update.prefix not in mine:
            return self.answer(update, NOT_AUTHORIZED)
        if not mine and len(held | set(kept)) >= self.capacity:
            return self.answer(update, FULL)
        if self.refuses:
            if not self.of(update.node) and update.node in self.last:
                self.forget[update.node] = self.now + 2 * WINDOW
            return self.answer(update, UNSPECIFIED)
        prefix = update.prefix or (mine[0] if mine else b"new %d" % update.sequence)
        session = Session(update.node, update.interface, update.gateway, prefix, "up", 0.0)
        self.sessions.append(session)
        return self.commit(update, session)


def prefix_of(home: bytes) -> bytes:
    """The /64 of a home address."""
    return home[:8] + bytes(8)
