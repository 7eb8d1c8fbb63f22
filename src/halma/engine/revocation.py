# SPDX-License-Identifier: Apache-2.0
"""Binding Revocation Indications that are out, until they are answered or given up: RFC 5846 section 6, as initiator.

What an answer means for the bindings is the role's business: it gets back the `Revocation` that it started.

Always holds: no two outstanding indications have the same sequence number (section 5.1); an acknowledgement that matches none
by sequence number and peer is discarded (section 6.2.2); at most `maximum_retries` retransmissions are made (section 6.3).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from halma.engine.api import Association, Now, Send
from halma.engine.timers import Deadlines
from halma.value import value
from halma.wire.messages import BindingRevocationAcknowledgement, BindingRevocationIndication
from halma.wire.optionspace import Option

SEQUENCE_NUMBERS = 0x10000
"""How many there are (RFC 5846 section 5.1)."""


@value
class RevocationSettings:
    """RFC 5846 section 11: BRIMaxRetriesNumber, InitMINDelayBRIs and MAX_BRACK_TIMEOUT, in seconds."""

    maximum_retries: int = 1
    initial_delay: float = 1.0
    maximum_timeout: float = 2.0


@dataclass(slots=True, eq=False)
class Revocation:
    """One indication: what was sent where, and `subject`, which the role recognises it by."""

    indication: Send
    sequence: int
    subject: Hashable
    timeout: float
    retries: int = 0


class Revocations:
    """The outstanding indications of one role. Roles that speak from one address share the set of `numbers` in use."""

    def __init__(self, settings: RevocationSettings, numbers: set[int] | None = None) -> None:
        self._settings = settings
        self.numbers: set[int] = set() if numbers is None else numbers
        self._outstanding: dict[int, Revocation] = {}
        self._by_subject: dict[Hashable, Revocation] = {}
        self._deadlines: Deadlines[int] = Deadlines()
        self._last = 0

    def __len__(self) -> int:
        return len(self._outstanding)

    def start(
        self,
        local: bytes,
        peer: bytes,
        trigger: int,
        flags: int,
        options: tuple[Option, ...],
        subject: Hashable,
        now: Now,
        home_address: bytes = b"",
        association: Association | None = None,
    ) -> Send | None:
        """The indication to send (section 6.1.1); to a mobile node with its `home_address` (section 7). None when one for this
        subject is out already, or when all 65536 sequence numbers are outstanding."""
        if subject in self._by_subject or len(self.numbers) == SEQUENCE_NUMBERS:
            return None
        self._last = (self._last + 1) % SEQUENCE_NUMBERS
        while self._last in self.numbers:
            self._last = (self._last + 1) % SEQUENCE_NUMBERS
        self.numbers.add(self._last)
        message = BindingRevocationIndication(trigger, self._last, flags, options)
        send = Send(local, peer, message, home_address, association)
        self._outstanding[self._last] = Revocation(send, self._last, subject, self._settings.initial_delay)
        self._by_subject[subject] = self._outstanding[self._last]
        self._deadlines.set(self._last, now.monotonic + self._settings.initial_delay)
        return send

    def answered(self, source: bytes, message: BindingRevocationAcknowledgement) -> Revocation | None:
        """The revocation that this acknowledgement ends; None when there is no such."""
        revocation = self._outstanding.get(message.sequence)
        if revocation is None or revocation.indication.destination != source:
            return None
        self._end(revocation)
        return revocation

    def cancel(self, subject: Hashable) -> None:
        """Stop asking for what has become moot."""
        revocation = self._by_subject.get(subject)
        if revocation is not None:
            self._end(revocation)

    def handle_timeout(self, now: Now) -> tuple[list[Send], list[Revocation]]:
        """Retransmissions that are due, the wait doubled each time (section 6.3), and the revocations that are given up."""
        again, given_up = [], []
        for sequence in self._deadlines.due(now.monotonic):
            revocation = self._outstanding[sequence]
            if revocation.retries >= self._settings.maximum_retries:
                self._end(revocation)
                given_up.append(revocation)
                continue
            revocation.retries += 1
            revocation.timeout = min(2 * revocation.timeout, self._settings.maximum_timeout)
            self._deadlines.set(sequence, now.monotonic + revocation.timeout)
            again.append(revocation.indication)
        return again, given_up

    def next_deadline(self) -> float | None:
        """When `handle_timeout` is wanted next, in monotonic seconds."""
        return self._deadlines.next()

    def _end(self, revocation: Revocation) -> None:
        del self._outstanding[revocation.sequence]
        self.numbers.discard(revocation.sequence)
        del self._by_subject[revocation.subject]
        self._deadlines.stop(revocation.sequence)
