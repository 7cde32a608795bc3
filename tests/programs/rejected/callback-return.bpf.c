// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * callback-return: a callback returns something else than 0 and 1
 *
 * bpf_loop calls its callback again when that returns 0, and stops when it returns 1. Linux refuses a callback that may
 * return anything else.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>

static long count_down(__u32 index, void *context)
{
	return index;
}

SEC("xdp")
int broken(struct xdp_md *ctx)
{
	return bpf_loop(10, count_down, (void *)0, 0) == 10 ? XDP_PASS : XDP_DROP;
}

static long stop_at_five(__u32 index, void *context)
{
	return index == 5;
}

SEC("xdp")
int fixed(struct xdp_md *ctx)
{
	return bpf_loop(10, stop_at_five, (void *)0, 0) == 10 ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "Dual MIT/GPL";
