# SPDX-License-Identifier: Apache-2.0
"""What a mobile node asks for from afar: home agents, and the prefixes of its home link.

RFC 6275 sections 11.4.1 (Dynamic Home Agent Address Discovery), 11.4.2 and 11.4.3 (mobile prefix discovery), 6.5 to 6.8, 11.8;
RFC 3963 section 7 (flag R); RFC 2526 (the anycast address). Where the configuration has a name instead of addresses, the DNS is
asked in place of the home link (`home_agent_lookup`).

Always holds: one question of each kind is out at most, and only its own answer is taken, once; home agents come from one
source, which the configuration decides.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from hashlib import sha256
from math import inf

from halma.engine.anycast import home_agents_anycast
from halma.engine.api import Severity
from halma.engine.constants import AUTOCONFIGURATION_LENGTH, MAX_BINDACK_TIMEOUT
from halma.engine.home_agent_lookup import HomeAgentLookup
from halma.engine.node_api import (
    DHAAD_RETRIES,
    INITIAL_DHAAD_TIMEOUT,
    INITIAL_SOLICIT_TIMER,
    HomeAgentsFound,
    HomeAgentsNotFound,
    IcmpReceived,
    SendIcmp,
)
from halma.engine.node_context import NodeContext, Timer
from halma.engine.routers import Router
from halma.wire.addresses import MULTICAST
from halma.wire.icmpv6 import (
    HomeAgentAddressDiscoveryReply,
    HomeAgentAddressDiscoveryRequest,
    MobilePrefixAdvertisement,
    MobilePrefixSolicitation,
)
from halma.wire.numbers import HomeAgentFlag

MAXIMUM_AGENTS = 16
"""Home agents that are kept."""
PAUSE = 16
"""Times `retry_interval` until home agents are looked for again after nobody has answered."""
ABOUT_TO_END = 0.25
"""The share of the time last told that is left of the home prefix when it is asked for anew."""


class Origin(Enum):
    """Where the node knows its home agents from."""

    CONFIGURATION = "configuration"
    NAME = "DNS name"
    SERVICE = "DNS service"
    HOME_LINK = "home link"


class HomeDiscovery:
    """See the module. `found` hears of the home agents, `valid_until` of the end of the home prefix (monotonic)."""

    def __init__(
        self, context: NodeContext, found: Callable[[tuple[bytes, ...]], None], valid_until: Callable[[float], None]
    ) -> None:
        self._context = context
        self._found = found
        self._valid_until = valid_until
        settings = context.settings
        if settings.home_agents:
            self.origin = Origin.CONFIGURATION
        elif settings.home_agent_name:
            self.origin = Origin.NAME
        else:
            self.origin = Origin.SERVICE if settings.home_domain else Origin.HOME_LINK
        by_dns = self.origin in (Origin.NAME, Origin.SERVICE)
        self._lookup = HomeAgentLookup(context, found) if by_dns else None
        self._source = b""
        self._agent = b""
        self._questions = 0
        self._identifier: int | None = None
        self._timeout = INITIAL_DHAAD_TIMEOUT
        self._attempts = 0
        self._prefix_identifier: int | None = None
        self._prefix_timeout = INITIAL_SOLICIT_TIMER
        self._home = Router(b"")
        context.on(Timer.DISCOVER, self._discover_due)
        context.on(Timer.PREFIXES, self._solicit_due)
        context.on(Timer.HOME_PREFIX, lambda _key: self.solicit_prefixes())

    def at(self, care_of_address: bytes, agent: bytes) -> None:
        """The node asks from here, and prefixes of this home agent. Empty: it asks nobody."""
        self._source, self._agent = care_of_address, agent
        if self._lookup is not None:
            self._lookup.at(care_of_address)
        if not care_of_address:
            self._context.disarm(Timer.DISCOVER)
            self._identifier = None
        if not care_of_address or not agent:
            self._context.disarm(Timer.PREFIXES)
            self._prefix_identifier = None

    def at_home(self) -> None:
        """The node has its home address on its home link: of what there is to know, it can ask for its home agents there, and
        has them before it leaves."""
        if self._lookup is not None:
            self._lookup.at(self._context.settings.home_address)

    # ---- home agents (section 11.4.1) ----

    def discover(self) -> None:
        """No home agent serves: look for others, unless that is being done, or the configuration has them."""
        if self.origin is Origin.CONFIGURATION:
            return
        if self._lookup is not None:
            self._lookup.ask()
        elif self._source and self._context.remaining(Timer.DISCOVER) is None:
            self._attempts = 0
            self._discover_due(b"")

    def _discover_due(self, _key: bytes) -> None:
        context, settings = self._context, self._context.settings
        if self._attempts > DHAAD_RETRIES:
            text = "no home agent answers for the home link of {:address}"
            context.report(Severity.ERROR, "no_home_agent", text, settings.home_address)
            self._identifier, self._attempts = None, 0
            context.arm(Timer.DISCOVER, settings.retry_interval * PAUSE)
            return
        if not self._attempts:
            self._identifier = self._random()
            self._timeout = INITIAL_DHAAD_TIMEOUT
        self._attempts += 1
        assert self._identifier is not None
        flags = HomeAgentFlag.MOBILE_ROUTER if settings.mobile_router else 0
        context.count("home_agent_discoveries")
        anycast = home_agents_anycast(settings.home_prefix, AUTOCONFIGURATION_LENGTH)
        context.do(SendIcmp(self._source, anycast, HomeAgentAddressDiscoveryRequest(self._identifier, flags)))
        context.arm(Timer.DISCOVER, self._timeout)
        self._timeout *= 2

    def retry(self) -> bool:
        """The operator has mended something. Whether that was waited for."""
        return self._lookup is not None and self._lookup.retry()

    def looked_up(self, event: HomeAgentsFound | HomeAgentsNotFound) -> None:
        """What has come of a question to the DNS."""
        if self._lookup is not None:
            self._lookup.answered(event)

    def reply(self, event: IcmpReceived, message: HomeAgentAddressDiscoveryReply) -> None:
        """A reply has come (section 6.6)."""
        if self._identifier is None or message.identifier != self._identifier or event.destination != self._source:
            self._context.count("home_agent_discoveries_ignored")
            return
        agents = tuple(dict.fromkeys(a for a in message.home_agents() if any(a) and a[0] != MULTICAST))[:MAXIMUM_AGENTS]
        agents = agents or (event.source,)
        self._identifier = None
        self._context.disarm(Timer.DISCOVER)
        self._context.report(Severity.INFO, "home_agents", "found {} home agents, first {:address}", len(agents), agents[0])
        self._found(agents)

    # ---- prefixes (sections 11.4.2 and 11.4.3) ----

    def solicit_prefixes(self) -> None:
        """Ask for the prefixes of the home link, unless that is being done."""
        if self._source and self._agent and self._prefix_identifier is None:
            self._prefix_identifier = self._random()
            self._prefix_timeout = INITIAL_SOLICIT_TIMER
            self._solicit_due(b"")

    def _solicit_due(self, _key: bytes) -> None:
        assert self._prefix_identifier is not None
        self._context.count("mobile_prefix_solicitations")
        message = MobilePrefixSolicitation(self._prefix_identifier)
        self._context.do(SendIcmp(self._source, self._agent, message, self._context.settings.home_address))
        self._context.arm(Timer.PREFIXES, self._prefix_timeout)
        self._prefix_timeout = min(2 * self._prefix_timeout, MAX_BINDACK_TIMEOUT)

    def prefixes_advertised(self, event: IcmpReceived, message: MobilePrefixAdvertisement) -> bool:
        """An advertisement of the home link's prefixes has come. Whether it was the answer to what was asked; any other makes
        the node ask."""
        settings, now = self._context.settings, self._context.now.monotonic
        if not self._agent or event.source != self._agent or event.home_address != settings.home_address:
            self._context.count("mobile_prefix_advertisements_ignored")
            return False
        if self._prefix_identifier is None or message.identifier != self._prefix_identifier:
            self._context.count("mobile_prefix_advertisements_unsolicited")
            self.solicit_prefixes()
            return False
        self._prefix_identifier = None
        self._context.disarm(Timer.PREFIXES)
        self._context.count("mobile_prefix_advertisements")
        self._home.learn_prefixes(message.options, now)
        self.home_prefix_known(self._home)
        return True

    def home_prefix_known(self, router: Router) -> None:
        """What is known of the home prefix, from the home link itself or from afar; it is asked for anew before it ends."""
        settings, now = self._context.settings, self._context.now.monotonic
        record = router.prefixes.get((settings.home_prefix, settings.home_prefix_length))
        if record is None:
            return
        self._valid_until(record.valid_until)
        if not record.advertised:
            text = "the home prefix is being withdrawn: it ends in {:.0f} s"
            self._context.report(Severity.ERROR, "home_prefix", text, record.valid_until - now)
        if record.valid_until < inf:
            self._context.arm(Timer.HOME_PREFIX, (record.valid_until - now) * (1 - ABOUT_TO_END))
        else:
            self._context.disarm(Timer.HOME_PREFIX)

    def _random(self) -> int:
        """An identifier that nobody who has not the secret can guess."""
        self._questions += 1
        seed = f"{self._questions} {self._context.now.wall}".encode()
        return int.from_bytes(sha256(self._context.settings.secret + seed).digest()[:2], "big")
