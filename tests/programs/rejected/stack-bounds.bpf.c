// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * stack-bounds: an index leaves a local array
 *
 * Locals are on the stack, of which a function has 512 bytes. An index into a local array is bounded like any other: here
 * the mask is of 16 elements and the array has 8.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int broken(struct xdp_md *ctx)
{
	volatile __u64 seen[8] = {};

	seen[ctx->rx_queue_index & 15] = 1;
	return seen[0] ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int fixed(struct xdp_md *ctx)
{
	volatile __u64 seen[8] = {};

	seen[ctx->rx_queue_index & 7] = 1;
	return seen[0] ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
