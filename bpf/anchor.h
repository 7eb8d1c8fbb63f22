// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The anchor's side (RFC 5213 section 5.6): packets to a home network prefix go into its tunnel, packets from it come out.
#ifndef HALMA_ANCHOR_H
#define HALMA_ANCHOR_H

#include "slow.h"

// A tunnel packet whose inner packet goes to another mobile node of ours: the outer header is turned to the next tunnel in
// place, which saves taking one header off and putting another one on. 0 when it must go the long way.
INLINE int skb_turn_around(struct __sk_buff *skb, const struct inside *inside, const struct address *inner_destination,
			   const struct configuration *settings, int *verdict)
{
	struct binding *binding = binding_of(inner_destination);
	if (!binding)
		return 0;
	if (!binding->tunnel) {
		*verdict = drop(DROPPED_BOUND_TO_NOTHING);
		return 1;
	}
	struct tunnel *tunnel = tunnel_of(binding);
	struct next_hop *hop = tunnel_slot(binding);
	struct ip6 *inner = skb_header(skb, ETHERNET_SIZE + IP6_SIZE);
	if (!tunnel || !hop || !inner || inside->offset != ETHERNET_SIZE + IP6_SIZE || inner->hop_limit <= 1)
		return 0;
	u32 wire = skb_wire_length(skb, inner, inside->offset) + IP6_SIZE;
	if (wire > tunnel->mtu)
		return 0;
	if (find_next_hop(skb, hop, &tunnel->local, &tunnel->remote, wire, skb->ingress_ifindex, settings->generation))
		return 0;
	u32 label = flow_label(inner, skb_ports(skb, inner, inside->offset));
	u32 length = skb->gso_size ? skb->len - inside->offset : total_length(inner);
	inner = skb_header(skb, ETHERNET_SIZE + IP6_SIZE);
	if (!inner)
		return 0;
	inner->hop_limit -= 1;
	ecn_carry_over(inside->outer_ecn, inner);
	struct ip6 *outer = inner - 1;
	write_outer(outer, inner->word, label, length, &tunnel->local, &tunnel->remote);
	write_ethernet(outer, hop);
	count(DECAPSULATED);
	count(ENCAPSULATED);
	*verdict = bpf_redirect(hop->ifindex, 0);
	return 1;
}

// What came in a tunnel and has been found whole. 0 when it is not for us at all: somebody else's tunnel through this router.
INLINE int anchor_out_of_tunnel(struct __sk_buff *skb, const struct inside *inside, const struct configuration *settings, int *verdict)
{
	const struct ip6 *inner = &inside->header;
	struct binding *binding = binding_of(&inner->source);
	struct tunnel *tunnel = binding ? tunnel_of(binding) : 0;
	if (!tunnel || !binding->tunnel || !is_from_tunnel(inside, tunnel)) {
		if (!is_ours(&inside->outer_destination))
			return 0;
		*verdict = drop(!binding ? DROPPED_UNKNOWN_INNER : !binding->tunnel ? DROPPED_BOUND_TO_NOTHING : DROPPED_WRONG_OUTER_SOURCE);
		return 1;
	}
	if (!ecn_allows(inside->outer_ecn, inner)) {
		*verdict = drop(DROPPED_CONGESTION_MARK);
		return 1;
	}
	if (skb_turn_around(skb, inside, &inner->destination, settings, verdict))
		return 1;
	struct ip6 *ip = skb_decapsulate(skb, inside);
	if (!ip) {
		*verdict = drop(ERROR);
		return 1;
	}
	ecn_carry_over(inside->outer_ecn, ip);
	count(DECAPSULATED);
	*verdict = skb_forward(skb, ip, settings, 0);
	return 1;
}

// A frame that comes in on a port that faces the network.
INLINE int anchor_frame(struct __sk_buff *skb)
{
	struct configuration *settings = configuration_now();
	struct ip6 *ip = skb_header(skb, ETHERNET_SIZE);
	if (!settings || !ip || !is_version_6(ip))
		return CONTINUE;

	struct inside inside = {};
	int found = skb_look_inside(skb, ip, &inside), verdict;
	if (found < 0 && is_ours(&inside.outer_destination))
		return drop(DROPPED_MALFORMED);
	if (found > 0 && anchor_out_of_tunnel(skb, &inside, settings, &verdict))
		return verdict;

	ip = skb_header(skb, ETHERNET_SIZE);
	if (!ip)
		return CONTINUE;
	struct binding *binding = binding_of(&ip->destination);
	if (!binding)
		return CONTINUE; // if it is for an unbound prefix of ours, its route leads to the tunnel device
	if (!binding->tunnel)
		return drop(DROPPED_BOUND_TO_NOTHING);
	struct tunnel *tunnel = tunnel_of(binding);
	if (!tunnel)
		return drop(ERROR);
	if (!skb_is_whole(skb, ip, ETHERNET_SIZE))
		return drop(DROPPED_MALFORMED);
	if (is_link_local(&ip->source))
		return CONTINUE;
	if (ip->hop_limit <= 1) {
		count(PASSED_HOP_LIMIT); // the stack answers Time Exceeded
		return CONTINUE;
	}
	if (skb_wire_length(skb, ip, ETHERNET_SIZE) + IP6_SIZE > tunnel->mtu) {
		count(PASSED_TOO_BIG); // the stack routes it to the tunnel device, and answers Packet Too Big
		return CONTINUE;
	}
	ip = skb_header(skb, ETHERNET_SIZE);
	if (!ip)
		return drop(ERROR);
	ip->hop_limit -= 1;
	return skb_encapsulate(skb, ip, binding, tunnel, settings);
}

// A packet that the stack sends out of the tunnel device: one of our own, one that was passed up, one without a binding. It has no
// link-layer header, so its words lie where strict kernels do not let them be read in place: the header is copied.
INLINE int anchor_device(struct __sk_buff *skb)
{
	struct configuration *settings = configuration_now();
	struct ip6 ip;
	if (!settings || bpf_skb_load_bytes(skb, 0, &ip, IP6_SIZE) || !is_version_6(&ip))
		return DROP;
	if (is_multicast(&ip.destination) || is_link_local(&ip.source) || is_unspecified(&ip.source))
		return DROP;
	struct binding *binding = binding_of(&ip.destination);
	if (!binding) {
		count(PASSED_UNBOUND);
		return to_user_space();
	}
	if (!binding->tunnel)
		return drop(DROPPED_BOUND_TO_NOTHING);
	struct tunnel *tunnel = tunnel_of(binding);
	struct next_hop *hop = tunnel_slot(binding);
	if (!tunnel || !hop)
		return drop(ERROR);
	if (ip.next_header == NEXT_HEADER_IPV6 && same(&ip.source, &tunnel->local))
		return drop(ERROR); // the way to the far end of a tunnel must not lead through a tunnel
	u32 wire = skb_wire_length(skb, &ip, 0);
	if (wire + IP6_SIZE > tunnel->mtu) {
		count(PASSED_TOO_BIG);
		return wire <= MINIMUM_MTU ? CONTINUE : to_user_space();
	}
	u32 length = skb->gso_size ? skb->len : total_length(&ip), label = flow_label(&ip, skb_ports(skb, &ip, 0));
	long found = find_next_hop(skb, hop, &tunnel->local, &tunnel->remote, wire + IP6_SIZE, skb->ifindex, settings->generation);
	if (skb_make_room(skb))
		return drop(ERROR);
	struct ip6 outer;
	write_outer(&outer, ip.word, label, length, &tunnel->local, &tunnel->remote);
	if (bpf_skb_store_bytes(skb, 0, &outer, IP6_SIZE, 0))
		return drop(ERROR);
	count(ENCAPSULATED);
	if (found != BPF_FIB_LKUP_RET_SUCCESS && found != BPF_FIB_LKUP_RET_NO_NEIGH) {
		count(PASSED_NO_NEIGHBOUR);
		return bpf_redirect(skb->ifindex, BPF_F_INGRESS); // as if it had come from the device: the stack routes the outer packet
	}
	if (bpf_skb_change_head(skb, ETHERNET_SIZE, 0)) // where the next device wants its link-layer header
		return drop(ERROR);
	return bpf_redirect_neigh(hop->ifindex, 0, 0, 0);
}

#endif
