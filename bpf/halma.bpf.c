// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The data plane of Halma's anchor, gateway and node: IPv6-in-IPv6 tunnels (RFC 2473) by prefix (RFC 5213 sections 5.6 and 6.10) and
// by home address (RFC 6275 sections 10.4 and 11.3).
//
// A port has one program per side. On tc it knows every rule; in front of it, where a driver runs XDP natively, an XDP program
// does the plain cases and passes everything else up untouched.
#include "anchor.h"
#include "gateway.h"
#include "node.h"
#include "xdp.h"

SECTION("tc") int anchor_network(struct __sk_buff *skb)
{
	return anchor_frame(skb);
}

SECTION("tc") int anchor_out(struct __sk_buff *skb)
{
	return anchor_device(skb);
}

SECTION("tc") int gateway_network(struct __sk_buff *skb)
{
	return gateway_network_frame(skb);
}

SECTION("tc") int gateway_access(struct __sk_buff *skb)
{
	return gateway_access_frame(skb);
}

SECTION("tc") int gateway_out(struct __sk_buff *skb)
{
	return gateway_device(skb);
}

SECTION("tc") int node_network(struct __sk_buff *skb)
{
	return node_network_frame(skb);
}

SECTION("tc") int node_out(struct __sk_buff *skb)
{
	return node_device(skb);
}

SECTION("xdp") int anchor_network_xdp(struct xdp_md *xdp)
{
	return xdp_anchor_frame(xdp);
}

SECTION("xdp") int gateway_network_xdp(struct xdp_md *xdp)
{
	return xdp_gateway_network_frame(xdp);
}

SECTION("xdp") int gateway_access_xdp(struct xdp_md *xdp)
{
	return xdp_gateway_access_frame(xdp);
}

char _license[] SECTION("license") = "Dual BSD/GPL";
