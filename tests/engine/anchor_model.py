# SPDX-License-Identifier: Apache-2.0
"""What a local mobility anchor must do, in dictionaries: written from RFC 5213 section 5, RFC 5846 section 8.1 and RFC 5847
section 3.2, not from the anchor's code. It knows a domain in which every session has one prefix of a pool, every interface has
a link-layer identifier and one access technology, and gateways signal from their Proxy-CoA.

Always holds: `sessions` is what there must be; `plane` says where each prefix must go.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.engine.conversation import BETWEEN_INTERFACES, UNKNOWN

ACCEPTED, UNSPECIFIED, PROHIBITED, FULL, NOT_AUTHORIZED, MISMATCH, LOWER = 0, 128, 129, 130, 155, 156, 157
WINDOW = 0.3
REVOCATION_LIFE = 3.0
"""Until an indication is given up: a second, and two more after its retransmission (RFC 5846 section 11)."""


@dataclass(frozen=True)
class Update:
    """A Proxy Binding Update. `sent` is the gateway's time of day, `prefix` what it names (None: ALL_ZERO)."""

    gateway: int
    node: bytes
    interface: bytes
    sequence: int
    sent: float
    lifetime: int
    indicator: int
    prefix: bytes | None


@dataclass(eq=False)
class Session:
    """A mobility session: `state` is up, held (given up by its gateway) or revoking; it ends at `until`."""

    node: bytes
    interface: bytes
    gateway: int
    prefix: bytes
    state: str
    until: float


@dataclass
class Wait:
    """A request that waits for the de-registration of a session, `until` then; it came at `arrival`."""

    update: Update
    arrival: float
    until: float


@dataclass
class Model:
    """The anchor as it must be. `refusals` are the coming changes of the data plane that it refuses."""

    minimum_delay: float
    maximum_delay: float
    capacity: int
    now: float = 0.0
    sessions: list[Session] = field(default_factory=list)
    last: dict[bytes, float] = field(default_factory=dict)
    forget: dict[bytes, float] = field(default_factory=dict)
    waits: dict[Session, Wait] = field(default_factory=dict)
    asked: dict[Session, float] = field(default_factory=dict)
    counters: dict[int, int] = field(default_factory=dict)
    refuses: bool = False
    answers: list[tuple[int, int, int]] = field(default_factory=list)
    """Gateway, sequence number and status of the acknowledgements that are to be sent now."""

    # ---- what there is ----

    def plane(self) -> dict[bytes, int | None]:
        """The gateway that each prefix is forwarded to; None where its packets are dropped."""
        return {s.prefix: s.gateway if s.state == "up" else None for s in self.sessions}

    def of(self, node: bytes) -> list[Session]:
        """The sessions of a node, oldest first."""
        return [session for session in self.sessions if session.node == node]

    # ---- time ----

    def advance(self, until: float) -> None:
        """What happens by itself, in its order."""
        while True:
            due: list[tuple[float, int, Session | bytes]] = []
            due += [(session.until, 0, session) for session in self.sessions]
            due += [(wait.until, 1, session) for session, wait in self.waits.items()]
            due += [(when, 2, session) for session, when in self.asked.items()]
            due += [(when, 3, node) for node, when in self.forget.items()]
            when, kind, what = min(due, key=lambda each: each[:2], default=(until + 1, 9, b""))
            if when > until:
                break
            self.now = max(self.now, when)
            if isinstance(what, bytes):
                del self.forget[what], self.last[what]
            elif kind == 0:
                self.end(what)
            elif kind == 1:
                self.in_vain(what)
            else:
                del self.asked[what]
        self.now = until

    def end(self, session: Session) -> None:
        """A session is deleted, and its prefix free; who waited for it gets a session of his own."""
        self.sessions.remove(session)
        self.asked.pop(session, None)
        if not self.of(session.node) and session.node in self.last:
            self.forget[session.node] = self.now + 2 * WINDOW
        self._forget_gateway(session.gateway)
        if session in self.waits:
            self.in_vain(session)

    def _forget_gateway(self, gateway: int) -> None:
        if not any(session.gateway == gateway for session in self.sessions):
            self.counters.pop(gateway, None)

    # ---- updates (5.3.1) ----

    def receive(self, update: Update) -> None:
        """An update comes."""
        self.consider(update, self.now)

    def consider(self, update: Update, arrival: float) -> None:
        """5.5, then 5.4.1."""
        last = self.last.get(update.node, -1.0)
        if update.sent < last:
            return self.answer(update, LOWER)
        if update.sent == last or abs(update.sent - arrival) > WINDOW:
            return self.answer(update, MISMATCH)
        verdict, session = self.find(update)
        if verdict == "refuse":
            return self.answer(update, NOT_AUTHORIZED)
        if session is None:
            return self.create(update) if update.lifetime else None
        if update.lifetime == 0:
            return self.deregister(update, session)
        if session.state == "revoking":
            return self.answer(update, PROHIBITED)
        return self.update(update, session) if verdict == "update" else self.wait(update, session, arrival)

    def find(self, update: Update) -> tuple[str, Session | None]:
        """5.4.1: update, create, wait or refuse."""
        mine = self.of(update.node)
        if update.prefix is not None:
            held = [session for session in self.sessions if session.prefix == update.prefix]
            if held and held[0].node != update.node:
                return "refuse", None
            if held and (
                held[0].interface == update.interface
                or update.indicator == BETWEEN_INTERFACES
                or held[0].gateway == update.gateway
            ):
                return "update", held[0]
            return "create", None
        for session in mine:
            if session.interface == update.interface:
                return "update", session
        if len(mine) == 1 and update.indicator == BETWEEN_INTERFACES:
            return "update", mine[0]
        if len(mine) == 1 and update.indicator == UNKNOWN and update.lifetime:
            return "update" if mine[0].state == "held" else "wait", mine[0]
        return "create", None

    def create(self, update: Update) -> None:
        """5.3.2. The prefix is filled in when the acknowledgement tells it."""
        if update.prefix is not None:
            return self.answer(update, NOT_AUTHORIZED)
        if len(self.sessions) >= self.capacity:
            return self.answer(update, FULL)
        if self.refuses:
            if not self.of(update.node) and update.node in self.last:
                self.forget[update.node] = self.now + 2 * WINDOW
            return self.answer(update, UNSPECIFIED)
        prefix = b"new %d" % update.sequence
        session = Session(update.node, update.interface, update.gateway, prefix, "up", 0.0)
        self.sessions.append(session)
        return self.commit(update, session)

    def update(self, update: Update, session: Session) -> None:
        """5.3.3 and 5.3.4."""
        if session.state == "up" and session.gateway == update.gateway:
            return self.commit(update, session)
        if self.refuses:
            return self.answer(update, UNSPECIFIED)
        before, session.gateway, session.state = session.gateway, update.gateway, "up"
        self._forget_gateway(before)
        self.commit(update, session)
        self.asked.pop(session, None)
        wait = self.waits.pop(session, None)
        if wait is not None and wait.update.gateway != update.gateway:
            self.consider(wait.update, wait.arrival)
        return None

    def commit(self, update: Update, session: Session) -> None:
        """The session takes the values of the update."""
        session.interface, session.until = update.interface, self.now + 4 * update.lifetime
        self.note(update)
        self.answer(update, ACCEPTED)

    def note(self, update: Update) -> None:
        """5.5: the order of what is accepted."""
        self.last[update.node] = max(update.sent, self.last.get(update.node, 0.0))
        self.forget.pop(update.node, None)

    def deregister(self, update: Update, session: Session) -> None:
        """5.3.5."""
        if session.gateway != update.gateway:
            return None
        if session.state == "up":
            if self.refuses:
                return self.answer(update, UNSPECIFIED)
            self.note(update)
            self.answer(update, ACCEPTED)
            return self.give_up(session)
        self.note(update)
        return self.answer(update, ACCEPTED)

    def give_up(self, session: Session) -> None:
        """The session's gateway does not serve it any more; who waited for this takes it over."""
        session.state, session.until = "held", self.now + self.minimum_delay
        self.asked.pop(session, None)
        wait = self.waits.pop(session, None)
        if wait is not None:
            refuses, self.refuses = self.refuses, False
            if self.find(wait.update)[1] is session:
                self.update(wait.update, session)
            else:
                self.consider(wait.update, wait.arrival)
            self.refuses = refuses

    def answer(self, update: Update, status: int) -> None:
        """An acknowledgement is sent."""
        self.answers.append((update.gateway, update.sequence, status))

    # ---- waiting (5.4.1.2 rule 4) ----

    def wait(self, update: Update, session: Session, arrival: float) -> None:
        """Wait for the session's gateway, and ask it."""
        wait = self.waits.get(session)
        if wait is not None:
            if update.sent >= wait.update.sent:
                wait.update, wait.arrival = update, arrival
            return
        self.waits[session] = Wait(update, arrival, self.now + self.maximum_delay)
        self.asked.setdefault(session, self.now + REVOCATION_LIFE)

    def in_vain(self, session: Session) -> None:
        """It was not given up: a session of its own, unless it has got one by now."""
        wait = self.waits.pop(session)
        verdict, other = self.find(wait.update)
        if verdict == "update" and other is not None:
            return self.consider(wait.update, wait.arrival)
        return self.create(wait.update)

    # ---- revocation and restart ----

    def revoke(self, session: Session) -> None:
        """A person wants the session ended (RFC 5846 section 8.1)."""
        if session.state == "held":
            self.end(session)
        elif session.state == "up":
            session.state, session.until = "revoking", self.now + REVOCATION_LIFE

    def revocation_answered(self, session: Session) -> None:
        """Whatever the gateway says, the session ends here."""
        self.end(session)

    def has_left(self, session: Session) -> None:
        """The gateway says that the node has left it: as if it had de-registered."""
        del self.asked[session]
        if session.state == "up":
            self.give_up(session)

    def has_stayed(self, session: Session) -> None:
        """The gateway says that the node is there."""
        del self.asked[session]
        if session in self.waits:
            self.in_vain(session)

    def restarted(self, gateway: int, counter: int) -> None:
        """A gateway tells its restart counter unasked (RFC 5847 section 3.2)."""
        if not any(session.gateway == gateway for session in self.sessions):
            return
        known, self.counters[gateway] = self.counters.get(gateway), counter
        if known == counter:
            return  # who speaks up unasked has lost what it had, also where its counter was not known before
        for session in [each for each in self.sessions if each.gateway == gateway and each.state == "up"]:
            session.state, session.until = "held", self.now + self.minimum_delay
            self.asked.pop(session, None)
            wait = self.waits.pop(session, None)
            if wait is not None:
                self.consider(wait.update, wait.arrival)
