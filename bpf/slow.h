// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Packets that user space answers with an ICMPv6 error: it reads them from the tunnel device. A flood of them must not eat the
// processor that signalling needs, so each processor of the kernel lets only some through.
#ifndef HALMA_SLOW_H
#define HALMA_SLOW_H

#include "skb.h"

#define SLOW_PACKETS_PER_SECOND 1000
#define SLOW_BURST 200
#define NANOSECONDS_PER_TOKEN (1000000000ULL / SLOW_PACKETS_PER_SECOND)

INLINE int to_user_space(void)
{
	u32 zero = 0;
	struct bucket *bucket = bpf_map_lookup_elem(&buckets, &zero);
	if (!bucket)
		return DROP;
	u64 now = bpf_ktime_get_ns(), gained = (now - bucket->time) / NANOSECONDS_PER_TOKEN;
	if (gained) {
		bucket->tokens += gained;
		if (bucket->tokens > SLOW_BURST)
			bucket->tokens = SLOW_BURST;
		bucket->time = now;
	}
	if (!bucket->tokens)
		return DROP;
	bucket->tokens -= 1;
	return CONTINUE;
}

// What the gateway's programs send to the tunnel device: small packets for a narrow path are traffic, the others are errors.
INLINE int gateway_device(struct __sk_buff *skb)
{
	struct ip6 ip;
	if (bpf_skb_load_bytes(skb, 0, &ip, IP6_SIZE) || !is_version_6(&ip) || is_multicast(&ip.destination))
		return DROP;
	if (ip.hop_limit > 1 && skb_wire_length(skb, &ip, 0) <= MINIMUM_MTU)
		return CONTINUE;
	return to_user_space();
}

#endif
