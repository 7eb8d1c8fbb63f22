# SPDX-License-Identifier: Apache-2.0
"""A foreign mobile node whose home is behind a foreign gateway (RFC 6612): at an anchor that is home agent and local mobility
anchor at once, it comes home, and is refused there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.foreign import octets
from tests.foreign.gateway import Gateway
from tests.foreign.mobile_node import MobileNode, sequence_of, status_of
from tests.foreign.octets import BA, MOBILITY, TUNNEL, A, H, Heard, ip
from tests.foreign.place import Place
from tests.forwarding.plane_openers import why_not

pytestmark = [pytest.mark.root, pytest.mark.needs("ip")]

ANCHOR, PEER = ip("2001:db8:1::1"), ip("2001:db8:ee::2")
CONFIGURATION = """
[anchor]
addresses = ["2001:db8:1::1"]
interfaces = ["core0", "peer0"]
roles = ["lma", "ha"]
plane = "{plane}"
control_socket = "{{directory}}/control.sock"
state_directory = "{{directory}}"
[home_agent]
insecure = true
[[pool]]
name = "main"
prefix = "2001:db8:100::/48"
[[peer]]
address = "2001:db8:1::11"
nodes = ["*@example.org"]
[[profile]]
node = "*@example.org"
pool = "main"
mobile_ipv6 = true
"""
PORTS: dict[str, str | None] = {"core0": "2001:db8:1::1/64", "peer0": "2001:db8:ee::1/64"}
NODE = "mn@example.org"


class Return:
    """A node that is registered by its gateway, and by itself from abroad."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.gateway = Gateway(place.station("core0", "02:00:00:00:00:11", "2001:db8:1::11"), ANCHOR)
        self.abroad = place.station("core0", "02:00:00:00:00:aa", "2001:db8:1::2")
        self.peer = place.station("peer0", "02:00:00:00:00:cc", "2001:db8:ee::2")
        place.start()
        home = self.gateway.attached(NODE)[:8] + bytes(7) + b"\x77"
        self.node = MobileNode(self.abroad, home, ANCHOR)
        self.node.sequence = 100
        self.node.register()

    def deregisters(self, sequence: int) -> Heard:
        """From the home address, through the tunnel of the gateway; what comes back there."""
        body = self.node.message(octets.update(sequence, A | H, 0))
        self.gateway.station.send(
            octets.packet(self.gateway.address, ANCHOR, TUNNEL, octets.packet(self.node.home, ANCHOR, MOBILITY, body))
        )
        outer = self.gateway.station.hear(
            lambda heard: heard.protocol == TUNNEL and heard.payload[24:40] == self.node.home, "an answer at home"
        )
        assert (outer.source, outer.destination) == (ANCHOR, self.gateway.address)
        return octets.read(outer.payload)


@pytest.fixture(params=["auto", "seg6", "tun"])
def returned(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Return]:
    if request.param != "auto" and (reason := why_not(request.param)):
        pytest.skip(reason)
    with Place(tmp_path, "anchor", CONFIGURATION.format(plane=request.param), PORTS) as place:
        yield Return(place)
        assert "Traceback" not in place.log


@pytest.mark.requirement("ANC-6", "ANC-8")
@pytest.mark.rfc("6275#10.3.2-9")
def test_a_refusal_reaches_a_node_that_is_home_behind_its_gateway(returned: Return) -> None:
    """RFC 6275 sections 9.5.4 and 10.3.2: it goes to the home address, and not to where the node was before."""
    heard = returned.deregisters(50)
    assert (heard.kind, status_of(heard), sequence_of(heard)) == (BA, 135, 101)
    assert (heard.source, heard.destination, heard.home_address) == (ANCHOR, returned.node.home, b"")
    assert not [each for each in returned.abroad.waiting() if each.protocol == TUNNEL]
    heard = returned.deregisters(102)
    assert (heard.kind, status_of(heard), sequence_of(heard)) == (BA, 0, 102)
