// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * tc_rewrite: change addresses and ports of a packet through helpers, checksums included.
 *
 * Programs:  translate (tc)
 * Reads:     Ethernet, IPv4 with options, TCP and UDP
 * Maps:      translations: packets, an array: 0 TCP, 1 UDP, 2 other protocols, 3 errors
 * Returns:   TC_ACT_OK
 * Builds:    v3, v4, O0
 *
 * Offsets instead of pointers: bpf_skb_load_bytes and bpf_skb_store_bytes check bounds themselves and
 * work on packets that are not in one piece.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define IPV4_FRAGMENT_OFFSET 0x1fff

enum translation {
	TRANSLATED_TCP,
	TRANSLATED_UDP,
	TRANSLATED_OTHER,
	TRANSLATION_FAILED,
	TRANSLATION_COUNT,
};

const volatile __be32 new_destination = bpf_htonl(0x0a000063); /* 10.0.0.99 */
const volatile __be16 new_port = bpf_htons(8080);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TRANSLATION_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} translations SEC(".maps");

static inline int counted(__u32 translation)
{
	__u64 *packets = bpf_map_lookup_elem(&translations, &translation);

	if (packets)
		__sync_fetch_and_add(packets, 1);
	return TC_ACT_OK;
}

/* The transport checksum covers the address (it is in the pseudo header) and the port. */
static inline int translate_port(struct __sk_buff *skb, __u32 port_at, __u32 checksum_at, __be32 old_address,
				 __u64 udp)
{
	__be16 old_port, port = new_port;

	if (bpf_skb_load_bytes(skb, port_at, &old_port, sizeof(old_port)))
		return -1;
	if (bpf_l4_csum_replace(skb, checksum_at, old_address, new_destination, BPF_F_PSEUDO_HDR | udp | sizeof(__be32)))
		return -1;
	if (bpf_l4_csum_replace(skb, checksum_at, old_port, port, udp | sizeof(port)))
		return -1;
	return bpf_skb_store_bytes(skb, port_at, &port, sizeof(port), 0);
}

SEC("tc")
int translate(struct __sk_buff *skb)
{
	__be32 address = new_destination;
	__u32 transport, result = TRANSLATED_OTHER;
	struct iphdr ip;

	if (skb->protocol != bpf_htons(ETH_P_IP))
		return TC_ACT_OK;
	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)))
		return counted(TRANSLATION_FAILED);
	if (ip.version != 4 || ip.ihl < 5)
		return counted(TRANSLATION_FAILED);
	transport = ETH_HLEN + ip.ihl * 4;

	if (ip.frag_off & bpf_htons(IPV4_FRAGMENT_OFFSET)) {
		/* The ports are in another packet. */
	} else if (ip.protocol == IPPROTO_TCP) {
		result = TRANSLATED_TCP;
		if (translate_port(skb, transport + offsetof(struct tcphdr, dest),
				   transport + offsetof(struct tcphdr, check), ip.daddr, 0))
			return counted(TRANSLATION_FAILED);
	} else if (ip.protocol == IPPROTO_UDP) {
		result = TRANSLATED_UDP;
		/* BPF_F_MARK_MANGLED_0: a checksum of 0 means none, leave it; a result of 0 becomes 0xffff. */
		if (translate_port(skb, transport + offsetof(struct udphdr, dest),
				   transport + offsetof(struct udphdr, check), ip.daddr, BPF_F_MARK_MANGLED_0))
			return counted(TRANSLATION_FAILED);
	}

	if (bpf_l3_csum_replace(skb, ETH_HLEN + offsetof(struct iphdr, check), ip.daddr, address, sizeof(address)))
		return counted(TRANSLATION_FAILED);
	if (bpf_skb_store_bytes(skb, ETH_HLEN + offsetof(struct iphdr, daddr), &address, sizeof(address), 0))
		return counted(TRANSLATION_FAILED);
	return counted(result);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
