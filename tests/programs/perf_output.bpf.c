// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * perf_output: send the start of each packet to user space through perf events.
 *
 * Programs:  sample (xdp)
 * Reads:     the length of the frame; the helper copies its bytes
 * Maps:      events: a perf event array, one slot for each cpu; records are struct sample and then up
 *                    to 64 bytes of the frame
 * Returns:   XDP_PASS
 * Builds:    v3, v4
 *
 * The helper fails with -ENOENT where nobody has opened a perf event: the map alone holds no data.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define SNAP 64

struct sample {
	__u32 length;   /* of the frame */
	__u32 captured; /* bytes of it that follow */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} events SEC(".maps");

SEC("xdp")
int sample(struct xdp_md *ctx)
{
	struct sample header;

	header.length = ctx->data_end - ctx->data;
	header.captured = header.length < SNAP ? header.length : SNAP;
	/* For packets the upper half of the flags is how many bytes of it go behind the record. */
	bpf_perf_event_output(ctx, &events, (__u64)header.captured << 32 | BPF_F_CURRENT_CPU, &header, sizeof(header));
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
