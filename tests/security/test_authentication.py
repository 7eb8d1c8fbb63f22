# SPDX-License-Identifier: Apache-2.0
"""The authentication option of RFC 4285, against a calculation of its own and against tampering."""

from __future__ import annotations

import hmac
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halma.engine.api import UNPROTECTED, Association, Assurance
from halma.security.authentication import Algorithm, AuthenticationGuardian, Key
from halma.wire import DecodeError, decode, encode
from halma.wire.checksum import checksum
from halma.wire.messages import (
    BindingAcknowledgement,
    BindingRevocationAcknowledgement,
    BindingRevocationIndication,
    BindingUpdate,
)
from halma.wire.options import (
    AlternateCareOfAddress,
    MobileNodeIdentifier,
    MobilityMessageAuthentication,
    MobilityMessageReplayProtection,
)

CARE_OF = bytes.fromhex("20010db8000900000000000000000001")
HOME = bytes.fromhex("20010db8010000000000000000000001")
AGENT = bytes.fromhex("20010db8000100000000000000000001")
SECRET = bytes(range(16))
NODE = Association(1, b"mn@example.org")
UPDATE = BindingUpdate(7, 0xC000, 100, (MobileNodeIdentifier(1, b"mn@example.org"), MobilityMessageReplayProtection(5)))


def guardian(algorithm: Algorithm = "hmac-sha1", spi: int = 256, association: Association = NODE) -> AuthenticationGuardian:
    return AuthenticationGuardian([Key(association, spi, algorithm, SECRET)])


def protected(update: BindingUpdate = UPDATE, algorithm: Algorithm = "hmac-sha1") -> bytes:
    return guardian(algorithm).protect(update, (HOME, AGENT), CARE_OF, HOME, NODE)


@pytest.mark.rfc("4285#5.1-4")
@pytest.mark.parametrize(("algorithm", "function"), [("hmac-sha1", "sha1"), ("hmac-sha256", "sha256")])
def test_the_authenticator_is_the_one_of_the_rfc(algorithm: Algorithm, function: str) -> None:
    data = protected(algorithm=algorithm)
    message = decode(data, HOME, AGENT)
    assert isinstance(message, BindingUpdate)
    option = message.options[-1]
    assert isinstance(option, MobilityMessageAuthentication)
    assert (option.subtype, option.spi) == (1, 256)
    begin = data.index(option.authentication_data)
    covered = CARE_OF + HOME + data[:4] + b"\0\0" + data[6:begin]
    assert option.authentication_data == hmac.new(SECRET, covered, function).digest()[:12]


def judge(data: bytes, care_of: bytes = CARE_OF, home: bytes = HOME, by: AuthenticationGuardian | None = None) -> object:
    message = decode(data, HOME, AGENT)
    return (by or guardian()).judge(message, data, care_of, home).assurance


@pytest.mark.rfc("4285#5.1.1-3")
def test_what_was_protected_is_valid() -> None:
    data = protected()
    assert guardian().judge(decode(data, HOME, AGENT), data, CARE_OF, HOME).association == NODE
    assert judge(data) is Assurance.VALID


@pytest.mark.rfc("4285#5.1.1-3")
def test_another_care_of_or_home_address_fails() -> None:
    assert judge(protected(), care_of=AGENT) is Assurance.FAILED
    assert judge(protected(), home=AGENT) is Assurance.FAILED


def test_an_alternate_care_of_address_may_be_what_was_covered() -> None:
    update = replace(UPDATE, options=(AlternateCareOfAddress(AGENT), *UPDATE.options))
    for covered in (AGENT, CARE_OF):
        data = guardian().protect(update, (HOME, AGENT), covered, HOME, NODE)
        found = guardian().judge(decode(data, HOME, AGENT), data, CARE_OF, HOME)
        assert (found.assurance, found.care_of_address) == (Assurance.VALID, covered)
    data = guardian().protect(update, (HOME, AGENT), HOME, HOME, NODE)
    assert judge(data) is Assurance.FAILED


@pytest.mark.rfc("4285#5.1.1-3")
@given(st.integers(6, 71), st.integers(1, 255))
def test_no_octet_that_is_covered_can_be_changed(offset: int, flip: int) -> None:
    data = bytearray(protected())
    data[offset % len(data)] ^= flip
    data[4:6] = b"\0\0"
    data[4:6] = checksum(HOME, AGENT, bytes(data), 135).to_bytes(2, "big")
    if bytes(data) == protected():
        return
    try:
        message = decode(bytes(data), HOME, AGENT)
    except DecodeError:
        return
    verdict = guardian().judge(message, bytes(data), CARE_OF, HOME).assurance
    pads_only = decode(protected(), HOME, AGENT) == message
    assert pads_only or verdict is not Assurance.VALID


def test_an_unknown_spi_or_node_is_told_apart() -> None:
    assert judge(protected(), by=guardian(spi=300)) is Assurance.UNKNOWN
    assert judge(protected(), by=guardian(association=Association(1, b"other@example.org"))) is Assurance.UNKNOWN


def test_without_an_identifier_the_key_is_found_by_the_home_address_or_prefix() -> None:
    bare = BindingUpdate(7, 0xC000, 100, ())
    for association in (Association(1, b"n", home_address=HOME), Association(1, b"n", home_prefix=HOME[:8] + bytes(8))):
        by = guardian(association=association)
        data = by.protect(bare, (HOME, AGENT), CARE_OF, HOME, association)
        assert judge(data, by=by) is Assurance.VALID


@pytest.mark.rfc("4285#5.1-3")
def test_an_option_behind_the_authentication_makes_it_none() -> None:
    signed = decode(protected(), HOME, AGENT)
    assert isinstance(signed, BindingUpdate)
    moved = BindingUpdate(7, 0xC000, 100, (signed.options[-1], *signed.options[:-1]))
    data = encode(moved, HOME, AGENT)
    assert guardian().judge(decode(data, HOME, AGENT), data, CARE_OF, HOME) == UNPROTECTED


def test_acknowledgements_are_protected_and_proxy_messages_are_not_looked_at() -> None:
    answer = BindingAcknowledgement(0, 0, 7, 100, (MobileNodeIdentifier(1, b"mn@example.org"),))
    data = guardian().protect(answer, (AGENT, HOME), CARE_OF, HOME, NODE)
    assert guardian().judge(decode(data, AGENT, HOME), data, CARE_OF, HOME).assurance is Assurance.VALID
    proxy = BindingUpdate(7, 0x8200, 100, UPDATE.options)
    assert guardian().judge(proxy, b"", CARE_OF, HOME) == UNPROTECTED


def test_a_key_shows_itself_to_nobody() -> None:
    key = Key(NODE, 256, "hmac-sha1", SECRET)
    assert SECRET.hex() not in repr(key) + str(vars(type(key)))
    assert "Key(spi=256)" in repr(key)


@pytest.mark.parametrize("proxy", [False, True])
@pytest.mark.parametrize("message", [BindingRevocationIndication(1, 9, 0), BindingRevocationAcknowledgement(0, 9, 0)])
def test_what_takes_a_registration_back_is_protected_too(
    message: BindingRevocationIndication | BindingRevocationAcknowledgement, proxy: bool
) -> None:
    if proxy:
        data = encode(replace(message, flags=0x8000), AGENT, HOME)
        assert guardian().judge(decode(data, AGENT, HOME), data, CARE_OF, HOME) == UNPROTECTED
        return
    data = guardian().protect(message, (AGENT, HOME), CARE_OF, HOME, NODE)
    assert guardian().judge(decode(data, AGENT, HOME), data, CARE_OF, HOME).assurance is Assurance.VALID
    changed = bytearray(data)
    changed[7] ^= 1
    changed[4:6] = b"\0\0"
    changed[4:6] = checksum(AGENT, HOME, bytes(changed), 135).to_bytes(2, "big")
    assert guardian().judge(decode(bytes(changed), AGENT, HOME), bytes(changed), CARE_OF, HOME).assurance is Assurance.FAILED


def test_what_was_protected_by_a_key_that_is_gone_goes_bare() -> None:
    update = AuthenticationGuardian([]).protect(UPDATE, (HOME, AGENT), CARE_OF, HOME, NODE)
    assert update == encode(UPDATE, HOME, AGENT)
