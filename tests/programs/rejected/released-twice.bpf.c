// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * released-twice: a record is used after it was submitted
 *
 * After bpf_ringbuf_submit the record belongs to its reader. The address is a plain number then; nothing can be loaded or
 * stored through it, and no helper takes it.
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
	*record = ctx->rx_queue_index;
	bpf_ringbuf_submit(record, 0);
	if (ctx->rx_queue_index == 0)
		bpf_ringbuf_discard(record, 0);
	return XDP_PASS;
}

SEC("xdp")
int fixed(struct xdp_md *ctx)
{
	__u64 *record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);

	if (!record)
		return XDP_PASS;
	*record = ctx->rx_queue_index;
	if (ctx->rx_queue_index == 0)
		bpf_ringbuf_discard(record, 0);
	else
		bpf_ringbuf_submit(record, 0);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
