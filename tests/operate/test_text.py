# SPDX-License-Identifier: Apache-2.0
"""Addresses, prefixes and identifiers to text and back; what came from the network stays harmless."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halma.text import (
    LONGEST_IDENTIFIER,
    Prefix,
    read_address,
    read_identifier,
    read_link_layer_address,
    read_prefix,
    show_address,
    show_identifier,
    show_link_layer_address,
    show_prefix,
    show_text,
)


@given(st.binary(min_size=16, max_size=16))
def test_an_address_comes_back(address: bytes) -> None:
    assert read_address(show_address(address)) == address


@given(st.lists(st.sampled_from([0, 0, 0, 1, 0xDB8, 0xFFFF]), min_size=8, max_size=8))
def test_an_address_is_written_as_everybody_writes_it(words: list[int]) -> None:
    address = b"".join(word.to_bytes(2, "big") for word in words)
    assert show_address(address) == IPv6Address(address).compressed


@given(st.binary(min_size=16, max_size=16), st.integers(0, 128))
def test_a_prefix_comes_back_and_bits_beyond_it_are_a_mistake(address: bytes, length: int) -> None:
    number = int.from_bytes(address, "big")
    cut = (number >> (128 - length) << (128 - length)).to_bytes(16, "big")
    assert read_prefix(show_prefix(cut, length)) == Prefix(cut, length)
    assert Prefix(cut, length).contains(address)
    if cut != address:
        with pytest.raises(ValueError, match="bits set beyond"):
            read_prefix(show_prefix(address, length))


@pytest.mark.parametrize("text", ["", "::/0x", "::/-1", "::/129", "::/1000", "::/ 4", "x/4", "1.2.3.0/24", "::", "::/\u0663"])
def test_what_is_no_prefix_is_a_mistake(text: str) -> None:
    with pytest.raises(ValueError, match="is not an IPv6 prefix"):
        read_prefix(text)


def test_a_prefix_contains_what_it_should() -> None:
    prefix = read_prefix("2001:db8::/45")
    assert prefix.contains(read_address("2001:db8:7:ffff::"))
    assert not prefix.contains(read_address("2001:db8:8::"))
    assert str(prefix) == "2001:db8::/45"


@pytest.mark.parametrize(
    ("other", "shared"), [("::/0", True), ("2001:db8::/45", True), ("2001:db8:7::/48", True), ("2001:db8:8::/48", False)]
)
def test_prefixes_overlap_where_one_is_in_the_other(other: str, shared: bool) -> None:
    prefix = read_prefix("2001:db8::/45")
    assert prefix.overlaps(read_prefix(other)) is shared
    assert read_prefix(other).overlaps(prefix) is shared


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("02:00:00:00:01:01", "020000000101"),
        ("2-0-0-0-1-1", "020000000101"),
        ("02:00:00:00:01:01:02:03", "0200000001010203"),
    ],
)
def test_link_layer_addresses_are_read(text: str, address: str) -> None:
    assert read_link_layer_address(text).hex() == address


@pytest.mark.parametrize("text", ["", "02", "02:00:00:00:01", "02:00:00:00:01:01:02", "02:00:00:00:01:01:", "002:0:0:0:1:1"])
def test_what_is_no_link_layer_address_is_a_mistake(text: str) -> None:
    with pytest.raises(ValueError, match="is not a link-layer address"):
        read_link_layer_address(text)


def test_identifiers_are_utf_8_and_no_longer_than_the_option_allows() -> None:
    assert read_identifier("h\u00f6st@example.org") == b"h\xc3\xb6st@example.org"
    assert len(read_identifier("a" * 253)) == 253
    for text in ("", "a" * 254, "\u00e9" * 127):
        with pytest.raises(ValueError, match="1 to 253"):
            read_identifier(text)


@given(st.binary(max_size=253))
def test_an_identifier_is_shown_on_one_line_of_bounded_length(identifier: bytes) -> None:
    shown = show_identifier(identifier)
    assert shown.isascii()
    assert shown.isprintable() or shown == ""
    assert "'" not in shown
    assert '"' not in shown
    assert len(shown) <= LONGEST_IDENTIFIER


def test_an_ordinary_identifier_is_shown_as_it_is() -> None:
    assert show_identifier(b"host1@example.org") == "host1@example.org"
    assert show_identifier(b"a" * 65) == "a" * 61 + "..."


@given(st.text(max_size=600))
def test_any_text_is_shown_on_one_line(text: str) -> None:
    shown = show_text(text)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) <= 400


def test_what_is_empty_is_shown_as_a_dash() -> None:
    assert (show_address(b""), show_link_layer_address(b"")) == ("-", "-")
    assert show_link_layer_address(bytes(40)).endswith("...")
