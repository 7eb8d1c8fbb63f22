# SPDX-License-Identifier: Apache-2.0
"""tshark reads what is encoded here: without a complaint, and with the same values.

What tshark 4.0 does not know is named here: the messages of RFC 7077, the option of RFC 8127; it shows the authenticator of
RFC 4285 cut short and its timestamp with a fraction that overflows; it calls some status values by other names, which is
why only numbers are compared.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from halma.wire import Message, encode
from halma.wire.icmpv6 import encode_icmpv6
from halma.wire.ipv6 import Packet, build_packet
from halma.wire.messages import (
    BindingAcknowledgement,
    BindingRevocationIndication,
    BindingUpdate,
    UpdateNotification,
    UpdateNotificationAcknowledgement,
)
from halma.wire.nd import solicited_node
from halma.wire.numbers import NextHeader
from halma.wire.options import (
    AccessTechnologyType,
    HandoffIndicator,
    HomeNetworkPrefix,
    LinkLocalAddress,
    LmaControlledMagParameters,
    MobileNodeLinkLayerIdentifier,
    Option,
    Timestamp,
    VendorSpecific,
)
from halma.wire.spaces import MOBILITY_OPTIONS
from tests.wire import strategies
from tests.wire.oracle import Fields, complaints, dissect_with_tshark
from tests.wire.samples import (
    ALL_NODES,
    ANCHOR,
    EXTENSION_HEADERS,
    GATEWAY,
    HOME,
    ICMPV6,
    LINK_LOCAL,
    MESSAGES,
    OPTIONS,
)

pytestmark = pytest.mark.needs("tshark")

UNDECODED: dict[type[Option], str] = {LmaControlledMagParameters: "IE data not dissected yet"}
ADDRESS = "2001:db8:100::"
PROXY = {
    "mip6.mnid.subtype": ["1"],
    "mip6.mnid.identifier": ["host1@example.org"],
    "mip6.nemo.mnp.pfl": ["64"],
    "mip6.nemo.mnp.mnp": [ADDRESS],
}
SEVEN = PROXY | {
    "mip6.hi": ["4"],
    "mip6.att": ["4"],
    "mip6.mnlli.lli": ["02:00:00:00:01:01"],
    "mip6.lila_lla": ["fe80::200:5eff:fe00:5213"],
    "mip6.timestamp_tmp": ["Nov  2, 2023 04:09:36.500000000 UTC"],
}
OF_MESSAGES: tuple[Fields, ...] = (
    {"mip6.mhtype": ["0"]},
    {"mip6.mhtype": ["1"], "mip6.hoti.cookie": ["0x686f6d65636f6f6b"]},
    {"mip6.mhtype": ["2"], "mip6.coti.cookie": ["0x636172656f66636b"]},
    {"mip6.hot.nindex": ["5"], "mip6.hot.cookie": ["0x686f6d65636f6f6b"], "mip6.hot.token": ["0x686f6d656b67656e"]},
    {"mip6.cot.nindex": ["6"], "mip6.cot.cookie": ["0x636172656f66636b"], "mip6.hot.token": ["0x636172656f666b67"]},
    {
        "mip6.bu.seqnr": ["7"],
        "mip6.bu.a_flag": ["1"],
        "mip6.bu.h_flag": ["0"],
        "mip6.bu.p_flag": ["1"],
        "mip6.bu.f_flag": ["0"],
        "mip6.bu.lifetime": ["900"],
    }
    | SEVEN,
    {"mip6.ba.status": ["0"], "mip6.ba.p_flag": ["1"], "mip6.ba.seqnr": ["7"], "mip6.ba.lifetime": ["900"]} | SEVEN,
    {"mip6.be.status": ["2"], "mip6.be.haddr": ["2001:db8:100::10"]},
    {"mip6.hb.u_flag": ["0"], "mip6.hb.r_flag": ["1"], "mip6.hb.seqnr": ["305419896"], "mip6.rc": ["3"]},
    {
        "mip6.bri_br.type": ["1"],
        "mip6.bri_r.trigger": ["1"],
        "mip6.bri_seqnr": ["9"],
        "mip6.bri_ip": ["1"],
        "mip6.bri_ig": ["0"],
    }
    | PROXY,
    {"mip6.bri_br.type": ["2"], "mip6.bri_status": ["0"], "mip6.bri_seqnr": ["9"], "mip6.bri_ap": ["1"], "mip6.bri_av": ["0"]}
    | PROXY,
    {"mip6.mhtype": ["19"], "mip6.hlen": ["6"]},
    {"mip6.mhtype": ["20"], "mip6.hlen": ["6"]},
)
OF_OPTIONS: tuple[Fields, ...] = (
    {"mip6.bra.interval": ["450"]},
    {"mip6.acoa.acoa": ["2001:db8:3::99"]},
    {"mip6.ni.hni": ["3"], "mip6.ni.cni": ["4"]},
    {"mip6.bad.auth": ["00:01:02:03:04:05:06:07:08:09:0a:0b"]},
    {"mip6.nemo.mnp.pfl": ["64"], "mip6.nemo.mnp.mnp": [ADDRESS]},
    {"mip6.mnid.identifier": ["host1@example.org"]},
    {"mip6.auth.subtype": ["1"], "mip6.auth.mobility_spi": ["256"]},
    {"mip6.options.mseg_id": ["0a:08:e4:d1:a0:00:80:00:00:00"]},
    {"mip6.vsm.vendorId": ["32473"], "mip6.vsm.subtype": ["1"]},
    {"mip6.ss.identifier": ["ims"]},
    {"mip6.nemo.mnp.pfl": ["64"], "mip6.nemo.mnp.mnp": [ADDRESS]},
    {"mip6.hi": ["4"], "mip6.hi.reserved": ["0"]},
    {"mip6.att": ["4"], "mip6.att.reserved": ["0"]},
    {"mip6.mnlli.lli": ["02:00:00:00:01:01"], "mip6.mnlli.reserved": ["0"]},
    {"mip6.lila_lla": ["fe80::200:5eff:fe00:5213"]},
    {"mip6.timestamp_tmp": ["Nov  2, 2023 04:09:36.500000000 UTC"]},
    {"mip6.rc": ["7"]},
    {"mip6.gre_key": ["42"]},
    {"mip6.ipv4ha.preflen": ["24"], "mip6.ipv4ha.ha": ["192.0.2.7"]},
    {"mip6.ipv4aa.sts": ["0"], "mip6.ipv4ha.preflen": ["24"], "mip6.ipv4ha.ha": ["192.0.2.7"]},
    {"mip6.ipv4dra.dra": ["192.0.2.7"]},
    {"mip6.ipv4dsm.s_flag": ["1"]},
    {"mip6.recap.reserved": ["0x0000"]},
    {"mip6.redir.k": ["1"], "mip6.redir.n": ["0"], "mip6.redir.addr_r2lma_ipv6": ["2001:db8:1::1"]},
    {
        "mip6.load_inf.priority": ["1"],
        "mip6.load_inf.sessions_in_use": ["1000"],
        "mip6.load_inf.maximum_sessions": ["65536"],
        "mip6.load_inf.used_capacity": ["20000"],
        "mip6.load_inf.maximum_capacity": ["1000000"],
    },
    {"mip6.alt_ip4": ["192.0.2.7"]},
    {"mip6.mng.sub_type": ["1"], "mip6.mng.mng_id": ["1"]},
    {
        "mip6.acc_net_id.ani": ["1", "2", "3"],
        "mip6.acc_net_id.e_bit": ["1"],
        "mip6.acc_net_id.net_name": ["campus"],
        "mip6.acc_net_id.ap_name": ["ap-17"],
        "mip6.acc_net_id.geo.latitude_degrees": ["1944125"],
        "mip6.acc_net_id.geo.longitude_degrees": ["-592118"],
        "mip6.acc_net_id.op_id.type": ["2"],
        "mip6.acc_net_id.op_id": ["65:78:61:6d:70:6c:65:2e:6f:72:67"],
    },
    {"mip6.dmnp.v_flag": ["0"], "mip6.dmnp.prefix_len": ["56"], "mip6.dmnp.dmnp_ipv6": [ADDRESS]},
    {"mip6.mobility_opt": ["62"]},
)
OF_ICMPV6: tuple[Fields, ...] = (
    {"icmpv6.type": ["1"], "icmpv6.code": ["0"]},
    {"icmpv6.type": ["2"], "icmpv6.mtu": ["1400"]},
    {"icmpv6.type": ["3"]},
    {"icmpv6.type": ["4"], "icmpv6.pointer": ["41"]},
    {"icmpv6.echo.identifier": ["0x0001"], "icmpv6.echo.sequence_number": ["2"]},
    {"icmpv6.echo.identifier": ["0x0001"], "icmpv6.echo.sequence_number": ["2"]},
    {"icmpv6.type": ["144"], "icmpv6.mip6.identifier": ["77"]},
    {"icmpv6.type": ["145"], "icmpv6.mip6.home_agent_address": ["2001:db8:1::1", "2001:db8:2::1"]},
    {"icmpv6.type": ["146"], "icmpv6.mip6.identifier": ["78"]},
    {"icmpv6.type": ["147"], "icmpv6.mip6.flag.m": ["1"], "icmpv6.opt.prefix": [ADDRESS]},
    {"icmpv6.type": ["133"], "icmpv6.opt.linkaddr": ["02:00:00:00:01:01"]},
    {
        "icmpv6.nd.ra.cur_hop_limit": ["64"],
        "icmpv6.nd.ra.flag.m": ["1"],
        "icmpv6.nd.ra.flag.o": ["0"],
        "icmpv6.nd.ra.router_lifetime": ["1800"],
        "icmpv6.opt.prefix": [ADDRESS],
        "icmpv6.opt.prefix.length": ["64"],
        "icmpv6.opt.prefix.flag.l": ["1"],
        "icmpv6.opt.prefix.flag.a": ["1"],
        "icmpv6.opt.prefix.valid_lifetime": ["3600"],
        "icmpv6.opt.prefix.preferred_lifetime": ["1800"],
        "icmpv6.opt.mtu": ["1400"],
        "icmpv6.opt.advertisement_interval": ["5000"],
        "icmpv6.opt.home_agent_preference": ["10"],
        "icmpv6.opt.home_agent_lifetime": ["1800"],
    },
    {"icmpv6.nd.ns.target_address": ["2001:db8:100::10"], "icmpv6.opt.linkaddr": ["02:00:00:00:01:01"]},
    {"icmpv6.nd.na.target_address": ["2001:db8:100::10"], "icmpv6.nd.na.flag.s": ["1"], "icmpv6.nd.na.flag.o": ["1"]},
    {
        "icmpv6.mld.maximum_response_code": ["10000"],
        "icmpv6.mld.multicast_address": ["::"],
        "icmpv6.mld.flag.qrv": ["2"],
        "icmpv6.mld.qqi": ["125"],
        "icmpv6.mld.nb_sources": ["0"],
    },
    {"icmpv6.type": ["131"], "icmpv6.mld.multicast_address": ["ff0e::5213"]},
    {"icmpv6.type": ["132"], "icmpv6.mld.multicast_address": ["ff0e::5213"]},
    {
        "icmpv6.mldr.nb_mcast_records": ["2"],
        "icmpv6.mldr.mar.record_type": ["4", "5"],
        "icmpv6.mldr.mar.multicast_address": ["ff0e::5213", "ff0e::5213"],
        "icmpv6.mldr.mar.source_address": ["2001:db8:1::1", "2001:db8:2::1"],
    },
)


def mobility_packet(message: Message) -> bytes:
    """A packet from the gateway to the anchor with this message."""
    return build_packet(Packet(GATEWAY, ANCHOR, NextHeader.MOBILITY, encode(message, GATEWAY, ANCHOR)))


def vendor_of_its_own(option: Option) -> Option:
    """The sample option of 3GPP with the vendor number that is reserved for documents: tshark knows 3GPP's data in part."""
    return VendorSpecific(32473, 1, b"\x01\x02\x03") if isinstance(option, VendorSpecific) else option


def compare(found: Fields, expected: Fields, allowed: tuple[str, ...] = ()) -> None:
    """tshark found the expected values, and nothing wrong but what is allowed."""
    assert [complaint for complaint in complaints(found) if complaint not in allowed] == []
    assert {name: found.get(name) for name in expected} == expected


@pytest.mark.rfc("5213#8.3-1", "5213#8.4-1", "5213#8.5-1", "5213#8.7-1", "5213#8.8-1", "5847#3.3-1", "5847#3.4-1")
def test_messages_and_options(tmp_path: Path) -> None:
    inside: list[Message] = [BindingUpdate(1, 0x8200, 900, (vendor_of_its_own(option),)) for option in OPTIONS]
    found = dissect_with_tshark([mobility_packet(message) for message in (*MESSAGES, *inside)], tmp_path)
    for fields, expected, message in zip(found, OF_MESSAGES, MESSAGES, strict=False):
        compare(fields, {"mip6.proto": ["59"], "mip6.reserved": ["0x00"]} | expected)
        if not isinstance(message, UpdateNotification | UpdateNotificationAcknowledgement):
            assert "mip6.unknown_type_data" not in fields
    for fields, expected, option in zip(found[len(MESSAGES) :], OF_OPTIONS, OPTIONS, strict=True):
        complaint = UNDECODED.get(type(option))
        compare(fields, expected, () if complaint is None else (complaint,))
    assert len(OF_MESSAGES) == len(MESSAGES)


def test_icmpv6(tmp_path: Path) -> None:
    packets = []
    for message in ICMPV6:
        destination = solicited_node(HOME) if hasattr(message, "target") else ALL_NODES
        octets = encode_icmpv6(message, LINK_LOCAL, destination)
        packets.append(build_packet(Packet(LINK_LOCAL, destination, NextHeader.ICMPV6, octets, hop_limit=255)))
    for fields, expected in zip(dissect_with_tshark(packets, tmp_path), OF_ICMPV6, strict=True):
        unanswered = tuple(complaint for complaint in complaints(fields) if "No response seen" in complaint)
        compare(fields, {"icmpv6.checksum.status": ["1"]} | expected, unanswered)


def test_extension_headers(tmp_path: Path) -> None:
    packets = [
        build_packet(Packet(GATEWAY, ANCHOR, NextHeader.NONE, b"", extension_headers=(header,))) for header in EXTENSION_HEADERS
    ]
    alert, home, routing, other, fragment = dissect_with_tshark(packets, tmp_path)
    compare(alert, {"ipv6.opt.router_alert": ["0"]})
    compare(home, {"ipv6.opt.mipv6.home_address": ["2001:db8:100::10"], "ipv6.opt.tel": ["4"]})
    compare(routing, {"ipv6.routing.type": ["2"], "ipv6.routing.mipv6.home_address": ["2001:db8:100::10"]})
    compare(other, {"ipv6.routing.type": ["0"]}, ("Routing header type is deprecated",))
    compare(fragment, {"ipv6.fraghdr.ident": ["0x00000063"], "ipv6.fraghdr.offset": ["0"]})


PROXY_NUMBERS = (22, 23, 24, 26, 27, 28, 33, 36, 37, 38, 39)
PROXY_OPTIONS = st.one_of(*(strategies.option_of(MOBILITY_OPTIONS.declarations[number]) for number in PROXY_NUMBERS))


@settings(
    max_examples=4, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)  # fmt: skip
@given(
    st.lists(
        st.builds(
            lambda which, options: (
                BindingUpdate(7, 0x8200, 900, options),
                BindingAcknowledgement(0, 0x20, 7, 900, options),
                BindingRevocationIndication(1, 7, 0x8000, options),
            )[which],
            st.integers(0, 2),
            st.lists(PROXY_OPTIONS, max_size=6).map(tuple),
        ),
        min_size=20,
        max_size=40,
    )
)
def test_any_values_in_any_order(tmp_path: Path, messages: list[Any]) -> None:
    for message, fields in zip(
        messages, dissect_with_tshark([mobility_packet(each) for each in messages], tmp_path), strict=True
    ):
        assert complaints(fields) == [], message
        for cls, field, value_of in COMPARED:
            ours = sorted(value_of(option) for option in message.options if isinstance(option, cls))
            assert sorted(fields.get(field, [])) == ours


COMPARED: tuple[tuple[type[Any], str, Any], ...] = (
    (HomeNetworkPrefix, "mip6.nemo.mnp.pfl", lambda option: str(option.prefix_length)),
    (HandoffIndicator, "mip6.hi", lambda option: str(option.indicator)),
    (AccessTechnologyType, "mip6.att", lambda option: str(option.technology)),
    (LinkLocalAddress, "mip6.options.lla", lambda option: (b"\x1a\x10" + option.address).hex(":")),
    (Timestamp, "mip6.options.ts", lambda option: (b"\x1b\x08" + option.value.to_bytes(8, "big")).hex(":")),
    (MobileNodeLinkLayerIdentifier, "mip6.mnlli.lli", lambda option: option.identifier.hex(":")),
)
