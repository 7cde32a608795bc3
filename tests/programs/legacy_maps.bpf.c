// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * legacy_maps: objects as they were written before BTF: struct bpf_map_def and short section names.
 *
 * Programs:  count (classifier), police (action)
 * Reads:     the length and the protocol of the packet
 * Maps:      lengths, protocols: in section "maps", sizes only: nobody knows the types of key and value
 * Returns:   count: TC_ACT_OK; police: TC_ACT_SHOT above 1000 bytes, otherwise TC_ACT_OK
 * Builds:    v3, v4
 *
 * libbpf 1.0 and newer refuse this section; loaders of their own still read it.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct bpf_map_def {
	unsigned int type;
	unsigned int key_size;
	unsigned int value_size;
	unsigned int max_entries;
	unsigned int map_flags;
};

struct bpf_map_def SEC("maps") lengths = {
	.type = BPF_MAP_TYPE_ARRAY,
	.key_size = sizeof(__u32),
	.value_size = sizeof(__u64),
	.max_entries = 16,
};

struct bpf_map_def SEC("maps") protocols = {
	.type = BPF_MAP_TYPE_HASH,
	.key_size = sizeof(__u16),
	.value_size = sizeof(__u64),
	.max_entries = 4096,
	.map_flags = BPF_F_NO_PREALLOC,
};

SEC("classifier")
int count(struct __sk_buff *skb)
{
	__u32 slot = skb->len / 128;
	__u16 protocol = bpf_ntohs(skb->protocol);
	__u64 one = 1, *packets;

	packets = bpf_map_lookup_elem(&lengths, &slot);
	if (packets)
		__sync_fetch_and_add(packets, 1);

	packets = bpf_map_lookup_elem(&protocols, &protocol);
	if (packets)
		__sync_fetch_and_add(packets, 1);
	else
		bpf_map_update_elem(&protocols, &protocol, &one, BPF_NOEXIST);
	return TC_ACT_OK;
}

SEC("action")
int police(struct __sk_buff *skb)
{
	return skb->len > 1000 ? TC_ACT_SHOT : TC_ACT_OK;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
