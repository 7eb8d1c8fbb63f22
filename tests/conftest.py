# SPDX-License-Identifier: Apache-2.0
"""What every test may ask for: markers that name what a test needs of the machine, and network namespaces to work in.

    @pytest.mark.root                      root, and the right to make network namespaces
    @pytest.mark.needs("tshark", "nft")    programs
    @pytest.mark.guest                     a stock Debian kernel, booted as a process (tools/guest)
    @pytest.mark.rfc("5213#5.3.5-2")       the normative sentences that the test would catch being broken
    @pytest.mark.requirement("ANC-3")      the requirements (docs/requirements.md) that the test shows

Always holds: a test whose needs are not met is skipped with the need by name, never silently; a namespace that a test made
is gone when the test has ended.
"""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator

import pytest

MARKERS = (
    "root: needs root and the right to make network namespaces",
    "needs(*programs): needs these programs on PATH",
    "guest: boots a stock Debian kernel as a process",
    "rfc(*ids): the normative sentences, such as 5213#5.3.5-2, that the test would catch being broken",
    "requirement(*names): the requirements, such as ANC-3, that the test shows",
)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers, and see that the tests do not judge the code of yesterday."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    for source in map(config.rootpath.joinpath, (config.rootpath / "tools/setup/compiled.txt").read_text().split()):
        for compiled in source.parent.glob(f"{source.stem}.*.so"):
            if compiled.stat().st_mtime < source.stat().st_mtime:
                raise pytest.UsageError(f"{compiled} is older than its source: `make setup` mends that, `make pure` too")


@functools.cache
def namespaces_missing() -> str:
    """Why network namespaces cannot be made here, or nothing."""
    if os.geteuid() != 0:
        return "needs root"
    if shutil.which("ip") is None:
        return "needs the program ip (package iproute2)"
    probe = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, text=True, check=False)
    return "" if probe.returncode == 0 else f"needs the right to make network namespaces: {probe.stderr.strip()}"


def missing(item: pytest.Item) -> str:
    """What a test needs and this machine lacks, or nothing."""
    for marker in item.iter_markers("needs"):
        for program in marker.args:
            if shutil.which(program) is None:
                return f"needs the program {program}"
    if item.get_closest_marker("root") is not None:
        return namespaces_missing()
    return ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose needs are not met."""
    if reason := missing(item):
        pytest.skip(reason)


_numbers = itertools.count()


def run_ip(*arguments: str) -> str:
    """Run `ip` with these arguments; what it printed. Raises CalledProcessError with what it said."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, done.args, done.stdout, done.stderr.strip())
    return done.stdout


@pytest.fixture
def namespace() -> Iterator[Callable[[str], str]]:
    """A factory: `namespace("anchor")` makes a network namespace with its loopback up and gives its name, which no other
    run of the tests uses. Mark the test (or module) `root`."""
    if reason := namespaces_missing():
        pytest.skip(reason)
    made: list[str] = []

    def make(role: str) -> str:
        name = f"halma-{os.getpid()}-{next(_numbers)}-{role}"
        run_ip("netns", "add", name)
        made.append(name)
        run_ip("-n", name, "link", "set", "lo", "up")
        return name

    try:
        yield make
    finally:
        for name in reversed(made):
            run_ip("netns", "delete", name)
