# SPDX-License-Identifier: Apache-2.0
"""The report of a run: one HTML file with everything in it, made from the records.

Its middle is the timeline, step by step: the network and the ways of packets in it, what was said, and the anchors' binding
caches before and after.

Always holds: the file refers to nothing outside itself and has no script; it is readable on a narrow screen and on paper: each
wide picture is in it twice, for a narrow screen and for any other.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from html import escape
from pathlib import Path

from halma.lab import cache_page, caches, ladder_picture, ladder_text, topology_picture, traffic_picture, way_picture
from halma.lab.evidence import Evidence
from halma.lab.ladder import Ladder, ladders
from halma.lab.scenario import Play
from halma.lab.topology import Kind
from halma.lab.verdict import Check, Handover, Verdict

_WIDE, _NARROW = 1060.0, 356.0
"""How wide pictures are on a desk and on paper, and on a telephone."""
_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1080px; padding: 1rem; color: #1d2733; background: #fff;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; margin: .2rem 0; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; border-bottom: 2px solid #d5dce4; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p { max-width: 46rem; } .faint { color: #5b6875; }
.verdict { display: inline-block; padding: .15rem .7rem; border-radius: 1rem; font-weight: 600; color: #fff; }
.yes { background: #2e7d32; } .no { background: #c62828; }
.picture { overflow-x: auto; border: 1px solid #e3e8ee; border-radius: 6px; margin: .4rem 0; padding: .3rem; }
.picture svg { display: block; max-width: 100%; height: auto; margin: 0 auto; } .narrow { display: none; }
h4 { font-size: .95rem; margin: .8rem 0 .2rem; } section { margin-top: 1.6rem; }
.contents { padding-left: 1.4rem; } a { color: #1f4e9c; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .25rem .5rem; vertical-align: top;
  border-bottom: 1px solid #e3e8ee; } th { font-weight: 600; white-space: nowrap; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th.number { text-align: right; } td.rule { white-space: nowrap; }
td.mark { font-weight: 700; white-space: nowrap; } td.mark.yes { background: none; color: #2e7d32; }
td.mark.no { background: none; color: #c62828; } td.detail { overflow-wrap: anywhere; color: #5b6875; }
.scroll { overflow-x: auto; }
pre { overflow-x: auto; background: #f6f8fa; border: 1px solid #e3e8ee; border-radius: 6px; padding: .6rem; font-size: 12px;
  line-height: 1.35; }
details { margin: .4rem 0; } summary { cursor: pointer; font-weight: 600; }
@media screen and (max-width: 640px) { .wide { display: none; } .narrow { display: block; }
  body { padding: .6rem; font-size: 14px; }
  .scroll th { white-space: normal; } .scroll th, .scroll td { padding: .2rem .15rem; font-size: 11.5px; }
  table.checks tr { display: grid; grid-template-columns: 1.6rem 3.8rem minmax(0, 1fr); border-bottom: 1px solid #e3e8ee; }
  table.checks th, table.checks td { border: 0; padding: .15rem .2rem; } table.checks th:last-child { display: none; }
  table.checks td.detail { grid-column: 3; } table.checks td.mark.no { white-space: normal; font-size: .75em; } }
@media print { body { max-width: none; font-size: 11px; } .picture { break-inside: avoid; border: 0; }
  .wide svg { max-height: 235mm; } .network svg { max-height: 70mm; }
  details:not([open]) { display: none; }
  tr, .scroll { break-inside: avoid; } h2, h3 { break-after: avoid; } }
"""


def write(play: Play, verdict: Verdict, evidence: Evidence, target: Path) -> None:
    """Write the report of a run to a file. Raises OSError."""
    target.write_text(_page(play, verdict, evidence), encoding="utf-8")


def write_pictures(play: Play, evidence: Evidence, directory: Path) -> None:
    """Write each ladder as SVG and as text, beside the report. Raises OSError."""
    directory.mkdir(exist_ok=True)
    for host in play.scenario.watched():
        made = ladders(evidence, host)
        for number, ladder in enumerate(made, 1):
            (directory / f"ladder-{host}-{number}.svg").write_text(ladder_picture.draw(ladder, _WIDE), encoding="utf-8")
        (directory / f"ladder-{host}.txt").write_text("\n".join(ladder_text.draw(ladder) for ladder in made))
    (directory / "traffic.svg").write_text(traffic_picture.draw(evidence, _WIDE), encoding="utf-8")


def _page(play: Play, verdict: Verdict, evidence: Evidence) -> str:
    began = datetime.fromtimestamp(evidence.journal["began"], UTC)
    mark = '<span class="verdict yes">passed</span>' if verdict.passed else '<span class="verdict no">failed</span>'
    passed = sum(check.passed for check in verdict.checks)
    steps = _steps(play, evidence)
    parts = [
        f"<h1>{escape(play.name)} {mark}</h1>",
        f"<p><strong>{escape(play.scenario.title)}</strong></p><p>{escape(play.scenario.story)}</p>",
        f'<p class="faint">{passed} of {len(verdict.checks)} checks passed; {escape(str(play.conditions))}; '
        f"{began:%Y-%m-%d %H:%M:%S} UTC; Linux {escape(platform.release())}. Everything here was read from captures on every "
        "link, from the kernels of the hosts and from the two ends of the traffic; the binding caches alone are what the "
        "anchors said of themselves, and no verdict rests on them.</p>",
        f'<ol class="contents">{"".join(line for line, _ in steps)}</ol>',
        "<h2>Network</h2>",
        _pictures(
            partial(topology_picture.draw, evidence.topology, evidence.journal["movements"], evidence.journal["addresses"]),
            "network",
        ),
        "<h2>Step by step</h2>",
        '<p class="faint">A thin line is the way of a bare packet, a pipe around it is a tunnel: the last packet of the step, '
        "in each direction. Times in a ladder count from the beginning of its step.</p>",
        *(section for _, section in steps),
        "<h2>Handovers</h2>",
        _handovers(verdict.handovers),
        *(
            f"<h3>{escape(handover.host)}: {escape(handover.source)} to {escape(handover.target)}, packet by packet</h3>"
            + _pictures(partial(traffic_picture.draw_handover, evidence, handover))
            for handover in verdict.handovers
        ),
        "<h2>Traffic</h2>",
        '<p class="faint">Each stripe is a stream of numbered packets, in the colour of the tunnel that they were captured in; '
        "red is a packet that did not arrive, and white is time in which nothing was sent.</p>",
        _pictures(partial(traffic_picture.draw, evidence)),
        "<h2>Verdicts</h2>",
        _checks(verdict.checks),
        "<h2>Records</h2>",
        _records(evidence),
    ]
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(play.name)}: Halma lab</title><style>{_STYLE}{cache_page.STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _steps(play: Play, evidence: Evidence) -> list[tuple[str, str]]:
    """For each step of the timeline its line in the contents, and its section."""
    everything = evidence.journal["steps"]
    steps = [step for step in everything if step["time"] < evidence.end]  # the lab's own last one, its end, is after that
    looks = caches.read(evidence.records)
    made = {host: {ladder.began: ladder for ladder in ladders(evidence, host)} for host in play.scenario.watched()}
    anchors = evidence.topology.of_kind(Kind.ANCHOR)
    found = []
    for number, step in enumerate(steps, 1):
        since = step["time"]
        until = everything[number]["time"] if number < len(everything) else evidence.end
        name = escape(step["name"])
        parts = [
            f'<section id="step-{number}"><h3>{number}. {name} <span class="faint">from {since - steps[0]["time"]:.1f} s, '
            f"for {until - since:.1f} s</span></h3>",
            _pictures(partial(way_picture.draw, evidence, play.scenario.watched(), since, until), "network"),
            _ways(evidence, play.scenario.watched(), since, until),
            *(_ladder(by_time[since]) for by_time in made.values() if since in by_time),
            *(
                cache_page.draw(node.title, caches.stages(looks, node.name, since, until), since, evidence.owner)
                for node in anchors
            ),
            "</section>",
        ]
        found.append((f'<li><a href="#step-{number}">{name}</a></li>', "".join(parts)))
    return found


def _ladder(ladder: Ladder) -> str:
    return _pictures(partial(ladder_picture.draw, ladder))


def _ways(evidence: Evidence, hosts: Sequence[str], since: float, until: float) -> str:
    """In words what the picture of a step shows in lines."""
    titles = {node.name: node.title for node in evidence.topology.nodes}
    told = [
        f"{titles[way.source]} \u2192 {titles[way.destination]}: {way.words}"
        for way in way_picture.ways(evidence, hosts, since, until)
    ]
    return f'<p class="faint">Tunnels: {escape("; ".join(told))}.</p>' if told else ""


def _pictures(draw: Callable[[float], str], kind: str = "") -> str:
    """A picture as it is drawn for either kind of screen."""
    wide, narrow = draw(_WIDE), draw(_NARROW)
    if not wide:
        return ""
    return f'<div class="picture {kind}"><div class="wide">{wide}</div><div class="narrow">{narrow}</div></div>'


def _handovers(handovers: Sequence[Handover]) -> str:
    if not handovers:
        return "<p>None.</p>"
    heads = ("host", "from", "to", "gap down", "gap up", "lost down", "lost up", "PBU to PBA")
    rows = []
    for handover in handovers:
        cells = [handover.host, handover.source, handover.target]
        gaps = (handover.gap_down_ms, handover.gap_up_ms)
        numbers = [_milliseconds(gap) for gap in gaps] + [str(handover.lost_down), str(handover.lost_up)]
        numbers.append(_milliseconds(handover.signalling_ms))
        rows.append(
            "<tr>"
            + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
            + "".join(f'<td class="number">{escape(number)}</td>' for number in numbers)
            + "</tr>"
        )
    head = "".join(f'<th class="{"number" if index > 2 else ""}">{name}</th>' for index, name in enumerate(heads))
    return (
        f'<div class="scroll"><table><tr>{head}</tr>{"".join(rows)}</table></div>'
        '<p class="faint">A gap is the time from link-up, when the kernel of the host says that it has its carrier again (or '
        "from the first frame that it sends, if that is earlier), to the first packet that came over the new link. Lost are "
        "all packets sent while the link was away and until then.</p>"
    )


def _milliseconds(number: float | None) -> str:
    return "never" if number is None else f"{number:.2f} ms"


def _checks(checks: Sequence[Check]) -> str:
    rows = []
    for check in checks:
        mark = ("yes", "\u2713") if check.passed else ("no", "\u2717 failed")
        rows.append(
            f'<tr><td class="mark {mark[0]}">{mark[1]}</td><td class="rule">{escape(check.requirement)}</td>'
            f'<td>{escape(check.name)}</td><td class="detail">{escape(check.detail)}</td></tr>'
        )
    return f'<table class="checks"><tr><th></th><th>rule</th><th>check</th><th>what was seen</th></tr>{"".join(rows)}</table>'


def _records(evidence: Evidence) -> str:
    points = ", ".join(f"{escape(point)} ({count})" for point, count in evidence.captured.items())
    parts = [f"<p>Captures, one pcapng file a link, frames in brackets: {points}.</p>"]
    for folder, kind in (("config", "configuration"), ("logs", "what it printed")):
        for path in sorted((evidence.records / folder).glob("*.toml" if folder == "config" else "*.log")):
            text = path.read_text(errors="replace")
            if text.strip() and not path.name.startswith(("capture-", "talker-", "monitor", "relay", "recorder")):
                parts.append(
                    f"<details><summary>{escape(path.stem)}: {kind}</summary><pre>{escape(text[-60000:])}</pre></details>"
                )
    return "".join(parts)
