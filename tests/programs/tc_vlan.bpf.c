// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * tc_vlan: VLAN tags and packet lengths through the helpers of the socket buffer.
 *
 * Programs:  push (tc), pop (tc), push_pop (tc), change_tail (tc)
 * Reads:     struct __sk_buff: vlan_present, vlan_tci, vlan_proto, len
 * Maps:      tags: an array of one: what the buffer said after push
 * Returns:   TC_ACT_OK; TC_ACT_SHOT where a helper refused
 * Builds:    v3, v4
 *
 * A socket buffer keeps the outermost tag beside the packet, not in it: after push the data are as
 * before and vlan_present is 1.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define SHORTEST_FRAME 60

struct tag {
	__u32 present;
	__u32 control;
	__u32 protocol;
	__u32 length;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tag);
} tags SEC(".maps");

static inline void remember(struct __sk_buff *skb)
{
	__u32 first = 0;
	struct tag *tag = bpf_map_lookup_elem(&tags, &first);

	if (!tag)
		return;
	tag->present = skb->vlan_present;
	tag->control = skb->vlan_tci;
	tag->protocol = skb->vlan_proto;
	tag->length = skb->len;
}

SEC("tc")
int push(struct __sk_buff *skb)
{
	if (bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), 42))
		return TC_ACT_SHOT;
	remember(skb);
	return TC_ACT_OK;
}

SEC("tc")
int pop(struct __sk_buff *skb)
{
	if (bpf_skb_vlan_pop(skb))
		return TC_ACT_SHOT;
	remember(skb);
	return TC_ACT_OK;
}

SEC("tc")
int push_pop(struct __sk_buff *skb)
{
	if (bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021AD), 100))
		return TC_ACT_SHOT;
	if (bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), 42)) /* the first tag moves into the packet */
		return TC_ACT_SHOT;
	remember(skb);
	if (bpf_skb_vlan_pop(skb) || bpf_skb_vlan_pop(skb))
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}

/* Pad short frames, and overwrite the first byte of the padding. */
SEC("tc")
int change_tail(struct __sk_buff *skb)
{
	__u32 length = skb->len;
	__u8 byte = 0xff;

	if (length >= SHORTEST_FRAME)
		return TC_ACT_OK;
	if (bpf_skb_change_tail(skb, SHORTEST_FRAME, 0))
		return TC_ACT_SHOT;
	if (bpf_skb_store_bytes(skb, length, &byte, sizeof(byte), 0))
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
