// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * xdp_tunnel: IPv4 in IPv4 (RFC 2003), both ends.
 *
 * Programs:  encapsulate (xdp), decapsulate (xdp)
 * Reads:     Ethernet, IPv4
 * Maps:      none
 * Returns:   XDP_TX for packets that went through, XDP_PASS for others, XDP_ABORTED when the packet is
 *            malformed or there is no room
 * Builds:    v3, v4
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ADDRESS(a, b, c, d) bpf_htonl((a) << 24 | (b) << 16 | (c) << 8 | (d))
#define LONGEST_PACKET 1480 /* what leaves room for the outer header in 1500 bytes */

const volatile __be32 tunnel_source = ADDRESS(203, 0, 113, 1);
const volatile __be32 tunnel_destination = ADDRESS(203, 0, 113, 2);

/* The checksum of a whole IPv4 header without options: the difference to nothing. */
static inline __u16 header_checksum(struct iphdr *ip)
{
	__u32 sum = bpf_csum_diff(0, 0, (__be32 *)ip, sizeof(*ip), 0);

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

SEC("xdp")
int encapsulate(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *ethernet = (void *)(long)ctx->data;
	struct iphdr *inner = (void *)(ethernet + 1);
	struct ethhdr saved;
	struct iphdr outer = {
		.version = 4,
		.ihl = 5,
		.ttl = 64,
		.protocol = IPPROTO_IPIP,
		.saddr = tunnel_source,
		.daddr = tunnel_destination,
	};
	__u16 length;

	if ((void *)inner > end)
		return XDP_ABORTED;
	if (ethernet->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	if ((void *)(inner + 1) > end)
		return XDP_ABORTED;
	length = bpf_ntohs(inner->tot_len);
	if (length < sizeof(*inner) || length > LONGEST_PACKET)
		return XDP_PASS;
	saved = *ethernet;
	outer.tos = inner->tos;
	outer.tot_len = bpf_htons(length + sizeof(outer));
	outer.check = header_checksum(&outer);

	if (bpf_xdp_adjust_head(ctx, -(int)sizeof(outer)))
		return XDP_ABORTED;
	ethernet = (void *)(long)ctx->data;
	inner = (void *)(ethernet + 1);
	if ((void *)(inner + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	*ethernet = saved;
	*inner = outer;
	return XDP_TX;
}

SEC("xdp")
int decapsulate(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *ethernet = (void *)(long)ctx->data;
	struct iphdr *outer = (void *)(ethernet + 1);
	struct ethhdr saved;

	if ((void *)outer > end)
		return XDP_ABORTED;
	if (ethernet->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	if ((void *)(outer + 1) > end)
		return XDP_ABORTED;
	if (outer->protocol != IPPROTO_IPIP || outer->ihl != 5)
		return XDP_PASS;
	saved = *ethernet;

	if (bpf_xdp_adjust_head(ctx, sizeof(*outer)))
		return XDP_ABORTED;
	ethernet = (void *)(long)ctx->data;
	if ((void *)(ethernet + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	*ethernet = saved;
	return XDP_TX;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
