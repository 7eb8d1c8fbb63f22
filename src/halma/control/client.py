# SPDX-License-Identifier: Apache-2.0
"""The asking end of the control socket: blocking, for commands.

Always holds: `ask` gives rows as they come, so a million of them need no memory; it raises `ControlError` alone.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from halma.control.schema import ControlError, Reply, Request, encode_request

_REPLIES = msgspec.json.Decoder(Reply)


class ControlClient:
    """A connection to the daemon whose socket is at `path`. `timeout` is how long it may be silent, in seconds."""

    def __init__(self, path: str | Path, timeout: float | None = 30.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(str(path))
        except FileNotFoundError:
            self._socket.close()
            raise ControlError(f"no daemon runs here: there is no socket {path}") from None
        except ConnectionRefusedError:
            self._socket.close()
            raise ControlError(f"no daemon runs here: nobody listens on {path}") from None
        except OSError as error:
            self._socket.close()
            raise ControlError(f"cannot reach the daemon at {path}: {error.strerror or error}") from None
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the socket back."""
        self._lines.close()
        self._socket.close()

    def ask(self, request: Request) -> Iterator[dict[str, Any]]:
        """The rows of the answer. Raises ControlError when the daemon refuses, is silent, or goes away."""
        try:
            self._socket.sendall(encode_request(request))
            for line in self._lines:
                reply = _REPLIES.decode(line)
                if reply.error is not None:
                    raise ControlError(reply.error)
                if reply.done is not None:
                    return
                yield from reply.rows or ()
        except TimeoutError:
            raise ControlError("the daemon is silent") from None
        except OSError as error:
            raise ControlError(f"the daemon has gone: {error.strerror or error}") from None
        except msgspec.MsgspecError as error:
            raise ControlError(f"not a daemon of this version: {error}") from None
        raise ControlError("the daemon has gone")
