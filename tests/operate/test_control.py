# SPDX-License-Identifier: Apache-2.0
"""The control socket, from both ends: what is asked is answered, and nothing that a client does hurts the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import socket
import stat
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from halma.control.client import ControlClient
from halma.control.rows import to_text
from halma.control.schema import (
    LONGEST_REQUEST,
    Address,
    Attach,
    ControlError,
    Detach,
    Identifier,
    LinkLayerAddress,
    PrefixFilter,
    Reload,
    Request,
    Retry,
    Revoke,
    Show,
    decode_request,
    encode_request,
)
from halma.control.server import MOST_CLIENTS, PIECE, ControlServer, Rows
from halma.text import read_address, read_prefix

GATEWAY = read_address("2001:db8:2::1")
HOST = {
    "node": b"host1@example.org",
    "prefixes": [(read_address("2001:db8:100:1::"), 64)],
    "gateway": GATEWAY,
    "state": "registered",
    "access_technology": 3,
    "link_layer_identifier": bytes.fromhex("020000000101"),
    "remaining_seconds": 12.34567,
}
OTHER = {**HOST, "node": b"other", "gateway": read_address("2001:db8:2::2"), "prefixes": []}


class Daemon:
    """A handler of rows that a test chooses, in a loop of its own, with its server."""

    def __init__(self, path: Path, patience: float = 5.0) -> None:
        self.path = path
        self.asked: list[Request] = []
        self.made = 0
        self.following = 0
        self.rows: list[dict[str, object]] = [HOST, OTHER]
        self._patience = patience
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop: asyncio.Event
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._live(),))

    async def answer(self, request: Request) -> Rows:
        self.asked.append(request)
        if isinstance(request, Revoke):
            raise ControlError("there is no such node")
        if isinstance(request, Reload):
            raise RuntimeError("a bug of the handler")
        if isinstance(request, Show) and request.follow:
            return self._endless()
        return self._counted()

    def _counted(self) -> Iterator[dict[str, object]]:
        for row in self.rows:
            self.made += 1
            yield row

    async def _endless(self) -> AsyncIterator[dict[str, object]]:
        self.following += 1
        try:
            yield {"text": "first"}
            await asyncio.Event().wait()
        finally:
            self.following -= 1

    async def _live(self) -> None:
        self._stop = asyncio.Event()
        server = ControlServer(self.path, self, self._patience)
        await server.start()
        self._ready.set()
        await self._stop.wait()
        await server.stop()

    def run_in_loop(self, function: Any) -> Any:
        """Call a function in the daemon's loop, and wait for what it gives."""

        async def call() -> Any:
            return function()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(10)

    def __enter__(self) -> Daemon:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._loop.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "halma.sock"


@pytest.fixture
def daemon(path: Path) -> Iterator[Daemon]:
    with Daemon(path) as made:
        yield made


def ask(path: Path, request: Request) -> list[dict[str, Any]]:
    with contextlib.closing(ControlClient(path, 10)) as client:
        return list(client.ask(request))


def raw(path: Path, sent: bytes) -> list[dict[str, Any]]:
    """All that the daemon says to these bytes."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        heard = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := client.recv(65536):
                heard += piece
    return [json.loads(line) for line in heard.splitlines()]


def test_rows_come_as_text(daemon: Daemon) -> None:
    host, other = ask(daemon.path, Show("bindings"))
    assert host == {
        "node": "host1@example.org",
        "prefixes": ["2001:db8:100:1::/64"],
        "gateway": "2001:db8:2::1",
        "state": "registered",
        "access_technology": "IEEE_802_3",
        "link_layer_identifier": "02:00:00:00:01:01",
        "remaining_seconds": 12.346,
    }
    assert other["node"] == "other"


@pytest.mark.parametrize(
    ("filters", "nodes"),
    [
        ({}, ["host1@example.org", "other"]),
        ({"node": Identifier(b"*@example.org")}, ["host1@example.org"]),
        ({"node": Identifier(b"nobody")}, []),
        ({"peer": Address(GATEWAY)}, ["host1@example.org"]),
        ({"prefix": PrefixFilter(bytes(read_address("2001:db8:100:1::9")) + b"\x80")}, ["host1@example.org"]),
        ({"prefix": PrefixFilter(read_address("2001:db8:100::") + bytes([40]))}, ["host1@example.org"]),
        ({"prefix": PrefixFilter(read_address("2001:db8:100:2::") + bytes([64]))}, []),
        ({"limit": 1}, ["host1@example.org"]),
    ],
)
def test_filters_choose_rows(daemon: Daemon, filters: dict[str, Any], nodes: list[str]) -> None:
    assert [row["node"] for row in ask(daemon.path, Show("bindings", **filters))] == nodes
    daemon.rows = [to_text(row) for row in daemon.rows]  # a daemon whose rows are text already
    assert [row["node"] for row in ask(daemon.path, Show("bindings", **filters))] == nodes


@pytest.mark.parametrize(
    "request_",
    [
        Show("sessions", Identifier(b"n"), PrefixFilter(bytes(16) + b"\x40"), Address(GATEWAY), 5, True),
        Revoke(peer=Address(GATEWAY), realm="example.org"),
        Attach("ap0", LinkLayerAddress(bytes(6)), Identifier(b"n"), 3, 4),
        Detach(LinkLayerAddress(bytes.fromhex("020000000101"))),
        Retry(),
        Reload(),
    ],
)
def test_a_request_survives_the_wire(request_: Request) -> None:
    line = encode_request(request_)
    assert line.count(b"\n") == 1
    assert decode_request(line) == request_


def test_several_requests_use_one_connection(daemon: Daemon) -> None:
    with ControlClient(daemon.path) as client:
        assert len(list(client.ask(Show("bindings")))) == 2
        with pytest.raises(ControlError, match="there is no such node"):
            list(client.ask(Revoke(node=Identifier(b"x"))))
        assert len(list(client.ask(Show("bindings", limit=1)))) == 1


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"", "not a request"),
        (b"{", "not a request"),
        (b"\xff\xfe", "not a request"),
        (b"[]", "not a request: Expected `object`, got `array`"),
        (b'{"request": "destroy"}', "not a request: Invalid value 'destroy' - at `$.request`"),
        (b'{"request": "show", "what": "secrets"}', "not a request: Invalid enum value 'secrets' - at `$.what`"),
        (b'{"request": "show", "what": "bindings", "nod": "x"}', "not a request: Object contains unknown field `nod`"),
        (b'{"request": "show", "what": "bindings", "peer": "x"}', 'not a request: "x" is not an IPv6 address - at `$.peer`'),
        (b'{"request": "show", "what": "bindings", "peer": 5}', "not a request: a string is needed - at `$.peer`"),
        (b'{"request": "show", "what": "bindings", "limit": "5"}', "not a request: Expected `int`, got `str` - at `$.limit`"),
        (b'{"request": "attach", "interface": "a"}', "not a request: Object missing required field `link_layer_address`"),
        (b'{"request": "revoke", "node": "' + b"n" * 300 + b'"}', "not a request: "),
        (b"[" * 10000, "not a request: "),
    ],
)
def test_garbage_is_refused_and_the_connection_goes_on(daemon: Daemon, line: bytes, error: str) -> None:
    refusal, *rest = raw(daemon.path, line + b"\n" + encode_request(Show("bindings", limit=1)))
    assert refusal["error"].startswith(error)
    assert [next(iter(reply)) for reply in rest] == ["rows", "done"]
    assert daemon.asked == [Show("bindings", limit=1)]


def test_a_request_that_is_too_long_ends_the_connection(daemon: Daemon) -> None:
    heard = raw(daemon.path, b"x" * (4 * LONGEST_REQUEST))
    assert heard in ([], [{"error": f"a request has {LONGEST_REQUEST} bytes at most"}])  # a reset may overtake the answer
    assert daemon.asked == []
    assert len(ask(daemon.path, Show("bindings"))) == 2


def test_an_unfinished_line_is_no_request(daemon: Daemon) -> None:
    assert raw(daemon.path, encode_request(Reload())[:-1]) == []
    assert daemon.asked == []


def test_a_bug_in_the_handler_is_told_and_does_not_end_the_daemon(daemon: Daemon) -> None:
    with pytest.raises(ControlError, match="the daemon failed: RuntimeError"):
        ask(daemon.path, Reload())
    assert len(ask(daemon.path, Show("bindings"))) == 2


def test_a_client_that_does_not_read_holds_up_nobody(path: Path) -> None:
    with Daemon(path, patience=0.2) as daemon:
        daemon.rows = [HOST] * 1_000_000
        with socket.socket(socket.AF_UNIX) as lazy:
            lazy.settimeout(10)
            lazy.connect(str(path))
            lazy.sendall(encode_request(Show("bindings")))
            assert len(ask(path, Show("bindings", limit=3))) == 3
            assert daemon.made < 500_000  # rows are made as they are taken
            heard = 0
            with contextlib.suppress(ConnectionResetError):
                while len(lazy.recv(1 << 20)) > 0:  # what was on its way, and then the end
                    heard += 1
                    if heard == 1:
                        threading.Event().wait(1.0)
        assert daemon.made < 1_000_000


def test_rows_are_made_as_the_client_takes_them_and_the_loop_turns_meanwhile(daemon: Daemon) -> None:
    daemon.rows = [HOST] * (100 * PIECE)
    with ControlClient(daemon.path) as client:
        rows = client.ask(Show("bindings"))
        next(rows)
        assert daemon.run_in_loop(lambda: daemon.made) < 100 * PIECE
        assert sum(1 for _ in rows) == 100 * PIECE - 1


def test_following_goes_on_until_the_client_leaves(daemon: Daemon) -> None:
    with ControlClient(daemon.path) as client:
        assert next(client.ask(Show("events", follow=True))) == {"text": "first"}
        assert daemon.following == 1
    for _ in range(1000):
        if not daemon.run_in_loop(lambda: daemon.following):
            break
    assert daemon.following == 0


def test_too_many_clients_are_refused(daemon: Daemon) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(MOST_CLIENTS):
            client = stack.enter_context(ControlClient(daemon.path))
            list(client.ask(Show("bindings", limit=1)))
        with pytest.raises(ControlError, match=f"{MOST_CLIENTS} clients are here already|the daemon has gone"):
            ask(daemon.path, Show("bindings"))
    for _ in range(1000):
        if daemon.run_in_loop(lambda: len(asyncio.all_tasks())) <= 2:
            break
    assert len(ask(daemon.path, Show("bindings"))) == 2


def test_nobody_but_owner_and_group_may_ask(daemon: Daemon) -> None:
    assert stat.S_IMODE(daemon.path.stat().st_mode) == 0o660


def test_the_socket_is_gone_when_the_daemon_is(path: Path) -> None:
    with Daemon(path), ControlClient(path) as client:
        list(client.ask(Show("bindings")))
    assert not path.exists()
    with pytest.raises(ControlError, match="there is no socket"):
        ControlClient(path)


def test_a_client_is_told_that_the_daemon_has_gone(path: Path) -> None:
    with Daemon(path):
        client = ControlClient(path)
        list(client.ask(Show("bindings")))
    with client, pytest.raises(ControlError, match="the daemon has gone"):
        list(client.ask(Show("bindings")))


def test_what_a_crashed_daemon_left_is_replaced(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(str(path))
    with pytest.raises(ControlError, match="nobody listens"):
        ControlClient(path)
    with Daemon(path):
        assert len(ask(path, Show("bindings"))) == 2


def test_a_running_daemon_keeps_its_socket(daemon: Daemon) -> None:
    with pytest.raises(OSError, match=os.strerror(errno.EADDRINUSE)) as caught:
        asyncio.run(ControlServer(daemon.path, daemon).start())
    assert caught.value.errno == errno.EADDRINUSE
    assert len(ask(daemon.path, Show("bindings"))) == 2


def test_a_file_that_is_no_socket_is_left_alone(path: Path, daemon: Daemon) -> None:
    other = path.with_name("precious")
    other.write_text("data")
    with pytest.raises(OSError, match=os.strerror(errno.EADDRINUSE)):
        asyncio.run(ControlServer(other, daemon).start())
    assert other.read_text() == "data"


def test_a_successor_s_socket_is_left_alone(path: Path) -> None:
    with Daemon(path):
        path.unlink()
        with socket.socket(socket.AF_UNIX) as successor:
            successor.bind(str(path))
    assert path.exists()


def test_a_daemon_that_says_nothing_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()
        with ControlClient(tmp_path / "s", timeout=0.05) as client, pytest.raises(ControlError, match="is silent"):
            list(client.ask(Show("bindings")))


def test_bytes_of_the_network_are_escaped() -> None:
    assert to_text({"node": b"\x1b[2J\n", "link_layer_identifier": bytes(2), "prefix": read_prefix("2001:db8::/64")}) == {
        "node": r"\x1b[2J\x0a",
        "link_layer_identifier": "",
        "prefix": "2001:db8::/64",
    }
