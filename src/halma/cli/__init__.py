# SPDX-License-Identifier: Apache-2.0
"""The command `halma`: daemons, what asks them, the lab, benchmarks and the decoder.

Always holds: a command's module is imported when the command is used, so that `halma show` does not wait for the lab; exit
status 0 is success, 1 failure of what was asked, 2 wrong use.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; ends the process."""
    if sys.argv[1:] == ["--version"]:  # the quickest question there is
        from halma.cli.version import version_text  # noqa: PLC0415

        print(version_text())
        sys.exit(0)
    from halma.cli.application import application  # noqa: PLC0415

    application()
