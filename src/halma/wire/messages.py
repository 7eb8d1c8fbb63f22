# SPDX-License-Identifier: Apache-2.0
"""The Mobility Header messages: RFC 6275 section 6.1, RFC 5846 section 5, RFC 5847 section 3, RFC 7077 section 4.

Always holds: `options` is a tuple in the order of the wire, without padding; lifetimes are in units of four seconds as
on the wire; a flags field holds only bits that some RFC has assigned.
"""

from __future__ import annotations

from halma.value import value
from halma.wire.messagespace import message
from halma.wire.optionspace import Option
from halma.wire.spaces import MOBILITY_MESSAGES


@message(MOBILITY_MESSAGES, 0, "2x", section="6275#6.1.2")
class BindingRefreshRequest:
    """Asks the mobile node to update its binding."""

    options: tuple[Option, ...] = ()


@message(MOBILITY_MESSAGES, 1, "2x 8s", section="6275#6.1.3")
class HomeTestInit:
    """Starts the test of the home address."""

    home_init_cookie: bytes
    options: tuple[Option, ...] = ()


@message(MOBILITY_MESSAGES, 2, "2x 8s", section="6275#6.1.4")
class CareOfTestInit:
    """Starts the test of the care-of address."""

    care_of_init_cookie: bytes
    options: tuple[Option, ...] = ()


@message(MOBILITY_MESSAGES, 3, "H 8s 8s", section="6275#6.1.5")
class HomeTest:
    """Answers a Home Test Init."""

    home_nonce_index: int
    home_init_cookie: bytes
    home_keygen_token: bytes
    options: tuple[Option, ...] = ()


@message(MOBILITY_MESSAGES, 4, "H 8s 8s", section="6275#6.1.6")
class CareOfTest:
    """Answers a Care-of Test Init."""

    care_of_nonce_index: int
    care_of_init_cookie: bytes
    care_of_keygen_token: bytes
    options: tuple[Option, ...] = ()


@message(MOBILITY_MESSAGES, 5, "H H&fff0 H", section="6275#6.1.7")
class BindingUpdate:
    """Tells where a mobile node is; a *Proxy* Binding Update when flag P is set (RFC 5213 section 8.1)."""

    sequence: int
    flags: int
    lifetime: int
    options: tuple[Option, ...] = ()


@message(MOBILITY_MESSAGES, 6, "B B&fe 2H", section="6275#6.1.8")
class BindingAcknowledgement:
    """Answers a Binding Update; a *Proxy* Binding Acknowledgement when flag P is set (RFC 5213 section 8.2)."""

    status: int
    flags: int
    sequence: int
    lifetime: int
    options: tuple[Option, ...] = ()


@message(MOBILITY_MESSAGES, 7, "B x 16s", section="6275#6.1.9")
class BindingError:
    """Tells of a mobility error (numbers.BindingErrorStatus)."""

    status: int
    home_address: bytes
    options: tuple[Option, ...] = ()


@message(MOBILITY_MESSAGES, 13, "H&0003 I", section="5847#3.3")
class Heartbeat:
    """Asks whether a peer is alive, or (flag R) answers; flag U marks one that was not asked for."""

    flags: int
    sequence: int
    options: tuple[Option, ...] = ()


@message(MOBILITY_MESSAGES, 16, "B H H&e000", section="5846#5.1", subtype=1)
class BindingRevocationIndication:
    """Revokes one binding, or (flag G) all of a peer, for the reason `trigger` (numbers.RevocationTrigger)."""

    trigger: int
    sequence: int
    flags: int
    options: tuple[Option, ...] = ()


@message(MOBILITY_MESSAGES, 16, "B H H&e000", section="5846#5.2", subtype=2)
class BindingRevocationAcknowledgement:
    """Answers a Binding Revocation Indication (numbers.RevocationStatus)."""

    status: int
    sequence: int
    flags: int
    options: tuple[Option, ...] = ()


@message(MOBILITY_MESSAGES, 19, "2H H&c000", section="7077#4.1")
class UpdateNotification:
    """Tells a gateway that something about a session has changed (numbers.NotificationReason)."""

    sequence: int
    reason: int
    flags: int
    options: tuple[Option, ...] = ()


@message(MOBILITY_MESSAGES, 20, "H B 3x", section="7077#4.2")
class UpdateNotificationAcknowledgement:
    """Answers an Update Notification (numbers.NotificationStatus)."""

    sequence: int
    status: int
    options: tuple[Option, ...] = ()


@value
class UnknownMessage:
    """A message whose type (or, with type 16, subtype) is not declared: `data` is what follows the checksum."""

    type: int
    data: bytes


Message = (
    BindingRefreshRequest
    | HomeTestInit
    | CareOfTestInit
    | HomeTest
    | CareOfTest
    | BindingUpdate
    | BindingAcknowledgement
    | BindingError
    | Heartbeat
    | BindingRevocationIndication
    | BindingRevocationAcknowledgement
    | UpdateNotification
    | UpdateNotificationAcknowledgement
    | UnknownMessage
)
