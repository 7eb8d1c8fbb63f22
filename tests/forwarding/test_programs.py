# SPDX-License-Identifier: Apache-2.0
"""The BPF programs packet by packet, by BPF_PROG_TEST_RUN: their verdicts, the bytes they make, the maps they keep to."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

import pytest

from halma.forwarding.bpf import Program
from halma.forwarding.loader import OBJECT_DIRECTORY, Collection, ObjectFile
from halma.forwarding.plane import COUNTERS
from tests.forwarding.plane_packets import IPV6, Ip, address, frame, parse, tunnelled, udp, with_options

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: loads BPF programs")

ANCHOR, GATEWAY, NODE, OTHER = "2001:db8:1::1", "2001:db8:2::1", "2001:db8:100:1::1", "2001:db8:ff::2"
CONTINUE, SHOT, REDIRECT, XDP_PASS, XDP_REDIRECT = 0xFFFFFFFF, 2, 7, 2, 4
LOOPBACK = 1  # the interface that test runs pretend packets came in on


@pytest.fixture(scope="module")
def objects() -> Iterator[Collection]:
    """The programs with maps of their own: one tunnel between anchor and gateway, number 1."""
    made = Collection(ObjectFile(OBJECT_DIRECTORY / "halma.bpf.o"), {"prefixes": 64, "tunnels": 64})
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def maps(objects: Collection) -> Collection:
    """Empty tables but for the tunnel, and a next hop that is known."""
    for key, _ in list(objects.maps["prefixes"].items()):
        objects.maps["prefixes"].delete(key)
    objects.maps["locals"].update(address(ANCHOR), bytes(4))
    objects.maps["xdp_ports"].update(struct.pack("=I", LOOPBACK), struct.pack("=I", LOOPBACK))
    configure(objects, flags=0)
    set_tunnel(objects, 1, ANCHOR, GATEWAY)
    for counter in range(len(COUNTERS)):
        made = objects.maps["counters"]
        made.update(struct.pack("=I", counter), bytes(made.stored_size))
    return objects


def configure(objects: Collection, flags: int, generation: int = 1, home: str = "::") -> None:
    """The programs' configuration."""
    entry = struct.pack("=IIII16s8x", generation, flags, 99, 0, address(home))
    objects.maps["configurations"].update(bytes(4), entry)


def set_tunnel(objects: Collection, number: int, local: str, remote: str, mtu: int = 1500) -> None:
    """A tunnel, and the next hop to its far end: interface 1 with known addresses."""
    objects.maps["tunnels"].update(struct.pack("=I", number), struct.pack("=16s16sI28x", address(local), address(remote), mtu))
    know_next_hop(objects, "tunnel_next_hops", number, remote)


def know_next_hop(objects: Collection, table: str, slot: int, target: str) -> None:
    """Put a next hop into a cache on all processors."""
    made = objects.maps[table]
    entry = struct.pack("=16sIIII6s6sI", address(target), 1, LOOPBACK, 1500, 1, b"\2\0\0\0\0\2", b"\2\0\0\0\0\1", 0)
    made.update(struct.pack("=I", slot), entry * (made.stored_size // 48))


def bind(objects: Collection, host: str, tunnel: int, access: int = 0) -> None:
    """Bind the /64 of a host."""
    objects.maps["prefixes"].update(address(host)[:8], struct.pack("=III", tunnel, 0, access))


def counters(objects: Collection) -> dict[str, int]:
    """The counters that are not 0."""
    found = {}
    for index, name in enumerate(COUNTERS):
        raw = objects.maps["counters"].lookup(struct.pack("=I", index)) or b""
        total = sum(struct.unpack(f"={len(raw) // 8}Q", raw))
        if total:
            found[name] = total
    return found


def ether(packet: Ip | bytes) -> bytes:
    """A frame around it."""
    return frame(packet.bytes() if isinstance(packet, Ip) else packet, b"\2\0\0\0\0\7", b"\2\0\0\0\0\6")


def outcome(program: Program, packet: Ip | bytes) -> tuple[int, bytes]:
    """Verdict and frame."""
    verdict, data, _ = program.test_run(ether(packet))
    return verdict, data


@pytest.mark.parametrize("name", ["anchor_network", "anchor_network_xdp"])
def test_encapsulation_byte_by_byte(maps: Collection, name: str) -> None:
    bind(maps, NODE, 1)
    sent = udp(OTHER, NODE, 30, traffic_class=0x5E, flow_label=0x12345, hop_limit=9)
    verdict, data = outcome(maps.program(name), sent)
    assert verdict == (XDP_REDIRECT if name.endswith("xdp") else REDIRECT)
    assert data[:14] == b"\2\0\0\0\0\2" + b"\2\0\0\0\0\1" + b"\x86\xdd"
    outer = parse(data[14:])
    assert (outer.source, outer.destination, outer.next_header) == (address(ANCHOR), address(GATEWAY), IPV6)
    assert (outer.traffic_class, outer.hop_limit, outer.announced) == (0x5E, 64, 78)
    assert outer.payload[:7] == sent.bytes()[:7]
    assert outer.payload[7] == 8
    assert outer.payload[8:] == sent.bytes()[8:]
    assert counters(maps) == {"encapsulated": 1}


def test_both_kinds_of_programs_give_a_flow_the_same_label(maps: Collection) -> None:
    bind(maps, NODE, 1)
    for port in range(50):
        sent = udp(OTHER, NODE, port=port)
        labels = [
            parse(outcome(maps.program(name), sent)[1][14:]).flow_label for name in ("anchor_network", "anchor_network_xdp")
        ]
        assert labels[0] == labels[1] != 0


@pytest.mark.parametrize("name", ["anchor_network", "anchor_network_xdp"])
@pytest.mark.parametrize("options", [False, True])
def test_decapsulation_byte_by_byte(maps: Collection, name: str, options: bool) -> None:
    bind(maps, NODE, 1)
    sent = udp(NODE, OTHER, 30, hop_limit=9, traffic_class=2)
    # where the programs look for the way to OTHER: fill the whole cache with it
    for slot in range(4096):
        know_next_hop(maps, "inner_next_hops", slot, OTHER)
    outer = tunnelled(sent, GATEWAY, ANCHOR, traffic_class=3)
    verdict, data = outcome(maps.program(name), with_options(outer) if options else outer)
    if options and name.endswith("xdp"):
        assert verdict == XDP_PASS
        return
    if options:
        outer = with_options(outer)
        verdict, data = outcome(maps.program(name), Ip(outer.source, outer.destination, 60, outer.payload, traffic_class=3))
    assert verdict == (XDP_REDIRECT if name.endswith("xdp") else REDIRECT)
    assert data[:14] == b"\2\0\0\0\0\2" + b"\2\0\0\0\0\1" + b"\x86\xdd"
    inner = parse(data[14:])
    assert (inner.hop_limit, inner.traffic_class) == (8, 3)
    assert data[14 + 8 :] == sent.bytes()[8:]


@pytest.mark.parametrize("length", range(14, 14 + 40 + 48 + 1))
@pytest.mark.parametrize(
    "name", ["anchor_network", "gateway_network", "gateway_access", "anchor_network_xdp", "gateway_network_xdp"]
)
def test_frames_cut_anywhere_are_never_forwarded(maps: Collection, name: str, length: int) -> None:
    bind(maps, NODE, 1, LOOPBACK)
    whole = ether(tunnelled(udp(NODE, OTHER, 0), GATEWAY, ANCHOR))
    if length < 54 and not name.endswith("xdp"):
        length = 54  # a test run of a tc program wants the header whole
    verdict, _, _ = maps.program(name).test_run(whole[:length])
    if length < len(whole):
        assert verdict in (CONTINUE, SHOT, XDP_PASS)
    assert "decapsulated" not in counters(maps) or length >= len(whole)


CASES: dict[str, tuple[Ip | bytes, int, dict[str, int]]] = {
    "unbound": (udp(OTHER, "2001:db8:100:9::1"), CONTINUE, {}),
    "not IPv6": (b"\x45" + bytes(60), CONTINUE, {}),
    "hop limit": (udp(OTHER, NODE, hop_limit=1), CONTINUE, {"passed_hop_limit": 1}),
    "too big": (udp(OTHER, NODE, 1461 - 48), CONTINUE, {"passed_too_big": 1}),
    "largest": (udp(OTHER, NODE, 1460 - 48), REDIRECT, {"encapsulated": 1}),
    "link-local source": (udp("fe80::1", NODE), CONTINUE, {}),
    "claims more": (Ip(address(OTHER), address(NODE), 17, bytes(20), announced=21), SHOT, {"dropped_malformed": 1}),
    "wrong outer source": (tunnelled(udp(NODE, OTHER), OTHER, ANCHOR), SHOT, {"dropped_wrong_outer_source": 1}),
    "unknown inner": (tunnelled(udp(OTHER, OTHER), GATEWAY, ANCHOR), SHOT, {"dropped_unknown_inner": 1}),
    "congestion": (
        tunnelled(udp(NODE, OTHER), GATEWAY, ANCHOR, traffic_class=3),
        SHOT,
        {"dropped_congestion_mark": 1},
    ),
    "inner is not IPv6": (Ip(address(GATEWAY), address(ANCHOR), IPV6, b"\x40" + bytes(60)), SHOT, {"dropped_malformed": 1}),
    "a tunnel that is not ours": (tunnelled(udp(NODE, OTHER), GATEWAY, OTHER), CONTINUE, {}),
    "a Mobility Header": (Ip(address(GATEWAY), address(ANCHOR), 135, bytes(8)), CONTINUE, {}),
    "options and no tunnel": (
        Ip(address(GATEWAY), address(ANCHOR), 60, bytes([17, 0, 1, 4, 0, 0, 0, 0]) + bytes(64)),
        CONTINUE,
        {},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_verdicts_at_the_anchor(maps: Collection, case: str) -> None:
    bind(maps, NODE, 1)
    packet, verdict, counted = CASES[case]
    assert outcome(maps.program("anchor_network"), packet)[0] == verdict
    assert counters(maps) == counted


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_plain_goes_through_xdp_untouched(maps: Collection, case: str) -> None:
    bind(maps, NODE, 1)
    packet, verdict, _ = CASES[case]
    got, data = outcome(maps.program("anchor_network_xdp"), packet)
    if verdict == REDIRECT:
        assert got == XDP_REDIRECT
    else:
        assert got == XDP_PASS
        assert data == ether(packet)
        assert counters(maps) == {}


def test_bound_to_nothing(maps: Collection) -> None:
    bind(maps, NODE, 0)
    for program, packet in (
        ("anchor_network", udp(OTHER, NODE)),
        ("anchor_network", tunnelled(udp(NODE, OTHER), GATEWAY, ANCHOR)),
        ("gateway_network", tunnelled(udp(OTHER, NODE), GATEWAY, ANCHOR)),
    ):
        assert outcome(maps.program(program), packet)[0] == SHOT
    assert counters(maps) == {"dropped_bound_to_nothing": 3}


def test_a_stale_next_hop_is_not_used(maps: Collection) -> None:
    bind(maps, NODE, 1)
    configure(maps, flags=0, generation=2)
    verdict, data = outcome(maps.program("anchor_network"), udp(OTHER, NODE))
    assert verdict == CONTINUE, "there is no route here, so the stack is asked"
    assert parse(data[14:]).destination == address(GATEWAY)
    assert outcome(maps.program("anchor_network_xdp"), udp(OTHER, NODE))[0] == XDP_PASS


def test_the_gateway_lets_a_node_use_nothing_but_its_prefix(maps: Collection) -> None:
    access = maps.program("gateway_access")
    packet = udp(NODE, OTHER)
    assert outcome(access, packet)[0] == SHOT
    bind(maps, NODE, 1, LOOPBACK + 1)
    assert outcome(access, packet)[0] == SHOT
    assert counters(maps) == {"dropped_wrong_inner_source": 2}
    for free in (udp(NODE, "fe80::1"), udp("::", "ff02::1"), udp("fe80::1", "ff02::2")):
        assert outcome(access, free)[0] == CONTINUE


def test_the_loader_names_what_the_verifier_says(objects: Collection) -> None:
    from halma.forwarding.bpf import ProgramType  # noqa: PLC0415

    with pytest.raises(OSError, match="program wrong"):
        Program("wrong", ProgramType.XDP, struct.pack("=BBhi", 0x95, 0, 0, 0), b"GPL")
    assert set(objects.maps) >= {"prefixes", "tunnels", "locals", "configurations", "counters"}


def test_a_file_that_is_no_object_is_refused(tmp_path: object) -> None:
    from pathlib import Path  # noqa: PLC0415

    path = Path(str(tmp_path)) / "not.o"
    path.write_bytes(b"\x7fELF\x02\x01" + bytes(80))
    with pytest.raises(ValueError, match="not a BPF object"):
        ObjectFile(path)
