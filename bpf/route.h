// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The way to the next hop. bpf_fib_lookup costs more than all the rest together, so its answers are kept until user space
// says, by a new generation, that links, neighbours or routes have changed.
#ifndef HALMA_ROUTE_H
#define HALMA_ROUTE_H

#include "maps.h"

INLINE struct next_hop *tunnel_slot(const struct binding *binding)
{
	u32 slot = binding->tunnel & (NEXT_HOPS - 1);
	return bpf_map_lookup_elem(&tunnel_next_hops, &slot);
}

INLINE struct next_hop *inner_slot(const struct address *destination)
{
	u64 mix = (destination->high ^ destination->low) * 0x9e3779b97f4a7c15ULL;
	u32 slot = (mix >> 40) & (NEXT_HOPS - 1);
	return bpf_map_lookup_elem(&inner_next_hops, &slot);
}

// Make `hop` the next hop for a packet of `length` bytes that came in on `ingress`; `generation` 0 remembers nothing. Answers
// BPF_FIB_LKUP_RET_SUCCESS, or why not; then `hop->ifindex` alone is good, and only for BPF_FIB_LKUP_RET_NO_NEIGH.
INLINE long find_next_hop(void *context, struct next_hop *hop, const struct address *source, const struct address *destination,
			  u32 length, u32 ingress, u32 generation)
{
	if (hop->generation == generation && generation && length <= hop->mtu && same(&hop->address, destination))
		return BPF_FIB_LKUP_RET_SUCCESS;

	struct bpf_fib_lookup fib = { .family = AF_INET6, .ifindex = ingress };
	fib.tot_len = length > 0xffff ? 0xffff : length;
	__builtin_memcpy(fib.ipv6_src, source, 16);
	__builtin_memcpy(fib.ipv6_dst, destination, 16);
	long result = bpf_fib_lookup(context, &fib, sizeof fib, 0);
	hop->ifindex = fib.ifindex;
	if (result) {
		hop->generation = 0;
		return result;
	}
	// Kernels from 5.12 on have put the MTU of the route into tot_len; before, it still is the length that was seen to fit.
	hop->mtu = fib.tot_len;
	__builtin_memcpy(hop->destination, fib.dmac, 6);
	__builtin_memcpy(hop->source, fib.smac, 6);
	hop->address = *destination;
	u32 ifindex = fib.ifindex;
	hop->for_xdp = bpf_map_lookup_elem(&xdp_capable, &ifindex) != 0;
	hop->generation = generation;
	return BPF_FIB_LKUP_RET_SUCCESS;
}

INLINE u32 inner_generation(const struct configuration *settings)
{
	return settings->flags & POLICY_ROUTING ? 0 : settings->generation;
}

#endif
