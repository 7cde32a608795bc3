// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * spin_lock: change several fields of a map value as one.
 *
 * Programs:  limit (xdp), a token bucket that a packet fills: no clock
 * Reads:     the length of the frame, its EtherType
 * Maps:      buckets: a hash, EtherType to struct bucket; the lock is a field of the value and reads as
 *                     zero from user space
 *            shared:  an array of one with the lock behind other fields
 * Returns:   XDP_PASS; XDP_DROP for a frame whose bucket is empty
 * Builds:    v3, v4, O0
 *
 * Between lock and unlock a program may not call other helpers, nor take a second lock.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define CAPACITY 1600 /* bytes */
#define REFILL 100    /* bytes, with every packet of the type */

struct bucket {
	struct bpf_spin_lock lock;
	__u32 tokens;
	__u64 passed;
	__u64 dropped;
};

struct shared {
	__u64 packets;
	__u32 shortest;
	struct bpf_spin_lock lock;
	__u32 longest;
	__u32 unused;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct bucket);
} buckets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct shared);
} shared SEC(".maps");

static inline void record(__u32 length)
{
	__u32 first = 0;
	struct shared *all = bpf_map_lookup_elem(&shared, &first);

	if (!all)
		return;
	bpf_spin_lock(&all->lock);
	if (all->packets == 0 || length < all->shortest)
		all->shortest = length;
	if (length > all->longest)
		all->longest = length;
	all->packets++;
	bpf_spin_unlock(&all->lock);
}

SEC("xdp")
int limit(struct xdp_md *ctx)
{
	struct ethhdr *ethernet = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u32 length = ctx->data_end - ctx->data;
	int verdict = XDP_DROP;
	struct bucket *bucket;
	__u32 type;

	if ((void *)(ethernet + 1) > end)
		return XDP_ABORTED;
	record(length);

	type = bpf_ntohs(ethernet->h_proto);
	bucket = bpf_map_lookup_elem(&buckets, &type);
	if (!bucket) {
		struct bucket full = { .tokens = CAPACITY };

		bpf_map_update_elem(&buckets, &type, &full, BPF_NOEXIST);
		bucket = bpf_map_lookup_elem(&buckets, &type);
		if (!bucket)
			return XDP_PASS;
	}

	bpf_spin_lock(&bucket->lock);
	bucket->tokens += REFILL;
	if (bucket->tokens > CAPACITY)
		bucket->tokens = CAPACITY;
	if (bucket->tokens >= length) {
		bucket->tokens -= length;
		bucket->passed++;
		verdict = XDP_PASS;
	} else {
		bucket->dropped++;
	}
	bpf_spin_unlock(&bucket->lock);
	return verdict;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
