// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * ringbuf: send records to user space through a ring buffer, in the three ways there are.
 *
 * Programs:  reserve (xdp): reserve, fill in, then submit or discard
 *            output (xdp):  copy a finished record
 *            query (xdp):   ask the ring for its numbers
 * Reads:     the first bytes of the frame
 * Maps:      events:     the ring, 16 KiB; records are struct event
 *            outcomes:   how many records were submitted, discarded, lost: indexed by enum outcome
 *            properties: what bpf_ringbuf_query says, indexed by BPF_RB_*
 * Returns:   XDP_PASS; XDP_DROP when the ring was full
 * Builds:    v3, v4, O0
 *
 * A record is visible to the reader from submit or discard on; a reader skips discarded ones.
 * Nobody is woken (BPF_RB_NO_WAKEUP): a test reads the ring when it likes.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define SAMPLE 16
#define ETHERNET_HEADER 14

enum outcome {
	SUBMITTED,
	DISCARDED,
	LOST,
	OUTCOME_COUNT,
};

struct event {
	__u32 number;
	__u32 length;
	__u8 sample[SAMPLE]; /* the start of the frame, zero-filled */
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16384);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, OUTCOME_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} outcomes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} properties SEC(".maps");

__u32 next_number;

static inline void count(__u32 outcome)
{
	__u64 *counter = bpf_map_lookup_elem(&outcomes, &outcome);

	if (counter)
		__sync_fetch_and_add(counter, 1);
}

static inline void fill_in(struct event *event, struct xdp_md *ctx)
{
	__u8 *bytes = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;

	event->number = next_number++;
	event->length = ctx->data_end - ctx->data;
	for (int i = 0; i < SAMPLE; i++)
		event->sample[i] = bytes + i + 1 <= (__u8 *)end ? bytes[i] : 0;
}

SEC("xdp")
int reserve(struct xdp_md *ctx)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		count(LOST);
		return XDP_DROP;
	}
	fill_in(event, ctx);
	if (event->length <= ETHERNET_HEADER) {
		/* Nothing behind the header: not worth a record. */
		bpf_ringbuf_discard(event, BPF_RB_NO_WAKEUP);
		count(DISCARDED);
		return XDP_PASS;
	}
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	count(SUBMITTED);
	return XDP_PASS;
}

SEC("xdp")
int output(struct xdp_md *ctx)
{
	struct event event = {};

	fill_in(&event, ctx);
	if (bpf_ringbuf_output(&events, &event, sizeof(event), BPF_RB_NO_WAKEUP)) {
		count(LOST);
		return XDP_DROP;
	}
	count(SUBMITTED);
	return XDP_PASS;
}

static inline void store_property(__u32 property)
{
	__u64 value = bpf_ringbuf_query(&events, property);

	bpf_map_update_elem(&properties, &property, &value, BPF_ANY);
}

SEC("xdp")
int query(struct xdp_md *ctx)
{
	store_property(BPF_RB_AVAIL_DATA); /* bytes that the reader has not consumed */
	store_property(BPF_RB_RING_SIZE);
	store_property(BPF_RB_CONS_POS); /* positions count bytes from the start of time */
	store_property(BPF_RB_PROD_POS);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
