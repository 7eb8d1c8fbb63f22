# SPDX-License-Identifier: Apache-2.0
"""Processes in the lab's namespaces: started, watched, stopped, and never left behind.

Always holds: a process that the lab started ends when the lab ends, also when the lab is killed (the kernel sends it SIGKILL
then); what it printed is in a file of the run directory; nothing is ever ended by name.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from halma.value import value

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    """The lab could not do what it was asked; the message is for a person."""


def enter_namespace(name: str) -> None:
    """Move the calling thread into a named network namespace. Raises OSError."""
    descriptor = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(descriptor, CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, f"setns to {name}: {os.strerror(number)}")
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def inside(name: str) -> Iterator[None]:
    """Run a block with the calling thread in a named network namespace, and come back."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter_namespace(name)
        try:
            yield
        finally:
            if _libc.setns(home, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "cannot return to the namespace of the lab")
    finally:
        os.close(home)


def _die_with_parent() -> None:
    """In a child, before it runs: be killed when the lab dies, and do not hear the terminal's ctrl-C (the lab does)."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


@value
class Process:
    """A running program of the lab. `log` has what it printed."""

    name: str
    node: str
    arguments: tuple[str, ...]
    handle: subprocess.Popen[bytes]
    log: Path

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self.handle.poll() is None

    def tail(self, lines: int = 12) -> str:
        """The end of what it printed."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def stop(self, patience: float = 10.0) -> int:
        """Ask it to end (SIGTERM) and wait; after `patience` seconds end it. Its exit status, negative for a signal."""
        ask([self])
        return finish([self], patience)[0]


def ask(processes: Iterable[Process], number: signal.Signals = signal.SIGTERM) -> None:
    """Send every process that still runs a signal, SIGTERM if not said otherwise."""
    for process in processes:
        if process.running:
            process.handle.send_signal(number)


def finish(processes: Sequence[Process], patience: float = 10.0) -> list[int]:
    """Wait until all have ended, `patience` seconds in all; who has not by then is killed. Their exit statuses."""
    limit = time.monotonic() + patience
    for process in processes:
        try:
            process.handle.wait(max(0.0, limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.handle.kill()
            process.handle.wait()
    return [process.handle.returncode for process in processes]


def spawn(
    name: str,
    node: str,
    namespace: str | None,
    arguments: Sequence[str],
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
    keep_input: bool = False,
) -> Process:
    """Start a program, in a namespace where one is named (as `ip netns exec` does it, so that /sys shows that namespace),
    with its output going to `log`. With `keep_input` its standard input is a pipe.

    Raises LabError when the program does not exist.
    """
    command = ["ip", "netns", "exec", namespace, *arguments] if namespace else list(arguments)
    with log.open("ab") as output:
        try:
            handle = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if keep_input else subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 (a lab has one thread)
            )
        except FileNotFoundError as missing:
            raise LabError(f"the program {missing.filename!r} is not installed") from None
    return Process(name, node, tuple(arguments), handle, log)


def run(*arguments: str, text: str | None = None) -> str:
    """Run a short program to its end; what it printed. Raises LabError with what it said."""
    try:
        done = subprocess.run(
            arguments, input=text, capture_output=True, text=True, check=False, start_new_session=True, timeout=60
        )
    except FileNotFoundError:
        raise LabError(f"the program {arguments[0]!r} is not installed") from None
    if done.returncode:
        raise LabError(f"{' '.join(arguments)}: {done.stderr.strip() or f'exit status {done.returncode}'}")
    return done.stdout
