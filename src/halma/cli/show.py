# SPDX-License-Identifier: Apache-2.0
"""`halma show`: what a running daemon knows, asked through its control socket.

Always holds: rows are printed as they come, so a million bindings need no memory; `--json` prints one JSON array (with
`--watch` one a line, events one object a line) and no colour.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from halma.cli.connection import ADDRESS, NODE, PREFIX, SocketPath, ended, open_client
from halma.cli.tables import Column, Row, columns_of, show_cell, table
from halma.control.schema import Address, Identifier, PrefixFilter, Show, What

COLUMNS: dict[What, list[Column]] = {
    "bindings": [
        Column("node", "node", 30),
        Column("prefixes", "prefix", 43),
        Column("gateway", "gateway", 39),
        Column("state", "state", 14),
        Column("remaining_seconds", "left", 8),
        Column("access_technology", "access", 16),
    ],
    "home_bindings": [
        Column("node", "node", 28),
        Column("home_address", "home address", 39),
        Column("care_of_address", "care-of address", 39),
        Column("state", "state", 13),
        Column("prefixes", "networks", 43),
        Column("remaining_seconds", "left", 8),
    ],
    "groups": [
        Column("group", "group", 39),
        Column("home_address", "home address", 39),
        Column("care_of_address", "care-of address", 39),
        Column("sources", "sources", 39),
        Column("remaining_seconds", "left", 8),
    ],
    "sessions": [
        Column("node", "node", 28),
        Column("prefixes", "prefix", 43),
        Column("interface", "on", 15),
        Column("anchor", "anchor", 39),
        Column("state", "state", 14),
        Column("remaining_seconds", "left", 8),
    ],
    "peers": [
        Column("peer", "peer", 39),
        Column("address", "peer", 39),
        Column("name", "name", 30),
        Column("sessions", "sessions", 8, True),
        Column("heartbeat", "heartbeat", 11),
        Column("missing_heartbeats", "missing", 7, True),
        Column("restart_counter", "restarts", 10, True),
    ],
    "tunnels": [
        Column("local", "local", 39),
        Column("remote", "remote", 39),
        Column("bindings", "bindings", 8, True),
        Column("mtu", "mtu", 5, True),
    ],
    "events": [Column("time", "time", 24), Column("severity", "severity", 8), Column("text", "event", 62, wrap=True)],
}
"""How each kind of row is laid out; what is not here gets a column for each key."""

application = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, context_settings={"max_content_width": 100}
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Go on, until interrupted.")]
Interval = Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="Seconds between two looks with --watch.")]
Limit = Annotated[int, typer.Option(min=0, metavar="COUNT", help="The most rows to show; 0 for all.")]
Node = Annotated[Identifier | None, typer.Option(parser=NODE, metavar="NODE", help="Only this node, or nodes of this pattern.")]
Held = Annotated[
    PrefixFilter | None,
    typer.Option("--prefix", parser=PREFIX, metavar="PREFIX", help="Only what holds, or lies in, this prefix."),
]
Peer = Annotated[Address | None, typer.Option(parser=ADDRESS, metavar="ADDRESS", help="Only this peer.")]


@application.command()
def bindings(
    node: Node = None,
    prefix: Held = None,
    peer: Peer = None,
    limit: Limit = 0,
    json: Json = False,
    watch: Watch = False,
    interval: Interval = 2.0,
    socket: SocketPath = None,
) -> None:
    """The anchor's bindings that gateways have made.

    A row has the node, its prefixes and its gateway.
    """
    _show(_rows("bindings", node, prefix, peer, limit), json, watch, interval, socket)


@application.command(name="home-bindings")
def home_bindings(
    node: Node = None,
    prefix: Held = None,
    peer: Peer = None,
    limit: Limit = 0,
    json: Json = False,
    watch: Watch = False,
    interval: Interval = 2.0,
    socket: SocketPath = None,
) -> None:
    """The anchor's bindings that mobile nodes have made.

    A row has the node, its home address and its care-of address.
    """
    _show(_rows("home_bindings", node, prefix, peer, limit), json, watch, interval, socket)


@application.command()
def groups(
    limit: Limit = 0,
    json: Json = False,
    watch: Watch = False,
    interval: Interval = 2.0,
    socket: SocketPath = None,
) -> None:
    """The multicast groups that mobile nodes listen to through the anchor."""
    _show(_rows("groups", None, None, None, limit), json, watch, interval, socket)


@application.command()
def sessions(
    node: Node = None,
    prefix: Held = None,
    peer: Peer = None,
    limit: Limit = 0,
    json: Json = False,
    watch: Watch = False,
    interval: Interval = 2.0,
    socket: SocketPath = None,
) -> None:
    """The gateway's sessions: nodes, prefixes, anchors."""
    _show(_rows("sessions", node, prefix, peer, limit), json, watch, interval, socket)


@application.command()
def registration(json: Json = False, watch: Watch = False, interval: Interval = 2.0, socket: SocketPath = None) -> None:
    """Where the mobile node is, and where it is registered."""
    _show(Show("registration"), json, watch, interval, socket)


@application.command()
def peers(json: Json = False, watch: Watch = False, interval: Interval = 2.0, socket: SocketPath = None) -> None:
    """The other ends, and whether they are alive.

    They are the gateways of an anchor, the anchors of a gateway.
    """
    _show(Show("peers"), json, watch, interval, socket)


@application.command()
def tunnels(json: Json = False, watch: Watch = False, interval: Interval = 2.0, socket: SocketPath = None) -> None:
    """The tunnels, and how many bindings use each."""
    _show(Show("tunnels"), json, watch, interval, socket)


@application.command()
def counters(
    zero: Annotated[bool, typer.Option("--zero", help="Also the counters that have counted nothing.")] = False,
    json: Json = False,
    watch: Watch = False,
    interval: Interval = 2.0,
    socket: SocketPath = None,
) -> None:
    """Counts since the start, by cause."""
    _show(Show("counters"), json, watch, interval, socket, zero)


@application.command()
def events(limit: Limit = 0, json: Json = False, watch: Watch = False, socket: SocketPath = None) -> None:
    """The last events; with --watch those to come."""
    if not watch:
        _show(Show("events", limit=limit), json, False, 0, socket)
        return
    with ended(), open_client(socket, "events", timeout=None) as client:
        for row in client.ask(Show("events", limit=limit, follow=True)):
            lines = [msgspec.json.encode(row).decode()] if json else table([row], COLUMNS["events"], _colour())
            for line in itertools.islice(lines, 0 if json else 1, None):
                print(line, flush=True)


@application.command()
def plane(json: Json = False, watch: Watch = False, interval: Interval = 2.0, socket: SocketPath = None) -> None:
    """How packets are carried, and what the kernel lacks."""
    _show(Show("plane"), json, watch, interval, socket)


@application.command(name="all")
def everything(socket: SocketPath = None) -> None:
    """Everything as JSON, to send along with a question."""
    _show(Show("all"), True, False, 0, socket)


@application.callback()
def show() -> None:
    """Ask a running daemon what it knows."""


def _rows(what: What, node: Identifier | None, prefix: PrefixFilter | None, peer: Address | None, limit: int) -> Show:
    return Show(what, node or Identifier(), prefix or PrefixFilter(), peer or Address(), limit)


def _colour() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _show(request: Show, json: bool, watch: bool, interval: float, socket: Path | None, zero: bool = True) -> None:
    with ended(), open_client(socket, request.what) as client:
        while True:
            rows = client.ask(request)
            first = list(itertools.islice(rows, 1))  # a refusal comes here, before anything is printed
            lines = _json(itertools.chain(first, rows), watch) if json else _text(request, itertools.chain(first, rows), zero)
            if watch and not json and sys.stdout.isatty():
                print("\x1b[H\x1b[2J", end="")
                print(f"{request.what}, every {interval:g} s, {time.strftime('%H:%M:%S')}\n")
            for line in lines:
                print(line)
            if not watch:
                return
            if not json and not sys.stdout.isatty():
                print()
            sys.stdout.flush()
            time.sleep(interval)


def _json(rows: Iterable[Row], one_line: bool) -> Iterator[str]:
    if one_line:
        yield msgspec.json.encode(list(rows)).decode()
        return
    line = "["
    for row in rows:
        if line != "[":
            line += ","
        yield line
        line = msgspec.json.encode(row).decode()
    yield from (line, "]") if line != "[" else ("[]",)


def _text(request: Show, rows: Iterable[Row], zero: bool) -> Iterator[str]:
    if request.what == "counters":
        yield from _counters(rows, zero)
    elif request.what == "plane":
        yield from _plane(rows)
    elif request.what == "registration":
        yield from _pairs(rows)
    else:
        rows = iter(rows)
        first = next(rows, None)
        if first is None:
            yield f"no {request.what.replace('_', ' ')}"
            return
        columns = COLUMNS.get(request.what) or columns_of(first)
        yield from table(itertools.chain([first], rows), columns, _colour())


def _counters(rows: Iterable[Row], zero: bool) -> Iterator[str]:
    """`value counter`, group by group."""
    for group, members in itertools.groupby(rows, key=lambda row: row.get("group", "counters")):
        chosen = [row for row in members if zero or row["value"]]
        if not chosen:
            continue
        yield f"{group}:"
        width = max(len(str(row["value"])) for row in chosen)
        for row in chosen:
            yield f"  {row['value']:>{max(width, 10)}}  {row['counter'].replace('_', ' ')}"


def _plane(rows: Iterable[Row]) -> Iterator[str]:
    ports: list[Row] = []
    for row in rows:
        if "interface" in row:
            ports.append(row)
            continue
        for key, value in row.items():
            for index, cell in enumerate(show_cell(key, value)):
                label = f"{key.replace('_', ' ')}:" if index == 0 else ""
                yield from _wrapped(f"{label:<8} {cell}")
    yield from table(ports, columns_of(ports[0]) if ports else [], _colour())


def _pairs(rows: Iterable[Row]) -> Iterator[str]:
    """`key: value`, a line each; what is empty is left out."""
    for row in rows:
        for key, value in row.items():
            for index, cell in enumerate(show_cell(key, value)):
                if cell and value != 0:
                    label = f"{key.removesuffix('_seconds').replace('_', ' ')}:" if index == 0 else ""
                    yield f"{label:<17} {cell}"


def _wrapped(line: str) -> Iterator[str]:
    import textwrap  # noqa: PLC0415

    yield from textwrap.wrap(line, 100, subsequent_indent=" " * 9) or [""]
