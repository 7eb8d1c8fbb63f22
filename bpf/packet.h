// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Headers, and the rules of RFC 2473, RFC 6040 and RFC 6438 that need nothing but headers.
#ifndef HALMA_PACKET_H
#define HALMA_PACKET_H

#include "kernel.h"

#define NEXT_HEADER_HOP_BY_HOP 0
#define NEXT_HEADER_TCP 6
#define NEXT_HEADER_UDP 17
#define NEXT_HEADER_IPV6 41
#define NEXT_HEADER_ROUTING 43
#define NEXT_HEADER_FRAGMENT 44
#define NEXT_HEADER_ICMPV6 58
#define NEXT_HEADER_DESTINATION_OPTIONS 60
#define NEXT_HEADER_MOBILITY 135
#define ROUTING_TYPE_2 2
#define OPTION_HOME_ADDRESS 201

#define ETHERNET_SIZE 14
#define IP6_SIZE 40
#define TUNNEL_HOP_LIMIT 64 // RFC 2473 section 6.3: a configured value; this is the default of hosts (IANA)
#define MINIMUM_MTU 1280

// Two 64-bit words: kernels on machines that cannot load them unaligned refuse the programs, and another plane is used there.
struct address {
	u64 high, low; // in network order, as they lie in memory
};

struct ethernet {
	u8 destination[6], source[6];
	u16 type;
};

struct ip6 {
	u32 word; // version, traffic class, flow label
	u16 payload_length;
	u8 next_header, hop_limit;
	struct address source, destination;
};

INLINE int same(const struct address *a, const struct address *b)
{
	return a->high == b->high && a->low == b->low;
}

INLINE int is_version_6(const struct ip6 *ip)
{
	return (*(const u8 *)ip >> 4) == 6;
}

INLINE int is_multicast(const struct address *a)
{
	return *(const u8 *)a == 0xff;
}

#define SCOPE_LINK 2

// Whether routers forward what is sent to a group (RFC 4291 section 2.7).
INLINE int leaves_its_link(const struct address *group)
{
	return (((const u8 *)group)[1] & 15) > SCOPE_LINK;
}

INLINE int is_link_local(const struct address *a)
{
	return (a->high & swap64(0xffc0000000000000ULL)) == swap64(0xfe80000000000000ULL);
}

INLINE int is_unspecified(const struct address *a)
{
	return (a->high | a->low) == 0;
}

// The length of the whole IPv6 packet that the header announces.
INLINE u32 total_length(const struct ip6 *ip)
{
	return (u32)swap16(ip->payload_length) + IP6_SIZE;
}

// RFC 6438: the outer flow label is a hash of what identifies the inner flow, so that routers can spread tunnels' flows.
// `ports` is the first word of the transport header, or 0. Never 0, for that would say "not labelled".
INLINE u32 flow_label(const struct ip6 *inner, u32 ports)
{
	u64 mix = inner->source.high ^ (inner->source.low * 3) ^ (inner->destination.high * 5) ^ (inner->destination.low * 7);
	u32 hash = (u32)mix ^ (u32)(mix >> 32) ^ (inner->word & swap32(0xfffff)) ^ ports;
	hash *= 0x9e3779b1;
	hash ^= hash >> 16;
	hash *= 0x85ebca6b;
	hash = (hash >> 12) & 0xfffff;
	return hash ? hash : 1;
}

// The header put around `inner`: its traffic class is copied with its ECN field (RFC 2473 section 6.4, RFC 6040 section 4.1).
INLINE void write_outer(struct ip6 *outer, u32 inner_word, u32 label, u32 inner_length, const struct address *source,
			const struct address *destination)
{
	outer->word = swap32((swap32(inner_word) & 0xfff00000) | label);
	outer->payload_length = inner_length > 0xffff ? 0 : swap16((u16)inner_length);
	outer->next_header = NEXT_HEADER_IPV6;
	outer->hop_limit = TUNNEL_HOP_LIMIT;
	outer->source = *source;
	outer->destination = *destination;
}

#define ECN_MASK 3
#define ECN_CONGESTION_EXPERIENCED 3

INLINE u32 ecn(const struct ip6 *ip)
{
	return (swap32(ip->word) >> 20) & ECN_MASK;
}

// What the outer header's ECN field does to the inner one when the tunnel ends (RFC 6040 section 4.2, RFC 5213 section
// 5.6.3): a congestion mark goes over to a packet whose transport understands it, and a packet whose transport does not
// is dropped instead. Nothing else changes the inner field. 0 when the packet is to be dropped.
INLINE int ecn_allows(u32 outer, const struct ip6 *inner)
{
	return outer != ECN_CONGESTION_EXPERIENCED || ecn(inner) != 0;
}

INLINE void ecn_carry_over(u32 outer, struct ip6 *inner)
{
	if (outer == ECN_CONGESTION_EXPERIENCED)
		inner->word |= swap32(ECN_CONGESTION_EXPERIENCED << 20);
}

#endif
