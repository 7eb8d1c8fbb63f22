// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Encapsulation and decapsulation of a socket buffer, as the tc programs do it (TCX and clsact alike). This is the whole rule
// book: every packet may come here, whatever else a port has.
#ifndef HALMA_SKB_H
#define HALMA_SKB_H

#include "route.h"

#define CONTINUE TC_ACT_UNSPEC // to the next program of the port, then to the stack
#define DROP TC_ACT_SHOT
#define ENCAPSULATION_FLAGS (BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 | BPF_F_ADJ_ROOM_FIXED_GSO)
#define EALREADY 114

INLINE int drop(u32 counter)
{
	count(counter);
	return DROP;
}

INLINE void *skb_data(const struct __sk_buff *skb)
{
	return (void *)(long)skb->data;
}

INLINE void *skb_end(const struct __sk_buff *skb)
{
	return (void *)(long)skb->data_end;
}

// The IPv6 header at `offset`, once the first `offset` + 40 bytes are known to be there to read and write; 0 if they are not.
INLINE struct ip6 *skb_header(struct __sk_buff *skb, u32 offset)
{
	void *data = skb_data(skb);
	if (data + offset + IP6_SIZE > skb_end(skb)) {
		if (skb->len < offset + IP6_SIZE || bpf_skb_pull_data(skb, offset + IP6_SIZE))
			return 0;
		data = skb_data(skb);
		if (data + offset + IP6_SIZE > skb_end(skb))
			return 0;
	}
	return data + offset;
}

// The first word of the transport header when it is TCP or UDP, for the flow label.
INLINE u32 skb_ports(const struct __sk_buff *skb, const struct ip6 *ip, u32 offset)
{
	u32 ports = 0;
	if (ip->next_header == NEXT_HEADER_TCP || ip->next_header == NEXT_HEADER_UDP)
		bpf_skb_load_bytes(skb, offset + IP6_SIZE, &ports, 4);
	return ports;
}

// The size of the largest packet on the wire that this buffer stands for: a GSO buffer will be cut into segments.
INLINE u32 skb_wire_length(const struct __sk_buff *skb, const struct ip6 *ip, u32 offset)
{
	if (!skb->gso_size)
		return total_length(ip);
	u32 transport = 8;
	if (ip->next_header == NEXT_HEADER_TCP) {
		u8 data_offset = 0x50;
		bpf_skb_load_bytes(skb, offset + IP6_SIZE + 12, &data_offset, 1);
		transport = (data_offset >> 4) * 4;
	}
	return IP6_SIZE + transport + skb->gso_size;
}

// Is the packet as long as its header says? (A GSO buffer may be longer than the field can tell.)
INLINE int skb_is_whole(const struct __sk_buff *skb, const struct ip6 *ip, u32 offset)
{
	return skb->gso_size || offset + total_length(ip) <= skb->len;
}

// Room for the outer header behind the first `offset` bytes (RFC 2473 section 3.1). A buffer that came through a virtual link
// may still be marked as encapsulated by whoever sent it; its inner headers are where they were, so it can do without new marks.
INLINE long skb_make_room(struct __sk_buff *skb)
{
	long result = bpf_skb_adjust_room(skb, IP6_SIZE, BPF_ADJ_ROOM_MAC, ENCAPSULATION_FLAGS);
	if (result == -EALREADY)
		result = bpf_skb_adjust_room(skb, IP6_SIZE, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO);
	return result;
}

// The link-layer header in front of the IPv6 header `ip`. (The verifier forgets what it knows of a packet when its start is read
// again, so every place in a packet is counted from one that has been checked.)
INLINE void write_ethernet(struct ip6 *ip, const struct next_hop *hop)
{
	struct ethernet *ethernet = (void *)ip - ETHERNET_SIZE;
	__builtin_memcpy(ethernet->destination, hop->destination, 6);
	__builtin_memcpy(ethernet->source, hop->source, 6);
	ethernet->type = ETHERTYPE_IPV6;
}

// Put the packet, whose hop limit is already right, into the tunnel and send it on its way.
INLINE int skb_encapsulate(struct __sk_buff *skb, const struct ip6 *ip, const struct binding *binding, const struct tunnel *tunnel,
			   const struct configuration *settings)
{
	struct next_hop *hop = tunnel_slot(binding);
	if (!hop)
		return drop(ERROR);
	u32 word = ip->word, length = skb->gso_size ? skb->len - ETHERNET_SIZE : total_length(ip);
	u32 label = flow_label(ip, skb_ports(skb, ip, ETHERNET_SIZE)), wire = skb_wire_length(skb, ip, ETHERNET_SIZE);
	long found = find_next_hop(skb, hop, &tunnel->local, &tunnel->remote, wire + IP6_SIZE, skb->ingress_ifindex, settings->generation);

	if (skb_make_room(skb))
		return drop(ERROR);
	struct ip6 *outer = skb_header(skb, ETHERNET_SIZE);
	if (!outer)
		return drop(ERROR);
	write_outer(outer, word, label, length, &tunnel->local, &tunnel->remote);
	count(ENCAPSULATED);
	if (found == BPF_FIB_LKUP_RET_SUCCESS) {
		write_ethernet(outer, hop);
		return bpf_redirect(hop->ifindex, 0);
	}
	count(PASSED_NO_NEIGHBOUR);
	if (found == BPF_FIB_LKUP_RET_NO_NEIGH)
		return bpf_redirect_neigh(hop->ifindex, 0, 0, 0);
	return CONTINUE; // the stack routes the outer packet, and if it cannot, tells us so by ICMPv6
}

// An inner packet and where it lies in a tunnel packet.
struct inside {
	u32 offset; // of the inner header from the start of the frame
	u32 outer_ecn;
	struct address outer_source, outer_destination;
	struct ip6 header;
};

INLINE int is_from_tunnel(const struct inside *inside, const struct tunnel *tunnel)
{
	return same(&tunnel->remote, &inside->outer_source) && same(&tunnel->local, &inside->outer_destination);
}

// Find the inner header: directly behind the outer one, or behind one destination options header, which is where other
// implementations put the tunnel encapsulation limit (RFC 2473 section 5.1). 1 found, 0 not a tunnel packet, -1 malformed.
INLINE int skb_look_inside(struct __sk_buff *skb, const struct ip6 *outer, struct inside *inside)
{
	u32 extension = 0;
	if (outer->next_header == NEXT_HEADER_DESTINATION_OPTIONS) {
		u8 options[2];
		if (bpf_skb_load_bytes(skb, ETHERNET_SIZE + IP6_SIZE, options, 2) || options[0] != NEXT_HEADER_IPV6)
			return 0;
		extension = (options[1] + 1) * 8;
	} else if (outer->next_header != NEXT_HEADER_IPV6) {
		return 0;
	}
	inside->offset = ETHERNET_SIZE + IP6_SIZE + extension;
	inside->outer_ecn = ecn(outer);
	inside->outer_source = outer->source;
	inside->outer_destination = outer->destination;
	u32 payload = swap16(outer->payload_length);
	if (bpf_skb_load_bytes(skb, inside->offset, &inside->header, IP6_SIZE) || !is_version_6(&inside->header))
		return -1;
	u32 length = total_length(&inside->header);
	if (!skb->gso_size && (extension + length > payload || inside->offset + length > skb->len))
		return -1;
	return 1;
}

// Take the outer header off.
INLINE struct ip6 *skb_decapsulate(struct __sk_buff *skb, const struct inside *inside)
{
	int length = inside->offset - ETHERNET_SIZE;
	if (length < IP6_SIZE || length > IP6_SIZE + 2048 || bpf_skb_adjust_room(skb, -length, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO))
		return 0;
	return skb_header(skb, ETHERNET_SIZE);
}

// Forward a packet that came out of a tunnel. `only_to`: the interface it must leave by, or 0. What the stack has to answer
// (hop limit, too big for the next link) or knows better goes to the stack, without its outer header.
INLINE int skb_forward(struct __sk_buff *skb, struct ip6 *ip, const struct configuration *settings, u32 only_to)
{
	if (ip->hop_limit <= 1) {
		count(PASSED_HOP_LIMIT);
		return CONTINUE;
	}
	struct address source = ip->source, destination = ip->destination;
	struct next_hop *hop = inner_slot(&destination);
	if (!hop)
		return drop(ERROR);
	u32 wire = skb_wire_length(skb, ip, ETHERNET_SIZE);
	long found = find_next_hop(skb, hop, &source, &destination, wire, skb->ingress_ifindex, inner_generation(settings));
	if (found == BPF_FIB_LKUP_RET_FRAG_NEEDED) {
		count(PASSED_TOO_BIG);
		return CONTINUE;
	}
	if (found != BPF_FIB_LKUP_RET_SUCCESS && found != BPF_FIB_LKUP_RET_NO_NEIGH)
		return only_to ? drop(ERROR) : CONTINUE;
	if (only_to && hop->ifindex != only_to)
		return drop(ERROR);
	if (hop->ifindex == settings->device)
		return CONTINUE; // to an aggregate of ours: the tunnel device will know
	// The header has to be read again: a lookup may have moved the buffer in the eyes of the verifier.
	ip = skb_header(skb, ETHERNET_SIZE);
	if (!ip)
		return drop(ERROR);
	ip->hop_limit -= 1;
	if (found == BPF_FIB_LKUP_RET_NO_NEIGH) {
		count(PASSED_NO_NEIGHBOUR);
		if (!only_to)
			return bpf_redirect_neigh(hop->ifindex, 0, 0, 0);
		struct bpf_redir_neigh on_link = { .nh_family = AF_INET6 };
		__builtin_memcpy(on_link.ipv6_nh, &destination, 16);
		return bpf_redirect_neigh(only_to, &on_link, sizeof on_link, 0);
	}
	write_ethernet(ip, hop);
	return bpf_redirect(hop->ifindex, 0);
}

#endif
