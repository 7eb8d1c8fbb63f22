# SPDX-License-Identifier: Apache-2.0
"""The judge of names: what a node asked the Domain Name System, and whether it went by the answer (RFC 5026 section 5.1).

Always holds: as in `halma.lab.judge`. A question counts as the node's by the address that it came from on the node's own link.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address

import dns.exception
import dns.flags
import dns.message
import dns.name
from dns.rdatatype import AAAA, SRV, RdataType

from halma.lab.evidence import Evidence
from halma.lab.judge import some
from halma.lab.judge_home import home_updates, lifetime
from halma.lab.packets import UDP, Sighting
from halma.lab.verdict import Check
from halma.value import value

_PORT = 53
_UDP_HEADER = 8


@value
class Answer:
    """A question about a name, of the host that asked it, and the whole answer that reached it."""

    asked: float
    answered: float
    source: bytes
    name: dns.name.Name
    kind: RdataType
    message: dns.message.Message


def _message(sighting: Sighting, port: slice) -> dns.message.Message | None:
    """The message to or from a name server that a packet carries."""
    if sighting.protocol != UDP or int.from_bytes(sighting.payload[port]) != _PORT:
        return None
    try:
        return dns.message.from_wire(sighting.payload[_UDP_HEADER:])
    except dns.exception.DNSException:
        return None


def answers(evidence: Evidence, host: str) -> Iterator[Answer]:
    """What a host asked from its link, bare, and was answered there."""
    questions: dict[tuple[bytes, int], tuple[float, dns.message.Message]] = {}
    for sighting in evidence.at(evidence.topology.access_of(host).name):
        if not sighting.bare:
            continue
        question = _message(sighting, slice(2, 4))
        if question is not None and question.question:
            questions[sighting.outer.source, question.id] = (sighting.time, question)
        answer = _message(sighting, slice(0, 2))
        asked = questions.get((sighting.outer.destination, answer.id)) if answer is not None else None
        if asked is not None and answer is not None and asked[1].is_response(answer):
            about = asked[1].question[0]
            yield Answer(asked[0], sighting.time, sighting.outer.destination, about.name, about.rdtype, answer)


def found_by_service(
    evidence: Evidence, host: str, domain: str, source: IPv6Address, requirement: str = "MN-5"
) -> Iterator[Check]:
    """From `source` the host asked for the home agents of a domain, and for their addresses; whenever it registered, it was
    with an address of those of the lowest priority, and after it had been told that address."""
    known = [answer for answer in answers(evidence, host) if answer.source == source.packed]
    service = dns.name.from_text(f"_mip6._ipv6.{domain}")
    targets = {
        record.target: record.priority
        for answer in known
        if answer.kind == SRV and answer.name == service
        for found in answer.message.answer
        for record in found
    }
    addresses = {
        IPv6Address(record.address): (targets[answer.name], answer.answered)
        for answer in reversed(known)
        if answer.kind == AAAA and answer.name in targets
        for found in answer.message.answer
        for record in found
    }
    told = some([f"{address} (priority {priority})" for address, (priority, _) in sorted(addresses.items())])
    yield Check(requirement, f"{host} asks the DNS for the home agents of {domain}", bool(addresses), told or "no answer")
    least = min(targets.values(), default=0)
    sent = [(IPv6Address(update.layer.destination), update.sent) for update in home_updates(evidence, host) if lifetime(update)]
    astray = [
        address
        for address, time in sent
        if address not in addresses or addresses[address][0] != least or time < addresses[address][1]
    ]
    detail = some([f"to {address}" for address in sorted(set(astray or [address for address, _ in sent]))])
    name = f"{host} registers with the home agent that the DNS prefers"
    yield Check(requirement, name, bool(sent) and not astray, f"{len(astray or sent)} of {len(sent)} {detail}")


def asked_before(evidence: Evidence, host: str, time: float, requirement: str = "MN-4") -> Check:
    """All that a host asked the DNS it asked, and was answered, before a time."""
    known = list(answers(evidence, host))
    late = [answer for answer in known if answer.asked >= time]
    name = f"{host} knows its anchor before it first leaves"
    what = some([f"{answer.name.to_text(omit_final_dot=True)} {answer.kind.name}" for answer in late or known])
    return Check(requirement, name, bool(known) and not late, f"{'too late' if late else 'asked'}: {what}")
