# SPDX-License-Identifier: Apache-2.0
"""Which Halma this is.

Always holds: the version is the installed package's.
"""

from __future__ import annotations

import platform
from importlib import metadata


def version_text() -> str:
    """One line for `halma --version`."""
    return f"halma {metadata.version('halma')} (Python {platform.python_version()})"
