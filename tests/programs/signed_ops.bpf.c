// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * signed_ops: what instruction set v4 brought: signed division, sign-extending moves and loads, byte
 * swaps, and a jump with a 32-bit offset.
 *
 * Programs:  arithmetic (xdp), far (xdp)
 * Reads:     the first 16 bytes of the frame as signed numbers
 * Maps:      results: an array of one struct results
 * Returns:   XDP_PASS, XDP_ABORTED for frames shorter than 16 bytes
 * Builds:    v4
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct results {
	__s64 quotient64, remainder64;
	__s32 quotient32, remainder32;
	__s64 by_constant, remainder_by_constant;
	__s64 moved8, moved16, moved32;
	__s32 moved8_32, moved16_32;
	__s64 loaded8, loaded16, loaded32;
	__u64 swapped64;
	__u32 swapped32;
	__u16 swapped16;
	__u16 unused;
	__u64 jumped;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct results);
} results SEC(".maps");

SEC("xdp")
int arithmetic(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u32 first = 0;
	struct results *result = bpf_map_lookup_elem(&results, &first);
	__s64 left, right;

	if (!result || data + 16 > end)
		return XDP_ABORTED;
	left = *(__s64 *)data;
	right = *(__s64 *)(data + 8);

	/*
	 * C says nothing about division by 0 and of the least number by -1: keep away from both divisors.
	 * Quotient and remainder of different operands, or the compiler makes one from the other.
	 */
	if (right != 0 && right != -1) {
		result->quotient64 = left / right;
		result->remainder32 = (__s32)left % (__s32)((right | 2) & ~1);
	}
	if (left != 0 && left != -1) {
		result->remainder64 = right % left;
		result->quotient32 = (__s32)right / (__s32)((left | 2) & ~1);
	}
	result->by_constant = left / -7;
	result->remainder_by_constant = left % -7;

	result->moved8 = (__s8)left;
	result->moved16 = (__s16)left;
	result->moved32 = (__s32)left;
	result->moved8_32 = (__s8)right;
	result->moved16_32 = (__s16)right;

	result->loaded8 = *(volatile __s8 *)(data + 15);
	result->loaded16 = *(volatile __s16 *)(data + 12);
	result->loaded32 = *(volatile __s32 *)(data + 4);

	result->swapped64 = __builtin_bswap64(left);
	result->swapped32 = __builtin_bswap32(left);
	result->swapped16 = __builtin_bswap16(left);
	return XDP_PASS;
}

/* The compiler writes gotol where 16 bits do not reach; here we write it ourselves. */
SEC("xdp")
int far(struct xdp_md *ctx)
{
	__u64 length = ctx->data_end - ctx->data, way = 0;
	__u32 first = 0;
	struct results *result;

	asm volatile("if %[length] > 100 goto 1f;"
		     "%[way] += 1;"
		     "gotol 2f;"
		     "1: %[way] += 2;"
		     "2: %[way] += 4;"
		     : [way] "+r"(way)
		     : [length] "r"(length));

	result = bpf_map_lookup_elem(&results, &first);
	if (result)
		result->jumped = way; /* 5 up to 100 bytes, 6 above */
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
