# SPDX-License-Identifier: Apache-2.0
"""Run a command on a stock Debian kernel that is an ordinary process (User-Mode Linux): no /dev/kvm, no root, seconds to boot.

    python tools/guest/guest.py [--timeout SECONDS] [--memory 1G] -- COMMAND [ARGUMENT...]

Most machines that Halma will meet run a distribution's kernel, which has clsact and cls_bpf and no TCX (Debian 12's is 6.1),
while the machine that runs the tests may have a newer or a smaller one. The guest shows that Halma works on the former.

The kernel comes from Debian's package `user-mode-linux`, unpacked under build/guest of the checkout. Inside, the command
runs as root in the checkout's folder and sees all files of the host, under a tmpfs.

Always holds: the host's files stay as they are, except in build/guest; the exit status is the command's own, or 124 when the
time was up, or 125 when the guest did not come to its end by itself.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
FOLDER = CHECKOUT / "build" / "guest"
TREE = FOLDER / "user-mode-linux"
KERNEL = TREE / "usr" / "bin" / "linux.uml"
PACKAGE = "user-mode-linux"

TIME_WAS_UP = 124
NO_EXIT_STATUS = 125


def missing() -> str:
    """Why the guest cannot run here, or nothing. Costs no download."""
    if platform.machine() != "x86_64":
        return f"the guest's kernel is for x86_64, not {platform.machine()}"
    if shutil.which("busybox") is None:
        return "the guest needs the program busybox (package busybox-static)"
    if not KERNEL.exists():
        for program in ("apt-get", "dpkg"):
            if shutil.which(program) is None:
                return f"the guest's kernel is a Debian package, and there is no {program} to get it with"
        known = subprocess.run(["apt-cache", "show", PACKAGE], capture_output=True, check=False)
        if known.returncode != 0:
            return f"this system's package sources have no {PACKAGE}"
    return ""


def prepare() -> None:
    """Get the kernel, once. Raises RuntimeError with what the package tools said."""
    if KERNEL.exists():
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as name:
        folder = Path(name)
        _quietly(["apt-get", "download", "--quiet", PACKAGE], folder)
        (package,) = folder.glob(f"{PACKAGE}_*.deb")
        _quietly(["dpkg", "--extract", str(package), str(folder / "tree")], folder)
        if TREE.exists():
            shutil.rmtree(TREE)
        (folder / "tree").rename(TREE)


def _quietly(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{shlex.join(command)}: {done.stderr.strip() or done.stdout.strip()}")


def run(command: Sequence[str], timeout: float, memory: str = "1G") -> int:
    """Boot the guest, run `command` in it as root in the checkout's folder, with its output on our standard output; its
    exit status. After `timeout` seconds the guest is ended."""
    (modules,) = (TREE / "usr" / "lib" / "uml" / "modules").iterdir()
    with tempfile.TemporaryDirectory(dir=FOLDER, prefix="run-") as name:
        shared = Path(name)
        (shared / "command").write_text(f"cd {shlex.quote(str(CHECKOUT))}\n{_environment()}exec {shlex.join(command)}\n")
        arguments = [
            str(KERNEL),
            f"mem={memory}",
            "root=/dev/root",
            "rootfstype=hostfs",
            "rootflags=/",
            "ro",
            "quiet",
            "loglevel=1",
            f"init={Path(__file__).with_name('init.sh')}",
            f"uml_dir={shared}/",
            f"halma_shared={shared}",
            f"halma_modules={modules}",
            f"halma_busybox={shutil.which('busybox')}",
            "con0=null,fd:1",
            "con=null",
            "ssl=null",
        ]
        # The guest's memory is a file that it maps and forgets at once: it belongs in memory, not on the disk.
        environment = {**os.environ, "TMPDIR": "/dev/shm" if os.access("/dev/shm", os.W_OK) else name}
        with (
            _terminal_kept(),
            subprocess.Popen(arguments, stdin=subprocess.DEVNULL, env=environment, start_new_session=True) as guest,
        ):
            try:
                guest.wait(timeout)
            except subprocess.TimeoutExpired:
                print(f"guest: ended after {timeout:.0f} s", flush=True)
                return TIME_WAS_UP
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(guest.pid, signal.SIGKILL)
        try:
            return int((shared / "exit-code").read_text())
        except FileNotFoundError:
            return NO_EXIT_STATUS


def _environment() -> str:
    """What of our environment the command is to see."""
    kept = {"PYTHONDONTWRITEBYTECODE": "1", "HALMA_GUEST": "1", "LANG": "C.UTF-8"}
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in kept.items())


@contextlib.contextmanager
def _terminal_kept() -> Iterator[None]:
    """User-Mode Linux puts a terminal on its output into raw mode; leave it as it was."""
    if not sys.stdout.isatty():
        yield
        return
    import termios  # noqa: PLC0415 -- only where there is a terminal

    before = termios.tcgetattr(sys.stdout)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdout, termios.TCSADRAIN, before)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; gives the exit status."""
    parser = argparse.ArgumentParser(description="Run a command on a stock Debian kernel.")
    parser.add_argument("--timeout", type=float, default=300, help="seconds after which the guest is ended (default 300)")
    parser.add_argument("--memory", default="1G", help="the guest's memory (default 1G)")
    parser.add_argument("command", nargs="+")
    chosen = parser.parse_args(arguments)
    if reason := missing():
        print(f"guest: {reason}", file=sys.stderr)
        return 1
    try:
        prepare()
    except RuntimeError as error:
        print(f"guest: {error}", file=sys.stderr)
        return 1
    return run(chosen.command, chosen.timeout, chosen.memory)


if __name__ == "__main__":
    sys.exit(main())
