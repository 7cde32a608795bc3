// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * map-value-off-by-one: a comparison lets the number of elements through
 *
 * The indices of an array of eight are 0 to 7: `index > 8` refuses too little by one. The input is the one number that the
 * check should have refused.
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
	__u32 zero = 0, index = ctx->rx_queue_index;
	struct table *table = bpf_map_lookup_elem(&tables, &zero);

	if (!table || index > 8)
		return XDP_PASS;
	table->counts[index] += 1;
	return XDP_PASS;
}

SEC("xdp")
int fixed(struct xdp_md *ctx)
{
	__u32 zero = 0, index = ctx->rx_queue_index;
	struct table *table = bpf_map_lookup_elem(&tables, &zero);

	if (!table || index >= 8)
		return XDP_PASS;
	table->counts[index] += 1;
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
