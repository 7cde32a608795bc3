// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * socket_legacy: packet access as classic BPF had it, the LD_ABS and LD_IND instructions.
 *
 * Programs:  absolute (socket), indirect (socket)
 * Reads:     the packet, in network byte order, at an offset; relative to the network header with
 *            SKF_NET_OFF, which finds it wherever the packet begins
 * Maps:      protocols: packets, a per-cpu array indexed by IP protocol
 * Returns:   absolute: the packet's IPv4 total length, or 0; indirect: the destination port, or 0
 * Builds:    v3, v4
 *
 * These instructions end the program with 0 when the packet is too short: nothing checks a bound.
 * RFC 9669 calls them historical; new programs use bpf_skb_load_bytes.
 */
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/in.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* The compiler turns calls of these into LD_ABS (constant offset) and LD_IND. */
unsigned long long load_byte(void *skb, unsigned long long offset) asm("llvm.bpf.load.byte");
unsigned long long load_half(void *skb, unsigned long long offset) asm("llvm.bpf.load.half");
unsigned long long load_word(void *skb, unsigned long long offset) asm("llvm.bpf.load.word");

#define IPV4_TOTAL_LENGTH 2
#define IPV4_PROTOCOL 9
#define IPV4_DESTINATION 16

__u32 last_destination;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u64);
} protocols SEC(".maps");

SEC("socket")
int absolute(struct __sk_buff *skb)
{
	__u32 protocol;
	__u64 *packets;

	if (skb->protocol != bpf_htons(ETH_P_IP))
		return 0;
	protocol = load_byte(skb, SKF_NET_OFF + IPV4_PROTOCOL);
	packets = bpf_map_lookup_elem(&protocols, &protocol);
	if (packets)
		*packets += 1;
	last_destination = load_word(skb, SKF_NET_OFF + IPV4_DESTINATION); /* in host byte order */
	return load_half(skb, SKF_NET_OFF + IPV4_TOTAL_LENGTH);
}

/* For packets that begin with the IPv4 header. */
SEC("socket")
int indirect(struct __sk_buff *skb)
{
	__u64 first = load_byte(skb, 0);
	__u64 header_length = (first & 15) * 4;

	if (first >> 4 != 4)
		return 0;
	switch (load_byte(skb, IPV4_PROTOCOL)) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
		return load_half(skb, header_length + 2);
	default:
		return 0;
	}
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
