# SPDX-License-Identifier: Apache-2.0
"""How long a host hears nothing when it moves: many handovers in a lab, measured on the wire.

One host goes to and fro between two gateways, with real daemons, while probes run both ways every millisecond. The gap of a
handover is the time from link-up to the first packet over the new link, in the slower of the two directions. The reference
in the same run is a plain router of the kernel whose link to a host goes and comes, with nothing to register: what Neighbor
Discovery and the kernel cost by themselves.

In a second lab a Mobile IPv6 node leaves its Proxy Mobile IPv6 home for an access router, and comes home to the other gateway,
again and again: the moves of the scenarios `a2-leave` and `a2-return`.

Always holds: every number comes from captures and from the kernels of the hosts; handovers without a packet after them are
counted in `failed`, not left out.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from ipaddress import IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path
from typing import Annotated, Any

import typer

from halma.lab.evidence import Evidence
from halma.lab.moves import first_packet_ms, handovers, windows
from halma.lab.processes import LabError
from halma.lab.scenario import IDEAL
from halma.lab.scenarios import domain, roaming
from halma.lab.session import Lab, interruptible
from halma.lab.topology import AccessLink, End, Kind, Link, Node, Route, Topology, Zone
from halma.lab.traffic import both_ways
from halma.lab.verdict import Handover

_HOST, _STILL = "h1", "p1"
_ROUTER = "plain"
_GATEWAYS = 2
_DOWN, _UP = 1, 2
_REFERENCE_DOWN, _REFERENCE_UP = 3, 4
_PREFIX = IPv6Network("2001:db8:99::/64")
_STILL_ADDRESS = IPv6Address("2001:db8:99::1")
LEAVE, RETURN = "a2-leave", "a2-return"
_SHORTEST_STAY = 0.75
"""Seconds that a node stays anywhere: it sends no more than three Binding Updates within a second (RFC 6275 section 12)."""


def _topology() -> Topology:
    """The domain with one host, and beside it a plain router with another."""
    made = domain.proxy_domain(1, IDEAL, _GATEWAYS)
    core = IPv6Address("2001:db8:15::ff")
    plain = Node(_ROUTER, Kind.ROUTER, "plain router", (2, 3), (Route(IPv6Network("::/0"), core),))
    link = Link(
        "core-plain",
        End("core", "plainx", (IPv6Interface(f"{core}/64"),)),
        End(_ROUTER, "core0", (IPv6Interface("2001:db8:15::1/64"),)),
        Zone.OUTSIDE,
    )
    routes = {
        "core": (Route(_PREFIX, IPv6Address("2001:db8:15::1")), Route(IPv6Network("2001:db8:cc::/64"), domain.ANCHOR_ADDRESS)),
        "lma": (Route(_PREFIX, IPv6Address("2001:db8:1::ff")),),
    }
    nodes = tuple(
        Node(node.name, node.kind, node.title, node.place, node.routes + routes.get(node.name, ())) for node in made.nodes
    )
    access = AccessLink("access-p1", _STILL, "02:00:00:00:02:01", "pp1")
    still = Node(_STILL, Kind.HOST, "plain host", (2, 4))
    return Topology((*nodes, plain, still), (*made.links, link), (*made.access, access), made.home_prefixes)


def _raise_plain_link(lab: Lab) -> None:
    """Bring the plain router's end up, with its route to the host."""
    near = (
        f"link set pp1 up; ip address replace {domain.ROUTER_LINK_LOCAL}/64 dev pp1 nodad; ip route replace {_PREFIX} dev pp1"
    )
    lab.command(_ROUTER, "sh", "-c", f"ip {near}")


def _attach_plain(lab: Lab) -> None:
    lab.command(_STILL, "ip", "address", "add", f"{_STILL_ADDRESS}/64", "dev", "eth0", "nodad")
    lab.move(_STILL, _ROUTER)
    lab.command(_ROUTER, "ip", "link", "set", "pp1", "addrgenmode", "none")
    _raise_plain_link(lab)
    lab.address(_STILL)
    lab.command(_STILL, "ip", "route", "add", "default", "via", str(domain.ROUTER_LINK_LOCAL), "dev", "eth0")


def run(
    count: Annotated[int, typer.Option(help="How many handovers.", min=1)] = 200,
    pause_ms: Annotated[int, typer.Option(help="Milliseconds from one link-up to the next.", min=50)] = 150,
    roams: Annotated[int, typer.Option(help="How often a Mobile IPv6 node leaves its home and returns.", min=0)] = 40,
) -> dict[str, Any]:
    """Measure. Raises RuntimeError when the lab cannot be built.

    The figures of the handovers stand by themselves, those of the Mobile IPv6 node's moves under `roaming`, by the scenario
    that they are of.
    """
    try:
        with interruptible():
            with tempfile.TemporaryDirectory(prefix="halma-bench-") as records:
                result = _measure(Path(records), count, pause_ms / 1000)
            with tempfile.TemporaryDirectory(prefix="halma-bench-") as records:
                return result | {"roaming": _roam(Path(records), roams, pause_ms / 1000) if roams else {}}
    except LabError as error:
        raise RuntimeError(str(error)) from error


def _measure(records: Path, count: int, pause: float) -> dict[str, Any]:
    with Lab(_topology(), records) as lab:
        lab.start(domain.domain_daemons(1, _GATEWAYS))
        lab.move(_HOST, "mag1")
        lab.address(_HOST)
        _attach_plain(lab)
        lab.talk(*both_ways(_DOWN, "cn", _HOST), *both_ways(_REFERENCE_DOWN, "cn", _STILL))
        lab.wait(0.5)
        for number in range(count):
            lab.move(_HOST, "mag2" if number % 2 == 0 else "mag1")
            lab.wait_for_link(_HOST)
            lab.wait(pause)
        for _ in range(min(count, 50)):
            lab.journal["movements"].append({"time": time.time(), "host": _STILL, "from": _ROUTER, "to": _ROUTER})
            lab.command(_ROUTER, "ip", "link", "set", "pp1", "down")
            _raise_plain_link(lab)
            lab.wait_for_link(_STILL)
            lab.wait(pause)
        lab.stop()
        return _result(Evidence(lab.topology, lab.records), count)


def _roam(records: Path, count: int, pause: float) -> dict[str, Any]:
    """Leave and return so many times, and half a time before that to be warm."""
    with Lab(roaming.peopled(roaming.roaming_domain(IDEAL), {1: roaming.home_address()}), records) as lab:
        lab.start(roaming.daemons())
        lab.move(roaming.NODE, "mag1")
        lab.wait_for_link(roaming.NODE)
        lab.wait(1.5)
        lab.talk(*both_ways(_DOWN, "cn", roaming.NODE))
        lab.wait(0.5)
        for number in range(count):
            for place in (roaming.ROUTER, "mag2" if number % 2 == 0 else "mag1"):
                lab.move(roaming.NODE, place)
                lab.wait_for_link(roaming.NODE)
                lab.wait(max(pause, _SHORTEST_STAY))
        lab.stop()
        moves = handovers(Evidence(lab.topology, lab.records), roaming.NODE)
    return {
        LEAVE: _gaps([move for move in moves if move.target == roaming.ROUTER], count),
        RETURN: _gaps([move for move in moves if move.target != roaming.ROUTER], count),
    }


def _result(evidence: Evidence, count: int) -> dict[str, Any]:
    found = _gaps(handovers(evidence, _HOST), count)
    reference = []
    for window in windows(evidence, _STILL)[1:]:
        down = first_packet_ms(evidence, [_REFERENCE_DOWN], window, _STILL)
        up = first_packet_ms(evidence, [_REFERENCE_UP], window, _STILL)
        if down is not None and up is not None:
            reference.append(max(down, up))
    compared = _distribution(reference)
    ours, theirs = found["gap_ms"]["median"], compared["median"]
    return found | {"reference_gap_ms": compared, "ratio": round(ours / theirs, 2) if ours and theirs else None}


def _gaps(moves: list[Handover], count: int) -> dict[str, Any]:
    """The figures of moves of one kind, of which there should be `count`."""
    gaps = [
        max(move.gap_down_ms, move.gap_up_ms) for move in moves if move.gap_down_ms is not None and move.gap_up_ms is not None
    ]
    return {
        "handovers": count,
        "failed": count - len(gaps),
        "gap_ms": _distribution(gaps),
        "gap_down_ms": _distribution([move.gap_down_ms for move in moves if move.gap_down_ms is not None]),
        "gap_up_ms": _distribution([move.gap_up_ms for move in moves if move.gap_up_ms is not None]),
        "signalling_ms": _distribution([move.signalling_ms for move in moves if move.signalling_ms is not None]),
        "away_ms": _distribution([(move.link_up - move.moved) * 1000 for move in moves if move.link_up is not None]),
        "lost": sum(move.lost_down + move.lost_up for move in moves),
    }


def _distribution(values: list[float]) -> dict[str, float | None]:
    """Median, 99th percentile and maximum, in milliseconds."""
    if not values:
        return {"median": None, "p99": None, "max": None}
    ordered = sorted(values)
    return {
        "median": round(statistics.median(ordered), 3),
        "p99": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 3),
        "max": round(ordered[-1], 3),
    }


_ROWS = (
    ("gap_ms", "gap from link-up, slower direction"),
    ("gap_down_ms", "  down to the host"),
    ("gap_up_ms", "  up from the host"),
    ("signalling_ms", "last update to its acknowledgement"),
    ("away_ms", "link away before that"),
    ("reference_gap_ms", "reference: plain router's link"),
)


def render(result: dict[str, Any]) -> str:
    """The result for people."""
    lines = [f"{'milliseconds':34} {'median':>9} {'p99':>9} {'max':>9}"]
    for name, found in (("between gateways", result), *result["roaming"].items()):
        lines += ["", f"{name}: {found['handovers']} handovers, {found['failed']} without a packet after them"]
        for key, words in _ROWS:
            if key in found:
                cells = [f"{number:9.2f}" if number is not None else f"{'-':>9}" for number in found[key].values()]
                lines.append(f"{words:34} {' '.join(cells)}")
        ratio = f"ratio of the medians {found['ratio']}; " if "ratio" in found else ""
        lines.append(f"{ratio}{found['lost']} probes lost while links were away and in the gaps")
    return "\n".join(lines)
