// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * unreleased: a record is reserved and not always submitted
 *
 * What a helper acquires (a record of a ring buffer, a socket) is released on every path: a record is submitted or
 * discarded. The early return is what is forgotten.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

SEC("xdp")
int broken(struct xdp_md *ctx)
{
	__u64 *record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);

	if (!record)
		return XDP_PASS;
	if (ctx->rx_queue_index == 0)
		return XDP_DROP;
	*record = ctx->rx_queue_index;
	bpf_ringbuf_submit(record, 0);
	return XDP_PASS;
}

SEC("xdp")
int fixed(struct xdp_md *ctx)
{
	__u64 *record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);

	if (!record)
		return XDP_PASS;
	if (ctx->rx_queue_index == 0) {
		bpf_ringbuf_discard(record, 0);
		return XDP_DROP;
	}
	*record = ctx->rx_queue_index;
	bpf_ringbuf_submit(record, 0);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
