# SPDX-License-Identifier: Apache-2.0
"""What the lab's tests ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Records of a run without a fault."""
    return World(tmp_path)
