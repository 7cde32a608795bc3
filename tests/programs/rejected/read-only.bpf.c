// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * read-only: a constant of the program is written
 *
 * Global variables that are const are in a map that is read-only once the program is loaded. What changes is no constant.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>

const volatile __u64 limit = 1000;
volatile __u64 packets = 0;

SEC("xdp")
int broken(struct xdp_md *ctx)
{
	*(volatile __u64 *)&limit -= 1;
	return XDP_PASS;
}

SEC("xdp")
int fixed(struct xdp_md *ctx)
{
	packets += 1;
	return packets > limit ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
