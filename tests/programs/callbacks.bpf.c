// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * callbacks: functions that a helper calls: loops whose length the verifier need not know, walks over maps.
 *
 * Programs:  loop (xdp), walk (xdp), nested (xdp)
 * Reads:     the bytes and the length of the frame
 * Maps:      bytes:   how often each byte value was seen, a hash
 *            squares: an array of 8
 *            results: an array indexed by enum result
 * Returns:   XDP_PASS
 * Builds:    v3, v4, O0
 *
 * A callback gets the context pointer that was handed to the helper, here into the caller's stack.
 * It returns 0 to go on and 1 to stop.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define LONGEST_FRAME 1514

struct bpf_map; /* what bpf_for_each_map_elem hands over first; programs never look inside */

enum result {
	LOOP_ROUNDS, /* how many times bpf_loop called back */
	LOOP_END,    /* position of the first 0xff byte, or the length */
	HASH_ENTRIES,
	HASH_COMMONEST,
	ARRAY_SUM,
	ARRAY_VISITED,
	NESTED_PAIRS,
	RESULT_COUNT,
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u64);
} bytes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} squares SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RESULT_COUNT);
	__type(key, __u32);
	__type(value, __s64);
} results SEC(".maps");

static inline void store(__u32 index, __s64 value)
{
	bpf_map_update_elem(&results, &index, &value, BPF_ANY);
}

struct search {
	struct xdp_md *packet;
	__u32 end;
};

/* bpf_loop: count the byte at `index`; stop at the first that is 0xff. */
static long count_byte(__u32 index, void *context)
{
	struct search *search = context;
	__u64 one = 1, *seen;
	__u32 key;
	__u8 byte;

	if (bpf_xdp_load_bytes(search->packet, index, &byte, sizeof(byte)))
		return 1;
	key = byte;
	seen = bpf_map_lookup_elem(&bytes, &key);
	if (seen)
		*seen += 1;
	else
		bpf_map_update_elem(&bytes, &key, &one, BPF_ANY);
	if (byte != 0xff)
		return 0;
	search->end = index;
	return 1;
}

SEC("xdp")
int loop(struct xdp_md *ctx)
{
	__u32 length = ctx->data_end - ctx->data;
	struct search search = { .packet = ctx, .end = length };

	if (length > LONGEST_FRAME)
		length = LONGEST_FRAME;
	store(LOOP_ROUNDS, bpf_loop(length, count_byte, &search, 0));
	store(LOOP_END, search.end);
	return XDP_PASS;
}

struct commonest {
	__u64 seen;
	__u32 byte;
};

/* bpf_for_each_map_elem on a hash: entries come in no order, so the lower byte wins a tie. */
static long compare(struct bpf_map *map, const void *key, void *value, void *context)
{
	struct commonest *best = context;
	__u32 byte = *(const __u32 *)key;
	__u64 seen = *(__u64 *)value;

	if (seen > best->seen || (seen == best->seen && byte < best->byte)) {
		best->seen = seen;
		best->byte = byte;
	}
	return 0;
}

/* On an array: write to the values, in order, and stop at 5. */
static long square(struct bpf_map *map, const void *key, void *value, void *context)
{
	__u64 index = *(const __u32 *)key;
	__u64 *sum = context;

	*(__u64 *)value = index * index;
	*sum += index * index;
	return index == 5;
}

SEC("xdp")
int walk(struct xdp_md *ctx)
{
	struct commonest best = {};
	__u64 sum = 0;

	store(HASH_ENTRIES, bpf_for_each_map_elem(&bytes, compare, &best, 0));
	store(HASH_COMMONEST, best.byte);
	store(ARRAY_VISITED, bpf_for_each_map_elem(&squares, square, &sum, 0));
	store(ARRAY_SUM, sum);
	return XDP_PASS;
}

struct pairs {
	__u32 left;
	__u32 found;
};

static long inner(__u32 right, void *context)
{
	struct pairs *pairs = context;

	if ((pairs->left + right) % 7 == 0)
		pairs->found++;
	return 0;
}

static long outer(__u32 left, void *context)
{
	struct pairs *pairs = context;

	pairs->left = left;
	bpf_loop(left, inner, pairs, 0);
	return 0;
}

/* A callback that calls back: pairs below (length % 16) whose sum 7 divides. */
SEC("xdp")
int nested(struct xdp_md *ctx)
{
	__u32 length = ctx->data_end - ctx->data;
	struct pairs pairs = {};

	bpf_loop(length % 16, outer, &pairs, 0);
	store(NESTED_PAIRS, pairs.found);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
