// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * percpu: one value for each cpu: count without locks, add up when reading.
 *
 * Programs:  count (xdp)
 * Reads:     the EtherType, the length of the frame
 * Maps:      totals: a per-cpu array of one struct totals
 *            types:  a per-cpu hash, EtherType to packets; an entry that one cpu makes is zero on the
 *                    others
 *            scratch: one space: a per-cpu array for what is too big for the 512-byte stack
 * Returns:   XDP_PASS
 * Builds:    v3, v4
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define SCRATCH 1024

struct totals {
	__u64 packets;
	__u64 bytes;
	__u32 last_sum; /* of the bytes that went through the scratch space */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct totals);
} totals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u16);
	__type(value, __u64);
} types SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u8[SCRATCH]);
} scratch SEC(".maps");

static inline void count_type(__u16 type)
{
	__u64 *packets = bpf_map_lookup_elem(&types, &type);
	__u64 one = 1;

	if (packets)
		*packets += 1;
	else
		bpf_map_update_elem(&types, &type, &one, BPF_NOEXIST);
}

SEC("xdp")
int count(struct xdp_md *ctx)
{
	struct ethhdr *ethernet = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u32 length = ctx->data_end - ctx->data;
	__u32 first = 0, sum = 0;
	struct totals *total = bpf_map_lookup_elem(&totals, &first);
	__u8 *bytes = bpf_map_lookup_elem(&scratch, &first);

	if (!total || !bytes || (void *)(ethernet + 1) > end)
		return XDP_ABORTED;
	total->packets++;
	total->bytes += length;
	count_type(bpf_ntohs(ethernet->h_proto));

	/* Copy the header and its mirror image, then sum up what is there: old bytes as well. */
	for (__u32 i = 0; i < sizeof(*ethernet); i++) {
		bytes[i] = ((__u8 *)ethernet)[i];
		bytes[SCRATCH - 1 - i] = bytes[i];
	}
	bytes[length & (SCRATCH - 1)]++;
	for (__u32 i = 0; i < SCRATCH; i++)
		sum += bytes[i];
	total->last_sum = sum;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
