// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * lru: remember who was here lately, in a map that makes room by itself.
 *
 * Programs:  remember (xdp)
 * Reads:     the source MAC address
 * Maps:      recent:  an LRU hash, MAC address to struct sender, for 64 senders; when it is full an
 *                     update drops one that was not used for long: which, is up to the kernel
 *            newcomers: how often a sender was not in it: an array of one
 * Returns:   XDP_PASS
 * Builds:    v3, v4
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_helpers.h>

struct address {
	__u8 mac[ETH_ALEN];
};

struct sender {
	__u64 packets;
	__u64 last_packet; /* our clock: packets seen */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 64);
	__type(key, struct address);
	__type(value, struct sender);
} recent SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} newcomers SEC(".maps");

__u64 packets;

SEC("xdp")
int remember(struct xdp_md *ctx)
{
	struct ethhdr *ethernet = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u64 now = __sync_fetch_and_add(&packets, 1);
	struct sender *sender;
	struct address address;
	__u64 *newcomer;
	__u32 first = 0;

	if ((void *)(ethernet + 1) > end)
		return XDP_ABORTED;
	__builtin_memcpy(&address, ethernet->h_source, sizeof(address));

	sender = bpf_map_lookup_elem(&recent, &address); /* counts as use */
	if (sender) {
		sender->packets++;
		sender->last_packet = now;
	} else {
		struct sender new = { .packets = 1, .last_packet = now };

		bpf_map_update_elem(&recent, &address, &new, BPF_ANY);
		newcomer = bpf_map_lookup_elem(&newcomers, &first);
		if (newcomer)
			__sync_fetch_and_add(newcomer, 1);
	}
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
