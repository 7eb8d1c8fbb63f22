# SPDX-License-Identifier: Apache-2.0
"""The mobile node's Binding Update List, and what is to be made of each answer to a Binding Update.

RFC 6275 sections 11.1 (the list), 6.1.8 and 11.7.3 (statuses), RFC 3963 section 5.4 (those for mobile routers), RFC 4285
sections 5 and 6 (those for authentication). Correspondents have no entries: route optimisation is not done.

Always holds: an entry stands for all that a home agent may hold for us, acknowledged or not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from halma.value import value
from halma.wire.numbers import Status

REMEMBERED_TRANSMISSIONS = 8
"""The transmissions of one request whose answers are still taken."""


class RequestKind(Enum):
    """Why a Binding Update is sent."""

    REGISTRATION = "registration"
    RETURN = "return home"
    """De-registration from the home link (RFC 6275 section 11.5.5)."""
    FAREWELL = "farewell"
    """De-registration from elsewhere."""


class RouterMode(Enum):
    """How a mobile router speaks of its networks (RFC 3963 section 5.2)."""

    NONE = "none"
    IMPLICIT = "implicit"
    EXPLICIT = "explicit"


@value
class Transmission:
    """One Binding Update as it went out: when (monotonic), its lifetime in units of 4 seconds, its timestamp (0: none)."""

    when: float
    lifetime: int
    timestamp: int


@dataclass(slots=True, eq=False)
class Request:
    """A Binding Update that waits for its acknowledgement. `timeout` is the present retransmission interval."""

    kind: RequestKind
    agent: bytes
    care_of_address: bytes
    mode: RouterMode
    timeout: float
    transmissions: dict[int, Transmission] = field(default_factory=dict)
    attempts: int = 0
    corrections: int = 0
    """How often it was sent again at once since the home agent had told what was wrong."""

    def sent(self, sequence: int, transmission: Transmission) -> None:
        """It went out with this sequence number."""
        if len(self.transmissions) >= REMEMBERED_TRANSMISSIONS:
            del self.transmissions[next(iter(self.transmissions))]
        self.transmissions[sequence] = transmission
        self.attempts += 1


@dataclass(slots=True, eq=False)
class BindingUpdateListEntry:
    """What a home agent may hold for us (section 11.1). `expires` (monotonic) ends it; `acknowledged` says that the home agent
    has accepted the present care-of address, to be refreshed at `refresh`. `lifetime` is the one granted, in units of 4
    seconds."""

    agent: bytes
    care_of_address: bytes
    mode: RouterMode
    expires: float
    lifetime: int = 0
    acknowledged: bool = False
    refresh: float = 0.0
    since: float = 0.0


class Remedy(Enum):
    """What to do about a refusal."""

    SEQUENCE = "take over the sequence number"
    CLOCK = "adjust the timestamp"
    TIMESTAMP = "send a timestamp"
    LATER = "try again later"
    ROUTER = "speak of the networks in another way, or not at all"
    ELSEWHERE = "wait for another care-of address"
    STOP = "try another home agent, or stop"
    GIVE_UP = "stop for good"


@value
class Refusal:
    """A status, what it means to a person, and what is done."""

    remedy: Remedy
    text: str


UNKNOWN_REFUSAL = Refusal(Remedy.LATER, "for a reason that is not known here")
REFUSALS = {
    Status.REASON_UNSPECIFIED: Refusal(Remedy.LATER, "without giving a reason"),
    Status.ADMINISTRATIVELY_PROHIBITED: Refusal(Remedy.STOP, "its operator does not allow this node or home address"),
    Status.INSUFFICIENT_RESOURCES: Refusal(Remedy.LATER, "it has no room for another binding"),
    Status.HOME_REGISTRATION_NOT_SUPPORTED: Refusal(Remedy.STOP, "it is no home agent"),
    Status.NOT_HOME_SUBNET: Refusal(Remedy.STOP, "the home address is not on a home link of its"),
    Status.NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE: Refusal(Remedy.STOP, "it is not the home agent of this node"),
    Status.DUPLICATE_ADDRESS_DETECTION_FAILED: Refusal(Remedy.GIVE_UP, "another node has the home address"),
    Status.SEQUENCE_NUMBER_OUT_OF_WINDOW: Refusal(Remedy.SEQUENCE, "the sequence number was too old"),
    Status.EXPIRED_HOME_NONCE_INDEX: Refusal(Remedy.STOP, "it takes this for route optimisation"),
    Status.EXPIRED_CARE_OF_NONCE_INDEX: Refusal(Remedy.STOP, "it takes this for route optimisation"),
    Status.EXPIRED_NONCES: Refusal(Remedy.STOP, "it takes this for route optimisation"),
    Status.REGISTRATION_TYPE_CHANGE_DISALLOWED: Refusal(Remedy.STOP, "it holds a registration of another kind"),
    Status.MOBILE_ROUTER_OPERATION_NOT_PERMITTED: Refusal(Remedy.ROUTER, "this node may not be a mobile router"),
    Status.INVALID_PREFIX: Refusal(Remedy.ROUTER, "a mobile network prefix is not valid"),
    Status.NOT_AUTHORIZED_FOR_PREFIX: Refusal(Remedy.ROUTER, "a mobile network prefix is not this node's"),
    Status.FORWARDING_SETUP_FAILED: Refusal(Remedy.ROUTER, "it knows no mobile network of this node"),
    Status.MIPV6_ID_MISMATCH: Refusal(Remedy.CLOCK, "the clocks of node and home agent differ"),
    Status.MIPV6_MESG_ID_REQD: Refusal(Remedy.TIMESTAMP, "it wants a timestamp"),
    Status.MIPV6_AUTH_FAIL: Refusal(Remedy.STOP, "the authentication does not hold: the keys differ"),
    Status.SERVICE_AUTHORIZATION_FAILED: Refusal(Remedy.STOP, "the service is not allowed to this node"),
    Status.INVALID_CARE_OF_ADDRESS: Refusal(Remedy.ELSEWHERE, "it does not take this care-of address"),
}
"""Every status that a home agent may give to a mobile node. The texts end the sentence "home agent refuses: ..."."""

NOTHING_HELD = frozenset(
    {
        Status.HOME_REGISTRATION_NOT_SUPPORTED,
        Status.NOT_HOME_SUBNET,
        Status.NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE,
    }
)
"""Refusals of a de-registration by which the home agent says that it holds no binding."""


def refusal(status: int) -> Refusal:
    """What to make of a status of 128 or more."""
    return next((meaning for known, meaning in REFUSALS.items() if known == status), UNKNOWN_REFUSAL)
