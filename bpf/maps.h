// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The tables that user space fills (src/halma/forwarding/tables.py knows the same layouts) and the counters it reads.
#ifndef HALMA_MAPS_H
#define HALMA_MAPS_H

#include "packet.h"

// One binding. `tunnel` 0: the packets of the prefix are dropped silently (RFC 5213 section 5.3.5). `access`: at a gateway
// the interface behind which the prefix lives.
struct binding {
	u32 tunnel, access;
};

// One tunnel, shared by all the bindings that point to it. `mtu` is the path MTU outside.
struct tunnel {
	struct address local, remote;
	u32 mtu, reserved[7];
};

// The way to an address as bpf_fib_lookup found it, good while `generation` is the current one. A copy for each CPU, so
// that no reader sees half of a write.
struct next_hop {
	struct address address;
	u32 generation, ifindex, mtu, for_xdp;
	u8 destination[6], source[6];
	u32 reserved;
};

#define LOCAL_ROUTING 1 // EnableMAGLocalRouting (RFC 5213 section 6.10.3)
#define POLICY_ROUTING 2 // there are routing rules that look at more than the destination: do not remember the way to it

struct configuration {
	u32 generation, flags, device, reserved;
};

struct bucket {
	u64 time, tokens;
};

#define NEXT_HOPS 4096 // a power of two

MAP(prefixes, BPF_MAP_TYPE_HASH, 8, sizeof(struct binding), 1);
MAP(tunnels, BPF_MAP_TYPE_ARRAY, 4, sizeof(struct tunnel), 1);
MAP(locals, BPF_MAP_TYPE_HASH, 16, 4, 64);
MAP(configurations, BPF_MAP_TYPE_ARRAY, 4, sizeof(struct configuration), 1);
MAP(tunnel_next_hops, BPF_MAP_TYPE_PERCPU_ARRAY, 4, sizeof(struct next_hop), NEXT_HOPS);
MAP(inner_next_hops, BPF_MAP_TYPE_PERCPU_ARRAY, 4, sizeof(struct next_hop), NEXT_HOPS);
MAP(xdp_ports, BPF_MAP_TYPE_DEVMAP_HASH, 4, 4, 256);
MAP(xdp_capable, BPF_MAP_TYPE_HASH, 4, 4, 256);
MAP(buckets, BPF_MAP_TYPE_PERCPU_ARRAY, 4, sizeof(struct bucket), 1);
MAP(counters, BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 16);

// In the order of halma.forwarding.plane.COUNTERS.
enum counter {
	ENCAPSULATED,
	DECAPSULATED,
	DROPPED_WRONG_OUTER_SOURCE,
	DROPPED_UNKNOWN_INNER,
	DROPPED_WRONG_INNER_SOURCE,
	DROPPED_BOUND_TO_NOTHING,
	DROPPED_MALFORMED,
	DROPPED_CONGESTION_MARK,
	PASSED_TOO_BIG,
	PASSED_HOP_LIMIT,
	PASSED_NO_NEIGHBOUR,
	PASSED_UNBOUND,
	ERROR,
};

INLINE void count(u32 counter)
{
	u64 *packets = bpf_map_lookup_elem(&counters, &counter);
	if (packets)
		*packets += 1;
}

INLINE struct configuration *configuration_now(void)
{
	u32 zero = 0;
	return bpf_map_lookup_elem(&configurations, &zero);
}

// What an address of a mobile node is bound to. The order of the lookups when there are more kinds of bindings: the home
// address itself (/128), then mobile network prefixes, then the home network prefix (/64).
INLINE struct binding *binding_of(const struct address *address)
{
	u64 prefix = address->high;
	return bpf_map_lookup_elem(&prefixes, &prefix);
}

INLINE struct tunnel *tunnel_of(const struct binding *binding)
{
	u32 number = binding->tunnel;
	return bpf_map_lookup_elem(&tunnels, &number);
}

INLINE int is_ours(const struct address *address)
{
	struct address key = *address;
	return bpf_map_lookup_elem(&locals, &key) != 0;
}

#endif
