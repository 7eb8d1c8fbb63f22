# SPDX-License-Identifier: Apache-2.0
"""How a home registration ends because a person says so: RFC 5846 sections 6 and 7.

Always holds: the node is told at its care-of address, by a type 2 routing header; its packets go there until it has answered,
or never does after the retransmissions of section 6.3; meanwhile it may de-register, and register no more. No proxy binding is
touched (ANC-1).
"""

from __future__ import annotations

from halma.engine.api import MessageReceived, Now, Report, Severity
from halma.engine.home_agent import HomeAgent, HomeAgentEffect
from halma.engine.home_binding_cache import HomeBinding, HomeState
from halma.engine.proxy_revocation import RevocationRequested
from halma.engine.revocation import Revocation, Revocations, RevocationSettings
from halma.text import Prefix
from halma.wire.messages import BindingRevocationAcknowledgement
from halma.wire.numbers import RevocationStatus, RevocationTrigger, name_of


class HomeRevocation:
    """Ends registrations of a home agent; one of its watchers. `numbers` are the sequence numbers in use at this anchor."""

    def __init__(self, settings: RevocationSettings, home: HomeAgent, numbers: set[int]) -> None:
        self.counters = {
            "home_revocations_sent": 0,
            "home_revocations_retransmitted": 0,
            "home_revocations_unanswered": 0,
            "home_revocations_acknowledged": 0,
        }
        self._home = home
        self._revocations = Revocations(settings, numbers)

    def requested(self, event: RevocationRequested, now: Now) -> tuple[list[HomeAgentEffect], int]:
        """Begin to end the registrations that a person names; with how many they are."""
        if event.gateway:
            return [], 0
        cache = self._home.cache
        bindings = cache.of_node(event.identifier) if event.identifier else cache.bindings()
        effects: list[HomeAgentEffect] = []
        count = 0
        for binding in bindings:
            if event.identifier or _is_in(binding, event.prefix, event.length):
                begun = self._revoke(binding, now)
                count += bool(begun)
                effects += begun
        return effects, count

    def _revoke(self, binding: HomeBinding, now: Now) -> list[HomeAgentEffect]:
        if binding.state is not HomeState.REGISTERED or self._home.is_busy(binding):
            return []
        local, care_of_address = binding.tunnel.local, binding.tunnel.remote
        trigger = RevocationTrigger.ADMINISTRATIVE_REASON
        home, key = binding.home_address, binding.association
        indication = self._revocations.start(local, care_of_address, trigger, 0, (), binding, now, home, key)
        if indication is None:
            return []
        self.counters["home_revocations_sent"] += 1
        binding.revoking = True
        text = "revoking the registration of {:address} at {:address}"
        return [indication, Report(Severity.INFO, "revoking", text, care_of_address, (home, care_of_address))]

    def acknowledged(self, event: MessageReceived, message: BindingRevocationAcknowledgement) -> list[HomeAgentEffect] | None:
        """A Binding Revocation Acknowledgement without the proxy flag (section 6.2.2); None where it answers nothing of
        ours."""
        revocation = self._revocations.answered(event.source, message)
        if revocation is None:
            return None
        self.counters["home_revocations_acknowledged"] += 1
        return self._ended(revocation, message.status)

    def handle_timeout(self, now: Now) -> list[HomeAgentEffect]:
        """Retransmit, and give up what is never answered (section 6.3)."""
        again, given_up = self._revocations.handle_timeout(now)
        self.counters["home_revocations_retransmitted"] += len(again)
        effects: list[HomeAgentEffect] = [*again]
        for revocation in given_up:
            self.counters["home_revocations_unanswered"] += 1
            effects += self._ended(revocation, None)
        return effects

    def next_deadline(self) -> float | None:
        """When `handle_timeout` is wanted next."""
        return self._revocations.next_deadline()

    def _ended(self, revocation: Revocation, status: int | None) -> list[HomeAgentEffect]:
        """An indication was answered with `status`, or never (None). The registration is over in any case."""
        binding = revocation.subject
        assert isinstance(binding, HomeBinding)
        effects: list[HomeAgentEffect] = []
        if status is None or status >= RevocationStatus.BINDING_DOES_NOT_EXIST:
            outcome = "no answer" if status is None else name_of(RevocationStatus, status)
            text = "the mobile node at {:address} did not carry out a revocation ({}); {:address} is ended here"
            peer = revocation.indication.destination
            details = (peer, outcome, binding.home_address)
            effects.append(Report(Severity.WARNING, "revocation_failed", text, peer, details))
        return [*effects, *self._home.end(binding)]

    # ---- as a watcher of registrations ----

    def registered(self, binding: HomeBinding, now: Now) -> None:
        """Nothing is to be done."""

    def ended(self, binding: HomeBinding) -> None:
        """It is over, by whatever: there is nothing to ask for any more."""
        binding.revoking = False
        self._revocations.cancel(binding)


def _is_in(binding: HomeBinding, prefix: bytes, length: int) -> bool:
    """Whether the home address lies in a prefix, or a mobile network and the prefix have addresses in common."""
    asked = Prefix(prefix, length)
    moved = (Prefix(network.prefix, network.length) for network in binding.networks)
    return asked.contains(binding.home_address) or any(asked.overlaps(network) for network in moved)
