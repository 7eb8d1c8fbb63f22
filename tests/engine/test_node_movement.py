# SPDX-License-Identifier: Apache-2.0
"""Where a mobile node takes itself to be: movement detection, home link detection, care-of addresses (RFC 6275 sections 11.5.1
to 11.5.4, RFC 4429), and its way home (section 11.5.5)."""

from __future__ import annotations

import pytest

from halma.engine.api import Report, Send, Tunnel
from halma.engine.node_api import (
    AddressClaimed,
    AdvertiseAddress,
    AskForAddress,
    ConfigureAddress,
    HomePath,
    LinkDown,
    LinkUp,
    NodeSettings,
    ProbeRouter,
    RemoveAddress,
    RouterUnreachable,
    SetHomePath,
    SolicitRouters,
    Started,
    StopRequested,
)
from halma.wire.messages import BindingUpdate
from halma.wire.nd import PrefixInformation
from halma.wire.numbers import BindingUpdateFlag, PrefixInformationFlag, Status
from halma.wire.options import AlternateCareOfAddress
from tests.engine.mobile import (
    AGENT,
    CARE_OF,
    ELSEWHERE,
    FLAGS,
    FOREIGN,
    HOME,
    HOME_PREFIX,
    HOME_ROUTER,
    IDENTIFIER,
    KEY,
    LINK_LOCAL,
    OTHER_CARE_OF,
    ROUTER,
    ROUTER_MAC,
    SECOND_MAC,
    SECOND_ROUTER,
    Mobile,
    address,
    of,
    reasons,
    updates,
)

INTERVAL = 1000
"""Of advertisements, in milliseconds."""


def prefix(where: bytes, *, valid: int = 7200, preferred: int = 3600, flags: int = FLAGS) -> PrefixInformation:
    return PrefixInformation(64, flags, valid, preferred, where)


# ---- movement (section 11.5.1) --------------------------------------------------------------------------------------------


def test_a_link_that_comes_up_is_asked_for_routers() -> None:
    node = Mobile()
    assert of(node.give(LinkUp()), SolicitRouters)
    assert len(of(node.advance(2.5), SolicitRouters)) == 2
    assert "no_router" in reasons(node.advance(1))
    assert len(of(node.advance(200), SolicitRouters)) < 12


@pytest.mark.rfc("6275#8.5-7")
def test_another_link_after_a_link_event_is_a_move_at_once() -> None:
    node = Mobile().abroad()
    effects = node.replug()
    assert SolicitRouters() in effects
    assert ProbeRouter(ROUTER, ROUTER_MAC) in effects
    (sent,) = updates(node.advertise(ELSEWHERE, SECOND_ROUTER, SECOND_MAC))
    assert sent.source == OTHER_CARE_OF
    assert node.tunnel() is None
    assert node.addresses == {OTHER_CARE_OF}
    assert node.router == SECOND_ROUTER


def test_the_same_link_after_a_link_event_needs_no_update() -> None:
    node = Mobile().abroad()
    assert not updates([*node.replug(), *node.advertise(), *node.advance(20)])
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)


def test_gateways_that_look_like_one_router_are_told_apart_by_their_prefixes() -> None:
    """RFC 6543: every gateway has the same link-local and link-layer address."""
    node = Mobile().abroad()
    node.replug()
    node.answer_probe()
    (sent,) = updates(node.advertise(ELSEWHERE))
    assert sent.source == OTHER_CARE_OF


@pytest.mark.requirement("MN-1")
def test_a_move_between_gateways_of_one_domain_is_none() -> None:
    """Scenario A.1: the address that the visited domain gave stays."""
    node = Mobile().abroad()
    for _ in range(3):
        assert not updates([*node.replug(), *node.advance(0.3), *node.advertise()])
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)


def test_a_late_advertisement_is_no_move_as_long_as_the_router_answers() -> None:
    node = Mobile()
    node.give(LinkUp())
    (sent,) = updates(node.advertise(interval=INTERVAL))
    node.acknowledge(sent)
    assert not of(node.advance(2.9), ProbeRouter)
    assert of(node.advance(0.2), ProbeRouter) == [ProbeRouter(ROUTER, ROUTER_MAC)]
    effects = node.answer_probe()
    assert not of([*effects, *node.advance(2.5)], SolicitRouters)
    assert of(node.advance(1), ProbeRouter)
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)


def test_a_router_that_is_late_and_silent_is_lost() -> None:
    node = Mobile()
    node.give(LinkUp())
    (sent,) = updates(node.advertise(interval=INTERVAL))
    node.acknowledge(sent)
    effects = node.advance(3.7)
    assert len(of(effects, ProbeRouter)) == 3
    assert of(effects, SolicitRouters)
    assert node.tunnel() is None
    assert node.router == b""
    assert not updates(node.advertise())
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)


def test_a_new_router_is_no_move_as_long_as_the_old_one_answers() -> None:
    node = Mobile().abroad()
    effects = node.advertise(ELSEWHERE, SECOND_ROUTER, SECOND_MAC)
    assert of(effects, ProbeRouter) == [ProbeRouter(ROUTER, ROUTER_MAC)]
    node.answer_probe()
    assert not updates(node.advance(5))
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)


def test_a_new_router_is_a_move_when_the_old_one_does_not_answer() -> None:
    node = Mobile().abroad()
    node.advertise(ELSEWHERE, SECOND_ROUTER, SECOND_MAC)
    (sent,) = updates(node.advance(1))
    assert sent.source == OTHER_CARE_OF


def test_an_answer_from_another_router_says_nothing() -> None:
    node = Mobile().abroad()
    node.advertise(ELSEWHERE, SECOND_ROUTER, SECOND_MAC)
    node.answer_probe(SECOND_ROUTER)
    assert updates(node.advance(1))


def test_two_routers_of_one_link_stand_in_for_each_other() -> None:
    node = Mobile().abroad()
    assert not of(node.advertise(FOREIGN, SECOND_ROUTER, SECOND_MAC), ProbeRouter)
    assert not updates(node.advertise(FOREIGN, lifetime=0))
    assert node.router == SECOND_ROUTER
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)


def test_after_a_link_event_an_answer_keeps_another_router_of_the_link_from_winning() -> None:
    node = Mobile().abroad()
    node.replug()
    node.answer_probe()
    assert not updates(node.advertise(ELSEWHERE, SECOND_ROUTER, SECOND_MAC))
    assert not updates(node.advance(5))
    assert node.router == ROUTER


def test_the_kernels_word_that_a_router_is_gone_is_taken() -> None:
    node = Mobile().abroad()
    assert of(node.give(RouterUnreachable(ROUTER)), SolicitRouters)
    assert updates(node.advertise(ELSEWHERE, SECOND_ROUTER, SECOND_MAC))
    assert not of(node.give(RouterUnreachable(ROUTER)), SolicitRouters)


def test_the_router_in_use_with_other_prefixes_is_asked_again_before_it_is_believed() -> None:
    node = Mobile().abroad()
    assert of(node.advertise(ELSEWHERE), SolicitRouters)
    assert not updates(node.advertise(FOREIGN))
    assert of(node.advertise(ELSEWHERE), SolicitRouters)
    (sent,) = updates(node.advertise(ELSEWHERE))
    assert sent.source == OTHER_CARE_OF


def test_a_doubt_that_nobody_confirms_passes() -> None:
    node = Mobile().abroad()
    node.advertise(ELSEWHERE)
    assert not updates(node.advance(60))
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)


def test_a_router_ends_with_its_lifetime() -> None:
    node = Mobile()
    node.give(LinkUp())
    (sent,) = updates(node.advertise(lifetime=30))
    node.acknowledge(sent)
    effects = node.advance(30.1)
    assert of(effects, SolicitRouters)
    assert node.router == b""


def test_nothing_is_asked_of_a_link_that_is_down() -> None:
    node = Mobile()
    node.give(LinkUp())
    (sent,) = updates(node.advertise(lifetime=30, interval=INTERVAL))
    node.acknowledge(sent)
    node.give(LinkDown())
    effects = node.advance(200)
    assert not of(effects, SolicitRouters)
    assert not of(effects, ProbeRouter)
    assert not updates(effects)


def test_an_update_that_went_out_before_the_link_was_away_is_sent_again_when_it_is_back() -> None:
    node = Mobile()
    node.give(LinkUp())
    node.advertise()
    node.give(LinkDown())
    node.time += 1.2
    node.give(LinkUp())
    assert len(updates(node.advertise())) == 1


def test_memory_is_bounded_whoever_advertises_what() -> None:
    node = Mobile().abroad()
    for number in range(100):
        router = SECOND_ROUTER[:14] + number.to_bytes(2, "big")
        options = tuple(prefix(ELSEWHERE[:6] + bytes([number, other]) + bytes(8)) for other in range(30))
        node.advertise(b"", router, SECOND_MAC, more=options)
        node.answer_probe()
    movement = node.engine._movement
    assert len(movement._routers) <= 17
    assert all(len(router.prefixes) <= 16 for router in movement._routers.values())


def test_what_is_no_default_router_is_not_used() -> None:
    """RFC 3963 section 5.6: a mobile router at home says so."""
    node = Mobile()
    node.give(LinkUp())
    assert not updates(node.advertise(lifetime=0))
    node.advertise()
    node.advertise(FOREIGN, SECOND_ROUTER, SECOND_MAC)
    node.advertise(FOREIGN, SECOND_ROUTER, SECOND_MAC)
    node.advertise(FOREIGN, SECOND_ROUTER, SECOND_MAC, lifetime=0)
    node.advertise(lifetime=0)
    assert node.router == b""


def test_everything_may_last_forever_but_a_router() -> None:
    node = Mobile(lifetime=262_000)
    node.give(LinkUp())
    (sent,) = updates(node.advertise(lifetime=9000, valid=0xFFFFFFFF, preferred=0xFFFFFFFF))
    node.acknowledge(sent)
    assert node.engine.next_deadline() is not None
    node.advertise(b"", lifetime=9000, more=(prefix(ELSEWHERE, valid=20, preferred=20),))
    node.advance(21)
    node.advertise(lifetime=9000, valid=0xFFFFFFFF, preferred=0xFFFFFFFF)
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)


# ---- the home link (section 11.5.2) -----------------------------------------------------------------------------------------


@pytest.mark.requirement("MN-1", "MN-2", "MN-4")
def test_a_node_that_boots_at_home_uses_its_home_address_at_once() -> None:
    node = Mobile()
    node.give(LinkUp())
    effects = node.advertise(HOME_PREFIX, HOME_ROUTER)
    assert not updates(effects)
    assert node.path() is HomePath.LINK
    assert node.bound == {}
    assert node.on_link() == ((HOME_PREFIX, 64),)
    assert node.row["state"] == "at home"


@pytest.mark.requirement("MN-2")
def test_nothing_leaves_bare_between_two_links() -> None:
    node = Mobile().at_home()
    node.give(LinkDown())
    assert node.path() is HomePath.TUNNEL
    assert node.tunnel() is None
    node.give(LinkUp())
    assert node.path() is HomePath.TUNNEL
    node.advertise(HOME_PREFIX, HOME_ROUTER)
    assert node.path() is HomePath.LINK
    node.replug()
    (sent,) = updates(node.advertise())
    assert node.path() is HomePath.TUNNEL
    assert node.tunnel() is None
    node.acknowledge(sent)
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)


def test_a_gateway_that_gives_the_node_up_takes_the_home_link_away() -> None:
    node = Mobile().at_home()
    node.advertise(HOME_PREFIX, HOME_ROUTER, lifetime=0, valid=0, preferred=0)
    assert node.path() is HomePath.TUNNEL


# ---- the way home (section 11.5.5) ------------------------------------------------------------------------------------


def come_home(node: Mobile) -> Send:
    (sent,) = updates([*node.replug(), *node.advertise(HOME_PREFIX, HOME_ROUTER)])
    return sent


@pytest.mark.rfc(
    "6275#11.5.5-1", "6275#11.5.5-2", "6275#11.5.5-3", "6275#11.5.5-4", "6275#11.5.5-8", "6275#11.5.5-9",
    "6275#11.5.5-13", "6275#11.5.5-15", "6275#11.5.5-18", "6275#11.7.1-17", "3963#5.8-1", "3963#5.8-2",
)  # fmt: skip
@pytest.mark.requirement("MN-3")
def test_the_home_agent_gives_the_address_free_before_it_is_used() -> None:
    node = Mobile().abroad()
    node.replug()
    effects = node.advertise(HOME_PREFIX, HOME_ROUTER)
    assert not of(effects, AskForAddress)
    (sent,) = updates(effects)
    message = sent.message
    assert isinstance(message, BindingUpdate)
    assert (sent.source, sent.destination, sent.home_address, sent.association) == (HOME, AGENT, b"", KEY)
    assert message.lifetime == 0
    assert message.flags == BindingUpdateFlag.ACKNOWLEDGE | BindingUpdateFlag.HOME_REGISTRATION
    assert AlternateCareOfAddress(HOME) in message.options
    assert node.path() is HomePath.TUNNEL
    assert node.tunnel() is None
    assert node.on_link() == ()
    assert node.addresses == set()
    effects = node.acknowledge(sent)
    assert node.path() is HomePath.LINK
    assert node.on_link() == ((HOME_PREFIX, 64),)
    assert of(effects, AdvertiseAddress) == [AdvertiseAddress(HOME), AdvertiseAddress(LINK_LOCAL)]
    assert effects.index(SetHomePath(HomePath.LINK)) < effects.index(AdvertiseAddress(HOME))
    assert len(of(node.advance(10), AdvertiseAddress)) == 4


def test_a_lost_de_registration_is_sent_again_until_it_is_answered() -> None:
    node = Mobile().abroad()
    sent = come_home(node)
    (again,) = updates(node.advance(1.1))
    assert again.source == HOME
    assert node.path() is HomePath.TUNNEL
    node.acknowledge(sent)
    assert node.path() is HomePath.LINK


@pytest.mark.rfc("6275#11.5.5-10")
def test_when_the_registration_has_ended_anyway_the_home_address_is_checked_and_used() -> None:
    node = Mobile().abroad()
    come_home(node)
    effects = node.advance(400)
    assert AskForAddress(HOME) not in effects
    assert node.path() is HomePath.LINK
    late = Mobile().abroad()
    late.give(LinkDown())
    late.advance(500)
    late.give(LinkUp())
    effects = late.advertise(HOME_PREFIX, HOME_ROUTER)
    assert not updates(effects)
    assert AskForAddress(HOME) in effects
    assert late.path() is HomePath.LINK


@pytest.mark.parametrize("status", [131, 132, 133])
def test_a_home_agent_that_holds_nothing_need_not_be_asked_again(status: int) -> None:
    node = Mobile().abroad()
    node.acknowledge(come_home(node), status)
    assert node.path() is HomePath.LINK


def test_a_refused_de_registration_is_tried_again_later() -> None:
    node = Mobile().abroad()
    node.acknowledge(come_home(node), Status.REASON_UNSPECIFIED)
    assert node.path() is HomePath.TUNNEL
    (again,) = updates(node.advance(32.5))
    node.acknowledge(again)
    assert node.path() is HomePath.LINK


def test_a_number_out_of_window_is_mended_on_the_way_home_too() -> None:
    node = Mobile().abroad()
    (again,) = updates(node.acknowledge(come_home(node), Status.SEQUENCE_NUMBER_OUT_OF_WINDOW, sequence=900))
    node.acknowledge(again)
    assert node.path() is HomePath.LINK


def test_the_registration_of_a_former_life_is_ended_at_home() -> None:
    node = Mobile(former_home_agent=AGENT, former_expiry=1.7e9 + 5000 + 300, sequence=9)
    node.give(LinkUp())
    (sent,) = updates(node.advertise(HOME_PREFIX, HOME_ROUTER))
    assert sent.source == HOME
    node.acknowledge(sent)
    assert node.path() is HomePath.LINK
    old = Mobile(former_home_agent=AGENT, former_expiry=1.7e9, sequence=9)
    old.give(LinkUp())
    assert not updates(old.advertise(HOME_PREFIX, HOME_ROUTER))


def test_home_and_away_again_before_anybody_has_answered() -> None:
    node = Mobile().abroad()
    sent = come_home(node)
    (away,) = updates([*node.replug(), *node.advertise()])
    node.acknowledge(sent)
    assert node.tunnel() is None
    assert node.path() is HomePath.TUNNEL
    node.acknowledge(away)
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)


def test_a_home_address_that_somebody_else_has_is_not_used() -> None:
    node = Mobile().at_home()
    effects = node.give(AddressClaimed(HOME, SECOND_MAC))
    assert "home_address_taken" in reasons(effects)
    assert node.path() is HomePath.TUNNEL
    node.advertise(HOME_PREFIX, HOME_ROUTER)
    assert node.path() is HomePath.TUNNEL
    assert node.row["state"] == "home address taken"


def test_a_node_that_stops_abroad_says_goodbye() -> None:
    node = Mobile().abroad()
    (sent,) = updates(node.give(StopRequested()))
    message = sent.message
    assert isinstance(message, BindingUpdate)
    assert (sent.source, sent.home_address, message.lifetime) == (CARE_OF, HOME, 0)
    assert not node.engine.is_done()
    assert not updates(node.advertise(ELSEWHERE, SECOND_ROUTER, SECOND_MAC))
    node.acknowledge(sent)
    assert node.engine.is_done()
    at_home = Mobile().at_home()
    assert not updates(at_home.give(StopRequested()))
    assert at_home.engine.is_done()


# ---- care-of addresses (sections 11.5.3 and 11.5.4, RFC 4429) ---------------------------------------------------------


@pytest.mark.rfc("6275#11.5.3-1", "6275#11.5.3-10", "6275#11.5.4-2", "6275#11.5.4-6")
def test_an_address_is_used_while_it_is_checked() -> None:
    node = Mobile()
    node.give(LinkUp())
    effects = node.advertise()
    assert effects.index(AskForAddress(CARE_OF)) < effects.index(ConfigureAddress(CARE_OF))
    assert updates(effects)


def test_without_the_routers_link_layer_address_the_check_comes_first() -> None:
    """RFC 4429 section 3.3."""
    node = Mobile()
    node.give(LinkUp())
    effects = node.advertise(link_layer=False)
    assert AskForAddress(CARE_OF) in effects
    assert not updates(effects)
    assert not node.addresses
    (sent,) = updates(node.advance(1.1))
    assert sent.source == CARE_OF
    assert node.addresses == {CARE_OF}


def test_an_address_that_somebody_has_is_given_up_for_another() -> None:
    node = Mobile()
    node.give(LinkUp())
    node.advertise()
    effects = node.give(AddressClaimed(CARE_OF, SECOND_MAC))
    assert RemoveAddress(CARE_OF) in effects
    (sent,) = updates(effects)
    assert sent.source[:8] == FOREIGN[:8]
    assert sent.source != CARE_OF
    assert not updates(node.give(AddressClaimed(CARE_OF, SECOND_MAC)))
    assert sent.source != Mobile(secret=b"other").engine._addresses._identifier(FOREIGN[:8], 1)
    node.acknowledge(sent)
    assert node.tunnel() == Tunnel(sent.source, AGENT)
    assert not updates(node.advertise())


def test_a_link_on_which_everything_is_taken_is_told() -> None:
    node = Mobile()
    node.give(LinkUp())
    node.advertise()
    for _ in range(4):
        (held,) = node.addresses
        effects = node.give(AddressClaimed(held, SECOND_MAC))
    assert "no_care_of_address" in reasons(effects)
    assert not node.addresses
    assert not updates(node.advance(30))


def test_an_address_is_ours_once_it_is_checked() -> None:
    node = Mobile().abroad()
    node.advance(2)
    assert not node.give(AddressClaimed(CARE_OF, SECOND_MAC))


@pytest.mark.rfc("6275#11.5.3-2")
def test_a_deprecated_address_is_replaced() -> None:
    node = Mobile()
    node.give(LinkUp())
    (sent,) = updates(node.advertise(FOREIGN, preferred=60, more=(prefix(ELSEWHERE),)))
    assert sent.source == CARE_OF
    node.acknowledge(sent)
    (other,) = updates(node.advance(60.5))
    assert other.source == OTHER_CARE_OF


@pytest.mark.rfc("6275#11.5.4-5")
def test_the_former_address_stays_as_long_as_its_prefix_is_here() -> None:
    node = Mobile()
    node.give(LinkUp())
    (sent,) = updates(node.advertise(FOREIGN, preferred=60, more=(prefix(ELSEWHERE),)))
    node.acknowledge(sent)
    node.advance(60.5)
    assert node.addresses == {CARE_OF, OTHER_CARE_OF}


def test_a_deprecated_address_is_better_than_none() -> None:
    node = Mobile()
    node.give(LinkUp())
    (sent,) = updates(node.advertise(preferred=60))
    node.acknowledge(sent)
    assert not updates(node.advance(100))
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)


@pytest.mark.parametrize(
    "useless",
    [
        prefix(FOREIGN, flags=int(PrefixInformationFlag.ON_LINK)),
        prefix(FOREIGN, valid=0, preferred=0),
        prefix(FOREIGN, valid=10, preferred=20),
        PrefixInformation(63, FLAGS, 100, 100, FOREIGN),
        PrefixInformation(0, FLAGS, 100, 100, bytes(16)),
        PrefixInformation(129, FLAGS, 100, 100, FOREIGN),
        prefix(address("fe80::")),
        prefix(address("ff02::")),
    ],
)
def test_a_prefix_that_makes_no_address_is_left_alone(useless: PrefixInformation) -> None:
    node = Mobile()
    node.give(LinkUp())
    assert not updates(node.advertise(b"", more=(useless,)))
    assert not node.addresses
    assert node.row["state"] == "waiting"


def test_a_prefix_written_as_the_routers_address_is_the_prefix() -> None:
    """RFC 6275 section 7.2."""
    node = Mobile()
    node.give(LinkUp())
    (sent,) = updates(node.advertise(FOREIGN[:8] + IDENTIFIER))
    assert sent.source == CARE_OF


def test_no_advertisement_shortens_an_address_below_two_hours() -> None:
    """RFC 4862 section 5.5.3."""
    node = Mobile(lifetime=40_000)
    node.give(LinkUp())
    (sent,) = updates(node.advertise(lifetime=9000, valid=20_000, preferred=20_000))
    node.acknowledge(sent)
    node.advertise(lifetime=9000, valid=10, preferred=10)
    assert node.engine._addresses.valid_for(CARE_OF) == 7200
    node.advertise(lifetime=9000, valid=0, preferred=0)
    assert node.engine._addresses.valid_for(CARE_OF) == 7200
    node.advertise(valid=0xFFFFFFFF, preferred=0xFFFFFFFF)
    assert node.engine._addresses.valid_for(CARE_OF) == float("inf")


def test_the_link_local_address_is_checked_on_a_new_link() -> None:
    node = Mobile()
    node.give(LinkUp())
    assert AskForAddress(LINK_LOCAL) in node.advertise()
    assert "link_local_address_taken" in reasons(node.give(AddressClaimed(LINK_LOCAL, SECOND_MAC)))


def test_settings_have_values_of_the_rfc() -> None:
    made = NodeSettings(HOME, HOME_PREFIX, (AGENT,), LINK_LOCAL, IDENTIFIER)
    assert made.initial_bindack_timeout_first_registration == 1.5


def test_the_first_event_blocks_the_home_address() -> None:
    node = Mobile(started=False)
    assert SetHomePath(HomePath.TUNNEL) in node.give(Started())
    assert not of(node.effects, Report)
