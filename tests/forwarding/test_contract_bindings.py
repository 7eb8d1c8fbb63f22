# SPDX-License-Identifier: Apache-2.0
"""What every plane says to changes of its bindings."""

from __future__ import annotations

import errno

import pytest

from halma.engine.api import Bind, Tunnel, Unbind
from halma.forwarding.plane import Change
from tests.forwarding.plane_network import (
    ANCHOR,
    FIRST,
    ROAMER,
    SECOND,
)
from tests.forwarding.plane_openers import Planes
from tests.forwarding.plane_packets import address
from tests.forwarding.plane_traffic import (
    TO_FAR,
    TO_GATEWAY,
    bind,
    prefix,
)

pytestmark = pytest.mark.root


def test_what_no_plane_can_do_is_refused(planes: Planes) -> None:
    plane = planes.anchor()
    changes: list[Change] = [
        Bind(1, address(ROAMER), 128, TO_FAR),
        Bind(2, address("2001:db8:100::"), 56, TO_FAR),
        Bind(3, address(ROAMER), 64, TO_FAR),
        Bind(4, address("fe80::"), 64, TO_FAR),
        Bind(5, prefix(ROAMER), 64, TO_FAR),
        Unbind(6, address("2001:db8:100::"), 56),
    ]
    assert plane.apply(changes) == [errno.EOPNOTSUPP, errno.EOPNOTSUPP, errno.EINVAL, errno.EINVAL, 0, errno.EOPNOTSUPP]
    assert list(plane.bindings()) == [(prefix(ROAMER), 64, TO_FAR)]


def test_the_numbers_of_unused_tunnels_are_used_again(planes: Planes) -> None:
    plane = planes.anchor(maximum_bindings=4)
    for number in range(1, 20):
        bind(plane, ROAMER, Tunnel(address(ANCHOR), address(f"2001:db8:3::{number:x}")))
        assert len(plane.tunnels()) == 1


@pytest.mark.rfc("5213#5.6.1-6", "5213#5.6.1-3")
def test_the_last_change_of_a_batch_holds_and_unused_tunnels_go(planes: Planes) -> None:
    plane = planes.anchor()
    answers = plane.apply(
        [
            Bind(1, prefix(ROAMER), 64, TO_FAR),
            Unbind(2, prefix(ROAMER), 64),
            Bind(3, prefix(FIRST), 64, TO_FAR),
            Bind(4, prefix(FIRST), 64, TO_GATEWAY),
            Unbind(5, prefix(SECOND), 64),
            Bind(6, prefix(SECOND), 64, None),
        ]
    )
    assert answers == [0] * 6
    assert sorted(plane.bindings(), key=str) == sorted([(prefix(FIRST), 64, TO_GATEWAY), (prefix(SECOND), 64, None)], key=str)
    assert plane.tunnels() == {TO_GATEWAY: 1}
    plane.apply([Unbind(7, prefix(FIRST), 64)])
    assert plane.tunnels() == {}


def test_a_full_table_refuses_new_prefixes_and_still_moves_old_ones(planes: Planes) -> None:
    plane = planes.anchor(maximum_bindings=4)
    hosts = [address(f"2001:db8:100:{n:x}::") for n in range(16, 22)]
    answers = plane.apply([Bind(n, host, 64, TO_FAR) for n, host in enumerate(hosts)])
    assert answers[:4] == [0] * 4
    assert all(answers[4:])
    assert len(list(plane.bindings())) == 4
    assert plane.apply([Bind(9, hosts[0], 64, TO_GATEWAY)]) == [0]
    assert plane.tunnels() == {TO_FAR: 3, TO_GATEWAY: 1}
