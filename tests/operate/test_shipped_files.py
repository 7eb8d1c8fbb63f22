# SPDX-License-Identifier: Apache-2.0
"""What is shipped beside the code and must agree with it: example configurations, units, reference pages."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from halma.daemon.configuration import AnchorConfiguration, GatewayConfiguration, NodeConfiguration, load
from halma.daemon.configuration_reader import Reader, declared, unwrap
from tools import command_page, configuration_page

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLES: dict[str, type[msgspec.Struct]] = {
    "anchor": AnchorConfiguration,
    "gateway": GatewayConfiguration,
    "node": NodeConfiguration,
}
COMMENTED_HEADING = re.compile(r"^# (\[\[[a-z_]+\]\])$", re.MULTILINE)
KEY_FILE = re.compile(r"^key_file = .*$", re.MULTILINE)
COMMENTED_KEY = re.compile(r"^# ([a-z_]+ = .*)$", re.MULTILINE)


def tables(kind: type[msgspec.Struct], path: str = "") -> dict[str, type[msgspec.Struct]]:
    """Every table of a file by its heading."""
    found: dict[str, type[msgspec.Struct]] = {}
    for field in declared(kind):
        inner = unwrap(field.type)[0]
        if isinstance(inner, inspect.VarTupleType):
            inner = unwrap(inner.item_type)[0]
        if isinstance(inner, inspect.StructType):
            heading = f"{path}{field.encode_name}"
            found[heading] = inner.cls
            found |= tables(inner.cls, f"{heading}.")
    return found


def sections(text: str) -> list[tuple[str, str]]:
    """The parts of a TOML file, each with the heading that it stands under."""
    parts = re.split(r"^(?:# )?\[\[?([a-z_.]+)\]\]?$", text, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def with_key(text: str, directory: Path) -> Path:
    """The file with a key file that is there."""
    key = directory / "key"
    key.touch(0o600)
    key.write_text(bytes(16).hex())
    file = directory / "all.toml"
    file.write_text(KEY_FILE.sub(f'key_file = "{key}"', text))
    return file


@pytest.mark.parametrize("role", EXAMPLES)
def test_an_example_is_a_good_configuration(role: str, tmp_path: Path) -> None:
    text = (CHECKOUT / "examples" / f"{role}.toml").read_text()
    assert isinstance(load(with_key(text, tmp_path)), EXAMPLES[role])


@pytest.mark.parametrize("role", EXAMPLES)
def test_an_example_has_every_key_with_its_default_where_it_is_commented_out(role: str) -> None:
    text = (CHECKOUT / "examples" / f"{role}.toml").read_text()
    seen: dict[str, set[str]] = {}
    for heading, body in sections(text):
        kind = tables(EXAMPLES[role])[heading]
        defaults = {field.encode_name: field for field in declared(kind)}
        seen.setdefault(heading, set()).update(tomllib.loads(body))
        for commented in COMMENTED_KEY.findall(body):
            ((key, value),) = tomllib.loads(commented).items()
            seen[heading].add(key)
            shown: Any = Reader()._value(defaults[key].type, value, key)
            free = defaults[key].required or defaults[key].default is None
            assert free or shown == defaults[key].default, f"{heading}.{key}"
    for heading, kind in tables(EXAMPLES[role]).items():
        keys = {field.encode_name for field in declared(kind) if f"{heading}.{field.encode_name}" not in tables(EXAMPLES[role])}
        assert seen[heading] == keys, heading


@pytest.mark.parametrize("role", EXAMPLES)
def test_an_example_is_good_with_every_key_in_force(role: str, tmp_path: Path) -> None:
    text = (CHECKOUT / "examples" / f"{role}.toml").read_text()
    text = COMMENTED_HEADING.sub(r"\1", COMMENTED_KEY.sub(r"\1", text))
    for key in ('home_prefix = "2001:db8:100:2::/64"', 'home_agent = "2001:db8:1::1"', 'home_domain = "example.org"'):
        text = text.replace(key, "")  # one or the other
    text = text.replace("mobile_router = false", "mobile_router = true")  # which an inner interface belongs to
    text = text.replace("mobile_network_prefixes = []", 'mobile_network_prefixes = ["2001:db8:f00::/56"]')
    load(with_key(text, tmp_path))


def test_every_key_is_described() -> None:
    for kind in EXAMPLES.values():
        for heading, table in tables(kind).items():
            assert table.__doc__
            for field in declared(table):
                inner, _, description = unwrap(field.type)
                assert description or isinstance(inner, inspect.StructType), f"{heading}.{field.encode_name}"


def test_the_reference_of_the_configuration_is_current() -> None:
    assert configuration_page.PAGE.read_text() == configuration_page.render(), "run `make docs`"


def test_the_reference_of_the_command_line_is_current() -> None:
    assert command_page.PAGE.read_text() == command_page.render(), "run `make docs`"


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("role", EXAMPLES)
def test_a_unit_is_sound(role: str, tmp_path: Path) -> None:
    unit = CHECKOUT / "systemd" / f"halma-{role}@.service"
    assert f"halma {role} -c /etc/halma/%i.toml" in unit.read_text()
    copy = tmp_path / f"halma-{role}@one.service"
    shutil.copy(unit, copy)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "")


@pytest.mark.needs("sh")
@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("AP-STA-CONNECTED", "attach wlan0 02:00:00:00:01:01 --access-technology IEEE 802.11a/b/g --node host1@example.org"),
        ("AP-STA-DISCONNECTED", "detach 02:00:00:00:01:01"),
        ("AP-ENABLED", ""),
    ],
)
def test_the_script_for_hostapd_tells_the_gateway(tmp_path: Path, event: str, expected: str) -> None:
    for name, script in (("halma", 'echo "$@"'), ("hostapd_cli", "echo dot1xAuthSessionUserName=host1@example.org")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        [str(CHECKOUT / "examples" / "hostapd-action.sh"), "wlan0", event, "02:00:00:00:01:01"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == expected
