// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The gateway's side (RFC 5213 section 6.10): packets that a mobile node sends go into its tunnel, packets to it come out.
#ifndef HALMA_GATEWAY_H
#define HALMA_GATEWAY_H

#include "slow.h"

// Whether packets to the prefix come in its tunnel alone.
INLINE int keeps_to_its_tunnel(const struct binding *binding)
{
	return !(binding->flags & (ROUTED | LOCAL_ROUTING));
}

// A packet for a mobile node that came by ordinary routing, not in its tunnel (sections 6.10.3 and 6.10.5): unless local routing
// is allowed it goes on towards the anchor, as it is.
INLINE int towards_anchor(struct __sk_buff *skb, struct ip6 *ip, const struct binding *binding, const struct configuration *settings)
{
	struct tunnel *tunnel = tunnel_of(binding);
	struct next_hop *hop = tunnel_slot(binding);
	if (!tunnel || !hop || !binding->tunnel)
		return drop(DROPPED_BOUND_TO_NOTHING);
	if (ip->hop_limit <= 1)
		return drop(PASSED_HOP_LIMIT);
	u32 wire = skb_wire_length(skb, ip, ETHERNET_SIZE);
	if (find_next_hop(skb, hop, &tunnel->local, &tunnel->remote, wire, skb->ingress_ifindex, settings->generation))
		return drop(PASSED_NO_NEIGHBOUR);
	ip = skb_header(skb, ETHERNET_SIZE);
	if (!ip)
		return drop(ERROR);
	ip->hop_limit -= 1;
	write_ethernet(ip, hop);
	return bpf_redirect(hop->ifindex, 0);
}

// A frame from an access link. What a mobile node sends never reaches the stack's forwarding, so that nothing can leave outside
// the tunnel; what comes from a prefix of the gateway's own link always does.
INLINE int gateway_access_frame(struct __sk_buff *skb)
{
	struct configuration *settings = configuration_now();
	struct ip6 *ip = skb_header(skb, ETHERNET_SIZE);
	if (!settings || !ip || !is_version_6(ip))
		return CONTINUE;
	// Neighbour Discovery, and whatever else nodes on a link tell each other. The stack forwards none of it.
	if (is_link_local(&ip->destination) || is_multicast(&ip->destination))
		return CONTINUE;
	if (is_link_local(&ip->source)) // section 6.10.5: must not be forwarded
		return is_ours(&ip->destination) ? CONTINUE : drop(DROPPED_WRONG_INNER_SOURCE);

	struct binding *binding = binding_of(&ip->source);
	if (!binding || binding->access != skb->ingress_ifindex)
		return drop(DROPPED_WRONG_INNER_SOURCE);
	if (binding->flags & ROUTED) {
		struct binding *other = binding_of(&ip->destination);
		return other && keeps_to_its_tunnel(other) ? towards_anchor(skb, ip, other, settings) : CONTINUE;
	}
	if (!binding->tunnel)
		return drop(DROPPED_BOUND_TO_NOTHING);
	struct tunnel *tunnel = tunnel_of(binding);
	if (!tunnel)
		return drop(ERROR);
	if (!skb_is_whole(skb, ip, ETHERNET_SIZE))
		return drop(DROPPED_MALFORMED);
	if (same(&ip->destination, &tunnel->local))
		return CONTINUE; // to the gateway itself
	if (binding->flags & LOCAL_ROUTING) {
		struct binding *other = binding_of(&ip->destination);
		if (other && other->flags & LOCAL_ROUTING && (other->tunnel || other->flags & ROUTED))
			return CONTINUE; // the stack has the route to the other access interface
	}
	if (ip->hop_limit <= 1) {
		count(PASSED_HOP_LIMIT);
		return bpf_redirect(settings->device, 0);
	}
	if (skb_wire_length(skb, ip, ETHERNET_SIZE) + IP6_SIZE > tunnel->mtu) {
		count(PASSED_TOO_BIG);
		return bpf_redirect(settings->device, 0);
	}
	ip = skb_header(skb, ETHERNET_SIZE);
	if (!ip)
		return drop(ERROR);
	ip->hop_limit -= 1;
	return skb_encapsulate(skb, ip, binding, tunnel, settings);
}

// A frame that comes in on a port that faces the network.
INLINE int gateway_network_frame(struct __sk_buff *skb)
{
	struct configuration *settings = configuration_now();
	struct ip6 *ip = skb_header(skb, ETHERNET_SIZE);
	if (!settings || !ip || !is_version_6(ip))
		return CONTINUE;
	struct inside inside = {};
	int found = skb_look_inside(skb, ip, &inside);
	if (!found || !is_ours(&inside.outer_destination)) {
		ip = skb_header(skb, ETHERNET_SIZE);
		struct binding *binding = ip ? binding_of(&ip->destination) : 0;
		return binding && keeps_to_its_tunnel(binding) ? towards_anchor(skb, ip, binding, settings) : CONTINUE;
	}
	if (found < 0)
		return drop(DROPPED_MALFORMED);
	struct binding *binding = binding_of(&inside.header.destination);
	if (!binding || binding->flags & ROUTED)
		return drop(DROPPED_UNKNOWN_INNER);
	if (!binding->tunnel)
		return drop(DROPPED_BOUND_TO_NOTHING);
	struct tunnel *tunnel = tunnel_of(binding);
	if (!tunnel || !is_from_tunnel(&inside, tunnel))
		return drop(DROPPED_WRONG_OUTER_SOURCE);
	if (!ecn_allows(inside.outer_ecn, &inside.header))
		return drop(DROPPED_CONGESTION_MARK);
	u32 access = binding->access;
	ip = skb_decapsulate(skb, &inside);
	if (!ip)
		return drop(ERROR);
	ecn_carry_over(inside.outer_ecn, ip);
	count(DECAPSULATED);
	return skb_forward(skb, ip, settings, access);
}

#endif
