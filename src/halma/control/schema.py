# SPDX-License-Identifier: Apache-2.0
"""What can be asked of a running daemon, and how it answers: JSON, one object a line, over a unix socket.

    -> {"request": "show", "what": "bindings", "node": "*@example.org"}
    <- {"rows": [{"node": "host1@example.org", "prefixes": ["2001:db8:100:1::/64"], ...}, ...]}
    <- {"rows": [...]}
    <- {"done": 812}
    -> {"request": "attach", "interface": "ap0", "link_layer_address": "02:00:00:00:01:01"}
    <- {"error": "there is no access interface ap0"}

A client sends a request when the last one is answered; each answer is any number of `rows` and then `done` (their count) or
`error`. Following events ends when the client closes.

Always holds: a request that decodes is well-formed (addresses 16 bytes, identifiers within RFC 4283); unknown keys are
refused, so that a misspelt filter does not show everything.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from halma.text import (
    Prefix,
    read_address,
    read_identifier,
    read_link_layer_address,
    read_prefix,
    show_address,
    show_link_layer_address,
    show_prefix,
)

LONGEST_REQUEST = 16384
"""Bytes of a request's line."""

What = Literal[
    "bindings", "home_bindings", "groups", "sessions", "registration", "peers", "tunnels", "counters", "events", "plane", "all"
]
"""What `show` can show. `bindings` (made by gateways) and `home_bindings` (made by mobile nodes) are an anchor's, `sessions` a
gateway's, `registration` is a node's; `all` is for support: one row with everything."""


class Address(bytes):
    """16 bytes; written as an IPv6 address. Empty: not given."""


class LinkLayerAddress(bytes):
    """6 or 8 bytes; written `02:00:00:00:01:01`. Empty: not given."""


class Identifier(bytes):
    """A node identifier, or where it is a filter a pattern of them. Empty: not given."""


class PrefixFilter(bytes):
    """A prefix as 16 bytes and one byte of length; written `2001:db8:100:1::/64`. Empty: not given."""

    @property
    def prefix(self) -> Prefix | None:
        """The prefix, None when not given."""
        return Prefix(bytes(self[:16]), self[16]) if self else None


class Show(msgspec.Struct, tag_field="request", tag="show", forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """Rows of something. The filters hold together; `limit` is the most rows, 0 for all; `follow` goes on with new events."""

    what: What
    node: Identifier = Identifier()
    prefix: PrefixFilter = PrefixFilter()
    peer: Address = Address()
    limit: int = 0
    follow: bool = False


class Revoke(msgspec.Struct, tag_field="request", tag="revoke", forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """End sessions (RFC 5846): at an anchor exactly one of `node`, `prefix`, `peer` (a gateway; `realm` narrows it); at a
    gateway `peer`, an anchor."""

    node: Identifier = Identifier()
    prefix: PrefixFilter = PrefixFilter()
    peer: Address = Address()
    realm: str = ""


class Attach(msgspec.Struct, tag_field="request", tag="attach", forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """A node is on an access interface of this gateway (GW-1). `handoff_indicator` and `access_technology` are the numbers of
    RFC 5213 sections 8.4 and 8.5, 0 for not known."""

    interface: str
    link_layer_address: LinkLayerAddress
    node: Identifier = Identifier()
    handoff_indicator: int = 0
    access_technology: int = 0


class Detach(msgspec.Struct, tag_field="request", tag="detach", forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """A node has left this gateway: the interface with this link-layer address, or all of `node`."""

    link_layer_address: LinkLayerAddress = LinkLayerAddress()
    node: Identifier = Identifier()


class Retry(msgspec.Struct, tag_field="request", tag="retry", forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """Ask the anchor again for a node that it refused (RFC 5213 section 6.9.1.2), or for all of them."""

    node: Identifier = Identifier()


class Reload(msgspec.Struct, tag_field="request", tag="reload", forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """Read the configuration file again and take its peers, profiles and associations over."""


Request = Show | Revoke | Attach | Detach | Retry | Reload


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of an answer: `rows`, or the end of it."""

    rows: list[dict[str, Any]] | None = None
    done: int | None = None
    error: str | None = None


class ControlError(Exception):
    """The daemon does not do what was asked; the text says why."""


def encode_request(request: Request) -> bytes:
    """The request's line."""
    return msgspec.json.encode(request, enc_hook=_to_text) + b"\n"


def decode_request(line: bytes) -> Request:
    """A request from its line. Raises ControlError with a sentence."""
    try:
        request: Request = _REQUESTS.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ControlError(f"not a request: {error}") from None
    return request


def _from_text(kind: type, value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("a string is needed")
    if not value:
        return kind()
    if kind is Address:
        return Address(read_address(value))
    if kind is LinkLayerAddress:
        return LinkLayerAddress(read_link_layer_address(value))
    if kind is Identifier:
        return Identifier(read_identifier(value))
    prefix = read_prefix(value if "/" in value else f"{value}/128")
    return PrefixFilter(prefix.address + bytes([prefix.length]))


def _to_text(value: object) -> str:
    if isinstance(value, Address):
        return show_address(value) if value else ""
    if isinstance(value, LinkLayerAddress):
        return show_link_layer_address(value) if value else ""
    if isinstance(value, Identifier):
        return value.decode()
    if isinstance(value, PrefixFilter):
        return show_prefix(value[:16], value[16]) if value else ""
    raise TypeError(f"{value!r} has no place in a request")


_REQUESTS = msgspec.json.Decoder(Request, dec_hook=_from_text)
