// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * beyond: programs that are safe and that Linux 6.18 refuses; what makes them safe is a relation that its verifier does
 * not follow.
 *
 * Each is there twice: NAME is safe, NAME_off has one constant that is off, and goes wrong on some input.
 *
 * Programs:  NAME and NAME_off for each TWINS line (xdp, tc)
 * Builds:    v3
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#define TWINS(section, context, name, right, off)                    \
	SEC(section) int name(struct context *ctx)                   \
	{                                                            \
		return name##_with(ctx, right);                      \
	}                                                            \
	SEC(section) int name##_off(struct context *ctx)             \
	{                                                            \
		return name##_with(ctx, off);                        \
	}

#define HEADERS (sizeof(struct ethhdr) + sizeof(struct iphdr))
#define SIZE 64

struct buffer {
	__u8 bytes[SIZE];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct buffer);
} buffers SEC(".maps");

static __always_inline struct buffer *the_buffer(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&buffers, &zero);
}

/*
 * headers: the length of the packet as a difference of pointers, compared with what the headers take
 *
 * Linux: R2 offset is outside of the packet
 */
static __always_inline int headers_with(struct xdp_md *ctx, __u64 needed)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);

	if (data_end - data < (long)needed)
		return XDP_DROP;
	return ip->daddr == 0 ? XDP_DROP : XDP_PASS;
}
TWINS("xdp", xdp_md, headers, HEADERS, HEADERS - 1)

/*
 * option: an option says how long it is; that is compared with how much is left of the packet
 *
 * Linux: R1 offset is outside of the packet
 */
static __always_inline int option_with(struct xdp_md *ctx, int beyond)
{
	__u8 *at = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 length;

	if (at + 2 > end)
		return XDP_DROP;
	length = at[1];
	if (length < 2 || length > end - at + beyond)
		return XDP_DROP;
	return at[length - 1] ? XDP_PASS : XDP_DROP;
}
TWINS("xdp", xdp_md, option, 0, 1)

/*
 * fill: the last part of a buffer is filled: the length is cut to what the offset leaves
 *
 * Linux: R3 max value is outside of the allowed memory range
 */
static __always_inline int fill_with(struct __sk_buff *ctx, __u64 size)
{
	struct buffer *buffer = the_buffer();
	__u64 offset = ctx->mark, length = ctx->priority;

	if (!buffer || offset >= size)
		return TC_ACT_OK;
	if (length > size - offset)
		length = size - offset;
	if (length == 0)
		return TC_ACT_OK;
	return bpf_skb_load_bytes(ctx, 0, buffer->bytes + offset, length) ? TC_ACT_SHOT : TC_ACT_OK;
}
TWINS("tc", __sk_buff, fill, SIZE, SIZE + 1)

/*
 * percent: how much of a whole, in percent: a part of it is at most 100
 *
 * Linux: math between map_value pointer and register with unbounded min value is not allowed
 */
struct percents {
	__u8 counts[101];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct percents);
} percents SEC(".maps");

static __always_inline int percent_with(struct __sk_buff *ctx, __u32 hundred)
{
	__u32 part = ctx->mark & 0xff, whole = ctx->priority & 0xff, zero = 0;
	struct percents *found = bpf_map_lookup_elem(&percents, &zero);

	if (!found || !whole || part > whole)
		return TC_ACT_OK;
	found->counts[part * hundred / whole]++;
	return TC_ACT_OK;
}
TWINS("tc", __sk_buff, percent, 100, 101)

/*
 * bucket: a bucket: the remainder of a division by a number of buckets that is not known before
 *
 * Linux: math between map_value pointer and register with unbounded min value is not allowed
 */
static __always_inline int bucket_with(struct __sk_buff *ctx, __u32 most)
{
	struct buffer *buffer = the_buffer();
	__u32 hash = ctx->mark, buckets = ctx->priority;

	if (!buffer || buckets == 0 || buckets > most)
		return TC_ACT_OK;
	buffer->bytes[hash % buckets]++;
	return TC_ACT_OK;
}
TWINS("tc", __sk_buff, bucket, SIZE, SIZE + 1)

/*
 * padded: a record is padded to a multiple of four bytes; the padded length is what is compared
 *
 * Linux: R4 unbounded memory access, use 'var &= const' or 'if (var < const)'
 */
static __always_inline int padded_with(struct __sk_buff *ctx, __u64 size)
{
	struct buffer *buffer = the_buffer();
	__u64 length = ctx->mark;

	if (!buffer || length == 0 || ((length + 3) & ~3ULL) > size)
		return TC_ACT_OK;
	return bpf_skb_load_bytes(ctx, 0, buffer->bytes, length) ? TC_ACT_SHOT : TC_ACT_OK;
}
TWINS("tc", __sk_buff, padded, SIZE, SIZE + 4)

/*
 * mark: the mark is compared, then the packet is written to, so that clang loads the mark again where it is used
 *
 * Linux: R0 unbounded memory access, make sure to bounds check any such access
 */
static __always_inline int mark_with(struct __sk_buff *ctx, __u32 size)
{
	__u8 *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	struct buffer *buffer = the_buffer();

	if (!buffer || data + 1 > data_end || ctx->mark >= size)
		return TC_ACT_OK;
	data[0] = 1;
	buffer->bytes[ctx->mark] = 1;
	return TC_ACT_OK;
}
TWINS("tc", __sk_buff, mark, SIZE, SIZE + 1)

/*
 * header: the length of a header is read twice; a barrier keeps clang from remembering it
 *
 * Linux: R4 invalid zero-sized read: u64=[0,60]
 */
static __always_inline __u32 header_length(struct iphdr *ip)
{
	barrier();
	return ip->ihl * 4;
}

static __always_inline int header_with(struct xdp_md *ctx, __u32 room)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);
	__u8 copy[40] = {};

	if ((void *)(ip + 1) > data_end || header_length(ip) < sizeof(*ip) || header_length(ip) > room)
		return XDP_DROP;
	return bpf_xdp_load_bytes(ctx, sizeof(struct ethhdr), copy, header_length(ip)) || !copy[0] ? XDP_DROP : XDP_PASS;
}
TWINS("xdp", xdp_md, header, 40, 44)

/*
 * distance: how far two positions are apart: the smaller one is subtracted
 *
 * Linux: R0 min value is negative, either use unsigned index or do a if (index >=0) check.
 */
static __always_inline int distance_with(struct __sk_buff *ctx, __u32 size)
{
	struct buffer *buffer = the_buffer();
	__u64 from = ctx->mark, to = ctx->priority;

	if (!buffer || from >= size || to >= size)
		return TC_ACT_OK;
	buffer->bytes[from < to ? to - from : from - to] = 1;
	return TC_ACT_OK;
}
TWINS("tc", __sk_buff, distance, SIZE, SIZE + 1)

/*
 * slice: the part between a start and an end is filled
 *
 * Linux: R4 invalid zero-sized read: u64=[0,4294967295]
 */
static __always_inline int slice_with(struct __sk_buff *ctx, __u64 size)
{
	struct buffer *buffer = the_buffer();
	__u64 start = ctx->mark, end = ctx->priority;

	if (!buffer || start >= end || end > size)
		return TC_ACT_OK;
	return bpf_skb_load_bytes(ctx, 0, buffer->bytes + start, end - start) ? TC_ACT_SHOT : TC_ACT_OK;
}
TWINS("tc", __sk_buff, slice, SIZE, SIZE + 1)

/*
 * record: records of 12 bytes: which one an offset below the length lies in
 *
 * Linux: math between map_value pointer and register with unbounded min value is not allowed
 */
struct records {
	__u8 seen[5];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct records);
} records SEC(".maps");

static __always_inline int record_with(struct __sk_buff *ctx, __u32 size)
{
	__u32 offset = ctx->mark, length = ctx->priority, zero = 0;
	struct records *found = bpf_map_lookup_elem(&records, &zero);

	if (!found || offset >= length || length > size)
		return TC_ACT_OK;
	found->seen[offset / 12] = 1;
	return TC_ACT_OK;
}
TWINS("tc", __sk_buff, record, 60, 61)

/*
 * walk: two options, one behind the other: what is left of the packet is counted down
 *
 * Linux: R1 offset is outside of the packet
 */
static __always_inline int walk_with(struct xdp_md *ctx, __u32 beyond)
{
	__u8 *at = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 left = end - at, sum = 0;

	for (int i = 0; i < 2; i++) {
		if (left < 2 || at[1] < 2 || at[1] > left + beyond)
			return XDP_DROP;
		sum += at[at[1] - 1];
		left -= at[1];
		at += at[1];
	}
	return sum ? XDP_PASS : XDP_DROP;
}
TWINS("xdp", xdp_md, walk, 0, 1)

/*
 * run: a few bytes at an offset, one by one: the number of them is bounded, and where they begin by that number
 *
 * Linux: R3 max value is outside of the allowed memory range
 */
static __always_inline int run_with(struct __sk_buff *ctx, __u64 size)
{
	struct buffer *buffer = the_buffer();
	__u64 offset = ctx->mark, count = ctx->priority;

	if (!buffer || count > 3 || offset > size - count)
		return TC_ACT_OK;
	for (__u64 i = 0; i < count; i++)
		buffer->bytes[offset + i] ^= 0xFF;
	return TC_ACT_OK;
}
TWINS("tc", __sk_buff, run, SIZE, SIZE + 1)

char LICENSE[] SEC("license") = "Dual MIT/GPL";
