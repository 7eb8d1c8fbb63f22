# SPDX-License-Identifier: Apache-2.0
"""`halma lab`: plays scenarios on this machine and judges them, or keeps a network up to play in.

Always holds: exit status 0 when every scenario passed, 1 when one did not or could not be played, 2 for wrong use; standard
output has the result alone, progress goes to standard error and only to a terminal.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from halma.lab import ladder_text, report
from halma.lab.evidence import Evidence
from halma.lab.keeper import Kept, gone, kept
from halma.lab.ladder import ladders
from halma.lab.network import labs, remove_remains
from halma.lab.processes import LabError
from halma.lab.scenario import Conditions, Play, judge
from halma.lab.scenario import run as run_play
from halma.lab.scenarios import play, plays
from halma.lab.verdict import Verdict

WIDTH = 100
_PATIENCE = 60.0
_RECORDS = ("captures", "config", "logs", "traffic", "pictures")

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Play mobility scenarios and judge them."
)

Names = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME]...", help="Scenarios (`halma lab list`); all when left out.")
]


class _WrongUseError(Exception):
    """The command line asks for what there is not."""


@contextlib.contextmanager
def _said_plainly() -> Iterator[None]:
    """Turn what went wrong into a line on standard error and an exit status."""
    try:
        yield
    except _WrongUseError as error:
        print(f"halma lab: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    except (LabError, OSError) as error:
        print(f"halma lab: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        print("halma lab: interrupted; the lab is gone", file=sys.stderr)
        raise typer.Exit(130) from None


def _need_root() -> None:
    if os.geteuid() != 0:
        raise LabError("the lab makes network namespaces, for which it must be root: try it with sudo")
    if shutil.which("ip") is None:
        raise LabError("the lab needs the program ip (Debian: iproute2)")


def _chosen(names: list[str] | None) -> list[Play]:
    try:
        return [play(name) for name in names] if names else list(plays())
    except KeyError as unknown:
        known = ", ".join(known.name for known in plays())
        raise _WrongUseError(f"there is no scenario {unknown}; there are {known}") from None


@app.command("list")
def list_command(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """The scenarios, and the labs that are up."""
    with _said_plainly():
        if as_json:
            told = [{"name": one.name, "title": one.scenario.title, "conditions": str(one.conditions)} for one in plays()]
            print(json.dumps({"scenarios": told, "labs": labs()}))
            return
        for one in plays():
            title = one.scenario.title if one.conditions.ideal else f"  the same with {one.conditions}"
            print(f"{one.name:28} {title}")
        for identity, lives in labs().items():
            print(f"lab {identity}: {'up' if lives else 'dead, `halma lab down` removes what it left'}")


@app.command("run")
def run_command(
    names: Names = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdicts as JSON.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Leave report, captures, configurations, logs there.")
    ] = None,
    delay: Annotated[float | None, typer.Option(metavar="MS", min=0, help="Delay of the core links, one way.")] = None,
    loss: Annotated[float | None, typer.Option(metavar="PERCENT", min=0, max=100, help="Loss on the core links.")] = None,
    pace: Annotated[
        float, typer.Option(metavar="MS", min=0, help="Time between two packets of traffic at least, for slow machines.")
    ] = 0.0,
    ladder: Annotated[bool, typer.Option("--ladder", help="Print what was said, as a ladder.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every check.")] = False,
) -> None:
    """Play scenarios with real daemons, and judge them.

    Every machine of a scenario is a network namespace of this one; the verdict rests on what was on the wire.
    """
    with _said_plainly():
        chosen = _chosen(names)
        if delay is not None or loss is not None:
            conditions = Conditions(delay or 0.0, 0.0, (loss or 0.0) / 100)
            chosen = [Play(one.name, one.scenario, conditions) for one in chosen]
        chosen = [Play(one.name, one.scenario, dataclasses.replace(one.conditions, pace_ms=pace)) for one in chosen]
        places = _places(chosen, out)
        _need_root()
        verdicts = []
        for one in chosen:
            verdicts.append(_play(one, places.get(one.name), ladder=ladder and not as_json))
            if not as_json:
                _show(verdicts[-1], verbose)
    if as_json:
        print(json.dumps({"scenarios": [verdict.as_json() for verdict in verdicts]}, indent=1))
    else:
        _summary(verdicts, out)
    if not all(verdict.passed for verdict in verdicts):
        raise typer.Exit(1)


def _places(chosen: list[Play], out: Path | None) -> dict[str, Path]:
    """The directory for the records of each play, empty; none where nothing is to be kept."""
    if out is None:
        return {}
    places = {one.name: out if len(chosen) == 1 else out / one.name.replace("/", "-") for one in chosen}
    for place in places.values():
        if place.exists() and not place.is_dir():
            raise _WrongUseError(f"{place} is not a directory")
        if place.is_dir() and any(place.iterdir()) and not (place / "journal.json").exists():
            raise _WrongUseError(f"{place} is not empty and not the report of a run")
        for name in _RECORDS:
            shutil.rmtree(place / name, ignore_errors=True)
        place.mkdir(parents=True, exist_ok=True)
    return {name: place.resolve() for name, place in places.items()}


@contextlib.contextmanager
def _progress(name: str) -> Iterator[Callable[[str], None]]:
    """Says what happens, on a terminal, and nowhere else."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status(name) as status:
        yield lambda words: status.update(f"{name}: {words}")


def _play(one: Play, records: Path | None, *, ladder: bool) -> Verdict:
    with _progress(one.name) as progress:
        verdict, evidence = run_play(one, records, progress)
        if records is not None:
            progress("writing the report")
            _write(one, verdict, evidence, records)
    if ladder:
        for host in one.scenario.watched():
            for made in ladders(evidence, host):
                print(ladder_text.draw(made, WIDTH))
    return verdict


def _write(one: Play, verdict: Verdict, evidence: Evidence, records: Path) -> None:
    report.write(one, verdict, evidence, records / "report.html")
    report.write_pictures(one, evidence, records / "pictures")
    (records / "verdict.json").write_text(json.dumps(verdict.as_json(), indent=1) + "\n")


def _console() -> Console:
    """Where tables go: as wide as the terminal, or wide enough for nothing to break."""
    return Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)


def _show(verdict: Verdict, verbose: bool) -> None:
    console = _console()
    table = Table(title=f"{verdict.name}: {_word(verdict.passed)}", title_justify="left", show_edge=False, pad_edge=False)
    for title in ("rule", "check", "", "what was seen"):
        table.add_column(title, overflow="fold")
    passed = Counter(check.requirement for check in verdict.checks if check.passed)
    for requirement in dict.fromkeys(check.requirement for check in verdict.checks):
        of_it = [check for check in verdict.checks if check.requirement == requirement]
        if verbose:
            for check in of_it:
                table.add_row(requirement, check.name, _mark(check.passed), check.detail)
            continue
        table.add_row(requirement, f"{passed[requirement]} of {len(of_it)}", _mark(passed[requirement] == len(of_it)), "")
        for check in of_it:
            if not check.passed:
                table.add_row("", check.name, _mark(False), check.detail)
    console.print(table)
    if verdict.handovers:
        moves = Table(show_edge=False, pad_edge=False)
        for title in ("handover", "gap down", "gap up", "lost down", "lost up", "PBU to PBA"):
            moves.add_column(title, justify="left" if title == "handover" else "right")
        for handover in verdict.handovers:
            gaps = [_milliseconds(gap) for gap in (handover.gap_down_ms, handover.gap_up_ms)]
            lost = [str(handover.lost_down), str(handover.lost_up)]
            words = f"{handover.host} {handover.source} -> {handover.target}"
            moves.add_row(words, *gaps, *lost, _milliseconds(handover.signalling_ms))
        console.print()
        console.print(moves)
    console.print()


def _summary(verdicts: list[Verdict], out: Path | None) -> None:
    console = _console()
    if len(verdicts) > 1:
        table = Table(show_edge=False, pad_edge=False)
        for title in ("scenario", "verdict", "checks", "longest gap"):
            table.add_column(title)
        for verdict in verdicts:
            gaps = [gap for move in verdict.handovers for gap in (move.gap_down_ms, move.gap_up_ms) if gap is not None]
            checks = f"{sum(check.passed for check in verdict.checks)} of {len(verdict.checks)}"
            table.add_row(verdict.name, _word(verdict.passed), checks, _milliseconds(max(gaps)) if gaps else "-")
        console.print(table)
    passed = sum(verdict.passed for verdict in verdicts)
    if out is not None:
        print(f"records are in {out}")
    print(f"{passed} passed, {len(verdicts) - passed} failed")


def _word(passed: bool) -> str:
    return "[green]passed[/green]" if passed else "[red]failed[/red]"


def _mark(passed: bool) -> str:
    return "[green]ok[/green]" if passed else "[red]FAILED[/red]"


def _milliseconds(number: float | None) -> str:
    return "never" if number is None else f"{number:.2f} ms"


@app.command("judge")
def judge_command(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="What `halma lab run --out DIR` left.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON.")] = False,
    ladder: Annotated[bool, typer.Option("--ladder", help="Print what was said, as a ladder.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every check.")] = False,
) -> None:
    """Judge the records of an earlier run again.

    Its report is written anew.
    """
    with _said_plainly():
        try:
            told = json.loads((directory / "journal.json").read_text())
            one = Play(told["scenario"], play(told["scenario"]).scenario, Conditions(**told["conditions"]))
        except (OSError, ValueError, KeyError, TypeError):
            raise _WrongUseError(f"{directory} does not have the records of a run") from None
        evidence = Evidence(one.scenario.topology(one.conditions), directory)
        verdict = judge(one, evidence)
        _write(one, verdict, evidence, directory)
        if as_json:
            print(json.dumps({"scenarios": [verdict.as_json()]}, indent=1))
        else:
            if ladder:
                for host in one.scenario.watched():
                    for made in ladders(evidence, host):
                        print(ladder_text.draw(made, WIDTH))
            _show(verdict, verbose)
    if not verdict.passed:
        raise typer.Exit(1)


@app.command("up")
def up_command(name: Annotated[str, typer.Argument(metavar="NAME", help="A scenario.")]) -> None:
    """Keep the network of a scenario up, with its daemons, to play in."""
    with _said_plainly():
        one = _chosen([name])[0]
        _need_root()
        with tempfile.NamedTemporaryFile(prefix="halma-lab-", suffix=".log") as log:
            command = [sys.executable, "-m", "halma.lab.keeper", one.name]
            keeper = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
            )
            limit = time.monotonic() + _PATIENCE
            with _progress(one.name) as progress:
                progress("coming up")
                try:
                    while not (said := Path(log.name).read_text()).startswith("up "):
                        if keeper.poll() is not None or time.monotonic() > limit:
                            keeper.terminate()
                            keeper.wait()
                            raise LabError(f"the lab did not come up: {said.strip()}")
                        time.sleep(0.05)
                except KeyboardInterrupt:
                    keeper.terminate()
                    keeper.wait()
                    raise
        identity = said.split()[1]
    nodes = ", ".join(node.name for node in one.scenario.topology(one.conditions).nodes)
    print(f"lab {identity} is up: {nodes}")
    print("halma lab exec HOST COMMAND...   run a command on a node")
    print("halma lab move HOST GATEWAY      take a host's link to a gateway")
    print("halma lab down                   take the lab down")


def _the_lab(identity: str | None) -> Kept:
    """The lab that is up, or the one of that identity."""
    up = [lab for lab in kept() if identity in {None, lab.identity}]
    if not up:
        raise LabError("no lab is up: `halma lab up NAME`" if identity is None else f"there is no lab {identity}")
    if len(up) > 1:
        raise _WrongUseError(f"several labs are up, choose with --lab: {', '.join(lab.identity for lab in up)}")
    return up[0]


_Which = Annotated[str | None, typer.Option("--lab", metavar="ID", help="Which lab, where several are up.")]


@app.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def exec_command(
    node: Annotated[str, typer.Argument(metavar="HOST", help="A node of the lab.")],
    command: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="What to run there.")],
    which: _Which = None,
) -> None:
    """Run a command on a node of the lab that is up."""
    with _said_plainly():
        _need_root()
        lab = _the_lab(which)
        namespace = lab.namespace(node)
        sys.stdout.flush()
        os.execvpe("ip", ["ip", "netns", "exec", namespace, *command], lab.environment(node))


@app.command("move")
def move_command(
    host: Annotated[str, typer.Argument(metavar="HOST", help="A mobile host.")],
    gateway: Annotated[str, typer.Argument(metavar="GATEWAY", help="Where its link is taken.")],
    which: _Which = None,
) -> None:
    """Take a host's link to another gateway."""
    with _said_plainly():
        _need_root()
        _the_lab(which).move(host, gateway)


@app.command("down")
def down_command(which: _Which = None) -> None:
    """Take down the labs that are up.

    What labs that have died left behind is removed as well.
    """
    with _said_plainly():
        _need_root()
        for lab in kept():
            if which in {None, lab.identity}:
                os.kill(lab.keeper, signal.SIGTERM)
                limit = time.monotonic() + _PATIENCE
                while not gone(lab.identity):
                    if time.monotonic() > limit:
                        raise LabError(f"lab {lab.identity} does not go down (process {lab.keeper})")
                    time.sleep(0.05)
                print(f"lab {lab.identity} is down")
        for identity, lives in labs().items():
            if not lives and which in {None, identity}:
                for thing in remove_remains(identity):
                    print(f"removed {thing}")
