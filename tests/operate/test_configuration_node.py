# SPDX-License-Identifier: Apache-2.0
"""node.toml: what it may say, and every mistake in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from halma.daemon.configuration import ConfigurationError, load, load_node
from halma.daemon.node_state import NodeState
from halma.engine.node_api import MobileNetwork
from halma.text import read_address

GOOD = """
[node]
interface = "eth0"
home_address = "2001:db8:100:1::1"
home_agent = "2001:db8:1::1"
identifier = "mn@example.org"
[node.association]
spi = 256
key_file = "{key}"
"""
SECRET = bytes(range(20))


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "key"
    file.touch(0o600)
    file.write_text(SECRET.hex())
    return file


def written(directory: Path, text: str) -> Path:
    file = directory / "node.toml"
    file.write_text(text)
    return file


def test_a_small_file_is_enough(tmp_path: Path, key: Path) -> None:
    configuration = load_node(written(tmp_path, GOOD.format(key=key)))
    node = configuration.node
    assert node.prefix == read_address("2001:db8:100:1::")
    assert node.home_agents == (read_address("2001:db8:1::1"),)
    assert node.first_registration_timeout_seconds == 1.5
    made = configuration.key(read_address("2001:db8:100:1::1"))
    assert made is not None
    assert SECRET.hex() not in repr(made) + repr(configuration)
    assert isinstance(load(tmp_path / "node.toml"), type(configuration))


def test_a_node_without_a_key_says_that_it_is_insecure(tmp_path: Path) -> None:
    text = '[node]\ninterface = "eth0"\nhome_prefix = "2001:db8:100:1::/64"\ninsecure = true'
    configuration = load_node(written(tmp_path, text))
    assert configuration.key(bytes(16)) is None
    assert configuration.node.prefix == read_address("2001:db8:100:1::")
    assert configuration.node.home_agents == ()


def test_a_mobile_router_has_networks(tmp_path: Path, key: Path) -> None:
    more = 'mobile_router = true\ninner_interface = "lan0"\nmobile_network_prefixes = ["2001:db8:f00::/56"]\n[node.association]'
    configuration = load_node(written(tmp_path, GOOD.format(key=key).replace("[node.association]", more)))
    assert configuration.node.networks == (MobileNetwork(read_address("2001:db8:f00::"), 56),)


@pytest.mark.requirement("MN-5")
def test_the_anchor_may_be_named_instead(tmp_path: Path, key: Path) -> None:
    more = 'home_domain = "example.org."\nname_servers = ["2001:db8:53::1"]'
    node = load_node(written(tmp_path, GOOD.format(key=key).replace('home_agent = "2001:db8:1::1"', more))).node
    assert (node.home_agents, node.home_agent_name, node.home_domain) == ((), None, "example.org")
    assert node.name_servers == (read_address("2001:db8:53::1"),)


@pytest.mark.parametrize(
    ("before", "after", "mistake"),
    [
        ('home_address = "2001:db8:100:1::1"', "", "node.home_address: is missing, and so is home_prefix"),
        ('100:1::1"', '100:1::"', "node.home_address: is the anycast address"),
        (
            'interface = "eth0"',
            'interface = "eth0"\nhome_prefix = "2001:db8:7::/64"',
            "node.home_address: does not lie",
        ),
        ('home_agent = "2001:db8:1::1"', 'home_agent = "2001:db8:100:1::1"', "node.home_agent: is the node's own"),
        (
            'home_agent = "2001:db8:1::1"',
            'other_home_agents = ["2001:db8:1::2"]',
            "node.other_home_agents: there is no",
        ),
        ("identifier", 'other_home_agents = ["2001:db8:1::1"]\nidentifier', "node.other_home_agents[0]: is the home_agent"),
        ("identifier", 'home_agent_name = "ha.example.org"\nidentifier', "node.home_agent_name: is given, and so is"),
        ("identifier", 'home_domain = "example.org"\nidentifier', "node.home_domain: is given, and so is home_agent"),
        (
            'home_agent = "2001:db8:1::1"',
            'home_agent_name = "ha.example.org"\nhome_domain = "example.org"',
            "node.home_domain: is given, and so is home_agent_name",
        ),
        (
            'home_agent = "2001:db8:1::1"',
            'home_domain = "example.org"\nother_home_agents = ["2001:db8:1::2"]',
            "node.other_home_agents: there is no",
        ),
        ('home_agent = "2001:db8:1::1"', 'home_domain = "_mip6._ipv6.example.org"', 'node.home_domain: "_mip6._ipv6'),
        ('home_agent = "2001:db8:1::1"', 'home_agent_name = ""', 'node.home_agent_name: "" is not a domain name'),
        ('home_agent = "2001:db8:1::1"', f'home_domain = "{"a." * 121}org"', "node.home_domain: "),
        ("identifier", 'name_servers = ["2001:db8:53::1"]\nidentifier', "node.name_servers: is given, but there is no"),
        (
            'home_agent = "2001:db8:1::1"',
            'home_domain = "example.org"\nname_servers = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4"]',
            "node.name_servers: has 4 of them",
        ),
        (
            'home_agent = "2001:db8:1::1"',
            'home_domain = "example.org"\nname_servers = ["2001:db8::1", "2001:db8::1"]',
            "node.name_servers[1]: is listed twice",
        ),
        (
            'home_agent = "2001:db8:1::1"',
            'home_domain = "example.org"\nname_servers = ["2001:db8::1", "::1"]',
            "node.name_servers[1]: is on this machine",
        ),
        ("identifier", "mobile_router = true\nidentifier", "node.inner_interface: is missing"),
        ("identifier", "mobile_router = true\nidentifier", "node.mobile_network_prefixes: is missing"),
        ("identifier", 'inner_interface = "lan0"\nidentifier', "node.inner_interface: is given, but mobile_router is false"),
        ("identifier", 'inner_interface = "eth0"\nidentifier', "node.inner_interface: is given"),
        (
            "identifier",
            'mobile_router = true\ninner_interface = "eth0"\nidentifier',
            "node.inner_interface: is the",
        ),
        (
            "identifier",
            'mobile_router = true\ninner_interface = "i"\nmobile_network_prefixes = ["2001:db8:f::/96"]\nidentifier',
            'node.mobile_network_prefixes[0]: "2001:db8:f::/96" is a /96',
        ),
        (
            "identifier",
            'mobile_router = true\ninner_interface = "i"\n'
            'mobile_network_prefixes = ["2001:db8:f00::/56", "2001:db8:f00::/64"]\nidentifier',
            "node.mobile_network_prefixes[1]: 2001:db8:f00::/64 overlaps 2001:db8:f00::/56",
        ),
        ("[node.association]", "[node.other]", "node.association: is missing"),
        ("identifier", "insecure = true\nidentifier", "node.insecure: is true, but there is an association"),
        ('identifier = "mn@example.org"', "", "node.identifier: is missing"),
        ("mn@example.org", "*@example.org", "node.identifier: is a pattern"),
        ("spi = 256", "spi = 255", "node.association.spi: 255 is less than 256"),
        ("{key}", "/nonexistent", "node.association.key_file"),
    ],
)
def test_every_mistake_is_named(tmp_path: Path, key: Path, before: str, after: str, mistake: str) -> None:
    file = written(tmp_path, GOOD.replace(before, after).replace("{key}", str(key)))
    with pytest.raises(ConfigurationError) as raised:
        load_node(file)
    assert any(sentence.startswith(mistake) for sentence in raised.value.mistakes), raised.value.mistakes


@pytest.mark.rfc("6275#11.7.1-19")
def test_what_a_node_writes_down_is_there_in_its_next_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = NodeState(tmp_path, "eth0")
    assert len(state.secret) == 16
    assert (state.home_agent, state.expiry) == (b"", 0.0)
    state.remember(77, bytes(15) + b"\1", 12.5)
    again = NodeState(tmp_path, "eth0")
    assert (again.secret, again.sequence, again.home_agent, again.expiry) == (state.secret, 77, bytes(15) + b"\1", 12.5)
    assert (tmp_path / "node-eth0.json").stat().st_mode & 0o077 == 0
    again.keep_settings({"/proc/sys/net/ipv6/conf/eth0/autoconf": "1"})
    again.remember(78, b"", 0.0)
    third = NodeState(tmp_path, "eth0")
    assert (third.sequence, third.settings) == (78, {"/proc/sys/net/ipv6/conf/eth0/autoconf": "1"})
    (tmp_path / "boot").write_text("another one\n")
    with monkeypatch.context() as patch:
        patch.setattr("halma.daemon.state.BOOT", tmp_path / "boot")
        assert third.settings == {}
    for rubbish in ("rubbish", '{"secret": "zz"}'):
        (tmp_path / "node-eth0.json").write_text(rubbish)
        with pytest.raises(ValueError, match=r"node-eth0\.json"):
            NodeState(tmp_path, "eth0")


def test_what_a_node_writes_down_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    """A short record leaves nothing of a long one, and a file that somebody has removed is made again."""
    file = tmp_path / "node-eth0.json"
    state = NodeState(tmp_path, "eth0")
    state.remember(0xFFFF, bytes([0xFF] * 16), 1_893_456_000.123456)
    long = file.stat()
    state.remember(1, b"", 0.0)
    short = file.stat()
    assert (short.st_ino, short.st_size) == (long.st_ino, long.st_size)
    assert short.st_size <= 512  # the least that a disk writes at once
    assert (NodeState(tmp_path, "eth0").sequence, NodeState(tmp_path, "eth0").home_agent) == (1, b"")
    file.unlink()
    state.remember(2, b"", 0.0)
    assert NodeState(tmp_path, "eth0").sequence == 2
    assert [each.name for each in tmp_path.iterdir()] == ["node-eth0.json"]


def test_a_long_record_is_followed_by_a_short_one(tmp_path: Path) -> None:
    """Whatever settings an interface has, and when they have been given back."""
    state = NodeState(tmp_path, "eth0")
    settings = {f"/proc/sys/net/ipv6/conf/eth0/setting{number}": str(number) for number in range(20)}
    state.keep_settings(settings)
    state.remember(5, b"", 0.0)
    again = NodeState(tmp_path, "eth0")
    assert (again.sequence, again.settings) == (5, settings)
    again.keep_settings({})
    again.remember(6, b"", 0.0)
    assert (NodeState(tmp_path, "eth0").sequence, NodeState(tmp_path, "eth0").settings) == (6, {})
