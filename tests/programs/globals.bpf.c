// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * globals: C variables as maps.  The loader makes one array map of each data section.
 *
 * Programs:  measure (xdp), describe (xdp)
 * Reads:     the length of the frame, its Ethernet header
 * Maps:      .data:   variables that start with a value: smallest, statistics
 *            .bss:    variables that start as zero: packets, histogram, last_crc, ...
 *            .rodata: constants, frozen when loaded; a loader may write the const volatile ones
 *                     (maximum_length, count_bytes, weights) before that
 *            .rodata.str1.1: string literals
 *            .rodata.names, .data.custom: sections of our own choice
 * Returns:   measure: XDP_DROP for frames longer than maximum_length, otherwise XDP_PASS;
 *            describe: XDP_PASS, XDP_ABORTED for frames without an Ethernet header
 * Builds:    v3, v4, O0
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define BUCKETS 8
#define NAME_LENGTH 8

/* .rodata.  `volatile` keeps the compiler from folding the value that stands here into the code. */
const volatile __u32 maximum_length = 1400;
const volatile _Bool count_bytes = 1;
const volatile struct {
	__u16 ether_type;
	__u16 weight;
} weights[] = {
	{ ETH_P_IP, 1 },
	{ ETH_P_IPV6, 2 },
	{ ETH_P_ARP, 10 },
};

/* .rodata without volatile, indexed at run time: CRC-32 by half bytes. */
static const __u32 crc_table[16] = {
	0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
	0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
};

/* A section of our own becomes a map of its own. */
const char size_names[BUCKETS][NAME_LENGTH] SEC(".rodata.names") = {
	"tiny", "small", "medium", "large", "larger", "full", "jumbo", "giant",
};
__u32 longest SEC(".data.custom") = 7;

/* .data */
__u32 smallest = 0xffffffff;
struct {
	__u32 version;
	__s32 balance; /* of lengths, from a thousand below zero */
	__u64 bytes;
} statistics = { .version = 3, .balance = -1000 };

/* .bss */
__u64 packets;
__u64 histogram[BUCKETS];
__u64 weighted;
__u32 last_crc;
char last_size[NAME_LENGTH];
char last_family[NAME_LENGTH];
static __u32 unnamed; /* static: no symbol that a loader sees, but a place in the same map */

/* Upper limits 64, 128, 256, ... */
static inline __u32 bucket_of(__u32 length)
{
	__u32 bucket = 0;

	while (bucket < BUCKETS - 1 && length > 64U << bucket)
		bucket++;
	return bucket;
}

static inline __u32 crc32(const __u8 *bytes, __u32 length)
{
	__u32 crc = 0xffffffff;

	for (__u32 i = 0; i < length; i++) {
		crc = crc_table[(crc ^ bytes[i]) & 15] ^ crc >> 4;
		crc = crc_table[(crc ^ bytes[i] >> 4) & 15] ^ crc >> 4;
	}
	return ~crc;
}

/* A pointer into .rodata.str1.1. */
static inline const char *family_name(__u16 ether_type)
{
	if (ether_type == ETH_P_IP)
		return "ipv4";
	if (ether_type == ETH_P_IPV6)
		return "ipv6";
	return "other";
}

SEC("xdp")
int measure(struct xdp_md *ctx)
{
	__u32 length = ctx->data_end - ctx->data;

	__sync_fetch_and_add(&packets, 1);
	histogram[bucket_of(length) & (BUCKETS - 1)]++;
	if (count_bytes)
		statistics.bytes += length;
	statistics.balance += length;
	if (length < smallest)
		smallest = length;
	if (length > longest)
		longest = length;
	return length > maximum_length ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int describe(struct xdp_md *ctx)
{
	struct ethhdr *ethernet = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u32 bucket = bucket_of(ctx->data_end - ctx->data) & (BUCKETS - 1);
	__u16 ether_type;

	if ((void *)(ethernet + 1) > end)
		return XDP_ABORTED;
	ether_type = bpf_ntohs(ethernet->h_proto);

	for (__u32 i = 0; i < sizeof(weights) / sizeof(weights[0]); i++)
		if (weights[i].ether_type == ether_type)
			weighted += weights[i].weight;
	if (++unnamed == 1000)
		weighted = 0;

	last_crc = crc32((void *)ethernet, sizeof(*ethernet));
	__builtin_memcpy(last_size, size_names[bucket], NAME_LENGTH);
	bpf_probe_read_kernel_str(last_family, sizeof(last_family), family_name(ether_type));
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
