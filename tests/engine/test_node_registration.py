# SPDX-License-Identifier: Apache-2.0
"""Binding Updates of a mobile node and what it makes of the answers: RFC 6275 sections 11.7.1, 11.7.3 and 11.8."""

from __future__ import annotations

import pytest

from halma.engine.api import Send, Tunnel
from halma.engine.node_api import ConfigureAddress, HomePath, LinkUp
from halma.wire.messages import BindingUpdate
from halma.wire.numbers import BindingUpdateFlag
from halma.wire.options import (
    AlternateCareOfAddress,
    MobileNodeIdentifier,
    MobilityMessageReplayProtection,
)
from halma.wire.timestamp import to_ntp
from tests.engine.mobile import AGENT, CARE_OF, HOME, KEY, NODE, Mobile, updates


def update(sent: Send) -> BindingUpdate:
    assert isinstance(sent.message, BindingUpdate)
    return sent.message


@pytest.mark.rfc(
    "6275#8.5-1", "6275#8.5-2", "6275#8.5-10", "6275#11.5.4-3", "6275#11.5.4-4", "6275#11.7.1-1", "6275#11.7.1-2",
    "6275#11.7.1-3", "6275#11.7.1-4", "6275#11.7.1-5", "6275#11.7.1-6", "6275#11.7.1-8", "6275#11.7.1-10",
    "6275#11.7.1-11", "6275#11.7.1-16", "6275#11.7.1-17", "6275#11.3.1-11", "4283#1-1", "4283#3.1-1", "4283#3.2-1",
    "4285#4-1", "4285#5.1.1-1", "4285#6-6",
)  # fmt: skip
@pytest.mark.requirement("MN-1")
def test_a_foreign_link_brings_a_care_of_address_and_an_update() -> None:
    node = Mobile()
    node.give(LinkUp())
    effects = node.advertise()
    assert ConfigureAddress(CARE_OF) in effects
    (sent,) = updates(effects)
    assert (sent.source, sent.destination, sent.home_address, sent.association) == (CARE_OF, AGENT, HOME, KEY)
    message = update(sent)
    assert message.flags == BindingUpdateFlag.ACKNOWLEDGE | BindingUpdateFlag.HOME_REGISTRATION
    assert message.lifetime == 100
    alternate, identifier, replay = message.options
    assert alternate == AlternateCareOfAddress(CARE_OF)
    assert identifier == MobileNodeIdentifier(1, NODE)
    assert isinstance(replay, MobilityMessageReplayProtection)
    assert abs(replay.timestamp - to_ntp(node.now.wall)) < 1 << 12
    assert node.tunnel() is None
    assert node.path() is HomePath.TUNNEL
    node.acknowledge(sent)
    assert node.tunnel() == Tunnel(CARE_OF, AGENT)
    assert node.row["state"] == "registered"
