# SPDX-License-Identifier: Apache-2.0
"""Why a Proxy Binding Update is refused, in words for the operator: RFC 5213 section 8.9, RFC 6275 section 6.1.8.

Always holds: every status that the local mobility anchor refuses with has its sentence.
"""

from __future__ import annotations

from halma.wire.numbers import Status

REFUSALS = {
    Status.REASON_UNSPECIFIED: "node '{1:node}': malformed request, or the data plane failed",
    Status.ADMINISTRATIVELY_PROHIBITED: "the session of node '{1:node}' is being revoked",
    Status.INSUFFICIENT_RESOURCES: "no room or no prefix left for node '{1:node}'",
    Status.SEQUENCE_NUMBER_OUT_OF_WINDOW: "node '{1:node}': sequence number not newer than the last one",
    Status.PROXY_REG_NOT_ENABLED: "node '{1:node}' is not entitled to proxy mobility",
    Status.NOT_LMA_FOR_THIS_MOBILE_NODE: "node '{1:node}' is not served here",
    Status.MAG_NOT_AUTHORIZED_FOR_PROXY_REG: "node '{1:node}' may not attach there",
    Status.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX: "node '{1:node}' may not use a prefix that was asked for",
    Status.TIMESTAMP_MISMATCH: "node '{1:node}': timestamp outside the validity window; are the clocks in step?",
    Status.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED: "node '{1:node}': timestamp older than one already accepted",
    Status.MISSING_HOME_NETWORK_PREFIX_OPTION: "node '{1:node}': no Home Network Prefix option",
    Status.BCE_PBU_PREFIX_SET_DO_NOT_MATCH: "node '{1:node}': other prefixes than those of its session",
    Status.MISSING_MN_IDENTIFIER_OPTION: "no Mobile Node Identifier option",
    Status.MISSING_HANDOFF_INDICATOR_OPTION: "node '{1:node}': no Handoff Indicator option",
    Status.MISSING_ACCESS_TECH_TYPE_OPTION: "node '{1:node}': no Access Technology Type option",
}
"""Why, for people: the fields are: the gateway's address, the node."""
