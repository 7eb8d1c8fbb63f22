// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Chains of extension headers (RFC 8200 section 4.1), as far as signalling stands behind them: it has been heard on a packet socket
// (halma.netio.signalling), and the stack would answer Parameter Problem, or take part itself where it knows Mobile IPv6.
#ifndef HALMA_CHAIN_H
#define HALMA_CHAIN_H

#include "skb.h"

#define MOST_HEADERS 5 // hop-by-hop options, destination options, routing, destination options, fragment
#define MOST_OPTIONS 16

// Whether a destination options header has a Home Address option, or more options than anybody has use for.
INLINE int names_a_home_address(struct __sk_buff *skb, u32 offset)
{
	u8 octets[2]; // of the header: next header, length; of an option: number, length
	if (bpf_skb_load_bytes(skb, offset, octets, 2))
		return 0;
	u32 end = offset + 8 * (octets[1] + 1);
	offset += 2;
	for (int i = 0; i < MOST_OPTIONS; i++) {
		if (offset >= end || bpf_skb_load_bytes(skb, offset, octets, 2))
			return 0;
		if (octets[0] == OPTION_HOME_ADDRESS)
			return 1;
		offset += octets[0] ? octets[1] + 2 : 1; // Pad1 has no length
	}
	return 1;
}

#define BEHIND_HOME_ADDRESS 1 // a Home Address option (RFC 6275 section 6.3)
#define BEHIND_TYPE_2 2	      // a type 2 routing header (section 6.4)

// What a Mobility Header or an ICMPv6 message stands behind; 0 for any other packet, and for one that does not end here.
INLINE u32 signalling_is_behind(struct __sk_buff *skb, const struct ip6 *ip)
{
	u32 offset = ETHERNET_SIZE + IP6_SIZE, behind = 0;
	u8 next_header = ip->next_header, octets[4];
	for (int i = 0; i < MOST_HEADERS; i++) {
		if (next_header == NEXT_HEADER_MOBILITY || next_header == NEXT_HEADER_ICMPV6)
			break;
		if (bpf_skb_load_bytes(skb, offset, octets, sizeof octets))
			return 0;
		if (next_header == NEXT_HEADER_DESTINATION_OPTIONS) {
			if (names_a_home_address(skb, offset))
				behind |= BEHIND_HOME_ADDRESS;
		} else if (next_header == NEXT_HEADER_ROUTING) {
			if (octets[2] == ROUTING_TYPE_2)
				behind |= BEHIND_TYPE_2;
			else if (octets[3]) // segments left
				return 0;
		} else if (next_header == NEXT_HEADER_FRAGMENT) {
			if (octets[2] || octets[3] & 0xf9) // there are others
				return 0;
			octets[1] = 0; // it has no length
		} else if (next_header != NEXT_HEADER_HOP_BY_HOP || i) {
			return 0;
		}
		next_header = octets[0];
		offset += 8 * (octets[1] + 1);
	}
	return next_header == NEXT_HEADER_MOBILITY || next_header == NEXT_HEADER_ICMPV6 ? behind : 0;
}

#endif
