# SPDX-License-Identifier: Apache-2.0
"""The command line as people and scripts use it: output, exit status, and what it asks of a daemon."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from halma.cli import connection
from halma.cli.application import LAZY, application, load
from halma.control.rows import Row
from halma.control.schema import Attach, ControlError, Detach, Identifier, Request, Retry, Revoke, Show
from halma.control.server import ControlServer, Rows
from halma.text import read_address

HALMA = [sys.executable, "-m", "halma"]
ROWS: dict[str, list[dict[str, Any]]] = {
    "bindings": [
        {
            "node": b"host1@example.org",
            "prefixes": [(read_address("2001:db8:100:1::"), 64), (read_address("2001:db8:100:2::"), 64)],
            "gateway": read_address("2001:db8:2::1"),
            "state": "registered",
            "access_technology": 3,
            "remaining_seconds": 3492.0,
        },
        {
            "node": b"a-node-with-a-very-long-name-indeed-it-is@subdomain.example.org",
            "prefixes": [(read_address("2001:db8:1234:5678:9abc:def0:1234:5678"), 128)],
            "gateway": read_address("2001:db8:1234:5678:9abc:def0:1234:5678"),
            "state": "deregistered",
            "access_technology": 99,
            "remaining_seconds": None,
        },
    ],
    "counters": [
        {"group": "signalling", "counter": "messages_received", "value": 12},
        {"group": "signalling", "counter": "send_errors", "value": 0},
        {"group": "packets", "counter": "error", "value": 0},
    ],
    "plane": [
        {"plane": "bpf", "notes": ["the kernel lacks TCX: clsact is used instead"]},
        {"interface": "core0", "kind": "network", "mechanism": "clsact"},
    ],
    "events": [
        {"time": "2026-01-01T00:00:00.000Z", "severity": "warning", "reason": "r", "peer": "", "text": "refused PBU " * 12}
    ],
    "peers": [],
    "tunnels": [{"local": read_address("2001:db8:1::1"), "remote": read_address("2001:db8:2::1"), "bindings": 7}],
}


class Handler:
    """A daemon that has `ROWS`, remembers what it was asked, and refuses to detach."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    async def answer(self, request: Request) -> Rows:
        self.asked.append(request)
        if isinstance(request, Show):
            if request.what == "sessions":
                raise ControlError("an anchor has no sessions; its nodes are in `bindings`")
            rows: list[Row] = list(ROWS.get(request.what, []))
            return rows
        if isinstance(request, Revoke):
            return [{"revoked": 2 if request.node == b"host1@example.org" else 0}]
        if isinstance(request, Detach):
            raise ControlError("there is no such node")
        return []


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Handler]:
    handler = Handler()
    loop = asyncio.new_event_loop()
    ready, stop = threading.Event(), asyncio.Event()

    async def live() -> None:
        server = ControlServer(tmp_path / "halma.sock", handler)
        await server.start()
        ready.set()
        await stop.wait()
        await server.stop()

    thread = threading.Thread(target=loop.run_until_complete, args=(live(),))
    thread.start()
    assert ready.wait(10)
    yield handler
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    loop.close()


Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def invoke(*arguments: str) -> Any:
        environment = {"HALMA_SOCKET": str(tmp_path / "halma.sock")}
        return CliRunner().invoke(application, arguments, env=environment, prog_name="halma")

    return invoke


@pytest.mark.usefixtures("daemon")
def test_bindings_are_a_table_that_fits_the_terminal(run: Run) -> None:
    shown = run("show", "bindings")
    assert shown.exit_code == 0
    assert max(map(len, shown.stdout.splitlines())) <= 100
    assert "\x1b" not in shown.stdout
    heading, first, second, *rest = shown.stdout.splitlines()
    assert heading.split() == ["node", "prefix", "gateway", "state", "left", "access"]
    assert first.split() == [
        "host1@example.org",
        "2001:db8:100:1::/64",
        "2001:db8:2::1",
        "registered",
        "58m",
        "12s",
        "IEEE_802_3",
    ]
    assert second.split() == ["2001:db8:100:2::/64"]
    assert second.index("2001:db8:100:2::/64") == first.index("2001:db8:100:1::/64") == heading.index("prefix")
    assert " ".join(rest).split() == [
        "a-node-with-a-very-long-name-indeed-it-is@subdomain.example.org",
        "2001:db8:1234:5678:9abc:def0:1234:5678/128",
        "2001:db8:1234:5678:9abc:def0:1234:5678",
        "deregistered",
        "-",
        "99",
    ]


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize("what", list(ROWS))
def test_everything_that_is_shown_fits_and_is_json_when_asked(run: Run, what: str) -> None:
    shown = run("show", what)
    assert shown.exit_code == 0
    assert all(len(line) <= 100 for line in shown.stdout.splitlines())
    rows = json.loads(run("show", what, "--json").stdout)
    assert len(rows) == len(ROWS[what])


@pytest.mark.usefixtures("daemon")
def test_counters_that_counted_nothing_are_left_out_unless_wanted(run: Run) -> None:
    assert run("show", "counters").stdout == "signalling:\n          12  messages received\n"
    assert run("show", "counters", "--zero").stdout == (
        "signalling:\n          12  messages received\n           0  send errors\npackets:\n           0  error\n"
    )


@pytest.mark.usefixtures("daemon")
def test_nothing_is_said_to_be_nothing(run: Run) -> None:
    assert run("show", "peers").stdout == "no peers\n"
    assert run("show", "peers", "--json").stdout == "[]\n"


@pytest.mark.usefixtures("daemon")
def test_the_plane_tells_what_the_kernel_lacks(run: Run) -> None:
    lines = run("show", "plane").stdout.splitlines()
    assert lines[:2] == ["plane:   bpf", "notes:   the kernel lacks TCX: clsact is used instead"]
    assert [line.split() for line in lines[2:]] == [["interface", "kind", "mechanism"], ["core0", "network", "clsact"]]


def test_filters_reach_the_daemon(run: Run, daemon: Handler) -> None:
    run(
        "show",
        "bindings",
        "--node",
        "*@example.org",
        "--peer",
        "2001:db8:2::1",
        "--prefix",
        "2001:db8:100::/40",
        "--limit",
        "5",
    )
    (show,) = daemon.asked
    assert isinstance(show, Show)
    assert (show.node, show.peer, show.limit) == (b"*@example.org", read_address("2001:db8:2::1"), 5)
    assert str(show.prefix.prefix) == "2001:db8:100::/40"


def test_triggers_reach_the_daemon(run: Run, daemon: Handler) -> None:
    assert run("attach", "ap0", "02:00:00:00:01:01", "--node", "n", "--handoff", "between-gateways").exit_code == 0
    assert run("attach", "ap0", "02:00:00:00:01:01", "--access-technology", "IEEE 802.11a/b/g").exit_code == 0
    assert run("retry").exit_code == 0
    assert run("revoke", "--node", "host1@example.org").stdout == "revoked: 2\n"
    first, second, retry, revoke = daemon.asked
    assert isinstance(first, Attach)
    assert (first.interface, first.link_layer_address.hex(), first.node, first.handoff_indicator) == (
        "ap0",
        "020000000101",
        b"n",
        3,
    )
    assert isinstance(second, Attach)
    assert second.access_technology == 4
    assert retry == Retry()
    assert revoke == Revoke(node=Identifier(b"host1@example.org"))


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("show", "sessions"), "halma: an anchor has no sessions; its nodes are in `bindings`\n"),
        (("show", "sessions", "--json"), "halma: an anchor has no sessions; its nodes are in `bindings`\n"),
        (("detach", "02:00:00:00:01:01"), "halma: there is no such node\n"),
        (("revoke", "--node", "nobody"), "halma: there is no such session\n"),
    ],
)
def test_a_refusal_is_exit_status_1_and_one_sentence(run: Run, arguments: tuple[str, ...], error: str) -> None:
    refused = run(*arguments)
    assert (refused.exit_code, refused.stdout, refused.stderr) == (1, "", error)


def test_no_daemon_is_exit_status_1(run: Run, tmp_path: Path) -> None:
    refused = run("show", "bindings")
    assert refused.exit_code == 1
    assert refused.stderr == f"halma: no daemon runs here: there is no socket {tmp_path}/halma.sock\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("shw",),
        ("show", "everything"),
        ("show", "bindings", "--peer", "example.org"),
        ("show", "bindings", "--prefix", "2001:db8::1/64"),
        ("show", "bindings", "--limit", "-1"),
        ("revoke",),
        ("revoke", "--node", "a", "--peer", "2001:db8::1"),
        ("revoke", "--node", "a", "--realm", "example.org"),
        ("attach", "ap0"),
        ("attach", "ap0", "02:00"),
        ("attach", "ap0", "02:00:00:00:01:01", "--handoff", "sideways"),
        ("attach", "ap0", "02:00:00:00:01:01", "--access-technology", "WiFi"),
        ("detach",),
        ("detach", "02:00:00:00:01:01", "--node", "a"),
        ("anchor",),
        ("check",),
    ],
)
def test_wrong_use_is_exit_status_2(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_the_daemon_that_is_meant_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "DIRECTORY", tmp_path)
    with pytest.raises(ControlError, match="there is no socket in"):
        connection.find_socket(None, "peers")
    (tmp_path / "gateway.sock").touch()
    assert connection.find_socket(None, "peers").name == "gateway.sock"
    (tmp_path / "anchor.sock").touch()
    assert connection.find_socket(None, "bindings").name == "anchor.sock"
    assert connection.find_socket(None, "attach").name == "gateway.sock"
    with pytest.raises(ControlError, match="more than one daemon"):
        connection.find_socket(None, "peers")
    assert connection.find_socket(Path("x"), "peers") == Path("x")


@pytest.mark.parametrize("role", ["anchor", "gateway"])
def test_a_daemon_does_not_start_from_a_file_with_mistakes(run: Run, tmp_path: Path, role: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(f"[{role}]\n")
    started, checked = run(role, "-c", str(file)), run("check", str(file))
    assert started.exit_code == checked.exit_code == 1
    assert started.stderr == checked.stderr
    assert f"  {role}.interfaces: is missing\n" in checked.stderr


@pytest.mark.parametrize("name", [name for name in LAZY if name != "lab"])
def test_every_command_has_help(run: Run, name: str) -> None:
    shown = run(name, "--help")
    assert shown.exit_code == 0
    assert f"Usage: halma {name}" in shown.stdout
    assert LAZY[name].summary in run("--help").stdout
    assert load(name).name == name


def test_the_process_itself(tmp_path: Path) -> None:
    version = subprocess.run([*HALMA, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("halma 0.")
    wrong = subprocess.run([*HALMA, "shw"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    none = subprocess.run([*HALMA, "show", "peers", "-s", str(tmp_path / "x")], capture_output=True, text=True, check=False)
    assert none.returncode == 1


def test_asking_does_not_wait_for_what_it_does_not_need() -> None:
    heavy = {"halma.lab", "halma.engine.anchor", "halma.forwarding", "asyncio", "rich", "pyroute2"}
    script = "import sys\nfrom halma.cli.application import load\nload('show')\nprint(*sorted(name for name in sys.modules))\n"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not heavy & set(loaded)


@pytest.mark.usefixtures("daemon")
def test_colours_are_for_terminals_alone(tmp_path: Path) -> None:
    command = [*HALMA, "show", "bindings", "--socket", str(tmp_path / "halma.sock")]
    for extra, coloured in (({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        ours, theirs = pty.openpty()
        with os.fdopen(ours, "rb") as terminal:
            subprocess.run(command, stdout=theirs, check=True, env={**os.environ, "NO_COLOR": "", **extra})
            shown = os.read(terminal.fileno(), 65536)
            os.close(theirs)
        assert b"host1@example.org" in shown
        assert (b"\x1b[" in shown) == coloured


@pytest.mark.usefixtures("daemon")
def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*HALMA, "show", "bindings", "--json", "--watch", "--interval", "0.1", "--socket", str(tmp_path / "halma.sock")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert len(json.loads(process.stdout.readline())) == 2
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(10) == 0
