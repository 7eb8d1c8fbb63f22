# SPDX-License-Identifier: Apache-2.0
"""Mobility options of Mobile IPv6 and NEMO: RFC 6275 section 6.2, RFC 3963 section 4.3, and the options for authentication
(RFC 4285), vendors (RFC 5094) and service selection (RFC 5149).

Always holds: a field is the number or the octets on the wire; nothing is interpreted here.
"""

from __future__ import annotations

from halma.wire.optionspace import Option, option
from halma.wire.spaces import MOBILITY_OPTIONS


@option(MOBILITY_OPTIONS, 2, "H", section="6275#6.2.4", align=(2, 0))
class BindingRefreshAdvice(Option):
    """When the mobile node should register again, in units of four seconds."""

    refresh_interval: int


@option(MOBILITY_OPTIONS, 3, "16s", section="6275#6.2.5", align=(8, 6))
class AlternateCareOfAddress(Option):
    """The care-of address of the binding, instead of the packet's source address."""

    address: bytes


@option(MOBILITY_OPTIONS, 4, "2H", section="6275#6.2.6", align=(2, 0))
class NonceIndices(Option):
    """Which nonces of the correspondent node the tokens were made from."""

    home_nonce_index: int
    care_of_nonce_index: int


@option(MOBILITY_OPTIONS, 5, "*", section="6275#6.2.7", align=(8, 2))
class BindingAuthorizationData(Option):
    """The authenticator of the return routability procedure. Must be the last option of its message; with its 96 bits and
    the alignment given here it ends the message, so that no padding follows."""

    authenticator: bytes


@option(MOBILITY_OPTIONS, 6, "x B 16s", section="3963#4.3", align=(8, 4))
class MobileNetworkPrefix(Option):
    """A prefix of the network behind a mobile router."""

    prefix_length: int
    prefix: bytes


@option(MOBILITY_OPTIONS, 9, "B I *", section="4285#5", align=(4, 1))
class MobilityMessageAuthentication(Option):
    """Authenticates everything up to and including `spi` (numbers.AuthenticationSubtype)."""

    subtype: int
    spi: int
    authentication_data: bytes


@option(MOBILITY_OPTIONS, 10, "Q", section="4285#6", align=(8, 2))
class MobilityMessageReplayProtection(Option):
    """When the message was sent, in the 32.32 fixed point format of NTP."""

    timestamp: int


@option(MOBILITY_OPTIONS, 19, "I B *", section="5094#3", align=(4, 2))
class VendorSpecific(Option):
    """Whatever a vendor (an SMI Private Enterprise Number) says."""

    vendor: int
    subtype: int
    data: bytes


@option(MOBILITY_OPTIONS, 20, "*1+", section="5149#3")
class ServiceSelection(Option):
    """The service that the mobile node wants, as UTF-8."""

    identifier: bytes
