# SPDX-License-Identifier: Apache-2.0
"""What must work on a stock Debian kernel too: run inside the guest of tools/guest, as root, whoever runs the tests.

Always holds: where the guest cannot run, every test here is skipped with the reason.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import pytest

from tests.guest.conftest import Contract
from tools.guest import guest

pytestmark = pytest.mark.guest

if os.environ.get("HALMA_GUEST"):
    pytest.skip("this is the guest", allow_module_level=True)


@pytest.fixture(scope="module", autouse=True)
def kernel() -> None:
    """The guest's kernel is here, or the test is skipped with the reason."""
    if reason := guest.missing():
        pytest.skip(reason)
    try:
        guest.prepare()
    except RuntimeError as error:
        pytest.skip(f"the guest's kernel could not be had: {error}")


def in_guest(command: Sequence[str], timeout: float) -> int:
    """Run a command in the guest, its output on ours; its exit status."""
    sys.stdout.flush()
    return guest.run(command, timeout)


def test_the_exit_status_and_the_output_come_back(capfd: pytest.CaptureFixture[str]) -> None:
    assert in_guest(["sh", "-c", "uname -r; id -u; exit 7"], timeout=60) == 7
    lines = capfd.readouterr().out.split()
    assert "0" in lines
    assert any(line.startswith("6.1.") for line in lines)


def test_what_the_guest_writes_stays_in_the_guest() -> None:
    mark = guest.CHECKOUT / "written-by-the-guest"
    assert in_guest(["touch", str(mark)], timeout=60) == 0
    assert not mark.exists()


def test_a_guest_that_does_not_end_is_ended() -> None:
    assert in_guest(["sleep", "600"], timeout=5) == guest.TIME_WAS_UP


def test_the_forwarding_contract_holds(contract: Contract) -> None:
    assert contract.wait() == 0


def play(*scenarios: str) -> int:
    """Play scenarios of the lab in the guest; the exit status."""
    halma = str(guest.CHECKOUT / ".venv" / "bin" / "halma")
    # A packet each millisecond is more than the guest's one processor can capture when the host is busy.
    return in_guest([halma, "lab", "run", "--pace", "10", *scenarios], timeout=300)


def test_a_host_moves() -> None:
    assert play("pmip-handover") == 0


@pytest.mark.requirement("MN-1", "MN-2")
def test_a_node_moves_where_the_kernel_knows_mobile_ipv6_itself() -> None:
    assert in_guest(["grep", "^mip6 ", "/proc/modules"], timeout=60) == 0
    assert play("a2-leave") == 0
