// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * packet-bounds: a packet is read without a check of its length
 *
 * The bytes of a packet begin at data and end before data_end. Any packet may be shorter than what a program wants to
 * read, even shorter than an Ethernet header, so every access needs a comparison with data_end before it, on the path
 * that leads to it.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int broken(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	struct ethhdr *eth = data;

	return eth->h_proto == 0xdd86 ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int fixed(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;

	if (data + sizeof(*eth) > data_end)
		return XDP_PASS;
	return eth->h_proto == 0xdd86 ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
