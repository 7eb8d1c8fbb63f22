// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The plain cases at the speed of the driver. Whatever is not plain is passed up as it came, to the tc program of the same port,
// which knows all the rules: so nothing here answers, resolves or drops what the other would treat differently.
#ifndef HALMA_XDP_H
#define HALMA_XDP_H

#include "skb.h"

INLINE void *xdp_data(const struct xdp_md *xdp)
{
	return (void *)(long)xdp->data;
}

INLINE void *xdp_end(const struct xdp_md *xdp)
{
	return (void *)(long)xdp->data_end;
}

INLINE struct ip6 *xdp_header(const struct xdp_md *xdp, u32 offset)
{
	void *header = xdp_data(xdp) + offset;
	return header + IP6_SIZE > xdp_end(xdp) ? 0 : header;
}

INLINE int xdp_drop(u32 counter)
{
	count(counter);
	return XDP_DROP;
}

INLINE u32 xdp_ports_of(const struct xdp_md *xdp, const struct ip6 *ip)
{
	const void *transport = ip + 1;
	if (ip->next_header != NEXT_HEADER_TCP && ip->next_header != NEXT_HEADER_UDP)
		return 0;
	return transport + 4 > xdp_end(xdp) ? 0 : *(const u32 *)transport;
}

INLINE int xdp_is_whole(const struct xdp_md *xdp, const struct ip6 *ip)
{
	u64 here = xdp_end(xdp) - (const void *)ip;
	return total_length(ip) <= here;
}

INLINE int xdp_encapsulate(struct xdp_md *xdp, struct ip6 *ip, const struct binding *binding, const struct configuration *settings)
{
	struct tunnel *tunnel = binding->tunnel ? tunnel_of(binding) : 0;
	struct next_hop *hop = tunnel_slot(binding);
	u32 length = total_length(ip);
	if (!tunnel || !hop || ip->hop_limit <= 1 || is_link_local(&ip->source) || length + IP6_SIZE > tunnel->mtu || !xdp_is_whole(xdp, ip))
		return XDP_PASS;
	if (find_next_hop(xdp, hop, &tunnel->local, &tunnel->remote, length + IP6_SIZE, xdp->ingress_ifindex, settings->generation) || !hop->for_xdp)
		return XDP_PASS;
	u32 word = ip->word, label = flow_label(ip, xdp_ports_of(xdp, ip));
	ip->hop_limit -= 1;
	if (bpf_xdp_adjust_head(xdp, -IP6_SIZE))
		return xdp_drop(ERROR);
	struct ip6 *outer = xdp_header(xdp, ETHERNET_SIZE);
	if (!outer)
		return xdp_drop(ERROR);
	write_ethernet(outer, hop);
	write_outer(outer, word, label, length, &tunnel->local, &tunnel->remote);
	count(ENCAPSULATED);
	return bpf_redirect_map(&xdp_ports, hop->ifindex, 0);
}

// The inner header of a plain tunnel packet that came out of the tunnel that `binding` names; 0 for everything else.
INLINE int xdp_is_from_tunnel(const struct ip6 *outer, const struct ip6 *inner, const struct binding *binding)
{
	struct tunnel *tunnel = binding->tunnel ? tunnel_of(binding) : 0;
	return tunnel && same(&tunnel->remote, &outer->source) && same(&tunnel->local, &outer->destination) && is_version_6(inner) &&
	       total_length(inner) <= swap16(outer->payload_length) && inner->hop_limit > 1 && ecn_allows(ecn(outer), inner);
}

INLINE int xdp_decapsulate(struct xdp_md *xdp, struct ip6 *outer, struct ip6 *inner, const struct configuration *settings, u32 only_to)
{
	struct next_hop *hop = inner_slot(&inner->destination);
	if (!hop || !xdp_is_whole(xdp, inner))
		return XDP_PASS;
	if (find_next_hop(xdp, hop, &inner->source, &inner->destination, total_length(inner), xdp->ingress_ifindex, inner_generation(settings)))
		return XDP_PASS;
	if (!hop->for_xdp || (only_to && hop->ifindex != only_to))
		return XDP_PASS;
	ecn_carry_over(ecn(outer), inner);
	inner->hop_limit -= 1;
	if (bpf_xdp_adjust_head(xdp, IP6_SIZE))
		return xdp_drop(ERROR);
	struct ip6 *ip = xdp_header(xdp, ETHERNET_SIZE);
	if (!ip)
		return xdp_drop(ERROR);
	write_ethernet(ip, hop);
	count(DECAPSULATED);
	return bpf_redirect_map(&xdp_ports, hop->ifindex, 0);
}

// From one tunnel into another, as skb_turn_around does it.
INLINE int xdp_turn_around(struct xdp_md *xdp, struct ip6 *outer, struct ip6 *inner, const struct binding *binding,
			   const struct configuration *settings)
{
	struct tunnel *tunnel = binding->tunnel ? tunnel_of(binding) : 0;
	struct next_hop *hop = tunnel_slot(binding);
	u32 length = total_length(inner);
	if (!tunnel || !hop || length + IP6_SIZE > tunnel->mtu || !xdp_is_whole(xdp, inner))
		return XDP_PASS;
	if (find_next_hop(xdp, hop, &tunnel->local, &tunnel->remote, length + IP6_SIZE, xdp->ingress_ifindex, settings->generation) || !hop->for_xdp)
		return XDP_PASS;
	ecn_carry_over(ecn(outer), inner);
	inner->hop_limit -= 1;
	write_outer(outer, inner->word, flow_label(inner, xdp_ports_of(xdp, inner)), length, &tunnel->local, &tunnel->remote);
	write_ethernet(outer, hop);
	count(DECAPSULATED);
	count(ENCAPSULATED);
	return bpf_redirect_map(&xdp_ports, hop->ifindex, 0);
}

INLINE int xdp_anchor_frame(struct xdp_md *xdp)
{
	struct configuration *settings = configuration_now();
	struct ethernet *ethernet = xdp_data(xdp);
	struct ip6 *ip = xdp_header(xdp, ETHERNET_SIZE);
	if (!settings || !ip || ethernet->type != ETHERTYPE_IPV6 || !is_version_6(ip))
		return XDP_PASS;
	if (ip->next_header == NEXT_HEADER_IPV6) {
		struct ip6 *inner = xdp_header(xdp, ETHERNET_SIZE + IP6_SIZE);
		struct binding *binding = inner ? binding_of(&inner->source) : 0;
		if (binding && xdp_is_from_tunnel(ip, inner, binding)) {
			struct binding *other = binding_to(&inner->destination, settings);
			return other ? xdp_turn_around(xdp, ip, inner, other, settings) : xdp_decapsulate(xdp, ip, inner, settings, 0);
		}
		if (is_ours(&ip->destination))
			return XDP_PASS;
	} else if (ip->next_header == NEXT_HEADER_DESTINATION_OPTIONS) {
		return XDP_PASS;
	}
	struct binding *binding = binding_to(&ip->destination, settings);
	return binding ? xdp_encapsulate(xdp, ip, binding, settings) : XDP_PASS;
}

INLINE int xdp_gateway_network_frame(struct xdp_md *xdp)
{
	struct configuration *settings = configuration_now();
	struct ethernet *ethernet = xdp_data(xdp);
	struct ip6 *ip = xdp_header(xdp, ETHERNET_SIZE), *inner = xdp_header(xdp, ETHERNET_SIZE + IP6_SIZE);
	if (!settings || !ip || !inner || ethernet->type != ETHERTYPE_IPV6 || !is_version_6(ip) || ip->next_header != NEXT_HEADER_IPV6)
		return XDP_PASS;
	struct binding *binding = binding_of(&inner->destination);
	if (!binding || !xdp_is_from_tunnel(ip, inner, binding))
		return XDP_PASS;
	return xdp_decapsulate(xdp, ip, inner, settings, binding->access);
}

INLINE int xdp_gateway_access_frame(struct xdp_md *xdp)
{
	struct configuration *settings = configuration_now();
	struct ethernet *ethernet = xdp_data(xdp);
	struct ip6 *ip = xdp_header(xdp, ETHERNET_SIZE);
	if (!settings || !ip || ethernet->type != ETHERTYPE_IPV6 || !is_version_6(ip))
		return XDP_PASS;
	if (is_link_local(&ip->destination) || is_multicast(&ip->destination))
		return XDP_PASS;
	struct binding *binding = binding_of(&ip->source);
	if (!binding || binding->access != xdp->ingress_ifindex || binding->flags & LOCAL_ROUTING)
		return XDP_PASS;
	struct tunnel *tunnel = binding->tunnel ? tunnel_of(binding) : 0;
	if (!tunnel || same(&ip->destination, &tunnel->local))
		return XDP_PASS;
	return xdp_encapsulate(xdp, ip, binding, settings);
}

#endif
