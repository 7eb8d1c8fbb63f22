// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Multicast at the home agent (RFC 6275 sections 10.4.2 and 10.4.3): a packet to a group is copied into the tunnel of each home
// address that listens to it. The copies go to the tunnel device, marked with the listener's place in the group, and are
// encapsulated there like everything that leaves by it.
#ifndef HALMA_GROUP_H
#define HALMA_GROUP_H

#include "device.h"

#define TOO_BIG_FOR_THE_LINK 0xffffffff // a mark, where there might be a listener's place

INLINE void copy_to_listeners(struct __sk_buff *skb, const struct address *destination, const struct configuration *settings)
{
	struct address group = *destination;
	u32 *listening = bpf_map_lookup_elem(&groups, &group);
	if (!listening)
		return;
	u32 mark = skb->mark, device = settings->device, most = *listening;
	for (u32 place = 0; place < LISTENERS_OF_A_GROUP; place++) {
		if (place >= most)
			break;
		skb->mark = place + 1;
		bpf_clone_redirect(skb, device, 0);
	}
	skb->mark = mark;
}

// A copy, at the device. Who has sent the packet does not get it back.
INLINE int copy_to_listener(struct __sk_buff *skb, struct ip6 *ip, const struct configuration *settings)
{
	if (skb->mark == TOO_BIG_FOR_THE_LINK) {
		count(PASSED_TOO_BIG);
		return to_user_space();
	}
	struct listener key = { .group = ip->destination, .place = skb->mark - 1 };
	struct address *home_address = skb->mark ? bpf_map_lookup_elem(&listeners, &key) : 0;
	struct binding *binding = home_address ? home_of(home_address, settings) : 0;
	if (!binding || !binding->tunnel)
		return DROP;
	struct tunnel *tunnel = tunnel_of(binding);
	if (!tunnel)
		return drop(ERROR);
	struct binding *sender = home_of(&ip->source, settings);
	if (!sender)
		sender = network_of(&ip->source, settings);
	if (sender && sender->tunnel == binding->tunnel)
		return DROP;
	skb->mark = 0;
	ip->hop_limit -= 1;
	if (bpf_skb_store_bytes(skb, __builtin_offsetof(struct ip6, hop_limit), &ip->hop_limit, 1, 0))
		return drop(ERROR);
	u32 wire = skb_wire_length(skb, ip, 0);
	if (wire > MINIMUM_MTU || wire + IP6_SIZE <= tunnel->mtu)
		return device_encapsulate(skb, ip, binding, settings);
	count(PASSED_TOO_BIG); // user space cuts it, and has to know whose copy it is
	return device_put_around(skb, ip->word, flow_label(ip, 0), total_length(ip), tunnel) ? CONTINUE : drop(ERROR);
}

INLINE int may_be_forwarded(const struct ip6 *ip)
{
	return leaves_its_link(&ip->destination) && ip->hop_limit > 1 && !is_link_local(&ip->source) && !is_unspecified(&ip->source);
}

// A packet from the network that groups come from.
INLINE int group_frame(struct __sk_buff *skb, const struct ip6 *ip, const struct configuration *settings)
{
	if (skb->ingress_ifindex == settings->upstream && may_be_forwarded(ip) && skb_is_whole(skb, ip, ETHERNET_SIZE)) {
		struct address group = ip->destination;
		copy_to_listeners(skb, &group, settings);
	}
	return CONTINUE;
}

// A packet that a mobile node sends to a group: to that network, and to other nodes. `ip` came out of its tunnel.
INLINE int group_forward(struct __sk_buff *skb, struct ip6 *ip, const struct configuration *settings)
{
	if (!settings->upstream || !may_be_forwarded(ip))
		return drop(DROPPED_GROUP);
	struct address group = ip->destination;
	copy_to_listeners(skb, &group, settings);
	u32 mtu = 0;
	if (bpf_check_mtu(skb, settings->upstream, &mtu, 0, 0) > 0) {
		skb->mark = TOO_BIG_FOR_THE_LINK;
		return bpf_redirect(settings->device, 0); // its sender is told
	}
	ip = skb_header(skb, ETHERNET_SIZE);
	if (!ip)
		return drop(ERROR);
	ip->hop_limit -= 1;
	struct ethernet *ethernet = (void *)ip - ETHERNET_SIZE;
	ethernet->destination[0] = ethernet->destination[1] = 0x33; // RFC 2464 section 7
	__builtin_memcpy(ethernet->destination + 2, (const u8 *)&group + 12, 4);
	__builtin_memcpy(ethernet->source, settings->upstream_address, 6);
	ethernet->type = ETHERTYPE_IPV6;
	return bpf_redirect(settings->upstream, 0);
}

#endif
