// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * not-acquired: something is released that was not acquired
 *
 * Only what a helper acquired is released. The socket in a field of the context is lent: it is not the program's to give
 * back.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int broken(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	if (sk)
		sk = bpf_sk_fullsock(sk);
	if (sk)
		bpf_sk_release(sk);
	return TC_ACT_OK;
}

SEC("tc")
int fixed(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	if (sk)
		sk = bpf_sk_fullsock(sk);
	return sk && sk->mark ? TC_ACT_SHOT : TC_ACT_OK;
}

char _license[] SEC("license") = "Dual MIT/GPL";
