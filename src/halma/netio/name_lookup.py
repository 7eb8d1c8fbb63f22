# SPDX-License-Identifier: Apache-2.0
"""The addresses of home agents from the Domain Name System: AAAA records of a name, or the SRV records of the service
`_mip6._ipv6` of a domain and then the AAAA records of their targets (RFC 5026 section 5.1, RFC 2782).

Questions leave from the address that is given, so that they take the link while packets from the home address do not; name
servers are asked over IPv6 alone. Answers are not authenticated.

Always holds: nothing blocks the event loop; a look-up ends within LONGEST seconds; no more than MAXIMUM_TARGETS targets, with
MAXIMUM_ADDRESSES addresses each, come of it, and no more than MAXIMUM_SERVERS name servers are asked.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Sequence
from ipaddress import AddressValueError, IPv6Address
from pathlib import Path

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.rdatatype
import dns.resolver
import dns.rrset
from dns.rdataclass import IN
from dns.rdatatype import AAAA, SRV

from halma.engine.node_api import HomeAgentRecord
from halma.text import show_address
from halma.value import value

SERVICE = "_mip6._ipv6"
"""The service of home agents (RFC 5026 section 5.1.2)."""
MAXIMUM_TARGETS = 8
MAXIMUM_ADDRESSES = 4
MAXIMUM_SERVERS = 3
LONGEST = 10.0
"""Seconds that a look-up takes at the most."""
QUESTION_SECONDS = 4.5
ATTEMPT_SECONDS = 1.5
"""Seconds until a question is given up, and until it is sent again or another name server is asked."""
UDP_PAYLOAD = 1232
"""Octets of an answer that certainly need no fragmentation; a longer one comes by TCP."""
SERVER_FILES = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
"""Where the machine's name servers stand. The latter has the real ones where the former names a server on this machine, which
would itself ask from the home address."""


class HomeAgentLookupError(Exception):
    """Nothing was found; the message ends a sentence for people."""


@value
class Found:
    """What was found, and for how many seconds it is good."""

    records: tuple[HomeAgentRecord, ...]
    lifetime: float


def name_servers(files: Iterable[Path] = SERVER_FILES) -> tuple[str, ...]:
    """The machine's name servers that have an IPv6 address and are elsewhere."""
    for file in files:
        resolver = dns.asyncresolver.Resolver(configure=False)
        try:
            resolver.read_resolv_conf(file)
        except (dns.exception.DNSException, ValueError):  # there is no such file, or nothing in it
            continue
        servers = tuple(server for server in map(str, resolver.nameservers) if _is_elsewhere(server))
        if servers:
            return servers
    return ()


def _is_elsewhere(server: str) -> bool:
    try:
        return not IPv6Address(server).is_loopback
    except AddressValueError:
        return False


async def find_home_agents(name: str, *, by_service: bool, source: bytes, servers: Sequence[str]) -> Found:
    """Ask these name servers, from the address `source`. Raises HomeAgentLookupError."""
    if not servers:
        raise HomeAgentLookupError("no name server with an IPv6 address is known")
    questions = _Questions(show_address(source), servers[:MAXIMUM_SERVERS])
    try:
        async with asyncio.timeout(LONGEST):
            if by_service:
                return await questions.service(dns.name.from_text(f"{SERVICE}.{name}"))
            return await questions.host(dns.name.from_text(name))
    except TimeoutError:
        raise HomeAgentLookupError("no answer") from None


class _Questions:
    """The questions of one look-up."""

    def __init__(self, source: str, servers: Sequence[str]) -> None:
        self._source = source
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._resolver.nameservers = list(servers)
        self._resolver.lifetime = QUESTION_SECONDS
        self._resolver.timeout = ATTEMPT_SECONDS
        self._resolver.use_edns(0, 0, UDP_PAYLOAD)

    async def host(self, name: dns.name.Name) -> Found:
        """RFC 5026 section 5.1.1."""
        answer = await self._ask(name, AAAA)
        return Found((HomeAgentRecord(_addresses(answer.rrset)),), answer.chaining_result.minimum_ttl)

    async def service(self, name: dns.name.Name) -> Found:
        """RFC 5026 section 5.1.2. Targets whose address cannot be found are left out."""
        answer = await self._ask(name, SRV)
        targets = sorted(answer, key=lambda record: record.priority)
        if [record.target for record in targets] == [dns.name.root]:
            raise HomeAgentLookupError("the domain has no home agents, it says")
        targets = targets[:MAXIMUM_TARGETS]
        outcomes = await asyncio.gather(
            *(self._target(answer.response, record.target) for record in targets), return_exceptions=True
        )
        records, lifetimes, failures = [], [float(answer.chaining_result.minimum_ttl)], []
        for record, outcome in zip(targets, outcomes, strict=True):
            if isinstance(outcome, Found):
                records.append(HomeAgentRecord(outcome.records[0].addresses, record.priority, record.weight))
                lifetimes.append(outcome.lifetime)
            elif isinstance(outcome, HomeAgentLookupError):
                failures.append(outcome)
            else:
                raise outcome
        if not records:
            raise failures[0]
        return Found(tuple(records), min(lifetimes))

    async def _target(self, response: dns.message.Message, target: dns.name.Name) -> Found:
        """The addresses of a target: those that came along with it, or those that it is asked for."""
        beside = response.get_rrset(response.additional, target, IN, AAAA)
        if beside is None:
            return await self.host(target)
        return Found((HomeAgentRecord(_addresses(beside)),), beside.ttl)

    async def _ask(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.resolver.Answer:
        shown = f"{name.to_text(omit_final_dot=True)} {kind.name}"
        try:
            return await self._resolver.resolve(name, kind, source=self._source, search=False)
        except dns.resolver.NXDOMAIN:
            raise HomeAgentLookupError(f"{shown}: no such name") from None
        except dns.resolver.NoAnswer:
            raise HomeAgentLookupError(f"{shown}: no such record") from None
        except dns.resolver.NoNameservers:
            raise HomeAgentLookupError(f"{shown}: the name servers fail") from None
        except dns.resolver.LifetimeTimeout:
            raise HomeAgentLookupError(f"{shown}: no answer") from None
        except (dns.exception.DNSException, OSError) as error:
            raise HomeAgentLookupError(f"{shown}: {type(error).__name__}") from None


def _addresses(found: dns.rrset.RRset | None) -> tuple[bytes, ...]:
    """The addresses of AAAA records, in the order in which the name server has them."""
    return tuple(socket.inet_pton(socket.AF_INET6, record.address) for record in found or ())[:MAXIMUM_ADDRESSES]
