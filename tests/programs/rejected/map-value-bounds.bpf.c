// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * map-value-bounds: an index from outside is used without a bound
 *
 * A number from a packet, the context or a helper may be anything. An array in a map value has to be indexed with a number
 * of which a comparison, or a mask, shows that it is below the number of elements.
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
	__u16 index = ctx->rx_queue_index;
	struct table *table = bpf_map_lookup_elem(&tables, &zero);

	if (table)
		table->counts[index] += 1;
	return XDP_PASS;
}

SEC("xdp")
int fixed(struct xdp_md *ctx)
{
	__u32 zero = 0;
	__u16 index = ctx->rx_queue_index;
	struct table *table = bpf_map_lookup_elem(&tables, &zero);

	if (table && index < 8)
		table->counts[index] += 1;
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
