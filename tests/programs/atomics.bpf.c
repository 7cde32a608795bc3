// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * atomics: every atomic instruction there is, in 64 and 32 bits, with and without the old value.
 *
 * Programs:  update (xdp) discards the old values, fetch (xdp) uses them, exchange (xdp) swaps
 * Reads:     the length of the frame and its first eight bytes as the operand
 * Maps:      words:  the memory that the instructions work on: an array of one struct words
 *            olds:   the old values that they gave back: an array of one struct words
 * Returns:   XDP_PASS, XDP_ABORTED for frames without eight bytes
 * Builds:    v3, v4
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct words {
	__u64 add, sub, and, or, xor, exchange, compare;
	__u32 add32, sub32, and32, or32, xor32, exchange32, compare32;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct words);
} words SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct words);
} olds SEC(".maps");

static inline struct words *only(void *map)
{
	__u32 first = 0;

	return bpf_map_lookup_elem(map, &first);
}

/* The first eight bytes; 0 if there are none, which none of our frames begins with. */
static inline __u64 operand(struct xdp_md *ctx)
{
	__u64 *bytes = (void *)(long)ctx->data;

	return (void *)(bytes + 1) > (void *)(long)ctx->data_end ? 0 : *bytes;
}

SEC("xdp")
int update(struct xdp_md *ctx)
{
	struct words *word = only(&words);
	__u64 value = operand(ctx);

	if (!word || !value)
		return XDP_ABORTED;
	__sync_fetch_and_add(&word->add, value);
	__sync_fetch_and_sub(&word->sub, value);
	__sync_fetch_and_or(&word->or, value);
	__sync_fetch_and_and(&word->or, ~(value << 8));
	__sync_fetch_and_xor(&word->xor, value);
	__sync_fetch_and_add(&word->add32, (__u32)value);
	__sync_fetch_and_sub(&word->sub32, (__u32)value);
	__sync_fetch_and_or(&word->or32, (__u32)value);
	__sync_fetch_and_and(&word->or32, ~(__u32)(value << 8));
	__sync_fetch_and_xor(&word->xor32, (__u32)value);
	return XDP_PASS;
}

SEC("xdp")
int fetch(struct xdp_md *ctx)
{
	struct words *word = only(&words), *old = only(&olds);
	__u64 value = operand(ctx);

	if (!word || !old || !value)
		return XDP_ABORTED;
	old->add = __sync_fetch_and_add(&word->add, value);
	old->sub = __sync_fetch_and_sub(&word->sub, value);
	old->and = __sync_fetch_and_and(&word->and, value);
	old->or = __sync_fetch_and_or(&word->or, value >> 3);
	old->xor = __sync_fetch_and_xor(&word->xor, value);
	/* 32-bit instructions clear the upper half of the register that takes the old value. */
	old->add32 = __sync_fetch_and_add(&word->add32, (__u32)value);
	old->sub32 = __sync_fetch_and_sub(&word->sub32, (__u32)value);
	old->and32 = __sync_fetch_and_and(&word->and32, (__u32)value);
	old->or32 = __sync_fetch_and_or(&word->or32, (__u32)(value >> 3));
	old->xor32 = __sync_fetch_and_xor(&word->xor32, (__u32)value);
	/* Set every bit again, or the next `and` finds nothing. */
	word->and = ~0ULL;
	word->and32 = ~0U;
	return XDP_PASS;
}

SEC("xdp")
int exchange(struct xdp_md *ctx)
{
	struct words *word = only(&words), *old = only(&olds);
	__u64 value = operand(ctx), length = ctx->data_end - ctx->data;

	if (!word || !old || !value)
		return XDP_ABORTED;
	old->exchange = __sync_lock_test_and_set(&word->exchange, value);
	old->exchange32 = __sync_lock_test_and_set(&word->exchange32, (__u32)value);

	/* Succeeds from 0, then again whenever the length is the one that was stored last. */
	old->compare = __sync_val_compare_and_swap(&word->compare, 0, length);
	if (old->compare == length)
		__sync_val_compare_and_swap(&word->compare, length, 0);
	old->compare32 = __sync_val_compare_and_swap(&word->compare32, 0, (__u32)length);
	if (old->compare32 == length)
		__sync_val_compare_and_swap(&word->compare32, (__u32)length, 0);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
