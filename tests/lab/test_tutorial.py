# SPDX-License-Identifier: Apache-2.0
"""The tutorial stays true where a program can tell without playing it: its commands can be typed, and what they name exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from halma.cli.application import application
from halma.lab.scenario import IDEAL
from halma.lab.scenarios import play, plays
from halma.lab.topology import Kind

TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```\n(.*?)^```", re.MULTILINE | re.DOTALL)
QUESTION = re.compile(r"^(\d+)\. ", re.MULTILINE)
OTHERS = {"make", "export", "cd", "sleep"}
"""Commands that are not ours."""


def commands() -> list[list[str]]:
    """The commands of the tutorial in their order, as a shell would take them apart: the blocks that begin with one."""
    found = []
    for block in BLOCK.findall(TUTORIAL.read_text()):
        lines = block.splitlines()
        if lines[0].split()[0] in {"halma", *OTHERS}:
            found += [shlex.split(line, comments=True) for line in lines]
    return found


def halma_commands() -> list[list[str]]:
    """Those that are ours, without `halma`."""
    return [command[1:] for command in commands() if command[0] == "halma"]


def understood(arguments: list[str]) -> None:
    """Take a command's arguments apart as the command line does, and run nothing. Raises typer.TyperException."""
    command: Any = get_command(application)
    context: Any = None
    name = "halma"
    while hasattr(command, "list_commands"):
        context = command.context_class(command, info_name=name, parent=context)
        chosen = command.get_command(context, arguments[0])
        if chosen is None:
            raise typer.BadParameter(f"{name} has no command {arguments[0]!r}")
        name, command, arguments = arguments[0], chosen, arguments[1:]
    command.make_context(name, list(arguments), parent=context)


def test_there_is_something_to_type() -> None:
    assert len(halma_commands()) > 25
    assert {command[0] for command in commands()} == {"halma", *OTHERS}


@pytest.mark.parametrize("command", halma_commands(), ids=" ".join)
def test_each_command_is_one(command: list[str]) -> None:
    understood(command)


@pytest.mark.parametrize("command", ["lab play a2-leave", "lab run a2-leave --colour", "lab move mn", "show nonsense"])
def test_what_is_no_command_is_found(command: str) -> None:
    with pytest.raises(typer.TyperException):
        understood(shlex.split(command))


def scenarios_of(command: list[str]) -> list[str]:
    """The scenarios that a command names."""
    if command[:2] not in (["lab", "run"], ["lab", "up"]):
        return []
    names = []
    rest = iter(command[2:])
    for word in rest:
        if word in {"--out", "--delay", "--loss", "--pace"}:
            next(rest)
        elif not word.startswith("-"):
            names.append(word)
    return names


def test_each_scenario_that_is_played_exists() -> None:
    names = [name for command in halma_commands() for name in scenarios_of(command)]
    assert not set(names) - {one.name for one in plays()}
    assert {name.split("-")[0] for name in names} >= {"pmip", "a1", "a2", "b", "split"}


def test_who_is_spoken_to_in_a_lab_is_in_it() -> None:
    network, spoken = None, 0
    for command in halma_commands():
        if command[:2] == ["lab", "up"]:
            network = play(command[2]).scenario.topology(IDEAL)
        elif command[:2] == ["lab", "down"]:
            network = None
        elif command[0] == "lab" and command[1] in {"exec", "move"}:
            assert network is not None, f"no lab is up for {command}"
            network.node(command[2])
            spoken += 1
            if command[1] == "move":
                assert network.node(command[2]).kind is Kind.HOST
                assert network.node(command[3]).kind in {Kind.GATEWAY, Kind.ROUTER}
            elif command[3] == "halma":
                understood(command[4:])
    assert network is None, "a lab stays up"
    assert spoken > 10


def test_what_is_looked_into_was_made_before() -> None:
    """Directories that a command reads, and reports that the text names."""
    made = {command[command.index("--out") + 1] for command in halma_commands() if "--out" in command}
    read = [command[-1].split("/")[0] for command in halma_commands() if command[0] == "decode" or command[1] == "judge"]
    named = re.findall(r"`([\w-]+)/report\.html`", TUTORIAL.read_text())
    assert read
    assert named
    assert {*read, *named} <= made


def test_each_question_has_its_answer() -> None:
    text, answers = TUTORIAL.read_text().split("## Answers")
    asked = [int(number) for number in QUESTION.findall(text)]
    assert asked == list(range(1, len(asked) + 1))
    assert [int(number) for number in QUESTION.findall(answers)] == asked
