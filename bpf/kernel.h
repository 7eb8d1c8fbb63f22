// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the programs need of the kernel: types, the helpers they call, and how a map is declared for our loader
// (src/halma/forwarding/loader.py), which reads the ELF file itself and needs neither libbpf nor BTF.
#ifndef HALMA_KERNEL_H
#define HALMA_KERNEL_H

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

#define SECTION(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define swap16(x) __builtin_bswap16(x)
#define swap32(x) __builtin_bswap32(x)
#define swap64(x) __builtin_bswap64(x)
#else
#define swap16(x) (x)
#define swap32(x) (x)
#define swap64(x) (x)
#endif

#define AF_INET6 10
#define ETHERTYPE_IPV6 swap16(0x86dd)

// A map as the loader reads it from the section "maps"; `max_entries` is a default that the loader may replace.
struct map_definition {
	u32 type, key_size, value_size, max_entries, flags;
};

#define MAP_WITH_FLAGS(name, map_type, key, value, entries, map_flags) \
	struct map_definition name SECTION("maps") = { map_type, key, value, entries, map_flags }
#define MAP(name, map_type, key, value, entries) MAP_WITH_FLAGS(name, map_type, key, value, entries, 0)

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_skb_store_bytes)(void *skb, u32 offset, const void *from, u32 length, u64 flags) = (void *)9;
static u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static long (*const bpf_clone_redirect)(void *skb, u32 ifindex, u64 flags) = (void *)13;
static long (*const bpf_redirect)(u32 ifindex, u64 flags) = (void *)23;
static long (*const bpf_skb_load_bytes)(const void *skb, u32 offset, void *to, u32 length) = (void *)26;
static long (*const bpf_skb_pull_data)(void *skb, u32 length) = (void *)39;
static long (*const bpf_skb_change_head)(void *skb, u32 length, u64 flags) = (void *)43;
static long (*const bpf_xdp_adjust_head)(void *xdp, int delta) = (void *)44;
static long (*const bpf_skb_adjust_room)(void *skb, int delta, u32 mode, u64 flags) = (void *)50;
static long (*const bpf_redirect_map)(void *map, u64 key, u64 flags) = (void *)51;
static long (*const bpf_fib_lookup)(void *context, struct bpf_fib_lookup *fib, int size, u32 flags) = (void *)69;
static long (*const bpf_redirect_neigh)(u32 ifindex, struct bpf_redir_neigh *next_hop, int size, u64 flags) = (void *)152;
static long (*const bpf_check_mtu)(void *skb, u32 ifindex, u32 *length, int difference, u64 flags) = (void *)163;

#endif
