# SPDX-License-Identifier: Apache-2.0
"""Security associations (RFC 4285) as files tell of them: [[association]] of anchor.toml and [node.association] of node.toml.

RFC 4285 section 5.1 (the Security Parameter Index), section 6 (timestamps against replay).

Always holds: a key is in no table; the file that holds it has been looked at when the configuration was read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from halma.daemon.configuration_reader import TEXT, WHY, Reader, Text, repeated
from halma.daemon.configuration_types import HNP_LENGTH, Address, HomeNetworkPrefix, Identifier, read_absolute_path
from halma.daemon.key_file import read_key
from halma.engine.api import Association
from halma.policy.patterns import WILDCARD
from halma.security.authentication import Key
from halma.text import Prefix, show_identifier

LEAST_SPI = 256
"""Lower ones are reserved (RFC 4285 section 5.1)."""
SHORTEST_WINDOW = 3.0
"""Seconds that a replay window is to exceed (RFC 4285 section 6)."""


def read_key_file(text: str) -> str:
    """The absolute path of a sound key file. Raises ValueError."""
    read_key(read_absolute_path(text))
    return text


Spi = Annotated[
    int,
    Meta(
        description="The Security Parameter Index, which tells the node's keys apart (RFC 4285 section 5.1).",
        ge=LEAST_SPI,
        le=0xFFFFFFFF,
        extra={WHY: "RFC 4285 section 5.1"},
    ),
]
Algorithm = Annotated[
    Literal["hmac-sha1", "hmac-sha256"],
    Meta(
        description="How the key is used: `hmac-sha1` as RFC 4285 has it, or `hmac-sha256`. Node and anchor must agree for "
        "each SPI."
    ),
]
KeyFile = Annotated[
    str,
    Meta(
        description="The file that holds the key: 16 octets or more in hexadecimal digits, readable by its owner alone (mode "
        "600). `umask 077; openssl rand -hex 20 > FILE` makes one.",
        extra={TEXT: Text("path of a key file", read_key_file)},
    ),
]


class AssociationTable(msgspec.Struct, frozen=True, kw_only=True):
    """A security association with a mobile node (RFC 4285): what its key may register. At most one of `home_address` and
    `home_prefix` is given; with neither it is the prefix that this anchor has given the node."""

    node: Annotated[Identifier, Meta(description="The node's identifier. It has a profile with `mobile_ipv6`.")]
    spi: Spi
    algorithm: Algorithm = "hmac-sha1"
    key_file: KeyFile
    home_address: Annotated[Address | None, Meta(description="The one home address that the key may register.")] = None
    home_prefix: Annotated[HomeNetworkPrefix | None, Meta(description="The /64 whose addresses it may register.")] = None
    replay_window_seconds: Annotated[
        float,
        Meta(
            description="Seconds that the node's clock may be off; more than 3, or 0 to do without timestamps, so that "
            "sequence numbers alone protect against replay (RFC 4285 section 6).",
            ge=0,
            le=3600,
        ),
    ] = 7.0

    @property
    def handle(self) -> int:
        """What the security layer knows the association by."""
        return _handle(self.node, self.spi)

    @property
    def home(self) -> tuple[str, bytes]:
        """The key that says what may be registered, and the address or prefix that it says; empty where neither is given."""
        if self.home_address is not None:
            return "home_address", self.home_address
        return "home_prefix", b"" if self.home_prefix is None else self.home_prefix.address

    def key(self) -> Key:
        """The association with its key, read from its file. Raises ValueError when the file has changed for the worse."""
        prefix = b"" if self.home_prefix is None else self.home_prefix.address
        association = Association(self.handle, self.node, self.home_address or b"", prefix, self.replay_window_seconds)
        return Key(association, self.spi, self.algorithm, read_key(self.key_file))


class NodeAssociationTable(msgspec.Struct, frozen=True, kw_only=True):
    """The security association with the home agent (RFC 4285): the same `spi`, `algorithm` and key as in its table."""

    spi: Spi
    algorithm: Algorithm = "hmac-sha1"
    key_file: KeyFile
    timestamps: Annotated[
        bool,
        Meta(
            description="Send timestamps against replay (RFC 4285 section 6). The clock need not be right: the home agent "
            "tells by how much it is wrong. With `false` they are sent only if the home agent asks for them."
        ),
    ] = True

    def key(self, node: bytes, home_address: bytes) -> Key:
        """The association of this node with its key, read from its file. Raises ValueError when the file has changed for the
        worse."""
        association = Association(_handle(node, self.spi), node, home_address)
        return Key(association, self.spi, self.algorithm, read_key(self.key_file))


def _handle(node: bytes, spi: int) -> int:
    """The same whenever the file is read again, in whatever order its tables are."""
    return int.from_bytes(hashlib.blake2b(spi.to_bytes(4, "big") + node, digest_size=8).digest(), "big")


# ---- what must hold between the keys ----


def check_associations(
    tables: Sequence[AssociationTable],
    homes: Sequence[Prefix],
    shared: Sequence[Prefix],
    addresses: Sequence[bytes],
    reader: Reader,
) -> None:
    """Associations against one another, and against where home addresses may lie: `homes` are all such prefixes, `shared` those
    of home links. What the nodes' profiles say is checked with them."""
    for table, first in repeated(tables, lambda table: (table.node, table.spi)):
        text = f"{table.spi} is that of {reader.path_of(first)}, which is for the same node"
        reader.mistake(f"{reader.path_of(table)}.spi", text)
    owners: dict[bytes, AssociationTable] = {}
    for table in tables:
        path = reader.path_of(table)
        if WILDCARD in table.node:
            reader.mistake(f"{path}.node", f'"{show_identifier(table.node)}" is a pattern, and a key belongs to one node')
        if 0 < table.replay_window_seconds <= SHORTEST_WINDOW:
            text = f"{table.replay_window_seconds:g} is not more than {SHORTEST_WINDOW:g} (RFC 4285 section 6)"
            reader.mistake(f"{path}.replay_window_seconds", text)
        if table.home_address is not None and table.home_prefix is not None:
            reader.mistake(f"{path}.home_prefix", "is given beside a home_address; give one of them")
        _check_home(table, homes, shared, addresses, reader)
        key, home = table.home
        owner = owners.setdefault(home, table) if home else table
        if owner.node != table.node:
            reader.mistake(f"{path}.{key}", f"belongs to another node by {reader.path_of(owner)}")
    for table in tables:
        owner = owners.get((table.home_address or b"")[:8] + bytes(8), table)
        if table.home_address is not None and owner.home_prefix is not None and owner.node != table.node:
            text = f"lies in the home_prefix of {reader.path_of(owner)}, which is another node's"
            reader.mistake(f"{reader.path_of(table)}.home_address", text)


def _check_home(
    table: AssociationTable, homes: Sequence[Prefix], shared: Sequence[Prefix], addresses: Sequence[bytes], reader: Reader
) -> None:
    path = reader.path_of(table)
    if table.home_address is not None:
        if table.home_address in addresses:
            reader.mistake(f"{path}.home_address", "is the anchor's own address")
        elif not any(prefix.contains(table.home_address) for prefix in homes):
            reader.mistake(f"{path}.home_address", "lies in no home link, pool or profile's prefix")
    elif table.home_prefix is not None:
        if any(prefix.overlaps(table.home_prefix) for prefix in shared):
            reader.mistake(f"{path}.home_prefix", "is that of a shared home link; give the node's home_address")
        elif not any(prefix.length <= HNP_LENGTH and prefix.contains(table.home_prefix.address) for prefix in homes):
            reader.mistake(f"{path}.home_prefix", "lies in no pool or profile's prefix")
