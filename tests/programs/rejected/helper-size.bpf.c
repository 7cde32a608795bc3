// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * helper-size: a size that may be negative
 *
 * A length that is compared as a signed number may be negative, and as a size it is then enormous. Make it unsigned, or
 * check that it is not negative.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int broken(struct __sk_buff *skb)
{
	char header[64];
	int size = skb->mark;

	if (size > (int)sizeof(header))
		return TC_ACT_OK;
	return bpf_skb_load_bytes(skb, 0, header, size) ? TC_ACT_SHOT : TC_ACT_OK;
}

SEC("tc")
int fixed(struct __sk_buff *skb)
{
	char header[64];
	int size = skb->mark;

	if (size <= 0 || size > (int)sizeof(header))
		return TC_ACT_OK;
	return bpf_skb_load_bytes(skb, 0, header, size) ? TC_ACT_SHOT : TC_ACT_OK;
}

char _license[] SEC("license") = "Dual MIT/GPL";
