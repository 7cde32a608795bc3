// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * context-access: a field of the context is written that may only be read
 *
 * Which fields of the context a program may read and write depends on its type. The length of a packet follows from the
 * packet; helpers change it.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int broken(struct __sk_buff *skb)
{
	skb->len = 64;
	return TC_ACT_OK;
}

SEC("tc")
int fixed(struct __sk_buff *skb)
{
	return bpf_skb_change_tail(skb, 64, 0) ? TC_ACT_SHOT : TC_ACT_OK;
}

char _license[] SEC("license") = "Dual MIT/GPL";
