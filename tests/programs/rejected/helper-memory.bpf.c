// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * helper-memory: a helper gets a size that its buffer does not have
 *
 * A helper writes as many bytes as it is told to. The size must be shown to be at most that of the buffer, in every case.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int broken(struct __sk_buff *skb)
{
	char header[64];
	__u32 size = skb->len & 127;

	if (size && bpf_skb_load_bytes(skb, 0, header, size))
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}

SEC("tc")
int fixed(struct __sk_buff *skb)
{
	char header[64];
	__u32 size = skb->len & 63;

	if (size && bpf_skb_load_bytes(skb, 0, header, size))
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}

char _license[] SEC("license") = "Dual MIT/GPL";
