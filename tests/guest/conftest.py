# SPDX-License-Identifier: Apache-2.0
"""The forwarding contract takes the guest three minutes on one processor. Where other tests run too, they go first, and the
guest works meanwhile.

Always holds: no test that plays scenarios or measures, and so minds its neighbours, runs beside the guest; the guest ends with
the tests.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.guest import guest

CONTRACT = "test_the_forwarding_contract_holds"
# What is chosen there by itself is clsact, so the contract need not run over it twice; TUN asks no more there than here.
COMMAND = [
    *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no"),
    *("-k", "not [clsact] and not [tun]", "tests/forwarding"),
]
SECONDS = 900
MIND_NEIGHBOURS = frozenset(("lab", "bench"))
"""Folders whose tests, where they need root, want the machine for themselves."""


class Contract:
    """The run of the contract in the guest, and what it has printed."""

    def __init__(self) -> None:
        guest.FOLDER.mkdir(parents=True, exist_ok=True)
        self._output = guest.FOLDER / "contract.log"
        command = [sys.executable, str(Path(guest.__file__)), "--timeout", str(SECONDS), "--", *COMMAND]
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)

    def wait(self) -> int:
        """Until it has ended; the exit status. Its output is on ours then."""
        status = self._process.wait(SECONDS + 60)
        print(self._output.read_text(errors="replace"))
        return status

    def close(self) -> None:
        """End it, if it has not ended."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # by which it ends its guest
            self._process.wait(60)


_begun: list[Contract] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that do not mind the guest beside them, those of the guest, and the others, each in their order."""
    if any(item.name == CONTRACT for item in items):
        items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    if item.get_closest_marker("guest") is not None:
        return 1
    minds = item.get_closest_marker("root") is not None and not MIND_NEIGHBOURS.isdisjoint(item.path.parts)
    return 2 if minds else 0


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin at once, if there is something to do meanwhile."""
    if session.config.option.collectonly or guest.missing() or not session.items:
        return
    if _place(session.items[0]) == 0 and any(item.name == CONTRACT for item in session.items):
        _begun.append(Contract())


def pytest_sessionfinish() -> None:
    """Whatever became of the tests, the guest ends."""
    for contract in _begun:
        contract.close()


@pytest.fixture
def contract() -> Iterator[Contract]:
    """The run of the contract, begun before or now."""
    made = _begun[0] if _begun else Contract()
    yield made
    made.close()
