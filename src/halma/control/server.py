# SPDX-License-Identifier: Apache-2.0
"""The daemon's end of the control socket.

The runner makes `ControlServer(path, handler)`, calls `await server.start()` when the daemon is up and `await server.stop()`
when it goes down. The handler has one method:

    async def answer(self, request: Request) -> Rows

It gives the rows of the answer as an iterable or, for what goes on (`Show(follow=True)`), as an async iterable; rows hold the
engine's own values, `halma.control.rows` turns them into text. It raises `ControlError` to refuse. An iterable is advanced
in pieces with the loop running in between, so it must not iterate over a container that events change: a list of the keys,
made first, is enough.

Always holds: a million rows do not hold the loop up: it turns after every `PIECE` rows, and no more are made until the client
has taken the last; a client that sends too much, or takes nothing for `PATIENCE_SECONDS`, is cut off; nothing that a client
sends reaches anything but `handler.answer`; the socket file is ours alone, and is gone after `stop`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import stat
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from itertools import islice
from pathlib import Path
from typing import Protocol

import msgspec

from halma.control.rows import Row, to_text, wanted
from halma.control.schema import LONGEST_REQUEST, ControlError, Reply, Request, Show, decode_request

PIECE = 50
"""Rows a line: about a millisecond's work. The loop turns between two lines."""
PATIENCE_SECONDS = 10.0
"""How long a client may leave an answer unread."""
MOST_CLIENTS = 32
SOCKET_MODE = 0o660

_LOG = logging.getLogger("halma.control")

Rows = Iterable[Row] | AsyncIterable[Row]


class Handler(Protocol):
    """What the runner has for the server."""

    async def answer(self, request: Request) -> Rows:
        """The rows that answer the request. Raises ControlError."""


class ControlServer:
    """A unix socket at `path` on which any number of clients, up to `MOST_CLIENTS`, ask `handler`."""

    def __init__(self, path: str | Path, handler: Handler, patience: float = PATIENCE_SECONDS) -> None:
        self._path = Path(path)
        self._handler = handler
        self._patience = patience
        self._server: asyncio.Server | None = None
        self._inode: int | None = None
        self._listening: socket.socket | None = None
        self._clients: set[asyncio.Task[None]] = set()

    def claim(self) -> None:
        """Take the path, without answering yet. Raises OSError: EADDRINUSE when another daemon listens there; what a crashed
        one left is replaced."""
        self._listening = _listen(self._path)
        self._inode = os.stat(self._path).st_ino

    async def start(self) -> None:
        """Answer from now on. Raises OSError as `claim` does, if the path is not taken yet."""
        if self._listening is None:
            self.claim()
        listening, self._listening = self._listening, None
        self._server = await asyncio.start_unix_server(self._serve, sock=listening, limit=LONGEST_REQUEST)

    async def stop(self) -> None:
        """Cut every client off and remove the socket."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        clients = list(self._clients)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        with contextlib.suppress(FileNotFoundError):
            if os.stat(self._path).st_ino == self._inode:
                self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        client = _Client(reader, writer, self._handler, self._patience)
        try:
            if len(self._clients) > MOST_CLIENTS:
                await client.send(Reply(error=f"{MOST_CLIENTS} clients are here already"))
            else:
                await client.talk()
        except (ConnectionError, TimeoutError):
            writer.transport.abort()
        except asyncio.CancelledError:
            writer.transport.abort()  # `stop` was called: nothing is left to be said, and nobody to raise to
        finally:
            self._clients.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()


class _Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler, patience: float) -> None:
        self._reader = reader
        self._writer = writer
        self._handler = handler
        self._patience = patience

    async def talk(self) -> None:
        """Answer requests until the client has no more."""
        while True:
            try:
                line = await self._reader.readuntil(b"\n")
            except asyncio.IncompleteReadError:
                return
            except asyncio.LimitOverrunError:
                await self.send(Reply(error=f"a request has {LONGEST_REQUEST} bytes at most"))
                return
            try:
                request = decode_request(line)
                count = await self._answer(request)
            except ControlError as error:
                await self.send(Reply(error=str(error)))
            except (ConnectionError, TimeoutError):
                raise  # the client has gone, or takes nothing
            except Exception as error:
                _LOG.exception("a request was not answered")
                await self.send(Reply(error=f"the daemon failed: {error!r}"))
            else:
                await self.send(Reply(done=count))

    async def send(self, reply: Reply) -> None:
        """Write a line and wait until most of it has been taken. Raises TimeoutError, ConnectionError."""
        self._writer.write(msgspec.json.encode(reply) + b"\n")
        async with asyncio.timeout(self._patience):
            await self._writer.drain()

    async def _answer(self, request: Request) -> int:
        rows = await self._handler.answer(request)
        show = request if isinstance(request, Show) else Show("all")
        passes = wanted(show)
        count = 0
        async for piece in self._pieces(rows):
            chosen = [to_text(row) for row in piece if passes(row)]
            if show.limit and count + len(chosen) >= show.limit:
                chosen = chosen[: show.limit - count]
            count += len(chosen)
            if chosen:
                await self.send(Reply(rows=chosen))
            if show.limit and count == show.limit:
                break
        return count

    async def _pieces(self, rows: Rows) -> AsyncIterator[list[Row]]:
        if isinstance(rows, AsyncIterable):
            async for row in self._until_gone(aiter(rows)):
                yield [row]
            return
        iterator = iter(rows)
        while piece := list(islice(iterator, PIECE)):
            yield piece
            await asyncio.sleep(0)

    async def _until_gone(self, rows: AsyncIterator[Row]) -> AsyncIterator[Row]:
        """What comes until the client closes, or says anything: then it wants no more of it."""
        gone = asyncio.ensure_future(self._reader.read(1))
        coming: asyncio.Future[Row] = asyncio.ensure_future(_next(rows))
        try:
            while True:
                await asyncio.wait((gone, coming), return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    raise ConnectionResetError
                try:
                    yield coming.result()
                except StopAsyncIteration:
                    return
                coming = asyncio.ensure_future(_next(rows))
        finally:
            for future in (gone, coming):
                future.cancel()
            await asyncio.gather(gone, coming, return_exceptions=True)
            close = getattr(rows, "aclose", None)
            if close is not None:
                await close()


async def _next(rows: AsyncIterator[Row]) -> Row:
    return await anext(rows)


def _listen(path: Path) -> socket.socket:
    """A listening socket at `path`, which nobody but its owner and group may connect to at any moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(os.stat(path).st_mode):
                if _somebody_listens(path):
                    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), str(path))
                path.unlink()
        before = os.umask(0o777 & ~SOCKET_MODE)
        try:
            made.bind(str(path))
        finally:
            os.umask(before)
        made.listen(MOST_CLIENTS)
        made.setblocking(False)
    except BaseException:
        made.close()
        raise
    return made


def _somebody_listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
    return True
