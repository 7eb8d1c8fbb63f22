// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The two ends of the forwarding benchmark: a generator, run by BPF_PROG_TEST_RUN with live frames, and a sink that counts.
#include "packet.h"

struct generator {
	u32 bindings, gateways, port, udp_length;
	u8 destination_mac[6], source_mac[6];
	u32 reserved;
	struct address correspondent, anchor;
	u64 prefix, gateway_prefix; // of binding 0 and of gateway 0, as numbers
	u64 seed;
};

struct udp {
	u16 source, destination, length, checksum;
};

MAP(generators, BPF_MAP_TYPE_ARRAY, 4, sizeof(struct generator), 1);
MAP(generator_ports, BPF_MAP_TYPE_DEVMAP_HASH, 4, 4, 4);
MAP(sunk, BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 1);

INLINE struct generator *generator_now(void)
{
	u32 zero = 0;
	return bpf_map_lookup_elem(&generators, &zero);
}

INLINE u32 next_binding(struct generator *generator)
{
	u64 x = generator->seed; // xorshift
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	generator->seed = x;
	return generator->bindings > 1 ? (u32)(x >> 16) % generator->bindings : 0;
}

INLINE void write_header(struct ip6 *ip, u32 payload_length, u8 next_header)
{
	ip->word = swap32(6u << 28);
	ip->payload_length = swap16((u16)payload_length);
	ip->next_header = next_header;
	ip->hop_limit = 64;
}

INLINE void write_ends(struct ethernet *ethernet, const struct generator *generator)
{
	__builtin_memcpy(ethernet->destination, generator->destination_mac, 6);
	__builtin_memcpy(ethernet->source, generator->source_mac, 6);
	ethernet->type = ETHERTYPE_IPV6;
}

INLINE void write_udp(struct udp *udp, u32 length)
{
	udp->source = swap16(1000);
	udp->destination = swap16(2000);
	udp->length = swap16((u16)length);
	udp->checksum = 0xffff;
}

// Packets from the correspondent to the nodes.
SECTION("xdp") int generate_down(struct xdp_md *xdp)
{
	struct generator *generator = generator_now();
	struct ethernet *ethernet = (void *)(long)xdp->data;
	struct ip6 *ip = (void *)ethernet + ETHERNET_SIZE;
	struct udp *udp = (void *)(ip + 1);
	if (!generator || (void *)(udp + 1) > (void *)(long)xdp->data_end)
		return XDP_ABORTED;
	u32 binding = next_binding(generator);
	write_ends(ethernet, generator);
	write_header(ip, generator->udp_length, NEXT_HEADER_UDP);
	ip->source = generator->correspondent;
	ip->destination.high = swap64(generator->prefix + binding);
	ip->destination.low = swap64(1);
	write_udp(udp, generator->udp_length);
	return bpf_redirect_map(&generator_ports, generator->port, 0);
}

// Packets from the nodes, each in the tunnel of its gateway.
SECTION("xdp") int generate_up(struct xdp_md *xdp)
{
	struct generator *generator = generator_now();
	struct ethernet *ethernet = (void *)(long)xdp->data;
	struct ip6 *outer = (void *)ethernet + ETHERNET_SIZE, *ip = outer + 1;
	struct udp *udp = (void *)(ip + 1);
	if (!generator || (void *)(udp + 1) > (void *)(long)xdp->data_end)
		return XDP_ABORTED;
	u32 binding = next_binding(generator);
	write_ends(ethernet, generator);
	write_header(outer, generator->udp_length + IP6_SIZE, NEXT_HEADER_IPV6);
	outer->source.high = swap64(generator->gateway_prefix);
	outer->source.low = swap64((u64)(binding % generator->gateways + 1));
	outer->destination = generator->anchor;
	write_header(ip, generator->udp_length, NEXT_HEADER_UDP);
	ip->source.high = swap64(generator->prefix + binding);
	ip->source.low = swap64(1);
	ip->destination = generator->correspondent;
	write_udp(udp, generator->udp_length);
	return bpf_redirect_map(&generator_ports, generator->port, 0);
}

// The same packets without tunnels, for plain forwarding.
SECTION("xdp") int generate_up_plain(struct xdp_md *xdp)
{
	struct generator *generator = generator_now();
	struct ethernet *ethernet = (void *)(long)xdp->data;
	struct ip6 *ip = (void *)ethernet + ETHERNET_SIZE;
	struct udp *udp = (void *)(ip + 1);
	if (!generator || (void *)(udp + 1) > (void *)(long)xdp->data_end)
		return XDP_ABORTED;
	u32 binding = next_binding(generator);
	write_ends(ethernet, generator);
	write_header(ip, generator->udp_length, NEXT_HEADER_UDP);
	ip->source.high = swap64(generator->prefix + binding);
	ip->source.low = swap64(1);
	ip->destination = generator->correspondent;
	write_udp(udp, generator->udp_length);
	return bpf_redirect_map(&generator_ports, generator->port, 0);
}

INLINE void sink_one(u64 packets)
{
	u32 zero = 0;
	u64 *sum = bpf_map_lookup_elem(&sunk, &zero);
	if (sum)
		*sum += packets;
}

SECTION("xdp") int sink_frames(struct xdp_md *xdp)
{
	struct ip6 *ip = (void *)(long)xdp->data + ETHERNET_SIZE;
	if ((void *)(ip + 1) > (void *)(long)xdp->data_end)
		return XDP_PASS;
	if (ip->next_header != NEXT_HEADER_IPV6 && ip->next_header != NEXT_HEADER_UDP)
		return XDP_PASS;
	sink_one(1);
	return XDP_DROP;
}

SECTION("tc") int sink_buffers(struct __sk_buff *skb)
{
	struct ip6 *ip = (void *)(long)skb->data + ETHERNET_SIZE;
	if ((void *)(ip + 1) > (void *)(long)skb->data_end)
		return TC_ACT_UNSPEC;
	if (ip->next_header != NEXT_HEADER_IPV6 && ip->next_header != NEXT_HEADER_UDP)
		return TC_ACT_UNSPEC;
	sink_one(skb->gso_segs ? skb->gso_segs : 1);
	return TC_ACT_SHOT;
}

char _license[] SECTION("license") = "Dual BSD/GPL";
