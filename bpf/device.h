// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Packets that the stack sends out of the tunnel device. They have no link-layer header, so their words lie where strict kernels do
// not let them be read in place: the header is copied.
#ifndef HALMA_DEVICE_H
#define HALMA_DEVICE_H

#include "slow.h"

INLINE int may_leave_by_device(struct __sk_buff *skb, struct ip6 *ip)
{
	if (bpf_skb_load_bytes(skb, 0, ip, IP6_SIZE) || !is_version_6(ip))
		return 0;
	return !is_link_local(&ip->source) && !is_unspecified(&ip->source);
}

// Put the tunnel's header in front. `label` and `length` are of the packet inside.
INLINE int device_put_around(struct __sk_buff *skb, u32 inner_word, u32 label, u32 length, const struct tunnel *tunnel)
{
	struct ip6 outer;
	if (skb_make_room(skb))
		return 0;
	write_outer(&outer, inner_word, label, length, &tunnel->local, &tunnel->remote);
	return !bpf_skb_store_bytes(skb, 0, &outer, IP6_SIZE, 0);
}

INLINE int device_encapsulate(struct __sk_buff *skb, const struct ip6 *ip, const struct binding *binding,
			      const struct configuration *settings)
{
	if (!binding->tunnel)
		return drop(DROPPED_BOUND_TO_NOTHING);
	struct tunnel *tunnel = tunnel_of(binding);
	struct next_hop *hop = tunnel_slot(binding);
	if (!tunnel || !hop)
		return drop(ERROR);
	if (ip->next_header == NEXT_HEADER_IPV6 && same(&ip->source, &tunnel->local))
		return drop(ERROR); // the way to the far end of a tunnel must not lead through a tunnel
	u32 wire = skb_wire_length(skb, ip, 0);
	if (wire + IP6_SIZE > tunnel->mtu) {
		count(PASSED_TOO_BIG);
		return wire <= MINIMUM_MTU ? CONTINUE : to_user_space();
	}
	u32 length = skb->gso_size ? skb->len : total_length(ip), label = flow_label(ip, skb_ports(skb, ip, 0));
	long found = find_next_hop(skb, hop, &tunnel->local, &tunnel->remote, wire + IP6_SIZE, skb->ifindex, settings->generation);
	if (found == BPF_FIB_LKUP_RET_FRAG_NEEDED) { // the first link is narrower than the path was said to be
		count(PASSED_TOO_BIG);
		return to_user_space();
	}
	if (!device_put_around(skb, ip->word, label, length, tunnel))
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
