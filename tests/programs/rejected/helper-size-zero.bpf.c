// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * helper-size-zero: a size that may be 0
 *
 * Linux wants a size of at least 1 for the memory that some helpers fill. No run goes wrong with 0; the rule is Linux's,
 * so there is no input to show.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int broken(struct __sk_buff *skb)
{
	char header[64];
	__u32 size = skb->len & 63;

	return bpf_skb_load_bytes(skb, 0, header, size) ? TC_ACT_SHOT : TC_ACT_OK;
}

SEC("tc")
int fixed(struct __sk_buff *skb)
{
	char header[64];
	__u32 size = skb->len & 63;

	if (size == 0)
		return TC_ACT_OK;
	return bpf_skb_load_bytes(skb, 0, header, size) ? TC_ACT_SHOT : TC_ACT_OK;
}

char _license[] SEC("license") = "Dual MIT/GPL";
