// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The mobile node's side (RFC 6275 sections 11.3.1 and 11.3.3): what it sends from its home address or its mobile network goes into
// the tunnel to its home agent, and what comes out of that tunnel is its own. A home agent that has accepted sends at once, and its
// packets may overtake its word: they are taken as soon as it has been asked, though nothing is sent yet.
#ifndef HALMA_NODE_H
#define HALMA_NODE_H

#include "chain.h"
#include "device.h"

// What a mobile node's own address or network is bound to.
INLINE struct binding *node_binding(const struct address *address, const struct configuration *settings)
{
	struct binding *binding = home_of(address, settings);
	return binding ? binding : network_of(address, settings);
}

// A frame that comes in. Tunnels that are not the reverse tunnel are left to the stack.
INLINE int node_network_frame(struct __sk_buff *skb)
{
	struct configuration *settings = configuration_now();
	struct ip6 *ip = skb_header(skb, ETHERNET_SIZE);
	if (!settings || !ip || !is_version_6(ip))
		return CONTINUE;
	if (signalling_is_behind(skb, ip) & BEHIND_TYPE_2)
		return DROP; // what a home agent says has been heard already
	struct inside inside = {};
	if (skb_look_inside(skb, ip, &inside) <= 0)
		return CONTINUE;
	int to_group = is_multicast(&inside.header.destination);
	struct binding *binding = to_group ? home_of(&settings->home, settings) : node_binding(&inside.header.destination, settings);
	struct tunnel *tunnel = binding && binding->tunnel ? tunnel_of(binding) : 0;
	if (!tunnel || !same(&tunnel->local, &inside.outer_destination))
		return CONTINUE;
	if (!is_from_tunnel(&inside, tunnel)) // section 11.3.3: only the home agent sends through the tunnel
		return drop(DROPPED_WRONG_OUTER_SOURCE);
	if (!ecn_allows(inside.outer_ecn, &inside.header))
		return drop(DROPPED_CONGESTION_MARK);
	if (to_group && !leaves_its_link(&inside.header.destination) && inside.header.next_header != NEXT_HEADER_HOP_BY_HOP)
		return drop(DROPPED_GROUP);
	ip = skb_decapsulate(skb, &inside);
	if (!ip)
		return drop(ERROR);
	ecn_carry_over(inside.outer_ecn, ip);
	count(DECAPSULATED);
	if (to_group) // to the stack as well, which listens to groups by interface: this one is not of the link
		return bpf_redirect(settings->device, BPF_F_INGRESS);
	return CONTINUE; // to the stack, whose address it is, or which routes it into the mobile network
}

#define LISTENER_REPORT 131
#define LISTENER_DONE 132
#define LISTENER_REPORT_V2 143

// What the kernel reports, as a listener, by the device (RFC 6275 section 11.3.4).
INLINE int is_listener_report(struct __sk_buff *skb, const struct ip6 *ip)
{
	u8 octets[9] = {}; // hop-by-hop options that fill eight octets, and the first of what follows
	if (ip->next_header != NEXT_HEADER_HOP_BY_HOP || bpf_skb_load_bytes(skb, IP6_SIZE, octets, 9))
		return 0;
	return octets[0] == NEXT_HEADER_ICMPV6 && !octets[1] &&
	       (octets[8] == LISTENER_REPORT || octets[8] == LISTENER_DONE || octets[8] == LISTENER_REPORT_V2);
}

// What leaves by the tunnel device: only what is sent from an address of ours that is registered, and reports.
INLINE int node_device(struct __sk_buff *skb)
{
	struct configuration *settings = configuration_now();
	struct ip6 ip;
	if (!settings || bpf_skb_load_bytes(skb, 0, &ip, IP6_SIZE))
		return DROP;
	int report = is_link_local(&ip.source) && is_listener_report(skb, &ip);
	if (report ? !(settings->flags & LISTENER_REPORTS) : !may_leave_by_device(skb, &ip))
		return DROP;
	if (!report && is_multicast(&ip.destination) && !leaves_its_link(&ip.destination))
		return DROP;
	struct binding *binding = report ? home_of(&settings->home, settings) : node_binding(&ip.source, settings);
	if (!binding)
		return drop(DROPPED_UNKNOWN_INNER);
	if (binding->flags & RECEIVE_ONLY)
		return drop(DROPPED_BOUND_TO_NOTHING);
	return device_encapsulate(skb, &ip, binding, settings);
}

#endif
