# SPDX-License-Identifier: Apache-2.0
"""The authentication option of Mobile IPv6: RFC 4285 section 5.1 (MN-HA), over messages as they are on the wire.

A `Guardian` is what the runner plugs in: it says how a message that came was protected, and protects one that goes. Another
one may do the same with ESP (RFC 4877).

Always holds: an authenticator is compared in constant time; no method gives a key away, nor does any text made of one.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal, Protocol, TypeGuard

from halma.engine.api import UNPROTECTED, Association, Assurance, Protection
from halma.wire import Message, encode
from halma.wire.checksum import checksum
from halma.wire.messages import (
    BindingAcknowledgement,
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
    BindingUpdate,
)
from halma.wire.numbers import (
    AuthenticationSubtype,
    BindingAcknowledgementFlag,
    BindingUpdateFlag,
    MobilityOption,
    NextHeader,
    RevocationFlag,
)
from halma.wire.options import AlternateCareOfAddress, MobileNodeIdentifier, MobilityMessageAuthentication

Covered = BindingUpdate | BindingAcknowledgement | BindingRevocationIndication | BindingRevocationAcknowledgement
"""Messages that may have the option."""
Algorithm = Literal["hmac-sha1", "hmac-sha256"]
MN_HA = int(AuthenticationSubtype.MN_HA)
AUTHENTICATOR = 12
"""Octets: the first 96 bits of the code (RFC 4285 section 5.1)."""
BEFORE_DATA = 7
"""Octets of the option before its authentication data: type, length, subtype, SPI."""
CHECKSUM = 4
"""Where the Checksum stands in a Mobility Header; it counts as zero (section 5.1)."""
_HEAD = struct.Struct("!BBBI")


class Guardian(Protocol):
    """What protects signalling."""

    def judge(self, message: Message, data: bytes, care_of_address: bytes, home_address: bytes) -> Protection:
        """How a message that came was protected; `data` is it as it came."""

    def protect(
        self,
        message: Message,
        pseudo: tuple[bytes, bytes],
        care_of_address: bytes,
        home_address: bytes,
        association: Association,
    ) -> bytes:
        """A message as it goes, with its checksum over the `pseudo` header's source and destination."""


class Key:
    """A shared secret: 16 octets by RFC 4285, at least that many here. It shows itself to nobody. `option` is what it fills in
    at the end of a message, `octets` the same on the wire."""

    __slots__ = ("_begun", "association", "octets", "option", "spi")

    def __init__(self, association: Association, spi: int, algorithm: Algorithm, secret: bytes) -> None:
        self.association = association
        self.spi = spi
        self._begun = hmac.new(secret, digestmod="sha1" if algorithm == "hmac-sha1" else "sha256")
        self.option = MobilityMessageAuthentication(MN_HA, spi, bytes(AUTHENTICATOR))
        self.octets = _octets(self.option)

    def __repr__(self) -> str:
        return f"Key(spi={self.spi})"

    def code(self, care_of_address: bytes, home_address: bytes, covered: bytes) -> bytes:
        """The authenticator of a Mobility Header up to and including the SPI, its checksum zero."""
        code = self._begun.copy()  # half of the work is the key alone, and has been done
        code.update(care_of_address + home_address + covered)
        return code.digest()[:AUTHENTICATOR]


class AuthenticationGuardian:
    """Guards by the keys of RFC 4285. A key is found by its SPI together with the node's identifier where the message names
    it, else with the home address or its prefix; each of these pairs belongs to one key. An SPI that only one key has needs no
    more."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._by_handle: dict[int, Key] = {}
        self._by_name: dict[tuple[int, bytes], Key] = {}
        self._by_spi: dict[int, Key | None] = {}
        for key in keys:
            self._by_spi[key.spi] = key if key.spi not in self._by_spi else None
            self._by_handle[key.association.handle] = key
            for name in (key.association.identifier, key.association.home_address, key.association.home_prefix):
                if name:
                    self._by_name[key.spi, name] = key

    def judge(self, message: Message, data: bytes, care_of_address: bytes, home_address: bytes) -> Protection:
        """Section 5.1.1. Messages of other kinds carry no such option."""
        if not _is_covered(message):
            return UNPROTECTED
        option = message.options[-1] if message.options else None
        if not isinstance(option, MobilityMessageAuthentication) or option.subtype != MN_HA or not option.authentication_data:
            return UNPROTECTED  # there is none, or another option follows it, which must not be
        key = self._key(message, option.spi, home_address)
        if key is None:
            return Protection(Assurance.UNKNOWN)
        end = data.rindex(_octets(option)) + BEFORE_DATA  # nothing but padding is behind it
        covered = _without_checksum(data[:end])
        for address in _care_of_addresses(message, care_of_address):
            if hmac.compare_digest(key.code(address, home_address, covered), option.authentication_data):
                return Protection(Assurance.VALID, key.association, address)
        return Protection(Assurance.FAILED, key.association, care_of_address)

    def protect(
        self,
        message: Message,
        pseudo: tuple[bytes, bytes],
        care_of_address: bytes,
        home_address: bytes,
        association: Association,
    ) -> bytes:
        """The message with its last option added: the MN-HA authentication option (section 5.1)."""
        key = self._by_handle.get(association.handle)
        if key is None:  # the operator has taken it away since: whoever gets the message will know what to think of it
            return encode(message, *pseudo)
        assert _is_covered(message)
        data = _without_checksum(encode(replace(message, options=(*message.options, key.option)), *pseudo))
        end = data.rindex(key.octets) + BEFORE_DATA  # nothing but padding is behind it
        data = data[:end] + key.code(care_of_address, home_address, data[:end]) + data[end + AUTHENTICATOR :]
        total = checksum(*pseudo, data, NextHeader.MOBILITY).to_bytes(2, "big")
        return data[:CHECKSUM] + total + data[CHECKSUM + 2 :]

    def _key(self, message: Covered, spi: int, home_address: bytes) -> Key | None:
        for option in message.options:
            if isinstance(option, MobileNodeIdentifier):
                return self._by_name.get((spi, option.identifier))
        exact = self._by_name.get((spi, home_address))
        return exact or self._by_name.get((spi, home_address[:8] + bytes(8))) or self._by_spi.get(spi)


def _care_of_addresses(message: Covered, source: bytes) -> list[bytes]:
    """What a code may be over: section 5.1 says "care-of address", which is the alternate one where a Binding Update has one
    (RFC 6275 section 9.5.1), but some take the packet's source."""
    found = [source]
    if isinstance(message, BindingUpdate):
        found += [option.address for option in message.options if isinstance(option, AlternateCareOfAddress)][:1]
    return found


def _is_covered(message: Message) -> TypeGuard[Covered]:
    """Binding Updates and Acknowledgements of mobile nodes, and what takes back what these have made (RFC 5846 section 7); the
    proxy ones are protected otherwise (RFC 5213 section 4)."""
    if isinstance(message, BindingUpdate):
        return not message.flags & BindingUpdateFlag.PROXY
    if isinstance(message, BindingRevocationIndication | BindingRevocationAcknowledgement):
        return not message.flags & RevocationFlag.PROXY_BINDING
    return isinstance(message, BindingAcknowledgement) and not message.flags & BindingAcknowledgementFlag.PROXY


def _octets(option: MobilityMessageAuthentication) -> bytes:
    """The option on the wire, without padding."""
    data = option.authentication_data
    kind, length = MobilityOption.MOBILITY_MESSAGE_AUTHENTICATION, BEFORE_DATA - 2 + len(data)
    return _HEAD.pack(kind, length, option.subtype, option.spi) + data


def _without_checksum(data: bytes) -> bytes:
    return data[:CHECKSUM] + b"\0\0" + data[CHECKSUM + 2 :]
