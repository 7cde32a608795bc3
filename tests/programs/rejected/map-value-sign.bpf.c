// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * map-value-sign: a signed number is checked from above only
 *
 * A signed number that is below 8 may be negative, and then it is an index before the array. Use unsigned numbers for
 * indices and lengths, or check both sides.
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
	__u32 zero = 0;
	__s16 index = ctx->rx_queue_index;
	struct table *table = bpf_map_lookup_elem(&tables, &zero);

	if (table && index < 8)
		table->counts[index] += 1;
	return XDP_PASS;
}

SEC("xdp")
int fixed(struct xdp_md *ctx)
{
	__u32 zero = 0;
	__s16 index = ctx->rx_queue_index;
	struct table *table = bpf_map_lookup_elem(&tables, &zero);

	if (table && index >= 0 && index < 8)
		table->counts[index] += 1;
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
