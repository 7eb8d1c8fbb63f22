# SPDX-License-Identifier: Apache-2.0
"""What every plane does with home addresses at an anchor: the node's own registration comes first (ANC-2), and
what comes out of a tunnel was registered there (ANC-3)."""

from __future__ import annotations

import struct

import pytest

from halma.engine.api import Bind, BindingKind, Unbind
from halma.forwarding.plane import Plane
from tests.forwarding.plane_network import AGGREGATE, ANCHOR, CORRESPONDENT, FAR, FIRST, GATEWAY, Network
from tests.forwarding.plane_openers import Planes
from tests.forwarding.plane_packets import Ip, address, checksum, icmp_error, tunnelled, udp
from tests.forwarding.plane_traffic import (
    PARAMETERS_PROBLEM,
    TO_FAR,
    TO_GATEWAY,
    TOO_BIG,
    bind,
    counted,
    from_correspondent,
    from_far,
    marked,
    prefix,
)
from tests.forwarding.test_cleaning import state, without_ages

pytestmark = pytest.mark.root

NEIGHBOUR = "2001:db8:100:1::99"
"""In the home network prefix of the first node."""
ABROAD = "2001:db8:200::1"
"""A home address that no aggregate covers."""
HOME, NETWORK = BindingKind.HOME_ADDRESS, BindingKind.MOBILE_NETWORK


def away(planes: Planes) -> Plane:
    """The first node is bound by its gateway, and at its care-of address by itself."""
    plane = planes.anchor(home_agent=True)
    bind(plane, FIRST, TO_GATEWAY)
    assert plane.apply([Bind(2, address(FIRST), 128, TO_FAR, kind=HOME)]) == [0]
    return plane


def comes_to(network: Network, host: str, port: int) -> str:
    """Where a packet to a host comes in a tunnel: `far` or the `gateway`."""
    from_correspondent(network, udp(CORRESPONDENT, host, port=port))
    for _ in range(50):
        for name in ("far", "gateway"):
            if network.wire(f"{name}.core0").receive(marked(port), within=0.01) is not None:
                return name
    return "nowhere"


def comes_out(network: Network, source: str, outer: str, port: int) -> bool:
    """Whether the anchor forwards a packet that came in a tunnel. One that certainly is comes after it."""
    out = network.wire("correspondent.eth0")
    out.drain()
    for inner, end in ((udp(source, CORRESPONDENT, port=port), outer), (udp(FIRST, CORRESPONDENT, port=port + 1), FAR)):
        packet = tunnelled(inner, end, ANCHOR)
        if end == FAR:
            from_far(network, packet)
        else:
            network.wire("gateway.core0").send(packet, network.wire("anchor.core1"))
    got = out.receive(lambda packet: marked(port)(packet) or marked(port + 1)(packet))
    assert got is not None
    return marked(port)(got)


@pytest.mark.requirement("ANC-2")
@pytest.mark.rfc("6275#10.4.2-1")
def test_the_home_address_goes_first_and_the_rest_of_the_prefix_to_the_gateway(network: Network, planes: Planes) -> None:
    plane = away(planes)
    assert comes_to(network, FIRST, 101) == "far"
    assert comes_to(network, NEIGHBOUR, 102) == "gateway"
    assert plane.apply([Unbind(3, address(FIRST), 128, HOME)]) == [0]
    assert comes_to(network, FIRST, 103) == "gateway"
    assert plane.apply([Unbind(4, prefix(FIRST), 64)]) == [0]
    assert comes_to(network, FIRST, 104) == "nowhere"


@pytest.mark.requirement("ANC-2", "ANC-9")
@pytest.mark.rfc("3963#6.5-1")
@pytest.mark.parametrize("length", [64, 48])
def test_the_mobile_network_comes_between_them(network: Network, planes: Planes, length: int) -> None:
    plane = planes.anchor(home_agent=True)
    bind(plane, FIRST, TO_GATEWAY)
    place = prefix(FIRST) if length == 64 else address(AGGREGATE)
    assert plane.apply([Bind(2, place, length, TO_FAR, kind=NETWORK)]) == [0]
    assert comes_to(network, NEIGHBOUR, 111) == "far"
    assert plane.apply([Bind(3, address(NEIGHBOUR), 128, TO_GATEWAY, kind=HOME)]) == [0]
    assert comes_to(network, NEIGHBOUR, 112) == "gateway"
    assert comes_to(network, FIRST, 113) == "far"
    assert set(plane.bindings()) == {
        (prefix(FIRST), 64, TO_GATEWAY),
        (place, length, TO_FAR),
        (address(NEIGHBOUR), 128, TO_GATEWAY),
    }
    assert plane.apply([Unbind(4, place, length, NETWORK), Unbind(5, address(NEIGHBOUR), 128, HOME)]) == [0, 0]
    assert comes_to(network, NEIGHBOUR, 114) == "gateway"


@pytest.mark.requirement("ANC-3")
@pytest.mark.rfc("6275#10.4.5-3")
def test_what_comes_out_of_a_tunnel_was_registered_there(network: Network, planes: Planes) -> None:
    plane = away(planes)
    assert comes_out(network, FIRST, FAR, 121)
    assert comes_out(network, FIRST, GATEWAY, 123), "both registrations hold while the node comes home"
    assert comes_out(network, NEIGHBOUR, GATEWAY, 125)
    assert not comes_out(network, NEIGHBOUR, FAR, 127)
    assert not comes_out(network, ABROAD, FAR, 129)
    assert plane.apply([Unbind(3, prefix(FIRST), 64)]) == [0]
    assert not comes_out(network, FIRST, GATEWAY, 131)
    if planes.kind != "seg6":
        assert counted(plane, "dropped_wrong_outer_source", 2)
        assert counted(plane, "dropped_unknown_inner", 1)


@pytest.mark.requirement("ANC-9")
def test_the_whole_mobile_network_may_send(network: Network, planes: Planes) -> None:
    plane = away(planes)
    assert not comes_out(network, NEIGHBOUR, FAR, 133)
    assert plane.apply([Bind(3, prefix(FIRST), 64, TO_FAR, kind=NETWORK)]) == [0]
    assert comes_out(network, NEIGHBOUR, FAR, 135)


@pytest.mark.requirement("ANC-3", "ANC-9")
def test_a_network_inside_another_counts_for_itself(network: Network, planes: Planes) -> None:
    plane = away(planes)
    outer, inner = (address(AGGREGATE), 47), (prefix(FIRST), 64)
    assert plane.apply([Bind(number, *place, TO_FAR, kind=NETWORK) for number, place in enumerate((outer, inner))]) == [0, 0]
    assert comes_out(network, NEIGHBOUR, FAR, 151)
    assert plane.apply([Bind(3, *inner, TO_GATEWAY, kind=NETWORK)]) == [0]
    assert not comes_out(network, NEIGHBOUR, FAR, 153)
    assert comes_out(network, NEIGHBOUR, GATEWAY, 155)
    assert comes_out(network, "2001:db8:100:7::1", FAR, 157)
    assert plane.apply([Unbind(4, *inner, NETWORK)]) == [0]
    assert comes_out(network, NEIGHBOUR, FAR, 159)


@pytest.mark.requirement("ANC-2")
def test_a_narrow_path_is_told_to_senders(network: Network, planes: Planes) -> None:
    plane = away(planes)
    large = udp(CORRESPONDENT, FIRST, 1400 - 48, port=161)
    from_correspondent(network, large)
    assert network.wire("far.core0").receive(marked(161)) is not None
    plane.set_path_mtu(TO_FAR, 1400)
    from_correspondent(network, large)
    error = network.wire("correspondent.eth0").error(TOO_BIG)
    assert error is not None
    assert (error.value, error.destination) == (1360, CORRESPONDENT)


@pytest.mark.requirement("ANC-2")
def test_a_home_address_that_no_aggregate_covers_is_reached_and_leaves_nothing(network: Network, planes: Planes) -> None:
    before = without_ages(state(network, "anchor"))
    plane = away(planes)
    assert plane.apply([Bind(3, address(ABROAD), 128, TO_FAR, kind=HOME)]) == [0]
    assert comes_to(network, ABROAD, 141) == "far"
    assert comes_out(network, ABROAD, FAR, 143)
    assert plane.apply([Unbind(4, address(ABROAD), 128, HOME)]) == [0]
    assert comes_to(network, ABROAD, 145) == "nowhere"
    planes.close()
    assert without_ages(state(network, "anchor")) == before


PADDING = bytes([1, 4, 0, 0, 0, 0])
OPTION = bytes([1, 2, 0, 0, 201, 16]) + address(FIRST)
"""Home Address, 18 octets behind a PadN of 4."""


def headers(*chain: tuple[int, bytes], end: int) -> tuple[int, bytes]:
    """The first protocol number and the octets of extension headers (number, what they hold) before a payload."""
    data = b""
    for (_, held), after in zip(chain, [*(number for number, _ in chain[1:]), end], strict=True):
        data += bytes([after, (len(held) - 6) // 8]) + held
    return chain[0][0], data


HOP_BY_HOP, DESTINATION, ROUTING = 0, 60, 43
BEHIND = {
    "the option": [(DESTINATION, OPTION)],
    "another option and it": [(DESTINATION, bytes([4, 1, 4, 0x1E, 3, 0, 0, 0]) + OPTION)],
    "hop-by-hop options": [(HOP_BY_HOP, PADDING), (DESTINATION, OPTION)],
    "more of them": [(HOP_BY_HOP, bytes([5, 2, 0, 0, 0x1E, 8, *bytes(8)])), (DESTINATION, OPTION)],
    "destination options": [(DESTINATION, PADDING), (DESTINATION, OPTION)],
    "a routing header": [(HOP_BY_HOP, PADDING), (ROUTING, bytes([253, 0, 0, 0, 0, 0])), (DESTINATION, OPTION)],
}


@pytest.mark.parametrize("what", BEHIND)
def test_signalling_behind_a_home_address_option_is_kept_from_the_stack(network: Network, planes: Planes, what: str) -> None:
    """The kernel does not know the option, and would tell its sender so."""
    if what == "a routing header" and planes.kind in ("seg6", "tun"):
        pytest.skip("nftables does not look for the option there")

    def is_told(next_header: int) -> bool:
        first, before = headers(*BEHIND[what], end=next_header)
        from_far(network, Ip(address(FAR), address(ANCHOR), first, before + bytes([59, 0, 5, 0, 0, 0, 0, 0])))
        within = 0.5 if next_header == 135 else 5.0
        got = network.wire("far.core0").receive(
            lambda p: (error := icmp_error(p)) is not None and error.kind == PARAMETERS_PROBLEM, within
        )
        return got is not None

    planes.anchor(home_agent=True)
    assert not is_told(135)
    if not is_told(17):
        pytest.skip("this kernel knows the option (MIP6)")
    planes.close()
    planes.anchor()
    assert is_told(135)


@pytest.mark.parametrize("what", ["destination options", "hop-by-hop options", "both"])
def test_what_stands_behind_other_options_is_the_stack_s(network: Network, planes: Planes, what: str) -> None:
    chain = {"destination options": (DESTINATION,), "hop-by-hop options": (HOP_BY_HOP,), "both": (HOP_BY_HOP, DESTINATION)}
    first, before = headers(*((number, PADDING) for number in chain[what]), end=58)
    body = b"\0\7\0\1" + bytes([201, 16]) * 40
    echo = checksum(address(FAR) + address(ANCHOR) + struct.pack("!II", 4 + len(body), 58) + b"\x80\0\0\0" + body)
    planes.anchor(home_agent=True)
    payload = before + b"\x80\0" + echo.to_bytes(2, "big") + body
    from_far(network, Ip(address(FAR), address(ANCHOR), first, payload))
    got = network.wire("far.core0").receive(lambda p: p.next_header == 58 and p.payload[0] == 129)
    assert got is not None
    assert got.payload[4:] == body
