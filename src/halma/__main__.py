# SPDX-License-Identifier: Apache-2.0
"""`python -m halma` is the command `halma`."""

from __future__ import annotations

from halma.cli import main

main()
