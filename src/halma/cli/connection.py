# SPDX-License-Identifier: Apache-2.0
"""How commands find the daemon that is meant, and what all of them do when it refuses.

Always holds: without `--socket` and `HALMA_SOCKET`, a daemon is asked only when it is clear which.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from halma.control.client import ControlClient
from halma.control.schema import Address, ControlError, Identifier, LinkLayerAddress, PrefixFilter
from halma.text import read_address, read_identifier, read_link_layer_address, read_prefix

DIRECTORY = Path("/run/halma")
ANCHOR_ONLY = ("bindings", "home_bindings", "groups", "revoke")
GATEWAY_ONLY = ("sessions", "attach", "detach")
NODE_ONLY = ("registration",)

SocketPath = Annotated[
    Path | None,
    typer.Option(
        "--socket",
        "-s",
        metavar="PATH",
        envvar="HALMA_SOCKET",
        help="The daemon's control socket. Default: the one in /run/halma.",
        show_default=False,
    ),
]

T = TypeVar("T", bound=bytes)


def _parser(kind: type[T], read: Callable[[str], bytes]) -> Callable[[str], T]:
    def parse(text: str) -> T:
        try:
            return kind(read(text))
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    return parse


def _read_prefix_filter(text: str) -> bytes:
    prefix = read_prefix(text if "/" in text else f"{text}/128")
    return prefix.address + bytes([prefix.length])


ADDRESS = _parser(Address, read_address)
NODE = _parser(Identifier, read_identifier)
PREFIX = _parser(PrefixFilter, _read_prefix_filter)
LINK_LAYER_ADDRESS = _parser(LinkLayerAddress, read_link_layer_address)


def find_socket(given: Path | None, what: str) -> Path:
    """The control socket of the daemon that is meant. Raises ControlError."""
    if given is not None:
        return given
    if what in ANCHOR_ONLY and what != "revoke":
        return DIRECTORY / "anchor.sock"
    if what in GATEWAY_ONLY:
        return DIRECTORY / "gateway.sock"
    if what in NODE_ONLY:
        return DIRECTORY / "node.sock"
    try:
        found = sorted(DIRECTORY.glob("*.sock"))
    except OSError:
        found = []
    if len(found) > 1:
        names = ", ".join(map(str, found))
        raise ControlError(f"more than one daemon runs here; say which with --socket: {names}")
    if not found:
        raise ControlError(f"no daemon runs here: there is no socket in {DIRECTORY}")
    return found[0]


def open_client(given: Path | None, what: str, timeout: float | None = 30.0) -> ControlClient:
    """A connection to the daemon that is meant. Raises ControlError."""
    return ControlClient(find_socket(given, what), timeout)


@contextlib.contextmanager
def ended() -> Iterator[None]:
    """What a command does when the daemon refuses (exit status 1), when it is interrupted, and when its reader has gone."""
    try:
        yield
    except ControlError as error:
        print(f"halma: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is left to be flushed at the end
        raise typer.Exit(0) from None
