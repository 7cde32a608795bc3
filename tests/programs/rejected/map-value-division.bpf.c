// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * map-value-division: a remainder is taken for what it is not
 *
 * A division by zero does not fault in eBPF: x / 0 is 0, and x % 0 is x. So a remainder is smaller than the divisor only
 * if that is not 0, and a bound that was computed as a remainder fails for one divisor.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>

struct table {
	__u64 counts[8];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct table);
} tables SEC(".maps");

SEC("xdp")
int broken(struct xdp_md *ctx)
{
	__u32 zero = 0, buckets = ctx->ingress_ifindex & 7;
	__u32 index = (__u16)ctx->rx_queue_index % buckets;
	struct table *table = bpf_map_lookup_elem(&tables, &zero);

	if (table)
		table->counts[index] += 1;
	return XDP_PASS;
}

SEC("xdp")
int fixed(struct xdp_md *ctx)
{
	__u32 zero = 0, buckets = ctx->ingress_ifindex & 7;
	__u32 index = buckets ? (__u16)ctx->rx_queue_index % buckets : 0;
	struct table *table = bpf_map_lookup_elem(&tables, &zero);

	if (table && index < 8)
		table->counts[index] += 1;
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
