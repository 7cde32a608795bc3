// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * subprograms: functions that call functions, each with a stack frame of its own.
 *
 * Programs:  checksum (xdp), depth (xdp), weak (xdp)
 * Reads:     the first 64 bytes of the frame
 * Maps:      results: an array indexed by enum result, what the functions gave back last
 * Returns:   XDP_PASS; checksum: XDP_ABORTED for frames shorter than 64 bytes
 * Builds:    v3, v4, O0
 *
 * The verifier treats the two kinds of function differently.  A static one is checked again at each
 * call, with what the caller knows: it may take pointers of any kind.  A global one is checked once,
 * for any argument: a pointer may be NULL, a number may be anything.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define WINDOW 64

enum result {
	RESULT_FLETCHER,
	RESULT_MINIMUM,
	RESULT_MAXIMUM,
	RESULT_DEPTH,
	RESULT_WEAK,
	RESULT_COUNT,
};

struct range {
	__u8 minimum;
	__u8 maximum;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RESULT_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} results SEC(".maps");

/* Global, numbers only. */
__noinline int store(__u32 index, __u64 value)
{
	return bpf_map_update_elem(&results, &index, &value, BPF_ANY);
}

/* Static, reads the packet through a pointer: the caller has checked its bounds. */
static __noinline __u32 fletcher(const __u8 *bytes)
{
	__u32 low = 0, high = 0;

	for (int i = 0; i < WINDOW; i++) {
		low = (low + bytes[i]) % 255;
		high = (high + low) % 255;
	}
	return high << 8 | low;
}

/* Static, writes to the frame of its caller. */
static __noinline void widen(struct range *range, __u8 byte)
{
	if (byte < range->minimum)
		range->minimum = byte;
	if (byte > range->maximum)
		range->maximum = byte;
}

/* Global with a pointer: the verifier insists on the test for NULL, whoever calls. */
__noinline int spread(const struct range *range)
{
	if (!range)
		return -1;
	store(RESULT_MINIMUM, range->minimum);
	store(RESULT_MAXIMUM, range->maximum);
	return range->maximum - range->minimum;
}

SEC("xdp")
int checksum(struct xdp_md *ctx)
{
	__u8 *bytes = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct range range = { .minimum = 0xff, .maximum = 0 };

	if (bytes + WINDOW > (__u8 *)end)
		return XDP_ABORTED;
	store(RESULT_FLETCHER, fletcher(bytes));
	for (int i = 0; i < WINDOW; i++)
		widen(&range, bytes[i]);
	return spread(&range) < 0 ? XDP_ABORTED : XDP_PASS;
}

/*
 * Eight frames, the most that Linux allows: depth and level_1 to level_7.  Each passes on a pointer
 * into the frame of the first and adds its own number to what is there.
 */
static __noinline void level_7(__u64 *sum)
{
	*sum = *sum * 10 + 7;
}

#define LEVEL(number, next)                           \
	static __noinline void level_##number(__u64 *sum) \
	{                                                 \
		*sum = *sum * 10 + number;                    \
		level_##next(sum);                            \
	}

LEVEL(6, 7)
LEVEL(5, 6)
LEVEL(4, 5)
LEVEL(3, 4)
LEVEL(2, 3)
LEVEL(1, 2)

SEC("xdp")
int depth(struct xdp_md *ctx)
{
	__u64 sum = 0;
	__u32 index = RESULT_DEPTH;

	level_1(&sum);
	bpf_map_update_elem(&results, &index, &sum, BPF_ANY); /* 1234567 */
	return XDP_PASS;
}

/* Weak: a linker may put another definition in place of this one.  Five arguments, the most there are. */
__weak __noinline int polynomial(int a, int b, int c, int d, int x)
{
	return ((a * x + b) * x + c) * x + d;
}

SEC("xdp")
int weak(struct xdp_md *ctx)
{
	int length = ctx->data_end - ctx->data;

	store(RESULT_WEAK, (__u64)polynomial(1, -2, 3, -4, length)); /* negative for 0 and 1 only */
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
