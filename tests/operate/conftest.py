# SPDX-License-Identifier: Apache-2.0
"""What several tests of configuration files ask for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Write a configuration file; where it is."""

    def write_file(text: str) -> Path:
        path = tmp_path / "halma.toml"
        path.write_text(text)
        return path

    return write_file
