# SPDX-License-Identifier: Apache-2.0
"""What several tests of sockets ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.netio.links import Pair


@pytest.fixture
def pair(namespace: Callable[[str], str]) -> Iterator[Pair]:
    """A gateway's end and a node's end of a link."""
    made = Pair(namespace)
    yield made
    made.close()
