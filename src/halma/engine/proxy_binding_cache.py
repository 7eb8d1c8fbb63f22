# SPDX-License-Identifier: Apache-2.0
"""The anchor's proxy bindings, and which of them a Proxy Binding Update is about.

RFC 5213 section 5.1 (what an entry holds), 5.4.1 (the existence test: by home network prefix, else by node, access technology
and link-layer identifier, else by node alone, guided by the handoff indicator).

Always holds: each prefix belongs to one binding at most, and each binding to one node; every look-up costs a few dictionary
reads, never a walk over all bindings; nothing here knows of MIPv6 bindings (requirement ANC-1).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from halma.engine.api import Tunnel
from halma.engine.proxy_request import UNSPECIFIED, ProxyRequest
from halma.value import value
from halma.wire.numbers import HandoffIndicatorValue, Status
from halma.wire.options import HomeNetworkPrefix

NO_LINK_LAYER_IDENTIFIER = bytes(2)
"""What an entry holds when the gateway knows none: two zero octets (section 5.1)."""
SESSION_PREFIX_LENGTH = 64


class BindingState(Enum):
    """Where a binding is in its life."""

    CREATING = "creating"
    """Accepted by the protocol; the data plane has not answered yet."""
    REGISTERED = "registered"
    DEREGISTERED = "deregistered"
    """Given up by its gateway; waits MinDelayBeforeBCEDelete for a new one (section 5.3.5)."""
    REVOKING = "revoking"
    """A Binding Revocation Indication is out (RFC 5846 section 8.1)."""
    DELETING = "deleting"
    """The data plane has been told to forget it."""


@dataclass(slots=True, eq=False)
class Node:
    """A mobile node with at least one session, or one that is still remembered for its last timestamp. Compared by
    identity."""

    identifier: bytes
    timestamp: int = 0
    """The newest Timestamp that was accepted for the node, 48.16 seconds; 0 where sequence numbers are in use."""
    sessions: list[ProxyBinding] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class ProxyBinding:
    """One mobility session: a Binding Cache entry with the fields of section 5.1. Compared by identity."""

    node: Node
    prefixes: tuple[HomeNetworkPrefix, ...]
    link_layer_identifier: bytes
    access_technology: int
    tunnel: Tunnel
    """Local end: the address that the gateway speaks to. Remote end: the Proxy-CoA."""
    gateway: bytes
    """Where its signalling comes from, which differs from the Proxy-CoA under an Alternate Care-of Address."""
    link_local_address: bytes
    lifetime: int
    """As granted, in units of 4 seconds."""
    sequence: int
    state: BindingState
    since: float = 0.0
    """Monotonic time of the last change of gateway."""
    settled: bool = True
    """Whether the data plane is known to forward as `tunnel` and `state` say."""


class Verdict(Enum):
    """What the existence test says of a request."""

    CREATE = "create"
    UPDATE = "update"
    WAIT = "wait"
    """For the de-registration of the only session, since nobody knows whether this is a handoff (sections 5.4.1.2, 5.4.1.3)."""
    REFUSE = "refuse"


@value
class Found:
    """The verdict, with the binding that it is about (UPDATE, WAIT), or the status (REFUSE)."""

    verdict: Verdict
    binding: ProxyBinding | None = None
    status: int = 0


CREATE = Found(Verdict.CREATE)
NOT_AUTHORIZED_FOR_PREFIX = Found(Verdict.REFUSE, None, Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX)
PREFIX_SETS_DIFFER = Found(Verdict.REFUSE, None, Status.BCE_PBU_PREFIX_SET_DO_NOT_MATCH)

BETWEEN_INTERFACES = int(HandoffIndicatorValue.BETWEEN_INTERFACES)
BETWEEN_GATEWAYS = int(HandoffIndicatorValue.BETWEEN_GATEWAYS)
UNKNOWN = int(HandoffIndicatorValue.UNKNOWN)


_HOST_BITS = bytes(8)
_UPDATE = Verdict.UPDATE  # a member of an Enum costs more to look up than a global


def prefix_key(option: HomeNetworkPrefix) -> bytes:
    """The prefix as bindings are keyed by it: the /64 of the option, host bits zero. All tables share the option's octets."""
    prefix = option.prefix
    return prefix if prefix[8:] == _HOST_BITS else prefix[:8] + _HOST_BITS


class ProxyBindingCache:
    """All proxy bindings of an anchor."""

    def __init__(self) -> None:
        self._by_prefix: dict[bytes, ProxyBinding] = {}
        self._nodes: dict[bytes, Node] = {}
        self._by_gateway: dict[bytes, dict[ProxyBinding, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    # ---- reading ----

    def node(self, identifier: bytes) -> Node | None:
        """The node with this identifier, if it has or lately had a session."""
        return self._nodes.get(identifier)

    def by_prefix(self, prefix: bytes) -> ProxyBinding | None:
        """The binding that holds this /64."""
        return self._by_prefix.get(prefix)

    def holds(self, prefix: bytes) -> bool:
        """Whether some binding holds this /64."""
        return prefix in self._by_prefix

    def of_gateway(self, gateway: bytes) -> list[ProxyBinding]:
        """The bindings of one gateway, by the address it signals from, oldest first."""
        return list(self._by_gateway.get(gateway, ()))

    def count_of_gateway(self, gateway: bytes) -> int:
        """How many bindings one gateway has."""
        return len(self._by_gateway.get(gateway, ()))

    def gateways(self) -> list[bytes]:
        """The gateways that have bindings."""
        return list(self._by_gateway)

    def count_of_nodes(self) -> int:
        """How many nodes are known, those included that are only remembered."""
        return len(self._nodes)

    def nodes(self) -> list[Node]:
        """All nodes, in the order of their first registration."""
        return list(self._nodes.values())

    def find(self, request: ProxyRequest, identifier: bytes) -> Found:
        """The existence test of section 5.4.1. The request has its mandatory options."""
        nonzero = [option for option in request.prefixes if option.prefix != UNSPECIFIED]
        if nonzero:
            return self._find_by_prefix(request, identifier, nonzero)
        node = self._nodes.get(identifier)
        if node is None or not node.sessions:
            return CREATE
        link_layer_address = request.link_layer_address
        if link_layer_address is not None:
            return self._find_by_link_layer(request, node, link_layer_address)
        return self._find_by_node(request, node)

    def _find_by_prefix(self, request: ProxyRequest, identifier: bytes, nonzero: list[HomeNetworkPrefix]) -> Found:
        """Section 5.4.1.1."""
        binding = None
        for option in nonzero:
            held = self._by_prefix.get(prefix_key(option))
            if held is not None:
                if held.node.identifier != identifier:
                    return NOT_AUTHORIZED_FOR_PREFIX
                binding = held
        if binding is None:
            return CREATE
        if not self._same_prefixes(request.prefixes, binding.prefixes):
            return PREFIX_SETS_DIFFER
        assert request.handoff_indicator is not None and request.access_technology is not None  # noqa: PT018 (one fact)
        same_technology = request.access_technology.technology == binding.access_technology
        indicator = request.handoff_indicator.indicator
        link_layer_address = request.link_layer_address
        if link_layer_address is not None:
            matches = same_technology and link_layer_address == binding.link_layer_identifier
        else:
            unknown = binding.link_layer_identifier == NO_LINK_LAYER_IDENTIFIER
            matches = same_technology and unknown and indicator == BETWEEN_GATEWAYS
        if matches or indicator == BETWEEN_INTERFACES or (same_technology and request.care_of_address == binding.tunnel.remote):
            return Found(_UPDATE, binding)
        return CREATE

    @staticmethod
    def _same_prefixes(asked: tuple[HomeNetworkPrefix, ...], held: tuple[HomeNetworkPrefix, ...]) -> bool:
        if len(asked) == 1 == len(held):  # nearly always, and much cheaper
            return asked[0].prefix_length == SESSION_PREFIX_LENGTH and asked[0].prefix[:8] == held[0].prefix[:8]
        if len(asked) != len(held):
            return False
        if any(option.prefix_length != SESSION_PREFIX_LENGTH for option in asked):
            return False
        return {prefix_key(option) for option in asked} == {prefix_key(option) for option in held}

    def _find_by_link_layer(self, request: ProxyRequest, node: Node, link_layer_address: bytes) -> Found:
        """Section 5.4.1.2."""
        assert request.handoff_indicator is not None and request.access_technology is not None  # noqa: PT018 (one fact)
        technology = request.access_technology.technology
        for binding in node.sessions:
            if binding.link_layer_identifier == link_layer_address and binding.access_technology == technology:
                return Found(_UPDATE, binding)
        indicator = request.handoff_indicator.indicator
        if len(node.sessions) == 1:
            if indicator == BETWEEN_INTERFACES:
                return Found(Verdict.UPDATE, node.sessions[0])
            if indicator == UNKNOWN and request.lifetime:  # a de-registration of another interface than the session's: rule 5
                return self._wait_for(node.sessions[0])
        return CREATE

    def _find_by_node(self, request: ProxyRequest, node: Node) -> Found:
        """Section 5.4.1.3."""
        assert request.handoff_indicator is not None
        indicator = request.handoff_indicator.indicator
        if len(node.sessions) == 1:
            if indicator in (BETWEEN_INTERFACES, BETWEEN_GATEWAYS):
                return Found(Verdict.UPDATE, node.sessions[0])
            if indicator == UNKNOWN and request.lifetime == 0:  # the very de-registration that others wait for
                return Found(Verdict.UPDATE, node.sessions[0])
            if indicator == UNKNOWN:
                return self._wait_for(node.sessions[0])
        return CREATE

    @staticmethod
    def _wait_for(binding: ProxyBinding) -> Found:
        """Nothing is left to wait for when no gateway has the session any more."""
        given_up = binding.state is BindingState.DEREGISTERED or binding.state is BindingState.DELETING
        return Found(Verdict.UPDATE if given_up else Verdict.WAIT, binding)

    # ---- writing ----

    def add(self, identifier: bytes) -> Node:
        """The node with this identifier, made when it is not known."""
        node = self._nodes.get(identifier)
        if node is None:
            node = self._nodes[identifier] = Node(identifier)
        return node

    def insert(self, binding: ProxyBinding) -> None:
        """Take a new binding in. Its prefixes must be free."""
        for option in binding.prefixes:
            self._by_prefix[prefix_key(option)] = binding
        binding.node.sessions.append(binding)
        self._by_gateway.setdefault(binding.gateway, {})[binding] = None
        self._count += 1

    def remove(self, binding: ProxyBinding) -> None:
        """Let a binding go. Its node stays until `forget`."""
        for option in binding.prefixes:
            del self._by_prefix[prefix_key(option)]
        binding.node.sessions.remove(binding)
        self._leave(binding)
        self._count -= 1

    def move(self, binding: ProxyBinding, tunnel: Tunnel, gateway: bytes) -> None:
        """The binding's packets go through another tunnel from now on, and another gateway speaks for it."""
        self._leave(binding)
        binding.tunnel = tunnel
        binding.gateway = gateway
        self._by_gateway.setdefault(gateway, {})[binding] = None

    def forget(self, node: Node) -> None:
        """Let a node without sessions go, and with it the memory of its last timestamp."""
        del self._nodes[node.identifier]

    def _leave(self, binding: ProxyBinding) -> None:
        there = self._by_gateway[binding.gateway]
        del there[binding]
        if not there:
            del self._by_gateway[binding.gateway]
