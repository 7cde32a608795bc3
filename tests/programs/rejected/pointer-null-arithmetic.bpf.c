// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * pointer-null-arithmetic: something is added to a pointer that may be NULL
 *
 * NULL plus something is not NULL, so that the check that comes afterwards shows nothing. Check what the helper returned,
 * then add to it. (The empty asm
 * keeps clang from doing just that.)
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>

struct pair {
	__u64 first, second;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct pair);
} pairs SEC(".maps");

SEC("xdp")
int broken(struct xdp_md *ctx)
{
	__u32 key = ctx->ingress_ifindex;
	__u64 index = ctx->rx_queue_index & 1;
	__u64 *slot = (__u64 *)bpf_map_lookup_elem(&pairs, &key) + index;

	asm volatile("" : "+r"(slot));
	if (slot)
		*slot += 1;
	return XDP_PASS;
}

SEC("xdp")
int fixed(struct xdp_md *ctx)
{
	__u32 key = ctx->ingress_ifindex;
	__u64 index = ctx->rx_queue_index & 1;
	__u64 *slots = bpf_map_lookup_elem(&pairs, &key);

	if (slots)
		slots[index] += 1;
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
