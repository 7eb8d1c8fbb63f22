// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The tables that user space fills (src/halma/forwarding/tables.py knows the same layouts) and the counters it reads.
#ifndef HALMA_MAPS_H
#define HALMA_MAPS_H

#include "packet.h"

// One binding. `tunnel` 0: the packets of the prefix are dropped silently (RFC 5213 section 5.3.5), unless they are routed.
// `access`: at a gateway the interface behind which the prefix lives.
struct binding {
	u32 tunnel, flags, access;
};

#define LOCAL_ROUTING 1 // EnableMAGLocalRouting (RFC 5213 section 6.10.3)
#define ROUTED 2 // a prefix of the gateway's own link: its packets meet ordinary routing (section 6.14)
#define RECEIVE_ONLY 4 // a mobile node's tunnel that its home agent has not accepted yet: packets come out of it, none goes in

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

#define POLICY_ROUTING 2 // there are routing rules that look at more than the destination: do not remember the way to it
#define HOME_ADDRESSES 4 // there are bindings of home addresses (RFC 6275)
#define MOBILE_NETWORKS 8 // there are bindings of mobile network prefixes (RFC 3963)
#define HOME_AGENT 16 // Mobility Headers behind destination options are heard ahead of the stack, which must not answer them
#define LISTENER_REPORTS 32 // a mobile node's reports of the groups that it listens to may go into its tunnel

// `upstream`: at an anchor the interface that multicast groups come from and go to, and its link-layer address; 0 for none.
// `home`: at a mobile node its home address.
struct configuration {
	u32 generation, flags, device, upstream;
	struct address home;
	u8 upstream_address[8];
};

struct bucket {
	u64 time, tokens;
};

#define NEXT_HOPS 4096 // a power of two

// One of the home addresses that listen to a group.
struct listener {
	struct address group;
	u32 place, reserved; // from 0 on, without gaps
};

#define LISTENERS_OF_A_GROUP 256

// The key of a longest-prefix match.
struct network {
	u32 length;
	struct address address;
} __attribute__((packed));

MAP(prefixes, BPF_MAP_TYPE_HASH, 8, sizeof(struct binding), 1);
MAP(homes, BPF_MAP_TYPE_HASH, 16, sizeof(struct binding), 1);
MAP_WITH_FLAGS(networks, BPF_MAP_TYPE_LPM_TRIE, sizeof(struct network), sizeof(struct binding), 1, BPF_F_NO_PREALLOC);
MAP(tunnels, BPF_MAP_TYPE_ARRAY, 4, sizeof(struct tunnel), 1);
MAP(groups, BPF_MAP_TYPE_HASH, 16, 4, 1); // how many listen
MAP(listeners, BPF_MAP_TYPE_HASH, sizeof(struct listener), 16, 1); // Linux 6.1 may have no memory at hand for what is not preallocated
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
	DROPPED_GROUP,
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

// The home network prefix (/64) that an address is in.
INLINE struct binding *binding_of(const struct address *address)
{
	u64 prefix = address->high;
	return bpf_map_lookup_elem(&prefixes, &prefix);
}

INLINE struct binding *home_of(const struct address *address, const struct configuration *settings)
{
	struct address key = *address;
	return settings->flags & HOME_ADDRESSES ? bpf_map_lookup_elem(&homes, &key) : 0;
}

INLINE struct binding *network_of(const struct address *address, const struct configuration *settings)
{
	struct network key = { .length = 128, .address = *address };
	return settings->flags & MOBILE_NETWORKS ? bpf_map_lookup_elem(&networks, &key) : 0;
}

// Where a packet to an address goes: by the home address, else the mobile network, else the home network prefix (RFC 6612 section
// 4.2: what the node itself registered comes first).
INLINE struct binding *binding_to(const struct address *address, const struct configuration *settings)
{
	struct binding *binding = home_of(address, settings);
	if (!binding)
		binding = network_of(address, settings);
	return binding ? binding : binding_of(address);
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
