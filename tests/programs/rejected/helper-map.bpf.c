// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * helper-map: a helper is used on a map that does not have the operation
 *
 * Each type of map has operations of its own, and helpers for them. There is nothing to look up in an array for perf
 * events: records go in with bpf_perf_event_output.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
	__uint(max_entries, 16);
} samples SEC(".maps");

SEC("xdp")
int broken(struct xdp_md *ctx)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&samples, &key) ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int fixed(struct xdp_md *ctx)
{
	__u32 record = ctx->rx_queue_index;

	bpf_perf_event_output(ctx, &samples, BPF_F_CURRENT_CPU, &record, sizeof(record));
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
