# SPDX-License-Identifier: Apache-2.0
"""A configuration file is taken as a whole or refused with every mistake in it, each named by its path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from halma.daemon.configuration import (
    AnchorConfiguration,
    ConfigurationError,
    GatewayConfiguration,
    load,
    load_anchor,
    load_gateway,
)
from halma.text import Prefix, read_address

ANCHOR = """
[anchor]
addresses = ["2001:db8:1::1"]
interfaces = ["core0"]
"""
POOL = """
[[pool]]
name = "main"
prefix = "2001:db8:100::/40"
"""
SECOND_POOL = """
[[pool]]
name = "second"
prefix = "2001:db8:200::/40"
"""
GATEWAY = """
[gateway]
address = "2001:db8:2::1"
anchor = "2001:db8:1::1"
interfaces = ["core0"]
access = ["ap*"]
"""

Write = Callable[[str], Path]


def mistakes(path: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    assert caught.value.file == str(path)
    return list(caught.value.mistakes)


def test_a_short_anchor_file_is_enough(write: Write) -> None:
    configuration = load_anchor(write(ANCHOR + POOL))
    assert configuration.anchor.addresses == (read_address("2001:db8:1::1"),)
    assert configuration.anchor.heartbeat.interval_seconds == 60
    assert configuration.pools[0].prefix == Prefix(read_address("2001:db8:100::"), 40)


@pytest.mark.rfc("5213#9.1-1", "5213#9.1-2", "5213#9.3-1", "5213#9.3-2")
def test_the_variables_of_rfc_5213_have_its_defaults_and_can_be_set(write: Write) -> None:
    anchor = load_anchor(write(ANCHOR)).anchor
    assert anchor.minimum_delay_before_bce_delete_ms == 10000
    assert anchor.maximum_delay_before_new_bce_assign_ms == 1500
    assert anchor.timestamp_validity_window_ms == 300
    assert anchor.timestamp_based_approach
    assert not anchor.mobile_node_generated_timestamp
    changed = load_anchor(
        write(
            ANCHOR + "minimum_delay_before_bce_delete_ms = 1\nmaximum_delay_before_new_bce_assign_ms = 2\n"
            "timestamp_validity_window_ms = 3\ntimestamp_based_approach = false\n"
        )
    ).anchor
    assert changed.minimum_delay_before_bce_delete_ms == 1
    assert changed.maximum_delay_before_new_bce_assign_ms == 2
    assert changed.timestamp_validity_window_ms == 3
    assert not changed.timestamp_based_approach


@pytest.mark.rfc("5213#9.2-1", "5213#9.2-3", "5213#9.3-1")
def test_the_gateway_s_variables_of_rfc_5213_have_its_defaults_and_can_be_set(write: Write) -> None:
    settings = load_gateway(write(GATEWAY)).settings(restart_counter=1)
    assert not settings.local_routing
    assert settings.timestamp_based_approach
    changed = load_gateway(
        write(
            GATEWAY + "local_routing = true\ntimestamp_based_approach = false\n"
            "link_local_address = 'fe80::1'\nlink_layer_address = '02:00:00:00:00:07'\n"
        )
    ).settings(restart_counter=1)
    assert changed.local_routing
    assert not changed.timestamp_based_approach
    assert changed.link_local_address == read_address("fe80::1")
    assert changed.link_layer_address == bytes.fromhex("020000000007")


def test_all_mistakes_are_told_at_once(write: Write) -> None:
    path = write("""
[anchor]
addresses = ["2001:db8::zz", 3]
interfaces = ["core0"]
pathmtu = 1400
plane = "fast"
timestamp_based_approach = false
mobile_node_generated_timestamp = true
maximum_bindings = true
[anchor.heartbeat]
interval_seconds = 10
[anchor.revocation]
initial_delay_seconds = 0.1
[[pool]]
name = "main"
prefix = "2001:db8:100::1/40"
[[peer]]
nodes = "x"
[[peer]]
address = "fe80::1"
[[profile]]
nodee = "x"
[[profile]]
node = "*@example.org"
pool = "mian"
prefixes = ["2001:db8:100:1::/60"]
lifetime_seconds = 7
""")
    assert mistakes(path) == [
        'anchor.pathmtu: unknown key; did you mean "path_mtu"?',
        'anchor.addresses[0]: "2001:db8::zz" is not an IPv6 address',
        "anchor.addresses[1]: must be a string, not 3",
        'anchor.plane: "fast" is not one of "auto", "clsact", "seg6", "tcx", "tun", "xdp"',
        "anchor.maximum_bindings: must be a whole number, not true",
        "anchor.heartbeat.interval_seconds: 10 is less than 30 (RFC 5847 section 5)",
        "anchor.revocation.initial_delay_seconds: 0.1 is less than 0.5 (RFC 5846 section 11)",
        'pool[0].prefix: "2001:db8:100::1/40" has bits set beyond the /40; did you mean "2001:db8:100::/40"?',
        'peer[0].nodes: must be a list, not "x"',
        'peer[1].address: "fe80::1" is a link-local address; a global or unique local one is needed',
        'profile[0].nodee: unknown key; did you mean "node"?',
        'profile[1].prefixes[0]: "2001:db8:100:1::/60" has bits set beyond the /60; did you mean "2001:db8:100::/60"?',
        "profile[1].lifetime_seconds: 7 is not a multiple of 4 (a Lifetime field counts units of 4 seconds, RFC 6275 section "
        "6.1.7)",
        "anchor.mobile_node_generated_timestamp: must not be set without timestamp_based_approach (RFC 5213 section 9.3)",
        "peer[0].address: is missing; give an address or a prefix",
        'profile[1].pool: there is no pool "mian"; the pools are "main"',
    ]


def profile(text: str) -> str:
    return f"[[profile]]\n{text}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "has no table [anchor], [gateway] or [node]; a file is for one role"),
        ("[anchor]\n[gateway]", "has the tables [anchor] and [gateway]; a file is for one role"),
        ("anchor = 3", "anchor: must be a table, not 3"),
        ("[[anchor]]", "anchor: must be a table, not a list"),
        (ANCHOR + "[pool]\nname='x'", "pool: must be tables [[pool]], not a table"),
        (ANCHOR + "x = 1", "anchor.x: unknown key; known here: addresses, control_socket, default_lifetime_seconds, "),
        (ANCHOR.replace('"core0"', ""), "anchor.interfaces: must not be empty"),
        (ANCHOR.replace("core0", "core*"), 'anchor.interfaces[0]: "core*" is a pattern; the name of one interface is needed'),
        (ANCHOR.replace("core0", "a/b"), 'anchor.interfaces[0]: "a/b" cannot be the name of an interface (1 to 15 bytes, '),
        (ANCHOR.replace('"core0"', '"a", "b", "a"'), "anchor.interfaces[2]: is listed twice"),
        (ANCHOR + POOL + "[[peer]]\naddress='2001:db8::5'\nnodes=['a', 'b', 'b']", "peer[0].nodes[2]: is listed twice"),
        (ANCHOR.replace("2001:db8:1::1", "ff02::1"), 'anchor.addresses[0]: "ff02::1" is a multicast address; a global or '),
        (ANCHOR.replace("2001:db8:1::1", "::"), 'anchor.addresses[0]: "::" is the unspecified address'),
        (ANCHOR.replace("2001:db8:1::1", "fe80::1%lo"), 'anchor.addresses[0]: "fe80::1%lo" has a zone (%...); write the '),
        (ANCHOR.replace("2001:db8:1::1", "192.0.2.1"), 'anchor.addresses[0]: "192.0.2.1" is not an IPv6 address'),
        (ANCHOR + "control_socket = 'run/x'", 'anchor.control_socket: "run/x" is not an absolute path'),
        (ANCHOR + f"control_socket = '/{'x' * 107}'", 'anchor.control_socket: "/xxx'),
        (ANCHOR + "path_mtu = 1300", "anchor.path_mtu: 1300 is less than 1320 (IPv6 needs 1280 bytes inside the tunnel"),
        (ANCHOR + "maximum_bindings = 99999999", "anchor.maximum_bindings: 99999999 is more than 16777216"),
        (ANCHOR + "[anchor.heartbeat]\ninterval_seconds = 3601", "anchor.heartbeat.interval_seconds: 3601 is more than 3600"),
        (ANCHOR + "[anchor.revocation]\ninitial_delay_seconds = nan", "anchor.revocation.initial_delay_seconds: nan is less"),
        (ANCHOR + "[anchor.revocation]\nmaximum_timeout_seconds = 0.7", "anchor.revocation.maximum_timeout_seconds: is less"),
        (ANCHOR + "default_lifetime_seconds = 90000", "anchor.default_lifetime_seconds: 90000 is more than maximum_lifetime_"),
        (
            ANCHOR + POOL.replace("/40", "/65"),
            'pool[0].prefix: "2001:db8:100::/65" is a /65; a pool of /64 prefixes is a /3 to /64',
        ),
        (ANCHOR + POOL.replace("::/40", "::"), 'pool[0].prefix: "2001:db8:100::" is not an IPv6 prefix: the /length is mis'),
        (ANCHOR + POOL.replace("/40", "/x"), 'pool[0].prefix: "2001:db8:100::/x" is not an IPv6 prefix: the length must be 0'),
        (ANCHOR + POOL.replace('"main"', '["main"]'), "pool[0].name: must be a string, not a list"),
        (ANCHOR + POOL + SECOND_POOL.replace("second", "main"), 'pool[1].name: "main" is the name of pool[0] already'),
        (
            ANCHOR + POOL.replace("2001:db8:100::/40", "2001:db8::/32"),
            "pool[0].prefix: contains the anchor's own address 2001:db8:1::1",
        ),
        (ANCHOR + POOL + SECOND_POOL, None),
        (
            ANCHOR + POOL + SECOND_POOL.replace("2001:db8:200::/40", "2001:db8:180::/41"),
            "pool[1].prefix: 2001:db8:180::/41 overlaps 2001:db8:100::/40 of pool[0]",
        ),
        (ANCHOR + "[[peer]]\nnodes=[]", "peer[0].address: is missing; give an address or a prefix"),
        (ANCHOR + "[[peer]]\naddress='2001:db8::5'\nprefix='2001:db8::/64'", "peer[0].prefix: is given beside an address"),
        (ANCHOR + "[[peer]]\naddress='2001:db8:1::1'", "peer[0].address: is the anchor's own address"),
        (ANCHOR + "[[peer]]\nprefix='2001:db8::/64'\n" * 2, "peer[1].prefix: is that of peer[0] already"),
        (
            ANCHOR + "[[peer]]\nname='a'\naddress='2001:db8::5'\n[[peer]]\nname='a'\naddress='2001:db8::6'",
            'peer[1].name: "a" is the name of peer[0] already',
        ),
        (
            ANCHOR + "[[peer]]\nname='2001:db8::6'\naddress='2001:db8::5'\n[[peer]]\naddress='2001:db8::6'",
            'peer[0].name: "2001:db8::6" is the name of peer[1] already',
        ),
        (
            ANCHOR + POOL + "[[peer]]\naddress='2001:db8:100::5'",
            "peer[0].address: lies in 2001:db8:100::/40, from which nodes get their prefixes",
        ),
        (ANCHOR + profile("node='a'"), "profile[0].pool: the node would get no prefix: there is no pool, or give prefixes"),
        (
            ANCHOR + POOL + SECOND_POOL + profile("node='a'"),
            'profile[0].pool: the node would get no prefix: name one of the pools "main", "second", or give prefixes',
        ),
        (ANCHOR + POOL + profile("node='a'") * 2, 'profile[1].node: "a" has a profile already: profile[0]'),
        (ANCHOR + POOL + profile(f"node='{'a' * 254}'"), 'profile[0].node: "aaaa'),
        (ANCHOR + POOL + profile('node="a\\u0007"'), 'profile[0].node: "a\\x07" has characters that cannot be printed'),
        (
            ANCHOR + POOL + profile("node='a*'") + profile("node='*a'"),
            'profile[1].node: "*a" and "a*" of profile[0] can fit the same node, and neither is narrower',
        ),
        (
            ANCHOR + POOL + profile("node='*@a'") + profile("node='a*a'"),
            'profile[1].node: "a*a" and "*@a" of profile[0] can fit the same node, and neither is narrower',
        ),
        (ANCHOR + POOL + profile("node='*@a'") + profile("node='*@b'") + profile("node='x*'"), None),
        (
            ANCHOR + POOL + profile("node='a'\nprefixes=['2001:db8:100::/56']"),
            'profile[0].prefixes[0]: "2001:db8:100::/56" is a /56; a home network prefix is a /64',
        ),
        (
            ANCHOR + POOL + profile("node='a'\nprefixes=['2001:db8:200::/64']"),
            "profile[0].prefixes: 2001:db8:200::/64 lies in no pool",
        ),
        (
            ANCHOR + POOL + SECOND_POOL + profile("node='a'\npool='main'\nprefixes=['2001:db8:200::/64']"),
            'profile[0].prefixes: 2001:db8:200::/64 does not lie in the pool "main"',
        ),
        (
            ANCHOR
            + POOL
            + profile("node='a'\nprefixes=['2001:db8:100::/64']")
            + profile("node='b'\nprefixes=['2001:db8:100::/64']"),
            "profile[1].prefixes: 2001:db8:100::/64 belongs to profile[0] already",
        ),
        (
            ANCHOR + POOL + profile("node='a'\nprefixes=['2001:db8:100::/64', '2001:db8:100::/64']"),
            "profile[0].prefixes[1]: is listed twice",
        ),
        (
            ANCHOR + POOL + profile("node='*'\nprefixes=['2001:db8:100::/64']"),
            "profile[0].prefixes: a pattern names many nodes, and a prefix belongs to one",
        ),
        (
            ANCHOR + POOL + profile("node='a'\nlifetime_seconds=100000"),
            "profile[0].lifetime_seconds: 100000 is more than the an",
        ),
        (GATEWAY.replace("2001:db8:1::1", "2001:db8:2::1"), "gateway.anchor: is the gateway's own address"),
        (GATEWAY.replace("ap*", "co*"), 'gateway.access[0]: "co*" takes in "core0", which is towards the anchor'),
        (GATEWAY + "link_local_address = '2001:db8::1'", 'gateway.link_local_address: "2001:db8::1" is not a link-local'),
        (GATEWAY + "link_layer_address = '01:00:00:00:00:00'", 'gateway.link_layer_address: "01:00:00:00:00:00" is not the'),
        (GATEWAY + "access_technology = 'WiFi'", 'gateway.access_technology: "WiFi" is not one of "3GPP E-UTRAN", '),
        (
            GATEWAY + "[gateway.revocation]\nmaximum_timeout_seconds = 0.7",
            "gateway.revocation.maximum_timeout_seconds: is less",
        ),
        (GATEWAY + profile("node='a'\nlink_layer_address='x'"), 'profile[0].link_layer_address: "x" is not a link-layer add'),
        (
            GATEWAY
            + profile("node='a'\nlink_layer_address='2:0:0:0:1:1'")
            + profile("node='b'\nlink_layer_address='02-00-00-00-01-01'"),
            "profile[1].link_layer_address: 02:00:00:00:01:01 is that of profile[0] already",
        ),
        (GATEWAY + profile("node='a'") * 2, 'profile[1].node: "a" has a profile already: profile[0]'),
        (GATEWAY + profile("node='*'\nlink_layer_address='02:00:00:00:01:01'"), "profile[0].node: an interface belongs to one"),
        (GATEWAY + profile("node='*'\nprefixes=['2001:db8:100::/64']"), "profile[0].prefixes: a pattern names many nodes"),
        (
            GATEWAY + profile("node='a'\nprefixes=['2001:db8:100::/64']") + profile("node='b'\nprefixes=['2001:db8:100::/64']"),
            "profile[1].prefixes: 2001:db8:100::/64 belongs to profile[0] already",
        ),
    ],
)
def test_a_mistake_is_named_by_its_path(write: Write, text: str, expected: str | None) -> None:
    if expected is None:
        load(write(text))
        return
    (found,) = mistakes(write(text))
    assert found.startswith(expected)
    assert found.isprintable()


def test_an_entry_of_a_list_keeps_its_path_behind_one_that_is_left_out(write: Write) -> None:
    overlapping = "'2001:db8:9::/72', '2001:db8:8::/56', '2001:db8:8:1::/64'"
    text = f"node='a'\nmobile_ipv6=true\nmobile_router=true\nmobile_network_prefixes=[{overlapping}]"
    assert mistakes(write(ANCHOR + POOL + profile(text))) == [
        'profile[0].mobile_network_prefixes[0]: "2001:db8:9::/72" is a /72; a mobile network prefix is a /3 to /64',
        "profile[0].mobile_network_prefixes[2]: 2001:db8:8:1::/64 overlaps 2001:db8:8::/56 of profile[0]",
    ]
    assert mistakes(write(GATEWAY.replace('"ap*"', '"", "ap*", "core*"'))) == [
        'gateway.access[0]: "" cannot be the name of an interface (1 to 15 bytes, no / and no space)',
        'gateway.access[2]: "core*" takes in "core0", which is towards the anchor',
    ]


def test_a_mistake_does_not_hide_another_of_a_longer_name(write: Write) -> None:
    assert mistakes(write(ANCHOR + POOL + profile("node='a'\npool='x'\npool_of='y'"))) == [
        "profile[0].pool_of: unknown key; known here: lifetime_seconds, may_request_prefix, mobile_ipv6, "
        "mobile_network_prefixes, mobile_router, node, pool, prefixes, "
        "prefixes_per_session, proxy_mobility",
        'profile[0].pool: there is no pool "x"; the pools are "main"',
    ]


@pytest.mark.rfc("5213#9.3-7")
def test_timestamps_of_nodes_need_timestamps(write: Write) -> None:
    text = ANCHOR + "timestamp_based_approach = false\nmobile_node_generated_timestamp = true\n"
    (found,) = mistakes(write(text))
    assert found.startswith("anchor.mobile_node_generated_timestamp: must not be set")
    assert load_anchor(write(text.replace("false", "true"))).anchor.mobile_node_generated_timestamp


def test_a_file_that_cannot_be_read_is_a_mistake_too(tmp_path: Path) -> None:
    assert mistakes(tmp_path / "none.toml") == ["cannot be read: No such file or directory"]
    (tmp_path / "latin.toml").write_bytes(b"[anchor]\n# \xe9\n")
    assert mistakes(tmp_path / "latin.toml") == ["is not UTF-8 text (byte 11)"]
    (tmp_path / "broken.toml").write_text("[anchor\n")
    (found,) = mistakes(tmp_path / "broken.toml")
    assert found.startswith("is not TOML: ")
    assert "line 1" in found


def test_the_error_reads_as_a_list(write: Write) -> None:
    path = write("[anchor]\n")
    with pytest.raises(ConfigurationError) as caught:
        load_anchor(path)
    assert str(caught.value) == f"{path}: 2 mistakes\n  anchor.addresses: is missing\n  anchor.interfaces: is missing"


def test_the_role_is_known_from_the_file(write: Write) -> None:
    assert isinstance(load(write(ANCHOR)), AnchorConfiguration)
    assert isinstance(load(write(GATEWAY)), GatewayConfiguration)


def test_an_anchor_configuration_makes_the_policy(write: Write) -> None:
    policy = load_anchor(
        write(
            ANCHOR
            + POOL
            + "[[peer]]\naddress='2001:db8:2::1'\nnodes=['*@example.org']\nglobal_revocation=true\nrate_limit_per_second=9\n"
            + profile("node='*'\nproxy_mobility=false\n")
            + profile("node='host@example.org'\nprefixes=['2001:db8:100:7::/64']\nlifetime_seconds=60\nmay_request_prefix=true")
        )
    ).policy()
    peer = policy.peer(read_address("2001:db8:2::1"))
    assert peer is not None
    assert (peer.name, peer.nodes, peer.global_revocation, peer.rate_limit) == ("2001:db8:2::1", (b"*@example.org",), True, 9)
    host, anyone = policy.profile(b"host@example.org"), policy.profile(b"x")
    assert host is not None
    assert (host.pool, host.lifetime, host.may_request_prefix) == ("main", 60, True)
    assert host.prefixes == (read_address("2001:db8:100:7::"),)
    assert policy.is_reserved(read_address("2001:db8:100:7::"))
    assert anyone is not None
    assert (anyone.proxy_mobility, anyone.lifetime) == (False, 3600)


@pytest.mark.requirement("GW-6")
def test_a_gateway_has_a_prefix_for_nodes_that_manage_their_own_mobility(write: Write) -> None:
    assert load_gateway(write(GATEWAY)).settings(1).access_prefix is None
    node = profile("node='a'\nlink_layer_address='02:00:00:00:01:01'\nproxy_mobility=false")
    configuration = load_gateway(write(GATEWAY + "access_prefix = '2001:db8:21::/56'\n" + node))
    assert configuration.settings(1).access_prefix == Prefix(read_address("2001:db8:21::"), 56)
    found = configuration.policy().for_link_layer_address(bytes.fromhex("020000000101"))
    assert found is not None
    assert not found.proxy_mobility


@pytest.mark.parametrize(
    ("written", "more", "where", "what"),
    [
        ("2001:db8:21::/65", "", "gateway.access_prefix", "is a /65"),
        ("2000::/3", "", "gateway.access_prefix", "is a /3"),
        ("fe80::/64", "", "gateway.access_prefix", "not a prefix of global"),
        ("2001:db8:21::1/64", "", "gateway.access_prefix", "bits set beyond"),
        ("2001:db8:2::/48", "", "gateway.access_prefix", "gateway.address lies in it"),
        ("2001:db8:1::/56", "", "gateway.access_prefix", "gateway.anchor lies in it"),
        ("2001:db8:21::/48", "prefixes=['2001:db8:21:9::/64']", "profile[0].prefixes[0]", "lies in gateway.access_prefix"),
    ],
)
def test_mistakes_in_the_access_prefix_are_told(write: Write, written: str, more: str, where: str, what: str) -> None:
    (mistake,) = mistakes(write(GATEWAY + f"access_prefix = '{written}'\n" + profile(f"node='a'\n{more}")))
    assert where in mistake
    assert what in mistake


def test_a_gateway_configuration_makes_settings_and_profiles(write: Write) -> None:
    configuration = load_gateway(
        write(
            GATEWAY
            + "access_technology = 'IEEE 802.11a/b/g'\nlink_local_address = '::'\nidentity = 'mag1@example.org'\n"
            + "[gateway.heartbeat]\nenabled = false\ninterval_seconds = 90\n"
            + profile(
                "node='a'\nlink_layer_address='02:00:00:00:01:01'\nhandoff_indicator='between-gateways'\nlocal_routing=true"
            )
        )
    )
    settings = configuration.settings(restart_counter=7)
    assert settings.address == read_address("2001:db8:2::1")
    assert settings.access_technology == 4
    assert settings.link_local_address == bytes(16)
    assert settings.link_layer_address == bytes.fromhex("00005e005213")
    assert settings.restart_counter == 7
    assert (settings.heartbeat.enabled, settings.heartbeat.interval) == (False, 90)
    found = configuration.policy().for_link_layer_address(bytes.fromhex("020000000101"))
    assert found is not None
    assert (found.identifier, found.handoff_indicator, found.local_routing, found.anchor) == (b"a", 3, True, b"")
