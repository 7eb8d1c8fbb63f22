// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Packets that user space answers with an ICMPv6 error: it reads them from the tunnel device. A flood of them must not eat the
// processor that signalling needs, so each processor of the kernel lets only some through.
#ifndef HALMA_SLOW_H
#define HALMA_SLOW_H

#include "skb.h"

#define SLOW_PACKETS_PER_SECOND 1000
#define SLOW_BURST 200
#define NANOSECONDS_PER_TOKEN (1000000000ULL / SLOW_PACKETS_PER_SECOND)

INLINE int to_user_space(struct __sk_buff *skb)
{
	u32 zero = 0;
	struct bucket *bucket = bpf_map_lookup_elem(&buckets, &zero);
	(void)skb;
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

#endif
