# SPDX-License-Identifier: Apache-2.0
"""The scenario `pmip-handover`, played with the real daemons, and judged a second time by tshark.

Always holds: the scenario is played once for all tests of this module.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections import Counter
from ipaddress import IPv6Address

import pytest

from halma.lab.caches import read, stages
from halma.lab.evidence import Evidence
from halma.lab.network import labs
from halma.lab.scenario import judge, run
from halma.lab.scenarios import domain, play
from halma.lab.verdict import Verdict
from halma.wire.messages import BindingAcknowledgement, BindingUpdate

pytestmark = pytest.mark.root

REQUIREMENTS = {"ANC-2", "ANC-3", "ANC-4", "ANC-6", "ANC-8", "GW-1", "GW-2", "GW-3", "GW-4"}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Verdict, Evidence]:
    """The verdict and the evidence of one run."""
    return run(play("pmip-handover"), tmp_path_factory.mktemp("pmip-handover"))


@pytest.mark.requirement("ANC-2", "ANC-3", "ANC-4", "ANC-6", "ANC-8", "GW-1", "GW-2", "GW-3", "GW-4")
def test_a_plain_host_is_moved_and_everything_is_seen_that_must_be(played: tuple[Verdict, Evidence]) -> None:
    verdict, _ = played
    assert [(check.requirement, check.name, check.detail) for check in verdict.checks if not check.passed] == []
    assert {check.requirement for check in verdict.checks} >= REQUIREMENTS
    assert [(move.source, move.target) for move in verdict.handovers] == [("mag1", "mag2"), ("mag2", "mag1")]


def test_the_judge_says_the_same_again(played: tuple[Verdict, Evidence]) -> None:
    verdict, evidence = played
    one = play("pmip-handover")
    assert judge(one, Evidence(evidence.topology, evidence.records)) == verdict


def fields(evidence: Evidence, point: str, *names: str) -> list[list[list[str]]]:
    """What tshark finds in each frame of a capture: all values of each of the named fields."""
    command = ["tshark", "-r", str(evidence.records / "captures" / f"{point}.pcapng"), "-T", "fields", "-E", "separator=;"]
    for name in names:
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [[value.split(",") if value else [] for value in line.split(";")] for line in done.stdout.splitlines()]


@pytest.mark.needs("tshark")
def test_tshark_sees_the_same_messages(played: tuple[Verdict, Evidence]) -> None:
    _, evidence = played
    by_tshark: Counter[tuple[str | int, ...]] = Counter()
    names = ("mip6.mhtype", "mip6.bu.seqnr", "mip6.bu.lifetime", "mip6.ba.seqnr", "mip6.ba.status", "mip6.ba.lifetime")
    for kind, *rest in fields(evidence, "core-lma", "ipv6.src", *names):
        values = [one[0] if one else "" for one in rest]
        if values[0] in {"5", "6"}:
            by_tshark[kind[0], *(int(one) for one in values if one)] += 1
    by_us: Counter[tuple[str | int, ...]] = Counter()
    for signal in evidence.signals:
        source = str(domain.ANCHOR_ADDRESS) if signal.source == "lma" else str(evidence.topology.address(signal.source))
        message = signal.message
        if isinstance(message, BindingUpdate):
            by_us[source, 5, message.sequence, message.lifetime] += 1
        elif isinstance(message, BindingAcknowledgement):
            by_us[source, 6, message.sequence, message.status, message.lifetime] += 1
    assert by_tshark == by_us
    assert by_us.total() >= 12


@pytest.mark.needs("tshark")
def test_tshark_sees_the_same_tunnels(played: tuple[Verdict, Evidence]) -> None:
    _, evidence = played
    by_tshark: Counter[tuple[str, str, int]] = Counter()
    for sources, destinations, ports in fields(evidence, "core-lma", "ipv6.src", "ipv6.dst", "udp.dstport"):
        if ports and len(sources) == 2:
            by_tshark[sources[0], destinations[0], int(ports[0]) - 20000] += 1
    by_us: Counter[tuple[str, str, int]] = Counter()
    for sighting in evidence.at("core-lma"):
        if sighting.probe is not None and not sighting.bare:
            ends = [str(IPv6Address(address)) for address in (sighting.outer.source, sighting.outer.destination)]
            by_us[ends[0], ends[1], sighting.probe.stream] += 1
    assert by_tshark == by_us
    assert by_us.total() > 2000


@pytest.mark.needs("tshark")
def test_tshark_sees_no_leak_either(played: tuple[Verdict, Evidence]) -> None:
    _, evidence = played
    frames = 0
    for point in ("core-lma", "core-mag1", "core-mag2", "core-mag3"):
        for sources, destinations in fields(evidence, point, "ipv6.src", "ipv6.dst"):
            frames += 1
            assert not any(one[0].startswith("2001:db8:100:") for one in (sources, destinations) if one)
    assert frames > 2000


@pytest.mark.needs("tshark")
def test_tshark_finds_nothing_wrong_in_the_signalling(played: tuple[Verdict, Evidence]) -> None:
    _, evidence = played
    told = fields(evidence, "core-lma", "mip6.mhtype", "_ws.malformed", "_ws.expert.severity")
    wrong = [(malformed, severity) for kind, malformed, severity in told if kind and (malformed or severity)]
    assert wrong == []


def halma(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "halma", "lab", *arguments], capture_output=True, text=True, check=False, timeout=300
    )


def test_json_of_the_command(played: tuple[Verdict, Evidence]) -> None:
    verdict, evidence = played
    done = halma("judge", str(evidence.records), "--json")
    told = json.loads(done.stdout)
    assert done.returncode == (0 if verdict.passed else 1)
    [scenario] = told["scenarios"]
    assert set(scenario) == {"name", "passed", "checks", "handovers"}
    assert set(scenario["checks"][0]) == {"requirement", "name", "passed", "detail"}
    wanted = {"from", "to", "gap_down_ms", "gap_up_ms", "lost_down", "lost_up", "signalling_ms"}
    assert wanted <= set(scenario["handovers"][0])
    page = (evidence.records / "report.html").read_text()
    assert page.count("<svg") >= 7


def test_the_anchors_cache_is_recorded_before_and_after_each_step(played: tuple[Verdict, Evidence]) -> None:
    _, evidence = played
    looks, steps = read(evidence.records), evidence.journal["steps"]
    told = []
    for step, following in itertools.pairwise(steps):
        seen = stages(looks, "lma", step["time"], following["time"])
        assert not any(look.fault or look.home for look in seen)
        ends = [{entry.node: evidence.owner(IPv6Address(entry.target).packed) for entry in look.proxy} for look in seen]
        told.append((step["name"], ends[0].get("host1@example.org"), ends[-1].get("host1@example.org")))
    assert told == [
        ("the hosts attach", None, "mag1"),
        ("everybody talks", "mag1", "mag1"),
        ("h1 moves from mag1 to mag2", "mag1", "mag2"),
        ("h1 moves from mag2 to mag1", "mag2", "mag1"),
        ("forged packets", "mag1", "mag1"),
    ]


def test_a_lab_to_play_in() -> None:
    up = halma("up", "pmip-handover")
    assert up.returncode == 0, up.stderr
    identity = up.stdout.split()[1]
    try:
        assert "0% packet loss" in halma("exec", "--lab", identity, "h1", "ping", "-c1", "-W5", "2001:db8:cc::2").stdout
        assert halma("move", "--lab", identity, "h1", "mag3").returncode == 0
        said = halma("exec", "--lab", identity, "h1", "ping", "-c20", "-i0.1", "-W5", "2001:db8:cc::2").stdout
        assert "20 packets transmitted" in said
        assert " 0 received" not in said
        assert identity in halma("list").stdout
        assert halma("exec", "--lab", identity, "nobody", "true").returncode == 1
    finally:
        down = halma("down", "--lab", identity)
    assert f"lab {identity} is down" in down.stdout
    assert identity not in labs()
