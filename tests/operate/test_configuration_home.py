# SPDX-License-Identifier: Apache-2.0
"""The home agent's tables of anchor.toml, and the files that hold keys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from halma.daemon.configuration import ConfigurationError, load_anchor
from halma.daemon.configuration_association import AssociationTable
from halma.daemon.configuration_home import home_agent_settings, home_link
from halma.daemon.key_file import read_key
from halma.engine.api import Association
from halma.text import read_address

SECRET = bytes(range(20))
NODE = b"mn@example.org"
HOME_AGENT = read_address("2001:db8:5::1")
BASE = """
[anchor]
addresses = ["2001:db8:1::1", "2001:db8:5::1"]
interfaces = ["core0"]
[[pool]]
name = "main"
prefix = "2001:db8:100::/40"
"""
LINK = '[[home_link]]\nprefix = "2001:db8:5::/64"\ninterface = "home0"\n'
PROFILE = '[[profile]]\nnode = "mn@example.org"\nmobile_ipv6 = true\nprefixes = ["2001:db8:100:1::/64"]\n'
OTHER = '[[profile]]\nnode = "other@example.org"\nmobile_ipv6 = true\nprefixes = ["2001:db8:100:2::/64"]\n'

Write = Callable[[str], Path]


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "mn.key"
    file.touch(0o600)
    file.write_text(SECRET.hex() + "\n")
    return file


@pytest.fixture
def association(key: Path) -> Callable[..., str]:
    def make(text: str = "", node: str = "mn@example.org", spi: int = 256) -> str:
        return f'[[association]]\nnode = "{node}"\nspi = {spi}\nkey_file = "{key}"\n{text}\n'

    return make


def mistakes(path: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_anchor(path)
    return list(caught.value.mistakes)


@pytest.mark.rfc("4285#5.1-1", "4285#6-4")
def test_an_anchor_has_both_roles_by_default(write: Write) -> None:
    configuration = load_anchor(write(BASE))
    assert configuration.anchor.roles == ("lma", "ha")
    assert not configuration.home_agent.insecure
    assert configuration.keys() == []
    assert AssociationTable(node=NODE, spi=256, key_file="").replay_window_seconds == 7


def test_a_role_alone_needs_no_table_of_the_other(write: Write) -> None:
    load_anchor(write(BASE.replace("[[pool]]", 'roles = ["lma"]\n[[pool]]')))
    only = (
        BASE.partition("[[pool]]")[0] + 'roles = ["ha"]\n' + LINK + '[[profile]]\nnode = "mn@example.org"\nmobile_ipv6 = true\n'
    )
    load_anchor(write(only))


def test_an_association_becomes_a_key_that_shows_nothing(write: Write, association: Callable[..., str], key: Path) -> None:
    text = association('home_prefix = "2001:db8:100:1::/64"\nalgorithm = "hmac-sha256"\nreplay_window_seconds = 5')
    configuration = load_anchor(write(BASE + PROFILE + text))
    (made,) = configuration.keys()
    handle = configuration.associations[0].handle
    assert made.association == Association(handle, NODE, b"", read_address("2001:db8:100:1::"), 5.0)
    assert (made.spi, made.code(bytes(16), bytes(16), b"")) == (256, made.code(bytes(16), bytes(16), b""))
    for shown in (repr(configuration), repr(made), str(configuration.associations)):
        assert SECRET.hex() not in shown
        assert repr(SECRET) not in shown


def test_a_handle_stays_when_the_file_is_put_in_another_order(write: Write, association: Callable[..., str]) -> None:
    first, second = association(spi=300), association(node="other@example.org", spi=300)
    before = {a.node: a.handle for a in load_anchor(write(BASE + PROFILE + OTHER + first + second)).associations}
    after = {a.node: a.handle for a in load_anchor(write(BASE + PROFILE + OTHER + second + first)).associations}
    assert before == after
    assert len(set(before.values())) == 2


@pytest.mark.parametrize(
    ("mode", "content", "wrong"),
    [
        (0o640, SECRET.hex(), "can be used by others than its owner (mode 640); it needs mode 600"),
        (0o604, SECRET.hex(), "can be used by others than its owner (mode 604); it needs mode 600"),
        (0o600, SECRET[:15].hex(), "holds a key of 15 octets; it needs 16 or more (RFC 4285 section 5.1)"),
        (0o600, "", "holds a key of 0 octets; it needs 16 or more (RFC 4285 section 5.1)"),
        (0o600, "correct horse battery staple", "must hold a key in hexadecimal digits, and nothing else"),
        (0o600, "é" * 40, "must hold a key in hexadecimal digits, and nothing else"),
        (0o600, "00" * 4000, "is too long for a key"),
    ],
)
def test_a_key_file_that_is_not_sound_is_named_and_not_quoted(
    write: Write, association: Callable[..., str], key: Path, mode: int, content: str, wrong: str
) -> None:
    key.write_text(content)
    key.chmod(mode)
    (found,) = mistakes(write(BASE + PROFILE + association()))
    assert found == f'association[0].key_file: "{key}" {wrong}'
    if content:
        assert content not in found


def test_a_key_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        read_key(str(tmp_path / "none"))
    with pytest.raises(ValueError, match="is not a file"):
        read_key(str(tmp_path))


def test_a_key_may_have_white_space_around_it(key: Path) -> None:
    assert read_key(str(key)) == SECRET


@pytest.mark.rfc("4285#5.1-2", "4285#6-5")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('home_address = "2001:db8:5::77"', None),
        ('home_address = "2001:db8:100:1::1"', None),
        ("", None),
        ("replay_window_seconds = 0", None),
        ("replay_window_seconds = 3", "association[0].replay_window_seconds: 3 is not more than 3 (RFC 4285 section 6)"),
        ('home_address = "2001:db8:5::1"', "association[0].home_address: is the anchor's own address"),
        ('home_address = "2001:db8:9::1"', "association[0].home_address: lies in no home link, pool or profile's prefix"),
        ('home_address = "2001:db8:100:2::1"', "association[0].home_address: lies in a prefix that belongs to profile[1]"),
        ('home_prefix = "2001:db8:100:2::/64"', "association[0].home_prefix: lies in a prefix that belongs to profile[1]"),
        ('home_prefix = "2001:db8:9::/64"', "association[0].home_prefix: lies in no pool or profile's prefix"),
        (
            'home_prefix = "2001:db8:5::/64"',
            "association[0].home_prefix: is that of a shared home link; give the node's home_address",
        ),
        (
            'home_address = "2001:db8:5::77"\nhome_prefix = "2001:db8:100:1::/64"',
            "association[0].home_prefix: is given beside a home_address; give one of them",
        ),
    ],
)
def test_what_a_key_may_register(write: Write, association: Callable[..., str], text: str, expected: str | None) -> None:
    path = write(BASE + LINK + PROFILE + OTHER + association(text))
    if expected is None:
        load_anchor(path)
    else:
        assert mistakes(path) == [expected]


def test_mistakes_of_associations_are_all_told(write: Write, association: Callable[..., str]) -> None:
    plain = PROFILE.replace("mn@", "plain@").replace("mobile_ipv6 = true", "").replace("100:1::", "100:3::")
    text = (
        association(spi=255)
        + association(node="*@example.org")
        + association(node="plain@example.org")
        + association(node="stranger@example.org")
        + association('home_address = "2001:db8:5::7"')
        + association('home_address = "2001:db8:5::7"', node="other@example.org")
        + association("", spi=256)
        + association('home_prefix = "2001:db8:100:9::/64"', spi=1000)
        + association('home_address = "2001:db8:100:9::1"', node="other@example.org", spi=1001)
    )
    assert mistakes(write(BASE + LINK + PROFILE + OTHER + plain + text)) == [
        "association[0].spi: 255 is less than 256 (RFC 4285 section 5.1)",
        "association[6].spi: 256 is that of association[4], which is for the same node",
        'association[1].node: "*@example.org" is a pattern, and a key belongs to one node',
        "association[5].home_address: belongs to another node by association[4]",
        "association[8].home_address: lies in the home_prefix of association[7], which is another node's",
        'association[2].node: "plain@example.org" has no mobile_ipv6 = true in profile[2]',
        'association[3].node: "stranger@example.org" has no profile',
    ]


@pytest.mark.rfc("6275#7.4-6", "6275#7.5-4")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LINK, None),
        (LINK + "maximum_interval_seconds = 0.07\nminimum_interval_seconds = 0.03", None),
        (LINK + "minimum_interval_seconds = 0.02", ".minimum_interval_seconds: 0.02 is less than 0.03 (RFC 6275 section 7.5"),
        (LINK + "minimum_interval_seconds = 500", ".minimum_interval_seconds: is more than 0.75 of maximum_interval_seconds"),
        (LINK + "router_lifetime_seconds = 100", ".router_lifetime_seconds: is less than maximum_interval_seconds, and not 0"),
        (
            LINK + "router_lifetime_seconds = 0",
            ".home_agent_lifetime_seconds: must be given where router_lifetime_seconds is 0",
        ),
        (LINK + "home_agent_lifetime_seconds = 0", ".home_agent_lifetime_seconds: 0 is less than 1"),
        (LINK + "preferred_lifetime_seconds = 2592001", ".preferred_lifetime_seconds: is more than valid_lifetime_seconds"),
        (LINK.replace("5::/64", "6::/64"), ".prefix: none of the anchor's addresses lies in 2001:db8:6::/64"),
        (LINK.replace("5::/64", "5::/127"), '.prefix: "2001:db8:5::/127" is a /127; a home link'),
        (LINK.replace("db8:5::/64", "db8::/32"), ".prefix: 2001:db8::/32 overlaps 2001:db8:100::/40 of pool[0]"),
    ],
)
def test_home_links(write: Write, text: str, expected: str | None) -> None:
    path = write(BASE + text)
    if expected is None:
        load_anchor(path)
    else:
        assert mistakes(path)[0].startswith("home_link[0]" + expected)


def test_prefixes_of_one_interface_agree(write: Write) -> None:
    second = '[[home_link]]\nprefix = "2001:db8:1::/64"\ninterface = "home0"\npreference = 3\n'
    assert mistakes(write(BASE + LINK + second)) == [
        "home_link[1].preference: is not that of home_link[0], which is on the same interface home0"
    ]
    overlapping = second.replace("db8:1::", "db8:5::").replace("preference = 3\n", "")
    assert mistakes(write(BASE + LINK + overlapping)) == [
        "home_link[1].prefix: 2001:db8:5::/64 overlaps 2001:db8:5::/64 of home_link[0]"
    ]


@pytest.mark.rfc("6275#7.5-5", "6275#8.4-10", "6275#8.4-12")
def test_the_engine_is_told_what_the_file_says(write: Write) -> None:
    text = (
        BASE + LINK + 'preference = 7\n[home_agent]\nduplicate_address_detection = "wait"\nsend_prefix_advertisements = false'
    )
    configuration = load_anchor(write(text))
    link = home_link(configuration.home_links[0], configuration.anchor.addresses, 4, b"\2\0\0\0\0\1")
    assert (link.interface, link.address, link.preference) == (4, HOME_AGENT, 7)
    assert link.advertising is not None
    assert (link.advertising.minimum_interval, link.advertising.maximum_interval) == (198.0, 600.0)
    assert (link.advertising.minimum_delay, link.advertising.home_agent_lifetime) == (3.0, 1800)
    settings = home_agent_settings(configuration.home_agent, 400.0, (link,), 9)
    assert settings.wait_for_detection
    assert not settings.send_prefix_advertisements
    assert (settings.maximum_lifetime, settings.seed) == (400.0, 9)


def test_a_link_that_another_program_advertises(write: Write) -> None:
    configuration = load_anchor(write(BASE + LINK + "advertise = false"))
    link = home_link(configuration.home_links[0], configuration.anchor.addresses, 4, bytes(6))
    assert link.advertising is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mobile_router = true", "profile[0].mobile_router: needs mobile_ipv6 = true"),
        (
            'mobile_ipv6 = true\nmobile_network_prefixes = ["2001:db8:a::/56"]',
            "profile[0].mobile_network_prefixes: needs mobile_router = true",
        ),
        (
            'mobile_ipv6 = true\nmobile_router = true\nmobile_network_prefixes = ["2001:db8:a::/72"]',
            'profile[0].mobile_network_prefixes[0]: "2001:db8:a::/72" is a /72; a mobile network prefix is a /3 to /64',
        ),
        (
            'mobile_ipv6 = true\nmobile_router = true\nmobile_network_prefixes = ["2001:db8:100:7::/64"]',
            "profile[0].mobile_network_prefixes[0]: 2001:db8:100:7::/64 overlaps the pool 2001:db8:100::/40 of pool[0]; list "
            "it among the node's prefixes as well, or take another",
        ),
        (
            'mobile_ipv6 = true\nmobile_router = true\nmobile_network_prefixes = ["2001:db8:a::/56", "2001:db8:a:1::/64"]',
            "profile[0].mobile_network_prefixes[1]: 2001:db8:a:1::/64 overlaps 2001:db8:a::/56 of profile[0]",
        ),
    ],
)
def test_profiles_of_mobile_nodes(write: Write, text: str, expected: str) -> None:
    assert mistakes(write(BASE + '[[profile]]\nnode = "mn@example.org"\n' + text)) == [expected]


def test_a_pattern_moves_no_network(write: Write) -> None:
    text = '[[profile]]\nnode = "*@a"\nmobile_ipv6 = true\nmobile_router = true\nmobile_network_prefixes = ["2001:db8:a::/56"]'
    assert mistakes(write(BASE + text)) == [
        "profile[0].mobile_network_prefixes: a pattern names many nodes, and a network belongs to one"
    ]


def test_the_policy_knows_what_profiles_say(write: Write) -> None:
    text = 'mobile_router = true\nmobile_network_prefixes = ["2001:db8:a::/56", "2001:db8:100:1::/64"]'
    profile = load_anchor(write(BASE + PROFILE + text)).policy().profile(NODE)
    assert profile is not None
    assert profile.mobile_ipv6
    assert profile.mobile_router
    assert profile.mobile_network_prefixes == (
        (read_address("2001:db8:a::"), 56),
        (read_address("2001:db8:100:1::"), 64),
    )


def test_what_is_only_for_a_home_agent(write: Write, association: Callable[..., str]) -> None:
    base = BASE.replace("[[pool]]", 'roles = ["lma"]\n[[pool]]')
    assert mistakes(write(base + LINK + PROFILE + association() + "[home_agent]\n")) == [
        f'{name}: is only for a home agent; anchor.roles does not have "ha"'
        for name in ("home_agent", "home_link", "association")
    ]


def test_prefix_intervals_are_in_order(write: Write) -> None:
    assert mistakes(write(BASE + "[home_agent]\nmaximum_prefix_interval_seconds = 60")) == [
        "home_agent.maximum_prefix_interval_seconds: is less than minimum_prefix_interval_seconds"
    ]
