# SPDX-License-Identifier: Apache-2.0
"""Links come, go and change; an interface becomes an access link and is given back."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from halma.netio import netlink_socket
from halma.netio.access_interface import SETTINGS, AccessInterface
from halma.netio.netlink import LinkControl, LinkGone, LinkMonitor, LinkState
from halma.netio.netlink_socket import DUMP, attributes
from halma.wire.addresses import UNSPECIFIED
from tests.conftest import run_ip
from tests.netio.links import GATEWAY_ADDRESS, GATEWAY_LINK_LAYER, Pair, inside

pytestmark = pytest.mark.root

OTHER_ADDRESS = bytes.fromhex("fe80000000000000000000000000beef")


@pytest.fixture
def control(pair: Pair) -> Iterator[LinkControl]:
    with inside(pair.gateway):
        made = LinkControl()
    yield made
    made.close()


@pytest.fixture
def monitor(pair: Pair) -> Iterator[LinkMonitor]:
    with inside(pair.gateway):
        made = LinkMonitor()
        made.all()
    yield made
    made.close()


def wait_for(monitor: LinkMonitor, wanted: Callable[[LinkState | LinkGone], bool]) -> LinkState | LinkGone:
    """The first change of this kind."""
    while True:
        readable, _, _ = select.select([monitor], [], [], 5)
        assert readable, "nothing of the kind happened"
        for change in monitor.receive():
            if wanted(change):
                return change


# ---- listening --------------------------------------------------------------------------------------------------------


def test_every_link_that_is_there_is_told(pair: Pair, monitor: LinkMonitor) -> None:
    with inside(pair.gateway):
        states = {state.name: state for state in monitor.all() if isinstance(state, LinkState)}
    assert set(states) == {"lo", "ap0"}
    found = states["ap0"]
    assert (found.interface, found.up, found.carrier, found.mtu) == (pair.index, False, False, 1500)
    assert len(found.link_layer_address) == 6


def test_a_link_comes_up_changes_loses_its_carrier_and_goes(pair: Pair, monitor: LinkMonitor) -> None:
    pair.up()
    wait_for(monitor, lambda change: isinstance(change, LinkState) and change.carrier)
    run_ip("-n", pair.gateway, "link", "set", "ap0", "mtu", "1400")
    wait_for(monitor, lambda change: isinstance(change, LinkState) and change.mtu == 1400)
    run_ip("-n", pair.node, "link", "set", "eth0", "down")
    lost = wait_for(monitor, lambda change: isinstance(change, LinkState) and not change.carrier)
    assert isinstance(lost, LinkState)
    assert lost.up
    run_ip("-n", pair.gateway, "link", "set", "ap0", "netns", pair.node)
    assert wait_for(monitor, lambda change: isinstance(change, LinkGone)) == LinkGone(pair.index)


def test_a_link_that_arrives_from_another_namespace_is_told(pair: Pair, monitor: LinkMonitor) -> None:
    run_ip("-n", pair.node, "link", "add", "ap7", "type", "veth", "peer", "name", "x7")
    run_ip("-n", pair.node, "link", "set", "ap7", "netns", pair.gateway)
    arrived = wait_for(monitor, lambda change: isinstance(change, LinkState) and change.name == "ap7")
    assert isinstance(arrived, LinkState)
    assert not arrived.up


def test_when_the_kernel_could_not_keep_up_everything_is_looked_at_anew(pair: Pair, monitor: LinkMonitor) -> None:
    monitor._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # room for next to nothing
    run_ip("-n", pair.gateway, "link", "add", "gone", "type", "veth", "peer", "name", "gone2")
    monitor._known.add(4711)  # a link whose end was among what got lost
    with inside(pair.gateway):
        changes = monitor.receive()
        for number in range(20):
            run_ip("-n", pair.gateway, "link", "set", "lo", "mtu", str(2000 + number))
        changes += monitor.receive()
    assert LinkGone(4711) in changes
    assert {change.name for change in changes if isinstance(change, LinkState)} >= {"lo", "ap0"}


def test_what_a_bridge_tells_of_its_ports_is_no_news(pair: Pair, monitor: LinkMonitor) -> None:
    run_ip("-n", pair.gateway, "link", "add", "br0", "type", "bridge")
    run_ip("-n", pair.gateway, "link", "set", "ap0", "master", "br0")
    run_ip("-n", pair.gateway, "link", "set", "ap0", "nomaster")
    wait_for(monitor, lambda change: isinstance(change, LinkState) and change.name == "br0")
    assert not any(isinstance(change, LinkGone) for change in monitor.receive())


def test_damaged_netlink_messages_end_the_reading() -> None:
    assert list(netlink_socket.messages(b"\x04\0\0\0" + bytes(20))) == []
    assert netlink_socket.attributes(b"\x01\0\x01\0") == {}


# ---- asking -----------------------------------------------------------------------------------------------------------


def test_an_interface_that_is_not_there_is_an_error(control: LinkControl) -> None:
    with pytest.raises(OSError, match="No such device"):
        control.link(4711)
    with pytest.raises(OSError, match="No such device"):
        control.set_up(4711)


def test_a_driver_that_wants_the_interface_down_gets_it_down(
    pair: Pair, control: LinkControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.up()
    ask = control._requests.ask
    refused: list[bytes] = []

    def busy(kind: int, flags: int, body: bytes) -> list[tuple[int, bytes]]:
        if GATEWAY_LINK_LAYER in body and not refused:
            refused.append(body)
            raise OSError(16, "Device or resource busy")
        return ask(kind, flags, body)

    monkeypatch.setattr(control._requests, "ask", busy)
    control.set_link_layer_address(pair.index, GATEWAY_LINK_LAYER)
    state = control.link(pair.index)
    assert (state.link_layer_address, state.up) == (GATEWAY_LINK_LAYER, False)
    with pytest.raises(OSError, match="Cannot assign"):
        control.set_link_layer_address(pair.index, bytes.fromhex("010000000000"))


def local_addresses(control: LinkControl) -> list[bytes]:
    """The addresses that the kernel takes packets for, asked for as fast as can be."""
    found = []
    for _, content in control._requests.ask(26, DUMP, bytes([socket.AF_INET6]) + bytes(11)):  # RTM_GETROUTE
        if content[4] == 255:  # table local
            found.append(attributes(content[12:]).get(1, b""))
    return found


def test_packets_to_an_address_are_taken_as_soon_as_it_has_been_given(pair: Pair, control: LinkControl) -> None:
    for number in range(50):
        address = GATEWAY_ADDRESS[:15] + bytes([number])
        control.add_address(pair.index, address, 64)
        assert address in local_addresses(control)


def test_the_neighbour_entries_of_one_node_are_forgotten(pair: Pair, control: LinkControl) -> None:
    pair.up()
    for address, link_layer in (("2001:db8::1", "02:00:00:00:01:01"), ("2001:db8::2", "02:00:00:00:01:02")):
        run_ip("-n", pair.gateway, "neigh", "add", address, "lladdr", link_layer, "dev", "ap0", "nud", "stale")
    assert control.forget_neighbours(pair.index, bytes.fromhex("020000000101")) == 1
    shown = run_ip("-n", pair.gateway, "-6", "neigh", "show", "dev", "ap0")
    assert "2001:db8::2" in shown
    assert "2001:db8::1 " not in shown or "FAILED" in shown


# ---- an access link ---------------------------------------------------------------------------------------------------


def settings(pair: Pair) -> dict[str, str]:
    with inside(pair.gateway):
        return {name: Path(f"/proc/sys/net/ipv6/conf/ap0/{name}").read_text().strip() for name in SETTINGS}


@pytest.mark.requirement("GW-3")
@pytest.mark.rfc("6543#1-1", "6543#1-3", "5213#6.9.3-1")
def test_an_access_interface_is_made_before_it_is_up_and_given_back_as_it_was(pair: Pair, control: LinkControl) -> None:
    before, address = settings(pair), control.link(pair.index).link_layer_address
    interface = AccessInterface(control.link(pair.index), control)
    with inside(pair.gateway):
        interface.prepare(GATEWAY_LINK_LAYER, GATEWAY_ADDRESS)
        interface.prepare(GATEWAY_LINK_LAYER, GATEWAY_ADDRESS)  # told twice
    assert not control.link(pair.index).up
    control.set_up(pair.index)
    assert settings(pair) == SETTINGS
    assert control.link(pair.index).link_layer_address == GATEWAY_LINK_LAYER
    shown = run_ip("-n", pair.gateway, "-6", "address", "show", "dev", "ap0")
    assert "fe80::200:5eff:fe00:5213/64" in shown
    assert "tentative" not in shown
    assert control.link_local_addresses(pair.index) == [(GATEWAY_ADDRESS, 64)]
    with inside(pair.gateway):
        interface.restore()
    state = control.link(pair.index)
    assert (state.link_layer_address, state.up) == (address, False)
    assert settings(pair) == before
    assert (GATEWAY_ADDRESS, 64) not in control.link_local_addresses(pair.index)


def test_an_interface_that_was_up_keeps_its_own_addresses_for_later(pair: Pair, control: LinkControl) -> None:
    pair.up()
    with contextlib.suppress(OSError):
        control.add_address(pair.index, OTHER_ADDRESS, 64)
    own = set(control.link_local_addresses(pair.index))
    interface = AccessInterface(control.link(pair.index), control)
    with inside(pair.gateway):
        interface.prepare(GATEWAY_LINK_LAYER, GATEWAY_ADDRESS)
    assert control.link_local_addresses(pair.index) == [(GATEWAY_ADDRESS, 64)]
    with inside(pair.gateway):
        interface.restore()
    assert set(control.link_local_addresses(pair.index)) >= own
    assert control.link(pair.index).up


def test_the_anchor_may_give_another_link_local_address(pair: Pair, control: LinkControl) -> None:
    pair.up()
    interface = AccessInterface(control.link(pair.index), control)
    with inside(pair.gateway):
        interface.prepare(GATEWAY_LINK_LAYER, UNSPECIFIED)
    assert control.link_local_addresses(pair.index) == []
    interface.set_addresses((OTHER_ADDRESS,))
    interface.set_addresses((GATEWAY_ADDRESS, OTHER_ADDRESS))
    assert interface.address == GATEWAY_ADDRESS
    assert len(control.link_local_addresses(pair.index)) == 2
    interface.set_addresses((GATEWAY_ADDRESS,))
    assert control.link_local_addresses(pair.index) == [(GATEWAY_ADDRESS, 64)]
    control.delete_address(pair.index, GATEWAY_ADDRESS, 64)  # as the kernel does when the interface is set down
    interface.renew_addresses()
    assert control.link_local_addresses(pair.index) == [(GATEWAY_ADDRESS, 64)]


def test_an_interface_that_has_gone_is_given_back_without_a_word(pair: Pair, control: LinkControl) -> None:
    interface = AccessInterface(control.link(pair.index), control)
    with inside(pair.gateway):
        interface.prepare(GATEWAY_LINK_LAYER, GATEWAY_ADDRESS)
        run_ip("-n", pair.gateway, "link", "delete", "ap0")
        interface.restore()
