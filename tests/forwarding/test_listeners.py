# SPDX-License-Identifier: Apache-2.0
"""Who listens to which group, where there is no room: nothing of it stays behind."""

from __future__ import annotations

import pytest

from halma.forwarding.listeners import GROUP_KEY, LISTENER_KEY, Listeners
from halma.forwarding.tables import DictionaryMap
from tests.forwarding.plane_packets import address

FIRST, SECOND = address("2001:db8:a::1"), address("2001:db8:a::2")
GROUP, OTHER = address("ff0e::1"), address("ff0e::2")


def test_a_group_for_which_there_is_no_room_takes_none_from_others() -> None:
    listeners = Listeners(DictionaryMap(GROUP_KEY, 1), DictionaryMap(LISTENER_KEY, 2))
    listeners.subscribe(GROUP, FIRST)
    with pytest.raises(OSError, match="too long"):
        listeners.subscribe(OTHER, FIRST)
    assert listeners.of(OTHER) == []
    listeners.subscribe(GROUP, SECOND)
    assert listeners.of(GROUP) == [FIRST, SECOND]
