# SPDX-License-Identifier: Apache-2.0
"""The numbers that IANA keeps for Mobile IPv6, with the names that people read.

The registries are https://www.iana.org/assignments/mobility-parameters; names follow their spelling, shortened where a
sentence stands for a name. Fields of messages and options stay plain integers, for a number without a name is as valid as
one with a name; `name_of` gives the text for either. Flags are plain integers too, for an `IntFlag` costs ten times as much
on the path of every message.

Always holds: an enumeration has every assigned number of its registry and no other (a test compares them); reserved
numbers have no name.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


def name_of(enumeration: type[IntEnum], number: int) -> str:
    """The name of a number, or the number itself as text where it has no name."""
    try:
        return enumeration(number).name
    except ValueError:
        return str(number)


def flag_names(flags: type, value: int) -> str:
    """The names of the flags of a class such as `BindingUpdateFlag` that are set in `value`: "ACKNOWLEDGE PROXY"; bits
    without a name as one hexadecimal number at the end."""
    names = []
    for name, mask in vars(flags).items():
        if isinstance(mask, int) and value & mask:
            names.append(name)
            value &= ~mask
    return " ".join(names + ([f"{value:#x}"] if value else []))


class BindingUpdateFlag:
    """Flags of a Binding Update (RFC 6275 section 6.1.7 and the RFCs beside them)."""

    ACKNOWLEDGE: Final = 0x8000  # A
    HOME_REGISTRATION: Final = 0x4000  # H
    LINK_LOCAL_ADDRESS_COMPATIBILITY: Final = 0x2000  # L
    KEY_MANAGEMENT_MOBILITY: Final = 0x1000  # K
    MAP_REGISTRATION: Final = 0x0800  # M, RFC 4140
    MOBILE_ROUTER: Final = 0x0400  # R, RFC 3963
    PROXY: Final = 0x0200  # P, RFC 5213
    FORCE_UDP_ENCAPSULATION: Final = 0x0100  # F, RFC 5555
    TLV_HEADER: Final = 0x0080  # T, RFC 5845
    BULK_BINDING_UPDATE: Final = 0x0040  # B, RFC 6602
    SUBSCRIPTION: Final = 0x0020  # S, RFC 7161
    DISTRIBUTED: Final = 0x0010  # D, RFC 8885


class BindingAcknowledgementFlag:
    """Flags of a Binding Acknowledgement (RFC 6275 section 6.1.8 and the RFCs beside them)."""

    KEY_MANAGEMENT_MOBILITY: Final = 0x80  # K
    MOBILE_ROUTER: Final = 0x40  # R, RFC 3963
    PROXY: Final = 0x20  # P, RFC 5213
    TLV_HEADER: Final = 0x10  # T, RFC 5845
    BULK_BINDING_UPDATE: Final = 0x08  # B, RFC 6602
    SUBSCRIPTION: Final = 0x04  # S, RFC 7161
    DISTRIBUTED: Final = 0x02  # D, RFC 8885


class HeartbeatFlag:
    """Flags of a Heartbeat (RFC 5847 section 3.2)."""

    UNSOLICITED: Final = 0x0002  # U
    RESPONSE: Final = 0x0001  # R


class RevocationFlag:
    """Flags of both Binding Revocation messages (RFC 5846 section 5)."""

    PROXY_BINDING: Final = 0x8000  # P
    IPV4_HOME_ADDRESS_BINDING_ONLY: Final = 0x4000  # V
    GLOBAL: Final = 0x2000  # G


class NotificationFlag:
    """Flags of an Update Notification (RFC 7077 section 4.1)."""

    ACKNOWLEDGE: Final = 0x8000  # A
    RETRANSMIT: Final = 0x4000  # D


class RedirectFlag:
    """Flags of the Redirect option (RFC 6463 section 4.2)."""

    IPV6: Final = 0x8000  # K
    IPV4: Final = 0x4000  # N


class DelegatedPrefixFlag:
    """Flags of the Delegated Mobile Network Prefix option (RFC 7148 section 4.1)."""

    IPV4: Final = 0x80  # V


class NetworkIdentifierFlag:
    """Flags of the Network-Identifier sub-option (RFC 6757 section 3.1.1)."""

    UTF8: Final = 0x80  # E


class RouterAdvertisementFlag:
    """Flags of a Router Advertisement (RFC 4861 section 4.2, RFC 6275 section 7.1)."""

    MANAGED: Final = 0x80  # M
    OTHER: Final = 0x40  # O
    HOME_AGENT: Final = 0x20  # H


class NeighborAdvertisementFlag:
    """Flags of a Neighbor Advertisement (RFC 4861 section 4.4)."""

    ROUTER: Final = 0x80000000  # R
    SOLICITED: Final = 0x40000000  # S
    OVERRIDE: Final = 0x20000000  # O


class PrefixInformationFlag:
    """Flags of the Prefix Information option (RFC 4861 section 4.6.2, RFC 6275 section 7.2)."""

    ON_LINK: Final = 0x80  # L
    AUTONOMOUS: Final = 0x40  # A
    ROUTER_ADDRESS: Final = 0x20  # R


class HomeAgentFlag:
    """The flag of home agent address discovery and of the Home Agent Information option (RFC 3963 section 7)."""

    MOBILE_ROUTER: Final = 0x8000  # R


class MobilePrefixFlag:
    """Flags of a Mobile Prefix Advertisement (RFC 6275 section 6.8)."""

    MANAGED: Final = 0x8000  # M
    OTHER: Final = 0x4000  # O


class NextHeader:
    """Protocol numbers that this project meets (the IANA registry of protocol numbers)."""

    HOP_BY_HOP: Final = 0
    IPV4: Final = 4
    TCP: Final = 6
    UDP: Final = 17
    IPV6: Final = 41
    ROUTING: Final = 43
    FRAGMENT: Final = 44
    ESP: Final = 50
    AUTHENTICATION: Final = 51
    ICMPV6: Final = 58
    NONE: Final = 59
    DESTINATION_OPTIONS: Final = 60
    MOBILITY: Final = 135


class MobilityHeaderType(IntEnum):
    """MH Type (RFC 6275 section 6.1.1)."""

    BINDING_REFRESH_REQUEST = 0
    HOME_TEST_INIT = 1
    CARE_OF_TEST_INIT = 2
    HOME_TEST = 3
    CARE_OF_TEST = 4
    BINDING_UPDATE = 5
    BINDING_ACKNOWLEDGEMENT = 6
    BINDING_ERROR = 7
    FAST_BINDING_UPDATE = 8
    FAST_BINDING_ACKNOWLEDGMENT = 9
    FAST_NEIGHBOR_ADVERTISEMENT = 10
    EXPERIMENTAL_MOBILITY_HEADER = 11
    HOME_AGENT_SWITCH = 12
    HEARTBEAT = 13
    HANDOVER_INITIATE = 14
    HANDOVER_ACKNOWLEDGE = 15
    BINDING_REVOCATION = 16
    LOCALIZED_ROUTING_INITIATION = 17
    LOCALIZED_ROUTING_ACKNOWLEDGMENT = 18
    UPDATE_NOTIFICATION = 19
    UPDATE_NOTIFICATION_ACKNOWLEDGEMENT = 20
    FLOW_BINDING = 21
    SUBSCRIPTION_QUERY = 22
    SUBSCRIPTION_RESPONSE = 23


class MobilityOption(IntEnum):
    """Mobility option types (RFC 6275 section 6.2.1)."""

    PAD1 = 0
    PADN = 1
    BINDING_REFRESH_ADVICE = 2
    ALTERNATE_CARE_OF_ADDRESS = 3
    NONCE_INDICES = 4
    BINDING_AUTHORIZATION_DATA = 5
    MOBILE_NETWORK_PREFIX = 6
    MOBILITY_HEADER_LINK_LAYER_ADDRESS = 7
    MOBILE_NODE_IDENTIFIER = 8
    MOBILITY_MESSAGE_AUTHENTICATION = 9
    MOBILITY_MESSAGE_REPLAY_PROTECTION = 10
    CGA_PARAMETERS_REQUEST = 11
    CGA_PARAMETERS = 12
    SIGNATURE = 13
    PERMANENT_HOME_KEYGEN_TOKEN = 14
    CARE_OF_TEST_INIT = 15
    CARE_OF_TEST = 16
    DNS_UPDATE = 17
    EXPERIMENTAL = 18
    VENDOR_SPECIFIC = 19
    SERVICE_SELECTION = 20
    BINDING_AUTHORIZATION_DATA_FOR_FMIPV6 = 21
    HOME_NETWORK_PREFIX = 22
    HANDOFF_INDICATOR = 23
    ACCESS_TECHNOLOGY_TYPE = 24
    MOBILE_NODE_LINK_LAYER_IDENTIFIER = 25
    LINK_LOCAL_ADDRESS = 26
    TIMESTAMP = 27
    RESTART_COUNTER = 28
    IPV4_HOME_ADDRESS = 29
    IPV4_ADDRESS_ACKNOWLEDGEMENT = 30
    NAT_DETECTION = 31
    IPV4_CARE_OF_ADDRESS = 32
    GRE_KEY = 33
    MOBILITY_HEADER_IPV6_ADDRESS_PREFIX = 34
    BINDING_IDENTIFIER = 35
    IPV4_HOME_ADDRESS_REQUEST = 36
    IPV4_HOME_ADDRESS_REPLY = 37
    IPV4_DEFAULT_ROUTER_ADDRESS = 38
    IPV4_DHCP_SUPPORT_MODE = 39
    CONTEXT_REQUEST = 40
    LOCAL_MOBILITY_ANCHOR_ADDRESS = 41
    MOBILE_NODE_LINK_LOCAL_ADDRESS_INTERFACE_IDENTIFIER = 42
    TRANSIENT_BINDING = 43
    FLOW_SUMMARY = 44
    FLOW_IDENTIFICATION = 45
    REDIRECT_CAPABILITY = 46
    REDIRECT = 47
    LOAD_INFORMATION = 48
    ALTERNATE_IPV4_CARE_OF_ADDRESS = 49
    MOBILE_NODE_GROUP_IDENTIFIER = 50
    MAG_IPV6_ADDRESS = 51
    ACCESS_NETWORK_IDENTIFIER = 52
    IPV4_TRAFFIC_OFFLOAD_SELECTOR = 53
    DYNAMIC_IP_MULTICAST_SELECTOR = 54
    DELEGATED_MOBILE_NETWORK_PREFIX = 55
    ACTIVE_MULTICAST_SUBSCRIPTION_IPV4 = 56
    ACTIVE_MULTICAST_SUBSCRIPTION_IPV6 = 57
    QUALITY_OF_SERVICE = 58
    LMA_USER_PLANE_ADDRESS = 59
    MULTICAST = 60
    MULTICAST_ACKNOWLEDGEMENT = 61
    LMA_CONTROLLED_MAG_PARAMETERS = 62
    MAG_MULTIPATH_BINDING = 63
    MAG_IDENTIFIER = 64
    ANCHORED_PREFIX = 65
    LOCAL_PREFIX = 66
    PREVIOUS_MAAR = 67
    SERVING_MAAR = 68
    DLIF_LINK_LOCAL_ADDRESS = 69
    DLIF_LINK_LAYER_ADDRESS = 70


class Status(IntEnum):
    """Status of a Binding Acknowledgement (RFC 6275 section 6.1.8, RFC 5213 section 8.9)."""

    ACCEPTED = 0
    ACCEPTED_BUT_PREFIX_DISCOVERY_NECESSARY = 1
    GRE_KEY_OPTION_NOT_REQUIRED = 2
    GRE_TUNNELING_BUT_TLV_HEADER_NOT_SUPPORTED = 3
    MCOA_NOTCOMPLETE = 4
    MCOA_RETURNHOME_WITHOUT_NDP = 5
    PBU_ACCEPTED_TB_IGNORED_SETTINGSMISMATCH = 6
    REASON_UNSPECIFIED = 128
    ADMINISTRATIVELY_PROHIBITED = 129
    INSUFFICIENT_RESOURCES = 130
    HOME_REGISTRATION_NOT_SUPPORTED = 131
    NOT_HOME_SUBNET = 132
    NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE = 133
    DUPLICATE_ADDRESS_DETECTION_FAILED = 134
    SEQUENCE_NUMBER_OUT_OF_WINDOW = 135
    EXPIRED_HOME_NONCE_INDEX = 136
    EXPIRED_CARE_OF_NONCE_INDEX = 137
    EXPIRED_NONCES = 138
    REGISTRATION_TYPE_CHANGE_DISALLOWED = 139
    MOBILE_ROUTER_OPERATION_NOT_PERMITTED = 140
    INVALID_PREFIX = 141
    NOT_AUTHORIZED_FOR_PREFIX = 142
    FORWARDING_SETUP_FAILED = 143
    MIPV6_ID_MISMATCH = 144
    MIPV6_MESG_ID_REQD = 145
    MIPV6_AUTH_FAIL = 146
    PERMANENT_HOME_KEYGEN_TOKEN_UNAVAILABLE = 147
    CGA_AND_SIGNATURE_VERIFICATION_FAILED = 148
    PERMANENT_HOME_KEYGEN_TOKEN_EXISTS = 149
    NON_NULL_HOME_NONCE_INDEX_EXPECTED = 150
    SERVICE_AUTHORIZATION_FAILED = 151
    PROXY_REG_NOT_ENABLED = 152
    NOT_LMA_FOR_THIS_MOBILE_NODE = 153
    MAG_NOT_AUTHORIZED_FOR_PROXY_REG = 154
    NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX = 155
    TIMESTAMP_MISMATCH = 156
    TIMESTAMP_LOWER_THAN_PREV_ACCEPTED = 157
    MISSING_HOME_NETWORK_PREFIX_OPTION = 158
    BCE_PBU_PREFIX_SET_DO_NOT_MATCH = 159
    MISSING_MN_IDENTIFIER_OPTION = 160
    MISSING_HANDOFF_INDICATOR_OPTION = 161
    MISSING_ACCESS_TECH_TYPE_OPTION = 162
    GRE_KEY_OPTION_REQUIRED = 163
    MCOA_MALFORMED = 164
    MCOA_NON_MCOA_BINDING_EXISTS = 165
    MCOA_PROHIBITED = 166
    MCOA_UNKNOWN_COA = 167
    MCOA_BULK_REGISTRATION_PROHIBITED = 168
    MCOA_SIMULTANEOUS_HOME_AND_FOREIGN_PROHIBITED = 169
    NOT_AUTHORIZED_FOR_IPV4_MOBILITY_SERVICE = 170
    NOT_AUTHORIZED_FOR_IPV4_HOME_ADDRESS = 171
    NOT_AUTHORIZED_FOR_IPV6_MOBILITY_SERVICE = 172
    MULTIPLE_IPV4_HOME_ADDRESS_ASSIGNMENT_NOT_SUPPORTED = 173
    INVALID_CARE_OF_ADDRESS = 174
    INVALID_MOBILE_NODE_GROUP_IDENTIFIER = 175
    REINIT_SA_WITH_HAC = 176
    NOT_AUTHORIZED_FOR_DELEGATED_MNP = 177
    REQUESTED_DMNP_IN_USE = 178
    CANNOT_MEET_QOS_SERVICE_REQUEST = 179
    CANNOT_SUPPORT_MULTIPATH_BINDING = 180


class BindingErrorStatus(IntEnum):
    """Status of a Binding Error (RFC 6275 section 6.1.9)."""

    UNKNOWN_BINDING = 1
    UNRECOGNIZED_MH_TYPE = 2


class HandoffIndicatorValue(IntEnum):
    """Handoff Indicator (RFC 5213 section 8.4)."""

    NEW_INTERFACE = 1
    BETWEEN_INTERFACES = 2
    BETWEEN_GATEWAYS = 3
    UNKNOWN = 4
    NOT_CHANGED = 5
    NEW_INTERFACE_SHARING_PREFIXES = 6


class AccessTechnology(IntEnum):
    """Access Technology Type (RFC 5213 section 8.5)."""

    VIRTUAL = 1
    PPP = 2
    IEEE_802_3 = 3
    IEEE_802_11A_B_G = 4
    IEEE_802_16E = 5
    GERAN = 6
    UTRAN = 7
    E_UTRAN = 8
    EHRPD = 9
    HRPD = 10
    CDMA2000_1XRTT = 11
    UMB = 12
    NB_IOT = 13


class MobileNodeIdentifierSubtype(IntEnum):
    """Subtype of the Mobile Node Identifier (RFC 4283 section 3.1, RFC 8371)."""

    NAI = 1
    IPV6_ADDRESS = 2
    IMSI = 3
    P_TMSI = 4
    EUI_48_ADDRESS = 5
    EUI_64_ADDRESS = 6
    GUTI = 7
    DUID = 8


class AuthenticationSubtype(IntEnum):
    """Subtype of the Mobility Message Authentication option (RFC 4285 section 5)."""

    MN_HA = 1
    MN_AAA = 2


class RevocationType(IntEnum):
    """B.R. Type (RFC 5846 section 5)."""

    INDICATION = 1
    ACKNOWLEDGEMENT = 2


class RevocationTrigger(IntEnum):
    """Revocation Trigger (RFC 5846 section 5.1)."""

    UNSPECIFIED = 0
    ADMINISTRATIVE_REASON = 1
    INTER_MAG_HANDOVER_SAME = 2
    INTER_MAG_HANDOVER_DIFFERENT = 3
    INTER_MAG_HANDOVER_UNKNOWN = 4
    USER_INITIATED_SESSIONS_TERMINATION = 5
    ACCESS_NETWORK_SESSIONS_TERMINATION = 6
    POSSIBLE_OUT_OF_SYNC_BCE_STATE = 7
    PER_PEER_POLICY = 128
    REVOKING_MOBILITY_NODE_LOCAL_POLICY = 129


class RevocationStatus(IntEnum):
    """Status of a Binding Revocation Acknowledgement (RFC 5846 section 5.2)."""

    SUCCESS = 0
    PARTIAL_SUCCESS = 1
    BINDING_DOES_NOT_EXIST = 128
    IPV4_HOME_ADDRESS_OPTION_REQUIRED = 129
    GLOBAL_REVOCATION_NOT_AUTHORIZED = 130
    REVOKED_MOBILE_NODES_IDENTITY_REQUIRED = 131
    REVOCATION_FAILED_MN_IS_ATTACHED = 132
    REVOCATION_TRIGGER_NOT_SUPPORTED = 133
    REVOCATION_FUNCTION_NOT_SUPPORTED = 134
    PROXY_BINDING_REVOCATION_NOT_SUPPORTED = 135


class Ipv4HomeAddressReplyStatus(IntEnum):
    """Status of the IPv4 Home Address Reply option (RFC 5844 section 3.3.2)."""

    SUCCESS = 0
    FAILURE_REASON_UNSPECIFIED = 128
    ADMINISTRATIVELY_PROHIBITED = 129
    INCORRECT_IPV4_HOME_ADDRESS = 130
    INVALID_IPV4_ADDRESS = 131
    DYNAMIC_IPV4_HOME_ADDRESS_ASSIGNMENT_NOT_AVAILABLE = 132


class GroupType(IntEnum):
    """Sub-type of the Mobile Node Group Identifier (RFC 6602 section 3)."""

    BULK_BINDING_UPDATE_GROUP = 1


class AccessNetworkSuboption(IntEnum):
    """Sub-options of the Access Network Identifier option (RFC 6757 section 3.1)."""

    NETWORK_IDENTIFIER = 1
    GEO_LOCATION = 2
    OPERATOR_IDENTIFIER = 3
    CIVIC_LOCATION = 4
    MAG_GROUP_IDENTIFIER = 5
    ANI_UPDATE_TIMER = 6


class OperatorIdentifierType(IntEnum):
    """Op-ID Type (RFC 6757 section 3.1.3)."""

    PRIVATE_ENTERPRISE_NUMBER = 1
    REALM = 2


class NotificationReason(IntEnum):
    """Reason of an Update Notification (RFC 7077 section 4.1)."""

    FORCE_REREGISTRATION = 1
    UPDATE_SESSION_PARAMETERS = 2
    VENDOR_SPECIFIC_REASON = 3
    ANI_PARAMS_REQUESTED = 4
    QOS_SERVICE_REQUEST = 5
    PGW_TRIGGERED_PCSCF_RESTORATION_PCO = 6
    PGW_TRIGGERED_PCSCF_RESTORATION_DHCP = 7
    FLOW_MOBILITY = 8


class NotificationStatus(IntEnum):
    """Status of an Update Notification Acknowledgement (RFC 7077 section 4.2)."""

    SUCCESS = 0
    FAILED_TO_UPDATE_SESSION_PARAMETERS = 128
    MISSING_VENDOR_SPECIFIC_OPTION = 129
    CANNOT_MEET_QOS_SERVICE_REQUEST = 130
    REASON_UNSPECIFIED = 131
    MN_NOT_ATTACHED = 132


class GatewayParameterSuboption(IntEnum):
    """Sub-options of the LMA-Controlled MAG Parameters option (RFC 8127 section 3)."""

    BINDING_RE_REGISTRATION_CONTROL = 1
    HEARTBEAT_CONTROL = 2
