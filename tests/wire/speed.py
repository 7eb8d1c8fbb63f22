# SPDX-License-Identifier: Apache-2.0
"""How long the coder takes for the messages of a busy anchor: `python -m tests.wire.speed`.

The aim, in CPython 3.11 on a core of 2024: a Proxy Binding Update with seven options decoded in 5 us and an acknowledgement
with seven options encoded in 4 us, each with its checksum. Prints the best of several rounds in processor time, because
everything else on the machine can only make it slower.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from halma.wire import decode, encode
from halma.wire.messages import BindingAcknowledgement, Heartbeat
from halma.wire.options import RestartCounter
from tests.wire.samples import ANCHOR, GATEWAY, MESSAGES, PROXY_OPTIONS


def best(action: Callable[[], object], rounds: int = 15, times: int = 10_000) -> float:
    """The least time of one call, in microseconds, over all rounds."""
    results = []
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(times):
            action()
        results.append((time.process_time() - start) / times * 1e6)
    return min(results)


def main() -> None:
    """Print one line for each thing measured."""
    update = encode(MESSAGES[5], GATEWAY, ANCHOR)
    acknowledgement = BindingAcknowledgement(0, 0x20, 7, 900, PROXY_OPTIONS)
    heartbeat = encode(Heartbeat(1, 9, (RestartCounter(3),)), GATEWAY, ANCHOR)
    measured: tuple[tuple[str, Callable[[], object]], ...] = (
        (f"decode a PBU with seven options ({len(update)} octets)", lambda: decode(update, GATEWAY, ANCHOR)),
        ("encode a PBA with seven options", lambda: encode(acknowledgement, ANCHOR, GATEWAY)),
        ("decode a Heartbeat response", lambda: decode(heartbeat, GATEWAY, ANCHOR)),
    )
    for what, action in measured:
        print(f"{best(action):8.2f} us  {what}")


if __name__ == "__main__":
    main()
