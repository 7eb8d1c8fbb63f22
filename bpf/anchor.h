// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The anchor's side (RFC 5213 section 5.6, RFC 6275 sections 10.4.2 and 10.4.5, RFC 3963 section 6.5): packets to a home network
// prefix, a home address or a mobile network go into its tunnel, packets from it come out.
#ifndef HALMA_ANCHOR_H
#define HALMA_ANCHOR_H

#include "chain.h"
#include "group.h"

// A tunnel packet whose inner packet goes to another mobile node of ours: the outer header is turned to the next tunnel in
// place, which saves taking one header off and putting another one on. 0 when it must go the long way.
INLINE int skb_turn_around(struct __sk_buff *skb, const struct inside *inside, const struct address *inner_destination,
			   const struct configuration *settings, int *verdict)
{
	struct binding *binding = binding_to(inner_destination, settings);
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

INLINE int comes_out_of(const struct binding *binding, const struct inside *inside)
{
	struct tunnel *tunnel = binding && binding->tunnel ? tunnel_of(binding) : 0;
	return tunnel && is_from_tunnel(inside, tunnel);
}

// Which groups a mobile node listens to it says in its tunnel, from a link-local address and to a group of link scope (RFC 6275
// section 10.4.3). It has been heard on a packet socket.
INLINE int is_for_the_engine(const struct inside *inside, const struct configuration *settings)
{
	const struct ip6 *inner = &inside->header;
	return settings->flags & HOME_AGENT && inner->next_header == NEXT_HEADER_HOP_BY_HOP && is_multicast(&inner->destination) &&
	       is_link_local(&inner->source) && is_ours(&inside->outer_destination);
}

// What came in a tunnel and has been found whole. A node that comes home may be registered by itself and by its gateway for a
// while: either tunnel is right. 0 when it is not for us at all: somebody else's tunnel through this router.
INLINE int anchor_out_of_tunnel(struct __sk_buff *skb, const struct inside *inside, const struct configuration *settings, int *verdict)
{
	const struct ip6 *inner = &inside->header;
	if (is_for_the_engine(inside, settings)) {
		*verdict = DROP;
		return 1;
	}
	struct binding *binding = binding_of(&inner->source);
	if (!comes_out_of(binding, inside)) {
		volatile int is_home = 0; // the verifier lets nobody calculate with the pointers themselves
		struct binding *home = home_of(&inner->source, settings);
		int is_right = comes_out_of(home, inside);
		if (home)
			is_home = 1;
		if (!is_right) {
			home = network_of(&inner->source, settings);
			is_right = comes_out_of(home, inside);
			if (home)
				is_home = 1;
		}
		if (!is_right) {
			if (!is_ours(&inside->outer_destination))
				return 0;
			if (is_home)
				*verdict = drop(DROPPED_WRONG_OUTER_SOURCE);
			else
				*verdict = drop(!binding ? DROPPED_UNKNOWN_INNER : !binding->tunnel ? DROPPED_BOUND_TO_NOTHING : DROPPED_WRONG_OUTER_SOURCE);
			return 1;
		}
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
	*verdict = is_multicast(&ip->destination) ? group_forward(skb, ip, settings) : skb_forward(skb, ip, settings, 0);
	return 1;
}

// A Binding Update or Mobile Prefix Solicitation behind a Home Address option has been heard already. What also has a type 2
// routing header is for a mobile node, which we are not: the stack answers.
INLINE int is_heard_ahead_of_the_stack(struct __sk_buff *skb, const struct ip6 *ip, const struct configuration *settings)
{
	u8 first = ip->next_header;
	if (first != NEXT_HEADER_DESTINATION_OPTIONS && first != NEXT_HEADER_HOP_BY_HOP && first != NEXT_HEADER_ROUTING)
		return 0;
	if (!(settings->flags & HOME_AGENT) || !is_ours(&ip->destination))
		return 0;
	return signalling_is_behind(skb, ip) == BEHIND_HOME_ADDRESS;
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
	if (is_multicast(&ip->destination))
		return group_frame(skb, ip, settings);
	if (is_heard_ahead_of_the_stack(skb, ip, settings))
		return DROP;
	struct binding *binding = binding_to(&ip->destination, settings);
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

// A packet that the stack sends out of the tunnel device: one of our own, one that was passed up, one without a binding.
INLINE int anchor_device(struct __sk_buff *skb)
{
	struct configuration *settings = configuration_now();
	struct ip6 ip;
	if (!settings || !may_leave_by_device(skb, &ip))
		return DROP;
	if (is_multicast(&ip.destination))
		return copy_to_listener(skb, &ip, settings);
	struct binding *binding = binding_to(&ip.destination, settings);
	if (!binding) {
		count(PASSED_UNBOUND);
		return to_user_space();
	}
	return device_encapsulate(skb, &ip, binding, settings);
}

#endif
