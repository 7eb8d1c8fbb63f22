# SPDX-License-Identifier: Apache-2.0
"""The addresses that a mobile node forms where it is, and whether somebody has them already.

RFC 6275 sections 11.5.3 and 11.5.4, RFC 4862 sections 5.4 and 5.5, RFC 4429 (an address is used while Duplicate Address
Detection runs), RFC 7217 (identifiers that are stable on a link, from a secret).

Always holds: an address that was found to be another's is not used again on that link; an address whose prefix the router in
use does not advertise is none of ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from halma.engine.anycast import is_anycast
from halma.engine.api import Severity
from halma.engine.constants import RETRANS_TIMER
from halma.engine.node_api import AskForAddress, ConfigureAddress, RemoveAddress
from halma.engine.node_context import NodeContext, Timer
from halma.engine.routers import PrefixRecord, Router

IDGEN_RETRIES = 3
"""Further identifiers that are tried after one was taken (RFC 7217 section 7)."""


class CareOfAddresses:
    """See the module. `changed` is called when the choice may have become another: an address is a duplicate, or has been
    found to be none before it could be used."""

    def __init__(self, context: NodeContext, changed: Callable[[], None]) -> None:
        self._context = context
        self._changed = changed
        self._held: dict[bytes, PrefixRecord] = {}
        self._usable: set[bytes] = set()
        self._checking: set[bytes] = set()
        self._collisions: dict[bytes, int] = {}
        context.on(Timer.DETECTION, self._detection_over)

    # ---- which one ----

    def choose(self, router: Router, present: bytes) -> bytes:
        """The primary care-of address behind this router: `present` as long as it is good, else a new one (section 11.5.3).
        Empty when there is none, or none yet."""
        now, settings = self._context.now.monotonic, self._context.settings
        home = (settings.home_prefix, settings.home_prefix_length)
        fit = [r for r in router.prefixes.values() if r.autonomous and r.valid_until > now and r.prefix != home]
        self._withdraw(router)
        kept = self._held.get(present)
        preferred = [record for record in fit if record.preferred_until > now and record.advertised]
        for record in preferred or fit:
            if kept is not None and kept.prefix == record.prefix:
                return present
        for record in preferred or fit:
            address = self._form(record, router)
            if address:
                return address if address in self._usable else b""
        return b""

    def valid_for(self, address: bytes) -> float:
        """Seconds for which an address of ours stays valid (may be infinite)."""
        record = self._held.get(address)
        return 0.0 if record is None else max(0.0, record.valid_until - self._context.now.monotonic)

    def _withdraw(self, router: Router) -> None:
        """Addresses of prefixes that this router does not advertise are not reachable here (section 11.5.4)."""
        for address, record in list(self._held.items()):
            held = router.prefixes.get(record.prefix)
            if held is None:
                self._remove(address)
            else:
                self._held[address] = held

    def withdraw_all(self) -> None:
        """The node is at home, or stops."""
        for address in list(self._held):
            self._remove(address)

    def moved(self) -> None:
        """Another link: what was taken there may be free here."""
        self._collisions.clear()

    def _remove(self, address: bytes) -> None:
        del self._held[address]
        self._usable.discard(address)
        self._stop_checking(address)
        self._context.do(RemoveAddress(address))

    def _form(self, record: PrefixRecord, router: Router) -> bytes:
        """The address of a prefix, configured; empty when every identifier was taken."""
        prefix = record.prefix[0][:8]
        collisions = self._collisions.get(prefix, 0)
        if collisions > IDGEN_RETRIES:
            return b""
        address = prefix + self._identifier(prefix, collisions)
        if address not in self._held:
            self._held[address] = record
            self.check(address)
            if router.link_layer_address:  # else RFC 4429 section 3.3 has it wait
                self._usable.add(address)
                self._context.do(ConfigureAddress(address))
        return address

    def _identifier(self, prefix: bytes, collisions: int) -> bytes:
        """The interface's own identifier; after collisions one that is stable and hard to guess (RFC 7217 section 5)."""
        settings = self._context.settings
        if not collisions:
            return settings.interface_identifier
        number = collisions
        while True:
            seed = settings.secret + prefix + settings.interface_identifier + number.to_bytes(4, "big")
            identifier = hashlib.sha256(seed).digest()[:8]
            if not is_anycast(prefix[:8] + identifier):
                return identifier
            number += IDGEN_RETRIES  # pragma: no cover - one in 2^56

    # ---- whether it is free (RFC 4862 section 5.4) ----

    def check(self, address: bytes) -> None:
        """Ask whether somebody has this address; a claim within RetransTimer says so."""
        self._checking.add(address)
        self._context.count("detections")
        self._context.do(AskForAddress(address))
        self._context.arm(Timer.DETECTION, RETRANS_TIMER, address)

    def claimed(self, address: bytes) -> bool:
        """Somebody has an address. Whether it was one that we had asked about."""
        if address not in self._checking:
            return False
        self._stop_checking(address)
        self._context.count("duplicates")
        text = "another node on this link has the address {:address}"
        self._context.report(Severity.WARNING, "duplicate_address", text, address, peer=address)
        if address in self._held:
            self._collisions[address[:8]] = self._collisions.get(address[:8], 0) + 1
            if self._collisions[address[:8]] > IDGEN_RETRIES:
                text = "every address that was tried on this link is taken: no care-of address"
                self._context.report(Severity.ERROR, "no_care_of_address", text)
            self._remove(address)
            self._changed()
        return True

    def _detection_over(self, address: bytes) -> None:
        self._checking.discard(address)
        if address in self._held and address not in self._usable:
            self._usable.add(address)
            self._context.do(ConfigureAddress(address))
            self._changed()

    def _stop_checking(self, address: bytes) -> None:
        self._checking.discard(address)
        self._context.disarm(Timer.DETECTION, address)
