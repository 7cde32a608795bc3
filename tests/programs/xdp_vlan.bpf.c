// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * xdp_vlan: put an 802.1Q tag on a frame and take one off, moving the start of the packet.
 *
 * Programs:  push (xdp), pop (xdp), pad (xdp), trim (xdp)
 * Reads:     the Ethernet header, the first VLAN tag; trim: the length of the IPv4 packet
 * Maps:      none; vlan_id is a setting in .rodata
 * Returns:   XDP_TX for frames that were changed, XDP_PASS for others, XDP_ABORTED for malformed ones
 *            or when there is no room
 * Builds:    v3, v4, O0
 *
 * bpf_xdp_adjust_head moves data, bpf_xdp_adjust_tail moves data_end.  Both end the life of every
 * packet pointer: read data and data_end again, compare again.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define SHORTEST_FRAME 60

const volatile __u16 vlan_id = 42;

struct vlan_header {
	__u8 destination[ETH_ALEN];
	__u8 source[ETH_ALEN];
	__be16 tag_protocol;
	__be16 tag_control;
	__be16 next;
};

SEC("xdp")
int push(struct xdp_md *ctx)
{
	struct ethhdr *old = (void *)(long)ctx->data;
	struct vlan_header *new;
	struct ethhdr saved;

	if ((void *)(old + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	saved = *old;

	if (bpf_xdp_adjust_head(ctx, (int)sizeof(*old) - (int)sizeof(*new)))
		return XDP_ABORTED;
	new = (void *)(long)ctx->data;
	if ((void *)(new + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	__builtin_memcpy(new->destination, saved.h_dest, ETH_ALEN);
	__builtin_memcpy(new->source, saved.h_source, ETH_ALEN);
	new->tag_protocol = bpf_htons(ETH_P_8021Q);
	new->tag_control = bpf_htons(vlan_id & 0xfff);
	new->next = saved.h_proto;
	return XDP_TX;
}

SEC("xdp")
int pop(struct xdp_md *ctx)
{
	struct vlan_header *old = (void *)(long)ctx->data;
	struct vlan_header saved;
	struct ethhdr *new;

	if ((void *)(old + 1) > (void *)(long)ctx->data_end)
		return XDP_PASS;
	if (old->tag_protocol != bpf_htons(ETH_P_8021Q) && old->tag_protocol != bpf_htons(ETH_P_8021AD))
		return XDP_PASS;
	saved = *old;

	if (bpf_xdp_adjust_head(ctx, (int)sizeof(*old) - (int)sizeof(*new)))
		return XDP_ABORTED;
	new = (void *)(long)ctx->data;
	if ((void *)(new + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	__builtin_memcpy(new->h_dest, saved.destination, ETH_ALEN);
	__builtin_memcpy(new->h_source, saved.source, ETH_ALEN);
	new->h_proto = saved.next;
	return XDP_TX;
}

/* Lengthen short frames to what Ethernet demands; the new bytes are zero. */
SEC("xdp")
int pad(struct xdp_md *ctx)
{
	int length = ctx->data_end - ctx->data;

	if (length >= SHORTEST_FRAME)
		return XDP_PASS;
	if (bpf_xdp_adjust_tail(ctx, SHORTEST_FRAME - length))
		return XDP_ABORTED;
	return XDP_TX;
}

/* Cut off what stands behind the IPv4 packet. */
SEC("xdp")
int trim(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *ethernet = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(ethernet + 1);
	__s64 excess;

	if ((void *)ip > end)
		return XDP_ABORTED;
	if (ethernet->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	if ((void *)(ip + 1) > end || bpf_ntohs(ip->tot_len) < sizeof(*ip))
		return XDP_ABORTED;

	excess = (end - (void *)ip) - (__s64)bpf_ntohs(ip->tot_len);
	if (excess < 0)
		return XDP_ABORTED;
	if (excess == 0)
		return XDP_PASS;
	if (bpf_xdp_adjust_tail(ctx, -excess))
		return XDP_ABORTED;
	return XDP_TX;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
