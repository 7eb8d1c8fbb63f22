# SPDX-License-Identifier: Apache-2.0
"""A process that keeps a lab up for a person to play in, until it gets SIGTERM.

    python -m halma.lab.keeper NAME

Always holds: it says `up IDENTITY` once every daemon is ready and every host has its address, or why it cannot; when it
ends, the lab is gone.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from halma.lab.network import RUN, alive, labs
from halma.lab.processes import LabError, run
from halma.lab.scenario import Play
from halma.lab.scenarios import play
from halma.lab.session import Lab, interruptible
from halma.lab.topology import Topology
from halma.value import value


@value
class Kept:
    """A lab that somebody keeps up."""

    identity: str
    play: Play
    keeper: int

    @property
    def topology(self) -> Topology:
        """Its network."""
        return self.play.scenario.topology(self.play.conditions)

    def namespace(self, node: str) -> str:
        """The namespace of one of its nodes. Raises LabError when it has no such node."""
        names = [known.name for known in self.topology.nodes]
        if node not in names:
            raise LabError(f"there is no {node!r} in this lab; there are {', '.join(names)}")
        return f"halma-{self.identity}-{node}"

    def environment(self, node: str) -> dict[str, str]:
        """What a command on one of its nodes finds: this `halma`, and the socket of the daemon there, if there is one."""
        found = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"}
        socket = RUN / self.identity / f"{node}.sock"
        return {**found, "HALMA_SOCKET": str(socket)} if socket.exists() else found

    def where(self, host: str) -> str | None:
        """The gateway that a host's link is at, None in the air. Raises LabError."""
        far = self.topology.access_of(host).far
        for node in self.topology.nodes:
            shown = run("ip", "-n", self.namespace(node.name), "-j", "link", "show")
            if any(link.get("ifname") == far for link in json.loads(shown)):
                return node.name
        return None

    def move(self, host: str, gateway: str) -> None:
        """Take a host's link to a gateway. Raises LabError."""
        try:
            far = self.topology.access_of(host).far
        except KeyError:
            raise LabError(f"{host!r} is not a mobile host of this lab") from None
        before = self.where(host)
        source = f"halma-{self.identity}-{before or 'air'}"
        if before != gateway:
            run("ip", "-n", source, "link", "set", far, "netns", self.namespace(gateway))


def kept() -> list[Kept]:
    """The labs that are kept up now."""
    found = []
    for identity, lives in labs().items():
        state = RUN / identity / "kept.json"
        if lives and state.exists():
            told: dict[str, Any] = json.loads(state.read_text())
            found.append(Kept(identity, play(told["play"]), told["keeper"]))
    return found


def gone(identity: str) -> bool:
    """Whether nothing of a lab is there any more."""
    return not alive(identity) and identity not in labs()


def main(arguments: list[str]) -> int:
    """Keep a lab up; its exit status."""
    chosen = play(arguments[0])
    try:
        with interruptible(), Lab(chosen.scenario.topology(chosen.conditions), capture=False) as lab:
            lab.start(chosen.scenario.daemons())
            chosen.scenario.attach(lab)
            (lab.network.directory / "kept.json").write_text(json.dumps({"play": chosen.name, "keeper": os.getpid()}))
            print(f"up {lab.network.identity}", flush=True)
            while True:
                signal.pause()
    except KeyboardInterrupt:
        return 0
    except LabError as error:
        print(error, flush=True)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
