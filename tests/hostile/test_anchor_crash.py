# SPDX-License-Identifier: Apache-2.0
"""An anchor is killed while hosts have prefixes of its pool: they keep them in its next life, and nobody else gets them."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from halma.wire.messages import BindingAcknowledgement
from halma.wire.options import HomeNetworkPrefix
from tests.hostile.hostile_world import ANCHOR, HOST_PREFIX, LISTED, World, update

pytestmark = [pytest.mark.root, pytest.mark.needs("ip")]


def anchor_dies(world: World) -> None:
    """It is killed once it has written down what it knows."""
    world.daemons["anchor"].handle.send_signal(signal.SIGHUP)  # it writes its peers down, which it does now and then
    state = world.directory / "anchor-state"
    world.until(lambda: b"20010db8" in (state / "anchor.json").read_bytes(), "the peers to be written down")
    written = HOST_PREFIX.hex().encode() + b" " + b"host1@example.org".hex().encode()
    world.until(lambda: written in (state / "anchor-assignments").read_bytes(), "the assignment to be written down")
    world.daemons["anchor"].handle.kill()
    world.daemons["anchor"].handle.wait()


@pytest.mark.requirement("ANC-4")
@pytest.mark.rfc("5847#3.2-5")
def test_hosts_keep_the_prefix_of_the_pool_when_their_anchor_is_killed(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        file = world.file("anchor")
        reserved = 'pool = "main"\nprefixes = ["2001:db8:100:1::/64"]\n'
        assert reserved in file.read_text()
        file.write_text(file.read_text().replace(reserved, 'pool = "main"\n'))
        world.start("anchor", "gateway")
        world.until(lambda: world.status(LISTED, update(b"first@honest.example")) == 0, "an answer")  # it gets the first one
        world.attach_host()
        world.until(world.host_is_served, "service")
        address = world.host_address()
        for _ in range(2):
            anchor_dies(world)
            world.start("anchor")
            assert world.status(LISTED, update(b"thief@honest.example", prefixes=(HomeNetworkPrefix(64, HOST_PREFIX),))) == 155
            by_chance = world.answer(LISTED, update(b"newcomer@honest.example"), ANCHOR)
            assert isinstance(by_chance, BindingAcknowledgement)
            assert HomeNetworkPrefix(64, HOST_PREFIX) not in by_chance.options
            world.until(world.host_is_served, "service after the anchor was killed")
            assert world.host_address() == address
            assert world.counters("anchor")["refused_not_authorized_for_home_network_prefix"] == 1, "the thief alone"
            assert world.counters("anchor")["prefixes_remembered"] == 1, "the first node has not come yet"
        assert world.status(LISTED, update(b"last@honest.example")) == 0
        world.daemons["anchor"].handle.terminate()
        assert world.daemons["anchor"].handle.wait(10) == 0
        journal = (tmp_path / "anchor-state" / "anchor-assignments").read_bytes()
        assert b"last@honest.example".hex().encode() in journal, "a clean stop has not written down what was new"
