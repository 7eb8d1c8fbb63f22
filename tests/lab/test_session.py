# SPDX-License-Identifier: Apache-2.0
"""Labs are built, played in, captured and gone again, whatever ends them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from ipaddress import IPv6Address
from pathlib import Path

import pytest

from halma.forwarding.bpf import AttachType, Link, Program, ProgramType, hooked, lift_memory_limit
from halma.forwarding.hooks import probe_tcx
from halma.lab import judge, judge_traffic
from halma.lab.capture import Captures
from halma.lab.daemons import Daemon, Table, to_toml
from halma.lab.evidence import Evidence
from halma.lab.moves import handovers
from halma.lab.network import RUN, Network, alive, inode, labs, namespaces, processes_in, remove_remains
from halma.lab.processes import LabError, inside, run
from halma.lab.recording import read
from halma.lab.session import Lab
from halma.lab.traffic import Conversation, Datagrams, both_ways, paced, plans
from tests.lab.networks import HOST, LEFT, RIGHT, pair, place, prepare, roaming

root = pytest.mark.root


def left_of(identity: str) -> list[str]:
    """What is there of a lab."""
    names = [name for name in namespaces() if f"-{identity}-" in name]
    return names + ([str(RUN / identity)] if (RUN / identity).exists() else [])


@root
def test_a_network_is_built_and_gone(tmp_path: Path) -> None:
    with Lab(pair(), tmp_path) as lab:
        identity = lab.network.identity
        assert alive(identity)
        assert len(left_of(identity)) == 4  # two nodes, the air, the directory
        assert "1 received" in lab.command("left", "ping", "-c1", "-W5", str(RIGHT))
        assert lab.address("left") == LEFT
        inodes = set(lab.network.inodes)
    assert lab.remains == []
    assert left_of(identity) == []
    assert processes_in(inodes) == []
    assert not alive(identity)


@root
def test_no_other_namespace_is_taken_for_one_of_a_lab_that_has_gone(namespace: Callable[[str], str]) -> None:
    """The kernel uses the numbers of namespaces again, for another lab's as well."""
    network = Network(pair())
    network.claim()
    network.build_nodes()
    network.close()
    others = set()
    for number in range(10):
        others.add(inode(namespace(f"other{number}")))
        time.sleep(0.05)  # the kernel takes namespaces down when it comes to it
    network.release()
    assert len(others) == 10
    assert not others & network.inodes


@root
def test_interface_indices_differ_in_the_whole_lab(tmp_path: Path) -> None:
    """Or the kernel would report carriers late, see `halma.lab.network`."""
    with Lab(roaming(), tmp_path) as lab:
        found: list[str] = []
        for name in lab.network.all_namespaces():
            for line in run("ip", "-n", name, "-o", "link").splitlines():
                index, interface = line.split(":")[:2]
                if interface.strip() != "lo" and int(index) >= 100:
                    found.append(index)
        assert len(found) == 2 * len(lab.topology.links) + 2
        assert len(set(found)) == len(found)


@root
def test_a_hosts_link_really_moves_and_traffic_follows(tmp_path: Path) -> None:
    with Lab(roaming(), tmp_path) as lab:
        lab.start()
        prepare(lab)
        lab.step("at the first router")
        place(lab, 1)
        lab.talk(*both_ways(1, "cn", "h1", 2.0), Conversation(3, "h1", "cn"))
        lab.wait(0.5)
        lab.step("to the second")
        place(lab, 2)
        lab.wait(0.8)
        lab.stop()
        evidence = Evidence(lab.topology, tmp_path)
    assert lab.remains == []
    [handover] = handovers(evidence, "h1")
    assert (handover.source, handover.target) == ("r1", "r2")
    assert handover.gap_down_ms is not None
    assert handover.gap_up_ms is not None
    assert handover.link_down is not None
    assert handover.link_up is not None
    assert handover.moved < handover.link_down < handover.link_up
    assert [up for _, up in evidence.carrier("h1")] == [True, False, True]
    for check in (
        judge.captures_complete(evidence),
        judge_traffic.sockets_agree(evidence),
        judge_traffic.connection_lives(evidence, 3, "GW-3"),
        judge_traffic.stray_losses(evidence, 1, allowed=0, requirement="ANC-2"),
        judge_traffic.stray_losses(evidence, 2, allowed=0, requirement="ANC-2"),
        judge.host_silent(evidence, "h1"),
    ):
        assert check.passed, check
    assert evidence.journal["addresses"]["h1"] == str(HOST)
    assert {path.stem for path in (tmp_path / "captures").iterdir()} == {"outside", "core-r1", "core-r2", "access-h1"}


@root
def test_a_link_stays_in_the_air_until_its_old_gateway_has_let_go(tmp_path: Path) -> None:
    """A program hooked in by TCX would go along and work at the new gateway."""
    with Lab(roaming(), tmp_path) as lab:
        place(lab, 1)
        lift_memory_limit()
        program = Program("pass", ProgramType.CLASSIFIER, bytes.fromhex("b700000000000000 9500000000000000"), b"GPL")
        with inside(lab.network.namespace("r1")):
            index = socket.if_nametoindex("ap1")
            if not probe_tcx(program, index):
                pytest.skip("this kernel has no TCX (Linux 6.6)")
            hook = Link(program, index, AttachType.TCX_INGRESS)
            assert hooked(index, AttachType.TCX_INGRESS) == 1
        with pytest.raises(LabError, match="r1 does not let go of the link of h1"):
            lab.network.move("h1", "r2", patience=0.2)
        assert lab.network.attached == {}
        hook.close()
        lab.move("h1", "r2")
        assert "06:00:00:00:01:01" in lab.command("r2", "ip", "link", "show", "ap1"), "it is no interface of r1 any more"
        with inside(lab.network.namespace("r2")):
            assert hooked(socket.if_nametoindex("ap1"), AttachType.TCX_INGRESS) == 0
        program.close()


@root
def test_captures_without_dumpcap(tmp_path: Path) -> None:
    with Network(pair()) as network:
        network.claim()
        network.build_nodes()
        network.build_links()
        network.configure()
        captures = Captures(network, tmp_path, tmp_path, own=True)
        captures.start()
        run("ip", "netns", "exec", network.namespace("left"), "ping", "-c3", "-i0.01", str(RIGHT))
        captures.stop()
    recording = read(tmp_path / "wire.pcapng")
    echoes = [frame for frame in recording.frames if frame.data[54:55] in {b"\x80", b"\x81"}]
    assert len(echoes) == 6
    assert recording.missed == 0
    times = [frame.time for frame in recording.frames]
    assert times == sorted(times)
    assert abs(times[-1] / 1e9 - time.time()) < 60


@root
def test_what_cannot_be_built_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "captures").write_text("not a directory")
    lab = Lab(pair(), tmp_path)
    with pytest.raises(FileExistsError), lab:
        pass
    assert left_of(lab.network.identity) == []


@root
def test_a_daemon_that_does_not_start_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="halma anchor on left has ended"), Lab(pair(), tmp_path) as lab:
        lab.start([Daemon("left", "anchor", {"anchor": {"nonsense": True}})])
    assert left_of(lab.network.identity) == []
    assert "nonsense = true" in (tmp_path / "config" / "left.toml").read_text()


SLEEPER = """
import sys
sys.path[:0] = {paths!r}
from halma.lab.session import Lab, interruptible
from tests.lab.networks import pair
with interruptible(), Lab(pair()) as lab:
    lab.start()
    print(lab.network.identity, flush=True)
    lab.wait(60)
"""


def sleeper() -> tuple[subprocess.Popen[str], str]:
    """A process with a lab that is up, and the lab's identity."""
    here = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPER.format(paths=[here])], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


@root
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_lab_and_leaves_nothing(number: signal.Signals) -> None:
    process, identity = sleeper()
    assert len(left_of(identity)) == 4
    process.send_signal(number)
    process.send_signal(signal.SIGINT)  # an impatient person
    _, said = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in said
    assert left_of(identity) == []


@root
def test_what_a_killed_lab_leaves_is_found_and_removed() -> None:
    process, identity = sleeper()
    assert labs()[identity]
    with pytest.raises(LabError, match="is alive"):
        remove_remains(identity)
    process.kill()
    process.communicate()
    assert not labs()[identity]
    assert len(left_of(identity)) == 4
    removed = remove_remains(identity)
    assert f"namespace halma-{identity}-left" in removed
    assert left_of(identity) == []
    assert identity not in labs()


@root
def test_processes_of_a_killed_lab_die_with_it() -> None:
    process, identity = sleeper()
    inodes = {os.stat(f"/run/netns/halma-{identity}-{node}").st_ino for node in ("left", "right")}
    assert processes_in(inodes)  # its listeners
    process.kill()
    process.communicate()
    limit = time.monotonic() + 10
    while processes_in(inodes) and time.monotonic() < limit:
        time.sleep(0.01)
    assert processes_in(inodes) == []
    remove_remains(identity)


def test_toml() -> None:
    tables: Table = {
        "anchor": {"addresses": ["2001:db8::1"], "path_mtu": 1500, "name": 'a "quoted" \\ ä', "heartbeat": {"enabled": False}},
        "peer": [{"address": "::1"}, {"address": "::2", "nodes": ["*"]}],
    }
    assert tomllib.loads(to_toml(tables)) == tables


def test_plans_of_traffic() -> None:
    made = plans([*both_ways(1, "cn", "h1"), Conversation(3, "h1", "cn")], {"cn": LEFT, "h1": HOST})
    assert made["cn"]["send"] == [{"stream": 1, "interval_us": 1000, "size": 64, "destination": str(HOST)}]
    assert made["cn"]["receive"] == [{"stream": 2, "group": ""}]
    assert made["h1"]["receive"] == [{"stream": 1, "group": ""}]
    assert made["h1"]["connect"][0]["destination"] == str(LEFT)
    assert made["cn"]["accept"][0]["stream"] == 3


def test_plans_of_traffic_to_a_group() -> None:
    group = IPv6Address("ff0e::1")
    made = plans([Datagrams(1, "cn", "h1", group=group)], {"cn": LEFT, "h1": HOST})
    assert made["cn"]["send"][0]["destination"] == "ff0e::1"
    assert made["h1"]["receive"] == [{"stream": 1, "group": "ff0e::1"}]


def test_a_pace_slows_what_is_faster_and_nothing_else() -> None:
    assert paced(Conversation(3, "h1", "cn"), 10.0) == Conversation(3, "h1", "cn", 20.0)
    assert [paced(stream, 10.0).interval_ms for stream in both_ways(1, "cn", "h1")] == [10.0, 10.0]
